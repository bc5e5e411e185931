"""Many starts in one program: measured data, first mixtures, and the vmapped loop.

Lanes (l,) are m numbers of components times r starts, the starts innermost. The data are shared by all lanes, so that
their products are one wider product. Lanes of different K share a program: a component that was not asked for has log
weight -inf.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import em, pruning
from .drivers.memory import Queue, Rows, block_bytes, block_rows, fresh_queue, run, total
from .family import Family
from .frame import enter_prior, frame_of, unit_frame
from .initializers import INITIALIZERS, distinct, lloyd, nearest, sample
from .numerics import product
from .outcome import standing
from .records import GaussianPrior, Mixture, Statistics, Status, record

COLUMNS = 512  # of all lanes in flight: enough to make the most of one look at the features
DRAW_WIDTH = 8  # numbers in memory per row and start while centres are drawn
SAMPLE_KEY = 2**32 - 1  # folded into the key for the rows that stand for all: no start has this number
LANE_BYTES = 2**28  # statistics and parameters of the lanes that are in flight together


@record
class Measured:
    """What one look at the data tells: how many rows are not finite or outside the support, and the weights' facts."""

    not_finite: Any
    outside: Any
    weight: Any  # Σ w
    heaviest: Any  # max w
    lightest: Any  # min w
    offset: Any  # Σ w base(x): the part of the log-likelihood that the moment form leaves out


@functools.partial(jax.jit, static_argnames=("family", "dtype", "block"))
def measure(x, weight, prior, family: Family, dtype: str, block: int) -> tuple[Rows, Measured, GaussianPrior | None]:
    """The data and the prior in the frame, and facts about the data. Three passes, nothing of size n is made."""
    weight = weight.astype(dtype)
    raw = Rows(x, weight, unit_frame(x.shape[1], dtype), block, dtype)
    pilot = raw.framed(x[:1])[:, 0]  # sums about a row, not about 0: a large offset costs no digits

    def first(x, weight):
        contained = family.support.contains(x) | ~jnp.isfinite(x)
        bad = (~jnp.isfinite(x)).any(0).sum(dtype=jnp.int32), (~contained).any(0).sum(dtype=jnp.int32)
        return *bad, weight.sum(), product(x - pilot[:, None], weight)

    not_finite, outside, whole, sums = total(raw, first)
    mean = pilot + sums / jnp.where(whole > 0, whole, 1)
    squares = total(raw, lambda x, weight: product((x - mean[:, None]) ** 2, weight))
    frame = frame_of(family.scaling, mean, squares / jnp.where(whole > 0, whole, 1))
    rows = dataclasses.replace(raw, frame=frame)

    def left_out(x, weight):
        return jnp.where(weight > 0, weight * family.base(x, frame.reference), 0).sum()

    offset = jnp.zeros((), dtype) if family.moments is family.accurate else total(rows, left_out)
    measured = Measured(not_finite, outside, whole, weight.max(), weight.min(), offset)
    return rows, measured, enter_prior(prior, frame)


def in_block(rows: Rows, form, k: int, lanes: int, block_size: int | None) -> Rows:
    """The rows cut into blocks that suit ``lanes`` mixtures of k components in flight."""
    n, d, itemsize = *rows.x.shape, jnp.dtype(rows.dtype).itemsize
    block = block_size or block_rows(n, form.width(d, k * lanes), itemsize)
    return dataclasses.replace(rows, block=min(block, n))


