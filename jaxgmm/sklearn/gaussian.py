"""`GaussianMixture`: scikit-learn's constructor, attributes and stopping rule, computed by the core."""

import numpy as np
import sklearn.mixture
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from .. import checks
from ..families.base import lookup
from ..numerics import triangular_inverse
from ..numerics.plain import plain
from ..numerics.threads import one_for_each_product
from ..records import GaussianPrior, Init, Mixture
from . import arrays
from .base import MixtureEstimator

TYPES = ("full", "tied", "diag", "spherical")


class GaussianMixture(MixtureEstimator):
    """Mixture of Gaussians: scikit-learn's estimator of that name, faster, and with sample weights among other things.

    Few rows are fitted in NumPy, from scikit-learn's own starts: nothing is compiled, and the same ``random_state``
    gives the same clusters. Rows are few where n_samples · n_features · n_components · n_init is at most 2,097,152, and
    each start counts for at least 65,536.

    Args:
        n_components: K >= 1.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: EM ends when the mean lower bound changes by less than this in one update. "limit": the core's rule, as in
            `jaxgmm.fit`: when the mean log-likelihood is estimated to be within 1e-6 of its limit.
        reg_covar: added to the diagonal of covariances, in squared units of the data.
        max_iter: most updates; 0 returns the start.
        n_init: number of starts, one as in scikit-learn; the one with the highest lower bound wins.
        init_params: "kmeans", "k-means++", "random" (responsibilities drawn as scikit-learn draws them),
            "random_from_data" (K rows); responsibilities (n_samples, K); a callable ``(key, x, sample_weight, k) ->
            centres (k, n_features)``; or a `jaxgmm.Mixture`.
        weights_init, means_init, precisions_init: take the place of those that ``init_params`` finds.
        random_state: int, RandomState or None.
        warm_start: `fit` goes on from the parameters of the last one.
        verbose: 1 prints starts and iterations, 2 also the time and the change.
        verbose_interval: iterations from print to print.
        accelerate: "none" or "auto" are plain EM under scikit-learn's rule; "squarem" extrapolates (`lower_bounds_`
            then holds the last bound alone). With ``tol="limit"`` as in `jaxgmm.fit`.

    Attributes:
        weights_, means_, covariances_, precisions_, precisions_cholesky_: (K,), (K, n_features), and shaped as in
            scikit-learn.
        mixture_: the first three as a `jaxgmm.Mixture`.
        converged_: whether the stopping rule ended the fit.
        n_iter_, lower_bound_, lower_bounds_: updates, the last bound, and all of them.
        n_features_in_, feature_names_in_: number of columns of the data, and their names where they have any.
    """

    means_: arrays.Array
    covariances_: arrays.Array
    precisions_: arrays.Array
    precisions_cholesky_: arrays.Array
    _dtypes = (np.float64, np.float32)

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float | str = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Init = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        accelerate: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.accelerate = accelerate

    def to_sklearn(self) -> sklearn.mixture.GaussianMixture:
        """scikit-learn's own estimator with the same parameters, fitted where this one is.

        Parameters that scikit-learn does not have become its defaults: ``tol="limit"``, starts other than by name.
        """
        theirs = sklearn.mixture.GaussianMixture()
        shared = {name: value for name, value in self.get_params(deep=False).items() if name in theirs.get_params()}
        if isinstance(self.tol, str):
            del shared["tol"]
        if not isinstance(self.init_params, str):
            del shared["init_params"]
        theirs.set_params(**shared)
        for name, value in _fitted_attributes(self).items():
            setattr(theirs, name, value)
        return theirs

    @classmethod
    def from_sklearn(cls, model: sklearn.mixture.GaussianMixture) -> "GaussianMixture":
        """This estimator with the parameters of scikit-learn's, fitted where that is."""
        if not isinstance(model, sklearn.mixture.GaussianMixture):
            raise ValueError(f"model must be a sklearn.mixture.GaussianMixture, got {type(model).__name__}")
        ours = cls(**model.get_params(deep=False))
        for name, value in _fitted_attributes(model).items():
            setattr(ours, name, value)
        return ours

    def _family(self, x):
        return lookup(checks.choice(self.covariance_type, "covariance_type", TYPES))

    def _fitted_family(self):
        return lookup(self.covariance_type)

    def _fitted(self, name):
        if name == "covariances" and getattr(self, "covariances_", None) is None:  # set by hand, as scikit-learn has it
            return covariances_of(np.asarray(self.precisions_cholesky_), self.covariance_type)
        return super()._fitted(name)

    def _prior(self):
        return GaussianPrior(reg_covar=float(checks.number(self.reg_covar, "reg_covar")))

    def _initial_parameters(self, d, dtype):
        k, given = self.n_components, {}
        weights = None if self.weights_init is None else _weights(self.weights_init, k, dtype)
        if self.means_init is not None:
            given["means"] = _shaped(self.means_init, (k, d), "means", dtype)
        if self.precisions_init is not None:
            given["covariances"] = _covariances(self.precisions_init, self.covariance_type, k, d, dtype)
        return weights, given

    def _set_attributes(self, mixture: Mixture, make):
        super()._set_attributes(mixture, make)
        name = mixture.family.name
        with one_for_each_product():
            factors = cholesky_of_precisions(mixture.components.covariances, name)
            precisions = factors @ np.swapaxes(factors, -1, -2) if _matrices(name) else factors**2
        self.precisions_cholesky_, self.precisions_ = make(factors), make(precisions)

    def _drawn(self, rng, mixture, labels):
        """As scikit-learn draws them."""
        means, counts = mixture.components.means, np.bincount(labels, minlength=mixture.n_components)
        covariances = mixture.components.covariances.astype(np.float64)
        if not _matrices(mixture.family.name):
            deviations = np.broadcast_to(np.sqrt(covariances).reshape(len(means), -1), means.shape)
            noise = rng.standard_normal((len(labels), means.shape[1]))
            return (means[labels] + noise * deviations[labels]).astype(means.dtype)
        of_each = zip(means, np.broadcast_to(covariances, (len(means), *covariances.shape[-2:])), counts, strict=True)
        # NumPy would warn of float32 covariances, which are not symmetric to the last digit
        rows = [rng.multivariate_normal(*own, check_valid="ignore") for own in of_each]
        return np.concatenate(rows).astype(means.dtype)

    def _collapsed(self, solution):
        return self.reg_covar == 0 and self.tol != "limit" and solution.on_floors and solution.converged


