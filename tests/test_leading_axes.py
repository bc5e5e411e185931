"""Lanes as leading axes: what NumPy makes of many lanes at once is what it makes of each, and what `jax.vmap` makes."""

import dataclasses

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, FAMILIES, K, N, precision

import jaxgmm
from jaxgmm import em
from jaxgmm.data import frame
from jaxgmm.data.summary import Known, Measured
from jaxgmm.em import squarem
from jaxgmm.families.base import never_supported
from jaxgmm.numerics import cholesky, host, over_rows, pooled, product, triangular_inverse
from jaxgmm.records import Block, Mixture
from jaxgmm.search import ranking
from jaxgmm.unconstrained import mixture_of, view_of

LANES = 4
FORMS = pytest.mark.parametrize("form", ["accurate", "moments"])
ROWS = pytest.mark.parametrize("shared", [True, False], ids=["rows shared", "rows per lane"])


def mixtures(case, dtype):
    """One mixture a lane, as NumPy; the component that comes last in the second has no rows."""
    view, rng = view_of(jax.tree.map(np.asarray, case.mixture(dtype))), np.random.default_rng(0)
    moved = jax.tree.map(lambda leaf: leaf + rng.normal(0, 0.1, (LANES, *leaf.shape)).astype(dtype), view)
    mixture = mixture_of(moved)
    empty = np.arange(LANES)[:, None] * K + np.arange(K) == 2 * K - 1
    return dataclasses.replace(mixture, log_weights=np.where(empty, -np.inf, mixture.log_weights).astype(dtype))


def rows(case, dtype, shared):
    """Rows, weights and reference, with a lane's axis or for all lanes: (..., d, b), (..., b), (..., d)."""
    x = np.stack([case.data(dtype, seed=seed).T for seed in range(LANES)])
    weight = np.random.default_rng(1).integers(0, 3, (LANES, N)).astype(dtype)
    every = x, weight, x.mean(-1)
    return tuple(leaf[0] for leaf in every) if shared else every


def prior_of(case, dtype):
    """Of one lane, as a frame makes it: (d,), ()."""
    return jaxgmm.GaussianPrior(np.full(case.d, 1e-3, dtype), dtype(1e-2)) if case.gaussian else None


def assert_lanes_agree(function, args, shared, dtype, loosen=1.0):
    """``function(*args)``, of which those at the places ``shared`` have no axis of lanes, in NumPy and in JAX."""
    axes = tuple(None if i in shared else 0 for i in range(len(args)))
    with host.on_host():
        together = function(*args)
        lanes = [
            [a if axis is None else host.entry(a, i) for a, axis in zip(args, axes, strict=True)] for i in range(LANES)
        ]
        alone = host.stacked([function(*lane) for lane in lanes])
    with host.on_host(False), precision(dtype):
        mapped = jax.jit(jax.vmap(function, axes))(*args)
    for other in (together, mapped):
        assert_close(other, alone, dtype, loosen)


def assert_close(actual, expected, dtype, loosen):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    bounds = oracles.tolerance(dtype, loosen)
    for (path, one), wanted in zip(jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True):
        largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=1)
        one, atol = np.broadcast_to(one, wanted.shape), bounds["atol"] * largest
        np.testing.assert_allclose(one, wanted, bounds["rtol"], atol, err_msg=str(path))
        assert one.dtype == wanted.dtype, path


