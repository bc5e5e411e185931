"""Tables of numbers in files: csv, tsv, npy and npz become (x, column names, sample weights).

Every reader ends in numbers or in a ValueError that names the row and the column at fault; text in columns that were
not picked does not matter. Rows of a text file are counted from 1, with the line an editor shows; rows of an array from
0, as NumPy does.
"""

from __future__ import annotations

import array
import csv
import dataclasses
import itertools
import math
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..numerics.plain import plain
from ..records import FitWarning
from .headers import LOOKED_AT, MISSING, doubt, judge

NO_TEXT = "is not a text file in UTF-8; tables are read from csv, tsv, npy, npz and parquet files"


def read(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    expected: Sequence[str] | None = None,
    header: bool | None = None,
) -> tuple[np.ndarray, tuple[str, ...] | None, np.ndarray | None]:
    """(x, names, sample_weight) of the table in a file.

    Args:
        path: .npy, .npz (one two-dimensional array, or named one-dimensional ones of equal length), or else text, cut
            at tabs, commas or semicolons, whichever its first line has.
        columns: the columns of x in this order: names, or numbers from 0 where the file has no names.
        weights: the column of sample weights (in a .npz also an array beside the table); x is then without it.
        expected: taken for `columns` where the file has names and no columns were picked.
        header: whether the first row of text names the columns; None: as `headers.judge` finds.

    Returns:
        x (n, d), float64 from text and in its own dtype, in native byte order, from arrays; its column names, None
        where the file has none; sample weights (n,), or None.

    Raises:
        ValueError: what is not a finite number, in which row and column; an unknown column; an unreadable file.
        OSError: the file is not there.

    Warns:
        FitWarning: the first row is taken for names, and may be data.
    """
    pick = Pick(tuple(columns) if columns is not None else None, weights, tuple(expected or ()), header)
    reader = {".npy": _read_npy, ".npz": _read_npz}.get(Path(path).suffix.lower(), _read_text)
    try:
        x, names, sample_weight = reader(Path(path), pick)
        if len(x) == 0:
            raise ValueError("has no rows of data")
        if sample_weight is not None:
            _check_weights(sample_weight)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    return x, names, sample_weight


@dataclasses.dataclass(frozen=True)
class Pick:
    """What the caller wants of a table whose columns are not known yet; ``header``: as in `read`."""

    columns: tuple[str, ...] | None = None
    weights: str | None = None
    expected: tuple[str, ...] = ()
    header: bool | None = None

    def indices(self, names: tuple[str, ...] | None, width: int) -> tuple[list[int], int | None]:
        """The indices of the columns of x, and of the column of weights (None: no weights)."""
        weight = None if self.weights is None else _column_index(self.weights, names, width)
        wanted = self.columns if self.columns is not None else self.expected if names else ()
        if wanted:
            picked = [_column_index(name, names, width) for name in wanted]
        else:
            # R and pandas write the row's number into a first column without a name: no feature.
            start = 1 if names and names[0] == "" else 0
            picked = [j for j in range(start, width) if j != weight]
        if len(set(picked)) < len(picked):
            raise ValueError(f"a column is picked twice in {', '.join(wanted)}")
        if weight in picked:
            raise ValueError(f"column {self.weights!r} cannot be a feature and the sample weight")
        if not picked:
            raise ValueError("has no columns left for the features")
        return picked, weight


def _column_index(column: str, names: tuple[str, ...] | None, width: int) -> int:
    if names is None:
        if column.isdecimal() and int(column) < width:
            return int(column)
        raise ValueError(f"has no column {column!r}; without a header its columns are the numbers 0 to {width - 1}")
    if names.count(column) != 1:
        known = ", ".join(name for name in names if name)
        raise ValueError(f"has {names.count(column) or 'no'} columns {column!r}; its columns are {known}")
    return names.index(column)


