"""Matrix products, sums over rows, division, and products of features, accurate in float32 and float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from .backend import is_jax, product, xp

LOG_ZERO = -1e28  # log 0 inside products, where -inf * 0 would be NaN; far below any log density
LOG_2PI = float(np.log(2 * np.pi))


def eps(x) -> float:
    """Rounding unit of x's dtype."""
    return float(np.finfo(x.dtype).eps)


def _narrow(a, b):
    """a @ bᵀ by the product whose right operand has fewer rows."""
    if a.shape[0] > b.shape[0]:
        return product(a, b.T)
    return jax.lax.optimization_barrier(product(b, a.T)).T  # without the barrier XLA swaps the operands back


_in_lanes = jax.custom_batching.custom_vmap(_narrow)


@_in_lanes.def_vmap
def _narrow_in_lanes(axis_size, in_batched, a, b):
    of_a, of_b = in_batched
    if of_a and not of_b:
        return _in_lanes(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[0]), True
    return jax.vmap(_narrow, (0 if of_a else None, 0))(a, b), True


def over_rows(a, b):
    """a @ bᵀ, sums over the rows of a block. (..., m, n), (..., k, n) -> (..., m, k).

    XLA's products on a CPU copy their right operand, so the one with fewer rows stands there. Under a ``vmap`` over a
    alone, lanes become more rows of a in one product; XLA would transpose them first.
    """
    return _over_rows(a, b) if is_jax(a, b) else product(a, b.swapaxes(-1, -2))


_over_rows = jax.custom_jvp(_in_lanes)


@_over_rows.defjvp
def _jvp(primals, tangents):
    (a, b), (da, db) = primals, tangents
    return _over_rows(a, b), _narrow(da, b) + _narrow(a, db)


def squared(y):
    """Σ_d y², (..., d, b) -> (..., b). NumPy makes no array of the squares."""
    return (y**2).sum(-2) if is_jax(y) else np.einsum("...db,...db->...b", y, y)


def with_axes(value, ndim: int):
    """The array with new axes of length 1 at its end, so that it has ``ndim``."""
    return value if value.ndim == ndim else value.reshape(value.shape + (1,) * (ndim - value.ndim))


def pooled(weights, values):
    """Σ_k w_k v_k. (..., k), (..., k, *) -> (..., *)."""
    if weights.ndim == 1 and values.ndim == 2:
        return product(weights, values)
    flat = values.reshape(*values.shape[: weights.ndim], -1)
    return product(weights[..., None, :], flat).reshape(*weights.shape[:-1], *values.shape[weights.ndim :])


def divide(total, count):
    """total / count, and 0 where count is 0. (..., *), (...) -> (..., *)."""
    count = with_axes(count, total.ndim)
    if not is_jax(total, count):
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return xp.where(count > 0, total, 0) / xp.where(count > 0, count, 1)


def first_of_largest(values, axis: int = 0):
    """Index (int32) of the largest value along an axis: the first of equal values; NaN counts as largest.

    It is ``argmax``, which JAX cannot compile in float64 inside a caller's jit with x64 mode off.
    """
    if not is_jax(values):
        return np.argmax(values, axis).astype(np.int32)
    values, axis = jax.lax.stop_gradient(values), axis % values.ndim
    index = jax.lax.broadcasted_iota(np.int32, values.shape, axis)

    def larger(one, other):
        (value, i), (rival, j) = one, other
        first = i < j
        holds = (value > rival) | ((value == rival) & first)
        holds = jnp.where(jnp.isnan(rival), jnp.isnan(value) & first, holds | jnp.isnan(value))
        return jnp.where(holds, value, rival), jnp.where(holds, i, j)

    nothing = np.asarray(-np.inf, values.dtype), np.asarray(np.iinfo(np.int32).max, np.int32)
    return jax.lax.reduce((values, index), nothing, larger, (axis,))[1]


def keep_empty(counts, new, old):
    """``new`` for components whose count is positive, ``old`` for empty ones. counts (..., k), both (..., k, *)."""
    held = counts > 0
    return new if not is_jax(held) and held.all() else xp.where(with_axes(held, new.ndim), new, old)


def monomials(x, i, j):
    """Products x_i x_j of every row of a block, where x_0 = 1 and x_1 .. x_d are the features.

    (..., d, b), f × 2 -> (..., f, b).

    JAX multiplies two gathers, which on a CPU costs half of what joining slices does. Under ``vmap`` over data sets it
    joins slices, because XLA makes a batched gather element by element, and twice.
    """
    runs = _runs(i.tobytes(), j.tobytes(), i.dtype.str)
    if not is_jax(x):
        products, filled = np.empty((*x.shape[:-2], len(i), x.shape[-1]), x.dtype), 0
        for i, j in runs:
            run, filled = products[..., filled : filled + len(i), :], filled + len(i)
            right = x[..., j[0] - 1 : j[-1], :]
            if i[-1] == 0:
                run[...] = right
            else:
                np.multiply(x[..., i[0] - 1 : i[-1], :], right, out=run)
        return products
    i, j = i.astype(np.int32), j.astype(np.int32)  # under x64 a gather by int64 takes longer

    def extended(x, first=1.0):
        return jnp.concatenate([jnp.full_like(x[:1], first), x])

    @jax.custom_batching.custom_vmap
    def gathered(x):
        x = extended(x)
        return x[i] * x[j]

    @gathered.def_vmap
    def sliced(axis_size, in_batched, x):
        def joined(x):
            return jnp.concatenate([_run(extended(x), *run) for run in runs])

        return jax.vmap(joined)(x), True

    products = jax.custom_jvp(gathered)

    @products.defjvp
    def moved(primals, tangents):
        value, tangent = extended(*primals), extended(*tangents, first=0.0)
        return products(*primals), value[i] * tangent[j] + tangent[i] * value[j]

    return products(x)


@functools.lru_cache(256)
def _runs(i: bytes, j: bytes, dtype: str) -> list:
    """The products of `monomials` cut into runs (i, j): in a run j rises by 1, and i rises by 1 or stays."""
    i, j = np.frombuffer(i, dtype), np.frombuffer(j, dtype)
    begins, step = [0], None
    for at in range(1, len(i)):
        by = i[at] - i[at - 1]
        if j[at] - j[at - 1] != 1 or by not in (0, 1) or step not in (None, by):
            begins.append(at)
            step = None
        else:
            step = by
    return list(zip(np.split(i, begins[1:]), np.split(j, begins[1:]), strict=True))


def _run(x, i, j):
    """x_i x_j of one run of `_runs`, by slices."""
    left = x[i[0] : i[0] + 1] if i[0] == i[-1] else x[i[0] : i[-1] + 1]
    return left * x[j[0] : j[-1] + 1]


def safe_log(p):
    """log p, and the finite LOG_ZERO where p is 0, for use inside matrix products."""
    return xp.where(p > 0, xp.log(xp.where(p > 0, p, 1)), LOG_ZERO)


def two_sum(total, lost, term):
    """One compensated addition: the new total, and the sum of rounding errors so far (Knuth, TAOCP 2, 4.2.2)."""
    new = total + term
    virtual = new - total
    error = (total - (new - virtual)) + (term - virtual)
    return new, lost + xp.where(xp.isfinite(new), error, 0)
