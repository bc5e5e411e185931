"""Derivatives through a fit, held to differences of refits that were run to their fixed points."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import BY_NAME, CASES, DTYPES, FAMILIES, K, N, precision

import jaxgmm

SMOOTH = {case.name for case in CASES if case.gaussian} | {"exponential", "gamma"}
REG_COVAR = 0.05
SHORT = pytest.mark.short(case=["diag"])


def fitted(case, x, weight, reg_covar, **options):
    """The fit that all these tests look at, from the family's own parameters."""
    prior = jaxgmm.GaussianPrior(reg_covar=reg_covar) if case.gaussian else None
    options = {"family": case.family, "init": case.mixture(), "sample_weight": weight, "prior": prior} | options
    return jaxgmm.fit(0, x, K, **options)


def numbers(result):
    """Weights and parameters of a result, side by side."""
    mixture = result.mixture
    return jnp.concatenate([mixture.weights, *(jnp.ravel(leaf) for leaf in jax.tree.leaves(mixture.components))])


def looked_at(result):
    """A mean of all parameters with weights of both signs, and the log-likelihood, (2,)."""
    values = numbers(result)
    along = np.random.default_rng(3).normal(size=len(values)).astype(values.dtype)
    return jnp.stack([values @ along, result.log_likelihood])


def given(case):
    """Rows, weights, and a prior's number; and a direction to move them in."""
    rng, x = np.random.default_rng(1), case.data().astype(float)
    move = 0.1 * rng.normal(size=x.shape) * x if case.name in SMOOTH else 0 * x
    return (x, rng.uniform(0.5, 2, N), np.float64(REG_COVAR)), (move, rng.normal(size=N), np.float64(0.3))


def slope_of_refits(case, at, along, step=1e-4):
    """Central differences, of fits of many plain updates."""

    def refitted(sign):
        moved = [a + sign * step * b for a, b in zip(at, along, strict=True)]
        return np.asarray(looked_at(fitted(case, *moved, tol=0, max_iter=4000)))

    return (refitted(1) - refitted(-1)) / (2 * step)


@SHORT
@FAMILIES
def test_derivatives_are_those_of_refits_both_ways(case):
    at, along = given(case)
    with precision(np.float64):
        expected = slope_of_refits(case, at, along)
        loose = 1e-4 if case.name == "gamma" else 1e-5
        _, forward = jax.jvp(lambda *a: looked_at(fitted(case, *a)), *jax.tree.map(jnp.asarray, (at, along)))
        np.testing.assert_allclose(forward, expected, rtol=loose, atol=1e-7)

        _, pull = jax.vjp(lambda *a: looked_at(fitted(case, *a)), *map(jnp.asarray, at))
        for row, value in zip(np.eye(2), expected, strict=True):
            backward = pull(jnp.asarray(row))
            total = sum((np.asarray(part) * move).sum() for part, move in zip(backward, along, strict=True))
            np.testing.assert_allclose(total, value, rtol=loose, atol=1e-7)
            assert case.name in SMOOTH or not np.asarray(backward[0]).any()  # counts and codes do not move
        # All weights twice as large leave the parameters where they are.
        weights_alone = pull(jnp.asarray([1.0, 0.0]))[1]
        if not case.gaussian:
            assert abs(np.asarray(weights_alone) @ at[1]) < 1e-6 * np.abs(weights_alone).max()


@pytest.mark.parametrize("name", ["full", "diag", "poisson", "gamma"])
@pytest.mark.long
def test_float32_has_the_derivatives_of_float64(name):
    case, found = BY_NAME[name], []
    for dtype in (np.float32, np.float64):
        with precision(dtype):
            at = [jnp.asarray(a, dtype) for a in given(case)[0]]
            gradient = jax.grad(lambda *a: looked_at(fitted(case, *a))[0], argnums=(0, 1))(*at)
            assert all(leaf.dtype == dtype for leaf in gradient)
            found.append(gradient)
    for narrow, wide in zip(*found, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-3, atol=1e-3 * np.abs(wide).max() + 1e-12)


def of_weights(case, dtype, **options):
    """A loss of weights alone, on rows that are closed over."""
    x = case.data(dtype)

    def loss(weight):
        result = jaxgmm.fit(0, x, K, family=case.family, sample_weight=weight, **options)
        return numbers(result) @ jnp.arange(1.0, numbers(result).shape[0] + 1, dtype=dtype)

    return loss


@DTYPES
def test_at_a_maximum_the_log_likelihood_moves_with_the_weights_alone(dtype):
    x = BY_NAME["spherical"].data(dtype)
    with precision(dtype):

        def value(weight):
            result = jaxgmm.fit(0, x, K, family="spherical", n_init=2, sample_weight=weight)
            return result.log_likelihood, result.mixture

        slope, mixture = jax.grad(value, has_aux=True)(jnp.ones(N, dtype))
    np.testing.assert_allclose(slope, jaxgmm.log_prob(mixture, x), rtol=1e-5 if dtype == np.float32 else 1e-7)


