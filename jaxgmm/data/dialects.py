"""How a table of text is cut: at which marks, with decimal points or commas, and which lines are comments."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

MARKS = "\t;, "
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,")
POINT_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The character between two fields, and the one in a number: ``decimal`` is "." or ","."""

    mark: str
    decimal: str = "."

    def fields(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The fields of lines that are no comments; none of an empty line."""
        lines = map(str.strip, lines) if self.mark == " " else lines
        return csv.reader(lines, delimiter=self.mark, skipinitialspace=True)

    def is_comment(self, line: str) -> bool:
        """Whether a line begins with #, and this is not the name of its first column."""
        line = line.lstrip(" ")
        return line.startswith("#") and (self.mark == " " or not line[1:].lstrip(" ").startswith(self.mark))


class Rows:
    """The rows of fields of a text, without comments and empty lines; ``line`` is the number of the last line read."""

    def __init__(self, lines: Iterable[str], dialect: Dialect):
        self.line, self._between = 0, True
        self._rows = dialect.fields(self._without_comments(lines, dialect))

    def _without_comments(self, lines, dialect) -> Iterator[str]:
        for line in lines:
            self.line += 1
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


def dialect_of(lines: Sequence[str], whole: bool) -> Dialect:
    """The dialect of a text that begins with these lines, or is no longer than they (``whole``).

    The first mark that cuts all lines into equally many fields, two or more; where none does, the first that the first
    line has. A first line may be one field shorter where blanks or tabs cut it: R leaves out the name of row names.
    """
    for mark in MARKS:
        rows = list(Rows(lines, Dialect(mark)))
        rows = rows if whole or len(rows) < 3 else rows[:-1]  # the last may be cut short
        widths = {len(fields) for fields in rows[1:] or rows}
        if len(widths) == 1 and (width := max(widths)) > 1 and len(rows[0]) in (width, names_without_rows(mark, width)):
            return Dialect(mark, _decimal(mark, rows))
    first = next((line for line in lines if not Dialect(",").is_comment(line)), "")
    return Dialect(next((mark for mark in MARKS[:-1] if mark in first), ","))


def names_without_rows(mark: str, width: int) -> int:
    """How many names stand over so many columns where those of rows have none, as R writes it."""
    return width - 1 if mark in " \t" else width


def _decimal(mark: str, rows: list[list[str]]) -> str:
    """The decimal sign: a comma where numbers have one and none has a point, and it divides no thousands."""
    if mark == ",":
        return "."
    fields = [field.strip() for row in rows for field in row]
    commas = [field for field in fields if COMMA_NUMBER.fullmatch(field)]
    if not commas or any(map(POINT_NUMBER.fullmatch, fields)):
        return "."
    return "," if mark == ";" or not all(map(THOUSANDS.fullmatch, commas)) else "."
