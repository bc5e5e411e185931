"""How a table of text is cut: at which marks, with decimal points or commas, and which lines are comments."""

from __future__ import annotations

import collections
import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from .fields import is_missing, is_number

MARKS = "\t;, "
A_SEPARATOR = r'[^\w"\r\n.+#-]'  # what may stand between two numbers
FIRST_LINE = re.compile(rf'"?sep=({A_SEPARATOR})"?\s*', re.IGNORECASE)  # written for spreadsheets
FEWEST = 5  # rows whose order is no chance: 1 in 120 of so many
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,")
POINT_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
NO_COMMENT = re.compile(r"#(N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!)")  # what spreadsheets write for no number


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The character between two fields, and the one in a number: ``decimal`` is "." or ",". Commas are not ``sure``
    where they may divide thousands, or fields below a title."""

    mark: str
    decimal: str = "."
    sure: bool = True

    def fields(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The fields of lines that are no comments; none of an empty line."""
        lines = map(str.strip, lines) if self.mark == " " else lines
        return csv.reader(lines, delimiter=self.mark, skipinitialspace=True)

    def is_comment(self, line: str) -> bool:
        """Whether a line begins with #, and this is not the name of its first column."""
        line = line.lstrip(" ")
        named = self.mark != " " and line[1:].lstrip(" ").startswith(self.mark)
        return line.startswith("#") and not named and not NO_COMMENT.match(line)


class Rows:
    """The rows of fields of a text, without comments, empty lines and a first line that names the separator; ``line``
    is the number of the last line read."""

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
            self._between = False  # the next line may be inside a quoted field
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
    """Whether this is a character that may stand between two numbers."""
    return isinstance(mark, str) and re.fullmatch(A_SEPARATOR, mark) is not None


def separator_of(line: str) -> str | None:
    """The separator that the first line of a text names, such as ``sep=;``; None where it names none."""
    found = FIRST_LINE.fullmatch(line)
    return found[1] if found else None


def dialect_of(lines: Sequence[str], whole: bool, separator: str | None = None, decimal: str | None = None) -> Dialect:
    """The dialect of a text that begins with these lines, or is no longer than they (``whole``): what is not given is
    found."""
    mark = separator or _mark(lines, whole, decimal)
    lone = not (mark or decimal) and _is_name_over_commas(lines)
    mark = mark or (";" if lone or decimal == "," else ",")
    found = _with_decimal(mark, list(Rows(lines, Dialect(mark))))
    return Dialect(mark, decimal or found.decimal, decimal is not None or (found.sure and not lone))


def _mark(lines: Sequence[str], whole: bool, decimal: str | None) -> str | None:
    """The first mark that cuts all lines into equally many fields, two or more; where none does, the one that does so
    with most of them, half at least, so that the others are found to be wrong; else the first that the first line has,
    or None. A comma that is known to be the decimal mark divides fields only if numbers with one stand in quotes.
    """
    best, most = None, 0.0
    for mark in MARKS:
        rows = list(Rows(lines, Dialect(mark)))
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
    """Whether lines are a name, and numbers of which some have decimal commas without quotes, and none a point. Whole
    numbers that count 1, 2, ... before a comma are names of rows, as R writes them."""
    rows = list(Rows(lines, Dialect(";")))
    if any(len(fields) > 1 for fields in rows) or all(len(fields) == 1 for fields in Rows(lines, Dialect(","))):
        return False
    name, *below = [fields[0].strip() for fields in rows]
    commas = [field for field in below if COMMA_NUMBER.fullmatch(field)]
    others = all(field.lstrip("+-").isdecimal() or is_missing(field) for field in below if field not in commas)
    counted = [field.partition(",")[0] for field in below] == [str(i + 1) for i in range(len(below))]
    return bool(commas) and others and not counted and not COMMA_NUMBER.fullmatch(name) and not is_number(name)


def may_be_one_column(dialect: Dialect, rows: Sequence[Sequence[str]]) -> bool:
    """Whether two columns of whole numbers between commas may be one with decimal commas: what follows the comma is
    digits alone, as many in all rows, two or more. Those that go up from row to row are numbers of their own."""
    if dialect.mark != "," or len(rows) < 2 or any(len(fields) != 2 for fields in rows):
        return False
    wholes, digits = zip(*rows, strict=True)
    alike = len(set(map(len, digits))) == 1 and len(digits[0]) > 1 and "".join(digits).isdecimal()
    rise = len(rows) >= FEWEST and list(digits) == sorted(digits) and digits[0] != digits[-1]
    return alike and not rise and all(whole.lstrip("+-").isdecimal() for whole in wholes)


def _alike(mark: str, rows: list[list[str]]) -> float:
    """The share of rows that have as many fields as most, two or more, where the first row has too."""
    counts = collections.Counter(map(len, rows[1:] or rows))
    width, count = counts.most_common(1)[0] if counts else (0, 0)
    fits = width > 1 and len(rows[0]) in (width, names_without_rows(mark, width))
    return count / counts.total() if fits else 0.0


def names_without_rows(mark: str, width: int) -> int:
    """How many names stand over so many columns where those of rows have none, as R writes it."""
    return width - 1 if mark in " \t" else width


def _with_decimal(mark: str, rows: list[list[str]]) -> Dialect:
    """The dialect of rows cut at this mark: decimal commas where numbers have one and none has a point. Commas that may
    all divide thousands are decimal where semicolons divide the fields, as spreadsheets write both together. Where
    commas divide them, those in numbers stand in quotes."""
    fields = [field.strip() for row in rows for field in row]
    commas = [field for field in fields if COMMA_NUMBER.fullmatch(field)]
    if not commas or any(map(POINT_NUMBER.fullmatch, fields)):
        return Dialect(mark)
    sure = not all(map(THOUSANDS.fullmatch, commas))
    return Dialect(mark, ",", sure) if sure or mark == ";" else Dialect(mark)
