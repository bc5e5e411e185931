"""Coordinates of a mixture near the fixed point of a fit, in which EM is a smooth map.

They are those of `unconstrain`, but for parameters whose boundary EM reaches: a probability that goes to 0 halves again
and again, and so never rests in logs. It is its own coordinate, a hair from the boundary.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..families.base import Constraint, parameters
from ..records import Mixture, record, static

HAIR = 1e-12
CLOSED = {
    Constraint.UNIT: (HAIR, 1 - HAIR),
    Constraint.SIMPLEX: (HAIR, 1.0),
    Constraint.NON_NEGATIVE: (HAIR, np.inf),
}


@record
class Point:
    """``log_weights`` (k,) and a dict of coordinates; the dtype is float64."""

    log_weights: Any
    components: Any
    family: Any = static()


def point_of(mixture: Mixture) -> Point:
    """Where a mixture lies."""
    coordinates = {}
    for name, about in parameters(type(mixture.components)).items():
        value, constraint = getattr(mixture.components, name), about["constraint"]
        coordinates[name] = value if constraint in CLOSED else constraint.unconstrain(value)
    return Point(mixture.log_weights, coordinates, mixture.family)


def inside(point: Point) -> Point:
    """The point, off the boundary."""
    about = parameters(point.family.parameters)
    bounds = {name: CLOSED.get(about[name]["constraint"]) for name in about}
    held = {name: value if bounds[name] is None else jnp.clip(value, *bounds[name])
            for name, value in point.components.items()}  # fmt: skip
    return Point(point.log_weights, held, point.family)


def mixture_at(point: Point) -> Mixture:
    """The mixture that lies there; its log weights are normalised."""
    kind, values = point.family.parameters, {}
    for name, about in parameters(kind).items():
        value, constraint = point.components[name], about["constraint"]
        values[name] = value if constraint in CLOSED else constraint.constrain(value)
    logits = point.log_weights
    return Mixture(logits - jnp.log(jnp.exp(logits - logits.max()).sum()) - logits.max(), kind(**values), point.family)
