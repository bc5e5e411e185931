"""From where a fit has ended to the fixed point of its map, by Newton's steps; and whether that is near."""

import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import Point, inside
from .solving import solve

NEAR = 0.05  # in coordinates: from farther off nobody knows whether the fit was on its way to this fixed point
ENOUGH = 1e-6  # a step so small is the last: it leaves a thousandth of itself
STEPS = 8
ROUGHLY = 1e-3  # what the residual of a step's linear system falls to
PRODUCTS = 300  # of one step


def fixed_point(update, first: Point) -> tuple[Point, jax.Array]:
    """The fixed point u = F(u) near this point, and whether there is one that EM goes to: beside a saddle the updates
    of EM lead away from where Newton's steps go.

    ``update(point)`` gives F's point, and the log-likelihood.
    """

    def unfinished(carry):
        _, size, made, _ = carry
        return (made == 0) | ((size > ENOUGH) & (size <= NEAR) & (made < STEPS))

    def newton(carry):
        point, _, made, towards = carry
        following, push = jax.linearize(lambda point: update(point)[0], point)
        gap = difference(following, point)
        step, _ = solve(lambda move: difference(move, push(move)), gap, ROUGHLY, PRODUCTS)
        moved = inside(jax.tree.map(jnp.add, point, step))
        size = largest(difference(moved, point))
        return moved, size, made + 1, towards & ((inner(gap, step) > 0) | (size <= ENOUGH))

    start = first, jnp.asarray(np.inf), jnp.int32(0), jnp.bool_(True)
    point, size, _, towards = jax.lax.while_loop(unfinished, newton, start)
    return point, (size <= ENOUGH) & towards & (largest(difference(point, first)) <= NEAR)


def difference(a: Point, b: Point) -> Point:
    return jax.tree.map(jnp.subtract, a, b)


def inner(a: Point, b: Point):
    return sum(jax.tree.leaves(jax.tree.map(lambda one, other: (one * other).sum(), a, b)))


def largest(move: Point):
    """The largest change of a coordinate, ()."""
    return jnp.max(jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(move)]))
