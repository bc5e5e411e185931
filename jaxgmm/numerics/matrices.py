"""Symmetric matrices: packed triangles, Cholesky factors, and covariances made positive definite."""

import functools

import numpy as np

from .backend import xp
from .factors import cholesky, triangular_inverse
from .host import nowhere
from .products import eps


@functools.cache
def upper(d: int):
    """Row and column numbers (f,) of the upper triangle of a (d, d) matrix, f = d(d+1)/2, and for every entry of the
    whole matrix its place in the triangle (d, d). They are int32: int64 would change its dtype with JAX's x64 mode."""
    i, j = (index.astype(np.int32) for index in np.triu_indices(d))
    position = np.zeros((d, d), np.int32)
    position[i, j] = position[j, i] = np.arange(len(i))
    return i, j, position


@functools.cache
def lower(d: int):
    """Rows and columns of a lower triangle, row after row: 2 × (d(d+1)/2,)."""
    return tuple(index.astype(np.int32) for index in np.tril_indices(d))


def pack(matrix):
    """Upper triangle of a symmetric matrix. (..., d, d) -> (..., d(d+1)/2)."""
    i, j, _ = upper(matrix.shape[-1])
    return matrix[..., i, j]


def unpack(packed):
    """Symmetric matrix of a packed triangle. (..., d(d+1)/2) -> (..., d, d)."""
    d = (int(np.sqrt(8 * packed.shape[-1] + 1)) - 1) // 2
    return packed[..., upper(d)[2]]


def diagonal(matrix):
    """Diagonals of matrices. (..., d, d) -> (..., d)."""
    return xp.diagonal(matrix, axis1=-2, axis2=-1)


def with_diagonal(values):
    """Diagonal matrices. (..., d) -> (..., d, d)."""
    return values[..., None] * np.eye(values.shape[-1], dtype=values.dtype)[(None,) * (values.ndim - 1)]


def whitening(covariances):
    """Triangular factors L of Σ = L Lᵀ, their inverses, and ½ log|Σ|. (..., d, d) -> 2 × (..., d, d), (...,).

    Factor once and pass the results on: on CPU jax 0.10.2 deadlocks where two factorisations or solves that do not
    depend on each other meet in one program (each waits in ParallelBatchMap for a thread that the other holds).
    """
    lower = cholesky(covariances)
    return lower, triangular_inverse(lower), xp.log(diagonal(lower)).sum(-1)


def hold_in(dtype, covariances):
    """Whether covariances rounded to a dtype still have a Cholesky factor. (..., d, d) -> (...,)."""
    d, variances = covariances.shape[-1], diagonal(covariances)
    scale = xp.sqrt(xp.where(variances > 0, variances, 1))
    pivots = diagonal(cholesky(covariances / (scale[..., :, None] * scale[..., None, :]))) ** 2
    return (pivots >= 4 * d * float(np.finfo(dtype).eps)).all(-1)  # NaN compares False


def ridge(covariances):
    """The least pivot that a correlation matrix keeps: smaller ones are rounding."""
    return 10 * covariances.shape[-1] * eps(covariances)


def positive_definite(covariances, floor):
    """Covariances that have a Cholesky factor. (..., d, d), (..., d) -> (..., d, d).

    1. Variances below ``floor`` (..., d) are raised to it.
    2. Where the least pivot of the *correlation* matrix is below the `ridge`, that much is added to its diagonal.
    3. Where there is still no factor, rounding has spoilt the matrix: its off-diagonal entries become 0.
    """
    held = xp.maximum(diagonal(covariances), floor)
    scale = xp.sqrt(held)
    correlations = covariances / (scale[..., :, None] * scale[..., None, :])
    off_diagonal = correlations - with_diagonal(diagonal(correlations))
    ones = xp.ones_like(held)
    factor = cholesky(off_diagonal + with_diagonal(ones))
    least = xp.min(diagonal(factor) ** 2, axis=-1)
    least_pivot = ridge(covariances)
    lift = xp.where(least >= least_pivot, 0, xp.full_like(least, least_pivot))  # NaN compares False
    as_it_is = nowhere(lift)
    lifted = factor if as_it_is else cholesky(off_diagonal + with_diagonal(ones + lift[..., None]))
    exists = xp.isfinite(lifted).all((-2, -1))
    new = xp.where(exists[..., None], held * (1 + lift[..., None]), held)
    kept = xp.where(exists[..., None, None], off_diagonal, 0) * (scale[..., :, None] * scale[..., None, :])
    return kept + with_diagonal(new)
