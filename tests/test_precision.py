"""float64 in, float64 out, whatever JAX's global flag says; the flag itself is never touched."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, ROUTED, WEIGHTS, K, precision

import jaxgmm
from jaxgmm import numerics

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
