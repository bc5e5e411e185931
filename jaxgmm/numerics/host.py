"""The host: where compiled functions run in NumPy as they stand, and control flow is Python's.

Inside `on_host` nothing is compiled and nothing is traced: functions that are `compiled` elsewhere are called as they
are written, arrays are NumPy's, and what follows here stands for JAX's transformations. The same code is the program
that JAX compiles and the one that needs no compiler.
"""

import contextlib

import jax
import numpy as np

from .backend import ON_HOST, is_jax, xp
from .products import with_axes
from .threads import one_for_each_product


def hosted() -> bool:
    """Whether this is the host, where nothing is compiled."""
    return bool(ON_HOST.get())


@contextlib.contextmanager
def on_host(here: bool = True, at_once: bool = True):
    """Run on the host, or where ``here`` is False as usual; what is not finite there has a status, and no warning.

    `each` calls a function with all lanes ``at_once``, or, where it takes no leading axes, with one after the other.
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
    """Whether this host looks at all lanes at once."""
    return ON_HOST.get() == "together"


def each(function, axes=0):
    """``jax.vmap(function, axes)``; on the host the function itself, which takes leading axes."""
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
    """The i-th of what a tree of arrays holds along its leading axes; several, where i names several."""
    return jax.tree.map(lambda leaf: leaf[i], tree)


def stacked(trees: list):
    """Trees of arrays as one, along new leading axes."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def in_order(tree):
    """The tree with its arrays row after row in memory: on that the rounding of products depends."""
    if all(leaf.flags.c_contiguous for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda leaf: leaf if leaf.flags.c_contiguous else leaf.copy(), tree)


def choose(condition, new, old):
    """The tree new where the condition (...) holds, old elsewhere, lane by lane; on the host one of the two as it is,
    if it may be."""
    if type(condition) is np.bool_:
        return new if condition else old
    if is_jax(condition):
        return jax.tree.map(lambda a, b: xp.where(condition, a, b), new, old)
    count = np.count_nonzero(condition)
    if count in (0, np.size(condition)):
        return new if count else old
    return jax.tree.map(lambda a, b: np.where(with_axes(condition, max(np.ndim(a), np.ndim(b))), a, b), new, old)


def where_needed(condition, make, old):
    """``choose(condition, make(), old)``, made only where the condition may hold."""
    return old if nowhere(condition) else choose(condition, make(), old)


def replaced_at(array, index, values):
    """The array, with these values at an index."""
    if is_jax(array, values):
        return jax.numpy.asarray(array).at[index].set(values)
    copy = np.array(array)
    copy[index] = values
    return copy


def nowhere(condition) -> bool:
    """Whether a condition is known to hold nowhere, in no lane."""
    return not is_jax(condition) and not np.count_nonzero(condition)


def entries_of(values, index, axis: int):
    """Entries along an axis, of everything before it its own: values (..., n, *), index (..., *) -> (..., *, *)."""
    if axis == 0:
        return values[index]
    before = (with_axes(every, index.ndim) for every in np.indices(values.shape[:axis], sparse=True))
    return values[(*before, index)]


def as_int32(value):
    """A number, of every lane, as int32."""
    return value.astype(np.int32) if hasattr(value, "astype") else np.int32(value)
