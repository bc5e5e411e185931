"""Tables of text, csv, tsv and their like: their form is found in the first lines, then rows are read in pieces.

Reading returns numbers, or raises a ValueError that names the row and the column at fault. Columns that are not taken
may hold anything.
"""

from __future__ import annotations

import array
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np

from .dialects import Dialect, FieldRows, dialect_of, may_be_one_column, names_without_rows, separator_of
from .fields import is_infinite, is_logical, is_missing, is_number, is_text, truth
from .headers import LOOKED_AT, doubt, judge
from .pick import REFUSED, Pick, Taken, label

SETTLED = "decimal=',' or decimal='.' (--decimal) settles it"
ONE_OR_TWO = (
    "its lines are read as two columns of whole numbers, and may be one column of numbers with decimal commas; "
    "decimal=',' (--decimal ',') reads 5,69 as 5.69, and separator=',' (--separator ',') as 5 and 69"
)
NO_TEXT = "is not a text file in UTF-8; tables are read from csv, tsv, npy, npz and parquet files"


@dataclasses.dataclass(frozen=True)
class TextForm:
    """How a text is read, found in its first lines.

    Args:
        dialect: what separates fields, and the decimal mark.
        taken: which columns are read.
        header: whether the first row is a header.
        logical: indices of columns of truth values, which are read as 1 and 0.
        keeps_missing: whether a missing value is NaN, not an error.
        doubts: warnings about what was assumed.
    """

    dialect: Dialect
    taken: Taken
    header: bool
    logical: tuple[int, ...]
    keeps_missing: bool
    doubts: tuple[str, ...]


def form_of(file: TextIO, pick: Pick) -> TextForm:
    """The form of a text, from its first lines.

    Raises:
        ValueError: not a table of text, or not one with the columns picked.
    """
    try:
        lines = list(itertools.islice(file, 1 + LOOKED_AT))
    except UnicodeDecodeError as error:
        raise ValueError(NO_TEXT) from error
    if not lines:
        raise ValueError("is empty")
    whole, in_file = len(lines) <= LOOKED_AT, separator_of(lines[0])
    separator = pick.separator or in_file
    lines = lines[in_file is not None :]
    dialect = dialect_of(lines, whole, separator, pick.decimal)
    first, *below = list(FieldRows(lines, dialect)) or [[]]
    if below and {len(fields) for fields in below} == {len(first) + 1}:
        first = [""] * (len(first) == names_without_rows(dialect.mark, len(first) + 1)) + first
    points = [[_with_point(field, dialect) for field in fields] for fields in (first, *below)]
    header, doubtful = _judged(points) if pick.header is None else (pick.header, False)
    names = tuple(name.strip() for name in first) if header and first else None
    if pick.header is None and not names:
        names = _names_in_comment(lines, dialect, len(first))
    rows = [fields for fields in (points[1:] if header else points) if len(fields) == len(first)]
    columns = list(zip(*rows, strict=True))
    not_text = [pick.text is not None or label(names, j) in pick.expected for j in range(len(first))]
    logical = tuple(j for j, column in enumerate(columns) if is_logical(column, one_letter=not_text[j]))
    text = [j for j, column in enumerate(columns) if j not in logical and is_text(column)]
    taken = pick.of(names, len(first), text)
    doubts = [doubt(first)] if doubtful else []
    doubts += _doubts(lines, dialect, len(first))
    certain = names or separator or pick.decimal or pick.columns or pick.weights or pick.drop
    if not certain and may_be_one_column(dialect, rows):
        doubts.append(ONE_OR_TWO)
    return TextForm(dialect, taken, header, logical, pick.missing != REFUSED, tuple(doubts))


def _judged(rows: list[list[str]]) -> tuple[bool, bool]:
    """(whether the first row is a header, whether that is in doubt). Truth values above truth values are data."""
    first, *below = rows
    columns = zip(*(fields for fields in rows if len(fields) == len(first)), strict=True)
    if any(is_logical(column[:1], True) and is_logical(column[1:], True) for column in columns):
        return False, False
    return judge(first, below)


def _doubts(lines: list[str], dialect: Dialect, width: int) -> Iterator[str]:
    """Warnings about commas that may separate thousands, and about comments that may be rows."""
    if not dialect.sure:
        yield f"its commas are taken for decimal ones: 1,234 is 1.234; {SETTLED}"
    comments = [line for line in itertools.dropwhile(dialect.is_comment, lines) if dialect.is_comment(line)]
    if dialect.mark != " " and width > 1 and any(len(fields) == width for fields in dialect.fields(comments)):
        yield "lines that begin with # are left out, though they may be rows; a field in quotes is none"