@pytest.mark.long
def test_compiled_in_lanes_and_both_ways_it_is_one_derivative():
    loss, weight = (
        of_weights(BY_NAME["diag"], np.float32),
        jnp.asarray(np.random.default_rng(0).uniform(0.5, 2, N), "f"),
    )
    expected = jax.grad(loss)(weight)
    closely = {"rtol": 1e-4, "atol": 1e-4 * float(np.abs(expected).max())}
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(weight), expected, **closely)
    lanes = jax.vmap(jax.grad(loss))(jnp.stack([weight, jnp.ones(N)]))
    np.testing.assert_allclose(lanes[0], expected, **closely)
    np.testing.assert_allclose(jax.vmap(jax.jit(jax.grad(loss)))(weight[None])[0], expected, **closely)
    np.testing.assert_allclose(jax.grad(lambda w: jax.vmap(loss)(w)[0])(weight[None])[0], expected, **closely)
    along = jax.jacfwd(lambda s: loss(s[0] * weight + s[1]))(jnp.asarray([0.7, 0.0]))
    np.testing.assert_allclose(along[1], jax.grad(loss)(0.7 * weight).sum(), rtol=1e-3)
    exactly = jax.grad(of_weights(BY_NAME["diag"], np.float32, tol=0, max_iter=200))  # whatever its status says
    np.testing.assert_allclose(exactly(weight), expected, **closely)
    accelerated = jax.grad(of_weights(BY_NAME["diag"], np.float32, accelerate="none", n_init=4, search="exhaustive"))
    np.testing.assert_allclose(accelerated(weight), expected, **closely)


@pytest.mark.long
def test_many_fits_have_the_derivatives_of_the_single_fits():
    stack = np.stack([BY_NAME["poisson"].data(np.float32, seed=seed) for seed in range(3)])

    def loss(fit):
        return lambda w: (fit(w).mixture.components.rates ** 2).sum()

    many = jax.grad(loss(lambda w: jaxgmm.fit_many(0, stack, K, family="poisson", sample_weight=w)))(jnp.ones((3, N)))
    for x, slopes in zip(stack, many, strict=True):
        alone = jax.grad(loss(lambda w, x=x: jaxgmm.fit(0, x, K, family="poisson", sample_weight=w)))(jnp.ones(N))
        np.testing.assert_allclose(slopes, alone, rtol=1e-3, atol=1e-3 * np.abs(alone).max())


@pytest.mark.long
def test_rows_in_blocks_kept_or_not_have_the_derivatives_of_rows_at_once(monkeypatch):
    from jaxgmm.implicit import blocks
    from jaxgmm.implicit import map as maps

    case = BY_NAME["full"]
    x = case.data(n=300)
    with precision(np.float64):

        def loss(x, weight):
            return looked_at(jaxgmm.fit(0, x, K, init=case.mixture(), sample_weight=weight)).sum()

        found = []
        for kept in (None, maps.KEPT, 0):
            if kept is not None:
                monkeypatch.setattr(blocks, "block_rows", lambda n, width, itemsize: 64)
                monkeypatch.setattr(maps, "KEPT", kept)
            jax.clear_caches()
            found.append(jax.grad(loss, argnums=(0, 1))(jnp.asarray(x), jnp.ones(300)))
        for whole, *others in zip(*found, strict=True):
            for other in others:
                np.testing.assert_allclose(other, whole, rtol=1e-8, atol=1e-8 * np.abs(whole).max())
    jax.clear_caches()


@pytest.mark.long
def test_a_form_that_is_not_of_an_exponential_family_has_the_same_derivatives():
    """The way of a user's family with its residual form alone, which no symmetry helps."""
    case, found = BY_NAME["diag"], []
    full = jaxgmm.fit(0, case.data(), K, family="diag").mixture.family
    with precision(np.float64):
        at = [jnp.asarray(one) for one in given(case)[0]]
        for family in (full, dataclasses.replace(full, name="diag of residuals", moments=full.accurate)):

            def looked(x, weight, reg, family=family):
                prior = jaxgmm.GaussianPrior(reg_covar=reg)
                return looked_at(jaxgmm.fit(0, x, K, family=family, n_init=2, sample_weight=weight, prior=prior))

            found.append((*jax.jvp(looked, at, [jnp.ones_like(one) for one in at]), jax.jacrev(looked, (0, 1, 2))(*at)))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6 * np.abs(one).max())


