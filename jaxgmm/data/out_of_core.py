"""Rows that a host reads block by block: statistics as a sum over them.

A block is rows in memory, and all blocks are of one size, so that one program serves them. Sums over blocks are
compensated and their order is that of the rows. A thread reads the next block while the device works on the last.

On a mesh a block is cut over the devices of this process. Of many processes each reads its own rows, as fast as it can:
only the sums of a whole pass are exchanged.
"""

import dataclasses
import functools
import operator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from ..distributed import agreed, everyones
from ..numerics.compiling import compiled
from .arrays import Rows, added, block_rows
from .frame import Frame
from .mesh import layout_of, over_shards
from .padding import padded_rows
from .sources import Stream, read_ahead


@dataclasses.dataclass(eq=False)
class Flow:
    """A stream of rows seen in a frame; ``kept`` holds what passes found for all its frames.

    ``mesh`` is the one that its blocks are cut over, or None. Where it holds devices of many processes, the stream is
    of this one's rows: global rows are process 0's, then 1's, and so on. A device works on as many rows of a block at a
    time as suit ``width`` numbers a row.
    """

    stream: Stream
    frame: Frame
    kept: dict[Any, Any]
    mesh: Mesh | None = None
    width: int = 1

    in_program = False

    @property
    def dtype(self) -> str:
        return str(self.stream.dtype)

    @property
    def itemsize(self) -> int:
        return self.stream.dtype.itemsize

    @property
    def d(self) -> int:
        return self.stream.d

    def cut(self, form, k: int, lanes: int) -> "Flow":
        """The rows in blocks that suit ``lanes`` mixtures of k components in flight."""
        return dataclasses.replace(self, width=form.width(self.d, k * lanes))

    @property
    def size(self) -> int:
        """Rows of a block."""
        n = self.stream.n
        return self.stream.block_size if n is None else min(self.stream.block_size, padded_rows(n))

    @property
    def counts(self) -> list[int]:
        """Rows of every process, known after the first pass."""
        if "counts" not in self.kept:
            self.kept["counts"] = [int(n) for n in everyones(np.int64(self.stream.n), self.mesh)]
        return self.kept["counts"]

    @property
    def n_everywhere(self) -> int:
        return sum(self.counts)

    @property
    def first(self) -> int:
        """The global number of this process's first row."""
        return sum(self.counts[: jax.process_index()]) if len(self.counts) > 1 else 0

    def block(self, x, weight, size: int) -> Rows:
        """Rows (b, d) and weights (b,) or None as ``size`` rows in memory; what fills up weighs 0."""
        weight = np.ones(len(x), x.dtype) if weight is None else weight
        if len(x) < size:
            index = np.minimum(np.arange(size), len(x) - 1)
            x, weight = x[index], np.concatenate([weight, np.zeros(size - len(x), weight.dtype)])
        return Rows(x, weight, self.frame, min(block_rows(size, self.width, x.dtype.itemsize), size), self.dtype)

    def blocks(self):
        """Rows in memory, and the number of their first in this stream, in order."""
        size = self.size
        for x, weight, first in read_ahead(self.stream.blocks(size)):
            yield self.block(x, weight, size), first

    def sum(self, *summaries, look=None) -> list:
        """As `Rows.sum`, in one pass; summaries are pytrees. ``look(block, first)`` sees every block."""
        with agreed(self.mesh):
            sums = None
            for block, first in self.blocks():
                if look is not None:
                    look(block, first)
                block = self._cut(block)
                sums = [_nothing(each, block) for each in summaries] if sums is None else jax.block_until_ready(sums)
                sums = [_add(carry, each, block) for carry, each in zip(sums, summaries, strict=True)]
            sums = [_whole(carry) for carry in sums]
        if self.mesh is None:
            return sums
        every = everyones(sums, self.mesh)
        return functools.reduce(functools.partial(jax.tree.map, operator.add), every)

    def _cut(self, block: Rows) -> Rows:
        """A block cut over this process's devices of the mesh."""
        if self.mesh is None:
            return block
        here = Mesh(np.array(self.mesh.local_devices), self.mesh.axis_names, axis_types=(AxisType.Auto,))
        layout = layout_of(here, {jax.process_index(): len(block.x)})
        x, weight = layout.put(block.x), layout.put(block.weight, fill=0)
        return dataclasses.replace(block, x=x, weight=weight, block=min(block.block, layout.rows), layout=layout)


def _nothing(summarise, block: Rows):
    shape = jax.eval_shape(_sum, block, summarise)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shape)
    return zeros, zeros


@compiled()
def _add(carry, summarise, block: Rows):
    return added(carry, _sum(block, summarise))


def _sum(block: Rows, summarise):
    return over_shards(block, lambda rows: rows.sum(summarise)[0], {})


@compiled()
def _whole(carry):
    return jax.tree.map(jax.numpy.add, *carry)
