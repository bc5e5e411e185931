"""The picture that `fit --plot` writes: the rows under the best mixture, and the criterion it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .. import plot
from ..data.files import replacing
from ..records import Selection

MOST_FEATURES = 6  # in a grid of planes: more are too small on one page


def check(path: str) -> None:
    """ValueError where matplotlib does not write files of this kind."""
    known = Figure().canvas.get_supported_filetypes()
    if _suffix(path) not in known:
        raise ValueError(f"{path}: a picture ends in one of {', '.join('.' + each for each in sorted(known))}")


def write(path: str, selection: Selection, rows: tuple, columns: Sequence[str] | None) -> None:
    """Write the picture of the best mixture with rows, x (n, d) and weights (n,) or None. Of several mixtures the
    criterion is drawn too, left of it.

    No window is opened, and matplotlib's global state is not changed.
    """
    x, sample_weight = rows
    m = min(x.shape[1], MOST_FEATURES)
    side = 1 + 2 * m if m > 2 else 5.5
    several = len(selection.table) > 1
    figure = Figure(figsize=(side + 5.5 * several, side), layout="constrained")
    if several:
        left, right = figure.subfigures(1, 2, width_ratios=(5.5, side))
        plot.selection(selection, ax=left.subplots())
    else:
        right = figure
    options = {"sample_weight": sample_weight, "columns": columns}
    if m == 1:
        plot.histogram(selection, x, ax=right.subplots(), **options)
    else:
        ax = right.subplots() if m == 2 else right.subplots(m, m)
        plot.classification(selection, x, features=range(m), ax=ax, **options)
    with replacing(path) as file:
        figure.savefig(file, format=_suffix(path), dpi=120)


def _suffix(path: str) -> str:
    return Path(path).suffix[1:].lower()
