"""Mixtures made of mixtures, against densities and characteristic functions written out in plain NumPy."""

import dataclasses

import jax
import numpy as np
import oracles
import pytest
import scipy.optimize
import scipy.special
from families import BY_NAME, CASES, FAMILIES, GAUSSIANS, MEANS, SPREAD, WEIGHTS, K

import jaxgmm

EXACT = {"rtol": 1e-11, "atol": 1e-11}
A = np.array([[2.0, 0.3, -0.5], [0.1, -1.0, 0.4], [0.6, 0.2, 1.5]])
B = np.array([1.0, -2.0, 0.5])
OTHER_WEIGHTS = np.array([0.4, 0.1, 0.5])


def rows(case, n=12):
    return case.data(n=n, seed=3)


def density(case, x, weights=WEIGHTS):
    """Log density of rows by the oracle."""
    return scipy.special.logsumexp(oracles.joint(case.name, weights, case.params, x), axis=1)


def of_features(case, features):
    """A function of rows (n, m): log density of these features under every component, by the oracle."""
    features = list(features)
    if case.gaussian:
        matrices = oracles.matrices(case.name, case.params, K, case.d)
        parts = [(case.params["means"][j][features], matrices[j][np.ix_(features, features)]) for j in range(K)]
        return lambda x: np.stack([oracles.log_normal(x, *part) for part in parts], axis=1)
    params = {name: value[:, features] for name, value in case.params.items()}
    return lambda x: oracles.log_density(case.name, params, x)


def gaussian_parts(mixture):
    """Weights, means and matrices of any Gaussian mixture, in NumPy."""
    fields = {name: np.asarray(value, np.float64) for name, value in vars(mixture.components).items()}
    k, d = fields["means"].shape
    return np.asarray(mixture.weights), fields["means"], oracles.matrices(mixture.family.name, fields, k, d)


def characteristic(mixture, t):
    """E exp(i tᵀx) = Σ w exp(i tᵀμ - ½ tᵀΣt) for rows of t."""
    parts = zip(*gaussian_parts(mixture), strict=True)
    return sum(w * np.exp(1j * t @ mean - 0.5 * np.einsum("ni,ij,nj->n", t, cov, t)) for w, mean, cov in parts)


def entry(mixtures, *index):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], mixtures)


def log_prob(mixture, x):
    return np.asarray(jaxgmm.log_prob(mixture, x))


# -- some features, and others given them -----------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("features", [[2, 0], 1], ids=["two", "one"])
def test_a_marginal_is_the_density_of_its_features(case, features):
    x, kept = rows(case), np.atleast_1d(features)
    found = jaxgmm.marginal(case.mixture(), features)
    wanted = scipy.special.logsumexp(np.log(WEIGHTS) + of_features(case, kept)(x[:, kept]), axis=1)
    np.testing.assert_allclose(log_prob(found, x[:, kept]), wanted, **EXACT)
    assert found.family == case.mixture().family


def test_a_marginal_of_codes_keeps_the_codes_of_its_features():
    family = jaxgmm.categorical(codes=[[2, 5], [0, 1, 7], [3, 4]])
    probs = [[[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.1, 0.9, 0]], [[0.3, 0.7, 0], [0.6, 0.1, 0.3], [0.8, 0.2, 0]]]
    mixture = jaxgmm.mixture(family, weights=[0.4, 0.6], probs=probs)
    found = jaxgmm.marginal(mixture, [2, 0])
    assert found.family == jaxgmm.categorical(codes=[[3, 4], [2, 5]])
    np.testing.assert_allclose(np.exp(log_prob(found, [[4.0, 2.0]])), 0.4 * 0.9 * 0.5 + 0.6 * 0.2 * 0.3, **EXACT)


@FAMILIES
@pytest.mark.parametrize("given", [[2, 0], 1], ids=["two", "one"])
def test_conditional_times_marginal_is_joint(case, given):
    x, mixture, known = rows(case), case.mixture(), np.atleast_1d(given)
    left = [j for j in range(case.d) if j not in known]
    found = jaxgmm.conditional(mixture, given, x[:, known])
    assert found.family == mixture.family and found.log_weights.shape == (len(x), K)
    whole = [log_prob(entry(found, i), x[i : i + 1, left])[0] for i in range(len(x))]
    np.testing.assert_allclose(
        whole + log_prob(jaxgmm.marginal(mixture, given), x[:, known]), density(case, x), **EXACT
    )


