"""`HostRows`: rows in NumPy and sums over blocks of them, without a compiler.

A block is moved into the frame once and kept, and so are the features that a form computes of it, where they do not
depend on parameters and are few enough. Threads take runs of blocks. Blocks and runs depend on sizes alone, so that
sums do not depend on the number of threads.
"""

import dataclasses
import functools

import jax
import numpy as np

from ..numerics.threads import mapped
from ..records import Block, record
from .arrays import Rows

LEAST_RUNS, LONGEST_RUN = 16, 16  # runs of blocks, where there are so many blocks; blocks in a run
MOST_KEPT = 2**24  # numbers of framed rows, and of features, that are kept from one sum to the next


class KeptBlock:
    """A `Block` that keeps the features that the last form computed of it: at most ``most`` numbers."""

    columns = None

    def __init__(self, x, weight, most: int):
        self.x, self.weight, self.most = x, weight, most
        self._form = self._view = None

    def seen(self, form, prepared):
        if self._form is form:
            return self._view
        view = form.view(prepared, self.x)
        if getattr(form, "fixed_view", False) and form.width(self.x.shape[-2], 1) * self.weight.size <= self.most:
            self._form, self._view = form, view
        return view


@record
class HostRows(Rows):
    """`Rows` in NumPy; or rows (..., n, d), a data set of its own for every lane, in frames (..., d)."""

    in_program = False

    @property
    def n(self) -> int:
        return self.x.shape[-2]

    @property
    def n_everywhere(self) -> int:
        return self.n

    @property
    def d(self) -> int:
        return self.x.shape[-1]

    @functools.cached_property
    def _kept(self) -> dict:
        return {}

    @property
    def may_widen(self) -> bool:
        return self.dtype == "float32"

    def cut(self, form, k: int, lanes: int):
        block = super().cut(form, k, lanes).block
        block = -(-self.n // -(-self.n // block))  # the same number of blocks, of even sizes
        return self if block == self.block else dataclasses.replace(self, block=block)

    def take(self, i, **columns) -> Block:
        some = slice(i * self.block, (i + 1) * self.block)
        held = self._kept.get(i)
        if held is None:
            x = np.ascontiguousarray(self.framed(self.x[..., some, :]))
            weight = self.weight[..., some].astype(self.dtype, copy=False)
            held = KeptBlock(x, weight, MOST_KEPT // self.n_blocks)
            if self.x.size <= MOST_KEPT:
                self._kept[i] = held
        return Block(held.x, held.weight, {name: values[some] for name, values in columns.items()}) if columns else held

    def sum(self, *summaries, **columns) -> list:
        """As `Rows.sum`, anywhere; float32 sums of several blocks are accumulated in float64."""
        if self.n_blocks == 1:
            return [summary(self.take(0, **columns)) for summary in summaries]

        def of(block):
            return jax.tree.flatten([summary(block) for summary in summaries])

        def over(run):
            leaves, structure = of(self.take(run[0], **columns))
            totals = [np.array(leaf, _wide(leaf.dtype)) for leaf in leaves]
            for i in run[1:]:
                for total, leaf in zip(totals, of(self.take(i, **columns))[0], strict=True):
                    total += leaf
            return totals, [leaf.dtype for leaf in leaves], structure

        sums, (dtypes, *_), (structure, *_) = zip(*mapped(over, self._runs), strict=True)
        sums = [sum(rest, first) for first, *rest in zip(*sums, strict=True)]
        return jax.tree.unflatten(
            structure, [np.asarray(total, dtype)[()] for total, dtype in zip(sums, dtypes, strict=True)]
        )

    def each(self, function):
        parts = mapped(lambda i: function(self.take(i)), list(range(self.n_blocks)))
        return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    @property
    def _runs(self) -> list[range]:
        longest = min(max(self.n_blocks // LEAST_RUNS, 1), LONGEST_RUN)
        return [range(i, min(i + longest, self.n_blocks)) for i in range(0, self.n_blocks, longest)]


def _wide(dtype):
    return np.float64 if dtype == np.float32 else dtype