def _read_text(path: Path, pick: Pick) -> tuple[np.ndarray, tuple[str, ...] | None, np.ndarray | None]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = parse_text(file, pick)
        (values,) = text.parts
    if text.doubt:
        warnings.warn(f"{path}: {text.doubt}", FitWarning, stacklevel=3)
    if not text.weighted:
        return values, text.columns, None
    return values[:, :-1], text.columns, values[:, -1]


@dataclasses.dataclass(frozen=True)
class Text:
    """A table of text: its column names and those picked (None without a header), and its ``width`` picked columns, the
    weights last, as arrays (b, width); ``doubt`` says what was assumed of its first row, where that is not sure."""

    names: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    width: int
    weighted: bool
    parts: Iterator[np.ndarray]
    doubt: str | None


def parse_text(file: Iterator[str], pick: Pick, size: int | None = None) -> Text:
    """The table of an open file, ``size`` rows at a time, counted from 0; None: all at once, counted from 1."""
    try:
        head = list(itertools.islice(file, 1 + LOOKED_AT))
    except UnicodeDecodeError as error:
        raise ValueError(NO_TEXT) from error
    mark = next((mark for mark in "\t,;" if mark in "".join(head[:1])), ",")
    form = {"delimiter": mark, "skipinitialspace": True}
    reader = csv.reader(itertools.chain(head, file), **form)
    first = next(reader, [])
    header, doubtful = judge(first, list(csv.reader(head, **form))[1:]) if pick.header is None else (pick.header, False)
    names = tuple(name.strip() for name in first) if header and first else None
    indices, weight = pick.indices(names, len(first))
    taken = indices if weight is None else [*indices, weight]
    columns = tuple(names[j] for j in indices) if names else None
    rows = reader if names else itertools.chain([first], reader)
    parts = _parts((rows, reader, names, len(first)), taken, size)
    return Text(names, columns, len(taken), weight is not None, parts, doubt(first) if doubtful else None)


def _parts(text: tuple, taken: list[int], size: int | None) -> Iterator[np.ndarray]:
    """The columns taken, ``size`` rows at a time, of rows, the reader that they come from, names, and their width."""
    rows, reader, names, width = text
    numbers = array.array("d")  # eight bytes a number; a list of Python floats takes 32
    origin = 0 if size else 1
    try:
        for row, fields in enumerate((fields for fields in rows if fields), start=origin):
            if size and row and row % size == 0:
                yield np.frombuffer(numbers, np.float64).reshape(-1, len(taken))
                numbers = array.array("d")
            if len(fields) != width:
                raise ValueError(f"{_where(row, reader, origin)} has {len(fields)} fields where {width} are expected")
            if not _extended(numbers, [fields[j] for j in taken]):
                where = _where(row, reader, origin)
                numbers.extend([_number(fields[j], j, where, names) for j in taken])
    except UnicodeDecodeError as error:
        raise ValueError(NO_TEXT) from error
    if numbers or not size:
        yield np.frombuffer(numbers, np.float64).reshape(-1, len(taken))


def _where(row: int, reader, origin: int) -> str:
    return f"row {row} (line {reader.line_num})" if origin else f"row {row} (counted from 0; line {reader.line_num})"


def _extended(numbers: array.array, fields: list[str]) -> bool:
    """Append the fields of a row of plain numbers, fast; False, and nothing appended, where `_number` has to look."""
    try:
        values = list(map(float, fields))
    except ValueError:
        return False
    if not all(map(math.isfinite, values)) or "_" in "".join(fields):
        return False
    numbers.extend(values)
    return True


def _number(field: str, column: int, where: str, names: tuple[str, ...] | None) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and "_" not in field:  # float("2020_01") is 202001
        return value
    name = repr(names[column]) if names else str(column)
    if field.strip().lower() in MISSING:
        raise ValueError(f"{where}, column {name}: the value is missing; remove the row or fill it in")
    wrong = "is not finite" if math.isinf(value) else "is not a number; pick the columns of numbers with --columns"
    raise ValueError(f"{where}, column {name}: {field.strip()!r} {wrong}")


