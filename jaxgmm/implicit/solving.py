"""Linear systems whose matrix is known by its products with vectors alone: generalised conjugate residuals.

A round makes one product, the matrix A times a direction: the residual, or, where the residual has stopped falling, the
last image. The image A p of every new direction p is made orthogonal to the images that are stored, and p is changed by
the same combination of directions.

Source: Eisenstat, Elman and Schultz, Variational iterative methods for nonsymmetric systems of linear equations (1983).
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

KEPT = 128  # directions stored, at most
NUMBERS = 2**23  # in all directions stored: large systems store fewer of them
STALLED = 0.99  # a residual whose square keeps more than this share in a round has stopped falling


def solve(product, target, tolerance, max_products):
    """The solution x of product(x) = target, and its relative residual norm(target - product(x)) / norm(target), ().

    Args:
        product: a linear function from trees like ``target`` to such trees.
        target: a tree of real arrays.
        tolerance: the relative residual at which the iteration stops.
        max_products: how many products it makes at most.
    """
    right, unravel = ravel_pytree(target)
    size = jnp.sqrt(right @ right)
    kept = max(min(right.shape[0], KEPT, NUMBERS // right.shape[0]), 1)
    zeros = jnp.zeros((kept, right.shape[0]), right.dtype)

    def flat(vector):
        return ravel_pytree(product(unravel(vector)))[0]

    def unfinished(carry):
        _, residual, _, _, made, _ = carry
        return (jnp.sqrt(residual @ residual) > tolerance * size) & (made < max_products)

    def round_of(carry):
        x, residual, directions, images, made, stalled = carry
        slot, before = made % kept, (made - 1) % kept
        direction = jnp.where(stalled, images[before], residual)
        direction = direction / jnp.sqrt(direction @ direction)
        image = flat(direction)
        for _ in range(2):  # rounding leaves the first pass short of orthogonal
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
