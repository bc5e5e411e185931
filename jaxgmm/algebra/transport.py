"""The Wasserstein distance between Gaussian mixtures, along couplings that are Gaussian mixtures themselves.

    MW₂² = min_γ Σ γ_ij W₂²(p_i, q_j),      Σ_j γ_ij = π_i, Σ_i γ_ij = ω_j
    W₂² = |μ_p - μ_q|² + min_U ‖A - B U‖²,      A Aᵀ = Σ_p, B Bᵀ = Σ_q, U orthogonal

The second formula, the distance of Bures, is written as a norm of differences because the usual difference of traces
loses half of its digits. The functions run in NumPy and SciPy, always in float64.

Source: Delon and Desolneux, A Wasserstein-type distance in the space of Gaussian mixture models (2020), section 4;
Bhatia, Jain and Lim, On the Bures-Wasserstein distance between positive definite matrices (2019), theorem 1.
"""

import jax
import numpy as np

from .. import checks
from ..numerics import host
from ..numerics.derivatives import without_derivatives
from .normals import Normals, axes_of, common, each_its_own, normals


def distance(p, q):
    """MW₂ of two Gaussian mixtures, (); inside a trace by a callback to the host."""
    axes = common(axes_of(p), axes_of(q))
    found = [each_its_own(normals(mixture, axes)) for mixture in (p, q)]
    arrays = [(each.weights, each.means, each.spread) for each in found]
    dtype = p.log_weights.dtype

    def computed(*arrays):
        return _distance(*arrays).astype(dtype)

    if not checks.in_trace(*jax.tree.leaves(arrays)):
        return computed(*arrays)[()]
    arrays = without_derivatives(arrays, "divergence(p, q, 'wasserstein')")
    return jax.pure_callback(computed, jax.ShapeDtypeStruct((), dtype), *arrays, vmap_method="sequential")


def _distance(p, q):
    with host.on_host():
        (weights, *p), (others, *q) = ([np.asarray(part, np.float64) for part in each] for each in (p, q))
        if not all(np.isfinite(part).all() for part in (weights, others, *p, *q)):
            return np.array(np.nan)
        costs = squared(Normals(None, *p), Normals(None, *q))
    return np.sqrt(np.array((costs * coupling(weights / weights.sum(), others / others.sum(), costs)).sum()))


def squared(p: Normals, q: Normals):
    """W₂² of every pair of components, (k_p, k_q)."""
    apart = ((p.means[:, None] - q.means[None]) ** 2).sum(-1)
    if p.independent:
        return apart + ((np.sqrt(p.spread)[:, None] - np.sqrt(q.spread)[None]) ** 2).sum(-1)
    a, b = (np.linalg.cholesky(each.spread) for each in (p, q))
    left, _, right = np.linalg.svd(np.swapaxes(b, -1, -2)[None] @ a[:, None])
    return apart + ((a[:, None] - b[None] @ (left @ right)) ** 2).sum((-2, -1))


def coupling(weights, others, costs):
    """The coupling γ (k_p, k_q) of least cost, by linear programming; its sums are ``weights`` and ``others``."""
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    k, m = costs.shape
    sums = vstack([kron(eye_array(k), np.ones((1, m))), kron(np.ones((1, k)), eye_array(m))], format="csr")
    scale = costs.max() or 1.0
    answer = linprog(
        costs.ravel() / scale, A_eq=sums[:-1], b_eq=np.concatenate([weights, others])[:-1], method="highs-ds"
    )
    if answer.x is None:
        raise RuntimeError(f"SciPy's linear programme found no coupling: {answer.message}")
    return answer.x.reshape(k, m)
