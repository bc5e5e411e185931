"""Rows in files: the ending of a file's name selects how it is read. npy, npz, parquet, or else text."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..numerics.dtypes import compute_dtype
from ..numerics.plain import plain
from . import archives, text
from .files import MemoryFile, text_of
from .parts import Part
from .pick import Pick

INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds to a parquet file
CSV_ROWS = 2**14  # rows of text that are parsed at a time


def of_file(path: Path | MemoryFile, pick: Pick) -> Part:
    """The rows of a file.

    Raises:
        ValueError: not a table of numbers; it names the file.
        OSError: the file is not there.
    """
    kinds = {".npy": archives.of_npy, ".npz": archives.of_npz, ".parquet": _of_parquet, ".pq": _of_parquet}
    with naming(path):
        kind = path.suffix.lower()
        if kind == ".gz" and Path(path.stem).suffix.lower() in kinds:
            raise ValueError("is compressed, and only tables of text are read so: gunzip it")
        part = kinds.get(kind, _of_text)(path, pick)

    def read(size, beside: Sequence[int] = ()):
        with naming(path):
            yield from part.read(size, beside)

    return dataclasses.replace(part, name=str(path), read=read)


@contextlib.contextmanager
def naming(path):
    """Context: errors of the block name the file."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: is a gzip file that is damaged or cut short") from error


def _of_text(path: Path | MemoryFile, pick: Pick) -> Part:
    with text_of(path) as file:
        form = text.form_of(file, pick)
    d, weighted = len(form.taken.indices), form.taken.weight is not None

    def read(size, beside=()):
        with text_of(path) as file:
            for values, columns in text.read(file, form, size and min(size, CSV_ROWS), beside):
                yield values[:, :d], values[:, d] if weighted else None, columns

    return Part(None, None, d, np.dtype(np.float64), weighted, read, form.taken, form.doubts)


def _of_parquet(path: Path, pick: Pick) -> Part:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise ValueError("parquet files need pyarrow: pip install pyarrow") from None
    try:
        about = parquet.read_metadata(path)
    except ArrowInvalid as error:
        raise ValueError("is not a parquet file, or is cut short") from error
    schema = about.schema.to_arrow_schema()
    names = tuple(name for name in schema.names if not INDEX.fullmatch(name))
    fields = [schema.field(name).type for name in names]
    taken = pick.of(names, len(names), [j for j, kind in enumerate(fields) if _dtype(kind).kind not in "fiub"])
    for j in taken.with_weight:
        if _dtype(fields[j]).kind not in "fiub":
            raise ValueError(f"column {names[j]!r} holds {fields[j]}; pick the columns of numbers")
    wanted, d = [names[j] for j in taken.with_weight], len(taken.indices)
    dtype = compute_dtype(np.empty(0, np.result_type(*(_dtype(fields[j]) for j in taken.indices))))

    def read(size, beside=()):
        columns = list(dict.fromkeys([*wanted, *(names[j] for j in beside)]))
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size or max(about.num_rows, 1), columns=columns):
                values = np.empty((batch.num_rows, len(wanted)), dtype)
                for j, name in enumerate(wanted):  # in the order asked for, whatever the file's is
                    values[:, j] = plain(batch.column(name))
                weight = None if taken.weight is None else values[:, -1]
                yield values[:, :d], weight, [batch.column(names[j]) for j in beside]

    return Part(None, about.num_rows, d, dtype, taken.weight is not None, read, taken)


def _dtype(kind) -> np.dtype:
    """The NumPy dtype of a column in a parquet file, or of the values of a dictionary."""
    return np.dtype((kind.value_type if hasattr(kind, "index_type") else kind).to_pandas_dtype())
