"""Rows on the host: sums over blocks in NumPy, which need no compiler.

A block is framed once, and what a form sees of it is kept where that does not hang on parameters and there is room.
Blocks come one after the other: the BLAS has its threads for the products, which is where the time goes.
"""

import dataclasses
import functools

import jax
import numpy as np

from ..records import Block, record
from .arrays import Rows, added

ROOM = 2**23  # numbers of framed rows, or of what a form sees of them, that are kept from one sum to the next


class KeptBlock:
    """A `Block` that remembers what a form last saw of it, up to so many numbers."""

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
    """Data in NumPy, as `Rows` has them; or rows (..., n, d) that every lane has to itself, in frames (..., d)."""

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

    def cut(self, form, k: int, lanes: int):
        block = super().cut(form, k, lanes).block
        block = -(-self.n // -(-self.n // block))  # as many blocks, of even sizes
        return self if block == self.block else dataclasses.replace(self, block=block)

    def take(self, i, **columns) -> Block:
        some = slice(i * self.block, (i + 1) * self.block)
        held = self._kept.get(i)
        if held is None:
            x = np.ascontiguousarray(self.framed(self.x[..., some, :]))
            held = KeptBlock(x, self.weight[..., some], ROOM // self.n_blocks)
            if self.x.size <= ROOM:
                self._kept[i] = held
        return Block(held.x, held.weight, {name: values[some] for name, values in columns.items()}) if columns else held

    def sum(self, *summaries, **columns) -> list:
        total = None
        for i in range(self.n_blocks):
            block = self.take(i, **columns)
            terms = [summary(block) for summary in summaries]
            if self.n_blocks == 1:
                return terms
            total = (terms, jax.tree.map(np.zeros_like, terms)) if total is None else added(total, terms)
        return jax.tree.map(np.add, *total)

    def each(self, function):
        parts = [function(self.take(i)) for i in range(self.n_blocks)]
        return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
