"""Histograms of one feature: bars that count weights, and whose edges fit the grid of rounded values.

Source: Freedman and Diaconis (1981), On the histogram as a density estimator, for the width.
"""

import dataclasses

import jax
import numpy as np

from .. import inference
from . import palette
from .given import covariances_of, discrete, possible

MOST_BINS = 150
MOST_VALUES = 400  # integers that get a bar and a point each; beyond, a histogram


def heights_of(values, weight, edges):
    """Heights (m,) of bars of total area 1 between edges (m + 1,); a row of weight 2 counts twice."""
    return np.histogram(values, bins=edges, weights=weight, density=True)[0]


def edges_of(values, weight):
    """Edges of bars of equal width, by the rule of Freedman and Diaconis.

    For values on a grid the width is a multiple of the grid's step, and edges lie half-way between grid points, so that
    every bar holds the same number of grid points.
    """
    low, high = values.min(), values.max()
    if low == high:
        return low + np.array([-0.5, 0.5]) * (abs(low) or 1.0) * 1e-3
    quarter, three = quantiles(values, weight, [0.25, 0.75])
    least = np.clip(weight.sum() ** 0.5, 8, 40)  # the rule's bars are too wide where clusters lie far apart
    width = 2 * (three - quarter) / weight.sum() ** (1 / 3)
    count = int(np.clip((high - low) / width, least, MOST_BINS)) if width > 0 else int(least)
    step = grid_step(values)
    if step is None:
        return np.linspace(low, high, count + 1)
    points = round((high - low) / step) + 1
    per_bar = max(round(points / count), -(-points // MOST_BINS))
    return low + step * (np.arange(-(-points // per_bar) + 1) * per_bar - 0.5)


def grid_step(values):
    """The step of the grid on which all values lie, as rounded values do; None if there is none or no value repeats."""
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
    return np.quantile(values, shares, weights=weight, method="inverted_cdf")


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
        curve = weighted_probabilities(mixture, edges, feature, i) if whole else weighted_density(mixture, feature, i)
        if curve is None:
            continue
        at, height = curve
        look = {"marker": palette.marker(i), "ms": 3} if whole else {}
        ax.plot(at, height, color=colour, ls=palette.line(i), lw=0.8 if whole else 1.4, gid=f"component {i}", **look)
        top = max(top, 1.05 * height.max() if whole else min(1.05 * height.max(), 2 * top))
    ax.set_ylim(0, top)


def weighted_density(mixture, feature, k):
    """A grid along a feature and the weighted marginal density of component k on it; None unless it is Gaussian."""
    covariances = covariances_of(mixture, [feature])
    if covariances is None:
        return None
    mean, sd = float(np.asarray(mixture.components.means)[k, feature]), np.sqrt(covariances[k, 0, 0])
    z = np.linspace(-4, 4, 161)
    return mean + sd * z, float(mixture.weights[k]) * np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi))


def weighted_probabilities(mixture, edges, feature, k):
    """The integers between the edges and their weighted marginal probabilities under component k; None if the features
    of a component may be dependent.

    The marginal of a user's family is not known, but the density of rows is. One row is drawn from the component, and
    its feature is set to one value after the other. The densities of these rows, divided by their sum, are the
    probabilities of the values. The sum extends beyond the edges, to hold nearly all of the mass.
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
