"""Rows over two features, drawn as points whose area grows with their weight; many rows as a histogram of cells."""

import numpy as np

MOST_POINTS = 100_000
CELLS = 200  # along each feature


def scatter(ax, rows, *, color, s, marker="o"):
    """One point for each row."""
    look = {"alpha": 0.7, "linewidths": 0, "rasterized": len(rows) > 10_000, "gid": "rows", "zorder": 1}
    ax.scatter(*rows.T, c=color, s=s, marker=marker, **look)


def areas(weight):
    """The area of every point (n,), proportional to its `share`."""
    return np.clip(40_000 / len(weight), 2, 22) * share(weight)


def share(weight):
    """Weights (n,) relative to their mean, cut to [0.1, 8] so that every point is visible and none hides the others."""
    return np.clip(weight / weight.mean(), 0.1, 8)


def cells(ax, rows, colours, weight, least=0.15):
    """Draw a grid of cells, each in the mean colour of its rows and the more opaque the more weight it holds."""
    low, high = rows.min(0), rows.max(0)
    width = np.where(high > low, high - low, 1)
    column, row = np.minimum(((rows - low) / width * CELLS).astype(int), CELLS - 1).T
    place = row * CELLS + column
    counts = np.bincount(place, weight, minlength=CELLS**2)
    image = np.zeros((CELLS**2, 4))
    for channel in range(3):
        sums = np.bincount(place, weight * colours[:, channel], minlength=CELLS**2)
        image[:, channel] = np.clip(sums / np.where(counts > 0, counts, 1), 0, 1)
    image[:, 3] = np.where(counts > 0, least + (1 - least) * np.sqrt(counts / counts.max()), 0)
    extent = (low[0], low[0] + width[0], low[1], low[1] + width[1])
    image = image.reshape(CELLS, CELLS, 4)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest", gid="rows", zorder=1)
