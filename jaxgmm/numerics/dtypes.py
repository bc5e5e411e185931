"""Which dtype a computation runs in: the data decide, whatever JAX's global flag says.

JAX silently turns float64 into float32 unless its x64 mode is on. So every public function names the arguments whose
dtype decides (`in_precision_of`), and runs inside ``jax.enable_x64(True)`` where one of them is float64.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import jax
import numpy as np

from . import platforms
from .forks import usable
from .plain import plain
from .switches import as_written

HALF = ("float16", "bfloat16")

P = ParamSpec("P")
R = TypeVar("R")


def compute_dtype(x) -> np.dtype:
    """The dtype that computations on x run in.

    float32 and float64 stay; half precision becomes float32; integers and booleans float64, or JAX's default float
    inside a trace.
    """
    dtype = np.dtype(x.dtype).newbyteorder("=")
    if dtype in (np.float32, np.float64):
        return dtype
    if dtype.name in HALF:
        return np.dtype(np.float32)
    if dtype.kind in "iub":
        if isinstance(x, jax.core.Tracer):
            return np.dtype(np.float64 if jax.config.jax_enable_x64 else np.float32)
        return np.dtype(np.float64)
    if dtype == np.longdouble:
        return np.dtype(np.float64)
    raise ValueError(f"x must hold real numbers (float, integer or boolean), got dtype {dtype}; convert it first")


def on_device(x) -> jax.Array:
    """x as a JAX array of its own dtype, by a transfer: `jnp.asarray` would compile a program for every new shape."""
    return x if isinstance(x, jax.Array) else jax.device_put(x)


def in_memory(values):
    """A concrete JAX array on one CPU device as a NumPy array of the same memory; any other value as it is."""
    concrete = isinstance(values, jax.Array) and not isinstance(values, jax.core.Tracer)
    return np.asarray(values) if concrete and len(values.devices()) == 1 and platforms.holds(values) else values


def numbers(values, dtype):
    """A record with its numbers as NumPy arrays of this dtype, so that a new value of them compiles nothing."""

    def cast(value):
        return value.astype(dtype) if isinstance(value, jax.core.Tracer) else np.asarray(value, dtype)

    return jax.tree.map(cast, values)


def floats_in(dtype, tree):
    """The tree with its floating-point leaves as NumPy's, in this dtype; integers and booleans as they are."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype)[()] if np.asarray(leaf).dtype.kind == "f" else leaf, tree)


def float_dtype(tree) -> np.dtype:
    """The dtype of the floating-point leaves of a tree, which are all of one."""
    return next(leaf.dtype for leaf in jax.tree.leaves(tree) if leaf.dtype.kind == "f")


def in_precision(dtype):
    """A context in which JAX computes in float64, if that is the dtype; in another dtype as the caller's flag says."""
    return jax.enable_x64(jax.config.jax_enable_x64 or dtype == np.float64)


def in_precision_of(*names: str, differentiable: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: run the function in float64 where any of these arguments (arrays, or records of arrays) is float64,
    and with JAX's debugging switches off (`switches`).

    ``differentiable``: the function returns real numbers only, and is made differentiable in float64 where the caller
    has JAX's x64 mode off (`outside`).
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        order = list(inspect.signature(function).parameters)
        places = {name: order.index(name) for name in names}

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            usable()
            decisive = (args[i] if len(args) > i else kwargs.get(name) for name, i in places.items())
            here, double = jax.config.jax_enable_x64, any(map(is_double, decisive))
            with as_written(), jax.enable_x64(here or double):
                if differentiable and double and not here and _doubles_in_trace(*args, *kwargs.values()):
                    from .outside import as_a_whole

                    return as_a_whole(function, args, kwargs)
                return function(*args, **kwargs)

        return wrapper

    return decorate


def _doubles_in_trace(*values) -> bool:
    leaves = [leaf for value in values for leaf in _leaves(value)]
    return any(isinstance(leaf, jax.core.Tracer) and leaf.dtype == np.float64 for leaf in leaves)


def _leaves(value) -> list:
    """The leaves of a record; lists, tuples and iterators count as single leaves."""
    return jax.tree.leaves(value, is_leaf=lambda leaf: isinstance(leaf, (list, tuple, Iterator)))


def is_double(value) -> bool:
    """Whether a value (an array, a record, a stream, or anything that `plain` reads) is computed on in float64."""
    if value is None:
        return False
    if hasattr(value, "blocks"):  # rows that stream
        return value.dtype == np.float64
    if not isinstance(value, (jax.Array, np.ndarray)):
        leaves = _leaves(value)
        arrays = [leaf for leaf in leaves if isinstance(leaf, (jax.Array, np.ndarray))]
        if arrays:
            return any(np.dtype(leaf.dtype) == np.float64 for leaf in arrays if np.dtype(leaf.dtype).kind == "f")
    try:  # one row tells the dtype; a slice of a JAX array would be a compilation
        some = value[:1] if getattr(value, "shape", ()) and not isinstance(value, jax.Array) else value
        return compute_dtype(plain(some)) == np.float64
    except ValueError:  # the decorated function checks the value, and its message names the argument
        return True
