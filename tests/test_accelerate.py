"""Acceleration: the same fixed points in fewer E-steps, for every family; and lanes that wait for a free slot."""

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, ROUTED, K

import jaxgmm

DEATHS = np.arange(10.0)[:, None]
DAYS = np.array([162.0, 267, 271, 185, 111, 61, 27, 8, 3, 1])
HASSELBLAD = -1989.945859883


def overlapping(n=600):
    """Two broad clusters that EM pulls apart slowly."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) + np.where(np.arange(n)[:, None] < n // 2, 0.0, [2.0, 0.0])


@ROUTED
@DTYPES
def test_an_accelerated_fit_ends_at_a_fixed_point_no_lower_than_plain_em(case, dtype):
    x = case.data(dtype)
    options = {"family": case.family, "init": case.mixture(dtype), "prior": case.prior, "max_iter": 3000}
    plain, fast = (jaxgmm.fit(0, x, K, accelerate=accelerate, **options) for accelerate in ("none", "squarem"))
    start = jaxgmm.e_step(case.mixture(dtype), x).log_likelihood
    assert plain.converged and fast.converged
    assert fast.log_likelihood >= np.asarray(start)
    bound = oracles.tolerance(dtype)["rtol"] * abs(plain.log_likelihood) + 2e-6 * len(x)
    onward = jaxgmm.m_step(fast.mixture, jaxgmm.e_step(fast.mixture, x), case.prior)
    assert abs(np.asarray(jaxgmm.e_step(onward, x).log_likelihood) - fast.log_likelihood) < bound
    assert fast.log_likelihood > plain.log_likelihood - bound - 1  # another optimum may be found, not a worse point


@pytest.mark.parametrize(("tol", "most"), [(1e-6, 120), (1e-9, 120)])
def test_hasselblads_poisson_data_in_a_tenth_of_the_updates(tol, most):
    start = jaxgmm.mixture("poisson", weights=np.array([0.3, 0.7]), rates=np.array([[1.0], [2.5]]))
    options = {"family": "poisson", "init": start, "sample_weight": DAYS, "tol": tol, "max_iter": 5000}
    fast = jaxgmm.fit(0, DEATHS, 2, accelerate="squarem", **options)
    assert fast.converged and fast.n_iter < most
    assert HASSELBLAD - fast.log_likelihood < tol * DAYS.sum()


def test_what_remains_is_below_tol():
    x = overlapping()
    best = jaxgmm.fit(0, x, 2, n_init=5, tol=1e-11, max_iter=20000, accelerate="none").log_likelihood
    for tol in (1e-4, 1e-6, 1e-8):
        result = jaxgmm.fit(0, x, 2, n_init=5, tol=tol, max_iter=20000, accelerate="squarem")
        assert (best - result.log_likelihood) / len(x) < 2 * tol


def test_max_iter_bounds_the_e_steps():
    for most in (9, 10, 11, 12, 13, 20):
        with pytest.warns(jaxgmm.FitWarning, match="max_iter"):
            result = jaxgmm.fit(0, overlapping(), 2, max_iter=most, tol=1e-12, accelerate="squarem")
        assert result.n_iter == most and result.status is jaxgmm.Status.MAX_ITER
        np.testing.assert_allclose(jaxgmm.e_step(result.mixture, overlapping()).log_likelihood, result.log_likelihood)


@pytest.mark.long
def test_acceleration_runs_under_vmap():
    x = np.stack([overlapping(), overlapping()[::-1] * 2]).astype(np.float32)

    def fit(x):
        return jaxgmm.fit(0, x, 2, accelerate="squarem", compiled=True)

    many = jax.jit(jax.vmap(fit))(x)
    single = [fit(rows) for rows in x]
    np.testing.assert_allclose(many.log_likelihood, [one.log_likelihood for one in single], rtol=1e-5)


@pytest.mark.parametrize("accelerate", ["none", "squarem"])
@pytest.mark.parametrize("name", ["full", "poisson"])
def test_starts_that_wait_for_a_slot_end_like_those_that_need_not(name, accelerate):
    case = BY_NAME[name]
    x = case.data(n=60)
    options = {"family": case.family, "accelerate": accelerate, "prior": case.prior, "tol": 1e-4, "init": "kmeans"}
    few = jaxgmm.fit(3, x, K, n_init=5, **options)
    many = jaxgmm.fit(3, x, K, n_init=250, **options)
    np.testing.assert_allclose(many.restarts[:5], few.restarts, rtol=1e-6)
    assert np.isfinite(many.restarts).all()
