"""The host: few rows are fitted in NumPy, before a program would be compiled, to the answer of the compiled program."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest
from families import BY_NAME, DTYPES, FAMILIES, K, N, assert_mixtures_close

import jaxgmm
from jaxgmm.data import arrays, route
from jaxgmm.families import full
from jaxgmm.init import kmeans
from jaxgmm.numerics import host, keys, platforms

FULL = BY_NAME["full"]


def both(function, *args, **options):
    return [function(*args, **options, compiled=compiled) for compiled in (False, True)]


def assert_same(here, there, case, dtype, loosen=1.0):
    assert here.status == there.status
    assert {leaf.dtype for leaf in jax.tree.leaves(here.mixture)} == {np.dtype(dtype)}
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(here.mixture))
    bound = 1e-9 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(here.log_likelihood / N, there.log_likelihood / N, rtol=0, atol=bound)
    np.testing.assert_allclose(here.restarts / N, there.restarts / N, rtol=0, atol=bound)
    assert_mixtures_close(here.mixture, there.mixture, case.params, dtype, loosen)


@pytest.mark.short(case=["full", "tied", "categorical", "exponential", "gamma"])
@pytest.mark.diagonal
@DTYPES
@FAMILIES
@pytest.mark.parametrize("n_init", [1, 5])
def test_a_fit_is_that_of_the_compiled_program(case, dtype, n_init):
    x = case.data(dtype)
    options = {"family": case.family, "n_init": n_init, "tol": 0, "max_iter": 12, "search": "exhaustive"}
    weight = np.random.default_rng(1).uniform(0.5, 2, N)
    here, there = both(jaxgmm.fit, 4, x, K, sample_weight=weight, **options)
    assert here.n_iter == there.n_iter == 12
    assert_same(here, there, case, dtype, loosen=100)


@pytest.mark.short(case=["bernoulli"])
@FAMILIES
def test_it_stops_where_the_compiled_program_does(case):
    here, there = both(jaxgmm.fit, 1, case.data(), K, family=case.family, n_init=4)
    assert here.n_iter == there.n_iter
    assert_same(here, there, case, np.float64, loosen=1e4)  # what an update leaves of rounding grows on the way


@pytest.mark.diagonal
@pytest.mark.parametrize("accelerate", ["none", "squarem"])
@pytest.mark.parametrize("name", ["diag", "poisson"])
def test_plain_and_accelerated(name, accelerate):
    case = BY_NAME[name]
    here, there = both(jaxgmm.fit, 1, case.data(), K, family=case.family, n_init=2, tol=1e-9, accelerate=accelerate)
    assert here.converged and here.n_iter == there.n_iter
    assert_same(here, there, case, np.float64, loosen=1e4)


def begins(case, x):
    resp = np.random.default_rng(0).dirichlet(np.ones(K), len(x))
    yield "a mixture", case.mixture()
    yield "responsibilities", resp
    yield "a function", lambda key, x, weight, k: np.asarray(jax.random.choice(key, np.asarray(x), (k,), replace=False))
    yield from ((name, name) for name in ("k-means++", "kmeans", "random", "auto"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["full", "gamma", "categorical"])
def test_every_way_to_begin(name):
    case = BY_NAME[name]
    x = case.data()
    for what, init in begins(case, x):
        options = {"family": case.family, "init": init, "tol": 0, "max_iter": 0 if what == "a mixture" else 2}
        here, there = both(jaxgmm.fit, 7, x, K, **options)
        assert here.n_iter == there.n_iter, what
        assert_same(here, there, case, np.float64, loosen=10)


def test_draws_belong_to_rows_as_they_do_compiled():
    key, index = keys.as_key(-12345), np.arange(5000)
    folded, there = jax.random.key_data(keys.fold_in(key, 77)), keys.row_noise(key, jax.numpy.asarray(index))
    with host.on_host():
        np.testing.assert_array_equal(keys.fold_in(keys.here(key), 77), folded)
        np.testing.assert_allclose(keys.row_noise(keys.here(key), index), there, rtol=0, atol=1e-6)


@pytest.mark.parametrize("far", [0.0, 300.0])
@DTYPES
def test_centres_do_not_depend_on_how_threads_share_the_rows(far, dtype, monkeypatch):
    """Nor on how candidates of k-means++ are compared: by a product here, by differences in the compiled program."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(size=(900, 3)), rng.normal(size=(100, 3)) + far + 6]).astype(dtype)
    options = {"n_init": 4, "max_iter": 0, "tol": 0.0, "init": "k-means++", "search": "exhaustive"}
    here, there = both(jaxgmm.fit, 5, x, 6, **options)
    monkeypatch.setattr(kmeans, "SPAN", 64)  # of 4 starts: 16 rows at a time
    apart = jaxgmm.fit(5, x, 6, compiled=False, **options)
    bound = 1e-9 if dtype == np.float64 else 1e-4
    for other in (there, apart):
        np.testing.assert_allclose(
            here.mixture.components.means, other.mixture.components.means, rtol=bound, atol=bound
        )


