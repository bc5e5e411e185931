"""From where a fit has ended to the fixed point of its map, by Newton's steps; and whether that is near."""

import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import Point, inside
from .solving import solve

NEAR = 0.03  # in coordinates: from farther off nobody knows whether the fit was on its way to this fixed point
ENOUGH = 1e-6  # a step so small is the last: it leaves a thousandth of itself
STEPS = 8
ROUGHLY = 1e-3  # what the residual of a step's linear system falls to
PRODUCTS = 300  # of one step


def fixed_point(update, first: Point) -> tuple[Point, jax.Array]:
    """The fixed point u = F(u) near this point, and whether there is one.

    ``update(point)`` gives F's point, and the log-likelihood.
    """

    def unfinished(carry):
        _, size, made = carry
        return (made == 0) | ((size > ENOUGH) & (size <= NEAR) & (made < STEPS))

    def newton(carry):
        point, _, made = carry
        following, push = jax.linearize(lambda point: update(point)[0], point)
        gap = jax.tree.map(jnp.subtract, following, point)
        step, _ = solve(lambda move: jax.tree.map(jnp.subtract, move, push(move)), gap, ROUGHLY, PRODUCTS)
        moved = inside(jax.tree.map(jnp.add, point, step))
        return moved, distance(moved, point), made + 1

    point, size, _ = jax.lax.while_loop(unfinished, newton, (first, jnp.asarray(np.inf), jnp.int32(0)))
    return point, (size <= ENOUGH) & (distance(point, first) <= NEAR)


def distance(a: Point, b: Point):
    """The largest difference of a coordinate, ()."""
    differences = jax.tree.map(lambda one, other: jnp.abs(one - other).max(), a, b)
    return jnp.max(jnp.stack(jax.tree.leaves(differences)))
