"""Independent Poisson counts.

    log p(x) = x log λ - λ - log x! = -D(x, λ) - ½ log 2πx - δ(x),      D(x, λ) = λ - x + x log(x / λ) >= 0

At a rate of 1e6 the first expression errs by nats in float32. So the moment form works with ratios to the feature's
mean, and the accurate form with the deviance D.

Source: Loader, Fast and Accurate Computation of Binomial Probabilities (2000).
"""

from typing import Any

import jax
import numpy as np

from ..numerics import LOG_2PI, LOG_ZERO, divide, keep_empty, over_rows, pooled
from ..numerics.backend import xp
from ..numerics.special import gap, special, stirling
from ..records import record
from .base import Constraint, Family, Support, never_supported, parameter
from .forms import ExponentialForm, Natural, ResidualForm
from .margins import Margins


@record
class Poisson:
    """Rates (k, d)."""

    rates: Any = parameter("kd", Constraint.NON_NEGATIVE)


@record
class PoissonSums:
    """Σ r x, (k, d): the same in both forms."""

    x: Any


def features(x, reference):
    return x


def natural(params, reference):
    mean = xp.where(reference > 0, reference, 1)[..., None, :]
    excess = (params.rates - mean) / mean  # log1p: a ratio near 1 must not lose its distance from 1
    theta = xp.where(params.rates > 0, xp.log1p(excess), LOG_ZERO)
    sizes = xp.abs(params.rates - mean) + mean * xp.abs(xp.where(params.rates > 0, theta, 0))
    return Natural(theta, (mean - params.rates).sum(-1), reference, loss=sizes.max((-2, -1)))


def deviance(x, rates):
    """D(x, λ), elementwise: λ where x is 0."""
    positive = xp.where(x > 0, x, 1)
    return xp.where(x > 0, positive * gap(rates / positive, (rates - positive) / positive), rates)


def base(x, reference):
    """log p(x) at the reference rates: what the moment form leaves out. (d, b), (d,) -> (b,)."""
    mean = xp.where(reference > 0, reference, 1)
    return (saturated(x) - deviance(x, mean[..., None])).sum(-2)


def saturated(x):
    """log p(x) under the saturated model, λ = x, elementwise."""
    positive = xp.where(x > 0, x, 1)
    return xp.where(x > 0, -0.5 * (xp.log(positive) + LOG_2PI) - stirling(positive), 0)


def prepare(params, reference):
    return params


def view(prepared, x):
    return x


def log_prob(prepared, x):
    rows = x[..., None, :, :]
    return saturated(x).sum(-2)[..., None, :] - deviance(rows, prepared.rates[..., None]).sum(-2)


def statistics(prepared, x, resp):
    return PoissonSums(over_rows(resp, x))


def maximize(params, prepared, sums, counts, prior):
    rates = divide(sums.x, counts)
    return Poisson(keep_empty(counts, rates, params.rates))


def around(centres, d):
    return Poisson(xp.ones_like(centres))


def centre(params, weights):
    return pooled(weights, params.rates)


def loosen(params, weights, counts, prior):
    """A rate of 0 would stay so for ever: it starts with one row of the whole data added."""
    free = centre(params, weights)[..., None, :] / (counts[..., None] + 1)
    return Poisson(xp.where(params.rates == 0, free, params.rates))


def sample(key, params, labels):
    return jax.random.poisson(key, params.rates[labels].astype(np.float32)).astype(params.rates.dtype)


def cumulants(params):
    return (params.rates,) * 4


def tails(params, x):
    x, rates = x[..., None, :, :], params.rates[..., None]
    count = xp.floor(xp.where(x < 0, 0, x)) + 1 + 0 * rates
    rates = rates + 0 * count
    below, above = special(rates).gammaincc(count, rates), special(rates).gammainc(count, rates)
    return xp.where(x < 0, 0, below), xp.where(x < 0, 1, above)


POISSON = Family(
    name="poisson",
    parameters=Poisson,
    support=Support(lambda x: ((x >= 0) & (x == xp.floor(x)) & (x < np.inf)) | xp.isnan(x), "counts 0, 1, 2, ..."),
    accurate=ResidualForm(prepare, view, log_prob, statistics, PoissonSums, maximize, mergeable=True),
    moments=ExponentialForm(features, natural, PoissonSums, maximize, base),
    around=around,
    centre=centre,
    loosen=loosen,
    sample=sample,
    supported_by_prior=never_supported,
    margins=Margins(cumulants, tails, integers=True),
    in_numpy=True,
)