def test_values_may_have_any_leading_axes():
    case = BY_NAME["full"]
    x, mixture = rows(case).reshape(3, 2, 2, 3), case.mixture()
    found, flat = (jaxgmm.conditional(mixture, [1], v[..., 1:2]) for v in (x, x.reshape(-1, 3)))
    for many, one in zip(jax.tree.leaves(found), jax.tree.leaves(flat), strict=True):
        np.testing.assert_array_equal(np.asarray(many).reshape(one.shape), one)
    single = jaxgmm.conditional(mixture, 1, 0.5)
    assert single.log_weights.shape == (K,) and single.components.covariances.shape == (K, 2, 2)
    means = jaxgmm.regress(mixture, [1], x[..., 1:2])
    np.testing.assert_array_equal(
        np.asarray(means).reshape(12, 2), jaxgmm.regress(mixture, [1], x.reshape(-1, 3)[:, 1:2])
    )


@FAMILIES
def test_a_batch_of_mixtures_is_conditioned_row_by_row(case):
    x, mixture = rows(case, 4), case.mixture()
    found = jaxgmm.conditional(mixture, [0], x[:, :1])  # four mixtures
    twice = jaxgmm.conditional(found, [0], x[:, 1:2])
    both = jaxgmm.conditional(mixture, [0, 1], x[:, :2])
    for one, other in zip(jax.tree.leaves(twice), jax.tree.leaves(both), strict=True):
        np.testing.assert_allclose(one, other, **EXACT)


def test_values_that_no_component_allows_leave_the_weights():
    mixture = jaxgmm.mixture("bernoulli", weights=[0.3, 0.7], probs=[[0.0, 0.2], [0.0, 0.6]])
    found = jaxgmm.conditional(mixture, [0], [[1.0], [0.0]])
    np.testing.assert_allclose(np.exp(found.log_weights), [[0.3, 0.7], [0.3, 0.7]], **EXACT)


def test_a_nearly_singular_covariance_stays_positive_when_conditioned():
    """Differences of covariances would leave no digit of 1e-14."""
    factor = np.array([[1.0, 0.0], [1.0, 1e-7]])
    mixture = jaxgmm.mixture("full", weights=[1.0], means=np.zeros((1, 2)), covariances=(factor @ factor.T)[None])
    found = jaxgmm.conditional(mixture, 0, 0.3).components
    np.testing.assert_allclose(found.covariances[0, 0, 0], 1e-14, rtol=1e-2)
    np.testing.assert_allclose(found.means[0], [0.3], rtol=1e-12)


# -- regression -------------------------------------------------------------------------------------------------------


def regression(case, known, v):
    """Mean and covariance of the other features of one row, in loops."""
    left = [j for j in range(case.d) if j not in known]
    logits = np.log(WEIGHTS) + of_features(case, known)(v[None])[0]
    weights = np.exp(logits - scipy.special.logsumexp(logits))
    means, covariances = [], []
    for j in range(K):
        if case.gaussian:
            mean, cov = case.params["means"][j], oracles.matrices(case.name, case.params, K, case.d)[j]
            gain = cov[np.ix_(left, known)] @ np.linalg.inv(cov[np.ix_(known, known)])
            means.append(mean[left] + gain @ (v - mean[known]))
            covariances.append(cov[np.ix_(left, left)] - gain @ cov[np.ix_(known, left)])
        else:
            mean, variance = first_two({name: value[j] for name, value in case.params.items()}, case.name)
            means.append(mean[left])
            covariances.append(np.diag(variance[left]))
    mean = weights @ np.array(means)
    spread = sum(w * (c + np.outer(m - mean, m - mean)) for w, m, c in zip(weights, means, covariances, strict=True))
    return mean, spread


def first_two(p, name):
    """Mean and variance of every feature of a component."""
    if name == "categorical":
        codes = np.arange(3)
        mean = p["probs"] @ codes
        return mean, p["probs"] @ codes**2 - mean**2
    return {
        "bernoulli": lambda: (p["probs"], p["probs"] * (1 - p["probs"])),
        "poisson": lambda: (p["rates"], p["rates"]),
        "exponential": lambda: (1 / p["rates"], 1 / p["rates"] ** 2),
        "gamma": lambda: (p["concentrations"] / p["rates"], p["concentrations"] / p["rates"] ** 2),
    }[name]()


@FAMILIES
def test_regression_is_the_mean_of_the_conditional_distribution(case):
    x, known = rows(case), [2, 0]
    means, covariances = jaxgmm.regress(case.mixture(), known, x[:, known], covariances=True)
    for i, row in enumerate(x):
        mean, covariance = regression(case, known, row[known])
        np.testing.assert_allclose(means[i], mean, **EXACT)
        np.testing.assert_allclose(covariances[i], covariance, **EXACT)
    np.testing.assert_array_equal(jaxgmm.regress(case.mixture(), known, x[:, known]), means)


