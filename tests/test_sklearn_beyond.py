"""What the estimators do beyond scikit-learn's: weights, families, stepwise EM, arrays of any kind, the search."""

import pickle

import jax
import numpy as np
import pandas
import pytest
import sklearn.mixture
from families import CASES, DTYPES
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import jaxgmm
import jaxgmm.plot
from jaxgmm.sklearn import (
    BernoulliMixture,
    CategoricalMixture,
    DegenerateWarning,
    ExponentialMixture,
    GammaMixture,
    GaussianMixture,
    MixtureSearch,
    PoissonMixture,
)

IRIS = load_iris().data
KINDS = {
    "bernoulli": BernoulliMixture,
    "categorical": CategoricalMixture,
    "poisson": PoissonMixture,
    "exponential": ExponentialMixture,
    "gamma": GammaMixture,
}
OTHERS = pytest.mark.parametrize("case", [case for case in CASES if case.name in KINDS], ids=str)

pytestmark = pytest.mark.usefixtures("engine")


# -- weights ------------------------------------------------------------------------------------------------------


def test_a_weight_is_how_often_a_row_is_there():
    w = np.random.default_rng(0).integers(0, 4, len(IRIS))
    repeated = np.repeat(IRIS, w, axis=0)
    start = GaussianMixture(3, random_state=1).fit(IRIS).mixture_
    weighted = GaussianMixture(3, init_params=start).fit(IRIS, sample_weight=w)
    longer = GaussianMixture(3, init_params=start).fit(repeated)
    assert weighted.n_iter_ == longer.n_iter_
    np.testing.assert_allclose(weighted.covariances_, longer.covariances_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighted.lower_bounds_, longer.lower_bounds_, rtol=1e-9)
    for method in ("score", "bic", "aic", "icl"):
        ours = getattr(weighted, method)(IRIS, sample_weight=w)
        assert isinstance(ours, float)
        np.testing.assert_allclose(ours, getattr(weighted, method)(repeated), rtol=1e-9)
    with pytest.raises(ValueError, match="sample_weight"):
        weighted.fit(IRIS, sample_weight=-np.ones(len(IRIS)))
    with pytest.raises(ValueError, match="sample_weight"):
        weighted.score(IRIS, sample_weight=np.ones(3))


def test_criteria_are_those_of_the_core():
    model = GaussianMixture(3, random_state=0).fit(IRIS)
    for name in ("bic", "aic", "icl"):
        np.testing.assert_allclose(getattr(model, name)(IRIS), getattr(jaxgmm, name)(model.mixture_, IRIS), rtol=1e-9)


# -- the core's rule, and acceleration ----------------------------------------------------------------------------


def test_tol_limit_is_the_fit_of_the_core():
    model = GaussianMixture(
        3, tol="limit", init_params="k-means++", n_init=3, random_state=5, max_iter=1000, covariance_type="diag"
    ).fit(IRIS)
    key = int(np.random.RandomState(5).randint(np.iinfo(np.int32).max))
    options = {"init": "k-means++", "n_init": 3, "family": "diag", "prior": jaxgmm.GaussianPrior(reg_covar=1e-6)}
    result = jaxgmm.fit(key, IRIS, 3, **options)
    np.testing.assert_allclose(model.means_, result.mixture.components.means, rtol=1e-7)
    assert (model.n_iter_, model.converged_) == (result.n_iter, True)
    np.testing.assert_allclose(model.lower_bound_, model.score(IRIS), rtol=1e-9)


def test_squarem_reaches_the_same_place():
    x = make_blobs(400, 2, centers=3, cluster_std=2.5, random_state=2)[0]
    told = {"n_components": 3, "init_params": "random", "random_state": 0, "tol": 1e-9, "max_iter": 5000}
    plain, faster = (GaussianMixture(**told, accelerate=name).fit(x) for name in ("none", "squarem"))
    assert plain.converged_ and faster.converged_ and faster.n_iter_ < plain.n_iter_
    np.testing.assert_allclose(faster.score(x), plain.score(x), atol=1e-6)


# -- the other families -------------------------------------------------------------------------------------------


