"""Warnings about a table: columns left out, columns that number the rows, rows left out."""

from __future__ import annotations

import contextlib
import re
import shlex

import numpy as np

from .parts import Part
from .pick import Pick, label

LOOKED_AT = 200  # first rows, in which a column may count
FEWEST = 5  # rows that a column has to count
ROW_NAMES = frozenset(
    {"id", "ids", "index", "row", "rows", "rowid", "rowname", "rownames", "rownumber", "rownum", "unnamed0", "sampleid"}
)


def remarks(part: Part, pick: Pick) -> list[str]:
    """Warnings about a file: one sentence for each assumption that may be wrong."""
    found = list(part.doubts)
    if part.taken.left_out and pick.text is None:
        listed = ", ".join(part.taken.left_out)
        found.append(f"columns of text are left out: {listed}")
    if pick.columns is None and not (pick.expected and part.names):
        found += _numbering(part)
    return found


def _numbering(part: Part) -> list[str]:
    """Warnings about features that count the rows, or whose name is one for row numbers."""
    names = [label(part.names, j) for j in part.taken.indices]
    if len(names) == 1:
        return []
    rows = np.empty((0, part.d))
    with contextlib.suppress(ValueError):  # the error is raised when the rows are read
        rows = next(part.read(LOOKED_AT), (rows,))[0]
    found = []
    for name, column in zip(names, rows.T, strict=True):
        counts = len(column) >= FEWEST and column[0] in (0, 1) and bool(np.all(np.diff(column) == 1))
        called = part.names is not None and re.sub(r"\W|_", "", name).lower() in ROW_NAMES
        if counts or called:
            how = f"counts its rows ({column[0]:g}, {column[1]:g}, {column[2]:g}, ...)" if counts else "is called so"
            words = f"column {name!r} seems to number the rows: it {how}; it is taken for a feature. If it is none"
            found.append(f"{words}, leave it out with drop=[{name!r}] (--drop {_in_shell(name)})")
    return found


def _in_shell(name: str) -> str:
    """A column's name, quoted for an option of the command line in a shell."""
    return shlex.quote(f'"{name}"' if "," in name else name)


def missing(x: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Which rows (n,) have a missing value."""
    rows = np.isnan(x).any(axis=1)
    return rows if weight is None else rows | np.isnan(weight)


def left_out(count: int, n: int) -> str:
    """The warning about rows that are left out."""
    return f"{count} of {n} rows left out: a value is missing in each"


def grouped(warnings: dict[str, list[str]]) -> list[str]:
    """One sentence for each warning, of one file or several. ``warnings``: lists of them by the name of the file."""
    by_remark: dict[str, list[str]] = {}
    for name, some in warnings.items():
        for remark in some:
            by_remark.setdefault(remark, []).append(name)
    return [
        f"{names[0]}{f' (and {len(names) - 1} more like it)' if len(names) > 1 else ''}: {remark}"
        for remark, names in by_remark.items()
    ]
