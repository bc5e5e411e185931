"""Rows that a host reads block by block: statistics as a sum over them.

A block is rows in memory, and all blocks are of one size, so that one program serves them. Sums over blocks are
compensated and their order is that of the rows. A thread reads the next block while the device works on the last.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from ..checks import few_sizes
from ..frame import Frame
from ..sources import Stream, read_ahead
from .memory import Rows, added, block_rows, total


@dataclasses.dataclass(eq=False)
class Flow:
    """A stream of rows seen in a frame; ``kept`` holds what passes found for all its frames."""

    stream: Stream
    frame: Frame
    kept: dict[Any, Any]

    @property
    def dtype(self) -> str:
        return str(self.stream.dtype)

    @property
    def size(self) -> int:
        """Rows of a block."""
        n = self.stream.n
        return self.stream.block_size if n is None else min(self.stream.block_size, few_sizes(n))

    def block(self, x, weight, size: int, width: int) -> Rows:
        """Rows (b, d) and weights (b,) or None as ``size`` rows in memory; what fills up weighs 0."""
        weight = np.ones(len(x), x.dtype) if weight is None else weight
        if len(x) < size:
            index = np.minimum(np.arange(size), len(x) - 1)
            x, weight = x[index], np.concatenate([weight, np.zeros(size - len(x), weight.dtype)])
        return Rows(x, weight, self.frame, min(block_rows(size, width, x.dtype.itemsize), size), self.dtype)

    def blocks(self, width: int):
        """Rows in memory for ``width`` numbers a row, and the index of their first, in order."""
        size = self.size
        for x, weight, first in read_ahead(self.stream.blocks(size)):
            yield self.block(x, weight, size, width), first

    def totals(self, summaries, width: int, look=None) -> list:
        """Σ over all rows of each ``summarise(x (d, b), weight (b,))``, in one pass; they are pytrees.

        ``look(block, first)`` sees every block.
        """
        sums = None
        for block, first in self.blocks(width):
            if look is not None:
                look(block, first)
            sums = [_nothing(each, block) for each in summaries] if sums is None else jax.block_until_ready(sums)
            sums = [_add(carry, each, block) for carry, each in zip(sums, summaries, strict=True)]
        return [_whole(carry) for carry in sums]


def _nothing(summarise, block: Rows):
    shape = jax.eval_shape(total, block, summarise)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shape)
    return zeros, zeros


@jax.jit
def _add(carry, summarise, block: Rows):
    return added(carry, total(block, summarise))


@jax.jit
def _whole(carry):
    return jax.tree.map(jax.numpy.add, *carry)
