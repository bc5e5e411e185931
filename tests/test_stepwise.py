"""Stepwise EM: an update a block, held against a loop by hand, and near the batch optimum after a few passes."""

import dataclasses
import types

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, CASES, ROUTED, K, N, assert_mixtures_close

import jaxgmm
from jaxgmm.sklearn import GaussianMixture, stepwise


def many(case, n=24_000, dtype=np.float64):
    """Rows of the family's own mixture."""
    x, _ = jaxgmm.sample(1, case.mixture(np.float64), n)
    return np.asarray(x).astype(dtype)


@pytest.mark.short(case=["full", "poisson"])
@ROUTED
def test_one_block_is_one_update_of_em(case):
    x, w = case.data(), np.random.default_rng(1).integers(1, 4, N).astype(float)
    stepped = jaxgmm.fit_stepwise(
        0, x, K, family=case.family, init=case.mixture(np.float64), sample_weight=w, prior=case.prior, block_size=N
    )
    plain = jaxgmm.fit(
        0, x, K, family=case.family, init=case.mixture(np.float64), sample_weight=w, prior=case.prior, max_iter=1, tol=0
    )
    assert_mixtures_close(stepped.mixture, plain.mixture, case.params, np.float64)
    assert stepped.n_iter == 1 and stepped.status is jaxgmm.Status.MAX_ITER
    np.testing.assert_allclose(stepped.log_likelihood, plain.log_likelihood, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_recursion_is_that_of_a_loop_by_hand(weighted):
    """Poisson: the statistics are Σ r and Σ r x, plain sums that a loop can average."""
    rng = np.random.default_rng(0)
    x = rng.poisson(np.where(rng.random((1000, 1)) < 0.4, [[2.0, 9.0]], [[6.0, 3.0]])).astype(float)
    w = rng.integers(1, 5, 1000).astype(float) if weighted else np.ones(1000)
    weights, rates = np.array([0.5, 0.5]), np.array([[3.0, 7.0], [5.0, 4.0]])
    begin = jaxgmm.mixture("poisson", weights=weights, rates=rates)
    counts, sums, seen, t = np.zeros(2), np.zeros((2, 2)), 0.0, 0
    for _ in range(2):
        for i in range(0, 1000, 300):
            rows, some = x[i : i + 300], w[i : i + 300]
            _, resp = oracles.e_step("poisson", weights, {"rates": rates}, rows)
            resp = resp * some[:, None] / some.sum()
            t, seen = t + 1, seen + some.sum()
            gamma = min(1.0, t**-0.6 * some.sum() * t / seen)
            counts = counts + gamma * (resp.sum(0) - counts)
            sums = sums + gamma * (resp.T @ rows - sums)
            weights, rates = counts / counts.sum(), sums / counts[:, None]
    result = jaxgmm.fit_stepwise(
        0, x, 2, family="poisson", init=begin, sample_weight=w if weighted else None, passes=2, block_size=300
    )
    np.testing.assert_allclose(result.mixture.weights, weights, rtol=1e-9)
    np.testing.assert_allclose(result.mixture.components.rates, rates, rtol=1e-9)
    assert result.n_iter == 8


def in_one_form(family, **said):
    """The family as a user may write it: with its residual form alone."""
    form = dataclasses.replace(family.accurate, **said)
    return dataclasses.replace(family, name=f"my-{family.name}", accurate=form, moments=form)


@pytest.mark.parametrize("name", ["diag", "gamma"])
def test_sums_that_depend_on_the_parameters_are_not_blended(name):
    case = BY_NAME[name]
    family = in_one_form(case.mixture().family)
    with pytest.raises(ValueError, match=rf"family 'my-{name}' .* use fit"):
        jaxgmm.fit_stepwise(0, case.data(), K, family=family, block_size=60)
    options = types.SimpleNamespace(family=family)
    with pytest.raises(ValueError, match=f"my-{name}"):
        stepwise.update(case.data(), np.ones(N), options, None, 0)


def test_a_form_without_a_word_is_not_blended():
    form = dataclasses.make_dataclass("Form", [])()
    family = dataclasses.replace(in_one_form(BY_NAME["diag"].mixture().family), accurate=form, moments=form)
    with pytest.raises(ValueError, match="my-diag"):
        jaxgmm.fit_stepwise(0, BY_NAME["diag"].data(), K, family=family)


def test_a_residual_form_whose_sums_are_fixed_is_blended():
    """The sums of Poisson's residual form are those of its moments, so the mixtures are too."""
    case = BY_NAME["poisson"]
    start = case.mixture()
    own = in_one_form(start.family, mergeable=True)
    mixtures = [
        jaxgmm.fit_stepwise(
            0, case.data(), K, family=family, init=dataclasses.replace(start, family=family), block_size=50
        ).mixture
        for family in (own, start.family)
    ]
    assert_mixtures_close(*mixtures, case.params, np.float64)


@pytest.mark.short(case=["poisson"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_few_passes_are_near_the_batch_optimum(case):
    x = many(case)
    batch = jaxgmm.fit(0, x, K, family=case.family, init=case.mixture(np.float64))
    stepped = jaxgmm.fit_stepwise(0, x, K, family=case.family, init=case.mixture(np.float64), passes=3)
    assert stepped.n_iter == 3 * 64
    assert (batch.log_likelihood - stepped.log_likelihood) / len(x) < 2e-3


def test_a_stream_and_an_array_are_the_same(tmp_path):
    case = next(case for case in CASES if case.name == "full")
    x = many(case, 5_000, np.float32)
    np.save(tmp_path / "x.npy", x)
    inside, outside = (jaxgmm.fit_stepwise(3, rows, K, passes=2) for rows in (x, tmp_path / "x.npy"))
    np.testing.assert_array_equal(inside.mixture.components.means, outside.mixture.components.means)
    assert inside.log_likelihood == outside.log_likelihood
    np.testing.assert_allclose(np.sum(inside.mixture.weights), 1, rtol=1e-6)
    assert np.all(np.diff(inside.mixture.weights) <= 0)


@pytest.mark.long
def test_narrow_components_end_in_batch_iterations():
    """In float32 moments of clusters at σ/spread 1e-4 are noise: the fit says so and goes on with the other form."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4_000)
    x = (labels[:, None] * np.array([1.0, -1.0]) + 1e-4 * rng.normal(size=(4_000, 2))).astype(np.float32)
    prior = jaxgmm.GaussianPrior()
    with pytest.warns(jaxgmm.FitWarning, match="batch iterations go on"):
        stepped = jaxgmm.fit_stepwise(0, x, 2, prior=prior)
    batch = jaxgmm.fit(0, x, 2, prior=prior, n_init=3)
    assert stepped.converged
    np.testing.assert_allclose(stepped.log_likelihood, batch.log_likelihood, rtol=1e-4)


def test_bad_input_is_refused_where_it_is_read(tmp_path):
    x = np.random.default_rng(0).normal(size=(1_000, 2))
    with pytest.raises(ValueError, match="passes must be an integer >= 1"):
        jaxgmm.fit_stepwise(0, x, 2, passes=0)
    with pytest.raises(ValueError, match="responsibilities are not of a block"):
        jaxgmm.fit_stepwise(0, x, 2, init=np.ones((1_000, 2)) / 2)
    with pytest.raises(ValueError, match="concrete data"):
        jax.jit(lambda x: jaxgmm.fit_stepwise(0, x, 2).log_likelihood)(x)
    for row in (3, 900):
        broken = x.copy()
        broken[row, 1] = np.nan
        np.save(tmp_path / "x.npy", broken)
        with pytest.raises(ValueError, match=rf"x\.npy: row {row} \(counted from 0\), column 1 is nan"):
            jaxgmm.fit_stepwise(0, tmp_path / "x.npy", 2)
    with pytest.raises(ValueError, match="init is a mixture of 3 components"):
        jaxgmm.fit_stepwise(0, x, 2, init=jaxgmm.fit(0, x, 3, max_iter=0, tol=0).mixture)


def test_weights_count_as_rows():
    x = np.random.default_rng(2).normal(size=(600, 1)) + np.repeat([[0.0], [5.0]], 300, axis=0)
    start = jaxgmm.mixture("full", weights=[0.5, 0.5], means=[[0.0], [4.0]], covariances=[[[1.0]]] * 2)
    order = np.random.default_rng(3).permutation(600)
    x = x[order]
    twice = jaxgmm.fit_stepwise(0, np.repeat(x, 2, axis=0), 2, init=start, block_size=200)
    heavy = jaxgmm.fit_stepwise(0, x, 2, init=start, sample_weight=np.full(600, 2.0), block_size=100)
    np.testing.assert_allclose(heavy.mixture.components.means, twice.mixture.components.means, rtol=1e-9)
    np.testing.assert_allclose(heavy.log_likelihood, twice.log_likelihood, rtol=1e-12)


def test_a_family_without_a_prior_starts_from_its_first_block():
    x = many(BY_NAME["poisson"], 600)
    result = jaxgmm.fit_stepwise(0, x, K, family="poisson", passes=2)
    assert result.log_likelihood > jaxgmm.fit(0, x, K, family="poisson", tol=0, max_iter=0).log_likelihood


@pytest.mark.parametrize("family", ["full", "diag", "VEI"])
def test_a_column_that_is_constant_in_the_first_block_is_fitted_all_the_same(family):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2)) + rng.integers(3, size=(3000, 1)) * 4.0
    x[:400, 1] = 7
    result = jaxgmm.fit_stepwise(0, jaxgmm.rows(x, block_size=300), 3, family=family, passes=10)
    best = jaxgmm.fit(0, x, 3, family=family, init=result.mixture)
    np.testing.assert_allclose(result.log_likelihood, np.asarray(jaxgmm.log_prob(result.mixture, x)).sum(), rtol=1e-9)
    assert 0 <= best.log_likelihood - result.log_likelihood < 0.02 * len(x)
    assert np.asarray(result.mixture.components.means)[:, 1].std() > 1


def test_the_estimator_takes_such_blocks_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2)) + rng.integers(3, size=(3000, 1)) * 4.0
    x[:400, 1] = 7
    model = GaussianMixture(3, random_state=0)
    for _ in range(5):
        for first in range(0, len(x), 300):
            model.partial_fit(x[first : first + 300])
    whole = GaussianMixture(3, random_state=0).fit(x)
    assert abs(model.score(x) - whole.score(x)) < 0.1
