"""Colours, markers and lines by which components stay apart, for colour-blind readers and beyond ten of them.

Six hues of Okabe and Ito, which differ in lightness too (their yellow is too faint for a line, their black is kept for
totals). Every further six components are a shade darker or lighter and have their own marker and line: 72 are distinct.

Source: Okabe and Ito, Color Universal Design (2008).
"""

import numpy as np
from matplotlib.colors import to_rgb

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "v", "D", "P")
LINES = ("-", "--", "-.", ":")
SHADES = ((0.0, 0.0), (0.0, 0.45), (1.0, 0.45))  # what is mixed in: black 0 or white 1, and how much of it

INK = "0.15"  # totals, outlines, text
PAPER = "0.85"  # histograms of all the data
FALL = "#CC0000"  # what went wrong


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
