"""Whether the first row of a table of text is a header, judged by the rows below it.

Words name columns, and so may numbers: pandas writes 0, 1, ... above a plain array, and hours, years and doses are
names too. No file says which it is. `judge` takes the likelier case, and tells where it may be wrong, for a warning.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .fields import is_infinite, is_missing, is_number

LOOKED_AT = 200  # lines below the first row that are read to judge it
RARE = 1e-3  # the `_share` from which on a header is in doubt
EXCEPTION = 1 / 20  # the most integers, as a share, in a column that counts as one without integers
FEWEST = 5  # values from which the gaps of a column are known


def judge(first: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """(whether the first row is a header, whether that is in doubt).

    - Words without numbers are a header.
    - A row with an empty first field is a header, as pandas and R write one above an index. It is in doubt where the
      row may be data whose first value is missing.
    - Integers 0, 1, ... or 1, 2, ... in order, two or more, are a header. It is in doubt where the row may well be one
      of those below: none of its values is `_strange` to its column, and at least one row in a thousand (`RARE`) would
      equal it if columns were independent. Above a single row it is then data.
    - Other numbers are data, unless there are three `_coincidences` (two for a single column): then they are a header,
      in doubt. A column of counts or labels, which often begins with 0 or 1, is data.

    In a row of words and numbers the numbers decide. A word above a column of numbers is one more coincidence.
    """
    first = [field.strip() for field in first]
    numbers = [j for j, field in enumerate(first) if is_number(field)]
    words = [j for j, field in enumerate(first) if not (is_missing(field) or is_number(field) or is_infinite(field))]
    if not numbers:
        return bool(words), False
    below = [[field.strip() for field in fields] for fields in below if len(fields) == len(first)]
    labels = [first[j] for j in numbers]
    columns = [[fields[j] for fields in below] for j in numbers]
    in_order = labels in ([str(j + start) for j in range(len(labels))] for start in (0, 1))
    if first[0] == "" and any(fields[0] for fields in below):
        return True, not (words or in_order or _is_index([fields[0] for fields in below]))
    if len(words) + len(numbers) < len(first):
        return False, False
    titles = sum(all(is_number(fields[j]) or is_missing(fields[j]) for fields in below) for j in words)
    if in_order and len(labels) > 1:
        apart = any(any(_strange(*each)) for each in zip(labels, columns, strict=True)) or (titles > 0 and bool(below))
        return apart or len(below) > 1, not apart and len(below) > 1 and _share(labels, columns) >= RARE
    header = len(below) > 1 and titles + _coincidences(labels, columns) >= min(len(labels) + 1, 3)
    return header, header


def doubt(first: Sequence[str]) -> str:
    """The warning about a first row that is taken for a header, in doubt."""
    shown = ", ".join([field.strip() for field in first[:4]] + ["..."] * (len(first) > 4))
    return (
        f"its first row ({shown}) is taken for the names of its columns, not for data; header=True or header=False "
        "(--header, --no-header) says which it is"
    )


def _share(labels, columns) -> float:
    """The share of rows that would equal the first row if columns were independent: the product over columns of the
    label's share among the values below it, or 1 where the values rise from the label."""

    def of(label, column):
        values = [float(field) for field in [label, *column] if is_number(field)]
        return 1.0 if values == sorted(values) else (1 + column.count(label)) / (1 + len(column))

    return math.prod(map(of, labels, columns))


def _coincidences(labels, columns) -> int:
    """How many properties of a row of numbers would be coincidences if the row were data; 0 where it cannot be labels.

    Labels go up or down at even steps (as at most a tenth of the rows below do), or they are different integers above
    columns without integers; a single label may also be 0 or 1, which pandas writes. Counted are: every way in which a
    label is `_strange`, every even step after the first, steps of 1, and for a single label that it is 0 or 1.
    """
    values = [float(label) for label in labels]
    even, begins = _is_even(values), labels in (["0"], ["1"])
    other = len(set(values)) == len(values) and all(map(_is_integer, labels))
    if not (even or begins or other):
        return 0
    strange = [_strange(*each) for each in zip(labels, columns, strict=True)]
    even = even and 10 * sum(map(_is_even, _rows(columns))) <= len(columns[0])
    if not (even or begins or all(unlike for unlike, _ in strange)):
        return 0
    steps = len(values) - 2 + (abs(values[1] - values[0]) == 1) if even else 0
    return sum(map(sum, strange)) + begins + steps


def _strange(label: str, column: list[str]) -> tuple[bool, bool]:
    """Two ways in which a number differs from the column below it: it is an integer and they are not; its distance to
    the nearest of them is larger than the largest gap between them."""
    numbers = [field for field in column if is_number(field)]
    unlike = bool(numbers) and _is_integer(label) and sum(map(_is_integer, numbers)) <= EXCEPTION * len(numbers)
    values = sorted(set(map(float, numbers)))
    if len(numbers) < FEWEST or len(values) < 3:
        return unlike, False
    widest = max(high - low for low, high in itertools.pairwise(values))
    return unlike, min(abs(float(label) - value) for value in values) > widest


def _is_index(column: list[str]) -> bool:
    """Whether the fields are all different, and integers or words: numbers or names of rows."""
    return len(set(column)) == len(column) and all(_is_integer(field) or not is_number(field) for field in column)


def _is_even(values: Sequence[float]) -> bool:
    """Whether numbers go up or down at even steps; two numbers: by 1."""
    steps = [after - before for before, after in itertools.pairwise(values)]
    if len(steps) < 2:
        return bool(steps) and abs(steps[0]) == 1
    return steps[0] != 0 and all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)


def _rows(columns: list[list[str]]) -> list[list[float]]:
    """The rows of these columns in which all fields are numbers."""
    return [[float(field) for field in row] for row in zip(*columns, strict=True) if all(map(is_number, row))]


def _is_integer(field: str) -> bool:
    return field.lstrip("+-").isdecimal()
