"""The dialect of a table of text: what separates fields, the decimal mark, and which lines are comments."""

from __future__ import annotations

import collections
import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from .fields import is_missing, is_number

MARKS = "\t;, "  # separators, in the order in which they are tried
A_SEPARATOR = r'[^\w"\r\n.+#-]'  # a character that is in no number
FIRST_LINE = re.compile(rf'"?sep=({A_SEPARATOR})"?\s*', re.IGNORECASE)  # a line that spreadsheets understand
FEWEST = 5  # rows in rising order that are no chance: 1 in 5! = 120
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,")
POINT_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
NO_COMMENT = re.compile(r"#(N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!)")  # errors in a spreadsheet


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The separator of fields (``mark``) and the ``decimal`` mark, "." or ",". ``sure`` is False where commas were
    taken for decimal marks and may separate thousands, or fields below a title."""

    mark: str
    decimal: str = "."
    sure: bool = True

    def fields(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The fields of every line; none of an empty one. The lines hold no comments."""
        lines = map(str.strip, lines) if self.mark == " " else lines
        return csv.reader(lines, delimiter=self.mark, skipinitialspace=True)

    def is_comment(self, line: str) -> bool:
        """Whether a line begins with #, unless "#" is the name of the first column, or begins an error value."""
        line = line.lstrip(" ")
        named = self.mark != " " and line[1:].lstrip(" ").startswith(self.mark)
        return line.startswith("#") and not named and not NO_COMMENT.match(line)


class FieldRows:
    """An iterator of the rows of a text, each a list of fields, without comments, empty lines, and a first line that
    names the separator. ``line`` is the number of the last line read, from 1."""

    def __init__(self, lines: Iterable[str], dialect: Dialect):
        self.line, self._between = 0, True
        self._rows = dialect.fields(self._without_comments(lines, dialect))

    def _without_comments(self, lines, dialect) -> Iterator[str]:
        for line in lines:
            self.line += 1
            if self.line == 1 and separator_of(line):
                continue
            if self._between and line.lstrip(" ").startswith("#") and dialect.is_comment(line):
                continue
            self._between = False  # the next line may continue a quoted field
            yield line

    def __iter__(self):
        return self

    def __next__(self) -> list[str]:
        while True:
            self._between = True
            fields = next(self._rows)
            if fields:
                return fields


def is_separator(mark) -> bool:
    """Whether this is one character that may separate fields."""
    return isinstance(mark, str) and re.fullmatch(A_SEPARATOR, mark) is not None


def separator_of(line: str) -> str | None:
    """The separator that the first line of a text names, such as ``sep=;``; None where it names none."""
    found = FIRST_LINE.fullmatch(line)
    return found[1] if found else None


def dialect_of(lines: Sequence[str], whole: bool, separator: str | None, decimal: str | None) -> Dialect:
    """The dialect of a text that begins with these lines. ``whole``: there are no others. A ``separator`` or
    ``decimal`` mark that is not given is found in the lines."""
    mark = separator or _mark(lines, whole, decimal)
    lone = not (mark or decimal) and _is_name_over_commas(lines)
    mark = mark or (";" if lone or decimal == "," else ",")
    found = _with_decimal(mark, list(FieldRows(lines, Dialect(mark))))
    return Dialect(mark, decimal or found.decimal, decimal is not None or (found.sure and not lone))


def _mark(lines: Sequence[str], whole: bool, decimal: str | None) -> str | None:
    """The separator of these lines, or None.

    1. The first mark that cuts all lines into equally many fields, two or more.
    2. Else the mark that does so with most lines, at least half: the other lines are then reported as wrong.
    3. Else the first mark that occurs in the first line.

    A comma that is known to be the decimal mark separates fields only if numbers with commas stand in quotes.
    """
    best, most = None, 0.0
    for mark in MARKS:
        rows = list(FieldRows(lines, Dialect(mark)))
        rows = rows if whole or len(rows) < 3 else rows[:-1]  # the last may be cut short
        if mark == decimal and not any(COMMA_NUMBER.fullmatch(field.strip()) for row in rows for field in row):
            continue
        alike = _alike(mark, rows)
        if alike > most and alike >= 0.5:
            best, most = mark, alike
        if most == 1:
            break
    if best:
        return best
    first = next((line for line in lines if not Dialect(",").is_comment(line)), "")
    return next((mark for mark in MARKS[:-1] if mark in first and mark != decimal), None)


def _is_name_over_commas(lines: Sequence[str]) -> bool:
    """Whether lines are one column: a name, and below it numbers, some with a decimal comma without quotes, none with a
    point. Where the numbers before the commas count 1, 2, ... they are names of rows, as R writes them: two columns."""
    rows = list(FieldRows(lines, Dialect(";")))
    if any(len(fields) > 1 for fields in rows) or all(len(fields) == 1 for fields in FieldRows(lines, Dialect(","))):
        return False
    name, *below = [fields[0].strip() for fields in rows]
    commas = [field for field in below if COMMA_NUMBER.fullmatch(field)]
    others = all(field.lstrip("+-").isdecimal() or is_missing(field) for field in below if field not in commas)
    counted = [field.partition(",")[0] for field in below] == [str(i + 1) for i in range(len(below))]
    return bool(commas) and others and not counted and not COMMA_NUMBER.fullmatch(name) and not is_number(name)


def may_be_one_column(dialect: Dialect, rows: Sequence[Sequence[str]]) -> bool:
    """Whether two columns of whole numbers with commas between them may be one column with decimal commas.

    They may if the second column is digits only, equally many in all rows, two or more, and does not rise from row to
    row.
    """
    if dialect.mark != "," or len(rows) < 2 or any(len(fields) != 2 for fields in rows):
        return False
    wholes, digits = zip(*rows, strict=True)
    alike = len(set(map(len, digits))) == 1 and len(digits[0]) > 1 and "".join(digits).isdecimal()
    rise = len(rows) >= FEWEST and list(digits) == sorted(digits) and digits[0] != digits[-1]
    return alike and not rise and all(whole.lstrip("+-").isdecimal() for whole in wholes)


def _alike(mark: str, rows: list[list[str]]) -> float:
    """The share of rows that have the most common number of fields; 0 where that is 1 or does not fit the first row."""
    counts = collections.Counter(map(len, rows[1:] or rows))
    width, count = counts.most_common(1)[0] if counts else (0, 0)
    fits = width > 1 and len(rows[0]) in (width, names_without_rows(mark, width))
    return count / counts.total() if fits else 0.0


def names_without_rows(mark: str, width: int) -> int:
    """How many names stand above ``width`` columns in a file by R, which gives the column of row names none."""
    return width - 1 if mark in " \t" else width


def _with_decimal(mark: str, rows: list[list[str]]) -> Dialect:
    """The dialect of rows whose fields this mark separates: decimal commas, where numbers have commas and none a point.

    Where all these commas may separate thousands, they are decimal only if semicolons separate the fields, as
    spreadsheets write them. Where commas separate the fields, numbers with commas stand in quotes.
    """
    fields = [field.strip() for row in rows for field in row]
    commas = [field for field in fields if COMMA_NUMBER.fullmatch(field)]
    if not commas or any(map(POINT_NUMBER.fullmatch, fields)):
        return Dialect(mark)
    sure = not all(map(THOUSANDS.fullmatch, commas))
    return Dialect(mark, ",", sure) if sure or mark == ";" else Dialect(mark)
