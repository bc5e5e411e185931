"""The hill climb from points to modes of a Gaussian mixture, for many points at once.

    g = ∇ log p(x) = Σ r_k u_k,      u_k = P_k (m_k - x),  r_k the responsibilities at x,  P_k the precisions
    -∇² log p(x) = Σ r_k P_k - Σ r_k u_k u_kᵀ + g gᵀ

The iteration x ← x + (Σ r_k P_k)⁻¹ g never lowers the density, from any x. Newton's method adds the last digits.

Source: Carreira-Perpiñán, Mode-finding for mixtures of Gaussian distributions (2000), section 4.
"""

from typing import Any

import jax
import numpy as np

from ..numerics import constant, diagonal, eps, product
from ..numerics.backend import is_jax, linalg, xp
from ..records import record
from .pairs import log_sum
from .running import repeated

STEPS = 200, 8  # of the iteration that never falls, then of Newton's method


@record
class Hills:
    """A mixture of r features for each of n points.

    Log weights (..., k, n) and means (..., k, r, n) belong to the points. The inverse Cholesky factors of the
    covariances (..., m, r, r), m = k or 1, are the same for all points.
    """

    log_weights: Any
    means: Any
    inverses: Any

    @property
    def precisions(self):
        return product(xp.swapaxes(self.inverses, -1, -2), self.inverses)

    def joint(self, x):
        """Log weight plus log density of every component, up to a constant. (..., r, n) -> (..., k, n)."""
        y = product(self.inverses, self.means - x[..., None, :, :])
        return self.log_weights + xp.log(diagonal(self.inverses)).sum(-1)[..., None] - 0.5 * (y**2).sum(-2)

    def height(self, x):
        """Log density up to a constant, (..., r, n) -> (..., n)."""
        return log_sum(xp.swapaxes(self.joint(x), -1, -2))

    def slopes(self, x):
        """The gradient (..., n, r) of the log density, Σ r_k P_k, and -∇² (..., n, r, r)."""
        logits = self.joint(x)
        resp = xp.exp(logits - logits.max(-2, keepdims=True))
        resp = xp.swapaxes(resp / resp.sum(-2, keepdims=True), -1, -2)  # (..., n, k)
        precisions = self.precisions
        pulls = xp.moveaxis(product(precisions, self.means - x[..., None, :, :]), -1, -3)  # (..., n, k, r)
        weighted = resp[..., None] * pulls
        gradient = weighted.sum(-2)
        mixed = over_components(resp, precisions)
        outer = product(xp.swapaxes(weighted, -1, -2), pulls)
        return gradient, mixed, mixed - outer + gradient[..., :, None] * gradient[..., None, :]


def over_components(shares, matrices):
    """Σ_k r_k M_k of every row, (..., n, k), (..., m, r, r) -> (..., n, r, r), without the array (..., n, k, r, r)."""
    m, r = matrices.shape[-3], matrices.shape[-1]
    shares = shares if m > 1 else shares.sum(-1, keepdims=True)
    mixed = product(shares, matrices.reshape(*matrices.shape[:-3], m, r * r))
    return mixed.reshape(*mixed.shape[:-1], r, r)


def upward_step(hills: Hills, x):
    """The step (..., r, n) of every point by the iteration that never lowers the density."""
    gradient, mixed, _ = hills.slopes(x)
    return solution(mixed, gradient)


def newton_step(hills: Hills, x):
    """The step (..., r, n) of every point by Newton's method."""
    gradient, mixed, curvature = hills.slopes(x)
    ridge = 4 * eps(mixed) * mixed  # the curvature is 0 where two modes merge
    return solution(curvature + ridge, gradient)


def solution(matrices, gradient):
    """M⁻¹ g of every point, (..., n, r, r), (..., n, r) -> (..., r, n)."""
    return xp.swapaxes(linalg(gradient).solve(matrices, gradient[..., None])[..., 0], -1, -2)


def climbed(hills: Hills, x):
    """The modes (..., r, n) that the climb from x reaches: differentiable once, by the implicit function theorem."""
    fixed = jax.tree.map(constant, hills)

    def upward(x):
        return x + upward_step(fixed, x)

    def newton(x):
        moved, height = x + newton_step(fixed, x), fixed.height(x)
        falls = fixed.height(moved) < height - 4 * eps(height) * (1 + xp.abs(height))  # by more than rounding
        return xp.where(falls[..., None, :], x, moved)

    x = constant(x)
    for count, move in zip(STEPS, (upward, newton), strict=True):
        x = repeated(move, count, x)
    if not is_jax(x):
        return x
    last = newton_step(hills, x)
    return x + (last - constant(last))  # the value is x, the derivative that of the last step


def highest(hills: Hills):
    """The mean of every point's mixture at which its density is highest, (..., r, n)."""
    k = hills.means.shape[-3]
    heights = xp.stack([hills.height(hills.means[..., i, :, :]) for i in range(k)], axis=-2)  # (..., k, n)
    best = heights == heights.max(-2, keepdims=True)
    first = best & (xp.cumsum(best, axis=-2) == 1)
    return (first[..., None, :].astype(np.float32) * hills.means).sum(-3)
