"""First states of many starts, from centres, responsibilities or a mixture.

Lanes (l,) are m numbers of components times r starts, the starts innermost. Lanes of different K share a program: a
component of padding has log weight -inf. ``problem`` is a `search.problem.Problem`.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from .. import em
from ..data.arrays import lane_groups
from ..data.mesh import over_shards, per_shard
from ..em.steps import about
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each
from ..records import Mixture, Statistics, record, static
from .draws import Start, centres
from .kmeans import Around, middle, nearest
from .tries import chosen, likelihoods


@record
class Nearest:
    """First statistics of lanes (l,), in which every row belongs to the nearest of the lane's centres (l, k, p)."""

    centres: Any
    active: Any
    prepared: Any
    reference: Any
    family: Family = static()

    def __call__(self, block):
        origin = middle(self.centres, self.active)
        seen = Around(self.family.points, origin).view(None, block.x)

        def lane(centres, active, prepared):
            resp = nearest(seen, centres, active)
            return first_statistics(self.family.moments, about(prepared, self.reference), block, resp)

        return each(lane)(self.centres - origin[None, None], self.active, self.prepared)


def begin(problem, start: Start):
    """First lanes (m·r,), from centres that are drawn among the rows."""
    return (_begun if problem.rows.in_program else _begin)(problem.rows, problem.bare, start)


def _begin(rows, problem, start: Start):
    sampled, points = centres(rows, problem.family, start)
    drawn = from_centres(rows, problem, points, start.of_draws)
    return lanes_of(problem.method, chosen(start, drawn, functools.partial(likelihoods, sampled, problem)))


_begun = compiled(once=True)(per_shard(_begin))


def begin_at_centres(problem, centres, active):
    """First lanes (r,) from given centres (r, k, d) in the data's own units; ``active`` (k,) marks those that count."""
    begin = _begun_at_centres if problem.rows.in_program else _begin_at_centres
    return begin(problem.rows, problem.bare, centres, active)


def _begin_at_centres(rows, problem, centres, active):
    points = each(lambda some: problem.family.points(rows.framed(some)).swapaxes(-1, -2))(centres)
    begun = from_centres(rows, problem, points, xp.broadcast_to(active[None], (len(centres), len(active))))
    return lanes_of(problem.method, begun)


_begun_at_centres = compiled(once=True)(per_shard(_begin_at_centres))


def from_centres(rows, problem, centres, active):
    """First mixtures of lanes (l,), by one pass in which every row belongs to its nearest centre (l, k, p)."""
    (count, k, _), problem = centres.shape, problem.bare
    groups = lane_groups(rows, problem.family.moments, k, count)
    begun = [_around(problem, centres[some]) for some in groups]
    reference, family = problem.known.frame.reference, problem.family
    looks = [
        Nearest(centres[some], active[some], prepared, reference, family)
        for some, (_, prepared) in zip(groups, begun, strict=True)
    ]
    firsts = [_firsts(problem, *pair, sums) for pair, sums in zip(begun, rows.sum(*looks), strict=True)]
    return firsts[0] if len(firsts) == 1 else jax.tree.map(lambda *leaves: xp.concatenate(leaves), *firsts)


@compiled()
def _around(problem, centres):
    """The parameters (l, ...) under which first statistics are taken, and what the form prepares from them."""
    family, reference = problem.family, problem.known.frame.reference
    params = each(lambda some: family.around(some, reference.shape[-1]))(centres)
    return params, each(lambda some: family.moments.prepare(some, reference))(params)


@compiled()
def _firsts(problem, params, prepared, statistics):
    """First mixtures (l,) from first statistics."""
    return each(functools.partial(first_after, problem))(params, prepared, statistics)


@compiled("method")
def lanes_of(method, mixtures):
    """Lanes (l,) that begin with these mixtures."""
    return each(lambda mixture: method.start(em.initial_state(mixture)))(mixtures)


def begin_with_responsibilities(problem, resp):
    """First lane (1,) from responsibilities (n, k)."""
    return _begun_with_responsibilities(problem.rows, problem.bare, resp)


@compiled(once=True)
def _begun_with_responsibilities(rows, problem, resp):
    return one_lane(problem.method.start(over_shards(rows, _with_columns, {"resp": resp}, problem)))


def _with_columns(rows, problem, resp) -> em.State:
    form, family = problem.family.moments, problem.family
    centres = np.zeros((resp.shape[1], family.points(rows.framed(rows.x[:1])).shape[0]), rows.dtype)
    params = family.around(centres, rows.d)
    prepared = form.prepare(params, rows.frame.reference)

    def summarise(block):
        return first_statistics(form, prepared, block, block.columns["resp"].T.astype(block.x.dtype))

    return em.initial_state(first_after(problem, params, prepared, rows.sum(summarise, resp=resp)[0]))


def begin_from_mixture(problem, mixture: Mixture):
    """First lane (1,) from this mixture of framed data as it is."""
    return _begun_from_mixture(problem.method, mixture)


@compiled("method")
def _begun_from_mixture(method, mixture: Mixture):
    return one_lane(method.start(em.initial_state(mixture)))


def one_lane(lane):
    """A lane as the only one of its kind (1,)."""
    return jax.tree.map(lambda leaf: leaf[None], lane)


def first_statistics(form, prepared, block, resp) -> Statistics:
    """Statistics of a block of rows under these responsibilities (k, b), without a log-likelihood."""
    resp, zero = resp * block.weight[..., None, :], xp.zeros((), block.x.dtype)
    sums = form.statistics(prepared, block.seen(form, prepared), resp)
    return Statistics(zero, zero, block.weight.sum(-1), resp.sum(-1), sums)


def first_after(problem, params, prepared, statistics: Statistics):
    """The first mixture, from first statistics that were taken under these parameters in the moment form."""
    under = Mixture(xp.zeros_like(statistics.counts), params, problem.family)
    return first_mixture(problem.family.moments, under, prepared, statistics, problem.known.prior)


def first_mixture(form, under: Mixture, prepared, statistics: Statistics, prior):
    """The first mixture, from first statistics that were taken under the parameters of ``under``; moved off boundaries
    that EM could never leave."""
    mixture = em.maximise(form, under, prepared, statistics, prior)
    free = mixture.family.loosen(mixture.components, xp.exp(mixture.log_weights), statistics.counts, prior)
    return dataclasses.replace(mixture, components=free)
