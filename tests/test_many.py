"""`fit_many`: the answers of single fits, for whole stacks of data sets."""

import warnings

import jax
import numpy as np
import pytest
from families import DTYPES, ROUTED, K
from test_stopping import compilations

import jaxgmm

rng = np.random.default_rng(0)


@pytest.mark.diagonal
@ROUTED
@DTYPES
def test_many_fits_are_the_single_fits(case, dtype):
    stack = np.stack([case.data(dtype, seed=seed) for seed in range(11)])  # more than there are slots
    options = {"family": case.family, "n_init": 2, "prior": case.prior, "max_iter": 40, "tol": 1e-5}
    many = jaxgmm.fit_many(1, stack, K, **options)
    assert many.restarts.shape == (11, 2) and many.status.dtype == np.int32
    assert np.asarray(many.log_likelihood).dtype == dtype
    for i in (0, 10):
        single = fit(1, stack[i], K, **options)
        np.testing.assert_allclose(many.log_likelihood[i], single.log_likelihood, rtol=2e-4)
        assert int(many.status[i]) == single.status
        if dtype == np.float64:  # in float32 the gain that counts as rounding comes a few updates sooner or later
            assert int(many.n_iter[i]) == single.n_iter
        np.testing.assert_allclose(np.exp(many.mixture.log_weights[i]), single.mixture.weights, atol=5e-3)


def fit(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        return jaxgmm.fit(*args, **options)


def test_ragged_lengths_are_rows_of_weight_zero():
    lengths = [40, 60, 25]
    sets = [rng.normal(size=(n, 1)) + 6 * (np.arange(n)[:, None] % 2) for n in lengths]
    stack = np.stack([np.resize(rows, (60, 1)) for rows in sets])
    weight = np.arange(60)[None] < np.array(lengths)[:, None]
    many = jaxgmm.fit_many(0, stack, 2, sample_weight=weight)
    for i, rows in enumerate(sets):
        np.testing.assert_allclose(many.log_likelihood[i], jaxgmm.fit(0, rows, 2).log_likelihood, rtol=1e-6)


@pytest.mark.long
def test_many_fits_run_inside_a_trace():
    stack = rng.normal(size=(10, 50, 2)).astype(np.float32) + 5 * (np.arange(50)[None, :, None] % 2)
    traced = jax.jit(lambda x: jaxgmm.fit_many(0, x, 2).log_likelihood)(stack)
    np.testing.assert_allclose(traced, jaxgmm.fit_many(0, stack, 2).log_likelihood, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, w: (x[0], w), "x must have shape"),
        (lambda x, w: (x + np.where(np.arange(20) == 3, np.nan, 0)[:, None], w), "data set 0: x must be finite; row 3"),
        (lambda x, w: (x, w[:, :5]), "sample_weight must have shape"),
        (lambda x, w: (x, -w), "sample_weight must be finite and >= 0"),
        (lambda x, w: (x, np.where(np.arange(20) < 1, w, 0)), "data set 0 has 1"),
    ],
)
def test_bad_stacks_are_refused_by_name(change, message):
    x, w = change(rng.normal(size=(3, 20, 2)), np.ones((3, 20)))
    with pytest.raises(ValueError, match=message):
        jaxgmm.fit_many(0, x, 2, sample_weight=w)


@DTYPES
def test_a_new_number_of_data_sets_or_rows_compiles_nothing_and_changes_nothing(dtype):
    """Also of rows of weight 0, and of more data sets than are begun at a time."""
    stack = (rng.normal(size=(70, 36, 1)) + 6 * (np.arange(36)[:, None] % 2)).astype(dtype)
    whole = jaxgmm.fit_many(0, stack, 2)
    found = []
    calls = [lambda: found.append(jaxgmm.fit_many(0, stack[:68], 2)), lambda: jaxgmm.fit_many(0, stack[:, :34], 2)]
    assert compilations(calls) == 0
    assert found[0].status.shape == (68,) and found[0].mixture.components.means.shape == (68, 2, 1)
    np.testing.assert_allclose(found[0].log_likelihood, whole.log_likelihood[:68], rtol=1e-5)
    assert {int(status) for status in whole.status} == {jaxgmm.Status.CONVERGED}
    assert float(np.asarray(whole.log_likelihood)[69]) == pytest.approx(fit(0, stack[69], 2).log_likelihood, rel=1e-5)


def test_many_fits_of_one_feature_are_done_by_three_programs():
    """One begins, one iterates in a form that never gives way, one concludes."""
    stack = np.stack([np.r_[np.zeros(20), rng.normal(size=21)][:, None].astype(np.float32) for _ in range(5)])
    assert compilations([lambda: jaxgmm.fit_many(0, stack, 3, n_init=2)]) <= 3


@pytest.mark.short(case=["full", "poisson"])
@ROUTED
def test_criteria_of_a_batch_are_those_of_its_mixtures(case):
    """Of data sets of their own, with weights, and of rows that all share."""
    stack = np.stack([case.data(np.float64, 20, seed=seed) for seed in range(3)])
    weights = rng.uniform(0.5, 2, stack.shape[:2])
    single = case.mixture(np.float64)
    batch = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * 3), single)
    for criterion in (jaxgmm.bic, jaxgmm.aic, jaxgmm.icl):
        own = [criterion(single, x, w) for x, w in zip(stack, weights, strict=True)]
        np.testing.assert_allclose(criterion(batch, stack, weights), own, rtol=1e-10)
        np.testing.assert_allclose(criterion(batch, stack[0]), [criterion(single, stack[0])] * 3, rtol=1e-10)
    assert np.all(jaxgmm.n_parameters(batch) == jaxgmm.n_parameters(single))


def test_criteria_of_many_fits_take_their_results():
    stack = (rng.normal(size=(67, 36, 1)) + 6 * (np.arange(36)[:, None] % 2)).astype(np.float32)
    result = jaxgmm.fit_many(0, stack, 2)
    found = jaxgmm.bic(result.mixture, stack)
    assert found.shape == (67,) and found.dtype == np.float32
    np.testing.assert_allclose(found, -2 * np.asarray(result.log_likelihood) + 5 * np.log(36), rtol=1e-4)
    fewer = jax.tree.map(lambda leaf: np.asarray(leaf)[1:], result.mixture)
    assert compilations([lambda: jaxgmm.bic(fewer, stack[1:])]) == 0
    traced = jax.jit(jaxgmm.bic)(result.mixture, stack)
    np.testing.assert_allclose(traced, found, rtol=1e-5)
    with pytest.raises(ValueError, match="batch of mixtures"):
        jaxgmm.bic(result.mixture, stack[:64])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        jaxgmm.aic(result.mixture, stack, np.ones(36))
