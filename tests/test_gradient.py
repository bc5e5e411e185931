"""The gradient route: optax climbs the same log-likelihood that EM does."""

import numpy as np
import optax
import pytest
from families import BY_NAME, K
from test_published import faithful  # noqa: F401

import jaxgmm


@pytest.mark.parametrize("family", ["full", "tied"])
def test_lbfgs_reaches_the_optimum_of_em_on_old_faithful(faithful, family):  # noqa: F811
    em = jaxgmm.fit(0, faithful, 2, family=family, tol=1e-9)
    climbed = jaxgmm.fit_gradient(0, faithful, 2, family=family, optimizer=optax.lbfgs(), steps=60)
    assert climbed.log_likelihood == pytest.approx(em.log_likelihood, abs=1e-3)
    assert climbed.converged and climbed.n_iter == 60
    np.testing.assert_allclose(climbed.mixture.components.means, em.mixture.components.means, rtol=1e-2)


@pytest.mark.parametrize("name", ["diag", "bernoulli", "categorical", "poisson", "exponential", "gamma"])
def test_minibatches_of_adam_improve_every_family(name):
    case = BY_NAME[name]
    x = case.data(np.float32)
    poor = {"family": case.family, "init": "random", "optimizer": optax.adam(1e-2)}  # k-means++ may begin at the top
    start = jaxgmm.fit_gradient(2, x, K, **poor, steps=0)
    climbed = jaxgmm.fit_gradient(2, x, K, **poor, steps=150, batch_size=64)
    assert climbed.log_likelihood > start.log_likelihood
    np.testing.assert_allclose(jaxgmm.e_step(climbed.mixture, x).log_likelihood, climbed.log_likelihood, rtol=1e-4)
    assert np.all(np.diff(climbed.mixture.weights) <= 0)


def test_bad_options_are_refused_by_name():
    x = BY_NAME["full"].data()
    with pytest.raises(ValueError, match="batch_size must be None with L-BFGS"):
        jaxgmm.fit_gradient(0, x, 2, optimizer=optax.lbfgs(), steps=3, batch_size=10)
    with pytest.raises(ValueError, match="optimizer must be an optax optimiser"):
        jaxgmm.fit_gradient(0, x, 2, optimizer="adam", steps=3)
    with pytest.raises(ValueError, match="steps must be an integer"):
        jaxgmm.fit_gradient(0, x, 2, optimizer=optax.adam(1e-2), steps=-1)
