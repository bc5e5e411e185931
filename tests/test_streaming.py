"""Rows that stream are fitted as the same rows in memory: one pass an iteration, whatever the number of starts."""

import warnings

import jax
import numpy as np
import pytest
from families import BY_NAME, CASES, leaves
from test_sources import Again
from test_stopping import compilations

import jaxgmm
from jaxgmm import Status
from jaxgmm.em import loop
from jaxgmm.init import subsample

PASSES = 8  # beside one an update: what an issue of the design allows
OPTIONS = {"n_init": 2, "tol": 0, "max_iter": 20}


def apart(one, other):
    """How far two mixtures are apart, relative to the scale of every parameter."""
    pairs = zip(leaves(one), leaves(other), strict=True)
    return max(np.abs(a.astype(float) - b).max() / np.abs(b).max() for a, b in pairs)


def uneven(n):
    return (0, 1, n // 3, n // 3, n - 20, n)


SINGLE = ("spherical", "bernoulli", "exponential")  # in float32, the others in float64


@pytest.mark.short(case=["full", "bernoulli"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_fit_is_that_of_the_rows_in_memory(case):
    dtype = np.float32 if case.name in SINGLE else np.float64
    x = case.data(dtype)
    source = Again(x, cuts=uneven(len(x)))
    streamed = jaxgmm.fit(1, jaxgmm.rows(source, block_size=50), 3, family=case.family, **OPTIONS)
    whole = jaxgmm.fit(1, x, 3, family=case.family, **OPTIONS)
    assert streamed.n_iter == whole.n_iter == 20 and streamed.status == whole.status
    assert leaves(streamed.mixture)[0].dtype == dtype
    assert apart(streamed.mixture, whole.mixture) < (1e-10 if dtype == np.float64 else 5e-5)
    np.testing.assert_allclose(streamed.restarts, whole.restarts, rtol=1e-12 if dtype == np.float64 else 1e-6)
    assert source.passes <= 20 + PASSES


@pytest.mark.long
def test_every_start_is_that_of_the_rows_in_memory():
    x = BY_NAME["spherical"].data()
    options = {"family": "spherical", "init": "kmeans", "n_init": 5, "max_iter": 0, "tol": 0}
    weight = np.random.default_rng(0).integers(0, 3, len(x))
    streamed = jaxgmm.fit(2, jaxgmm.rows(x, weight, block_size=50), 3, **options)
    np.testing.assert_allclose(streamed.restarts, jaxgmm.fit(2, x, 3, sample_weight=weight, **options).restarts)


@pytest.mark.short(worth=[0])
@pytest.mark.parametrize("worth", [0, np.inf], ids=["fewer lanes", "all lanes"])
def test_programs_for_fewer_lanes_change_no_answer(worth, monkeypatch):
    monkeypatch.setattr(loop, "WORTH", worth)
    x = BY_NAME["spherical"].data(n=500)
    options = {"family": "spherical", "n_init": 6, "max_iter": 500}
    streamed, whole = (jaxgmm.fit(2, rows, 3, **options) for rows in (jaxgmm.rows(x, block_size=200), x))
    np.testing.assert_allclose(streamed.restarts, whole.restarts, rtol=1e-9)
    assert streamed.n_iter == whole.n_iter and apart(streamed.mixture, whole.mixture) < 1e-8


@pytest.mark.long
def test_many_rows_start_at_the_same_of_them(monkeypatch):
    monkeypatch.setattr(subsample, "SAMPLED", 32)
    x = BY_NAME["spherical"].data(n=3000)
    weight = np.random.default_rng(0).integers(0, 3, len(x)).astype(float)
    options = {"family": "spherical", "n_init": 3, "max_iter": 1, "tol": 0}
    whole = jaxgmm.fit(2, x, 3, sample_weight=weight, **options)
    streamed = jaxgmm.fit(2, jaxgmm.rows(x, weight, block_size=700), 3, **options)
    np.testing.assert_allclose(streamed.restarts, whole.restarts, rtol=1e-12)
    jax.clear_caches()  # programs that know of a smaller sample


@pytest.mark.long
def test_a_value_that_the_sample_misses_is_still_a_start(monkeypatch):
    monkeypatch.setattr(subsample, "SAMPLED", 32)
    x = np.zeros((3000, 1))
    x[[777, 1234]] = [[9.0], [5.0]]
    options = {"family": "poisson", "n_init": 3, "max_iter": 0, "tol": 0}
    for init in ("kmeans", "random"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jaxgmm.FitWarning)  # a component of one row
            streamed = jaxgmm.fit(3, jaxgmm.rows(x, block_size=700), 3, init=init, **options)
        np.testing.assert_allclose(sorted(np.ravel(streamed.mixture.components.rates)), [0, 5, 9], atol=1e-5)
    jax.clear_caches()


@pytest.mark.long
def test_a_callable_and_a_mixture_start_a_stream():
    case = BY_NAME["spherical"]
    x, mixture = case.data(), case.mixture()
    for init in (mixture, lambda key, x, sample_weight, k: mixture.components.means):
        options = {"family": "spherical", "init": init, "max_iter": 3, "tol": 0}
        streamed = jaxgmm.fit(0, jaxgmm.rows(x, block_size=50), 3, **options)
        assert apart(streamed.mixture, jaxgmm.fit(0, x, 3, **options).mixture) < 1e-12
    with pytest.raises(ValueError, match="init cannot be responsibilities where rows stream"):
        jaxgmm.fit(0, jaxgmm.rows(x), 3, init=np.full((len(x), 3), 1 / 3))


def test_a_tolerance_is_met_alike_and_starts_share_a_pass():
    x, updates = BY_NAME["full"].data(), []
    source = Again(x, cuts=uneven(len(x)))
    watched = jaxgmm.fit(1, source_of(source), 3, n_init=6, callback=lambda glance: updates.append(glance.iteration))
    whole = jaxgmm.fit(1, x, 3, n_init=6)
    assert watched.converged and whole.converged and watched.n_iter == whole.n_iter
    np.testing.assert_allclose(watched.restarts, whole.restarts, rtol=1e-9)
    assert source.passes <= updates[-1] + PASSES  # those of the longest start, not the sum of all


def source_of(source):
    return jaxgmm.rows(source, block_size=50)


def test_blocks_of_all_sizes_run_in_one_program():
    x = BY_NAME["diag"].data()
    jaxgmm.fit(0, source_of(Again(x, cuts=(0, 50, 100, 120))), 3, family="diag", **OPTIONS)
    again = source_of(Again(x, cuts=(0, 7, 8, 90, 120)))
    assert compilations([lambda: jaxgmm.fit(0, again, 3, family="diag", **OPTIONS)]) == 0


@pytest.mark.long
def test_a_rerun_gives_the_same_bits():
    x = BY_NAME["full"].data(np.float32)
    one, other = (jaxgmm.fit(4, jaxgmm.rows(x, block_size=50), 3, **OPTIONS) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.long
def test_narrow_components_end_in_the_accurate_form():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=600)
    noise = rng.normal(size=(600, 2))
    x = (labels[:, None] * [1.0, 2.0] + 3e-4 * noise).astype(np.float32)
    init = jaxgmm.mixture(
        "full",
        weights=[1 / 3] * 3,
        means=np.arange(3.0)[:, None] * [1, 2],
        covariances=[1e-2 * np.eye(2)] * 3,
    )
    result = jaxgmm.fit(0, jaxgmm.rows(x, block_size=250), 3, init=init, prior=jaxgmm.GaussianPrior())
    assert result.converged
    for k in range(3):
        expected = np.cov(x[labels == k].astype(float).T, bias=True)
        found = np.asarray(result.mixture.components.covariances[k], float)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_selection_is_that_of_the_rows_in_memory():
    x = BY_NAME["diag"].data()
    options = {"families": ("diag",), "n_init": 2, "tol": 1e-4, "criterion": "icl"}
    streamed, whole = (jaxgmm.select(0, rows, (1, 3), **options) for rows in (jaxgmm.rows(x, block_size=50), x))
    for a, b in zip(streamed.table, whole.table, strict=True):
        assert (a["family"], a["n_components"], a["status"]) == (b["family"], b["n_components"], b["status"])
        np.testing.assert_allclose([a["bic"], a["icl"]], [b["bic"], b["icl"]], rtol=1e-9)


@pytest.mark.long
def test_the_number_of_categories_is_found_by_a_pass():
    x = BY_NAME["categorical"].data()
    streamed = jaxgmm.fit(0, jaxgmm.rows(x, block_size=50), 2, family="categorical", max_iter=1, tol=0)
    assert streamed.mixture.family == jaxgmm.categorical(3)


def test_files_are_fitted_by_their_path(tmp_path):
    x = BY_NAME["diag"].data()
    for i, part in enumerate(np.array_split(x, 3)):
        np.save(tmp_path / f"{i}.npy", part)
    streamed = jaxgmm.fit(1, str(tmp_path), 3, family="diag", **OPTIONS)
    assert apart(streamed.mixture, jaxgmm.fit(1, x, 3, family="diag", **OPTIONS).mixture) < 1e-12


def test_watching_a_stream_tells_of_its_rows():
    x, history = BY_NAME["diag"].data(), jaxgmm.History()
    jaxgmm.fit(1, jaxgmm.rows(x, block_size=50), 3, family="diag", tol=0, max_iter=12, callback=history, every=5)
    assert [(glance.iteration, glance.rows) for glance in history.records] == [
        (0, 120), (5, 720), (10, 1320), (12, 1560)]  # fmt: skip
    assert all(glance.rows_per_second > 0 for glance in history.records)
    stopped = jaxgmm.fit(1, jaxgmm.rows(x), 3, family="diag", tol=0, callback=lambda glance: glance.iteration >= 10)
    assert stopped.status is Status.STOPPED and stopped.n_iter == 10


@pytest.mark.parametrize("broken", [np.nan, np.inf, -1.0])
def test_a_wrong_value_names_the_file_and_the_row_in_it(tmp_path, broken):
    x = BY_NAME["poisson"].data()
    x[47, 2] = broken
    for i, part in enumerate(np.array_split(x, 3)):  # 40 rows each
        np.save(tmp_path / f"{i}.npy", part)
    words = rf"{tmp_path}/1.npy: row 7 \(counted from 0\), column 2 is {broken}"
    with pytest.raises(ValueError, match=words.replace("-", r"\-")):
        jaxgmm.fit(0, jaxgmm.rows(tmp_path, block_size=50), 2, family="poisson")


def test_bad_weights_and_too_few_rows_are_said():
    x = BY_NAME["diag"].data()
    weight = np.ones(len(x))
    weight[60] = -2
    with pytest.raises(ValueError, match="sample_weight must be finite and >= 0; row 60 has -2.0"):
        jaxgmm.fit(0, jaxgmm.rows(x, weight, block_size=50), 2, family="diag")
    with pytest.raises(ValueError, match="sample_weight must not be all zero"):
        jaxgmm.fit(0, jaxgmm.rows(x, 0 * weight, block_size=50), 2, family="diag")
    with pytest.raises(ValueError, match="n_components=4 needs at least as many rows of positive weight, got 3"):
        jaxgmm.fit(0, jaxgmm.rows(x[:3]), 4, family="diag")


@pytest.mark.long
def test_a_collapsed_stream_is_degenerate():
    x = np.repeat([[0.0, 0.0], [1.0, 5.0], [4.0, 2.0]], 20, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        assert jaxgmm.fit(0, jaxgmm.rows(x, block_size=50), 3).status is Status.DEGENERATE
