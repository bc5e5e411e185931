"""The frame of a stream of rows and facts about them, by passes over all rows that also check their values."""

import dataclasses

import numpy as np

from ..checks import enough_weight, legal_weights, outside
from ..distributed import agreed, alike, everyones, spans
from ..families.base import Family
from ..numerics.compiling import compiled
from ..numerics.dtypes import in_precision_of
from .arrays import Rows
from .frame import enter_prior, frame_of, unit_frame
from .out_of_core import Flow
from .sources import Stream, read_ahead
from .summary import CountsAndSums, Known, Measured, Squares, left_out


def measure(stream: Stream, models, k: int, mesh=None) -> list:
    """[(Flow, Known)], one for every model (family, prior). Two passes serve all models.

    Raises:
        ValueError: a value is not finite or outside a support, a weight is illegal; it names the file and the row.
    """
    if spans(mesh):
        alike([stream.d, stream.dtype.name, k])
    flow = dataclasses.replace(raw(stream), mesh=mesh, width=4 * stream.d)
    with agreed(mesh):
        head = next(stream.blocks(64))[0][:1]
    head = flow.kept["head"] = everyones(head, mesh)[0]
    census = Census(stream, tuple(family for family, _ in models))
    [(*_, whole, sums)] = flow.sum(CountsAndSums(head[0], models[0][0]), look=census.look)
    census = census.everywhere(mesh)
    enough_weight(census.positive, k)
    mean = head[0] + sums / whole
    [squares] = flow.sum(Squares(mean))
    zero = np.zeros((), np.int32)
    counts = zero, zero, np.asarray(census.positive, flow.dtype), whole, census.heaviest, census.lightest
    return [_framed(flow, (mean, squares / whole), counts, *model) for model in models]


def raw(stream: Stream) -> Flow:
    """The stream in the unit frame."""
    return Flow(stream, unit_frame(stream.d, str(stream.dtype)), {})


def checked(stream: Stream, family: Family):
    """Blocks x (b, d) and weights (b,) or None of a stream, every value checked when it is read."""
    census = Census(stream, (family,))
    for x, weight, first in read_ahead(stream.blocks(stream.block_size)):
        _check(x, weight, first, census)
        yield x, weight


@in_precision_of("x")
def _check(x, weight, first: int, census):
    census.look(raw(census.stream).block(x, weight, len(x)), first)


def _framed(raw: Flow, moments: tuple, counts: tuple, family: Family, prior):
    """(Flow, Known) of one model: the rows in the frame of its family, from ``moments``, their mean and variance."""
    flow = dataclasses.replace(raw, frame=frame_of(family.scaling, *moments))
    measured = Measured(*counts, left_out(flow, family, family.moments))
    return flow, Known(flow.frame, measured, enter_prior(prior, flow.frame))


class Census:
    """A check of all values of a stream, block by block, that collects facts about the weights on the way."""

    def __init__(self, stream: Stream, families: tuple[Family, ...]):
        self.stream, self.families = stream, families
        self.heaviest, self.lightest = np.zeros((), stream.dtype), np.full((), np.inf, stream.dtype)
        self.positive = 0

    def look(self, block: Rows, first: int):
        """Check a block whose first row has the number ``first``."""
        x, weight = block.x, block.weight
        self.positive += legal_weights(weight, lambda row: self.stream.place(first + row))
        self.heaviest, self.lightest = np.maximum(self.heaviest, weight.max()), np.minimum(self.lightest, weight.min())
        self._refuse(~np.isfinite(x), "finite", x, first, ": drop or impute such rows")
        for family in self.families:
            if not bool(_contained(x, family)):
                self._refuse(outside(x, family), f"{family.support.words} for family {family.name!r}", x, first)

    def everywhere(self, mesh) -> "Census":
        """The census over the rows of all processes."""
        heaviest, lightest, positive = zip(
            *everyones((self.heaviest, self.lightest, np.int64(self.positive)), mesh), strict=True
        )
        whole = Census(self.stream, self.families)
        whole.heaviest, whole.lightest, whole.positive = max(heaviest), min(lightest), sum(positive)
        return whole

    def _refuse(self, wrong, words: str, x, first: int, advice: str = ""):
        """Raise a ValueError at the first of the wrong values of x (b, d), if there are any."""
        if wrong.any():
            row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
            where = self.stream.place(first + int(row))
            raise ValueError(f"x must be {words}; {where}, column {column} is {x[row, column]}{advice}")


@compiled("family")
def _contained(x, family: Family):
    return family.support.contains(x.T).all()
