"""Estimators for scikit-learn: ``from jaxgmm.sklearn import GaussianMixture`` (the extra ``sklearn``).

`GaussianMixture` takes the place of ``sklearn.mixture.GaussianMixture``: its constructor, attributes, defaults and
stopping rule. `BernoulliMixture`, `CategoricalMixture`, `PoissonMixture`, `ExponentialMixture` and `GammaMixture` have
the same shape; `MixtureSearch` fits a grid of covariance types and numbers of components at once.
"""

try:
    import sklearn as _sklearn
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    advice = "jaxgmm.sklearn needs scikit-learn: pip install scikit-learn"
    raise ModuleNotFoundError(advice, name="sklearn") from None

from .base import DegenerateWarning
from .gaussian import GaussianMixture
from .others import (
    BernoulliMixture,
    CategoricalMixture,
    ExponentialMixture,
    FamilyMixture,
    GammaMixture,
    PoissonMixture,
)
from .search import MixtureSearch

__all__ = [
    "BernoulliMixture",
    "CategoricalMixture",
    "DegenerateWarning",
    "ExponentialMixture",
    "FamilyMixture",
    "GammaMixture",
    "GaussianMixture",
    "MixtureSearch",
    "PoissonMixture",
]
