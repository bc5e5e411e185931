"""The state of a fit between two E-steps, and the task: the numbers and functions that the fit runs with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..families.base import nonsingular
from ..numerics import eps
from ..numerics.backend import xp
from ..numerics.host import choose
from ..records import Mixture, Statistics, Status, record, static
from .steps import Expected

RUNNING = -1  # status of a lane that goes on; no result has it
LOSSY = -2  # status of a lane whose form has lost its digits: the next form continues; no result has it
LOSS_LIMIT = 1e-4  # relative rounding of a variance, or nats a row: beyond, the moment form is left
NEVER = np.int32(2**31 - 1)  # the pause of a run that has none


@record
class State:
    """The state of a fit. ``mixture`` is the last one that was accepted, with its ``log_likelihood`` and ``counts``
    (k,); ``candidate`` is the one that the next E-step judges.

    ``previous`` is the log-likelihood that the candidate's is compared with, -inf where there is none; ``gain`` the
    last difference of two, ``remaining`` the distance to the limit that the rule estimates, both per unit weight;
    ``streak`` how often in a row that was below tol; ``n_iter`` the updates that led to ``mixture``, -1 before any
    mixture was judged.
    """

    mixture: Mixture
    log_likelihood: Any
    counts: Any
    candidate: Mixture
    previous: Any
    gain: Any
    remaining: Any
    streak: Any
    n_iter: Any
    status: Any


@record
class Limits:
    """The numbers of the stopping rule, traced. A lane that has made ``pause`` updates waits for the next run."""

    tol: Any
    max_iter: Any
    pause: Any = NEVER


@record
class Task:
    """What a lane runs with: the reference (d,) of its rows' moments, the prior, the limits, and ``offset``, the term
    of the log-likelihood that is not in the form; the form, the method, and the status that a fall of the
    log-likelihood leads to."""

    reference: Any
    prior: Any
    limits: Limits
    offset: Any
    form: Any = static()
    method: Any = static()
    on_fall: int = static()


def initial_state(candidate: Mixture) -> State:
    """The state before the first E-step, which judges this candidate."""
    lanes = candidate.log_weights.shape[:-1]
    infinite = np.full(lanes, np.inf, candidate.log_weights.dtype)[()]
    zero = np.zeros(lanes, np.int32)[()]
    return State(
        mixture=candidate,
        log_likelihood=np.nan * infinite,
        counts=xp.zeros_like(candidate.log_weights),
        candidate=candidate,
        previous=-infinite,
        gain=infinite,
        remaining=infinite,
        streak=zero,
        n_iter=zero - 1,
        status=zero + RUNNING,
    )


def resume_accurately(method, lane):
    """A lane as the next form continues it, where its status is LOSSY; any other lane unchanged."""
    if method.update.resume is not None:
        return method.update.resume(lane)
    state = method.finish(lane)
    fresh = method.start(_last_good(state))
    return choose(state.status == LOSSY, fresh, lane)


def resume_in_another_dtype(method, lane, again, doubt):
    """A lane that was cast to another dtype, as it continues there: where ``again``, from its last accepted mixture.

    Its log-likelihood was computed in the old dtype and may be too high by ``doubt`` per unit weight, so that much is
    taken off before others are compared with it.
    """
    if method.update.resume is not None:
        state = lane.state
        goes_on = again & (state.status != Status.MAX_ITER)
        status = choose(goes_on, xp.full_like(state.status, LOSSY), state.status)
        state = dataclasses.replace(state, status=status, candidate=_nonsingular(state.candidate))
        return method.update.resume(dataclasses.replace(lane, state=state))
    state = method.finish(lane)
    doubted = dataclasses.replace(
        state,
        status=xp.full_like(state.status, LOSSY),
        log_likelihood=state.log_likelihood - doubt * state.counts.sum(-1),
        mixture=_nonsingular(state.mixture),
        candidate=_nonsingular(state.candidate),
    )
    return choose(again, method.start(_last_good(doubted)), lane)


def _nonsingular(mixture: Mixture) -> Mixture:
    return dataclasses.replace(mixture, components=nonsingular(mixture.components))


def started_again(method, lane, begins):
    """A lane on other rows: from its mixture where it ``begins``; else with its log-likelihood and counts, waiting."""
    state = method.finish(lane)
    fresh = initial_state(state.mixture)
    waiting = dataclasses.replace(fresh, log_likelihood=state.log_likelihood, counts=state.counts)
    return method.start(choose(begins, fresh, waiting))


def _last_good(state: State) -> State:
    """A state that is LOSSY, set back to its last accepted mixture; any other unchanged."""
    lossy = state.status == LOSSY
    again = lossy & (state.n_iter >= 0)

    return dataclasses.replace(
        state,
        candidate=choose(again, state.mixture, state.candidate),
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
    """The size of rounding errors in the log-likelihood, ()."""
    value = statistics.log_likelihood
    return xp.where(xp.isfinite(value), 4 * eps(value) * statistics.rounding, 0)


def expected(task: Task, lane) -> Expected:
    """The E-step of a lane's candidate, to be summed over the rows."""
    candidate = task.method.state_of(lane).candidate
    prepared = task.form.prepare(candidate.components, task.reference)
    return Expected(prepared, candidate.log_weights, task.reference, task.form)


@dataclasses.dataclass(frozen=True)
class Update:
    """How the next candidate is made: plain EM, or an acceleration that carries more than a state.

    Args:
        start: ``state -> lane``: what the loop carries.
        state_of: ``lane -> state`` with the candidate that the next E-step is for.
        advance: ``(task, lane, prepared, statistics, lossy) -> lane``: judges the candidate by the task's rule, and
            makes the next one.
        finish: ``lane -> state`` whose mixture is the result.
        resume: ``lane -> lane``, where another form continues because digits were lost; None: from the last accepted
            mixture, as if it were a start.
    """

    name: str
    start: Callable
    state_of: Callable
    advance: Callable
    finish: Callable
    resume: Callable | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """How a fit is run: an update, and the rule by which it stops."""

    update: Update
    rule: Any

    def start(self, state: State):
        return self.update.start(state)

    def state_of(self, lane) -> State:
        return self.update.state_of(lane)

    def finish(self, lane) -> State:
        return self.update.finish(lane)
