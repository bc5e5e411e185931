"""Where the lanes of rows that stream begin: at the same centres as those of the same rows in memory."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.arrays import LANE_BYTES, Rows, lanes_together
from ..data.out_of_core import Flow
from ..distributed import agreed, everyones
from ..families.base import Family
from ..families.forms import Natural
from ..numerics.compiling import compiled
from ..numerics.keys import row_noise
from ..records import record, static
from . import states
from .kmeans import kinds, nearest, preference
from .subsample import stretches


@record
class Nearest:
    """First statistics of lanes (l,) whose rows belong to the nearest of their centres (l, k, p)."""

    centres: Any
    active: Any
    prepared: Any
    reference: Any
    family: Family = static()

    def __call__(self, x, weight):
        def lane(centres, active, prepared):
            resp = nearest(self.family.points(x), centres, active)
            return states.first_statistics(self.family.moments, about(prepared, self.reference), x, weight, resp)

        return jax.vmap(lane)(self.centres, self.active, self.prepared)


def about(prepared, reference):
    """A lane's prepared parameters about the reference that all lanes have: their features are computed once."""
    return dataclasses.replace(prepared, reference=reference) if isinstance(prepared, Natural) else prepared


def begin(flow: Flow, family: Family, init: str, k: int, r: int, key, active, prior, method=em.PLAIN):
    """First lanes (m·r,) of r starts, for m numbers of components given by active (m, k)."""
    some = sample(jax.random.fold_in(key, states.SAMPLE_KEY), flow, k)
    centres = _centres(some, family, init, k, r, key, active)
    if some.x.shape[0] < flow.n_everywhere and not bool(_all_distinct(centres)):
        centres = _redrawn(flow, family, some, init, k, r, key, active, centres)
    return _from_centres(flow, family, centres, jnp.repeat(active, r, axis=0), prior, method)


def begin_at(flow: Flow, family: Family, centres, active, prior, method=em.PLAIN):
    """First lanes (r,) from centres (r, k, d) in the data's own units."""
    rows = head(flow)
    points = jax.vmap(lambda each: family.points(rows.framed(each)).T)(centres)
    return _from_centres(flow, family, points, jnp.broadcast_to(active, (len(centres), len(active))), prior, method)


def head(flow: Flow) -> Rows:
    """The first row, as rows in memory in the flow's frame."""
    return flow.block(flow.kept["head"], None, 1, 1)


def _from_centres(flow, family, centres, active, prior, method):
    d, k = flow.stream.d, active.shape[1]
    together = lanes_together(family.moments, d, k, len(centres), flow.stream.dtype.itemsize)
    params, prepared = _around(centres, flow.frame.reference, family)
    groups = [slice(i, i + together) for i in range(0, len(centres), together)]
    summaries = [
        Nearest(
            centres[some],
            active[some],
            jax.tree.map(lambda leaf, some=some: leaf[some], prepared),
            flow.frame.reference,
            family,
        )
        for some in groups
    ]
    statistics = flow.totals(summaries, family.moments.width(d, k * together))
    statistics = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *statistics)
    return _states(params, prepared, statistics, prior, family, method)


@compiled("family")
def _around(centres, reference, family: Family):
    params = jax.vmap(lambda each: family.around(each, reference.shape[0]))(centres)
    return params, jax.vmap(lambda each: family.moments.prepare(each, reference))(params)


@compiled("family", "method")
def _states(params, prepared, statistics, prior, family: Family, method):
    def state(*lane):
        return method.start(states.state_after(family, *lane, prior))

    return jax.vmap(state)(params, prepared, statistics)


@compiled("family", "init", "k", "r")
def _centres(some: Rows, family: Family, init: str, k: int, r: int, key, active):
    n, itemsize = some.x.shape[0], jnp.dtype(some.dtype).itemsize
    together = max(LANE_BYTES // (n * itemsize), 1)
    return states.centres_among(some, some, family, init, k, r, key, active, together)


@compiled()
def _all_distinct(centres):
    return jax.vmap(states.distinct)(centres).all()


def sample(key, flow: Flow, k: int) -> Rows:
    """The rows that `subsample.sample` takes of the same rows in memory, by one pass; kept for the next model."""
    size, length = stretches(flow.n_everywhere, k)
    name = "sample", k.bit_length(), bytes(np.asarray(jax.random.key_data(key)))
    if name not in flow.kept:
        flow.kept[name] = _everything(flow, size) if length == 1 else _stretched(key, flow, size, length)
    x, weight = flow.kept[name]
    return flow.block(x, weight, len(x), flow.stream.d)


def _everything(flow: Flow, n: int):
    with agreed(flow.mesh):
        pairs = [(x, np.ones(len(x), x.dtype) if w is None else w) for x, w, _ in flow.stream.blocks(flow.size)]
        own = _filled(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)), max(flow.counts))
    every = zip(everyones(own, flow.mesh), flow.counts, strict=True)
    pairs = [(x[:count], weight[:count]) for (x, weight), count in every]
    return _filled(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)), n)


def _filled(x, weight, n: int):
    """Rows and weights filled up to n: with the last row, of weight 0."""
    return x[np.minimum(np.arange(n), len(x) - 1)], np.concatenate([weight, np.zeros(n - len(x), weight.dtype)])


