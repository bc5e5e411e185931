"""One feature: how often its values occur, and what the mixture says of them."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import inference
from . import palette
from .given import axes, covariances_of, discrete, means_of, mixture_of, names_of, possible, rows_of

MOST_TICKS = 500
MOST_BINS = 150
MOST_NAMED = 10  # components in the legend
MOST_BARS = 400
FINE = 800  # points of a curve before those at its narrow places


def histogram(mixture, x, *, columns=None, ax=None):
    """Axes with the histogram of one feature, the density of every weighted component, and their total.

    Args:
        mixture: a `Mixture`, `FitResult` or fitted estimator of one feature.
        x: (n, 1) rows.
        columns: the name of the feature; default that of a DataFrame.
        ax: Axes; default a new figure.

    Returns:
        Axes: bars of area 1 and a rug of the rows (500 of them where there are more, at equal ranks). Families on
        integers have a bar and a point at every integer instead, the share of the rows and the probability; where
        they reach over more than 400, a bar is the mean of several.

    Raises:
        ValueError: more than one feature (see `classification`), or rows that are not finite.
    """
    mixture = mixture_of(mixture)
    inference.log_prob(mixture, x)  # says what is wrong with x
    rows = rows_of(x)
    if rows.shape[1] != 1:
        raise ValueError(f"x has {rows.shape[1]} features, a histogram shows one: use jaxgmm.plot.classification")
    (name,), ax, values = names_of(columns, x, 1), axes(ax), rows[:, 0]
    top = (_integers if discrete(mixture, rows) else _curves)(ax, mixture, values)
    ax.set_ylim(0, top)
    ax.set_xlabel(name)
    ax.legend(loc="best", fontsize="small")
    return ax


def _integers(ax, mixture, values):
    low, high = int(values.min()), int(values.max())
    step = 1 + (high - low) // MOST_BARS
    at = np.arange(low, high + 1, step)
    shares = np.bincount((values - low).astype(int) // step, minlength=len(at)) / (len(values) * step)
    ax.bar(at + (step - 1) / 2, shares, width=0.8 * step, color=palette.PAPER, label="rows", gid="rows")
    total = _draw(ax, mixture, at, {"lw": 0.8, "ms": 4.5} if step == 1 else {"lw": 1.8, "marker": ""})
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("probability")
    return 1.12 * max(shares.max(), total.max())


def _curves(ax, mixture, values):
    bars, edges = np.histogram(values, bins=_bins(values), density=True)
    ax.stairs(bars, edges, fill=True, color=palette.PAPER, label="rows", gid="rows")
    total = _draw(ax, mixture, _abscissae(mixture, values), {"lw": 1.8, "marker": ""})
    ticks = np.sort(values)[np.linspace(0, len(values) - 1, min(len(values), MOST_TICKS)).round().astype(int)]
    rug = {"transform": ax.get_xaxis_transform(), "gid": "rug", "clip_on": False}
    bold = {"ms": 9, "mew": 1.3, "alpha": 0.9} if len(ticks) <= 50 else {"ms": 6, "mew": 0.7, "alpha": 0.6}
    ax.plot(ticks, np.full(len(ticks), 0.012), "|", color=palette.INK, **bold, **rug)
    ax.set_ylabel("density")
    return 1.08 * max(bars.max(), min(total.max(), 3 * bars.max()))  # a spike may leave the picture


def _draw(ax, mixture, at, look):
    """Every component with weight, and the total; the latter is returned."""
    k = mixture.n_components
    heights = np.exp(np.asarray(inference.joint_log_prob(mixture, at[:, None].astype(np.float64)), np.float64))
    weights, colours = np.asarray(mixture.weights), palette.colours(k)
    for i in np.flatnonzero(weights > 0):
        label = f"component {i}: {weights[i]:.2f}" if k <= MOST_NAMED else None
        style = {"marker": palette.marker(i), "ls": palette.line(i), "color": colours[i], **look}
        ax.plot(at, heights[:, i], label=label, gid=f"component {i}", zorder=3, **style)
    total = heights.sum(1)
    wide = {"lw": 2.5 * look["lw"], "alpha": 0.4, "zorder": 2}  # where it is one component's, both are seen
    ax.plot(at, total, **wide, color=palette.INK, label="mixture", gid="total")
    return total


def _bins(values):
    """Freedman and Diaconis (1981), within reason: clusters far apart make their bins too wide."""
    low, quarter, three, high = np.quantile(values, [0, 0.25, 0.75, 1])
    width = 2 * (three - quarter) / len(values) ** (1 / 3)
    least = np.clip(len(values) ** 0.5, 8, 40)
    return int(np.clip((high - low) / width, least, MOST_BINS)) if width > 0 else int(least)


def _abscissae(mixture, values):
    """Where the curves are computed: evenly, at rows, and closely around Gaussian components, however narrow."""
    low, high = values.min(), values.max()
    room = (high - low) or 1.0
    near = [np.quantile(values, np.linspace(0, 1, 200))]
    ends = np.array([low - 0.25 * room, high + 0.25 * room])
    covariances = covariances_of(mixture, [0])
    if covariances is not None:
        alive = np.asarray(mixture.weights) > 0
        means, sds = means_of(mixture)[alive], np.sqrt(covariances[alive, 0])  # (k, 1)
        near.append((means + sds * np.linspace(-7, 7, 141)).ravel())
        ends = np.array([min(ends[0], (means - 4 * sds).min()), max(ends[1], (means + 4 * sds).max())])
        ends = np.clip(ends, low - room, high + room)  # a component far away must not shrink the rows to nothing
    points = np.concatenate([np.linspace(*ends, FINE), *near])
    inside = (points >= ends[0]) & (points <= ends[1]) & possible(mixture, points[:, None])[:, 0]
    return np.unique(points[inside])
