"""The thumbnails of the gallery, and of the families in README: python docs/thumbnails.py

Those of the gallery are its own pictures: the code of every section is run by itself, and what it draws made small.
Those of the families are fits of rows that such a family is for.
"""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import jaxgmm
import jaxgmm.plot

HERE = Path(__file__).parent
OUT = HERE / "thumbnails"
COLOURS = {"colors": 64, "method": Image.Quantize.FASTOCTREE}  # a few kilobytes each; others merge blue and green
SECTION = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```\{code-cell\} ipython3\n(.*?)^```$", re.S | re.M)
GAUSSIANS = ("full", "tied", "diag", "spherical", "EII", "VEI")


def write(figure, name, height):
    """The figure as a PNG of so many pixels."""
    figure.set_dpi(3 * height / figure.get_figheight())
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    picture = picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.LANCZOS)
    picture.quantize(**COLOURS).save(OUT / f"{name}.png", optimize=True)
    plt.close("all")


def anchor(title):
    """What a heading is called in an address."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def gallery():
    """What every section of the gallery draws, by its anchor."""
    for title, code in SECTION.findall((HERE / "gallery.md").read_text()):
        exec(compile(code, f"gallery.md: {title}", "exec"), {})
        write(plt.gcf(), anchor(title), 150)
    whole = Image.open(HERE / "old_faithful.png").convert("RGB")
    whole.resize((round(whole.width * 150 / whole.height), 150), Image.Resampling.LANCZOS).quantize(**COLOURS).save(
        OUT / "readmes-picture.png", optimize=True
    )


def rows_for(family, rng):
    """Rows (n, 1) of two or three kinds, such as the family is for."""
    second = rng.random((400, 1)) < 0.4
    return {
        "bernoulli": lambda: rng.binomial(1, np.where(second, [0.9, 0.8, 0.1, 0.7], [0.1, 0.3, 0.8, 0.2])),
        "categorical": lambda: np.where(
            second, rng.choice(4, (400, 1), p=[0.1, 0.1, 0.2, 0.6]), rng.choice(2, (400, 1))
        ),
        "poisson": lambda: rng.poisson(np.where(second, 12.0, 3.0)),
        "exponential": lambda: rng.exponential(np.where(second, 8.0, 1.5)),
        "gamma": lambda: rng.gamma(np.where(second, 30.0, 4.0), np.where(second, 0.3, 0.6)),
    }[family]()


def bare(figure):
    """Without words and numbers, which nobody could read."""
    for ax in figure.axes:
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="", title="")
        for spine in ("top", "right"):
            ax.spines[spine].set_visible(False)
        for each in [ax.get_legend(), *ax.texts]:
            if each is not None:
                each.set_visible(False)


def families():
    """A fit of every family."""
    rng = np.random.default_rng(0)
    truth = jaxgmm.mixture(
        "full",
        weights=[0.4, 0.35, 0.25],
        means=[[0.0, 0.0], [4.5, 1.5], [0.5, 2.5]],
        covariances=[[[2.5, 0.0], [0.0, 0.2]], [[0.7, -0.8], [-0.8, 1.3]], [[0.15, 0.0], [0.0, 0.15]]],
    )
    x = np.asarray(jaxgmm.sample(0, truth, 300)[0])
    for family in GAUSSIANS:
        figure, ax = plt.subplots(figsize=(3.2, 2.4), layout="constrained")
        jaxgmm.plot.classification(jaxgmm.fit(0, x, 3, family=family, n_init=10), x, ax=ax)
        ax.set_aspect("equal")
        bare(figure)
        write(figure, family, 96)
    for family in ("bernoulli", "categorical", "poisson", "exponential", "gamma"):
        rows = rows_for(family, rng)
        result = jaxgmm.fit(0, rows, 2, family=family, n_init=10)
        figure, ax = plt.subplots(figsize=(3.2, 2.4), layout="constrained")
        if family == "bernoulli":
            ax.imshow(np.asarray(result.mixture.components.probs), cmap="Greys", vmin=0, vmax=1, aspect="auto")
        else:
            jaxgmm.plot.histogram(result, rows, ax=ax)
            ax.set_xlim(right=np.quantile(rows, 0.98) + 0.5)
        bare(figure)
        write(figure, family, 96)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    gallery()
    families()
