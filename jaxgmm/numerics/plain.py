"""`plain`: an array of numbers from what users pass, arrays of every library, frames and lists.

The result is a NumPy array of this machine's byte order, with NaN where a value is masked or missing; a JAX array stays
as it is. A value that is no number is refused by name. Whether the numbers are real, finite and of shape (n, d) is for
the caller to check.
"""

import datetime
import decimal
import numbers
from collections.abc import Iterator

import jax
import numpy as np

NUMBERS = (numbers.Real, decimal.Decimal, np.bool_)  # types of numbers in an array of objects
DATES = "dates", "pass the time since one of them, divided by a unit as numpy.timedelta64(1, 'D')"
DURATIONS = "durations", "divide them by a unit, as numpy.timedelta64(1, 's')"
BYTES = "bytes of no type", "NumPy's files hold bfloat16 so: save it as float32"
KINDS = {"M": DATES, "m": DURATIONS, "V": BYTES}  # by the kind of NumPy's dtype
OBJECTS = {datetime.date: DATES, datetime.timedelta: DURATIONS}

WORDS = (
    "drop words or, for family 'categorical', make codes of them, in pandas by "
    "frame.apply(lambda c: c.astype('category').cat.codes); jaxgmm.sklearn.CategoricalMixture takes words"
)


class NotNumbers(ValueError, TypeError):
    """Objects that are no numbers: a ValueError, as for all bad input, and the TypeError that scikit-learn expects."""


def plain(x, name: str = "x"):
    """x as a NumPy array of numbers, or as it is where it is a JAX array or a tracer.

    Columns of a frame and fields of an array stand side by side in their common dtype. Numbers held as objects, and
    longdouble, become float64; integers, booleans and half precision stay, and become float64 where some are missing.

    Raises:
        ValueError: text, dates, other objects, sparse matrices, iterators; it names the argument, and the column.
    """
    if isinstance(x, jax.Array):
        return x
    if isinstance(x, Iterator):
        raise ValueError(
            f"{name} is an iterator, which ends after one pass: pass an array, or what jaxgmm.rows makes of a list of "
            "blocks or of an object whose __iter__ starts anew (a class, not a generator)"
        )
    if hasattr(x, "toarray") and not isinstance(x, np.ndarray):
        raise ValueError(f"{name} is sparse: pass {name}.toarray()")
    columns = columns_of(x)
    if columns is None:
        return _numbers(_held(x, name), name)
    if not columns:
        raise ValueError(f"{name} is empty: it has no columns")
    return np.column_stack([_numbers(_held(column, name), name, label) for label, column in columns])


def columns_of(x) -> list | None:
    """(name, values) of every column of a frame, or field of an array; None where x has neither."""
    if isinstance(x, np.ndarray):
        return None if x.dtype.names is None else [(field, x[field]) for field in x.dtype.names]
    if hasattr(x, "itercolumns"):  # pyarrow
        return list(zip(x.column_names, x.itercolumns(), strict=True))
    if hasattr(x, "iter_columns"):  # polars
        return [(column.name, column) for column in x.iter_columns()]
    if hasattr(x, "items") and getattr(x, "ndim", None) == 2:  # pandas, which allows equal names
        return list(x.items())
    return None


def names_of(x) -> tuple[str, ...] | None:
    """The names of a frame's columns, an array's fields, or a stream's columns; None where there are none, or not all
    are strings (pandas numbers columns without names)."""
    if hasattr(x, "blocks"):
        return x.columns
    columns = columns_of(x)
    if not columns or not all(isinstance(name, str) for name, _ in columns):
        return None
    return tuple(name for name, _ in columns)


def under_names(x: np.ndarray, columns) -> np.ndarray:
    """A view of rows (n, d) as an array (n,) whose fields have these names; the rows themselves where there are no
    names, or two are equal, or one is empty."""
    if columns is None or len(set(columns)) < len(columns) or "" in columns:
        return x
    return np.ascontiguousarray(x).view([(str(name), x.dtype) for name in columns])[:, 0]


def _held(x, name: str) -> np.ndarray:
    """x as a NumPy array in its own dtype and byte order, masked where x is."""
    library = type(x).__module__.partition(".")[0]
    if library == "pyarrow" and hasattr(x, "to_numpy"):
        if hasattr(x.type, "index_type"):  # a dictionary: to_numpy gives its first entry for nulls
            x = x.cast(x.type.value_type)
        return x.to_numpy(zero_copy_only=False)
    if library == "polars" and hasattr(x, "to_numpy"):
        values = x.to_numpy()  # polars makes float32 of short integers with nulls
        return values.astype(np.float64) if x.dtype.is_integer() and values.dtype.kind == "f" else values
    if hasattr(x, "to_numpy"):
        return x.to_numpy()
    try:
        if isinstance(x, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in x):
            return np.ma.stack(x)
        return np.asanyarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be an (n, d) array of numbers: {error}") from None


def _numbers(values: np.ndarray, name: str, column=None) -> np.ndarray:
    """The values in native byte order, NaN where they are masked; ValueError where they are no numbers."""
    mask, values = np.ma.getmask(values), np.asarray(values)
    dtype = values.dtype
    if dtype.type is np.void or dtype.kind in "Mm":
        what, advice = KINDS[dtype.kind]
        place = "it" if column is None else f"column {column!r}"
        raise ValueError(f"{name} must hold numbers; {place} holds {what} ({dtype}): {advice}")
    if np.any(mask):
        values = values.astype(np.float64 if dtype.kind in "iub" else dtype)
        values[mask] = np.nan
    if dtype.kind in "OSUT":  # objects, or text of any kind
        return _of_objects(values.astype(object, copy=False), name, column)
    native = np.float64 if dtype.type is np.longdouble else values.dtype.newbyteorder("=")
    return values.astype(native, copy=False)


def _of_objects(values: np.ndarray, name: str, column) -> np.ndarray:
    """Numbers held as objects as float64, with NaN for None and for the missing value of pandas."""
    kinds = set(map(type, values.flat))
    missing = {kind for kind in kinds if kind.__name__ in ("NoneType", "NAType")}
    others = {kind for kind in kinds - missing if not issubclass(kind, NUMBERS)}
    if others:
        index, value = next(found for found in np.ndenumerate(values) if type(found[1]) in others)
        place = _place(index) if column is None else f"column {column!r}, row {index[0]}"
        raise NotNumbers(f"{name} must hold numbers; {place} is {value!r:.60}: {_advice(value)}")
    try:
        flat = (np.nan if type(value) in missing else float(value) for value in values.flat)
        return np.fromiter(flat, np.float64, values.size).reshape(values.shape)
    except OverflowError as error:
        raise ValueError(f"{name} must hold numbers that float64 can hold: {error}") from None


def _place(index: tuple) -> str:
    """Words for the place of an entry: its row and column, or all its indices."""
    names = {0: "it", 1: "row {}", 2: "row {}, column {}"}.get(len(index), f"entry {index}")
    return names.format(*index)


def _advice(value) -> str:
    """What to do about an object that is no number: by its type, or Python's reason why it is none."""
    for kind, (_, advice) in OBJECTS.items():
        if isinstance(value, kind):
            return advice
    try:
        float(value)
    except (TypeError, ValueError) as error:
        return f"{error}; {WORDS}" if isinstance(value, str) else str(error)
    return "convert it, as with astype(float), or drop it"
