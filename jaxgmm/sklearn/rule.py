"""Plain EM under scikit-learn's rule: it stops by the change of the bound, and keeps all bounds.

An update measures the bound b_t = Σ w log p(x | θ_{t-1}) / Σ w of the parameters before it, and makes θ_t. It is the
last one when |b_t - b_{t-1}| < tol. The result is θ_t with the bound b_t.
"""

import dataclasses
from typing import Any

import numpy as np

from .. import em
from ..em import squarem, update
from ..numerics.backend import xp
from ..numerics.host import choose
from ..records import record

CAPACITY = 128  # bounds that a lane keeps: the host reads them between two compiled runs


@record
class Recorded:
    """A state of plain EM, the last bounds of its E-steps in a ring (CAPACITY,), and the number of all bounds."""

    state: em.State
    bounds: Any
    n_bounds: Any


def start(state: em.State) -> Recorded:
    nothing = xp.full_like(state.gain, np.nan)[..., None]
    return Recorded(state, xp.repeat(nothing, CAPACITY, axis=-1), xp.zeros_like(state.streak))


def state_of(lane: Recorded) -> em.State:
    return lane.state


def advance(task, lane: Recorded, prepared, statistics, lossy) -> Recorded:
    state = update.advance(task, lane.state, prepared, statistics, lossy)
    counts = state.n_iter > lane.state.n_iter
    here = (np.arange(CAPACITY) == (lane.n_bounds % CAPACITY)[..., None]) & counts[..., None]
    bound = statistics.log_likelihood / statistics.weight
    return Recorded(state, xp.where(here, bound[..., None], lane.bounds), lane.n_bounds + counts)


def finish(lane: Recorded) -> em.State:
    """The state with the latest parameters, which count as an update though no E-step has judged them."""
    state = lane.state
    return dataclasses.replace(state, mixture=state.candidate, n_iter=state.n_iter + 1)


def resume(lane: Recorded) -> Recorded:
    """The lane, to run on in the accurate form. It keeps its parameters, and its next bound is compared with the last
    one of the moment form."""
    state = lane.state
    status = choose(state.status == em.LOSSY, xp.full_like(state.status, em.RUNNING), state.status)
    return dataclasses.replace(lane, state=dataclasses.replace(state, status=status))


PLAIN = em.Method(em.Update("plain, recorded", start, state_of, advance, finish, resume), em.CHANGE)
FASTER = em.Method(squarem.UPDATE, em.CHANGE)
