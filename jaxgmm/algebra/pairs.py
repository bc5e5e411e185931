"""Divergence and overlap of every pair of Gaussian components, in closed form.

    log ∫ f g = log N(μ_f; μ_g, Σ_f + Σ_g)
    log ∫ √(f g) = -¼ Δᵀ (Σ_f + Σ_g)⁻¹ Δ - ½ log|(Σ_f + Σ_g) / 2| + ¼ (log|Σ_f| + log|Σ_g|),      Δ = μ_f - μ_g
    KL(f ‖ g) = ½ (tr Σ_g⁻¹ Σ_f + Δᵀ Σ_g⁻¹ Δ - d + log|Σ_g| - log|Σ_f|)

Source: Hershey and Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models (2007).
"""

from typing import Any

import numpy as np

from ..numerics import LOG_2PI, product, whitening
from ..numerics.backend import xp
from ..records import record
from .normals import Normals, axes_of, common, each_its_own, normals


@record
class Pairs:
    """log ∫ f g, log ∫ √(f g) and KL(f ‖ g) of every pair, (k, k) with f along rows; the components' entropies (k,)."""

    log_overlap: Any
    log_affinity: Any
    kl: Any
    entropy: Any


def joined(*mixtures) -> Normals:
    """The components of some Gaussian mixtures side by side, each with covariances of its own."""
    axes = common(*(axes_of(mixture) for mixture in mixtures))
    found = [each_its_own(normals(mixture, axes)) for mixture in mixtures]
    return Normals(
        *(xp.concatenate([getattr(each, name) for each in found]) for name in ("log_weights", "means", "spread"))
    )


def pairs_of(found: Normals) -> Pairs:
    """All pairs of k components, each with a covariance of its own.

    Cost: O(k²·d³) time and O(k²·d²) memory for covariance matrices, O(k²·d) for variances.
    """
    k, d = found.means.shape
    apart = found.means[:, None] - found.means[None]  # (k, k, d)
    sums = found.spread[:, None] + found.spread[None]
    if found.independent:
        half_log_dets, of_sums = 0.5 * xp.log(found.spread).sum(-1), 0.5 * xp.log(sums).sum(-1)
        distance = (apart**2 / sums).sum(-1)
        ratios = (found.spread[:, None] + apart**2) / found.spread[None]
        quadratic = ratios.sum(-1)
    else:  # one call factors all matrices: two calls may deadlock, see `whitening`
        lowers, inverses, log_dets = whitening(xp.concatenate([found.spread, sums.reshape(-1, d, d)]))
        half_log_dets, of_sums = log_dets[:k], log_dets[k:].reshape(k, k)
        distance = (product(inverses[k:].reshape(k, k, d, d), apart[..., None]) ** 2).sum((-2, -1))
        of_f, of_g = (xp.broadcast_to(each, (k, k, d, d)) for each in (lowers[:k, None], inverses[None, :k]))
        whitened = product(of_g, xp.concatenate([of_f, apart[..., None]], axis=-1))
        quadratic = (whitened**2).sum((-2, -1))
    own = half_log_dets[:, None] + half_log_dets[None]
    return Pairs(
        log_overlap=-0.5 * distance - of_sums - d / 2 * LOG_2PI,
        log_affinity=-0.25 * distance - of_sums + d / 2 * float(np.log(2)) + 0.5 * own,
        kl=0.5 * (quadratic - d) + half_log_dets[None] - half_log_dets[:, None],
        entropy=half_log_dets + d / 2 * (LOG_2PI + 1),
    )


def log_sum(logits):
    """log Σ exp along the last axis; -inf if all are -inf."""
    top = logits.max(-1, keepdims=True)
    top = xp.where(xp.abs(top) < np.inf, top, 0)
    return (top + xp.log(xp.exp(logits - top).sum(-1, keepdims=True)))[..., 0]


def weighted(weights, values):
    """Σ_k w_k v_k over the components of positive weight, whatever the other values are. (k,), (k,) -> ()."""
    return (weights * xp.where(weights > 0, values, 0)).sum(-1)
