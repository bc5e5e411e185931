"""Tables in files and elsewhere, read some rows at a time: npy, npz, text and parquet files, arrays, iterables.

A `Part` says what it holds before a row of it is read, as far as its kind can know. Reading ends in numbers of one
dtype or in a ValueError; values are checked by whoever reads.
"""

import contextlib
import csv
import dataclasses
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.dtypes import compute_dtype
from ..numerics.plain import plain
from .readers import Pick, check_real, parse_text

INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds to a parquet file
CSV_ROWS = 2**14  # of text that are parsed at a time


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows in the order in which they come.

    Args:
        name: of the file; None where there is none.
        n: number of rows; None where only reading tells.
        d: number of features.
        dtype: float32 or float64.
        names: of all its columns; None where they have none.
        columns: those picked for x; None where they have no names.
        weighted: whether its rows carry weights.
        read: ``size -> iterator`` of x (b, d) and weight (b,) or None, at most ``size`` rows at a time.
        doubt: what was assumed of its first row, where that is not sure.
    """

    name: str | None
    n: int | None
    d: int
    dtype: Any
    names: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    weighted: bool
    read: Callable[[int], Iterator]
    doubt: str | None = None


def of_file(path: Path, pick: Pick) -> Part:
    """The part that a file is, by its suffix.

    Raises:
        ValueError: not a table of numbers; it names the file.
        OSError: the file is not there.
    """
    kinds = {".npy": _of_npy, ".npz": _of_npz, ".parquet": _of_parquet, ".pq": _of_parquet}
    with naming(path):
        return kinds.get(path.suffix.lower(), _of_text)(path, pick)


@contextlib.contextmanager
def naming(path):
    """Errors of the block say which file they are about."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error


def of_array(x, name: str | None = None) -> Part:
    """Rows of anything with a shape (n, d), a dtype, and slices of rows; or (n,) with d fields."""
    first = plain(x[:1]) if x.shape and 0 not in x.shape else np.empty(0)
    if first.ndim != 2:
        raise ValueError(f"rows must have shape (n, d), none of them 0, got {tuple(x.shape)}")
    dtype = compute_dtype(first)

    def read(size):
        for start in range(0, x.shape[0], size):
            yield _copied(x[start : start + size], dtype), None
            _let_go(x)

    return Part(name, int(x.shape[0]), first.shape[1], dtype, None, None, False, read)


def of_blocks(source: Iterable) -> Part:
    """Rows of an iterable of x (b, d) or (x, weight (b,)), which starts again whenever it is iterated."""

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

    def read(size):
        for i, (x, weight) in enumerate(map(pair, source)):
            if x.shape[1] != d or (weight is not None) != weighted:
                with_or = "without" if weight is None else "with"
                raise ValueError(f"block {i} has {x.shape[1]} features, {with_or} weights; the first has {d}")
            for start in range(0, len(x), size):
                some = slice(start, start + size)
                yield x[some].astype(dtype, copy=False), None if weight is None else weight[some].astype(dtype)

    return Part(None, None, d, dtype, None, None, weighted, read)


def _copied(x, dtype) -> np.ndarray:
    return np.array(plain(x), dtype) if isinstance(x, np.memmap) else np.asarray(plain(x)).astype(dtype, copy=False)


def _let_go(x) -> None:
    """Pages of a mapped file that were read are not kept in this process; they stay in the system's cache."""
    pages = getattr(x, "_mmap", None)
    if pages is not None and getattr(x, "mode", None) in ("r", "r+") and hasattr(pages, "madvise"):
        import mmap

        pages.madvise(mmap.MADV_DONTNEED)


def _of_npy(path: Path, pick: Pick) -> Part:
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file)
    taken = _Taken.of(shape, dtype, pick)

    def read(size):
        if fortran:
            yield from map(taken, (part for part, _ in of_array(np.load(path, mmap_mode="r")).read(size)))
            return
        with naming(path), path.open("rb") as file:
            _header(file)
            yield from map(taken, _slabs(file, shape, dtype, size))

    return taken.part(path, shape[0], read)


def _of_npz(path: Path, pick: Pick) -> Part:
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {}
            for member in archive.namelist():
                with archive.open(member) as file:
                    headers[member.removesuffix(".npy")] = _header(file)
    except zipfile.BadZipFile as error:
        raise ValueError("is not a .npz file of numbers, or is cut short") from error
    tables = [name for name, (shape, _, dtype) in headers.items() if len(shape) == 2 or dtype.names]
    vectors = {name: about for name, about in headers.items() if len(about[0]) == 1 and name not in tables}
    beside = pick.weights if len(tables) == 1 and pick.weights in vectors else None
    if len(tables) == 1:
        wanted = tables
        shape, fortran, dtype = headers[tables[0]]
        taken = _Taken.of(shape, dtype, dataclasses.replace(pick, weights=None) if beside else pick)
        if fortran:
            raise ValueError(f"array {tables[0]!r} is in Fortran order, whose rows cannot be read in turn")
    elif vectors and len(vectors) == len(headers) and len({shape for shape, _, _ in vectors.values()}) == 1:
        shape = next(iter(vectors.values()))[0]
        taken = _Taken.of(shape, np.dtype([(name, about[2]) for name, about in vectors.items()]), pick)
        wanted = [taken.names[j] for j in (*taken.indices, taken.weight) if j is not None]
    else:
        held = ", ".join(f"{name} {shape}" for name, (shape, _, _) in headers.items())
        raise ValueError(f"expected one two-dimensional array, or 1-dimensional ones of equal length; it holds {held}")
    if beside and headers[beside][0] != shape[:1]:
        raise ValueError(f"array {beside!r} has shape {headers[beside][0]} for {shape[0]} rows")

    def read(size):
        with naming(path), zipfile.ZipFile(path) as archive, contextlib.ExitStack() as opened:
            streams = []
            for name in [*wanted, *([beside] if beside else [])]:
                file = opened.enter_context(archive.open(f"{name}.npy"))
                streams.append(_slabs(file, *_header(file)[::2], size))
            for slabs in zip(*streams, strict=True):
                table = slabs[0] if tables else dict(zip(wanted, slabs, strict=True))
                x, weight = taken(table)
                yield x, plain(slabs[-1]).astype(taken.dtype, copy=False) if beside else weight

    return taken.part(path, shape[0], read, beside is not None)


