"""Up the density of Gaussian mixtures, many points at once, to where its gradient is zero.

    ∇ log p(x) = Σ r_k u_k,      u_k = P_k (m_k - x),  r_k the responsibilities at x,  P_k the precisions
    -∇² log p(x) = Σ r_k P_k - Σ r_k u_k u_kᵀ + ∇ ∇ᵀ

The fixed point x ← x + (Σ r_k P_k)⁻¹ ∇ never goes down, whatever it starts from; Newton's method has the last digits.

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

STEPS = 200, 8  # of the fixed point and of Newton's method


@record
class Hills:
    """The mixtures of n points: log weights (..., k, n), means (..., k, r, n), and what they have in common, inverses
    of the factors of the covariances (..., m, r, r), m = k or 1."""

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
        """Gradients (..., n, r), Σ r_k P_k and -∇² (..., n, r, r) of the log density."""
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
    """Σ_k r_k M_k of every row, (..., n, k), (..., m, r, r) -> (..., n, r, r); without an array (n, k, r, r)."""
    m, r = matrices.shape[-3], matrices.shape[-1]
    shares = shares if m > 1 else shares.sum(-1, keepdims=True)
    mixed = product(shares, matrices.reshape(*matrices.shape[:-3], m, r * r))
    return mixed.reshape(*mixed.shape[:-1], r, r)


def step(hills: Hills, x, newton: int):
    """How far the fixed point (0) or Newton's method (1) moves every point, (..., r, n)."""
    gradient, mixed, curvature = hills.slopes(x)
    ridge = 4 * eps(mixed) * mixed  # where modes merge the curvature is 0
    moved = linalg(gradient).solve(curvature + ridge if newton else mixed, gradient[..., None])[..., 0]
    return xp.swapaxes(moved, -1, -2)


def climbed(hills: Hills, x):
    """The points (..., r, n) where climbing from x ends: differentiable once, by the implicit function theorem."""
    fixed = jax.tree.map(constant, hills)

    def fixed_point(x):
        return x + step(fixed, x, 0)

    def newton(x):
        there, height = x + step(fixed, x, 1), fixed.height(x)
        falls = fixed.height(there) < height - 4 * eps(height) * (1 + xp.abs(height))  # not by rounding
        return xp.where(falls[..., None, :], x, there)

    x = constant(x)
    for count, move in zip(STEPS, (fixed_point, newton), strict=True):
        x = repeated(move, count, x)
    if not is_jax(x):
        return x
    last = step(hills, x, 1)
    return x + (last - constant(last))


def highest(hills: Hills):
    """The mean of every point's mixture at which its density is highest, (..., r, n)."""
    k = hills.means.shape[-3]
    heights = xp.stack([hills.height(hills.means[..., i, :, :]) for i in range(k)], axis=-2)  # (..., k, n)
    best = heights == heights.max(-2, keepdims=True)
    first = best & (xp.cumsum(best, axis=-2) == 1)
    return (first[..., None, :].astype(np.float32) * hills.means).sum(-3)
