"""jaxgmm: mixture models fitted by expectation-maximisation in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING

from . import datasets as datasets
from . import distributed as distributed
from .criteria import aic, bic, icl
from .data.sources import Stream, rows
from .families.base import Constraint, Family, Support, exponential_family, parameter
from .families.categorical import categorical  # the package fills the registry of names
from .families.forms import Natural
from .fitting import fit
from .inference import (
    e_step,
    joint_log_prob,
    log_prob,
    m_step,
    n_parameters,
    predict,
    responsibilities,
    sample,
)
from .mixtures import mixture
from .records import FitResult, FitWarning, GaussianPrior, Mixture, Selection, Statistics, Status
from .search.callbacks import Glance, History, Progress
from .selection import select
from .storage import load, save
from .unconstrained import constrain, unconstrain

if TYPE_CHECKING:
    from .algebra import (
        cdf,
        concatenate,
        conditional,
        convolve,
        density_level,
        divergence,
        entropy,
        from_gmr,
        from_ott,
        marginal,
        modes,
        moments,
        multiply,
        probability,
        quantile,
        reduce,
        regress,
        to_gmr,
        to_numpyro,
        to_ott,
        to_scipy,
        transform,
    )
    from .gradient import fit_gradient
    from .many import fit_many
    from .planning import Plan, plan
    from .stepwise import fit_stepwise
else:
    # Loaded where it is asked for; whatever else is public, but not here, is mathematics on mixtures.
    _LATER = {
        "Plan": "planning",
        "fit_gradient": "gradient",
        "fit_many": "many",
        "fit_stepwise": "stepwise",
        "plan": "planning",
    }

    def __getattr__(name: str):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER.get(name, 'algebra')}"), name)


__version__ = "0.1.0"

__all__ = [
    "Constraint",
    "Family",
    "FitResult",
    "FitWarning",
    "GaussianPrior",
    "Glance",
    "History",
    "Mixture",
    "Natural",
    "Plan",
    "Progress",
    "Selection",
    "Statistics",
    "Status",
    "Stream",
    "Support",
    "aic",
    "bic",
    "categorical",
    "cdf",
    "concatenate",
    "conditional",
    "constrain",
    "convolve",
    "density_level",
    "divergence",
    "e_step",
    "entropy",
    "exponential_family",
    "fit",
    "fit_gradient",
    "fit_many",
    "fit_stepwise",
    "from_gmr",
    "from_ott",
    "icl",
    "joint_log_prob",
    "load",
    "log_prob",
    "m_step",
    "marginal",
    "mixture",
    "modes",
    "moments",
    "multiply",
    "n_parameters",
    "parameter",
    "plan",
    "predict",
    "probability",
    "quantile",
    "reduce",
    "regress",
    "responsibilities",
    "rows",
    "sample",
    "save",
    "select",
    "to_gmr",
    "to_numpyro",
    "to_ott",
    "to_scipy",
    "transform",
    "unconstrain",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