@functools.partial(jax.jit, static_argnames=("family", "init", "k", "r", "method"))
def begin(rows: Rows, family: Family, init: str, k: int, r: int, key, active, prior, method=em.PLAIN):
    """First lanes (m·r,) of r starts, for m numbers of components given by active (m, k)."""
    n, d, itemsize = *rows.x.shape, jnp.dtype(rows.dtype).itemsize
    m = active.shape[0]

    together = max(LANE_BYTES // (n * itemsize), 1)
    wide = dataclasses.replace(rows, block=max(rows.block, draw_rows(n, d, min(r, together), itemsize)))
    some = sample(jax.random.fold_in(key, SAMPLE_KEY), wide, k)
    initialise = INITIALIZERS["k-means++" if init == "kmeans" else init]

    def draw(key):  # the first K of k centres are the start of K components
        centres = initialise(key, some, family.points, k)
        if some is wide:
            return centres

        def redraw(state):
            _, key, _ = state
            return jnp.zeros((), bool), jax.random.split(key)[0], initialise(key, wide, family.points, k)

        # A rare value may be missing in the sample: a loop of one round, or none. The key changes in it, because XLA
        # takes what a round leaves alone out of a loop, and would draw always.
        return jax.lax.while_loop(lambda state: state[0], redraw, (~distinct(centres), key, centres))[2]

    def lane(each):
        active, centres = each
        if init == "kmeans":
            centres = lloyd(some, family.points, centres, active)
        return from_centres(rows, family, centres, active, prior)

    starts = in_groups(draw, keys_of(key, r), together)  # (r, k, p)
    lanes = jnp.repeat(active, r, axis=0), jnp.tile(starts, (m, 1, 1))
    states = in_groups(lane, lanes, lanes_together(family.moments, d, k, m * r, itemsize))
    return jax.vmap(method.start)(states)


@functools.partial(jax.jit, static_argnames=("r",))
def keys_of(key, r: int):
    """One key a start (r,); the first do not depend on how many there are."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(r, dtype=jnp.uint32))


def draw_rows(n: int, d: int, r: int, itemsize: int) -> int:
    """Rows a block while r starts are drawn: longer ones, because little is done with a row."""
    most, most_of_one = block_bytes()
    wanted = min(most // (d + DRAW_WIDTH * r), 4 * most_of_one) // itemsize
    return max(min(1 << (wanted.bit_length() - 1), n), 1)


def in_groups(function, lanes, together: int):
    """``function`` of every lane, vmapped over ``together`` of them at a time."""
    if jax.tree.leaves(lanes)[0].shape[0] <= together:
        return jax.vmap(function)(lanes)
    return jax.lax.map(function, lanes, batch_size=together)


@functools.partial(jax.jit, static_argnames=("family", "method"))
def begin_at(rows: Rows, family: Family, centres, active, prior, method=em.PLAIN):
    """First lanes (r,) from centres (r, k, d) in the data's own units."""
    points = jax.vmap(lambda each: family.points(rows.framed(each)).T)(centres)
    return jax.vmap(lambda start: method.start(from_centres(rows, family, start, active, prior)))(points)


def from_centres(rows: Rows, family: Family, centres, active, prior) -> em.State:
    """First state of a lane: one pass in which a row belongs to its nearest centre (k, p)."""

    def responsibilities(x):
        return nearest(family.points(x), centres, active)

    return first_state(rows, family, centres, prior, responsibilities)


@functools.partial(jax.jit, static_argnames=("family", "method"))
def begin_with(rows: Rows, family: Family, resp, prior, method=em.PLAIN):
    """First lane (1,) from responsibilities (n, k)."""
    start = jnp.zeros((resp.shape[1], family.points(rows.framed(rows.x[:1])).shape[0]), rows.dtype)
    state = first_state(rows, family, start, prior, lambda x, resp: resp.T.astype(x.dtype), resp)
    return one_lane(method.start(state))


@functools.partial(jax.jit, static_argnames=("family", "method"))
def begin_from(rows: Rows, family: Family, mixture: Mixture, method=em.PLAIN):
    """First lane (1,) that judges exactly this mixture of framed data: nothing was added to it."""

    def shape(x, weight):
        form, params = family.moments, mixture.components
        prepared = form.prepare(params, rows.frame.reference)
        statistics = em.expect(form, prepared, mixture.log_weights, None, x, weight)
        return em.maximise(form, mixture, prepared, statistics, GaussianPrior())[1]

    added = jax.eval_shape(shape, *rows.take(0))
    return one_lane(method.start(em.initial_state(mixture, jnp.zeros(added.shape, added.dtype))))


def one_lane(lane):
    """A lane as the only one of its kind (1,)."""
    return jax.tree.map(lambda leaf: leaf[None], lane)


def first_state(rows: Rows, family: Family, centres, prior, responsibilities, *columns) -> em.State:
    """First state from ``responsibilities(x, *columns) -> (k, b)``; boundaries that EM cannot leave are loosened."""
    form = family.moments
    params = family.around(centres, rows.x.shape[1])
    prepared = form.prepare(params, rows.frame.reference)

    def summarise(x, weight, *columns):
        resp = responsibilities(x, *columns) * weight[None]
        zero = jnp.zeros((), x.dtype)
        sums = form.statistics(prepared, form.view(prepared, x), resp)
        return Statistics(zero, zero, weight.sum(), resp.sum(1), sums)

    statistics = total(rows, summarise, *columns)
    anything = Mixture(jnp.zeros_like(statistics.counts), params, family)
    mixture, added = em.maximise(form, anything, prepared, statistics, prior)
    weights = jnp.exp(mixture.log_weights)
    free = family.loosen(mixture.components, weights, statistics.counts, added)
    return em.initial_state(dataclasses.replace(mixture, components=free), added)


@functools.partial(jax.jit, static_argnames=("family", "form", "method", "on_fall", "slots"))
def iterate(
    rows: Rows,
    family: Family,
    form: str,
    method,
    lanes,
    alive,
    active,
    prior,
    limits,
    measured: Measured,
    on_fall: int,
    slots: int,
    queue: Queue,
):
    """Run lanes (l,) that are alive to their ends or the pause, ``slots`` of them at a time, and say how they stand,
    where their queue, and how many E-steps it took.

    The accurate form takes up what moments gave up. Components of the m numbers in active (m, k) count.
    """
    chosen = getattr(family, form)
    if form == "accurate":
        lanes = jax.vmap(functools.partial(em.resume_accurately, method))(lanes)
    left_out = measured.offset * (1 if chosen is family.moments else 0)

    def problem(lane):
        return rows, prior, left_out

    lanes, queue, rounds = run(problem, chosen, method, lanes, alive, limits, on_fall, slots, queue)
    asked_for = jnp.repeat(active, alive.shape[0] // active.shape[0], axis=0)
    stand = jax.vmap(functools.partial(standing, method), (0, 0, None))(lanes, asked_for, measured.heaviest)
    return lanes, stand, queue, rounds


def lanes_together(form, d: int, k: int, lanes: int, itemsize: int) -> int:
    """How many lanes fit in memory at a time."""
    return min(max(LANE_BYTES // (8 * k * form.width(d, k) * itemsize), 1), lanes)


def slots_for(form, d: int, k: int, lanes: int, itemsize: int, in_trace: bool) -> int:
    """How many of the lanes run at a time: half, so that those that stop early make room, and what memory allows."""
    slots = lanes_together(form, d, k, lanes, itemsize)
    if in_trace:
        return slots
    return min(slots, max(COLUMNS // k, 1), lanes if lanes < pruning.FEWEST else -(-lanes // 2))


def solve(
    rows: Rows,
    family: Family,
    method,
    lanes,
    active,
    prior,
    limits,
    measured: Measured,
    block_size,
    search: str,
    in_trace: bool,
    watch=None,
):
    """Run lanes (l,) in the moment form, then those that it loses digits on in the accurate form."""
    d, k = rows.x.shape[1], active.shape[1]
    count, itemsize = len(jax.tree.leaves(lanes)[0]), jnp.dtype(rows.dtype).itemsize

    volume = None  # what the frame took out of the log-likelihood
    if watch is not None:
        watch.begins()
        volume = np.asarray(measured.weight) * np.log(np.asarray(rows.frame.scale)).sum()

    def stage(name, lanes, alive, limits, on_fall):
        form = getattr(family, name)
        slots = slots_for(form, d, k, count, itemsize, in_trace)
        cut = in_block(rows, form, k, slots, block_size)

        def go(lanes, queue, rounds):
            until = dataclasses.replace(limits, rounds=rounds)
            return iterate(
                cut, family, name, method, lanes, alive, active, prior, until, measured, on_fall, slots, queue
            )

        queue = fresh_queue(count, slots)
        if watch is None:
            return go(lanes, queue, em.NEVER)[:2]
        return watch.through(
            go, lanes, queue, alive, active.shape[0], volume, cut.x.shape[0] * form.width(d, k * slots)
        )

    def reach(lanes, alive, pause):
        until = dataclasses.replace(limits, pause=pause)
        if family.accurate is family.moments:
            return stage("accurate", lanes, alive, until, int(Status.DECREASED))
        lanes, stand = stage("moments", lanes, alive, until, em.LOSSY)
        if in_trace or (np.asarray(stand.status) == em.LOSSY).any():
            lanes, stand = stage("accurate", lanes, alive, until, int(Status.DECREASED))
        return lanes, stand

    return pruning.finish(reach, lanes, measured.weight, limits, active.shape[0], search, in_trace)
