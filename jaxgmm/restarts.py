"""Many starts in one program: measured data, first mixtures, the vmapped loop, and the choice of the best.

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

from . import em
from .drivers.memory import Rows, block_bytes, block_rows, run, total
from .family import Family, parameters
from .frame import enter_prior, frame_of, leave, log_volume, unit_frame
from .initializers import INITIALIZERS, distinct, lloyd, nearest, sample
from .numerics import product
from .records import FitResult, GaussianPrior, Mixture, Statistics, Status, record

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


@functools.partial(jax.jit, static_argnames=("family", "init", "k", "r"))
def begin(rows: Rows, family: Family, init: str, k: int, r: int, key, active, prior) -> em.State:
    """First states (m·r,) of r starts, for m numbers of components given by active (m, k)."""
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
    return in_groups(lane, lanes, lanes_together(family.moments, d, k, m * r, itemsize))


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


@functools.partial(jax.jit, static_argnames=("family",))
def begin_at(rows: Rows, family: Family, centres, active, prior) -> em.State:
    """First states (r,) from centres (r, k, d) in the data's own units."""
    points = jax.vmap(lambda each: family.points(rows.framed(each)).T)(centres)
    return jax.vmap(lambda start: from_centres(rows, family, start, active, prior))(points)


def from_centres(rows: Rows, family: Family, centres, active, prior) -> em.State:
    """First state of a lane: one pass in which a row belongs to its nearest centre (k, p)."""

    def responsibilities(x):
        return nearest(family.points(x), centres, active)

    return first_state(rows, family, centres, prior, responsibilities)


@functools.partial(jax.jit, static_argnames=("family",))
def begin_with(rows: Rows, family: Family, resp, prior) -> em.State:
    """First state (1,) from responsibilities (n, k)."""
    start = jnp.zeros((resp.shape[1], family.points(rows.framed(rows.x[:1])).shape[0]), rows.dtype)
    return one_lane(first_state(rows, family, start, prior, lambda x, resp: resp.T.astype(x.dtype), resp))


@functools.partial(jax.jit, static_argnames=("family",))
def begin_from(rows: Rows, family: Family, mixture: Mixture) -> em.State:
    """First state (1,) that judges exactly this mixture of framed data: nothing was added to it."""

    def shape(x, weight):
        form, params = family.moments, mixture.components
        prepared = form.prepare(params, rows.frame.reference)
        statistics = em.expect(form, prepared, mixture.log_weights, None, x, weight)
        return em.maximise(form, mixture, prepared, statistics, GaussianPrior())[1]

    added = jax.eval_shape(shape, *rows.take(0))
    return one_lane(em.initial_state(mixture, jnp.zeros(added.shape, added.dtype)))


def one_lane(state: em.State) -> em.State:
    """A state as the only one of its kind (1,)."""
    return jax.tree.map(lambda leaf: leaf[None], state)


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
def iterate(rows: Rows, family: Family, form: str, method, states, prior, limits, offset, on_fall: int, slots: int):
    """Run lanes (l,) to their ends, ``slots`` of them at a time; the accurate form takes up what moments gave up."""
    chosen = getattr(family, form)
    if form == "accurate":
        states = jax.vmap(em.resume_accurately)(states)
    left_out = offset if chosen is family.moments else jnp.zeros_like(offset)

    def problem(lane):
        return rows, prior, left_out

    return run(problem, chosen, method, states, limits, on_fall, slots)


