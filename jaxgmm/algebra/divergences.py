"""Divergences and distances between mixtures.

    KL(p ‖ q) = E_p[log p - log q],   E_{p_i}[log q] between the bounds
        log Σ_j ω_j exp(-KL(p_i ‖ q_j)) - H_i   and   log Σ_j ω_j ∫ p_i q_j
    ∫ (p - q)² = ∫ p² - 2 ∫ p q + ∫ q²,      ∫ p q = Σ π_i ω_j ∫ p_i q_j
    1 - H² = ∫ √(p q):  at most Σ √(π_i ω_j) ∫ √(p_i q_j), at least Σ √(γ_ij δ_ij) ∫ √(p_i q_j),
        where γ has the row sums π and δ the column sums ω

Source: Hershey and Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models (2007),
sections 4 and 7; Durrieu, Thiran and Kelly, Lower and upper bounds for approximation of the Kullback-Leibler divergence
between Gaussian mixture models (2012).
"""

import jax
import numpy as np

from .. import checks
from ..mixtures import cast
from ..numerics import cholesky, with_diagonal
from ..numerics.backend import xp
from ..numerics.keys import as_key
from ..scoring import log_prob_of
from . import arguments, transport
from .drawing import DRAWS, averaged, draws, log_densities
from .normals import each_its_own, normals
from .pairs import joined, log_sum, pairs_of, weighted
from .running import dtype_of, evaluated, precision_of, repeated

DRAWN = "kl", "js"
TURNS = 50  # of the updates of γ and δ, each of which raises the bound


def divergence(p, q, kind: str, *, key=None, n: int = DRAWS):
    """A divergence or distance between two mixtures of the same features.

    Args:
        p, q: each a `Mixture`, or what holds one; of any family for "kl" and "js", else Gaussian.
        kind: one of

            - "kl": the Kullback-Leibler divergence KL(p ‖ q), "js": the Jensen-Shannon divergence, at most log 2; both
              by Monte Carlo, in nats.
            - "kl-unscented", "kl-variational": approximations of KL in closed form; "kl-bounds": a lower and an upper
              bound.
            - "l2": ∫ (p - q)²; "cauchy-schwarz": -log ∫pq / √(∫p² ∫q²). Exact.
            - "wasserstein": the distance of Delon and Desolneux, in the units of the rows; no derivatives.
            - "hellinger-bounds": a lower and an upper bound of Hellinger's distance, which is in [0, 1].
        key: a JAX key or an int seed, for "kl" and "js".
        n: number of draws for "kl" (from p) and for "js" (from each mixture).

    Returns:
        A number; (value, standard_error) for "kl" and "js"; (lower, upper) for bounds.

    Raises:
        ValueError: an unknown kind, different numbers of features, batches of mixtures (use `jax.vmap`), no key for
            "kl" or "js", or mixtures that are not Gaussian for the other kinds.

    Cost: O((k_p + k_q)²·d³) for covariance matrices; n densities under each mixture for "kl" and "js".
    """
    checks.choice(kind, "kind", (*DRAWN, *CLOSED, "wasserstein"))
    p, q = (arguments.single(arguments.mixture_of(each, name), name) for each, name in ((p, "p"), (q, "q")))
    arguments.same_features(p, q)
    if kind in DRAWN:
        if key is None:
            raise ValueError(f"key is needed for kind={kind!r}: a JAX key or an int seed")
        with precision_of(p, q):
            p, q = (cast(mixture, dtype_of(p, q)) for mixture in (p, q))
            return {"kl": _kl, "js": _js}[kind](as_key(key), p, q, n)
    for mixture, name in ((p, "p"), (q, "q")):
        arguments.gaussian(mixture, "kinds in closed form are of Gaussian components; use 'kl' or 'js'", name)
    if kind == "wasserstein":
        with precision_of(p, q):
            return transport.distance(*(cast(mixture, dtype_of(p, q)) for mixture in (p, q)))
    return evaluated(CLOSED[kind], p, q)


def _kl(key, p, q, n):
    rows = draws(key, p, n)
    log_p = log_densities(p, rows)
    return averaged(log_p - log_densities(q, rows), log_p)


def _js(key, p, q, n):
    halves = []
    for own, other, own_key in zip((p, q), (q, p), jax.random.split(key), strict=True):
        rows = draws(own_key, own, n)
        log_own, log_other = log_densities(own, rows), log_densities(other, rows)
        terms = float(np.log(2)) - xp.logaddexp(0 * log_own, log_other - log_own)
        halves.append(averaged(terms, log_own))
    (one, its_error), (two, their_error) = halves
    return (one + two) / 2, xp.sqrt(its_error**2 + their_error**2) / 2


