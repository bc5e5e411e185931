"""Where EM starts: k centres among the points of the data, on the device, weighted.

    k-means++    rows drawn by weight times squared distance from those before it, each the best of some
    kmeans       k-means++, then Lloyd's iterations until the centres rest
    random       rows drawn by weight, distinct in value while there are k such
    auto         the three in turn

``points`` maps framed rows (d, b) to the points (p, b) in which distance is measured. A draw belongs to its row:
blocks, padding and dtype do not change it. Of many rows a weighted `sample` stands for all.

Starts of one kind fail alike: where a few rows lie far out, k-means++ and k-means never put two centres among the
others, however many starts they have; where many components overlap, random rows seldom find them all.

Source: Arthur and Vassilvitskii (2007) for k-means++, in the greedy variant of the authors' program; Lloyd (1982).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows
from ..numerics import divide, eps, first_of_largest, product
from ..numerics.backend import xp
from ..numerics.host import hosted, repeat_while
from ..numerics.keys import fold_in, row_noise

LLOYD_ITERATIONS = 50
TRIED = 4  # rows drawn for one centre of k-means++
KINDS = "k-means++", "random", "kmeans"  # in the order in which "auto" takes them
INITIALIZERS = "auto", *KINDS
REST = 1e-6  # a shift of the centres, in the frame, that no longer matters to EM


def kinds(init: str, r: int) -> np.ndarray:
    """The kind of each of r starts (r,); the first do not depend on how many there are."""
    return np.array([KINDS[i % len(KINDS)] if init == "auto" else init for i in range(r)])


def lloyd(rows: Rows, points, centres, active):
    """Lloyd's iterations from centres (k, p), those marked active (k,). Cost: O(n·k·p) an iteration."""

    def moving(state):
        _, shift, i = state
        return (shift > REST) & (i < LLOYD_ITERATIONS)

    def step(state):
        old, _, i = state
        offset = xp.where(active, (old**2).sum(1) / 2, np.inf)
        farthest = xp.where(active, offset, 0).max()

        def assign(block):
            p, weight = points(block.x), block.weight
            closeness = product(old, p) - offset[:, None]  # ½ ‖p‖² - ½ ‖p - c‖², by a product rather than differences
            top = closeness.max(0, keepdims=True)
            tied = closeness >= top - 16 * eps(p) * (xp.abs(top) + farthest)  # a row between two counts for both
            resp = xp.where(tied, weight[None], 0)
            return resp.sum(1), product(resp, p.T)

        [(counts, sums)] = rows.sum(assign)
        new = xp.where(counts[:, None] > 0, divide(sums, counts), old)
        return new, xp.abs(new - old).max(), i + 1

    infinite = np.full((), np.inf, centres.dtype)
    return repeat_while(moving, step, (centres, infinite, np.int32(0)))[0]


def nearest(p, centres, active):
    """One-hot (k, b) of the nearest active centre of every point (p, b); ties go to the lowest index."""
    distance = ((p[..., None, :, :] - centres[..., None]) ** 2).sum(-2)
    index = first_of_largest(xp.where(active[..., None], -distance, -np.inf), -2)
    return (index[..., None, :] == np.arange(centres.shape[-2])[:, None]).astype(p.dtype)


def distinct(centres):
    """Whether no two centres (k, p) are the same, ()."""
    same = (centres[:, None] == centres[None]).all(-1)
    return same.sum() == centres.shape[0]


