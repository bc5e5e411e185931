"""The integer codes that each categorical feature takes, collected from the rows of all processes."""

import numpy as np

from .. import checks
from ..distributed import agreed, alike, everyones, spans
from ..families.categorical import EXACT
from ..numerics.dtypes import compute_dtype
from .sources import Stream

BLOCK = 2**16  # rows that are read at a time


def shown(x, mesh) -> tuple[tuple[int, ...], ...]:
    """The sorted codes of every feature of concrete rows (n, d), or of a stream, by one pass over the rows.

    Raises:
        ValueError: a value is no integer; it names the row and the column.
    """
    codes = [np.empty(0)] * x.shape[1]
    with agreed(mesh):
        for block in _blocks(x):
            codes = list(map(np.union1d, codes, block.T))
    if spans(mesh):
        alike([x.shape[1], x.dtype.name])
        most = max(map(int, everyones(np.int32(max(map(len, codes))), mesh)))
        own = np.stack([np.resize(each, most) for each in codes]).astype(compute_dtype(x))  # resized: codes repeat
        codes = list(map(np.unique, np.concatenate(everyones(own, mesh), axis=1)))
    return tuple(tuple(map(int, each)) for each in codes)


def _blocks(x):
    """Rows (b, d) in float64, checked to be integers."""
    for rows, first, place in _read(x):
        values = rows.astype(np.float64)
        wrong = ~(np.abs(values) < EXACT) | (values != np.floor(values))
        if wrong.any():
            row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
            where = f"{place(first + int(row))}, column {column} is {rows[row, column]}"
            if np.isfinite(values[row, column]):
                raise ValueError(f"x must be integer codes (below 2**53) for family 'categorical'; {where}")
            raise ValueError(f"x must be finite; {where}: drop or impute such rows")
        yield values


def _read(x):
    """Rows of x in NumPy, the number of the first of them, and a function that names a row by its number."""
    if isinstance(x, Stream):
        for rows, _, first in x.blocks(x.block_size):
            yield rows, first, x.place
        return
    for first, part in checks.own_parts(x):
        part = np.asarray(part)
        for start in range(0, len(part), BLOCK):
            yield part[start : start + BLOCK], first + start, "row {}".format
