"""`jaxgmm.rows`: streams of rows from files, arrays and iterables; and what is a stream without being marked so."""

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
from .files import MemoryFile
from .formats import of_file
from .parts import Part, of_array, of_blocks
from .pick import DROPPED, REFUSED, Pick
from .remarks import grouped, remarks
from .streams import Stream

P = ParamSpec("P")
R = TypeVar("R")


def rows(
    source: Any,
    sample_weight: Any = None,
    *,
    columns: Sequence[str | int] | None = None,
    drop: Sequence[str | int] = (),
    drop_missing: bool = False,
    block_size: int | None = None,
    header: bool | None = None,
    decimal: str | None = None,
    separator: str | None = None,
) -> Stream:
    """Rows that are read block by block at every pass, for data that do not fit into memory.

    `fit`, `select` and the estimators take the stream in place of an array. They make one themselves of paths,
    `numpy.memmap`, h5py and zarr arrays. The fit is that of the same rows in memory, and takes one pass an iteration,
    whatever the number of starts.

    Fields of text are separated by tabs, semicolons, commas or blanks, whichever the first lines have; with semicolons
    numbers may have decimal commas. Text may be packed by gzip. Lines that begin with # are comments. Columns of TRUE
    and FALSE, or T and F, are read as 1 and 0. Columns of text are left out, with a warning that names them.

    Args:
        source: an array with ``.shape`` and slices of rows; a frame; a path or a list of paths (npy, npz, csv, tsv,
            parquet; a directory stands for its files in the order of their names, those that begin with ``_`` or ``.``
            left out); or an iterable of blocks x (b, d) or (x, sample_weight (b,)) that starts again whenever it is
            iterated.
        sample_weight: (n,) weights >= 0, as frequencies; for files also the name of their column of weights.
        columns: for files, the columns of x in this order: names, numbers from 0, or ranges ``"a:c"`` with both ends.
            None: all that hold numbers.
        drop: for files, columns that are left out, as in ``columns``.
        drop_missing: whether rows with a missing value are left out; else they are an error.
        block_size: rows that are read at a time; by default 16 MB of them.
        header: whether the first row of every csv or tsv file names its columns. None: where it has words and no
            numbers, an empty first field, or 0, 1, ... or 1, 2, ... in order; other numbers, such as years, where the
            rows below are clearly of another kind.
        decimal: the decimal mark of every csv or tsv file, "." or ",". None: "," where something else separates the
            fields, or commas stand in quotes or below a lone name, and no number has a point.
        separator: the character that separates the fields of every csv or tsv file; " " stands for one blank or more.
            None: found in the first lines, of which the first may be ``sep=;``.

    Raises:
        ValueError: a source of another kind, files that do not fit together, an iterable that can be read only once.
        OSError: a file is not there.

    Warns:
        FitWarning: a first row is taken for names and may be data; commas are taken for decimal marks or for separators
            and may be the other; columns of text, or rows, are left out; a column seems to number the rows.
    """
    if block_size is not None and (not isinstance(block_size, (int, np.integer)) or block_size < 1):
        raise ValueError(f"block_size must be an integer >= 1, got {block_size!r}")
    files = _is_path(source) or (isinstance(source, (list, tuple)) and bool(source) and all(map(_is_path, source)))
    if header is not None and not (files and isinstance(header, bool)):
        raise ValueError(f"header must be None, or True or False where the rows are in files, got {header!r}")
    if (decimal is not None or separator is not None) and not files:
        raise ValueError("decimal and separator tell how text in files is read, and the rows are in none")
    if (columns is not None or len(drop)) and not files:
        raise ValueError("columns and drop pick columns of files; of an array pass the columns: x[:, [0, 2]]")
    if isinstance(source, Stream):
        if sample_weight is not None and source.weighted:
            raise ValueError("sample_weight was given twice: the rows are marked with weights already")
        weight = source._weight if sample_weight is None else _vector(sample_weight)
        return Stream(source._parts, weight, block_size or source.block_size, drop_missing or source._drops)
    if files:
        column = sample_weight if isinstance(sample_weight, str) else None
        weight = None if column else _vector(sample_weight)
        paths = [source] if _is_path(source) else source
        picked = None if columns is None else _words(columns, "columns")
        missing = DROPPED if drop_missing else REFUSED
        text = {"header": header, "decimal": decimal, "separator": separator}
        pick = Pick(picked, column, drop=_words(drop, "drop"), missing=missing, **text)
        return of_files(paths, pick, weight, block_size)
    if isinstance(sample_weight, str):
        raise ValueError("sample_weight can be the name of a column only where the rows are in files")
    if not isinstance(source, np.ndarray) and columns_of(source) is not None:
        source = plain(source)
    if _is_array(source):
        return Stream([of_array(source)], _vector(sample_weight), block_size, drop_missing)
    if not isinstance(source, Iterable):
        raise ValueError(f"rows must come from an array, files or an iterable of blocks, got {type(source).__name__}")
    if iter(source) is source:
        raise ValueError(
            "rows must be readable again at every pass, and an iterator can be read only once: it ends after one pass. "
            "Pass a list of blocks, an object whose __iter__ starts anew (a class, not a generator), files, or an array"
        )
    return Stream([of_blocks(source)], _vector(sample_weight), block_size, drop_missing)


