"""The laws of a whole fit, for every family, in float32 and float64: it is EM, and EM is what it is in any units."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, FAMILIES, WEIGHTS, K, N, assert_mixtures_close, leaves, precision, read

import jaxgmm

UPDATES = 6


def fit_from(case, mixture, x, **options):
    """Plain EM from exactly this mixture, by maximum likelihood."""
    options = {"family": case.family, "prior": case.prior, "max_iter": UPDATES, "tol": 0, **options}
    return jaxgmm.fit(0, x, K, init=mixture, **options)


@FAMILIES
@DTYPES
def test_fit_is_the_numpy_loop_and_never_decreases(case, dtype):
    x, w = case.data(dtype), np.random.default_rng(5).integers(1, 4, N).astype(dtype)
    results = [fit_from(case, case.mixture(dtype), x, sample_weight=w, max_iter=t) for t in range(UPDATES + 1)]
    weights, params, trace = oracles.em(case.name, WEIGHTS, case.params, x, w, n_iter=UPDATES, **case.options)
    np.testing.assert_allclose([r.log_likelihood for r in results], trace, **oracles.tolerance(dtype))
    assert np.all(np.diff([r.log_likelihood for r in results]) > -oracles.tolerance(dtype)["rtol"] * abs(trace[0]))
    assert [r.n_iter for r in results] == list(range(UPDATES + 1))
    assert_mixtures_close(results[-1].mixture, (weights, params), case.params, dtype, loosen=10)  # errors of 6 updates


@jax.jit
@jax.grad
def gradient_of_the_mean(view, x):
    return jnp.mean(jaxgmm.log_prob(jaxgmm.constrain(view), x))


@pytest.mark.short(case=["full", "VEI", "categorical", "gamma"])
@FAMILIES
@DTYPES
def test_gradient_is_zero_at_a_converged_fit(case, dtype):
    x = case.data(dtype)
    tol = {"float64": 1e-13, "float32": 1e-7}[np.dtype(dtype).name]
    result = fit_from(case, case.mixture(dtype), x, tol=tol, max_iter=20_000)
    assert result.converged
    with precision(np.float64):
        mixture = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), result.mixture)
        rows = x.astype(np.float64)
        view = jaxgmm.unconstrain(mixture)
        gradient = gradient_of_the_mean(view, rows)
    # what remains is tol: the gradient is its square root times the curvature's
    bound = {"float64": 1e-5, "float32": 2e-3}[np.dtype(dtype).name]
    assert max(np.abs(leaf).max() for leaf in leaves(gradient)) < bound


@pytest.mark.short(case=["full", "poisson"])
@FAMILIES
def test_fit_is_the_same_under_jit_and_vmap(case, dtype=np.float32):
    stack = np.stack([case.data(dtype, seed=seed) for seed in range(2)])
    loop = [fit_from(case, case.mixture(dtype), x) for x in stack]
    with precision(dtype):
        mixture = case.mixture(dtype)
        batched = jax.jit(jax.vmap(lambda x: fit_from(case, mixture, x)))(jnp.asarray(stack))
    np.testing.assert_array_equal(batched.n_iter, UPDATES)
    np.testing.assert_array_equal(batched.status, int(jaxgmm.Status.MAX_ITER))
    assert np.asarray(batched.status).dtype == np.int32
    for i in range(2):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], batched.mixture)
        assert_mixtures_close(one, loop[i].mixture, case.params, dtype, loosen=10)
        np.testing.assert_allclose(batched.log_likelihood[i], loop[i].log_likelihood, **oracles.tolerance(dtype))


@FAMILIES
def test_fit_is_the_same_in_blocks(case, dtype=np.float64):
    x = case.data(dtype)
    whole = fit_from(case, case.mixture(dtype), x).mixture
    assert_mixtures_close(fit_from(case, case.mixture(dtype), x, block_size=50).mixture, whole, case.params, dtype, 10)


# What the units of the data may change: (family, map of the rows, map of the parameters, log |det| of the map)
TURN = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 4.0], [5.0, 6.0, 0.0]]))[0]
SHEAR = np.array([[2.0, 1.0, 0.0], [0.0, 0.5, 0.3], [0.2, 0.0, 3.0]])
SHIFT = np.array([1.0, -2.0, 3.0])
STRETCH = np.array([0.5, 3.0, 10.0])


def moved(a, covariances):
    """x -> a x + SHIFT."""
    return (lambda x: x @ a.T + SHIFT,
            lambda p: {"means": p["means"] @ a.T + SHIFT, "covariances": covariances(p["covariances"])},
            np.linalg.slogdet(a)[1])  # fmt: skip


UNITS = {
    "full": moved(SHEAR, lambda c: SHEAR @ c @ SHEAR.T),
    "tied": moved(SHEAR, lambda c: SHEAR @ c @ SHEAR.T),
    "diag": moved(np.diag(STRETCH), lambda c: c * STRETCH**2),
    "spherical": moved(3 * TURN, lambda c: 9 * c),
    "EII": moved(3 * TURN, lambda c: 9 * c),
    "VEI": (
        lambda x: 3 * x + SHIFT,
        lambda p: {**p, "means": 3 * p["means"] + SHIFT, "volumes": 9 * p["volumes"]},
        3 * np.log(3),
    ),
    "bernoulli": (lambda x: 1 - x, lambda p: {"probs": 1 - p["probs"]}, 0.0),
    "categorical": (lambda x: (x + 1) % 3, lambda p: {"probs": np.roll(p["probs"], 1, axis=2)}, 0.0),
    "poisson": (lambda x: x[:, ::-1], lambda p: {"rates": p["rates"][:, ::-1]}, 0.0),
    "exponential": (lambda x: x * STRETCH, lambda p: {"rates": p["rates"] / STRETCH}, np.log(STRETCH).sum()),
    "gamma": (
        lambda x: x * STRETCH,
        lambda p: {"concentrations": p["concentrations"], "rates": p["rates"] / STRETCH},
        np.log(STRETCH).sum(),
    ),
}


@FAMILIES
@DTYPES
def test_fit_follows_the_units_of_the_data(case, dtype):
    rows, params, log_det = UNITS[case.name]
    x = case.data(dtype)
    plain = fit_from(case, case.mixture(dtype), x)
    other = fit_from(case, case.mixture(dtype, **params(case.params)), rows(x).astype(dtype))
    shifted = plain.log_likelihood - N * log_det
    np.testing.assert_allclose(other.log_likelihood, shifted, **oracles.tolerance(dtype))
    weights, fitted = read(plain.mixture, case.params)
    assert_mixtures_close(other.mixture, (weights, params(fitted)), case.params, dtype, loosen=10)


def as_full(name, p):
    return {"means": p["means"], "covariances": np.stack(oracles.matrices(name, p, K, 3))}


def two_codes(p):
    return {"probs": np.stack([1 - p["probs"], p["probs"]], axis=-1)}


NESTED = [  # (special, general, its parameters, must one M-step agree too)
    ("tied", "full", lambda p: as_full("tied", p), False),
    ("diag", "full", lambda p: as_full("diag", p), False),
    ("spherical", "full", lambda p: as_full("spherical", p), False),
    ("EII", "spherical", lambda p: {**p, "covariances": np.repeat(p["covariances"], K)}, False),
    ("VEI", "diag", lambda p: {"means": p["means"], "covariances": p["volumes"][:, None] * p["shape"]}, False),
    ("spherical", "diag", lambda p: {**p, "covariances": np.tile(p["covariances"][:, None], (1, 3))}, False),
    ("bernoulli", "categorical", two_codes, True),
    ("exponential", "gamma", lambda p: {"concentrations": np.ones_like(p["rates"]), "rates": p["rates"]}, False),
]


@pytest.mark.parametrize("nested", NESTED, ids=lambda nested: f"{nested[0]} in {nested[1]}")
@DTYPES
def test_nested_models_agree(nested, dtype):
    special, general, embed, same_update = nested
    case = BY_NAME[special]
    x, small = case.data(dtype), case.mixture(dtype)
    params = {field: np.asarray(value, dtype) for field, value in embed(case.params).items()}
    large = jaxgmm.mixture(general, weights=small.weights, **params)
    joint = [jaxgmm.joint_log_prob(mixture, x) for mixture in (large, small)]
    np.testing.assert_allclose(*joint, **oracles.tolerance(dtype))
    new_small, new_large = (jaxgmm.m_step(m, jaxgmm.e_step(m, x)) for m in (small, large))
    if same_update:
        _, fitted = read(new_small, case.params)
        assert_mixtures_close(new_large, (np.asarray(new_small.weights), embed(fitted)), params, dtype)
    gained = [np.asarray(jaxgmm.e_step(m, x).log_likelihood) for m in (new_small, new_large)]
    assert gained[1] >= gained[0] - oracles.tolerance(dtype)["rtol"] * abs(gained[0])  # the larger model fits better
