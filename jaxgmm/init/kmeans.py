"""Where EM starts: k centres among the points of the data, on the device, weighted.

    k-means++    rows drawn by weight times squared distance from those before it, each the best of some
    kmeans       k-means++, then Lloyd's iterations until the centres rest
    random       rows drawn by weight, distinct while there are k distinct rows
    spread       rows drawn by weight times the root of their distance from those before
    auto         k-means, spread rows and k-means++ in turn; the first is the likeliest of four k-means

``points`` maps framed rows (d, b) to the points (p, b) between which distance is measured. The random number of a row
depends on its index alone, so blocks, padding and dtype do not change what is drawn. Centres of many rows are drawn
from a weighted sample (`init.subsample`).

Starts of one kind fail alike: where a few rows lie far out, k-means++ and k-means never put two centres among the
others, however many starts they have, and random rows seldom put one among the few; where many components overlap,
random and spread rows seldom find them all.

Source: Arthur and Vassilvitskii (2007) for k-means++, in the greedy variant of the authors' program; Lloyd (1982).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows
from ..numerics import divide, eps, first_of_largest, product
from ..numerics.backend import xp
from ..numerics.host import hosted
from ..numerics.keys import fold_in, row_noise

LLOYD_ITERATIONS = 50
CANDIDATES = 4  # rows drawn for one centre of k-means++
POWERS = {"kmeans": 1.0, "k-means++": 1.0, "random": 0.0, "spread": 0.25}  # of squared distance, in a row's chance
TURNS = "kmeans", "spread", "k-means++"  # the kinds of "auto"; a single start ends best from k-means
TRIES = 4  # draws of the first start of "auto", the likeliest of which is kept
INITIALIZERS = "auto", *POWERS
REST = 1e-6  # a shift of the centres, in the frame, that no longer matters to EM


def kinds(init: str, draws: int) -> np.ndarray:
    """The kind of each of the draws of starts (draws,); the first do not depend on how many there are."""
    return np.array([TURNS[max(i - TRIES + 1, 0) % len(TURNS)] if init == "auto" else init for i in range(draws)])


def powers(init: str, draws: int) -> np.ndarray:
    """The power of squared distance in the chance of a row, for each of the draws, (draws,)."""
    return np.array([POWERS[kind] for kind in kinds(init, draws)], np.float32)


def lloyd(rows: Rows, points, centres, active):
    """Centres (l, k, p) of many lanes after Lloyd's iterations, each lane's until they rest; ``active`` (l, k).
    Cost: O(n·k·p) an iteration of a lane."""
    if hosted():
        centres, moving = centres.copy(), np.arange(len(centres))
        for _ in range(LLOYD_ITERATIONS):
            centres[moving], shift = _moved(rows, points, centres[moving], active[moving])
            moving = moving[shift > REST]
            if not len(moving):
                break
        return centres

    def moving(state):
        _, shift, i = state
        return (shift > REST).any() & (i < LLOYD_ITERATIONS)

    def step(state):
        centres, shift, i = state
        new, now = jax.vmap(lambda *lane: _moved(rows, points, *lane))(centres, active)
        goes = shift > REST
        return jnp.where(goes[:, None, None], new, centres), jnp.where(goes, now, shift), i + 1

    infinite = np.full(len(centres), np.inf, centres.dtype)
    return jax.lax.while_loop(moving, step, (centres, infinite, np.int32(0)))[0]


def _moved(rows: Rows, points, old, active):
    """Centres (..., k, p) moved to the means of their rows, and the largest shift (...) of any."""
    offset = xp.where(active, (old**2).sum(-1) / 2, np.inf)
    farthest = xp.where(active, offset, 0).max(-1)

    def assign(block):
        p, weight = points(block.x), block.weight
        # ½ ‖p‖² - ½ ‖p - c‖², by a product rather than differences
        closeness = product(old, p) - offset[..., None]
        top = closeness.max(-2, keepdims=True)
        # a row halfway between two centres counts for both
        tied = closeness >= top - 16 * eps(p) * (xp.abs(top) + farthest[..., None, None])
        resp = xp.where(tied, weight[None], 0)
        return resp.sum(-1), product(resp, p.T)

    [(counts, sums)] = rows.sum(assign)
    new = xp.where(counts[..., None] > 0, divide(sums, counts), old)
    return new, xp.abs(new - old).max((-2, -1))


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
    """The points (k, p) of k rows drawn one after the other: the first by weight, the others by weight times a power of
    the squared distance from the nearest centre so far, among the rows that differ from all of these.

    ``kind`` is (power, candidates). Where the power is 1, so many candidates are drawn for a centre, and the one that
    leaves the least potential Σ w distance² becomes it. A draw is one pass over the rows, or two with candidates; of
    a row only its distance is kept from one draw to the next. Cost: O(n·k·p).
    """
    power, candidates = kind
    candidates = min(candidates, rows.block)
    first = points(rows.framed(rows.x[:1]))

    def nothing(count):  # noisy logits and rows
        return rows.varying((jnp.full(count, -jnp.inf, jnp.float32), jnp.zeros(count, jnp.int32)))

    def draw(i, state):
        centres, distance = state
        noise_key = fold_in(key, i)
        last = centres[i - 1]

        def look(block, carry):
            distance, preferred, anyone = carry
            start = rows.start(block).astype(jnp.int32)
            some = rows.take(block)
            old = jax.lax.dynamic_slice_in_dim(distance, start, rows.block)
            new = jnp.where(i == 0, old, jnp.minimum(old, ((points(some.x) - last[:, None]) ** 2).sum(0)))
            distance = jax.lax.dynamic_update_slice_in_dim(distance, new, start, 0)
            index = rows.global_rows(start + jnp.arange(rows.block))
            noisy = jnp.log(some.weight).astype(jnp.float32) + row_noise(noise_key, *index)
            logits = jnp.where(i == 0, noisy, noisy + preference(power, new).astype(jnp.float32))
            return distance, _best(preferred, logits, start), _best(anyone, noisy, start)

        distance, *found = jax.lax.fori_loop(0, rows.n_blocks, look, (distance, nothing(candidates), nothing(1)))
        (logits, preferred), (_, anyone) = (_of_all_devices(rows, points, *each) for each in found)
        best = 0
        if candidates > 1:
            potential = jnp.where(logits > -jnp.inf, _potential(rows, points, distance, preferred), jnp.inf)
            best = jnp.where((i == 0) | (power < 1), 0, first_of_largest(-potential))
        centre = jnp.where(logits[0] > -jnp.inf, preferred[best], anyone[0])  # any row where no distinct one is left
        return centres.at[i].set(centre), distance

    distance = rows.varying(jnp.full(rows.n, jnp.inf, first.dtype))
    return jax.lax.fori_loop(0, k, draw, (jnp.zeros((k, first.shape[0]), first.dtype), distance))[0]


def sequences_on_host(keys, rows: Rows, points, k: int, kind):
    """As `sequence`, for several starts at once in NumPy: keys (r, 2) -> (r, k, p)."""
    power, candidates = kind
    p, weight = np.ascontiguousarray(points(rows.framed(rows.x))), rows.weight
    log_weight, every, index = np.log(weight).astype(np.float32), np.arange(len(keys)), np.arange(p.shape[1])
    centres = np.zeros((len(keys), k, len(p)), p.dtype)
    distance = np.full((len(keys), p.shape[1]), np.inf, p.dtype)
    for i in range(k):
        preferred = noisy = log_weight + row_noise(fold_in(keys, i), index)  # (r, n)
        if i:
            distance = np.minimum(distance, _apart(p, centres[:, i - 1]))
            preferred = noisy + preference(power[:, None], distance).astype(np.float32)
        best = preferred.argmax(1)
        greedy = every[power == 1]
        if i and candidates > 1 and len(greedy):
            best[greedy] = _of_least_potential(p, weight, distance[greedy], preferred[greedy], candidates)
        best = np.where(preferred[every, best] > -np.inf, best, noisy.argmax(1))  # any row where no distinct is left
        centres[:, i] = p[:, best].T
    return centres


def _apart(p, centres):
    """Squared distances (r, n) of points (p, n) from a centre of every start (r, p), without an array (r, p, n)."""
    distance = np.zeros((len(centres), p.shape[1]), p.dtype)
    for along, centre in zip(p, centres.T, strict=True):
        distance += (along - centre[:, None]) ** 2
    return distance


def _of_least_potential(p, weight, distance, preferred, candidates: int):
    """The row of every start, (r,), that leaves the least potential, among so many of its most preferred rows."""
    candidates = min(candidates, p.shape[1])
    rows = np.argpartition(-preferred, candidates - 1, axis=1)[:, :candidates]
    values = np.take_along_axis(preferred, rows, 1)
    order = np.lexsort((rows, -values))  # by value, of equal ones the first row
    rows, values = np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
    potential = [np.minimum(distance, _apart(p, p[:, row].T)) @ weight for row in rows.T]
    least = np.where(values > -np.inf, np.stack(potential, axis=1), np.inf).argmin(1)
    return rows[np.arange(len(rows)), least]


def _best(best, noisy, start):
    """The largest logits (t,) so far and in a block that begins with row ``start``, and their rows; of equal ones the
    first."""
    values, index = jax.lax.top_k(noisy, best[0].shape[0])
    values, rows = jnp.concatenate([best[0], values]), jnp.concatenate([best[1], start + index])
    values, index = jax.lax.top_k(values, best[0].shape[0])
    return values, rows[index]


def _of_all_devices(rows: Rows, points, values, index):
    """The largest logits (t,) on all devices, and the points (t, p) of their rows."""
    found = points(rows.framed(rows.x[index])).T
    values, found = rows.everyones((values, found))
    values, index = jax.lax.top_k(values, index.shape[0])
    return values, found[index]


def _potential(rows: Rows, points, distance, candidates):
    """The potential Σ w distance² (t,) if one of the candidates (t, p) became a centre too."""

    def potential(block):
        apart = ((points(block.x)[None] - candidates[:, :, None]) ** 2).sum(1)
        return product(jnp.minimum(block.columns["distance"][None], apart), block.weight)

    return rows.sum(potential, distance=distance)[0]


def preference(power, distance):
    """What squared distances (b,) from the centres so far add to the log of a row's chance."""
    apart = distance > 0
    return xp.where(apart, power.astype(distance.dtype) * xp.log(xp.where(apart, distance, 1)), -np.inf)