@pytest.mark.diagonal
@FAMILIES
@DTYPES
@FORMS
@ROWS
def test_functions_of_a_family(case, dtype, form, shared):
    mixture, (x, weight, reference) = mixtures(case, dtype), rows(case, dtype, shared)
    family = mixture.family
    form = getattr(family, form)

    def step(mixture, prior, x, weight, reference):
        params = mixture.components
        prepared = form.prepare(params, reference)
        seen = form.view(prepared, x)
        logits = form.log_prob(prepared, seen) + mixture.log_weights[..., None]
        density, resp = em.normalise(logits, mixture.log_weights)
        counts = (resp * weight[..., None, :]).sum(-1)
        sums = form.statistics(prepared, seen, resp * weight[..., None, :])
        new = form.maximize(params, prepared, sums, counts, prior)
        weights = np.exp(mixture.log_weights) if isinstance(counts, np.ndarray) else jax.numpy.exp(mixture.log_weights)
        return {
            "e_step": (density, resp, form.loss(prepared), sums),
            "m_step": (new, family.slack(params, prepared, counts, prior)),
            "mixture": (family.centre(params, weights), family.supported_by_prior(new, weights, prior)),
            "loosened": family.loosen(new, weights, counts, prior),
            "rows": (form.base and form.base(x, reference), family.points(x), family.support.contains(x)),
        }

    shared = (1, 2, 3, 4) if shared else (1,)
    assert_lanes_agree(step, (mixture, prior_of(case, dtype), x, weight, reference), shared, dtype, loosen=10)


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_first_parameters(case, dtype):
    centres = np.random.default_rng(0).uniform(0.1, 1, (LANES, K, case.d)).astype(dtype)
    family = case.mixture(dtype).family
    points = np.repeat(centres, 3, axis=2) if case.n_categories else centres
    assert_lanes_agree(lambda points: family.around(points, case.d), (points,), (), dtype)


@DTYPES
@pytest.mark.parametrize("impossible", [False, True])
def test_responsibilities(dtype, impossible):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 30, (LANES, K, 50)).astype(dtype)
    logits[0, 1] = -np.inf
    if impossible:
        logits[1, :, 3] = -np.inf
    before, log_weights = logits.copy(), np.log(rng.dirichlet(np.ones(K), LANES)).astype(dtype)
    assert_lanes_agree(em.normalise, (logits, log_weights), (), dtype)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.short(case=["VEI", "poisson"])
@pytest.mark.diagonal
@FAMILIES
@ROWS
def test_updates_of_a_fit(case, shared):
    """In float64: in float32 rounding decides which way a lane goes."""
    dtype, updates = np.float64, squarem.WARM_UP + 5
    mixture, (x, weight, reference) = mixtures(case, dtype), rows(case, dtype, shared)
    form, prior, method = mixture.family.moments, prior_of(case, dtype), squarem.SQUAREM
    limits = em.Limits(dtype(1e-5), np.int32(updates - 1))
    task = em.Task(None, prior, limits, dtype(0), form, method, em.LOSSY)

    def begun(mixture, x, weight, reference):
        prepared = form.prepare(mixture.components, reference)
        statistics = em.expect(form, prepared, mixture.log_weights, Block(x, weight))
        return method.start(em.initial_state(em.maximise(form, mixture, prepared, statistics, prior)))

    def step(lane, x, weight, reference):
        candidate = method.state_of(lane).candidate
        prepared = form.prepare(candidate.components, reference)
        statistics = em.expect(form, prepared, candidate.log_weights, Block(x, weight))
        new = em.step(task, lane, prepared, statistics)
        return host.choose(em.going(method.state_of(lane), limits), new, lane)

    def states(lanes):
        if case.name == "gamma":  # it soon rests, and rounding decides when
            return method.finish(lanes).mixture, method.finish(lanes).log_likelihood
        return method.state_of(lanes), method.finish(lanes), em.resume_accurately(method, lanes).phase

    given = x, weight, reference
    axes = (0, *(None if shared else 0,) * 3)
    own = [given if shared else host.entry(given, i) for i in range(LANES)]
    with precision(dtype):
        compiled = jax.jit(jax.vmap(step, axes))
        mapped = jax.jit(jax.vmap(begun, axes))(mixture, *given)
    with host.on_host():
        together = begun(mixture, *given)
        alone = [begun(host.entry(mixture, i), *own[i]) for i in range(LANES)]
    for _ in range(updates):
        with precision(dtype):
            mapped = compiled(mapped, *given)
            there = jax.tree.map(np.asarray, jax.vmap(states)(mapped))
        with host.on_host():
            together = step(together, *given)
            alone = [step(lane, *some) for lane, some in zip(alone, own, strict=True)]
            wanted = host.stacked(list(map(states, alone)))
            here = states(together)
        for other in (here, there):
            assert_close(other, wanted, dtype, loosen=1e3)  # what rounding leaves grows from update to update
    assert (method.state_of(together).status != em.RUNNING).all()


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_unconstrained_views(case, dtype):
    mixture = mixtures(case, dtype)
    assert_lanes_agree(view_of, (mixture,), (), dtype)
    assert_lanes_agree(mixture_of, (view_of(mixture),), (), dtype)


