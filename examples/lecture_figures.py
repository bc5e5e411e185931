"""The figures of a lecture on EM, drawn into a folder: ``python examples/lecture_figures.py [folder]``.

Seven numbers under the mixture before the first update and after a few; the same in the plane, at the start, after 1,
after 10 and after the final iteration; the negative log-likelihood on the way; rows coloured by responsibility. The
folder is a new temporary one unless it is named, and the files are printed. Needs matplotlib.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import textbook
import two_dimensional
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import jaxgmm
import jaxgmm.plot


def after(start, x, n_iter, prior=None):
    """The fit after exactly n_iter updates of plain EM."""
    options = {"family": start.family, "init": start, "prior": prior, "tol": 0, "max_iter": n_iter}
    return jaxgmm.fit(0, x, start.n_components, **options)


def called(n_iter):
    return "start" if n_iter == 0 else f"after {n_iter} update{'s' if n_iter > 1 else ''}"


def four_panels(width, height):
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(2, 2, sharex=True).ravel()


def seven_numbers():
    """The textbook's numbers and three components, one update after another."""
    figure, panels = four_panels(9, 6)
    for ax, n_iter in zip(panels, (0, 1, 2, 10), strict=True):
        result = after(textbook.START, textbook.X, n_iter, textbook.NO_PRIOR)
        jaxgmm.plot.histogram(result, textbook.X, columns=["x"], ax=ax)
        ax.set_title(f"{called(n_iter)}: -log-likelihood {-result.log_likelihood:.3f}", fontsize="medium")
    return figure


def in_the_plane(x, last):
    """Where the three components of the plane are on the way."""
    figure, panels = four_panels(9, 7)
    for ax, n_iter in zip(panels, (0, 1, 10, last.n_iter), strict=True):
        result = last if n_iter == last.n_iter else after(two_dimensional.START, x, n_iter)
        jaxgmm.plot.classification(result, x, columns=["x", "y"], ax=ax)
        ax.set_title(f"{called(n_iter)}: log-likelihood {result.log_likelihood:.1f}", fontsize="medium")
    return figure


def negative_log_likelihood(n_iter=15):
    """What EM brings down, on the seven numbers."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    mixture, values = textbook.START, []
    for _ in range(n_iter + 1):
        statistics = jaxgmm.e_step(mixture, textbook.X)
        values.append(-float(statistics.log_likelihood))
        mixture = jaxgmm.m_step(mixture, statistics, textbook.NO_PRIOR)
    ax.plot(values, marker="o", markersize=4)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="iteration", ylabel="negative log-likelihood")
    return figure


def by_responsibility(x, last):
    """Who answers for a row, and where nobody can say."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    jaxgmm.plot.responsibilities(last, x, columns=["x", "y"], ax=left).set_title("responsibilities")
    jaxgmm.plot.uncertainty(last, x, columns=["x", "y"], ax=right).set_title("uncertainty")
    return figure


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="jaxgmm-"))
    folder.mkdir(parents=True, exist_ok=True)
    x = np.asarray(jaxgmm.sample(0, two_dimensional.TRUTH, 600)[0])
    last = jaxgmm.fit(0, x, 3, init=two_dimensional.START)
    figures = {
        "seven_numbers": seven_numbers(),
        "in_the_plane": in_the_plane(x, last),
        "negative_log_likelihood": negative_log_likelihood(),
        "by_responsibility": by_responsibility(x, last),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
