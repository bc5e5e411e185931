"""The gradient route: optax climbs the same log-likelihood that EM does."""

import numpy as np
import optax
import pytest
from families import BY_NAME, K, assert_mixtures_close
from test_published import faithful  # noqa: F401

import jaxgmm

ADAM = optax.adam(1e-2)


@pytest.mark.long
@pytest.mark.parametrize("family", ["full", "tied"])
def test_lbfgs_reaches_the_optimum_of_em_on_old_faithful(faithful, family):  # noqa: F811
    em = jaxgmm.fit(0, faithful, 2, family=family, tol=1e-9)
    climbed = jaxgmm.fit_gradient(0, faithful, 2, family=family, optimizer=optax.lbfgs(), steps=60)
    assert climbed.log_likelihood == pytest.approx(em.log_likelihood, abs=1e-3)
    assert climbed.converged and climbed.n_iter == 60
    np.testing.assert_allclose(climbed.mixture.components.means, em.mixture.components.means, rtol=1e-2)


@pytest.mark.short(name=["poisson"])
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


@pytest.mark.short(name=["gamma"])
@pytest.mark.parametrize("name", ["tied", "poisson", "gamma"])
def test_a_climb_begins_exactly_at_a_mixture(name):
    case = BY_NAME[name]
    x, start = case.data(), case.mixture()
    begun = jaxgmm.fit_gradient(0, x, K, family=case.family, init=start, optimizer=ADAM, steps=0)
    assert_mixtures_close(begun.mixture, start, case.params, np.float64)  # in its order
    np.testing.assert_allclose(begun.log_likelihood, jaxgmm.e_step(start, x).log_likelihood, rtol=1e-9)


@pytest.mark.long
def test_a_climb_goes_on_from_a_fit():
    case = BY_NAME["diag"]
    x = case.data()
    fitted = jaxgmm.fit(0, x, K, family="diag", tol=1e-9)
    climbed = jaxgmm.fit_gradient(0, x, K, family="diag", init=fitted, optimizer=ADAM, steps=0)
    assert climbed.converged
    assert_mixtures_close(climbed.mixture, fitted.mixture, case.params, np.float64)
    further = jaxgmm.fit_gradient(0, x, K, family="diag", init=case.mixture(), optimizer=optax.lbfgs(), steps=30)
    assert float(jaxgmm.e_step(case.mixture(), x).log_likelihood) < further.log_likelihood


def test_a_climb_begins_with_responsibilities_as_fit_does():
    x = BY_NAME["diag"].data()
    resp = np.random.default_rng(0).dirichlet(np.ones(K), len(x))
    begun = jaxgmm.fit_gradient(0, x, K, family="diag", init=resp, optimizer=ADAM, steps=0)
    fitted = jaxgmm.fit(0, x, K, family="diag", init=resp, max_iter=0, tol=0)
    np.testing.assert_allclose(begun.mixture.components.means, fitted.mixture.components.means, rtol=1e-12)


def test_bad_options_are_refused_by_name():
    x = BY_NAME["full"].data()
    with pytest.raises(ValueError, match="batch_size must be None with L-BFGS"):
        jaxgmm.fit_gradient(0, x, 2, optimizer=optax.lbfgs(), steps=3, batch_size=10)
    with pytest.raises(ValueError, match="optimizer must be an optax optimiser"):
        jaxgmm.fit_gradient(0, x, 2, optimizer="adam", steps=3)
    with pytest.raises(ValueError, match="steps must be an integer"):
        jaxgmm.fit_gradient(0, x, 2, optimizer=ADAM, steps=-1)
    with pytest.raises(ValueError, match="init is a mixture of 3 components of family 'full'"):
        jaxgmm.fit_gradient(0, x, 2, init=BY_NAME["full"].mixture(), optimizer=ADAM, steps=1)
    with pytest.raises(ValueError, match="family='diag' were asked for"):
        jaxgmm.fit_gradient(0, x, 3, family="diag", init=BY_NAME["full"].mixture(), optimizer=ADAM, steps=1)
    with pytest.raises(ValueError, match="init must be one of"):
        jaxgmm.fit_gradient(0, x, 3, init="k-medians", optimizer=ADAM, steps=1)
