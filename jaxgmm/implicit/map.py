"""One update of EM as a smooth function of the mixture's coordinates and of rows, weights and prior."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..data.frame import Frame, enter_prior, log_volume
from ..families.base import Family
from ..numerics.dtypes import compute_dtype, numbers
from ..records import Block, Statistics, record, static
from ..unconstrained import Unconstrained
from .blocks import in_blocks, over_blocks
from .coordinates import mixture_at, point_of

KEPT = 2**26  # bytes: if the intermediate values of all blocks need more, they are computed again for every product
COPIES = 3  # of a block's features and responsibilities that its derivative holds at a time


@record
class Smooth:
    """The inputs that a fit is a smooth function of: rows (n, d), weights (n,), and the numbers of a prior or None."""

    x: Any
    weight: Any
    prior: Any

    @classmethod
    def of(cls, x, sample_weight, prior, family: Family) -> "Smooth":
        """The smooth inputs among the arguments of a fit. Rows of counts or codes have no derivative."""
        dtype = compute_dtype(x)
        x = jnp.asarray(x)
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(dtype)
        with jax.ensure_compile_time_eval():
            continuous = bool(family.support.contains(np.full((1, 1), 0.5, dtype)).all())
        x = x if continuous else jax.lax.stop_gradient(x)
        weight = jnp.ones(x.shape[:-1]) if sample_weight is None else sample_weight
        return cls(x, jnp.asarray(weight, dtype), numbers(prior, dtype))


@record
class Map:
    """One update of EM, in the frame of a fit: ``(point, smooth) -> (next point, log-likelihood)``."""

    frame: Frame
    family: Any = static()

    def __call__(self, point: Unconstrained, smooth: Smooth):
        """The point after the update, and the log-likelihood of the point before it, in the units of the data."""
        statistics = self.expected(point, smooth)
        return self.maximised(point, statistics, smooth.prior), self.value(statistics)

    def prepared(self, point: Unconstrained):
        """The parameters at a point, prepared for the E-step by the family's form, and the log weights."""
        mixture = mixture_at(point)
        return self.family.moments.prepare(mixture.components, self.frame.reference), mixture.log_weights

    def blocks(self, point: Unconstrained, smooth: Smooth):
        """Rows and weights in blocks; and whether their intermediate values are few enough to be stored (`KEPT`)."""
        n, d = smooth.x.shape
        width = self.family.moments.width(d, point.log_weights.shape[0])
        return in_blocks(smooth.x, smooth.weight.astype(np.float64), width), 8 * n * COPIES * width <= KEPT

    def block(self, x, weight) -> Block:
        """Rows (b, d) and weights (b,) as a block in the frame."""
        frame = self.frame
        return Block((x.astype(np.float64).T - frame.shift[:, None]) * frame.inverse[:, None], weight)

    def gathered(self, prepared, block: Block, known) -> Statistics:
        """The statistics of a block, from its densities and responsibilities (`em.posterior`)."""
        form = self.family.moments
        statistics = em.gathered(form, prepared, block, known)
        if form.base is None:
            return statistics
        base = form.base(block.x, self.frame.reference)
        return em.shifted(statistics, jnp.where(block.weight > 0, block.weight * base, 0 * block.weight).sum())

    def expected(self, point: Unconstrained, smooth: Smooth) -> Statistics:
        """The E-step of all rows."""
        prepared, log_weights = self.prepared(point)

        def summed(x, weight):
            block = self.block(x, weight)
            return self.gathered(prepared, block, em.posterior(self.family.moments, prepared, log_weights, block))

        blocks, kept = self.blocks(point, smooth)
        return over_blocks(summed, blocks, recompute=not kept)

    def maximised(self, point: Unconstrained, statistics: Statistics, prior) -> Unconstrained:
        """The M-step."""
        form, mixture = self.family.moments, mixture_at(point)
        prepared = form.prepare(mixture.components, self.frame.reference)
        return point_of(em.maximise(form, mixture, prepared, statistics, enter_prior(prior, self.frame)))

    def value(self, statistics: Statistics):
        """The log-likelihood in the units of the data."""
        return statistics.log_likelihood - statistics.weight * log_volume(self.frame)