@OTHERS
def test_a_family_is_fitted_as_by_the_core(case):
    x = case.data()
    kind, told = KINDS[case.name], {"n_categories": case.n_categories} if case.n_categories else {}
    model = kind(3, tol="limit", init_params="k-means++", max_iter=1000, random_state=1, **told).fit(x)
    key = int(np.random.RandomState(1).randint(np.iinfo(np.int32).max))
    result = jaxgmm.fit(key, x, 3, family=case.family, init="k-means++")
    np.testing.assert_allclose(model.weights_, result.mixture.weights, rtol=1e-7)
    for name in case.params:
        np.testing.assert_allclose(getattr(model, f"{name}_"), getattr(result.mixture.components, name), rtol=1e-6)
    assert model.n_iter_ == result.n_iter
    drawn, labels = model.sample(50)
    assert drawn.shape == (50, x.shape[1]) and (np.diff(labels) >= 0).all() and np.isfinite(model.score(drawn))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(x), model.predict_proba(x))


@OTHERS
def test_scikit_learns_rule_holds_for_every_family(case):
    """The bound is that of the parameters before the update; the last change is the first below tol."""
    x = case.data()
    model = KINDS[case.name](3, tol=1e-3, random_state=0, max_iter=500).fit(x)
    changes = np.abs(np.diff(model.lower_bounds_))
    assert model.converged_ and model.n_iter_ == len(model.lower_bounds_)
    assert changes[-1] < 1e-3 and (changes[:-1] >= 1e-3).all()
    one_less = clone(model).set_params(max_iter=model.n_iter_ - 1)
    with pytest.warns(ConvergenceWarning):
        one_less.fit(x)
    np.testing.assert_allclose(one_less.score(x), model.lower_bound_, rtol=1e-7)


@OTHERS
def test_values_outside_the_support_are_named(case):
    x = case.data()
    model = KINDS[case.name](2, random_state=0).fit(x)
    wrong = x.copy()
    wrong[7, 1] = {"bernoulli": 2, "categorical": 1.5, "poisson": 0.5, "exponential": -1, "gamma": 0}[case.name]
    for call in (clone(model).fit, model.predict, model.score):
        with pytest.raises(ValueError, match="row 7, column 1|Negative values"):
            call(wrong)


# -- stepwise EM --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_blocks_lead_to_where_all_rows_lead(offset):
    x = offset + make_blobs(12_000, 2, centers=[[0, 0], [4, 0], [0, 5]], random_state=0)[0]
    model = GaussianMixture(3, random_state=0)
    for block in np.split(x, 24):
        model.partial_fit(block)
    assert model.n_iter_ == len(model.lower_bounds_) == 24
    whole = GaussianMixture(3, init_params=model.mixture_, tol=1e-7).fit(x)
    assert whole.score(x) - 0.01 < model.score(x) <= whole.score(x) + 1e-9


def test_a_step_blends_the_statistics():
    """Against a plain float64 loop: one component, so that statistics are the mean and the second moment."""
    x = np.random.default_rng(0).normal(3, 2, size=(90, 1))
    model, s = GaussianMixture(1, reg_covar=0), None
    for t, block in enumerate(np.split(x, 3), 1):
        model.partial_fit(block)
        fresh = np.array([block.mean(), (block**2).mean()])
        s = fresh if s is None else s + t**-0.6 * (fresh - s)
    np.testing.assert_allclose(model.means_[0, 0], s[0], rtol=1e-9)
    np.testing.assert_allclose(model.covariances_[0, 0, 0], s[1] - s[0] ** 2, rtol=1e-9)


@pytest.mark.short(case=["poisson", "gamma"])
@OTHERS
def test_every_family_learns_from_blocks(case):
    x = case.data(n=900)
    model = KINDS[case.name](3, random_state=0, **({"n_categories": 3} if case.n_categories else {}))
    for block in 2 * np.split(x, 9):
        model.partial_fit(block, sample_weight=np.full(100, 2.0))
    whole = clone(model).set_params(init_params=model.mixture_).fit(x)
    assert model.score(x) > whole.score(x) - 0.1
    pickle.loads(pickle.dumps(model)).partial_fit(x[:5])


def test_blocks_after_a_fit_go_on_from_it():
    model = GaussianMixture(3, random_state=0).fit(IRIS)
    before = model.score(IRIS)
    model.partial_fit(IRIS)
    np.testing.assert_allclose(model.lower_bound_, before, rtol=1e-9)
    assert model.n_iter_ == 1 and model.score(IRIS) >= before
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(IRIS[:, :2])


# -- arrays of any kind -------------------------------------------------------------------------------------------


