"""When a sequence of candidates has settled, and when it has gone wrong: rules, whatever the update.

    AITKEN    what remains to the limit, by Aitken's estimate from two gains, is below tol three times in a row
    CHANGE    the mean log-likelihood has changed by less than tol: scikit-learn's rule

Source: Böhning et al. (1994), The distribution of the likelihood ratio for mixtures, section 2, for Aitken's estimate.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numerics.backend import xp
from ..records import record
from .state import LOSS_LIMIT, Limits, State

FALL = 4  # units of rounding: the log-likelihoods of two mixtures differ by that of both, and of both M-steps
TURN = 0.1  # a sequence about to turn has less of itself before it, by up to one gain, at every update
DIGITS = 1e-9  # the same under scikit-learn's rule in float64: two fits then agree to 1e-8


@record
class Seen:
    """What an E-step shows of a candidate, (); all but ``value`` are per unit weight."""

    value: Any  # its log-likelihood
    gain: Any  # over the last candidate that counted
    step: Any  # over the last one that was accepted
    noise: Any  # rounding of a gain, at most
    blur: Any  # rounding of a gain, where rows err independently
    slack: Any  # how far the prior can make the log-likelihood fall in one update
    rounding: Any  # how far rounding of variances that the prior or a floor holds up can


@record
class Verdict:
    """Whether a candidate has settled, has fallen for no reason (``failed``), or is not finite (``broken``); the
    estimate of what remains to the limit, and how often in a row that was below tol."""

    settled: Any
    failed: Any
    broken: Any
    remaining: Any
    streak: Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """``judge(limits, state, seen, at_least) -> Verdict``, where ``at_least`` bounds from below what may remain.

    ``digits`` is the relative rounding at which a form of float64 that is not the last gives way to the next.
    """

    name: str
    judge: Callable
    digits: float = LOSS_LIMIT


def aitken(limits: Limits, state: State, seen: Seen, at_least) -> Verdict:
    """The verdict by Aitken's estimate. A gain below rounding has settled, too; a fall that neither rounding nor the
    prior explains has failed.

    Where the prior can make the log-likelihood fall, the sequence may turn. There a limit from above counts as one from
    below, and a gain below rounding counts only after another one.
    """
    gain, noise, swayed, first = seen.gain, seen.noise, seen.slack > seen.noise, state.previous == -np.inf
    comparable = (state.gain != 0) & xp.isfinite(state.gain)
    ratio = gain / xp.where(comparable, state.gain, 1)
    slowing = comparable & (ratio > 0) & (ratio < 1) & ((gain > 0) | swayed)
    remaining = xp.where(slowing, xp.abs(gain) * ratio / xp.where(slowing, 1 - ratio, 1), np.inf)
    remaining = xp.maximum(remaining, at_least)
    steady = remaining <= state.remaining
    steady &= ~swayed | (remaining / xp.abs(gain) >= state.remaining / xp.abs(state.gain) - TURN)
    streak = xp.where(remaining < limits.tol, xp.where(steady, state.streak + 1, 1), 0)

    twice = (xp.abs(gain) <= seen.blur) & (xp.abs(state.gain) <= seen.blur)
    sinking = (gain <= 0) & (state.gain <= 0) & (xp.minimum(gain, state.gain) >= -seen.rounding)  # rises by chance
    still = xp.where(swayed, twice | sinking, (gain <= noise) & (gain >= -FALL * noise) & ~first)
    failed = (seen.step < -FALL * noise - 2 * seen.slack) & ~first  # the bound of slack is on exact arithmetic
    may_recover = (seen.value == -np.inf) & (state.n_iter < 0)  # a start under which a row is impossible
    return Verdict((streak >= 3) | still, failed, ~(xp.isfinite(seen.value) | may_recover), remaining, streak)


def change(limits: Limits, state: State, seen: Seen, at_least) -> Verdict:
    """The verdict by the change of the log-likelihood. A fall is no failure; a mixture under which a row is impossible
    may recover."""
    broken = xp.isnan(seen.value) | (seen.value == np.inf)
    return Verdict(xp.abs(seen.gain) < limits.tol, xp.zeros_like(broken), broken, state.remaining, state.streak)


AITKEN = Rule("aitken", aitken)
CHANGE = Rule("change", change, DIGITS)
