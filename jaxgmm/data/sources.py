"""Rows that are read block by block, again at every pass: what `jaxgmm.rows` marks, and what needs no mark.

A `Stream` never holds more than a block of rows. What it reads, and in which order, does not depend on when.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..numerics.plain import columns_of, plain
from ..records import FitWarning
from .parts import Part, of_array, of_blocks, of_file
from .readers import Pick

P = ParamSpec("P")
R = TypeVar("R")

BLOCK_BYTES = 2**24  # of one block of rows


class Stream:
    """Rows that are read when they are needed: `jaxgmm.rows` makes one.

    Iterating gives blocks ``(x (b, d), sample_weight (b,) or None)`` in order; every iteration reads from the start.

    ``n`` is the number of rows, None until a pass has counted them, where the source itself does not; ``d``, ``dtype``,
    ``columns`` and ``block_size`` (rows) are known from the start.
    """

    def __init__(self, parts: Sequence[Part], sample_weight=None, block_size: int | None = None):
        self.d, self.columns = parts[0].d, parts[0].columns
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.weighted = parts[0].weighted or sample_weight is not None
        self.n = None if any(part.n is None for part in parts) else sum(part.n for part in parts)
        self.block_size = block_size or max(BLOCK_BYTES // (self.d * self.dtype.itemsize), 64)
        self._parts, self._weight, self._begins = parts, sample_weight, []
        if sample_weight is not None and self.n is not None and len(sample_weight) != self.n:
            raise ValueError(
                f"sample_weight must have shape ({self.n},), one weight a row, got ({len(sample_weight)},)"
            )

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
        """x (b, d), weight (b,) or None, and the first row's index; every block but the last has ``size`` rows."""
        first, filled, x, weight = 0, 0, None, None
        for rows, weights in self._pieces(size):
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
        self._count(first + filled)

    def _pieces(self, size: int):
        """Rows and weights in the dtype of the stream, as they come."""
        row, self._begins = 0, []
        for part in self._parts:
            self._begins.append((row, part.name))
            for x, weight in part.read(size):
                if self._weight is not None:
                    weight = np.asarray(plain(self._weight[row : row + len(x)], "sample_weight"), self.dtype)
                    if len(weight) < len(x):
                        raise ValueError(f"sample_weight has {len(self._weight)} weights; the rows are more")
                row += len(x)
                weight = None if weight is None else weight.astype(self.dtype, copy=False)
                yield x.astype(self.dtype, copy=False), weight

    def _count(self, n: int):
        if n == 0:
            raise ValueError("the source of rows is empty")
        if self.n is not None and n != self.n:
            raise ValueError(f"the source of rows gave {n} rows where it had {self.n}: it changes while it is read")
        if self._weight is not None and len(self._weight) != n:
            raise ValueError(f"sample_weight must have shape ({n},), one weight a row, got ({len(self._weight)},)")
        self.n = n

    def place(self, row: int) -> str:
        """Where a row is that was read: its file and its row in it, counted from 0."""
        first, name = [begin for begin in self._begins if begin[0] <= row][-1]
        return f"{name}: row {row - first} (counted from 0)" if name else f"row {row}"


