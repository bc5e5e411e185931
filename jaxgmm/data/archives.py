"""Rows in NumPy's files: npy, and npz with one table or with named columns, read some rows at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.dtypes import compute_dtype
from ..numerics.plain import plain
from .parts import Part
from .pick import Pick, Taken

ONE_DIMENSION = "holds a one-dimensional array; save x[:, None] for one feature, x[None, :] for one row"


def of_npy(path: Path, pick: Pick) -> Part:
    """The rows of a .npy file."""
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file)
    columns = _Columns.of(shape, dtype, pick)

    def read(size: int | None, beside: Sequence[int] = ()) -> Iterator:
        size = size or shape[0]
        if fortran:
            x = np.load(path, mmap_mode="r")
            for start in range(0, shape[0], size):
                yield columns(np.array(x[start : start + size]), beside)
            return
        with path.open("rb") as file:
            _header(file)
            for slab in _slabs(file, shape, dtype, size):
                yield columns(slab, beside)

    return columns.part(shape[0], columns.taken.weight is not None, read)


def of_npz(path: Path, pick: Pick) -> Part:
    """The rows of a .npz file: its only two-dimensional array, or one-dimensional arrays of equal length as columns.

    The weights may be a one-dimensional array beside the two-dimensional one.
    """
    headers = _headers(path)
    tables = [name for name, (shape, _, dtype) in headers.items() if len(shape) == 2 or dtype.names]
    vectors = {name: about for name, about in headers.items() if len(about[0]) == 1 and name not in tables}
    beside_it = pick.weights if len(tables) == 1 and pick.weights in vectors else None
    if len(tables) == 1:
        shape, fortran, dtype = headers[tables[0]]
        columns = _Columns.of(shape, dtype, dataclasses.replace(pick, weights=None) if beside_it else pick)
    elif vectors and len(vectors) == len(headers) and len({shape for shape, _, _ in vectors.values()}) == 1:
        fortran, shape = False, next(iter(vectors.values()))[0]
        columns = _Columns.of(shape, np.dtype([(name, about[2]) for name, about in vectors.items()]), pick)
    else:
        held = ", ".join(f"{name} {shape}" for name, (shape, _, _) in headers.items())
        wanted = "one two-dimensional array, or one-dimensional ones of equal length"
        raise ValueError(f"expected {wanted}; it holds {held}")
    if beside_it and headers[beside_it][0] != shape[:1]:
        raise ValueError(f"array {beside_it!r} has {headers[beside_it][0][0]} weights for {shape[0]} rows")
    of_weights = None if beside_it is None else compute_dtype(np.empty(0, checked_real(headers[beside_it][2])))

    def read(size: int | None, beside: Sequence[int] = ()) -> Iterator:
        if fortran and size:
            raise ValueError(f"array {tables[0]!r} is in Fortran order, whose rows cannot be read in turn")
        wanted = tables or [columns.names[j] for j in dict.fromkeys((*columns.taken.with_weight, *beside))]
        size = size or shape[0]
        with zipfile.ZipFile(path) as archive, contextlib.ExitStack() as opened:
            streams = []
            for name in [*wanted, *([beside_it] if beside_it else [])]:
                file = opened.enter_context(archive.open(f"{name}.npy"))
                held, turned, of_file = _header(file)
                streams.append(_slabs(file, held[::-1] if turned else held, of_file, held[1] if turned else size))
            for slabs in zip(*streams, strict=True):
                table = slabs[0] if tables else dict(zip(wanted, slabs, strict=True))
                x, weight, others = columns(table.T if fortran else table, beside)
                yield x, plain(slabs[-1]).astype(of_weights) if beside_it else weight, others

    return columns.part(shape[0], beside_it is not None or columns.taken.weight is not None, read)


def checked_real(dtype: np.dtype) -> np.dtype:
    """The dtype of an array in a file, which has to hold real numbers."""
    if dtype.kind not in "fiub":
        hint = "; NumPy's files hold bfloat16 so: save it as float32" if dtype.str[1:] == "V2" else ""
        raise ValueError(f"holds values of type {dtype} where real numbers are expected{hint}")
    return dtype


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The columns taken of an array (n, d) or of named columns, and the dtype that they are read in.

    Called on some rows of the table, it returns x (b, d), weight (b,) or None, and the columns ``beside`` as they are.
    """

    names: tuple[str, ...] | None
    taken: Taken
    dtype: Any

    @classmethod
    def of(cls, shape, dtype, pick: Pick):
        names = dtype.names
        if len(shape) == 1 and not names:
            raise ValueError(ONE_DIMENSION)
        if len(shape) + bool(names) != 2:
            raise ValueError(f"holds an array of shape {shape} where (n, d) is expected")
        text = [j for j, name in enumerate(names or ()) if dtype[name].kind in "USMm"]
        taken = pick.of(names, len(names) if names else shape[1], text)
        for j in taken.with_weight if names else ():
            if shape := dtype[names[j]].shape:
                raise ValueError(f"field {names[j]!r} holds arrays of {shape} where numbers are expected")
        kinds = [checked_real(dtype[names[j]] if names else dtype) for j in taken.indices]
        return cls(names, taken, compute_dtype(np.empty(0, np.result_type(*kinds))))

    def part(self, n: int, weighted: bool, read) -> Part:
        return Part(None, n, len(self.taken.indices), self.dtype, weighted, read, self.taken)

    def __call__(self, table, beside: Sequence[int]):
        def column(j):
            return table[self.names[j]] if self.names else table[:, j]

        def numbers(j):
            return plain(column(j)).astype(self.dtype, copy=False)

        whole = self.names is None and self.taken.everything
        x = plain(table) if whole else np.column_stack([numbers(j) for j in self.taken.indices])
        weight = None if self.taken.weight is None else numbers(self.taken.weight)
        return x.astype(self.dtype, copy=False), weight, [column(j) for j in beside]


def _headers(path: Path) -> dict:
    """{name: (shape, whether in Fortran order, dtype)} of the arrays in a .npz file."""
    headers = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    headers[member.removesuffix(".npy")] = _header(file)
    except (zipfile.BadZipFile, ValueError) as error:
        raise ValueError("is not a .npz file of numbers, or is cut short") from error
    return headers


def _header(file):
    """(shape, whether in Fortran order, dtype) of an open .npy file, which is then at its first number."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        about = reader(file)
    except (ValueError, KeyError, EOFError) as error:
        raise ValueError("is not a .npy file of numbers, or is cut short") from error
    if about[2].hasobject:
        raise ValueError("holds Python objects where real numbers are expected")
    return about


def _slabs(file, shape, dtype, size):
    """Arrays of ``size`` rows of an open file. They are read: pages of a mapped file would count as this process's."""
    for start in range(0, shape[0], max(size, 1)):
        slab = np.empty((min(size, shape[0] - start), *shape[1:]), dtype)
        left = memoryview(slab.reshape(-1).view(np.uint8))
        while left:
            read = file.readinto(left)
            if not read:
                raise ValueError(f"is cut short: {shape[0]} rows were announced")
            left = left[read:]
        yield slab
