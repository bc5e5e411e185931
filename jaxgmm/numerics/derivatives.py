"""Where derivatives may pass."""

from collections.abc import Iterator

import jax

from .backend import is_jax


def constant(x):
    """x, to which no gradient flows."""
    return jax.lax.stop_gradient(x) if is_jax(x) else x


def held(tree):
    """The tree without derivatives of what is traced in it; all else, whatever it is, as it was."""

    def still(leaf):
        return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.core.Tracer) else leaf

    return jax.tree.map(still, tree, is_leaf=lambda leaf: isinstance(leaf, Iterator))


def without_derivatives(tree, name: str):
    """The tree, through which no derivatives pass: an error that says so is raised where they are asked for."""

    @jax.custom_jvp
    def same(tree):
        return tree

    @same.defjvp
    def refused(primals, tangents):
        raise ValueError(f"{name} has no derivatives: hold its mixtures by jax.lax.stop_gradient")

    return same(tree)
