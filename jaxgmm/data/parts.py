"""`Part`: one source of rows, a file, an array or an iterable, read some rows at a time.

What is known of it before reading (sizes, dtype, columns) is in its fields. It reads numbers of that dtype, or raises a
ValueError. Whether the numbers are finite is for the caller to check.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..numerics.dtypes import compute_dtype
from ..numerics.plain import plain
from .pick import Taken


@dataclasses.dataclass(frozen=True)
class Part:
    """A source of rows.

    Args:
        name: of the file; None where there is none.
        n: number of rows; None where only a whole pass can count them.
        d: number of features.
        dtype: float32 or float64.
        weighted: whether its rows carry weights.
        read: ``(size, beside=()) -> iterator`` of x (b, d), weight (b,) or None, and the list of the columns with the
            indices in ``beside``; b <= ``size`` rows at a time, all at once where size is None.
        taken: which columns of a file are read.
        doubts: warnings about what was assumed of a text.
    """

    name: str | None
    n: int | None
    d: int
    dtype: Any
    weighted: bool
    read: Callable[..., Iterator]
    taken: Taken | None = None
    doubts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of all its columns; None where they have none."""
        return self.taken.names if self.taken else None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x; None where they have none."""
        return self.taken.columns if self.taken else None


def of_array(x) -> Part:
    """The rows of an array (n, d), or (n,) with d fields, of any library: it has a shape, a dtype and slices."""
    first = plain(x[:1]) if x.shape and 0 not in x.shape else np.empty(0)
    if first.ndim != 2:
        raise ValueError(f"rows must have shape (n, d), none of them 0, got {tuple(x.shape)}")
    dtype = compute_dtype(first)

    def read(size, beside=()):
        for start in range(0, x.shape[0], size):
            rows = plain(x[start : start + size])
            rows = np.array(rows, dtype) if isinstance(x, np.memmap) else np.asarray(rows).astype(dtype, copy=False)
            yield rows, None, []
            _release_pages(x)

    return Part(None, int(x.shape[0]), first.shape[1], dtype, False, read)


def of_blocks(source: Iterable) -> Part:
    """The rows of an iterable of x (b, d) or (x, weight (b,)), which must start anew whenever it is iterated."""

    def pair(item):
        x, weight = item if isinstance(item, tuple) else (item, None)
        x = np.asarray(plain(x))
        weight = None if weight is None else np.asarray(plain(weight, "sample_weight"))
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(f"blocks of rows must have shape (b, d), got {x.shape}")
        if weight is not None and weight.shape != (len(x),):
            raise ValueError(f"a block of {len(x)} rows came with weights of shape {weight.shape}")
        return x, weight

    first = next(map(pair, source), None)
    if first is None:
        raise ValueError("the source of rows is empty")
    (_, d), dtype, weighted = first[0].shape, compute_dtype(first[0]), first[1] is not None

    def read(size, beside=()):
        for i, (x, weight) in enumerate(map(pair, source)):
            if x.shape[1] != d or (weight is not None) != weighted:
                with_or = "without" if weight is None else "with"
                raise ValueError(f"block {i} has {x.shape[1]} features, {with_or} weights; the first has {d}")
            for start in range(0, len(x), size):
                some = slice(start, start + size)
                yield x[some].astype(dtype, copy=False), None if weight is None else weight[some].astype(dtype), []

    return Part(None, None, d, dtype, weighted, read)


def _release_pages(x) -> None:
    """Release the pages of a mapped file that were read from this process; the system's cache keeps them."""
    pages = getattr(x, "_mmap", None)
    if pages is not None and getattr(x, "mode", None) in ("r", "r+") and hasattr(pages, "madvise"):
        import mmap

        pages.madvise(mmap.MADV_DONTNEED)