def _names_in_comment(lines: list[str], dialect: Dialect, width: int) -> tuple[str, ...] | None:
    """The names in the last comment above the first row, where it is one word a column, as `numpy.savetxt` writes them;
    else None."""
    comments = list(itertools.takewhile(lambda line: dialect.is_comment(line) or not line.strip(), lines))
    for line in reversed([line for line in comments if line.strip()]):
        names = [name.strip() for name in next(dialect.fields([line.lstrip(" #")]), [])]
        return tuple(names) if len(names) == width > 1 and not any(map(is_number, names)) and all(names) else None
    return None


def read(file: TextIO, form: TextForm, size: int | None, beside: Sequence[int] = ()) -> Iterator[tuple]:
    """Pieces of a text: numbers (b, columns) of the columns taken, the weights last, and for every column ``beside``
    the list of its b fields.

    Args:
        size: rows at a time; errors then count rows from 0. None: all rows at once, counted from 1.
    """
    rows, taken, origin = FieldRows(file, form.dialect), form.taken.with_weight, 0 if size else 1
    numbers, words = array.array("d"), []  # eight bytes a number; a list of Python floats takes 32

    def block():
        columns = list(map(list, zip(*words, strict=True))) if words else [[] for _ in beside]
        return np.frombuffer(numbers, np.float64).reshape(-1, len(taken)), columns

    try:
        if form.header:
            next(rows, None)
        for row, fields in enumerate(rows, start=origin):
            if size and row and row % size == 0:
                yield block()
                numbers, words = array.array("d"), []
            if len(fields) != form.taken.width:
                where = _where(row, rows, origin)
                raise ValueError(f"{where} has {len(fields)} fields where {form.taken.width} are expected")
            values = [fields[j] for j in taken]
            if form.logical:
                values = [truth(value) if j in form.logical else value for value, j in zip(values, taken, strict=True)]
            if not _extended(numbers, values, form.dialect):
                where = _where(row, rows, origin)
                numbers.extend([_number(value, j, where, form) for value, j in zip(values, taken, strict=True)])
            if beside:
                words.append([_with_point(fields[j], form.dialect) for j in beside])
    except UnicodeDecodeError as error:
        raise ValueError(NO_TEXT) from error
    if numbers or not size:
        yield block()


def _where(row: int, rows: FieldRows, origin: int) -> str:
    return f"row {row} (line {rows.line})" if origin else f"row {row} (counted from 0; line {rows.line})"


def _extended(numbers: array.array, fields: list[str], dialect: Dialect) -> bool:
    """Append a row of plain numbers, fast. Returns False, and appends nothing, where a field needs `_number`."""
    joined = "".join(fields)
    if dialect.decimal == ",":
        if "." in joined:
            return False
        fields = [field.replace(",", ".") for field in fields]
    try:
        values = list(map(float, fields))
    except ValueError:
        return False
    if not all(map(math.isfinite, values)) or "_" in joined:
        return False
    numbers.extend(values)
    return True


def _number(field: str, column: int, where: str, form: TextForm) -> float:
    mixed = form.dialect.decimal == "," and "." in field
    point = _with_point(field, form.dialect)
    if is_number(point) and not mixed:
        return float(point)
    known = label(form.taken.names, column)
    where = f"{where}, column {known!r}" if form.taken.names else f"{where}, column {known}"
    if is_missing(field):
        if form.keeps_missing:
            return math.nan
        advice = "fill it in, or leave such rows out with drop_missing=True (--drop-missing)"
        raise ValueError(f"{where}: the value is missing; {advice}")
    if is_infinite(point):
        wrong = "is not finite"
    elif mixed:
        wrong = "has a point, and the first numbers of the file have decimal commas"
    elif is_number(field.replace(",", ".", 1)):
        found = "numbers have decimal commas where semicolons divide the fields, and no other has a point"
        wrong = f"has a comma: {found}; decimal=',' (--decimal ',') takes every comma for one"
    else:
        wrong = f"is not a number; leave the column out with drop=[{known!r}] (--drop), or pick others with --columns"
    raise ValueError(f"{where}: {field.strip()!r} {wrong}")


def _with_point(field: str, dialect: Dialect) -> str:
    """A number with a decimal comma as one with a point; any other field as it is."""
    point = field.replace(",", ".") if dialect.decimal == "," else field
    return point if is_number(point) else field
