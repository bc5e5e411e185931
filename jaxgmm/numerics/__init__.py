"""Arithmetic that keeps its digits, in NumPy and in JAX, and the dtype and the compiler that it runs with.

backend        one name for NumPy's functions and JAX's
products       matrix products, sums over rows, division
matrices       symmetric matrices: packed, factored, made positive definite
derivatives    where derivatives may pass
special        special functions of counts and of positive numbers
dtypes         which dtype a computation runs in
plain          what users pass for numbers, as arrays
platforms      which kind of device computes
compiling      when to ask the compiler for speed
forks          processes in which JAX cannot be used
switches       what JAX looks for mistakes with
"""

from .backend import is_jax, product, xp
from .derivatives import constant
from .factors import cholesky, triangular_inverse
from .matrices import diagonal, hold_in, pack, positive_definite, ridge, unpack, upper, whitening, with_diagonal
from .products import (
    LOG_2PI,
    LOG_ZERO,
    divide,
    eps,
    first_of_largest,
    keep_empty,
    monomials,
    over_rows,
    pooled,
    safe_log,
    two_sum,
    with_axes,
)

__all__ = [
    "LOG_2PI",
    "LOG_ZERO",
    "cholesky",
    "constant",
    "diagonal",
    "divide",
    "eps",
    "first_of_largest",
    "hold_in",
    "is_jax",
    "keep_empty",
    "monomials",
    "over_rows",
    "pack",
    "pooled",
    "positive_definite",
    "product",
    "ridge",
    "safe_log",
    "triangular_inverse",
    "two_sum",
    "unpack",
    "upper",
    "whitening",
    "with_axes",
    "with_diagonal",
    "xp",
]
