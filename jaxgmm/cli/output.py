"""Writing tables block by block: csv, tsv, npy and parquet files, or standard output."""

from __future__ import annotations

import contextlib
import csv
import functools
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..data.files import replacing


def write(path: str | Path | None, head: Sequence[str] | None, blocks: Iterable) -> None:
    """Write blocks, each a list of arrays (b,) or (b, m) side by side, to a file of the kind of its ending; to standard
    output as csv where path is None.

    csv and tsv begin with a line of the names in ``head``, unless it is None; numbers read back exactly, and NaN is an
    empty field. npy is one array (n, columns), or (n,) of one column. parquet has a column for each name. The file
    appears when all blocks are written.
    """
    kind = KINDS.get(Path(path).suffix.lower(), _write_csv) if path else _write_csv
    kind(path, head, (_columns(block) for block in blocks))


def check(path: str) -> None:
    """ValueError where the ending of a file's name is none of the kinds, or the module for it is not installed."""
    if Path(path).suffix.lower() not in KINDS and not is_device(path):
        raise ValueError(f"{path}: a table ends in one of {', '.join(KINDS)}")
    if KINDS.get(Path(path).suffix.lower()) is _write_parquet:
        _parquet_module(path)


def is_device(path: str) -> bool:
    """Whether a path is a device or a pipe, such as /dev/stdout: it is written to, not replaced."""
    return Path(path).exists() and not Path(path).is_file()


def _columns(block) -> list[np.ndarray]:
    return [column for part in block for column in np.atleast_2d(np.asarray(part).T)]


def _write_csv(path, head, blocks, mark: str = ","):
    with replacing(path, "w", encoding="utf-8", newline="") if path else contextlib.nullcontext(sys.stdout) as file:
        writer = csv.writer(file, delimiter=mark, lineterminator="\n")
        if head:
            writer.writerow(head)
        for columns in blocks:
            writer.writerows(zip(*map(_words, columns), strict=True))


def _words(column: np.ndarray) -> list:
    """The values of a column, an empty string for NaN."""
    values = column.tolist()
    if column.dtype.kind == "f" and np.isnan(column).any():
        return ["" if math.isnan(value) else value for value in values]
    return values


def _write_npy(path, head, blocks):
    n, table = 0, None
    with replacing(path) as file:
        for columns in blocks:
            table = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
            if n == 0:
                _header(file, table, 0)
            file.write(np.ascontiguousarray(table).data)
            n += len(table)
        if table is not None:
            file.seek(0)
            _header(file, table, n)  # has the length of the first: NumPy pads it for any number of rows


def _header(file, table, n: int):
    about = {"descr": np.lib.format.dtype_to_descr(table.dtype), "fortran_order": False, "shape": (n, *table.shape[1:])}
    np.lib.format.write_array_header_1_0(file, about)


def _parquet_module(path):
    """pyarrow with its module of parquet files, or a ValueError."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ValueError(f"{path}: parquet files need pyarrow: pip install pyarrow") from None
    return pyarrow


def _write_parquet(path, head, blocks):
    pyarrow = _parquet_module(path)
    with contextlib.ExitStack() as opened:
        file, writer = opened.enter_context(replacing(path)), None
        for columns in blocks:
            table = pyarrow.table(dict(zip(head, map(pyarrow.array, columns), strict=True)))
            if writer is None:
                writer = opened.enter_context(pyarrow.parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)


KINDS = {
    ".csv": _write_csv,
    ".tsv": functools.partial(_write_csv, mark="\t"),
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".pq": _write_parquet,
}
