"""Whether the first row of a table of text names its columns, judged by the rows below it.

Words name columns, and so may numbers: pandas writes 0, 1, ... over a plain array, and hours, years and doses are names
too. No file says which they are: what is likely is assumed, and where it may be wrong a warning says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .fields import is_missing

LOOKED_AT = 200  # lines below the first
RARE = 1e-3  # the share of rows below which a row is not taken for one of them
EXCEPTION = 1 / 20  # the share of fields below which what they are is no habit of their column
FEWEST = 5  # values that have a range


def judge(first: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Whether a first row is a header, and whether that is in doubt.

    - Words without numbers are a header.
    - An empty first field is the place of an index, as pandas and R write it: a header, in doubt where nothing else
      tells the row from data whose first value is missing.
    - Integers 0, 1, ... or 1, 2, ... in order, two or more, are a header. It is in doubt where such a row may well be
      one of those below: none of its values is `_strange` to its column, and at least one row in a thousand would be
      that one if columns were independent. Over a single row like that it is data.
    - Other numbers are data, unless `_coincidences` come together, three of them (two for a single column): then a
      header, in doubt. A column of counts or labels, which often begins with 0 or 1, is data.

    Of words and numbers side by side the numbers decide, and a word over nothing but numbers is a coincidence more.
    """
    first = [field.strip() for field in first]
    numbers = [j for j, field in enumerate(first) if _is_number(field)]
    words = [j for j, field in enumerate(first) if not is_missing(field) and not _is_float(field)]
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
    titles = sum(all(_is_number(fields[j]) or is_missing(fields[j]) for fields in below) for j in words)
    if in_order and len(labels) > 1:
        apart = any(any(_strange(*each)) for each in zip(labels, columns, strict=True)) or (titles > 0 and bool(below))
        return apart or len(below) > 1, not apart and len(below) > 1 and _share(labels, columns) >= RARE
    header = len(below) > 1 and titles + _coincidences(labels, columns) >= min(len(labels) + 1, 3)
    return header, header


def doubt(first: Sequence[str]) -> str:
    """What to say of a first row that is taken for a header, in doubt."""
    shown = ", ".join([field.strip() for field in first[:4]] + ["..."] * (len(first) > 4))
    return (
        f"its first row ({shown}) is taken for the names of its columns, not for data; header=True or header=False "
        "(--header, --no-header) says which it is"
    )


def _share(labels, columns) -> float:
    """The share of rows that would be this one, were columns independent. A column that goes up from its label expects
    it; else it is as rare as the label is below it."""

    def of(label, column):
        values = [float(field) for field in [label, *column] if _is_number(field)]
        return 1.0 if values == sorted(values) else (1 + column.count(label)) / (1 + len(column))

    return math.prod(map(of, labels, columns))


def _coincidences(labels, columns) -> int:
    """How much in a row of numbers would be chance if they were data; 0 where they are no labels.

    Labels are different and at even steps, as few rows below are, or integers over columns without; a single one may
    also be 0 or 1, which pandas and others write. Each way in which one is `_strange` is a coincidence, each even step
    after the first, and steps of 1; for a single one, that it is 0 or 1.
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
    """Two ways in which a number does not belong to the fields below it: it is an integer, and they are not; it is
    farther from them than any two neighbours of them are from each other."""
    numbers = [field for field in column if _is_number(field)]
    unlike = bool(numbers) and _is_integer(label) and sum(map(_is_integer, numbers)) <= EXCEPTION * len(numbers)
    values = sorted(set(map(float, numbers)))
    if len(numbers) < FEWEST or len(values) < 3:
        return unlike, False
    widest = max(high - low for low, high in itertools.pairwise(values))
    return unlike, min(abs(float(label) - value) for value in values) > widest


def _is_index(column: list[str]) -> bool:
    """Whether fields number or name rows."""
    return len(set(column)) == len(column) and all(_is_integer(field) or not _is_number(field) for field in column)


def _is_even(values: Sequence[float]) -> bool:
    """Whether numbers go up or down at even steps; two of them, by 1."""
    steps = [after - before for before, after in itertools.pairwise(values)]
    if len(steps) < 2:
        return bool(steps) and abs(steps[0]) == 1
    return steps[0] != 0 and all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)


def _rows(columns: list[list[str]]) -> list[list[float]]:
    """The rows of columns, where they hold numbers and nothing else."""
    return [[float(field) for field in row] for row in zip(*columns, strict=True) if all(map(_is_number, row))]


def _is_integer(field: str) -> bool:
    return field.lstrip("+-").isdecimal()


def _is_number(field: str) -> bool:
    return _is_float(field) and math.isfinite(float(field))


def _is_float(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
