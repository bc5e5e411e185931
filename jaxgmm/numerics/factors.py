"""Cholesky factors of symmetric matrices and their inverses. NumPy factors large matrices tile by tile.

In LAPACK's factorisation of a large matrix the threads of the BLAS wait for each other hundreds of times, on a busy
machine for seconds. A tile is small enough for one thread, and tiles are joined by products. Compiled code calls LAPACK
for the whole matrix: XLA takes four times as long for the tiles.
"""

import jax
import jax.numpy as jnp
import numpy as np

from .backend import is_jax

TILE = 64  # rows of a square that OpenBLAS factors in one thread, and multiplies so: up to 64³ multiplications


def cholesky(matrices):
    """Lower factors of symmetric matrices, NaN where a matrix has none. (..., d, d) -> same."""
    if is_jax(matrices):
        return jnp.linalg.cholesky(matrices)
    if matrices.shape[-1] > 2 * TILE:
        return _by_tiles(matrices)
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:  # some matrix of the stack has no factor: halve the stack until it stands alone
        flat = matrices.reshape(-1, *matrices.shape[-2:])
        if len(flat) == 1:
            return np.full_like(matrices, np.nan)
        half = len(flat) // 2
        return np.concatenate([cholesky(flat[:half]), cholesky(flat[half:])]).reshape(matrices.shape)


def triangular_inverse(lower):
    """Inverses of lower triangular matrices. (..., d, d) -> same."""
    identity = np.broadcast_to(np.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
    if is_jax(lower):
        return jax.lax.linalg.triangular_solve(lower, identity, left_side=True, lower=True)
    if lower.shape[-1] > 2 * TILE:
        return _doubled(lower)
    inverse = np.zeros_like(lower)
    for i in range(lower.shape[-1]):  # forward substitution, all matrices at once
        above = np.matmul(lower[..., i, None, :i], inverse[..., :i, :])[..., 0, :]
        inverse[..., i, :] = (identity[..., i, :] - above) / lower[..., i, i, None]
    return inverse


def _by_tiles(matrices):
    """Lower factors, one column of tiles after the other.

    The tiles below a diagonal tile are multiplied by its inverse. One step of refinement makes that as accurate as a
    substitution.
    """
    columns, rest = [], matrices
    for start in range(0, matrices.shape[-1], TILE):
        factor, below = cholesky(rest[..., :TILE, :TILE]), rest[..., TILE:, :TILE]
        upper, inverse = _transposed(factor), _transposed(_doubled(factor))
        first = _in_tiles(below, inverse)
        solved = first + _in_tiles(below - _in_tiles(first, upper), inverse)
        nothing = np.zeros_like(matrices[..., :start, start : start + TILE])
        columns.append(np.concatenate([nothing, factor, solved], axis=-2))
        rest = rest[..., TILE:, TILE:] - _in_tiles(solved, _transposed(solved))
    return np.concatenate(columns, axis=-1)


def _doubled(lower):
    """Inverses of lower triangular matrices, by inverses of diagonal blocks that double in size at each step.

    [[A, 0], [B, C]]⁻¹ = [[A⁻¹, 0], [-C⁻¹ B A⁻¹, C⁻¹]]
    """
    d, batch, size = lower.shape[-1], lower.shape[:-2], 1
    whole = 1 << (d - 1).bit_length()
    fill = np.diag(np.arange(whole) >= d).astype(lower.dtype)
    lower = np.pad(lower, [*[(0, 0)] * len(batch), (0, whole - d), (0, whole - d)]) + fill
    inverse = 1 / np.diagonal(lower, axis1=-2, axis2=-1)[..., None, None]  # (..., blocks, size, size)
    while size < whole:
        pairs = whole // size // 2
        between = lower.reshape(*batch, pairs, 2, size, pairs, 2, size)[..., 1, :, :, 0, :]
        between = np.moveaxis(np.diagonal(between, axis1=-4, axis2=-2), -1, -3)
        first, second = inverse[..., 0::2, :, :], inverse[..., 1::2, :, :]
        below = -_in_tiles(_in_tiles(second, between), first)
        halves = np.concatenate([first, np.zeros_like(first)], axis=-1), np.concatenate([below, second], axis=-1)
        inverse, size = np.concatenate(halves, axis=-2), 2 * size
    return inverse[..., 0, :d, :d]


def _in_tiles(a, b):
    """a @ b as sums of products of tiles, each small enough for one thread of the BLAS."""
    if max(*a.shape[-2:], b.shape[-1]) <= TILE:
        return a @ b
    out = np.zeros((*a.shape[:-1], b.shape[-1]), a.dtype)
    rows, inner, columns = (
        [slice(start, start + TILE) for start in range(0, size, TILE)] for size in (*a.shape[-2:], b.shape[-1])
    )
    for i in rows:
        for j in columns:
            for p in inner:
                out[..., i, j] += a[..., i, p] @ b[..., p, j]
    return out


def _transposed(matrix):
    return np.swapaxes(matrix, -1, -2)
