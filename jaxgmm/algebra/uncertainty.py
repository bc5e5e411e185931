"""The entropy of a mixture, by Monte Carlo or between bounds.

    H = -E[log p(x)],      H_i the entropy of a component
    upper bounds: Σ π_i (H_i - log Σ_j π_j exp(-KL(p_i ‖ p_j))); the entropy of the Gaussian of the same covariance
    lower bounds: -Σ π_i log Σ_j π_j ∫ p_i p_j;  Σ π_i (H_i - log Σ_j π_j ∫ √(p_i p_j))

Source: Huber, Bailey, Durrant-Whyte and Hanebeck, On entropy approximation for Gaussian mixture random vectors (2008);
Kolchinsky and Tracey, Estimating mixture entropy with pairwise distances (2017).
"""

from .. import checks
from ..families.forms import Partial
from ..numerics import LOG_2PI, cholesky, diagonal
from ..numerics.backend import xp
from ..numerics.keys import as_key
from . import arguments
from .drawing import DRAWS, averaged, draws, log_densities
from .pairs import joined, log_sum, pairs_of, weighted
from .running import evaluated, precision_of
from .tails import _moments

KINDS = "monte-carlo", "lower", "upper"


def entropy(mixture, kind: str = "monte-carlo", *, key=None, n: int = DRAWS):
    """The entropy -E[log p(x)] in nats: differential entropy, or entropy of probabilities for families on integers.

    Args:
        mixture: a `Mixture`, or what holds one.
        kind: "monte-carlo", in every family; or a "lower" or "upper" bound in closed form, for Gaussian mixtures.
        key: a JAX key or an int seed, for Monte Carlo.
        n: number of draws, for Monte Carlo.

    Returns:
        (value, standard_error) for Monte Carlo; its derivative is that of the entropy up to noise of order 1/√n. For a
        bound the value alone.

    Raises:
        ValueError: an unknown kind, no key for Monte Carlo, a bound for a mixture that is not Gaussian, a batch of
            mixtures.

    Cost: Monte Carlo n densities, bounds O(k²·d³).
    """
    checks.choice(kind, "kind", KINDS)
    mixture = arguments.single(arguments.mixture_of(mixture))
    if kind != "monte-carlo":
        arguments.gaussian(mixture, "other components have no bounds in closed form; use kind='monte-carlo'")
        return evaluated(Partial(_bound, kind), mixture)
    if key is None:
        raise ValueError("key is needed for kind='monte-carlo': a JAX key or an int seed")
    with precision_of(mixture):
        log_p = log_densities(mixture, draws(as_key(key), mixture, n))
        return averaged(-log_p, log_p)


def _bound(kind, mixture):
    found = joined(mixture)
    pairs, weights, log_weights = pairs_of(found), found.weights, found.log_weights[None]
    inside = weighted(weights, pairs.entropy)
    if kind == "lower":
        by_overlap = -weighted(weights, log_sum(log_weights + pairs.log_overlap))
        return xp.maximum(by_overlap, inside - weighted(weights, log_sum(log_weights + pairs.log_affinity)))
    covariance = _moments(mixture)[1]
    d = covariance.shape[-1]
    gaussian = xp.log(diagonal(cholesky(covariance))).sum(-1) + d / 2 * (LOG_2PI + 1)
    return xp.minimum(gaussian, inside - weighted(weights, log_sum(log_weights - pairs.kl)))
