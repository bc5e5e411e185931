"""Gaussian mixture regression: some features predicted from the others, for many rows at once.

    m = E[x_a | x_b] = Σ_k π_k(x_b) m_k(x_b)
    Cov[x_a | x_b] = Σ_k π_k(x_b) (C_k + (m_k - m)(m_k - m)ᵀ)

with the weights π_k(x_b), means m_k and covariances C_k of `conditional`. The mode is the one that a climb from the m_k
of highest density reaches (`climbing`).

Source: Ghahramani and Jordan, Supervised learning from incomplete data via an EM approach (1994).
"""

import dataclasses

import jax
import jax.numpy as jnp

from .. import checks
from ..families.forms import Partial
from ..numerics import product, triangular_inverse, with_diagonal
from ..numerics.backend import xp
from ..numerics.keys import as_key
from . import arguments
from .climbing import Hills, climbed, highest, over_components
from .cuts import conditioned, given_features, per_row, rows_of
from .normals import axes_of, each_its_own, mixture_from, normals
from .running import compiled_call, evaluated, given_out, precision_of

KINDS = "mean", "mode", "sample"


def regress(mixture, given, values, *, kind: str = "mean", key=None, covariances: bool = False):
    """The other features of rows, predicted from the values of the features in ``given``.

    Args:
        mixture: a `Mixture` of d features, or what holds one.
        given: numbers of the g known features, from 0 to d - 1, or one number; g < d.
        values: (..., g), rows.
        kind: "mean" of the conditional distribution; its "mode" (Gaussian mixtures alone); or a "sample", one draw for
            each row.
        key: a JAX key or an int seed, for samples.
        covariances: whether to return the covariances of the conditional distributions too.

    Returns:
        (..., d - g), features in ascending order; with ``covariances`` a pair, the second (..., d - g, d - g). Means
        and covariances are differentiable in all arguments, modes as well, but only once. The derivative of a sample is
        that of a draw from the component that was chosen for it; the choice itself has none.

    Raises:
        ValueError: what `conditional` refuses, an unknown kind, no key for samples, modes of a mixture that is not
            Gaussian.

    Cost: as `conditional`, but without the covariances of all rows' components. Modes: about 200 steps, each O(k·d²)
    and a linear system of d equations for every row.
    """
    checks.choice(kind, "kind", KINDS)
    mixture, known, values = given_features(mixture, given, values)
    if kind == "mode":
        arguments.gaussian(mixture, "modes are those of Gaussian components")
    if kind == "sample":
        if key is None:
            raise ValueError("key is needed for kind='sample': a JAX key or an int seed")
        arguments.single(mixture)
        with precision_of(mixture):
            return _drawn(as_key(key), known, covariances, mixture, values)
    return evaluated(Partial(_regress, (known, kind, covariances)), mixture, values)


def _regress(how, mixture, values):
    known, kind, covariances = how
    batch = mixture.log_weights.shape[:-1]
    rest = values.shape[len(batch) : -1]
    found = conditioned(known, mixture, rows_of(values, batch))
    weights = xp.exp(found.log_weights)  # (..., k, n)
    means = means_of(found)
    answer = _modes(found, means) if kind == "mode" else (weights[..., None, :] * means).sum(-3)
    if not covariances:
        return per_row(answer, batch, rest)
    return per_row(answer, batch, rest), per_row(_covariances(found, weights, means), batch, rest)


def means_of(found):
    """Conditional means of the components, (..., k, r, n), or (..., k, r, 1) if they are the same for all rows."""
    if found.means is not None:
        return found.means
    return found.rest.family.margins.cumulants(found.rest.components)[0][..., None]


def _within(found):
    """Conditional covariances of the components, (..., m, r, r): the same for all rows."""
    if found.factors is not None:
        return product(found.factors, xp.swapaxes(found.factors, -1, -2))
    return with_diagonal(found.rest.family.margins.cumulants(found.rest.components)[1])


def _covariances(found, weights, means):
    """Covariances of the conditional distributions, (..., r, r, n)."""
    within = over_components(xp.swapaxes(weights, -1, -2), _within(found))  # (..., n, r, r)
    mean = (weights[..., None, :] * means).sum(-3, keepdims=True)
    apart = xp.moveaxis(means - mean, -1, -3)  # (..., n, k, r)
    weighted = xp.swapaxes(weights, -1, -2)[..., None] * apart
    return xp.moveaxis(within + product(xp.swapaxes(weighted, -1, -2), apart), -3, -1)


def _modes(found, means):
    """One mode of every conditional distribution, (..., r, n)."""
    factors = found.factors
    if factors is None:
        factors = with_diagonal(xp.sqrt(found.rest.family.margins.cumulants(found.rest.components)[1]))
    means = xp.broadcast_to(means, (*means.shape[:-1], found.log_weights.shape[-1]))
    hills = Hills(found.log_weights, means, triangular_inverse(factors))
    return climbed(hills, highest(hills))


def _drawn(key, known, covariances, mixture, values):
    """One draw for each row: compiled outside a trace too, because JAX draws."""
    dtype = mixture.log_weights.dtype
    arrays = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (mixture, values))
    function = Partial(_draw, (known, covariances))
    if checks.in_trace(key, *jax.tree.leaves((mixture, values))):
        return function(key, *arrays)
    return given_out(compiled_call(function, key, *arrays))


def _draw(how, key, mixture, values):
    known, covariances = how
    label_key, value_key = jax.random.split(key)
    found = conditioned(known, mixture, rows_of(values, ()))
    n = found.log_weights.shape[-1]
    noise = jax.random.gumbel(label_key, (n, mixture.n_components), jnp.float32, mode="high")
    labels = jnp.argmax(found.log_weights.T.astype(jnp.float32) + noise, axis=1).astype(jnp.int32)
    family, params = found.rest.family, found.rest.components
    if found.means is not None:  # a draw is the row's conditional mean plus a draw from the centred component
        axes = axes_of(mixture)
        centred = normals(found.rest)
        centred = dataclasses.replace(centred, means=0 * centred.means, spread=_within(found))
        centred = centred if "k" not in axes else each_its_own(centred)
        centred = mixture_from(axes, centred)
        family, params = centred.family, centred.components
    draws = family.sample(value_key, params, labels)
    if found.means is not None:
        draws = draws + jnp.take_along_axis(jnp.moveaxis(found.means, -1, 0), labels[:, None, None], axis=1)[:, 0]
    shape = values.shape[:-1]
    draws = draws.reshape(*shape, draws.shape[-1])
    if not covariances:
        return draws
    return draws, per_row(_covariances(found, jnp.exp(found.log_weights), means_of(found)), (), shape)
