"""Some features of a mixture: their own distribution, and the one that is left once others are known.

    p(x_a) = Σ_k π_k p_k(x_a)
    p(x_a | x_b) = Σ_k π_k(x_b) p_k(x_a | x_b),      π_k(x_b) ∝ π_k p_k(x_b)

Of Gaussian components with L Lᵀ = Σ, the known features b first, L = [[L_b, 0], [W, L_a]]:

    p_k(x_a | x_b) = N(μ_a + W L_b⁻¹ (x_b - μ_b), L_a L_aᵀ)

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 2.3.
"""

from typing import Any

import jax
import numpy as np

from ..families.forms import Of
from ..inference import joint
from ..numerics import LOG_2PI, cholesky, constant, diagonal, product, triangular_inverse
from ..numerics.backend import xp
from ..records import Mixture, record
from . import arguments
from .normals import Normals, axes_of, mixture_from, normals
from .running import evaluated


def marginal(mixture, features) -> Mixture:
    """The distribution of some features: a mixture of the same family.

    Args:
        mixture: a `Mixture` of d features, or what holds one; batches of mixtures (leading axes) are taken.
        features: numbers from 0 to d - 1, in the order that the answer shall have; or one of them.

    Raises:
        ValueError: features out of range or named twice.

    Cost: O(k·d²) at most: entries are taken.
    """
    mixture = arguments.mixture_of(mixture)
    features = arguments.indices(features, mixture.n_features, "features")
    return evaluated(Of(part, features), mixture)


def part(features, mixture) -> Mixture:
    family, components = mixture.family.margins.marginal(mixture.family, mixture.components, features)
    return Mixture(mixture.log_weights, components, family)


def conditional(mixture, given, values) -> Mixture:
    """The distribution of the other features where those in ``given`` have these values.

    Args:
        mixture: a `Mixture` of d features, or what holds one.
        given: numbers of the g known features, from 0 to d - 1, or one of them; one feature at least is left.
        values: (..., g), one row or as many as wanted.

    Returns:
        Mixture: of the d - g other features, in ascending order, in the family of ``mixture``; its leading axes are
        those of ``values``, every one with weights of its own. Where the values are impossible under every component,
        the weights stay as they are.

    Raises:
        ValueError: features out of range, named twice or all known; values of another shape, or not finite.

    Cost: O(k·d³) once for covariance matrices, and O(k·d²) a row.
    """
    mixture, known, values = given_features(mixture, given, values)
    return evaluated(Of(_conditional, known), mixture, values)


def given_features(mixture, given, values):
    """The checked arguments of `conditional` and `regress`."""
    mixture = arguments.mixture_of(mixture)
    d = mixture.n_features
    known = arguments.indices(given, d, "given")
    if len(known) == d:
        raise ValueError(f"given names all {d} features: leave one of them unknown")
    return mixture, known, arguments.batched(values, len(known), mixture, "values")


def others(known: tuple, d: int) -> tuple[int, ...]:
    return tuple(feature for feature in range(d) if feature not in known)


@record
class Conditioned:
    """What conditions on rows leave: log weights (..., k, n), and the other features' distribution in each component.

    ``means`` (..., k, r, n) and ``factors`` (..., m, r, r), whose squares are covariances, are those of Gaussian
    components with covariance matrices; where features are independent, they are those of ``rest`` in every row.
    """

    log_weights: Any
    rest: Mixture
    means: Any = None
    factors: Any = None


def conditioned(known: tuple, mixture, rows) -> Conditioned:
    """Conditions on rows (..., g, n)."""
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
    """Log weights (..., k, n) that sum to 1; those of before where no component is possible."""
    top = constant(logits.max(-2, keepdims=True))
    impossible = top == -np.inf
    shifted = xp.where(impossible, log_weights[..., None], logits - xp.where(impossible, 0, top))
    return shifted - xp.log(xp.exp(shifted).sum(-2, keepdims=True))


def rows_of(values, batch: tuple):
    """Values (*batch, ..., g) as rows (*batch, g, n)."""
    return xp.swapaxes(values.reshape(*batch, -1, values.shape[-1]), -1, -2)


def per_row(array, batch: tuple, rest: tuple):
    """Numbers (*batch, ..., n) with their rows in front, in the shape that these had: (*batch, *rest, ...)."""
    moved = xp.moveaxis(array, -1, len(batch))
    return moved.reshape(*batch, *rest, *moved.shape[len(batch) + 1 :])


def _conditional(known, mixture, values):
    batch = mixture.log_weights.shape[:-1]
    rest = values.shape[len(batch) : -1]
    found = conditioned(known, mixture, rows_of(values, batch))
    log_weights = per_row(found.log_weights, batch, rest)
    if found.means is None:

        def repeated(leaf):
            own = leaf.shape[len(batch) :]
            with_ones = leaf.reshape(*batch, *(1,) * len(rest), *own)
            return xp.broadcast_to(with_ones, (*batch, *rest, *own))

        return Mixture(log_weights, jax.tree.map(repeated, found.rest.components), found.rest.family)
    covariances = product(found.factors, xp.swapaxes(found.factors, -1, -2))
    covariances = covariances.reshape(*batch, *(1,) * len(rest), *covariances.shape[len(batch) :])
    return mixture_from(axes_of(mixture), Normals(log_weights, per_row(found.means, batch, rest), covariances))
