"""Coordinates of a mixture near the fixed point of a fit, in which EM is a smooth map.

They are those of `unconstrain`, but for parameters whose boundary EM reaches: a probability that goes to 0 halves again
and again, and so never rests in logs. It is its own coordinate, a hair from the boundary.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from ..families.base import Constraint, parameters
from ..records import Mixture
from ..unconstrained import Unconstrained, mixture_of, view_of

HAIR = 1e-12
CLOSED = {
    Constraint.UNIT: (HAIR, 1 - HAIR),
    Constraint.SIMPLEX: (HAIR, 1.0),
    Constraint.NON_NEGATIVE: (HAIR, np.inf),
}


def point_of(mixture: Mixture) -> Unconstrained:
    """Where a mixture lies."""
    return view_of(mixture, CLOSED)


def mixture_at(point: Unconstrained) -> Mixture:
    """The mixture that lies there; its log weights are normalised."""
    return mixture_of(point, CLOSED)


def inside(point: Unconstrained) -> Unconstrained:
    """The point, off the boundary."""
    about, held = parameters(point.family.parameters), dict(point.components)
    for name, value in held.items():
        if about[name]["constraint"] in CLOSED:
            held[name] = jnp.clip(value, *CLOSED[about[name]["constraint"]])
    return dataclasses.replace(point, components=held)
