"""The unconstrained view: any real numbers are a mixture, and every mixture comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, FAMILIES, WEIGHTS, K, assert_mixtures_close, leaves, precision, read

import jaxgmm


@FAMILIES
@DTYPES
def test_constrain_undoes_unconstrain(case, dtype):
    mixture = case.mixture(dtype)
    again = jaxgmm.constrain(jaxgmm.unconstrain(mixture))
    assert again.family == mixture.family
    assert_mixtures_close(again, mixture, case.params, dtype)
    assert type(again.components) is type(mixture.components)


@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_any_real_numbers_are_a_valid_mixture(case, dtype):
    rng = np.random.default_rng(0)
    with precision(dtype):
        view = jaxgmm.unconstrain(case.mixture(dtype))
        moved = jax.tree.map(lambda leaf: leaf + jnp.asarray(rng.normal(0, 2, leaf.shape), leaf.dtype), view)
        mixture = jaxgmm.constrain(moved)
    weights, params = read(mixture, case.params)
    np.testing.assert_allclose(weights.sum(), 1, **oracles.tolerance(dtype))
    values = {field: np.asarray(getattr(mixture.components, field)) for field in case.params}
    checked = jaxgmm.mixture(case.name, weights=mixture.weights, **values)
    x = case.data(dtype)
    np.testing.assert_allclose(jaxgmm.log_prob(checked, x), jaxgmm.log_prob(mixture, x), **oracles.tolerance(dtype, 10))
    assert np.isfinite(oracles.joint(case.name, weights, params, x)).all()


@FAMILIES
def test_the_view_is_a_pytree_that_optimisers_can_add_to(case):
    view = jaxgmm.unconstrain(case.mixture(np.float32))
    assert all(np.isfinite(leaf).all() and leaf.dtype == np.float32 for leaf in leaves(view))
    doubled = jax.tree.map(jnp.add, view, jax.tree.map(jnp.zeros_like, view))
    assert_mixtures_close(jaxgmm.constrain(doubled), case.mixture(np.float32), case.params, np.float32)
    assert jax.jit(jaxgmm.constrain)(view).family.name == case.name


@pytest.mark.short(case=["full", "VEI", "categorical", "gamma"])
@pytest.mark.diagonal
@FAMILIES
@DTYPES
def test_gradient_through_the_view_is_the_finite_difference(case, dtype):
    """In float64 against central differences of the oracle itself; in float32 it is only finite."""
    x = case.data(dtype)
    with precision(dtype):
        view = jaxgmm.unconstrain(case.mixture(dtype))
        gradient = jax.grad(lambda v: jnp.mean(jaxgmm.log_prob(jaxgmm.constrain(v), x)))(view)
        direction = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size, dtype=dtype)).reshape(leaf.shape), view)
        slope = float(sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction))))
        assert np.isfinite(slope)
        if dtype == np.float32:
            return

        def score(step):
            moved = jaxgmm.constrain(jax.tree.map(lambda leaf, u: leaf + step * u, view, direction))
            return oracles.e_step(case.name, *read(moved, case.params), x)[0] / len(x)

        np.testing.assert_allclose(slope, (score(1e-5) - score(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-8)


BOUNDARY = {
    "bernoulli": {"probs": [[0.0, 1.0], [0.3, 0.5]]},
    "categorical": {"probs": [[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]]},
    "poisson": {"rates": [[0.0, 2.0], [1.0, 0.0]]},
}


@pytest.mark.parametrize("family", BOUNDARY)
@DTYPES
def test_boundary_values_come_back_exactly(family, dtype):
    params = {field: np.asarray(value, dtype) for field, value in BOUNDARY[family].items()}
    mixture = jaxgmm.mixture(family, weights=np.array([1.0, 0.0], dtype), **params)
    view = jaxgmm.unconstrain(mixture)
    assert not any(np.isnan(leaf).any() for leaf in leaves(view))
    again = jaxgmm.constrain(view)
    np.testing.assert_array_equal(again.weights, [1, 0])
    for field, value in params.items():
        actual = np.asarray(getattr(again.components, field))
        edge = (value == 0) | (value == 1)
        np.testing.assert_array_equal(actual[edge], value[edge])
        np.testing.assert_allclose(actual, value, **oracles.tolerance(dtype))


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_covariances_of_any_size_come_back(scale):
    case = BY_NAME["full"]
    mixture = case.mixture(covariances=case.params["covariances"] * scale)
    again = jaxgmm.constrain(jaxgmm.unconstrain(mixture))
    covariances = mixture.components.covariances
    np.testing.assert_allclose(again.components.covariances, covariances, rtol=1e-9, atol=1e-12 * scale)
    np.testing.assert_allclose(again.weights, WEIGHTS, rtol=1e-12)
    assert again.weights.shape == (K,)


@pytest.mark.parametrize("name", ["full", "tied", "VEI", "poisson"])
def test_float64_has_its_gradient_in_a_float32_world(name):
    """Backwards, JAX makes operations of its own, under the flag that holds where a user differentiates."""
    case = BY_NAME[name]
    x, start = case.data(np.float64), case.mixture(np.float64)

    def there_and_back(mixture):
        return jaxgmm.log_prob(jaxgmm.constrain(jaxgmm.unconstrain(mixture)), x)

    with precision(np.float64):
        expected = jax.vjp(there_and_back, jax.tree.map(jnp.asarray, start))[1](jnp.ones(len(x)))
    mixture = jax.tree.map(jax.device_put, start)
    assert mixture.log_weights.dtype == np.float64 and not jax.config.jax_enable_x64
    values, pull = jax.vjp(there_and_back, mixture)
    found = pull(jnp.ones_like(values))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(np.asarray(other)).max())
