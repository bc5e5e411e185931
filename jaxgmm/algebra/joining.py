"""Several mixtures joined into one, and a mixture of many components reduced to few.

Two components i and j are merged into the Gaussian with their total weight, mean and covariance: w = w_i + w_j,
μ = (w_i μ_i + w_j μ_j) / w, Σ the covariance of both together. The pair to merge next is the one with the least

    B_ij = ½ (w log|Σ| - w_i log|Σ_i| - w_j log|Σ_j|),

an upper bound on the Kullback-Leibler divergence KL(mixture before ‖ mixture after the merger).

Source: Runnalls, Kullback-Leibler approach to Gaussian mixture reduction (2007), equation 21.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..families.base import parameters
from ..families.forms import Partial
from ..numerics import cholesky, diagonal, first_of_largest
from ..numerics.backend import is_jax, xp
from ..numerics.host import replaced_at
from ..records import Mixture
from . import arguments
from .normals import Normals, axes_of, common, each_its_own, mixture_from, normals
from .pairs import joined
from .running import evaluated, repeated


def concatenate(mixtures, weights) -> Mixture:
    """The mixture of several mixtures: Σ_i w_i p_i.

    Args:
        mixtures: a list of mixtures of d features, all of one family or all Gaussian.
        weights: (len(mixtures),), >= 0, of sum 1.

    Returns:
        Mixture: all components, in the order of the list. Mixtures of one family give that family, unless its
        components share parameters (tied, EII, VEI). All others give the narrowest Gaussian family that holds them and
        has a covariance for each component.

    Raises:
        ValueError: no mixture, other families or numbers of features, weights that do not sum to 1.
    """
    mixtures = [arguments.single(arguments.mixture_of(mixture, f"mixtures[{i}]"), f"mixtures[{i}]")
                for i, mixture in enumerate(mixtures)]  # fmt: skip
    if not mixtures:
        raise ValueError("mixtures must hold one mixture at least, got none")
    first = mixtures[0]
    for mixture in mixtures[1:]:
        if mixture.family != first.family and not (mixture.family.margins.normal and first.family.margins.normal):
            raise ValueError(
                f"mixtures must be of one family, or all Gaussian, got {first.family} and {mixture.family}"
            )
        if mixture.n_features != first.n_features:
            raise ValueError(f"mixtures must have the same features, got {first.n_features} and {mixture.n_features}")
    weights = arguments.real(weights, "weights")
    if weights.shape != (len(mixtures),):
        raise ValueError(f"weights must have shape ({len(mixtures)},), one for each mixture, got {weights.shape}")
    if not checks.in_trace(weights):
        held = np.asarray(weights, np.float64)
        if (held < 0).any() or abs(held.sum() - 1) >= 1e-4:
            raise ValueError(f"weights must be >= 0 and sum to 1, got {held}: divide them by their sum")
        weights = held / held.sum()
    return evaluated(_concatenate, mixtures, weights)


def _concatenate(mixtures, weights):
    log_weights = xp.concatenate([xp.log(weights[i]) + each.log_weights for i, each in enumerate(mixtures)])
    first = mixtures[0]
    about = parameters(type(first.components))
    if all(each.family == first.family for each in mixtures) and all("k" in about[name]["shape"] for name in about):
        components = jax.tree.map(lambda *leaves: xp.concatenate(list(leaves)), *(each.components for each in mixtures))
        return Mixture(log_weights, components, first.family)
    axes = common("k", *(axes_of(each) for each in mixtures))
    return mixture_from(axes, dataclasses.replace(joined(*mixtures), log_weights=log_weights))


def reduce(mixture, n_components: int) -> Mixture:
    """The mixture with pairs of components merged until ``n_components`` are left; of the same mean and covariance.

    Args:
        mixture: a Gaussian `Mixture` or `FitResult` of k components.
        n_components: from 1 to k.

    Returns:
        Mixture: of family full, unless n_components is k. A merged component takes the place of the first of its pair.

    Raises:
        ValueError: a mixture that is not Gaussian, a batch, or n_components larger than k.

    Cost: O(k²·d³), and O(k·d³) for each merger. Derivatives hold the choice of pairs fixed.
    """
    mixture = arguments.single(arguments.gaussian(mixture, "other components have no merger of the same moments"))
    wanted, k = checks.count(n_components, "n_components"), mixture.n_components
    if wanted > k:
        raise ValueError(f"n_components must be at most {k}, of which the mixture is made, got {wanted}")
    return mixture if wanted == k else evaluated(Partial(_reduce, wanted), mixture)


def _reduce(wanted, mixture):
    found, k = each_its_own(normals(mixture, "dd")), mixture.n_components
    state = found.weights, found.means, found.spread, _half_log_det(found.spread)
    if is_jax(found.means):
        costs = jax.vmap(lambda i: _costs(i, state))(jnp.arange(k, dtype=np.int32))
    else:
        costs = np.stack([_costs(i, state) for i in range(k)])
    carry = state, costs, np.ones(k, bool)
    (weights, means, spread, _), _, alive = repeated(lambda carry: _merged(*carry), k - wanted, carry)
    kept = jnp.nonzero(alive, size=wanted)[0] if is_jax(alive) else np.flatnonzero(alive)
    return mixture_from("kdd", Normals(xp.log(weights[kept]), means[kept], spread[kept]))


def _half_log_det(spread):
    return xp.log(diagonal(cholesky(spread))).sum(-1)


def _pair(i, state):
    """Moments of the merger of every component with the i-th: weights (k,), means (k, d), covariances (k, d, d)."""
    weights, means, spread, _ = state
    total = weights + weights[i]
    share = xp.where(total > 0, weights / xp.where(total > 0, total, 1), 0.5)
    apart = means - means[i][None]
    between = (share * (1 - share))[:, None, None] * apart[:, :, None] * apart[:, None, :]
    middle = means[i][None] + share[:, None] * apart
    return total, middle, share[:, None, None] * spread + (1 - share)[:, None, None] * spread[i][None] + between


def _costs(i, state):
    """B_ij of component i with every component j, (k,)."""
    weights, half_log_dets = state[0], state[3]
    total, _, spread = _pair(i, state)
    return total * _half_log_det(spread) - weights * half_log_dets - weights[i] * half_log_dets[i]


def _merged(state, costs, alive):
    """The components after the pair of least cost is merged, in the place of its first; the costs; which are left."""
    k = alive.shape[0]
    open_pairs = alive[:, None] & alive[None] & ~np.tri(k, dtype=bool)
    at = first_of_largest(xp.where(open_pairs, -costs, -np.inf).reshape(-1))
    i, j = at // k, at % k
    total, means, spread = _pair(i, state)
    state = tuple(
        replaced_at(old, i, new[j])
        for old, new in zip(state, (total, means, spread, _half_log_det(spread)), strict=True)
    )
    alive, row = replaced_at(alive, j, False), _costs(i, state)
    return state, replaced_at(replaced_at(costs, i, row), (slice(None), i), row), alive
