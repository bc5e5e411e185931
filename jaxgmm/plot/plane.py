"""Rows in the plane of two features, coloured by what a mixture says of them; a grid of planes for more features.

A Gaussian component is drawn as the ellipses that hold 50 and 90 % of it. With q = -2 log(1 - p), the p-quantile of χ²
with two degrees of freedom, such an ellipse is { μ + √q L u : ‖u‖ = 1 }, Σ = L Lᵀ the block of its covariance that
belongs to the two features: the covariance of the marginal.

Above 100,000 rows a plane is cut into cells, whose colour is that of the mean of their rows and whose strength is their
number.
"""

import dataclasses
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from .. import inference
from . import palette
from .given import axes, covariances_of, discrete, grid, means_of, mixture_of, names_of, rows_of

HELD = (0.5, 0.9)  # probability inside an ellipse
MOST_POINTS = 100_000
MOST_FEATURES = 6
CELLS = 200
CIRCLE = np.linspace(0, 2 * np.pi, 181)[:-1]
GREYS = (0.82, 0.0)  # of a row without doubt, and of one as uncertain as can be


def classification(mixture, x, *, columns=None, features=None, ax=None):
    """Axes with the rows coloured by their most probable component, ellipses and means.

    Args:
        mixture: a `Mixture`, `FitResult` or fitted estimator of two features or more. Components that are not Gaussian
            have no ellipses.
        x: (n, d) rows. Above 100,000 of them a two-dimensional histogram takes the place of points. Integers of a
            discrete family are scattered by up to a quarter, so that equal rows can be seen.
        columns: names of the d features; default those of a DataFrame.
        features: which features to draw, by number or name; default all, or the first six of more.
        ax: Axes, or an (m, m) array of them for m > 2 features; default a new figure.

    Returns:
        Axes: crosses are means, in area growing with the weight, and are numbered as `predict` numbers components. For
        m > 2 features an array (m, m): pairs below the diagonal, histograms with the components' marginal densities on
        it, nothing above.

    Raises:
        ValueError: one feature (see `histogram`), shapes that do not fit, names that are not there, rows not finite.
    """
    mixture = mixture_of(mixture)
    labels = np.asarray(inference.predict(mixture, x))
    seen = _seen(mixture, x, columns, features)
    rgb = palette.colours(mixture.n_components)

    def draw(ax, i, j):
        if len(labels) > MOST_POINTS:
            _cells(ax, seen.rows[:, [i, j]], rgb[labels])
        else:
            for k in np.unique(labels):
                rows = seen.rows[labels == k][:, [i, j]]
                _points(ax, rows, color=[rgb[k]], s=_even(len(labels)), marker=palette.marker(k))
        _ellipses(ax, seen, [i, j], rgb)
        _means(ax, seen, [i, j], rgb)

    return _draw_on(ax, seen, draw)


def responsibilities(mixture, x, *, columns=None, features=None, ax=None):
    """Axes with the rows in their components' colours, mixed by responsibility.

    Args, Returns, Raises: as `classification`; without ellipses.
    """
    mixture = mixture_of(mixture)
    resp = np.asarray(inference.responsibilities(mixture, x), np.float64)
    seen = _seen(mixture, x, columns, features)
    rgb = palette.colours(mixture.n_components)
    mixed = np.clip(resp @ rgb, 0, 1)  # (n, 3)

    def draw(ax, i, j):
        if len(mixed) > MOST_POINTS:
            _cells(ax, seen.rows[:, [i, j]], mixed)
        else:
            _points(ax, seen.rows[:, [i, j]], color=mixed, s=_even(len(mixed)))
        _means(ax, seen, [i, j], rgb)

    return _draw_on(ax, seen, draw)


