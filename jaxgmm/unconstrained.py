"""Mixtures as unconstrained arrays and back: one file for all families, by the constraints they declare.

    weights: logs     real: as it is     positive: log     unit interval: logit     simplex: logs
    positive definite: Cholesky factor with log diagonal, packed

Boundary values are ±inf in the unconstrained view and come back exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .families.base import Constraint, parameters
from .numerics import diagonal, product, with_diagonal
from .numerics.dtypes import in_precision_of
from .records import Mixture, record, static


@record
class Unconstrained:
    """``log_weights`` (k,) up to a constant, ``components`` a dict of unconstrained arrays; knows its family."""

    log_weights: Any
    components: Any
    family: Any = static()


@in_precision_of("mixture")
def unconstrain(mixture: Mixture) -> Unconstrained:
    """The unconstrained view of a mixture: a pytree of arrays in which any real numbers are legal.

    Matrices (..., d, d) become packed triangles (..., d(d+1)/2).
    """
    about = parameters(type(mixture.components))
    arrays = {name: _TO[about[name]["constraint"]](getattr(mixture.components, name)) for name in about}
    return Unconstrained(mixture.log_weights, arrays, mixture.family)


@in_precision_of("unconstrained")
def constrain(unconstrained: Unconstrained) -> Mixture:
    """The mixture of an unconstrained view; weights and simplices are normalised."""
    kind = unconstrained.family.parameters
    about = parameters(kind)
    params = {name: _FROM[about[name]["constraint"]](value) for name, value in unconstrained.components.items()}
    return Mixture(jax.nn.log_softmax(unconstrained.log_weights), kind(**params), unconstrained.family)


def _pack_factor(matrix):
    lower = jnp.linalg.cholesky(matrix)
    i, j = np.tril_indices(matrix.shape[-1])
    logged = jnp.where(jnp.eye(matrix.shape[-1], dtype=bool), with_diagonal(jnp.log(diagonal(lower))), lower)
    return logged[..., i, j]


def _unpack_factor(packed):
    d = (int((8 * packed.shape[-1] + 1) ** 0.5) - 1) // 2
    i, j = np.tril_indices(d)
    logged = jnp.zeros((*packed.shape[:-1], d, d), packed.dtype).at[..., i, j].set(packed)
    strict = jnp.tril(logged, -1)
    lower = strict + with_diagonal(jnp.exp(diagonal(logged)))
    return product(lower, jnp.swapaxes(lower, -1, -2))


def _same(value):
    return value


_TO = {
    Constraint.REAL: _same,
    Constraint.POSITIVE: jnp.log,
    Constraint.NON_NEGATIVE: jnp.log,
    Constraint.UNIT: jax.scipy.special.logit,
    Constraint.SIMPLEX: jnp.log,
    Constraint.POSITIVE_DEFINITE: _pack_factor,
}
_FROM = {
    Constraint.REAL: _same,
    Constraint.POSITIVE: jnp.exp,
    Constraint.NON_NEGATIVE: jnp.exp,
    Constraint.UNIT: jax.nn.sigmoid,
    Constraint.SIMPLEX: lambda value: jax.nn.softmax(value, axis=-1),
    Constraint.POSITIVE_DEFINITE: _unpack_factor,
}
