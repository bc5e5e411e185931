"""Estimators of few rows run in NumPy: nothing is compiled, and the fit is scikit-learn's, or the compiled one's."""

import contextlib
import warnings

import jax
import numpy as np
import pytest
import sklearn.mixture
from families import BY_NAME
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from test_sklearn import TYPES, assert_same_fit
from test_stopping import compilations

import jaxgmm
from jaxgmm.families.base import lookup
from jaxgmm.sklearn import (
    BernoulliMixture,
    CategoricalMixture,
    ExponentialMixture,
    GammaMixture,
    GaussianMixture,
    PoissonMixture,
    few,
)
from jaxgmm.sklearn.kmeans import k_means, means, nearest

KINDS = {
    **{name: lambda k, name=name, **told: GaussianMixture(k, covariance_type=name, **told) for name in TYPES},
    "bernoulli": BernoulliMixture,
    "categorical": CategoricalMixture,
    "poisson": PoissonMixture,
    "exponential": ExponentialMixture,
    "gamma": GammaMixture,
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
DATA = {
    "iris": load_iris().data,
    "blobs": make_blobs(400, 3, centers=4, cluster_std=2.0, random_state=3)[0],
    "noise": np.random.default_rng(2).gamma(2.0, size=(250, 4)),
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@EACH_KIND
def test_nothing_is_compiled(kind):
    x = BY_NAME[kind].data(n=201, seed=3)[:, :2]
    told = {"n_categories": 3} if kind == "categorical" else {}

    def use(init):
        model = KINDS[kind](3, random_state=0, n_init=2, init_params=init, **told).fit(x)
        model.set_params(warm_start=True).fit(x[:-1], sample_weight=np.arange(200) % 3)
        for answer in ("predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"):
            getattr(model, answer)(x[:150])

    assert compilations([lambda init=init: use(init) for init in ("kmeans", "k-means++", "random_from_data")]) == 0


def test_a_grid_search_and_samples_compile_nothing():
    x = DATA["iris"][:, :3]

    def search():
        found = GridSearchCV(GaussianMixture(random_state=0), {"n_components": range(1, 5), "covariance_type": TYPES})
        found.fit(x).best_estimator_.sample(7)

    assert compilations([search]) == 0


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init", ["kmeans", "random"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_random_state_is_the_same_fit(name, covariance_type, init, seed):
    told = {"covariance_type": covariance_type, "init_params": init}
    ours, theirs = (
        kind(4, random_state=np.random.RandomState(seed), **told).fit(DATA[name])
        for kind in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    assert_same_fit(ours, theirs)
    np.testing.assert_array_equal(ours.predict(DATA[name]), theirs.predict(DATA[name]))
    np.testing.assert_allclose(ours.predict_proba(DATA[name]), theirs.predict_proba(DATA[name]), atol=1e-8)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init", ["k-means++", "random_from_data"])
def test_drawn_rows_are_where_scikit_learn_starts(name, covariance_type, init):
    told = {"covariance_type": covariance_type, "init_params": init, "random_state": 3}
    ours, theirs = (kind(3, **told) for kind in (GaussianMixture, sklearn.mixture.GaussianMixture))
    begun = [clone(each).set_params(max_iter=0).fit(DATA[name]) for each in (ours, theirs)]
    np.testing.assert_allclose(begun[0].means_, begun[1].means_, rtol=1e-12)
    np.testing.assert_allclose(begun[0].weights_, 1 / 3)
    ours.fit(DATA[name]), theirs.fit(DATA[name])
    if covariance_type == "tied":  # all rows enter scikit-learn's first covariance, few a component
        assert ours.lower_bound_ > theirs.lower_bound_ - 1e-3
        return
    assert ours.n_iter_ == theirs.n_iter_
    # by x² - 2 x μ + μ² scikit-learn loses digits of its first, narrow components: rows of iris lie between two
    rtol = 1e-4 if name == "iris" and covariance_type != "full" else 1e-9
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.lower_bounds_[1:], theirs.lower_bounds_[1:], rtol=rtol)


@pytest.mark.parametrize("kind", ["tied", "gamma"])
def test_without_a_width_a_row_belongs_to_the_nearest_drawn(kind):
    x = BY_NAME[kind].data(n=200, seed=1)
    told = {"reg_covar": 0.0} if kind == "tied" else {}
    model = KINDS[kind](3, init_params="k-means++", random_state=0, max_iter=0, **told).fit(x)
    assert len(np.unique(model.weights_ * 200)) > 1 and np.isclose(model.weights_ * 200 % 1, 0, atol=1e-6).sum() >= 2


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_same_random_state_is_the_same_sample(covariance_type):
    told = {"covariance_type": covariance_type, "random_state": 5}
    ours = GaussianMixture(3, **told).fit(DATA["blobs"])
    for mine, wanted in zip(ours.sample(50), ours.to_sklearn().sample(50), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-12)


@pytest.mark.diagonal
@EACH_KIND
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fit_is_that_of_the_compiled_program(kind, dtype, monkeypatch):
    x = BY_NAME[kind].data(dtype, n=300, seed=4)
    start = np.random.default_rng(0).random((300, 3))
    start /= start.sum(axis=1, keepdims=True)
    model = KINDS[kind](3, init_params=start, tol=0, max_iter=30)
    weight = np.random.default_rng(1).integers(0, 4, 300)
    rtol, most = 1e-3 if dtype == np.float32 else 1e-8, few.MOST
    here = clone(model).fit(x, sample_weight=weight)
    monkeypatch.setattr(few, "MOST", 0)
    there = clone(model).fit(x, sample_weight=weight)
    for name in here.mixture_.components.__dataclass_fields__:
        ours, wanted = getattr(here, f"{name}_"), getattr(there, f"{name}_")
        assert ours.dtype == wanted.dtype == dtype
        np.testing.assert_allclose(ours, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())
    assert here.n_iter_ == there.n_iter_ == 30
    for answer in ("predict_proba", "score_samples", "score", "bic", "icl"):
        wanted = getattr(there, answer)(x)
        monkeypatch.setattr(few, "MOST", most)
        ours = getattr(here, answer)(x)
        monkeypatch.setattr(few, "MOST", 0)
        assert np.asarray(ours).dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(ours, wanted, rtol=rtol, atol=10 * rtol)


@pytest.mark.short(covariance_type=["full"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_freed_start_is_that_of_the_compiled_program(covariance_type, monkeypatch):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, 2)) * [1, 1e-4]  # reg_covar outweighs the second feature
    told = {"covariance_type": covariance_type, "init_params": rng.dirichlet([1, 1, 1], 100), "max_iter": 0}
    here = GaussianMixture(3, **told).fit(x)
    monkeypatch.setattr(few, "MOST", 0)
    np.testing.assert_allclose(here.covariances_, GaussianMixture(3, **told).fit(x).covariances_, rtol=1e-9)


def test_what_counts_as_few():
    assert few.are_few(np.zeros((few.MOST // 4, 2)), 2) and not few.are_few(np.zeros((few.MOST // 4 + 1, 2)), 2)
    assert few.are_few(np.zeros((10, 2)), 2, few.MOST // few.LEAST)
    assert not few.are_few(np.zeros((10, 2)), 2, few.MOST // few.LEAST + 1)
    assert few.are_few(jax.numpy.zeros((10, 2)), 2)
    assert not few.are_few(jaxgmm.rows(np.zeros((10, 2))), 2)


def test_a_stream_of_few_rows_is_read(monkeypatch):
    monkeypatch.setattr(few, "MOST", few.LEAST)
    x = DATA["blobs"]

    def blocks(rows):
        return jaxgmm.rows([rows[i : i + 60] for i in range(0, len(rows), 60)])

    streamed, inside = (GaussianMixture(3, random_state=0).fit(rows) for rows in (blocks(x), x))
    np.testing.assert_array_equal(streamed.means_, inside.means_)
    many = blocks(np.tile(x, (30, 1)))
    assert few.in_memory(many, None, lookup("full"), 3, 1)[0] is many


@pytest.mark.parametrize("seed", range(40))
def test_clusters_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, d, k = rng.integers(20, 600), rng.integers(1, 6), rng.integers(1, 9)
    x = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-6, 6) + rng.integers(0, 2) * 1e3
    x += rng.integers(0, 3, n)[:, None] * rng.normal(size=d) * x.std()
    weight = None if seed % 3 else rng.integers(0, 3, n) + (np.arange(n) < k)
    theirs = KMeans(k, n_init=1, random_state=seed).fit(x, sample_weight=weight)
    ours = k_means(x, weight, k, np.random.RandomState(seed))
    np.testing.assert_array_equal(ours, theirs.labels_)


@pytest.mark.parametrize("old", [[0.0, 5.0, 12.0, 99.0], [10.0, 98.0, 99.0], [0.5, 0.5, 300.0]])
def test_empty_clusters_take_far_rows_as_in_scikit_learn(old):
    x, weight = np.array([[0.0], [0.0], [1.0], [10.0], [11.0], [50.0], [52.0]]), np.arange(1.0, 8.0)
    old = np.array(old)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = KMeans(len(old), init=old, n_init=1, max_iter=1).fit(x, sample_weight=weight)
    ours = means(x, weight, nearest(x, old), old)
    assert len(np.unique(nearest(x, old))) < len(old)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-12)


def test_clusters_of_equal_rows_are_one():
    same = np.ones((4, 1))
    np.testing.assert_array_equal(means(same, np.ones(4), np.zeros(4, int), np.ones((2, 1))), np.ones((2, 1)))


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0, 0.0]])
def test_rows_drawn_are_distinct_in_value(weights):
    x = np.repeat([[0.0, 0], [1, 5], [2, 0], [9, 9]], [50, 3, 2, 3], axis=0)
    weight = None if weights is None else np.repeat(weights, [50, 3, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three rows are three collapsed components
        for seed in range(5):
            model = GaussianMixture(3, init_params="random_from_data", random_state=seed, max_iter=0, reg_covar=1e-2)
            assert len(np.unique(model.fit(x, sample_weight=weight).means_.round(3), axis=0)) == 3


def test_too_few_distinct_rows_say_what_comes_of_it():
    x = np.repeat([[0.0, 0], [1, 5]], 10, axis=0)
    with pytest.warns(jaxgmm.sklearn.DegenerateWarning) as said:
        GaussianMixture(3, random_state=0).fit(x)
    _, flat = said
    assert str(flat.message).startswith("column 0 - 0.2 column 1 does not vary")  # on one line
    assert not [each for each in said if "distinct clusters" in str(each.message)]


def test_values_outside_the_support_are_named():
    counts = BY_NAME["poisson"].data()
    model = PoissonMixture(2, random_state=0).fit(counts)
    counts[7, 1] = 0.5
    for call in (model.fit, model.predict):
        with pytest.raises(ValueError, match="row 7, column 1 is 0.5"):
            call(counts)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_float32_of_any_size_is_fitted(unit):
    x = DATA["blobs"]
    told = {"covariance_type": "diag", "reg_covar": 0.0, "random_state": 0}
    small = GaussianMixture(3, **told).fit((x * unit).astype(np.float32))
    np.testing.assert_allclose(small.means_ / unit, GaussianMixture(3, **told).fit(x).means_, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("constant", [[2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("k", [1, 2])
def test_a_constant_column_without_a_width_is_refused_where_scikit_learn_does(constant, k, covariance_type, dtype):
    x = DATA["blobs"].astype(dtype)
    x[:, constant] = 7.25
    models = [
        kind(k, covariance_type=covariance_type, reg_covar=0, random_state=0)
        for kind in (GaussianMixture, sklearn.mixture.GaussianMixture)
    ]
    sound = covariance_type == "spherical" and len(constant) < 3
    refused = pytest.raises(ValueError, match="ill-defined empirical covariance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters
        for model in models:
            with contextlib.nullcontext() if sound else refused:
                model.fit(x)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_matrices_that_float32_cannot_hold_take_no_update_more(max_iter, covariance_type):
    x = DATA["blobs"][:, :2]
    x = np.column_stack([x, x[:, 0] - 2 * x[:, 1]]).astype(np.float32)
    model = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0, tol=0, max_iter=max_iter, random_state=0)
    with pytest.warns(UserWarning, match="not vary beyond rounding"):
        model.fit(x)
    assert model.n_iter_ == len(model.lower_bounds_) == max_iter
    assert np.isfinite(np.linalg.cholesky(model.covariances_)).all()
