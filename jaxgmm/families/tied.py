"""Gaussian components that share one covariance matrix: mclust's EEE.

    Σ = (Σ_n w x xᵀ - Σ_k n_k μ_k μ_kᵀ) / W,       logits = xᵀ Σ⁻¹ μ_k - ½ μ_kᵀ Σ⁻¹ μ_k - ½ ‖L⁻¹ x‖²

The second moment is that of the whole data, whatever the responsibilities, so a row costs 2d a component and not d².

Source: McLachlan and Peel, Finite Mixture Models (2000), section 3.8.1 (homoscedastic components).
"""

import dataclasses
from typing import Any

from ..numerics import LOG_2PI, cholesky, diagonal, divide, over_rows, product, whitening
from ..numerics.backend import xp
from ..records import record
from . import covariances, gaussian
from .base import Constraint, parameter


@record
class Tied:
    """Means (k, d) and the covariance they share (d, d)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("dd", Constraint.POSITIVE_DEFINITE, units=2)


@record
class TiedMoments:
    """Σ r z (k, d) and Σ w z zᵀ (d, d) for z = x - reference."""

    x: Any
    xx: Any


@record
class Shared:
    """logits = theta @ z + bias - ½ ‖L⁻¹ z‖² for z = x - reference."""

    theta: Any  # (k, d)
    bias: Any  # (k,)
    inverse: Any  # L⁻¹ (d, d)
    reference: Any  # (d,)
    loss: Any  # ()
    precisions: Any  # (1, d)


def prepare(params, reference):
    means = params.means - reference[..., None, :]
    _, inverse, half_log_det = whitening(params.covariances)
    precision = product(xp.swapaxes(inverse, -1, -2), inverse)
    linear, precisions = product(means, precision), diagonal(precision)
    bias = -0.5 * (linear * means).sum(-1) - half_log_det[..., None] - means.shape[-1] / 2 * LOG_2PI
    loss = ((diagonal(params.covariances) + (means**2).max(-2)) * precisions).max(-1)
    return Shared(linear, bias, inverse, reference, loss, precisions[..., None, :])


def view(prepared, x):
    return x - prepared.reference[..., None]


def log_prob(prepared, z):
    logits = product(prepared.theta, z)
    logits += prepared.bias[..., None]
    logits += (-0.5 * (product(prepared.inverse, z) ** 2).sum(-2))[..., None, :]
    return logits


def statistics(prepared, z, resp):
    return TiedMoments(over_rows(resp, z), over_rows(resp.sum(-2)[..., None, :] * z, z))


def maximize(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    scatter = sums.xx - product(xp.swapaxes(counts[..., None] * means, -1, -2), means)
    means = means + prepared.reference[..., None, :]
    return STRUCTURE.maximize_scatter(params, means, scatter[..., None, :, :], counts, prior)


@dataclasses.dataclass(frozen=True)
class TiedForm:
    """The moment form: first moments of every component, one second moment of the whole data. Cost: 4·n·(k·d + d²)."""

    prepare: Any = prepare
    view: Any = view
    log_prob: Any = log_prob
    statistics: Any = statistics
    sums: type = TiedMoments
    maximize: Any = maximize
    base = None
    mergeable = True
    fixed_view = True

    def loss(self, prepared):
        return prepared.loss

    def width(self, d, k):
        """Numbers in memory per row of a block."""
        return 3 * d + 2 * k


def own(params):
    return params.covariances[..., None, :, :]


def stored(params, matrices):
    return dataclasses.replace(params, covariances=matrices[..., 0, :, :])


def summed(values):
    return values.sum(-3, keepdims=True)


def around(means, d):
    return Tied(means, xp.broadcast_to(xp.eye(d, dtype=means.dtype), (*means.shape[:-2], d, d)))


def sample(key, params, labels):
    lower = cholesky(params.covariances)
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)
    return params.means[labels] + product(noise, lower.T)


STRUCTURE = covariances.Structure(Tied, own, stored, summed, covariances.quotient, around)
TIED = covariances.family("tied", STRUCTURE, TiedForm(), sample)
