"""Checks of the arguments of the functions on mixtures. A wrong one raises a ValueError that names it."""

import numbers

import jax
import numpy as np

from .. import checks
from ..numerics.plain import plain
from ..records import Mixture
from ..records import mixture_of as held


def mixture_of(mixture, name: str = "mixture") -> Mixture:
    """The `Mixture` in a mixture, fit result or estimator; its family must have `Margins`."""
    mixture = held(mixture, name)
    if mixture.family.margins is None:
        raise ValueError(
            f"{name}: family {mixture.family.name!r} does not say what its features are: see Family.margins"
        )
    return mixture


def gaussian(mixture, what: str, name: str = "mixture") -> Mixture:
    """The mixture, whose components must be Gaussian; ``what`` ends the message if they are not."""
    mixture = mixture_of(mixture, name)
    if not mixture.family.margins.normal:
        raise ValueError(f"{name} must be Gaussian, got family {mixture.family.name!r}: {what}")
    return mixture


def of_one(mixture, feature, name: str = "feature") -> tuple[int]:
    """The number of one feature, in a tuple; of a mixture of one feature it may be None."""
    d = mixture.n_features
    if feature is None:
        if d > 1:
            raise ValueError(f"the mixture has {d} features: say which one by {name}=, a number from 0 to {d - 1}")
        return (0,)
    if isinstance(feature, bool) or not isinstance(feature, numbers.Integral) or not 0 <= feature < d:
        raise ValueError(f"{name} must be a number from 0 to {d - 1}, got {feature!r}")
    return (int(feature),)


def indices(features, d: int, name: str) -> tuple[int, ...]:
    """The numbers of some distinct features, in the given order."""
    if checks.in_trace(features):
        raise ValueError(f"{name} says which features, and cannot be traced: make it static, or close over it")
    given = np.asarray(features)
    if given.ndim > 1 or given.dtype.kind not in "iu" or given.size == 0:
        raise ValueError(f"{name} must be a number of a feature, or some of them, from 0 to {d - 1}, got {features!r}")
    found = tuple(int(feature) for feature in given.ravel())
    if min(found) < 0 or max(found) >= d:
        raise ValueError(f"{name} must be from 0 to {d - 1}, as the mixture has {d} features; got {features!r}")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must name a feature once, got {features!r}")
    return found


def real(value, name: str, infinite: bool = False):
    """An array of real numbers of any shape, without NaN; infinite ones only if ``infinite``."""
    value = plain(value, name)
    if value.dtype.kind == "c":
        raise ValueError(f"{name} must hold real numbers, got dtype {value.dtype}")
    if not checks.in_trace(value):
        held = np.asarray(value, np.float64)
        wrong = np.isnan(held) if infinite else ~np.isfinite(held)
        if wrong.any():
            words = "must not be NaN" if infinite else "must be finite"
            raise ValueError(f"{name} {words}, got {held[wrong].ravel()[0]}")
    return value


def batched(values, d: int, mixture, name: str):
    """Values (*batch, ..., d) for a batch of mixtures: the leading axes are those of the batch."""
    values = real(values, name)
    if values.ndim == 0 and d == 1:
        values = values[None]
    batch = mixture.log_weights.shape[:-1]
    if values.ndim == 0 or values.shape[-1] != d:
        raise ValueError(f"{name} must have shape (..., {d}), one number for each of {d} features, got {values.shape}")
    if values.ndim <= len(batch) or values.shape[: len(batch)] != batch:
        raise ValueError(f"{name} must have shape (*{batch}, ..., {d}) for this batch of mixtures, got {values.shape}")
    return values


def probabilities(p, name: str):
    """An array of numbers strictly between 0 and 1."""
    p = plain(p, name)
    if not checks.in_trace(p):
        held = np.asarray(p, np.float64)
        wrong = ~((held > 0) & (held < 1))
        if wrong.any():
            raise ValueError(f"{name} must be between 0 and 1, without these, got {held[wrong].ravel()[0]}")
    return p


def single(mixture, name: str = "mixture") -> Mixture:
    """The mixture, which must not be a batch of mixtures."""
    if mixture.log_weights.ndim != 1:
        raise ValueError(f"{name} is a batch of shape {mixture.log_weights.shape[:-1]}: use jax.vmap, or a loop")
    return mixture


def as_numpy(mixture: Mixture, function: str) -> Mixture:
    """The mixture with NumPy's arrays in float64; a traced one is refused, by the name of the ``function``."""
    if checks.in_trace(*jax.tree.leaves(mixture)):
        raise ValueError(f"{function} runs in NumPy and cannot be part of a trace (jit, vmap, grad): call it outside")
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixture)


def same_features(p, q):
    """Refuse two mixtures of different numbers of features."""
    d, other = p.n_features, q.n_features
    if d != other:
        raise ValueError(f"p has {d} features, q has {other}")
