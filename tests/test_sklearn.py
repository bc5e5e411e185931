"""`GaussianMixture` is scikit-learn's: the same answers from the same start, and a home in its world."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import oracles
import pandas
import polars
import pytest
import sklearn
import sklearn.mixture
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_stopping import compilations

import jaxgmm
from jaxgmm.sklearn import DegenerateWarning, GaussianMixture

pytestmark = pytest.mark.usefixtures("engine")
TYPES = ("full", "tied", "diag", "spherical")
EACH_TYPE = pytest.mark.parametrize("covariance_type", TYPES)
BOTH = pytest.mark.parametrize("engine", ["numpy", "compiled"], indirect=True)  # in the short suite, too
IRIS = load_iris().data
BLOBS = make_blobs(150, 4, centers=3, cluster_std=2.0, random_state=1)[0]
FAR = 1e4 + make_blobs(150, 4, centers=3, random_state=5)[0]
NOISE = np.random.default_rng(0).gamma(2.0, size=(150, 4))
# all of one shape, so that they share their programs
DATA = {"iris": IRIS, "blobs": BLOBS, "noise": NOISE, "wine": load_wine().data[::-1][:150, :4]}
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def both(**told):
    return GaussianMixture(**told), sklearn.mixture.GaussianMixture(**told)


def assert_same_fit(ours, theirs, tolerance=1e-8):
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    names = (
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
        "lower_bounds_",
        "lower_bound_",
    )
    for name in names:
        wanted = np.asarray(getattr(theirs, name))
        assert np.shape(getattr(ours, name)) == wanted.shape, name
        np.testing.assert_allclose(
            getattr(ours, name), wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max(), err_msg=name
        )


@quiet
@EACH_TYPE
@pytest.mark.parametrize("name", DATA)
def test_random_responsibilities_are_those_of_scikit_learn_and_so_is_the_fit(name, covariance_type):
    x, k = DATA[name], 3
    ours, theirs = both(n_components=k, covariance_type=covariance_type, init_params="random", random_state=3, tol=1e-4)
    assert_same_fit(ours.fit(x), theirs.fit(x))
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)
    np.testing.assert_allclose(ours.score_samples(x), theirs.score_samples(x), rtol=1e-8)
    for method in ("score", "bic", "aic"):
        np.testing.assert_allclose(getattr(ours, method)(x), getattr(theirs, method)(x), rtol=1e-9)


def given(x, k, covariance_type, seed=0):
    rng = np.random.default_rng(seed)
    means, variance = x[rng.choice(len(x), k, replace=False)], x.var(axis=0)
    precisions = {
        "full": np.tile(np.diag(1 / variance), (k, 1, 1)),
        "tied": np.diag(1 / variance),
        "diag": np.tile(1 / variance, (k, 1)),
        "spherical": np.full(k, 1 / variance.mean()),
    }
    return {
        "weights_init": rng.dirichlet(np.full(k, 5.0)),
        "means_init": means,
        "precisions_init": precisions[covariance_type],
    }


@pytest.mark.diagonal
@quiet
@EACH_TYPE
@pytest.mark.parametrize("name", DATA)
@BOTH
def test_given_parameters_are_the_same_start(name, covariance_type):
    x, k = DATA[name], 3
    ours, theirs = both(n_components=k, covariance_type=covariance_type, max_iter=300, **given(x, k, covariance_type))
    assert_same_fit(ours.fit(x), theirs.fit(x))


@quiet
@pytest.mark.parametrize(
    "names", [["weights_init"], ["means_init"], ["precisions_init"], ["weights_init", "means_init"]]
)
def test_some_given_parameters_take_the_place_of_those_found(names):
    some = {name: value for name, value in given(IRIS, 3, "full").items() if name in names}
    ours, theirs = both(n_components=3, init_params="random", random_state=0, **some)
    assert_same_fit(ours.fit(IRIS), theirs.fit(IRIS))


@quiet
def test_more_iterations_than_one_compiled_run_remembers():
    ours, theirs = both(n_components=4, tol=0, max_iter=300, init_params="random", random_state=0)
    assert_same_fit(ours.fit(IRIS), theirs.fit(IRIS), 1e-7)
    assert len(ours.lower_bounds_) == 300


@quiet
@EACH_TYPE
def test_warm_starts_go_on_as_scikit_learns_do(covariance_type):
    told = {"n_components": 3, "covariance_type": covariance_type, "max_iter": 3}
    ours, theirs = both(**told, init_params="random", random_state=0, warm_start=True)
    for _ in range(4):
        assert_same_fit(ours.fit(IRIS), theirs.fit(IRIS))


@pytest.mark.parametrize("changed", [{"n_components": 2}, {"covariance_type": "diag"}])
def test_a_warm_start_goes_on_with_the_same_model_only(changed):
    model = GaussianMixture(3, warm_start=True, random_state=0).fit(IRIS)
    with pytest.raises(ValueError, match="warm_start"):
        model.set_params(**changed).fit(IRIS)


@EACH_TYPE
def test_zero_iterations_return_the_start(covariance_type):
    told = given(IRIS, 3, covariance_type)
    model = GaussianMixture(3, covariance_type=covariance_type, max_iter=0, **told).fit(IRIS)
    np.testing.assert_allclose(model.weights_, told["weights_init"], rtol=1e-12)
    np.testing.assert_allclose(model.means_, told["means_init"], rtol=1e-12)
    np.testing.assert_allclose(model.precisions_, told["precisions_init"], rtol=1e-9, atol=1e-12)
    assert (model.n_iter_, model.converged_, model.lower_bound_, model.lower_bounds_) == (0, False, -np.inf, [])


def test_a_large_offset_costs_no_digits():
    model = GaussianMixture(3, random_state=0).fit(FAR)
    near = GaussianMixture(3, random_state=0).fit(FAR - 1e4)
    np.testing.assert_allclose(model.covariances_, near.covariances_, rtol=1e-8, atol=1e-10)
    assert model.n_iter_ == near.n_iter_


def test_narrow_components_leave_the_moment_form_and_agree():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 2)) * 1e-4 + 5 * i for i in range(3)])
    told = given(x, 3, "full")
    told["means_init"] = np.array([[0, 0.1], [5, 5], [10, 10.1]])
    ours, theirs = both(n_components=3, reg_covar=1e-12, tol=1e-9, **told)
    assert_same_fit(ours.fit(x), theirs.fit(x))


def test_the_signature_begins_with_scikit_learns():
    ours, theirs = list(GaussianMixture().get_params()), sklearn.mixture.GaussianMixture().get_params()
    assert set(ours) - set(theirs) == {"accelerate"}
    assert {name: GaussianMixture().get_params()[name] for name in theirs} == theirs


def test_samples_come_in_order_of_their_components_as_many_as_scikit_learn_draws():
    ours = GaussianMixture(3, random_state=4).fit(IRIS)
    x, labels = ours.sample(500)
    assert x.shape == (500, 4) and labels.dtype == np.int64 and (np.diff(labels) >= 0).all()
    np.testing.assert_array_equal(labels, ours.to_sklearn().sample(500)[1])
    np.testing.assert_array_equal(x, ours.sample(500)[0])


@pytest.mark.parametrize("state", [0, 7])
def test_a_random_state_makes_a_fit_reproducible(state):
    first, second = (GaussianMixture(4, n_init=2, random_state=state, tol=1e-2).fit(BLOBS) for _ in range(2))
    np.testing.assert_array_equal(first.means_, second.means_)
    third = GaussianMixture(4, n_init=2, random_state=np.random.RandomState(state), tol=1e-2).fit(BLOBS)
    np.testing.assert_array_equal(first.means_, third.means_)


def test_without_a_random_state_numpys_own_decides():
    fits = []
    for _ in range(2):
        np.random.seed(5)  # noqa: NPY002
        fits.append(GaussianMixture(4, tol=1e-2).fit(BLOBS).means_)
    np.testing.assert_array_equal(*fits)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_name_of_a_start_leads_to_the_clusters(init):
    x, labels = make_blobs(200, 2, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    model = GaussianMixture(3, init_params=init, n_init=5, random_state=0, max_iter=200).fit(x)
    assert sklearn.metrics.adjusted_rand_score(labels, model.predict(x)) > 0.99
    np.testing.assert_array_equal(model.fit_predict(x), model.fit(x).predict(x))


def test_starts_of_ones_own():
    resp = np.eye(3)[np.repeat([0, 1, 2], 50)]
    from_resp = GaussianMixture(3, init_params=resp, n_init=4).fit(IRIS)
    calls = []

    def centres(key, x, sample_weight, k):
        calls.append(x.shape)
        return x[:: len(x) // k][:k]

    GaussianMixture(3, init_params=centres, n_init=2).fit(IRIS)
    assert calls == [IRIS.shape] * 2
    from_mixture = GaussianMixture(3, init_params=from_resp.mixture_).fit(IRIS)
    np.testing.assert_allclose(from_mixture.lower_bounds_[0], from_resp.score(IRIS), rtol=1e-9)


@EACH_TYPE
def test_to_scikit_learn_and_back(covariance_type):
    ours = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(IRIS)
    theirs = ours.to_sklearn()
    assert type(theirs) is sklearn.mixture.GaussianMixture
    np.testing.assert_allclose(theirs.score_samples(IRIS), ours.score_samples(IRIS), rtol=1e-9)
    back = GaussianMixture.from_sklearn(theirs)
    np.testing.assert_array_equal(back.score_samples(IRIS), ours.score_samples(IRIS))
    assert back.get_params() == ours.get_params() and back.n_iter_ == ours.n_iter_
    assert not hasattr(GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture(2)), "weights_")
    with pytest.raises(ValueError, match="model"):
        GaussianMixture.from_sklearn(StandardScaler())


@EACH_TYPE
def test_parameters_set_by_hand_are_those_that_count(covariance_type):
    fitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(IRIS)
    model = GaussianMixture(3, covariance_type=covariance_type)
    for name in ("weights_", "means_", "precisions_cholesky_"):
        setattr(model, name, getattr(fitted, name))
    np.testing.assert_allclose(model.score_samples(IRIS), fitted.score_samples(IRIS), rtol=1e-9)
    fitted.means_ = fitted.means_ + 1
    np.testing.assert_allclose(fitted.score_samples(IRIS + 1), model.score_samples(IRIS), rtol=1e-9)


# -- in scikit-learn's world --------------------------------------------------------------------------------------


def test_pickle_joblib_and_clone(tmp_path):
    model = GaussianMixture(3, random_state=0).fit(IRIS)
    joblib.dump(model, tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(copy.score_samples(IRIS), model.score_samples(IRIS))
    fresh = clone(model)
    assert fresh.get_params() == model.get_params() and not hasattr(fresh, "weights_")


def test_grid_search_in_a_pipeline_with_frames():
    frame = pandas.DataFrame(IRIS, columns=list("abcd"))
    model = GaussianMixture(random_state=0, init_params="random", tol=1e-2)
    pipeline = make_pipeline(StandardScaler(), model).set_output(transform="pandas")
    grid = {"gaussianmixture__n_components": [1, 2], "gaussianmixture__covariance_type": ["full", "diag"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    np.testing.assert_array_equal(search.best_estimator_[-1].feature_names_in_, list("abcd"))
    theirs = make_pipeline(StandardScaler(), sklearn.mixture.GaussianMixture())
    expected = GridSearchCV(theirs, {"gaussianmixture__n_components": [1]}, cv=3).fit(frame)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"][0], expected.cv_results_["mean_test_score"][0], rtol=1e-9
    )


@pytest.mark.parametrize("library", [pandas, polars])
def test_frames_keep_the_names_of_their_columns(library):
    frame = library.DataFrame({name: IRIS[:, j] for j, name in enumerate("abcd")})
    model = GaussianMixture(2, random_state=0).fit(frame)
    np.testing.assert_array_equal(model.feature_names_in_, list("abcd"))
    np.testing.assert_array_equal(model.predict(frame), GaussianMixture(2, random_state=0).fit(IRIS).predict(IRIS))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("bacd")])


def test_sample_weights_are_routed():
    w = np.random.default_rng(0).uniform(0.5, 2, len(IRIS))
    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            GaussianMixture(2, random_state=0).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        search = GridSearchCV(make_pipeline(model), {"gaussianmixture__reg_covar": [1e-6]}, cv=2)
        search.fit(IRIS, sample_weight=w)
    halves = []
    for test in (np.arange(75), np.arange(75, 150)):
        train = np.setdiff1d(np.arange(150), test)
        fitted = clone(model).fit(IRIS[train], sample_weight=w[train])
        halves.append(fitted.score(IRIS[test], sample_weight=w[test]))
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], np.mean(halves), rtol=1e-9)


def test_the_core_does_not_import_scikit_learn():
    code = "import sys, jaxgmm; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- programs -----------------------------------------------------------------------------------------------------


@BOTH
def test_folds_of_nearly_equal_size_share_their_programs():
    x = np.random.default_rng(0).normal(size=(400, 4))
    model = GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-2, max_iter=20)
    for n in (81, 150):
        first = x[:n]
        model.fit(first).score(first)
        around = [x[: n + i] for i in (-1, 1, 2)]
        assert compilations([lambda x=x: clone(model).fit(x).score(x) for x in around]) == 0
    search = GridSearchCV(model, {"reg_covar": [1e-6, 1e-3]}, cv=5)
    assert compilations([lambda: search.fit(x[:101])]) == 0


@BOTH
def test_numbers_of_the_rule_compile_nothing():
    model = GaussianMixture(2, random_state=0, tol=1e-2).fit(IRIS)
    changed = {"tol": 1e-4, "max_iter": 77, "reg_covar": 1e-3, "random_state": 8}
    calls = [lambda n=n, v=v: clone(model).set_params(**{n: v}).fit(IRIS) for n, v in changed.items()]
    assert compilations(calls) == 0


# -- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_components": 151}, "n_samples >= n_components"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"tol": -1}, "tol"),
        ({"tol": "soon"}, "tol"),
        ({"reg_covar": -1e-6}, "reg_covar"),
        ({"max_iter": -1}, "max_iter"),
        ({"n_init": 0}, "n_init"),
        ({"init_params": "best"}, "init_params"),
        ({"init_params": np.ones((3, 2))}, "init_params"),
        ({"init_params": np.full((150, 1), 2.0)}, "init_params"),
        ({"accelerate": "warp"}, "accelerate"),
        ({"verbose_interval": 0}, "verbose_interval"),
        ({"random_state": "x"}, "seed"),
        ({"means_init": [[1, 2]]}, "means"),
        ({"means_init": [[1, 2, 3, np.nan]]}, "means"),
        ({"verbose": "loud"}, "verbose"),
        ({"warm_start": "yes"}, "warm_start"),
    ],
)
def test_bad_parameters_are_named(told, word):
    with pytest.raises(ValueError, match=word):
        GaussianMixture(**told).fit(IRIS)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.zeros(5), "1D array"),
        (np.full((5, 2), np.nan), "NaN"),
        (np.full((5, 2), np.inf), "infinity"),
        (np.zeros((0, 2)), "0 sample"),
        (np.zeros((3, 2, 2)), "dim"),
        (np.zeros((3, 2)) * 1j, "Complex"),
        ([["a", "b"], ["c", "d"]], "could not convert"),
    ],
)
def test_bad_data_are_refused(x, word):
    with pytest.raises(ValueError, match=word):
        GaussianMixture().fit(x)
    with pytest.raises(ValueError, match="features"):
        GaussianMixture().fit(IRIS).predict(IRIS[:, :2])


def test_one_component_is_the_normal_distribution():
    model = GaussianMixture(reg_covar=0).fit(IRIS)
    np.testing.assert_allclose(model.means_[0], IRIS.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.covariances_[0], np.cov(IRIS.T, bias=True), rtol=1e-9)
    assert (model.n_iter_, model.converged_) == (2, True)


def test_running_out_of_iterations_warns():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = GaussianMixture(3, max_iter=2, tol=1e-9, random_state=0).fit(IRIS)
    assert not model.converged_


def test_a_degenerate_fit_warns_and_has_converged_all_the_same():
    x = np.concatenate([np.zeros((20, 2)), np.random.default_rng(0).normal(size=(50, 2)) + 9])
    with pytest.warns(DegenerateWarning) as caught:
        model = GaussianMixture(2, random_state=0).fit(x)
    assert model.converged_ and issubclass(DegenerateWarning, ConvergenceWarning)
    assert issubclass(DegenerateWarning, jaxgmm.FitWarning) and len(caught) == 1
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixture(2, random_state=0, reg_covar=0).fit(x)


@quiet
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_data_is_kept(dtype):
    x = IRIS.astype(dtype)
    model = GaussianMixture(3, random_state=0).fit(x)
    arrays = [model.weights_, model.means_, model.covariances_, model.precisions_, model.precisions_cholesky_]
    arrays += [model.predict_proba(x), model.score_samples(x), model.sample(3)[0]]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
    assert {type(array) for array in arrays} == {np.ndarray}
    np.testing.assert_allclose(model.score(x), mean_log_density(model, x), rtol=1e-4 if dtype == np.float32 else 1e-9)


def mean_log_density(model, x):
    params = {"means": np.float64(model.means_), "covariances": np.float64(model.covariances_)}
    return oracles.e_step("full", np.float64(model.weights_), params, np.float64(x))[0] / len(x)


def test_verbose_speaks_as_scikit_learn_does(capsys):
    told = {"n_components": 3, "init_params": "random", "random_state": 0, "n_init": 2, "verbose_interval": 5}
    ours, theirs = both(**told, verbose=1)
    quietly = GaussianMixture(**told).fit(IRIS)
    ours.fit(IRIS)
    spoken = capsys.readouterr().out
    theirs.fit(IRIS)
    assert spoken == capsys.readouterr().out
    assert_same_fit(ours, quietly)
    GaussianMixture(**told, verbose=2).fit(IRIS)
    assert "ll change" in capsys.readouterr().out
