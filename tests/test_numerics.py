"""Hard numbers: far offsets, tight clusters, wild scales. Never a wrong result without a word.

The oracle is the same EM as a float64 NumPy loop, from the same start, on the same (already rounded) data.
"""

import os
import re
import subprocess
import sys

import jax
import jax.test_util
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, FAMILIES, WEIGHTS, K, N, precision, read

import jaxgmm
from jaxgmm import numerics
from jaxgmm.numerics import over_rows

MAXIMUM_LIKELIHOOD = jaxgmm.GaussianPrior()
CLOSE = 1e-3  # in mean log-likelihood, as the design has it
F32, F64 = np.float32, np.float64
GAUSSIANS = pytest.mark.parametrize("family", oracles.GAUSSIAN)


def problem(family, dtype, offset=0.0, scale=1.0, spread=1.0):
    """Rows, starting weights and parameters: clusters `spread` times narrower, then x * scale + offset."""
    case = BY_NAME[family]
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(K), (30, 50, 40))
    sizes = [case.component("covariances", j) for j in range(K)]
    noise = np.stack([case.draw(rng, {"means": np.zeros(3), "covariances": sizes[j]}) for j in labels])
    scale = np.broadcast_to(scale, 3)
    x = ((case.params["means"][labels] + spread * noise) * scale + offset).astype(dtype)
    means = (case.params["means"] + 0.3 * spread) * scale + offset
    squared = {"diag": scale**2, "spherical": scale[0] ** 2}.get(family, np.outer(scale, scale))
    covariances = case.params["covariances"] * spread**2 * squared
    return x, WEIGHTS, {"means": means, "covariances": covariances}


def start(family, dtype, weights, params):
    params = {field: np.asarray(value, dtype) for field, value in params.items()}
    return jaxgmm.mixture(family, weights=np.asarray(weights, dtype), **params)


SCALES = np.array([1e-6, 1.0, 1e6])
HARD = {
    "offset 1e6 float64": (F64, {"offset": 1e6}),
    "offset 1e4 float32": (F32, {"offset": 1e4}),
    "scales float32": (F32, {"scale": SCALES}),
    "scales float64": (F64, {"scale": SCALES}),
    "spread 1e-2 float32": (F32, {"spread": 1e-2}),
    "spread 1e-3 float32": (F32, {"spread": 1e-3}),
    "spread 1e-4 float32": (F32, {"spread": 1e-4}),
    "spread 1e-7 float64": (F64, {"spread": 1e-7}),
}


def skip_unequal_scales(family, options):
    if family == "spherical" and np.size(options.get("scale", 1)) > 1:
        pytest.skip("one variance for features of unequal scale is another model")


@GAUSSIANS
@pytest.mark.parametrize("hard", HARD)
def test_fit_is_the_numpy_loop_on_hard_numbers(family, hard):
    dtype, options = HARD[hard]
    skip_unequal_scales(family, options)
    x, weights, params = problem(family, dtype, **options)
    first = start(family, dtype, weights, params)
    result = jaxgmm.fit(0, x, K, family=family, init=first, prior=MAXIMUM_LIKELIHOOD)
    exact_start = read(first, params)  # what the rounded start really is
    *fitted, trace = oracles.em(family, *exact_start, x, n_iter=60)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood / len(x), trace[-1] / len(x), rtol=0, atol=CLOSE)
    # the mixture, not only its number: as the oracle scores it
    scored, _ = oracles.e_step(family, *read(result.mixture, params), x)
    bound = CLOSE if dtype == F64 else CLOSE + rounding_of_means(params, dtype)
    np.testing.assert_allclose(scored / len(x), trace[-1] / len(x), rtol=0, atol=bound)
    variances = [
        [np.diag(c) for c in oracles.covariance_matrices(family, p["covariances"], K, 3)]
        for p in (read(result.mixture, params)[1], fitted[1])
    ]
    np.testing.assert_allclose(*variances, rtol=1e-2)


def rounding_of_means(params, dtype):
    """What storing the means in this dtype costs a mean log-likelihood: half a squared error in units of the spread."""
    covariances = np.abs(params["covariances"])
    smallest = np.sqrt(np.min(covariances[covariances != 0]))
    return float((np.finfo(dtype).eps * np.abs(params["means"]).max() / smallest) ** 2)


@GAUSSIANS
@pytest.mark.parametrize("hard", ["offset 1e6 float64", "offset 1e4 float32", "spread 1e-4 float32"])
def test_a_loop_by_hand_is_right_on_hard_numbers(family, hard):
    dtype, options = HARD[hard]
    x, weights, params = problem(family, dtype, **options)
    mixture = first = start(family, dtype, weights, params)
    for _ in range(8):
        mixture = jaxgmm.m_step(mixture, jaxgmm.e_step(mixture, x), MAXIMUM_LIKELIHOOD)
    total = jaxgmm.e_step(mixture, x).log_likelihood
    trace = oracles.em(family, *read(first, params), x, n_iter=8)[2]
    np.testing.assert_allclose(np.asarray(total, F64) / len(x), trace[-1] / len(x), rtol=0, atol=CLOSE)