@FAMILIES
def test_answers_by_row_do_not_depend_on_blocks(case, monkeypatch):
    mixture, x = case.mixture(), case.data()
    x[[3, 50, 119]] = np.nan
    answers = jaxgmm.log_prob, jaxgmm.joint_log_prob, jaxgmm.responsibilities, jaxgmm.predict
    whole = [np.asarray(answer(mixture, x)) for answer in answers]
    monkeypatch.setattr(arrays, "ON_HOST", (1, 2**17))  # the least rows of a block: 64
    for answer, wanted in zip(answers, whole, strict=True):
        np.testing.assert_allclose(answer(mixture, x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.long
def test_what_float32_loses_goes_on_in_the_accurate_form():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1e-3, (60, 3)), rng.normal(1, 1e-3, (60, 3))]).astype(np.float32)
    prior = jaxgmm.GaussianPrior()
    here, there = both(jaxgmm.fit, 0, x, 2, n_init=2, prior=prior)
    assert here.converged and there.converged
    variances = [np.sort(np.linalg.eigvalsh(result.mixture.components.covariances)) for result in (here, there)]
    np.testing.assert_allclose(*variances, rtol=1e-3)
    exact = np.linalg.eigvalsh([np.cov(part.astype(np.float64).T, bias=True) for part in (x[:60], x[60:])])
    np.testing.assert_allclose(np.sort(variances[0].ravel()), np.sort(exact.ravel()), rtol=1e-2)


def test_many_rows_start_from_the_sample_of_the_compiled_program():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (60_000, 1)), rng.normal(6, 1, (40_000, 1))])
    weight = np.where(np.arange(len(x)) % 3, 1.0, 0.0)
    options = {"family": "diag", "n_init": 3, "tol": 0, "max_iter": 3, "sample_weight": weight}
    here, there = both(jaxgmm.fit, 0, x, 2, **options)
    np.testing.assert_allclose(here.restarts, there.restarts, rtol=1e-10)
    np.testing.assert_allclose(here.mixture.components.means, there.mixture.components.means, rtol=1e-9)


@pytest.mark.long
def test_a_collapse_is_degenerate_and_no_winner():
    x = np.concatenate([np.zeros((30, 2)), np.random.default_rng(0).normal(5, 1, (90, 2))])
    with pytest.warns(jaxgmm.FitWarning, match="DEGENERATE"):
        here, there = both(jaxgmm.fit, 0, x, 2, n_init=3)
    assert here.status == there.status == jaxgmm.Status.DEGENERATE


@pytest.mark.long
def test_a_selection_is_that_of_the_compiled_programs():
    x = FULL.data()
    here, there = both(jaxgmm.select, 0, x, [1, 3, 2], families=("full", "diag"), n_init=4)
    for mine, theirs in zip(here.table, there.table, strict=True):
        assert mine["family"] == theirs["family"] and mine["status"] == theirs["status"]
        for name in ("log_likelihood", "bic", "aic", "icl"):
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-9, err_msg=name)
    assert here.best.mixture.n_components == there.best.mixture.n_components


def test_the_callback_sees_the_same_iterations():
    records = [jaxgmm.History(), jaxgmm.History()]
    for record, compiled in zip(records, (False, True), strict=True):
        jaxgmm.fit(0, FULL.data(), K, n_init=2, callback=record, every=1, tol=0, max_iter=6, compiled=compiled)
    seen = [[(each.iteration, each.fits_done) for each in record.records] for record in records]
    assert seen[0] == seen[1]
    values = [[each.log_likelihood for each in record.records] for record in records]
    np.testing.assert_allclose(*values, rtol=1e-10)


