"""How often the values of one feature occur: bars that know weights, and follow the grid of values that were rounded.

Source: Freedman and Diaconis (1981), On the histogram as a density estimator, for the width.
"""

import dataclasses

import jax
import numpy as np

from .. import inference
from . import palette
from .given import covariances_of, discrete, possible

MOST_BINS = 150
MOST_VALUES = 400  # of a family on integers whose probabilities are drawn one by one


def heights_of(values, weight, edges):
    """Bars of area 1 between edges (m + 1,): weights count as repeated rows."""
    return np.histogram(values, bins=edges, weights=weight, density=True)[0]


def edges_of(values, weight):
    """Edges of bars: all of one width, which on a grid is a multiple of its step, with the edges half-way between its
    points, so that every bar holds as many of them."""
    low, high = values.min(), values.max()
    if low == high:
        return low + np.array([-0.5, 0.5]) * (abs(low) or 1.0) * 1e-3
    quarter, three = quantiles(values, weight, [0.25, 0.75])
    least = np.clip(weight.sum() ** 0.5, 8, 40)  # clusters far apart make the rule's bins too wide
    width = 2 * (three - quarter) / weight.sum() ** (1 / 3)
    count = int(np.clip((high - low) / width, least, MOST_BINS)) if width > 0 else int(least)
    step = grid_step(values)
    if step is None:
        return np.linspace(low, high, count + 1)
    points = round((high - low) / step) + 1
    together = max(round(points / count), -(-points // MOST_BINS))
    return low + step * (np.arange(-(-points // together) + 1) * together - 0.5)


def grid_step(values):
    """The distance between neighbours on a grid of all the values, where some are equal; None where there is none."""
    distinct = np.unique(values)
    if not 1 < len(distinct) < len(values):
        return None
    gaps = np.diff(distinct)
    step = gaps.min()
    rounding = 64 * np.finfo(np.float32).eps * np.abs(distinct).max()
    off = np.abs(gaps - step * np.round(gaps / step))
    return step if step > 4 * rounding and (off <= rounding).all() else None


def quantiles(values, weight, shares):
    """The smallest values with at least these shares of the weight at or below them."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    place = np.searchsorted(reached, np.asarray(shares) * reached[-1] * (1 - 1e-12))
    return values[order][np.minimum(place, len(values) - 1)]


def draw_marginal(ax, mixture, exact, weight, feature):
    """The bars of a feature of rows (n, d), and the components' marginal densities or probabilities."""
    values, k = exact[:, feature], mixture.n_components
    whole = discrete(mixture, exact) and values.max() - values.min() < MOST_VALUES
    edges = np.arange(values.min() - 0.5, values.max() + 1) if whole else edges_of(values, weight)
    heights = heights_of(values, weight, edges)
    if whole:
        ax.bar(edges[:-1] + 0.5, heights, width=0.8, color=palette.PAPER, gid="rows")
    else:
        ax.stairs(heights, edges, fill=True, color=palette.PAPER, gid="rows")
    top = ax.get_ylim()[1]
    for i, colour in enumerate(palette.colours(k)):
        curve = probabilities(mixture, edges, feature, i) if whole else density(mixture, feature, i)
        if curve is None:
            continue
        at, height = curve
        look = {"marker": palette.marker(i), "ms": 3} if whole else {}
        ax.plot(at, height, color=colour, ls=palette.line(i), lw=0.8 if whole else 1.4, gid=f"component {i}", **look)
        top = max(top, 1.05 * height.max() if whole else min(1.05 * height.max(), 2 * top))
    ax.set_ylim(0, top)


def density(mixture, feature, k):
    """Where, and how high, the weighted density of a Gaussian component is along a feature; None for other families."""
    covariances = covariances_of(mixture, [feature])
    if covariances is None:
        return None
    mean, sd = float(np.asarray(mixture.components.means)[k, feature]), np.sqrt(covariances[k, 0, 0])
    z = np.linspace(-4, 4, 161)
    return mean + sd * z, float(mixture.weights[k]) * np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi))


def probabilities(mixture, edges, feature, k):
    """Integers between the edges, and their weighted probabilities under a component of a family on integers whose
    features are independent; None where they may not be.

    A row that the component can have is drawn, and its feature takes one value after the other: the densities of these
    rows, made to sum to 1, are the probabilities of the values. The sum goes on beyond the edges, as far as there is
    mass.
    """
    if any(field.metadata["shape"].count("d") != 1 for field in dataclasses.fields(mixture.components)):
        return None
    with jax.enable_x64(True):
        row = np.asarray(mixture.family.sample(jax.random.key(0), mixture.components, np.array([k])), np.float64)[0]
    shown = edges[:-1] + 0.5
    beyond = 3 * len(shown) + 30
    at = np.arange(shown[0] - beyond, shown[-1] + beyond + 1)
    rows = np.tile(row, (len(at), 1))
    rows[:, feature] = at
    rows = rows[possible(mixture, rows)[:, feature]]
    logs = np.asarray(inference.joint_log_prob(mixture, rows), np.float64)[:, k]
    heights = np.exp(logs - logs.max())
    heights *= float(mixture.weights[k]) / heights.sum()
    inside = (rows[:, feature] >= shown[0]) & (rows[:, feature] <= shown[-1])
    return rows[inside, feature], heights[inside]