@FAMILIES
def test_drawn_regression_has_the_moments_of_the_conditional_distribution(case):
    n, known = 20_000, [1]
    v = rows(case)[:1, known]
    draws = np.asarray(jaxgmm.regress(case.mixture(), known, np.repeat(v, n, 0), kind="sample", key=5))
    mean, covariance = regression(case, known, v[0])
    error = np.sqrt(np.diag(covariance) / n)
    assert np.all(np.abs(draws.mean(0) - mean) < 5 * error)
    np.testing.assert_allclose(draws.var(0), np.diag(covariance), rtol=0.08)


@GAUSSIANS
def test_the_mode_is_the_top_of_the_conditional_density(case):
    broad = dataclasses.replace(case, params={**case.params, "means": 0.6 * case.params["means"]})  # heaps that merge
    known, v = [1], rows(case, 2)[:, 1:2]
    found = np.asarray(jaxgmm.regress(broad.mixture(), known, v, kind="mode"))
    for i in range(len(v)):

        def height(y, i=i):
            return -density(broad, np.array([[y[0], v[i, 0], y[1]]]))[0]

        starts = [np.array(mean)[[0, 2]] for mean in broad.params["means"]]
        options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000}
        ends = [scipy.optimize.minimize(height, y, method="Nelder-Mead", options=options) for y in starts]
        best = min(ends, key=lambda end: end.fun)
        np.testing.assert_allclose(found[i], best.x, rtol=1e-6, atol=1e-6)


# -- maps, sums, products ---------------------------------------------------------------------------------------------


@GAUSSIANS
def test_a_linear_map_changes_variables(case):
    x, mixture = rows(case), case.mixture()
    moved = jaxgmm.transform(mixture, A, B)
    assert moved.family.name == ("tied" if case.name in ("tied", "EII") else "full")
    log_det = np.linalg.slogdet(A)[1]
    np.testing.assert_allclose(log_prob(moved, x @ A.T + B), density(case, x) - log_det, **EXACT)
    fewer = jaxgmm.transform(mixture, A[:2], B[:2])
    y = x @ A[:2].T + B[:2]
    np.testing.assert_allclose(log_prob(fewer, y), log_prob(jaxgmm.marginal(moved, [0, 1]), y), **EXACT)
    inverse = np.linalg.inv(A)
    back = jaxgmm.transform(moved, inverse, -inverse @ B)
    np.testing.assert_allclose(log_prob(back, x), density(case, x), rtol=1e-10, atol=1e-10)


FOUND_IN = {  # the structure of sums and products: the narrowest that holds them
    ("full", "EII"): "full", ("tied", "EII"): "tied", ("tied", "diag"): "full", ("diag", "EII"): "diag",
    ("spherical", "EII"): "spherical", ("EII", "EII"): "EII", ("VEI", "VEI"): "diag", ("tied", "tied"): "tied",
    ("spherical", "diag"): "diag", ("full", "full"): "full",
}  # fmt: skip
PAIRS = pytest.mark.parametrize("names", FOUND_IN, ids="-".join)


@PAIRS
def test_a_sum_has_the_product_of_the_characteristic_functions(names):
    p, q = (BY_NAME[name].mixture(weights=w) for name, w in zip(names, (WEIGHTS, OTHER_WEIGHTS), strict=True))
    t = np.random.default_rng(0).normal(size=(10, 3))
    found = jaxgmm.convolve(p, q)
    assert found.family.name == FOUND_IN[names] and found.n_components == K * K
    np.testing.assert_allclose(characteristic(found, t), characteristic(p, t) * characteristic(q, t), **EXACT)
    np.testing.assert_allclose(found.weights, np.outer(WEIGHTS, OTHER_WEIGHTS).ravel(), **EXACT)


@PAIRS
def test_a_product_is_the_product_of_the_densities(names):
    cases = [BY_NAME[name] for name in names]
    p, q = (case.mixture(weights=w) for case, w in zip(cases, (WEIGHTS, OTHER_WEIGHTS), strict=True))
    found, log_normalizer = jaxgmm.multiply(p, q)
    assert found.family.name == FOUND_IN[names] and found.n_components == K * K
    x = np.concatenate([rows(case) for case in cases])
    wanted = density(cases[0], x) + density(cases[1], x, OTHER_WEIGHTS)
    np.testing.assert_allclose(log_prob(found, x) + log_normalizer, wanted, **EXACT)
    np.testing.assert_allclose(np.asarray(found.weights).sum(), 1, **EXACT)


