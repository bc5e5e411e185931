"""Files read whole: x, names of columns and sample weights, with every value checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..records import FitWarning
from .files import MemoryFile
from .formats import naming, of_file
from .pick import DROPPED, KEPT, Pick
from .remarks import left_out, missing, remarks


def read(path: str | Path, **picked) -> tuple[np.ndarray, tuple[str, ...] | None, np.ndarray | None]:
    """(x, names, sample_weight) of a file.

    Args:
        path: .npy, .npz (one two-dimensional array, or named one-dimensional ones of equal length), .parquet, or else
            text, which may be packed by gzip.
        **picked: fields of a `Pick`, the choice of columns. The weights of a .npz may be an array beside the table.

    Returns:
        x (n, d), float64 from text, float32 or float64 from arrays; the names of its columns, None where the file has
        none; sample weights (n,), or None. Where rows with missing values are kept, these are NaN.

    Raises:
        ValueError: a value that is no finite number, by its row and column; an unknown column; an unreadable file. Rows
            of text are counted from 1, with the line an editor shows; rows of an array from 0, as NumPy does.
        OSError: the file is not there.

    Warns:
        FitWarning: the sentences of `remarks.remarks`; how many rows are left out.
    """
    return read_numbered(Path(path), Pick(**picked))[:3]


def read_numbered(path: Path | MemoryFile, pick: Pick) -> tuple:
    """The results of `read`, and the numbers (n,) of the rows in the file, from 0."""
    part = of_file(path, pick)
    for remark in remarks(part, pick):
        warnings.warn(FitWarning(f"{path}: {remark}"), stacklevel=3)
    x, weight, _ = next(part.read(None), (np.empty((0, part.d)), None, None))
    with naming(path):
        if len(x) == 0:
            raise ValueError("has no rows of data")
        _check_finite(x, part.columns or part.taken.indices, pick.missing in (DROPPED, KEPT))
        if weight is not None:
            _check_finite(weight[:, None], [pick.weights], pick.missing in (DROPPED, KEPT))
            _check_weights(weight)
        numbers = np.arange(len(x))
        if pick.missing == DROPPED:
            without = missing(x, weight)
            if without.all():
                raise ValueError("has no row without a missing value")
            if without.any():
                warnings.warn(FitWarning(f"{path}: {left_out(int(without.sum()), len(x))}"), stacklevel=3)
            x, weight, numbers = x[~without], None if weight is None else weight[~without], numbers[~without]
    return x, part.columns, weight, numbers


def _check_finite(values: np.ndarray, names: Sequence, missing_too: bool):
    wrong = np.argwhere(np.isinf(values) if missing_too else ~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        value = values[row, column]
        advice = "; drop_missing=True (--drop-missing) leaves such rows out" if np.isnan(value) else ""
        raise ValueError(f"row {row} (counted from 0), column {names[column]!r}: {value} is not finite{advice}")


def _check_weights(sample_weight: np.ndarray):
    negative = np.flatnonzero(sample_weight < 0)
    if len(negative):
        row = negative[0]
        raise ValueError(f"row {row} (counted from 0): the sample weight {sample_weight[row]} is negative")
    if not sample_weight.any():
        raise ValueError("every sample weight is zero")
