"""Where derivatives may pass."""

import functools

import jax
import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

from .backend import is_jax


def constant(x):
    """x, to which no gradient flows."""
    return jax.lax.stop_gradient(x) if is_jax(x) else x


def forward_only(tree):
    """The tree, through whose real numbers derivatives go forward alone.

    A loop without a known end has no reverse mode: JAX's error would say so of code that nobody here has written.
    """
    return jax.tree.map(lambda x: _forward_only().bind(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def without_derivatives(tree, name: str):
    """The tree, through which no derivatives pass: an error that says so is raised where they are asked for."""

    @jax.custom_jvp
    def same(tree):
        return tree

    @same.defjvp
    def refused(primals, tangents):
        raise ValueError(f"{name} has no derivatives: hold its mixtures by jax.lax.stop_gradient")

    return same(tree)


def _no_way_back(cotangent, x):
    raise ValueError(
        "reverse-mode differentiation (jax.grad, jax.vjp, jax.jacrev) through a fit is not there yet: use jax.jvp or "
        "jax.jacfwd, or jax.grad of jaxgmm.log_prob in place of the fit, as fit_gradient does"
    )


@functools.cache
def _forward_only():
    """The identity as a primitive: no rule of JAX's own raises and can be vmapped too."""
    from jax.extend.core import Primitive  # loads what takes as long as a third of this library

    primitive = Primitive("forward_only")
    primitive.def_impl(lambda x: x)
    primitive.def_abstract_eval(lambda x: x)
    ad.deflinear2(primitive, _no_way_back)
    batching.defvectorized(primitive)
    mlir.register_lowering(primitive, lambda context, x: [x])
    return primitive
