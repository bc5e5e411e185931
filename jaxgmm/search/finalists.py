"""Which of the starts that ended on a sample of the rows go on over all of them.

The likelihoods of two starts on a sample differ by chance: by how much is known from the same rows' log densities under
both. Those go on that chance alone may have put behind the best, unless they are the same optimum.

    mean of l_i - l_best > -MARGIN · its standard error - tol,      mean of (l_i - l_best)² > SAME

Source: Maron and Moore (1994), Hoeffding races, for the idea of a race on a part of the data.
"""

from typing import Any

import jax
import numpy as np

from ..data.mesh import per_shard
from ..em import Expected, normalise
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each
from ..records import record
from .problem import SAMPLE_TOL

TRIED, MOST = 5, 3  # starts that are compared with the best of a fit, itself among them, and those that may go on
MARGIN = 2.0  # standard errors
SAME = 4 * SAMPLE_TOL  # nats squared: two ends of one optimum


@record
class Compared:
    """Σ w (l - l_best) and Σ w (l - l_best)² of the log densities l of lanes, each with its place of the best."""

    step: Expected
    best: Any

    def __call__(self, block):
        form = self.step.form

        def lane(prepared, log_weights):
            logits = form.log_prob(prepared, form.view(prepared, block.x)) + log_weights[..., None]
            return normalise(logits, log_weights)[0]

        density = each(lane)(self.step.prepared, self.step.log_weights)  # (l, b)
        apart = density - density[self.best]
        weight = block.weight[None]
        apart = xp.where(xp.isfinite(apart) & (weight > 0), apart, 0)
        return (weight * apart).sum(-1), (weight * apart**2).sum(-1)


def of(problem, search):
    """Lanes (l,) that go on from where they are, and those that begin anew: of every fit one that does not go on, if
    there is one; before others the best that is not sound on the sample, because it may be on all rows."""
    groups, starts = search.groups, search.starts
    value, sound = _of_fits(search)
    order = _from_the_best(problem, value, sound)
    among = order[:, :TRIED]
    goes_on, anew = np.zeros((groups, starts), bool), np.zeros((groups, starts), bool)
    close = np.take_along_axis(sound, among, 1)
    if starts > 1:
        places = (among + starts * np.arange(groups)[:, None]).astype(np.int32)
        close[:, 1:] &= _close(problem, search, places)[:, 1:]
    np.put_along_axis(goes_on, among, close & (close.cumsum(1) <= MOST), 1)
    for fit in range(groups):
        left = [start for start in order[fit] if not goes_on[fit, start]]
        unsound = [start for start in left if not sound[fit, start]]
        anew[fit, unsound[:1] or sorted(left)[-1:]] = True
    return goes_on.reshape(-1), anew.reshape(-1)


def with_the_best_try(problem, search) -> np.ndarray:
    """The lanes of every fit (m·r,), of which the first is the best of those that were tries of the first start."""
    value, sound = (leaf[:, : problem.tries] for leaf in _of_fits(search))
    best = _from_the_best(problem, value, sound)[:, :1]
    others = np.broadcast_to(np.arange(problem.tries, search.starts), (search.groups, search.starts - problem.tries))
    places = np.concatenate([best, others], axis=1)
    return (places + search.starts * np.arange(search.groups)[:, None]).reshape(-1).astype(np.int32)


def _of_fits(search):
    """Log-likelihoods (m, r) of the starts of every fit, and which of them have ended well."""
    standing, shape = search.standing, (search.groups, search.starts)
    ended, sound, value = (
        np.asarray(leaf).reshape(shape)
        for leaf in (np.asarray(standing.status) >= 0, standing.sound, standing.log_likelihood)
    )
    return np.where(np.isnan(value), -np.inf, value), sound & ended


def _from_the_best(problem, value, sound):
    """Places of starts (m, r) in the order of their likelihoods, those that have not ended well behind the others; of
    level ones the first stands first, whatever rounding says."""
    weight, among = float(problem.known.measured.weight), sound | ~sound.any(1, keepdims=True)
    top = np.where(among, value, -np.inf).max(1, keepdims=True)
    level = value >= top - SAMPLE_TOL * weight
    return np.lexsort((-np.where(level, top, value), ~sound))


def _close(problem, search, places):
    """Whether the starts at these places (m, t) may be better than the first of each row, and are another optimum."""
    m, t = places.shape
    best = np.repeat(np.arange(m, dtype=np.int32) * t, t)
    rows = problem.sample.cut(problem.family.accurate, search.active.shape[1], places.size)
    sums = (compared if rows.in_program else _compared)(rows, problem.bare, search.lanes, places.reshape(-1), best)
    weight = float(problem.known.measured.weight)
    mean, square = (np.asarray(total, np.float64).reshape(m, t) / weight for total in sums)
    chance = MARGIN * np.sqrt(square / rows.n) + SAMPLE_TOL
    return (mean > -chance) & (square > SAME)


def _compared(rows, problem, lanes, places, best):
    form, reference = problem.family.accurate, problem.known.frame.reference
    mixtures = each(problem.method.finish)(jax.tree.map(lambda leaf: leaf[places], lanes)).mixture
    prepared = each(lambda params: form.prepare(params, reference))(mixtures.components)
    return rows.sum(Compared(Expected(prepared, mixtures.log_weights, reference, form), best))[0]


compared = compiled()(per_shard(_compared))
