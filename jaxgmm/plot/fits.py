"""Pictures of fits: the criterion by number of components, the log-likelihood by iteration, and the ends of starts."""

import functools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..records import Selection, Status
from . import palette
from .given import axes

SOUND = (Status.CONVERGED, Status.MAX_ITER, Status.STOPPED)
SAME_END = 1e-5  # relative difference of log-likelihoods: starts that end closer have found the same maximum


def selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """Axes with the criterion against K, one line a family, and a ring around the best fit.

    Args:
        selection: what `jaxgmm.select` returned.
        ax: Axes; default a new figure.

    Returns:
        Axes: a line is broken where a fit is degenerate or failed, and a faint cross marks the criterion of such a fit.
        A band reaches from the criterion of a fit to that of its median start; the criteria of the starts differ by
        their log-likelihoods alone, also for ICL, because their responsibilities are not kept. The limits of the axis
        show all fits of the best fit's family and the best fit of every family. Triangles at the edge mark fits above
        the view, and degenerate fits below it. They follow the view when its limits change, by ``ax.set_ylim`` or by
        hand.

    Raises:
        ValueError: selection is not a Selection.
    """
    if not isinstance(selection, Selection):
        raise ValueError(f"selection must be a jaxgmm.Selection, got {type(selection).__name__}")
    ax, table, criterion = axes(ax), selection.table, selection.criterion
    names, sizes = (np.array([row[key] for row in table]) for key in ("family", "n_components"))
    scores = np.array([row[criterion] for row in table], float)
    sound = np.array([result.status in SOUND for result in selection.results])
    shown, spreads = sound & np.isfinite(scores), np.array([_spread(result) for result in selection.results])
    for i, family in enumerate(dict.fromkeys(names)):
        cells = np.flatnonzero(names == family)
        cells = cells[np.argsort(sizes[cells], kind="stable")]
        ks, values, spread = sizes[cells], scores[cells], spreads[cells]
        line = np.where(shown[cells], values, np.nan)
        colour = palette.colours(i + 1)[i]
        marker = palette.MARKERS[i % len(palette.MARKERS)]
        ax.plot(ks, line, color=colour, marker=marker, ms=4.5, lw=1.4, ls=palette.line(i), label=family, zorder=3)
        if (spread > 0).any():
            ax.fill_between(ks, line, line + spread, color=colour, alpha=0.15, lw=0, gid=f"restarts {family}", zorder=1)
        failed = np.isfinite(values) & ~shown[cells]
        if failed.any():
            marks = {"marker": "x", "s": 18, "color": [colour], "alpha": 0.45, "gid": "degenerate"}
            ax.scatter(ks[failed], values[failed], **marks)
    if not sound.all():
        ax.scatter([], [], marker="x", s=18, color="0.6", label="degenerate or failed")
    if (spreads > 0).any():
        ax.fill_between([], [], [], color="0.5", alpha=0.25, lw=0, label="up to the median start")
    _ring(ax, selection)
    _limit(ax, selection, shown)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="number of components", ylabel=f"{criterion.upper()} (lower is better)")
    _explain(ax)
    mark = functools.partial(_mark_beyond, table=table, criterion=criterion)
    mark(ax)
    ax.callbacks.connect("ylim_changed", mark)
    return ax


def _limit(ax, selection, shown):
    """Set the limits of the criterion to the fits that compete, and mark the fits beyond them by triangles."""
    table, names = selection.table, np.array([row["family"] for row in selection.table])
    values = np.array([row[selection.criterion] for row in table], float)
    if not shown.any():
        return
    lowest = [values[shown & (names == name)].min() for name in set(names[shown])]
    winner = shown & (names == selection.best.mixture.family.name)
    usual = float(np.quantile(values[shown], 0.8, method="lower"))
    low, high = values[shown].min(), max(*lowest, usual, *values[winner])
    margin = 4 * (0.08 * (high - low) + 0.5)
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, low - margin), min(top, high + margin))


