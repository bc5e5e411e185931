"""A sample that stands for many rows: of every stretch of consecutive rows one, drawn by weight."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows
from ..data.padding import padded_rows
from ..numerics.host import hosted
from ..numerics.keys import here, row_noise

SAMPLED = 2**15  # rows of a sample on which fits run: a thousand for each of 32 components
DRAWN, A_CENTRE, A_NUMBER = 2**13, 256, 40  # rows to draw from, at least: in all, for a centre, for its every number
AT_ONCE = 2**18  # rows that are read together on the host
A_PARAMETER = 8  # rows for each parameter, where whole fits run on the sample


def sample(key, rows: Rows, size: int) -> Rows:
    """About ``size`` of the rows, each drawn by weight from a stretch of consecutive rows, with the stretch's weight.

    Few rows are returned as they are. Cost: O(n).
    """
    n, layout = rows.n, rows.layout
    size, length = stretches(rows.n_everywhere, size)
    if length == 1:
        return rows
    if hosted():
        return _sample_on_host(key, rows, size, length)
    here = size if layout is None else (n + length - 2) // length + 1  # stretches that one device may have rows of
    first = length * jnp.arange(here, dtype=jnp.int32)
    if layout is not None:
        first -= layout.mine([first % length for first in layout.firsts])

    def look(i, state):
        best, chosen, whole = state
        row = jnp.clip(first + i, 0, n - 1)
        weight = jnp.where(row == first + i, rows.weight[row], 0)
        noisy = jnp.log(weight).astype(jnp.float32) + row_noise(key, *rows.global_rows(row))
        return jnp.maximum(best, noisy), jnp.where(noisy > best, row, chosen), whole + weight

    nothing = rows.varying((jnp.full(here, -jnp.inf, jnp.float32), jnp.zeros(here, rows.weight.dtype)))
    start = nothing[0], jnp.clip(first, 0, n - 1), nothing[1]
    best, chosen, weight = jax.lax.fori_loop(0, length, look, start)
    x = rows.x[chosen]
    if layout is not None:
        x, weight = _joined(layout, (size, length), best, x.astype(rows.dtype), weight)
    return dataclasses.replace(rows, x=x, weight=weight, block=min(rows.block, size), layout=None)


def _sample_on_host(key, rows: Rows, size: int, length: int) -> Rows:
    """As `sample`, in NumPy."""
    n, together = rows.n, max(AT_ONCE // length, 1)
    chosen, weight = np.empty(size, int), np.empty(size, rows.weight.dtype)
    for first in range(0, size, together):
        last = min(first + together, size)
        index = np.arange(first * length, last * length).reshape(-1, length)
        held = np.where(index < n, rows.weight[np.minimum(index, n - 1)], 0)
        noisy = np.log(held).astype(np.float32) + row_noise(here(key), index.ravel()).reshape(index.shape)
        chosen[first:last] = np.minimum(noisy.argmax(1) + index[:, 0], n - 1)
        weight[first:last] = held.sum(1)
    return dataclasses.replace(rows, x=rows.x[chosen], weight=weight, block=size)


def _joined(layout, stretches: tuple[int, int], best, x, weight):
    """Rows (size, d) and weights of all stretches, from those that each device has rows of."""
    size, length = stretches
    place = layout.mine([first // length for first in layout.firsts])

    def among_all(part, fill):
        whole = jnp.full((size + part.shape[0], *part.shape[1:]), fill, part.dtype)
        return jax.lax.dynamic_update_slice_in_dim(whole, part, place, 0)[:size]

    x = layout.of_best(among_all(best, -jnp.inf), among_all(x, 0))
    return x, layout.whole(among_all(weight, 0))


def stretches(n: int, size: int) -> tuple[int, int]:
    """Number of stretches into which n rows are cut, and the rows of one: 1 where there are few rows."""
    n = padded_rows(n)  # the same number in memory, in a stream and on a mesh
    return (n, 1) if n <= 2 * size else (size, -(-n // size))


def enough_to_draw(k: int, d: int) -> int:
    """Rows of a sample from which k centres of d features are drawn."""
    wanted = max(DRAWN, _power_of_two(k * max(A_CENTRE, A_NUMBER * d)))
    return max(min(wanted, SAMPLED), 32 * _power_of_two(k))


def enough_to_fit(form, d: int, k: int) -> int:
    """Rows of a sample on which starts of k components run before they run on all rows."""
    return max(SAMPLED, 32 * _power_of_two(k), _power_of_two(A_PARAMETER * k * form.width(d, 1)))


def _power_of_two(number: int) -> int:
    """The least power of two that is not below a positive number."""
    return 1 << (number - 1).bit_length()


def has_distinct(rows: Rows, k: int) -> bool:
    """Whether k of the rows of positive weight differ."""
    x = np.asarray(rows.x)[np.asarray(rows.weight) > 0]
    return any(len(np.unique(x[:count], axis=0)) >= k for count in (4 * k, len(x)))  # the first rows mostly suffice