@GAUSSIANS
@pytest.mark.parametrize("hard", ["offset 1e4 float32", "spread 1e-3 float32", "spread 1e-4 float32", "scales float32"])
def test_random_starts_reach_the_float64_optimum(family, hard):
    dtype, options = HARD[hard]
    skip_unequal_scales(family, options)
    x, weights, params = problem(family, dtype, **options)
    trace = oracles.em(family, weights, params, x, n_iter=60)[2]
    result = jaxgmm.fit(1, x, K, family=family, n_init=4, prior=MAXIMUM_LIKELIHOOD)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood / len(x), trace[-1] / len(x), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("family", ["full", "tied", "diag"])
@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
def test_the_default_prior_knows_no_units(family, dtype):
    x, weights, params = problem(family, F64)
    plain = jaxgmm.fit(0, x.astype(dtype), K, family=family, init=start(family, dtype, weights, params))
    scale = 2.0 ** np.array([-40, 0, 40])  # exact in any dtype, so that the data are the same
    other_x, _, other = problem(family, F64, scale=scale)
    other = jaxgmm.fit(0, other_x.astype(dtype), K, family=family, init=start(family, dtype, weights, other))
    assert plain.n_iter == pytest.approx(other.n_iter, abs=1)
    squared = scale**2 if family == "diag" else np.outer(scale, scale)
    for field, unit in (("means", scale), ("covariances", squared)):
        a, b = (np.asarray(getattr(one.mixture.components, field), F64) for one in (other, plain))
        np.testing.assert_allclose(a / unit, b, **oracles.tolerance(dtype, 10))


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
def test_poisson_densities_at_large_rates(dtype):
    x = np.array([[0.0], [1.0], [999_000.0], [1_000_000.0], [1_001_000.0]], dtype)
    rates = np.array([[0.5], [1e6]])
    mixture = jaxgmm.mixture("poisson", weights=np.array([0.5, 0.5], dtype), rates=rates.astype(dtype))
    expected = oracles.joint("poisson", [0.5, 0.5], {"rates": rates}, x)
    near = np.abs(expected) < 100
    actual = np.asarray(jaxgmm.joint_log_prob(mixture, x), F64)
    np.testing.assert_allclose(actual[near], expected[near], atol=5e-3 if dtype == F32 else 1e-6)
    np.testing.assert_allclose(actual[~near], expected[~near], **oracles.tolerance(dtype))


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("concentration", [1e2, 1e4, 1e5])
def test_gamma_of_small_relative_spread(dtype, concentration):
    x = np.random.default_rng(0).gamma(concentration, 3.0 / concentration, size=(N, 1)).astype(dtype)
    result = jaxgmm.fit(0, x, 1, family="gamma")
    weights, params = oracles.m_step("gamma", x, np.ones((N, 1)))
    exact = oracles.e_step("gamma", weights, params, x)[0]
    np.testing.assert_allclose(result.mixture.components.concentrations, params["concentrations"], rtol=2e-2)
    np.testing.assert_allclose(result.log_likelihood / N, exact / N, atol=CLOSE)


IMPOSSIBLE = {"bernoulli": 0.5, "categorical": 3.0, "poisson": -1.0, "exponential": -0.5, "gamma": 0.0}


@FAMILIES
def test_rows_impossible_everywhere_and_rows_of_nan(case):
    x = case.data(n=4)
    x[1, 0], x[3, -1] = IMPOSSIBLE.get(case.name, np.inf), np.nan
    log_prob, resp = (np.asarray(f(case.mixture(), x)) for f in (jaxgmm.log_prob, jaxgmm.responsibilities))
    assert np.isfinite(log_prob[[0, 2]]).all()
    assert np.isneginf(log_prob[1])
    np.testing.assert_allclose(resp[1], WEIGHTS, rtol=1e-6)
    assert np.isnan(log_prob[3]) and np.isnan(resp[3]).all()
    labels = np.asarray(jaxgmm.predict(case.mixture(), x))
    np.testing.assert_array_equal(labels, [resp[0].argmax(), WEIGHTS.argmax(), resp[2].argmax(), -1])


