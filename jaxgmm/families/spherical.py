"""Gaussian components with one variance each: mclust's VII.

    Σ_k = σ²_k I,      σ²_k = Σ_j S_kj / n_k d

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.
"""

import dataclasses
from typing import Any

from ..numerics import divide, keep_empty
from ..numerics.backend import xp
from ..records import record
from . import variances
from .base import Constraint, parameter


@record
class Spherical:
    """Means (k, d) and variances, called covariances as in scikit-learn, (k,)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("k", Constraint.POSITIVE, units=2)


def own(params):
    return params.covariances[..., None]


def estimate(scatter, counts, old):
    new = divide(scatter, counts)[..., 0]
    return dataclasses.replace(old, covariances=keep_empty(counts, new, old.covariances))


def around(means, d):
    return Spherical(means, xp.ones_like(means[..., 0]))


STRUCTURE = variances.Structure(Spherical, own, estimate, around, variances.mean_feature, variances.mean)
SPHERICAL = variances.family("spherical", STRUCTURE, scaling="common")