def sequence(key, rows: Rows, points, k: int, kind):
    """Draw k rows one after the other, by weight at first; then, where ``spread``, by weight times squared distance
    from those so far, else by weight among the rows that differ from them.

    Where ``spread``, of ``tried`` rows drawn so the one that leaves the least of Σ w distance² becomes a centre. Two
    passes over the rows a draw, or one where there is no choice: the distances from the centres so far are all that is
    kept of a row. ``kind`` is (spread, tried). Cost: O(n·k·p).
    """
    spread, tried = kind
    if hosted():
        return _sequence_on_host(key, rows, points, k, kind)
    tried = min(tried, rows.block)
    first = points(rows.framed(rows.x[:1]))

    def nobody(count):  # noisy logits and rows
        return rows.varying((jnp.full(count, -jnp.inf, jnp.float32), jnp.zeros(count, jnp.int32)))

    def draw(i, state):
        centres, distance = state
        noise_key = fold_in(key, i)
        last = centres[i - 1]

        def look(block, carry):
            distance, wanted, anyone = carry
            start = rows.start(block).astype(jnp.int32)
            some = rows.take(block)
            old = jax.lax.dynamic_slice_in_dim(distance, start, rows.block)
            new = jnp.where(i == 0, old, jnp.minimum(old, ((points(some.x) - last[:, None]) ** 2).sum(0)))
            distance = jax.lax.dynamic_update_slice_in_dim(distance, new, start, 0)
            index = rows.global_rows(start + jnp.arange(rows.block))
            noisy = jnp.log(some.weight).astype(jnp.float32) + row_noise(noise_key, *index)
            preferred = jnp.where(i == 0, noisy, noisy + preference(spread, new).astype(jnp.float32))
            return distance, _best(wanted, preferred, start), _best(anyone, noisy, start)

        distance, *found = jax.lax.fori_loop(0, rows.n_blocks, look, (distance, nobody(tried), nobody(1)))
        (wanted, among), (_, anyone) = (_everywhere(rows, points, *each) for each in found)
        best = 0
        if tried > 1:
            left = jnp.where(wanted > -jnp.inf, _left(rows, points, distance, among), jnp.inf)
            best = jnp.where((i == 0) | jnp.logical_not(spread), 0, first_of_largest(-left))
        centre = jnp.where(wanted[0] > -jnp.inf, among[best], anyone[0])  # or no distinct row is left
        return centres.at[i].set(centre), distance

    distance = rows.varying(jnp.full(rows.n, jnp.inf, first.dtype))
    return jax.lax.fori_loop(0, k, draw, (jnp.zeros((k, first.shape[0]), first.dtype), distance))[0]


def _sequence_on_host(key, rows: Rows, points, k: int, kind):
    """As `sequence`, in NumPy."""
    spread, tried = kind
    p, weight = points(rows.framed(rows.x)), rows.weight
    log_weight = np.log(weight).astype(np.float32)
    centres, distance = np.zeros((k, len(p)), p.dtype), np.full(p.shape[1], np.inf, p.dtype)
    for i in range(k):
        if i:
            distance = np.minimum(distance, ((p - centres[i - 1][:, None]) ** 2).sum(0))
        noisy = log_weight + row_noise(fold_in(key, i), np.arange(p.shape[1]))
        preferred = noisy + preference(spread, distance).astype(np.float32) if i else noisy
        best = int(np.argmax(preferred))
        if preferred[best] == -np.inf:  # no distinct row is left
            best = int(np.argmax(noisy))
        elif i and spread and tried > 1:
            among = np.argsort(-preferred, kind="stable")[:tried]
            left = [np.minimum(distance, ((p - p[:, [row]]) ** 2).sum(0)) @ weight for row in among]
            best = int(among[np.argmin(np.where(preferred[among] > -np.inf, left, np.inf))])
        centres[i] = p[:, best]
    return centres


def _best(best, noisy, start):
    """The largest logits (t,) of those so far and of a block that begins with row ``start``, and their rows; of equal
    ones the first."""
    values, index = jax.lax.top_k(noisy, best[0].shape[0])
    values, rows = jnp.concatenate([best[0], values]), jnp.concatenate([best[1], start + index])
    values, index = jax.lax.top_k(values, best[0].shape[0])
    return values, rows[index]


def _everywhere(rows: Rows, points, values, index):
    """The largest logits (t,) of those of all devices, and the points (t, p) of their rows."""
    found = points(rows.framed(rows.x[index])).T
    values, found = rows.everyones((values, found))
    values, index = jax.lax.top_k(values, index.shape[0])
    return values, found[index]


def _left(rows: Rows, points, distance, among):
    """Σ w distance² (t,) that would be left if one of these points (t, p) became a centre too."""

    def left(block):
        there = ((points(block.x)[None] - among[:, :, None]) ** 2).sum(1)
        return product(jnp.minimum(block.columns["distance"][None], there), block.weight)

    return rows.sum(left, distance=distance)[0]


def preference(spread, distance):
    """What squared distances (b,) from the centres so far add to the log of a row's chance."""
    return xp.where(spread, xp.log(distance), xp.where(distance > 0, 0.0, -np.inf))
