"""The picture of a mixture of one feature: a histogram of the rows under the density of every component."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .. import inference
from ..records import Model
from . import bars, palette
from .given import axes, covariances_of, discrete, means_of, names_of, possible, rows_of, single, weights_of

MOST_TICKS = 500  # of the rug
MOST_NAMED = 10  # components in the legend
MOST_BARS = 400  # of a family on integers
FINE = 800  # evenly spaced points of a curve; narrow components add more


def histogram(
    mixture: Model,
    x: Any,
    *,
    sample_weight: ArrayLike | None = None,
    columns: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Axes with the histogram of one feature, the density of every weighted component, and their total.

    Args:
        mixture: a `Mixture` of one feature, or what holds one.
        x: (n, 1) rows.
        sample_weight: (n,) weights >= 0, counted by the bars; rows of weight 0 are not drawn.
        columns: the name of the feature; default that of the mixture or of a DataFrame.
        ax: Axes; default a new figure.

    Returns:
        Axes: bars of total area 1, and a rug of the rows: of more than 500 rows, the 500 at evenly spaced weighted
        quantiles, which the legend says. The edges of bars fit the grid of rounded values. For a family on integers
        every integer has a bar, the share of the rows, and a point for each component, its weighted probability; over
        more than 400 integers, a bar is the mean of several.

    Raises:
        ValueError: more than one feature (see `classification`), or rows that are not finite.
    """
    mixture = single(mixture)
    rows = rows_of(x, mixture)
    if rows.shape[1] != 1:
        raise ValueError(f"x has {rows.shape[1]} features, a histogram shows one: use jaxgmm.plot.classification")
    (name,), weight = names_of(columns, x, mixture), weights_of(sample_weight, rows)
    ax, kept = axes(ax), weight > 0
    top = (_integers if discrete(mixture, rows) else _curves)(ax, mixture, rows[kept, 0], weight[kept])
    ax.set_ylim(0, top)
    ax.set_xlabel(name)
    ax.legend(loc="best", fontsize="small")
    return ax


def _counted(values, weight) -> str:
    even = (weight == 1).all()
    return f"{len(values):,} rows" if even else f"{len(values):,} rows of weight {weight.sum():,.6g}"


def _integers(ax, mixture, values, weight):
    low, high = int(values.min()), int(values.max())
    step = 1 + (high - low) // MOST_BARS
    at = np.arange(low, high + 1, step)
    shares = np.bincount((values - low).astype(int) // step, weight, minlength=len(at)) / (weight.sum() * step)
    ax.bar(
        at + (step - 1) / 2, shares, width=0.8 * step, color=palette.PAPER, label=_counted(values, weight), gid="rows"
    )
    total = _draw(ax, mixture, at, {"lw": 0.8, "ms": 4.5} if step == 1 else {"lw": 1.8, "marker": ""})
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("probability")
    return 1.12 * max(shares.max(), total.max())


def _curves(ax, mixture, values, weight):
    edges = bars.edges_of(values, weight)
    heights = bars.heights_of(values, weight, edges)
    ax.stairs(heights, edges, fill=True, color=palette.PAPER, label=_counted(values, weight), gid="rows")
    total = _draw(ax, mixture, _abscissae(mixture, values), {"lw": 1.8, "marker": ""})
    ticks, thinned = values, len(values) > MOST_TICKS
    if thinned:
        ticks = bars.quantiles(values, weight, (np.arange(MOST_TICKS) + 0.5) / MOST_TICKS)
    rug = {"transform": ax.get_xaxis_transform(), "gid": "rug", "clip_on": False}
    bold = {"ms": 9, "mew": 1.3, "alpha": 0.9} if len(ticks) <= 50 else {"ms": 6, "mew": 0.7, "alpha": 0.6}
    label = f"{MOST_TICKS} of the rows" if thinned else None
    ax.plot(ticks, np.full(len(ticks), 0.012), "|", color=palette.INK, label=label, **bold, **rug)
    ax.set_ylabel("density")
    return 1.08 * max(heights.max(), min(total.max(), 3 * heights.max()))  # a spike may be cut off


def _draw(ax, mixture, at, look):
    """Draw every component of positive weight and the total; the heights of the total (m,) at the points ``at``."""
    k = mixture.n_components
    heights = np.exp(np.asarray(inference.joint_log_prob(mixture, at[:, None].astype(np.float64)), np.float64))
    weights, colours = np.asarray(mixture.weights), palette.colours(k)
    for i in np.flatnonzero(weights > 0):
        label = f"component {i}: {weights[i]:.2f}" if k <= MOST_NAMED else None
        style = {"marker": palette.marker(i), "ls": palette.line(i), "color": colours[i], **look}
        ax.plot(at, heights[:, i], label=label, gid=f"component {i}", zorder=3, **style)
    total = heights.sum(1)
    wide = {"lw": 2.5 * look["lw"], "alpha": 0.4, "zorder": 2}  # visible behind a component that makes up the total
    ax.plot(at, total, **wide, color=palette.INK, label="mixture", gid="total")
    return total


def _abscissae(mixture, values):
    """Points of the curves: evenly spaced, at quantiles of the rows, and close together around Gaussian components."""
    low, high = values.min(), values.max()
    span = (high - low) or 1.0
    near = [np.quantile(values, np.linspace(0, 1, 200))]
    ends = np.array([low - 0.25 * span, high + 0.25 * span])
    covariances = covariances_of(mixture, [0])
    if covariances is not None:
        alive = np.asarray(mixture.weights) > 0
        means, sds = means_of(mixture)[alive], np.sqrt(covariances[alive, 0])  # (k, 1)
        near.append((means + sds * np.linspace(-7, 7, 141)).ravel())
        ends = np.array([min(ends[0], (means - 4 * sds).min()), max(ends[1], (means + 4 * sds).max())])
        ends = np.clip(ends, low - span, high + span)  # a component far away would press the rows together
    points = np.concatenate([np.linspace(*ends, FINE), *near])
    inside = (points >= ends[0]) & (points <= ends[1]) & possible(mixture, points[:, None])[:, 0]
    return np.unique(points[inside])