def _mark_beyond(ax, table, criterion):
    """Mark fits beyond the limits of the criterion by triangles at the edge, and explain them in the legend."""
    for line in [line for line in ax.lines if line.get_gid() in ("beyond", "what is beyond")]:
        line.remove()
    families = list(dict.fromkeys(row["family"] for row in table))
    values = np.array([row[criterion] for row in table], float)
    bottom, top = sorted(ax.get_ylim())
    for beyond, height, marker, words in (
        (values > top, 0.985, "^", "above the view"),
        (values < bottom, 0.015, "v", "below the view"),
    ):
        if beyond.any():
            ax.plot([], [], marker=marker, ms=5, ls="", color="0.5", label=words, gid="what is beyond")
        for j in np.flatnonzero(beyond):
            i = families.index(table[j]["family"])
            across = table[j]["n_components"] + 0.09 * (i - (len(families) - 1) / 2)  # side by side
            look = {"marker": marker, "ms": 5, "ls": "", "color": palette.colours(i + 1)[i], "clip_on": False}
            ax.plot([across], [height], transform=ax.get_xaxis_transform(), gid="beyond", **look)
    if getattr(ax.get_legend(), "of_selection", False):  # one that the user has made stays as it is
        _explain(ax)


def _explain(ax):
    ax.legend(loc="best", fontsize="small").of_selection = True


def _spread(result):
    """By how much the criterion of the median start is higher than that of the best start."""
    ends = np.asarray(result.restarts, np.float64)
    below = float(result.log_likelihood) - ends[np.isfinite(ends)]
    return 2 * max(float(np.median(below)), 0.0) if below.size else 0.0


def _ring(ax, selection):
    """A ring around the best fit."""
    for row, result in zip(selection.table, selection.results, strict=True):
        if result is selection.best and np.isfinite(row[selection.criterion]):
            k = row["n_components"]
            label = f"best: {row['family']}, K = {k}"
            look = {"s": 130, "facecolors": "none", "edgecolors": palette.INK, "linewidths": 1.6, "zorder": 4}
            ax.scatter(k, row[selection.criterion], label=label, gid="best", **look)


def trace(history: Any, *, ax: Axes | None = None) -> Axes:
    """Axes with the log-likelihood by iteration, red where it falls.

    Args:
        history: a list of records with ``iteration`` and ``log_likelihood``, or an object whose ``records`` is one.
        ax: Axes; default a new figure.

    Returns:
        Axes: a fall of at most 4·eps·abs(log-likelihood), eps that of the record's dtype, is rounding and not red.

    Raises:
        ValueError: no records, records without these two attributes, or those of several runs.
    """
    records = getattr(history, "records", history)
    records = list(records) if hasattr(records, "__iter__") else []
    if not records or not all(hasattr(one, "iteration") and hasattr(one, "log_likelihood") for one in records):
        raise ValueError("history must hold at least one record, each with .iteration and .log_likelihood")
    raw = np.asarray([np.asarray(one.log_likelihood) for one in records])
    if raw.ndim != 1:
        raise ValueError(f"history must be that of one run, got log-likelihoods of shape {raw.shape[1:]} a record")
    ax, steps = axes(ax), np.array([int(one.iteration) for one in records])
    unit = np.finfo(raw.dtype).eps if raw.dtype.kind == "f" else 0.0
    values = raw.astype(np.float64)
    marker = "o" if len(values) <= 60 else None
    ax.plot(steps, values, color=palette.HUES[0], marker=marker, ms=3.5, lw=1.5, label="log-likelihood", zorder=2)
    with np.errstate(invalid="ignore"):
        falls = np.flatnonzero(np.diff(values) < -4 * unit * np.abs(values[:-1]))
    for i in falls:
        label = f"falls: {len(falls)}" if i == falls[0] else None
        pair = slice(i, i + 2)
        ax.plot(steps[pair], values[pair], color=palette.FALL, lw=2.4, label=label, gid="fall", zorder=3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="iteration", ylabel="log-likelihood")
    if len(falls):
        ax.legend(loc="best", fontsize="small")
    return ax


