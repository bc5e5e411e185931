"""Symmetric matrices: packed triangles, factors, and what makes a covariance positive definite."""

import functools

import numpy as np

from .backend import xp
from .factors import cholesky, triangular_inverse
from .host import nowhere
from .products import eps


@functools.cache
def upper(d: int):
    """Rows and columns of an upper triangle (f,), and where its numbers lie in the whole matrix (d, d)."""
    i, j = (index.astype(np.int32) for index in np.triu_indices(d))  # int64 would trace as what x64 was at first
    position = np.zeros((d, d), np.int32)
    position[i, j] = position[j, i] = np.arange(len(i))
    return i, j, position


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
    """Whether covariances keep a Cholesky factor where they are rounded to a dtype. (..., d, d) -> (...,)."""
    d, variances = covariances.shape[-1], diagonal(covariances)
    scale = xp.sqrt(xp.where(variances > 0, variances, 1))
    pivots = diagonal(cholesky(covariances / (scale[..., :, None] * scale[..., None, :]))) ** 2
    return (pivots >= 4 * d * float(np.finfo(dtype).eps)).all(-1)  # NaN compares False


def ridge(covariances):
    """The least pivot that a correlation matrix keeps: smaller ones are rounding."""
    return 10 * covariances.shape[-1] * eps(covariances)


def positive_definite(covariances, floor):
    """Covariances whose Cholesky factor exists. (..., d, d), (..., d) -> (..., d, d).

    No variance is below ``floor``; where a pivot of the *correlation* matrix is below the `ridge` it gets one of that
    size; where rounding has broken it beyond that, its off-diagonal goes.
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