def lanes_together(form, d: int, k: int, lanes: int, itemsize: int) -> int:
    """How many lanes fit in memory at a time."""
    return min(max(LANE_BYTES // (8 * k * form.width(d, k) * itemsize), 1), lanes)


def solve(
    rows: Rows, family: Family, method, states: em.State, prior, limits, offset, block_size, in_trace: bool
) -> em.State:
    """Run lanes (l,) in the moment form, then those that it loses digits on in the accurate form."""
    d, k = rows.x.shape[1], states.counts.shape[-1]
    lanes, itemsize = states.status.shape[0], jnp.dtype(rows.dtype).itemsize

    def stage(name, states, on_fall):
        form = getattr(family, name)
        slots = lanes_together(form, d, k, lanes, itemsize)
        if not in_trace:
            slots = min(slots, max(COLUMNS // k, 1))
        cut = in_block(rows, form, k, slots, block_size)
        return iterate(cut, family, name, method, states, prior, limits, offset, on_fall, slots)

    if family.accurate is family.moments:
        return stage("accurate", states, int(Status.DECREASED))
    states = stage("moments", states, em.LOSSY)
    if in_trace or (np.asarray(states.status) == em.LOSSY).any():
        states = stage("accurate", states, int(Status.DECREASED))
    return states


@functools.partial(jax.jit, static_argnames=("keep_order",))
def conclude(rows: Rows, states: em.State, active, heaviest, keep_order: bool):
    """Results (m,) of lanes (m·r,): the best start of every m, components by decreasing weight, in the data's units.

    Degenerate: a component that prior or floors hold up, or that holds less than a row. Such a start wins only if every
    start does; one that failed only if there is nothing else.
    """
    m = active.shape[0]
    states = jax.tree.map(lambda leaf: leaf.reshape(m, -1, *leaf.shape[1:]), states)
    judged = jax.vmap(jax.vmap(_final_status, (0, None, None)), (0, 0, None))(states, active, heaviest)
    volume = log_volume(rows.frame)
    values = states.log_likelihood - rows.weight.sum() * volume  # (m, r)

    def choose(states, status, values):
        rank = jnp.array([0, 0, 2, 1, 4, 4, 0], jnp.int32)[status]  # in the order of Status
        best = jnp.argmax(jnp.where((rank == rank.min()) & ~jnp.isnan(values), values, -jnp.inf))
        state = jax.tree.map(lambda leaf: leaf[best], states)
        mixture = state.mixture if keep_order else by_weight(state.mixture)
        mixture = dataclasses.replace(mixture, components=leave(mixture.components, rows.frame))
        n_iter = jnp.maximum(state.n_iter, 0)
        return FitResult(mixture, values[best], n_iter, status[best], values)

    return jax.vmap(choose)(states, judged, values)


@functools.partial(jax.jit, static_argnames=("keep_order",))
def conclude_one(rows: Rows, states: em.State, heaviest, keep_order: bool):
    """The result of lanes (r,) that are starts of one fit."""
    active = jnp.ones((1, states.counts.shape[-1]), bool)
    return jax.tree.map(lambda leaf: leaf[0], conclude(rows, states, active, heaviest, keep_order))


def _final_status(state: em.State, active, heaviest):
    mixture, several = state.mixture, active.sum() > 1
    held_up = mixture.family.degenerate(mixture.components, jnp.exp(mixture.log_weights), state.added)
    least = jnp.minimum(1, heaviest) * (1 - 1e-6)  # a component that is one whole row stands
    degenerate = several & (active & (held_up | (state.counts < least))).any()
    ended_well = (state.status == Status.CONVERGED) | (state.status == Status.MAX_ITER)
    return jnp.where(ended_well & degenerate, int(Status.DEGENERATE), state.status)


def by_weight(mixture: Mixture) -> Mixture:
    """The mixture with its components by decreasing weight; equal ones keep their order."""
    order = jnp.argsort(-mixture.log_weights, stable=True)
    return Mixture(mixture.log_weights[order], take_components(mixture.components, order), mixture.family)


def take_components(params, index):
    """Parameters of some components; what all components share stays."""
    about = parameters(type(params))
    taken = {name: getattr(params, name) for name in about}
    return type(params)(
        **{name: value[index] if about[name]["shape"].startswith("k") else value for name, value in taken.items()}
    )
