"""Gaussian components that share one variance: mclust's EII.

    Σ_k = λ I,      λ = Σ_k Σ_j S_kj / W d

Source: Celeux and Govaert, Gaussian parsimonious clustering models (1995), section 3.3 (spherical family).
"""

import dataclasses
from typing import Any

from ..numerics import divide
from ..numerics.backend import xp
from ..records import record
from . import variances
from .base import Constraint, parameter


@record
class OneBall:
    """Means (k, d) and the variance that all components and features share, called covariances, ()."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("", Constraint.POSITIVE, units=2)


def own(params):
    return xp.broadcast_to(params.covariances[..., None, None], (*params.means.shape[:-1], 1))


def estimate(scatter, counts, old):
    whole = counts.sum(-1)
    new = divide(scatter.sum((-2, -1)), whole)
    return dataclasses.replace(old, covariances=xp.where(whole > 0, new, old.covariances))


def around(means, d):
    return OneBall(means, xp.ones_like(means[..., 0, 0]))


STRUCTURE = variances.Structure(OneBall, own, estimate, around, variances.mean_feature, variances.mean)
ONE_BALL = variances.family("EII", STRUCTURE, scaling="common")
