"""Coordinates of a mixture, in which an update of EM is a smooth map with a fixed point.

They are those of `unconstrain`, except for parameters that EM may carry to their boundary: probabilities, and the rates
of Poisson components. The logarithm of a probability that tends to 0 has no limit, so EM has no fixed point in it. Such
parameters are their own coordinates, and are kept `MARGIN` away from the boundary.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from ..families.base import Constraint, parameters
from ..records import Mixture
from ..unconstrained import Unconstrained, mixture_of, view_of

MARGIN = 1e-12
BOUNDS = {  # of the parameters that are their own coordinates, by constraint
    Constraint.UNIT: (MARGIN, 1 - MARGIN),
    Constraint.SIMPLEX: (MARGIN, 1.0),
    Constraint.NON_NEGATIVE: (MARGIN, np.inf),
}


def point_of(mixture: Mixture) -> Unconstrained:
    """The coordinates of a mixture."""
    return view_of(mixture, BOUNDS)


def mixture_at(point: Unconstrained) -> Mixture:
    """The mixture that has these coordinates, its weights normalised."""
    return mixture_of(point, BOUNDS)


def inside(point: Unconstrained) -> Unconstrained:
    """The point, moved `MARGIN` away from any boundary that it lies on or beyond."""
    about, components = parameters(point.family.parameters), dict(point.components)
    for name, value in components.items():
        if about[name]["constraint"] in BOUNDS:
            components[name] = jnp.clip(value, *BOUNDS[about[name]["constraint"]])
    return dataclasses.replace(point, components=components)
