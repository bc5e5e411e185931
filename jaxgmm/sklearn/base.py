"""What all estimators share: `fit`, `partial_fit`, their checks, and the fitted attributes."""

import abc
import dataclasses
import warnings
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .. import checks
from ..data import streamed_summary
from ..data.sources import Stream
from ..em.squarem import METHODS
from ..families.base import Family, parameters
from ..numerics.dtypes import compute_dtype
from ..pytrees import Kept, kept, restored
from ..records import FitResult, FitWarning, Mixture
from ..search import floors, repeats
from . import arrays, few, solving, starts, stepwise
from .answers import MixtureAnswers
from .options import Options


class DegenerateWarning(ConvergenceWarning, FitWarning):
    """Components are held up by ``reg_covar``, where the data do not vary, or one is, or by less than a row of data."""


class MixtureEstimator(MixtureAnswers):
    """Fitting, in any family. Subclasses name the family and the given parameters."""

    weights_: arrays.Array
    converged_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]

    # -- for a subclass to define --------------------------------------------------------------------------------

    @abc.abstractmethod
    def _family(self, x) -> Family:
        """The family of rows x."""

    @abc.abstractmethod
    def _fitted_family(self) -> Family:
        """The family that was fitted."""

    def _fitted(self, name: str) -> np.ndarray:
        """A fitted parameter by its name in the family."""
        return np.asarray(getattr(self, f"{name}_"))

    def _prior(self):
        return None

    def _initial_parameters(self, d: int, dtype):
        """Weights (k,) or None, and parameters by name, that replace those of every start."""
        return None, {}

    # -- fitting -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """The estimator, fitted by EM.

        Args:
            X: (n_samples, n_features); or rows that stream, as `jaxgmm.fit` takes them, for the same fit.
            y: ignored.
            sample_weight: (n_samples,) weights >= 0, as frequencies: weight 2 is the row twice.

        Raises:
            ValueError: bad parameters, shapes or values.

        Warns:
            ConvergenceWarning: ``max_iter`` came before the stopping rule's end.
            DegenerateWarning: a component is held up by ``reg_covar`` or by less than a row; or all are, in a direction
                in which X does not vary.
        """
        x = self._rows(X, reset=True)
        warm = bool(self.warm_start) and hasattr(self, "converged_")
        options = self._options(x, warm)
        x, weight = arrays.weighted(x, sample_weight)
        x, weight = few.in_memory(x, weight, options.family, options.k, options.n_init)
        solution = solving.solve(x, weight, options, check_random_state(self.random_state))
        if self._collapsed(solution):
            raise ValueError(
                "Fitting the mixture model failed because some components have ill-defined empirical covariance (for "
                "instance caused by singleton or collapsed samples). Try to decrease the number of components, "
                "increase reg_covar, or scale the input data."
            )
        self._set_attributes(solution.mixture, arrays.maker(X))
        self.converged_ = solution.converged
        self.n_iter_ = solution.n_iter
        self.lower_bounds_ = solution.bounds
        self.lower_bound_ = solution.bounds[-1] if solution.bounds else -np.inf
        self._stepwise = None
        self._warn(solution, x, weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Any:
        """Labels (n_samples,) of the rows that the estimator was fitted to: those of ``fit(X).predict(X)``."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """The estimator after one step of stepwise EM with a block of rows; a step a block where rows stream.

        The statistics of the t-th block are blended into those before it with γ_t = t^(-0.6), times the block's weight
        as a share of the mean block's (see `jaxgmm.fit_stepwise`).

        The first block is where the start is drawn and what the frame of all moments is taken from: it should look like
        the rest, and hold rows for every component. An estimator that was fitted goes on from its parameters.

        Warns:
            FitWarning: components are too narrow for moments in this precision; the block was left out.

        Source: Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models.
        """
        known = hasattr(self, "weights_")
        x = self._rows(X, reset=not known, least=1 if known else 2)
        options = self._options(x, known)
        x, weight = arrays.weighted(x, sample_weight)
        if not isinstance(x, Stream):
            return self._step(x, weight, options, arrays.maker(X))
        for block, own in streamed_summary.checked(x, options.family):
            self._step(block, arrays.weights(block, own), options, np.asarray)
            options = self._options(block, True)
        return self

    @property
    def mixture_(self) -> Mixture:
        """The fitted parameters as the core's `Mixture`, in NumPy."""
        check_is_fitted(self, "weights_")
        family = self._fitted_family()
        values = {name: self._fitted(name) for name in parameters(family.parameters)}
        with np.errstate(divide="ignore"):
            log_weights = np.log(np.asarray(self.weights_))
        names = getattr(self, "feature_names_in_", None)
        columns = None if names is None else tuple(names)
        return Mixture(log_weights, family.parameters(**values), family, columns)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _options(self, x, warm: bool) -> Options:
        """The checked parameters; of a ``warm`` start, which is the fitted mixture, or of starts that are drawn."""
        n, d = x.shape
        k = checks.count(self.n_components, "n_components")
        n_init = checks.count(self.n_init, "n_init")
        max_iter = checks.count(self.max_iter, "max_iter", least=0)
        interval = checks.count(self.verbose_interval, "verbose_interval")
        verbose = checks.count(
            int(self.verbose) if isinstance(self.verbose, bool) else self.verbose, "verbose", least=0
        )
        checks.choice(self.warm_start, "warm_start", (False, True))
        tol = self.tol if isinstance(self.tol, str) else checks.number(self.tol, "tol")
        if isinstance(tol, str) and tol != "limit":
            raise ValueError(f"tol must be a number >= 0 or 'limit', got {tol!r}")
        if n is not None and n < k and not warm:
            raise ValueError(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {n}")
        family = self._family(x)
        weights, given = self._initial_parameters(d, compute_dtype(x))
        bound = -np.inf
        if warm:
            init, weights, given, bound = self._fitted_start(family, k, d), None, {}, self.lower_bound_
            family = init.family
        elif weights is not None and set(given) == set(parameters(family.parameters)):
            with np.errstate(divide="ignore"):
                init, n_init = Mixture(np.log(weights), family.parameters(**given), family), 1
        else:
            init = starts.check(self.init_params, x, k, family)
        return Options(
            family=family,
            k=k,
            prior=checks.prior_for(self._prior(), family, compute_dtype(x)),
            tol=tol,
            max_iter=max_iter,
            n_init=n_init,
            accelerate=checks.choice(self.accelerate, "accelerate", METHODS),
            init=init,
            weights=weights,
            given=given,
            bound=bound,
            verbose=verbose,
            interval=interval,
        )

    def _fitted_start(self, family, k, d) -> Mixture:
        """The fitted mixture, checked to have the family, components and features that are asked for."""
        mixture = self.mixture_
        fitted = mixture.n_components, mixture.n_features
        declared = parameters(family.parameters)
        alike = all(getattr(mixture.components, name).ndim == len(declared[name]["shape"]) for name in declared)
        if fitted != (k, d) or not alike:
            raise ValueError(
                f"a fit of {fitted[0]} components and {fitted[1]} features cannot go on with n_components={k}, family "
                f"{family.name!r} and {d} features: set warm_start=False, or clone the estimator"
            )
        return mixture

    def _step(self, x, weight, options: Options, make):
        """The estimator after one update of stepwise EM; ``make`` makes the arrays of its attributes."""
        before = getattr(self, "_stepwise", None)
        mixture, bound, self._stepwise = stepwise.update(x, weight, options, before, self.random_state)
        self._set_attributes(mixture, make)
        self.converged_ = False
        self.n_iter_ = int(self._stepwise.steps)
        self.lower_bound_ = bound
        self.lower_bounds_ = [*(self.lower_bounds_ if before else []), bound]
        return self

    def _set_attributes(self, mixture: Mixture, make):
        """Set the fitted attributes to the mixture's parameters, as arrays that ``make`` makes."""
        self.weights_ = make(np.exp(mixture.log_weights))
        for name in parameters(mixture.family.parameters):
            setattr(self, f"{name}_", make(getattr(mixture.components, name)))

    def _fitted_to(self, result: FitResult, X, weight: float):
        """The estimator with the result of `jaxgmm.select` for X, whose weights sum to ``weight``."""
        self._set_attributes(jax.tree.map(np.asarray, result.mixture), arrays.maker(X))
        self.converged_, self.n_iter_ = bool(result.converged), result.n_iter
        self.lower_bound_ = float(result.log_likelihood) / weight
        self.lower_bounds_ = [self.lower_bound_]
        self._stepwise = None
        return self

    def _collapsed(self, solution) -> bool:
        return False

    def _warn(self, solution, x, weight):
        if not solution.converged and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, or increase max_iter, "
                "tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if solution.degenerate:
            warnings.warn(
                "a component is held up by the prior or by less than a row of data: ask for fewer components, more "
                "starts (n_init), or a larger reg_covar where there is one"
                + repeats.words(solution.mixture, x, weight),
                DegenerateWarning,
                stacklevel=3,
            )
        if not isinstance(x, Stream) and solution.n_iter > 0 and floors.has_floors(solution.mixture.family):
            columns = getattr(self, "feature_names_in_", None)
            mixture = dataclasses.replace(solution.mixture, columns=None if columns is None else tuple(columns))
            message = floors.words(mixture, self._prior(), floors.varying(x, weight), (x, weight))
            if message:
                warnings.warn(message, DegenerateWarning, stacklevel=3)

    def __getstate__(self):
        """The state, in which JAX arrays keep their dtype, as those of records do."""
        return {n: kept(v) if isinstance(v, jax.Array) else v for n, v in super().__getstate__().items()}

    def __setstate__(self, state):
        super().__setstate__({n: restored(v) if isinstance(v, Kept) else v for n, v in state.items()})

    def __sklearn_clone__(self):
        """As scikit-learn clones, but in JAX's x64 mode: without it, copies of JAX arrays would be float32."""
        with jax.enable_x64(True):
            return super().__sklearn_clone__()
