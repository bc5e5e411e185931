"""Columns of words as integer codes: the code of a label is its place among the sorted labels of its column."""

import numpy as np

from ..data.sources import Stream


def labelled(X) -> bool:
    """Whether X, an array, a list or a frame, holds any string."""
    if isinstance(X, Stream) or not (hasattr(X, "to_numpy") or isinstance(X, (np.ndarray, list, tuple))):
        return False
    values = values_of(X)
    return values.dtype.kind in "UT" or (values.dtype == object and any(isinstance(v, str) for v in values.flat))


def values_of(X) -> np.ndarray:
    """The values of an array, a list or a frame, with labels as they are."""
    if hasattr(X, "to_numpy"):
        return X.to_numpy()
    try:
        return np.asarray(X)
    except ValueError:  # rows of different lengths, for which scikit-learn has an error of its own
        return np.empty(0)


def learned(values, names) -> list[np.ndarray]:
    """The sorted labels of every column of values (n, d)."""
    return [_sorted(column, name) for column, name in zip(values.T, names, strict=True)]


def coded(values, names, categories) -> np.ndarray:
    """The codes (n, d) of labels (n, d).

    Raises:
        ValueError: a label that is missing, or is none of those in ``categories``; it names the column and the label.
    """
    codes = np.empty(values.shape, np.int64)
    for j, (column, name, own) in enumerate(zip(values.T, names, categories, strict=True)):
        place = {label: code for code, label in enumerate(own.tolist())}
        codes[:, j] = [place.get(label, -1) for label in column.tolist()]
        if (codes[:, j] < 0).any():
            row = int(np.argmax(codes[:, j] < 0))
            _none_missing(column, name)
            known = f"{', '.join(map(repr, place)):.200}"
            label = column.tolist()[row]
            raise ValueError(f"X has the label {label!r} in column {name!r}, row {row}; those fitted are {known}")
    return codes


def _sorted(column, name) -> np.ndarray:
    _none_missing(column, name)
    try:
        own = sorted(set(column.tolist()))
    except TypeError:
        raise ValueError(f"X must hold words, or numbers, in a column: {name!r} has both, or neither") from None
    return np.array(own, object if isinstance(own[0], str) else None)


def _none_missing(column, name):
    missing = np.array([_missing(value) for value in column.tolist()])
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(f"Input X contains NaN: row {row} of column {name!r} is missing; drop or impute such rows")


def _missing(value) -> bool:
    return value is None or type(value).__name__ == "NAType" or value != value
