"""float32 rows that lose their digits in the fast form go on in float64, in compiled programs as in NumPy."""

import functools
import re
import warnings

import jax
import numpy as np
import oracles
import pytest
from families import precision
from test_sources import Again

import jaxgmm
from jaxgmm.numerics import platforms
from jaxgmm.search import problem
from jaxgmm.search.problem import Problem

K, D, N = 2, 4, 600
PRIOR = jaxgmm.GaussianPrior()
SEVERAL = {"n_init": 5, "prior": PRIOR, "search": "exhaustive", "compiled": True}


def correlated(condition: float, seed=2):
    """Two clusters (600, 4) in float32 whose covariances have this condition number, and the start of their labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(K, size=N)
    axes = np.linalg.qr(rng.normal(size=(D, D)))[0] * np.geomspace(1, condition**-0.5, D)
    x = ((rng.normal(size=(N, D)) + 3 * label[:, None]) @ axes.T).astype(np.float32)
    weights, params = oracles.m_step("full", x.astype(float), np.eye(K)[label])
    return x, weights, params


def dying():
    """Rows (600, 4) of two clusters, and a start whose third component ends on a handful of rows, as narrow as they
    are."""
    rng = np.random.default_rng(5)
    label = rng.integers(2, size=N)
    x = (rng.normal(size=(N, D)) + 4 * label[:, None]).astype(np.float32)
    _, params = oracles.m_step("full", x.astype(float), np.eye(2)[label])
    means = np.concatenate([params["means"], x[:1].astype(float) + 0.3])
    covariances = np.concatenate([params["covariances"], [0.3 * np.eye(D)]])
    return x, np.array([0.49, 0.49, 0.02]), {"means": means, "covariances": covariances}


def started(weights, params):
    return jaxgmm.mixture("full", **{name: np.float32(value) for name, value in {"weights": weights, **params}.items()})


@pytest.fixture
def ran(monkeypatch):
    """What the programs of fits run in: (whether the form is the fast one, the dtype)."""
    seen, task = [], Problem.task

    def spy(self, form):
        seen.append((form is self.family.moments, self.known.frame.scale.dtype.name))
        return task(self, form)

    monkeypatch.setattr(Problem, "task", spy)
    jax.clear_caches()  # what is compiled already is not traced again
    return seen


def errors(result, weights, params):
    """How far a mixture is from another, relative to the scales of its parameters."""
    found = result.mixture
    pairs = [(found.weights, weights)] + [(getattr(found.components, name), params[name]) for name in params]
    return [np.abs(np.asarray(a, float) - b).max() / np.abs(b).max() for a, b in pairs]


def quiet(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        return function(*args, **options)


CASES = {str(condition): correlated(condition) for condition in (10, 100, 1000, 10_000)} | {"dying": dying()}


@pytest.mark.short(case=["1000", "dying"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("compiled", [False, True])
def test_updates_are_those_of_a_loop_in_float64(case, compiled):
    """However correlated the features are, and where a component is dying."""
    x, weights, params = CASES[case]
    options = {"init": started(weights, params), "prior": PRIOR, "tol": 0, "max_iter": 40, "compiled": compiled}
    result = quiet(jaxgmm.fit, 0, x, len(weights), **options)
    *wanted, trace = oracles.em("full", weights, params, x, n_iter=40)
    assert max(errors(result, *wanted)) < 1e-5
    assert abs(float(result.log_likelihood) - trace[-1]) < 1e-2
    assert result.log_likelihood.dtype == np.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(result.mixture)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("case", ["10000", "dying"])
def test_lanes_go_on_in_float64_and_never_in_the_slow_form_of_float32(case, ran):
    x, weights, params = CASES[case]
    quiet(jaxgmm.fit, 0, x, len(weights), init=started(weights, params), prior=PRIOR, max_iter=40, compiled=True)
    assert ran[0] == (True, "float32") and (True, "float64") in ran and (False, "float32") not in ran


def test_where_float64_is_slow_they_go_on_in_the_slow_form_of_float32(ran, monkeypatch):
    monkeypatch.setattr(platforms, "have_fast_float64", lambda devices: False)
    x, *_ = CASES["10000"]
    result = jaxgmm.fit(0, x, K, **SEVERAL)
    assert set(ran) == {(True, "float32"), (False, "float32")}
    assert result.converged


def test_float64_is_fast_where_there_are_units_for_it():
    class Device:
        def __init__(self, platform, **about):
            self.platform = platform
            self.__dict__ |= about

    fast = [Device("cpu"), Device("gpu", compute_capability="9.0"), Device("gpu", compute_capability="8.0")]
    slow = [Device("tpu"), Device("gpu", compute_capability="8.6"), Device("gpu", compute_capability="gfx90a")]
    assert platforms.have_fast_float64(fast)
    for device in (*slow, Device("gpu")):
        assert not platforms.have_fast_float64([device]) and not platforms.have_fast_float64([*fast, device])


@pytest.mark.parametrize("flag", [False, pytest.param(True, marks=pytest.mark.long)], ids=["float32", "float64"])
def test_compiled_or_not_it_is_the_same_answer(flag):
    """Whatever the flag of JAX."""
    x, *_ = CASES["10000"]
    with jax.enable_x64(flag):
        here, there = (jaxgmm.fit(0, x, K, **SEVERAL | {"compiled": compiled}) for compiled in (False, True))
    np.testing.assert_allclose(there.restarts, here.restarts, rtol=0, atol=1e-3)
    assert max(errors(there, np.asarray(here.mixture.weights), vars(here.mixture.components))) < 1e-4
    assert there.restarts.dtype == np.float32


@pytest.mark.parametrize("init", ["random", "kmeans"])
def test_all_starts_of_a_queue_end_as_they_do_in_numpy(init):
    """More starts than run at a time, some of which are stopped."""
    x, *_ = correlated(1e4, seed=3)
    options = {"n_init": 12, "init": init, "prior": PRIOR}
    here, there = (quiet(jaxgmm.fit, 1, x, 3, **options, compiled=compiled) for compiled in (False, True))
    assert abs(there.log_likelihood - here.log_likelihood) < 1e-2
    assert there.status is here.status


def test_no_array_of_all_rows_is_made_in_float64(monkeypatch):
    """Rows and weights stay float32, and are cast block by block."""
    texts, iterated = [], problem.iterated

    def spy(rows, *args):
        if rows.dtype == "float64":
            assert rows.x.dtype == rows.weight.dtype == np.float32
            with precision(np.float64):
                texts.append((len(rows.x), iterated.lower(rows, *args).compile().as_text()))
        return iterated(rows, *args)

    monkeypatch.setattr(problem, "iterated", spy)
    x, *_ = CASES["10000"]
    jaxgmm.fit(0, x, K, **SEVERAL | {"n_init": 1, "block_size": 64})
    assert texts
    for n, text in texts:
        assert re.search(rf"f32\[{n},{D}\]", text)
        assert not re.search(rf"f64\[(\d+,)*{n}\b", text)


def test_a_fit_goes_on_from_its_checkpoint_on_either_side_to_the_same_bits(tmp_path):
    x, weights, params = CASES["dying"]
    options = {"init": started(weights, params), "prior": PRIOR, "tol": 0, "max_iter": 40, "compiled": True}
    whole, dtypes = quiet(jaxgmm.fit, 0, x, 3, **options), set()
    for stop in (1, 4, 16, 32):
        path = tmp_path / str(stop)
        kept = options | {"checkpoint": path, "checkpoint_every": 1}
        left = jaxgmm.fit(0, x, 3, **kept, callback=lambda glance, stop=stop: glance.iteration >= stop, every=1)
        assert left.status is jaxgmm.Status.STOPPED
        with np.load(path) as file:
            dtypes.add(next(file[name].dtype.name for name in file.files if file[name].dtype.kind == "f"))
        again = quiet(jaxgmm.fit, 0, x, 3, **kept, resume=True)
        for found, wanted in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert dtypes == {"float32", "float64"}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("case", ["10000", "dying"])
def test_a_callback_sees_finite_values_that_do_not_fall(case, compiled):
    """Also where the very first E-step has lost its digits."""
    x, weights, params = CASES[case]
    options = {"init": started(weights, params), "prior": PRIOR, "compiled": compiled}
    seen = []
    result = quiet(jaxgmm.fit, 0, x, len(weights), **options, callback=seen.append, every=1)
    values = np.array([glance.log_likelihood for glance in seen])
    assert len(seen) > 3 and np.isfinite(values).all()
    assert (np.diff(values) > -1e-4 * N).all()  # what the fast form may lose
    assert abs(values[-1] - result.log_likelihood) < 1e-3


def test_rows_that_stream_go_on_in_float64(ran):
    x, *_ = CASES["10000"]
    options = SEVERAL | {"compiled": None, "n_init": 2}
    streamed = jaxgmm.fit(0, jaxgmm.rows(Again(x, cuts=(0, 100, 599, N)), block_size=200), K, **options)
    assert (True, "float64") in ran and (False, "float32") not in ran
    whole = jaxgmm.fit(0, x, K, **options)
    np.testing.assert_allclose(streamed.restarts, whole.restarts, rtol=0, atol=1e-3)
    assert streamed.log_likelihood.dtype == np.float32


def test_each_of_many_data_sets_goes_on_in_float64(ran):
    stack = np.stack([CASES[name][0] for name in ("10", "10000", "1000")])
    options = {"n_init": 2, "prior": PRIOR}
    here, there = (jaxgmm.fit_many(0, stack, K, **options, compiled=compiled) for compiled in (False, True))
    assert (True, "float64") in ran and (False, "float32") not in ran
    np.testing.assert_allclose(there.restarts, here.restarts, rtol=0, atol=1e-2)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(there)} == {"float32", "int32"}


@pytest.mark.parametrize("tol", [1e-3, "limit"])
@pytest.mark.parametrize("engine", ["numpy", "compiled"], indirect=True)
def test_estimators_reach_what_they_reach_in_float64(engine, tol):
    from jaxgmm.sklearn import GaussianMixture

    x, *_ = CASES["10000"]
    options = {"n_components": K, "random_state": 0, "tol": tol, "reg_covar": 0, "n_init": 3}
    single, double = (GaussianMixture(**options).fit(rows) for rows in (x, x.astype(float)))
    assert single.means_.dtype == np.float32
    assert abs(single.lower_bound_ - double.lower_bound_) < 1e-4
    first, second = (one.covariances_[np.argsort(one.means_[:, 0])] for one in (single, double))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_how_alike_starts_are_is_what_it_is_in_float64(monkeypatch):
    from jaxgmm.data import route
    from jaxgmm.sklearn.agreement import agreement

    monkeypatch.setattr(route, "MOST", 0)
    x, *_ = CASES["10000"]
    ask = functools.partial(agreement, 0, family="full", ks=[2, 3], n_init=3)
    single, double = (ask(rows, np.ones(N, rows.dtype)) for rows in (x, x.astype(float)))
    np.testing.assert_allclose(single, double, atol=0.02)
