"""Contours of a mixture of two features, which bound its regions of highest density.

The region of mass p is { v : density(v) >= c_p }, where c_p is the (1 - p)-quantile of the density at draws from the
mixture.

Source: Hyndman, Computing and graphing highest density regions (1996), section 3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import inference
from ..records import Model
from . import palette, points
from .given import axes, covariances_of, discrete, means_of, names_of, rows_of, single, weights_of

MASSES = (0.25, 0.5, 0.75, 0.9)
DRAWS = 2**14  # the standard error of a mass is then at most 0.004
FINE = 201  # points of the grid along each feature
MOST_POINTS = 5_000  # rows drawn


def density(
    mixture: Model,
    x: Any,
    *,
    sample_weight: ArrayLike | None = None,
    columns: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Axes with rows, and contours around the regions of highest density that hold 25, 50, 75 and 90 % of the mass.

    Args:
        mixture: a `Mixture` of two continuous features, or what holds one.
        x: (n, 2) rows; at most 5,000 of them are drawn.
        sample_weight: (n,) weights >= 0: the area of a point grows with its weight, and rows of weight 0 are not drawn.
        columns: names of the two features; default those of the mixture or of a DataFrame.
        ax: Axes; default a new figure.

    Raises:
        ValueError: not two features, a family on integers, or rows that are not finite.
    """
    mixture = single(mixture)
    rows = rows_of(x, mixture)
    if rows.shape[1] != 2:
        raise ValueError(f"x has {rows.shape[1]} features, density draws two: use classification or histogram")
    if discrete(mixture, rows):
        raise ValueError(f"a mixture of family {mixture.family.name!r} has no density to draw: use classification")
    names, weight = names_of(columns, x, mixture), weights_of(sample_weight, rows)
    rows, weight = rows[weight > 0], weight[weight > 0]
    draws = np.asarray(inference.sample(0, mixture, DRAWS)[0], np.float64)
    levels = np.quantile(_log_density(mixture, draws), 1 - np.array(MASSES))
    across, up = (_ticks(mixture, rows, draws, j) for j in (0, 1))
    surface = _log_density(mixture, np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2))
    surface = np.clip(surface, levels.min() - 20, None).reshape(len(up), len(across))  # -inf has no contour

    ax = axes(ax)
    step = -(-len(rows) // MOST_POINTS)
    ax.scatter(*rows[::step].T, s=5 * points.share(weight)[::step], color="0.6", linewidths=0, gid="rows", zorder=1)
    ordered, first = np.unique(levels, return_index=True)
    shades = [palette.colours(1)[0] * share + (1 - share) for share in np.linspace(0.45, 1, len(ordered))]
    lines = ax.contour(across, up, surface, levels=ordered, colors=shades, linewidths=1.5, linestyles="-", zorder=2)
    words = [f"{100 * MASSES[i]:.0f} %" for i in first]
    ax.legend(lines.legend_elements()[0][::-1], words[::-1], title="mass inside", loc="best", fontsize="small")
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def _log_density(mixture, rows):
    return np.asarray(inference.log_prob(mixture, rows), np.float64)


def _ticks(mixture, rows, draws, j):
    """Grid points along feature j: evenly spaced, and closer around components that are narrower than the spacing."""
    low = min(rows[:, j].min(), np.quantile(draws[:, j], 0.005))
    high = max(rows[:, j].max(), np.quantile(draws[:, j], 0.995))
    margin = 0.08 * (high - low) or 1.0
    even = np.linspace(low - margin, high + margin, FINE)
    covariances = covariances_of(mixture, [j])
    if covariances is None:
        return even
    sd = np.sqrt(covariances[:, 0, 0])
    narrow = (sd < 3 * (even[1] - even[0])) & (np.asarray(mixture.weights) > 0)
    close = means_of(mixture)[narrow, j][:, None] + sd[narrow][:, None] * np.linspace(-3, 3, 13)
    return np.unique(np.concatenate([even, close.ravel()]))
