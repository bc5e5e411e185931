"""Where EM starts, seen through `fit` with max_iter=0."""

import itertools

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, CASES, DTYPES, ROUTED, WEIGHTS, K, N, assert_mixtures_close, read

import jaxgmm
from jaxgmm.data.arrays import Rows
from jaxgmm.init import kmeans, subsample

FULL = BY_NAME["full"]
TURNS = "kmeans", "spread", "k-means++"
KINDS = *TURNS, "random"
DRAWS = 4  # of the first start of "auto"
NAMED = pytest.mark.parametrize("init", KINDS)


def start(key, x, k=K, **options):
    options = {"prior": None, **options}
    return jaxgmm.fit(key, x, k, max_iter=0, tol=0, **options)


def nearest_centre(x, centres):
    """One-hot responsibilities of the nearest centre, in the frame where every feature has unit variance."""
    scale = x.std(axis=0)
    squared = (((x[:, None, :] - centres[None]) / scale) ** 2).sum(axis=2)
    return np.eye(len(centres))[np.argmin(squared, axis=1)]


STARTS = [(case, "k-means++") for case in CASES]
STARTS += [(BY_NAME[name], init) for name in ("spherical", "categorical", "gamma") for init in ("kmeans", "random")]


@pytest.mark.parametrize(("case", "init"), STARTS, ids=str)
def test_a_start_is_of_distinct_components_and_the_same_in_any_dtype(case, init):
    x = case.data(np.float32)
    results = [start(0, rows, family=case.family, init=init) for rows in (x, x.astype(float))]
    single, double = (read(result.mixture, case.params) for result in results)
    assert [result.n_iter for result in results] == [0, 0]
    np.testing.assert_allclose(double[0].sum(), 1, rtol=1e-12)
    assert np.all(double[0] > 0)
    assert oracles.all_distinct(double[1][oracles.first_field(case.name)])
    np.testing.assert_allclose(single[0], double[0], rtol=1e-4)
    for field, value in double[1].items():
        np.testing.assert_allclose(single[1][field], value, rtol=1e-3, atol=1e-4 * np.abs(value).max())


@NAMED
@pytest.mark.parametrize("family", ["full", "poisson"])
def test_heavy_duplicates_still_start_distinct(init, family):
    """95 % of the rows are one point: K distinct rows exist, so K distinct components start."""
    rows = np.array([[2.0, 3.0], [4.0, 0.0], [9.0, 1.0]])
    x = np.concatenate([np.tile(rows[:1], (114, 1)), np.repeat(rows[1:], 3, axis=0)])
    for seed in range(5):
        with_ties = start(seed, x, family=family, init=init)
        centres = read(with_ties.mixture, ["means" if family == "full" else "rates"])[1].popitem()[1]
        assert min(np.abs(a - b).max() for a, b in itertools.combinations(centres, 2)) > 0.5
        if family == "full":
            np.testing.assert_allclose(centres[np.argsort(centres[:, 0])], rows, rtol=0, atol=1e-12)


