"""Functions of one mixture and rows: E-step and M-step, densities, responsibilities, labels; and samples.

They are pure, and run under ``jit``, ``vmap`` and ``grad``.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from . import checks, em
from .calls import public
from .data.arrays import Rows
from .data.padding import padded
from .data.route import goes_to_host, in_numpy
from .data.summary import left_out
from .mixtures import cast
from .numerics import host
from .numerics.backend import xp
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, in_precision_of, on_device
from .numerics.keys import Key, as_key
from .records import GaussianPrior, Mixture, Model, Statistics
from .scoring import by_rows, densities, joints, labels, posteriors, rows_for


@public
@in_precision_of("x", differentiable=True)
def e_step(
    mixture: Model,
    x: Any,
    sample_weight: ArrayLike | None = None,
    *,
    form: str = "accurate",
    block_size: int | None = None,
) -> Statistics:
    """Expected sufficient statistics of the rows under the mixture.

    Args:
        mixture: a mixture of d features; cast to the dtype of x.
        x: (n, d). A row outside the support has log density -inf, and the mixture's weights as responsibilities.
        sample_weight: (n,) weights >= 0, as frequencies. Default 1.
        form: "accurate", or "moments": faster, but less accurate where components are narrow.
        block_size: rows computed at a time; None: by size.

    Returns:
        Statistics: ``log_likelihood`` Σ w log p(x), ``weight`` Σ w, ``counts`` (k,), ``components``. Statistics of
        disjoint rows under one mixture add.

    Raises:
        ValueError: shapes do not fit, or ``form`` is unknown.

    Cost: O(n·k·d²) for full covariances, O(n·k·d) for the others.
    """
    x = checks.rows_of(x, mixture)
    form = checks.choice(form, "form", ("accurate", "moments"))
    if block_size is not None:
        checks.count(block_size, "block_size")
    dtype, family = compute_dtype(x), mixture.family
    weight, mixture = checks.weights(sample_weight, x.shape[0], dtype), cast(mixture, dtype)
    if block_size is None and goes_to_host([family], x, 1, mixture.n_components, mixture, weight):
        x, weight, mixture = jax.tree.map(np.asarray, (x, weight, mixture))
        with host.on_host():
            rows = rows_for(mixture, x, weight, getattr(family, form), None)
            return jax.tree.map(on_device, expected(rows, mixture, form))
    rows = rows_for(mixture, *padded(x, weight), getattr(family, form), block_size)
    return expected(rows, mixture, form)


@compiled("form")
def expected(rows: Rows, mixture: Mixture, form: str) -> Statistics:
    """`e_step` of rows in memory."""
    family = mixture.family
    chosen, inside = getattr(family, form), family.support.contains
    reference = family.centre(mixture.components, xp.exp(mixture.log_weights))
    prepared = chosen.prepare(mixture.components, reference)
    rows = dataclasses.replace(rows, frame=dataclasses.replace(rows.frame, reference=reference))
    [statistics] = rows.sum(lambda block: em.expect(chosen, prepared, mixture.log_weights, block, inside))
    return em.shifted(statistics, left_out(rows, family, chosen))


@public
def m_step(mixture: Model, statistics: Statistics, prior: GaussianPrior | None = None) -> Mixture:
    """The mixture that maximises the expected log-likelihood of ``statistics``.

    Args:
        mixture: the one that was passed to `e_step`.
        statistics: those of `e_step`, of either form.
        prior: `GaussianPrior`, Gaussian families only. None is ``GaussianPrior(reg_relative=1e-14)``, 1e-9 where
            both are float32.

    Returns:
        Mixture: in float64 where the mixture or the statistics are. Components without rows keep their parameters and
        have log weight -inf.

    Raises:
        ValueError: statistics of another family, or a prior for a family that has none.

    Source: Dempster, Laird and Rubin (1977), equation 2.3. Cost: O(k·d³) for full covariances.
    """
    family = mixture.family
    dtype = np.promote_types(mixture.log_weights.dtype, statistics.counts.dtype)
    prior = checks.prior_for(prior, family, dtype)
    for form in (family.accurate, family.moments):
        if type(statistics.components) is form.sums:
            return _m_step(mixture, statistics, prior, form, dtype)
    raise ValueError(
        f"statistics of {type(statistics.components).__name__} do not belong to a mixture of family {family.name!r}: "
        "pass the mixture that e_step saw"
    )


@in_precision_of("mixture", "statistics", differentiable=True)
def _m_step(mixture, statistics, prior, form, dtype):
    mixture, statistics = cast(mixture, dtype), cast(statistics, dtype)
    if in_numpy(mixture.family, mixture, statistics, prior):
        with host.on_host():
            return jax.tree.map(on_device, _maximise(*jax.tree.map(np.asarray, (mixture, statistics, prior)), form))
    return _maximise(mixture, statistics, prior, form)


@compiled("form")
def _maximise(mixture, statistics, prior, form):
    reference = mixture.family.centre(mixture.components, xp.exp(mixture.log_weights))
    prepared = form.prepare(mixture.components, reference)
    return em.maximise(form, mixture, prepared, statistics, prior)


@public
@in_precision_of("x", differentiable=True)
def log_prob(mixture: Model, x: Any) -> jax.Array:
    """Log density of every row, (n, d) -> (n,): -inf outside the support, NaN for a row with NaN.

    Raises:
        ValueError: x is not (n, d) with the mixture's d.
    """
    return by_rows(densities, mixture, x)


@public
@in_precision_of("x", differentiable=True)
def joint_log_prob(mixture: Model, x: Any) -> jax.Array:
    """Log weight plus log density of every component, (n, d) -> (n, k).

    Raises:
        ValueError: x is not (n, d) with the mixture's d.
    """
    return by_rows(joints, mixture, x)


@public
@in_precision_of("x", differentiable=True)
def responsibilities(mixture: Model, x: Any) -> jax.Array:
    """Posterior probability of every component, (n, d) -> (n, k).

    A row with density 0 under every component has the mixture's weights; a row with NaN has NaN.

    Raises:
        ValueError: x is not (n, d) with the mixture's d.
    """
    return by_rows(posteriors, mixture, x)


@public
@in_precision_of("x")
def predict(mixture: Model, x: Any) -> jax.Array:
    """Most probable component of every row, (n, d) -> (n,) int32; of equal ones the first.

    A row with density 0 under every component has the component of largest weight; a row with NaN has -1.

    Raises:
        ValueError: x is not (n, d) with the mixture's d.
    """
    return by_rows(labels, mixture, x)


@public
def sample(key: Key, mixture: Model, n: int) -> tuple[jax.Array, jax.Array]:
    """Draws from the mixture: rows (n, d) in random order and their components (n,) int32.

    Args:
        key: a JAX key or an int seed.
        n: number of rows, >= 1.

    Raises:
        ValueError: n is not an integer >= 1.
    """
    return _sample(key, mixture, checks.count(n, "n"))


@in_precision_of("mixture")
def _sample(key, mixture, n):
    return _draw(as_key(key), mixture, n)


@compiled("n")
def _draw(key, mixture, n):
    label_key, value_key = jax.random.split(key)
    log_weights = mixture.log_weights.astype(jnp.float32)
    noise = jax.random.gumbel(label_key, (n, log_weights.shape[0]), jnp.float32, mode="high")
    labels = jnp.argmax(log_weights[None] + noise, axis=1).astype(jnp.int32)
    return mixture.family.sample(value_key, mixture.components, labels), labels


@public
@in_precision_of("mixture")
def n_parameters(mixture: Model) -> int:
    """Number of free parameters: k - 1 weights and those of the components; an array for a batch of mixtures.

    A categorical feature has one less than it has codes, counting those to which a component of positive weight gives a
    positive probability.
    """
    if not checks.in_trace(mixture):
        mixture = jax.tree.map(np.asarray, mixture)
    with host.on_host(not checks.in_trace(mixture)):
        free = mixture.n_components - 1 + mixture.family.n_parameters(mixture.components, xp.exp(mixture.log_weights))
        free = xp.broadcast_to(free, mixture.log_weights.shape[:-1])
    if checks.in_trace(free):
        return free
    return np.asarray(free) if free.ndim else int(free)
