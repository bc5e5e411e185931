"""Constraints: which values of a parameter are legal, and the map of these to unconstrained numbers and back.

real: as it is     positive: log     unit interval: logit     simplex, product 1: logs
positive definite: Cholesky factor with log diagonal, packed, (..., d, d) -> (..., d(d+1)/2)

A value on a boundary is ±inf as an unconstrained number, and comes back exactly.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import jax
import numpy as np

from ..numerics import cholesky, diagonal, lower, product, with_diagonal
from ..numerics.backend import is_jax, xp
from ..numerics.host import replaced_at


@dataclasses.dataclass(frozen=True)
class Constraint:
    """A set of values, as functions.

    Args:
        words: what the values must be, for error messages.
        contains: ``value -> bool``, of finite values in NumPy.
        free: ``shape -> int``: number of free numbers in an array of this shape.
        unconstrain: ``value -> array`` of any real numbers.
        constrain: its inverse.
    """

    words: str
    contains: Callable
    free: Callable
    unconstrain: Callable
    constrain: Callable

    REAL: ClassVar["Constraint"]
    POSITIVE: ClassVar["Constraint"]
    NON_NEGATIVE: ClassVar["Constraint"]
    UNIT: ClassVar["Constraint"]
    SIMPLEX: ClassVar["Constraint"]
    UNIT_PRODUCT: ClassVar["Constraint"]
    POSITIVE_DEFINITE: ClassVar["Constraint"]


def all_but_one(shape):
    return math.prod(shape) // shape[-1] * (shape[-1] - 1)


def triangle(shape):
    return math.prod(shape) // shape[-1] * (shape[-1] + 1) // 2


def anything(value):
    return True


def positive(value):
    return (value > 0).all()


def not_negative(value):
    return (value >= 0).all()


def in_unit_interval(value):
    return ((value >= 0) & (value <= 1)).all()


def sums_to_one(value):
    return (value >= 0).all() and np.allclose(value.sum(-1), 1, rtol=0, atol=1e-4)


def multiplies_to_one(value):
    return (value > 0).all() and np.allclose(np.log(value).sum(-1), 0, rtol=0, atol=1e-4)


def is_positive_definite(value):
    transposed = np.swapaxes(value, -1, -2)
    if not np.allclose(value, transposed, rtol=1e-4, atol=1e-6 * np.abs(value).max()):
        return False
    return bool(np.isfinite(cholesky(value.astype(np.float64))).all())


def as_it_is(value, *others):
    return value


def logit(p):
    return jax.scipy.special.logit(p) if is_jax(p) else np.log(p) - np.log1p(-p)


def sigmoid(value):
    return jax.nn.sigmoid(value) if is_jax(value) else np.where(value < 0, np.exp(value), 1) / (1 + np.exp(-abs(value)))


def softmax(logits):
    if is_jax(logits):
        return jax.nn.softmax(logits)
    terms = np.exp(logits - logits.max(-1, keepdims=True))
    return terms / terms.sum(-1, keepdims=True)


def exp_of_centred(value):
    return xp.exp(value - value.mean(-1, keepdims=True))


def pack_factor(matrix):
    factor = cholesky(matrix)
    i, j = lower(matrix.shape[-1])
    logged = xp.where(np.eye(matrix.shape[-1], dtype=bool), with_diagonal(xp.log(diagonal(factor))), factor)
    return logged[..., i, j]


def unpack_factor(packed):
    d = (int((8 * packed.shape[-1] + 1) ** 0.5) - 1) // 2
    zeros = np.zeros((*packed.shape[:-1], d, d), packed.dtype)
    logged = replaced_at(zeros, (..., *lower(d)), packed)
    factor = xp.tril(logged, -1) + with_diagonal(xp.exp(diagonal(logged)))
    return product(factor, xp.swapaxes(factor, -1, -2))


Constraint.REAL = Constraint("real numbers", anything, math.prod, as_it_is, as_it_is)
Constraint.POSITIVE = Constraint("positive numbers", positive, math.prod, xp.log, xp.exp)
Constraint.NON_NEGATIVE = Constraint("numbers >= 0", not_negative, math.prod, xp.log, xp.exp)
Constraint.UNIT = Constraint("numbers in [0, 1]", in_unit_interval, math.prod, logit, sigmoid)
Constraint.SIMPLEX = Constraint(
    "probabilities that sum to 1 over the last axis", sums_to_one, all_but_one, xp.log, softmax
)
Constraint.UNIT_PRODUCT = Constraint(
    "positive numbers whose product over the last axis is 1", multiplies_to_one, all_but_one, xp.log, exp_of_centred
)
Constraint.POSITIVE_DEFINITE = Constraint(
    "symmetric positive definite matrices", is_positive_definite, triangle, pack_factor, unpack_factor
)