@DTYPES
def test_jax_in_jax_out(dtype):
    with jax.enable_x64(True):
        x = jax.numpy.asarray(IRIS, dtype)
    model = GaussianMixture(3, random_state=0).fit(x)
    answers = [model.means_, model.precisions_, model.predict_proba(x), model.score_samples(x), model.sample(5)[0]]
    assert all(isinstance(answer, jax.Array) and answer.dtype == dtype for answer in answers)
    assert isinstance(model.predict(x), jax.Array) and isinstance(model.predict(IRIS), np.ndarray)
    assert isinstance(model.score(x), float) and isinstance(model.bic(x), float)
    w = np.linspace(0.5, 2, len(IRIS))
    with jax.enable_x64(True):
        weighted = clone(model).fit(x, sample_weight=jax.numpy.asarray(w))
    expected = clone(model).fit(np.asarray(x), sample_weight=w)
    np.testing.assert_allclose(np.asarray(weighted.means_), expected.means_, rtol=1e-4 if dtype == np.float32 else 1e-9)
    np.testing.assert_allclose(weighted.score(x, sample_weight=jax.numpy.asarray(w)), expected.score(x, None, w), 1e-5)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(np.asarray(copy.means_), np.asarray(model.means_))
    with jax.enable_x64(True):
        spoilt = x.at[0, 0].set(np.nan)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(spoilt)
    with pytest.raises(ValueError, match="features"):
        model.predict(x[:, :2])
    with pytest.raises(ValueError, match="None"):
        model.predict(x[0])


def test_torch_comes_in_without_a_copy_and_out_as_torch():
    torch = pytest.importorskip("torch")
    x = torch.tensor(IRIS)
    model = GaussianMixture(3, random_state=0).fit(x)
    assert isinstance(model.means_, torch.Tensor) and model.means_.dtype == torch.float64
    assert isinstance(model.predict(x), torch.Tensor)
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1)
    from jaxgmm.sklearn.arrays import on_device

    assert on_device(x).unsafe_buffer_pointer() == x.data_ptr()


# -- what is out of bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("size", [1, 100, 1000])
def test_collinear_columns_in_float32_have_a_covariance(covariance_type, size):
    rng = np.random.default_rng(0)
    one = 10 * rng.normal(size=(200, 1))
    x = (size * np.hstack([one, 2 * one - 1, rng.normal(size=(200, 1))])).astype(np.float32)
    model = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    with pytest.warns(DegenerateWarning, match="column 0 - 0.5 column 1 does not vary beyond rounding"):
        model.fit(x)
    assert np.isfinite(model.precisions_).all()
    assert abs(model.score(x) - model.lower_bound_) < 0.05


@pytest.mark.parametrize(
    ("size", "weight", "message"),
    [
        (1e153, 1.0, "x is too large: its variance, of column 2, overflows float64"),
        (1e200, 1.0, "x is too large"),
        (1.0, 1e307, "sample_weight must be finite .* their sum too"),
        (1.0, 5e-324, "sample_weight must be finite"),
    ],
)
def test_sums_that_leave_the_dtype_are_an_error(size, weight, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, random_state=0).fit(size * IRIS, sample_weight=np.full(len(IRIS), weight))


def test_a_mixture_to_start_from_must_be_of_the_kind_asked_for():
    start = GaussianMixture(2, covariance_type="diag", random_state=0).fit(IRIS).mixture_
    for told in ({"n_components": 3, "covariance_type": "diag"}, {"n_components": 2}):
        with pytest.raises(ValueError, match="init_params is a mixture of 2 components of family 'diag'"):
            GaussianMixture(**told, init_params=start).fit(IRIS)
    with pytest.raises(ValueError, match="x has 3 features"):
        GaussianMixture(2, covariance_type="diag", init_params=start).fit(IRIS[:, :3])


@pytest.mark.parametrize("value", [np.nan, np.inf, "a"])
def test_a_function_must_give_finite_centres(value):
    with pytest.raises(ValueError, match="init_params must return finite numbers"):
        GaussianMixture(2, init_params=lambda key, x, weight, k: np.full((2, 4), value)).fit(IRIS)


@pytest.mark.parametrize("told", [{"reg_covar": np.inf}, {"tol": np.inf}, {"reg_covar": np.nan}])
def test_options_must_be_finite(told):
    with pytest.raises(ValueError, match="must be a number >= 0"):
        GaussianMixture(2, **told).fit(IRIS)


