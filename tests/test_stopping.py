"""When a fit ends and what it says: tolerance, statuses, degenerate starts, restarts, traced fits, recompilation."""

import contextlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, ROUTED, WEIGHTS, K, N

import jaxgmm
from jaxgmm import Status

FULL, POISSON = BY_NAME["full"], BY_NAME["poisson"]
MAXIMUM_LIKELIHOOD = jaxgmm.GaussianPrior()
FAITHFUL = Path(__file__).parents[1] / "examples" / "data" / "faithful.csv"


def test_statuses_are_the_ones_promised():
    names = ["CONVERGED", "MAX_ITER", "DECREASED", "DEGENERATE", "NON_FINITE", "INVALID", "STOPPED"]
    assert [(status.name, int(status)) for status in Status] == list(zip(names, range(7), strict=True))


@pytest.mark.parametrize("case", [FULL, BY_NAME["diag"], POISSON, BY_NAME["bernoulli"]], ids=str)
@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_tolerance_is_the_distance_to_the_limit(case, tol):
    x = case.data()
    options = {"family": case.family, "init": case.mixture(), "prior": case.prior, "max_iter": 5000}
    result = jaxgmm.fit(0, x, K, tol=tol, accelerate="none", **options)
    trace = oracles.em(case.name, WEIGHTS, case.params, x, n_iter=500, **case.options)[2]
    expected = oracles.stopping_update(trace, len(x), tol)
    assert result.converged and result.status is Status.CONVERGED
    assert abs(result.n_iter - expected) <= 1  # one update's rounding may move the third hit
    assert -1e-9 < (trace[-1] - result.log_likelihood) / len(x) < 2 * tol


@ROUTED
@DTYPES
def test_zero_tolerance_is_exactly_max_iter_updates(case, dtype):
    x = case.data(dtype)
    result = jaxgmm.fit(0, x, K, family=case.family, init=case.mixture(dtype), prior=case.prior, tol=0, max_iter=40)
    assert result.n_iter == 40 and result.status is Status.MAX_ITER and not result.converged


@pytest.mark.parametrize("accelerate", ["auto", "none", "squarem"])
def test_zero_tolerance_is_never_accelerated(accelerate):
    x, options = POISSON.data(), {"family": "poisson", "init": POISSON.mixture(), "tol": 0, "max_iter": 3}
    plain = oracles.em("poisson", WEIGHTS, POISSON.params, x, n_iter=3)[2][-1]
    np.testing.assert_allclose(jaxgmm.fit(0, x, K, accelerate=accelerate, **options).log_likelihood, plain, rtol=1e-12)


def test_result_describes_its_own_mixture():
    result = jaxgmm.fit(0, FULL.data(), K, n_init=3)
    direct = jaxgmm.e_step(result.mixture, FULL.data()).log_likelihood
    np.testing.assert_allclose(result.log_likelihood, direct, rtol=1e-12)
    assert np.shape(result.restarts) == (3,)
    np.testing.assert_allclose(np.max(result.restarts), result.log_likelihood, rtol=1e-9)
    assert isinstance(result.n_iter, (int, np.integer)) and isinstance(result.converged, (bool, np.bool_))


def test_running_out_of_iterations_warns():
    x = FULL.data()
    with pytest.warns(jaxgmm.FitWarning, match="max_iter"):
        result = jaxgmm.fit(0, x, K, init=FULL.mixture(), tol=1e-9, max_iter=2)
    assert result.status is Status.MAX_ITER and result.n_iter == 2
    assert jaxgmm.fit(0, x, K, init=FULL.mixture(), tol=0, max_iter=2).n_iter == 2  # asked for: no word


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_zero_tolerance_does_not_end_on_falls_of_rounding_size(seed):
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.gamma(3, 1, (150, 3)), rng.gamma(30, 0.5, (150, 3))])
    result = jaxgmm.fit(seed, x, K, family="gamma", tol=0, max_iter=300)
    assert result.n_iter == 300 and result.status is Status.MAX_ITER


# Overlapping normals. EM from three updates after a start climbs, turns, and falls to the fixed point of its map.
OVERLAPPING = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0.0], [1.5]], 100, axis=0)
SIZEABLE = jaxgmm.GaussianPrior(reg_covar=0.06, reg_relative=0.02)


