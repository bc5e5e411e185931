"""Gaussian components with independent features: mclust's VVI.

    Σ_k = diag(σ²_k),      σ²_kj = S_kj / n_k

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
class Diagonal:
    """Means (k, d) and variances, called covariances as in scikit-learn, (k, d)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    covariances: Any = parameter("kd", Constraint.POSITIVE, units=2)


def own(params):
    return params.covariances


def estimate(scatter, counts, old):
    return dataclasses.replace(old, covariances=keep_empty(counts, divide(scatter, counts), old.covariances))


def around(means, d):
    return Diagonal(means, xp.ones_like(means))


STRUCTURE = variances.Structure(Diagonal, own, estimate, around)
DIAGONAL = variances.family("diag", STRUCTURE, scaling="feature")
