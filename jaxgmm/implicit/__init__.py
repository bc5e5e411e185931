"""Derivatives of a fit, by the implicit function theorem at its fixed point."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .derivative import differentiable
    from .map import Smooth
else:

    def __getattr__(name: str):  # most fits are not differentiated: loaded where one is
        if name not in ("Smooth", "differentiable"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import derivative, map

        return getattr(derivative if name == "differentiable" else map, name)
