"""What the Gaussian covariance structures share: spread, prior, floors, degeneracy, and the residual form.

    log N(x; μ, Σ) = -½ ‖y‖² - log|L| - d/2 log 2π,      y = L⁻¹ (x - μ),  Σ = L Lᵀ

Two forms. *Moments*: products of the features (x, x xᵀ) with natural parameters; one wide product, but it loses a
covariance by eps·E[x²]/σ². *Residuals* (accurate): from m = Σ r y / n and S = Σ r y yᵀ / n,

    μ ← μ + L m,      Σ ← L (S - m mᵀ) Lᵀ

which has no squared condition number.
"""

from typing import Any

import jax
import numpy as np

from ..numerics import LOG_2PI, diagonal, divide, eps, pooled, product, ridge, with_diagonal
from ..numerics.backend import linalg, xp
from ..numerics.host import choose
from ..records import GaussianPrior, record
from .base import Support

FAR = 1e4  # times: how much wider a structure that shares shapes may make some components in a constant feature
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
    lowers: Any  # L, or σ
    inverses: Any  # L⁻¹, or 1/σ
    half_log_dets: Any  # (k,)
    precisions: Any  # (k, d): diagonal of Σ⁻¹

    @property
    def inflation(self):
        """How many times larger variances are than given the other features, summed: d for independent ones. (k,)."""
        independent = self.lowers.ndim == self.means.ndim
        variances = self.lowers**2 if independent else (self.lowers**2).sum(-1)
        return (self.precisions * variances).sum(-1)


def centre(params, weights):
    """Mean of the mixture (d,)."""
    return pooled(weights, params.means)


def spread(means, variances, counts):
    """Variance of every feature over all the data: V_j = Σ n_k (σ²_kj + (μ_kj - μ̄_j)²) / W, (d,).

    A feature that does not vary counts as variance 1.
    """
    return or_one(*whole_of(means, variances, divide(counts, counts.sum(-1))))


def mean_spread(means, variances, counts):
    """The mean of `spread` over features, (): what ``spherical`` measures its prior by."""
    return or_one(*mean_of(*whole_of(means, variances, divide(counts, counts.sum(-1)))))


def mean_of(variance, middle):
    """The mean of a variance over features, and how far its mean lies from 0, as one number. (..., d) -> (...)."""
    return variance.mean(-1), xp.sqrt((middle**2).mean(-1))


def whole_of(means, variances, weights):
    """Variance and mean of every feature of the whole mixture, (d,) and (d,), for variances (k, d)."""
    middle = pooled(weights, means)
    return pooled(weights, variances + (means - middle[..., None, :]) ** 2), middle


def or_one(variance, mean):
    """The variance, or 1 where it is rounding of the mean: V ≤ (8·eps·|mean|)²."""
    return xp.where(variance <= (8 * eps(variance) * xp.abs(mean)) ** 2, 1, variance)


def lift(variance, prior: GaussianPrior):
    """What the prior adds to variances whose spread over all the data is ``variance`` (..., d)."""
    return prior.reg_covar + _along_features(prior.reg_relative) * variance


def _along_features(relative):
    """A fraction that is one number, or one a lane, beside numbers of features."""
    return relative[..., None] if np.ndim(relative) else relative


def owed(whole, middle, prior: GaussianPrior):
    """What every component owes to the prior, or at least to a floor, of the variance and mean of the whole mixture.

    The prior has its part in every component, and so in the whole mixture, whose rest is the data's. (..., d) -> same.
    """
    of_data = xp.maximum(whole - prior.reg_covar, 0) / (1 + _along_features(prior.reg_relative))
    variance = or_one(of_data, middle)
    return xp.maximum(lift(variance, prior), floor(variance))


def constant(means, whole, prior: GaussianPrior):
    """Features in which the data do not vary, (d,) bool: in the frame they are 0, and the variance of the whole mixture
    is not far above what prior and floor give where the data have none."""
    least = xp.maximum(prior.reg_covar + _along_features(prior.reg_relative), (8 * eps(means)) ** 2)
    return (means == 0).all(-2) & (whole <= FAR * least)


def alive(counts):
    """How many components have rows; those that only pad have none."""
    return xp.maximum((counts > 0).sum(-1), 1).astype(counts.dtype)


def floor(variance):
    """No variance of a component is below this, prior or not."""
    return (8 * eps(variance)) ** 2 * variance


