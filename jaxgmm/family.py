"""What an author of a family imports; `docs/extending.md` shows it at work."""

from .families.base import (
    Constraint,
    ExponentialForm,
    Family,
    Natural,
    ResidualForm,
    Support,
    exponential_family,
    known,
    lookup,
    parameter,
    register,
)

__all__ = [
    "Constraint",
    "ExponentialForm",
    "Family",
    "Natural",
    "ResidualForm",
    "Support",
    "exponential_family",
    "known",
    "lookup",
    "parameter",
    "register",
]
