"""What the author of a new family imports; `docs/extending.md` shows how to use it."""

from .families.base import Constraint, Family, Support, exponential_family, known, lookup, parameter, register
from .families.forms import ExponentialForm, Natural, ResidualForm
from .families.margins import Margins

__all__ = [
    "Constraint",
    "ExponentialForm",
    "Family",
    "Margins",
    "Natural",
    "ResidualForm",
    "Support",
    "exponential_family",
    "known",
    "lookup",
    "parameter",
    "register",
]