def slack(prepared, owed, counts):
    """How far the prior can make the log-likelihood fall in one update, and how far rounding may move it, (), ().

    The update misses the maximum of Q by Σ_k n_k/2 Σ_i (-log(1 - u_i) - u_i), u the eigenvalues of Σ⁻¹ diag(owed); the
    sum is at most its value for one eigenvalue τ = tr(Σ⁻¹ diag(owed)). Rounding of Σ counts
    squared at a maximum, but along what is owed as it is, in Σ_k n_k/2 log|Σ_k|.
    """
    tau = xp.clip((prepared.precisions * owed).sum(-1), 0, 1)  # (k,)
    fall = (counts / 2 * xp.where(counts > 0, -xp.log1p(-tau) - tau, 0)).sum(-1)
    if not isinstance(prepared, Whitened):
        return fall, xp.zeros_like(fall)  # the moment form gives way long before
    return fall, (counts / 2 * tau * eps(counts) * prepared.inflation).sum(-1)


def supported_matrices(means, covariances, weights, prior):
    """Components that owe the larger part of a variance to the prior, a floor or a ridge, in some direction, (k,) bool.

    Counting only directions in which the data as a whole vary. Every component is judged in units of its own, in which
    a floor far below the data's rounding is as large as what it replaced. covariances (k, d, d).
    """
    d, own_variances = means.shape[-1], diagonal(covariances)
    whole, middle = whole_of(means, own_variances, weights)
    due = owed(whole, middle, prior)  # (d,)
    total = total_covariance(means, covariances, weights) - with_diagonal(due)
    vary = ~constant(means, whole, prior)
    varies = vary & (diagonal(total) > 0)
    swallowed = (vary & (diagonal(total) <= 0)).any(-1)  # beside the prior, the variance of the data is rounding
    scale = xp.sqrt(xp.where(varies, diagonal(total), 1))
    units, counted = outer(scale, scale), outer(varies, varies)
    values, vectors = linalg(total).eigh(xp.where(counted, total / units, 0))
    varying = values > 20 * d * eps(means)  # (d,)
    identity = np.eye(d, dtype=means.dtype)
    basis = xp.where(varying.all(-1)[..., None, None], identity, vectors)  # directions, or the features themselves
    basis, units, counted = (matrix[..., None, :, :] for matrix in (basis, units, outer(varying, varying)))

    def along(matrices):
        turned = product(product(xp.swapaxes(basis, -1, -2), matrices / units), basis)
        return xp.where(counted, turned, identity[None])

    own = xp.sqrt(xp.maximum(diagonal(along(covariances)), np.finfo(means.dtype).tiny))  # (k, d)
    due = xp.maximum(due[..., None, :], ridge(covariances) * own_variances)  # (k, d)
    excess = along(covariances - with_diagonal(2 * due)) / outer(own, own)
    return (linalg(excess).eigvalsh(excess)[..., 0] < 0) | swallowed[..., None]


def outer(a, b):
    """(..., d), (..., d) -> (..., d, d)."""
    return a[..., :, None] * b[..., None, :]


def total_variance(means, variances, weights):
    """Variance of every feature of the whole mixture (d,), for variances (k, d)."""
    return whole_of(means, variances, weights)[0]


def total_covariance(means, covariances, weights):
    """Covariance of the whole mixture (d, d), for covariances (k, d, d)."""
    offset = means - pooled(weights, means)[..., None, :]
    return pooled(weights, covariances) + product(xp.swapaxes(weights[..., None] * offset, -1, -2), offset)


def ridged(covariance):
    """A covariance (d, d) that may be singular, with a ridge that rounding does not undo."""
    d = covariance.shape[-1]
    return covariance * (1 + 10 * d * eps(covariance) * xp.eye(d, dtype=covariance.dtype))


def where_any(condition, new, old):
    """Parameters new of lanes in which a condition (k,) holds of any component, old elsewhere."""
    return choose(condition.any(-1), new, old)


def residuals(prepared, x):
    """y = L⁻¹ (x - μ) of every component, (k, d, b)."""
    return product(prepared.inverses, x[..., None, :, :] - prepared.means[..., None])


def scaled_residuals(prepared, x):
    """y = (x - μ) / σ of every component, (k, d, b)."""
    return (x[..., None, :, :] - prepared.means[..., None]) * prepared.inverses[..., None]


def log_prob(prepared, y):
    """Log densities (k, b) from residuals."""
    return -0.5 * (y**2).sum(-2) - (prepared.half_log_dets + y.shape[-2] / 2 * LOG_2PI)[..., None]


def draw(key, labels, d, dtype):
    """Standard normal draws (n, d), made in float32 whatever the dtype."""
    return jax.random.normal(key, (labels.shape[0], d), np.float32).astype(dtype)
