"""Estimators of rows that stream: what they say is what they say of the same rows in memory."""

import itertools

import numpy as np
import pytest
from families import BY_NAME

import jaxgmm
from jaxgmm.data.sources import Stream

pytest.importorskip("sklearn")

from jaxgmm.sklearn import (
    BernoulliMixture,
    CategoricalMixture,
    ExponentialMixture,
    GammaMixture,
    GaussianMixture,
    MixtureSearch,
    PoissonMixture,
    arrays,
)

pytestmark = pytest.mark.usefixtures("engine")
KINDS = {
    "full": GaussianMixture,
    "bernoulli": BernoulliMixture,
    "categorical": CategoricalMixture,
    "poisson": PoissonMixture,
    "exponential": ExponentialMixture,
    "gamma": GammaMixture,
}
X = BY_NAME["full"].data(n=400, seed=5)
W = np.random.default_rng(6).integers(1, 4, 400).astype(float)
NAMES = ("a", "b", "c")
ANSWERS = ("predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl")


class Blocks:
    """x and weights in blocks of uneven sizes, again at every pass."""

    def __init__(self, x, weight=None, cuts=(0, 3, 150, 260, 400)):
        self.x, self.weight, self.cuts = x, weight, cuts

    def __iter__(self):
        for start, stop in itertools.pairwise(self.cuts):
            rows = self.x[start:stop]
            yield rows if self.weight is None else (rows, self.weight[start:stop])


def npy(folder, x):
    np.save(folder / "x.npy", x)
    return str(folder / "x.npy")


def memmap(folder, x):
    return np.load(npy(folder, x), mmap_mode="r")


def hdf5(folder, x):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("x", data=x)


def zarred(folder, x):
    return pytest.importorskip("zarr").array(x, chunks=(64, x.shape[1]))


def parquet(folder, x, names=NAMES):
    pyarrow, tables = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = folder / "parts"
    folder.mkdir(exist_ok=True)
    for i, part in enumerate(np.array_split(x, 3)):
        tables.write_table(pyarrow.table(dict(zip(names, part.T, strict=True))), folder / f"{i}.parquet")
    return folder


def marked(folder, x):
    return jaxgmm.rows(Blocks(x), block_size=64)


