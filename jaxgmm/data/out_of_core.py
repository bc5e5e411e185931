"""`Flow`: rows that are read block by block at every pass, and sums over them.

All blocks have one size, so that one compiled program serves them. Sums are compensated and follow the order of the
rows. A thread reads the next block while the device works on the last one.

On a mesh, a block is divided over the devices of this process. Every process reads its own rows, and processes exchange
the sums of a whole pass only.
"""

import dataclasses
import functools
import operator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from ..distributed import agreed, everyones
from ..numerics import platforms
from ..numerics.compiling import compiled
from ..numerics.dtypes import floats_in
from .arrays import Rows, added, block_rows
from .frame import Frame
from .mesh import layout_of, over_shards
from .padding import padded_rows
from .sources import Stream, read_ahead


@dataclasses.dataclass(eq=False)
class Flow:
    """A stream of rows and the frame that they are moved into, with the interface of `Rows`.

    Args:
        kept: facts that hold in every frame: the first row (``head``), the rows of every process (``counts``).
        mesh: the mesh that blocks are divided over, or None. If it spans processes, the stream holds this process's
            rows; rows are numbered through, process 0's first.
        width: numbers a row takes in a computation: how many rows of a block a device works on at a time.
        widened: whether rows of float32 are cast to float64, block by block.
    """

    stream: Stream
    frame: Frame
    kept: dict[Any, Any]
    mesh: Mesh | None = None
    width: int = 1
    widened: bool = False

    in_program = False

    @property
    def dtype(self) -> str:
        return "float64" if self.widened else str(self.stream.dtype)

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def may_widen(self) -> bool:
        """As of `Rows`."""
        devices = [platforms.device()] if self.mesh is None else self.mesh.devices.flat
        return self.dtype == "float32" and platforms.have_fast_float64(devices)

    @property
    def in_float64(self) -> "Flow":
        """The same rows, cast to float64 block by block."""
        return dataclasses.replace(self, frame=floats_in(np.float64, self.frame), widened=True)

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
        """The numbers of rows of all processes; known after the first pass."""
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
        """Rows (b, d) and weights (b,) or None as `Rows` of ``size`` rows: padded with copies of the last, weight 0."""
        weight = np.ones(len(x), x.dtype) if weight is None else weight
        if len(x) < size:
            index = np.minimum(np.arange(size), len(x) - 1)
            x, weight = x[index], np.concatenate([weight, np.zeros(size - len(x), weight.dtype)])
        return Rows(x, weight, self.frame, min(block_rows(size, self.width, self.itemsize), size), self.dtype)

    def blocks(self):
        """Blocks of the stream as `Rows`, in order, each with the number of its first row."""
        size = self.size
        for x, weight, first in read_ahead(self.stream.blocks(size)):
            yield self.block(x, weight, size), first

    def sum(self, *summaries, look=None) -> list:
        """As `Rows.sum`, by one pass; summaries are pytrees. ``look(block, first)`` is called on every block."""
        with agreed(self.mesh):
            sums = None
            for block, first in self.blocks():
                if look is not None:
                    look(block, first)
                block = self._cut(block)
                sums = [_zeros(each, block) for each in summaries] if sums is None else jax.block_until_ready(sums)
                sums = [_add(carry, each, block) for carry, each in zip(sums, summaries, strict=True)]
            sums = [_whole(carry) for carry in sums]
        if self.mesh is None:
            return sums
        every = everyones(sums, self.mesh)
        return functools.reduce(functools.partial(jax.tree.map, operator.add), every)

    def _cut(self, block: Rows) -> Rows:
        """The block divided over the devices of this process; as it is without a mesh."""
        if self.mesh is None:
            return block
        here = Mesh(np.array(self.mesh.local_devices), self.mesh.axis_names, axis_types=(AxisType.Auto,))
        layout = layout_of(here, {jax.process_index(): len(block.x)})
        x, weight = layout.put(block.x), layout.put(block.weight, fill=0)
        return dataclasses.replace(block, x=x, weight=weight, block=min(block.block, layout.rows), layout=layout)


def _zeros(summarise, block: Rows):
    """Zero sums and zero rounding errors, with the shapes and dtypes of a summary."""
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
