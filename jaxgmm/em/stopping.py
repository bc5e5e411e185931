"""One update of EM, and when to stop.

Source: stopping by Aitken's estimate, Böhning et al. (1994).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numerics import eps
from ..numerics.backend import xp
from ..numerics.host import as_int32, choose
from ..records import Mixture, Statistics, Status, record, static
from .steps import Expected, maximise, shifted

RUNNING = -1  # statuses of a loop that no result carries
LOSSY = -2  # the moment form has lost its digits: go on in the accurate form
NEVER = np.int32(2**31 - 1)  # the pause of lanes that run to their ends
FALL = 4  # units of rounding: the log-likelihoods of two mixtures differ by that of both, and of both M-steps
TURN = 0.1  # a sequence about to turn has less of itself before it, by up to one gain, at every update
LOSS_LIMIT = 1e-4  # relative rounding of a variance, or nats a row, at which the moment form gives way


@record
class State:
    """Where a fit stands. ``mixture`` is the last one judged good, with its ``log_likelihood`` and ``counts``;
    ``candidate`` is next.

    ``added`` and ``candidate_added`` are what prior and floors put into either. ``previous`` is the log-likelihood that
    the candidate's is compared with, -inf where there is none.
    """

    mixture: Mixture
    added: Any
    log_likelihood: Any
    counts: Any
    candidate: Mixture
    candidate_added: Any
    previous: Any
    gain: Any
    remaining: Any
    streak: Any
    n_iter: Any
    status: Any


@record
class Limits:
    """Traced numbers of the stopping rule; a lane that has made ``pause`` updates waits until the next run."""

    tol: Any
    max_iter: Any
    pause: Any = NEVER


@record
class Task:
    """What a lane is run under: the reference of its rows' moments, the prior, the limits, and ``offset``, what the
    form leaves out of the log-likelihood; the form, the method, and the status of one whose log-likelihood falls."""

    reference: Any
    prior: Any
    limits: Limits
    offset: Any
    form: Any = static()
    method: Any = static()
    on_fall: int = static()


def initial_state(candidate: Mixture, added) -> State:
    """The state before anything was judged."""
    lanes = candidate.log_weights.shape[:-1]
    infinite = np.full(lanes, np.inf, candidate.log_weights.dtype)[()]
    zero = np.zeros(lanes, np.int32)[()]
    return State(
        mixture=candidate,
        added=added,
        log_likelihood=np.nan * infinite,
        counts=xp.zeros_like(candidate.log_weights),
        candidate=candidate,
        candidate_added=added,
        previous=-infinite,
        gain=infinite,
        remaining=infinite,
        streak=zero,
        n_iter=zero - 1,
        status=zero + RUNNING,
    )


def resume_accurately(method, lane):
    """A lane that the moment form gave up, as the accurate form should go on with it; any other as it is."""
    state = method.finish(lane)
    fresh = method.start(_last_good(state))
    return choose(state.status == LOSSY, fresh, lane)


def _last_good(state: State) -> State:
    """A state that was given up as it stood at its last good mixture."""
    lossy = state.status == LOSSY
    again = lossy & (state.n_iter >= 0)

    return dataclasses.replace(
        state,
        candidate=choose(again, state.mixture, state.candidate),
        candidate_added=choose(again, state.added, state.candidate_added),
        previous=choose(lossy, xp.full_like(state.previous, -np.inf), state.previous),
        gain=choose(lossy, xp.full_like(state.gain, np.inf), state.gain),
        remaining=choose(lossy, xp.full_like(state.remaining, np.inf), state.remaining),
        streak=choose(lossy, xp.zeros_like(state.streak), state.streak),
        n_iter=choose(again, state.n_iter - 1, state.n_iter),
        status=choose(lossy, xp.full_like(state.status, RUNNING), state.status),
    )


def going(state: State, limits: Limits):
    return (state.status == RUNNING) & (state.n_iter < limits.pause)


def noise_of(statistics: Statistics):
    """How much of the log-likelihood may be rounding."""
    value = statistics.log_likelihood
    return xp.where(xp.isfinite(value), 4 * eps(value) * statistics.rounding, 0)


def advance(
    task: Task,
    state: State,
    prepared,
    statistics: Statistics,
    lossy,
    *,
    counted=True,
    refused=False,
    leapt=False,
    at_least=0.0,
) -> State:
    """Judge the candidate by its statistics, then make the next one.

    Stops with CONVERGED when Aitken's estimate of how far the mean log-likelihood is from its limit is below tol three
    times in a row, none larger than the one before, or when a gain is below rounding; with ``task.on_fall`` on a fall
    that neither rounding nor the prior explains (DECREASED, or LOSSY in the moment form); with NON_FINITE; or with
    MAX_ITER.
    Where the prior can make the log-likelihood fall, it may turn: a limit from above counts as one from below, and a
    gain below rounding only after another one.

    Gains are those between candidates that are ``counted``; one that is ``refused`` was tried in vain and changes
    nothing (its successor is the caller's business); one that ``leapt`` is no update of EM and may fall. ``at_least``
    bounds from below what may remain.
    """
    limits, weight, value = task.limits, statistics.weight, statistics.log_likelihood
    kept, tried = xp.logical_not(refused), xp.logical_or(refused, leapt)
    first = state.previous == -np.inf
    gain = (value - state.previous) / weight  # +inf at first
    step = (value - state.log_likelihood) / weight  # from the last good mixture
    noise = noise_of(statistics) / weight
    finite = xp.isfinite(value) | ((value == -np.inf) & (state.n_iter < 0))  # an impossible start may still recover

    slack = state.mixture.family.slack(prepared, state.candidate_added, state.counts) / weight
    swayed = slack > noise
    comparable = (state.gain != 0) & xp.isfinite(state.gain)
    ratio = gain / xp.where(comparable, state.gain, 1)
    slowing = comparable & (ratio > 0) & (ratio < 1) & ((gain > 0) | swayed)
    remaining = xp.where(slowing, xp.abs(gain) * ratio / xp.where(slowing, 1 - ratio, 1), np.inf)
    remaining = xp.maximum(remaining, at_least)
    steady = remaining <= state.remaining
    steady &= ~swayed | (remaining / xp.abs(gain) >= state.remaining / xp.abs(state.gain) - TURN)
    streak = xp.where(remaining < limits.tol, xp.where(steady, state.streak + 1, 1), 0)

    lost = task.form.loss(prepared) * eps(value)
    blur = xp.maximum(noise, lost / xp.sqrt(weight))  # rows err independently
    twice = (xp.abs(gain) <= blur) & (xp.abs(state.gain) <= blur)
    still = xp.where(swayed, twice, (gain <= noise) & (gain >= -FALL * noise) & ~first)
    settled = counted & ((streak >= 3) | still)
    failed = (step < -FALL * noise - 2 * slack) & ~first & ~tried  # the bound of slack is on exact arithmetic
    n_iter = state.n_iter + 1

    status = xp.where(n_iter >= limits.max_iter, int(Status.MAX_ITER), RUNNING)
    status = xp.where(settled & (limits.tol > 0), int(Status.CONVERGED), status)
    status = xp.where(failed, task.on_fall, status)
    status = xp.where(~finite & kept, int(Status.NON_FINITE), status)
    status = xp.where(lossy, LOSSY, status)
    accept = ~failed & finite & ~lossy & kept
    following, added = maximise(task.form, state.candidate, prepared, statistics, task.prior)

    def pick(new, old, condition=accept):
        return choose(condition, new, old)

    judged = accept & counted
    return State(
        mixture=pick(state.candidate, state.mixture),
        added=pick(state.candidate_added, state.added),
        log_likelihood=pick(value, state.log_likelihood),
        counts=pick(statistics.counts, state.counts),
        candidate=pick(following, state.candidate),
        candidate_added=pick(added, state.candidate_added),
        previous=pick(value, state.previous, judged),
        gain=pick(gain, state.gain, judged),
        remaining=pick(remaining, state.remaining, judged),
        streak=pick(as_int32(streak), state.streak, judged),
        n_iter=pick(n_iter, state.n_iter, accept | refused),
        status=as_int32(status),
    )


def expected(task: Task, lane) -> Expected:
    """What a lane wants summed over the rows: the E-step of its candidate."""
    candidate = task.method.state_of(lane).candidate
    prepared = task.form.prepare(candidate.components, task.reference)
    return Expected(prepared, candidate.log_weights, task.reference, task.form)


def step(task: Task, lane, prepared, statistics: Statistics):
    """A lane after the E-step that gave these statistics."""
    lossy = task.form.loss(prepared) * eps(task.offset) > LOSS_LIMIT
    return task.method.advance(task, lane, prepared, shifted(statistics, task.offset), lossy)


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to advance from E-step to E-step: what a loop carries, begun from a state, read and ended as one."""

    name: str
    start: Callable
    state_of: Callable
    advance: Callable
    finish: Callable


def _as_it_is(state: State) -> State:
    return state


PLAIN = Method("none", _as_it_is, _as_it_is, advance, _as_it_is)
