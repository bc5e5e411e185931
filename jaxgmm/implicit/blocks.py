"""Sums over blocks of rows that derivatives go through."""

import jax
import jax.numpy as jnp

from ..data.arrays import block_rows


def in_blocks(x, weight, width: int):
    """Rows (n, d) and weights (n,) as (c, b, d) and (c, b), of ``width`` numbers a row in memory; the last is filled
    with rows of weight 0."""
    n, d = x.shape
    block = block_rows(n, width, 8)
    fill = -n % block
    x = jnp.concatenate([x, jnp.broadcast_to(jax.lax.stop_gradient(x[:1]), (fill, d))])
    weight = jnp.concatenate([weight, jnp.zeros(fill, weight.dtype)])
    return x.reshape(-1, block, d), weight.reshape(-1, block)


def over_blocks(summed, blocks, *, again: bool = False):
    """The sum over blocks of a function of theirs. What derivatives need of a block is kept, or computed ``again``."""
    first = jax.tree.map(lambda leaf: leaf[0], blocks)
    if len(jax.tree.leaves(blocks)[0]) == 1:
        return summed(*first)

    def add(carry, block):
        return jax.tree.map(jnp.add, carry, summed(*block)), None

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(summed, *first))
    return jax.lax.scan(jax.checkpoint(add) if again else add, zeros, blocks)[0]
