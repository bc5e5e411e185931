"""Mixtures as unconstrained arrays and back: one file for all families, by the constraints they declare.

Weights are their logs. How a parameter is mapped is its constraint's (`families.constraints`). Boundary values are ±inf
in the unconstrained view and come back exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .calls import public
from .families.base import parameters
from .numerics.backend import is_jax
from .numerics.dtypes import in_precision_of
from .records import Mixture, Model, record, static


@record
class Unconstrained:
    """``log_weights`` (k,) up to a constant, ``components`` a dict of unconstrained arrays; knows its family."""

    log_weights: Any
    components: Any
    family: Any = static()


@public
@in_precision_of("mixture", differentiable=True)
def unconstrain(mixture: Model) -> Unconstrained:
    """The unconstrained view of a mixture: a pytree of arrays in which any real numbers are legal.

    Matrices (..., d, d) become packed triangles (..., d(d+1)/2).
    """
    return view_of(jax.tree.map(jnp.asarray, mixture))


@in_precision_of("unconstrained", differentiable=True)
def constrain(unconstrained: Unconstrained) -> Mixture:
    """The mixture of an unconstrained view; weights and simplices are normalised."""
    return mixture_of(jax.tree.map(jnp.asarray, unconstrained))


def view_of(mixture: Mixture, as_they_are=()) -> Unconstrained:
    """As `unconstrain`, in NumPy and in JAX; parameters under the constraints in ``as_they_are`` stay what they are."""
    arrays = {}
    for name, about in parameters(type(mixture.components)).items():
        value, constraint = getattr(mixture.components, name), about["constraint"]
        arrays[name] = value if constraint in as_they_are else constraint.unconstrain(value)
    return Unconstrained(mixture.log_weights, arrays, mixture.family)


def mixture_of(view: Unconstrained, as_they_are=()) -> Mixture:
    """As `constrain`, in NumPy and in JAX; the way back of `view_of`."""
    kind, params = view.family.parameters, {}
    for name, about in parameters(kind).items():
        value, constraint = view.components[name], about["constraint"]
        params[name] = value if constraint in as_they_are else constraint.constrain(value)
    return Mixture(_log_softmax(view.log_weights), kind(**params), view.family)


def _log_softmax(logits):
    if is_jax(logits):
        return jax.nn.log_softmax(logits)
    below = logits - logits.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))
