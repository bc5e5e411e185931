"""Accurate arithmetic that runs in NumPy and in JAX; dtypes, compilation, threads and random keys.

backend        one name for NumPy's functions and JAX's
products       matrix products, sums over rows, division
matrices       symmetric matrices: packed, factored, made positive definite
factors        Cholesky factors and their inverses
special        special functions of Poisson and Gamma densities
host           JAX's transformations and control flow, run in NumPy without a compiler
compiling      functions compiled fast or to run fast, by the size of their arguments
threads        blocks of rows over threads; one BLAS thread a product
derivatives    where derivatives are stopped or refused
linear         linear functions in float64 that JAX differentiates as a whole
outside        derivatives of float64 functions where JAX's x64 mode is off
dtypes         which dtype a computation runs in
plain          arrays of numbers from what users pass
keys           random keys, and random numbers of single rows
platforms      which kind of device computes, and where an array lies
forks          an error where JAX cannot work after a fork
switches       JAX's debugging switches, off inside this library
"""

from .backend import is_jax, product, xp
from .derivatives import constant
from .factors import cholesky, triangular_inverse
from .matrices import diagonal, hold_in, lower, pack, positive_definite, ridge, unpack, upper, whitening, with_diagonal
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
    squared,
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
    "lower",
    "monomials",
    "over_rows",
    "pack",
    "pooled",
    "positive_definite",
    "product",
    "ridge",
    "safe_log",
    "squared",
    "triangular_inverse",
    "two_sum",
    "unpack",
    "upper",
    "whitening",
    "with_axes",
    "with_diagonal",
    "xp",
]
