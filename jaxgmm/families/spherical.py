"""Gaussian components with one variance each.

    log N(x; μ, σ²) = -½ ‖x - μ‖² / σ² - d/2 log σ² - d/2 log 2π

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.
"""

import dataclasses
from typing import Any

from ..numerics import LOG_2PI, divide, keep_empty, pooled
from ..numerics.backend import xp
from ..records import record
from . import gaussian
from .base import Constraint, Family, parameter
from .forms import ExponentialForm, Natural, ResidualForm


@record
class Spherical:
    """Means (k, d) and variances, called covariances as in scikit-learn, (k,)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("k", Constraint.POSITIVE, units=2)


@record
class SphericalMoments:
    """Σ r z (k, d) and Σ r ‖z‖² (k, 1), for z = x - reference."""

    x: Any
    xx: Any


def features(x, reference):
    z = x - reference[..., None]
    return xp.concatenate([z, (z * z).sum(-2, keepdims=True)], axis=-2)


def natural(params, reference):
    means, precisions = params.means - reference[..., None, :], 1 / params.covariances[..., None]  # (k, 1)
    d = means.shape[-1]
    linear = means * precisions
    return Natural(
        theta=xp.concatenate([linear, -0.5 * precisions], axis=-1),
        bias=-0.5 * (linear * means).sum(-1) - d / 2 * (xp.log(params.covariances) + LOG_2PI),
        reference=reference,
        loss=(1 + (linear * means).mean(-1)).max(-1),
        precisions=d * precisions,
    )


def maximize_moments(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    variances = (divide(sums.xx[..., 0], counts) - (means**2).sum(-1)) / means.shape[-1]
    return finish(params, means + prepared.reference[..., None, :], variances, counts, prior)


def prepare(params, reference):
    d = params.means.shape[-1]
    half_log_dets = d / 2 * xp.log(params.covariances)
    deviations = xp.sqrt(params.covariances)[..., None]
    return gaussian.Whitened(params.means, deviations, 1 / deviations, half_log_dets, d / params.covariances[..., None])


def statistics(prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), (weighted * y).sum((-2, -1)))


def maximize_residuals(params, prepared, sums, counts, prior):
    first, second = divide(sums.first, counts), divide(sums.second, counts)
    means = params.means + prepared.lowers * first
    variances = params.covariances * (second - (first**2).sum(-1)) / means.shape[-1]
    return finish(params, means, variances, counts, prior)


def finish(params, means, variances, counts, prior):
    """Prior, floors and empty components."""
    variance = gaussian.mean_spread(means, variances[..., None], counts)[..., None]  # (1,)
    lift = xp.mean(gaussian.lift(variance, prior), axis=-1, keepdims=True)
    new = xp.maximum(variances + lift, gaussian.floor(variance))
    kept = Spherical(keep_empty(counts, means, params.means), keep_empty(counts, new, params.covariances))
    return kept, keep_empty(counts, new - variances, 0 * new)[..., None]


def around(centres, d):
    return Spherical(centres, xp.ones_like(centres[..., 0]))


def loosen(params, weights, counts, added):
    """Collapsed components start with a share of the whole variance instead of their own."""
    variances = gaussian.total_variance(params.means, params.covariances[..., None], weights)  # (d,)
    whole = variances.mean(-1, keepdims=True) / gaussian.alive(counts)[..., None]  # (1,)
    collapsed = degenerate(params, weights, added) & (counts > 0)
    return dataclasses.replace(params, covariances=xp.where(collapsed, whole, params.covariances))


def sample(key, params, labels):
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)
    return params.means[labels] + xp.sqrt(params.covariances)[labels][:, None] * noise


def degenerate(params, weights, added):
    middle = pooled(weights, params.means)
    about = xp.sqrt(((params.means - middle[..., None, :]) ** 2).mean(-1, keepdims=True))
    return gaussian.degenerate_variances(about, params.covariances[..., None], weights, added)


SPHERICAL = Family(
    name="spherical",
    parameters=Spherical,
    support=gaussian.REAL_LINE,
    accurate=ResidualForm(
        prepare, gaussian.scaled_residuals, gaussian.log_prob, statistics, gaussian.Residuals, maximize_residuals
    ),
    moments=ExponentialForm(features, natural, SphericalMoments, maximize_moments),
    around=around,
    centre=gaussian.centre,
    loosen=loosen,
    sample=sample,
    degenerate=degenerate,
    scaling="common",
    slack=gaussian.slack,
    in_numpy=True,
)
