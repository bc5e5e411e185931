"""The host: where the functions that JAX compiles elsewhere run in NumPy, as plain Python.

Inside `on_host` nothing is compiled and nothing is traced: a function decorated by `compiled` is called as it is
written, arrays are NumPy's, and the functions of this file stand for JAX's transformations and control flow. So one
source serves both ways. A lane is one EM run among those batched together, along leading axes.
"""

import contextlib

import jax
import numpy as np

from .backend import ON_HOST, is_jax, xp
from .products import with_axes
from .threads import one_for_each_product


def hosted() -> bool:
    """Whether the caller runs inside `on_host`."""
    return bool(ON_HOST.get())


@contextlib.contextmanager
def on_host(here: bool = True, at_once: bool = True):
    """Run the block on the host; where ``here`` is False, run it as usual.

    NumPy's warnings are off: a result that is not finite has a `Status`. `each` calls a function with all lanes
    ``at_once``; False, for functions that take no leading axes: with one lane after the other.
    """
    token = ON_HOST.set(("together" if at_once else "alone") if here else "")
    try:
        with contextlib.ExitStack() as contexts:
            if here:
                contexts.enter_context(np.errstate(all="ignore"))
                contexts.enter_context(one_for_each_product())
            yield
    finally:
        ON_HOST.reset(token)


def together() -> bool:
    """Whether `each` calls a function with all lanes at once."""
    return ON_HOST.get() == "together"


def each(function, axes=0):
    """``jax.vmap(function, axes)``; on the host the function itself, which takes leading axes, or a loop over lanes."""
    if not hosted():
        return jax.vmap(function, axes)

    def one_after_the_other(*args):
        mapped = [axis is not None for axis in (axes if isinstance(axes, tuple) else (axes,) * len(args))]
        count = next(jax.tree.leaves(arg)[0].shape[0] for arg, maps in zip(args, mapped, strict=True) if maps)
        lanes = ([entry(a, i) if maps else a for a, maps in zip(args, mapped, strict=True)] for i in range(count))
        return stacked([function(*lane) for lane in lanes])

    return function if together() else one_after_the_other


def one_by_one(function, tree):
    """``jax.lax.map(function, tree)``."""
    if not hosted():
        return jax.lax.map(function, tree)
    return stacked([function(entry(tree, i)) for i in range(jax.tree.leaves(tree)[0].shape[0])])


def entry(tree, i):
    """Entry i of every array of a tree along its leading axis; several entries where i is a slice or an array."""
    return jax.tree.map(lambda leaf: leaf[i], tree)


def stacked(trees: list):
    """Trees of arrays as one tree, stacked along a new leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def in_order(tree):
    """The tree with its arrays in C order: the memory order changes how products round."""
    if all(leaf.flags.c_contiguous for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda leaf: leaf if leaf.flags.c_contiguous else leaf.copy(), tree)


def choose(condition, new, old):
    """The tree ``new`` in lanes where the condition (...) holds, ``old`` in the others. On the host no copy is made
    where all lanes agree."""
    if type(condition) is np.bool_:
        return new if condition else old
    if is_jax(condition):
        return jax.tree.map(lambda a, b: xp.where(condition, a, b), new, old)
    count = np.count_nonzero(condition)
    if count in (0, np.size(condition)):
        return new if count else old
    return jax.tree.map(lambda a, b: np.where(with_axes(condition, max(np.ndim(a), np.ndim(b))), a, b), new, old)


def where_needed(condition, make, old):
    """``choose(condition, make(), old)``; ``make`` is not called where the condition is False in every lane."""
    return old if nowhere(condition) else choose(condition, make(), old)


def replaced_at(array, index, values):
    """A copy of the array, with these values at an index."""
    if is_jax(array, values):
        return jax.numpy.asarray(array).at[index].set(values)
    copy = np.array(array)
    copy[index] = values
    return copy


def nowhere(condition) -> bool:
    """Whether a condition is known to be False in every lane; a traced condition is not known."""
    return not is_jax(condition) and not np.count_nonzero(condition)


def entries_of(values, index, axis: int):
    """Entries along an axis, with an index of its own for each leading entry: like `numpy.take_along_axis`, but whole
    sub-arrays. values (..., n, *), index (..., *m) -> (..., *m, *), with n at ``axis``."""
    if axis == 0:
        return values[index]
    before = (with_axes(every, index.ndim) for every in np.indices(values.shape[:axis], sparse=True))
    return values[(*before, index)]


def as_int32(value):
    """A number, or one number a lane, as int32."""
    return value.astype(np.int32) if hasattr(value, "astype") else np.int32(value)