@pytest.mark.diagonal
@FAMILIES
@DTYPES
@ROWS
def test_frames(case, dtype, shared):
    mixture, (x, _, _) = mixtures(case, dtype), rows(case, dtype, shared)

    def there_and_back(params, x):
        here = frame.frame_of(mixture.family.scaling, x.mean(-1), x.var(-1))
        inside = frame.enter(params, here)
        prior = frame.enter_prior(jaxgmm.GaussianPrior(dtype(1e-3), dtype(1e-2)), here)
        return here, prior.reg_covar, inside, frame.leave(inside, here), frame.log_volume(here)

    assert_lanes_agree(there_and_back, (mixture.components, x), (1,) if shared else (), dtype)


def held_up(mixture, case, prior):
    """The mixtures and their priors, the first as a prior or a floor holds a component up."""
    params = mixture.components
    if case.gaussian:
        with host.on_host():
            variances = np.diagonal(mixture.family.covariance(params), 0, -2, -1)
        lifts = np.broadcast_to(prior.reg_covar, (LANES, case.d)).copy()
        lifts[0] = 0.9 * variances[0].max()
        return mixture, jaxgmm.GaussianPrior(lifts, np.full(LANES, prior.reg_relative))
    if case.name in ("exponential", "gamma"):  # means, or concentrations, beyond the floor
        name = "rates" if case.name == "exponential" else "concentrations"
        values = np.array(getattr(params, name))
        values[0, 0] *= 1e10
        return dataclasses.replace(mixture, components=dataclasses.replace(params, **{name: values})), prior
    return mixture, prior


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_verdicts(case, dtype):
    """Of lanes with a component that is held up, one of less than a row, one that was not asked for, and none such."""
    mixture = mixtures(case, dtype)
    x, weight, reference = rows(case, dtype, True)
    form = mixture.family.moments

    def update(mixture):
        prepared = form.prepare(mixture.components, reference)
        statistics = em.expect(form, prepared, mixture.log_weights, Block(x, weight))
        return em.maximise(form, mixture, prepared, statistics, prior_of(case, dtype)), statistics.counts

    def verdict(mixture, counts, active, prior, heaviest):
        state = dataclasses.replace(em.initial_state(mixture), counts=counts)
        return ranking.is_degenerate(state, active, Known(None, Measured(*4 * [None], heaviest, None, None), prior))

    with host.on_host():
        mixture, counts = update(mixture)
    mixture, prior = held_up(mixture, case, prior_of(case, dtype))
    counts, active = np.array(counts), np.ones((LANES, K), bool)
    counts[2, 0], counts[1, 2], active[1, 2] = 0.5, 0, False
    args = mixture, counts, active, prior, dtype(1)
    assert_lanes_agree(verdict, args, (4,) if case.gaussian else (3, 4), dtype)
    assert_lanes_agree(ranking.by_weight, (mixture,), (), dtype)
    with host.on_host():
        verdicts = verdict(*args)
    bounded = mixture.family.supported_by_prior is never_supported
    assert verdicts.tolist()[:3] == [not bounded, False, True]


def test_the_best_starts_of_many_fits():
    case = BY_NAME["full"]
    mixture, (x, _, _) = mixtures(case, np.float64), rows(case, np.float64, True)
    state = em.initial_state(mixture)
    values = np.array([-3.0, -2.0, np.nan, -5.0])
    status = np.array([0, 0, 4, 1], np.int32)
    state = dataclasses.replace(state, log_likelihood=values, status=status, counts=np.ones((LANES, K)) * 9)
    measured = Measured(None, None, None, 1.0, 1.0, None, None)
    known = Known(frame.frame_of("feature", x.mean(-1), x.var(-1)), measured, jaxgmm.GaussianPrior())
    args = known, state, np.ones((2, K), bool)
    with host.on_host():
        here = ranking.conclude(*args)
    with precision(np.float64):
        there = ranking.conclude(*args)
    volume = np.log(x.std(-1)).sum()
    np.testing.assert_allclose(here.log_likelihood, [-2 - volume, -5 - volume])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), here, there)


