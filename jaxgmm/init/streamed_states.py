"""First states of starts for rows that stream: from the same centres as for the same rows in memory."""

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
    sampled = sample(jax.random.fold_in(start.key, SAMPLE_KEY), flow, enough_to_draw(start.k, flow.d))
    centres = _centres(sampled, family, start)
    if sampled.x.shape[0] < flow.n_everywhere and not bool(_all_distinct(centres)):
        centres = _redrawn(problem, sampled, start, centres)
    drawn = states.from_centres(flow, problem, centres, start.of_draws)
    chosen = tries.chosen(start, drawn, functools.partial(_likelihoods, sampled, problem.bare))
    return states.lanes_of(problem.method, chosen)


def begin_at_centres(problem, centres, active):
    """As `states.begin_at_centres`, of rows that stream."""
    head, family = problem.rows.block(problem.rows.kept["head"], None, 1), problem.family
    points = jax.vmap(lambda each: family.points(head.framed(each)).T)(centres)
    active = jnp.broadcast_to(active, (len(centres), len(active)))
    return states.lanes_of(problem.method, states.from_centres(problem.rows, problem, points, active))


_likelihoods = compiled()(tries.likelihoods)  # of the sample, which is in memory: it costs no pass


@compiled("family")
def _centres(sampled: Rows, family: Family, start: Start):
    return centres_among(sampled, sampled, family, start)


@compiled()
def _all_distinct(centres):
    return jax.vmap(distinct)(centres).all()


def sample(key, flow: Flow, size: int) -> Rows:
    """The sample that `subsample.sample` draws from the same rows in memory, by one pass; kept for the next model."""
    size, length = stretches(flow.n_everywhere, size)
    name = "sample", size, bytes(np.asarray(jax.random.key_data(key)))
    if name not in flow.kept:
        flow.kept[name] = _all_rows(flow, size) if length == 1 else _sampled(key, flow, size, length)
    x, weight = flow.kept[name]
    return flow.block(x, weight, len(x))


def _all_rows(flow: Flow, n: int):
    """Rows (n, d) and weights (n,) of all processes, in memory."""
    with agreed(flow.mesh):
        pairs = [(x, np.ones(len(x), x.dtype) if w is None else w) for x, w, _ in flow.stream.blocks(flow.size)]
        own = _filled(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)), max(flow.counts))
    every = zip(everyones(own, flow.mesh), flow.counts, strict=True)
    pairs = [(x[:count], weight[:count]) for (x, weight), count in every]
    return _filled(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)), n)


def _filled(x, weight, n: int):
    """Rows and weights, with copies of the last row, of weight 0, up to n."""
    return x[np.minimum(np.arange(n), len(x) - 1)], np.concatenate([weight, np.zeros(n - len(x), weight.dtype)])


def _sampled(key, flow: Flow, size: int, length: int):
    """One row of every stretch of ``length`` rows of all processes (size, d), and the weights of the stretches."""
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
    """From this process's rows: the largest noisy logit of every stretch, that row, the stretch's weight; and the last
    row."""
    best = np.full(size, -np.inf, np.float32)
    x = np.zeros((size, flow.stream.d), flow.stream.dtype)
    weight = np.zeros(size, flow.stream.dtype)
    for block, first in flow.blocks():
        count = min(len(block.x), flow.stream.n - first)  # what follows is padding
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


def _redrawn(problem, sampled: Rows, start: Start, centres):
    """The centres of all starts. Those that are not distinct are drawn again from all rows, by one pass for each of the
    K: a rare value may be missing in the sample.
    """
    keys = keys_of(start.key, start.draws)
    again = jnp.zeros((start.draws, start.k, centres.shape[2]), centres.dtype)
    for i in range(start.k):
        with agreed(problem.rows.mesh):
            found = _found(problem, start, again, keys, i)
        (value, wanted), (_, anyone) = functools.reduce(_higher, everyones(found, problem.rows.mesh))
        again = again.at[:, i].set(jnp.where((value > -jnp.inf)[:, None], wanted, anyone))
    return _merged(sampled, problem.family, start, centres, again)


def _found(problem, start: Start, again, keys, i: int):
    """The best rows of this process for the next centre of every start, as `_better_of` returns them."""
    flow, family = problem.rows, problem.family
    nothing = np.full(len(keys), -np.inf, np.float32), np.zeros((len(keys), again.shape[2]), flow.dtype)
    best, power = (nothing, nothing), powers(start.init, len(keys))
    for block, first in flow.blocks():
        index = np.uint32((flow.first + first) % 2**32) + np.arange(len(block.x), dtype=np.uint32)
        best = _better_of(best, (again, keys, power), (block, index), np.int32(i), family)
    return best


def _higher(found, others):
    """The better rows of two processes, start by start."""
    pairs = zip(found, others, strict=True)
    return [(np.maximum(a, b), np.where((b > a)[:, None], q, p)) for (a, p), (b, q) in pairs]


@compiled("family")
def _better_of(best, starts, rows, i, family: Family):
    """The best row for the next centre of every start (r,), so far or in a block: by weight and distance, and by weight
    alone. Each is a noisy logit and a point.

    ``starts`` are the centres so far, keys and powers of the starts, ``rows`` a block and the indices of its rows.
    """
    (centres, keys, power), (block, index) = starts, rows
    p, weight = family.points(block.framed(block.x)), block.weight

    def better(best, noisy):
        row = jnp.argmax(noisy)
        higher = noisy[row] > best[0]
        return jnp.where(higher, noisy[row], best[0]), jnp.where(higher, p[:, row], best[1])

    def one(best, centres, key, power):
        noisy = jnp.log(weight).astype(jnp.float32) + row_noise(jax.random.fold_in(key, i), index)
        far = jnp.full(p.shape[1], jnp.inf, p.dtype)
        distance = jax.lax.fori_loop(0, i, lambda j, d: jnp.minimum(d, ((p - centres[j][:, None]) ** 2).sum(0)), far)
        preferred = jnp.where(i == 0, noisy, noisy + preference(power, distance).astype(jnp.float32))
        return better(best[0], preferred), better(best[1], noisy)

    return jax.vmap(one)(best, centres, keys, power)


@compiled("family")
def _merged(sampled: Rows, family: Family, start: Start, centres, again):
    """The centres of all starts, those that are not distinct from ``again``."""
    again = moved(sampled, family, start, jnp.tile(again, (start.active.shape[0], 1, 1)))
    return jnp.where(jax.vmap(distinct)(centres)[:, None, None], centres, again)
