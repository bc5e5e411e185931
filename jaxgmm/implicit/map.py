"""One update of EM as a function of where the mixture lies and of all that is differentiated, summed block by block.

Of many rows, what a block is made of is computed again where derivatives go through it: memory is that of one block.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.arrays import block_rows
from ..data.frame import Frame, enter_prior, log_volume
from ..families.base import Family
from ..numerics.dtypes import compute_dtype, numbers
from ..records import Block, record, static
from ..unconstrained import Unconstrained
from .coordinates import mixture_at, point_of

KEPT = 2**26  # bytes of what derivatives need of blocks: so much is kept, more is computed again
PASSES = 3  # of features and responsibilities that derivatives of a block hold at a time


@record
class Smooth:
    """What a fit is a smooth function of: rows (n, d), weights (n,), and the numbers of a prior, or None."""

    x: Any
    weight: Any
    prior: Any

    @classmethod
    def of(cls, x, sample_weight, prior, family: Family) -> "Smooth":
        """Of what a fit is given. Where the values are counts or codes, there is nothing smooth about the rows."""
        dtype = compute_dtype(x)
        x = jnp.asarray(x)
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(dtype)
        with jax.ensure_compile_time_eval():
            between = bool(family.support.contains(np.full((1, 1), 0.5, dtype)).all())
        x = x if between else jax.lax.stop_gradient(x)
        weight = jnp.ones(x.shape[:-1]) if sample_weight is None else sample_weight
        return cls(x, jnp.asarray(weight, dtype), numbers(prior, dtype))


@record
class Map:
    """EM's map: where one update takes a mixture, in the frame of a fit."""

    frame: Frame
    family: Any = static()

    def __call__(self, point: Unconstrained, smooth: Smooth):
        """The point after an update, and the log-likelihood before it, in the units of the data."""
        family, frame = self.family, self.frame
        form, mixture = family.moments, mixture_at(point)
        prepared = form.prepare(mixture.components, frame.reference)
        left_out = family.left_out(form)

        def summed(x, weight):
            block = Block((x.astype(np.float64).T - frame.shift[:, None]) * frame.inverse[:, None], weight)
            statistics = em.expect(form, prepared, mixture.log_weights, block)
            if left_out is None:
                return statistics
            base = jnp.where(weight > 0, weight * left_out(block.x, frame.reference), 0 * weight)
            return em.shifted(statistics, base.sum())

        statistics = over_blocks(
            summed, smooth.x, smooth.weight.astype(np.float64), form.width(frame.scale.shape[0], mixture.n_components)
        )
        prior = enter_prior(smooth.prior, frame)
        following, _ = em.maximise(form, mixture, prepared, statistics, prior)
        value = statistics.log_likelihood - statistics.weight * log_volume(frame)
        return point_of(following), value


def over_blocks(summed, x, weight, width: int):
    """The sum over blocks of rows of a function of theirs, ``summed(x (b, d), weight (b,))``."""
    n, d = x.shape
    block = block_rows(n, PASSES * width, 8)
    if block >= n:
        return summed(x, weight)
    count = -(-n // block)
    fill = count * block - n
    x = jnp.concatenate([x, jnp.broadcast_to(jax.lax.stop_gradient(x[:1]), (fill, d))]).reshape(count, block, d)
    weight = jnp.concatenate([weight, jnp.zeros(fill, weight.dtype)]).reshape(count, block)

    def add(carry, rows):
        return jax.tree.map(jnp.add, carry, summed(*rows)), None

    add = add if 8 * n * PASSES * width <= KEPT else jax.checkpoint(add)
    shape = jax.eval_shape(summed, x[0], weight[0])
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return jax.lax.scan(add, zeros, (x, weight))[0]