def uncertainty(mixture, x, *, columns=None, features=None, ax=None):
    """Axes with the rows larger and darker the less certain their component is: 1 - max responsibility.

    Args, Returns, Raises: as `classification`; without ellipses. The most uncertain rows lie on top.

    Source: Fraley and Raftery, mclust (1999): uncertainty plots.
    """
    mixture = mixture_of(mixture)
    doubt = 1 - np.asarray(inference.responsibilities(mixture, x), np.float64).max(1)  # (n,)
    seen = _seen(mixture, x, columns, features)
    order = np.argsort(doubt, kind="stable")
    most = max(1 - 1 / mixture.n_components, 0.5)  # one component: no doubt anywhere
    grey = np.repeat(_grey(doubt[order] / most)[:, None], 3, axis=1)

    def draw(ax, i, j):
        rows = seen.rows[order][:, [i, j]]
        if len(rows) > MOST_POINTS:
            _cells(ax, rows, grey, least=0.5)
        else:
            _points(ax, rows, color=grey, s=_area(doubt[order] / most))
        _means(ax, seen, [i, j], palette.colours(mixture.n_components))

    drawn = _draw_on(ax, seen, draw)
    shown = [0, most / 2, most]
    dots = {"ls": "", "marker": "o", "mew": 0}
    ends = [
        Line2D([], [], **dots, color=str(_grey(u / most)), ms=_area(u / most) ** 0.5, label=f"{u:.2g}") for u in shown
    ]
    corner = drawn if len(seen.features) == 2 else drawn[0, -1]
    corner.legend(handles=ends, title="uncertainty", loc="best" if len(seen.features) == 2 else "upper right")
    return drawn


@dataclasses.dataclass(frozen=True, eq=False)
class _Seen:
    """What is drawn: rows (n, d), which features, what they are called, and the components."""

    rows: np.ndarray
    features: np.ndarray  # (m,)
    names: list
    weights: np.ndarray  # (k,)
    means: np.ndarray  # (k, d)
    mixture: Any


def _seen(mixture, x, columns, features) -> _Seen:
    rows = rows_of(x)
    d = rows.shape[1]
    if d == 1:
        raise ValueError("x has one feature, and a plane needs two: use jaxgmm.plot.histogram")
    names = names_of(columns, x, d)
    features = _chosen(features, names, d)
    if discrete(mixture, rows):
        rows = rows + np.random.default_rng(0).uniform(-0.25, 0.25, rows.shape)
    return _Seen(rows, features, names, np.asarray(mixture.weights, np.float64), means_of(mixture), mixture)


def _chosen(features, names, d) -> np.ndarray:
    """Numbers of the features to draw."""
    if features is None:
        return np.arange(min(d, MOST_FEATURES))
    chosen = [names.index(feature) if feature in names else feature for feature in features]
    known = all(isinstance(j, (int, np.integer)) and not isinstance(j, bool) and 0 <= j < d for j in chosen)
    if not known or len(set(chosen)) < max(len(chosen), 2):
        raise ValueError(
            f"features must be two or more different ones of {', '.join(names)}, by name or number (0 to {d - 1}); "
            f"got {features!r}"
        )
    return np.array(chosen)


def _draw_on(ax, seen: _Seen, draw):
    """One plane for two features, a grid of them for more."""
    if len(seen.features) == 2:
        ax = axes(ax)
        i, j = seen.features
        draw(ax, i, j)
        ax.set(xlabel=seen.names[i], ylabel=seen.names[j])
        ax.autoscale_view()
        return ax
    cells = grid(ax, len(seen.features))
    for (row, column), cell in np.ndenumerate(cells):
        if column > row:
            cell.set_axis_off()
        elif column == row:
            _marginal(cell, seen, seen.features[row])
        else:
            draw(cell, seen.features[column], seen.features[row])
            cell.autoscale_view()
    _align(cells, seen)
    return cells


def _align(cells, seen: _Seen):
    """Equal limits along columns and rows; ticks and names at the edges alone."""
    last = len(cells) - 1
    for (row, column), cell in np.ndenumerate(cells):
        if column > row:
            continue
        limits = cells[last, column].get_xlim() if column < last else cells[last, 0].get_ylim()
        cell.set_xlim(limits)
        if column < row:
            cell.set_ylim(cells[row, 0].get_ylim())
        else:
            cell.set_yticks([])
        cell.tick_params(labelbottom=row == last, labelleft=column == 0)
        cell.set_xlabel(seen.names[seen.features[column]] if row == last else "")
        cell.set_ylabel(seen.names[seen.features[row]] if column == 0 and row > 0 else "")


def _points(ax, rows, *, color, s, marker="o"):
    look = {"alpha": 0.7, "linewidths": 0, "rasterized": len(rows) > 10_000, "gid": "rows", "zorder": 1}
    ax.scatter(*rows.T, c=color, s=s, marker=marker, **look)


def _even(n):
    """The area of one of n points."""
    return np.clip(40_000 / n, 2, 22)


