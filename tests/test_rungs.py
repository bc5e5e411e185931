"""Many rows: starts run on a sample first, the best of them on all rows, to where all starts on all rows would end."""

import json

import jax
import numpy as np
import pytest

import jaxgmm
from jaxgmm import Status
from jaxgmm.families.full import FULL
from jaxgmm.init import subsample
from jaxgmm.init.kmeans import TRIES
from jaxgmm.numerics import platforms
from jaxgmm.search import finalists, stages

pytestmark = pytest.mark.skipif(not platforms.on_cpu(), reason="rows on an accelerator are never sampled")
N, K = 6000, 3
BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["host", "compiled"])
ENDED = {"n_init": 5, "tol": 1e-9, "max_iter": 3000}


@pytest.fixture(autouse=True)
def small_samples(monkeypatch):
    """Samples of 512 rows, so that 6,000 are many."""
    monkeypatch.setattr(subsample, "SAMPLED", 512)
    monkeypatch.setattr(subsample, "A_PARAMETER", 1)
    yield
    jax.clear_caches()  # programs that know of a smaller sample


def clusters(n=N, d=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0.0], [4.0, 1.0], [-1.0, 5.0]])
    labels = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return (means[labels] + rng.normal(size=(n, 2)) * np.array([1.0, 0.7])).astype(dtype)


@pytest.fixture
def races(monkeypatch):
    """The rows and the lanes that went on of every search that climbed."""
    seen, climb = [], stages.climbed

    def watched(problem, search):
        after = climb(problem, search)
        seen.append((problem.sample, search, after))
        return after

    monkeypatch.setattr(stages, "climbed", watched)
    return seen


@pytest.mark.short(compiled=[False])
@BOTH
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_it_ends_where_all_starts_on_all_rows_end(family, compiled, races):
    x = clusters()
    weight = np.random.default_rng(1).integers(0, 3, N).astype(float)
    options = ENDED | {"family": family, "sample_weight": weight, "compiled": compiled}
    raced = jaxgmm.fit(1, x, K, **options)
    whole = jaxgmm.fit(1, x, K, **options, search="exhaustive")
    assert raced.converged and len(races) == 1
    [(sample, _, after)] = races
    assert sample.n == 512 and np.asarray(sample.weight).sum() == weight.sum()
    assert after.alive.sum() < 5
    assert abs(raced.log_likelihood - whole.log_likelihood) / N < 1e-8
    total = float(np.asarray(jaxgmm.log_prob(raced.mixture, x)) @ weight)
    np.testing.assert_allclose(raced.log_likelihood, total, rtol=1e-10)
    assert np.isfinite(raced.restarts).all() and raced.restarts.shape == (5,)
    assert np.abs(raced.restarts - raced.log_likelihood).min() < 1e-6 * N


