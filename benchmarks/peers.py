"""EM from a given start in jaxgmm and in other libraries, for `iteration.py`.

Every contender is ``make(problem) -> fit(n_iter) -> end()``: ``fit`` runs exactly that many updates, without
regularisation; ``end`` is the mean log-likelihood that the library itself gives for its last mixture (gmmx: for the one
before). PyTorch libraries get copies of the data, because one of them writes into them.
"""

import importlib.util
import warnings

import numpy as np

import jaxgmm


def ours(problem):
    start = jaxgmm.mixture(
        problem.family, weights=problem.weights, means=problem.means, covariances=problem.covariances
    )
    prior = jaxgmm.GaussianPrior()

    def fit(n_iter):
        options = {"family": problem.family, "init": start, "prior": prior, "tol": 0, "max_iter": n_iter}
        result = jaxgmm.fit(0, problem.x, problem.k, compiled=True, **options)
        return lambda: float(result.log_likelihood) / len(problem.x)

    return fit


def scikit_learn(problem):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    full = problem.family in ("full", "tied")
    precisions = np.linalg.inv(problem.covariances) if full else 1 / problem.covariances

    def fit(n_iter):
        model = GaussianMixture(
            problem.k, covariance_type=problem.family, tol=0, reg_covar=0, max_iter=n_iter,
            weights_init=problem.weights, means_init=problem.means, precisions_init=precisions,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(problem.x)
        return lambda: float(model.score(problem.x))

    return fit


def gmmx(problem):
    import jax
    from gmmx import EMFitter, GaussianMixtureModelJax

    x, weights, means, covariances = map(
        jax.numpy.asarray, (problem.x, problem.weights, problem.means, problem.covariances)
    )
    start = GaussianMixtureModelJax.from_squeezed(means, covariances, weights, problem.family)

    def fit(n_iter):
        result = jax.block_until_ready(EMFitter(max_iter=n_iter, tol=-1.0, reg_covar=0.0).fit(x, start))
        return lambda: float(result.log_likelihood)

    return fit


def tgmm(problem):
    import torch
    from tgmm import GaussianMixture

    x, weights, means, covariances = map(torch.tensor, (problem.x, problem.weights, problem.means, problem.covariances))

    def fit(n_iter):
        model = GaussianMixture(
            problem.k, problem.x.shape[1], covariance_type=problem.family, max_iter=n_iter, tol=1e-300, reg_covar=0.0,
            init_means=means, init_weights=weights, init_covariances=covariances,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x)
        return lambda: float(model.score(x))

    return fit


def pomegranate(problem):
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    x = torch.tensor(problem.x)
    kind = {"full": "full", "diag": "diag"}[problem.family]

    def fit(n_iter):
        normals = [
            Normal(torch.tensor(mean), torch.tensor(cov), covariance_type=kind, min_cov=0.0)
            for mean, cov in zip(problem.means, problem.covariances, strict=True)
        ]
        model = GeneralMixtureModel(normals, torch.tensor(problem.weights), max_iter=n_iter, tol=-np.inf)
        model.fit(x)
        return lambda: float(model.log_probability(x).mean())

    return fit


CONTENDERS = {"jaxgmm": ours, "scikit-learn": scikit_learn, "gmmx": gmmx, "tgmm": tgmm, "pomegranate": pomegranate}
MODULES = {"scikit-learn": "sklearn"}


def installed(name: str) -> bool:
    return importlib.util.find_spec(MODULES.get(name, name)) is not None


def takes(name: str, family: str, dtype: str) -> bool:
    """Whether a contender is measured on such a problem: gmmx 0.7 computes in float32 alone."""
    if name in ("jaxgmm", "scikit-learn"):
        return True
    return family == "full" and (name != "gmmx" or dtype == "float32")