@DTYPES
def test_a_row_with_nan_has_no_label_whatever_calls(dtype):
    case = BY_NAME["diag"]
    x, mixture = case.data(dtype, n=70_000), case.mixture(dtype)  # more than are scored together
    holes = np.arange(5, 70_000, 9_999)
    x[holes, np.arange(len(holes)) % 3] = np.nan
    labels = np.asarray(jaxgmm.predict(mixture, x))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(np.flatnonzero(labels == -1), holes)
    with precision(dtype):
        rows = jax.numpy.asarray(x[:8])
        compiled = jax.jit(jaxgmm.predict)(mixture, rows)
        each = jax.vmap(lambda row: jaxgmm.predict(mixture, row[None])[0])(rows)
    for ours in (compiled, each, jaxgmm.predict(mixture, rows)):
        np.testing.assert_array_equal(ours, labels[:8])


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "poisson"])
def test_parameters_on_the_boundary(family):
    """0 log 0 = 0: what happened with certainty costs nothing, what cannot happen is -inf."""
    params = {
        "bernoulli": {"probs": [[0.0, 1.0], [1.0, 0.5]]},
        "categorical": {"probs": [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.5, 0.5]]]},
        "poisson": {"rates": [[0.0, 1.0], [1.0, 0.5]]},
    }[family]
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    mixture = jaxgmm.mixture(family, weights=[0.5, 0.5], **params)
    expected = oracles.joint(family, [0.5, 0.5], params, x)
    assert np.isneginf(expected).any()
    np.testing.assert_allclose(jaxgmm.joint_log_prob(mixture, x), expected, rtol=1e-12)
    new = jaxgmm.m_step(mixture, jaxgmm.e_step(mixture, x))
    assert not any(np.isnan(np.asarray(leaf)).any() for leaf in jax.tree.leaves(new))


WIDE = """
import sys, numpy as np, jaxgmm
d, family = int(sys.argv[1]), sys.argv[2]
x = np.random.default_rng(d).normal(size=(600, d)) + np.repeat([[0.0], [3.0]], 300, axis=0)
assert np.isfinite(jaxgmm.fit(0, x, 2, family=family, n_init=2, max_iter=3, tol=0).log_likelihood)
"""


@pytest.mark.short(d=[260])
@pytest.mark.parametrize(("d", "family"), [(100, "full"), (260, "full"), (160, "tied"), (260, "tied")])
def test_wide_data_do_not_hang_with_one_blas_thread(d, family):
    """jax 0.10.2 on CPU can deadlock in two batched triangular solves of one program: not in every run."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", WIDE, str(d), family], env=environment, check=True, timeout=90)


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("wide", [2, 7])
@pytest.mark.parametrize("lanes", [(None, None), (0, None), (None, 0), (0, 0)])
def test_sums_over_rows_in_any_lanes(lanes, wide, dtype):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3,) * (lanes[0] == 0) + (wide, 40)).astype(dtype)
    b = rng.normal(size=(3,) * (lanes[1] == 0) + (4, 40)).astype(dtype)
    wanted = np.einsum("...mn,...kn->...mk", a.astype(F64), b.astype(F64))
    call = over_rows if lanes == (None, None) else jax.vmap(over_rows, lanes)

    with jax.enable_x64(dtype == F64):
        np.testing.assert_allclose(
            jax.jit(call)(a, b), wanted, rtol=20 * np.finfo(dtype).eps, atol=40 * np.finfo(dtype).eps
        )
        jax.test_util.check_grads(call, (a, b), order=1, atol=1e-2, rtol=1e-2)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is asked of XLA here is for CPUs")
@pytest.mark.parametrize(("lanes", "product"), [(1, r"f32\[7,2\]\S* dot\("), (5, r"f32\[10,7\]\S* dot\(")])
def test_sums_over_rows_repack_the_narrower_operand(lanes, product):
    a, b = np.ones((lanes, 2, 40), F32), np.ones((7, 40), F32)
    compiled = jax.jit(jax.vmap(over_rows, (0, None))).lower(a, b).compile().as_text()
    assert re.search(product, compiled)
    assert not re.search(r"\[[\d,]*40[\d,]*\]\S* (copy|transpose)\(", compiled)  # of the rows


@DTYPES
@pytest.mark.parametrize("d", [129, 300])
def test_factors_of_many_features_are_as_exact_as_lapack(d, dtype):
    """NumPy's come a tile at a time, with the residual of one whole factorisation."""
    rng = np.random.default_rng(d)
    axes = np.linalg.qr(rng.normal(size=(2, d, d)))[0]
    covariances = np.einsum("kij,j,klj->kil", axes, np.geomspace(1, 1e-3 if dtype == np.float32 else 1e-9, d), axes)
    scale = np.sqrt(np.einsum("kii->ki", covariances))
    matrices = (covariances / (scale[:, :, None] * scale[:, None])).astype(dtype)
    lower = numerics.cholesky(matrices)
    inverse = numerics.triangular_inverse(lower)
    exact = np.finfo(dtype).eps
    assert lower.dtype == inverse.dtype == dtype and not np.triu(lower, 1).any()
    whole, back = lower.astype(float), inverse.astype(float)
    assert np.abs(whole @ whole.swapaxes(1, 2) - matrices).max() < 16 * exact
    assert np.abs(back @ whole - np.eye(d)).max() < 16 * exact * (np.abs(back) @ np.abs(whole)).max()
    broken = np.stack([matrices[0], -matrices[1]])
    np.testing.assert_array_equal(np.isnan(numerics.cholesky(broken)).any((1, 2)), [False, True])
