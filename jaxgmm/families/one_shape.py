"""Gaussian components of one shape along the axes, each with a volume of its own: mclust's VEI.

    Σ_k = λ_k A,  A diagonal with determinant 1,      λ_k = tr(S_k A⁻¹) / n_k d,      A ∝ Σ_k S_k / λ_k

Volumes and shape are updated in turn, from the old shape on. Each update raises Q, so few iterations are a generalised
M-step. Where the scatters of all components have one shape, one iteration finds the maximum.

Source: Celeux and Govaert, Gaussian parsimonious clustering models (1995), section 3.2 (diagonal family).
"""

from typing import Any

from ..numerics import divide, keep_empty
from ..numerics.backend import xp
from ..records import record
from . import variances
from .base import Constraint, parameter
from .margins import sliced

STEPS = 8  # iterations; each leaves a tenth of the error at 100 rows, a thousandth at 10,000


@record
class OneShape:
    """Means (k, d), volumes λ (k,), and the shape that all components share: variances of product 1, (d,)."""

    means: Any = parameter("kd", Constraint.REAL, units=1, located=True)
    volumes: Any = parameter("k", Constraint.POSITIVE, units=2)
    shape: Any = parameter("d", Constraint.UNIT_PRODUCT)


def own(params):
    return params.volumes[..., None] * params.shape[..., None, :]


def estimate(scatter, counts, old):
    has_rows, shape = counts > 0, old.shape
    for _ in range(STEPS):
        volumes = divide((scatter / shape[..., None, :]).mean(-1), counts)
        sums = (scatter / xp.where(has_rows, volumes, 1)[..., None]).sum(-2)  # (d,)
        logs = xp.log(xp.where(has_rows.any(-1)[..., None], sums, old.shape))
        shape = xp.exp(logs - logs.mean(-1, keepdims=True))
    volumes = divide((scatter / shape[..., None, :]).mean(-1), counts)
    return OneShape(old.means, keep_empty(counts, volumes, old.volumes), shape)


def around(means, d):
    return OneShape(means, xp.ones_like(means[..., 0]), xp.ones_like(means[..., 0, :]))


def marginal(family, params, features):
    family, part = sliced(family, params, features)
    logs = xp.log(part.shape)
    mean = logs.mean(-1, keepdims=True)  # moves into the volume, so that the shape has product 1 again
    return family, OneShape(part.means, part.volumes * xp.exp(mean), xp.exp(logs - mean))


STRUCTURE = variances.Structure(OneShape, own, estimate, around)
ONE_SHAPE = variances.family("VEI", STRUCTURE, scaling="common", marginal=marginal)