def overlapping(n=N, seed=0):
    """Eight clusters that starts of one kind often share out wrongly."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(8, 3)) * 2.5
    return means[rng.integers(8, size=n)] + rng.normal(size=(n, 3)) * rng.uniform(0.4, 1.2, (n, 1))


@pytest.mark.short(compiled=[False])
@BOTH
def test_the_tries_of_a_single_start_run_on_the_sample_and_the_best_goes_on(compiled, races):
    x, chose = overlapping(), 0
    for seed in range(3):
        result = jaxgmm.fit(seed, x, 8, compiled=compiled, tol=1e-4, max_iter=5000)
        _, before, after = races[-1]
        values = np.asarray(before.standing.log_likelihood)
        best = int(np.argmax(np.where(np.asarray(before.standing.sound), values, -np.inf)))
        chose += best != 0
        assert values.shape == (TRIES,) and result.restarts.shape == (1,)
        assert after.alive.shape == (1,) and after.alive.all()
        begun = jaxgmm.fit(seed, x, 8, compiled=compiled, tol=0, max_iter=0).log_likelihood
        assert result.log_likelihood > begun and result.converged
    assert chose  # or the first try had been the best each time


def test_few_starts_run_all_tries_and_many_only_the_likeliest(races):
    for starts in range(1, 6):
        jaxgmm.fit(0, clusters(), K, n_init=starts)
        _, before, after = races[-1]
        assert len(before.alive) == (starts + TRIES - 1 if starts < TRIES else starts)
        assert len(after.alive) == starts
    jaxgmm.fit(0, clusters(), K, n_init=1, init="k-means++")
    assert len(races[-1][1].alive) == 1


def test_of_tries_that_were_stopped_the_best_begins_anew(races):
    places = []
    for key in range(4):
        jaxgmm.fit(key, overlapping(), 8, callback=lambda glance: glance.iteration >= 2, every=1)
        _, before, after = races[-1]
        values = np.asarray(before.standing.log_likelihood)
        places.append(np.argmax(values > values.max() - 1e-4 * N))  # of level ones the first
        first, drawn = (each.firsts.state.candidate.components.means for each in (after, before))
        np.testing.assert_array_equal(first[0], drawn[places[-1]])
    assert max(places) > 0  # or the first try had been the best each time


def test_on_the_host_and_compiled_it_is_the_same_race():
    x = clusters(dtype=np.float32)
    for family, rows in (("full", x), ("poisson", np.random.default_rng(2).poisson([[2, 9], [7, 1]] * (N // 2)))):
        here, there = (jaxgmm.fit(3, rows, 2, family=family, n_init=4, compiled=way) for way in (False, True))
        np.testing.assert_allclose(here.log_likelihood, there.log_likelihood, rtol=1e-6)
        np.testing.assert_allclose(here.restarts, there.restarts, rtol=1e-4)


def test_rows_that_stream_take_the_same_sample(races):
    x = clusters()
    memory, stream = jaxgmm.fit(2, x, K, **ENDED), jaxgmm.fit(2, jaxgmm.rows(x, block_size=700), K, **ENDED)
    (one, _, _), (other, _, _) = races
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_allclose(stream.log_likelihood, memory.log_likelihood, rtol=1e-9)


@pytest.mark.long
def test_passes_over_a_stream_are_few():
    x, passes = clusters(n=20_000), []

    class Blocks:
        def __iter__(self):
            passes.append(1)
            yield from np.array_split(x, 10)

    jaxgmm.fit(0, jaxgmm.rows(Blocks()), K, n_init=6)
    raced = len(passes)
    passes.clear()
    jaxgmm.fit(0, jaxgmm.rows(Blocks()), K, n_init=6, search="exhaustive")
    assert raced < len(passes)


def test_a_fit_of_a_sweep_is_that_of_fit():
    x = clusters()
    selection = jaxgmm.select(4, x, [2, 3], families=["diag", "full"], n_init=3)
    for row, result in zip(selection.table, selection.results, strict=True):
        alone = jaxgmm.fit(4, x, row["n_components"], family=row["family"], n_init=3)
        np.testing.assert_allclose(alone.log_likelihood, result.log_likelihood, rtol=1e-9)


@pytest.mark.parametrize("seed", [3, 4, 8])
def test_a_group_too_small_for_the_sample_is_found(seed):
    """Two of its 24 rows are in the sample, where a matrix of their own collapses; other starts end well without it.
    The start that begins again on all rows finds it: without that, seed 8 ends 700 nats below."""
    rng, d, rare = np.random.default_rng(seed), 8, 24
    two = rng.normal(size=(N // 2, d)), rng.normal(size=(N // 2, d)) + 5 * (np.arange(d) % 2)
    x = np.concatenate([*two, rng.normal(size=(rare, d)) + 5])
    x = x[rng.permutation(len(x))]
    result = jaxgmm.fit(seed, x, 3, n_init=6)
    exhaustive = jaxgmm.fit(seed, x, 3, n_init=6, search="exhaustive")
    assert result.converged
    assert (exhaustive.log_likelihood - result.log_likelihood) / len(x) < 1e-5
    np.testing.assert_allclose(np.asarray(result.mixture.weights)[2] * len(x), rare, rtol=0.05)


def test_what_stops_on_the_sample_is_judged_by_all_rows():
    x = clusters()
    result = jaxgmm.fit(0, x, K, n_init=4, callback=lambda glance: True, every=1)
    assert result.status is Status.STOPPED
    total = np.asarray(jaxgmm.log_prob(result.mixture, x)).sum()
    np.testing.assert_allclose(result.log_likelihood, total, rtol=1e-10)


@pytest.mark.parametrize("after", [3, 12, 20])
def test_a_checkpoint_on_either_rung_resumes_to_the_same_bits(after, tmp_path, races):
    x, options = clusters(), {"n_init": 4, "tol": 1e-8, "accelerate": "none"}
    whole = jaxgmm.fit(5, x, K, **options)
    file = tmp_path / "fit.npz"
    jaxgmm.fit(5, x, K, **options, checkpoint=file, callback=lambda glance: glance.iteration >= after, every=1)
    resumed = jaxgmm.fit(5, x, K, **options, checkpoint=file, resume=True)
    assert json.dumps(np.asarray(resumed.restarts).tolist()) == json.dumps(np.asarray(whole.restarts).tolist())
    assert resumed.n_iter == whole.n_iter


@pytest.mark.parametrize("options", [{"search": "exhaustive"}, {"tol": 0, "max_iter": 5}, {"max_iter": 0}], ids=str)
@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
def test_what_is_said_to_run_on_all_rows_does(options, races):
    jaxgmm.fit(0, clusters(), K, **options)
    assert races == []


@pytest.mark.long
def test_given_starts_run_on_all_rows(races):
    x = clusters()
    jaxgmm.fit(0, x, K, init=lambda key, x, weight, k: x[:k])
    jaxgmm.fit(0, x, K, init=jaxgmm.fit(0, x[:300], K).mixture)
    jax.jit(lambda key, x: jaxgmm.fit(key, x, K).log_likelihood)(jax.random.key(0), np.float32(x))
    assert races == []


def test_finalists_are_those_that_chance_may_have_put_behind():
    """The best, at most two more, and one that begins again."""
    x = clusters(n=60_000)
    found = []
    of = finalists.of
    try:
        finalists.of = lambda problem, search: found.append((search, of(problem, search))) or found[-1][1]
        result = jaxgmm.fit(0, x, 6, n_init=12, family="spherical")
    finally:
        finalists.of = of
    [(search, (goes_on, anew))] = found
    values = np.asarray(search.standing.log_likelihood)
    best = np.where(search.standing.sound & (search.standing.status >= 0), values, -np.inf).max()
    assert values[goes_on].max() >= best - 1e-4 * len(x)
    assert 1 <= goes_on.sum() <= finalists.MOST and anew.sum() == 1 and not (goes_on & anew).any()
    assert result.converged


@pytest.mark.short(compiled=[False])
@BOTH
def test_starts_that_are_called_back_begin_with_all_rows(compiled, monkeypatch):
    """As where no finalist ends well: here all the others are called back."""
    x, options = clusters(), ENDED | {"compiled": compiled}
    called = []

    def recalled(standing, alive, groups):
        called.append(np.asarray(standing.n_iter))
        return ~np.asarray(alive) if len(called) == 2 else np.zeros(len(alive), bool)

    monkeypatch.setattr(stages.pruning, "recalled", recalled)
    raced = jaxgmm.fit(1, x, K, **options)
    assert len(called) == 2 and (called[1] < 0).any()
    whole = jaxgmm.fit(1, x, K, **options, search="exhaustive")
    unseen = called[1] < 0
    np.testing.assert_allclose(raced.restarts[unseen], whole.restarts[unseen], rtol=1e-9)


def test_many_is_a_matter_of_sizes(monkeypatch):
    monkeypatch.undo()
    assert subsample.stretches(60_000, 2**15)[1] == 1
    assert subsample.stretches(200_000, 2**15)[0] == 2**15
    assert subsample.enough_to_fit(FULL.moments, 64, 200) > 2**20
