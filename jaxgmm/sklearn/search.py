"""`MixtureSearch`: numbers of components, covariance types and starts in one fit, ranked by a criterion."""

import warnings
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .. import checks, selection
from ..fitting import ADVICE
from ..records import FitResult, FitWarning, Mixture, Selection, Status
from ..search import repeats
from . import arrays, starts
from .agreement import agreement, thinned
from .answers import MixtureAnswers
from .base import DegenerateWarning
from .gaussian import TYPES, GaussianMixture

SOUND = ("CONVERGED", "MAX_ITER")


class MixtureSearch(MixtureAnswers):
    """The best Gaussian mixture of a grid, by `jaxgmm.select`: the core's stopping rule and relative prior.

    Args:
        n_components: the numbers of components: an int or an iterable of ints; those above the number of rows are left
            out.
        covariance_types: of "full", "tied", "diag", "spherical".
        n_init: number of starts of every fit, as in `jaxgmm.select`.
        criterion: "bic", "aic" or "icl"; lower is better.
        random_state: int, RandomState or None.

    Attributes:
        best_estimator_: a fitted `GaussianMixture`; predictions and scores are its own.
        best_params_, best_score_, best_index_: its parameters, its criterion, and its place in ``cv_results_``.
        cv_results_: dict of arrays, one entry a fit, that a DataFrame takes: params, param_covariance_type,
            param_n_components, log_likelihood, n_parameters, bic, aic, icl, status (a `jaxgmm.Status` name), rank (1 is
            best; degenerate fits come last).
        stability_: dict with ``n_components`` (m,) and ``adjusted_rand`` (m, pairs): how alike two starts label
            the rows (of more than 10,000, some), for every pair of starts, with the best covariance type.
        n_features_in_, feature_names_in_: as in `GaussianMixture`.
    """

    best_estimator_: GaussianMixture
    best_params_: dict[str, Any]
    best_score_: float
    best_index_: int
    cv_results_: dict[str, Any]
    stability_: dict[str, np.ndarray]
    _dtypes = (np.float64, np.float32)

    def __init__(
        self,
        n_components: int | Iterable[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9),
        *,
        covariance_types: str | Iterable[str] = TYPES,
        n_init: int = 10,
        criterion: str = "bic",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_types = covariance_types
        self.n_init = n_init
        self.criterion = criterion
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """The search, fitted: every K and covariance type from ``n_init`` starts.

        Args:
            X: (n_samples, n_features); or rows that stream, as `jaxgmm.select` takes them.
            y: ignored.
            sample_weight: (n_samples,) weights >= 0, as frequencies.

        Raises:
            ValueError: bad parameters, shapes or values.

        Warns:
            ConvergenceWarning: the best fit ended before it converged.
            DegenerateWarning: every fit is degenerate.
            FitWarning: as `jaxgmm.select`, of numbers of components that are left out and of weights.
        """
        x = self._rows(X, reset=True)
        types = [self.covariance_types] if isinstance(self.covariance_types, str) else list(self.covariance_types)
        for covariance_type in types:
            checks.choice(covariance_type, "covariance_types", TYPES)
        x, weight = arrays.weighted(x, sample_weight)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the best fit ended", FitWarning)  # `_warn` says so in its place
            seed = starts.seed(check_random_state(self.random_state))
            chosen = selection.select(
                seed,
                x,
                self.n_components,
                families=types,
                criterion=self.criterion,
                n_init=self.n_init,
                sample_weight=weight,
            )
        some, own, total = thinned(x, weight)
        self._set_results(chosen, X, total)
        family, ks = self.best_params_["covariance_type"], sorted(set(self.cv_results_["param_n_components"].tolist()))
        self.stability_ = {
            "n_components": np.array(ks),
            "adjusted_rand": agreement(seed, some, own, family, ks=ks, n_init=self.n_init),
        }
        self._warn(chosen.best, x, weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Any:
        """Labels (n_samples,) of the rows that the search was fitted to, by the best estimator."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    @property
    def mixture_(self) -> Mixture:
        """The best mixture, in NumPy."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.mixture_

    def _as_fitted(self, values):
        return self.best_estimator_._as_fitted(values)

    def _drawn(self, rng, mixture, labels):
        return self.best_estimator_._drawn(rng, mixture, labels)

    def _set_results(self, chosen: Selection, X, weight: float):
        """Set the fitted attributes, from a selection for X of total weight ``weight``."""
        table = chosen.table
        params = [{"covariance_type": row["family"], "n_components": row["n_components"]} for row in table]
        best = next(i for i, result in enumerate(chosen.results) if result is chosen.best)
        values = np.nan_to_num([row[self.criterion] for row in table], nan=np.inf)
        order = sorted(range(len(table)), key=lambda i: (i != best, table[i]["status"] not in SOUND, values[i]))
        columns = ("log_likelihood", "n_parameters", "bic", "aic", "icl", "status")
        self.cv_results_ = {
            "params": params,
            "param_covariance_type": np.array([row["family"] for row in table]),
            "param_n_components": np.array([row["n_components"] for row in table]),
            **{column: np.array([row[column] for row in table]) for column in columns},
            "rank": np.argsort(order).astype(np.int32) + 1,
        }
        self.best_index_, self.best_params_, self.best_score_ = best, params[best], table[best][self.criterion]
        self.best_estimator_ = GaussianMixture(
            **self.best_params_,
            tol="limit",
            reg_covar=0.0,
            max_iter=1000,
            n_init=self.n_init,
            init_params="k-means++",
            random_state=self.random_state,
        )._fitted_to(chosen.best, X, weight)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(self.best_estimator_, name, getattr(self, name))

    def _warn(self, best: FitResult, x, weight):
        status = best.status
        if status in ADVICE:
            degenerate = status is Status.DEGENERATE
            cause = repeats.words(best.mixture, x, weight) if degenerate else ""
            kind = DegenerateWarning if degenerate else ConvergenceWarning
            warnings.warn(f"the best fit ended {status.name}: {ADVICE[status]}{cause}", kind, stacklevel=3)
