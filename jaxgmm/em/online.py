"""Stepwise EM: an update from every block of rows, by statistics that forget the past slowly.

    s ← (1 - γ_t) s + γ_t S_t,      parameters = maximize(s),      γ_t = t^(-0.6) w_t / w̄

S_t are the expected statistics of block t per unit weight, w_t its weight and w̄ the mean weight of a block so far.

Source: Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models, equation 8.
"""

import dataclasses
from typing import Any

import jax

from ..numerics import divide
from ..numerics.backend import xp
from ..numerics.host import as_int32, choose
from ..records import Statistics, record
from .state import LOSSY, RUNNING, Method, State, Task, Update
from .steps import maximise
from .stopping import AITKEN

FORGETTING = 0.6  # between 1/2 and 1, exclusive: what the convergence theorem asks of the exponent


@record
class Online:
    """The state, whose candidate is the mixture after all blocks so far; their statistics per unit weight, and Σ w."""

    state: State
    statistics: Statistics
    weight: Any


def start(state: State, nothing: Statistics) -> Online:
    """Before the first block; ``nothing`` are statistics of 0."""
    return Online(state, nothing, nothing.weight)


def state_of(lane: Online) -> State:
    return lane.state


def finish(lane: Online) -> State:
    return dataclasses.replace(lane.state, mixture=lane.state.candidate, n_iter=lane.state.n_iter + 1)


def advance(task: Task, lane: Online, prepared, statistics: Statistics, lossy) -> Online:
    """The lane after a block; as it was where the block weighs nothing, or where the form has lost its digits: its
    status is LOSSY then. ``log_likelihood`` is the block's, per unit weight and before the update."""
    state, weight = lane.state, lane.weight + statistics.weight
    step = (state.n_iter + 2).astype(weight.dtype)  # t: n_iter is -1 before the first block
    gamma = xp.minimum(step**-FORGETTING * divide(statistics.weight * step, weight), 1)
    mean = jax.tree.map(lambda leaf: leaf / xp.where(statistics.weight > 0, statistics.weight, 1), statistics)
    blended = jax.tree.map(lambda old, new: old + gamma * (new - old), lane.statistics, mean)
    following = maximise(task.form, state.candidate, prepared, blended, task.prior)
    updated = dataclasses.replace(state, mixture=state.candidate, candidate=following, n_iter=state.n_iter + 1)
    after = choose(lossy | (statistics.weight == 0), lane, Online(updated, blended, weight))
    status = as_int32(xp.where(lossy, LOSSY, RUNNING))
    seen = dataclasses.replace(after.state, log_likelihood=mean.log_likelihood, status=status)
    return dataclasses.replace(after, state=seen)


UPDATE = Update("online", start, state_of, advance, finish)
ONLINE = Method(UPDATE, AITKEN)
