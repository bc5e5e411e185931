"""How a table of text is cut: at which marks, with decimal points or commas, and which lines are comments."""

from __future__ import annotations

import collections
import csv
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

MARKS = "\t;, "
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,")
POINT_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
NO_COMMENT = re.compile(r"#(N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!)")  # what spreadsheets write for no number


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The character between two fields, and the one in a number: ``decimal`` is "." or ",". Commas are not ``sure``
    where they may divide thousands."""

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

    The first mark that cuts all lines into equally many fields, two or more; where none does, the one that does so with
    most of them, half at least, so that the others are found to be wrong; else the first that the first line has.
    """
    best, most = None, 0.0
    for mark in MARKS:
        rows = list(Rows(lines, Dialect(mark)))
        rows = rows if whole or len(rows) < 3 else rows[:-1]  # the last may be cut short
        alike = _alike(mark, rows)
        if alike > most and alike >= 0.5:
            best, most = _with_decimal(mark, rows), alike
        if most == 1:
            break
    first = next((line for line in lines if not Dialect(",").is_comment(line)), "")
    return best or Dialect(next((mark for mark in MARKS[:-1] if mark in first), ","))


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
    all divide thousands are decimal where semicolons divide the fields, as spreadsheets write both together."""
    fields = [field.strip() for row in rows for field in row] if mark != "," else []
    commas = [field for field in fields if COMMA_NUMBER.fullmatch(field)]
    if not commas or any(map(POINT_NUMBER.fullmatch, fields)):
        return Dialect(mark)
    sure = not all(map(THOUSANDS.fullmatch, commas))
    return Dialect(mark, ",", sure) if sure or mark == ";" else Dialect(mark)