def rows(
    source: Any, sample_weight: Any = None, *, block_size: int | None = None, header: bool | None = None
) -> Stream:
    """Rows to be read block by block at every pass, where they do not fit into memory.

    `fit`, `select` and the estimators take them in place of an array; paths, `numpy.memmap`, h5py and zarr arrays they
    mark themselves. The fit is that of the same rows in memory, with one pass an iteration, whatever the number of
    starts.

    Args:
        source: an array with ``.shape`` and slices of rows; a frame; a path or a list of paths (npy, npz, csv, tsv,
            parquet; a directory stands for its files in the order of their names, those that begin with ``_`` or ``.``
            left out); or an iterable of blocks x (b, d) or (x, sample_weight (b,)) that starts again whenever it is
            iterated.
        sample_weight: (n,) weights >= 0, as frequencies; of files also the name of their column of weights.
        block_size: rows that are read at a time; by default 16 MB of them.
        header: whether the first row of every csv or tsv file names its columns. None: where it has words and no
            numbers, an empty first field, or 0, 1, ... or 1, 2, ... in order; other numbers, such as years, where the
            rows below are clearly of another kind.

    Raises:
        ValueError: a source of another kind, files that do not fit together, an iterable that can be read only once.
        OSError: a file is not there.

    Warns:
        FitWarning: a first row is taken for names, and may be data.
    """
    if block_size is not None and (not isinstance(block_size, (int, np.integer)) or block_size < 1):
        raise ValueError(f"block_size must be an integer >= 1, got {block_size!r}")
    files = _is_path(source) or (isinstance(source, (list, tuple)) and bool(source) and all(map(_is_path, source)))
    if header is not None and not (files and isinstance(header, bool)):
        raise ValueError(f"header must be None, or True or False where the rows are in files, got {header!r}")
    if isinstance(source, Stream):
        if sample_weight is not None and source.weighted:
            raise ValueError("sample_weight was given twice: the rows are marked with weights already")
        weight = source._weight if sample_weight is None else _vector(sample_weight)
        return Stream(source._parts, weight, block_size or source.block_size)
    if files:
        column = sample_weight if isinstance(sample_weight, str) else None
        weight = None if column else _vector(sample_weight)
        paths = [source] if _is_path(source) else source
        return of_files(paths, Pick(weights=column, header=header), weight, block_size)
    if isinstance(sample_weight, str):
        raise ValueError("sample_weight can be the name of a column only where the rows are in files")
    if not isinstance(source, np.ndarray) and columns_of(source) is not None:
        source = plain(source)
    if _is_array(source):
        return Stream([of_array(source)], _vector(sample_weight), block_size)
    if not isinstance(source, Iterable):
        raise ValueError(f"rows must come from an array, files or an iterable of blocks, got {type(source).__name__}")
    if iter(source) is source:
        raise ValueError(
            "rows must be readable again at every pass, and an iterator can be read only once: it ends after one pass. "
            "Pass a list of blocks, an object whose __iter__ starts anew (a class, not a generator), files, or an array"
        )
    return Stream([of_blocks(source)], _vector(sample_weight), block_size)


def of_files(paths, pick: Pick, sample_weight=None, block_size: int | None = None) -> Stream:
    """The stream of files and directories, of which ``pick`` takes columns; all have those of the first."""
    found = [file for path in paths for file in files_of(Path(path))]
    parts = [of_file(path, pick) for path in found]
    first, doubtful = parts[0], [part for part in parts if part.doubt]
    for path, part in zip(found, parts, strict=True):
        if part.d != first.d or set(part.names or ()) != set(first.names or ()):
            advice = "" if part.names and first.names else "; header=True or False (--header, --no-header) may help"
            raise ValueError(f"{path}: has {_columns(part)}; {found[0]} has {_columns(first)}{advice}")
    if doubtful:
        more = f" (and {len(doubtful) - 1} more like it)" if len(doubtful) > 1 else ""
        warnings.warn(f"{doubtful[0].name}{more}: {doubtful[0].doubt}", FitWarning, stacklevel=3)
    alike = dataclasses.replace(pick, columns=first.columns)
    parts = [part if part.columns == first.columns else of_file(Path(part.name), alike) for part in parts]
    return Stream(parts, sample_weight, block_size)


def files_of(path: Path) -> list[Path]:
    """A file, or those of a directory in the order of their names."""
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if not each.name.startswith(("_", ".")))
    inside = [each for each in found if each.is_dir()]
    if inside:
        raise ValueError(f"{path}: holds the directory {inside[0].name}; pass the directories that hold the files")
    if not found:
        raise ValueError(f"{path}: holds no files of rows")
    return found


def read_ahead(blocks: Iterator) -> Iterator:
    """The same blocks; the next is read by a thread while the last is used."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


def opens(name: str = "x") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: paths, memory maps, h5py and zarr arrays given for this argument become streams."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        place = list(inspect.signature(function).parameters).index(name)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > place:
                args = (*args[:place], marked(args[place]), *args[place + 1 :])
            elif name in kwargs:
                kwargs[name] = marked(kwargs[name])
            return function(*args, **kwargs)

        return wrapper

    return decorate


def marked(x):
    """x, or the stream that it is: paths, memory maps, h5py and zarr arrays."""
    return rows(x) if _is_path(x) or _on_disk(x) else x


def _on_disk(x) -> bool:
    return isinstance(x, np.memmap) or type(x).__module__.partition(".")[0] in ("h5py", "zarr")


def _is_path(source) -> bool:
    return isinstance(source, (str, os.PathLike))


def _is_array(source) -> bool:
    return all(hasattr(source, name) for name in ("shape", "dtype", "__getitem__"))


def _vector(sample_weight):
    """Weights that can be sliced by rows; those on disk stay there."""
    if sample_weight is None:
        return None
    weight = sample_weight if _on_disk(sample_weight) else plain(sample_weight, "sample_weight")
    if len(weight.shape) != 1:
        raise ValueError(f"sample_weight must have shape (n,), one weight a row, got {tuple(weight.shape)}")
    return weight


def _columns(part: Part) -> str:
    return f"the columns {', '.join(part.names)}" if part.names else f"{part.d} columns without names"
