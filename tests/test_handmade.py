"""What a family of a user's declares counts on every way to an answer."""

import handmade
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

import jaxgmm
from jaxgmm.family import register

COUNTS, X = handmade.COUNTS, handmade.rows()
SHARES, RATES = np.array([0.4, 0.6]), np.array([[2.0, 30.0], [12.0, 5.0]])


def joint(mixture, x):
    """Log weight and log density by scipy, (n, k)."""
    rates = np.asarray(mixture.components.rates, np.float64)
    return np.asarray(mixture.log_weights, np.float64) + scipy.stats.poisson.logpmf(x[:, None], rates).sum(-1)


def log_likelihood(mixture, x=X):
    return scipy.special.logsumexp(joint(mixture, x), axis=1).sum()


def by_hand(dtype=np.float64):
    return jaxgmm.mixture(COUNTS, weights=SHARES.astype(dtype), rates=RATES.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_theta_phi_leaves_out_is_in_every_density(dtype):
    mixture, x, rtol = by_hand(dtype), X.astype(dtype), 1e-5 if dtype == np.float32 else 1e-12
    expected = joint(mixture, x)
    np.testing.assert_allclose(jaxgmm.joint_log_prob(mixture, x), expected, rtol)
    np.testing.assert_allclose(jaxgmm.log_prob(mixture, x), scipy.special.logsumexp(expected, 1), rtol)
    np.testing.assert_allclose(jax.jit(jaxgmm.log_prob)(mixture, jnp.asarray(x)), jaxgmm.log_prob(mixture, x), 1e-5)
    resp = scipy.special.softmax(expected, 1)
    np.testing.assert_allclose(jaxgmm.responsibilities(mixture, x), resp, rtol=100 * rtol, atol=rtol)
    np.testing.assert_array_equal(jaxgmm.predict(mixture, x), expected.argmax(1))
    total = log_likelihood(mixture, x)
    for form in ("accurate", "moments"):
        statistics = jaxgmm.e_step(mixture, x, form=form, block_size=128)
        np.testing.assert_allclose(statistics.log_likelihood, total, rtol)
        np.testing.assert_allclose(statistics.counts, resp.sum(0), rtol)
    np.testing.assert_allclose(jaxgmm.bic(mixture, x), -2 * total + 5 * np.log(len(x)), rtol)
    np.testing.assert_allclose(jaxgmm.aic(mixture, x), -2 * total + 2 * 5, rtol)


@pytest.mark.parametrize("row", [-1.0, 0.5])
def test_rows_outside_the_support_are_impossible_whatever_base_makes_of_them(row):
    x = np.array([[row, 3.0], [2.0, 3.0]])
    assert float(jaxgmm.log_prob(by_hand(), x)[0]) == -np.inf
    for form in ("accurate", "moments"):
        assert float(jaxgmm.e_step(by_hand(), x, form=form).log_likelihood) == -np.inf
        inside = jaxgmm.e_step(by_hand(), x, np.array([0.0, 1.0]), form=form)
        np.testing.assert_allclose(inside.log_likelihood, log_likelihood(by_hand(), x[1:]))


def test_a_row_of_zero_leaves_the_moment_form_of_gamma_impossible():
    gamma = jaxgmm.mixture("gamma", weights=[1.0], concentrations=[[2.0]], rates=[[1.0]])
    assert float(jaxgmm.e_step(gamma, np.array([[0.0], [1.0]]), form="moments").log_likelihood) == -np.inf


FITS = {
    "fit": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS),
    "starts": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS, n_init=5, accelerate="squarem"),
    "stream": lambda x: jaxgmm.fit(0, jaxgmm.rows(x, block_size=128), 2, family=COUNTS),
    "mesh": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS, mesh=jax.make_mesh((1,), ("rows",))),
    "jit": lambda x: jax.jit(lambda x: jaxgmm.fit(0, x, 2, family=COUNTS))(jnp.asarray(x, jnp.float32)),
    "select": lambda x: jaxgmm.select(0, x, (1, 2), families=(COUNTS,), n_init=2).best,
    "select a stream": lambda x: jaxgmm.select(0, jaxgmm.rows(x), (2,), families=(COUNTS,), n_init=2).best,
    "stepwise": lambda x: jaxgmm.fit_stepwise(0, x, 2, family=COUNTS, passes=2),
    "gradient": lambda x: jaxgmm.fit_gradient(0, x, 2, family=COUNTS, optimizer=optax.adam(0.05), steps=5),
    "many": lambda x: jax.tree.map(lambda leaf: leaf[1], jaxgmm.fit_many(0, np.stack([x[::-1], x]), 2, family=COUNTS)),
}


@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
@pytest.mark.parametrize("way", FITS)
def test_every_fit_says_the_log_likelihood_that_scipy_says(way):
    result = FITS[way](X)
    rtol = 1e-5 if way == "jit" else 1e-10
    np.testing.assert_allclose(result.log_likelihood, log_likelihood(result.mixture), rtol)
    np.testing.assert_allclose(np.asarray(result.restarts).max(), result.log_likelihood, rtol)


def test_a_sweep_ranks_it_beside_other_families():
    table = jaxgmm.select(0, X, (2,), families=(COUNTS, "poisson"), n_init=2).table
    for name in ("log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(table[0][name], table[1][name], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bounds_of_estimators_have_it(engine, monkeypatch):
    from jaxgmm import family
    from jaxgmm.sklearn.others import PoissonMixture

    class CountsMixture(PoissonMixture):
        _name = "counts"

    monkeypatch.setattr(family, "_REGISTRY", dict(family._REGISTRY))
    register("counts", lambda n_categories: COUNTS)
    model = CountsMixture(2, random_state=0, max_iter=3).fit(X)
    theirs = PoissonMixture(2, random_state=0, max_iter=3).fit(X)
    np.testing.assert_allclose(model.lower_bounds_, theirs.lower_bounds_, rtol=1e-9)
    np.testing.assert_allclose(model.score(X), log_likelihood(model.mixture_) / len(X))
