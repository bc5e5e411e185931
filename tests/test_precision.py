"""float64 in, float64 out, whatever JAX's global flag says; the flag itself is never touched."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, ROUTED, WEIGHTS, K, precision
from scipy import stats

import jaxgmm
from jaxgmm import numerics
from jaxgmm.search.problem import Problem

CASE = BY_NAME["full"]
X = CASE.data()
NARROW = {"family": "full", "max_iter": 3, "tol": 0, "prior": jaxgmm.GaussianPrior()}


@pytest.fixture(autouse=True)
def global_flag_stays_off():
    assert not jax.config.jax_enable_x64
    yield
    assert not jax.config.jax_enable_x64
    assert jnp.zeros(1).dtype == np.float32


@ROUTED
def test_float64_numbers_are_float64_to_the_last_digit(case):
    x, mixture = case.data(), case.mixture()
    total, _ = oracles.e_step(case.name, WEIGHTS, case.params, x)
    np.testing.assert_allclose(np.asarray(jaxgmm.e_step(mixture, x).log_likelihood), total, rtol=1e-12)
    for criterion, expected in oracles.criteria(case.name, WEIGHTS, case.params, x, None, case.n_categories).items():
        np.testing.assert_allclose(getattr(jaxgmm, criterion)(mixture, x), expected, rtol=1e-12)


def as_context_array(x):
    with precision(np.float64):
        return jnp.asarray(x)


@pytest.mark.parametrize("kind", [np.asarray, as_context_array, lambda x: x.tolist()], ids=["numpy", "jax", "list"])
def test_every_kind_of_float64_is_the_same_fit(kind):
    result = jaxgmm.fit(0, kind(X), K, init=CASE.mixture(), **NARROW)
    expected = oracles.em("full", WEIGHTS, CASE.params, X, n_iter=3)[2][-1]
    assert result.mixture.components.means.dtype == np.float64
    np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-12)
    assert isinstance(result.mixture.components.means, jax.Array)
    assert isinstance(result.log_likelihood, (float, np.floating))
    assert isinstance(jaxgmm.n_parameters(result.mixture), int)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.bool_])
def test_integers_count_as_float64(dtype):
    case = BY_NAME["bernoulli" if dtype == np.bool_ else "poisson"]
    x = case.data().astype(dtype)
    result, same = (jaxgmm.fit(0, rows, K, family=case.family, max_iter=3, tol=0) for rows in (x, x.astype(float)))
    assert result.mixture.weights.dtype == np.float64
    np.testing.assert_allclose(result.log_likelihood, same.log_likelihood, rtol=1e-12)


def test_half_precision_is_computed_in_float32():
    half = X.astype(np.float16)
    result, same = (jaxgmm.fit(0, rows, K, max_iter=3, tol=0) for rows in (half, half.astype(np.float32)))
    assert result.mixture.components.means.dtype == np.float32
    np.testing.assert_allclose(result.log_likelihood, same.log_likelihood, rtol=1e-5)


def test_the_data_decide_the_dtype():
    w = np.ones(len(X), np.float32)
    double = jaxgmm.fit(0, X, K, init=CASE.mixture(np.float32), sample_weight=w, **NARROW)
    assert double.mixture.weights.dtype == np.float64
    single = jaxgmm.fit(0, X.astype(np.float32), K, init=CASE.mixture(), sample_weight=w.astype(float), **NARROW)
    assert single.mixture.weights.dtype == np.float32


@pytest.mark.short(case=["full", "categorical", "poisson"])
@ROUTED
def test_one_key_is_one_sample_in_any_dtype(case):
    (a, labels), (b, same) = (jaxgmm.sample(5, case.mixture(dtype), 200) for dtype in (np.float32, np.float64))
    np.testing.assert_array_equal(labels, same)
    assert np.mean(np.isclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-3, atol=1e-3)) > 0.99


KEYS = [3, np.int64(3), jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")]


@pytest.mark.parametrize("seed", KEYS, ids=["int", "numpy", "key", "raw key", "rbg"])
def test_every_kind_of_key_is_taken(seed):
    results = [jaxgmm.fit(seed, X, K, max_iter=2, tol=0) for _ in range(2)]
    assert results[0].log_likelihood == results[1].log_likelihood


def test_float64_works_inside_a_float32_trace():
    x, mixture = X.astype(np.float32), CASE.mixture(np.float32)
    traced = jax.jit(lambda m, x: jaxgmm.e_step(m, x).log_likelihood)(mixture, x)
    assert traced.dtype == np.float32
    with precision(np.float64):
        wide = jax.jit(lambda m, x: jaxgmm.e_step(m, x).log_likelihood)(CASE.mixture(), jnp.asarray(X))
    total, _ = oracles.e_step("full", WEIGHTS, CASE.params, X)
    np.testing.assert_allclose(np.asarray(wide), total, rtol=1e-12)


def test_public_functions_return_float64_jax_arrays():
    mixture = CASE.mixture()
    for function in (jaxgmm.log_prob, jaxgmm.joint_log_prob, jaxgmm.responsibilities):
        out = function(mixture, X)
        assert isinstance(out, jax.Array) and out.dtype == np.float64
    statistics = jaxgmm.e_step(mixture, X)
    assert {leaf.dtype for leaf in jax.tree.leaves(statistics + statistics)} == {np.dtype(np.float64)}


@pytest.mark.short(case=["poisson"])
@ROUTED
def test_float64_rows_that_a_float32_jit_closes_over(case):
    """A mixture and rows that are no arguments: the answers of calls outside, in a trace that runs in float32."""
    x, mixture = case.data(), case.mixture()
    calls = {
        "fit": lambda: jaxgmm.fit(0, x, K, family=mixture.family, max_iter=3, tol=0).log_likelihood,
        "predict": lambda: jaxgmm.predict(mixture, x),
        "log_prob": lambda: jaxgmm.log_prob(mixture, x),
        "responsibilities": lambda: jaxgmm.responsibilities(mixture, x),
        "e_step": lambda: jaxgmm.e_step(mixture, x).counts,
    }
    for name, call in calls.items():
        inside = jax.jit(lambda scale, call=call: scale * call().astype(jnp.float32))(np.float32(1))
        np.testing.assert_allclose(inside, np.asarray(call(), np.float32), rtol=1e-5, atol=1e-30, err_msg=name)
    labels = jax.jit(lambda mixture: jaxgmm.predict(mixture, x))(mixture)
    np.testing.assert_array_equal(labels, jaxgmm.predict(mixture, x))


@pytest.mark.long
def test_many_data_sets_that_a_jit_closes_over():
    stack = np.stack([X, X[::-1]]).astype(np.float32)

    def call():
        return jaxgmm.fit_many(0, stack, K, max_iter=3, tol=0).log_likelihood

    np.testing.assert_allclose(jax.jit(lambda scale: scale * call())(1.0), call(), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("odd", [0.0, -np.inf, np.inf, np.nan])
def test_the_first_of_the_largest_is_argmax(axis, odd):
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 3, (7, 50)) * 1.0, np.full((7, 50), odd)):
        values[rng.random(values.shape) < 0.3] = odd
        with precision(np.float64):
            found = jax.jit(lambda v: numerics.first_of_largest(v, axis))(values)
        np.testing.assert_array_equal(found, np.argmax(values, axis))


def correlated(condition: float):
    """Two clusters (600, 4) whose covariances have this condition number, and their labels."""
    rng = np.random.default_rng(2)
    label = rng.integers(2, size=600)
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0] * np.geomspace(1, condition**-0.5, 4)
    return (rng.normal(size=(600, 4)) + 3 * label[:, None]) @ axes.T, label


def em_of(x, label, updates: int):
    """Plain EM of two full components in float64 from labels, and the log-likelihood of the last mixture."""
    resp = np.eye(2)[label]
    for _ in range(updates + 1):
        weights, means = resp.mean(0), (resp.T @ x) / resp.sum(0)[:, None]
        covariances = [(r[:, None] * (x - m)).T @ (x - m) / r.sum() for r, m in zip(resp.T, means, strict=True)]
        normals = [stats.multivariate_normal(*pair) for pair in zip(means, covariances, strict=True)]
        joint = np.log(weights) + np.stack([normal.logpdf(x) for normal in normals], axis=1)
        density = np.logaddexp(joint[:, 0], joint[:, 1])
        resp = np.exp(joint - density[:, None])
    return density.sum()


@pytest.mark.parametrize("condition", [1e4, 1e6])
@pytest.mark.parametrize("verb", ["fit", "select", "fit_many"])
def test_float32_rows_without_digits_in_the_fast_form_go_on_in_float64(condition, verb, monkeypatch):
    rows, label = correlated(condition)
    x = rows.astype(np.float32)
    exact = em_of(x.astype(float), label, 60)

    ran, task = [], Problem.task

    def seen(self, form):
        ran.append((form is self.family.moments, self.known.frame.scale.dtype.name))
        return task(self, form)

    monkeypatch.setattr(Problem, "task", seen)
    options = {"prior": jaxgmm.GaussianPrior(), "tol": 1e-6}
    if verb == "fit":
        result = jaxgmm.fit(0, x, 2, n_init=5, **options)
    elif verb == "select":
        result = jaxgmm.select(0, x, [2], families="full", **options).best
    else:
        result = jax.tree.map(lambda leaf: leaf[1], jaxgmm.fit_many(0, np.stack([x[::-1], x]), 2, **options))
    assert (True, "float64") in ran
    assert (False, "float32") not in ran  # the accurate form, which is slower than float64
    assert abs(result.log_likelihood - exact) < 2e-7 * abs(exact) + 1e-2
    assert np.asarray(result.mixture.components.covariances).dtype == np.float32
    assert np.asarray(result.log_likelihood).dtype == np.float32


@pytest.mark.parametrize("family", ["full", "tied"])
@pytest.mark.parametrize("narrow", [0, 3e-4])
@pytest.mark.parametrize("max_iter", [50, 1000])
def test_float32_results_have_the_density_that_they_say(family, narrow, max_iter):
    """Also where features are collinear, or so nearly that float32 cannot hold such a matrix, and where a fit in
    float64 has made all its updates before that is seen."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 5])
    x = np.column_stack([x, x[:, 0] - 2 * x[:, 1] + narrow * rng.normal(size=400)]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        result = jaxgmm.fit(0, x, 2, family=family, n_init=2, max_iter=max_iter)
    total = np.asarray(jaxgmm.log_prob(result.mixture, x), float).sum()
    assert abs(result.log_likelihood - total) < 0.05 * len(x)
    assert np.isfinite(np.linalg.cholesky(np.asarray(result.mixture.components.covariances))).all()
