"""Where a fit stands between two E-steps, and what it runs under."""

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

RUNNING = -1  # statuses of a loop that no result carries
LOSSY = -2  # the moment form has lost its digits: go on in the accurate form
LOSS_LIMIT = 1e-4  # relative rounding of a variance, or nats a row, at which the moment form gives way
NEVER = np.int32(2**31 - 1)  # the pause of a run without one


@record
class State:
    """Where a fit stands. ``mixture`` is the last one judged good, with its ``log_likelihood`` and ``counts``;
    ``candidate`` is next.

    ``previous`` is the log-likelihood that the candidate's is compared with, -inf where there is none.
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


def initial_state(candidate: Mixture) -> State:
    """The state before anything was judged."""
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
    """A lane that has lost its digits in one form, as the next should go on with it; any other as it is."""
    if method.update.resume is not None:
        return method.update.resume(lane)
    state = method.finish(lane)
    fresh = method.start(_last_good(state))
    return choose(state.status == LOSSY, fresh, lane)


def resume_in_another_dtype(method, lane, again, doubt):
    """A lane that was cast to another dtype, as it should go on there: where ``again``, from its last good mixture.

    What its log-likelihood was is no measure for those to come: it may be too high by ``doubt`` per unit weight.
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
    """A lane on other rows: from its mixture where it ``begins``; else as one that waits, with what it has reached."""
    state = method.finish(lane)
    fresh = initial_state(state.mixture)
    waiting = dataclasses.replace(fresh, log_likelihood=state.log_likelihood, counts=state.counts)
    return method.start(choose(begins, fresh, waiting))


def _last_good(state: State) -> State:
    """A state that is LOSSY, back at its last good mixture."""
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
    """How much of the log-likelihood may be rounding."""
    value = statistics.log_likelihood
    return xp.where(xp.isfinite(value), 4 * eps(value) * statistics.rounding, 0)


def expected(task: Task, lane) -> Expected:
    """The E-step of a lane's candidate, to be summed over the rows."""
    candidate = task.method.state_of(lane).candidate
    prepared = task.form.prepare(candidate.components, task.reference)
    return Expected(prepared, candidate.log_weights, task.reference, task.form)


@dataclasses.dataclass(frozen=True)
class Update:
    """A way to go from one E-step to the next: what a loop carries is begun from a state, read as one, and ends as one.

    ``advance(task, lane, prepared, statistics, lossy) -> lane`` judges the candidate by the task's rule, and makes the
    next one. ``resume(lane) -> lane`` goes on in another form where digits were lost; by default afresh, from the last
    good mixture.
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
