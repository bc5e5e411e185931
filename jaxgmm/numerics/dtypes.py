"""Which dtype a computation runs in: the data decide, whatever JAX's global flag says.

JAX turns float64 into float32 without a word unless its x64 mode is on. Every public function therefore looks at the
argument that decides, and runs inside ``jax.enable_x64(True)`` when that is float64.
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
    """x as a JAX array of its own dtype. A transfer, where `jnp.asarray` compiles a program for every new shape."""
    return x if isinstance(x, jax.Array) else jax.device_put(x)


def in_memory(values):
    """A concrete array of one CPU as NumPy's: the same memory. Others as they are."""
    concrete = isinstance(values, jax.Array) and not isinstance(values, jax.core.Tracer)
    return np.asarray(values) if concrete and len(values.devices()) == 1 and platforms.holds(values) else values


def numbers(values, dtype):
    """Plain numbers of a record, as arguments of a compiled function: a new value compiles nothing."""

    def cast(value):
        return value.astype(dtype) if isinstance(value, jax.core.Tracer) else np.asarray(value, dtype)

    return jax.tree.map(cast, values)


def floats_in(dtype, tree):
    """The tree with its real numbers as NumPy's of this dtype; integers and booleans as they are."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype)[()] if np.asarray(leaf).dtype.kind == "f" else leaf, tree)


def in_precision_of(*names: str, differentiable: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: run the function in the precision of these arguments (arrays, or records of arrays): in float64 where
    any of them has it; and as it was written, whatever switches of JAX are on. One that is ``differentiable`` is so in
    float64 outside of JAX's x64 mode, too; all that it gives are real numbers."""

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
    """What a record holds, a list or an iterator as a whole."""
    return jax.tree.leaves(value, is_leaf=lambda leaf: isinstance(leaf, (list, tuple, Iterator)))


def is_double(value) -> bool:
    """Whether computing on value (an array, a record, or anything that `plain` reads) asks for float64."""
    if value is None:
        return False
    if hasattr(value, "blocks"):  # rows that stream
        return value.dtype == np.float64
    if not isinstance(value, (jax.Array, np.ndarray)):
        leaves = _leaves(value)
        arrays = [leaf for leaf in leaves if isinstance(leaf, (jax.Array, np.ndarray))]
        if arrays:
            return any(np.dtype(leaf.dtype) == np.float64 for leaf in arrays if np.dtype(leaf.dtype).kind == "f")
    try:  # the dtype of what has columns is that of its first row; to cut a JAX array would compile
        some = value[:1] if getattr(value, "shape", ()) and not isinstance(value, jax.Array) else value
        return compute_dtype(plain(some)) == np.float64
    except ValueError:  # the function itself says what is wrong
        return True
