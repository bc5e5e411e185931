"""Marginal and conditional distributions of a mixture.

    p(x_a) = Σ_k π_k p_k(x_a)
    p(x_a | x_b) = Σ_k π_k(x_b) p_k(x_a | x_b),      π_k(x_b) ∝ π_k p_k(x_b)

For Gaussian components let L Lᵀ = Σ with the known features b first, L = [[L_b, 0], [W, L_a]]. Then

    p_k(x_a | x_b) = N(μ_a + W L_b⁻¹ (x_b - μ_b), L_a L_aᵀ)

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 2.3.
"""

from typing import Any

import jax
import numpy as np

from ..families.forms import Partial
from ..numerics import LOG_2PI, cholesky, constant, diagonal, product, triangular_inverse
from ..numerics.backend import xp
from ..records import Mixture, record
from ..scoring import joint
from . import arguments
from .normals import Normals, axes_of, mixture_from, normals
from .running import evaluated


def marginal(mixture, features) -> Mixture:
    """The distribution of some features: a mixture of the same family.

    Args:
        mixture: a `Mixture` of d features, or what holds one; or a batch of mixtures (leading axes).
        features: numbers from 0 to d - 1, in the order of the result; or one number.

    Raises:
        ValueError: features out of range or named twice.

    Cost: O(k·d²) at most: entries are copied.
    """
    mixture = arguments.mixture_of(mixture)
    features = arguments.indices(features, mixture.n_features, "features")
    return evaluated(Partial(part, features), mixture)


def part(features, mixture) -> Mixture:
    """As `marginal`, for features that are checked already."""
    family, components = mixture.family.margins.marginal(mixture.family, mixture.components, features)
    return Mixture(mixture.log_weights, components, family)


def conditional(mixture, given, values) -> Mixture:
    """The distribution of the other features, given the values of the features in ``given``.

    Args:
        mixture: a `Mixture` of d features, or what holds one.
        given: numbers of the g known features, from 0 to d - 1, or one number; g < d.
        values: (..., g), one row or any number of rows.

    Returns:
        Mixture: of the d - g other features, in ascending order, in the family of ``mixture``. Its leading axes are
        those of ``values``: one conditional distribution for each row. The weights stay unchanged for a row that is
        impossible under every component.

    Raises:
        ValueError: features out of range, named twice or all known; values of another shape, or not finite.

    Cost: O(k·d³) once for covariance matrices, and O(k·d²) a row.
    """
    mixture, known, values = given_features(mixture, given, values)
    return evaluated(Partial(_conditional, known), mixture, values)


def given_features(mixture, given, values):
    """The checked arguments of `conditional` and `regress`."""
    mixture = arguments.mixture_of(mixture)
    d = mixture.n_features
    known = arguments.indices(given, d, "given")
    if len(known) == d:
        raise ValueError(f"given names all {d} features: leave one of them unknown")
    return mixture, known, arguments.batched(values, len(known), mixture, "values")


def others(known: tuple, d: int) -> tuple[int, ...]:
    """The features that are not known, in ascending order."""
    return tuple(feature for feature in range(d) if feature not in known)


@record
class Conditioned:
    """The conditional distributions of r features, given n rows of the others.

    ``log_weights`` (..., k, n); ``rest``, the marginal distribution of the r features. Components with covariance
    matrices also have conditional ``means`` (..., k, r, n) and the Cholesky ``factors`` of the conditional covariances
    (..., m, r, r). Components with independent features keep the distribution in ``rest``, and both are None.
    """

    log_weights: Any
    rest: Mixture
    means: Any = None
    factors: Any = None


def conditioned(known: tuple, mixture, rows) -> Conditioned:
    """The conditional distributions, given rows (..., g, n) of the known features."""
    unknown = others(known, mixture.n_features)
    rest = part(unknown, mixture)
    if mixture.family.margins.independent:
        logits = joint(part(known, mixture), rows)
        return Conditioned(normalised(logits, mixture.log_weights), rest)
    found, g = normals(mixture), len(known)
    order = np.array(known + unknown, np.int32)
    lower = cholesky(found.spread[..., order[:, None], order[None]])
    inverse = triangular_inverse(lower[..., :g, :g])
    middle = found.means[..., order]
    y = product(inverse, rows[..., None, :, :] - middle[..., :g, None])  # (..., k, g, n)
    log_dets = xp.log(diagonal(lower)[..., :g]).sum(-1)
    logits = -0.5 * (y**2).sum(-2) - log_dets[..., None] - g / 2 * LOG_2PI + mixture.log_weights[..., None]
    means = middle[..., g:, None] + product(lower[..., g:, :g], y)
    return Conditioned(normalised(logits, mixture.log_weights), rest, means, lower[..., g:, g:])


def normalised(logits, log_weights):
    """Log weights (..., k, n) from joint log-probabilities; ``log_weights`` for rows that no component can have."""
    top = constant(logits.max(-2, keepdims=True))
    impossible = top == -np.inf
    shifted = xp.where(impossible, log_weights[..., None], logits - xp.where(impossible, 0, top))
    return shifted - xp.log(xp.exp(shifted).sum(-2, keepdims=True))


def rows_of(values, batch: tuple):
    """Values (*batch, ..., g) as rows (*batch, g, n)."""
    return xp.swapaxes(values.reshape(*batch, -1, values.shape[-1]), -1, -2)


def per_row(array, batch: tuple, rest: tuple):
    """An array (*batch, ..., n) with its n rows moved behind the batch, in the shape ``rest``: (*batch, *rest, ...)."""
    moved = xp.moveaxis(array, -1, len(batch))
    return moved.reshape(*batch, *rest, *moved.shape[len(batch) + 1 :])


def _conditional(known, mixture, values):
    batch = mixture.log_weights.shape[:-1]
    rest = values.shape[len(batch) : -1]
    found = conditioned(known, mixture, rows_of(values, batch))
    log_weights = per_row(found.log_weights, batch, rest)
    if found.means is None:

        def for_every_row(leaf):
            own = leaf.shape[len(batch) :]
            with_ones = leaf.reshape(*batch, *(1,) * len(rest), *own)
            return xp.broadcast_to(with_ones, (*batch, *rest, *own))

        return Mixture(log_weights, jax.tree.map(for_every_row, found.rest.components), found.rest.family)
    covariances = product(found.factors, xp.swapaxes(found.factors, -1, -2))
    covariances = covariances.reshape(*batch, *(1,) * len(rest), *covariances.shape[len(batch) :])
    return mixture_from(axes_of(mixture), Normals(log_weights, per_row(found.means, batch, rest), covariances))