@pytest.mark.diagonal
@pytest.mark.parametrize("family", oracles.GAUSSIAN)
@pytest.mark.parametrize("accelerate", ["none", "squarem"])
@pytest.mark.parametrize(("prior", "tol"), [(SIZEABLE, 1e-13), (jaxgmm.GaussianPrior(reg_covar=1e-3), 1e-10)])
def test_with_a_prior_a_fit_ends_at_the_fixed_point(family, accelerate, prior, tol):
    options = {"family": family, "prior": prior}
    early = jaxgmm.fit(0, OVERLAPPING, 2, family=family, tol=0, max_iter=3).mixture
    limit = jaxgmm.fit(0, OVERLAPPING, 2, init=early, tol=0, max_iter=6000, compiled=True, **options)
    result = jaxgmm.fit(0, OVERLAPPING, 2, init=early, tol=tol, max_iter=6000, accelerate=accelerate, **options)
    assert result.converged
    assert abs(result.log_likelihood - limit.log_likelihood) / 200 < tol
    for name in ("means", "covariances"):  # the tied fit has two equal means: their weights are arbitrary
        found, wanted = (np.asarray(getattr(each.mixture.components, name)) for each in (result, limit))
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_a_fall_the_prior_causes_is_no_failure():
    best = jaxgmm.fit(0, FULL.data(), K, init=FULL.mixture(), prior=MAXIMUM_LIKELIHOOD, tol=1e-9)
    prior = jaxgmm.GaussianPrior(reg_covar=0.02)
    result = jaxgmm.fit(0, FULL.data(), K, init=best.mixture, prior=prior)
    limit = jaxgmm.fit(0, FULL.data(), K, init=best.mixture, prior=prior, tol=0, max_iter=2000)
    assert result.status is Status.CONVERGED
    assert result.log_likelihood < best.log_likelihood
    assert abs(result.log_likelihood - limit.log_likelihood) / N < 1e-6


FAR = np.random.default_rng(0)
NEAR = np.concatenate([FAR.normal(0, 1, 3000), FAR.normal(10, 1, 2000)])


@pytest.mark.parametrize("family", ["full", "diag"])
def test_far_rows_do_not_blur_the_others(family):
    """1 % of the rows lie 1e6 standard deviations away."""
    x = np.concatenate([NEAR, FAR.normal(1e6, 1e5, 50)])[:, None]
    result = jaxgmm.fit(0, x, 3, family=family, n_init=10, init="random")  # distances begin among the far rows
    assert result.converged
    variances = np.sort(np.ravel(result.mixture.components.covariances))[:2]
    np.testing.assert_allclose(variances, np.sort([NEAR[:3000].var(), NEAR[3000:].var()]), rtol=1e-3)


