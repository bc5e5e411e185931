"""`xp`: each function is NumPy's for NumPy's arrays, and JAX's where any argument is a JAX array or a tracer.

One source then serves both: JAX compiles it for large data, NumPy runs it for small data in less time than compiling
takes. `xp` has the names that both libraries share; a function that they spell differently is in `numerics`.
"""

import contextvars
import functools

import jax
import jax.numpy as jnp
import numpy as np

HOST = {np.ndarray, np.float64, np.float32, np.bool_, float, int, bool}  # types that are certainly not JAX's

REALS, PYTHON = {np.float64, np.float32}, {float, int}
NUMBERS = {*REALS, np.int32, np.bool_}
ON_HOST = contextvars.ContextVar("on_host", default="")  # "" unless inside `host.on_host`


class _Either:
    def __getattr__(self, name):
        of_numpy, of_jax = getattr(np, name), getattr(jnp, name)

        @functools.wraps(of_jax)
        def either(*args, **named):
            if ON_HOST.get():
                return of_numpy(*args, **named)
            for value in args:
                if type(value) not in HOST and is_jax(value):
                    return of_jax(*args, **named)
            return of_numpy(*args, **named)

        setattr(self, name, either)
        return either

    @staticmethod
    def where(condition, new, old):
        if type(condition) is np.bool_:  # numbers: np.where would make an array, which is slower
            a, b = type(new), type(old)
            if a in NUMBERS and b in NUMBERS:
                return new if condition else old
            if (a in REALS and b in PYTHON) or (b in REALS and a in PYTHON):
                return (a if a in REALS else b)(new if condition else old)
        if not ON_HOST.get() and is_jax(condition, new, old):
            return jnp.where(condition, new, old)
        return np.where(condition, new, old)


def is_jax(*values) -> bool:
    """Whether any of these values, or of the entries of a list or tuple among them, is a JAX array or a tracer."""
    if ON_HOST.get():
        return False
    for value in values:
        if type(value) in HOST:
            continue
        if isinstance(value, jax.Array) or (type(value) in (list, tuple) and is_jax(*value)):
            return True
    return False


def linalg(matrix):
    """`jax.numpy.linalg` or `numpy.linalg`, whichever the matrix belongs to."""
    return jnp.linalg if is_jax(matrix) else np.linalg


def product(a, b):
    """Matrix product at float32-grade precision (JAX's default on recent GPUs is TF32).

    NumPy's product of a stack (..., m, n) with one matrix (n, p) is made as one product of (... · m, n) with it.
    """
    if is_jax(a, b):
        return jnp.matmul(a, b, precision="highest")
    if b.ndim == 2 and a.ndim > 2:
        return np.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


xp = _Either()