def _cells(ax, rows, colours, least=0.15):
    """The mean colour of the rows of every cell, stronger where there are more of them."""
    low, high = rows.min(0), rows.max(0)
    width = np.where(high > low, high - low, 1)
    column, row = np.minimum(((rows - low) / width * CELLS).astype(int), CELLS - 1).T
    place = row * CELLS + column
    counts = np.bincount(place, minlength=CELLS**2)
    image = np.zeros((CELLS**2, 4))
    for channel in range(3):
        sums = np.bincount(place, colours[:, channel], minlength=CELLS**2)
        image[:, channel] = np.clip(sums / np.maximum(counts, 1), 0, 1)
    image[:, 3] = np.where(counts > 0, least + (1 - least) * np.sqrt(counts / counts.max()), 0)
    extent = (low[0], low[0] + width[0], low[1], low[1] + width[1])
    image = image.reshape(CELLS, CELLS, 4)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest", gid="rows", zorder=1)


def _ellipses(ax, seen: _Seen, pair, rgb):
    covariances = covariances_of(seen.mixture, pair)
    if covariances is None:
        return
    for k in np.flatnonzero(seen.weights > 0):
        for held in HELD:
            outline = seen.means[k, pair] + np.sqrt(-2 * np.log1p(-held)) * _unit_ellipse(covariances[k])
            style = {"ls": palette.line(k), "lw": 1.8 if held == HELD[0] else 1.2, "ec": 0.75 * rgb[k]}
            halo = [withStroke(linewidth=style["lw"] + 1.6, foreground="white", alpha=0.8)]
            ax.add_patch(Polygon(outline, fill=False, path_effects=halo, gid=f"ellipse {k} {held}", zorder=3, **style))


def _unit_ellipse(covariance):
    """L u for u around the unit circle, (180, 2): in closed form, right whatever the units of the two features are."""
    sx, sy = np.sqrt(np.diag(covariance))
    rho = np.clip(covariance[0, 1] / max(sx * sy, np.finfo(float).tiny), -1, 1)
    cos, sin = np.cos(CIRCLE), np.sin(CIRCLE)
    return np.stack([sx * cos, sy * (rho * cos + np.sqrt(1 - rho**2) * sin)], axis=1)


def _means(ax, seen: _Seen, pair, rgb):
    """A cross at every mean, its area growing with the weight, and its number."""
    places, alive = seen.means[:, pair], seen.weights > 0
    area = 25 + 250 * seen.weights
    look = {"marker": "X", "edgecolors": "white", "linewidths": 0.9, "zorder": 4, "gid": "means"}
    ax.scatter(*places[alive].T, s=area[alive], c=0.6 * rgb[alive], **look)
    halo = [withStroke(linewidth=2.2, foreground="white")]
    for k in np.flatnonzero(alive):
        offset = (2 + area[k] ** 0.5 / 2,) * 2
        ax.annotate(
            str(k), places[k], offset, textcoords="offset points", color=palette.INK, fontsize="small",
            path_effects=halo, zorder=5, annotation_clip=True,
        )  # fmt: skip


def _marginal(ax, seen: _Seen, feature):
    """The histogram of a feature, and the components' marginal densities where they are Gaussian."""
    values = seen.rows[:, feature]
    low, high = values.min(), values.max()
    whole = discrete(seen.mixture, seen.rows) and high - low < 200
    bins = np.arange(np.floor(low + 0.5) - 0.5, high + 1) if whole else 40  # one an integer
    ax.hist(values, bins=bins, density=True, color=palette.PAPER, gid="rows")
    covariances = covariances_of(seen.mixture, [feature])
    if covariances is None:
        return
    top = ax.get_ylim()[1]
    for k, colour in enumerate(palette.colours(len(seen.weights))):
        mean, sd = seen.means[k, feature], np.sqrt(covariances[k, 0, 0])
        z = np.linspace(-4, 4, 161)
        height = seen.weights[k] * np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi))
        ax.plot(mean + sd * z, height, color=colour, ls=palette.line(k), lw=1.4, gid=f"component {k}")
        top = max(top, min(1.05 * height.max(), 2 * top))
    ax.set_ylim(0, top)


def _area(share):
    return 6 + 44 * np.clip(share, 0, 1)


def _grey(share):
    return GREYS[0] + (GREYS[1] - GREYS[0]) * np.sqrt(np.clip(share, 0, 1))
