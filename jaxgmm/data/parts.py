"""Tables in files and elsewhere, read some rows at a time: npy, npz, text and parquet files, arrays, iterables.

A `Part` says what it holds before a row of it is read, as far as its kind can know. Reading ends in numbers of one
dtype or in a ValueError; values are checked by whoever reads.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.dtypes import compute_dtype
from ..numerics.plain import plain
from .files import Held, text_of
from .pick import Pick, Taken

INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds to a parquet file
CSV_ROWS = 2**14  # of text that are parsed at a time


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows in the order in which they come.

    Args:
        name: of the file; None where there is none.
        n: number of rows; None where only reading tells.
        d: number of features.
        dtype: float32 or float64.
        weighted: whether its rows carry weights.
        read: ``(size, beside=()) -> iterator`` of x (b, d), weight (b,) or None, and the columns of these indices, at
            most ``size`` rows at a time; None: all at once.
        taken: what is taken of a file's columns.
        doubts: what was assumed of a text, where that is not sure.
    """

    name: str | None
    n: int | None
    d: int
    dtype: Any
    weighted: bool
    read: Callable[..., Iterator]
    taken: Taken | None = None
    doubts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of all its columns; None where they have none."""
        return self.taken.names if self.taken else None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Those picked for x; None where they have no names."""
        return self.taken.columns if self.taken else None


def of_file(path: Path | Held, pick: Pick) -> Part:
    """The part that a file is, by its suffix.

    Raises:
        ValueError: not a table of numbers; it names the file.
        OSError: the file is not there.
    """
    kinds = {".npy": _of_archive, ".npz": _of_archive, ".parquet": _of_parquet, ".pq": _of_parquet}
    with naming(path):
        kind = path.suffix.lower()
        if kind == ".gz" and Path(path.stem).suffix.lower() in kinds:
            raise ValueError("is compressed, and only tables of text are read so: gunzip it")
        return kinds.get(kind, _of_text)(path, pick)


@contextlib.contextmanager
def naming(path):
    """Errors of the block say which file they are about."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: is a gzip file that is damaged or cut short") from error


def _named(path, read):
    """The same reader, whose errors say which file they are about."""

    def named(size, beside: Sequence[int] = ()):
        with naming(path):
            yield from read(size, beside)

    return named


def of_array(x) -> Part:
    """Rows of anything with a shape (n, d), a dtype, and slices of rows; or (n,) with d fields."""
    first = plain(x[:1]) if x.shape and 0 not in x.shape else np.empty(0)
    if first.ndim != 2:
        raise ValueError(f"rows must have shape (n, d), none of them 0, got {tuple(x.shape)}")
    dtype = compute_dtype(first)

    def read(size, beside=()):
        for start in range(0, x.shape[0], size):
            yield _copied(x[start : start + size], dtype), None, []
            _let_go(x)

    return Part(None, int(x.shape[0]), first.shape[1], dtype, False, read)


def of_blocks(source: Iterable) -> Part:
    """Rows of an iterable of x (b, d) or (x, weight (b,)), which starts again whenever it is iterated."""

    def pair(item):
        x, weight = item if isinstance(item, tuple) else (item, None)
        x = np.asarray(plain(x))
        weight = None if weight is None else np.asarray(plain(weight, "sample_weight"))
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(f"blocks of rows must have shape (b, d), got {x.shape}")
        if weight is not None and weight.shape != (len(x),):
            raise ValueError(f"a block of {len(x)} rows came with weights of shape {weight.shape}")
        return x, weight

    first = next(map(pair, source), None)
    if first is None:
        raise ValueError("the source of rows is empty")
    (_, d), dtype, weighted = first[0].shape, compute_dtype(first[0]), first[1] is not None

    def read(size, beside=()):
        for i, (x, weight) in enumerate(map(pair, source)):
            if x.shape[1] != d or (weight is not None) != weighted:
                with_or = "without" if weight is None else "with"
                raise ValueError(f"block {i} has {x.shape[1]} features, {with_or} weights; the first has {d}")
            for start in range(0, len(x), size):
                some = slice(start, start + size)
                yield x[some].astype(dtype, copy=False), None if weight is None else weight[some].astype(dtype), []

    return Part(None, None, d, dtype, weighted, read)


def _copied(x, dtype) -> np.ndarray:
    return np.array(plain(x), dtype) if isinstance(x, np.memmap) else np.asarray(plain(x)).astype(dtype, copy=False)


def _let_go(x) -> None:
    """Pages of a mapped file that were read are not kept in this process; they stay in the system's cache."""
    pages = getattr(x, "_mmap", None)
    if pages is not None and getattr(x, "mode", None) in ("r", "r+") and hasattr(pages, "madvise"):
        import mmap

        pages.madvise(mmap.MADV_DONTNEED)


def _of_archive(path: Path, pick: Pick) -> Part:
    from . import archives

    table = (archives.of_npy if path.suffix.lower() == ".npy" else archives.of_npz)(path, pick)
    read, d = _named(path, table.read), len(table.taken.indices)
    return Part(str(path), table.n, d, table.dtype, table.weighted, read, table.taken)


def _of_text(path: Path | Held, pick: Pick) -> Part:
    from . import text

    with text_of(path) as file:
        seen = text.look(file, pick)
    d, weighted = len(seen.taken.indices), seen.taken.weight is not None

    def read(size, beside=()):
        with text_of(path) as file:
            for values, columns in text.read(file, seen, size and min(size, CSV_ROWS), beside):
                yield values[:, :d], values[:, d] if weighted else None, columns

    return Part(str(path), None, d, np.dtype(np.float64), weighted, _named(path, read), seen.taken, seen.doubts)


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

    weighted = taken.weight is not None
    return Part(str(path), about.num_rows, d, dtype, weighted, _named(path, read), taken)


def _dtype(kind) -> np.dtype:
    """The NumPy dtype of a column in a parquet file."""
    return np.dtype((kind.value_type if hasattr(kind, "index_type") else kind).to_pandas_dtype())
