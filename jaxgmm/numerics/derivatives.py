"""Where derivatives are stopped, and where asking for them is an error."""

from collections.abc import Iterator

import jax

from .backend import is_jax


def constant(x):
    """x as a constant: its derivatives are 0."""
    return jax.lax.stop_gradient(x) if is_jax(x) else x


def held(tree):
    """The tree with every tracer in it made a constant; leaves of other kinds, iterators too, stay as they are."""

    def stopped(leaf):
        return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.core.Tracer) else leaf

    return jax.tree.map(stopped, tree, is_leaf=lambda leaf: isinstance(leaf, Iterator))


def without_derivatives(tree, name: str):
    """The tree itself; differentiating through it raises a ValueError that ``name`` has no derivatives."""

    @jax.custom_jvp
    def identity(tree):
        return tree

    @identity.defjvp
    def refuse(primals, tangents):
        raise ValueError(f"{name} has no derivatives: hold its mixtures by jax.lax.stop_gradient")

    return identity(tree)
