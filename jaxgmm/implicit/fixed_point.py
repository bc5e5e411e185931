"""The fixed point of EM near the end of a fit, by Newton's method, and whether there is one."""

import jax
import jax.numpy as jnp
import numpy as np

from ..unconstrained import Unconstrained
from .coordinates import inside
from .map import Map, Smooth
from .solving import solve
from .tangent import pushing

NEAR = 0.05  # in every coordinate: a fit that ended farther away may have been on its way to another fixed point
REACHED = 1e-7  # in every coordinate: the distance at which the iteration stops
STEPS = 8
ROUGHLY = 1e-3  # relative residual of a step's linear system: a step needs no more digits than it can gain
PRODUCTS = 300  # of the matrix with a vector, in one step


def fixed_point(update: Map, first: Unconstrained, smooth: Smooth) -> tuple[Unconstrained, jax.Array]:
    """The fixed point u = F(u) near ``first``, and whether one was found.

    It is found if the last point is `REACHED`, lies `NEAR` the first one, and no step of Newton's method went against
    the update of EM: near a saddle EM leads away from the fixed point that Newton's method finds.

    The distance of a point from the fixed point is estimated as the size of the step that led there, times the factor
    by which that step has reduced F(u) - u.
    """

    def unfinished(carry):
        _, size, _, distance, steps, _ = carry
        return (distance > REACHED) & (size <= NEAR) & (steps < STEPS)

    def newton(carry):
        point, size, gap_before, _, steps, agrees = carry
        following, push = pushing(update, point, smooth)
        gap = difference(following, point)
        distance = jnp.where(steps > 0, size * largest(gap) / gap_before, np.inf)
        reached, tolerance = distance <= REACHED, jnp.clip(REACHED / distance / 4, ROUGHLY, 0.1)
        products = jnp.where(reached, 0, PRODUCTS)  # a point that is reached is not moved
        step, _ = solve(lambda move: difference(move, push(move)[0]), gap, tolerance, products)
        moved = inside(jax.tree.map(jnp.add, point, step))
        size = jnp.where(reached, size, largest(difference(moved, point)))
        agrees &= reached | (inner(gap, step) > 0) | (size <= REACHED)
        return moved, size, largest(gap), jnp.where(largest(gap) > 0, distance, 0), steps + 1, agrees

    zero = jnp.zeros(())
    start = first, zero, zero, jnp.asarray(np.inf), jnp.int32(0), jnp.bool_(True)
    point, _, _, distance, _, agrees = jax.lax.while_loop(unfinished, newton, start)
    return point, (distance <= REACHED) & agrees & (largest(difference(point, first)) <= NEAR)


def difference(a: Unconstrained, b: Unconstrained) -> Unconstrained:
    return jax.tree.map(jnp.subtract, a, b)


def inner(a: Unconstrained, b: Unconstrained):
    """The inner product, ()."""
    return sum(jax.tree.leaves(jax.tree.map(lambda one, other: (one * other).sum(), a, b)))


def largest(move: Unconstrained):
    """The largest change of a coordinate, ()."""
    return jnp.max(jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(move)]))
