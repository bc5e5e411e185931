"""Mixtures in NumPyro, SciPy, OTT and gmr, against what these compute, and back to the same mixture."""

import pickle
import sys

import jax
import numpy as np
import oracles
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from families import BY_NAME, CASES, FAMILIES, GAUSSIANS, WEIGHTS, K, precision

import jaxgmm

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(autouse=True)
def others_promote_ranks():
    with jax.numpy_rank_promotion("allow"):
        yield


def density(case, x):
    return scipy.special.logsumexp(oracles.joint(case.name, WEIGHTS, case.params, x), axis=1)


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "categorical"], ids=str)
def test_numpyros_mixture_has_the_density(case):
    pytest.importorskip("numpyro")
    x = case.data(n=20)
    with precision(np.float64):
        found = jaxgmm.to_numpyro(case.mixture())
        assert found.event_shape == (case.d,) and found.batch_shape == ()
        np.testing.assert_allclose(found.log_prob(jax.numpy.asarray(x)), density(case, x), **EXACT)
        assert found.sample(jax.random.key(0), (5,)).shape == (5, case.d)


def test_a_batch_becomes_numpyros_batch():
    pytest.importorskip("numpyro")
    case = BY_NAME["full"]
    x = case.data(n=2)
    with precision(np.float64):
        found = jaxgmm.to_numpyro(jaxgmm.conditional(case.mixture(), [0], x[:, :1]))
        assert found.batch_shape == (2,) and found.event_shape == (2,)
        slope = jax.grad(lambda mixture: jaxgmm.to_numpyro(mixture).log_prob(x[0]))(case.mixture())
    assert np.isfinite(slope.components.means).all()


def test_a_family_that_numpyro_cannot_mix_is_refused():
    pytest.importorskip("numpyro")
    with pytest.raises(ValueError, match="'categorical'"):
        jaxgmm.to_numpyro(BY_NAME["categorical"].mixture())


@FAMILIES
def test_scipys_distribution_agrees_with_itself(case):
    found = jaxgmm.to_scipy(case.mixture(), feature=1)
    x = np.unique(case.data(n=30)[:, 1])
    one = jaxgmm.marginal(case.mixture(), 1)
    height = found.pmf if hasattr(found, "pmf") else found.pdf
    np.testing.assert_allclose(height(x), np.exp(jaxgmm.log_prob(one, x[:, None])), **EXACT)
    np.testing.assert_allclose(found.cdf(x), jaxgmm.cdf(one, x), **EXACT)
    np.testing.assert_allclose(found.sf(x), 1 - np.asarray(jaxgmm.cdf(one, x)), **EXACT)
    np.testing.assert_array_equal(found.ppf([0.1, 0.7]), jaxgmm.quantile(one, [0.1, 0.7]))
    assert np.isnan(found.ppf(1.5)) and found.cdf(-np.inf) == 0 and found.cdf(np.inf) == 1
    moments = jaxgmm.moments(one)
    wanted = [moments.mean[0], moments.covariance[0, 0], moments.skewness[0], moments.kurtosis[0]]
    np.testing.assert_allclose(found.stats(moments="mvsk"), wanted, **EXACT)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.cdf(x), found.cdf(x))


@pytest.mark.parametrize("name", ["diag", "gamma", "poisson"])
def test_scipys_draws_are_of_the_distribution(name):
    found = jaxgmm.to_scipy(BY_NAME[name].mixture(), feature=0)
    for state in (np.random.default_rng(0), np.random.RandomState(0), 5):
        draws = found.rvs(size=(100, 20), random_state=state)
        assert draws.shape == (100, 20)
        if name == "poisson":
            assert abs(draws.mean() - found.mean()) < 5 * found.std() / np.sqrt(2000)
        else:
            assert scipy.stats.kstest(draws.ravel(), found.cdf).pvalue > 1e-4
    assert np.ndim(found.rvs()) == 0


def test_scipys_expectations_are_sums_and_integrals():
    counts = jaxgmm.to_scipy(BY_NAME["poisson"].mixture(), feature=0)
    assert counts.expect(lambda x: x) == pytest.approx(counts.mean(), rel=1e-8)
    times = jaxgmm.to_scipy(BY_NAME["gamma"].mixture(), feature=1)
    assert times.expect() == pytest.approx(times.mean(), rel=1e-6) and times.support() == (0, np.inf)


