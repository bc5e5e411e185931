"""The frame a fit runs in: data shifted by their mean and scaled by their spread; parameters are mapped alike.

    x' = (x - shift) / scale,      log p(x) = log p'(x') - Σ_j log scale_j

Raw moments at offset 100 lose 1e-3 of a covariance in float32, 1e-6 once centred. How a parameter moves is read off its
declaration: whether it is located, and its power of the data's units.
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
    """All (..., d): shift and scale; ``inverse`` is 1 / scale, or 0 for a feature without variance; ``reference`` is
    the mean of the framed data, about which moments are taken."""

    shift: Any
    scale: Any
    inverse: Any
    reference: Any


def unit_frame(d, dtype) -> Frame:
    """The frame that changes nothing."""
    zeros, ones = np.zeros(d, dtype), np.ones(d, dtype)
    return Frame(zeros, ones, ones, zeros)


def frame_of(scaling: str | None, mean, variance) -> Frame:
    """The frame of data with this mean and variance (..., d).

    "feature": every feature by its own deviation. "common": one scale for all. "ratio": no shift, scale by the mean.
    None: nothing. A feature without variance, V ≤ (8·eps·|mean|)², counts as variance 1 and is 0 in the frame; one
    whose variance overflows is NaN.
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


def _inverse(scale, varies):
    return xp.where(xp.isfinite(scale), varies / scale, np.nan)


def enter(params, frame: Frame):
    """Parameters of the framed data."""
    return _map(params, frame.shift, frame.scale, inwards=True)


def leave(params, frame: Frame):
    """Parameters of the data themselves."""
    return _map(params, frame.shift, frame.scale, inwards=False)


def enter_prior(prior: GaussianPrior | None, frame: Frame):
    """The prior in the frame's units."""
    return None if prior is None else dataclasses.replace(prior, reg_covar=prior.reg_covar / frame.scale**2)


def log_volume(frame: Frame):
    """Σ log scale: what the frame adds to every log density."""
    return xp.log(frame.scale).sum(-1)


def _map(params, shift, scale, inwards):
    moved = {}
    for name, about in parameters(type(params)).items():
        value, units, ndim = getattr(params, name), about["units"], len(about["shape"])
        features = [i - ndim for i, axis in enumerate(about["shape"]) if axis == "d"]
        factor, offset = 1, 0
        if units and features:  # a covariance has one unit of each of its axes
            power = units // len(features) if units % len(features) == 0 else units / len(features)
            factor = math.prod(_along(scale**power, axis, ndim) for axis in features)
        elif units:  # one number a component: the common scale
            factor = _along(scale[..., :1] ** units, -1, max(ndim, 1))
            factor = factor if ndim else factor[..., 0]
        if about["located"]:
            offset = _along(shift, features[0], ndim)
        moved[name] = (value - offset) / factor if inwards else value * factor + offset
    return type(params)(**moved)


def _along(numbers, axis: int, ndim: int):
    """Numbers (..., d) along this axis, counted from the end, of ``ndim`` that a parameter has in every lane."""
    *lanes, d = numbers.shape
    return numbers.reshape(*lanes, *(1,) * (ndim + axis), d, *(1,) * (-axis - 1))
