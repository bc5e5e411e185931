"""Estimators pad their components where data are few: one program for many K, and the fit that it would be without."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from test_stopping import compilations

import jaxgmm
from jaxgmm.sklearn import BernoulliMixture, GammaMixture, GaussianMixture, PoissonMixture, few, room

IRIS = load_iris().data
TYPES = ("full", "tied", "diag", "spherical")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def all_compiled(monkeypatch):
    monkeypatch.setattr(few, "MOST", 0)


def middle(key, x, weight, k):
    return np.quantile(x, np.linspace(0.1, 0.9, k), axis=0)


def resp(k):
    drawn = np.random.default_rng(0).random((len(IRIS), k))
    return drawn / drawn.sum(axis=1, keepdims=True)


def padded_and_not(model, x, monkeypatch, **told):
    fits = []
    for most in (room.FEW, 0):
        monkeypatch.setattr(room, "FEW", most)
        fits.append(clone(model).fit(x, **told))
    return fits


def assert_alike(model, x, monkeypatch, **told):
    padded, exact = padded_and_not(model, x, monkeypatch, **told)
    assert (padded.n_iter_, padded.converged_) == (exact.n_iter_, exact.converged_)
    for name in ("weights_", *(f"{name}_" for name in exact.mixture_.components.__dataclass_fields__)):
        ours, wanted = np.asarray(getattr(padded, name)), np.asarray(getattr(exact, name))
        assert ours.shape == wanted.shape, name
        np.testing.assert_allclose(ours, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max(), err_msg=name)
    np.testing.assert_allclose(padded.lower_bounds_, exact.lower_bounds_, rtol=1e-9)
    for method in ("predict_proba", "score_samples", "predict", "score", "bic", "icl"):
        monkeypatch.setattr(room, "FEW", 2**15)
        ours = getattr(padded, method)(x)
        monkeypatch.setattr(room, "FEW", 0)
        np.testing.assert_allclose(ours, getattr(exact, method)(x), rtol=1e-7, atol=1e-9, err_msg=method)
    return padded


@pytest.mark.parametrize("init", ["responsibilities", "random", "random_from_data", "callable", "mixture"])
def test_a_padded_fit_is_that_without_padding(init, monkeypatch):
    start = {"responsibilities": resp(3), "callable": middle}.get(init, init)
    if init == "mixture":
        start = GaussianMixture(3, random_state=1, max_iter=1).fit(IRIS).mixture_
    assert_alike(GaussianMixture(3, init_params=start, random_state=0), IRIS, monkeypatch)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_every_covariance_from_given_weights_and_means(covariance_type, monkeypatch):
    told = {"weights_init": [0.5, 0.3, 0.2], "means_init": IRIS[[0, 60, 120]], "random_state": 0}
    assert_alike(GaussianMixture(3, covariance_type=covariance_type, **told), IRIS, monkeypatch)


@pytest.mark.parametrize("accelerate", ["none", "squarem"])
def test_the_rule_of_the_core_and_squarem(accelerate, monkeypatch):
    model = GaussianMixture(3, tol="limit", accelerate=accelerate, init_params=resp(3), max_iter=500)
    assert_alike(model, IRIS, monkeypatch, sample_weight=np.arange(len(IRIS)) % 3)


@pytest.mark.parametrize("model", [PoissonMixture(3), GammaMixture(3), BernoulliMixture(3)], ids=str)
def test_other_families(model, monkeypatch):
    x = np.greater(IRIS, IRIS.mean(0)) * 1.0 if isinstance(model, BernoulliMixture) else np.round(IRIS) + 1
    assert_alike(model.set_params(init_params=resp(3), random_state=0), x, monkeypatch)


@pytest.mark.parametrize("k", [1, 8, 9])
def test_the_edges_of_the_room(k, monkeypatch):
    model = assert_alike(GaussianMixture(k, init_params=resp(k), reg_covar=1e-3, max_iter=20), IRIS, monkeypatch)
    assert model.n_components == k == len(model.weights_)
    monkeypatch.undo()
    assert room.room(k, IRIS) == {1: 8, 8: 8, 9: 16}[k]


def test_few_distinct_rows_and_as_many_components_as_rows():
    for x in (np.repeat(IRIS[:3], 4, axis=0), IRIS[:8], IRIS[:4]):
        k = min(len(x), 3 if len(x) == 12 else len(x))
        model = GaussianMixture(k, random_state=0, reg_covar=1e-3).fit(x)
        assert len(np.unique(model.means_.round(6), axis=0)) == k
        assert np.isfinite(model.lower_bound_)


def test_padding_neither_degenerates_nor_hides_it():
    sound = GaussianMixture(2, random_state=0).fit(IRIS)
    assert sound.converged_  # DegenerateWarning is an error here
    with pytest.warns(jaxgmm.sklearn.DegenerateWarning):
        GaussianMixture(3, random_state=0, reg_covar=1e-6).fit(np.repeat(IRIS[:3], 4, axis=0))


def test_many_k_share_their_programs():
    model = GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-2)
    model.fit(IRIS).score(IRIS)
    model.predict_proba(IRIS)

    def again(k):
        clone(model).set_params(n_components=k).fit(IRIS).predict_proba(IRIS)

    assert compilations([lambda k=k: again(k) for k in range(1, 9)]) == 0
    search = GridSearchCV(model, {"n_components": range(1, 5)}, cv=5)
    search.fit(IRIS[:100])
    assert compilations([lambda: search.fit(IRIS[:101])]) == 0


def test_what_is_large_or_streams_keeps_its_size():
    assert room.room(3, np.zeros((room.FEW, 1))) == 8
    assert room.room(3, np.zeros((room.FEW, 2))) == 3
    assert room.room(3, jaxgmm.rows(IRIS)) == 3
    assert room.room(3, IRIS[:5]) == 3
