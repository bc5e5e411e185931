"""What is known of data before a fit: facts about rows and weights, and the frame they are seen in.

What a pass over the rows sums is a record that can be called on a `Block`: rows of every kind take the same.
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
    """What one look at the data tells: how many rows are not finite or outside the support, and the weights' facts."""

    not_finite: Any
    outside: Any
    positive: Any  # rows of positive weight
    weight: Any  # Σ w
    heaviest: Any  # max w
    lightest: Any  # min w
    offset: Any  # Σ w base(x): the part of the log-likelihood that the moment form leaves out

    def left_out(self, form):
        """The part of the log-likelihood that a form leaves out."""
        return xp.zeros_like(self.offset) if form.base is None else self.offset


@record
class Look:
    """How many rows are not finite, outside the support, of positive weight; Σ w, and Σ w (x - pilot)."""

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
    """Σ w (x - mean)²."""

    mean: Any

    def __call__(self, block):
        return _weighted((block.x - self.mean[..., None]) ** 2, block.weight)


def _weighted(x, weight):
    """Σ w x. (..., d, b), (..., b) -> (..., d)."""
    return product(x, weight) if weight.ndim == 1 else product(x, weight[..., None])[..., 0]


@record
class LeftOut:
    """Σ w base(x) of the rows inside the support: the others have log density -inf, whatever base makes of them."""

    reference: Any
    support: Any = static()
    base: Any = static()

    def __call__(self, block):
        x, weight = block.x, block.weight
        counts = (weight > 0) & self.support.contains(x).all(-2)
        return xp.where(counts, weight * self.base(x, self.reference), 0 * weight).sum(-1)


@record
class Known:
    """What is known of data before a fit of one family: their frame, facts about them, and the prior in the frame."""

    frame: Frame
    measured: Measured
    prior: GaussianPrior | None


@compiled("family", once=True)
def measure(raw: Rows, prior, family: Family) -> Known:
    """What is known of rows in the unit frame. Three passes, nothing of size n is made."""
    frame, measured = _facts(raw, family)
    return Known(frame, measured, enter_prior(prior, frame))


@per_shard
def _facts(raw: Rows, family: Family):
    first = raw.framed(raw.x[..., :1, :])[..., 0]
    pilot = raw.of_best(np.zeros(()), first)  # sums about a row, not about 0: a large offset costs no digits
    facts, frame = survey(raw, pilot, family)
    extremes = raw.highest(raw.weight.max(-1)), -raw.highest(-raw.weight.min(-1))
    offset = left_out(dataclasses.replace(raw, frame=frame), family, family.moments)
    return frame, Measured(*facts, *extremes, offset)


def survey(rows, pilot, family: Family):
    """(not finite, outside, positive, Σ w) and the frame, by two passes."""
    [(*counts, whole, sums)] = rows.sum(Look(pilot, family))
    total = xp.where(whole > 0, whole, 1)[..., None]
    mean = pilot + sums / total
    [squares] = rows.sum(Squares(mean))
    return (*counts, whole), frame_of(family.scaling, mean, squares / total)


def left_out(rows, family: Family, form):
    """What a form leaves out of the log-likelihood, by one pass; 0 where that is nothing."""
    reference = rows.frame.reference
    if form.base is None:
        return np.zeros((), reference.dtype)
    return rows.sum(LeftOut(reference, family.support, form.base))[0]
