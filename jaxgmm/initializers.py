"""Where EM starts: k centres among the points of the data, on the device, weighted.

Every initialiser is ``(key, rows, points, k) -> centres (k, p)``; ``points`` maps framed rows (b, d) to the points
(b, p) in which distance is measured. A draw belongs to its row: blocks, padding and dtype do not change it.

Source: Arthur and Vassilvitskii (2007) for k-means++; Lloyd (1982).
"""

import jax
import jax.numpy as jnp

from .drivers.memory import Rows, each, total
from .numerics import divide, product

LLOYD_ITERATIONS = 50
REST = 1e-6  # a shift of the centres, in the frame, that no longer matters to EM


def threefry(key):
    """Any key, typed or raw, as a typed threefry key: its first draws do not depend on how many are made."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    if str(jax.random.key_impl(key)) == "threefry2x32":
        return key
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")


def random(key, rows: Rows, points, k: int):
    """k rows drawn by weight, distinct in value while there are k such."""
    return _sequence(key, rows, points, k, lambda distance: jnp.where(distance > 0, 0.0, -jnp.inf))


def k_means_plus_plus(key, rows: Rows, points, k: int):
    """k rows, each drawn by weight times squared distance from those before it. Cost: O(n·k·p)."""
    return _sequence(key, rows, points, k, lambda distance: jnp.log(distance))


def k_means(key, rows: Rows, points, k: int):
    """k-means++, then Lloyd's iterations until the centres rest. Cost: O(n·k·p) an iteration."""
    return lloyd(rows, points, k_means_plus_plus(key, rows, points, k), jnp.ones(k, bool))


def lloyd(rows: Rows, points, centres, active):
    """Lloyd's iterations from centres (k, p), those marked active (k,)."""

    def moving(state):
        _, shift, i = state
        return (shift > REST) & (i < LLOYD_ITERATIONS)

    def step(state):
        old, _, i = state

        def assign(x, weight):
            p = points(x)
            resp = nearest(p, old, active) * weight[:, None]
            return resp.sum(0), product(resp.T, p)

        counts, sums = total(rows, assign)
        new = jnp.where(counts[:, None] > 0, divide(sums, counts), old)
        return new, jnp.abs(new - old).max(), i + 1

    infinite = jnp.full((), jnp.inf, centres.dtype)
    return jax.lax.while_loop(moving, step, (centres, infinite, jnp.zeros((), jnp.int32)))[0]


def nearest(p, centres, active):
    """One-hot (b, k) of the nearest active centre of every point (b, p); ties go to the lowest index."""
    distance = ((p[:, None, :] - centres[None]) ** 2).sum(-1)
    index = jnp.argmin(jnp.where(active[None], distance, jnp.inf), axis=1)
    return (index[:, None] == jnp.arange(centres.shape[0])[None]).astype(p.dtype)


def _sequence(key, rows, points, k, preference):
    """Draw k rows one after the other: by weight at first, then by weight and ``preference(distance²)``."""
    n = rows.x.shape[0]
    log_weight = jnp.where(rows.weight > 0, jnp.log(jnp.where(rows.weight > 0, rows.weight, 1)), -jnp.inf)
    first = points(rows.framed(rows.x[:1]))

    def draw(key, logits):
        noise = jax.random.gumbel(key, (n,), jnp.float32, mode="high")
        return jnp.argmax(logits.astype(jnp.float32) + noise)

    def step(i, state):
        centres, distance = state
        logits = jnp.where(i == 0, log_weight, log_weight + preference(distance))
        logits = jnp.where((logits > -jnp.inf).any(), logits, log_weight)  # no distinct row is left
        row = draw(jax.random.fold_in(key, i), logits)
        centre = points(rows.framed(jax.lax.dynamic_slice_in_dim(rows.x, row, 1)))[0]  # (p,)
        new = each(rows, lambda x, weight: ((points(x) - centre[None]) ** 2).sum(-1))
        return centres.at[i].set(centre), jnp.minimum(distance, new)

    start = jnp.zeros((k, first.shape[1]), first.dtype), jnp.full(n, jnp.inf, first.dtype)
    return jax.lax.fori_loop(0, k, step, start)[0]


INITIALIZERS = {"k-means++": k_means_plus_plus, "kmeans": k_means, "random": random}