@DTYPES
def test_the_default_prior_follows_the_dtype(dtype):
    x, mixture = FULL.data(dtype), FULL.mixture(dtype)
    statistics = jaxgmm.e_step(mixture, x)
    relative = {np.float32: 1e-9, np.float64: 1e-14}[dtype]
    written_out = jaxgmm.GaussianPrior(reg_relative=relative)
    for fitted in (
        lambda prior: jaxgmm.fit(0, x, K, init=mixture, max_iter=2, tol=0, prior=prior).mixture,
        lambda prior: jaxgmm.m_step(mixture, statistics, prior),
    ):
        for ours, theirs in zip(jax.tree.leaves(fitted(None)), jax.tree.leaves(fitted(written_out)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


# Data of which one component must collapse, a start that leads there, and one that does not
SPIKE = np.concatenate([np.full((20, 1), 9.0), np.random.default_rng(0).normal(size=(60, 1))])


def two(family, first, second):
    """A start with two components at these parameters."""
    params = {field: np.stack([np.atleast_1d(p[field]) for p in (first, second)]).astype(float) for field in first}
    return jaxgmm.mixture(family, weights=np.array([0.3, 0.7]), **params)


COLLAPSES = {
    "full": (SPIKE, two("full", {"means": 9, "covariances": [[1e-2]]}, {"means": 0, "covariances": [[1.0]]})),
    "diag": (SPIKE, two("diag", {"means": 9, "covariances": 1e-2}, {"means": 0, "covariances": 1})),
    "spherical": (
        SPIKE,
        jaxgmm.mixture("spherical", weights=[0.3, 0.7], means=[[9.0], [0.0]], covariances=[1e-2, 1.0]),
    ),
    "tied": (
        np.repeat([[0.0], [9.0]], 40, axis=0),
        jaxgmm.mixture("tied", weights=[0.5, 0.5], means=[[0.0], [9.0]], covariances=[[0.1]]),
    ),
    "gamma": (
        np.concatenate([np.full((20, 1), 90.0), np.random.default_rng(0).gamma(2, 1, (60, 1))]),
        two("gamma", {"concentrations": 1e4, "rates": 1e4 / 90}, {"concentrations": 2, "rates": 1}),
    ),
    "exponential": (
        np.concatenate([np.zeros((30, 1)), np.random.default_rng(0).exponential(1, (60, 1))]),
        two("exponential", {"rates": 1e3}, {"rates": 1}),
    ),
}


@pytest.mark.parametrize("family", COLLAPSES)
@pytest.mark.parametrize("explicit_prior", [False, True])
def test_a_collapsed_component_is_degenerate(family, explicit_prior):
    x, start = COLLAPSES[family]
    gaussian = family in oracles.GAUSSIAN
    if explicit_prior and not gaussian:
        pytest.skip("these families have no prior")
    prior = MAXIMUM_LIKELIHOOD if explicit_prior else None
    equal = np.unique(x, return_counts=True)[1].max()
    with pytest.warns(jaxgmm.FitWarning, match=f"collapsed onto {equal} rows that are equal in column 0"):
        result = jaxgmm.fit(0, x, 2, family=family, init=start, prior=prior)
    assert result.status is Status.DEGENERATE and not result.converged
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(result.mixture))


def test_a_component_on_a_line_is_degenerate_without_a_prior():
    """Old Faithful's waiting times are whole minutes: of fifteen components some find eruptions of one of them."""
    x = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
    result = jaxgmm.fit(0, x, 15, n_init=16, init="random", prior=MAXIMUM_LIKELIHOOD)
    assert result.converged
    assert result.restarts.max() > result.log_likelihood + 50
    assert np.linalg.eigvalsh(np.asarray(result.mixture.components.covariances)).min() > 1e-6


def test_a_prior_larger_than_the_variance_is_degenerate():
    x, start = COLLAPSES["full"]
    x = x + np.where(x > 5, 1e-2, 0) * np.random.default_rng(1).normal(size=x.shape)
    assert jaxgmm.fit(0, x, 2, init=start, prior=jaxgmm.GaussianPrior(reg_covar=1e-5)).converged
    with pytest.warns(jaxgmm.FitWarning):
        result = jaxgmm.fit(0, x, 2, init=start, prior=jaxgmm.GaussianPrior(reg_covar=1e-3))
    assert result.status is Status.DEGENERATE


def narrow_clusters(family, variance, turned):
    """Two clusters at ±(20, 20, 20), whose rows have in one direction, of ``spherical`` and EII in all, exactly this
    variance; along the axes, or turned."""
    z = np.random.default_rng(3).normal(size=(200, 3))
    z -= z.mean(0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / len(z))).T  # exactly white
    z *= np.sqrt([variance, 1, 1] if family not in ("spherical", "EII") else 3 * [variance])
    z = z @ np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0] if turned else z
    return np.concatenate([z - 20, z + 20])


STRUCTURES = ["full", "tied", "diag", "spherical", "EII", "VEI"]
PRIORS = [(family, kind) for family in STRUCTURES for kind in ("absolute", "relative")]


@pytest.mark.parametrize("family, kind", [*PRIORS, ("full", "turned"), ("tied", "turned")])
@pytest.mark.parametrize("share, degenerate", [(0.95, True), (1.05, False)])
def test_degenerate_is_where_the_prior_gives_more_than_the_rows(family, kind, share, degenerate):
    """On either side of the edge, in units far from 1."""
    lift, units = 0.01, 1e4
    x = units * narrow_clusters(family, share * lift, kind == "turned")
    spread = units**2 * (400 + share * lift)  # of the narrow features over all rows
    prior = {"reg_relative": units**2 * lift / spread} if kind == "relative" else {"reg_covar": units**2 * lift}
    resp = np.repeat(np.eye(2), 200, axis=0)
    with pytest.warns(jaxgmm.FitWarning) if degenerate else contextlib.nullcontext():
        result = jaxgmm.fit(0, x, 2, family=family, init=resp, prior=jaxgmm.GaussianPrior(**prior))
    assert (result.status is Status.DEGENERATE) is degenerate


