"""The modes of a mixture, and the density level that bounds its region of highest density.

The region of mass m is { x : log p(x) >= c }. c is the (1 - m)-quantile of log p at n draws from p. The number of draws
below c has the standard deviation s = √(n m (1 - m)); the standard error of c is half the distance between the
quantiles s draws below and s draws above.

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

REACH, FINE = 4, 8  # the grid for one feature: standard deviations on each side of a mean, points in each of them
LEVEL = 1e-10  # curvatures smaller than this share of the components' count as 0
FLAT = 1e-13  # a smaller relative dip of the log density may be rounding
NEAR = 1e-4  # in standard deviations of the narrowest component: modes closer than this are one
CLOSE = 0.1  # in the same unit: modes closer than this are one unless the density dips between them


def density_level(key, mixture, mass, *, n: int = DRAWS):
    """The log density that bounds the region of highest density of this mass, and its standard error.

    Args:
        key: a JAX key or an int seed.
        mixture: a `Mixture`, or what holds one.
        mass: a probability strictly between 0 and 1.
        n: number of draws.

    Returns:
        (level, standard_error): the region holds the rows whose `log_prob` is at least the level.

    Raises:
        ValueError: a mass outside (0, 1), a batch of mixtures (use `jax.vmap`), or a derivative: there is none.

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
    """The modes of a Gaussian mixture, by decreasing density.

    Args:
        mixture: a Gaussian `Mixture`, or what holds one, of concrete numbers: the function runs in NumPy, in float64.

    Returns:
        (modes (m, d), log densities (m,)): every local maximum that a climb from a mean reaches, once. For one feature
        these are all; for several features there may, rarely, be others.

    Raises:
        ValueError: a mixture that is not Gaussian, a batch, or a trace (jit, vmap, grad).

    Cost: O(k²·d² + k·d³) for each of about 200 steps.
    """
    mixture = arguments.single(arguments.gaussian(mixture, "modes are those of Gaussian components"))
    dtype, wide = mixture.log_weights.dtype, arguments.as_numpy(mixture, "modes")
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
    """Where climbs start: the means; for one feature the local maxima on a grid that is fine around every mean."""
    if means.shape[1] > 1:
        return means
    sd = np.sqrt(spread[:, 0])
    around = np.linspace(-REACH, REACH, 2 * REACH * FINE + 1)
    grid = np.unique(means + sd * around[None])
    heights = np.pad(hills.height(grid[None]), 1, constant_values=-np.inf)
    return grid[(heights[1:-1] >= heights[:-2]) & (heights[1:-1] >= heights[2:]), None]


def _off_saddles(hills, x):
    """The ends (d, n) of climbs, without saddles.

    An end at which the density curves upwards in some direction is replaced by the ends of two further climbs, which
    start beside it on either side.
    """
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
    """The maxima (m, d) among points, each once: of points that belong to one maximum, the highest."""
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
