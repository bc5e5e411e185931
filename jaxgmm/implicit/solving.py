"""Linear systems of which only products with the matrix are known: generalised conjugate residuals.

In every round one product: the matrix times the residual, or times the last image where the residual has stopped
falling. Images are made orthogonal to those that are kept, and directions alike.

Source: Eisenstat, Elman and Schultz, Variational iterative methods for nonsymmetric systems of linear equations (1983).
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

KEPT = 128  # directions
NUMBERS = 2**23  # that directions and images may hold
STALLED = 0.99


def solve(product, target, tolerance, most):
    """x with norm(target - product(x)) <= tolerance · norm(target), and what is left of that norm, relative to it.

    Args:
        product: a linear function of trees like ``target``.
        target: a tree of real arrays.
        most: rounds, one product each.
    """
    right, unravel = ravel_pytree(target)
    size = jnp.sqrt(right @ right)
    kept = max(min(right.shape[0], KEPT, NUMBERS // right.shape[0]), 1)
    zeros = jnp.zeros((kept, right.shape[0]), right.dtype)

    def flat(vector):
        return ravel_pytree(product(unravel(vector)))[0]

    def unfinished(carry):
        _, residual, _, _, made, _ = carry
        return (jnp.sqrt(residual @ residual) > tolerance * size) & (made < most)

    def round_of(carry):
        x, residual, directions, images, made, stalled = carry
        slot, before = made % kept, (made - 1) % kept
        direction = jnp.where(stalled, images[before], residual)
        direction = direction / jnp.sqrt(direction @ direction)
        image = flat(direction)
        for _ in range(2):  # once loses what rounding has left
            along = images @ image
            image, direction = image - along @ images, direction - along @ directions
        length = jnp.sqrt(image @ image)
        image, direction = image / length, direction / length
        step = image @ residual
        following = residual - step * image
        return (
            x + step * direction,
            following,
            directions.at[slot].set(direction),
            images.at[slot].set(image),
            made + 1,
            following @ following > STALLED * (residual @ residual),
        )

    first = jnp.zeros_like(right), right, zeros, zeros, jnp.int32(0), jnp.bool_(False)
    x, residual, *_ = jax.lax.while_loop(unfinished, round_of, first)
    left = jnp.sqrt(residual @ residual) / jnp.where(size > 0, size, 1)
    return unravel(x), left
