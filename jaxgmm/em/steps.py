"""EM itself: the E-step and the M-step on blocks of rows, one update, and when to stop.

    E-step    log r_nk = log π_k + log p_k(x_n) - log p(x_n),      statistics = Σ_n w_n r_nk φ(x_n)
    M-step    π_k = n_k / W,      parameters = maximize(statistics)

This module knows no family, no device and no file.

Source: Dempster, Laird and Rubin (1977); stopping by Aitken's estimate, Böhning et al. (1994).
"""

import dataclasses
from typing import Any

import numpy as np

from ..numerics import constant, divide
from ..numerics.backend import xp
from ..numerics.host import each, nowhere
from ..records import Mixture, Statistics, record, static


def normalise(logits, log_weights):
    """Log density of every row (b,), and responsibilities (k, b), from joint log-probabilities (k, b).

    A row that is impossible under every component has log density -inf and responsibilities equal to the weights.
    """
    top = constant(logits.max(axis=-2, keepdims=True))
    impossible = top == -np.inf
    if nowhere(impossible):
        scaled = np.subtract(logits, top)
        np.exp(scaled, out=scaled)  # in place: at few rows what lies in a cache is most of the time
        total = scaled.sum(axis=-2, keepdims=True)
        scaled /= total
        return (top + np.log(total))[..., 0, :], scaled
    top = xp.where(impossible, 0, top)
    scaled = xp.exp(xp.where(impossible, log_weights[..., None], logits - top))
    total = scaled.sum(axis=-2, keepdims=True)
    log_density = xp.where(impossible, -np.inf, top + xp.log(total))
    return log_density[..., 0, :], scaled / total


def expect(form, prepared, log_weights, block, inside=None) -> Statistics:
    """E-step of a block of rows. ``inside`` is the support's ``contains``; None: all rows are known to be in it."""
    return gathered(form, prepared, block, posterior(form, prepared, log_weights, block, inside))


def posterior(form, prepared, log_weights, block, inside=None):
    """The form's view of a block of rows, their log densities (b,), and responsibilities (k, b)."""
    seen = block.seen(form, prepared)
    logits = form.log_prob(prepared, seen)  # (k, b)
    logits += log_weights[..., None]
    if inside is not None:
        logits = supported(logits, inside, block.x)
    return seen, *normalise(logits, log_weights)


def gathered(form, prepared, block, known) -> Statistics:
    """The statistics of a block of rows from their `posterior`, whose responsibilities are overwritten."""
    weight, (seen, log_density, resp) = block.weight, known
    terms = xp.where(weight > 0, weight * log_density, 0 * weight)
    resp *= weight[..., None, :]
    sums = form.statistics(prepared, seen, resp)
    total = weight.sum(-1)
    rounding = xp.abs(terms).sum(-1) + block.x.shape[-2] * total
    return Statistics(terms.sum(-1), rounding, total, resp.sum(-1), sums)


@record
class Expected:
    """The E-step under a mixture, or under the mixtures of lanes (l,), as a function: block of rows -> `Statistics`.

    ``reference`` (d,) is shared by all lanes, so the features of a block are computed once.
    """

    prepared: Any
    log_weights: Any
    reference: Any
    form: Any = static()

    def __call__(self, block) -> Statistics:
        def lane(prepared, log_weights):
            return expect(self.form, about(prepared, self.reference), log_weights, block)

        several = self.log_weights.ndim > 1
        return (each(lane) if several else lane)(self.prepared, self.log_weights)


def about(prepared, reference):
    """Prepared parameters with this reference in place of their copy of it."""
    return dataclasses.replace(prepared, reference=reference) if hasattr(prepared, "reference") else prepared


def supported(logits, inside, x):
    """The logits (k, b), -inf for rows outside the support, NaN for rows with NaN."""
    logits = xp.where(inside(x).all(-2, keepdims=True), logits, -np.inf)
    return xp.where(xp.isnan(x).any(-2, keepdims=True), np.nan, logits)


def shifted(statistics: Statistics, offset) -> Statistics:
    """The statistics with a constant added to the log-likelihood."""
    return dataclasses.replace(statistics, log_likelihood=statistics.log_likelihood + offset)


def maximise(form, mixture: Mixture, prepared, statistics: Statistics, prior) -> Mixture:
    """M-step: the mixture that maximises Q."""
    counts = statistics.counts
    share = divide(counts, counts.sum(-1))
    log_weights = xp.where(share > 0, xp.log(xp.where(share > 0, share, 1)), -np.inf)
    params = form.maximize(mixture.components, prepared, statistics.components, counts, prior)
    return Mixture(log_weights, params, mixture.family)