def test_scipy_takes_one_feature_and_numbers():
    with pytest.raises(ValueError, match="3 features"):
        jaxgmm.to_scipy(BY_NAME["full"].mixture())
    with pytest.raises(ValueError, match="trace"):
        jax.jit(lambda mixture: jaxgmm.to_scipy(mixture, feature=0).cdf(0.0))(BY_NAME["full"].mixture())


@GAUSSIANS
def test_to_ott_and_back_is_the_same_density(case):
    pytest.importorskip("ott")
    x = case.data(n=20)
    with precision(np.float64):
        there = jaxgmm.to_ott(case.mixture())
        np.testing.assert_allclose(there.log_prob(jax.numpy.asarray(x)), density(case, x), **EXACT)
    back = jaxgmm.from_ott(there)
    assert back.family.name == "full" and back.log_weights.dtype == np.float64
    np.testing.assert_allclose(jaxgmm.log_prob(back, x), density(case, x), **EXACT)


@GAUSSIANS
def test_the_wasserstein_distance_is_otts(case):
    """OTT regularises its transport; of equal numbers of equal weights its costs alone say the distance."""
    pytest.importorskip("ott")
    from ott.geometry import costs

    even = np.full(K, 1 / 3)
    p, q = case.mixture(weights=even), BY_NAME["full"].mixture(weights=even)
    bures = costs.Bures(dimension=3)
    with precision(np.float64):
        packed = []
        for mixture in (jaxgmm.to_ott(p), jaxgmm.to_ott(q)):
            components = zip(mixture.loc, mixture.covariance, strict=True)
            packed.append([costs.mean_and_cov_to_x(mean, cov, 3) for mean, cov in components])
        table = np.array([[bures(a, b) for b in packed[1]] for a in packed[0]])
    rows, columns = scipy.optimize.linear_sum_assignment(table)
    best = np.sqrt(max(table[rows, columns].mean(), 0))
    np.testing.assert_allclose(jaxgmm.divergence(p, q, "wasserstein"), best, rtol=1e-4, atol=1e-3)


@GAUSSIANS
def test_to_gmr_and_back_is_the_same_density(case):
    pytest.importorskip("gmr")
    x = case.data(n=20)
    there = jaxgmm.to_gmr(case.mixture())
    np.testing.assert_allclose(np.log(there.to_probability_density(x)), density(case, x), **EXACT)
    np.testing.assert_allclose(jaxgmm.log_prob(jaxgmm.from_gmr(there), x), density(case, x), **EXACT)


@GAUSSIANS
def test_conditions_and_regression_are_gmrs(case):
    pytest.importorskip("gmr")
    x, there = case.data(n=6), jaxgmm.to_gmr(case.mixture())
    found = jaxgmm.conditional(case.mixture(), [2, 0], x[:, [2, 0]])
    for i, row in enumerate(x):
        theirs = there.condition(np.array([2, 0]), row[[2, 0]])
        np.testing.assert_allclose(np.exp(found.log_weights)[i], theirs.priors, **EXACT)
        ours = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], found)
        back = jaxgmm.to_gmr(ours)
        np.testing.assert_allclose(back.means, theirs.means, **EXACT)
        np.testing.assert_allclose(back.covariances, theirs.covariances, **EXACT)
    means = there.predict(np.array([2, 0]), x[:, [2, 0]])
    np.testing.assert_allclose(jaxgmm.regress(case.mixture(), [2, 0], x[:, [2, 0]]), means, **EXACT)


NAMES = ("to_numpyro", "numpyro"), ("to_ott", "ott"), ("to_gmr", "gmr")


@pytest.mark.parametrize(("name", "package"), NAMES)
def test_a_package_that_is_not_there_is_asked_for(name, package, monkeypatch):
    for loaded in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, package, None)
    on_the_index = {"ott": "ott-jax"}.get(package, package)
    with pytest.raises(ImportError, match=f"{package} is not installed: pip install {on_the_index} "):
        getattr(jaxgmm, name)(BY_NAME["full"].mixture())


@pytest.mark.parametrize("name", ["from_ott", "from_gmr"])
def test_another_object_is_refused(name):
    with pytest.raises(ValueError, match="gmm must be"):
        getattr(jaxgmm, name)(np.ones(3))


@pytest.mark.parametrize("case", [case for case in CASES if not case.gaussian], ids=str)
@pytest.mark.parametrize(("name", "package"), NAMES[1:])
def test_families_that_they_do_not_have_are_refused(case, name, package):
    pytest.importorskip(package)
    with pytest.raises(ValueError, match=case.mixture().family.name):
        getattr(jaxgmm, name)(case.mixture())
