"""Arrays in and out: NumPy for NumPy, JAX for JAX, and what speaks DLPack (torch, CuPy) in kind, without a copy.

Rows in host memory are padded up to a size met before, where there is one: a fold with one row more compiles nothing.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..files import too_large
from ..precision import compute_dtype
from ..sources import Stream, marked, rows

LEAST = 128  # rows: below, compiling a program is all that costs
_SIZES: dict[int, int] = {}  # rows asked for -> rows padded to: a process answers one number always alike


def source(X):
    """X, or the stream that it is. A memory map that memory can hold is an array: joblib hands arrays to its workers as
    maps, and they should mean the same there."""
    return np.asarray(X) if isinstance(X, np.memmap) and not too_large(X.nbytes) else marked(X)


def on_device(X) -> jax.Array | None:
    """X as a JAX array where it is one, or comes by DLPack; None where it is for scikit-learn to read."""
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
        return jnp.asarray(values)


def roomy(n: int) -> int:
    """Rows that n are padded to: the size last met that holds n and not a quarter more, else one of few with room.

    A new size has room for a sixteenth more rows, one that was met must have room for a sixty-fourth: folds that differ
    by a row agree, whichever comes first.
    """
    if n > checks.SMALL:
        return n
    if n in _SIZES:
        _SIZES[n] = _SIZES.pop(n)  # now the last
    else:
        met = (size for size in reversed(list(_SIZES.values())) if n + n // 64 < size <= n + n // 4)
        _SIZES[n] = next(met, checks.few_sizes(max(n + n // 16 + 1, LEAST)))
    return _SIZES[n]


def padded(x, *columns):
    """x (n, d) and columns (n, ...) with their last row repeated up to `roomy` rows; JAX arrays and streams as they
    are."""
    n = x.shape[0]
    if isinstance(x, (jax.Array, Stream)) or roomy(n) == n:
        return x, *columns
    index = np.minimum(np.arange(roomy(n)), n - 1)
    return x[index], *(column[index] for column in columns)


def weighted(x, sample_weight):
    """Rows x and their weights (n,); those of rows that stream are with their blocks, and None here."""
    if isinstance(x, Stream):
        return x if sample_weight is None else rows(x, sample_weight), None
    return x, weights(x, sample_weight)


def weights(x, sample_weight):
    """Weights (n,) of rows x in the dtype that they are fitted in, 1 where none are given."""
    given = on_device(sample_weight)
    with jax.enable_x64(True):  # or float64 would become float32
        return checks.weights(sample_weight if given is None else given, x.shape[0], compute_dtype(x))


def padded_weight(x, weight):
    """Weights (n,) with zeros for the rows that `padded` adds to x."""
    n = x.shape[0]
    if isinstance(x, (jax.Array, Stream)) or roomy(n) == n:
        return weight
    return np.concatenate([np.asarray(weight), np.zeros(roomy(n) - n, weight.dtype)])
