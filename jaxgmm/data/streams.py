"""`Stream`: rows that are read block by block, anew at every pass.

It never holds more than one block of rows. Every pass reads the same rows in the same order.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from ..numerics.plain import plain
from ..records import FitWarning
from .parts import Part
from .pick import Taken
from .remarks import left_out, missing

BLOCK_BYTES = 2**24  # bytes of one block of rows


@dataclasses.dataclass
class _Counts:
    """How many rows a pass has read, and how many of them it has left out."""

    read: int = 0
    left_out: int = 0


class Stream:
    """Rows that are read when they are needed: `jaxgmm.rows` makes one.

    Iterating gives blocks ``(x (b, d), sample_weight (b,) or None)`` in order; every iteration reads from the start.

    ``n`` is the number of rows. Where the source does not tell it, it is None until the end of the first pass. ``d``,
    ``dtype``, ``columns`` and ``block_size`` (rows) are known from the start.
    """

    def __init__(
        self, parts: Sequence[Part], sample_weight=None, block_size: int | None = None, drop_missing: bool = False
    ):
        self.d, self.columns = parts[0].d, parts[0].columns
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.weighted = parts[0].weighted or sample_weight is not None
        self.n = None if drop_missing or any(part.n is None for part in parts) else sum(part.n for part in parts)
        self.block_size = block_size or max(BLOCK_BYTES // (self.d * self.dtype.itemsize), 64)
        self._parts, self._weight, self._begins = parts, sample_weight, []
        self._drops = drop_missing
        if sample_weight is not None and self.n is not None and len(sample_weight) != self.n:
            raise ValueError(
                f"sample_weight must have shape ({self.n},), one weight a row, got ({len(sample_weight)},)"
            )

    @property
    def taken(self) -> Taken:
        """The columns read from the first of its files."""
        return self._parts[0].taken

    @property
    def shape(self) -> tuple[int | None, int]:
        return self.n, self.d

    def __repr__(self):
        files = [part.name for part in self._parts if part.name]
        source = f" of {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "") if files else ""
        n = "?" if self.n is None else self.n
        return f"Stream({n} × {self.d} {self.dtype.name}{source}, blocks of {self.block_size})"

    def __array__(self, dtype=None, copy=None):
        raise ValueError("these rows are a stream, and this function takes rows in memory: give it one block at a time")

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for x, weight, _ in self.blocks(self.block_size):
            yield x, weight

    def blocks(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray | None, int]]:
        """x (b, d), weight (b,) or None, and the number of the first row, of blocks of ``size`` rows; the last is
        shorter."""
        first, filled, x, weight, counts = 0, 0, None, None, _Counts()
        for rows, weights in self._pieces(size, counts):
            if not filled and len(rows) == size:
                yield rows, weights, first
                first += size
                continue
            begin = 0
            while begin < len(rows):
                if not filled:
                    x = np.empty((size, self.d), self.dtype)
                    weight = np.empty(size, self.dtype) if self.weighted else None
                take = min(size - filled, len(rows) - begin)
                x[filled : filled + take] = rows[begin : begin + take]
                if self.weighted:
                    weight[filled : filled + take] = weights[begin : begin + take]
                filled, begin = filled + take, begin + take
                if filled == size:
                    yield x, weight, first
                    first, filled = first + size, 0
        if filled:
            yield x[:filled], weight[:filled] if self.weighted else None, first
        self._count(first + filled, counts)

    def _pieces(self, size: int, counts: _Counts):
        """Rows and weights in the stream's dtype, in pieces of the sizes in which parts yield them; counts rows."""
        self._begins = []
        for part in self._parts:
            self._begins.append((counts.read - counts.left_out, part.name))
            for x, weight, _ in part.read(size):
                if self._weight is not None:
                    some = slice(counts.read, counts.read + len(x))
                    weight = np.asarray(plain(self._weight[some], "sample_weight"), self.dtype)
                    if len(weight) < len(x):
                        raise ValueError(f"sample_weight has {len(self._weight)} weights; the rows are more")
                counts.read += len(x)
                if self._drops and (without := missing(x, weight)).any():
                    counts.left_out += int(without.sum())
                    x, weight = x[~without], None if weight is None else weight[~without]
                weight = None if weight is None else weight.astype(self.dtype, copy=False)
                yield x.astype(self.dtype, copy=False), weight

    def _count(self, n: int, counts: _Counts):
        """Set ``n`` at the end of a pass; ValueError where it differs from what was known, or there are no rows."""
        if n == 0:
            held = "holds no row without a missing value" if counts.read else "is empty"
            raise ValueError(f"the source of rows {held}")
        if self.n is not None and n != self.n:
            raise ValueError(f"the source of rows gave {n} rows where it had {self.n}: it changes while it is read")
        if self._weight is not None and len(self._weight) != counts.read:
            shape = f"({counts.read},), one weight a row, got ({len(self._weight)},)"
            raise ValueError(f"sample_weight must have shape {shape}")
        if self.n is None and counts.left_out:
            warnings.warn(FitWarning(left_out(counts.left_out, counts.read)), stacklevel=4)
        self.n = n

    def place(self, row: int) -> str:
        """Words for the place of a row that was read: its file and its number there, counted from 0."""
        first, name = [begin for begin in self._begins if begin[0] <= row][-1]
        counted = "counted from 0" + ", of rows without missing values" * self._drops
        return f"{name}: row {row - first} ({counted})" if name else f"row {row}"

    def mapped(self, function) -> Stream:
        """The stream with ``function`` applied to its rows (b, d)."""

        def of(part: Part) -> Part:
            def read(size, beside=()):
                for x, weight, others in part.read(size, beside):
                    yield function(x), weight, others

            return dataclasses.replace(part, read=read)

        mapped = Stream([of(part) for part in self._parts], self._weight, self.block_size, self._drops)
        mapped.n = self.n
        return mapped

    def beside(self, columns: Sequence[int]) -> Iterator[tuple[np.ndarray, list]]:
        """Blocks of x (b, d) and of further columns of the files, by their indices in the first file. No row is left
        out; x is NaN where a value is missing and that is no error."""
        read, self._begins = 0, []
        for part in self._parts:
            self._begins.append((read, part.name))
            there = columns
            if part.names != self.taken.names:
                there = [part.names.index(self.taken.names[j]) for j in columns]
            for x, _, others in part.read(self.block_size, there):
                yield x.astype(self.dtype, copy=False), others
                read += len(x)
