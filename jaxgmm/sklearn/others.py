"""Mixtures of the other families, in the shape of `GaussianMixture`. They have no prior and no initial parameters."""

import numpy as np

from .. import checks
from ..families.categorical import codes_of, of_shown
from ..family import lookup
from ..loading import family_of
from .base import MixtureEstimator


class OtherMixture(MixtureEstimator):
    """What the estimators of this file have in common.

    Args:
        n_components: K >= 1.
        tol, max_iter, n_init, init_params, random_state, warm_start, verbose, verbose_interval, accelerate: as in
            `GaussianMixture`.

    Attributes:
        weights_, mixture_, converged_, n_iter_, lower_bound_, lower_bounds_, n_features_in_, feature_names_in_: as in
            `GaussianMixture`; and the parameters of the family.
    """

    _name = None
    _integers = False

    def __init__(
        self,
        n_components=1,
        *,
        tol=1e-3,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        accelerate="auto",
    ):
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.accelerate = accelerate

    def _family(self, x):
        return lookup(self._name)

    def _fitted_family(self):
        return lookup(self._name)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = self._integers
        return tags


class BernoulliMixture(OtherMixture):
    """Mixture of independent Bernoulli features, 0 or 1. Attribute: ``probs_`` (K, n_features), those of a 1."""

    _name, _integers = "bernoulli", True


class PoissonMixture(OtherMixture):
    """Mixture of independent Poisson features, counts 0, 1, 2, ... Attribute: ``rates_`` (K, n_features)."""

    _name, _integers = "poisson", True


class ExponentialMixture(OtherMixture):
    """Mixture of independent exponential features, numbers >= 0. Attribute: ``rates_`` (K, n_features)."""

    _name = "exponential"


class GammaMixture(OtherMixture):
    """Mixture of independent Gamma features, numbers > 0.

    Attributes: ``concentrations_`` and ``rates_``, each (K, n_features).
    """

    _name = "gamma"


class CategoricalMixture(OtherMixture):
    """Mixture of independent categorical features: integer codes.

    Args:
        n_categories: c, for codes 0 .. c-1 in every feature; None reads the codes of each feature off the data.

    Attributes:
        probs_: (K, n_features, c), in the order of ``categories_``, 0 beyond those of a feature.
        categories_: list of the sorted codes of each feature, as scikit-learn's `OrdinalEncoder` has them.
    """

    _integers = True

    def __init__(
        self,
        n_components=1,
        *,
        n_categories=None,
        tol=1e-3,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        accelerate="auto",
    ):
        self.n_categories = n_categories
        super().__init__(
            n_components,
            tol=tol,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
            accelerate=accelerate,
        )

    def _family(self, x):
        if self.n_categories is None:
            return family_of("categorical", x)
        return lookup("categorical", n_categories=checks.count(self.n_categories, "n_categories"))

    def _fitted_family(self):
        return of_shown(tuple(tuple(codes.tolist()) for codes in self.categories_))

    def _adopt(self, mixture, make):
        super()._adopt(mixture, make)
        self.categories_ = list(map(np.array, codes_of(mixture.family, self.n_features_in_)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags
