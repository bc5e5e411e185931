"""Numbers of mixtures, against SciPy's distributions, quadrature and enumeration."""

import dataclasses
import itertools

import numpy as np
import oracles
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
from families import BY_NAME, CASES, FAMILIES, GAUSSIANS, WEIGHTS, K

import jaxgmm

EXACT = {"rtol": 1e-11, "atol": 1e-11}
DRAWN = {"key": 0, "n": 20_000}
CONTINUOUS = [case for case in CASES if case.gaussian or case.name in ("exponential", "gamma")]
INTEGERS = [case for case in CASES if case not in CONTINUOUS]


def features_of(case):
    """SciPy's distribution of every feature of every component, (k, d) lists; categorical ones are tables."""

    def one(j, i):
        p = {name: value if (case.name, name) in SHARED else value[j] for name, value in case.params.items()}
        if case.gaussian:
            cov = oracles.matrices(case.name, case.params, K, case.d)[j]
            return scipy.stats.norm(p["means"][i], np.sqrt(cov[i, i]))
        return {
            "bernoulli": lambda: scipy.stats.bernoulli(p["probs"][i]),
            "categorical": lambda: scipy.stats.rv_discrete(values=(np.arange(3), p["probs"][i])),
            "poisson": lambda: scipy.stats.poisson(p["rates"][i]),
            "exponential": lambda: scipy.stats.expon(scale=1 / p["rates"][i]),
            "gamma": lambda: scipy.stats.gamma(p["concentrations"][i], scale=1 / p["rates"][i]),
        }[case.name]()

    return [[one(j, i) for i in range(case.d)] for j in range(K)]


SHARED = {("tied", "covariances"), ("EII", "covariances"), ("VEI", "shape")}


def of_one(*parts, family="full"):
    """A mixture of one feature from (weight, mean, sd)."""
    weights, means, sds = np.array(parts, float).T
    variances = sds**2
    covariances = variances[:, None, None] if family == "full" else variances[:, None]
    return jaxgmm.mixture(family, weights=weights, means=means[:, None], covariances=covariances)


ONE = of_one((0.3, -2.0, 0.6), (0.5, 1.0, 1.0), (0.2, 2.5, 0.3))
TWO = of_one((0.6, -1.0, 1.2), (0.4, 2.0, 0.8), family="diag")
GRID = np.linspace(-14, 14, 40_001)


def log_on_grid(mixture):
    weights, means = np.asarray(mixture.weights), np.asarray(mixture.components.means)[:, 0]
    sds = np.sqrt(np.asarray(mixture.components.covariances).reshape(-1))
    return scipy.special.logsumexp(
        np.log(weights)[:, None] + scipy.stats.norm.logpdf(GRID, means[:, None], sds[:, None]), axis=0
    )


LOG_ONE, LOG_TWO = log_on_grid(ONE), log_on_grid(TWO)


def integral(values):
    return np.trapezoid(values, GRID)


# -- moments, probabilities, quantiles --------------------------------------------------------------------------------


@FAMILIES
def test_moments_are_those_of_scipys_components(case):
    parts = features_of(case)
    raw = np.array([[[part.moment(r) for part in row] for row in parts] for r in (1, 2, 3, 4)])  # (4, k, d)
    m1, m2, m3, m4 = np.einsum("k,rkd->rd", WEIGHTS, raw)
    variance = m2 - m1**2
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    found = jaxgmm.moments(case.mixture())
    loose = {"rtol": 1e-9, "atol": 1e-9}  # raw moments cancel
    np.testing.assert_allclose(found.mean, m1, **EXACT)
    np.testing.assert_allclose(np.diag(found.covariance), variance, **loose)
    np.testing.assert_allclose(found.skewness, third / variance**1.5, **loose)
    np.testing.assert_allclose(found.kurtosis, fourth / variance**2 - 3, **loose)
    means = raw[0]
    within = [np.diag(raw[1, j] - means[j] ** 2) for j in range(K)]
    within = oracles.matrices(case.name, case.params, K, case.d) if case.gaussian else within
    covariance = sum(w * (c + np.outer(m, m)) for w, m, c in zip(WEIGHTS, means, within, strict=True)) - np.outer(
        m1, m1
    )
    np.testing.assert_allclose(found.covariance, covariance, **loose)


@GAUSSIANS
def test_moments_follow_a_linear_map(case):
    a, b = np.array([[2.0, 0.3, -0.5], [0.1, -1.0, 0.4]]), np.array([1.0, -2.0])
    before, after = jaxgmm.moments(case.mixture()), jaxgmm.moments(jaxgmm.transform(case.mixture(), a, b))
    np.testing.assert_allclose(after.mean, a @ np.asarray(before.mean) + b, **EXACT)
    np.testing.assert_allclose(after.covariance, a @ np.asarray(before.covariance) @ a.T, **EXACT)
    x = np.asarray(jaxgmm.sample(2, case.mixture(), 100_000)[0]) @ a.T + b
    np.testing.assert_allclose(after.skewness, scipy.stats.skew(x), atol=0.04)
    np.testing.assert_allclose(after.kurtosis, scipy.stats.kurtosis(x), atol=0.06)


@GAUSSIANS
@pytest.mark.parametrize("n", [1, 2])
def test_reduction_keeps_mean_and_covariance(case, n):
    before, after = jaxgmm.moments(case.mixture()), jaxgmm.moments(jaxgmm.reduce(case.mixture(), n))
    np.testing.assert_allclose(after.mean, before.mean, **EXACT)
    np.testing.assert_allclose(after.covariance, before.covariance, **EXACT)


@FAMILIES
def test_the_cdf_is_scipys(case):
    parts, x = features_of(case), np.unique(np.concatenate([case.data(n=12)[:, 1], [-1.0, 0.0, 0.4, 1.0, 50.0]]))
    wanted = WEIGHTS @ np.array([row[1].cdf(x) for row in parts])
    found = jaxgmm.cdf(case.mixture(), np.concatenate([x, [-np.inf, np.inf]]), feature=1)
    np.testing.assert_allclose(found, [*wanted, 0.0, 1.0], rtol=1e-12, atol=1e-15)


def test_far_tails_keep_their_digits():
    x = np.array([-30.0, -12.0])
    wanted = sum(w * scipy.stats.norm.cdf(x, m, s) for w, m, s in ((0.3, -2.0, 0.6), (0.5, 1.0, 1.0), (0.2, 2.5, 0.3)))
    np.testing.assert_allclose(jaxgmm.cdf(ONE, x), wanted, rtol=1e-10)
    np.testing.assert_allclose(jaxgmm.quantile(ONE, wanted), x, rtol=1e-12)
    box = jaxgmm.probability(TWO, [20.0], [21.0])
    sf = [sum(w * scipy.stats.norm.sf(x, m, s) for w, m, s in ((0.6, -1, 1.2), (0.4, 2, 0.8))) for x in (20, 21)]
    np.testing.assert_allclose(box, sf[0] - sf[1], rtol=1e-9)


@pytest.mark.parametrize("case", CONTINUOUS, ids=str)
def test_quantiles_invert_the_cdf(case):
    x = np.sort(case.data(n=60, seed=4)[:, 1])
    p = np.asarray(jaxgmm.cdf(case.mixture(), x, feature=1))
    np.testing.assert_allclose(jaxgmm.quantile(case.mixture(), p, feature=1), x, rtol=1e-9, atol=1e-12)
    p = np.array([[1e-12, 1e-4, 0.3], [0.5, 0.999, 1 - 1e-10]])
    found = np.asarray(jaxgmm.quantile(case.mixture(), p, feature=2))
    sf = np.einsum("k,kij->ij", WEIGHTS, np.array([row[2].sf(found) for row in features_of(case)]))
    np.testing.assert_allclose(np.where(p < 0.5, 1 - sf, p), p, atol=1e-12)
    np.testing.assert_allclose(sf, 1 - p, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("case", INTEGERS, ids=str)
def test_quantiles_of_integers_are_the_least_that_reach_p(case):
    support = np.arange(60)
    heights = WEIGHTS @ np.array([row[1].cdf(support) for row in features_of(case)])
    p = np.array([1e-6, 0.05, 0.31, 0.5, 0.77, 0.999])
    found = jaxgmm.quantile(case.mixture(), p, feature=1)
    np.testing.assert_array_equal(found, [support[np.argmax(heights >= each)] for each in p])
    reached = support[: int(found[-1])]
    reached = reached[np.append(1, np.diff(heights[: len(reached)])) > 0]
    np.testing.assert_array_equal(jaxgmm.quantile(case.mixture(), heights[reached], feature=1), reached)


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in ("full", "tied")], ids=str)
def test_boxes_are_products_of_intervals(case):
    parts, d = features_of(case), case.d
    x = case.data(n=20)
    lower, upper = x[:10] - 0.3, x[:10] + np.abs(x[10:]) + 0.2
    upper[0, 0], lower[1, 1] = np.inf, -np.inf
    below = np.ceil(lower) - 1 if case in INTEGERS else lower
    wanted = sum(
        w * np.prod([row[i].cdf(upper[:, i]) - row[i].cdf(below[:, i]) for i in range(d)], axis=0)
        for w, row in zip(WEIGHTS, parts, strict=True)
    )
    np.testing.assert_allclose(jaxgmm.probability(case.mixture(), lower, upper), wanted, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(jaxgmm.probability(case.mixture(), -np.inf, np.inf), 1.0, **EXACT)


def test_a_box_of_integers_has_its_edges():
    case = BY_NAME["poisson"]
    inside = list(itertools.product([2, 3], [4, 5, 6], [1]))
    logits = oracles.joint(case.name, WEIGHTS, case.params, np.array(inside, float))
    np.testing.assert_allclose(
        jaxgmm.probability(case.mixture(), [2, 4, 1], [3, 6, 1]), np.exp(logits).sum(), rtol=1e-11
    )


# -- levels and modes -------------------------------------------------------------------------------------------------


def test_the_level_of_a_normal_density():
    """A normal's region of mass m is |x| <= Φ⁻¹((1 + m) / 2)."""
    mixture = of_one((1.0, 3.0, 2.0))
    exact = scipy.stats.norm.logpdf(scipy.stats.norm.ppf(0.9), scale=1.0) - np.log(2.0)
    found = np.array([jaxgmm.density_level(key, mixture, 0.8, n=4000) for key in range(40)])
    assert np.all(np.abs(found[:, 0] - exact) < 4.5 * found[:, 1])
    np.testing.assert_allclose(found[:, 1].mean(), found[:, 0].std(), rtol=0.35)  # 40 draws of a deviation: 11 %


def test_the_level_is_that_of_the_mass():
    level, error = jaxgmm.density_level(1, ONE, 0.6)
    held = integral(np.where(level <= LOG_ONE, np.exp(LOG_ONE), 0))
    near = integral(np.where(level + 4 * error <= LOG_ONE, np.exp(LOG_ONE), 0))
    assert near < 0.6 < 2 * held - near + 1e-12


def test_all_modes_of_one_feature_are_found():
    rng = np.random.default_rng(0)
    for _ in range(20):
        k = int(rng.integers(2, 7))
        parts = np.stack([rng.dirichlet(np.ones(k)), rng.uniform(-4, 4, k), np.exp(rng.uniform(-2, 0.7, k))], axis=1)
        mixture = of_one(*parts)
        heights = log_on_grid(mixture)
        tops = GRID[1:-1][(heights[1:-1] > heights[:-2]) & (heights[1:-1] >= heights[2:])]
        found, logs = jaxgmm.modes(mixture)
        np.testing.assert_allclose(np.sort(np.asarray(found)[:, 0]), tops, atol=2 * (GRID[1] - GRID[0]))
        np.testing.assert_allclose(
            logs,
            np.log(parts[:, 0] @ scipy.stats.norm.pdf(np.asarray(found).T, *parts[:, 1:, None].swapaxes(0, 1))),
            rtol=1e-9,
        )
        assert np.all(np.diff(logs) <= 0)


@GAUSSIANS
def test_modes_are_where_the_density_is_flat_and_curves_down(case):
    broad = dataclasses.replace(case, params={**case.params, "means": 0.5 * case.params["means"]})
    found, logs = (np.asarray(each) for each in jaxgmm.modes(broad.mixture()))

    def height(x):
        return scipy.special.logsumexp(oracles.joint(broad.name, WEIGHTS, broad.params, x[None])[0])

    ends = [scipy.optimize.minimize(lambda x: -height(x), mean, tol=1e-9) for mean in broad.params["means"]]
    for end in ends:  # of a climb from every mean
        assert np.abs(found - end.x).max(1).min() < 1e-4
    for mode, log in zip(found, logs, strict=True):
        np.testing.assert_allclose(log, height(mode), rtol=1e-12)
        around = mode + 1e-3 * np.random.default_rng(0).normal(size=(20, 3))
        assert all(height(x) < log for x in around)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(("apart", "count"), [(1.9, 1), (1.999, 1), (2.0, 1), (2.001, 2), (2.1, 2)])
def test_two_equal_heaps_merge_at_two_deviations(apart, count, d):
    """Their modes are the roots of x = a tanh(a x), a half of their distance."""
    means, a = np.zeros((2, d)), apart / 2
    means[:, 0] = -a, a
    found, _ = jaxgmm.modes(jaxgmm.mixture("diag", weights=[0.5, 0.5], means=means, covariances=np.ones((2, d))))
    assert len(found) == count
    if count == 2:
        root = scipy.optimize.brentq(lambda x: x - a * np.tanh(a * x), 1e-3, 5, xtol=1e-14)
        np.testing.assert_allclose(np.sort(np.asarray(found)[:, 0]), [-root, root], rtol=1e-7)


def test_a_mean_on_a_saddle_leads_to_both_sides():
    covariances = np.array([[1.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    mixture = jaxgmm.mixture(
        "diag", weights=[0.45, 0.45, 0.1], means=[[-2.0, 0], [2, 0], [0, 0]], covariances=covariances
    )
    found, _ = jaxgmm.modes(mixture)
    assert found.shape == (2, 2)
    np.testing.assert_allclose(np.sort(np.asarray(found)[:, 0]), [-1.87, 1.87], atol=0.1)


# -- entropy ----------------------------------------------------------------------------------------------------------

ENTROPY = -integral(np.exp(LOG_ONE) * LOG_ONE)


def test_entropy_is_that_of_quadrature():
    value, error = jaxgmm.entropy(ONE, **DRAWN)
    assert abs(value - ENTROPY) < 4 * error and error < 0.02
    assert jaxgmm.entropy(ONE, "lower") <= ENTROPY <= jaxgmm.entropy(ONE, "upper")


def test_entropy_of_a_single_normal_is_exact_from_above():
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    mixture = jaxgmm.mixture("full", weights=[1.0], means=np.zeros((1, 2)), covariances=covariance[None])
    exact = scipy.stats.multivariate_normal(np.zeros(2), covariance).entropy()
    for kind in ("lower", "upper"):
        found = jaxgmm.entropy(mixture, kind)
        assert found == pytest.approx(exact, abs=1e-12)


@GAUSSIANS
def test_bounds_of_entropy_hold(case):
    value, error = jaxgmm.entropy(case.mixture(), **DRAWN)
    assert jaxgmm.entropy(case.mixture(), "lower") < value + 4 * error
    assert value - 4 * error < jaxgmm.entropy(case.mixture(), "upper")


def test_entropy_of_integers_is_that_of_their_probabilities():
    case = BY_NAME["bernoulli"]
    every = np.array(list(itertools.product([0.0, 1.0], repeat=case.d)))
    logs = scipy.special.logsumexp(oracles.joint(case.name, WEIGHTS, case.params, every), axis=1)
    value, error = jaxgmm.entropy(case.mixture(), **DRAWN)
    assert abs(value + np.sum(np.exp(logs) * logs)) < 4 * error


# -- divergences ------------------------------------------------------------------------------------------------------

P, Q = np.exp(LOG_ONE), np.exp(LOG_TWO)
MIDDLE = np.logaddexp(LOG_ONE, LOG_TWO) - np.log(2)
KL = integral(P * (LOG_ONE - LOG_TWO))
HELLINGER = np.sqrt(1 - integral(np.sqrt(P * Q)))


def test_drawn_divergences_are_those_of_quadrature():
    value, error = jaxgmm.divergence(ONE, TWO, "kl", **DRAWN)
    assert abs(value - KL) < 4 * error and error < 0.02
    js = (integral(P * (LOG_ONE - MIDDLE)) + integral(Q * (LOG_TWO - MIDDLE))) / 2
    value, error = jaxgmm.divergence(ONE, TWO, "js", **DRAWN)
    assert abs(value - js) < 4 * error and error < 0.01


def test_overlaps_are_those_of_quadrature():
    pp, pq, qq = integral(P * P), integral(P * Q), integral(Q * Q)
    np.testing.assert_allclose(jaxgmm.divergence(ONE, TWO, "l2"), pp - 2 * pq + qq, rtol=1e-9)
    np.testing.assert_allclose(jaxgmm.divergence(ONE, TWO, "cauchy-schwarz"), -np.log(pq / np.sqrt(pp * qq)), rtol=1e-9)


def test_overlaps_in_two_dimensions_are_those_of_quadrature():
    case = BY_NAME["full"]
    p, q = jaxgmm.marginal(case.mixture(), [0, 1]), jaxgmm.marginal(BY_NAME["spherical"].mixture(), [2, 1])
    ticks = np.linspace(-9, 10, 381)
    x = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    a, b = (np.exp(np.asarray(jaxgmm.log_prob(each, x))) for each in (p, q))
    np.testing.assert_allclose(
        jaxgmm.divergence(p, q, "l2"), np.sum((a - b) ** 2) * (ticks[1] - ticks[0]) ** 2, rtol=1e-9
    )


def test_bounds_hold_the_divergence_of_quadrature():
    lower, upper = jaxgmm.divergence(ONE, TWO, "kl-bounds")
    assert 0 <= lower <= KL <= upper
    lower, upper = jaxgmm.divergence(ONE, TWO, "hellinger-bounds")
    assert 0 <= lower <= HELLINGER <= upper <= 1


def normal_kl(one, other):
    (m, a), (n, b) = one, other
    solved = np.linalg.solve(b, a)
    distance = (n - m) @ np.linalg.solve(b, n - m)
    return (np.trace(solved) + distance - len(m) - np.log(np.linalg.det(a) / np.linalg.det(b))) / 2


@GAUSSIANS
def test_closed_approximations_are_their_formulae_in_loops(case):
    other = BY_NAME["full"]
    p, q = case.mixture(), other.mixture(weights=WEIGHTS[::-1])
    own = list(zip(case.params["means"], oracles.matrices(case.name, case.params, K, 3), strict=True))
    theirs = list(zip(other.params["means"], oracles.matrices("full", other.params, K, 3), strict=True))
    variational = sum(
        w
        * np.log(
            sum(v * np.exp(-normal_kl(f, g)) for v, g in zip(WEIGHTS, own, strict=True))
            / sum(v * np.exp(-normal_kl(f, g)) for v, g in zip(WEIGHTS[::-1], theirs, strict=True))
        )
        for w, f in zip(WEIGHTS, own, strict=True)
    )
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "kl-variational"), variational, rtol=1e-10)
    unscented = 0.0
    for w, (mean, cov) in zip(WEIGHTS, own, strict=True):
        lower = np.linalg.cholesky(cov)
        points = np.array([mean + s * np.sqrt(3) * lower[:, i] for i in range(3) for s in (1, -1)])
        logs = scipy.special.logsumexp(oracles.joint(case.name, WEIGHTS, case.params, points), axis=1)
        logs -= scipy.special.logsumexp(oracles.joint("full", WEIGHTS[::-1], other.params, points), axis=1)
        unscented += w * logs.mean()
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "kl-unscented"), unscented, rtol=1e-10)


@pytest.mark.parametrize("kind", ["kl-unscented", "kl-variational"])
def test_the_divergence_of_two_normals_is_exact(kind):
    rng = np.random.default_rng(1)
    factors, means = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3))
    p, q = (
        jaxgmm.mixture("full", weights=[1.0], means=m[None], covariances=(f @ f.T)[None])
        for m, f in zip(means, factors, strict=True)
    )
    wanted = normal_kl(*((m, f @ f.T) for m, f in zip(means, factors, strict=True)))
    np.testing.assert_allclose(jaxgmm.divergence(p, q, kind), wanted, rtol=1e-8)


def test_hellinger_of_two_normals_is_exact_from_both_sides():
    p, q = of_one((1.0, 0.0, 1.0)), of_one((1.0, 1.5, 2.0))
    exact = np.sqrt(1 - np.sqrt(2 * 2 / 5) * np.exp(-(1.5**2) / (4 * 5)))
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "hellinger-bounds"), [exact, exact], rtol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [
        "kl",
        "js",
        "kl-unscented",
        "kl-variational",
        "kl-bounds",
        "l2",
        "cauchy-schwarz",
        "wasserstein",
        "hellinger-bounds",
    ],
)
@GAUSSIANS
def test_a_mixture_does_not_differ_from_itself(case, kind):
    found = np.ravel(jaxgmm.divergence(case.mixture(), case.mixture(), kind, key=0))
    if kind.endswith("bounds"):
        assert found[0] == pytest.approx(0, abs=1e-9) and found[1] >= 0
    else:
        assert found[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["l2", "cauchy-schwarz", "wasserstein", "hellinger-bounds"])
def test_symmetric_divergences_are_symmetric(kind):
    p, q = BY_NAME["full"].mixture(), BY_NAME["VEI"].mixture(weights=WEIGHTS[::-1])
    np.testing.assert_allclose(jaxgmm.divergence(p, q, kind), jaxgmm.divergence(q, p, kind), rtol=1e-6)


@GAUSSIANS
def test_bounds_hold_drawn_divergences(case):
    p, q = case.mixture(), BY_NAME["full"].mixture(weights=WEIGHTS[::-1])
    lower, upper = jaxgmm.divergence(p, q, "kl-bounds")
    value, error = jaxgmm.divergence(p, q, "kl", **DRAWN)
    assert lower < value + 4 * error and value - 4 * error < upper


def bures(one, other):
    (m, a), (n, b) = one, other
    root = scipy.linalg.sqrtm(a)
    cross = scipy.linalg.sqrtm(root @ b @ root)
    return (m - n) @ (m - n) + np.trace(a + b - 2 * np.real(cross))


@GAUSSIANS
def test_wasserstein_is_the_best_of_all_assignments(case):
    even = np.full(K, 1 / 3)
    other = BY_NAME["full"]
    p, q = case.mixture(weights=even), other.mixture(weights=even, means=other.params["means"][[2, 0, 1]] + 0.4)
    own = list(zip(case.params["means"], oracles.matrices(case.name, case.params, K, 3), strict=True))
    theirs = list(zip(other.params["means"][[2, 0, 1]] + 0.4, other.params["covariances"], strict=True))
    costs = np.array([[bures(f, g) for g in theirs] for f in own])
    best = min(sum(costs[i, j] for i, j in enumerate(order)) / K for order in itertools.permutations(range(K)))
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "wasserstein"), np.sqrt(best), rtol=1e-8)


def test_wasserstein_of_shares_is_the_best_of_a_linear_programme():
    p, q = (
        BY_NAME["full"].mixture(),
        jaxgmm.transform(BY_NAME["full"].mixture(weights=[0.1, 0.3, 0.6]), np.eye(3), [1, 0, 2]),
    )
    own = list(zip(BY_NAME["full"].params["means"], BY_NAME["full"].params["covariances"], strict=True))
    costs = np.array([[bures(f, (m + np.array([1, 0, 2]), c)) for m, c in own] for f in own])
    rng = np.random.default_rng(0)
    best = np.inf
    for _ in range(200):  # the north-west corner rule after relabelling meets every vertex of the couplings
        rows, columns = rng.permutation(3), rng.permutation(3)
        left, right, i, j, total = WEIGHTS[rows].copy(), np.array([0.1, 0.3, 0.6])[columns], 0, 0, 0.0
        while i < 3 and j < 3:
            moved = min(left[i], right[j])
            total += moved * costs[rows[i], columns[j]]
            left[i] -= moved
            right[j] -= moved
            i, j = (i + 1, j) if left[i] <= right[j] else (i, j + 1)
        best = min(best, total)
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "wasserstein"), np.sqrt(best), rtol=1e-7)


def test_the_wasserstein_distance_of_a_shift_is_its_length():
    p = BY_NAME["full"].mixture()
    q = jaxgmm.transform(p, np.eye(3), [3.0, 0.0, 4.0])
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "wasserstein"), 5, rtol=1e-9)