def test_a_fit_that_is_not_near_its_end_has_no_derivative():
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)  # one cloud: nothing to find
    with pytest.warns(jaxgmm.FitWarning, match="MAX_ITER"):
        slope = jax.grad(lambda w: jaxgmm.fit(0, x, 3, sample_weight=w, max_iter=2).log_likelihood)(jnp.ones(200))
    assert np.isnan(slope).all()


@pytest.mark.long
def test_a_fit_that_is_stopped_beside_a_saddle_has_no_derivative():
    """Two components that are still alike: a fixed point, from which EM would go on."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (100, 2)), rng.normal(3, 1, (100, 2))])
    alike = {"means": np.array([[1.5, 1.5], [1.5, 1.501]]), "covariances": np.full((2, 2), 3.0)}
    start = jaxgmm.mixture("diag", weights=[0.5, 0.5], **alike)

    def loss(weight, **options):
        result = jaxgmm.fit(0, x, 2, family="diag", init=start, sample_weight=weight, **options)
        return result.mixture.components.means[0, 0]

    with precision(np.float64):
        with pytest.warns(jaxgmm.FitWarning, match="MAX_ITER"):
            slope = jax.grad(lambda weight: loss(weight, max_iter=2))(jnp.ones(200))
        assert np.isnan(slope).all()
        assert np.isfinite(jax.grad(loss)(jnp.ones(200))).all()


def test_float64_rows_under_float32_weights_have_derivatives_without_a_warning():
    x = BY_NAME["spherical"].data()
    slope = jax.grad(lambda w: jaxgmm.fit(0, x, K, family="spherical", sample_weight=w).log_likelihood)(jnp.ones(N))
    assert slope.dtype == np.float32 and np.isfinite(slope).all()


@pytest.mark.long
def test_a_degenerate_fit_has_no_derivative():
    x = np.concatenate([np.zeros((20, 1)), np.random.default_rng(0).normal(5, 1, (80, 1))]).astype(np.float32)
    with pytest.warns(jaxgmm.FitWarning, match="DEGENERATE"):
        slope = jax.grad(lambda w: jaxgmm.fit(0, x, 2, sample_weight=w).log_likelihood)(jnp.ones(100))
    assert np.isnan(slope).all()


@pytest.mark.long
@pytest.mark.parametrize("apart", [1.2, 1.6, 2.4])
def test_clusters_that_overlap_have_the_derivative_of_refits_or_none(apart):
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(0, 1, (100, 1)), rng.normal(apart, 1, (100, 1))])
    start = jaxgmm.mixture("spherical", weights=[0.5, 0.5], means=[[0.0], [apart]], covariances=[1.0, 1.0])

    def mean(weight, **options):
        result = jaxgmm.fit(0, x, 2, family="spherical", init=start, sample_weight=weight, **options)
        return result.mixture.components.means[0, 0]

    with precision(np.float64):
        weight, along = jnp.ones(200), rng.normal(size=200)
        slope = np.asarray(jax.grad(lambda w: mean(w, max_iter=20_000))(weight)) @ along
        options = {"tol": 0, "max_iter": 6_000}
        ends = [float(mean(1 + sign * 1e-4 * along, **options)) for sign in (1, -1)]
    assert np.isnan(slope) or abs(slope - (ends[0] - ends[1]) / 2e-4) < 1e-4 * abs(slope)
    assert apart < 2 or not np.isnan(slope)


def test_a_start_has_no_derivative_and_second_ones_are_refused():
    case = BY_NAME["poisson"]
    x = case.data(np.float32)

    def loss(start, weight):
        return jaxgmm.fit(0, x, K, family="poisson", init=start, sample_weight=weight).mixture.components.rates.sum()

    start = jax.tree.map(jnp.asarray, case.mixture(np.float32))
    slope = jax.grad(loss)(start, jnp.ones(N))
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))
    with pytest.raises(ValueError, match="first derivatives only"):
        jax.hessian(lambda w: loss(start, w))(jnp.ones(N))


@pytest.mark.long
def test_a_probability_that_goes_to_its_boundary_stays_there():
    rng = np.random.default_rng(0)
    second = rng.random(300) < 0.4
    x = (rng.random((300, 12)) < np.where(second[:, None], 0.85, 0.2)).astype(float)
    x[second, 0] = 1.0  # never 0 in one of the groups
    with precision(np.float64):

        def probs(weight, **options):
            return jaxgmm.fit(0, x, 2, family="bernoulli", sample_weight=weight, **options).mixture.components.probs

        weight, along = jnp.ones(300), rng.normal(size=300)
        _, slope = jax.jvp(probs, (weight,), (jnp.asarray(along),))
        ends = [np.asarray(probs(1 + sign * 1e-4 * along, tol=0, max_iter=5000)) for sign in (1, -1)]
    assert np.asarray(ends).max() > 1 - 1e-6
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-4, rtol=1e-5, atol=1e-8)
