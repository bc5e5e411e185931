"""Derivatives of a fit, by the implicit function theorem at its fixed point."""

from .derivative import differentiable
from .map import Smooth
