"""Where lanes begin: centres, responsibilities or a mixture become the first states of many starts.

Lanes (l,) are m numbers of components times r starts, the starts innermost. Lanes of different K share a program: a
component that was not asked for has log weight -inf.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.arrays import LANE_BYTES, Rows, at_once_on_host, block_bytes, in_groups, lanes_together, total
from ..data.mesh import over_shards, per_shard
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each, hosted, one_by_one, replaced_at
from ..numerics.keys import fold_in, here
from ..records import GaussianPrior, Mixture, Statistics
from .kmeans import TRIED, distinct, kinds, lloyd, nearest, sequence
from .subsample import sample

DRAW_WIDTH = 8  # numbers in memory per row and start while centres are drawn
SAMPLE_KEY = 2**32 - 1  # folded into the key for the rows that stand for all: no start has this number


@compiled("family", "init", "k", "r", "method")
@per_shard
def begin(rows: Rows, family: Family, init: str, k: int, r: int, key, active, prior, method=em.PLAIN):
    """First lanes (m·r,) of r starts, for m numbers of components given by active (m, k)."""
    n, d, itemsize = *rows.x.shape, np.dtype(rows.dtype).itemsize
    m, key = active.shape[0], here(key)

    together = max(LANE_BYTES // (n * itemsize), 1)
    wide = dataclasses.replace(rows, block=max(rows.block, draw_rows(n, d, min(r, together), itemsize)))
    some = sample(fold_in(key, SAMPLE_KEY), wide, k)
    centres = centres_among(some, wide, family, init, k, r, key, active, together)

    def lane(one):
        active, centres = one
        return from_centres(rows, family, centres, active, prior)

    lanes = xp.repeat(active, r, axis=0), centres
    together = at_once_on_host(rows, k * d) if hosted() else lanes_together(family.moments, d, k, m * r, itemsize)
    states = in_groups(lane, lanes, together)
    return each(method.start)(states)


def centres_among(some: Rows, wide: Rows, family, init: str, k: int, r: int, key, active, together: int):
    """Centres (m·r, k, p) among some rows that stand for all, of r starts for m numbers of components."""
    spread = kinds(init, r) != "random"

    def draw(one):  # the first K of k centres are the start of K components
        key, spread = one
        centres = sequence(key, some, family.points, k, spread, 1 if init == "random" else TRIED)
        if some is wide or (hosted() and distinct(centres)):
            return centres
        if hosted():
            return sequence(key, wide, family.points, k, spread, 1)

        def redraw(state):
            _, key, _ = state
            again = sequence(key, wide, family.points, k, spread, 1)
            return jnp.zeros((), bool), jax.random.split(key)[0], again

        # A rare value may be missing in the sample: a loop of one round, or none, with one row drawn for a centre as
        # streams do. The key changes in it, because XLA takes what a round leaves alone out of a loop, and would draw
        # always.
        return jax.lax.while_loop(lambda state: state[0], redraw, (~distinct(centres), key, centres))[2]

    drawn = keys_of(key, r), spread
    starts = one_by_one(draw, drawn) if hosted() else in_groups(draw, drawn, together)
    return moved(some, family, init, xp.tile(starts, (active.shape[0], 1, 1)), xp.repeat(active, r, axis=0), r)


def moved(some: Rows, family: Family, init: str, centres, active, r: int):
    """Centres (m·r, k, p), those of k-means after Lloyd's iterations over some rows."""
    moving = np.flatnonzero(np.tile(kinds(init, r), len(centres) // r) == "kmeans")
    if not len(moving):
        return centres

    def move(one):
        centres, active = one
        return lloyd(some, family.points, centres, active)

    together = lanes_together(family.moments, some.x.shape[1], active.shape[1], len(moving), centres.dtype.itemsize)
    those = centres[moving], active[moving]
    return replaced_at(centres, moving, one_by_one(move, those) if hosted() else in_groups(move, those, together))


@compiled("r")
def keys_of(key, r: int):
    """One key a start (r,); the first do not depend on how many there are."""
    every = np.arange(r, dtype=np.uint32)
    return np.stack([fold_in(key, i) for i in every]) if hosted() else jax.vmap(lambda i: fold_in(key, i))(every)


def draw_rows(n: int, d: int, r: int, itemsize: int) -> int:
    """Rows a block while r starts are drawn: longer ones, because little is done with a row."""
    most, most_of_one = block_bytes()
    wanted = min(most // (d + DRAW_WIDTH * r), 4 * most_of_one) // itemsize
    return max(min(1 << (wanted.bit_length() - 1), n), 1)


@compiled("family", "method")
@per_shard
def begin_at(rows: Rows, family: Family, centres, active, prior, method=em.PLAIN):
    """First lanes (r,) from centres (r, k, d) in the data's own units."""
    points = each(lambda some: family.points(rows.framed(some)).swapaxes(-1, -2))(centres)
    return each(lambda start: method.start(from_centres(rows, family, start, active, prior)))(points)


def from_centres(rows: Rows, family: Family, centres, active, prior) -> em.State:
    """First state of a lane: one pass in which a row belongs to its nearest centre (k, p)."""

    def responsibilities(x):
        return nearest(family.points(x), centres, active)

    return first_state(rows, family, centres, prior, responsibilities)


@compiled("family", "method")
def begin_with(rows: Rows, family: Family, resp, prior, method=em.PLAIN):
    """First lane (1,) from responsibilities (n, k)."""
    return one_lane(method.start(over_shards(rows, _with_columns, (resp,), family, prior)))


def _with_columns(rows: Rows, resp, family: Family, prior) -> em.State:
    start = np.zeros((resp.shape[1], family.points(rows.framed(rows.x[:1])).shape[0]), rows.dtype)
    return first_state(rows, family, start, prior, lambda x, resp: resp.T.astype(x.dtype), resp)


@compiled("family", "method")
def begin_from(rows: Rows, family: Family, mixture: Mixture, method=em.PLAIN):
    """First lane (1,) that judges exactly this mixture of framed data: nothing was added to it."""

    def shape(x, weight):
        form, params = family.moments, mixture.components
        prepared = form.prepare(params, rows.frame.reference)
        statistics = em.expect(form, prepared, mixture.log_weights, None, x, weight)
        return em.maximise(form, mixture, prepared, statistics, GaussianPrior())[1]

    added = (shape if hosted() else functools.partial(jax.eval_shape, shape))(*rows.take(0))
    return one_lane(method.start(em.initial_state(mixture, np.zeros(added.shape, added.dtype))))


def one_lane(lane):
    """A lane as the only one of its kind (1,)."""
    return jax.tree.map(lambda leaf: leaf[None], lane)


def first_state(rows: Rows, family: Family, centres, prior, responsibilities, *columns) -> em.State:
    """First state from ``responsibilities(x, *columns) -> (k, b)``."""
    params = family.around(centres, rows.x.shape[1])
    prepared = family.moments.prepare(params, rows.frame.reference)

    def summarise(x, weight, *columns):
        return first_statistics(family.moments, prepared, x, weight, responsibilities(x, *columns))

    return state_after(family, params, prepared, total(rows, summarise, *columns), prior)


def first_statistics(form, prepared, x, weight, resp) -> Statistics:
    """Statistics of a block of rows (d, b) with these responsibilities (k, b)."""
    resp, zero = resp * weight[..., None, :], xp.zeros((), x.dtype)
    sums = form.statistics(prepared, form.view(prepared, x), resp)
    return Statistics(zero, zero, weight.sum(-1), resp.sum(-1), sums)


def state_after(family: Family, params, prepared, statistics: Statistics, prior) -> em.State:
    """First state from first statistics."""
    return em.initial_state(*first_mixture(family.moments, family, params, prepared, statistics, prior))


def first_mixture(form, family: Family, params, prepared, statistics: Statistics, prior):
    """The mixture of first statistics, freed from boundaries that EM cannot leave, and what prior and floors added."""
    anything = Mixture(xp.zeros_like(statistics.counts), params, family)
    mixture, added = em.maximise(form, anything, prepared, statistics, prior)
    free = family.loosen(mixture.components, xp.exp(mixture.log_weights), statistics.counts, added)
    return dataclasses.replace(mixture, components=free), added
