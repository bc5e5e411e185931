"""`Rows` in a device's memory, and sums over blocks of them.

All blocks have the same size. The last one overlaps the one before, and its rows that were summed already weigh 0: so
no row is padded or copied. What is computed of rows (features, responsibilities) exists for one block at a time.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics import platforms, two_sum
from ..numerics.dtypes import compute_dtype, floats_in
from ..numerics.host import each, entry, hosted
from ..records import Block, record, static
from .frame import Frame

# Most bytes of a block of features and responsibilities, and of one feature in it. Compiled on a CPU: about the second-
# and first-level caches (65,536 rows of 2 features at a time take four times as long as 4,096). In NumPy a feature is
# longer, because every call costs time. On an accelerator: enough to keep it busy.
ON_CPU, ON_HOST, ELSEWHERE = (6 * 2**20, 2**14), (12 * 2**20, 2**17), (2**28, 2**22)
HOST_NUMBERS = 2**22  # most numbers of a block times lanes in one call of NumPy: more do not fit into caches
LANE_BYTES = 2**28  # most bytes of statistics and parameters of the lanes that run together


@record
class Rows:
    """Rows in a device's memory: x (n, d) of any real dtype, weights (n,), and the frame that blocks are moved into.

    ``block`` is the number of rows of a block, chosen by `cut` unless the caller asked for a ``block_size``. Blocks are
    cast to ``dtype``, rows and weights. ``layout`` tells how the rows are divided over a mesh (see `mesh`), None
    without one; inside ``shard_map``, x and weight are those of one device.
    """

    x: Any
    weight: Any
    frame: Frame
    block: int = static()
    dtype: str = static()
    layout: Any = static(default=None)
    block_size: int | None = static(default=None)

    in_program = True  # `sum` is called inside compiled functions

    @property
    def n(self) -> int:
        """Rows on one device."""
        return self.x.shape[0] if self.layout is None else self.layout.rows

    @property
    def n_everywhere(self) -> int:
        """Rows on all devices."""
        return self.x.shape[0] if self.layout is None else self.layout.n

    @property
    def d(self) -> int:
        return self.x.shape[1]

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block)

    @property
    def may_widen(self) -> bool:
        """Whether rows of float32 may be computed on in float64, which is fast where they lie."""
        return self.dtype == "float32" and platforms.have_fast_float64(self.x.devices())

    @property
    def in_float64(self) -> "Rows":
        """The same rows, cast to float64 block by block."""
        return dataclasses.replace(self, frame=floats_in(np.float64, self.frame), dtype="float64")

    @property
    def widened(self) -> bool:
        """Whether rows of float32 are cast to float64."""
        return compute_dtype(self.x) == np.float32 and self.dtype == "float64"

    def cut(self, form, k: int, lanes: int):
        """The rows in blocks that suit ``lanes`` mixtures of k components in flight."""
        block = self.block_size or block_rows(self.n, form.width(self.d, k * lanes), self.itemsize)
        return dataclasses.replace(self, block=min(block, self.n))

    def start(self, i):
        """The first row of block i."""
        return jnp.minimum(i * self.block, self.n - self.block)

    def take(self, i, **columns) -> Block:
        """Block i of the rows and of further columns (n, ...); rows that an earlier block held weigh 0."""
        start = self.start(i)

        def some(values):
            return jax.lax.dynamic_slice_in_dim(values, start, self.block)

        fresh = start + jnp.arange(self.block) >= i * self.block
        weight = jnp.where(fresh, some(self.weight), 0).astype(self.dtype)
        return Block(self.framed(some(self.x)), weight, {name: some(column) for name, column in columns.items()})

    def framed(self, x):
        """Rows (b, d) as a block (d, b) in the frame."""
        x = x.swapaxes(-1, -2).astype(self.dtype)
        return (x - self.frame.shift[..., None]) * self.frame.inverse[..., None]

    def sum(self, *summaries, **columns) -> list:
        """[Σ over blocks of summary(block)] for every summary, a function of a `Block`. Sums are compensated, and on a
        mesh they go over all devices.

        Call it inside a compiled function, on a mesh inside ``shard_map``. ``columns`` (n, ...) are cut like the rows.
        """

        def summarise(i):
            block = self.take(i, **columns)
            return [summary(block) for summary in summaries]

        if self.n_blocks == 1:
            return self.whole(summarise(0))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(summarise, 0))
        zeros = self.varying(zeros)

        def add(i, carry):
            return added(carry, summarise(i))

        return self.whole(jax.tree.map(jnp.add, *jax.lax.fori_loop(0, self.n_blocks, add, (zeros, zeros))))

    def each(self, function):
        """The values (n, ...) of all rows, from ``function(block) -> (b, ...)``."""
        if self.n_blocks == 1:
            return function(self.take(0))
        shape = jax.eval_shape(lambda: function(self.take(0)))
        out = jax.tree.map(lambda leaf: jnp.zeros((self.x.shape[0], *leaf.shape[1:]), leaf.dtype), shape)

        def write(i, out):
            def put(whole, part):
                return jax.lax.dynamic_update_slice_in_dim(whole, part, self.start(i), 0)

            return jax.tree.map(put, out, function(self.take(i)))

        return jax.lax.fori_loop(0, self.n_blocks, write, out)

    # The methods of `mesh.Layout`; without a mesh they return the values as they are.

    def varying(self, tree):
        return tree if self.layout is None else self.layout.varying(tree)

    def whole(self, tree):
        return tree if self.layout is None else self.layout.whole(tree)

    def highest(self, value):
        return value if self.layout is None else self.layout.highest(value)

    def of_best(self, value, leaf):
        return leaf if self.layout is None else self.layout.of_best(value, leaf)

    def everyones(self, tree):
        """The values of all devices, joined: (t, ...) -> (devices · t, ...)."""
        return tree if self.layout is None else self.layout.everyones(tree)

    def global_rows(self, index):
        """Low and high words of the global numbers of rows (b,)."""
        return (index, jnp.zeros_like(index)) if self.layout is None else self.layout.global_rows(index)


def block_bytes() -> tuple[int, int]:
    """Most bytes of a block, and of one feature in it, on the device that computes."""
    return ON_HOST if hosted() else ON_CPU if platforms.on_cpu() else ELSEWHERE


def block_rows(n: int, width: int, itemsize: int) -> int:
    """Rows in a block, where a row takes ``width`` numbers: a power of two, at least 64, at most n."""
    most, most_of_one = block_bytes()
    wanted = min(max(most // (itemsize * max(width, 1)), 64), most_of_one // itemsize)
    return max(min(1 << (wanted.bit_length() - 1), n), 1)


def lanes_together(form, d: int, k: int, lanes: int, itemsize: int) -> int:
    """How many of these lanes run together: as many as `LANE_BYTES` holds, at least 1."""
    return min(max(LANE_BYTES // (8 * k * form.width(d, k) * itemsize), 1), lanes)


def lane_groups(rows, form, k: int, count: int) -> list[slice]:
    """``count`` lanes of k components cut into groups that begin together: as many as memory holds."""
    together = lanes_together(form, rows.d, k, count, rows.itemsize)
    if hosted():
        together = max(HOST_NUMBERS // (rows.block * k * rows.d), 1)
    return [slice(i, i + together) for i in range(0, count, together)]


def in_groups(function, lanes, together: int):
    """``function`` of every lane, ``together`` of them at a time; the results along a leading axis."""
    count = jax.tree.leaves(lanes)[0].shape[0]
    if count <= together:
        return each(function)(lanes)
    if hosted():
        parts = [entry(lanes, slice(i, i + together)) for i in range(0, count, together)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(each(function), parts))
    return jax.lax.map(function, lanes, batch_size=together)


def added(carry, terms):
    """The carry (sums, their rounding errors) of a compensated summation, with these terms added."""
    both = [two_sum(*parts) for parts in zip(*map(jax.tree.leaves, (*carry, terms)), strict=True)]
    return tuple(jax.tree.unflatten(jax.tree.structure(terms), leaves) for leaves in zip(*both, strict=True))