@pytest.mark.parametrize("family", STRUCTURES)
@pytest.mark.parametrize("unit", [1e-3, 1e-6, 1e-9, 1e-12])
@DTYPES
def test_degenerate_is_where_the_data_are_rounding_beside_the_prior(family, unit, dtype):
    x = (unit * np.random.default_rng(0).normal(size=(200, 2))).astype(dtype)
    with pytest.warns(jaxgmm.FitWarning):
        result = jaxgmm.fit(0, x, 3, family=family, prior=jaxgmm.GaussianPrior(reg_covar=1.0), max_iter=3)
    assert result.status is Status.DEGENERATE


def test_a_component_that_has_died_is_degenerate():
    far = two("full", {"means": 1e4, "covariances": [[1.0]]}, {"means": 0, "covariances": [[1.0]]})
    with pytest.warns(jaxgmm.FitWarning):
        result = jaxgmm.fit(0, SPIKE[20:], 2, init=far)
    assert result.status is Status.DEGENERATE


FLOORED = pytest.mark.filterwarnings("ignore:.*(is constant|not vary beyond)")


@FLOORED
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_a_constant_feature_and_one_component_are_not_degenerate(family):
    x = np.column_stack([FULL.data()[:, :2], np.full(len(FULL.data()), 7.0)])
    assert jaxgmm.fit(0, x, 1, family=family).converged
    if family != "spherical":  # its one variance is the mean over the features
        assert jaxgmm.fit(0, x, 2, family=family, n_init=3).converged