def test_the_wasserstein_distance_of_two_normals_is_that_of_bures():
    rng = np.random.default_rng(2)
    parts = [(rng.normal(size=3), (lambda f: f @ f.T)(rng.normal(size=(3, 3)))) for _ in range(2)]
    p, q = (jaxgmm.mixture("full", weights=[1.0], means=m[None], covariances=c[None]) for m, c in parts)
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "wasserstein"), np.sqrt(bures(*parts)), rtol=1e-8)


@pytest.mark.parametrize("case", INTEGERS, ids=str)
def test_drawn_divergences_are_of_every_family(case):
    p, q = case.mixture(), case.mixture(weights=WEIGHTS[::-1])
    value, error = jaxgmm.divergence(p, q, "kl", **DRAWN)
    x = np.asarray(jaxgmm.sample(9, p, 20_000)[0])
    logs = [
        scipy.special.logsumexp(oracles.joint(case.name, w, case.params, x), axis=1) for w in (WEIGHTS, WEIGHTS[::-1])
    ]
    other, its_error = np.mean(logs[0] - logs[1]), np.std(logs[0] - logs[1]) / np.sqrt(len(x))
    assert abs(value - other) < 4 * np.hypot(error, its_error)


def test_a_divergence_from_what_cannot_be_is_infinite():
    p = jaxgmm.mixture("bernoulli", weights=[1.0], probs=[[0.5]])
    q = jaxgmm.mixture("bernoulli", weights=[1.0], probs=[[1.0]])
    value, _ = jaxgmm.divergence(p, q, "kl", key=0)
    assert value == np.inf
    assert jaxgmm.divergence(q, p, "kl", key=0)[0] == pytest.approx(np.log(2))
    assert jaxgmm.divergence(p, q, "js", key=0)[0] < np.log(2)
