"""Tables that are written a block of rows at a time: csv, npy and parquet files, or standard output."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..data.files import replacing


def write(path: str | Path | None, head: Sequence[str] | None, blocks: Iterable) -> None:
    """Write blocks, each a tuple of arrays (b,) or (b, ·) side by side, to a file by its suffix; None: csv on standard
    output.

    csv has the names in ``head`` as its first line, and its numbers read back exactly; npy is one array, (n,) of one
    column; parquet has a column for each name. The file is there when all blocks are, and not before.
    """
    kinds = {".npy": _write_npy, ".parquet": _write_parquet, ".pq": _write_parquet}
    kind = kinds.get(Path(path).suffix.lower(), _write_csv) if path else _write_csv
    kind(path, head, (_columns(block) for block in blocks))


def _columns(block) -> list[np.ndarray]:
    return [column for part in block for column in np.atleast_2d(np.asarray(part).T)]


def _write_csv(path, head, blocks):
    with replacing(path, "w", encoding="utf-8", newline="") if path else contextlib.nullcontext(sys.stdout) as file:
        writer = csv.writer(file, lineterminator="\n")
        if head:
            writer.writerow(head)
        for columns in blocks:
            writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


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
            _header(file, table, n)  # as long as the first: NumPy leaves room for any number of rows


def _header(file, table, n: int):
    about = {"descr": np.lib.format.dtype_to_descr(table.dtype), "fortran_order": False, "shape": (n, *table.shape[1:])}
    np.lib.format.write_array_header_1_0(file, about)


def _write_parquet(path, head, blocks):
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise ValueError(f"{path}: parquet files need pyarrow: pip install 'jaxgmm[io]'") from None
    with contextlib.ExitStack() as opened:
        file, writer = opened.enter_context(replacing(path)), None
        for columns in blocks:
            table = pyarrow.table(dict(zip(head, map(pyarrow.array, columns), strict=True)))
            if writer is None:
                writer = opened.enter_context(parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)
