"""Independent binary features.

    log p(x) = Σ_j x_j log p_j + (1 - x_j) log(1 - p_j)

Both outcomes are features, so that probabilities of 0 and 1 stay exact.

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.3.3.
"""

from typing import Any

import jax
import numpy as np

from ..numerics import keep_empty, pooled, safe_log
from ..numerics.backend import xp
from ..records import record
from .base import Constraint, Support, exponential_family, parameter
from .forms import Natural
from .margins import Margins


@record
class Bernoulli:
    """Probabilities of a one, (k, d)."""

    probs: Any = parameter("kd", Constraint.UNIT)


@record
class BernoulliCounts:
    """Σ r x and Σ r (1 - x), both (k, d)."""

    ones: Any
    zeros: Any


def features(x, reference):
    return xp.concatenate([x, 1 - x], axis=-2)


def natural(params, reference):
    theta = xp.concatenate([safe_log(params.probs), safe_log(1 - params.probs)], axis=-1)
    return Natural(theta, xp.zeros_like(theta[..., 0]), reference, loss=xp.zeros((), theta.dtype))


def maximize(params, prepared, sums, counts, prior):
    both = sums.ones + sums.zeros
    probs = sums.ones / xp.where(both > 0, both, 1)
    return Bernoulli(keep_empty(counts, probs, params.probs))


def around(centres, d):
    return Bernoulli(xp.full_like(centres, 0.5))


def centre(params, weights):
    return pooled(weights, params.probs)


def loosen(params, weights, counts, prior):
    """Probabilities of exactly 0 or 1 would stay so for ever: they start with one row of the whole data added."""
    count = counts[..., None]
    free = (count * params.probs + centre(params, weights)[..., None, :]) / (count + 1)
    return Bernoulli(xp.where((params.probs == 0) | (params.probs == 1), free, params.probs))


def sample(key, params, labels):
    uniform = jax.random.uniform(key, (labels.shape[0], params.probs.shape[1]), np.float32)
    return (uniform < params.probs[labels]).astype(params.probs.dtype)


def cumulants(params):
    p = params.probs
    variance = p * (1 - p)
    return p, variance, variance * (1 - 2 * p), variance * (1 - 6 * variance)


def tails(params, x):
    x, p = x[..., None, :, :], params.probs[..., None]
    above = xp.where(x < 0, 1, xp.where(x < 1, p, 0 * p))
    return xp.where(x < 0, 0, xp.where(x < 1, 1 - p, 1 + 0 * p)), above


BERNOULLI = exponential_family(
    "bernoulli",
    Bernoulli,
    support=Support(lambda x: (x == 0) | (x == 1) | xp.isnan(x), "0 or 1"),
    features=features,
    natural=natural,
    sums=BernoulliCounts,
    maximize=maximize,
    around=around,
    centre=centre,
    loosen=loosen,
    sample=sample,
    margins=Margins(cumulants, tails, integers=True),
    in_numpy=True,
)
