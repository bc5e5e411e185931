"""The frame of a fit: data are shifted by their mean and scaled by their deviation, and parameters move with them.

    x' = (x - shift) / scale,      log p(x) = log p'(x') - Σ_j log scale_j

EM sums raw moments. In float32, a covariance of data at mean 100 and deviation 1 loses 1e-3 that way; centred, 1e-6.
How a parameter moves follows from its declaration: whether it is ``located``, and its power of the data's ``units``.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from ..families.base import parameters
from ..numerics import eps
from ..numerics.backend import xp
from ..records import GaussianPrior, record


@record
class Frame:
    """Shift and scale (..., d). ``inverse`` (..., d) is 1 / scale, 0 for a feature without variance; ``reference``
    (..., d) is the mean of the data in the frame, about which moments are taken."""

    shift: Any
    scale: Any
    inverse: Any
    reference: Any


def unit_frame(d, dtype) -> Frame:
    """The frame with shift 0 and scale 1."""
    zeros, ones = np.zeros(d, dtype), np.ones(d, dtype)
    return Frame(zeros, ones, ones, zeros)


def frame_of(scaling: str | None, mean, variance) -> Frame:
    """The frame of data with this mean and variance (..., d).

    Args:
        scaling: "feature": shift by the mean, scale every feature by its deviation. "common": shift by the mean, one
            scale for all features. "ratio": no shift, scale by the mean. None: neither.

    A feature without variance, V ≤ (8·eps·|mean|)², counts as one of variance 1 and is 0 in the frame. A feature whose
    variance overflows is NaN in the frame.
    """
    zeros, ones = xp.zeros_like(mean), xp.ones_like(mean)
    varies = (variance > (8 * eps(mean) * xp.abs(mean)) ** 2) | ~xp.isfinite(variance)
    if scaling == "feature":
        scale = xp.sqrt(xp.where(varies, variance, 1))
        return Frame(mean, scale, _inverse(scale, varies), zeros)
    if scaling == "common":
        scale = xp.sqrt(xp.where(varies.any(-1, keepdims=True), variance.mean(-1, keepdims=True), 1)) * ones
        return Frame(mean, scale, _inverse(scale, varies), zeros)
    if scaling == "ratio":
        scale = xp.where(mean > 0, mean, 1)
        return Frame(zeros, scale, 1 / scale, mean / scale)
    return Frame(zeros, ones, ones, mean)


def of_first_rows(frame: Frame) -> Frame:
    """The frame of some rows, for others to follow: features that do not vary among the first may vary among those."""
    return dataclasses.replace(frame, inverse=1 / frame.scale)


def _inverse(scale, varies):
    return xp.where(xp.isfinite(scale), varies / scale, np.nan)


def enter(params, frame: Frame):
    """Parameters of the data as those of the data in the frame."""
    return _map(params, frame, inwards=True)


def leave(params, frame: Frame):
    """Parameters of the data in the frame as those of the data."""
    return _map(params, frame, inwards=False)


def enter_prior(prior: GaussianPrior | None, frame: Frame):
    """The prior in the frame's units."""
    return None if prior is None else dataclasses.replace(prior, reg_covar=prior.reg_covar / frame.scale**2)


def log_volume(frame: Frame):
    """Σ_j log scale_j (...): subtract it from a log density in the frame to have that of the data."""
    return xp.log(frame.scale).sum(-1)


def _map(params, frame: Frame, inwards: bool):
    """Parameters moved into the frame, or out of it, as they are declared."""
    moved = {}
    for name, about in parameters(type(params)).items():
        value, units, ndim = getattr(params, name), about["units"], len(about["shape"])
        features = [i - ndim for i, axis in enumerate(about["shape"]) if axis == "d"]
        factor, offset = 1, 0
        if units and features:  # a covariance has the unit of each of its two axes
            power = units // len(features) if units % len(features) == 0 else units / len(features)
            factor = math.prod(_along(frame.scale**power, axis, ndim) for axis in features)
        elif units:  # one number a component: features have a common scale
            factor = _along(frame.scale[..., :1] ** units, -1, max(ndim, 1))
            factor = factor if ndim else factor[..., 0]
        if about["located"]:
            offset = _along(frame.shift, features[0], ndim)
        moved[name] = (value - offset) / factor if inwards else value * factor + offset
    return type(params)(**moved)


def _along(numbers, axis: int, ndim: int):
    """Numbers (..., d) reshaped to broadcast along an axis (negative) of a parameter with ``ndim`` axes in a lane."""
    *lanes, d = numbers.shape
    return numbers.reshape(*lanes, *(1,) * (ndim + axis), d, *(1,) * (-axis - 1))
