"""What may differ on another device: a fast selection of laws, run on JAX's default one, in compiled programs.

    pytest tests/test_gpu.py

On a CPU the long tests run it, of the same programs. Oracles are plain NumPy in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, K, assert_mixtures_close, precision

import jaxgmm
from jaxgmm.numerics import monomials, over_rows, platforms, product
from jaxgmm.numerics.products import eps

pytestmark = [pytest.mark.long] if platforms.on_cpu() else []
FULL = BY_NAME["full"]
SOME = pytest.mark.parametrize(
    "case", [BY_NAME[name] for name in ("full", "tied", "diag", "spherical", "bernoulli", "poisson", "gamma")], ids=str
)


def compiled(function, x):
    """A function of rows as a program of the default device."""
    with precision(x.dtype):
        return jax.jit(function)(jax.device_put(x))


# -- precision of products ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 152, 4096), (256, 130, 2048), (8, 2, 100)], ids=str)
def test_products_are_of_float32_grade(shape):
    """In TF32 they err by 1e-3 of the magnitudes that are summed, in float32 by a few of its rounding units."""
    rng = np.random.default_rng(0)
    k, f, b = shape
    theta, phi, resp = (rng.normal(size=size).astype(np.float32) for size in ((k, f), (f, b), (k, b)))
    pairs = [(jax.jit(product)(theta, phi), theta, phi), (jax.jit(over_rows)(resp, phi), resp, phi.T)]
    for found, left, right in pairs:
        left, right = left.astype(float), right.astype(float)
        size = np.abs(left) @ np.abs(right)
        assert np.abs(np.asarray(found) - left @ right).max() < (4 * eps(theta) * size).max()


def test_products_of_lanes_are_of_float32_grade():
    rng = np.random.default_rng(1)
    theta, phi = rng.normal(size=(5, 8, 20)).astype(np.float32), rng.normal(size=(20, 500)).astype(np.float32)
    found = jax.jit(jax.vmap(product, (0, None)))(theta, phi)
    size = np.abs(theta.astype(float)) @ np.abs(phi.astype(float))
    assert (np.abs(found - theta.astype(float) @ phi.astype(float)) < 4 * eps(theta) * size.max()).all()


def test_features_are_exact_products():
    x = np.random.default_rng(2).normal(size=(5, 300)).astype(np.float32)
    i, j = np.triu_indices(6)
    found = np.asarray(jax.jit(lambda x: monomials(x, i[1:], j[1:]))(x))
    extended = np.concatenate([np.ones_like(x[:1]), x])
    np.testing.assert_array_equal(found, (extended[i] * extended[j])[1:])


def apart(separation=100.0, n=2000, d=4, k=3):
    """Rows of k normals with sd 1, each feature's means so far apart, and their parameters; numbers of float32."""
    rng = np.random.default_rng(3)
    means = (separation * rng.permuted(np.tile(np.arange(k), (d, 1)), axis=1).T).astype(np.float32).astype(float)
    x = means[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    return x.astype(np.float32), np.full(k, 1 / k), {"means": means, "covariances": np.tile(np.eye(d), (k, 1, 1))}


@pytest.mark.short(name=["full", "diag"])
@pytest.mark.parametrize("name", ["full", "diag", "spherical", "tied"])
def test_float32_densities_at_a_separation_of_100(name):
    """JAX's default for products on recent GPUs errs by whole nats here."""
    x, weights, params = apart()
    shaped = {"full": lambda s: s, "tied": lambda s: s[0], "diag": lambda s: s[:, 0] * 0 + 1}
    params["covariances"] = shaped.get(name, lambda s: s[:, 0, 0])(params["covariances"])
    mixture = jaxgmm.mixture(name, weights=weights.astype(np.float32), **as_float32(params))
    value, resp = oracles.e_step(name, weights, params, x)
    rows = oracles.joint(name, weights, params, x).max(axis=1)  # at this separation the others add nothing
    bounds = {"rtol": 0, "atol": 1e-4}  # nats; the residual form subtracts means before it multiplies
    np.testing.assert_allclose(compiled(lambda x: jaxgmm.log_prob(mixture, x), x), rows, **bounds)
    np.testing.assert_allclose(compiled(lambda x: jaxgmm.responsibilities(mixture, x), x), resp, **bounds)
    np.testing.assert_array_equal(compiled(lambda x: jaxgmm.predict(mixture, x), x), resp.argmax(axis=1))
    for form, nats in (("accurate", 1e-5), ("moments", 1e-2)):  # the fast one is known by its loss, which fits watch
        statistics = compiled(lambda x, form=form: jaxgmm.e_step(mixture, x, form=form), x)
        np.testing.assert_allclose(statistics.log_likelihood / len(x), value / len(x), rtol=0, atol=nats)
        np.testing.assert_allclose(statistics.counts, resp.sum(axis=0), rtol=1e-5)


def as_float32(params):
    return {name: np.asarray(value, np.float32) for name, value in params.items()}


# -- trajectories -------------------------------------------------------------------------------------------------
#
# Most fits have one size, so that they share their programs: a GPU takes ten seconds to compile those of another.

N = 500
ONE = {"tol": 0, "max_iter": 6, "compiled": True}
SEVERAL = ONE | {"n_init": 4, "search": "exhaustive"}


@pytest.mark.diagonal
@DTYPES
@SOME
def test_a_trajectory_is_that_of_a_loop(case, dtype):
    x, start = case.data(dtype, n=N), case.mixture(dtype)
    weights, params, trace = oracles.em(case.name, np.asarray(start.weights, float), case.params, x, n_iter=6)
    result = jaxgmm.fit(0, x, K, family=case.family, init=start, prior=case.prior, **ONE)
    assert result.n_iter == 6
    assert_mixtures_close(result.mixture, (weights, params), case.params, dtype, loosen=10)
    np.testing.assert_allclose(result.log_likelihood / N, trace[-1] / N, **oracles.tolerance(dtype))


def test_starts_are_those_of_the_host():
    """One key is one start, whatever draws it."""
    x = FULL.data(np.float32, n=N)
    here, there = (jaxgmm.fit(4, x, K, **SEVERAL | {"compiled": compiled}) for compiled in (False, True))
    np.testing.assert_allclose(here.restarts / N, there.restarts / N, rtol=0, atol=1e-4)
    assert_mixtures_close(there.mixture, here.mixture, FULL.params, np.float32, loosen=10)


def test_rows_on_the_device_are_fitted_as_those_in_memory():
    x = FULL.data(np.float32, n=N)
    here, there = (jaxgmm.fit(0, rows, K, **SEVERAL) for rows in (x, jax.device_put(x)))
    assert_mixtures_close(there.mixture, here.mixture, FULL.params, np.float32)


@pytest.mark.long
def test_many_data_sets_are_fitted_as_each_alone():
    sets = np.stack([BY_NAME["diag"].data(n=60, seed=seed) for seed in range(5)])
    options = {"family": "diag", "tol": 0, "max_iter": 5}
    many = jaxgmm.fit_many(0, sets, 2, **options, compiled=True)
    alone = [jaxgmm.fit(0, x, 2, **options, compiled=False).log_likelihood for x in sets]
    np.testing.assert_allclose(many.log_likelihood, alone, rtol=1e-9)


# -- float32 traps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [1e-2, 1e-3, 1e-4])
def test_narrow_clusters_keep_their_covariances(sd):
    """Moments in float32 lose them: what is detected goes on in another form."""
    rng = np.random.default_rng(5)
    means = np.array([[0.0, 0.0, 1.0], [1.0, 0.5, 0.0], [0.3, 1.0, 0.4]])
    x = (means[np.arange(N) % 3] + sd * rng.normal(size=(N, 3))).astype(np.float32)
    params = {"means": means, "covariances": np.tile(sd**2 * np.eye(3), (3, 1, 1))}
    start = jaxgmm.mixture("full", weights=np.full(3, np.float32(1 / 3)), **as_float32(params))
    result = jaxgmm.fit(0, x, 3, init=start, prior=jaxgmm.GaussianPrior(), **ONE)
    wanted = oracles.em("full", np.full(3, 1 / 3), params, x, n_iter=6)[1]["covariances"]
    np.testing.assert_allclose(result.mixture.components.covariances, wanted, rtol=2e-3, atol=2e-3 * sd**2)


def test_rows_far_from_zero_keep_their_covariances():
    x, start = FULL.data(n=N), FULL.mixture(np.float32)
    found = []
    for shift in (0, 1000):  # rows themselves are rounded by 6e-5 there
        moved = FULL.mixture(np.float32, means=FULL.params["means"] + shift)
        found.append(jaxgmm.fit(0, (x + shift).astype(np.float32), K, init=moved, **ONE).mixture.components)
    np.testing.assert_allclose(found[1].covariances, found[0].covariances, rtol=1e-3, atol=1e-3)
    assert start.components.means.dtype == found[0].means.dtype == np.float32


def test_large_counts_and_narrow_gammas():
    rng = np.random.default_rng(6)
    rates = np.array([[1e6, 1e6], [1.01e6, 1.01e6]])
    counts = rng.poisson(rates[np.arange(600) % 2]).astype(np.float32)
    mixture = jaxgmm.mixture("poisson", weights=np.float32([0.4, 0.6]), rates=rates.astype(np.float32))
    value, _ = oracles.e_step("poisson", [0.4, 0.6], {"rates": rates}, counts)
    found = compiled(lambda x: jaxgmm.e_step(mixture, x), counts).log_likelihood
    np.testing.assert_allclose(found / 600, value / 600, rtol=0, atol=1e-3)  # a formula of float32 errs by nats
    x, one = rng.gamma(1e5, 1e-5, (2000, 1)).astype(np.float32), np.float32([1])
    start = jaxgmm.mixture("gamma", weights=one, concentrations=9e4 * one[None], rates=9e4 * one[None])
    fitted = compiled(lambda x: jaxgmm.m_step(start, jaxgmm.e_step(start, x)), x).components.concentrations
    gap = np.log(x.astype(float).mean()) - np.log(x.astype(float)).mean()
    np.testing.assert_allclose(fitted, [[oracles.gamma_concentration(gap)]], rtol=1e-2)


# -- streams, checkpoints, memory ---------------------------------------------------------------------------------


def test_a_stream_is_fitted_as_rows_in_memory():
    x, start = FULL.data(np.float32, n=N), FULL.mixture(np.float32)
    streamed = jaxgmm.fit(0, jaxgmm.rows(x, block_size=128), K, init=start, tol=0, max_iter=6)
    whole = jaxgmm.fit(0, x, K, init=start, **ONE)
    assert_mixtures_close(streamed.mixture, whole.mixture, FULL.params, np.float32)


def test_a_fit_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path):
    x = FULL.data(np.float32, n=N)
    whole = jaxgmm.fit(0, x, K, **SEVERAL)
    kept = {"checkpoint": tmp_path / "fit", "checkpoint_every": 2}
    left = jaxgmm.fit(0, x, K, **SEVERAL, **kept, callback=lambda glance: glance.iteration >= 3, every=1)
    assert left.status is jaxgmm.Status.STOPPED
    again = jaxgmm.fit(0, x, K, **SEVERAL, **kept, resume=True)
    for found, wanted in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("what", ["e_step", "log_prob", "fit"])
def test_memory_is_that_of_blocks(what):
    """By the compiler's own account, of rows that are never made: responsibilities of all do not exist."""
    n, d, k = (2_000_000 if platforms.on_cpu() else 64_000_000), 8, 64
    covariances = np.tile(np.eye(d, dtype=np.float32), (k, 1, 1))
    mixture = jaxgmm.mixture(
        "full", weights=np.full(k, 1 / k, np.float32), means=np.zeros((k, d), np.float32), covariances=covariances
    )
    calls = {
        "e_step": lambda x: jaxgmm.e_step(mixture, x, form="moments"),
        "log_prob": lambda x: jaxgmm.log_prob(mixture, x),
        "fit": lambda x: jaxgmm.fit(0, x, k, init=mixture),
    }
    program = jax.jit(calls[what]).lower(jax.ShapeDtypeStruct((n, d), jnp.float32)).compile()
    assert program.memory_analysis().temp_size_in_bytes < 4 * n * k / 8