def _stretched(key, flow: Flow, size: int, length: int):
    with agreed(flow.mesh):
        own = _own_stretches(key, flow, size, length)
    every = everyones(own, flow.mesh)
    best, x, weight, _ = map(np.copy, every[0])
    ends = np.cumsum(flow.counts)
    for (top, rows, more, _), begin, end in zip(every[1:], ends[:-1], ends[1:], strict=True):
        begins_here = (np.arange(size) * length >= begin) & (np.arange(size) * length < end)
        better = (top > best) | ((best == -np.inf) & begins_here)
        x[better], best, weight = rows[better], np.maximum(best, top), weight + more
    x[-(-flow.n_everywhere // length) :] = every[-1][3]  # stretches beyond the rows weigh nothing
    return x, weight


def _own_stretches(key, flow: Flow, size: int, length: int):
    """Of this process's rows: the best noisy logit of every stretch, its row and weight; and the last of all rows."""
    best = np.full(size, -np.inf, np.float32)
    x = np.zeros((size, flow.stream.d), flow.stream.dtype)
    weight = np.zeros(size, flow.stream.dtype)
    for block, first in flow.blocks(flow.stream.d):
        count = min(len(block.x), flow.stream.n - first)  # the rest fills the block up
        first += flow.first
        noisy = np.asarray(_noisy(key, block.weight, np.uint32(first % 2**32)))[:count]
        stretch = (first + np.arange(count)) // length
        begins = np.flatnonzero(np.diff(stretch, prepend=-1))
        here = stretch[begins]
        top = np.maximum.reduceat(noisy, begins)
        weight[here] += np.add.reduceat(block.weight[:count], begins)
        at_top = np.flatnonzero(noisy == np.repeat(top, np.diff(begins, append=count)))
        row = at_top[np.searchsorted(at_top, begins)]
        better = (top > best[here]) | ((best[here] == -np.inf) & (first + begins == here * length))
        x[here[better]], best[here] = block.x[row[better]], np.maximum(best[here], top)
        last = block.x[count - 1]
    return best, x, weight, last


@compiled()
def _noisy(key, weight, first):
    index = first + jnp.arange(len(weight), dtype=jnp.uint32)
    return jnp.log(weight).astype(jnp.float32) + row_noise(key, index)


def _redrawn(flow: Flow, family, some: Rows, init: str, k: int, r: int, key, active, centres):
    """Centres of all starts, those that hold a point twice drawn again from all rows, by a pass a centre.

    A rare value may be missing in the sample.
    """
    keys = states.keys_of(key, r)
    again = jnp.zeros((r, k, centres.shape[2]), centres.dtype)
    for i in range(k):
        with agreed(flow.mesh):
            found = _found(flow, family, init, again, keys, i)
        (value, wanted), (_, anyone) = functools.reduce(_higher, everyones(found, flow.mesh))
        again = again.at[:, i].set(jnp.where((value > -jnp.inf)[:, None], wanted, anyone))
    return _merged(some, centres, again, family, init, active)


def _found(flow: Flow, family, init: str, again, keys, i: int):
    """The next centre of every start among this process's rows, as `_sought` has it."""
    nothing = np.full(len(keys), -np.inf, np.float32), np.zeros((len(keys), again.shape[2]), flow.dtype)
    found = nothing, nothing
    for x, weight, first in flow.stream.blocks(flow.size):
        block = flow.block(x, weight, flow.size, 1)
        place = np.uint32((flow.first + first) % 2**32)
        found = _sought(found, again, keys, block, place, np.int32(i), family, init)
    return found


def _higher(found, others):
    """The better of what two processes found, start by start."""
    pairs = zip(found, others, strict=True)
    return [(np.maximum(a, b), np.where((b > a)[:, None], q, p)) for (a, p), (b, q) in pairs]


@compiled("family", "init")
def _sought(found, centres, keys, block: Rows, first, i, family: Family, init: str):
    """The next centre of every start (r,): the best row so far by weight and distance, and the best by weight alone."""
    p, weight = family.points(block.framed(block.x)), block.weight
    index = first + jnp.arange(len(weight), dtype=jnp.uint32)

    def better(best, noisy):
        row = jnp.argmax(noisy)
        higher = noisy[row] > best[0]
        return jnp.where(higher, noisy[row], best[0]), jnp.where(higher, p[:, row], best[1])

    def one(found, centres, key, spread):
        noisy = jnp.log(weight).astype(jnp.float32) + row_noise(jax.random.fold_in(key, i), index)
        far = jnp.full(p.shape[1], jnp.inf, p.dtype)
        distance = jax.lax.fori_loop(0, i, lambda j, d: jnp.minimum(d, ((p - centres[j][:, None]) ** 2).sum(0)), far)
        preferred = jnp.where(i == 0, noisy, noisy + preference(spread, distance).astype(jnp.float32))
        return better(found[0], preferred), better(found[1], noisy)

    return jax.vmap(one)(found, centres, keys, jnp.asarray(kinds(init, len(keys)) != "random"))


@compiled("family", "init")
def _merged(some: Rows, centres, again, family: Family, init: str, active):
    m, r = active.shape[0], again.shape[0]
    again = states.moved(some, family, init, jnp.tile(again, (m, 1, 1)), jnp.repeat(active, r, axis=0), r)
    return jnp.where(jax.vmap(states.distinct)(centres)[:, None, None], centres, again)