def test_a_callback_may_do_as_it_likes():
    asked = []

    def callback(glance):
        asked.append(jax.jit(lambda v: jax.vmap(lambda a: a + 1)(v))(np.arange(3)).tolist())
        return glance.iteration >= 2

    result = jaxgmm.fit(0, FULL.data(), K, callback=callback, every=1, tol=0, compiled=False)
    assert result.status is jaxgmm.Status.STOPPED and asked[0] == [1, 2, 3]


def test_sizes_decide(monkeypatch):
    x = FULL.data()
    ways = []
    monkeypatch.setattr(route, "MOST", 2**20)
    for many, compiled in [(1, None), (1000, None), (1, True), (1000, False)]:
        ways.append(route.goes_to_host([full.FULL], x, many, K, compiled=compiled))
    assert ways == [True, False, False, True]


def test_what_needs_a_compiler_says_so():
    x = FULL.data()
    with pytest.raises(ValueError, match="compiled=False: a trace"):
        jax.jit(lambda x: jaxgmm.fit(0, x, 2, compiled=False).log_likelihood)(x)
    with pytest.raises(ValueError, match="compiled=False: a stream"):
        jaxgmm.fit(0, jaxgmm.rows(x), 2, compiled=False)
    with pytest.raises(ValueError, match="compiled must be"):
        jaxgmm.fit(0, x, 2, compiled="no")


def test_a_family_not_written_for_it_runs_compiled_or_lane_by_lane():
    own = dataclasses.replace(full.FULL, name="own", in_numpy=False)
    assert not route.goes_to_host([own], FULL.data(), 1, K)
    here, there = both(jaxgmm.fit, 0, FULL.data(), K, family=own, n_init=3, tol=0, max_iter=5)
    assert_same(here, there, FULL, np.float64)


ON_A_GPU = "from jaxgmm.numerics import platforms; platforms.default = lambda: 'gpu'"


@pytest.mark.parametrize("machine", ["", ON_A_GPU], ids=["cpu", "gpu"])
def test_few_rows_compile_nothing(machine):
    """Neither a fit nor a selection nor what is asked of it, in a process that knows no program; also on a machine
    whose default device is an accelerator."""
    program = f"""
import jax
import numpy as np
import jaxgmm
{machine}
compiled = []
jax.monitoring.register_event_duration_secs_listener(lambda name, *a, **k: compiled.append(name))
x = np.random.default_rng(0).normal(size=(300, 2))
mixture = jaxgmm.fit(0, x, 2).mixture
jaxgmm.select(0, x, [1, 2], n_init=2)
jaxgmm.fit_many(0, x.reshape(3, 100, 2), 2)
jaxgmm.e_step(mixture, x), jaxgmm.predict(mixture, x), jaxgmm.log_prob(mixture, x), jaxgmm.bic(mixture, x)
print([name for name in compiled if "backend_compile" in name])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_beside_an_accelerator_few_rows_are_fitted_on_the_cpu(monkeypatch):
    """Unless they lie on the accelerator, or are so many that it is worth its compiler."""
    x, many = FULL.data(), 2000  # lanes
    held = jax.device_put(x.astype(np.float32), jax.devices("cpu")[0])
    wanted = jaxgmm.fit(0, x, K, n_init=3)
    monkeypatch.setattr(platforms, "default", lambda: "cpu")

    def goes(x, lanes=1, **asked):
        return route.goes_to_host([full.FULL], x, lanes, K, **asked)

    assert goes(x) and goes(held) and goes(x, many)
    monkeypatch.setattr(platforms, "default", lambda: "gpu")
    assert goes(x) and goes(held) and not goes(x, many)
    assert not goes(x, compiled=True) and goes(x, many, compiled=False)
    found = jaxgmm.fit(0, x, K, n_init=3)
    np.testing.assert_array_equal(found.restarts, wanted.restarts)
    monkeypatch.setattr(platforms, "holds", lambda array: False)  # as if the arrays of JAX lay there
    assert goes(x) and not goes(held)
    assert not route.in_numpy(full.FULL, wanted.mixture)


def test_the_device_that_is_asked_for_decides():
    [cpu, *_] = jax.devices("cpu")
    for device in (cpu, "cpu"):
        with jax.default_device(device):
            assert platforms.on_cpu()
    assert platforms.holds(jax.device_put(np.ones(3), cpu))
    assert platforms.default() == jax.default_backend()
