"""Which of many starts are worth finishing: all run a little, and those that fall behind stop there.

At each pause a start stops if it is not among the best fifth, and at its present pace even ``PACE`` times the updates
it has made would not bring it up to the best:

    l + PACE · t · g < max l            l log-likelihood, g its last gain, t updates so far

A start that is degenerate at that point stands last, however high its likelihood. Where none of the starts that went on
ends well, those that stopped go on after all.

Source: successive halving (Jamieson and Talwalkar, 2016) with a bound on regret in place of the half; short runs of EM
before a long one are the small EM of Biernacki, Celeux and Govaert (2003).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..em import NEVER, RUNNING
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..records import Status, record

SEARCHES = ("pruned", "exhaustive")
PAUSES = 10, 20, 40, 80  # updates
PACE = 3  # with 4 the best start is lost half as often and a tenth less is saved; without it, one time in seven
KEPT = 5  # one start in this many goes on whatever its value
FEWEST = 4  # starts from which some are stopped


@record
class Standing:
    """How every lane (l,) stands: its log-likelihood, last gain per unit weight, updates and status, and whether it is
    sound: neither degenerate nor failed."""

    log_likelihood: Any
    gain: Any
    n_iter: Any
    status: Any
    sound: Any


def finish(reach, lanes, weight, limits, groups: int, search: str, in_trace: bool):
    """Lanes (l,), starts of ``groups`` fits each, run to their ends or to where they were left.

    ``reach(lanes, alive, pause) -> lanes, standing`` runs those alive (l,) up to a pause.
    """
    count = jax.tree.leaves(lanes)[0].shape[0]
    alive = weighs = np.ones(count, bool)
    if not in_trace:  # data sets that only fill up weigh nothing
        alive = weighs = np.repeat(np.broadcast_to(np.asarray(weight) != 0, groups), count // groups)
    if search == "exhaustive" or count // groups < FEWEST:
        return reach(lanes, alive, NEVER)[0]
    if in_trace:
        return _finish_traced(reach, lanes, weight, limits, groups)

    for pause in (*PAUSES, NEVER):
        lanes, standing = reach(lanes, alive, np.int32(pause))
        if pause == NEVER or not (alive & (np.asarray(standing.status) == RUNNING)).any():
            break
        alive = np.asarray(survivors(standing, alive, weight, limits.tol, groups))
    again = np.asarray(recalled(standing, alive, groups)) & weighs
    return reach(lanes, again, NEVER)[0] if again.any() else lanes


def _finish_traced(reach, lanes, weight, limits, groups: int):
    """The same as one loop: after the pauses a run to the ends, and one of those that are recalled."""

    def stage(carry, pause):
        lanes, alive = carry
        lanes, standing = reach(lanes, alive, pause)
        go_on = survivors(standing, alive, weight, limits.tol, groups)
        return (lanes, jnp.where(pause == NEVER, recalled(standing, alive, groups), go_on)), None

    pauses = jnp.asarray([*PAUSES, NEVER, NEVER], jnp.int32)
    alive = jnp.ones(jax.tree.leaves(lanes)[0].shape[0], bool)
    return jax.lax.scan(stage, (lanes, alive), pauses)[0][0]


@compiled("groups")
def survivors(standing: Standing, alive, weight, tol, groups: int):
    """Which lanes (l,) go on: all of them where tol is 0. ``weight`` () or (groups,) is Σ w."""
    total = xp.broadcast_to(weight, (groups,))[:, None]
    value, gain, n_iter, sound, alive_ = (
        leaf.reshape(groups, -1)
        for leaf in (standing.log_likelihood, standing.gain, standing.n_iter, standing.sound, alive)
    )
    value = xp.where(xp.isnan(value), -np.inf, value)
    contends = alive_ & sound
    above = xp.where(sound[:, :, None] == sound[:, None], value[:, None] > value[:, :, None], sound[:, None])
    place = (above & alive_[:, None]).sum(-1)  # how many stand above a lane
    best = xp.where(contends, value, -np.inf).max(1, keepdims=True)
    behind = ~sound | (value + PACE * xp.maximum(n_iter, 1) * gain * total < best)
    kept = -(-value.shape[1] // KEPT)
    return (alive_ & ((place < kept) | ~behind | (tol == 0))).reshape(-1)


@compiled("groups")
def recalled(standing: Standing, alive, groups: int):
    """Lanes (l,) that go on after all: those of fits in which no lane that went on ended well."""
    well = (standing.status == Status.CONVERGED) | (standing.status == Status.MAX_ITER)
    well = (alive & well & standing.sound).reshape(groups, -1).any(1, keepdims=True)
    return (~alive.reshape(groups, -1) & ~well).reshape(-1)
