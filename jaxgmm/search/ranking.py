"""The standing of lanes during a search, and the best start of every fit at its end.

A mixture of several components is degenerate where the prior or a floor holds one of them up, or where one holds less
than a row.
"""

import dataclasses
import functools

import jax
import numpy as np

from .. import em
from ..data.frame import leave, log_volume
from ..data.summary import Known
from ..families.base import parameters
from ..numerics import eps, first_of_largest
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.dtypes import floats_in, in_precision
from ..numerics.host import each, entries_of
from ..records import FitResult, Mixture, Status
from .pruning import Standing

RANKS = np.array([0, 0, 2, 1, 4, 4, 0, 3], np.int32)  # in the order of Status; then RUNNING, which is -1
TIE = 8  # units of rounding within which the first of two starts wins: on any number of devices the same one


def in_dtype_of_lanes(function):
    """Decorator: results in the data's dtype, computed in that of the lanes, which may have gone on in float64."""

    @functools.wraps(function)
    def concluded(known: Known, lanes, *args, method=em.PLAIN, **options):
        ours, theirs = known.frame.scale.dtype, method.state_of(lanes).gain.dtype
        if ours == theirs:
            return function(known, lanes, *args, method=method, **options)
        with in_precision(theirs):
            return floats_in(ours, function(floats_in(theirs, known), lanes, *args, method=method, **options))

    return concluded


@in_dtype_of_lanes
@compiled("keep_order", "method")
def conclude(known: Known, lanes, active, left=None, *, keep_order: bool = False, method=em.PLAIN):
    """Results (m,) of lanes (m·r,): the best start of every m, components by decreasing weight, in the data's units.

    A degenerate start wins only if every start is; one that fell behind only if there is no
    better; one that failed only if there is nothing else. ``left`` (m·r,) are lanes that a stop left unfinished:
    they are judged as they stand, and what they are starts of is STOPPED if it is sound.
    """
    m, count = active.shape[0], jax.tree.leaves(lanes)[0].shape[0]
    frame, measured = known.frame, known.measured
    left = np.zeros(count, bool) if left is None else left
    states = each(method.finish)(lanes)
    asked_for = xp.repeat(active, count // m, axis=0)
    judged = each(_final_status, (0, 0, None, 0))(states, asked_for, known, left)
    ranks = xp.take(RANKS, judged % len(RANKS))
    values = states.log_likelihood - measured.weight * log_volume(frame)
    of_fits = jax.tree.map(lambda leaf: leaf.reshape(m, -1, *leaf.shape[1:]), (states, judged, ranks, values, left))

    def choose(states, status, rank, values, left):
        contends = (rank == rank.min(-1, keepdims=True)) & ~xp.isnan(values)
        top = xp.where(contends, values, -np.inf).max(-1, keepdims=True)
        level = contends & (values >= top - TIE * eps(values) * xp.abs(top))
        best = first_of_largest(level.astype(values.dtype), -1)

        def of_best(leaf):
            return entries_of(leaf, best, values.ndim - 1)

        status_of_starts = status
        state, status = jax.tree.map(of_best, (states, status))
        mixture = state.mixture if keep_order else by_weight(state.mixture)
        mixture = dataclasses.replace(mixture, components=leave(mixture.components, frame))
        n_iter = xp.maximum(state.n_iter, 0)
        cut_short = left.any(-1) & (status <= Status.MAX_ITER)
        final = xp.where(cut_short, int(Status.STOPPED), status)
        ends = xp.where(status_of_starts < 0, int(Status.STOPPED), status_of_starts)
        return FitResult(mixture, of_best(values), n_iter, final, values, ends)

    return each(choose)(*of_fits)


@in_dtype_of_lanes
@compiled("keep_order", "method")
def conclude_one(known: Known, lanes, left=None, active=None, *, keep_order: bool = False, method=em.PLAIN):
    """The result of lanes (r,) that are starts of one fit, of all components or those in active (1, k)."""
    active = np.ones((1, method.state_of(lanes).counts.shape[-1]), bool) if active is None else active
    results = conclude(known, lanes, active, left, keep_order=keep_order, method=method)
    return jax.tree.map(lambda leaf: leaf[0], results)


def template(family) -> FitResult:
    """The structure of a result, with nothing in it."""
    params = family.parameters(**dict.fromkeys(parameters(family.parameters), 0.0))
    return FitResult(Mixture(0.0, params, family), 0.0, 0, 0, 0.0, 0)


def standing(method, lane, active, known: Known) -> Standing:
    """The standing of a lane, at a pause or at its end."""
    state = method.finish(lane)
    degenerate = is_degenerate(state, active, known)
    failed = (state.status > Status.MAX_ITER) | ~xp.isfinite(state.log_likelihood)
    return Standing(state.log_likelihood, state.gain, state.n_iter, state.status, ~degenerate & ~failed)


def is_degenerate(state: em.State, active, known: Known):
    """Whether one of several components is held up by prior or floors, or holds less than a row, ()."""
    mixture = state.mixture
    held_up = mixture.family.supported_by_prior(mixture.components, xp.exp(mixture.log_weights), known.prior)
    least = xp.minimum(1, known.measured.heaviest) * (1 - 1e-6)  # a component that is one whole row stands
    return (active.sum(-1) > 1) & (active & (held_up | (state.counts < least[..., None]))).any(-1)


def _final_status(state: em.State, active, known: Known, left):
    degenerate = is_degenerate(state, active, known)
    status = xp.where(left, int(Status.STOPPED), state.status)
    ended_well = (status == Status.CONVERGED) | (status == Status.MAX_ITER) | (status == Status.STOPPED)
    return xp.where(ended_well & degenerate, int(Status.DEGENERATE), status)


def by_weight(mixture: Mixture) -> Mixture:
    """The mixture with its components by decreasing weight; equal ones keep their order."""
    order = xp.argsort(-mixture.log_weights, axis=-1, stable=True)
    lanes = order.ndim - 1
    params = take_components(mixture.components, order, lanes)
    return Mixture(entries_of(mixture.log_weights, order, lanes), params, mixture.family)


def first_components(mixture: Mixture, k: int) -> Mixture:
    """The first k components: those that only pad have log weight -inf, and come last."""
    params = take_components(mixture.components, slice(0, k))
    return Mixture(mixture.log_weights[:k], params, mixture.family)


def take_components(params, index, lanes: int = 0):
    """Parameters of some components, index (..., k) of so many axes of lanes; what all components share stays."""
    about = parameters(type(params))
    taken = {name: getattr(params, name) for name in about}
    own = {name: about[name]["shape"].startswith("k") for name in about}
    return type(params)(
        **{name: entries_of(value, index, lanes) if own[name] else value for name, value in taken.items()}
    )
