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

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows
from ..data.padding import padded_rows
from ..numerics import LOG_ZERO, divide, eps, first_of_largest, keep_empty, over_rows, product
from ..numerics.backend import xp
from ..numerics.host import hosted
from ..numerics.keys import fold_in, row_noise
from ..numerics.threads import mapped

LLOYD_ITERATIONS = 50
CANDIDATES = 4  # rows drawn for one centre of k-means++
POWERS = {"kmeans": 1.0, "k-means++": 1.0, "random": 0.0, "spread": 0.25}  # of squared distance, in a row's chance
TURNS = "kmeans", "spread", "k-means++"  # the kinds of "auto"; a single start ends best from k-means
TRIES = 4  # draws of the first start of "auto", the likeliest of which is kept
INITIALIZERS = "auto", *POWERS
REST = 1e-6  # a shift of the centres, in the frame, below which they rest
MANY, NEAR = 2**12, 1e-2  # among more rows a larger shift is rest: half the iterations, and EM ends as well
SPAN = 2**16  # points times starts that a thread looks at together


def kinds(init: str, draws: int) -> np.ndarray:
    """The kind of each of the draws of starts (draws,); the first do not depend on how many there are."""
    return np.array([TURNS[max(i - TRIES + 1, 0) % len(TURNS)] if init == "auto" else init for i in range(draws)])


def powers(init: str, draws: int) -> np.ndarray:
    """The power of squared distance in the chance of a row, for each of the draws, (draws,)."""
    return np.array([POWERS[kind] for kind in kinds(init, draws)], np.float32)


def lloyd(rows: Rows, points, centres, active):
    """Centres (l, k, p) of many lanes after Lloyd's iterations, each lane's until they rest; ``active`` (l, k).
    Cost: O(n·k·p) an iteration of a lane."""
    rest = NEAR if padded_rows(rows.n_everywhere) > MANY else REST
    origin = middle(centres, active)
    centres, around = centres - origin[None, None], Around(points, origin)
    if hosted():
        moving = np.arange(len(centres))
        for _ in range(LLOYD_ITERATIONS):
            centres[moving], shift = _moved(rows, around, centres[moving], active[moving])
            moving = moving[shift > rest]
            if not len(moving):
                break
        return centres + origin[None, None]

    def moving(state):
        _, shift, i = state
        return (shift > rest).any() & (i < LLOYD_ITERATIONS)

    def step(state):
        centres, shift, i = state
        new, now = jax.vmap(lambda *lane: _moved(rows, around, *lane))(centres, active)
        goes = shift > rest
        return jnp.where(goes[:, None, None], new, centres), jnp.where(goes, now, shift), i + 1

    infinite = np.full(len(centres), np.inf, centres.dtype)
    return jax.lax.while_loop(moving, step, (centres, infinite, np.int32(0)))[0] + origin[None, None]


