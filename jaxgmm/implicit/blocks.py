"""Sums over blocks of rows, differentiable in the rows and in their weights."""

import jax
import jax.numpy as jnp

from ..data.arrays import block_rows


def in_blocks(x, weight, width: int):
    """Rows (n, d) and weights (n,) cut into c blocks of b rows, (c, b, d) and (c, b).

    b is such that a block, of ``width`` numbers a row, fits into a cache. Rows of weight 0 fill the last block.
    """
    n, d = x.shape
    block = block_rows(n, width, 8)
    fill = -n % block
    x = jnp.concatenate([x, jnp.broadcast_to(jax.lax.stop_gradient(x[:1]), (fill, d))])
    weight = jnp.concatenate([weight, jnp.zeros(fill, weight.dtype)])
    return x.reshape(-1, block, d), weight.reshape(-1, block)


def over_blocks(summed, blocks, *, recompute: bool = False):
    """The sum over all blocks of ``summed(*block)``, a tree of arrays.

    A derivative needs intermediate values of every block. They are stored, or computed a second time if ``recompute``.
    """
    first = jax.tree.map(lambda leaf: leaf[0], blocks)
    if len(jax.tree.leaves(blocks)[0]) == 1:
        return summed(*first)

    def add(carry, block):
        return jax.tree.map(jnp.add, carry, summed(*block)), None

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(summed, *first))
    return jax.lax.scan(jax.checkpoint(add) if recompute else add, zeros, blocks)[0]
