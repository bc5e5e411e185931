"""Colours, markers and line styles that tell components apart, for colour-blind readers too, and for many components.

Colours are six hues of Okabe and Ito, which also differ in lightness. Their yellow is left out as too faint for a line,
and black is used for totals. Every further six components have another shade, marker and line style: 72 are distinct.

Source: Okabe and Ito, Color Universal Design (2008).
"""

import numpy as np
from matplotlib.colors import to_rgb

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "v", "D", "P")
LINES = ("-", "--", "-.", ":")
SHADES = ((0.0, 0.0), (0.0, 0.45), (1.0, 0.45))  # the grey mixed in, 0 black to 1 white, and its share

INK = "0.15"  # totals, outlines, text
PAPER = "0.85"  # histograms of all the data
FALL = "#CC0000"  # a log-likelihood that falls


def colours(k: int) -> np.ndarray:
    """RGB of components 0 .. k-1, (k, 3)."""
    rgb = np.array([to_rgb(HUES[i % len(HUES)]) for i in range(k)])
    tint, share = np.array([SHADES[_round(i) % len(SHADES)] for i in range(k)]).T
    return rgb + (tint[:, None] - rgb) * share[:, None]


def marker(i: int) -> str:
    """The marker of component i."""
    return MARKERS[_round(i) % len(MARKERS)]


def line(i: int) -> str:
    """The line style of component i."""
    return LINES[_round(i) % len(LINES)]


def _round(i):
    return i // len(HUES)
