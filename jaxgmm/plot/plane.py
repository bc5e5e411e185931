"""Scatter plots of rows over two features, coloured by component, responsibility or uncertainty; grids for more.

A Gaussian component is drawn as the ellipses that hold 50 and 90 % of its probability. With q = -2 log(1 - p), the
p-quantile of χ² with two degrees of freedom, the ellipse that holds p is { μ + √q L u : ‖u‖ = 1 }. Σ = L Lᵀ is the
marginal covariance of the two features.

Of more than 100,000 rows the plot is a two-dimensional histogram: a cell has the mean colour of its rows, and is the
more opaque the more rows it holds.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from .. import inference
from ..records import Model
from . import bars, palette, points
from .given import axes, covariances_of, discrete, grid, means_of, names_of, rows_of, single, weights_of

HELD = (0.5, 0.9)  # probability inside an ellipse
WIDTHS = (1.8, 1.2)  # of the ellipses' lines, in points
MOST_FEATURES = 6  # drawn by default
CIRCLE = np.linspace(0, 2 * np.pi, 181)[:-1]
GREYS = (0.82, 0.0)  # of a certain row, and of the most uncertain row that is possible


def classification(
    mixture: Model,
    x: Any,
    *,
    sample_weight: ArrayLike | None = None,
    columns: Sequence[str] | None = None,
    features: Sequence[int | str] | None = None,
    ax: Any = None,
) -> Any:
    """Axes with the rows coloured by their most probable component, and each component's mean and ellipses.

    Args:
        mixture: a `Mixture` of two features or more, or what holds one.
        x: (n, d) rows. More than 100,000 are drawn as a two-dimensional histogram in place of points. Counts and codes
            are moved by up to a quarter at random, so that equal rows can be seen.
        sample_weight: (n,) weights >= 0: the area of a point grows with its weight, histograms count weights, and rows
            of weight 0 are not drawn.
        columns: names of the d features; default those of the mixture or of a DataFrame.
        features: which features to draw, by number or name; default all, or the first six of more.
        ax: Axes, or an (m, m) array of them for m > 2 features; default a new figure.

    Returns:
        Axes: crosses are means; their area grows with the component's weight, and their numbers are those of `predict`.
        Ellipses hold 50 and 90 % of a Gaussian component. For m > 2 features an array (m, m) of Axes: pairs of features
        below the diagonal, and on it a histogram of each feature with the components' marginal densities, or
        probabilities of counts and codes. Above it are the legend and, if not all d are drawn, how many are.

    Raises:
        ValueError: one feature (see `histogram`), shapes that do not fit, unknown names, rows that are not finite.
    """
    mixture = single(mixture)
    seen = _seen(mixture, x, sample_weight, columns, features)
    labels = np.asarray(inference.predict(mixture, x))[seen.kept]
    rgb = palette.colours(mixture.n_components)

    def draw(ax, i, j):
        if len(labels) > points.MOST_POINTS:
            points.cells(ax, seen.rows[:, [i, j]], rgb[labels], seen.weight)
        else:
            area = points.areas(seen.weight)
            for k in np.unique(labels):
                own = labels == k
                points.scatter(ax, seen.rows[own][:, [i, j]], color=[rgb[k]], s=area[own], marker=palette.marker(k))
        _ellipses(ax, seen, [i, j], rgb)
        _means(ax, seen, [i, j], rgb)

    drawn = _draw_on(ax, seen, draw)
    held = [
        Line2D([], [], color="0.35", lw=width, label=f"holds {100 * part:.0f} % of it")
        for part, width in zip(HELD, WIDTHS, strict=True)
    ]
    mean = Line2D([], [], ls="", marker="X", mew=0, color="0.35", label="mean of a component")
    _explain(drawn, [mean, *(held if mixture.family.covariance is not None else [])])
    return drawn


def responsibilities(
    mixture: Model,
    x: Any,
    *,
    sample_weight: ArrayLike | None = None,
    columns: Sequence[str] | None = None,
    features: Sequence[int | str] | None = None,
    ax: Any = None,
) -> Any:
    """Axes with the rows coloured by the mean of the components' colours, weighted by responsibility.

    Args, Returns, Raises: as `classification`; without ellipses.
    """
    mixture = single(mixture)
    seen = _seen(mixture, x, sample_weight, columns, features)
    resp = np.asarray(inference.responsibilities(mixture, x), np.float64)[seen.kept]
    rgb = palette.colours(mixture.n_components)
    mixed = np.clip(resp @ rgb, 0, 1)  # (n, 3)

    def draw(ax, i, j):
        if len(mixed) > points.MOST_POINTS:
            points.cells(ax, seen.rows[:, [i, j]], mixed, seen.weight)
        else:
            points.scatter(ax, seen.rows[:, [i, j]], color=mixed, s=points.areas(seen.weight))
        _means(ax, seen, [i, j], rgb)

    return _draw_on(ax, seen, draw)


def uncertainty(
    mixture: Model,
    x: Any,
    *,
    sample_weight: ArrayLike | None = None,
    columns: Sequence[str] | None = None,
    features: Sequence[int | str] | None = None,
    ax: Any = None,
) -> Any:
    """Axes with the rows larger and darker the more uncertain their component: 1 - the largest responsibility.

    Args, Returns, Raises: as `classification`; without ellipses. The most uncertain rows lie on top.

    Source: Fraley and Raftery, mclust (1999): uncertainty plots.
    """
    mixture = single(mixture)
    seen = _seen(mixture, x, sample_weight, columns, features)
    doubt = 1 - np.asarray(inference.responsibilities(mixture, x), np.float64)[seen.kept].max(1)  # (n,)
    order = np.argsort(doubt, kind="stable")
    most = max(1 - 1 / mixture.n_components, 0.5)  # of one component there is no uncertainty: any scale will do
    grey = np.repeat(_grey(doubt[order] / most)[:, None], 3, axis=1)

    def draw(ax, i, j):
        rows = seen.rows[order][:, [i, j]]
        if len(rows) > points.MOST_POINTS:
            points.cells(ax, rows, grey, seen.weight[order], least=0.5)
        else:
            points.scatter(ax, rows, color=grey, s=_area(doubt[order] / most) * points.share(seen.weight[order]))
        _means(ax, seen, [i, j], palette.colours(mixture.n_components))

    drawn = _draw_on(ax, seen, draw)
    shown = [0, most / 2, most]
    dots = {"ls": "", "marker": "o", "mew": 0}
    ends = [
        Line2D([], [], **dots, color=str(_grey(u / most)), ms=_area(u / most) ** 0.5, label=f"{u:.2g}") for u in shown
    ]
    _explain(drawn, ends, title="uncertainty")
    return drawn


def _explain(drawn, handles, **options):
    """Draw the legend: in the plot, or in the empty corner of a grid."""
    if isinstance(drawn, np.ndarray):
        drawn[0, -1].legend(handles=handles, loc="upper right", fontsize="small", **options)
    else:  # matplotlib's search for the best place is slow among many points
        few = sum(len(each.get_offsets()) for each in drawn.collections) < 10_000
        drawn.legend(handles=handles, loc="best" if few else "upper right", fontsize="small", **options)


@dataclasses.dataclass(frozen=True, eq=False)
class _Seen:
    """The data of a picture: rows of positive weight, the features to draw, and the components."""

    rows: np.ndarray  # (n, d), counts and codes moved at random
    exact: np.ndarray  # (n, d), as they were passed
    weight: np.ndarray  # (n,)
    kept: np.ndarray  # whether each row that was passed has positive weight
    features: np.ndarray  # (m,)
    names: list
    weights: np.ndarray  # (k,)
    means: np.ndarray  # (k, d)
    mixture: Any


def _seen(mixture, x, sample_weight, columns, features) -> _Seen:
    exact = rows_of(x, mixture)
    d, weight = exact.shape[1], weights_of(sample_weight, exact)
    if d == 1:
        raise ValueError("x has one feature, and a plane needs two: use jaxgmm.plot.histogram")
    names = names_of(columns, x, mixture)
    features, kept = _chosen(features, names, d), weight > 0
    exact, weight = exact[kept], weight[kept]
    rows = exact
    if discrete(mixture, rows):
        rows = rows + np.random.default_rng(0).uniform(-0.25, 0.25, rows.shape)
    about = np.asarray(mixture.weights, np.float64), means_of(mixture)
    return _Seen(rows, exact, weight, kept, features, names, *about, mixture)


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
    """One plot for two features, a grid of plots for more; ``draw(ax, i, j)`` draws one."""
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
            bars.draw_marginal(cell, seen.mixture, seen.exact, seen.weight, seen.features[row])
        else:
            draw(cell, seen.features[column], seen.features[row])
            cell.autoscale_view()
    _align(cells, seen)
    m, d = len(seen.features), seen.rows.shape[1]
    if m < d:
        cells[0, 1].text(0, 1, f"{m} of {d} features", va="top", transform=cells[0, 1].transAxes, gid="shown")
    return cells


def _align(cells, seen: _Seen):
    """Give each row and column of a grid the same limits, and ticks and names at its edge alone."""
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


def _ellipses(ax, seen: _Seen, pair, rgb):
    covariances = covariances_of(seen.mixture, pair)
    if covariances is None:
        return
    for k in np.flatnonzero(seen.weights > 0):
        for held, width in zip(HELD, WIDTHS, strict=True):
            outline = seen.means[k, pair] + np.sqrt(-2 * np.log1p(-held)) * _unit_ellipse(covariances[k])
            style = {"ls": palette.line(k), "lw": width, "ec": 0.75 * rgb[k]}
            halo = [withStroke(linewidth=style["lw"] + 1.6, foreground="white", alpha=0.8)]
            ax.add_patch(Polygon(outline, fill=False, path_effects=halo, gid=f"ellipse {k} {held}", zorder=3, **style))


def _unit_ellipse(covariance):
    """L u for u around the unit circle, (180, 2): in closed form, which is exact in any units of the two features."""
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


def _area(share):
    return 6 + 44 * np.clip(share, 0, 1)


def _grey(share):
    return GREYS[0] + (GREYS[1] - GREYS[0]) * np.sqrt(np.clip(share, 0, 1))
