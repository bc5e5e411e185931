"""Derivatives through a fit: forward, those of its updates by finite differences; backward, one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import BY_NAME, DTYPES, ROUTED, K, N, precision

import jaxgmm

UPDATES = 3


def leaves(result):
    """All real numbers of a result, (·,)."""
    mixture = result.mixture
    parts = result.log_likelihood, mixture.log_weights, *jax.tree.leaves(mixture.components)
    return jnp.concatenate([jnp.ravel(part) for part in parts])


def directions(case, x):
    """A small move of everything that a fit is a smooth function of: rows, weights, start, prior."""
    rng = np.random.default_rng(1)
    smooth = case.gaussian or case.name in ("exponential", "gamma")
    move = 0.1 * rng.normal(size=x.shape) * x if smooth else 0 * x
    start = case.mixture()
    turned = jax.tree.map(lambda leaf: 0.1 * np.asarray(leaf), start)
    return move, 0.1 * rng.normal(size=len(x)), turned, np.float64(0.3)


@pytest.mark.short(case=["poisson"])
@ROUTED
def test_forward_derivatives_are_finite_differences(case):
    x = case.data()
    at = x, np.random.default_rng(2).uniform(0.5, 2, N), case.mixture(), np.float64(0.2)
    along = directions(case, x)

    def fitted(x, weight, start, reg_covar):
        prior = jaxgmm.GaussianPrior(reg_covar=reg_covar) if case.gaussian else None
        options = {"family": case.family, "init": start, "sample_weight": weight, "prior": prior}
        return leaves(jaxgmm.fit(0, x, K, **options, tol=0, max_iter=UPDATES))

    def moved(step):
        return jax.tree.map(lambda a, b: np.asarray(a + step * b), at, along)

    with precision(np.float64):
        at, along = jax.tree.map(jnp.asarray, (at, along))
        value, slope = jax.jvp(fitted, at, along)
        np.testing.assert_allclose(value, fitted(*moved(0.0)), rtol=1e-9, atol=1e-9)
        step = 1e-5
        differences = (fitted(*moved(step)) - fitted(*moved(-step))) / (2 * step)
    np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-6 * np.abs(differences).max())


@pytest.mark.long
@DTYPES
def test_a_whole_search_has_forward_derivatives(dtype):
    """At a maximum the log-likelihood moves with the weights alone: by log p(x) of every row, whatever the start."""
    case = BY_NAME["diag"]
    x, prior = case.data(dtype), jaxgmm.GaussianPrior()
    with precision(dtype):
        weight = jnp.ones(N, dtype)
        turn = jnp.asarray(np.random.default_rng(0).normal(size=N), dtype)

        def value(weight):
            result = jaxgmm.fit(0, x, K, family="diag", n_init=4, sample_weight=weight, prior=prior, tol=1e-7)
            return result.log_likelihood, result.mixture

        _, (slope, _) = jax.jvp(value, (weight,), (turn,))
        mixture = value(np.ones(N, dtype))[1]
    assert slope.dtype == dtype
    np.testing.assert_allclose(slope, np.asarray(turn) @ np.asarray(jaxgmm.log_prob(mixture, x)), rtol=1e-3)


@pytest.mark.long
def test_many_fits_have_the_derivatives_of_the_single_fits():
    stack = np.stack([BY_NAME["poisson"].data(np.float32, seed=seed) for seed in range(3)])
    weight = np.ones(stack.shape[:2], np.float32)
    turn = np.random.default_rng(0).normal(size=weight.shape).astype(np.float32)
    options = {"family": "poisson", "tol": 0, "max_iter": UPDATES}

    def many(weight):
        return jaxgmm.fit_many(0, stack, K, sample_weight=weight, **options).mixture.components.rates

    def single(weight):
        return jaxgmm.fit(0, stack[1], K, sample_weight=weight, **options).mixture.components.rates

    together, alone = jax.jvp(many, (weight,), (turn,))[1], jax.jvp(single, (weight[1],), (turn[1],))[1]
    np.testing.assert_allclose(together[1], alone, rtol=1e-3, atol=1e-3)


def of_one(weight):
    x = BY_NAME["poisson"].data(np.float32)
    return jaxgmm.fit(0, x, K, family="poisson", sample_weight=weight, tol=0, max_iter=UPDATES).log_likelihood


def of_many(weight):
    stack = BY_NAME["poisson"].data(np.float32)[None]
    options = {"family": "poisson", "sample_weight": weight[None], "tol": 0, "max_iter": UPDATES}
    many = jaxgmm.fit_many(0, stack, K, **options)
    return many.log_likelihood[0]


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(of_one, id="fit"),
        pytest.param(of_many, id="fit_many", marks=pytest.mark.long),
        pytest.param(lambda w: jax.jit(jax.vmap(of_one))(w[None])[0], id="jit of vmap", marks=pytest.mark.long),
    ],
)
def test_reverse_mode_says_what_to_do_instead(function):
    with pytest.raises(ValueError, match="reverse-mode .* is not there yet: use jax.jvp or jax.jacfwd"):
        jax.grad(function)(jnp.ones(N))


@pytest.mark.long
def test_a_jacobian_goes_forward():
    jacobian = jax.jacfwd(lambda scale: of_one(jnp.ones(N) * scale[0] + scale[1]))(jnp.array([0.5, 0.5]))
    np.testing.assert_allclose(jacobian, np.full(2, of_one(np.ones(N, np.float32))), rtol=1e-4)
