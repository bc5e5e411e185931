"""What is known of data before a fit: facts about rows and weights, and the frame they are seen in.

What a pass over the rows sums is a record that can be called, ``(x (d, b), weight (b,)) -> sums``: a driver in memory
and one that streams take the same.
"""

import dataclasses
from typing import Any

import numpy as np

from ..families.base import Family
from ..numerics import product
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..records import GaussianPrior, record, static
from .arrays import Rows, total
from .frame import enter_prior, frame_of, unit_frame
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

    def left_out(self, family: Family, form):
        """The part of the log-likelihood that a form leaves out."""
        return xp.zeros_like(self.offset) if family.left_out(form) is None else self.offset


@record
class Look:
    """How many rows are not finite, outside the support, of positive weight; Σ w, and Σ w (x - pilot)."""

    pilot: Any
    family: Family = static()

    def __call__(self, x, weight):
        contained = self.family.support.contains(x) | ~xp.isfinite(x)
        bad = (~xp.isfinite(x)).any(0).sum(dtype=np.int32), (~contained).any(0).sum(dtype=np.int32)
        return *bad, (weight > 0).sum(dtype=weight.dtype), weight.sum(), product(x - self.pilot[:, None], weight)


@record
class Squares:
    """Σ w (x - mean)²."""

    mean: Any

    def __call__(self, x, weight):
        return product((x - self.mean[:, None]) ** 2, weight)


@record
class LeftOut:
    """Σ w base(x) of the rows inside the support: the others have log density -inf, whatever base makes of them."""

    reference: Any
    family: Family = static()

    def __call__(self, x, weight):
        counts = (weight > 0) & self.family.support.contains(x).all(0)
        return xp.where(counts, weight * self.family.base(x, self.reference), 0 * weight).sum()


@compiled("family", "dtype", "block", "layout")
def measure(
    x, weight, prior, family: Family, dtype: str, block: int, layout=None
) -> tuple[Rows, Measured, GaussianPrior | None]:
    """The data and the prior in the frame, and facts about the data. Three passes, nothing of size n is made."""
    weight = weight.astype(dtype)
    raw = Rows(x, weight, unit_frame(x.shape[1], dtype), block, dtype, layout)
    frame, measured = _facts(raw, family)
    return dataclasses.replace(raw, frame=frame), measured, enter_prior(prior, frame)


@per_shard
def _facts(raw: Rows, family: Family):
    first = raw.framed(raw.x[:1])[:, 0]
    pilot = raw.of_best(np.zeros(()), first)  # sums about a row, not about 0: a large offset costs no digits
    facts, frame = survey(lambda summarise: total(raw, summarise), pilot, family)
    rows = dataclasses.replace(raw, frame=frame)
    extremes = raw.highest(raw.weight.max()), -raw.highest(-raw.weight.min())
    offset = left_out(lambda summarise: total(rows, summarise), frame.reference, family, family.moments)
    return frame, Measured(*facts, *extremes, offset)


def survey(total, pilot, family: Family):
    """(not finite, outside, positive, Σ w) and the frame, by two passes of ``total(summarise)``."""
    *counts, whole, sums = total(Look(pilot, family))
    mean = pilot + sums / xp.where(whole > 0, whole, 1)
    squares = total(Squares(mean))
    return (*counts, whole), frame_of(family.scaling, mean, squares / xp.where(whole > 0, whole, 1))


def left_out(total, reference, family: Family, form):
    """What a form leaves out of the log-likelihood, by one pass of ``total(summarise)``; 0 where that is nothing."""
    if family.left_out(form) is None:
        return np.zeros((), reference.dtype)
    return total(LeftOut(reference, family))
