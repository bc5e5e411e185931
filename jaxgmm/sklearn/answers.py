"""The methods of a fitted estimator: labels, densities, criteria and samples; and the checks of X."""

import abc
import numbers
import types
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_non_negative, validate_data

from .. import checks, criteria, inference
from ..data import streamed_summary
from ..data.padding import filled, on_host, padded_rows
from ..data.sources import Stream
from ..mixtures import cast
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.dtypes import HALF, compute_dtype, in_precision_of
from ..numerics.plain import columns_of, plain
from ..records import Mixture
from . import arrays, few, starts

OUTSIDE = types.SimpleNamespace(not_finite=0, outside=1)  # in place of what a fit measures


class MixtureAnswers(DensityMixin, BaseEstimator, metaclass=abc.ABCMeta):
    """The methods that need nothing but a fitted mixture. A subclass has ``mixture_`` and ``random_state``.

    X is an array, a frame, or rows that stream: what `jaxgmm.rows` makes, paths, and memory maps of more than a quarter
    of free memory. The answer for rows that stream is made block by block, in NumPy.
    """

    n_features_in_: int
    feature_names_in_: np.ndarray
    _dtypes = "numeric"  # dtypes that X keeps: of "numeric" all, integers too

    @property
    @abc.abstractmethod
    def mixture_(self) -> Mixture:
        """The fitted parameters as the core's `Mixture`, in NumPy."""

    def predict(self, X: Any) -> Any:
        """Most probable component of every row, (n_samples,)."""
        labels = self._answer(inference.predict, X)
        return labels.astype(np.int64) if isinstance(labels, np.ndarray) else labels

    def predict_proba(self, X: Any) -> Any:
        """Posterior probability of every component, (n_samples, n_components)."""
        return self._answer(inference.responsibilities, X)

    def score_samples(self, X: Any) -> Any:
        """Log density of every row, (n_samples,)."""
        return self._answer(inference.log_prob, X)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log density of the rows, a float: Σ w log p(x) / Σ w."""
        total, weight = self._log_likelihood(X, sample_weight)
        return total / weight

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion, a float; lower is better. The number of rows is Σ w."""
        total, weight = self._log_likelihood(X, sample_weight)
        return -2 * total + self._n_parameters() * float(np.log(weight))

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion, a float; lower is better."""
        return -2 * self._log_likelihood(X, sample_weight)[0] + 2 * self._n_parameters()

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Integrated completed likelihood, a float; lower is better."""
        mixture = self.mixture_
        certainty = sum(float(_certainty(mixture, *part)) for part in self._pieces(X, sample_weight))
        return self.bic(X, sample_weight) - 2 * certainty

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Rows drawn from the mixture (n_samples, n_features) and their components (n_samples,), in order of these."""
        mixture, rng = self.mixture_, check_random_state(self.random_state)
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': it must be an integer >= 1, got {n_samples!r}")
        weights = np.exp(mixture.log_weights.astype(np.float64))
        counts = rng.multinomial(n_samples, weights / weights.sum())
        labels = np.repeat(np.arange(mixture.n_components), counts)
        return self._as_fitted(self._drawn(rng, mixture, labels)), self._as_fitted(labels)

    def _drawn(self, rng, mixture: Mixture, labels):
        """Rows (n, d) drawn from the components ``labels`` (n,)."""
        some = np.pad(labels.astype(np.int32), (0, padded_rows(len(labels)) - len(labels)))
        return np.asarray(_draw(inference.as_key(starts.seed(rng)), mixture, some))[: len(labels)]

    def _as_fitted(self, values):
        """An array of the kind that the estimator was fitted to."""
        return arrays.maker(self.weights_)(values)

    def _n_parameters(self) -> int:
        return inference.n_parameters(self.mixture_)

    def _rows(self, X, reset=False, least=1):
        """X checked, in NumPy, or in JAX where it lies on a device. With ``reset`` it is to be fitted: the fit checks
        the support. Rows that stream are checked as they are read."""
        x = self._read(X, reset, max(least, 2) if reset else least)
        if not reset and not isinstance(x, Stream):
            family = self.mixture_.family
            if few.are_few(x, 1) or not family.located:
                rows = on_host(x)
                if isinstance(rows, np.ndarray) or _outside(rows, family):
                    checks.row_values(rows, family, OUTSIDE, elsewhere=True)
        return x

    def _read(self, X, reset, least):
        X = arrays.source(X)
        if isinstance(X, Stream):
            self._keep_or_compare_features(X, reset)
            return X
        x = arrays.on_device(X)
        if x is None:
            x = plain(X, "X")
            x = x.astype(np.float32) if x.dtype.name in HALF else x  # scikit-learn would make float16 float64
            x = check_array(x, dtype=self._dtypes, ensure_min_samples=least, estimator=self, input_name="X")
            named = x if isinstance(X, np.ndarray) or columns_of(X) is None else X
            validate_data(self, named, reset=reset, skip_check_array=True)
        else:
            x = checks.table(x, "X")
            if x.shape[0] < least:
                raise ValueError(f"Found array with {x.shape[0]} sample(s) while a minimum of {least} is required.")
            validate_data(self, X, reset=reset, skip_check_array=True)
            if not bool(_finite(on_host(x))):
                raise ValueError("Input X contains NaN or infinity.")
        if self.__sklearn_tags__().input_tags.positive_only and isinstance(x, np.ndarray):
            check_non_negative(x, type(self).__name__)
        return x

    def _keep_or_compare_features(self, stream: Stream, reset):
        """As `validate_data`, for rows that stream: keep number and names of features, or compare them with those."""
        if reset:
            self.n_features_in_ = stream.d
            if stream.columns:
                self.feature_names_in_ = np.array(stream.columns, dtype=object)
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return
        if stream.d != self.n_features_in_:
            raise ValueError(
                f"X has {stream.d} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input"
            )
        names = getattr(self, "feature_names_in_", None)
        if names is not None and stream.columns and list(names) != list(stream.columns):
            raise ValueError(
                "The feature names should match those that were passed during fit: "
                f"X has {', '.join(stream.columns)}; {', '.join(names)} were fitted"
            )

    def _pieces(self, X, sample_weight=None):
        """Pairs of checked rows in memory and their weights or None: X itself, or its blocks where it streams."""
        x = self._rows(X)
        if isinstance(x, Stream):
            yield from streamed_summary.checked(arrays.weighted(x, sample_weight)[0], self.mixture_.family)
        elif sample_weight is None:
            yield x, None
        else:
            weight = np.asarray(arrays.weights(x, sample_weight))
            checks.weight_values(weight, 1)
            yield x, weight

    def _answer(self, function, X):
        mixture = self.mixture_
        answers = [self._of_rows(function, mixture, x) for x, _ in self._pieces(X)]
        if isinstance(answers[0], np.ndarray):
            return arrays.maker(X)(answers[0] if len(answers) == 1 else np.concatenate(answers))
        return answers[0] if isinstance(X, jax.Array) else arrays.maker(X)(answers[0])

    def _log_likelihood(self, X, sample_weight):
        """Σ w log p(x) and Σ w, in float64."""
        mixture, total, total_weight = self.mixture_, 0.0, 0.0
        for x, weight in self._pieces(X, sample_weight):
            values = np.asarray(self._of_rows(inference.log_prob, mixture, x), np.float64)
            weight = np.ones_like(values) if weight is None else np.asarray(weight, np.float64)
            total += float(np.where(weight > 0, weight * values, 0).sum())
            total_weight += float(weight.sum())
        if total_weight == 0:
            raise ValueError("sample_weight must not be all zero")
        return total, total_weight

    def _of_rows(self, function, mixture, x):
        """A function of the core applied to rows in memory, as an array of their kind."""
        if mixture.family.in_numpy and few.are_few(x, mixture.n_components):
            return few.answer(function, mixture, x)
        answers = function(mixture, x)
        return np.asarray(answers) if isinstance(x, np.ndarray) else answers


def _certainty(mixture, x, weight):
    """Σ w log max_k r_k of rows in memory."""
    in_numpy = mixture.family.in_numpy and few.are_few(x, mixture.n_components)
    return (few if in_numpy else criteria).certainty(mixture, x, weight)


@in_precision_of("x")
def _finite(x):
    return xp.isfinite(x).all()


@in_precision_of("x")
def _outside(x, family):
    """Whether a value of rows on a device is outside the support."""
    return bool(_any_outside(filled(x, padded_rows(len(x))), family))


@compiled("family")
def _any_outside(x, family):
    return (~family.support.contains(x.astype(compute_dtype(x)).T)).any()


@in_precision_of("mixture")
def _draw(key, mixture, labels):
    return _drawn(key, cast(mixture, compute_dtype(mixture.log_weights)), labels)


@compiled()
def _drawn(key, mixture, labels):
    return mixture.family.sample(key, mixture.components, labels)