def test_without_updates_the_last_start_is_kept_and_nothing_ends(capsys):
    told = {"max_iter": 0, "n_init": 3, "init_params": "random", "random_state": 0}
    ours, theirs = (kind(3, **told, verbose=1).fit(IRIS) for kind in (GaussianMixture, sklearn.mixture.GaussianMixture))
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-12)
    assert "did not" not in capsys.readouterr().out


def test_without_updates_the_rule_of_the_core_gives_the_start_too():
    told = {"max_iter": 0, "init_params": "random", "random_state": 0}
    models = [GaussianMixture(3, **told, tol=tol).fit(IRIS) for tol in ("limit", 1e-3)]
    np.testing.assert_allclose(models[0].means_, models[1].means_, rtol=1e-9)


# -- the search ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search():
    return MixtureSearch(range(1, 4), covariance_types=("spherical", "diag"), n_init=2, random_state=0).fit(
        pandas.DataFrame(IRIS, columns=list("abcd"))
    )


def test_the_best_of_a_search_has_the_lowest_criterion(search):
    table = pandas.DataFrame(search.cv_results_)
    assert len(table) == 6 and table["rank"].min() == 1
    best = table.loc[search.best_index_]
    assert best["bic"] == table["bic"].min() == search.best_score_ and best["rank"] == 1
    assert best["params"] == search.best_params_
    model = search.best_estimator_
    assert type(model) is GaussianMixture and model.n_components == best["param_n_components"]
    frame = pandas.DataFrame(IRIS, columns=list("abcd"))
    np.testing.assert_allclose(model.bic(frame), best["bic"], rtol=1e-9)
    np.testing.assert_allclose(search.icl(frame), best["icl"], rtol=1e-9)
    np.testing.assert_array_equal(search.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(model.feature_names_in_, list("abcd"))
    np.testing.assert_allclose(search.score(frame), search.best_estimator_.lower_bound_, rtol=1e-9)
    assert search.sample(4)[0].shape == (4, 4)


def test_starts_agree_where_the_data_say_how_many_clusters_there_are():
    x = make_blobs(150, 2, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)[0]
    search = MixtureSearch([1, 3, 6], covariance_types="spherical", n_init=4, random_state=0).fit(x)
    ks, indices = search.stability_["n_components"], search.stability_["adjusted_rand"]
    np.testing.assert_array_equal(ks, [1, 3, 6])
    assert indices.shape == (3, 6)
    assert (indices[:2] == 1).all() and (indices[2] < 1).any()
    assert jaxgmm.plot.stability(search, ax=Figure().subplots()) is not None


def test_a_search_leaves_out_what_the_rows_do_not_allow_and_says_so():
    with pytest.warns(jaxgmm.FitWarning, match="n_components=9 left out: 8 rows"):
        search = MixtureSearch([1, 9], covariance_types="spherical", n_init=2, random_state=0).fit(IRIS[:8])
    assert search.cv_results_["param_n_components"].tolist() == search.stability_["n_components"].tolist() == [1]


def test_a_search_speaks_of_what_is_wrong():
    with pytest.raises(ValueError, match="covariance_types"):
        MixtureSearch(2, covariance_types=("round",)).fit(IRIS)
    with pytest.raises(ValueError, match="criterion"):
        MixtureSearch(2, criterion="worst").fit(IRIS)
    with pytest.raises(ValueError, match="n_components"):
        MixtureSearch([0]).fit(IRIS)
    with pytest.raises(NotFittedError):
        MixtureSearch(2).predict(IRIS)
    with pytest.warns(DegenerateWarning):
        MixtureSearch(2, n_init=2, covariance_types="full", random_state=0).fit(np.repeat([[0.0], [9.0]], 30, axis=0))


@pytest.mark.parametrize("kind", ["result", "selection", "estimator"])
def test_what_holds_a_mixture_is_taken_for_a_start(kind):
    result = jaxgmm.fit(0, IRIS, 3, family="diag")
    found = jaxgmm.Selection(result, [], [result], "bic")
    fitted = GaussianMixture(3, covariance_type="diag", init_params=result.mixture).fit(IRIS)
    held, start = {"result": (result, result), "selection": (found, result), "estimator": (fitted, fitted)}[kind]
    start = start.mixture if kind != "estimator" else start.mixture_
    ours = GaussianMixture(3, covariance_type="diag", init_params=held).fit(IRIS)
    wanted = GaussianMixture(3, covariance_type="diag", init_params=start).fit(IRIS)
    np.testing.assert_array_equal(ours.means_, wanted.means_)
