"""Moments, probabilities and quantiles of mixtures.

    μ = Σ π_k μ_k,      κ_3 = Σ π_k (κ_3k + 3 σ²_k δ_k + δ_k³),      δ_k = μ_k - μ
    m_4 = Σ π_k (κ_4k + 3 σ⁴_k + 4 κ_3k δ_k + 6 σ²_k δ_k² + δ_k⁴)

The p-quantile lies between -√((1-p)/p) and √(p/(1-p)) standard deviations from the mean (Cantelli's inequality). For
small p that interval is far too wide. It is bisected on a logarithmic scale first, and then down to neighbouring
floating-point numbers.

Source: Frühwirth-Schnatter, Finite Mixture and Markov Switching Models (2006), section 1.2.4.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from ..families.forms import Partial
from ..numerics import constant, pooled, product, with_diagonal
from ..numerics.backend import is_jax, xp
from . import arguments
from .cuts import part
from .running import evaluated, repeated

BISECTIONS = {4: (10, 50), 8: (12, 110)}  # by bytes of a number: on the logarithmic scale, and down to neighbours


class Moments(NamedTuple):
    """``mean`` (d,), ``covariance`` (d, d), ``skewness`` (d,) and excess ``kurtosis`` (d,)."""

    mean: Any
    covariance: Any
    skewness: Any
    kurtosis: Any


def moments(mixture) -> Moments:
    """Mean (d,), covariance (d, d), skewness (d,) and excess kurtosis (d,): a named tuple.

    Args:
        mixture: a `Mixture` of any family of the library; of a batch, the leading axes are those of the result too.

    Returns:
        Moments: ``mean``, ``covariance``, ``skewness``, ``kurtosis``; the last two are NaN for a constant feature.

    Cost: O(k·d²).
    """
    return Moments(*evaluated(_moments, arguments.mixture_of(mixture)))


def _moments(mixture):
    family, params, weights = mixture.family, mixture.components, xp.exp(mixture.log_weights)
    means, variances, third, fourth = family.margins.cumulants(params)
    mean = pooled(weights, means)
    delta = means - mean[..., None, :]
    within = with_diagonal(pooled(weights, variances))
    if not family.margins.independent:
        within = pooled(weights, family.covariance(params))
    covariance = within + product(xp.swapaxes(weights[..., None] * delta, -1, -2), delta)
    m2 = pooled(weights, variances + delta**2)
    m3 = pooled(weights, third + 3 * variances * delta + delta**3)
    m4 = pooled(weights, fourth + 3 * variances**2 + 4 * third * delta + 6 * variances * delta**2 + delta**4)
    return mean, covariance, m3 / m2**1.5, m4 / m2**2 - 3


def tails(mixture, x):
    """P(X <= x) and P(X > x) of every component and feature, (..., d, b) -> 2 × (..., k, d, b); x may be infinite."""
    finite = xp.where(xp.abs(x) < np.inf, x, 0)  # NaN becomes 0 too
    below, above = mixture.family.margins.tails(mixture.components, finite)
    value = x[..., None, :, :]
    low, high, unknown = value == -np.inf, value == np.inf, xp.isnan(value)
    below = xp.where(unknown, np.nan, xp.where(low, 0, xp.where(high, 1, below)))
    return below, xp.where(unknown, np.nan, xp.where(low, 1, xp.where(high, 0, above)))


def cdf(mixture, x, *, feature=None):
    """P(X <= x) of one feature, in the shape of x.

    Args:
        mixture: a `Mixture`; of several features, ``feature`` says which.
        x: any shape; may be infinite. NaN gives NaN inside a trace.
        feature: a number from 0 to d - 1.

    Raises:
        ValueError: several features and no ``feature``, a ``feature`` out of range, NaN in x.
    """
    mixture, which = _of_feature(mixture, feature)
    return evaluated(Partial(_cdf, which), mixture, arguments.real(x, "x", infinite=True))


def _of_feature(mixture, feature):
    mixture = arguments.single(arguments.mixture_of(mixture))
    return mixture, arguments.of_one(mixture, feature)


def _cdf(which, mixture, x):
    return _both_tails(part(which, mixture), x.reshape(-1))[0].reshape(x.shape)


def _both_tails(mixture, x):
    """P(X <= x) and P(X > x) of a mixture of one feature, (b,) -> 2 × (b,)."""
    weights = xp.exp(mixture.log_weights)
    return tuple(product(weights, tail[:, 0]) for tail in tails(mixture, x[None]))


def quantile(mixture, p, *, feature=None):
    """The least x with P(X <= x) >= p, of one feature, in the shape of p.

    Args:
        mixture: a `Mixture`; of several features, ``feature`` says which.
        p: any shape, probabilities strictly between 0 and 1. Others give NaN inside a trace.
        feature: a number from 0 to d - 1.

    Returns:
        array: differentiable, by the implicit function theorem. For families on integers the derivative is 0.

    Raises:
        ValueError: several features and no ``feature``, p outside (0, 1).

    Cost: 122 evaluations of `cdf` in float64, 60 in float32.
    """
    mixture, which = _of_feature(mixture, feature)
    return evaluated(Partial(_quantile, which), mixture, arguments.probabilities(p, "p"))


def _quantile(which, mixture, p):
    mixture, shape, p = part(which, mixture), p.shape, p.reshape(-1)
    inside = (p > 0) & (p < 1)
    p = xp.where(inside, p, 0.5)
    found = (_least if mixture.family.margins.integers else _root)(mixture, p)
    return xp.where(inside, found, np.nan).reshape(shape)


def _excess(mixture, p, x):
    """P(X <= x) - p, computed from the smaller of the two tails, which has the more exact digits."""
    below, above = _both_tails(mixture, x)
    return xp.where(p < 0.5, below - p, (1 - p) - above)


def _bracket(mixture, p, short):
    """Numbers below and above the quantiles, a few per cent apart; ``short(x)`` is whether P(X <= x) < p."""
    mean, covariance, _, _ = _moments(mixture)
    sd = xp.sqrt(covariance[0])

    def at(u):
        return mean + sd * xp.sinh(u)

    ends = -xp.arcsinh(xp.sqrt((1 - p) / p)), xp.arcsinh(xp.sqrt(p / (1 - p)))
    low, high = _bisected(lambda u: short(at(u)), ends, BISECTIONS[p.dtype.itemsize][0])
    return at(low), at(high)


def _bisected(short, bracket, count):
    """The bracket (low, high) after ``count`` halvings: ``short(low)``, and not ``short(high)``."""

    def halve(bracket):
        low, high = bracket
        middle = low + (high - low) / 2
        below = short(middle)
        return xp.where(below, middle, low), xp.where(below, high, middle)

    return repeated(halve, count, bracket)


def _root(mixture, p):
    """Quantiles of a continuous feature: roots of P(X <= x) - p."""
    fixed, p_fixed = jax.tree.map(constant, (mixture, p))

    def short(x):
        return _excess(fixed, p_fixed, x) < 0

    found = _bisected(short, _bracket(fixed, p_fixed, short), BISECTIONS[p.dtype.itemsize][1])[1]
    if not is_jax(found):
        return found

    def solved(slope, value):  # the derivative of many roots is a diagonal matrix
        return value / slope(xp.ones_like(value))

    return jax.lax.custom_root(lambda x: _excess(mixture, p, x), found, lambda _, found: found, solved)


def _least(mixture, p):
    """Quantiles of a feature of integers: the least integer that is not short of p."""
    mixture, p = jax.tree.map(constant, (mixture, p))
    slack = 8 * np.finfo(p.dtype).eps * p  # rounding of a p that is itself P(X <= x) of an integer x

    def short(x):
        return _excess(mixture, p, xp.floor(x)) < -slack

    low, high = _bracket(mixture, p, short)
    return xp.floor(_bisected(short, (xp.floor(low) - 1, xp.ceil(high) + 1), BISECTIONS[p.dtype.itemsize][1])[1])


def probability(mixture, lower, upper):
    """P(lower <= X <= upper) of every box.

    Args:
        mixture: a `Mixture` of d features that are independent in every component (all families but full and tied), or
            of one feature.
        lower, upper: (..., d), shapes that broadcast against each other, or one number for all features; may be
            infinite. A box is empty if lower is above upper in any feature.

    Returns:
        (...): probabilities.

    Raises:
        ValueError: covariance matrices of several features, shapes that do not fit, NaN.
    """
    mixture = arguments.single(arguments.mixture_of(mixture))
    d = mixture.n_features
    if not mixture.family.margins.independent and d > 1:
        raise ValueError(
            f"family {mixture.family.name!r} has dependent features, whose boxes have no closed form: draw rows by "
            "jaxgmm.sample and count, or fit family='diag'"
        )
    bounds = [arguments.real(bound, name, infinite=True) for bound, name in ((lower, "lower"), (upper, "upper"))]
    try:
        shape = np.broadcast_shapes(*(bound.shape for bound in bounds), (d,))
    except ValueError:
        raise ValueError(
            f"lower and upper must have shape (..., {d}), got {bounds[0].shape} and {bounds[1].shape}"
        ) from None
    return evaluated(Partial(_probability, shape), mixture, *bounds)


def _probability(shape, mixture, lower, upper):
    lower, upper = (xp.broadcast_to(bound, shape).reshape(-1, shape[-1]).T for bound in (lower, upper))  # (d, b)
    if mixture.family.margins.integers:
        lower = xp.ceil(lower) - 1
    (below, above), (below_upper, above_upper) = tails(mixture, lower), tails(mixture, upper)
    inside = xp.where(below < 0.5, below_upper - below, above - above_upper)  # (k, d, b)
    boxes = xp.prod(xp.maximum(inside, 0), axis=1)
    return product(xp.exp(mixture.log_weights), boxes).reshape(shape[:-1])
