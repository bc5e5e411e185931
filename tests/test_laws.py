"""The laws every family obeys, in float32 and float64: one battery over the table of families.

The laws of one E-step and one M-step; those of whole fits are in test_fit_laws.py. Oracles: NumPy loops (oracles.py).
"""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import (
    DTYPES,
    FAMILIES,
    WEIGHTS,
    K,
    N,
    assert_mixtures_close,
    leaves,
    precision,
)

import jaxgmm

FORMS = pytest.mark.parametrize("form", ["accurate", "moments"])


def sample_weights(dtype, n=N):
    return np.random.default_rng(7).integers(0, 4, n).astype(dtype)


def update(case, mixture, x, sample_weight=None, **options):
    return jaxgmm.m_step(mixture, jaxgmm.e_step(mixture, x, sample_weight, **options), case.prior)


def assert_statistics_close(actual, expected, dtype):
    for a, b in zip(leaves(actual), leaves(expected), strict=True):
        bounds = oracles.tolerance(dtype)
        np.testing.assert_allclose(a, b, bounds["rtol"], bounds["atol"] * max(1, np.abs(b).max()))


@FAMILIES
@DTYPES
def test_log_prob_is_the_oracles(case, dtype):
    x, mixture, bounds = case.data(dtype), case.mixture(dtype), oracles.tolerance(dtype)
    logits = oracles.joint(case.name, WEIGHTS, case.params, x)
    total, resp = oracles.e_step(case.name, WEIGHTS, case.params, x)
    np.testing.assert_allclose(jaxgmm.joint_log_prob(mixture, x), logits, **bounds)
    np.testing.assert_allclose(jaxgmm.responsibilities(mixture, x), resp, **bounds)
    np.testing.assert_allclose(np.asarray(jaxgmm.log_prob(mixture, x), float).sum(), total, **bounds)
    np.testing.assert_array_equal(jaxgmm.predict(mixture, x), np.argmax(logits, axis=1))
    assert np.issubdtype(jaxgmm.predict(mixture, x).dtype, np.integer)
    assert jaxgmm.n_parameters(mixture) == oracles.n_parameters(case.name, K, case.d, case.n_categories)


@FAMILIES
@DTYPES
@FORMS
def test_one_iteration_is_the_oracles(case, dtype, form):
    x, w, mixture = case.data(dtype), sample_weights(dtype), case.mixture(dtype)
    total, resp = oracles.e_step(case.name, WEIGHTS, case.params, x, w)
    statistics = jaxgmm.e_step(mixture, x, w, form=form)
    np.testing.assert_allclose(statistics.log_likelihood, total, **oracles.tolerance(dtype))
    np.testing.assert_allclose(statistics.weight, w.sum(), **oracles.tolerance(dtype))
    np.testing.assert_allclose(statistics.counts, w @ resp, **oracles.tolerance(dtype))
    expected = oracles.m_step(case.name, x, resp, w, **case.options)
    assert_mixtures_close(jaxgmm.m_step(mixture, statistics, case.prior), expected, case.params, dtype)


@FAMILIES
@DTYPES
@FORMS
def test_statistics_add_over_row_splits(case, dtype, form):
    x, w, mixture = case.data(dtype), sample_weights(dtype), case.mixture(dtype)
    whole = jaxgmm.e_step(mixture, x, w, form=form)
    first, second = (jaxgmm.e_step(mixture, x[rows], w[rows], form=form) for rows in (slice(0, 60), slice(60, N)))
    assert_statistics_close(first + second, whole, dtype)
    assert_statistics_close(jax.tree.map(jnp.add, first, second), whole, dtype)
    assert_mixtures_close(jaxgmm.m_step(mixture, first + second, case.prior), update(case, mixture, x, w, form=form),
                          case.params, dtype)  # fmt: skip