def of_files(paths, pick: Pick, sample_weight=None, block_size: int | None = None) -> Stream:
    """The stream of files and directories, of the columns that ``pick`` takes; all must have those of the first."""
    found = [file for path in paths for file in files_of(path)]
    first = of_file(found[0], pick)
    warned = {first.name: remarks(first, pick)}
    alike = dataclasses.replace(pick, text=first.taken.left_out)
    parts = [first]
    for path in found[1:]:
        part = of_file(path, alike)
        if part.d != first.d or set(part.names or ()) != set(first.names or ()):
            advice = "" if part.names and first.names else "; header=True or False (--header, --no-header) may help"
            raise ValueError(f"{path}: has {_columns(part)}; {found[0]} has {_columns(first)}{advice}")
        if part.columns != first.columns:
            part = of_file(path, dataclasses.replace(pick, columns=first.columns))
        parts.append(part)
        warned[part.name] = list(part.doubts)
    for remark in grouped(warned):
        warnings.warn(FitWarning(remark), stacklevel=3)
    return Stream(parts, sample_weight, block_size, pick.missing == DROPPED)


def files_of(path: str | os.PathLike | MemoryFile) -> list[Path | MemoryFile]:
    """A file, or those of a directory in the order of their names."""
    path = path if isinstance(path, MemoryFile) else Path(path)
    if isinstance(path, MemoryFile) or not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if not each.name.startswith(("_", ".")))
    inside = [each for each in found if each.is_dir()]
    if inside:
        raise ValueError(f"{path}: holds the directory {inside[0].name}; pass the directories that hold the files")
    if not found:
        raise ValueError(f"{path}: holds no files of rows")
    return found


def read_ahead(blocks: Iterator) -> Iterator:
    """The same blocks; while the caller uses one, a thread reads the next."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


def opens(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: a path, a memory map, an h5py or zarr array passed for ``x`` becomes a stream."""
    place = list(inspect.signature(function).parameters).index("x")

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > place:
            args = (*args[:place], marked(args[place]), *args[place + 1 :])
        elif "x" in kwargs:
            kwargs["x"] = marked(kwargs["x"])
        return function(*args, **kwargs)

    return wrapper


def marked(x):
    """A path, a memory map, an h5py or zarr array as a stream; any other x as it is."""
    return rows(x) if _is_path(x) or _on_disk(x) else x


def _on_disk(x) -> bool:
    return isinstance(x, np.memmap) or type(x).__module__.partition(".")[0] in ("h5py", "zarr")


def _is_path(source) -> bool:
    return isinstance(source, (str, os.PathLike))


def _is_array(source) -> bool:
    return all(hasattr(source, name) for name in ("shape", "dtype", "__getitem__"))


def _vector(sample_weight):
    """Sample weights (n,) as an array, or None; arrays on disk are not read yet."""
    if sample_weight is None:
        return None
    weight = sample_weight if _on_disk(sample_weight) else plain(sample_weight, "sample_weight")
    if len(weight.shape) != 1:
        raise ValueError(f"sample_weight must have shape (n,), one weight a row, got {tuple(weight.shape)}")
    return weight


def _words(columns, name: str) -> tuple[str, ...]:
    """Names, numbers and ranges of columns as strings."""
    columns = [columns] if isinstance(columns, (str, int)) else list(columns)
    if not all(isinstance(each, (str, int, np.integer)) and not isinstance(each, bool) for each in columns):
        raise ValueError(f"{name} must be names, numbers or ranges 'a:c' of columns, got {columns!r}")
    return tuple(map(str, columns))


def _columns(part: Part) -> str:
    return f"the columns {', '.join(part.names)}" if part.names else f"{part.d} columns without names"
