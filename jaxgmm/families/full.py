"""Gaussian components, each with its own covariance matrix: mclust's VVV.

    log N(x; μ, Σ) = xᵀ Σ⁻¹ μ - ½ ⟨Σ⁻¹, x xᵀ⟩ - ½ μᵀ Σ⁻¹ μ - ½ log|Σ| - d/2 log 2π,      Σ_k = S_k / n_k

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.
"""

import dataclasses
from typing import Any

import jax

from ..numerics import LOG_2PI, cholesky, diagonal, divide, monomials, pack, product, unpack, upper, whitening
from ..numerics.backend import xp
from ..records import record
from . import covariances, gaussian
from .base import Constraint, as_it_is, parameter
from .forms import ExponentialForm, Natural


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
    scatter = unpack(sums.xx) - covariances.outer(counts, means)
    return STRUCTURE.maximize_scatter(params, means + prepared.reference[..., None, :], scatter, counts, prior)


def own(params):
    return params.covariances


def stored(params, matrices):
    return dataclasses.replace(params, covariances=matrices)


def around(means, d):
    return Full(means, xp.broadcast_to(xp.eye(d, dtype=means.dtype)[None], (*means.shape, d)))


def sample(key, params, labels):
    lower = cholesky(params.covariances)
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)

    def place(x, component):  # one component at a time: no (n, d, d) array
        index, mean, factor = component
        return xp.where((labels == index)[:, None], mean[None] + product(noise, factor.T), x), None

    k = params.means.shape[0]
    return jax.lax.scan(place, noise, (xp.arange(k), params.means, lower))[0]


STRUCTURE = covariances.Structure(Full, own, stored, as_it_is, covariances.quotient, around)
FULL = covariances.family("full", STRUCTURE, ExponentialForm(features, natural, FullMoments, maximize_moments), sample)
