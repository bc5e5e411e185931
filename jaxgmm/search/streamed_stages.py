"""EM over rows that stream: a pass an E-step, for all lanes that still run."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.arrays import lanes_together
from ..data.frame import unit_frame
from ..data.out_of_core import Flow
from ..inference import Certainty
from ..init.streamed_states import about
from ..numerics.compiling import compiled
from ..records import record, static
from . import pruning
from .ranking import standing
from .stages import both_forms

WORTH = 2**28  # numbers an E-step passes, from which on fewer lanes are worth programs of their own: two seconds each


@record
class Expected:
    """Statistics of lanes (l,)."""

    prepared: Any
    log_weights: Any
    reference: Any
    form: Any = static()

    def __call__(self, x, weight):
        def lane(prepared, log_weights):
            return em.expect(self.form, about(prepared, self.reference), log_weights, None, x, weight)

        return jax.vmap(lane)(self.prepared, self.log_weights)


def solve(flow, family, method, lanes, active, prior, limits, measured, search: str, watch):
    """Run lanes (l,) in the moment form, then those that it loses digits on in the accurate form."""
    d, k = flow.stream.d, active.shape[1]
    volume = np.asarray(measured.weight) * np.log(np.asarray(flow.frame.scale)).sum()
    watch.begins()

    n = flow.n_everywhere

    def stage(name, lanes, alive, limits, on_fall):
        form = getattr(family, name)

        def go(lanes, queue, rounds):
            return iterate(
                flow, family, name, method, lanes, alive, active, prior, limits, measured, on_fall, queue, rounds
            )

        work = n * form.width(d, k * len(alive))
        return watch.through(go, lanes, np.int32(0), alive, active.shape[0], volume, work, n)

    reach = both_forms(family.accurate is not family.moments, stage, limits, False)
    return pruning.finish(reach, lanes, measured.weight, limits, active.shape[0], search, False)


def iterate(flow, family, name, method, lanes, alive, active, prior, limits, measured, on_fall, queue, rounds):
    """`stages.iterate`, a pass an E-step for all lanes that still run."""
    form = getattr(family, name)
    if name == "accurate":
        lanes = _resumed(lanes, method)
    offset = measured.left_out(family, form)
    (count, k), itemsize = method.state_of(lanes).counts.shape, flow.stream.dtype.itemsize
    together = lanes_together(form, flow.stream.d, k, count, itemsize)
    shrinks = flow.n_everywhere * form.width(flow.stream.d, k * together) >= WORTH
    made = 0
    while made < rounds:
        running = np.flatnonzero(np.asarray(alive) & np.asarray(_going(lanes, limits, method)))
        if not len(running):
            break
        parts = [running[i : i + together] for i in range(0, len(running), together)]
        groups = [_filled(part, 1 << (len(part) - 1).bit_length() if shrinks else together, count) for part in parts]
        expected = [_expected(lanes, group, flow.frame.reference, form, method) for group in groups]
        statistics = flow.totals(expected, form.width(flow.stream.d, k * len(groups[0])))
        for group, seen, sums in zip(groups, expected, statistics, strict=True):
            lanes = _advance(lanes, group, seen.prepared, sums, offset, prior, limits, form, method, on_fall)
        made += 1
    return lanes, _standing(lanes, active, measured.heaviest, method), queue, made


def _filled(lanes, size: int, count: int):
    """Indices of lanes, filled up to a size with ``count``, which is no lane: few sizes, few programs."""
    return np.concatenate([lanes, np.full(min(size, count) - len(lanes), count)]).astype(np.int32)


@compiled("method")
def _resumed(lanes, method):
    return jax.vmap(functools.partial(em.resume_accurately, method))(lanes)


@compiled("method")
def _going(lanes, limits, method):
    return em.going(jax.vmap(method.state_of)(lanes), limits)


@compiled("form", "method")
def _expected(lanes, group, reference, form, method):
    some = jax.tree.map(lambda leaf: leaf[jnp.minimum(group, leaf.shape[0] - 1)], lanes)
    candidate = jax.vmap(method.state_of)(some).candidate
    prepared = jax.vmap(lambda each: form.prepare(each, reference))(candidate.components)
    return Expected(prepared, candidate.log_weights, reference, form)


@compiled("form", "method", "on_fall")
def _advance(lanes, group, prepared, statistics, offset, prior, limits, form, method, on_fall):
    def step(lane, prepared, statistics):
        return em.step(form, method, prior, limits, lane, prepared, statistics, offset, on_fall)

    some = jax.tree.map(lambda leaf: leaf[jnp.minimum(group, leaf.shape[0] - 1)], lanes)
    moved = jax.vmap(step)(some, prepared, statistics)
    return jax.tree.map(lambda old, new: old.at[group].set(new, mode="drop"), lanes, moved)


@compiled("method")
def _standing(lanes, active, heaviest, method):
    count = jax.tree.leaves(lanes)[0].shape[0]
    asked_for = jnp.repeat(active, count // active.shape[0], axis=0)
    return jax.vmap(functools.partial(standing, method), (0, 0, None))(lanes, asked_for, heaviest)


@record
class Certainties:
    """Σ w log max_k r_k under each of the mixtures (m,)."""

    mixtures: Any

    def __call__(self, x, weight):
        return jax.lax.map(lambda mixture: Certainty(mixture)(x, weight), self.mixtures)


def certainties(flow: Flow, mixtures):
    """How certain the labels are under each of these mixtures (m,), in the data's own units, by one pass."""
    plain = dataclasses.replace(flow, frame=unit_frame(flow.stream.d, flow.dtype))
    family, k = mixtures.family, mixtures.log_weights.shape[1]
    [certain] = plain.totals([Certainties(mixtures)], family.accurate.width(flow.stream.d, k))
    return certain
