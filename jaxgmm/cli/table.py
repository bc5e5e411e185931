"""The input of a command: rows from a file, standard input or a directory, in memory or as a stream."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data import files, readers, sources
from ..data.files import MemoryFile
from ..data.pick import DROPPED, KEPT, REFUSED, Pick, column_index
from ..records import FitWarning
from . import terminal

STANDARD_INPUT = "-"


@dataclasses.dataclass(frozen=True)
class Input:
    """Rows and where they come from.

    Args:
        x: rows (n, d), or a `jaxgmm.Stream` of them with its own weights.
        columns: the names of the features, or None.
        sample_weight: weights (n,), or None.
        numbers: the numbers (n,) of the rows in their file; None of a stream.
        source: the file.
        pick: which columns are read, and how.
    """

    x: Any
    columns: tuple[str, ...] | None
    sample_weight: Any
    numbers: Any
    source: Path | MemoryFile
    pick: Pick

    @property
    def streams(self) -> bool:
        return hasattr(self.x, "blocks")

    def blocks(self) -> Iterator[tuple]:
        """Blocks of rows (b, d), weights (b,) or None, and the number of the first row."""
        return self.x.blocks(self.x.block_size) if self.streams else iter([(self.x, self.sample_weight, 0)])

    def whole(self) -> sources.Stream:
        """A stream of all rows of the file, NaN where a value is missing, that can also read the other columns."""
        missing = REFUSED if self.pick.missing == REFUSED else KEPT
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the warnings were given when the input was opened
            return sources.of_files([self.source], dataclasses.replace(self.pick, missing=missing))

    @property
    def in_memory(self) -> bool:
        """Whether x holds all rows of the file, those with missing values too."""
        return not self.streams and self.pick.missing != DROPPED

    def place(self, row: int) -> str:
        """Words for the place of row ``row`` of x in its file."""
        return self.x.place(row) if self.streams else f"{self.source}: row {self.numbers[row]}"

    def named(self, message: str) -> str:
        """An error message in which a row and a column of x are replaced by those of the file."""
        found = re.search(r"\brow (\d+), column (\d+)\b", message)
        if self.streams or not found:
            return message
        row, column = map(int, found.groups())
        name = repr(self.columns[column]) if self.columns else f"{column} of the features"
        words = f"row {self.numbers[row]} (counted from 0), column {name}"
        return f"{self.source}: {message[: found.start()]}{words}{message[found.end() :]}"


def opened(args: argparse.Namespace, expected: Sequence[str] | None = None, missing: str = DROPPED) -> Input:
    """The input that the options of a command ask for. Warnings about it are printed at once.

    ``expected``: the features of a model, the default of ``--columns``. ``missing``: what ``--drop-missing`` does with
    rows that have a missing value.
    """
    source = _source(args.data)
    identity = getattr(args, "id", None)
    pick = Pick(
        columns=tuple(args.columns) if args.columns else None,
        weights=args.weights,
        expected=tuple(expected or ()),
        header=args.header,
        drop=tuple(args.drop or ()) + ((identity,) if identity and not args.columns and not expected else ()),
        missing=missing if args.drop_missing else REFUSED,
        decimal=args.decimal,
        separator=args.separator,
    )
    with terminal.warnings_as_lines():
        if _is_large(source):
            stream = sources.of_files([source], pick)
            return Input(stream, stream.columns, None, None, source, pick)
        return Input(*readers.read_numbered(source, pick), source, pick)


def _source(data: str) -> Path | MemoryFile:
    """The path; the content of what can be read only once, such as standard input or a pipe."""
    if data == STANDARD_INPUT:
        return MemoryFile("standard input", sys.stdin.buffer.read())
    path = Path(data)
    once = path.exists() and not (path.is_file() or path.is_dir())
    return MemoryFile(data, path.read_bytes()) if once else path


def _is_large(source: Path | MemoryFile) -> bool:
    """Whether to stream the rows: of a directory, of a parquet file, and of files too large for memory."""
    if isinstance(source, MemoryFile):
        return False
    if source.is_dir() or source.suffix.lower() in (".parquet", ".pq"):
        return True
    size = source.stat().st_size if source.is_file() else 0
    return files.too_large(size * (files.INFLATED if source.suffix.lower() == ".gz" else 1))


def index_of(column: str, whole: sources.Stream) -> int:
    """The index of a column in the files of a stream."""
    taken = whole.taken
    return column_index(column, taken.names, taken.width)
