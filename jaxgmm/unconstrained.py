"""Mixtures as arrays of unconstrained real numbers, and back, for every family.

Weights become their logarithms. A parameter is mapped by the constraint that its family declares for it
(`families.constraints`). Values on the boundary become ±inf, and come back exactly.
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
    """``log_weights`` (k,) up to an additive constant; ``components``, unconstrained arrays by name; the ``family``."""

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
    """As `unconstrain`, in NumPy or in JAX; parameters with a constraint in ``as_they_are`` are not mapped."""
    arrays = {}
    for name, about in parameters(type(mixture.components)).items():
        value, constraint = getattr(mixture.components, name), about["constraint"]
        arrays[name] = value if constraint in as_they_are else constraint.unconstrain(value)
    return Unconstrained(mixture.log_weights, arrays, mixture.family)


def mixture_of(view: Unconstrained, as_they_are=()) -> Mixture:
    """The inverse of `view_of`: as `constrain`, in NumPy or in JAX."""
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