def _fitted_attributes(model) -> dict:
    """Fitted attributes by name, in NumPy where they are arrays of another kind."""
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_") and not name.startswith("_")}
    return {name: value if arrays.on_device(value) is None else np.asarray(value) for name, value in fitted.items()}


def _matrices(covariance_type) -> bool:
    return covariance_type in ("full", "tied")


def cholesky_of_precisions(covariances, covariance_type):
    """U with precision = U Uᵀ, U = L⁻ᵀ of covariance = L Lᵀ; 1 / σ where features are independent."""
    if not _matrices(covariance_type):
        return 1 / np.sqrt(covariances)
    matrices = np.atleast_3d(covariances.T).T  # (k, d, d), or (1, d, d)
    inverses = triangular_inverse(np.linalg.cholesky(matrices))
    return np.swapaxes(inverses, -1, -2).reshape(covariances.shape)


def covariances_of(factors, covariance_type):
    """Covariances of `cholesky_of_precisions`."""
    if not _matrices(covariance_type):
        return 1 / factors**2
    inverses = np.linalg.inv(factors)
    return np.swapaxes(inverses, -1, -2) @ inverses


def _shaped(values, shape, name, dtype):
    values = np.asarray(plain(values, name))
    values = check_array(values, dtype=dtype, ensure_2d=False, allow_nd=True, ensure_min_features=0, input_name=name)
    if values.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {values.shape}")
    return values


def _weights(values, k, dtype):
    given = _shaped(values, (k,), "weights", np.float64)
    if (given < 0).any() or (given > 1).any():
        raise ValueError(  # the extremes are named the other way round in scikit-learn, whose tests read the message
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{given.min():.5f}, min value {given.max():.5f}"
        )
    if abs(1 - given.sum()) > (1e-6 if plain(values).dtype == np.float32 else 1e-8):
        raise ValueError(f"The parameter 'weights' should be normalized, but got sum(weights) = {given.sum():.5f}")
    return given.astype(dtype)


def _covariances(precisions, covariance_type, k, d, dtype):
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    precisions = _shaped(precisions, shapes[covariance_type], f"{covariance_type} precision", dtype)
    if not _matrices(covariance_type):
        if not (precisions > 0).all():
            raise ValueError(f"'{covariance_type} precision' should be positive")
        return 1 / precisions
    symmetric = np.allclose(precisions, np.swapaxes(precisions, -1, -2))
    if not (symmetric and (np.linalg.eigvalsh(precisions) > 0).all()):
        raise ValueError(f"'{covariance_type} precision' should be symmetric, positive-definite")
    inverse = np.linalg.inv(precisions)
    return (inverse + np.swapaxes(inverse, -1, -2)) / 2
