"""Rows in memory, and sums over their blocks.

The last block overlaps the one before it and gives weight 0 to the rows already seen, so nothing is padded or copied.
Only a block of responsibilities exists at any time.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics import two_sum
from ..numerics.host import each as each_of
from ..numerics.host import hosted
from ..records import record, static
from .frame import Frame

# Bytes that one block of features and responsibilities may take, and one feature in it. On CPU: near the second- and
# first-level caches (65,536 rows of 2 features at a time take four times as long as 4,096). Elsewhere: to fill
# the device.
ON_CPU, ELSEWHERE = (6 * 2**20, 2**14), (2**28, 2**22)
HOST_NUMBERS = 2**22  # of all rows and lanes that NumPy looks at in one go: more leave its caches
LANE_BYTES = 2**28  # statistics and parameters of the lanes that are in flight together


@record
class Rows:
    """Data in memory: x (n, d) of any real dtype, weight (n,), and the frame they are seen in.

    ``n_blocks`` blocks of ``block`` rows; ``dtype`` is what they are cast to, block by block. ``layout`` says how rows
    lie on a mesh (see `mesh`): inside ``shard_map``, x and weight are those of one device.
    """

    x: Any
    weight: Any
    frame: Frame
    block: int = static()
    dtype: str = static()
    layout: Any = static(default=None)

    @property
    def n(self) -> int:
        """Rows on one device."""
        return self.x.shape[0] if self.layout is None else self.layout.rows

    @property
    def n_everywhere(self) -> int:
        return self.x.shape[0] if self.layout is None else self.layout.n

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block)

    def start(self, i):
        return jnp.minimum(i * self.block, self.n - self.block)

    def take(self, i, *columns):
        """Rows (d, b), weights (b,) and columns (b, ...) of block i; rows that an earlier block held weigh 0."""
        if hosted():
            return self.framed(self.x), self.weight, *columns
        start = self.start(i)
        columns = [jax.lax.dynamic_slice_in_dim(column, start, self.block) for column in columns]
        x = jax.lax.dynamic_slice_in_dim(self.x, start, self.block)
        weight = jax.lax.dynamic_slice_in_dim(self.weight, start, self.block)
        fresh = start + jnp.arange(self.block) >= i * self.block
        return self.framed(x), jnp.where(fresh, weight, 0), *columns

    def framed(self, x):
        """Rows (b, d) as a block (d, b) in the frame."""
        x = x.swapaxes(-1, -2).astype(self.dtype)
        return (x - self.frame.shift[..., None]) * self.frame.inverse[..., None]

    # Of one device's values, what holds for all rows; without a mesh, the values themselves.

    def varying(self, tree):
        return tree if self.layout is None else self.layout.varying(tree)

    def whole(self, tree):
        return tree if self.layout is None else self.layout.whole(tree)

    def highest(self, value):
        return value if self.layout is None else self.layout.highest(value)

    def of_best(self, value, leaf):
        return leaf if self.layout is None else self.layout.of_best(value, leaf)

    def everyones(self, tree):
        """What all devices have, one after the other: (t, ...) -> (devices · t, ...)."""
        return tree if self.layout is None else self.layout.everyones(tree)

    def global_rows(self, index):
        """Low and high words of the global numbers of rows (b,)."""
        return (index, jnp.zeros_like(index)) if self.layout is None else self.layout.global_rows(index)


def block_bytes() -> tuple[int, int]:
    """Bytes that a block may take, and one feature in it, on the device that computes."""
    return ON_CPU if jax.default_backend() == "cpu" else ELSEWHERE


def block_rows(n: int, width: int, itemsize: int) -> int:
    """Rows a block for ``width`` numbers a row: a power of two, at least 64, or n."""
    most, most_of_one = block_bytes()
    wanted = min(max(most // (itemsize * max(width, 1)), 64), most_of_one // itemsize)
    return max(min(1 << (wanted.bit_length() - 1), n), 1)


def in_block(rows: Rows, form, k: int, lanes: int, block_size: int | None) -> Rows:
    """The rows cut into blocks that suit ``lanes`` mixtures of k components in flight."""
    n, d, itemsize = rows.n, rows.x.shape[1], jnp.dtype(rows.dtype).itemsize
    block = block_size or block_rows(n, form.width(d, k * lanes), itemsize)
    return dataclasses.replace(rows, block=n if hosted() else min(block, n))


def lanes_together(form, d: int, k: int, lanes: int, itemsize: int) -> int:
    """How many lanes fit in memory at a time."""
    return min(max(LANE_BYTES // (8 * k * form.width(d, k) * itemsize), 1), lanes)


def at_once_on_host(rows: Rows, numbers: int) -> int:
    """How many lanes the host looks at together, of so many numbers a row and lane."""
    return max(HOST_NUMBERS // (rows.n * numbers), 1)


def in_groups(function, lanes, together: int):
    """``function`` of every lane, vmapped over ``together`` of them at a time."""
    count = jax.tree.leaves(lanes)[0].shape[0]
    if count <= together:
        return each_of(function)(lanes)
    if hosted():
        parts = [jax.tree.map(lambda leaf, i=i: leaf[i : i + together], lanes) for i in range(0, count, together)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(each_of(function), parts))
    return jax.lax.map(function, lanes, batch_size=together)


def total(rows: Rows, summarise, *columns):
    """The sum over blocks of ``summarise(x, weight, *columns)``, compensated; and over the devices of a mesh."""
    if rows.n_blocks == 1:
        return rows.whole(summarise(*rows.take(0, *columns)))
    shape = jax.eval_shape(summarise, *rows.take(0, *columns))
    zeros = rows.varying(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape))

    def add(i, carry):
        return added(carry, summarise(*rows.take(i, *columns)))

    return rows.whole(jax.tree.map(jnp.add, *jax.lax.fori_loop(0, rows.n_blocks, add, (zeros, zeros))))


def added(carry, terms):
    """Compensated sums, and what rounding took from them, after some more terms."""
    both = [two_sum(*parts) for parts in zip(*map(jax.tree.leaves, (*carry, terms)), strict=True)]
    return tuple(jax.tree.unflatten(jax.tree.structure(terms), leaves) for leaves in zip(*both, strict=True))


def each(rows: Rows, function):
    """``function(x, weight) -> (b, ...)`` of every block, put together to (n, ...)."""
    if rows.n_blocks == 1:
        return function(*rows.take(0))
    shape = jax.eval_shape(function, *rows.take(0))
    out = jax.tree.map(lambda leaf: jnp.zeros((rows.x.shape[0], *leaf.shape[1:]), leaf.dtype), shape)

    def write(i, out):
        def put(whole, part):
            return jax.lax.dynamic_update_slice_in_dim(whole, part, rows.start(i), 0)

        return jax.tree.map(put, out, function(*rows.take(i)))

    return jax.lax.fori_loop(0, rows.n_blocks, write, out)
