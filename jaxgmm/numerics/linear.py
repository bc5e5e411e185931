"""A JAX primitive for float64 functions that are linear in some arguments: differentiated and batched as a whole.

When JAX transposes or batches a traced function it makes new operations, in the x64 mode that holds at that moment. If
the mode is off by then, they come out in float32 or fail. This primitive keeps the functions themselves and traces them
anew for every transformation, in x64 mode.
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
    """``forward(given, moved)``, a function that is linear in ``moved``.

    Args:
        forward: ``(given, moved) -> tree`` of the structure, shapes and dtypes of ``like``.
        backward: its transpose, ``(given, cotangents of like) -> tree`` like ``moved``.
        given: a tree on which both may depend in any way. Derivatives in it are refused.
        moved: the tree in which ``forward`` is linear.
        like: a tree of arrays with the shapes and dtypes of the result.
    """
    (held, held_tree), (inputs, in_tree), (outputs, out_tree) = map(jax.tree.flatten, (given, moved, like))
    there = OnLeaves(forward, held_tree, in_tree, out_tree)
    back = OnLeaves(backward, held_tree, out_tree, in_tree)
    pair = Pair(there, back, tuple(map(_aval, inputs)), tuple(map(_aval, outputs)))
    return jax.tree.unflatten(out_tree, _primitive().bind(*held, *inputs, pair=pair, count=len(held)))


def without_derivatives(function: Callable, *given):
    """``function(*given)`` in float64; its derivatives are refused."""
    with jax.enable_x64(True):
        like = jax.eval_shape(function, *given)
    return linear(OfTuple(function), None, given, (), like)


@dataclasses.dataclass(frozen=True)
class OfTuple:
    """A function of several arguments as a function of their tuple."""

    function: Callable

    def __call__(self, given, moved):
        return self.function(*given)


@dataclasses.dataclass(frozen=True)
class OnLeaves:
    """A function of trees as a function of the lists of their leaves: ``(held, inputs) -> outputs``."""

    function: Callable
    held: jax.tree_util.PyTreeDef
    inputs: jax.tree_util.PyTreeDef
    outputs: jax.tree_util.PyTreeDef

    def __call__(self, held, inputs):
        given, moved = jax.tree.unflatten(self.held, held), jax.tree.unflatten(self.inputs, inputs)
        with jax.enable_x64(True):
            return self.outputs.flatten_up_to(self.function(given, moved))


@dataclasses.dataclass(frozen=True)
class Batched:
    """A function of lists of arrays over a batch; ``axes`` has the batch axis of each of the ``held``, or None."""

    function: Callable
    axes: tuple

    def __call__(self, held, inputs):
        return jax.vmap(self.function, (list(self.axes), 0 if inputs else None))(held, inputs)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A linear function and its transpose, with the shapes and dtypes of its inputs and outputs."""

    there: Callable
    back: Callable
    inputs: tuple
    outputs: tuple

    @property
    def transposed(self) -> "Pair":
        return Pair(self.back, self.there, self.outputs, self.inputs)

    def batched(self, size: int, axes: tuple) -> "Pair":
        def more(avals):
            return tuple(((size, *shape), dtype) for shape, dtype in avals)

        return Pair(Batched(self.there, axes), Batched(self.back, axes), more(self.inputs), more(self.outputs))


def _aval(x):
    return tuple(jnp.shape(x)), np.dtype(x.dtype)


@compiled("function")
def _compiled(held, inputs, function):
    return function(held, inputs)


def _evaluate(*arrays, pair, count):
    with jax.enable_x64(True):  # the mode may be off here, and arrays float64
        return _compiled(list(arrays[:count]), list(arrays[count:]), pair.there)


def _inline(*arrays, pair, count):
    with jax.enable_x64(True):
        return pair.there(list(arrays[:count]), list(arrays[count:]))


def _abstract(*arrays, pair, count):
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in pair.outputs]


def _jvp(primals, tangents, *, pair, count):
    if not all(type(tangent) is ad.Zero for tangent in tangents[:count]):
        raise ValueError(
            "first derivatives only: of a fit there are no second ones, and of other float64 numbers inside of "
            "jax.enable_x64(True) alone"
        )
    with jax.enable_x64(True):
        moves = [ad.instantiate_zeros(tangent) for tangent in tangents[count:]]
    held, out = primals[:count], _primitive().bind(*primals, pair=pair, count=count)
    return out, _primitive().bind(*held, *moves, pair=pair, count=count)


def _transpose(cotangents, *arrays, pair, count):
    with jax.enable_x64(True):
        cotangents = [
            jnp.zeros(shape, dtype) if type(one) is ad.Zero else one.astype(dtype)  # a user's cotangent may be float32
            for one, (shape, dtype) in zip(cotangents, pair.outputs, strict=True)
        ]
    back = _primitive().bind(*arrays[:count], *cotangents, pair=pair.transposed, count=count)
    return [None] * count + list(back)


def _batch(arrays, axes, *, pair, count):
    size = next(x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None)
    inputs = [
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(arrays[count:], axes[count:], strict=True)
    ]
    pair = pair.batched(size, tuple(axes[:count]))
    out = _primitive().bind(*arrays[:count], *inputs, pair=pair, count=count)
    return out, [0] * len(out)


@functools.cache
def _primitive():
    from jax.extend.core import Primitive  # slow to import: a third of the time of this library

    primitive = Primitive("linear")
    primitive.multiple_results = True
    primitive.def_impl(_evaluate)
    primitive.def_abstract_eval(_abstract)
    ad.primitive_jvps[primitive] = _jvp
    ad.primitive_transposes[primitive] = _transpose
    batching.primitive_batchers[primitive] = _batch
    mlir.register_lowering(primitive, mlir.lower_fun(_inline, multiple_results=True))
    return primitive
