"""Derivatives of float64 functions where JAX's x64 flag is off.

Backwards, JAX makes operations of its own, under the flag that holds where a user differentiates: outside of
``jax.enable_x64(True)`` they are float32, or do not fit. So a function is differentiated as a whole, inside.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from .linear import linear
from .plain import columns_of, plain


def as_a_whole(function: Callable, args: tuple, named: dict):
    """``function(*args, **named)`` in float64, differentiable from outside; all that it gives are real numbers."""
    leaves, tree = jax.tree.flatten(jax.tree.map(_arrays_of_tables, (args, named)))
    places = tuple(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves)
    call = Call(function, tree, tuple(None if array else leaf for leaf, array in zip(leaves, places, strict=True)))
    with jax.enable_x64(True):
        return _called(call, [leaf for leaf, array in zip(leaves, places, strict=True) if array])


def _arrays_of_tables(leaf):
    """A table of columns as its array: it could not be a static argument."""
    return plain(leaf) if columns_of(leaf) is not None else leaf


@dataclasses.dataclass(frozen=True)
class Call:
    """A call whose arrays are given as a list; of its arguments it holds the others, in their places."""

    function: Callable
    tree: jax.tree_util.PyTreeDef
    others: tuple

    def __call__(self, arrays):
        left = iter(arrays)
        args, named = self.tree.unflatten([next(left) if other is None else other for other in self.others])
        return self.function(*args, **named)


@dataclasses.dataclass(frozen=True)
class Moved:
    """The derivative of a call in those of its arrays that move."""

    call: Call
    moving: tuple

    def at(self, arrays, moving):
        left = iter(moving)
        return self.call([next(left) if moves else array for array, moves in zip(arrays, self.moving, strict=True)])

    def of(self, arrays):
        return [array for array, moves in zip(arrays, self.moving, strict=True) if moves]


@dataclasses.dataclass(frozen=True)
class Forward(Moved):
    def __call__(self, arrays, moves):
        return jax.jvp(functools.partial(self.at, arrays), (self.of(arrays),), (moves,))[1]


@dataclasses.dataclass(frozen=True)
class Backward(Moved):
    def __call__(self, arrays, cotangents):
        [moves] = jax.vjp(functools.partial(self.at, arrays), self.of(arrays))[1](cotangents)
        return moves


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _called(call, arrays):
    return call(arrays)


def _moved(call, primals, tangents):
    [arrays], [moves] = primals, tangents
    moving = tuple(not isinstance(move, jax.custom_derivatives.SymbolicZero) for move in moves)
    out = _called(call, arrays)
    along = [move for move, is_one in zip(moves, moving, strict=True) if is_one]
    return out, linear(Forward(call, moving), Backward(call, moving), arrays, along, out)


_called.defjvp(_moved, symbolic_zeros=True)