@DTYPES
def test_matrices_without_a_factor_are_nan_and_the_others_keep_their_bits(dtype):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 5, 3, 3))
    good = (a @ a.swapaxes(-1, -2) + np.eye(3)).astype(dtype)
    some = good.copy()
    some[0, 3, 0, 0], some[1, 1] = -1, np.nan
    factors, broken = cholesky(some), np.zeros((2, 5), bool)
    broken[0, 3] = broken[1, 1] = True
    np.testing.assert_array_equal(np.isnan(factors).any((-1, -2)), broken)
    np.testing.assert_array_equal(factors[~broken], np.linalg.cholesky(good)[~broken])
    inverse = triangular_inverse(factors)
    np.testing.assert_allclose((inverse @ factors)[~broken], np.broadcast_to(np.eye(3), (8, 3, 3)), atol=1e-5)


@DTYPES
def test_products_of_lanes(dtype):
    rng = np.random.default_rng(0)
    theta, resp, phi = (rng.normal(size=size).astype(dtype) for size in [(LANES, K, 5), (LANES, K, 40), (LANES, 5, 40)])
    weights, values = resp[..., 0], rng.normal(size=(LANES, K, 2, 3)).astype(dtype)
    bounds = oracles.tolerance(dtype)
    for rows in (phi, phi[0]):
        np.testing.assert_allclose(product(theta, rows), np.einsum("...kf,...fn->...kn", theta, rows), **bounds)
        np.testing.assert_allclose(over_rows(resp, rows), np.einsum("...kn,...fn->...kf", resp, rows), **bounds)
    np.testing.assert_allclose(pooled(weights, values), np.einsum("lk,lkij->lij", weights, values), **bounds)
    np.testing.assert_allclose(pooled(weights[0], values[0]), np.einsum("k,kij->ij", weights[0], values[0]), **bounds)


def test_a_choice_of_each_lane():
    new, old = {"a": np.ones((3, 2)), "b": np.ones(3)}, {"a": np.zeros((3, 2)), "b": np.zeros(3)}
    chosen = host.choose(np.array([True, False, True]), new, old)
    np.testing.assert_array_equal(chosen["a"], [[1, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(chosen["b"], [1, 0, 1])
    assert host.choose(np.ones(3, bool), new, old) is new and host.choose(np.zeros(3, bool), new, old) is old
    assert host.choose(np.True_, new, old) is new and host.choose(np.False_, new, old) is old


def test_entries_of_each_lane():
    values, index = np.arange(24).reshape(2, 3, 4), np.array([[2, 0], [1, 1]])
    np.testing.assert_array_equal(host.entries_of(values, index, 1), [values[0][[2, 0]], values[1][[1, 1]]])
    np.testing.assert_array_equal(host.entries_of(values, np.array([2, 0]), 1), [values[0, 2], values[1, 0]])
    np.testing.assert_array_equal(host.entries_of(values[0], np.array([2, 0]), 0), values[0][[2, 0]])
    assert isinstance(host.entries_of(values, slice(0, 2), 0), np.ndarray)


def test_a_function_without_leading_axes_is_called_lane_by_lane():
    def sizes(mixture, x):
        assert mixture.log_weights.ndim == 1 and x.ndim == 2
        return mixture.log_weights.sum() + x.sum()

    case = BY_NAME["diag"]
    mixture, (x, _, _) = mixtures(case, np.float64), rows(case, np.float64, True)
    mixture = Mixture(np.zeros((LANES, K)), mixture.components, mixture.family)
    with host.on_host(at_once=False):
        np.testing.assert_array_equal(host.each(sizes, (0, None))(mixture, x), np.full(LANES, x.sum()))
    with host.on_host():
        assert host.each(sizes) is sizes
