"""Mixtures of the other families, in the shape of `GaussianMixture`. They have no prior and no initial parameters."""

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from .. import checks
from ..families.base import Family, lookup
from ..families.categorical import codes_of, of_shown
from ..records import Init
from ..search.loading import family_of
from . import arrays, labels
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
        n_components: int = 1,
        *,
        tol: float | str = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Init = "kmeans",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        accelerate: str = "auto",
    ) -> None:
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

    probs_: arrays.Array
    _name, _integers = "bernoulli", True


class PoissonMixture(OtherMixture):
    """Mixture of independent Poisson features: counts from 0 on. Attribute: ``rates_`` (K, n_features)."""

    rates_: arrays.Array
    _name, _integers = "poisson", True


class ExponentialMixture(OtherMixture):
    """Mixture of independent exponential features, numbers >= 0. Attribute: ``rates_`` (K, n_features)."""

    rates_: arrays.Array
    _name = "exponential"


class GammaMixture(OtherMixture):
    """Mixture of independent Gamma features, numbers > 0.

    Attributes: ``concentrations_`` and ``rates_``, each (K, n_features).
    """

    concentrations_: arrays.Array
    rates_: arrays.Array
    _name = "gamma"


class CategoricalMixture(OtherMixture):
    """Mixture of independent categorical features: integer codes, or words in a frame or an array of objects.

    Args:
        n_categories: c, for codes 0 .. c-1 in every feature; None reads the codes of each feature off the data.

    Attributes:
        probs_: (K, n_features, c), in the order of ``categories_``, 0 beyond those of a feature.
        categories_: list of the sorted codes or labels of each feature, as scikit-learn's `OrdinalEncoder` has them.
            ``mixture_`` knows codes, and of columns of words the places of their labels in these arrays.
    """

    probs_: arrays.Array
    categories_: list[np.ndarray]
    _integers = True
    _labels = None  # those that the data hold in place of codes

    def __init__(
        self,
        n_components: int = 1,
        *,
        n_categories: int | None = None,
        tol: float | str = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Init = "kmeans",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        accelerate: str = "auto",
    ) -> None:
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
        if self._labels:
            return lookup("categorical", n_categories=self.probs_.shape[-1])
        return of_shown(tuple(tuple(codes.tolist()) for codes in self.categories_))

    def _set_attributes(self, mixture, make):
        super()._set_attributes(mixture, make)
        self.categories_ = self._labels or list(map(np.array, codes_of(mixture.family, self.n_features_in_)))

    def _read(self, X, reset, least):
        X = arrays.source(X)
        learns = reset and not (self.warm_start and hasattr(self, "categories_"))
        if learns:
            self._labels = None
        if not (labels.labelled(X) if learns else self._labels):
            return super()._read(X, reset, least)
        if self.n_categories is not None:
            raise ValueError("n_categories must be None where X holds words: they are read off it")
        values = check_array(labels.values_of(X), dtype=None, ensure_all_finite=False, ensure_min_samples=least)
        validate_data(self, X, reset=reset, skip_check_array=True)
        names = getattr(X, "columns", range(values.shape[1]))
        if learns:
            self._labels = labels.learned(values, names)
        return labels.coded(values, names, self._labels)

    def _drawn(self, rng, mixture, labels):
        x = super()._drawn(rng, mixture, labels)
        if not self._labels:
            return x
        columns = zip(self.categories_, x.T.astype(int), strict=True)
        return np.stack([own.astype(object)[codes] for own, codes in columns], axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only, tags.input_tags.string = False, True
        return tags


class FamilyMixture(OtherMixture):
    """Mixture of any family: one of your own, or one of the library by its name.

    Args:
        n_components: K >= 1.
        family: a name, or a `jaxgmm.Family`.

    Attributes: ``family_``, and its parameters by their names with an underscore, such as ``means_``.
    """

    family_: Family

    def __init__(
        self,
        n_components: int = 1,
        *,
        family: str | Family = "full",
        tol: float | str = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Init = "kmeans",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        accelerate: str = "auto",
    ) -> None:
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
        self.family = family

    def _family(self, x):
        return family_of(self.family, x)

    def _fitted_family(self):
        return self.family_

    def _set_attributes(self, mixture, make):
        super()._set_attributes(mixture, make)
        self.family_ = mixture.family

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags
