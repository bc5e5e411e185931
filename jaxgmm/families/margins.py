"""Margins: cumulants and tails of each feature of a component alone, and the family of some of the features.

Cumulants are mean, variance, third central moment, and the fourth less three squared variances.

Source: Stuart and Ord, Kendall's Advanced Theory of Statistics 1 (1994), section 3.12.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ..numerics.backend import xp
from ..numerics.special import special
from .base import parameters


def sliced(family, params, features):
    """The family, and the parameters of some features: their entries along every axis d."""

    def cut(value, letters):
        for axis, letter in enumerate(letters, start=-len(letters)):
            if letter == "d":
                value = xp.take(value, np.asarray(features, np.int32), axis=axis, mode="clip")
        return value

    about = parameters(type(params))
    kept = {name: cut(getattr(params, name), about[name]["shape"]) for name in about}
    return family, type(params)(**kept)


@dataclasses.dataclass(frozen=True)
class Margins:
    """The features of a component one by one.

    Args:
        cumulants: ``params -> 4 × (k, d)``.
        tails: ``(params, x (d, b)) -> P(X <= x), P(X > x)``, each (k, d, b), of finite x, also where
            the support does not reach.
        marginal: ``(family, params, features) -> family, params`` of these features, a tuple of numbers below d.
        independent: whether features are independent within a component.
        normal: whether components are Gaussian.
        integers: whether values are integers.
    """

    cumulants: Callable
    tails: Callable
    marginal: Callable = sliced
    independent: bool = True
    normal: bool = False
    integers: bool = False


def normal_cumulants(means, variances):
    """Of Gaussian features, (k, d) and (k, d) or (k, 1) -> 4 × (k, d)."""
    nothing = xp.zeros_like(means)
    return means, xp.broadcast_to(variances, means.shape), nothing, nothing


def normal_tails(means, variances, x):
    """Of Gaussian features, (k, d), (k, d) or (k, 1), (d, b) -> 2 × (k, d, b)."""
    z = (x[..., None, :, :] - means[..., None]) / xp.sqrt(variances)[..., None]
    return special(z).ndtr(z), special(z).ndtr(-z)