@pytest.mark.short(case=["full", "EII", "categorical", "exponential"])
@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_whole_equals_blocks(case, dtype):
    x, w, mixture = case.data(dtype), sample_weights(dtype), case.mixture(dtype)
    whole = jaxgmm.e_step(mixture, x, w)
    for block_size in (50, 1) if case.name == "full" else (50,):  # the last block of 50 is not full
        assert_statistics_close(jaxgmm.e_step(mixture, x, w, block_size=block_size), whole, dtype)


@FAMILIES
@DTYPES
def test_zero_weight_rows_change_nothing(case, dtype):
    x, mixture = case.data(dtype), case.mixture(dtype)
    w = np.repeat(np.array([1, 0], dtype), N // 2)
    few = jaxgmm.e_step(mixture, x[: N // 2], np.ones(N // 2, dtype))
    assert_statistics_close(jaxgmm.e_step(mixture, x, w), few, dtype)
    options = {"family": case.family, "prior": case.prior, "init": mixture, "max_iter": 5, "tol": 0}
    expected = oracles.em(case.name, WEIGHTS, case.params, x[: N // 2], n_iter=5, **case.options)
    fitted = jaxgmm.fit(0, x, K, sample_weight=w, **options)
    np.testing.assert_allclose(fitted.log_likelihood, expected[2][-1], **oracles.tolerance(dtype))
    assert_mixtures_close(fitted.mixture, expected[:2], case.params, dtype, loosen=10)  # errors of 5 updates


@FAMILIES
@DTYPES
def test_weight_two_is_the_row_twice(case, dtype):
    x, mixture = case.data(dtype)[: N // 2], case.mixture(dtype)
    twice = jaxgmm.e_step(mixture, np.concatenate([x, x]), np.ones(N, dtype))
    assert_statistics_close(jaxgmm.e_step(mixture, x, np.full(N // 2, 2, dtype)), twice, dtype)


@FAMILIES
@DTYPES
def test_row_order_is_irrelevant(case, dtype):
    x, w, mixture = case.data(dtype), sample_weights(dtype), case.mixture(dtype)
    order = np.random.default_rng(3).permutation(N)
    assert_statistics_close(jaxgmm.e_step(mixture, x[order], w[order]), jaxgmm.e_step(mixture, x, w), dtype)


@jax.jit
@jax.grad
def gradient_of_q(view, x, share):
    return jnp.sum(share * jaxgmm.joint_log_prob(jaxgmm.constrain(view), x))


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_m_step_is_a_stationary_point_of_q(case, dtype):
    x, w, mixture = case.data(dtype), sample_weights(dtype), case.mixture(dtype)
    _, resp = oracles.e_step(case.name, WEIGHTS, case.params, x, w)
    new = update(case, mixture, x, w)
    share = (w / w.sum()).astype(dtype)[:, None] * resp.astype(dtype)
    with precision(dtype):
        view = jaxgmm.unconstrain(new)
        gradient = gradient_of_q(view, x, share)
    assert max(np.abs(leaf).max() for leaf in leaves(gradient)) < oracles.tolerance(dtype)["atol"]


@FAMILIES
@DTYPES
def test_an_empty_component_stays_finite(case, dtype):
    x, mixture = case.data(dtype), case.mixture(dtype, weights=[0.4, 0.6, 0.0])
    assert np.asarray(mixture.log_weights)[2] == -np.inf
    for w in (None, np.zeros(N, dtype)):
        new = update(case, mixture, x, w)
        assert all(np.isfinite(leaf).all() for leaf in leaves(new.components))
        assert np.asarray(new.weights)[2] == 0 or w is not None
        assert not any(np.isnan(leaf).any() for leaf in leaves(new))


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_dtype_in_is_dtype_out(case, dtype):
    x, mixture = case.data(dtype), case.mixture(dtype)
    result = jaxgmm.fit(0, x, K, family=case.family, max_iter=2, tol=0)
    assert np.all(np.diff(np.asarray(result.mixture.weights)) <= 0)  # components come by decreasing weight
    drawn, _ = jaxgmm.sample(0, mixture, 5)
    arrays = [jaxgmm.log_prob(mixture, x), jaxgmm.responsibilities(mixture, x), jaxgmm.joint_log_prob(mixture, x)]
    arrays += [drawn] if case.name not in ("bernoulli", "categorical", "poisson") else []
    arrays += leaves(mixture) + leaves(jaxgmm.e_step(mixture, x)) + leaves(update(case, mixture, x))
    arrays += leaves(result.mixture) + leaves(jaxgmm.constrain(jaxgmm.unconstrain(mixture)))
    assert {np.asarray(a).dtype for a in arrays if np.asarray(a).dtype.kind == "f"} == {np.dtype(dtype)}


@pytest.mark.short(case=["full", "VEI", "bernoulli", "gamma"])
@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_jit_is_vmap_is_loop(case, dtype):
    stack = np.stack([case.data(dtype, seed=seed) for seed in range(3)])

    def step(mixture, x):
        statistics = jaxgmm.e_step(mixture, x)
        return jaxgmm.m_step(mixture, statistics, case.prior), statistics.log_likelihood

    with precision(dtype):
        mixture = case.mixture(dtype)
        loop = [step(mixture, x) for x in stack]
        compiled = jax.jit(step)
        jitted = [compiled(mixture, x) for x in stack]
        batched = jax.jit(jax.vmap(step, in_axes=(None, 0)))(mixture, stack)
    for i in range(3):
        assert_statistics_close(jitted[i], loop[i], dtype)
        assert_statistics_close(jax.tree.map(lambda leaf, i=i: leaf[i], batched), loop[i], dtype)


@FAMILIES
@DTYPES
def test_values_survive_a_pytree_round_trip(case, dtype):
    mixture = case.mixture(dtype)
    for value in (mixture, jaxgmm.e_step(mixture, case.data(dtype)), jaxgmm.unconstrain(mixture)):
        flat, tree = jax.tree.flatten(value)
        again = jax.tree.unflatten(tree, flat)
        assert type(again) is type(value)
        assert jax.tree.structure(copy.deepcopy(value)) == jax.tree.structure(pickle.loads(pickle.dumps(value))) == tree
        for a, b in zip(leaves(again), flat, strict=True):
            np.testing.assert_array_equal(a, b)
    family = mixture.family
    assert copy.deepcopy(family) == pickle.loads(pickle.dumps(family)) == family
    assert hash(copy.deepcopy(family)) == hash(family)
    assert family.name == case.name


@pytest.mark.short(case=["full", "categorical", "poisson", "gamma"])
@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_samples_follow_the_mixture(case, dtype):
    n = 4000
    x, labels = (np.asarray(a) for a in jaxgmm.sample(3, case.mixture(dtype), n))
    assert x.shape == (n, case.d) and labels.shape == (n,)
    np.testing.assert_allclose(np.bincount(labels, minlength=K) / n, WEIGHTS, atol=5 * 0.5 / np.sqrt(n))
    assert np.any(np.diff(labels) < 0)  # rows in random order
    numbers = np.eye(3)[x.astype(int)].reshape(n, -1) if case.n_categories else x
    wanted = case.data(n=n, seed=11)
    wanted_labels = np.random.default_rng(11).choice(K, size=n, p=WEIGHTS)
    wanted = np.eye(3)[wanted.astype(int)].reshape(n, -1) if case.n_categories else wanted
    for j in range(K):
        a, b = numbers[labels == j].astype(float), wanted[wanted_labels == j]
        error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5 * error)
        squares = (a - a.mean(0)) ** 2, (b - b.mean(0)) ** 2
        error = np.sqrt(sum(s.var(0) / len(s) for s in squares))
        assert np.all(np.abs(squares[0].mean(0) - squares[1].mean(0)) <= 6 * error)
