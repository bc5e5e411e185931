"""Where lanes begin: centres, responsibilities or a mixture become the first states of many starts.

Lanes (l,) are m numbers of components times r starts, the starts innermost. Lanes of different K share a program: a
component that was not asked for has log weight -inf. ``problem`` is a `search.problem.Problem`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.arrays import LANE_BYTES, block_bytes, in_groups, lanes_together
from ..data.mesh import over_shards, per_shard
from ..em.loop import HOST_NUMBERS
from ..em.steps import about
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each, hosted, replaced_at
from ..numerics.keys import fold_in, here
from ..records import Block, GaussianPrior, Mixture, Statistics, record, static
from .kmeans import TRIED, distinct, kinds, lloyd, nearest, sequence, sequences_on_host
from .subsample import enough_to_draw, sample

DRAW_WIDTH = 8  # numbers in memory per row and start while centres are drawn
SAMPLE_KEY = 2**32 - 1  # folded into the key for the rows that stand for all: no start has this number


@record
class Start:
    """What lanes are to begin from: ``r`` starts of the kind ``init``, drawn by a key, for the m numbers of components
    in ``active`` (m, k). Only a name as ``init`` is passed to the compiler."""

    init: Any = static()
    r: int = static()
    key: Any
    active: Any

    @property
    def k(self) -> int:
        return self.active.shape[1]

    @property
    def of_lanes(self):
        """Which components count in every lane, (m·r, k)."""
        return xp.repeat(self.active, self.r, axis=0)


@record
class Nearest:
    """First statistics of lanes (l,) whose rows belong to the nearest of their centres (l, k, p)."""

    centres: Any
    active: Any
    prepared: Any
    reference: Any
    family: Family = static()

    def __call__(self, block):
        points = self.family.points(block.x)

        def lane(centres, active, prepared):
            resp = nearest(points, centres, active)
            return first_statistics(self.family.moments, about(prepared, self.reference), block, resp)

        return each(lane)(self.centres, self.active, self.prepared)


def begin(problem, start: Start):
    """First lanes (m·r,) of starts that are drawn."""
    return (_begun if problem.rows.in_program else _begin)(problem.rows, problem.bare, start)


def _begin(rows, problem, start: Start):
    return from_centres(rows, problem, centres(rows, problem.family, start), start.of_lanes)


_begun = compiled()(per_shard(_begin))


def centres(rows, family: Family, start: Start):
    """Centres (m·r, k, p) of starts that are drawn, of many rows among some that stand for all."""
    n, itemsize = rows.n, rows.itemsize
    start = dataclasses.replace(start, key=here(start.key))
    together = max(LANE_BYTES // (n * itemsize), 1)
    wide = dataclasses.replace(rows, block=max(rows.block, draw_rows(n, rows.d, min(start.r, together), itemsize)))
    some = sample(fold_in(start.key, SAMPLE_KEY), wide, enough_to_draw(start.k))
    return centres_among(some, wide, family, start)


def centres_among(some, wide, family: Family, start: Start):
    """Centres (m·r, k, p) of starts, among some rows that stand for all; ``wide`` are all of them."""
    spread, keys = kinds(start.init, start.r) != "random", keys_of(start.key, start.r)
    tried = 1 if start.init == "random" else TRIED
    together = max(LANE_BYTES // (wide.n * wide.itemsize), 1)
    if hosted():
        groups = [slice(i, i + together) for i in range(0, start.r, together)]
        drawn = [sequences_on_host(keys[g], some, family.points, start.k, (spread[g], tried)) for g in groups]
        drawn = np.concatenate(drawn)
        for i in [] if some is wide else np.flatnonzero([not distinct(one) for one in drawn]):
            [drawn[i]] = sequences_on_host(keys[[i]], wide, family.points, start.k, (spread[[i]], 1))
    else:

        def draw(one):
            return _drawn(some, wide, family, start.k, (*one, tried))

        drawn = in_groups(draw, (keys, spread), together)
    return moved(some, family, start, xp.tile(drawn, (start.active.shape[0], 1, 1)))


def _drawn(some, wide, family: Family, k: int, one: tuple):
    """Centres (k, p) of one start: the first K of them are the start of K components."""
    key, spread, tried = one
    centres = sequence(key, some, family.points, k, (spread, tried))
    if some is wide:
        return centres

    def redraw(state):
        _, key, _ = state
        again = sequence(key, wide, family.points, k, (spread, 1))
        return jnp.zeros((), bool), jax.random.split(key)[0], again

    # A rare value may be missing in the sample: a loop of one round, or none, with one row drawn for a centre as
    # streams do. The key changes in it, because XLA takes what a round leaves alone out of a loop, and would draw
    # always.
    return jax.lax.while_loop(lambda state: state[0], redraw, (~distinct(centres), key, centres))[2]


def moved(some, family: Family, start: Start, centres):
    """Centres (m·r, k, p), those of k-means after Lloyd's iterations over some rows."""
    moving = np.flatnonzero(np.tile(kinds(start.init, start.r), len(centres) // start.r) == "kmeans")
    if not len(moving):
        return centres
    those = centres[moving], start.of_lanes[moving]
    if hosted():
        some = some.cut(family.moments, start.k, len(moving))
        return replaced_at(centres, moving, lloyd(some, family.points, *those))
    together = lanes_together(family.moments, some.d, start.k, len(moving), centres.dtype.itemsize)
    return replaced_at(centres, moving, in_groups(lambda one: lloyd(some, family.points, *one), those, together))


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


def begin_at(problem, centres, active):
    """First lanes (r,) from centres (r, k, d) in the data's own units, of which those in active (k,) count."""
    return (_begun_at if problem.rows.in_program else _begin_at)(problem.rows, problem.bare, centres, active)


def _begin_at(rows, problem, centres, active):
    points = each(lambda some: problem.family.points(rows.framed(some)).swapaxes(-1, -2))(centres)
    return from_centres(rows, problem, points, xp.broadcast_to(active[None], (len(centres), len(active))))


_begun_at = compiled()(per_shard(_begin_at))


def from_centres(rows, problem, centres, active):
    """First lanes (l,), of one pass in which a row belongs to its nearest centre (l, k, p)."""
    (count, k, _), form, problem = centres.shape, problem.family.moments, problem.bare
    together = lanes_together(form, rows.d, k, count, rows.itemsize)
    if hosted():
        together = max(HOST_NUMBERS // (rows.block * k * rows.d), 1)
    groups = [slice(i, i + together) for i in range(0, count, together)]
    begun = [_around(problem, centres[some]) for some in groups]
    reference, family = problem.known.frame.reference, problem.family
    looks = [
        Nearest(centres[some], active[some], prepared, reference, family)
        for some, (_, prepared) in zip(groups, begun, strict=True)
    ]
    lanes = [_lanes(problem, *pair, sums) for pair, sums in zip(begun, rows.sum(*looks), strict=True)]
    return lanes[0] if len(lanes) == 1 else jax.tree.map(lambda *leaves: xp.concatenate(leaves), *lanes)


@compiled()
def _around(problem, centres):
    """Parameters (l, ...) that first statistics are taken under, and prepared."""
    family, reference = problem.family, problem.known.frame.reference
    params = each(lambda some: family.around(some, reference.shape[-1]))(centres)
    return params, each(lambda some: family.moments.prepare(some, reference))(params)


@compiled()
def _lanes(problem, params, prepared, statistics):
    """First lanes (l,) of first statistics."""

    def lane(params, prepared, statistics):
        return problem.method.start(state_after(problem, params, prepared, statistics))

    return each(lane)(params, prepared, statistics)


def begin_with(problem, resp):
    """First lane (1,) from responsibilities (n, k)."""
    return _begun_with(problem.rows, problem.bare, resp)


@compiled()
def _begun_with(rows, problem, resp):
    return one_lane(problem.method.start(over_shards(rows, _with_columns, {"resp": resp}, problem)))


def _with_columns(rows, problem, resp) -> em.State:
    form, family = problem.family.moments, problem.family
    centres = np.zeros((resp.shape[1], family.points(rows.framed(rows.x[:1])).shape[0]), rows.dtype)
    params = family.around(centres, rows.d)
    prepared = form.prepare(params, rows.frame.reference)

    def summarise(block):
        return first_statistics(form, prepared, block, block.columns["resp"].T.astype(block.x.dtype))

    return state_after(problem, params, prepared, rows.sum(summarise, resp=resp)[0])


def begin_from(problem, mixture: Mixture):
    """First lane (1,) that judges exactly this mixture of framed data: nothing was added to it."""
    return _begun_from(problem.bare, mixture)


@compiled()
def _begun_from(problem, mixture: Mixture):
    family, d = mixture.family, problem.known.frame.shift.shape[0]
    form, reference = family.moments, problem.known.frame.reference
    row = Block(np.zeros((d, 1), reference.dtype), np.zeros(1, reference.dtype))

    def shape():
        prepared = form.prepare(mixture.components, reference)
        statistics = em.expect(form, prepared, mixture.log_weights, row)
        return em.maximise(form, mixture, prepared, statistics, GaussianPrior())[1]

    added = shape() if hosted() else jax.eval_shape(shape)
    return one_lane(problem.method.start(em.initial_state(mixture, np.zeros(added.shape, added.dtype))))


def one_lane(lane):
    """A lane as the only one of its kind (1,)."""
    return jax.tree.map(lambda leaf: leaf[None], lane)


def first_statistics(form, prepared, block, resp) -> Statistics:
    """Statistics of a block of rows with these responsibilities (k, b)."""
    resp, zero = resp * block.weight[..., None, :], xp.zeros((), block.x.dtype)
    sums = form.statistics(prepared, block.seen(form, prepared), resp)
    return Statistics(zero, zero, block.weight.sum(-1), resp.sum(-1), sums)


def state_after(problem, params, prepared, statistics: Statistics) -> em.State:
    """First state from first statistics."""
    under = Mixture(xp.zeros_like(statistics.counts), params, problem.family)
    return em.initial_state(*first_mixture(problem.family.moments, under, prepared, statistics, problem.known.prior))


def first_mixture(form, under: Mixture, prepared, statistics: Statistics, prior):
    """The mixture of first statistics, which were taken under another one's parameters; freed from boundaries that EM
    cannot leave. And what prior and floors added."""
    mixture, added = em.maximise(form, under, prepared, statistics, prior)
    free = mixture.family.loosen(mixture.components, xp.exp(mixture.log_weights), statistics.counts, added)
    return dataclasses.replace(mixture, components=free), added
