"""Derivatives of a fitted mixture with respect to rows, weights and prior, by the implicit function theorem."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .derivative import differentiable
    from .map import Smooth
else:

    def __getattr__(name: str):  # imported at the first derivative: most programs take none
        if name not in ("Smooth", "differentiable"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import derivative, map

        return getattr(derivative if name == "differentiable" else map, name)
