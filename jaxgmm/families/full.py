"""Gaussian components, each with its own covariance matrix.

    log N(x; μ, Σ) = -½ (x - μ)ᵀ Σ⁻¹ (x - μ) - ½ log|Σ| - d/2 log 2π
                   = xᵀ Σ⁻¹ μ - ½ ⟨Σ⁻¹, x xᵀ⟩ - ½ μᵀ Σ⁻¹ μ - ½ log|Σ| - d/2 log 2π

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.
"""

import dataclasses
from typing import Any

import jax

from ..numerics import (
    LOG_2PI,
    cholesky,
    diagonal,
    divide,
    keep_empty,
    monomials,
    pack,
    positive_definite,
    product,
    unpack,
    upper,
    whitening,
    with_diagonal,
)
from ..numerics.backend import xp
from ..records import record
from . import gaussian
from .base import Constraint, Family, parameter
from .forms import ExponentialForm, Natural, ResidualForm


@record
class Full:
    """Means (k, d) and covariances (k, d, d)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("kdd", Constraint.POSITIVE_DEFINITE, units=2)


@record
class FullMoments:
    """Σ r z (k, d) and Σ r z_i z_j, i <= j, (k, d(d+1)/2) for z = x - reference."""

    x: Any
    xx: Any


def features(x, reference):
    i, j, _ = upper(x.shape[-2] + 1)  # all but the first, which is 1 · 1
    return monomials(x - reference[..., None], i[1:], j[1:])


def natural(params, reference):
    means = params.means - reference[..., None, :]
    _, inverses, half_log_dets = whitening(params.covariances)
    precision = product(xp.swapaxes(inverses, -1, -2), inverses)
    linear = product(precision, means[..., None])[..., 0]  # (k, d)
    d = means.shape[-1]
    halves = pack(0.5 * xp.eye(d, dtype=means.dtype) - 1)  # off-diagonal products stand for two
    precisions = diagonal(precision)
    return Natural(
        theta=xp.concatenate([linear, pack(precision) * halves[None]], axis=-1),
        bias=-0.5 * (linear * means).sum(-1) - half_log_dets - d / 2 * LOG_2PI,
        reference=reference,
        loss=((diagonal(params.covariances) + means**2) * precisions).max((-2, -1)),
        precisions=precisions,
    )


def maximize_moments(params, prepared, sums, counts, prior):
    means = divide(sums.x, counts)
    covariances = unpack(divide(sums.xx, counts)) - means[..., :, None] * means[..., None, :]
    return finish(params, means + prepared.reference[..., None, :], covariances, counts, prior)


def prepare(params, reference):
    lowers, inverses, half_log_dets = whitening(params.covariances)
    return gaussian.Whitened(params.means, lowers, inverses, half_log_dets, (inverses**2).sum(-2))


def statistics(prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), product(weighted, xp.swapaxes(y, -1, -2)))


def maximize_residuals(params, prepared, sums, counts, prior):
    lowers = prepared.lowers
    first, second = divide(sums.first, counts), divide(sums.second, counts)
    inner = second - first[..., :, None] * first[..., None, :]
    means = params.means + product(lowers, first[..., None])[..., 0]
    covariances = product(product(lowers, inner), xp.swapaxes(lowers, -1, -2))
    return finish(params, means, covariances, counts, prior)


def finish(params, means, covariances, counts, prior):
    """Prior, floors and empty components."""
    variance = gaussian.spread(means, diagonal(covariances), counts)  # (d,)
    lift = xp.broadcast_to(gaussian.lift(variance, prior)[..., None, :], means.shape)
    covariances, held = positive_definite(covariances + with_diagonal(lift), gaussian.floor(variance)[..., None, :])
    kept = Full(keep_empty(counts, means, params.means), keep_empty(counts, covariances, params.covariances))
    return kept, keep_empty(counts, lift + held, 0 * lift)


def around(centres, d):
    identity = xp.eye(centres.shape[-1], dtype=centres.dtype)
    return Full(centres, xp.broadcast_to(identity[None], (*centres.shape[:-1], *identity.shape)))


def loosen(params, weights, counts, added):
    """Collapsed components start with a share of the whole covariance instead of their own."""
    whole = (
        gaussian.total_covariance(params.means, params.covariances, weights) / gaussian.alive(counts)[..., None, None]
    )
    collapsed = degenerate(params, weights, added) & (counts > 0)
    covariances = xp.where(collapsed[..., None, None], gaussian.ridged(whole)[..., None, :, :], params.covariances)
    return dataclasses.replace(params, covariances=covariances)


def sample(key, params, labels):
    lower = cholesky(params.covariances)
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)

    def place(x, component):  # one component at a time: no (n, d, d) array
        index, mean, factor = component
        return xp.where((labels == index)[:, None], mean[None] + product(noise, factor.T), x), None

    k = params.means.shape[0]
    return jax.lax.scan(place, noise, (xp.arange(k), params.means, lower))[0]


def degenerate(params, weights, added):
    return gaussian.degenerate_matrices(params.means, params.covariances, weights, added)


FULL = Family(
    name="full",
    parameters=Full,
    support=gaussian.REAL_LINE,
    accurate=ResidualForm(
        prepare, gaussian.residuals, gaussian.log_prob, statistics, gaussian.Residuals, maximize_residuals
    ),
    moments=ExponentialForm(features, natural, FullMoments, maximize_moments),
    around=around,
    centre=gaussian.centre,
    loosen=loosen,
    sample=sample,
    degenerate=degenerate,
    scaling="feature",
    slack=gaussian.slack,
    in_numpy=True,
)
