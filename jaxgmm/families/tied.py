"""Gaussian components that share one covariance matrix.

    Σ = (Σ_n w x xᵀ - Σ_k n_k μ_k μ_kᵀ) / W,       logits = xᵀ Σ⁻¹ μ_k - ½ μ_kᵀ Σ⁻¹ μ_k - ½ ‖L⁻¹ x‖²

The second moment is that of the whole data, whatever the responsibilities, so a row costs
2d a component rather than d².

Source: McLachlan and Peel, Finite Mixture Models (2000), section 3.8.1 (homoscedastic components).
"""

import dataclasses
from typing import Any

from ..numerics import (
    LOG_2PI,
    cholesky,
    diagonal,
    divide,
    keep_empty,
    over_rows,
    positive_definite,
    product,
    whitening,
    with_diagonal,
)
from ..numerics.backend import xp
from ..records import record
from . import gaussian
from .base import Constraint, Family, parameter
from .forms import Natural, ResidualForm


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
    """The natural parameters, and the factor of the row's own term."""

    natural: Natural
    inverse: Any  # (d, d)


def prepare_moments(params, reference):
    means = params.means - reference[..., None, :]
    _, inverse, half_log_det = whitening(params.covariances)
    precision = product(xp.swapaxes(inverse, -1, -2), inverse)
    linear = product(means, precision)
    natural = Natural(
        theta=linear,
        bias=-0.5 * (linear * means).sum(-1) - half_log_det[..., None] - means.shape[-1] / 2 * LOG_2PI,
        reference=reference,
        loss=((diagonal(params.covariances) + (means**2).max(-2)) * diagonal(precision)).max(-1),
        precisions=diagonal(precision)[..., None, :],
    )
    return Shared(natural, inverse)


def view_moments(prepared, x):
    return x - prepared.natural.reference[..., None]


def log_prob_moments(prepared, z):
    own = -0.5 * (product(prepared.inverse, z) ** 2).sum(-2)
    logits = product(prepared.natural.theta, z)
    logits += prepared.natural.bias[..., None]
    logits += own[..., None, :]
    return logits


def statistics_moments(prepared, z, resp):
    return TiedMoments(over_rows(resp, z), over_rows(resp.sum(-2)[..., None, :] * z, z))


def maximize_moments(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    covariance = divide(sums.xx - product(xp.swapaxes(counts[..., None] * means, -1, -2), means), counts.sum(-1))
    return finish(params, means + prepared.natural.reference[..., None, :], covariance, counts, prior)


def prepare(params, reference):
    lower, inverse, half_log_det = whitening(params.covariances)
    half_log_dets = xp.broadcast_to(half_log_det[..., None], params.means.shape[:-1])
    return gaussian.Whitened(
        params.means, lower, inverse[..., None, :, :], half_log_dets, (inverse**2).sum(-2)[..., None, :]
    )


def statistics(prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), product(weighted, xp.swapaxes(y, -1, -2)).sum(-3))


def maximize_residuals(params, prepared, sums, counts, prior):
    lower = prepared.lowers
    first = divide(sums.first, counts)
    inner = divide(sums.second - product(xp.swapaxes(counts[..., None] * first, -1, -2), first), counts.sum(-1))
    upper = xp.swapaxes(lower, -1, -2)
    covariance = product(product(lower, inner), upper)
    return finish(params, params.means + product(first, upper), covariance, counts, prior)


def finish(params, means, covariance, counts, prior):
    """Prior, floors and empty components."""
    means = keep_empty(counts, means, params.means)
    variance = gaussian.spread(means, diagonal(covariance)[..., None, :], counts)  # (d,)
    lift = xp.broadcast_to(gaussian.lift(variance, prior), variance.shape)
    new, held = positive_definite(covariance + with_diagonal(lift), gaussian.floor(variance))
    return Tied(means, new), lift + held


def around(centres, d):
    d = centres.shape[-1]
    return Tied(centres, xp.broadcast_to(xp.eye(d, dtype=centres.dtype), (*centres.shape[:-2], d, d)))


def each(params, added):
    """The covariance and what was added, once a component: (k, d, d), (k, d)."""
    shape = params.means.shape
    covariances = xp.broadcast_to(params.covariances[..., None, :, :], (*shape, shape[-1]))
    return covariances, xp.broadcast_to(added[..., None, :], shape)


def loosen(params, weights, counts, added):
    """A collapsed covariance starts as a share of the whole one instead."""
    whole = (
        gaussian.total_covariance(params.means, each(params, added)[0], weights)
        / gaussian.alive(counts)[..., None, None]
    )
    collapsed = degenerate(params, weights, added).any(-1)[..., None, None]
    return dataclasses.replace(params, covariances=xp.where(collapsed, gaussian.ridged(whole), params.covariances))


def sample(key, params, labels):
    lower = cholesky(params.covariances)
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)
    return params.means[labels] + product(noise, lower.T)


def degenerate(params, weights, added):
    covariances, added = each(params, added)
    return gaussian.degenerate_matrices(params.means, covariances, weights, added)


def slack(prepared, added, counts):
    return gaussian.slack(getattr(prepared, "natural", prepared), added[..., None, :], counts)


@dataclasses.dataclass(frozen=True)
class TiedForm:
    """The moment form: features x alone, and one second moment for the whole data. Cost: 4·n·(k·d + d²)."""

    prepare: Any = prepare_moments
    view: Any = view_moments
    log_prob: Any = log_prob_moments
    statistics: Any = statistics_moments
    sums: type = TiedMoments
    maximize: Any = maximize_moments
    mergeable = True
    fixed_view = True

    def loss(self, prepared):
        return prepared.natural.loss

    def width(self, d, k):
        """Numbers in memory per row of a block."""
        return 3 * d + 2 * k


TIED = Family(
    name="tied",
    parameters=Tied,
    support=gaussian.REAL_LINE,
    accurate=ResidualForm(
        prepare, gaussian.residuals, gaussian.log_prob, statistics, gaussian.Residuals, maximize_residuals
    ),
    moments=TiedForm(),
    around=around,
    centre=gaussian.centre,
    loosen=loosen,
    sample=sample,
    degenerate=degenerate,
    scaling="feature",
    slack=slack,
    in_numpy=True,
)
