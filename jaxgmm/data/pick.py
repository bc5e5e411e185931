"""Which columns of a table are read: those picked by name, number or range, or all that hold numbers.

Columns are numbered from 0. Where some column's name is a number, numbers are taken for names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .dialects import is_separator

REFUSED, DROPPED, KEPT = "refused", "dropped", "kept"  # what becomes of rows with missing values


@dataclasses.dataclass(frozen=True)
class Pick:
    """The caller's choice of columns, and of how text is read, before the table is opened.

    Args:
        columns: the columns of x in this order, each a name, a number or a range ``a:c`` with both its ends; None: all
            that hold numbers.
        weights: the column of sample weights, by name or number; it is then no column of x.
        expected: the default of ``columns`` where the table has names: those that a model was fitted to.
        header: whether the first row of text names the columns; None: `headers.judge` decides.
        drop: columns that are left out, as in ``columns``.
        missing: what becomes of rows with a missing value: `REFUSED`, `DROPPED`, or `KEPT` with NaN.
        decimal: the decimal mark of text, "." or ","; None: `dialects.dialect_of` finds it.
        separator: the character that separates fields of text; None: `dialects.dialect_of` finds it.
        text: columns that hold text, by name or number; None: the first rows tell.
    """

    columns: tuple[str, ...] | None = None
    weights: str | None = None
    expected: tuple[str, ...] = ()
    header: bool | None = None
    drop: tuple[str, ...] = ()
    missing: str = REFUSED
    decimal: str | None = None
    separator: str | None = None
    text: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {self.decimal!r}")
        if self.separator is not None and not is_separator(self.separator):
            known = "one character that is in no number, such as ';' or '|'"
            raise ValueError(f"separator must be {known}, got {self.separator!r}")

    def of(self, names: tuple[str, ...] | None, width: int, text: Sequence[int] = ()) -> Taken:
        """The columns read from a table with these names and ``width`` columns, of which ``text`` hold text.

        Raises:
            ValueError: a column is not there, is picked twice, or nothing is left.
        """
        weight = None if self.weights is None else column_index(self.weights, names, width)
        dropped = {j for word in self.drop for j in _span(word, names, width)}
        wanted = self.columns if self.columns is not None else self.expected if names else ()
        left_out: list[int] = []
        if wanted:
            picked = [j for word in wanted for j in _span(word, names, width) if j not in dropped]
        else:
            # A first column without a name is an index, as R and pandas write it: no feature.
            start = 1 if names and names[0] == "" else 0
            if self.text is not None:
                text = [j for j in range(width) if label(names, j) in self.text]
            columns = [j for j in range(start, width) if j != weight and j not in dropped]
            picked, left_out = [j for j in columns if j not in text], [j for j in columns if j in text]
        if len(set(picked)) < len(picked):
            raise ValueError(f"a column is picked twice in {', '.join(wanted)}")
        if weight in picked:
            raise ValueError(f"column {self.weights!r} cannot be a feature and the sample weight")
        if not picked:
            held = f": {', '.join(label(names, j) for j in left_out)} hold text" if left_out else ""
            raise ValueError(f"has no columns left for the features{held}")
        return Taken(names, width, tuple(picked), weight, tuple(label(names, j) for j in left_out))


@dataclasses.dataclass(frozen=True)
class Taken:
    """The columns read from a table that has ``width`` columns with these ``names``, or None: the ``indices`` of x, the
    index of the weights or None, and the names or numbers of columns left out because they hold text."""

    names: tuple[str, ...] | None
    width: int
    indices: tuple[int, ...]
    weight: int | None
    left_out: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x."""
        return tuple(self.names[j] for j in self.indices) if self.names else None

    @property
    def with_weight(self) -> tuple[int, ...]:
        """The indices of x, then that of the weights."""
        return self.indices if self.weight is None else (*self.indices, self.weight)

    @property
    def everything(self) -> bool:
        """Whether x is the whole table."""
        return self.indices == tuple(range(self.width))


def label(names: tuple[str, ...] | None, column: int) -> str:
    """A column's name; its number where the table has no names."""
    return names[column] if names else str(column)


def column_index(column: str, names: tuple[str, ...] | None, width: int) -> int:
    """The index of a column given by its name or its number; ValueError where there is none, or several."""
    found = _index(column, names, width)
    if found is not None:
        return found
    if names is None:
        raise ValueError(f"has no column {column!r}; without a header its columns are the numbers 0 to {width - 1}")
    known = ", ".join(name for name in names if name)
    raise ValueError(f"has {names.count(column) or 'no'} columns {column!r}; its columns are {known}")


def _index(column: str, names: tuple[str, ...] | None, width: int) -> int | None:
    if names and column in names:
        return names.index(column) if names.count(column) == 1 else None
    numbered = not any(name.isdecimal() for name in names or ())
    return int(column) if numbered and column.isdecimal() and int(column) < width else None


def _span(word: str, names: tuple[str, ...] | None, width: int) -> Sequence[int]:
    """The indices of the columns that a word stands for: one column, or a range."""
    if _index(word, names, width) is None and not (names and word in names):
        for place in (place for place, letter in enumerate(word) if letter == ":"):  # a name may hold one too
            ends = word[:place], word[place + 1 :]
            first = 0 if not ends[0] else _index(ends[0], names, width)
            last = width - 1 if not ends[1] else _index(ends[1], names, width)
            if any(ends) and first is not None and last is not None:
                if first > last:
                    raise ValueError(f"the range {word!r} goes backwards: column {ends[1]!r} stands before {ends[0]!r}")
                return range(first, last + 1)
    return [column_index(word, names, width)]