def _unscented(p, q):
    """KL from the sigma points μ ± √d L e_j of every component of p, L its Cholesky factor."""
    found = each_its_own(normals(p))
    d = found.means.shape[-1]
    lowers = with_diagonal(xp.sqrt(found.spread)) if found.independent else cholesky(found.spread)
    columns = xp.swapaxes(lowers, -1, -2) * float(np.sqrt(d))  # (k, d, d): the points of a component by rows
    points = xp.concatenate([found.means[:, None] + columns, found.means[:, None] - columns], axis=1)
    rows = points.reshape(-1, d).T
    gaps = (log_prob_of(p, rows) - log_prob_of(q, rows)).reshape(-1, 2 * d)
    return weighted(found.weights, gaps.mean(-1))


def _blocks(p, q):
    """All pairs of components of both mixtures, the log weights of p and of q, and k_p, the index where q begins."""
    found = joined(p, q)
    k = p.n_components
    return pairs_of(found), found.log_weights[:k], found.log_weights[k:], k


def _variational(p, q):
    pairs, own, others, k = _blocks(p, q)
    inside, outside = log_sum(own[None] - pairs.kl[:k, :k]), log_sum(others[None] - pairs.kl[:k, k:])
    return weighted(xp.exp(own), inside - outside)


def _kl_bounds(p, q):
    pairs, own, others, k = _blocks(p, q)
    weights, entropy = xp.exp(own), pairs.entropy[:k]
    near = log_sum(own[None] - pairs.kl[:k, :k]) - entropy, log_sum(others[None] - pairs.kl[:k, k:]) - entropy
    far = log_sum(own[None] + pairs.log_overlap[:k, :k]), log_sum(others[None] + pairs.log_overlap[:k, k:])
    lower, upper = weighted(weights, near[0] - far[1]), weighted(weights, far[0] - near[1])
    return xp.maximum(lower, 0), upper


def _log_products(p, q):
    """log of ∫ p², ∫ p q and ∫ q²."""
    pairs, own, others, k = _blocks(p, q)
    log_weights = xp.concatenate([own, others])
    logs = pairs.log_overlap + log_weights[:, None] + log_weights[None]
    return tuple(log_sum(block.reshape(-1)) for block in (logs[:k, :k], logs[:k, k:], logs[k:, k:]))


def _l2(p, q):
    pp, pq, qq = _log_products(p, q)
    value = xp.exp(pp) - 2 * xp.exp(pq) + xp.exp(qq)
    return xp.maximum(value, 0)


def _cauchy_schwarz(p, q):
    pp, pq, qq = _log_products(p, q)
    value = (pp + qq) / 2 - pq
    return xp.maximum(value, 0)


def _hellinger_bounds(p, q):
    pairs, own, others, k = _blocks(p, q)
    affinity = xp.exp(pairs.log_affinity[:k, k:])
    weights, other = xp.exp(own)[:, None], xp.exp(others)[None]
    most = xp.minimum((_root(weights * other) * affinity).sum(), 1)
    rows, columns = _shares(affinity, weights, other)
    least = xp.minimum((_root(weights * rows * other * columns) * affinity).sum(), 1)
    return _root(1 - most), _root(1 - least)


def _root(value):
    """√ of numbers >= 0, with derivative 0 at 0 in place of infinity."""
    positive = value > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, value, 1)), 0)


def _shares(affinity, weights, others):
    """γ / π (k_p, k_q), whose rows sum to 1, and δ / ω, whose columns do; each is the best for the other, in turns."""

    def turn(columns):
        rows = normal(others * columns * affinity**2, 1)
        return rows, normal(weights * rows * affinity**2, 0)

    def normal(values, axis):
        total = values.sum(axis, keepdims=True)
        return xp.where(total > 0, values / xp.where(total > 0, total, 1), 1 / values.shape[axis])

    return turn(repeated(lambda columns: turn(columns)[1], TURNS, xp.broadcast_to(weights, affinity.shape)))


CLOSED = {
    "kl-unscented": _unscented,
    "kl-variational": _variational,
    "kl-bounds": _kl_bounds,
    "l2": _l2,
    "cauchy-schwarz": _cauchy_schwarz,
    "hellinger-bounds": _hellinger_bounds,
}
