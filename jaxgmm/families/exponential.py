"""Independent exponential waiting times.

    log p(x) = Σ_j log β_j - β_j x_j,      x >= 0

This is the shortest family: what each function returns is said in `Family` (`base`) and `ExponentialForm` (`forms`).
"""

from typing import Any

import jax
import numpy as np

from ..numerics import divide, keep_empty, pooled
from ..numerics.backend import xp
from ..records import record
from .base import Constraint, Support, exponential_family, parameter
from .forms import Natural
from .margins import Margins

FLOOR = 1e-9  # of the feature's mean: below it a component sits on rows of zeros


@record
class Exponential:
    """Rates β (k, d), inverse means."""

    rates: Any = parameter("kd", Constraint.POSITIVE, units=-1)


@record
class ExponentialSums:
    """Σ r x, (k, d)."""

    x: Any


def features(x, reference):
    return x


def natural(params, reference):
    rates = params.rates
    return Natural(-rates, xp.log(rates).sum(-1), reference, loss=xp.zeros((), rates.dtype))


def maximize(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    whole = divide(sums.x.sum(-2), counts.sum(-1))  # (d,)
    means = xp.maximum(means, FLOOR * xp.where(whole > 0, whole, 1)[..., None, :])
    return Exponential(keep_empty(counts, 1 / means, params.rates))


def around(centres, d):
    return Exponential(xp.ones_like(centres))


def centre(params, weights):
    return pooled(weights, 1 / params.rates)


def loosen(params, weights, counts, prior):
    """Components of zeros alone start with the mean of the whole data."""
    collapsed = floored(params, weights) & (counts[..., None] > 0)
    return Exponential(xp.where(collapsed, 1 / centre(params, weights)[..., None, :], params.rates))


def floored(params, weights):
    """Which means come from the floor rather than from the rows, (k, d) bool: those below twice the floor."""
    return params.rates * centre(params, weights)[..., None, :] * (2 * FLOOR) > 1


def sample(key, params, labels):
    rates = params.rates[labels]
    return jax.random.exponential(key, rates.shape, np.float32).astype(rates.dtype) / rates


def supported_by_prior(params, weights, prior):
    """Components with a mean on its floor; none where all data are 0, since the floor is a share of their mean."""
    return floored(params, weights).any(-1)


def cumulants(params):
    mean = 1 / params.rates
    return mean, mean**2, 2 * mean**3, 6 * mean**4


def tails(params, x):
    scaled = params.rates[..., None] * xp.where(x < 0, 0, x)[..., None, :, :]
    return -xp.expm1(-scaled), xp.exp(-scaled)


EXPONENTIAL = exponential_family(
    "exponential",
    Exponential,
    support=Support(lambda x: ((x >= 0) & (x < np.inf)) | xp.isnan(x), "numbers >= 0"),
    features=features,
    natural=natural,
    sums=ExponentialSums,
    maximize=maximize,
    around=around,
    centre=centre,
    loosen=loosen,
    sample=sample,
    supported_by_prior=supported_by_prior,
    scaling="ratio",
    margins=Margins(cumulants, tails),
    in_numpy=True,
)
