"""Families as users write them, in a module of their own where pickle finds them."""

import dataclasses
from typing import Any

import jax
import numpy as np
import scipy.special

from jaxgmm.families import diagonal
from jaxgmm.family import Constraint, Natural, Support, exponential_family, parameter
from jaxgmm.numerics import divide, keep_empty, product
from jaxgmm.numerics.backend import is_jax, xp
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
    return Counts(keep_empty(counts, rates, params.rates))


def base(x, reference):
    """-log x!, which theta @ x + bias leaves out."""
    gammaln = jax.scipy.special.gammaln if is_jax(x) else scipy.special.gammaln
    return -gammaln(x + 1).sum(0)


def contains(x):
    return ((x >= 0) & (x == xp.floor(x))) | xp.isnan(x)


def features(x, reference):
    return x


def around(centres, d):
    return Counts(xp.ones_like(centres))


def centre(params, weights):
    return product(weights, params.rates)


def sample(key, params, labels):
    return jax.random.poisson(key, params.rates[labels]).astype(params.rates.dtype)


COUNTS = exponential_family(
    "counts",
    Counts,
    support=Support(contains, "counts 0, 1, 2, ..."),
    features=features,
    natural=natural,
    sums=CountSums,
    maximize=maximize,
    around=around,
    centre=centre,
    sample=sample,
    base=base,
)


def rows(n=300, dtype=np.float64):
    """Counts of two features and two kinds of rows."""
    rng = np.random.default_rng(0)
    return rng.poisson(np.where(rng.random((n, 1)) < 0.4, [2.0, 30.0], [12.0, 5.0])).astype(dtype)


# -- diag with its parameters written out q times, along axes that no family of the library has -----------------------


@record
class Copies:
    """Means (k, q, d) and variances (k, d, q), each q times the same."""

    means: Any = parameter("kqd", Constraint.REAL, units=1, located=True)
    variances: Any = parameter("kdq", Constraint.POSITIVE, units=2)


def copied(params, q):
    """What diag has, written out."""
    *lanes_k, d = params.means.shape
    means = xp.broadcast_to(params.means[..., None, :], (*lanes_k, q, d))
    return Copies(means, xp.broadcast_to(params.covariances[..., None], (*lanes_k, d, q)))


def one(params):
    """The first copy."""
    return diagonal.Diagonal(params.means[..., 0, :], params.variances[..., 0])


def copies(q):
    """diag with q copies of its parameters."""
    diag = diagonal.DIAGONAL

    def maximizing(form):
        def maximize(params, prepared, sums, counts, prior):
            return copied(form.maximize(one(params), prepared, sums, counts, prior), q)

        return maximize

    exact, fast = diag.accurate, diag.moments
    return dataclasses.replace(
        diag,
        name="copies",
        parameters=Copies,
        accurate=dataclasses.replace(
            exact, prepare=lambda params, ref: exact.prepare(one(params), ref), maximize=maximizing(exact)
        ),
        moments=dataclasses.replace(
            fast, natural=lambda params, ref: fast.natural(one(params), ref), maximize=maximizing(fast)
        ),
        around=lambda centres, d: copied(diag.around(centres, d), q),
        centre=lambda params, weights: diag.centre(one(params), weights),
        loosen=lambda params, *rest: copied(diag.loosen(one(params), *rest), q),
        sample=lambda key, params, labels: diag.sample(key, one(params), labels),
        supported_by_prior=lambda params, *rest: diag.supported_by_prior(one(params), *rest),
        slack=lambda params, *rest: diag.slack(one(params), *rest),
    )


def same(value):
    """What a process that is sent a value sends back."""
    return value
