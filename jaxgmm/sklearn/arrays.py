"""Kinds of arrays: answers are NumPy's for NumPy's X, JAX's for JAX's, and torch's or CuPy's by DLPack, uncopied."""

import sys
from typing import TypeAlias

import jax
import numpy as np

from .. import checks
from ..data.files import too_large
from ..data.sources import Stream, marked, rows
from ..numerics.dtypes import compute_dtype
from ..numerics.dtypes import on_device as to_device

Array: TypeAlias = np.ndarray | jax.Array  # of the kind that an estimator was fitted to; torch's and CuPy's too


def source(X):
    """X, or the stream that it stands for. A memory map that memory can hold is taken for an array, because joblib
    passes arrays to its workers as memory maps."""
    return np.asarray(X) if isinstance(X, np.memmap) and not too_large(X.nbytes) else marked(X)


def on_device(X) -> jax.Array | None:
    """X as a JAX array, where it is one or of another library by DLPack; None where scikit-learn is to read it."""
    if isinstance(X, jax.Array):
        return X
    if isinstance(X, (np.ndarray, np.generic)) or not (hasattr(X, "__dlpack__") and hasattr(X, "ndim")):
        return None
    with jax.enable_x64(True):  # or float64 would arrive as float32
        return jax.dlpack.from_dlpack(X)


def maker(X):
    """The function that makes arrays of X's kind."""
    if isinstance(X, jax.Array):
        return _to_jax
    if on_device(X) is None:
        return np.asarray
    library = sys.modules[type(X).__module__.partition(".")[0]]
    return lambda values: library.from_dlpack(_to_jax(values))


def _to_jax(values):
    with jax.enable_x64(True):
        return to_device(values)


def weighted(x, sample_weight):
    """Rows x and their weights (n,). A stream has its weights in its blocks, and None here."""
    if isinstance(x, Stream):
        return x if sample_weight is None else rows(x, sample_weight), None
    return x, weights(x, sample_weight)


def weights(x, sample_weight):
    """Weights (n,) of rows x in the dtype of the fit, 1 where none are given."""
    given = on_device(sample_weight)
    with jax.enable_x64(True):  # or float64 would become float32
        return checks.weights(sample_weight if given is None else given, x.shape[0], compute_dtype(x))
