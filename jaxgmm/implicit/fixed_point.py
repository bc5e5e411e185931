"""From where a fit has ended to the fixed point of its map, by Newton's steps; and whether that is near."""

import jax
import jax.numpy as jnp
import numpy as np

from ..unconstrained import Unconstrained
from .coordinates import inside
from .map import Map, Smooth
from .solving import solve
from .tangent import pushing

NEAR = 0.05  # in coordinates: from farther off nobody knows whether the fit was on its way to this fixed point
ENOUGH = 1e-7  # so near is there
STEPS = 8
ROUGHLY = 1e-3  # what the residual of a step's linear system falls to; no farther than is needed
PRODUCTS = 300  # of one step


def fixed_point(update: Map, first: Unconstrained, smooth: Smooth) -> tuple[Unconstrained, jax.Array]:
    """The fixed point u = F(u) near this point, and whether there is one that EM goes to: beside a saddle the updates
    of EM lead away from where Newton's steps go.

    How far a point is from it is the size of the step that led there, times what that step has left of F(u) - u.
    """

    def unfinished(carry):
        _, size, _, left, made, _ = carry
        return (left > ENOUGH) & (size <= NEAR) & (made < STEPS)

    def newton(carry):
        point, size, before, _, made, towards = carry
        following, push = pushing(update, point, smooth)
        gap = difference(following, point)
        left = jnp.where(made > 0, size * largest(gap) / before, np.inf)
        there, tolerance = left <= ENOUGH, jnp.clip(ENOUGH / left / 4, ROUGHLY, 0.1)
        step, _ = solve(lambda move: difference(move, push(move)[0]), gap, tolerance, jnp.where(there, 0, PRODUCTS))
        moved = inside(jax.tree.map(jnp.add, point, step))
        size = jnp.where(there, size, largest(difference(moved, point)))
        towards &= there | (inner(gap, step) > 0) | (size <= ENOUGH)
        return moved, size, largest(gap), jnp.where(largest(gap) > 0, left, 0), made + 1, towards

    zero = jnp.zeros(())
    start = first, zero, zero, jnp.asarray(np.inf), jnp.int32(0), jnp.bool_(True)
    point, _, _, left, _, towards = jax.lax.while_loop(unfinished, newton, start)
    return point, (left <= ENOUGH) & towards & (largest(difference(point, first)) <= NEAR)


def difference(a: Unconstrained, b: Unconstrained) -> Unconstrained:
    return jax.tree.map(jnp.subtract, a, b)


def inner(a: Unconstrained, b: Unconstrained):
    return sum(jax.tree.leaves(jax.tree.map(lambda one, other: (one * other).sum(), a, b)))


def largest(move: Unconstrained):
    """The largest change of a coordinate, ()."""
    return jnp.max(jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(move)]))
