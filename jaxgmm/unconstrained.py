"""Mixtures as unconstrained arrays and back: one file for all families, by the constraints they declare.

    weights: logs     real: as it is     positive: log     unit interval: logit     simplex: logs
    product 1: logs     positive definite: Cholesky factor with log diagonal, packed

Boundary values are ±inf in the unconstrained view and come back exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .families.base import Constraint, parameters
from .numerics import cholesky, diagonal, product, with_diagonal
from .numerics.backend import is_jax, xp
from .numerics.dtypes import in_precision_of
from .numerics.host import replaced_at
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
    return view_of(jax.tree.map(jnp.asarray, mixture))


@in_precision_of("unconstrained")
def constrain(unconstrained: Unconstrained) -> Mixture:
    """The mixture of an unconstrained view; weights and simplices are normalised."""
    return mixture_of(jax.tree.map(jnp.asarray, unconstrained))


def view_of(mixture: Mixture) -> Unconstrained:
    """As `unconstrain`, in NumPy and in JAX."""
    about = parameters(type(mixture.components))
    arrays = {name: _TO[about[name]["constraint"]](getattr(mixture.components, name)) for name in about}
    return Unconstrained(mixture.log_weights, arrays, mixture.family)


def mixture_of(view: Unconstrained) -> Mixture:
    """As `constrain`, in NumPy and in JAX."""
    kind = view.family.parameters
    about = parameters(kind)
    params = {name: _FROM[about[name]["constraint"]](value) for name, value in view.components.items()}
    return Mixture(_log_softmax(view.log_weights), kind(**params), view.family)


def _pack_factor(matrix):
    lower = cholesky(matrix)
    i, j = np.tril_indices(matrix.shape[-1])
    logged = xp.where(np.eye(matrix.shape[-1], dtype=bool), with_diagonal(xp.log(diagonal(lower))), lower)
    return logged[..., i, j]


def _unpack_factor(packed):
    d = (int((8 * packed.shape[-1] + 1) ** 0.5) - 1) // 2
    zeros = np.zeros((*packed.shape[:-1], d, d), packed.dtype)
    logged = replaced_at(zeros, (..., *np.tril_indices(d)), packed)
    lower = xp.tril(logged, -1) + with_diagonal(xp.exp(diagonal(logged)))
    return product(lower, xp.swapaxes(lower, -1, -2))


def _same(value):
    return value


def _log(value):
    return xp.log(value)


def _exp(value):
    return xp.exp(value)


def _of_product_one(value):
    return xp.exp(value - value.mean(-1, keepdims=True))


def _logit(p):
    return jax.scipy.special.logit(p) if is_jax(p) else np.log(p) - np.log1p(-p)


def _sigmoid(value):
    return jax.nn.sigmoid(value) if is_jax(value) else np.where(value < 0, np.exp(value), 1) / (1 + np.exp(-abs(value)))


def _log_softmax(logits):
    if is_jax(logits):
        return jax.nn.log_softmax(logits)
    below = logits - logits.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


def _softmax(logits):
    if is_jax(logits):
        return jax.nn.softmax(logits)
    terms = np.exp(logits - logits.max(-1, keepdims=True))
    return terms / terms.sum(-1, keepdims=True)


_TO = {
    Constraint.REAL: _same,
    Constraint.POSITIVE: _log,
    Constraint.NON_NEGATIVE: _log,
    Constraint.UNIT: _logit,
    Constraint.SIMPLEX: _log,
    Constraint.UNIT_PRODUCT: _log,
    Constraint.POSITIVE_DEFINITE: _pack_factor,
}
_FROM = {
    Constraint.REAL: _same,
    Constraint.POSITIVE: _exp,
    Constraint.NON_NEGATIVE: _exp,
    Constraint.UNIT: _sigmoid,
    Constraint.SIMPLEX: _softmax,
    Constraint.UNIT_PRODUCT: _of_product_one,
    Constraint.POSITIVE_DEFINITE: _unpack_factor,
}
