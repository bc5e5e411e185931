"""Real data sets that come with scikit-learn, and the rule by which a mixture fitted to them counts as a solution.

The likelihood is unbounded if a component collapses, so "the best" mixture needs a rule. A mixture is *sound* if every
component holds at least 2 (D + 1) rows, and the smallest eigenvalue of every covariance is above 1e-2 of the smallest
eigenvalue of the data's own covariance. Both are computed with features in units of their standard deviation over all
the data.
"""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

DATA = Path(__file__).parents[1] / "examples" / "data" / "faithful.csv"
FAMILIES = ("full", "tied", "diag", "spherical")
NARROWEST = 1e-2


@dataclasses.dataclass(frozen=True)
class Found:
    """Where a fit ended: mean log-likelihood per row, whether the mixture is sound, and how many updates it took."""

    value: float
    sound: bool
    n_iter: int


NOTHING = Found(-np.inf, False, 0)  # a fit that raised


def faithful():
    return np.loadtxt(DATA, delimiter=",", skiprows=1)


def standard(x):
    """Features of mean 0 and variance 1."""
    return (x - x.mean(0)) / x.std(0)


def components(x, n):
    """The first n principal components."""
    return PCA(n, svd_solver="full").fit_transform(x)


def digits(n):
    return components(datasets.load_digits().data, n)


def real_data():
    """{name: (rows (n, d), numbers of components)}, float64."""
    cancer = standard(datasets.load_breast_cancer().data)
    diabetes = datasets.load_diabetes().data
    return {
        "Old Faithful": (faithful(), (2, 3, 4)),
        "iris": (datasets.load_iris().data, (2, 3, 4)),
        "wine": (standard(datasets.load_wine().data), (3,)),
        "breast cancer, 5 components": (components(cancer, 5), (2, 4)),
        "diabetes without sex": (standard(np.delete(diabetes, 1, axis=1)), (2, 3)),
        "digits, 8 components": (digits(8), (5, 10)),
    }


def sound(x, weights, covariances, family) -> bool:
    """Whether a mixture counts as a solution; covariances as scikit-learn shapes them."""
    (n, d), k = x.shape, len(weights)
    scale = x.std(0)
    identity = np.eye(d)
    matrices = {
        "full": lambda c: c,
        "tied": lambda c: c[None],
        "diag": lambda c: c[:, :, None] * identity,
        "spherical": lambda c: c[:, None, None] * identity,
    }[family](np.asarray(covariances))
    if not (np.isfinite(matrices).all() and np.isfinite(weights).all()):
        return False
    whole = np.linalg.eigvalsh(np.cov(x.T, ddof=0).reshape(d, d) / np.outer(scale, scale))[0]
    least = np.linalg.eigvalsh(matrices / np.outer(scale, scale)).min()
    return bool(k == 1 or (n * np.min(weights) >= 2 * (d + 1) and least > NARROWEST * whole))


def found_by_jaxgmm(x, family, result) -> Found:
    weights, covariances = np.asarray(result.mixture.weights), np.asarray(result.mixture.components.covariances)
    value = float(result.log_likelihood) / len(x)
    return Found(value if np.isfinite(value) else -np.inf, sound(x, weights, covariances, family), result.n_iter)


def found_by_sklearn(x, family, model) -> Found:
    if model is None:
        return NOTHING
    return Found(float(model.score(x)), sound(x, model.weights_, model.covariances_, family), int(model.n_iter_))


def sklearn_fit(model, x):
    """The model, fitted; None where scikit-learn gives up on an ill-defined covariance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return model.fit(x)
        except ValueError:
            return None


def best_threads(x, k, family, clock, cores):
    """The number of threads at which one start of scikit-learn is fastest."""
    tried = {}
    for threads in sorted({1, cores}):
        with threadpool_limits(threads):
            runs = [clock(sklearn_fit, GaussianMixture(k, covariance_type=family, random_state=seed), x)
                    for seed in range(3)]  # fmt: skip
        tried[threads] = min(seconds for seconds, _ in runs)
    return min(tried, key=tried.get)
