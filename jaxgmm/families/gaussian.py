"""What all Gaussian families share: spread, prior, floors, degeneracy, and the residual form.

    log N(x; μ, Σ) = -½ ‖y‖² - log|L| - d/2 log 2π,      y = L⁻¹ (x - μ),  Σ = L Lᵀ

Two forms. *Moments*: products of the features (x, x xᵀ) with natural parameters. It is one wide product, but a
covariance has a relative error of eps·E[x²]/σ². *Residuals* (accurate): from m = Σ r y / n and S = Σ r y yᵀ / n,

    μ ← μ + L m,      Σ ← L (S - m mᵀ) Lᵀ

in which the condition number is not squared.
"""

from typing import Any

import jax
import numpy as np

from ..numerics import LOG_2PI, diagonal, divide, eps, pooled, product, ridge, squared, with_diagonal
from ..numerics.backend import linalg, xp
from ..records import GaussianPrior, record
from .base import Support

FAR = 1e4  # a structure that shares shapes may make a component so many times wider in a constant feature
REAL_LINE = Support(lambda x: xp.abs(x) != np.inf, "finite real numbers")


@record
class Residuals:
    """Moments of the whitened residuals of every component: Σ r y and Σ r y yᵀ (or its diagonal, or its trace)."""

    first: Any
    second: Any


@record
class Whitened:
    """Parameters prepared for the residual form."""

    means: Any  # (k, d)
    lowers: Any  # L (m, d, d), or σ (k, d) or (k, 1)
    inverses: Any  # L⁻¹, or 1/σ
    half_log_dets: Any  # (k,)
    precisions: Any  # (k, d): diagonal of Σ⁻¹

    @property
    def inflation(self):
        """Σ_j var(x_j) / var(x_j given the other features) of every component, (k,): d for independent features."""
        independent = self.lowers.ndim == self.means.ndim
        variances = self.lowers**2 if independent else (self.lowers**2).sum(-1)
        return (self.precisions * variances).sum(-1)


def centre(params, weights):
    """Mean of the mixture (d,)."""
    return pooled(weights, params.means)


def spread(means, variances, counts):
    """Variance of every feature over all the data: V_j = Σ n_k (σ²_kj + (μ_kj - μ̄_j)²) / W, (d,).

    For a feature that does not vary it is 1.
    """
    return or_one(*total_moments(means, variances, divide(counts, counts.sum(-1))))


def mean_spread(means, variances, counts):
    """The mean of `spread` over features, (): the unit of the relative prior where features share a variance."""
    return or_one(*over_features(*total_moments(means, variances, divide(counts, counts.sum(-1)))))


def over_features(variance, mean):
    """The mean of the variances over features, and the root mean square of the means. (..., d) -> (...)."""
    return variance.mean(-1), xp.sqrt((mean**2).mean(-1))


def total_moments(means, variances, weights):
    """Variance and mean of every feature of the whole mixture, (d,) and (d,), for variances (k, d)."""
    mean = pooled(weights, means)
    return pooled(weights, variances + (means - mean[..., None, :]) ** 2), mean


def or_one(variance, mean):
    """The variance, or 1 where it is no more than the rounding of the mean: V ≤ (8·eps·|mean|)²."""
    return xp.where(variance <= (8 * eps(variance) * xp.abs(mean)) ** 2, 1, variance)


def lift(variance, prior: GaussianPrior):
    """What the prior adds to the variances of components; ``variance`` (..., d) is that of all the data."""
    return prior.reg_covar + _along_features(prior.reg_relative) * variance


def _along_features(relative):
    """``reg_relative``, one number () or one for each lane (l,), as a factor of an array (..., d)."""
    return relative[..., None] if np.ndim(relative) else relative


def prior_part(total, mean, prior: GaussianPrior):
    """The part of a component's variances that is the prior's, at least the floor's. (..., d) -> (..., d).

    Every component has it, so the variance of the whole mixture, ``total``, is that of the data plus this part.
    """
    of_data = xp.maximum(total - prior.reg_covar, 0) / (1 + _along_features(prior.reg_relative))
    variance = or_one(of_data, mean)
    return xp.maximum(lift(variance, prior), floor(variance))


def constant(means, total, prior: GaussianPrior):
    """Features in which the data do not vary, (d,) bool: in the frame they are 0, and ``total``, the variance of the
    whole mixture, is not far above that of prior and floor without data."""
    least = xp.maximum(prior.reg_covar + _along_features(prior.reg_relative), (8 * eps(means)) ** 2)
    return (means == 0).all(-2) & (total <= FAR * least)


def n_with_rows(counts):
    """Number of components that have rows; those of padding have none."""
    return xp.maximum((counts > 0).sum(-1), 1).astype(counts.dtype)


