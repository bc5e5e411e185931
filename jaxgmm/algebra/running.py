"""Which library computes a function on mixtures: NumPy for concrete arrays on a CPU, without a compiler; else JAX.

The mixtures set the precision: float64 if any of them has it. All other arguments are cast to it.
"""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..data.route import in_numpy
from ..numerics import host
from ..numerics.backend import is_jax
from ..numerics.compiling import compiled
from ..numerics.dtypes import on_device
from ..numerics.switches import as_written
from ..records import Mixture


def is_mixture(value) -> bool:
    return isinstance(value, Mixture)


def mixtures_in(tree) -> list[Mixture]:
    return [leaf for leaf in jax.tree.leaves(tree, is_leaf=is_mixture) if is_mixture(leaf)]


def dtype_of(*mixtures) -> np.dtype:
    """The widest dtype of some mixtures."""
    return np.result_type(*(mixture.log_weights.dtype for mixture in mixtures_in(mixtures)))


@contextlib.contextmanager
def precision_of(*mixtures):
    """A context in which JAX keeps the dtype of these mixtures, without its strict switches (`as_written`)."""
    with as_written(), jax.enable_x64(jax.config.jax_enable_x64 or dtype_of(*mixtures) == np.float64):
        yield


def evaluated(function, *arguments):
    """``function(*arguments)`` of mixtures and arrays.

    Arrays in the answer are JAX's, but lone numbers are NumPy's: of a JAX number in float64 the first operation outside
    this context would make float32.
    """
    dtype = dtype_of(*arguments)
    with precision_of(*arguments):
        if checks.in_trace(*jax.tree.leaves(arguments)):
            return function(*jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), arguments))
        if all(in_numpy(mixture.family, arguments) for mixture in mixtures_in(arguments)):
            with host.on_host():
                return given_out(function(*jax.tree.map(lambda leaf: np.asarray(leaf, dtype), arguments)))
        return given_out(compiled_call(function, *jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), arguments)))


@compiled("function")
def compiled_call(function, *arguments):
    """``function(*arguments)`` as one compiled program."""
    return function(*arguments)


def repeated(step, count: int, state):
    """The state after ``count`` steps: in a compiled loop where any array is JAX's, in Python where all are NumPy's."""
    if is_jax(*jax.tree.leaves(state)):
        return jax.lax.fori_loop(0, count, lambda _, state: step(state), state)
    for _ in range(count):
        state = step(state)
    return state


def given_out(answer):
    """The answer with its arrays and mixtures as JAX's arrays, and lone numbers as NumPy's."""

    def given(leaf):
        if is_mixture(leaf):
            return jax.tree.map(on_device, leaf)
        return on_device(leaf) if np.ndim(leaf) else np.asarray(leaf)[()]

    return jax.tree.map(given, answer, is_leaf=is_mixture)
