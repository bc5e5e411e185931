"""Where the lanes of rows that stream begin: at the same centres as those of the same rows in memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows
from ..data.out_of_core import Flow
from ..distributed import agreed, everyones
from ..families.base import Family
from ..numerics.compiling import compiled
from ..numerics.keys import row_noise
from . import states, tries
from .draws import SAMPLE_KEY, Start, centres_among, keys_of, moved
from .kmeans import distinct, powers, preference
from .subsample import enough_to_draw, stretches


def begin(problem, start: Start):
    """As `states.begin`, of rows that stream."""
    flow, family = problem.rows, problem.family
    some = sample(jax.random.fold_in(start.key, SAMPLE_KEY), flow, enough_to_draw(start.k))
    centres = _centres(some, family, start)
    if some.x.shape[0] < flow.n_everywhere and not bool(_all_distinct(centres)):
        centres = _redrawn(problem, some, start, centres)
    drawn = states.from_centres(flow, problem, centres, start.of_draws)
    chosen = tries.chosen(start, drawn, functools.partial(_likelihoods, some, problem.bare))
    return states.lanes_of(problem.method, chosen)


def begin_at(problem, centres, active):
    """As `states.begin_at`, of rows that stream."""
    head, family = problem.rows.block(problem.rows.kept["head"], None, 1), problem.family
    points = jax.vmap(lambda each: family.points(head.framed(each)).T)(centres)
    active = jnp.broadcast_to(active, (len(centres), len(active)))
    return states.lanes_of(problem.method, states.from_centres(problem.rows, problem, points, active))


_likelihoods = compiled()(tries.likelihoods)  # of some rows in memory: it costs no pass


@compiled("family")
def _centres(some: Rows, family: Family, start: Start):
    return centres_among(some, some, family, start)


@compiled()
def _all_distinct(centres):
    return jax.vmap(distinct)(centres).all()


def sample(key, flow: Flow, size: int) -> Rows:
    """The rows that `subsample.sample` takes of the same rows in memory, by one pass; kept for the next model."""
    size, length = stretches(flow.n_everywhere, size)
    name = "sample", size, bytes(np.asarray(jax.random.key_data(key)))
    if name not in flow.kept:
        flow.kept[name] = _everything(flow, size) if length == 1 else _stretched(key, flow, size, length)
    x, weight = flow.kept[name]
    return flow.block(x, weight, len(x))


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
    for block, first in flow.blocks():
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


def _redrawn(problem, some: Rows, start: Start, centres):
    """Centres of all starts, those that hold a point twice drawn again from all rows, by a pass a centre.

    A rare value may be missing in the sample.
    """
    keys = keys_of(start.key, start.draws)
    again = jnp.zeros((start.draws, start.k, centres.shape[2]), centres.dtype)
    for i in range(start.k):
        with agreed(problem.rows.mesh):
            found = _found(problem, start, again, keys, i)
        (value, wanted), (_, anyone) = functools.reduce(_higher, everyones(found, problem.rows.mesh))
        again = again.at[:, i].set(jnp.where((value > -jnp.inf)[:, None], wanted, anyone))
    return _merged(some, problem.family, start, centres, again)


def _found(problem, start: Start, again, keys, i: int):
    """The next centre of every start among this process's rows, as `_sought` has it."""
    flow, family = problem.rows, problem.family
    nothing = np.full(len(keys), -np.inf, np.float32), np.zeros((len(keys), again.shape[2]), flow.dtype)
    found, power = (nothing, nothing), powers(start.init, len(keys))
    for block, first in flow.blocks():
        index = np.uint32((flow.first + first) % 2**32) + np.arange(len(block.x), dtype=np.uint32)
        found = _sought(found, (again, keys, power), (block, index), np.int32(i), family)
    return found


def _higher(found, others):
    """The better of what two processes found, start by start."""
    pairs = zip(found, others, strict=True)
    return [(np.maximum(a, b), np.where((b > a)[:, None], q, p)) for (a, p), (b, q) in pairs]


@compiled("family")
def _sought(found, starts, rows, i, family: Family):
    """The next centre of every start (r,): the best row so far by weight and distance, and the best by weight alone.

    ``starts`` are their centres so far, keys and powers, ``rows`` a block and the numbers of its rows.
    """
    (centres, keys, power), (block, index) = starts, rows
    p, weight = family.points(block.framed(block.x)), block.weight

    def better(best, noisy):
        row = jnp.argmax(noisy)
        higher = noisy[row] > best[0]
        return jnp.where(higher, noisy[row], best[0]), jnp.where(higher, p[:, row], best[1])

    def one(found, centres, key, power):
        noisy = jnp.log(weight).astype(jnp.float32) + row_noise(jax.random.fold_in(key, i), index)
        far = jnp.full(p.shape[1], jnp.inf, p.dtype)
        distance = jax.lax.fori_loop(0, i, lambda j, d: jnp.minimum(d, ((p - centres[j][:, None]) ** 2).sum(0)), far)
        preferred = jnp.where(i == 0, noisy, noisy + preference(power, distance).astype(jnp.float32))
        return better(found[0], preferred), better(found[1], noisy)

    return jax.vmap(one)(found, centres, keys, power)


@compiled("family")
def _merged(some: Rows, family: Family, start: Start, centres, again):
    again = moved(some, family, start, jnp.tile(again, (start.active.shape[0], 1, 1)))
    return jnp.where(jax.vmap(distinct)(centres)[:, None, None], centres, again)