def restarts(result: Any, *, ax: Axes | None = None) -> Axes:
    """Axes with the final log-likelihoods of all starts, best first: whether ``n_init`` was enough.

    Args:
        result: a `FitResult`, a `Selection` (its best), or anything with ``restarts`` (n_init,) and ``log_likelihood``.
        ax: Axes; default a new figure.

    Returns:
        Axes: the line is the result's log-likelihood. The legend counts the starts

        - that reach it, up to a relative difference of 1e-5;
        - above it (hollow), which were passed over because they ended degenerate;
        - that the search stopped before their end;
        - that are not finite, which are not drawn.

        The axis is long enough that differences within 1e-5 look small.

    Raises:
        ValueError: result is something else, or a batch.
    """
    result = getattr(result, "best", result)
    ends, best = getattr(result, "restarts", None), getattr(result, "log_likelihood", None)
    if ends is None or best is None or np.ndim(ends) != 1 or np.ndim(best) != 0:
        raise ValueError(f"result must be one FitResult (.restarts, .log_likelihood), got {type(result).__name__}")
    ax, ends, best = axes(ax), np.asarray(ends, np.float64), float(best)
    order = np.argsort(-np.where(np.isfinite(ends), ends, -np.inf), kind="stable")[: np.isfinite(ends).sum()]
    finite, statuses = ends[order], getattr(result, "restart_status", None)
    left = np.zeros(len(finite), bool) if statuses is None else np.asarray(statuses)[order] == Status.STOPPED
    rank = np.arange(1, len(finite) + 1)
    near = SAME_END * max(abs(best), 1.0)
    above, lost = finite > best + near, len(ends) - len(finite)
    reached = np.abs(finite - best) <= near
    below = ~above & ~reached
    ax.axhline(best, color=palette.INK, lw=0.9, ls="--", zorder=1)
    groups = [
        (above, "none", "above, passed over as degenerate"),
        (reached, palette.HUES[0], f"of {len(ends)} starts reach the best"),
        (below & ~left, palette.HUES[1], "below"),
        (below & left, palette.PAPER, "left behind by the search"),
    ]
    for group, face, words in groups:
        if group.any():
            edge = {"none": palette.HUES[0], palette.PAPER: "0.6"}.get(face, face)
            label, look = f"{group.sum()} {words}", {"facecolors": face, "edgecolors": edge, "s": 22, "zorder": 2}
            ax.scatter(rank[group], finite[group], label=label, **look)
    if lost:
        ax.plot([], [], ls="", label=f"{lost} not finite")
    low, high = ax.get_ylim()
    if np.isfinite(best) and high - low < 20 * near:  # log-likelihoods that count as equal must look equal
        middle = (low + high) / 2
        ax.set_ylim(middle - 10 * near, middle + 10 * near)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="start, by final log-likelihood", ylabel="final log-likelihood")
    ax.legend(loc="best", fontsize="small")
    return ax


def stability(search: Any, *, ax: Axes | None = None) -> Axes:
    """Axes with the agreement of the starts' labels by number of components: starts that disagree speak against a K.

    Args:
        search: a fitted `jaxgmm.sklearn.MixtureSearch`, or any object with its ``stability_``.
        ax: Axes; default a new figure.

    Returns:
        Axes: dots are the adjusted Rand indices of all pairs of starts (1: the same clusters, 0: agreement by chance),
        the line is their median. For K = 1 the index is always 1.

    Raises:
        ValueError: search has no ``stability_``, or only one start.
    """
    table = getattr(search, "stability_", None)
    if table is None:
        raise ValueError(f"search must be a fitted MixtureSearch (.stability_), got {type(search).__name__}")
    ks, indices = np.asarray(table["n_components"]), np.asarray(table["adjusted_rand"], np.float64)
    if indices.size == 0:
        raise ValueError("search must have n_init of at least 2: one start agrees with itself")
    ax = axes(ax)
    look = {"s": 14, "alpha": 0.4, "linewidths": 0, "gid": "pairs", "zorder": 1}
    ax.scatter(np.repeat(ks, indices.shape[1]), indices.ravel(), color=palette.HUES[0], label="pairs of starts", **look)
    ax.plot(ks, np.median(indices, axis=1), color=palette.HUES[0], marker="o", ms=5, lw=1.5, label="median", zorder=2)
    ax.axhline(1, color=palette.PAPER, lw=0.9, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="number of components", ylabel="adjusted Rand index between starts")
    ax.legend(loc="best", fontsize="small")
    return ax
