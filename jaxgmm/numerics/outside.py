"""Derivatives of float64 functions where the caller has JAX's x64 mode off.

Reverse-mode differentiation makes operations of its own in the caller's mode: with x64 off they are float32, or their
dtypes clash. So JAX sees the function as one operation, and its derivative is computed inside ``jax.enable_x64(True)``.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from .linear import linear
from .plain import columns_of, plain


def as_a_whole(function: Callable, args: tuple, named: dict):
    """``function(*args, **named)`` in float64, as one operation that a caller may differentiate. All its results must
    be real numbers."""
    leaves, tree = jax.tree.flatten(jax.tree.map(_arrays_of_tables, (args, named)))
    places = tuple(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves)
    call = Call(function, tree, tuple(None if array else leaf for leaf, array in zip(leaves, places, strict=True)))
    with jax.enable_x64(True):
        return _called(call, [leaf for leaf, array in zip(leaves, places, strict=True) if array])


def _arrays_of_tables(leaf):
    """A frame as its array: a frame is no pytree, and cannot be hashed as a static argument."""
    return plain(leaf) if columns_of(leaf) is not None else leaf


@dataclasses.dataclass(frozen=True)
class Call:
    """A function of the list of a call's arrays. ``others`` holds its other arguments, and None where an array goes."""

    function: Callable
    tree: jax.tree_util.PyTreeDef
    others: tuple

    def __call__(self, arrays):
        left = iter(arrays)
        args, named = self.tree.unflatten([next(left) if other is None else other for other in self.others])
        return self.function(*args, **named)


@dataclasses.dataclass(frozen=True)
class Moved:
    """A call as a function of some of its arrays: those that are ``moving``, along which it is differentiated."""

    call: Call
    moving: tuple

    def value(self, arrays, moving):
        left = iter(moving)
        return self.call([next(left) if moves else array for array, moves in zip(arrays, self.moving, strict=True)])

    def selected(self, arrays):
        return [array for array, moves in zip(arrays, self.moving, strict=True) if moves]


@dataclasses.dataclass(frozen=True)
class Forward(Moved):
    """Tangents of the results from tangents of the moving arrays."""

    def __call__(self, arrays, moves):
        return jax.jvp(functools.partial(self.value, arrays), (self.selected(arrays),), (moves,))[1]


@dataclasses.dataclass(frozen=True)
class Backward(Moved):
    """Cotangents of the moving arrays from cotangents of the results."""

    def __call__(self, arrays, cotangents):
        [moves] = jax.vjp(functools.partial(self.value, arrays), self.selected(arrays))[1](cotangents)
        return moves


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _called(call, arrays):
    return call(arrays)


def _jvp(call, primals, tangents):
    [arrays], [moves] = primals, tangents
    moving = tuple(not isinstance(move, jax.custom_derivatives.SymbolicZero) for move in moves)
    out = _called(call, arrays)
    along = [move for move, is_one in zip(moves, moving, strict=True) if is_one]
    return out, linear(Forward(call, moving), Backward(call, moving), arrays, along, out)


_called.defjvp(_jvp, symbolic_zeros=True)
