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

import numpy as np

from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..records import Status, record

SEARCHES = ("pruned", "exhaustive")
PAUSES = tuple(10 << i for i in range(10))  # updates
PACE = 3  # with 4 the best start is lost half as often and a tenth less is saved; without it, one time in seven
KEPT = 5  # one start in this many goes on whatever its value
FEWEST = 4  # starts from which some are stopped


@record
class Standing:
    """The standing of every lane (l,): log-likelihood, last gain per unit weight, number of updates, status, and
    whether it is sound, that is neither degenerate nor failed."""

    log_likelihood: Any
    gain: Any
    n_iter: Any
    status: Any
    sound: Any


def kept(starts: int) -> int:
    """How many of so many starts go on whatever their values."""
    return -(-starts // KEPT)


@compiled("groups")
def survivors(standing: Standing, alive, weight, limits, groups: int):
    """Which lanes (l,) go on: all of them where tol is 0. ``weight`` () or (groups,) is Σ w; ``limits`` are tol and how
    many go on whatever their values."""
    tol, most = limits
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
    return (alive_ & ((place < most) | ~behind | (tol == 0))).reshape(-1)


@compiled("groups")
def recalled(standing: Standing, alive, groups: int):
    """Lanes (l,) that go on after all: those of fits in which no lane that went on ended well."""
    well = (standing.status == Status.CONVERGED) | (standing.status == Status.MAX_ITER)
    well = (alive & well & standing.sound).reshape(groups, -1).any(1, keepdims=True)
    return (~alive.reshape(groups, -1) & ~well).reshape(-1)
