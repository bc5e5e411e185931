"""What a child can do that was forked after, or before, its parent used JAX: a program of `test_forks`."""

import multiprocessing
import sys
import warnings

import numpy as np

import jaxgmm
from jaxgmm.sklearn import GaussianMixture

warnings.simplefilter("ignore", RuntimeWarning)  # JAX's own, of the fork
X = np.random.default_rng(0).normal(size=(200, 2)) + 6 * (np.arange(200)[:, None] % 2)


def answers(mixture):
    yield "fit", lambda: jaxgmm.fit(0, X, 2).converged
    yield "select", lambda: jaxgmm.select(0, X, [2], n_init=1).best.converged
    yield "fit_many", lambda: bool(jaxgmm.fit_many(0, X[None], 2).converged.all())
    yield "mixture", lambda: jaxgmm.mixture("diag", weights=[1.0], means=[[0.0]], covariances=[[1.0]]).n_components
    yield "estimator that compiles", lambda: GaussianMixture(2, tol="limit").fit(X).converged_
    yield "estimator", lambda: GaussianMixture(2, random_state=0).fit(X).predict(X).shape
    if mixture is not None:
        yield "weights", lambda: mixture.weights.shape
        yield "predict", lambda: jaxgmm.predict(mixture, X).shape
        yield "bic", lambda: jaxgmm.bic(mixture, X)
        yield "sample", lambda: jaxgmm.sample(0, mixture, 3)[1].shape


def child(mixture):
    for name, call in answers(mixture):
        try:
            print(name, "gives", call(), flush=True)
        except RuntimeError as error:
            print(name, "fails", error, flush=True)


if __name__ == "__main__":
    fitted = jaxgmm.fit(0, X, 2).mixture if sys.argv[1] == "after" else None
    worker = multiprocessing.get_context("fork").Process(target=child, args=(fitted,))
    worker.start()
    worker.join()
