"""Gaussian components with independent features.

    log N(x; μ, σ²) = Σ_j -½ (x_j - μ_j)² / σ²_j - ½ log σ²_j - ½ log 2π

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.
"""

import dataclasses
from typing import Any

import numpy as np

from ..numerics import LOG_2PI, divide, keep_empty, monomials
from ..numerics.backend import xp
from ..records import record
from . import gaussian
from .base import Constraint, Family, parameter
from .forms import ExponentialForm, Natural, ResidualForm


@record
class Diagonal:
    """Means (k, d) and variances, called covariances as in scikit-learn, (k, d)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("kd", Constraint.POSITIVE, units=2)


@record
class DiagonalMoments:
    """Σ r z and Σ r z², both (k, d), for z = x - reference."""

    x: Any
    xx: Any


def features(x, reference):
    j = np.arange(1, x.shape[-2] + 1)
    return monomials(x - reference[..., None], np.concatenate([0 * j, j]), np.concatenate([j, j]))


def natural(params, reference):
    means, precisions = params.means - reference[..., None, :], 1 / params.covariances
    linear = means * precisions
    return Natural(
        theta=xp.concatenate([linear, -0.5 * precisions], axis=-1),
        bias=-0.5 * (linear * means + xp.log(params.covariances) + LOG_2PI).sum(-1),
        reference=reference,
        loss=(1 + means**2 * precisions).max((-2, -1)),
        precisions=precisions,
    )


def maximize_moments(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    return finish(params, means + prepared.reference[..., None, :], divide(sums.xx, counts) - means**2, counts, prior)


def prepare(params, reference):
    half_log_dets = 0.5 * xp.log(params.covariances).sum(-1)
    deviations = xp.sqrt(params.covariances)
    return gaussian.Whitened(params.means, deviations, 1 / deviations, half_log_dets, 1 / params.covariances)


def statistics(prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), (weighted * y).sum(-1))


def maximize_residuals(params, prepared, sums, counts, prior):
    first, second = divide(sums.first, counts), divide(sums.second, counts)
    means = params.means + prepared.lowers * first
    return finish(params, means, params.covariances * (second - first**2), counts, prior)


def finish(params, means, variances, counts, prior):
    """Prior, floors and empty components."""
    variance = gaussian.spread(means, variances, counts)  # (d,)
    new = xp.maximum(variances + gaussian.lift(variance, prior)[..., None, :], gaussian.floor(variance)[..., None, :])
    kept = Diagonal(keep_empty(counts, means, params.means), keep_empty(counts, new, params.covariances))
    return kept, keep_empty(counts, new - variances, 0 * new)


def around(centres, d):
    return Diagonal(centres, xp.ones_like(centres))


def loosen(params, weights, counts, added):
    """Collapsed components start with a share of the whole variance instead of their own."""
    whole = gaussian.total_variance(params.means, params.covariances, weights) / gaussian.alive(counts)[..., None]
    collapsed = degenerate(params, weights, added) & (counts > 0)
    return dataclasses.replace(
        params, covariances=xp.where(collapsed[..., None], whole[..., None, :], params.covariances)
    )


def sample(key, params, labels):
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)
    return params.means[labels] + xp.sqrt(params.covariances)[labels] * noise


def degenerate(params, weights, added):
    return gaussian.degenerate_variances(params.means, params.covariances, weights, added)


DIAGONAL = Family(
    name="diag",
    parameters=Diagonal,
    support=gaussian.REAL_LINE,
    accurate=ResidualForm(
        prepare, gaussian.scaled_residuals, gaussian.log_prob, statistics, gaussian.Residuals, maximize_residuals
    ),
    moments=ExponentialForm(features, natural, DiagonalMoments, maximize_moments),
    around=around,
    centre=gaussian.centre,
    loosen=loosen,
    sample=sample,
    degenerate=degenerate,
    scaling="feature",
    slack=gaussian.slack,
    in_numpy=True,
)
