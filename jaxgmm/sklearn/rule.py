"""scikit-learn's stopping rule, as methods that the core's loops run.

An update takes the bound b_t = Σ w log p(x | θ_{t-1}) / Σ w of the parameters before it, and makes θ_t. It is the last
when |b_t - b_{t-1}| < tol. What is returned is θ_t, with the bound b_t.
"""

import dataclasses
from typing import Any

import numpy as np

from .. import em
from ..em import squarem
from ..numerics import eps
from ..numerics.backend import xp
from ..numerics.host import as_int32, choose
from ..records import Status, record

CAPACITY = 128  # bounds that a compiled run remembers: the host reads them out between runs
DIGITS = 1e-9  # relative rounding of a variance at which float64 leaves the moment form: two fits then agree to 1e-8


@record
class Traced(em.State):
    """A state that remembers its bounds. ``mixture`` and ``candidate`` are both the latest parameters.

    ``bound`` is the last one, -inf at first; ``bounds`` (CAPACITY,) a ring of them; ``updates`` counts.
    """

    bound: Any
    bounds: Any
    updates: Any


def traced(states: em.State, bound: float) -> Traced:
    """First states (l,) as those of this rule; ``bound`` is that of the parameters they go on from, or -inf."""
    fields = {field.name: getattr(states, field.name) for field in dataclasses.fields(em.State)}
    (lanes,), dtype = states.status.shape, states.log_likelihood.dtype
    return Traced(
        **fields,
        bound=np.full(lanes, bound, dtype),
        bounds=np.full((lanes, CAPACITY), np.nan, dtype),
        updates=np.zeros(lanes, np.int32),
    )


def advance(task, state: Traced, prepared, statistics, lossy) -> Traced:
    """One update of plain EM, and whether it is the last."""
    limits, value = task.limits, statistics.log_likelihood / statistics.weight
    if task.on_fall == em.LOSSY and value.dtype == np.float64:
        lossy |= task.form.loss(prepared) * eps(value) > DIGITS
    new, added = em.maximise(task.form, state.candidate, prepared, statistics, task.prior)
    updates = state.updates + 1
    lost = xp.isnan(value) | (value == np.inf)  # -inf is a start that makes a row impossible: it may recover
    status = xp.where(updates >= limits.max_iter, int(Status.MAX_ITER), em.RUNNING)
    status = xp.where(xp.abs(value - state.bound) < limits.tol, int(Status.CONVERGED), status)
    status = xp.where(lost, int(Status.NON_FINITE), status)
    status = as_int32(xp.where(lossy, em.LOSSY, status))
    accept = xp.logical_not(lost | lossy)
    here = np.arange(CAPACITY) == (state.updates % CAPACITY)[..., None]

    def pick(new, old):
        return choose(accept, new, old)

    mixture, added = pick(new, state.mixture), pick(added, state.added)
    return dataclasses.replace(
        state,
        mixture=mixture,
        added=added,
        candidate=mixture,
        candidate_added=added,
        log_likelihood=pick(statistics.log_likelihood, state.log_likelihood),
        counts=pick(statistics.counts, state.counts),
        bound=pick(value, state.bound),
        bounds=xp.where(here & accept[..., None], value[..., None], state.bounds),
        updates=pick(updates, state.updates),
        status=status,
    )


def _as_it_is(state: Traced) -> Traced:
    return state


def _counted(state: Traced) -> Traced:
    return dataclasses.replace(state, n_iter=state.updates)


PLAIN = em.Method("scikit-learn", _as_it_is, _as_it_is, advance, _counted)


def advance_faster(task, cycle, prepared, statistics, lossy):
    """One E-step's worth of SQUAREM; the change of the bound is that from one head of a cycle to the next."""
    tol = task.limits.tol
    never = dataclasses.replace(task.limits, tol=xp.full_like(tol, np.finfo(tol.dtype).tiny))  # by the core's own rule
    new = squarem.advance(dataclasses.replace(task, limits=never), cycle, prepared, statistics, lossy)
    state = new.state
    going = (state.status == em.RUNNING) | (state.status == int(Status.MAX_ITER))
    settled = going & (cycle.phase == squarem.HEAD) & (xp.abs(state.gain) < tol)
    status = as_int32(xp.where(settled, int(Status.CONVERGED), state.status))
    return dataclasses.replace(new, state=dataclasses.replace(state, status=status))


FASTER = em.Method("scikit-learn, squarem", squarem.start, squarem.state_of, advance_faster, squarem.finish)