def _read_npy(path: Path, pick: Pick) -> tuple[np.ndarray, None, np.ndarray | None]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError("is not a .npy file of numbers, or is cut short") from error
    return _take(loaded, pick)


def _read_npz(path: Path, pick: Pick) -> tuple[np.ndarray, tuple[str, ...] | None, np.ndarray | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (AttributeError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError("is not a .npz file of numbers, or is cut short") from error

    tables = [name for name, values in arrays.items() if values.ndim == 2 or values.dtype.names]
    vectors = {name: values for name, values in arrays.items() if values.ndim == 1 and name not in tables}
    if len(tables) == 1:
        x = arrays[tables[0]]
        if pick.weights not in vectors:
            return _take(x, pick)
        weight = vectors[pick.weights]
        if len(weight) != len(x):
            raise ValueError(f"array {pick.weights!r} has {len(weight)} weights for {len(x)} rows")
        return *_take(x, dataclasses.replace(pick, weights=None))[:2], _numbers(weight[:, None], [pick.weights])[:, 0]
    if vectors and len(vectors) == len(arrays) and len({len(values) for values in vectors.values()}) == 1:
        return _take_vectors(vectors, pick)
    shapes = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
    raise ValueError(f"expected one two-dimensional array, or one-dimensional ones of equal length; it holds {shapes}")


def _take(values: np.ndarray, pick: Pick) -> tuple[np.ndarray, tuple[str, ...] | None, np.ndarray | None]:
    """x and weights of one two-dimensional array, whose columns have numbers for names, or of one with fields."""
    if values.dtype.names and values.ndim == 1:
        return _take_vectors({name: values[name] for name in values.dtype.names}, pick)
    if values.ndim == 1:
        raise ValueError("holds a one-dimensional array; save x[:, None] for one feature, x[None, :] for one row")
    if values.ndim != 2:
        raise ValueError(f"holds an array of shape {values.shape} where (n, d) is expected")
    indices, weight = pick.indices(None, values.shape[1])
    x = values if indices == list(range(values.shape[1])) else values[:, indices]
    return _numbers(x, indices), None, None if weight is None else _numbers(values[:, [weight]], [weight])[:, 0]


def _take_vectors(vectors: dict[str, np.ndarray], pick: Pick) -> tuple[np.ndarray, tuple[str, ...], np.ndarray | None]:
    names = tuple(vectors)
    indices, weight = pick.indices(names, len(names))
    chosen = tuple(names[j] for j in indices)
    for name in chosen:
        check_real(vectors[name].dtype)
        if vectors[name].ndim > 1:
            raise ValueError(f"field {name!r} holds arrays of {vectors[name].shape[1:]} where numbers are expected")
    x = _numbers(np.stack([vectors[name] for name in chosen], axis=1), chosen)
    return x, chosen, None if weight is None else _numbers(vectors[names[weight]][:, None], [names[weight]])[:, 0]


def _numbers(values: np.ndarray, names: Sequence[str | int]) -> np.ndarray:
    """The same (n, d) array in native byte order, checked to hold finite numbers and nothing else."""
    check_real(values.dtype)
    values = plain(values)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(f"row {row} (counted from 0), column {names[column]!r}: {values[row, column]} is not finite")
    return values


def check_real(dtype: np.dtype) -> None:
    """Check that an array in a file holds real numbers."""
    if dtype.kind not in "fiub":
        hint = "; NumPy's files hold bfloat16 so: save it as float32" if dtype.str[1:] == "V2" else ""
        raise ValueError(f"holds values of type {dtype} where real numbers are expected{hint}")


def _check_weights(sample_weight: np.ndarray) -> None:
    negative = np.flatnonzero(sample_weight < 0)
    if len(negative):
        row = negative[0]
        raise ValueError(f"row {row} (counted from 0): the sample weight {sample_weight[row]} is negative")
    if not sample_weight.any():
        raise ValueError("every sample weight is zero")
