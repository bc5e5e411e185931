"""`xp`: NumPy's functions of NumPy's arrays, JAX's functions where any argument is JAX's.

What is written with it once is compiled by JAX for many rows, and run by NumPy as it stands for few, in less time than
compiling takes. Only names that both libraries have; a function that they write differently is in `numerics`.
"""

import contextvars
import functools

import jax
import jax.numpy as jnp
import numpy as np

HOST = {np.ndarray, np.float64, np.float32, np.bool_, float, int, bool}  # types that need no second look


REALS, PYTHON = {np.float64, np.float32}, {float, int}
NUMBERS = {*REALS, np.int32, np.bool_}
ON_HOST = contextvars.ContextVar("on_host", default="")  # where nothing is JAX's: see `host`


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
        if type(condition) is np.bool_:  # of numbers make no array
            a, b = type(new), type(old)
            if a in NUMBERS and b in NUMBERS:
                return new if condition else old
            if (a in REALS and b in PYTHON) or (b in REALS and a in PYTHON):
                return (a if a in REALS else b)(new if condition else old)
        if not ON_HOST.get() and is_jax(condition, new, old):
            return jnp.where(condition, new, old)
        return np.where(condition, new, old)


def is_jax(*values) -> bool:
    """Whether any of these values, or of those in a list of them, is JAX's: an array or a tracer."""
    if ON_HOST.get():
        return False
    for value in values:
        if type(value) in HOST:
            continue
        if isinstance(value, jax.Array) or (type(value) in (list, tuple) and is_jax(*value)):
            return True
    return False


def linalg(matrix):
    """The linear algebra of the library that a matrix belongs to."""
    return jnp.linalg if is_jax(matrix) else np.linalg


def product(a, b):
    """Matrix product at float32-grade precision (JAX's default on recent GPUs is TF32).

    In NumPy those of many matrices (..., m, n) with one (n, p) are a single wider product.
    """
    if is_jax(a, b):
        return jnp.matmul(a, b, precision="highest")
    if b.ndim == 2 and a.ndim > 2:
        return np.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


xp = _Either()
