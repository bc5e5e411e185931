"""Functions in float64 that JAX transforms as a whole, whatever its x64 flag says where it does so.

JAX takes what it has traced apart when it transposes or batches it, and makes new operations then: under the flag that
holds at that moment. These are made anew from the functions themselves, in a context of their own.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad, batching, mlir

from .compiling import compiled


def linear(forward: Callable, backward: Callable, given, moved, like):
    """``forward(given, moved)``, which is linear in ``moved``.

    Args:
        forward: ``(given, moved) -> tree`` of the structure, shapes and dtypes of ``like``.
        backward: its transpose, ``(given, cotangents of like) -> tree`` like ``moved``.
        given: what both may depend on in any way. It has no derivatives.
    """
    (held, held_tree), (inputs, in_tree), (outputs, out_tree) = map(jax.tree.flatten, (given, moved, like))
    there = OneWay(forward, held_tree, in_tree, out_tree)
    back = OneWay(backward, held_tree, out_tree, in_tree)
    pair = Pair(there, back, tuple(map(_aval, inputs)), tuple(map(_aval, outputs)))
    return jax.tree.unflatten(out_tree, _primitive().bind(*held, *inputs, pair=pair, count=len(held)))


def alone(function: Callable, *given):
    """``function(*given)``, which has no derivatives."""
    with jax.enable_x64(True):
        like = jax.eval_shape(function, *given)
    return linear(Spread(function), None, given, (), like)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A function of several arguments as one of all of them."""

    function: Callable

    def __call__(self, given, moved):
        return self.function(*given)


@dataclasses.dataclass(frozen=True)
class OneWay:
    """A function of trees as one of lists of arrays: ``(held, inputs) -> outputs``."""

    function: Callable
    held: jax.tree_util.PyTreeDef
    inputs: jax.tree_util.PyTreeDef
    outputs: jax.tree_util.PyTreeDef

    def __call__(self, held, inputs):
        given, moved = jax.tree.unflatten(self.held, held), jax.tree.unflatten(self.inputs, inputs)
        with jax.enable_x64(True):
            return self.outputs.flatten_up_to(self.function(given, moved))


@dataclasses.dataclass(frozen=True)
class InLanes:
    """The same of many lanes: of those arrays that are held, the axes along which they have them, or None."""

    function: Callable
    axes: tuple

    def __call__(self, held, inputs):
        return jax.vmap(self.function, (list(self.axes), 0 if inputs else None))(held, inputs)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A function and its transpose, with the shapes and dtypes of what the one takes and of what it gives."""

    there: Callable
    back: Callable
    inputs: tuple
    outputs: tuple

    @property
    def transposed(self) -> "Pair":
        return Pair(self.back, self.there, self.outputs, self.inputs)

    def in_lanes(self, size: int, axes: tuple) -> "Pair":
        def more(avals):
            return tuple(((size, *shape), dtype) for shape, dtype in avals)

        return Pair(InLanes(self.there, axes), InLanes(self.back, axes), more(self.inputs), more(self.outputs))


def _aval(x):
    return tuple(jnp.shape(x)), np.dtype(x.dtype)


@compiled("function")
def _compiled(held, inputs, function):
    return function(held, inputs)


def _run(*arrays, pair, count):
    with jax.enable_x64(True):  # what is held may be float64 where nothing else is
        return _compiled(list(arrays[:count]), list(arrays[count:]), pair.there)


def _inline(*arrays, pair, count):
    with jax.enable_x64(True):
        return pair.there(list(arrays[:count]), list(arrays[count:]))


def _shapes(*arrays, pair, count):
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in pair.outputs]


def _moved_on(primals, tangents, *, pair, count):
    if not all(type(tangent) is ad.Zero for tangent in tangents[:count]):
        raise ValueError(
            "first derivatives only: of a fit there are no second ones, and of other float64 numbers inside of "
            "jax.enable_x64(True) alone"
        )
    with jax.enable_x64(True):
        moves = [ad.instantiate_zeros(tangent) for tangent in tangents[count:]]
    held, out = primals[:count], _primitive().bind(*primals, pair=pair, count=count)
    return out, _primitive().bind(*held, *moves, pair=pair, count=count)


def _transposed(cotangents, *arrays, pair, count):
    with jax.enable_x64(True):
        cotangents = [
            jnp.zeros(shape, dtype) if type(one) is ad.Zero else one.astype(dtype)  # a user's own may be float32
            for one, (shape, dtype) in zip(cotangents, pair.outputs, strict=True)
        ]
    back = _primitive().bind(*arrays[:count], *cotangents, pair=pair.transposed, count=count)
    return [None] * count + list(back)


def _batched(arrays, axes, *, pair, count):
    size = next(x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None)
    inputs = [
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(arrays[count:], axes[count:], strict=True)
    ]
    lanes = pair.in_lanes(size, tuple(axes[:count]))
    out = _primitive().bind(*arrays[:count], *inputs, pair=lanes, count=count)
    return out, [0] * len(out)


@functools.cache
def _primitive():
    from jax.extend.core import Primitive  # loads what takes as long as a third of this library

    primitive = Primitive("linear")
    primitive.multiple_results = True
    primitive.def_impl(_run)
    primitive.def_abstract_eval(_shapes)
    ad.primitive_jvps[primitive] = _moved_on
    ad.primitive_transposes[primitive] = _transposed
    batching.primitive_batchers[primitive] = _batched
    mlir.register_lowering(primitive, mlir.lower_fun(_inline, multiple_results=True))
    return primitive