def _of_text(path: Path, pick: Pick) -> Part:
    def opened():
        return path.open(encoding="utf-8-sig", newline="")

    with opened() as file:
        text = parse_text(file, pick, CSV_ROWS)
    known = dataclasses.replace(pick, header=text.names is not None)
    d = text.width - text.weighted

    def read(size):
        with naming(path), opened() as file:
            for values in parse_text(file, known, min(size, CSV_ROWS)).parts:
                yield values[:, :d], values[:, d] if text.weighted else None

    return Part(str(path), None, d, np.dtype(np.float64), text.names, text.columns, text.weighted, read, text.doubt)


def _of_parquet(path: Path, pick: Pick) -> Part:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise ValueError("parquet files need pyarrow: pip install 'jaxgmm[io]'") from None
    try:
        about = parquet.read_metadata(path)
    except ArrowInvalid as error:
        raise ValueError("is not a parquet file, or is cut short") from error
    schema = about.schema.to_arrow_schema()
    names = tuple(name for name in schema.names if not INDEX.fullmatch(name))
    indices, weight = pick.indices(names, len(names))
    wanted = [names[j] for j in (indices if weight is None else [*indices, weight])]
    types = (schema.field(name).type for name in wanted)
    kinds = [np.dtype((kind.value_type if hasattr(kind, "index_type") else kind).to_pandas_dtype()) for kind in types]
    for name, kind in zip(wanted, kinds, strict=True):
        if kind.kind not in "fiub":
            raise ValueError(f"column {name!r} holds {schema.field(name).type}; pick the columns of numbers")
    dtype = compute_dtype(np.empty(0, np.result_type(*kinds[: len(indices)])))

    def read(size):
        with naming(path), parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size, columns=wanted):
                values = np.empty((batch.num_rows, len(wanted)), dtype)
                for j, name in enumerate(wanted):  # in the order asked for, whatever the file's is
                    values[:, j] = plain(batch.column(name))
                yield values[:, : len(indices)], None if weight is None else values[:, -1]

    columns = tuple(wanted[: len(indices)])
    return Part(str(path), about.num_rows, len(indices), dtype, names, columns, weight is not None, read)


@dataclasses.dataclass(frozen=True)
class _Taken:
    """What is taken of an array's columns, or of named ones: those of x, and that of the weights."""

    names: tuple[str, ...] | None
    indices: list[int]
    weight: int | None
    everything: bool
    dtype: Any

    @classmethod
    def of(cls, shape, dtype, pick: Pick):
        names = dtype.names
        if names:
            shape = (*shape, len(names))
        if len(shape) == 1:
            raise ValueError("holds a one-dimensional array; save x[:, None] for one feature, x[None, :] for one row")
        if len(shape) != 2:
            raise ValueError(f"holds an array of shape {shape} where (n, d) is expected")
        indices, weight = pick.indices(names, shape[1])
        kinds = [dtype[j] for j in indices] if names and not dtype.hasobject else [dtype]
        for kind in kinds:
            check_real(kind)
        everything = names is None and indices == list(range(shape[1]))
        return cls(names, indices, weight, everything, compute_dtype(np.empty(0, np.result_type(*kinds))))

    def part(self, path: Path, n: int, read, beside: bool = False) -> Part:
        columns = tuple(self.names[j] for j in self.indices) if self.names else None
        weighted = beside or self.weight is not None
        return Part(str(path), n, len(self.indices), self.dtype, self.names, columns, weighted, read)

    def __call__(self, table):
        def column(j):
            return plain(table[self.names[j]] if self.names else table[:, j]).astype(self.dtype, copy=False)

        x = plain(table) if self.everything else np.column_stack([column(j) for j in self.indices])
        return x.astype(self.dtype, copy=False), None if self.weight is None else column(self.weight)


def _header(file):
    """Shape, whether in Fortran order, and dtype of a .npy file; it is then at its first number."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        return reader(file)
    except (ValueError, KeyError, EOFError) as error:
        raise ValueError("is not a .npy file of numbers, or is cut short") from error


def _slabs(file, shape, dtype, size):
    """Arrays of ``size`` rows from an open file: read, not mapped, so that no page of it stays with the process."""
    for start in range(0, shape[0], size):
        slab = np.empty((min(size, shape[0] - start), *shape[1:]), dtype)
        left = memoryview(slab.reshape(-1).view(np.uint8))
        while left:
            read = file.readinto(left)
            if not read:
                raise ValueError(f"is cut short: {shape[0]} rows were announced")
            left = left[read:]
        yield slab
