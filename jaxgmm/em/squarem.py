"""Fewer E-steps to the same fixed point: SQUAREM on the unconstrained view of the parameters.

With F one update of plain EM, a cycle is

    θ₁ = F(θ₀),  θ₂ = F(θ₁),  r = θ₁ - θ₀,  v = (θ₂ - θ₁) - r,  α = -‖r‖ / ‖v‖
    θ' = θ₀ - 2 α r + α² v,   and F(θ') heads the next cycle

A θ' that falls further than a little below the head of its cycle is dropped for θ₂: to refuse every fall takes up to
four times the cycles. The best point seen is what a fit returns. Gains are taken from head to head, and the curvature
within a cycle bounds from below what may remain: the stopping rule keeps its meaning. The first updates are plain: most
fits end before acceleration pays, and a jump from a poor start may land anywhere.

Source: Varadhan and Roland (2008), scheme S3, with the growing bound on the step of their SQUAREM package.
"""

import dataclasses
from typing import Any

import jax

from ..numerics import eps, with_axes
from ..numerics.backend import xp
from ..numerics.host import as_int32, choose, nowhere, where_needed
from ..records import Mixture, record
from ..unconstrained import Unconstrained, mixture_of, view_of
from .state import Method, State, Update, noise_of
from .stopping import AITKEN
from .update import PLAIN, judged, slack_of

WARM_UP = 10  # plain updates before the first cycle
HEAD, MIDDLE, TRIAL = 0, 1, 2  # which point of the cycle the candidate is
GROWTH = 4.0  # of the bound on |α|
FALL = 1e-3  # nats per unit weight that a trial may lose against the head of its cycle


@record
class Cycle:
    """The state of plain EM, and its place in a cycle.

    ``phase`` says which point of the cycle the candidate is. ``before`` and ``last`` are the views of the two latest
    candidates; ``fallback`` is θ₂ while θ' is tried; ``reach`` bounds |α|; ``beyond`` is what remains to the limit by
    the curvature within the cycle. ``best`` holds mixture, log-likelihood and counts of the best candidate so far.
    """

    state: State
    best: dict
    phase: Any
    before: Unconstrained
    last: Unconstrained
    fallback: Mixture
    reach: Any
    beyond: Any


def start(state: State) -> Cycle:
    view = view_of(state.candidate)
    zero = xp.zeros_like(state.gain)
    phase = xp.full_like(state.status, HEAD)
    return Cycle(state, _judged(state), phase, view, view, state.candidate, zero + GROWTH, zero)


def state_of(cycle: Cycle) -> State:
    return cycle.state


def finish(cycle: Cycle) -> State:
    """The state with the best mixture seen."""
    return dataclasses.replace(cycle.state, **cycle.best)


def _judged(state: State) -> dict:
    return {name: getattr(state, name) for name in ("mixture", "log_likelihood", "counts")}


def advance(task, cycle: Cycle, prepared, statistics, lossy) -> Cycle:
    """The cycle after one more E-step."""
    value, weight = statistics.log_likelihood, statistics.weight
    heads, leaps, trial = cycle.phase == HEAD, cycle.phase == MIDDLE, cycle.phase == TRIAL
    refused = trial & (lossy | ~(value >= cycle.state.previous - FALL * weight))
    slack, rounding = slack_of(task, cycle.state, prepared)
    state = judged(
        task,
        cycle.state,
        prepared,
        statistics,
        lossy & ~trial,
        slack=(slack, rounding),
        counted=heads,
        refused=refused,
        leapt=trial,
        at_least=cycle.beyond,
    )
    candidate = choose(refused, cycle.fallback, state.candidate)
    noise = noise_of(statistics)
    begins = heads & (state.n_iter >= WARM_UP) & (task.limits.tol > 0)
    fallen = cycle.best["log_likelihood"] > state.log_likelihood + noise
    if nowhere(~heads | fallen | (state.n_iter >= WARM_UP - 1)):  # no view is looked at yet
        held = dataclasses.replace(state, candidate=candidate)
        return dataclasses.replace(cycle, best=_judged(held), state=held)
    view = view_of(candidate)
    swayed = slack > noise

    def leapt():
        leap, length = extrapolate(cycle.before, cycle.last, view)
        shrinking = 1 - 1 / length  # of the steps, where one direction is left
        rate = xp.where(swayed, shrinking, shrinking**2)  # of the gains: at a maximum of the log-likelihood, squared
        gain = value - cycle.state.log_likelihood
        gained = xp.where(swayed, xp.abs(gain), xp.maximum(gain, 0)) / weight
        beyond = gained * rate / xp.maximum(1 - rate, eps(rate))
        grown = xp.where(length >= cycle.reach, cycle.reach * GROWTH, cycle.reach)
        return mixture_of(leap(xp.minimum(length, cycle.reach))), beyond, grown

    following, beyond, grown = where_needed(leaps, leapt, (candidate, cycle.beyond, cycle.reach))
    fallen &= cycle.best["log_likelihood"] > state.log_likelihood + noise + 2 * slack
    fallen &= trial | ~swayed  # where an update of EM falls, the prior wants it
    return Cycle(
        best=choose(fallen, cycle.best, _judged(state)),
        state=dataclasses.replace(state, candidate=following),
        phase=as_int32(xp.where(leaps, TRIAL, xp.where(begins, MIDDLE, HEAD))),
        before=cycle.last,
        last=view,
        fallback=candidate,
        reach=xp.where(refused, xp.maximum(cycle.reach / GROWTH, 1), grown),
        beyond=beyond,
    )


def extrapolate(before: Unconstrained, middle: Unconstrained, last: Unconstrained):
    """θ' as a function of |α|, and the |α| of scheme S3, at least 1 (which is θ₂).

    Entries that are not finite stay where plain EM put them.
    """

    def finite(value):
        return xp.where(xp.isfinite(value), value, 0)

    first = jax.tree.map(lambda a, b: finite(b - a), before, middle)
    turn = jax.tree.map(lambda r, b, c: finite(c - b - r), first, middle, last)
    lanes = last.log_weights.ndim - 1
    squares = [
        sum((leaf**2).sum(tuple(range(lanes, leaf.ndim))) for leaf in jax.tree.leaves(tree)) for tree in (first, turn)
    ]
    bends = squares[1] > 0
    length = xp.maximum(xp.sqrt(xp.where(bends, squares[0], 1) / xp.where(bends, squares[1], 1)), 1)

    def leap(length):
        def entry(a, r, v, c):
            by = with_axes(length, c.ndim)
            there = a + 2 * by * r + by**2 * v
            return xp.where(xp.isfinite(there), there, c)

        return jax.tree.map(entry, before, first, turn, last)

    return leap, length


UPDATE = Update("squarem", start, state_of, advance, finish)
SQUAREM = Method(UPDATE, AITKEN)

METHODS = ("auto", "none", "squarem")


def method_of(accelerate: str, family) -> Method:
    """The method that a name asks for. "auto": SQUAREM for the Gaussian families, plain EM for the others.

    On Gaussian data SQUAREM halves the E-steps in the median; a Bernoulli mixture of digits, whose probabilities go to
    0 and whose logits to -inf, takes ten times as many.
    """
    if accelerate == "auto":
        return SQUAREM if family.located else PLAIN
    return SQUAREM if accelerate == "squarem" else PLAIN