def middle(centres, active):
    """A point (p,) among most of the active centres (l, k, p) of all lanes: their medians. Distances are measured from
    there, because far from it a product of points loses the digits of what separates near ones."""
    every = xp.where(active[..., None], centres, np.inf).reshape(-1, centres.shape[-1])
    return xp.sort(every, axis=0)[(active.sum() - 1) // 2]


class Around:
    """Points measured from an origin (p,), as a view of a block, like that of a form."""

    fixed_view = True

    def __init__(self, points, origin):
        self.points, self.origin = points, origin

    def view(self, prepared, x):
        """The points (..., p + 1, b), with a constant 1 after their features, and ‖p‖² (..., 1, b)."""
        p = self.points(x) - self.origin[:, None]
        return xp.concatenate([p, xp.ones_like(p[..., :1, :])], axis=-2), (p**2).sum(-2, keepdims=True)

    def width(self, d, k):
        return len(self.origin) + 2


def _moved(rows: Rows, around: Around, old, active):
    """Centres (..., k, p) moved to the means of their rows, and the largest shift (...) of any. A row halfway between
    two centres counts for both."""

    def assign(block):
        seen = block.seen(around, None)
        return over_rows(xp.where(closest(seen, old, active), block.weight[None], 0), seen[0])

    [sums] = rows.sum(assign)
    new = keep_empty(sums[..., -1], divide(sums[..., :-1], sums[..., -1]), old)
    return new, xp.abs(new - old).max((-2, -1))


def closest(seen, centres, active):
    """Which of the active centres (..., k, p) are as near to each point as any, up to rounding: (..., k, b) bool.
    Points, ``seen`` by `Around`, and centres are measured from the `middle`.

    ½ ‖p‖² - ½ ‖p - c‖² is computed, by a product rather than differences.
    """
    p, square = seen
    offset = xp.where(active, -(centres**2).sum(-1) / 2, LOG_ZERO)
    closeness = product(xp.concatenate([centres, offset[..., None]], axis=-1), p)
    top = closeness.max(-2, keepdims=True)
    size = xp.abs(top) + 2 * (square - top)  # at least ‖c‖² of a centre that is as near as the nearest
    return closeness >= top - 16 * eps(p) * size


def nearest(seen, centres, active):
    """One-hot (..., k, b) of the nearest active centre of every point, as `closest`; ties go to the lowest index."""
    near = closest(seen, centres, active).astype(centres.dtype)
    return (first_of_largest(near, -2)[..., None, :] == np.arange(centres.shape[-2])[:, None]).astype(near.dtype)


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
    """As `sequence`, for several starts at once in NumPy: keys (r, 2) -> (r, k, p). Threads take spans of points."""
    power, candidates = kind
    p = np.ascontiguousarray(points(rows.framed(rows.x)))
    size = max(SPAN // len(keys), 1)
    spans = [Span(p, rows.weight, first, first + size, len(keys)) for first in range(0, p.shape[1], size)]
    centres = np.zeros((len(keys), k, len(p)), p.dtype)
    every, greedy = np.arange(len(keys)), np.flatnonzero(power == 1)
    for i in range(k):
        noise_keys, last, tried = fold_in(keys, i), centres[:, i - 1] if i else None, candidates if i else 1
        found = mapped(operator.methodcaller("preferred", noise_keys, last, power, tried), spans)
        index, values = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
        order = np.lexsort((index, -values))[:, :tried]  # by value, of equal ones the first row
        index, values = np.take_along_axis(index, order, 1), np.take_along_axis(values, order, 1)
        best = index[:, 0].copy()
        if tried > 1 and len(greedy):
            drawn = p[:, index[greedy]].transpose(1, 2, 0)  # (g, t, p)
            potential = sum(mapped(operator.methodcaller("potential", drawn, greedy), spans))
            least = np.where(values[greedy] > -np.inf, potential, np.inf).argmin(1)
            best[greedy] = index[greedy, least]
        if (values[:, 0] == -np.inf).any():  # any row where no distinct one is left
            noisy = np.log(rows.weight).astype(np.float32) + row_noise(noise_keys, np.arange(p.shape[1]))
            best = np.where(values[:, 0] > -np.inf, best, noisy.argmax(1))
        centres[every, i] = p[:, best].T
    return centres


class Span:
    """Points (p, b) that one thread looks at, and their squared distances (r, b) from the nearest centre so far."""

    def __init__(self, p, weight, first: int, last: int, starts: int):
        self.p, self.weight = p[:, first:last], weight[first:last]
        self.index, self.log_weight = first + np.arange(self.p.shape[1]), np.log(self.weight).astype(np.float32)
        self.distance = np.full((starts, len(self.index)), np.inf, p.dtype)

    @functools.cached_property
    def _extended(self):
        """The points in float64 with 1 and ‖p‖² after their features, (p + 2, b)."""
        p = self.p.astype(np.float64)
        return np.concatenate([p, np.ones_like(p[:1]), (p**2).sum(0, keepdims=True)])

    def preferred(self, keys, last, power, count: int):
        """The rows (r, t) that are drawn first, at most ``count``, and the noisy logs of their chances; after the last
        centres (r, p), or None before the first."""
        noisy, every = self.log_weight + row_noise(keys, self.index), np.arange(len(self.distance))
        if last is not None:
            apart, square = np.zeros_like(self.distance), np.empty_like(self.distance)
            for along, centre in zip(self.p, last.T, strict=True):
                np.subtract(along, centre[:, None], out=square)
                square *= square
                apart += square
            np.minimum(self.distance, apart, out=self.distance)
            noisy += preference(power[:, None], self.distance).astype(np.float32)
        rows, values = [], []
        for _ in range(min(count, len(self.index))):
            best = noisy.argmax(1)
            rows.append(self.index[best])
            values.append(noisy[every, best])
            noisy[every, best] = -np.inf
        return np.stack(rows, axis=1), np.stack(values, axis=1)

    def potential(self, centres, starts):
        """Σ w distance² (g, t) of some of the starts (g,) if one of their candidates (g, t, p) became a centre too. By
        a product in float64, whose rounding does not matter to a sum."""
        centres = centres.astype(np.float64)
        theta = np.concatenate([-2 * centres, (centres**2).sum(-1, keepdims=True), np.ones_like(centres[..., :1])], -1)
        apart = product(theta.reshape(-1, theta.shape[-1]), self._extended)
        apart = np.maximum(apart, 0, out=apart).reshape(*centres.shape[:2], -1)
        return np.minimum(apart, self.distance[starts, None], out=apart) @ self.weight


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
