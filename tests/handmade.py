"""Families as users write them, in a module of their own where pickle finds them."""

from typing import Any

import jax
import numpy as np
import scipy.special

from jaxgmm.family import Constraint, Natural, Support, exponential_family, parameter
from jaxgmm.namespace import is_jax, xp
from jaxgmm.numerics import divide, keep_empty, product
from jaxgmm.records import record


@record
class Counts:
    """Rates (k, d) of counts."""

    rates: Any = parameter("kd", Constraint.POSITIVE)


@record
class CountSums:
    """Σ r x, (k, d)."""

    x: Any


def natural(params, reference):
    rates = params.rates
    return Natural(xp.log(rates), -rates.sum(-1), reference, loss=xp.zeros((), rates.dtype))


def maximize(params, prepared, sums, counts, prior):
    rates = xp.maximum(divide(sums.x, counts), 1e-6)
    return Counts(keep_empty(counts, rates, params.rates)), xp.zeros_like(rates)


def base(x, reference):
    """-log x!, which theta @ x + bias leaves out."""
    gammaln = jax.scipy.special.gammaln if is_jax(x) else scipy.special.gammaln
    return -gammaln(x + 1).sum(0)


COUNTS = exponential_family(
    "counts",
    Counts,
    support=Support(lambda x: ((x >= 0) & (x == xp.floor(x))) | xp.isnan(x), "counts 0, 1, 2, ..."),
    features=lambda x, reference: x,
    natural=natural,
    sums=CountSums,
    maximize=maximize,
    around=lambda centres, d: Counts(xp.ones_like(centres)),
    centre=lambda params, weights: product(weights, params.rates),
    sample=lambda key, params, labels: jax.random.poisson(key, params.rates[labels]).astype(params.rates.dtype),
    base=base,
)


def rows(n=300, dtype=np.float64):
    """Counts of two features and two kinds of rows."""
    rng = np.random.default_rng(0)
    return rng.poisson(np.where(rng.random((n, 1)) < 0.4, [2.0, 30.0], [12.0, 5.0])).astype(dtype)
