"""README's picture: BIC of Old Faithful by K and covariance, beside the mixture it chooses.

python docs/old_faithful.py        writes docs/old_faithful.png
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import jaxgmm
import jaxgmm.plot

HERE = Path(__file__).parent
DATA = HERE.parent / "examples" / "data" / "faithful.csv"
CLOSE, FAR = (2300, 2465), (2500, 4100)  # of the criterion: the contest, and the rest
COLUMNS = ["eruption (min)", "wait for the next one (min)"]


def criterion(figure, cells, selection):
    """The criterion in two panels of one axis: spherical components score far worse."""
    above, below = (figure.add_subplot(cell) for cell in cells)
    for ax, limits in ((above, FAR), (below, CLOSE)):
        jaxgmm.plot.selection(selection, ax=ax)
        ax.set(xlim=(0.6, 9.4), ylim=limits, ylabel="")
        for mark in [line for line in ax.lines if "beyond" in (line.get_gid() or "")]:
            mark.remove()  # what is beyond one panel is in the other
        ax.spines[["top", "right"]].set_visible(False)
    above.spines["bottom"].set_visible(False)
    above.tick_params(bottom=False, labelbottom=False)
    above.set(xlabel="", yticks=[3000, 4000])
    above.legend().remove()
    legend = {"fontsize": "small", "frameon": False}
    below.legend(loc="upper left", bbox_to_anchor=(0.2, 1.04), **legend)
    slash = {"marker": [(-1, -0.6), (1, 0.6)], "ms": 8, "mew": 0.8}
    slash |= {"ls": "", "color": "k", "clip_on": False}
    above.plot(0, 0, transform=above.transAxes, **slash)
    below.plot(0, 1, transform=below.transAxes, **slash)
    below.set_ylabel("BIC (lower is better)")
    return above


def main():
    x = np.loadtxt(DATA, delimiter=",", skiprows=1)
    selection = jaxgmm.select(0, x, range(1, 10), n_init=20)
    best = selection.best

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.get_layout_engine().set(hspace=0.03, wspace=0.06)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 3))
    cells = grid[:, 0].subgridspec(2, 1, height_ratios=(1, 3))
    left = criterion(figure, cells, selection)
    right = figure.add_subplot(grid[:, 1])
    jaxgmm.plot.classification(best, x, columns=COLUMNS, ax=right)
    right.spines[["top", "right"]].set_visible(False)
    right.get_legend().set_frame_on(False)
    left.set_title("Old Faithful: 36 mixtures, 20 starts each", fontsize="medium")
    family, k = best.mixture.family.name, best.mixture.n_components
    right.set_title(f"the lowest BIC: {family}, K = {k}", fontsize="medium")

    figure.set_dpi(120)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # a third of the bytes
    picture.quantize(128).save(HERE / "old_faithful.png", optimize=True)


if __name__ == "__main__":
    main()