def assert_alike(streamed, inside, rtol=1e-8):
    for name, value in vars(inside).items():
        if name.endswith("_") and not name.startswith("_") and name != "feature_names_in_":
            np.testing.assert_allclose(getattr(streamed, name), value, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tol", [1e-3, "limit"])
def test_a_stream_is_fitted_as_its_rows_are(kind, tol):
    x = BY_NAME[kind].data(n=400, seed=5)
    n_init = 2 if tol == "limit" else 1  # by scikit-learn's rule rounding chooses among starts that end in one place
    model = KINDS[kind](3, tol=tol, n_init=n_init, random_state=1, max_iter=500)
    streamed, inside = KINDS[kind](**model.get_params()).fit(jaxgmm.rows(Blocks(x), block_size=64)), model.fit(x)
    assert_alike(streamed, inside)
    for answer in ANSWERS:
        expected = getattr(inside, answer)(x)
        ours = getattr(streamed, answer)(jaxgmm.rows(Blocks(x), block_size=64))
        assert type(ours) is type(expected)
        np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("source", [npy, memmap, hdf5, zarred, parquet, marked])
def test_any_source_will_do(source, tmp_path):
    inside = GaussianMixture(3, random_state=0, max_iter=500).fit(X)
    streamed = GaussianMixture(3, random_state=0, max_iter=500).fit(source(tmp_path, X))
    assert_alike(streamed, inside)
    again = source(tmp_path, X)
    np.testing.assert_array_equal(streamed.predict(again), inside.predict(X))
    np.testing.assert_array_equal(streamed.fit_predict(again), inside.predict(X))
    assert streamed.predict(again).dtype == np.int64


@pytest.mark.parametrize("large", [False, True])
def test_a_memory_map_streams_where_it_is_too_large_for_memory(large, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "too_large", lambda size: large)
    x = memmap(tmp_path, X)
    assert isinstance(arrays.source(x), Stream) == large
    fitted = GaussianMixture(3, random_state=0, max_iter=500).fit(x)
    assert_alike(fitted, GaussianMixture(3, random_state=0, max_iter=500).fit(X))


@pytest.mark.parametrize(
    "options", [{"accelerate": "squarem"}, {"covariance_type": "tied"}, {"init_params": "k-means++"}]
)
def test_options_mean_the_same(options):
    options = {"random_state": 0, "max_iter": 500, **options}
    stream = jaxgmm.rows(X.astype(np.float32), block_size=100)
    streamed, inside = (GaussianMixture(3, **options).fit(x) for x in (stream, X.astype(np.float32)))
    assert streamed.means_.dtype == np.float32
    np.testing.assert_allclose(streamed.means_, inside.means_, rtol=1e-3, atol=1e-3)


def test_weights_come_with_the_blocks_or_beside_them():
    inside = GaussianMixture(3, random_state=0, max_iter=500).fit(X, sample_weight=W)
    for stream, weight in (
        (jaxgmm.rows(Blocks(X, W), block_size=90), None),
        (jaxgmm.rows(Blocks(X), block_size=90), W),
    ):
        streamed = GaussianMixture(3, random_state=0, max_iter=500).fit(stream, sample_weight=weight)
        assert_alike(streamed, inside)
        for answer in ("score", "bic", "aic", "icl"):
            ours, theirs = getattr(streamed, answer), getattr(inside, answer)
            np.testing.assert_allclose(ours(stream, sample_weight=weight), theirs(X, sample_weight=W), rtol=1e-8)
    with pytest.raises(ValueError, match="given twice"):
        GaussianMixture(3).fit(jaxgmm.rows(Blocks(X, W)), sample_weight=W)
    with pytest.raises(ValueError, match="must not be all zero"):
        inside.score(jaxgmm.rows(Blocks(X)), sample_weight=0 * W)


def test_given_parameters_and_functions_start_a_stream():
    means = X[[0, 200, 399]]
    stream = jaxgmm.rows(X, block_size=100)
    options = [{"means_init": means}, {"init_params": lambda key, x, weight, k: means}]
    options.append({"init_params": GaussianMixture(3, means_init=means, random_state=0, max_iter=500).fit(X).mixture_})
    for option in options:
        streamed, inside = (GaussianMixture(3, random_state=0, max_iter=500, **option).fit(x) for x in (stream, X))
        assert_alike(streamed, inside)
    for wrong in ("random", np.full((400, 3), 1 / 3)):
        with pytest.raises(ValueError, match="init_params cannot be responsibilities of all rows where rows stream"):
            GaussianMixture(3, init_params=wrong).fit(stream)


def test_a_warm_start_goes_on_over_a_stream():
    stream = jaxgmm.rows(X, block_size=100)
    models = [GaussianMixture(3, warm_start=True, random_state=0, max_iter=500, tol=tol) for tol in (1e-2, 1e-2)]
    for model, rows in zip(models, (stream, X), strict=True):
        model.fit(rows).set_params(tol=1e-5).fit(rows)
    assert_alike(*models)


@pytest.mark.parametrize("kind", ["full", "categorical"])
def test_every_block_of_a_stream_is_a_step(kind):
    x = BY_NAME[kind].data(n=400, seed=5)
    streamed = KINDS[kind](3, random_state=0).partial_fit(jaxgmm.rows(x, W, block_size=100))
    inside = KINDS[kind](3, random_state=0, **({"n_categories": 3} if kind == "categorical" else {}))
    for rows, weight in zip(np.split(x, 4), np.split(W, 4), strict=True):
        inside.partial_fit(rows, sample_weight=weight)
    assert streamed.n_iter_ == 4
    assert_alike(streamed, inside)


def test_a_search_takes_a_stream(tmp_path):
    grid = {"n_components": (1, 2, 3), "covariance_types": ("diag", "tied"), "n_init": 2, "random_state": 0}
    inside, streamed = MixtureSearch(**grid).fit(X, sample_weight=W), MixtureSearch(**grid)
    streamed.fit(jaxgmm.rows(parquet(tmp_path, X), W, block_size=100))
    for name in ("bic", "icl", "log_likelihood", "rank"):
        np.testing.assert_allclose(streamed.cv_results_[name], inside.cv_results_[name], rtol=1e-7)
    np.testing.assert_allclose(streamed.best_estimator_.lower_bound_, inside.best_estimator_.lower_bound_, rtol=1e-8)
    np.testing.assert_array_equal(streamed.stability_["adjusted_rand"], inside.stability_["adjusted_rand"])
    np.testing.assert_array_equal(streamed.best_estimator_.feature_names_in_, NAMES)
    np.testing.assert_array_equal(streamed.predict(jaxgmm.rows(X)), inside.predict(X))


def test_features_are_held_against_those_fitted(tmp_path):
    model = GaussianMixture(2, random_state=0).fit(parquet(tmp_path, X))
    np.testing.assert_array_equal(model.feature_names_in_, NAMES)
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(parquet(tmp_path, X, ("a", "c", "b")))
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3"):
        model.predict(jaxgmm.rows(X[:, :2]))
    assert not hasattr(model.fit(jaxgmm.rows(X)), "feature_names_in_")


def test_wrong_values_are_named_where_they_are(tmp_path):
    model = GaussianMixture(2, random_state=0).fit(X)
    broken = X.copy()
    broken[133, 1] = np.nan
    for call in (model.fit, model.predict, model.score, model.icl, model.partial_fit):
        with pytest.raises(ValueError, match=r"x\.npy: row 133 \(counted from 0\), column 1 is nan"):
            call(npy(tmp_path, broken))
    counts = PoissonMixture(2, random_state=0).fit(np.abs(X).astype(int))
    with pytest.raises(ValueError, match=r"x\.npy: row 0 .* column"):
        counts.predict(npy(tmp_path, X))