def floor(variance):
    """The least variance of a component, with a prior or without; ``variance`` is that of all the data."""
    return (8 * eps(variance)) ** 2 * variance


def slack(prepared, part, counts):
    """How far the prior can make the log-likelihood fall in one update, and how far rounding may move it, (), ().

    With v (k, d), the ``part`` of the variances that is the prior's, the update misses the maximum of Q by
    Σ_k n_k/2 Σ_i (-log(1 - u_i) - u_i), u the eigenvalues of Σ⁻¹ diag(v). The sum is at most its value for one
    eigenvalue τ = tr(Σ⁻¹ diag(v)). At a maximum of Q a rounding error of Σ has an effect of second order; along v,
    where the update is no maximum, one of first order, by Σ_k n_k/2 log|Σ_k|.
    """
    tau = xp.clip((prepared.precisions * part).sum(-1), 0, 1)  # (k,)
    fall = (counts / 2 * xp.where(counts > 0, -xp.log1p(-tau) - tau, 0)).sum(-1)
    if not isinstance(prepared, Whitened):
        return fall, xp.zeros_like(fall)  # the residual form takes over from the moment form long before this matters
    return fall, (counts / 2 * tau * eps(counts) * prepared.inflation).sum(-1)


def supported_matrices(means, covariances, weights, prior):
    """Components of whose variance in some direction prior, floor or ridge make the larger part, (k,) bool.

    Only directions in which the data as a whole vary count. Every component is measured in units of its own deviations,
    because a floor may lie far below the rounding of the data. covariances (k, d, d).
    """
    d, own_variances = means.shape[-1], diagonal(covariances)
    total, mean = total_moments(means, own_variances, weights)
    part = prior_part(total, mean, prior)  # (d,)
    of_data = total_covariance(means, covariances, weights) - with_diagonal(part)
    known, positive = ~constant(means, total, prior), diagonal(of_data) > 0
    varies, swallowed = known & positive, (known & ~positive).any(-1)  # by the prior: the data are rounding beside it
    scale = xp.sqrt(xp.where(varies, diagonal(of_data), 1))
    units, counted = outer(scale, scale), outer(varies, varies)
    values, vectors = linalg(of_data).eigh(xp.where(counted, of_data / units, 0))
    varying = values > 20 * d * eps(means)  # (d,)
    identity = np.eye(d, dtype=means.dtype)
    basis = xp.where(varying.all(-1)[..., None, None], identity, vectors)  # directions, or the features themselves
    basis, units, counted = (matrix[..., None, :, :] for matrix in (basis, units, outer(varying, varying)))

    def along(matrices):
        turned = product(product(xp.swapaxes(basis, -1, -2), matrices / units), basis)
        return xp.where(counted, turned, identity[None])

    own = xp.sqrt(xp.maximum(diagonal(along(covariances)), np.finfo(means.dtype).tiny))  # (k, d)
    part = xp.maximum(part[..., None, :], ridge(covariances) * own_variances)  # (k, d)
    excess = along(covariances - with_diagonal(2 * part)) / outer(own, own)
    return (linalg(excess).eigvalsh(excess)[..., 0] < 0) | swallowed[..., None]


def outer(a, b):
    """(..., d), (..., d) -> (..., d, d)."""
    return a[..., :, None] * b[..., None, :]


def total_variance(means, variances, weights):
    """Variance of every feature of the whole mixture (d,), for variances (k, d)."""
    return total_moments(means, variances, weights)[0]


def total_covariance(means, covariances, weights):
    """Covariance of the whole mixture (d, d), for covariances (k, d, d)."""
    offset = means - pooled(weights, means)[..., None, :]
    return pooled(weights, covariances) + product(xp.swapaxes(weights[..., None] * offset, -1, -2), offset)


def ridged(covariance):
    """A covariance (d, d) that may be singular, with a ridge that outweighs rounding."""
    d = covariance.shape[-1]
    return covariance * (1 + 10 * d * eps(covariance) * xp.eye(d, dtype=covariance.dtype))


def residuals(prepared, x):
    """y = L⁻¹ (x - μ) of every component, (k, d, b)."""
    return product(prepared.inverses, x[..., None, :, :] - prepared.means[..., None])


def scaled_residuals(prepared, x):
    """y = (x - μ) / σ of every component, (k, d, b)."""
    y = x[..., None, :, :] - prepared.means[..., None]
    y *= prepared.inverses[..., None]
    return y


def log_prob(prepared, y):
    """Log densities (k, b) from residuals."""
    return -0.5 * squared(y) - (prepared.half_log_dets + y.shape[-2] / 2 * LOG_2PI)[..., None]


def draw(key, labels, d, dtype):
    """Standard normal draws (n, d), made in float32 whatever the dtype."""
    return jax.random.normal(key, (labels.shape[0], d), np.float32).astype(dtype)
