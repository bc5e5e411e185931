"""Where the density of a mixture is high: its modes, and the level that bounds its region of highest density.

The region of mass m is { x : log p(x) >= c }, and c the (1 - m)-quantile of log p at draws from p. Its standard error
is half the distance of two further quantiles: a standard deviation, of how many draws lie below c, on either side.

Source: Carreira-Perpiñán (2000), see `climbing`; Hyndman, Computing and graphing highest density regions (1996),
section 3.
"""

import numpy as np

from ..inference import log_prob
from ..numerics import host, triangular_inverse
from ..numerics.backend import xp
from ..numerics.derivatives import without_derivatives
from ..numerics.keys import as_key
from . import arguments
from .climbing import Hills, climbed
from .drawing import DRAWS, draws, log_densities
from .normals import each_its_own, normals
from .running import given_out, precision_of

REACH, FINE = 4, 8  # standard deviations around a mean, and points in each, at which one dimension is looked at
LEVEL = 1e-10  # of the curvature of a component: none
FLAT = 1e-13  # a dip of the log density that may be rounding
NEAR = 1e-4  # standard deviations of the narrowest component: modes that lie closer together are one
CLOSE = 0.1  # of them: those between which the density has no dip are one


def density_level(key, mixture, mass, *, n: int = DRAWS):
    """The log density that bounds the region of highest density that holds this mass, and its standard error.

    Args:
        key: a JAX key or an int seed.
        mixture: a `Mixture`, or what holds one.
        mass: a probability strictly between 0 and 1.
        n: how many draws are made.

    Returns:
        (level, standard_error): a row is in the region where `log_prob` is at least the level. Without derivatives: one
        that is asked for is an error.

    Raises:
        ValueError: a mass outside (0, 1), a batch of mixtures (use `jax.vmap`).

    Cost: n densities.
    """
    mixture = arguments.single(arguments.mixture_of(mixture))
    mass = arguments.probabilities(mass, "mass")
    if mass.ndim:
        raise ValueError(f"mass must be one number, got shape {mass.shape}")
    with precision_of(mixture):
        log_p = without_derivatives(log_densities(mixture, draws(as_key(key), mixture, n)), "density_level")
        mass = mass.astype(log_p.dtype)
        deviation = xp.sqrt(mass * (1 - mass) / n)
        at = xp.clip(1 - mass + deviation * np.array([0, -1, 1], log_p.dtype), 0, 1)
        level, low, high = (xp.quantile(log_p, at[i]) for i in range(3))
        return level, (high - low) / 2


def modes(mixture):
    """The modes of a Gaussian mixture that are reached from its means, by decreasing density.

    Args:
        mixture: a Gaussian `Mixture`, or what holds one, of concrete numbers: the function runs in NumPy, in float64.

    Returns:
        (modes (m, d), log densities (m,)): every local maximum once. Of one feature all there are; of several the
        density may have further ones, which no mean leads to, though that is rare.

    Raises:
        ValueError: a mixture that is not Gaussian, a batch, or a trace (jit, vmap, grad).

    Cost: O(k²·d² + k·d³) for each of about 200 steps.
    """
    mixture = arguments.single(arguments.gaussian(mixture, "modes are those of Gaussian components"))
    dtype, wide = mixture.log_weights.dtype, arguments.in_numpy(mixture, "modes")
    with host.on_host():
        found = each_its_own(normals(wide, "dd"))
        held = found.log_weights > -np.inf
        log_weights, means, spread = found.log_weights[held], found.means[held], found.spread[held]
        inverses = triangular_inverse(np.linalg.cholesky(spread))
        hills = Hills(log_weights[:, None], means[:, :, None], inverses)
        starts = _starts(hills, means, spread)
        ends = _off_saddles(hills, climbed(hills, starts.T))
        points = _distinct(hills, ends.T, np.sqrt(np.linalg.eigvalsh(spread).min()))
    heights = np.asarray(log_prob(wide, points))
    order = np.argsort(-heights, kind="stable")
    with precision_of(mixture):
        return given_out((points[order].astype(dtype), heights[order].astype(dtype)))


def _starts(hills, means, spread):
    """The means; of one feature the tops of a grid that is fine around every mean."""
    if means.shape[1] > 1:
        return means
    sd = np.sqrt(spread[:, 0])
    around = np.linspace(-REACH, REACH, 2 * REACH * FINE + 1)
    grid = np.unique(means + sd * around[None])
    heights = np.pad(hills.height(grid[None]), 1, constant_values=-np.inf)
    return grid[(heights[1:-1] >= heights[:-2]) & (heights[1:-1] >= heights[2:]), None]


def _off_saddles(hills, x):
    """Points (d, n) at which the density curves upwards in some direction, moved along it and climbed again."""
    _, mixed, curvature = hills.slopes(x)
    values, vectors = np.linalg.eigh(curvature)
    scale = np.sqrt(1 / np.linalg.eigvalsh(mixed)[:, -1])
    upwards = values[:, 0] < 0
    if not upwards.any():
        return x
    moves = (0.1 * scale[:, None] * vectors[:, :, 0])[upwards].T
    again = np.concatenate([x[:, upwards] + moves, x[:, upwards] - moves], axis=1)
    return np.concatenate([x[:, ~upwards], climbed(hills, again)], axis=1)


def _distinct(hills, points, narrowest):
    """Maxima (m, d), each once: the highest of those that lie together, which may be anywhere on a flat top."""
    heights = hills.height(points.T)
    _, mixed, curvature = hills.slopes(points.T)
    maxima = np.linalg.eigvalsh(curvature)[:, 0] > -LEVEL * np.linalg.eigvalsh(mixed)[:, -1]
    along, kept = np.linspace(0.1, 0.9, 9), []

    def apart(i, j):
        distance = np.sqrt(((points[i] - points[j]) ** 2).sum())
        if distance > CLOSE * narrowest or distance < NEAR * narrowest:
            return distance > NEAR * narrowest
        between = points[i][:, None] + (points[j] - points[i])[:, None] * along
        least = min(heights[i], heights[j])
        return hills.height(between).min() < least - FLAT * (1 + abs(least))

    for i in np.argsort(-heights, kind="stable"):
        if maxima[i] and all(apart(i, j) for j in kept):
            kept.append(i)
    return points[kept]
