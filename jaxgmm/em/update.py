"""Plain EM: judge the candidate by its statistics, then make the next one by an M-step."""

import numpy as np

from ..numerics import eps
from ..numerics.backend import xp
from ..numerics.host import as_int32, choose
from ..records import Statistics, Status
from .state import LOSS_LIMIT, LOSSY, RUNNING, Method, State, Task, Update, noise_of
from .steps import maximise, shifted
from .stopping import AITKEN, Seen


def advance(task: Task, state: State, prepared, statistics: Statistics, lossy) -> State:
    """The state after the E-step of its candidate, with the next candidate."""
    return judged(task, state, prepared, statistics, lossy, slack=slack_of(task, state, prepared))


def judged(
    task: Task,
    state: State,
    prepared,
    statistics: Statistics,
    lossy,
    *,
    slack,
    counted=True,
    refused=False,
    leapt=False,
    at_least=0.0,
) -> State:
    """The state after the E-step of its candidate, with the next candidate; all updates judge by this function.

    Its status becomes CONVERGED where the rule says so; ``task.on_fall`` on a fall (DECREASED, or LOSSY in a form that
    is not the last); NON_FINITE; or MAX_ITER.

    Args:
        slack: what `slack_of` returns.
        counted: whether the candidate counts for gains: an acceleration compares some of them only.
        refused: whether it was a trial in vain: the state stays, and the caller replaces the next candidate.
        leapt: whether it is no update of EM, and may have a lower log-likelihood.
        at_least: a lower bound on what remains to the limit, per unit weight.
    """
    limits, weight, value = task.limits, statistics.weight, statistics.log_likelihood
    kept, tried = xp.logical_not(refused), xp.logical_or(refused, leapt)
    noise = noise_of(statistics) / weight
    fall, rounding = slack
    seen = Seen(
        value=value,
        gain=(value - state.previous) / weight,  # +inf at first
        step=(value - state.log_likelihood) / weight,
        noise=noise,
        blur=xp.maximum(noise, task.form.loss(prepared) * eps(value) / xp.sqrt(weight)),
        slack=fall / weight,
        rounding=rounding / weight,
    )
    verdict = task.method.rule.judge(limits, state, seen, at_least)
    settled, failed, finite = counted & verdict.settled, verdict.failed & ~tried, ~verdict.broken
    n_iter = state.n_iter + 1

    status = xp.where(n_iter >= limits.max_iter, int(Status.MAX_ITER), RUNNING)
    status = xp.where(settled & (limits.tol > 0), int(Status.CONVERGED), status)
    status = xp.where(failed, task.on_fall, status)
    status = xp.where(~finite & kept, int(Status.NON_FINITE), status)
    status = xp.where(lossy, LOSSY, status)
    accept = ~failed & finite & ~lossy & kept
    following = maximise(task.form, state.candidate, prepared, statistics, task.prior)

    def pick(new, old, condition=accept):
        return choose(condition, new, old)

    counts = accept & counted
    return State(
        mixture=pick(state.candidate, state.mixture),
        log_likelihood=pick(value, state.log_likelihood),
        counts=pick(statistics.counts, state.counts),
        candidate=pick(following, state.candidate),
        previous=pick(value, state.previous, counts),
        gain=pick(seen.gain, state.gain, counts),
        remaining=pick(verdict.remaining, state.remaining, counts),
        streak=pick(as_int32(verdict.streak), state.streak, counts),
        n_iter=pick(n_iter, state.n_iter, accept | refused),
        status=as_int32(status),
    )


def slack_of(task: Task, state: State, prepared):
    """How far the prior can make the log-likelihood of the candidate fall, and how far rounding may move it."""
    candidate = state.candidate
    return candidate.family.slack(candidate.components, prepared, state.counts, task.prior)


def step(task: Task, lane, prepared, statistics: Statistics):
    """The lane after the E-step with these statistics."""
    value, digits = task.offset, LOSS_LIMIT
    if value.dtype == np.float64 and task.on_fall == LOSSY:
        digits = task.method.rule.digits
    lossy = task.form.loss(prepared) * eps(value) > digits
    return task.method.update.advance(task, lane, prepared, shifted(statistics, task.offset), lossy)


def as_it_is(state: State) -> State:
    return state


UPDATE = Update("plain", as_it_is, as_it_is, advance, as_it_is)
PLAIN = Method(UPDATE, AITKEN)