@NAMED
def test_a_start_depends_on_its_key_alone(init):
    x = FULL.data()
    a, b, other = (np.asarray(start(seed, x, init=init).mixture.components.means) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert init == "kmeans" or not np.allclose(a, other)
    blocks = start(1, x, init=init, block_size=50)
    np.testing.assert_allclose(blocks.mixture.components.means, a, rtol=1e-9)


@NAMED
def test_rows_of_weight_zero_start_nothing(init):
    x = np.concatenate([FULL.data()[:90], FULL.data()[90:] + 1e3])
    w = np.where(np.arange(N) < 90, 1.0, 0.0)
    for seed in range(5):
        assert np.abs(start(seed, x, init=init, sample_weight=w).mixture.components.means).max() < 100


@NAMED
@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")  # a component may begin with the heavy row alone
def test_draws_follow_the_weights(init):
    """A row that carries nearly all the weight is where nearly every start begins, with one component."""
    x = np.arange(N, dtype=float)[:, None]
    seen = []

    def spy(key, rows, sample_weight, k):
        seen.append(np.asarray(sample_weight))
        return rows[:k]

    w = np.where(np.arange(N) == 7, 1e6, 1.0)
    start(0, x, 2, sample_weight=w, init=spy, family="spherical")
    np.testing.assert_array_equal(seen[0], w)
    means = [np.ravel(start(seed, x, 2, init=init, sample_weight=w).mixture.components.means) for seed in range(4)]
    assert all(np.any(np.abs(m - 7) < 1.5) for m in means)


def test_a_start_gives_every_row_to_its_nearest_centre():
    centres = np.array([[0.0, 0.0, 0.0], [3.0, 1.0, -2.0], [-1.0, 4.0, 2.0]])
    for name in oracles.GAUSSIAN[:3]:  # one scale for all features in spherical
        case = BY_NAME[name]
        x = case.data()
        expected = oracles.m_step(name, x, nearest_centre(x, centres))
        order = np.argsort(-expected[0], kind="stable")
        actual = start(0, x, family=name, init=lambda *_: centres, prior=case.prior)
        covariances = expected[1]["covariances"] if name == "tied" else expected[1]["covariances"][order]
        wanted = expected[0][order], {"means": expected[1]["means"][order], "covariances": covariances}
        assert_mixtures_close(actual.mixture, wanted, case.params, np.float64)


@DTYPES
def test_beside_a_far_group_every_row_still_goes_to_its_nearest_centre(dtype):
    """The far group squeezes the others into a thousandth of the frame, where products of points lose their digits."""
    rng = np.random.default_rng(0)
    p = (rng.normal(size=(3, 500)) * 1e-3 - 0.3).astype(dtype)
    p[:, :10] += 3
    centres, active = p[:, [0, 20, 30, 40, 50, 60]].T, np.arange(6) < 5
    squared = ((p.astype(np.float64)[None] - centres.astype(np.float64)[:5, :, None]) ** 2).sum(1)
    origin = kmeans.middle(centres[None], active[None])
    seen = kmeans.Around(lambda x: x, origin).view(None, p)
    found = kmeans.nearest(seen, centres - origin[None], active)
    np.testing.assert_array_equal(found.argmax(0), squared.argmin(0))
    assert (found.sum(0) == 1).all() and len(np.unique(squared.argmin(0))) == 5


def test_kmeans_ends_where_lloyd_stands_still():
    case = BY_NAME["spherical"]
    x = case.data()
    means = np.asarray(start(0, x, family="spherical", init="kmeans").mixture.components.means)
    squared = ((x[:, None, :] - means[None]) ** 2).sum(axis=2)
    labels = np.argmin(squared, axis=1)
    again = np.stack([x[labels == j].mean(axis=0) for j in range(K)])
    np.testing.assert_allclose(again, means, rtol=1e-6, atol=1e-6)


def test_kmeans_of_many_rows_ends_near_there(monkeypatch):
    """Another iteration moves its centres by a hundredth of a standard deviation at most; they came there sooner."""
    x = np.random.default_rng(0).normal(size=(10_000, 2))
    calls, moved = [], kmeans._moved

    def spy(*args):
        calls.append(args)
        return moved(*args)

    monkeypatch.setattr(kmeans, "_moved", spy)
    iterations = []
    for many in (kmeans.MANY, 2 * len(x)):
        monkeypatch.setattr(kmeans, "MANY", many)
        calls.clear()
        centres = np.asarray(start(1, x, 6, family="spherical", init="kmeans").mixture.components.means)
        iterations.append(len(calls))
        labels = np.argmin(((x[:, None, :] - centres[None]) ** 2).sum(axis=2), axis=1)
        again = np.stack([x[labels == j].mean(axis=0) for j in range(6)])
        assert np.abs(again - centres).max() < kmeans.NEAR * x.std()
    until_near, until_still = iterations
    assert 1 < until_near < until_still


def test_k_means_plus_plus_spreads_its_centres():
    """Three far clusters, one of them small: plain draws miss it two times in three, k-means++ hardly ever."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2)) + np.repeat([[0.0], [100.0], [-100.0]], [N // 2, N // 2 - 6, 6], axis=0)
    hits = [np.asarray(start(seed, x).mixture.components.means).min() < -90 for seed in range(10)]
    assert sum(hits) == 10


def test_a_callable_is_called_once_per_start_with_the_data_as_given():
    x = (FULL.data() * 10).astype(np.int32)
    w = np.linspace(1, 2, N)
    calls = []

    def centres(key, rows, sample_weight, k):
        calls.append((key, rows, sample_weight, k))
        assert not isinstance(rows, jax.core.Tracer)
        return np.asarray(rows[[0, 20, 40]], float) + len(calls)

    start(0, x, init=centres, n_init=3, sample_weight=w)
    assert len(calls) == 3
    assert len({tuple(np.ravel(jax.random.key_data(key))) for key, *_ in calls}) == 3
    for _, rows, sample_weight, k in calls:
        np.testing.assert_array_equal(rows, x)
        assert np.asarray(rows).dtype == np.int32 and k == K
        np.testing.assert_allclose(sample_weight, w)


def test_a_callable_works_inside_a_trace():
    def centres(key, rows, sample_weight, k):
        return rows[:k]

    x = FULL.data(np.float32)
    traced = jax.jit(lambda x: jaxgmm.fit(0, x, K, init=centres, max_iter=3, tol=0).log_likelihood)(x)
    direct = jaxgmm.fit(0, x, K, init=centres, max_iter=3, tol=0).log_likelihood
    np.testing.assert_allclose(traced, direct, rtol=1e-5)


@ROUTED
@DTYPES
def test_a_mixture_is_where_em_starts(case, dtype):
    mixture = case.mixture(dtype)
    result = start(0, case.data(dtype), family=case.family, init=mixture, prior=case.prior)
    assert_mixtures_close(result.mixture, mixture, case.params, dtype)  # in the caller's order


@ROUTED
@DTYPES
def test_responsibilities_start_with_their_own_m_step(case, dtype):
    x, w = case.data(dtype), np.random.default_rng(1).integers(1, 4, N).astype(dtype)
    resp = np.random.default_rng(2).dirichlet(WEIGHTS, N).astype(dtype)
    result = start(0, x, family=case.family, init=resp, sample_weight=w, prior=case.prior)
    assert_mixtures_close(result.mixture, oracles.m_step(case.name, x, resp, w, **case.options), case.params, dtype)


def test_every_start_is_reported():
    result = jaxgmm.fit(0, FULL.data(), K, n_init=4, init="random", max_iter=0, tol=0)
    assert np.shape(result.restarts) == (4,)
    assert len(np.unique(result.restarts)) > 1
    np.testing.assert_allclose(np.max(result.restarts), result.log_likelihood, rtol=1e-9)


@pytest.mark.parametrize("k", [K, 2])
def test_auto_takes_kinds_in_turn(k):
    x = FULL.data()
    every = {init: start(3, x, k, init=init, n_init=10).restarts for init in (*KINDS, "auto")}
    first, *others = every["auto"][:7]
    np.testing.assert_allclose(others, [every[TURNS[i % 3]][i + DRAWS - 1] for i in range(1, 7)], rtol=1e-12)
    assert np.isclose(first, every["kmeans"][:DRAWS], rtol=1e-12).any()
    assert start(3, x, k).log_likelihood == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize(("init", "power"), [("spread", 0.5), ("random", 0)])
def test_rows_are_drawn_by_a_power_of_distance(init, power):
    """Two of three places: the first is drawn by weight, the second by weight times this power of its distance."""
    places, weights = np.array([0.0, 1.0, 30.0]), np.array([1.0, 2.0, 1.0])
    first = weights / weights.sum()
    chance = weights * np.where(np.eye(3), 0, abs(places - places[:, None]) ** power)
    pairs = first[:, None] * chance / chance.sum(1, keepdims=True)
    x, weight = np.repeat(places, 40)[:, None], np.repeat(weights, 40)
    options = {"family": "spherical", "sample_weight": weight}
    result = start(0, x, 2, init=init, n_init=2000, **options)
    near = start(0, x, 2, init=lambda *_: places[:2, None], **options).log_likelihood  # the others part the rows alike
    seen, expected = np.isclose(result.restarts, near, rtol=1e-9).mean(), pairs[0, 1] + pairs[1, 0]
    assert abs(seen - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000)


@pytest.mark.parametrize("seed", range(3))
def test_ten_starts_part_near_clusters_from_few_rows_that_lie_very_far(seed):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(20, 3, 4000), rng.normal(150, 15, 1000), rng.normal(3e6, 1e4, 40)])[:, None]
    result = jaxgmm.fit(seed, x, 3, n_init=10)
    np.testing.assert_allclose(np.sort(np.ravel(result.mixture.components.means))[:2], [20, 150], rtol=0.02)


def test_several_starts_find_near_clusters_that_far_rows_hide():
    """Distances from the far rows are all that k-means++ and k-means see: none of their starts parts the others."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(50, 5, 600), rng.normal(200, 20, 300), rng.normal(3e7, 2e5, 9)])[:, None]
    result = jaxgmm.fit(0, x, 3, n_init=10)
    np.testing.assert_allclose(np.sort(np.ravel(result.mixture.components.means))[:2], [50, 200], rtol=0.02)


@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")  # components without spread
def test_a_value_too_rare_for_the_sample_still_starts_a_component():
    """Of many rows one in fifteen stands for all; the only row of a third value is seldom among them."""
    x = np.repeat(np.float32([[0.0], [1.0]]), 60_000, axis=0)
    x[50_001] = 9
    rows = Rows(jax.numpy.asarray(x), jax.numpy.ones(len(x)), None, 4096, "float32")
    starts = subsample.sample(jax.random.key(0), rows, subsample.enough_to_draw(3, 1))
    assert len(starts.x) == subsample.DRAWN and float(starts.weight.sum()) == len(x)
    for seed in range(3):
        means = np.ravel(start(seed, x, 3, family="spherical").mixture.components.means)
        np.testing.assert_allclose(np.sort(means), [0, 1, 9], atol=1e-4)


@pytest.mark.short(route=["host", "many"])
@pytest.mark.parametrize("route", ["host", "compiled", "jit", "many", "stream"])
def test_the_first_start_of_auto_is_the_likeliest_of_four_draws_of_k_means(route):
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(150, 2)) * (0.2 + i % 3) + rng.normal(size=2) * 4 for i in range(7)])
    options = {"max_iter": 0, "tol": 0.0, "search": "exhaustive"}
    changed = 0
    for seed in range(3):
        drawn = [jaxgmm.fit(seed, x, 7, init="kmeans", n_init=DRAWS, **options).restarts]
        likeliest = np.max(drawn)
        changed += likeliest > np.ravel(drawn)[0] + 1e-3 * len(x)
        if route == "jit":
            with jax.enable_x64(True):
                found = jax.jit(lambda key, x: jaxgmm.fit(key, x, 7, **options).log_likelihood)(seed, x)
        elif route == "many":
            found = jaxgmm.fit_many(seed, np.stack([x, x[::-1].copy()]), 7, **options).log_likelihood[0]
        else:
            rows = jaxgmm.rows([x[:500], x[500:]]) if route == "stream" else x
            compiled = True if route == "compiled" else None
            found = jaxgmm.fit(seed, rows, 7, compiled=compiled, **options).log_likelihood
            several = jaxgmm.fit(seed, rows, 7, n_init=2, compiled=compiled, **options).restarts
            np.testing.assert_allclose(several[0], likeliest, rtol=1e-9)
        np.testing.assert_allclose(found, likeliest, rtol=1e-9)
    assert changed  # or the law would say nothing here


def test_more_starts_of_auto_begin_with_those_of_fewer():
    x = BY_NAME["full"].data(np.float64)
    few, more = (jaxgmm.fit(5, x, K, n_init=n, search="exhaustive", max_iter=0, tol=0).restarts for n in (3, 6))
    np.testing.assert_allclose(more[:3], few, rtol=1e-12)
