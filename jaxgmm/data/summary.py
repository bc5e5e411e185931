"""Facts about data before a fit, from passes over all rows: their frame, wrong values, and weights.

What a pass sums is a record that is called on a `Block`, so that rows of every kind (memory, mesh, stream) can sum it.
"""

import dataclasses
from typing import Any

import numpy as np

from ..families.base import Family
from ..numerics import product
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..records import GaussianPrior, record, static
from .arrays import Rows
from .frame import Frame, enter_prior, frame_of
from .mesh import per_shard


@record
class Measured:
    """Facts about all rows: how many are not finite or outside the support, and facts about the weights."""

    not_finite: Any  # rows
    outside: Any  # rows
    positive: Any  # rows of positive weight
    weight: Any  # Σ w
    heaviest: Any  # max w
    lightest: Any  # min w
    offset: Any  # Σ w base(x): the term of the log-likelihood that is not in the moment form

    def left_out(self, form):
        """The term of the log-likelihood that this form leaves out: Σ w base(x), or 0."""
        return xp.zeros_like(self.offset) if form.base is None else self.offset


@record
class CountsAndSums:
    """The first pass: how many rows are not finite, outside the support, of positive weight; Σ w; Σ w (x - pilot)."""

    pilot: Any
    family: Family = static()

    def __call__(self, block):
        x, weight = block.x, block.weight
        contained = self.family.support.contains(x) | ~xp.isfinite(x)
        bad = (~xp.isfinite(x)).any(-2).sum(-1, dtype=np.int32), (~contained).any(-2).sum(-1, dtype=np.int32)
        counts = *bad, (weight > 0).sum(-1, dtype=weight.dtype), weight.sum(-1)
        return *counts, _weighted(x - self.pilot[..., None], weight)


@record
class Squares:
    """The second pass: Σ w (x - mean)²."""

    mean: Any

    def __call__(self, block):
        return _weighted((block.x - self.mean[..., None]) ** 2, block.weight)


def _weighted(x, weight):
    """Σ w x. (..., d, b), (..., b) -> (..., d)."""
    return product(x, weight) if weight.ndim == 1 else product(x, weight[..., None])[..., 0]


@record
class LeftOut:
    """The third pass: Σ w base(x) over the rows inside the support. The others have log density -inf."""

    reference: Any
    support: Any = static()
    base: Any = static()

    def __call__(self, block):
        x, weight = block.x, block.weight
        counts = (weight > 0) & self.support.contains(x).all(-2)
        return xp.where(counts, weight * self.base(x, self.reference), 0 * weight).sum(-1)


@record
class Known:
    """What is known of data before a fit of one family: the frame, facts about the rows, the prior in the frame."""

    frame: Frame
    measured: Measured
    prior: GaussianPrior | None


@compiled("family", once=True)
def measure(raw: Rows, prior, family: Family) -> Known:
    """What is known of rows (given in the unit frame), by three passes. No array of size n is made."""
    frame, measured = _facts(raw, family)
    return Known(frame, measured, enter_prior(prior, frame))


@per_shard
def _facts(raw: Rows, family: Family):
    first = raw.framed(raw.x[..., :1, :])[..., 0]
    pilot = raw.of_best(np.zeros(()), first)  # sums about the first row, not about 0: a large mean costs no digits
    [(*counts, whole, sums)] = raw.sum(CountsAndSums(pilot, family))
    total = xp.where(whole > 0, whole, 1)[..., None]
    mean = pilot + sums / total
    [squares] = raw.sum(Squares(mean))
    frame = frame_of(family.scaling, mean, squares / total)
    extremes = raw.highest(raw.weight.max(-1)), -raw.highest(-raw.weight.min(-1))
    offset = left_out(dataclasses.replace(raw, frame=frame), family, family.moments)
    return frame, Measured(*counts, whole, *extremes, offset)


def left_out(rows, family: Family, form):
    """Σ w base(x), the term of the log-likelihood that a form leaves out, by one pass; 0 where there is none."""
    reference = rows.frame.reference
    if form.base is None:
        return np.zeros((), reference.dtype)
    return rows.sum(LeftOut(reference, family.support, form.base))[0]