@FLOORED
@pytest.mark.short(compiled=[False])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_copied_feature_in_float32_does_not_keep_a_fit_from_ending(seed, compiled):
    """The height of the floor errs by a few per cent from one update to the next; the feature itself is fitted."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, (300, 1)), rng.normal(5, 1, (200, 1))])
    alone = jaxgmm.fit(0, x, 2)
    result = jaxgmm.fit(0, np.repeat(x, 2, axis=1).astype(np.float32), 2, compiled=compiled)
    components = jax.tree.map(np.float64, result.mixture.components)
    first = {"means": components.means[:, :1], "covariances": components.covariances[:, :1, :1]}
    marginal = jaxgmm.mixture("full", weights=np.float64(result.mixture.weights), **first)
    assert result.converged and result.n_iter <= 200
    assert alone.log_likelihood - np.asarray(jaxgmm.log_prob(marginal, x)).sum() < 2e-4 * len(x)


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "poisson"])
def test_the_boundary_of_discrete_families_is_legal(family):
    x = np.repeat([[0, 1, 0], [1, 0, 0]], 30, axis=0).astype(float)
    result = jaxgmm.fit(0, x, 2, family=family, n_init=2)
    assert result.converged
    np.testing.assert_allclose(result.mixture.weights, 0.5)
    np.testing.assert_allclose(result.log_likelihood, 60 * np.log(0.5) - 60 * (family == "poisson"), rtol=1e-9)


def test_a_collapsed_start_wins_only_when_all_are():
    clusters = np.random.default_rng(2).normal(size=(80, 1)) + np.repeat([[-4.0], [4.0]], 40, axis=0)
    x = np.concatenate([np.full((6, 1), 20.0), clusters])
    calls = iter([[[20.0], [0.0]], [[-4.0], [5.0]]])
    with pytest.warns(jaxgmm.FitWarning):
        spike = jaxgmm.fit(0, x, 2, init=lambda *_: np.array([[20.0], [0.0]]))
    honest = jaxgmm.fit(0, x, 2, init=lambda *_: np.array([[-4.0], [5.0]]))
    assert spike.status is Status.DEGENERATE and honest.converged
    assert spike.log_likelihood > honest.log_likelihood
    both = jaxgmm.fit(0, x, 2, init=lambda *_: np.array(next(calls)), n_init=2)
    assert both.converged and both.restarts[0] > both.restarts[1]
    np.testing.assert_allclose(both.log_likelihood, both.restarts[1], rtol=1e-9)
    np.testing.assert_allclose(both.log_likelihood, honest.log_likelihood, rtol=1e-5)


def bad_lane(dtype):
    stack = np.stack([FULL.data(dtype, seed=seed) for seed in range(3)])
    stack[1, 5, 0] = np.nan
    return stack


@pytest.mark.long
def test_a_bad_lane_ends_alone():
    fit = jax.jit(jax.vmap(lambda key, x: jaxgmm.fit(key, x, K, n_init=2), in_axes=(None, 0)))
    batch = fit(jax.random.key(0), jnp.asarray(bad_lane(np.float32)))
    assert Status(int(batch.status[1])) in (Status.NON_FINITE, Status.INVALID)
    np.testing.assert_array_equal(np.asarray(batch.status)[[0, 2]], 0)
    np.testing.assert_array_equal(batch.converged, [True, False, True])
    for i in (0, 2):
        alone = jaxgmm.fit(jax.random.key(0), FULL.data(np.float32, seed=i), K, n_init=2)
        np.testing.assert_allclose(batch.log_likelihood[i], alone.log_likelihood, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "value", "weight"),
    [("poisson", -1.0, 1.0), ("poisson", 0.5, 1.0), ("bernoulli", 2.0, 1.0), ("gamma", 0.0, 1.0), ("full", 0.0, -1.0)],
)
def test_values_that_a_trace_cannot_refuse_are_invalid(family, value, weight):
    case = BY_NAME[family]
    x, w = case.data(np.float32), np.ones(len(case.data()), np.float32)
    x[3, 0], w[3] = value, weight
    result = jax.jit(lambda x, w: jaxgmm.fit(0, x, K, family=case.family, sample_weight=w))(x, w)
    assert Status(int(result.status)) is Status.INVALID


def test_names_and_shapes_raise_inside_a_trace():
    x = jnp.zeros((20, 2))
    for call, word in [
        (lambda x: jaxgmm.fit(0, x, 3, family="categorical"), "categor"),
        (lambda x: jaxgmm.fit(0, x, 3, family="ful"), "family"),
        (lambda x: jaxgmm.fit(0, x[:, 0], 3), r"x\[:, None\]"),
        (lambda x: jaxgmm.fit(0, x, 3, sample_weight=x[:5, 0]), "sample_weight"),
        (lambda x: jaxgmm.fit(0, x, 0), "n_components"),
    ]:
        with pytest.raises(ValueError, match=word):
            jax.jit(call)(x)


def compilations(calls):
    """How many programs were compiled while the calls ran."""
    seen = []

    def listen(event, duration, **_):
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for call in calls:
            call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(seen)


@DTYPES
def test_one_program_serves_every_number_and_key(dtype):
    x = FULL.data(dtype)

    def fit(key=0, **options):
        options = {"tol": 1e-3, "prior": MAXIMUM_LIKELIHOOD, **options}
        return lambda: jaxgmm.fit(key, x, K, n_init=2, compiled=True, **options)

    fit()()
    fit(jax.random.key(3))()
    again = [fit(key) for key in range(1, 4)] + [fit(tol=0, max_iter=7), fit(tol=1e-5), fit(max_iter=500)]
    again += [fit(prior=jaxgmm.GaussianPrior(reg_covar=0.1, reg_relative=1e-6)), fit(jax.random.key(5))]
    assert compilations(again) == 0


def test_m_step_and_select_do_not_recompile_either():
    x, mixture = FULL.data(), FULL.mixture()
    statistics = jaxgmm.e_step(mixture, x)
    jaxgmm.m_step(mixture, statistics, MAXIMUM_LIKELIHOOD)
    assert compilations([lambda: jaxgmm.m_step(mixture, statistics, jaxgmm.GaussianPrior(reg_covar=0.1))]) == 0
    options = {"families": ("full",), "n_init": 2, "compiled": True}
    jaxgmm.select(0, x, [2, 3], tol=1e-3, **options)
    assert compilations([lambda: jaxgmm.select(1, x, [2, 3], tol=1e-4, **options)]) == 0