def test_a_product_has_the_normalizer_of_quadrature():
    p = jaxgmm.mixture("diag", weights=[0.3, 0.7], means=[[0.0], [3.0]], covariances=[[1.0], [0.2]])
    q = jaxgmm.mixture("full", weights=[0.5, 0.5], means=[[1.0], [2.0]], covariances=[[[0.5]], [[2.0]]])
    grid = np.linspace(-12, 15, 40_001)
    total = np.trapezoid(np.exp(log_prob(p, grid[:, None]) + log_prob(q, grid[:, None])), grid)
    np.testing.assert_allclose(np.exp(jaxgmm.multiply(p, q)[1]), total, rtol=1e-10)


@pytest.mark.parametrize("name", ["full", "tied", "diag", "EII"])
def test_sums_and_maps_commute(name):
    p, q = BY_NAME[name].mixture(), BY_NAME[name].mixture(weights=OTHER_WEIGHTS)
    first, second = (jaxgmm.transform(each, A, b) for each, b in ((p, B), (q, 0.0)))
    one, other = jaxgmm.transform(jaxgmm.convolve(p, q), A, B), jaxgmm.convolve(first, second)
    assert one.family == other.family
    for mine, wanted in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(mine, wanted, **EXACT)


# -- many as one, and few of many -------------------------------------------------------------------------------------


@FAMILIES
def test_mixtures_of_one_family_are_a_mixture(case):
    x = rows(case)
    parts = [case.mixture(), case.mixture(weights=OTHER_WEIGHTS)]
    found = jaxgmm.concatenate(parts, [0.25, 0.75])
    wanted = np.logaddexp(np.log(0.25) + density(case, x), np.log(0.75) + density(case, x, OTHER_WEIGHTS))
    np.testing.assert_allclose(log_prob(found, x), wanted, **EXACT)
    grown = {"tied": "full", "EII": "spherical", "VEI": "diag"}
    assert found.family.name == grown.get(case.name, case.name) and found.n_components == 2 * K


def test_gaussian_mixtures_of_several_families_are_a_mixture():
    cases = [one for one in CASES if one.gaussian]
    share = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.1])
    found = jaxgmm.concatenate([case.mixture() for case in cases], share)
    x = rows(cases[0])
    wanted = scipy.special.logsumexp([np.log(s) + density(c, x) for s, c in zip(share, cases, strict=True)], axis=0)
    np.testing.assert_allclose(log_prob(found, x), wanted, **EXACT)
    assert found.family.name == "full"


def runnalls(weights, means, matrices, n):
    """Greedy merging in loops."""
    parts = list(zip(weights, means, matrices, strict=True))
    while len(parts) > n:
        costs = {}
        for i in range(len(parts)):
            for j in range(i + 1, len(parts)):
                merged = merge(parts[i], parts[j])
                logs = [w * np.linalg.slogdet(cov)[1] for w, _, cov in (merged, parts[i], parts[j])]
                costs[i, j] = (logs[0] - logs[1] - logs[2]) / 2
        i, j = min(costs, key=costs.get)
        parts[i] = merge(parts[i], parts[j])
        del parts[j]
    return [np.array(each) for each in zip(*parts, strict=True)]


def merge(one, other):
    (w, mean, cov), (v, middle, spread) = one, other
    total = w + v
    centre = (w * mean + v * middle) / total
    around = [s * (c + np.outer(m - centre, m - centre)) for s, m, c in ((w, mean, cov), (v, middle, spread))]
    return total, centre, sum(around) / total


@GAUSSIANS
@pytest.mark.parametrize("n", [1, 2, 4])
def test_reduction_merges_the_pairs_of_least_cost(case, n):
    many = jaxgmm.concatenate(
        [case.mixture(), jaxgmm.transform(case.mixture(weights=OTHER_WEIGHTS), A / 2)], [0.6, 0.4]
    )
    found = jaxgmm.reduce(many, n)
    weights, means, covariances = runnalls(*gaussian_parts(many), n)
    np.testing.assert_allclose(found.weights, weights, **EXACT)
    np.testing.assert_allclose(found.components.means, means, **EXACT)
    np.testing.assert_allclose(found.components.covariances, covariances, **EXACT)
    assert found.family.name == "full"


def test_reduction_to_as_many_changes_nothing():
    mixture = BY_NAME["diag"].mixture()
    assert jaxgmm.reduce(mixture, K) is mixture


def test_components_of_weight_zero_are_merged_first():
    weights = np.array([0.5, 0.0, 0.5])
    mixture = jaxgmm.mixture("full", weights=weights, means=MEANS, covariances=SPREAD)
    found = jaxgmm.reduce(mixture, 2)
    np.testing.assert_allclose(found.weights, [0.5, 0.5], **EXACT)
    np.testing.assert_allclose(found.components.means, MEANS[[0, 2]], **EXACT)
    np.testing.assert_allclose(found.components.covariances, SPREAD[[0, 2]], rtol=1e-6)
