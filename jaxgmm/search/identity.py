"""Sums that identify the data of a fit: the same, up to rounding, on any number of devices.

    Σ w,   mean and scale of the features,   Σ u w (x - x_0),   Σ u w

u is a pseudo-random number in [-1, 1) for the index of a row, and x_0 the first row: other rows, other weights and
another order give other sums. Two sums are taken to be of the same data where their difference is small against their
standard deviation over random u.
"""

import jax
import numpy as np

from ..checks import own_parts, weights
from ..data.out_of_core import Flow
from ..distributed import agreed, everyones

CLOSE = 1e-4  # relative difference of sums of the same data
TOGETHER = 2**16  # rows that are summed at a time


def facts(rows, measured, x, sample_weight) -> dict:
    """The sums above over x and its weights, which ``rows`` hold on devices or as a flow, by one pass. Cost: O(n·d)."""
    frame = rows.frame
    mean = np.asarray(frame.shift) + np.asarray(frame.scale) * np.asarray(frame.reference)
    keyed, deviation = _keyed(rows, x, sample_weight)
    return {
        "weight": float(measured.weight),
        "mean": mean.tolist(),
        "scale": np.asarray(frame.scale).tolist(),
        "keyed": keyed.tolist(),
        "deviation": deviation.tolist(),
    }


def alike(theirs: dict, ours: dict) -> bool:
    """Whether two results of `facts` are of the same data."""
    if len(theirs["mean"]) != len(ours["mean"]):
        return False
    spread = {"mean": np.asarray(ours["scale"]), "keyed": np.asarray(ours["deviation"])}
    return all(np.all(np.isclose(theirs[name], ours[name], CLOSE, CLOSE * spread.get(name, 0.0))) for name in ours)


def _keyed(rows, x, sample_weight):
    """Σ u w (x - x_0) and Σ u w, (d + 1,), and their standard deviations over random u."""
    streams = isinstance(rows, Flow)
    mesh = rows.mesh if streams else rows.layout and rows.layout.mesh
    with jax.enable_x64(True):
        if streams:
            origin, parts = rows.kept["head"], _of_stream(rows, rows.first)
        else:
            origin = everyones(np.asarray(own_parts(x)[0][1][:1], np.float64), mesh)[0]
            parts = _of_arrays(x, weights(sample_weight, x.shape[0], rows.dtype), rows.layout)
        with agreed(mesh), np.errstate(over="ignore", invalid="ignore"):
            own = sum(_moments(*part, origin) for part in parts)
        keyed, once, twice = sum(everyones(own, mesh))
    squares = np.append(twice[:-1] - once[:-1] ** 2 / once[-1], once[-1])
    return keyed, np.sqrt(np.maximum(squares, 0))


def _moments(x, weight, first: int, origin):
    """Σ u w z, Σ w² z and Σ w² z², (3, d + 1), for z = x - x_0 with a last column of ones; the first row has the index
    ``first``."""
    z = np.append(np.asarray(x, np.float64) - origin, np.ones((len(x), 1)), axis=1)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    return np.stack([(weight * _random(first, len(z))) @ z, weight**2 @ z, weight**2 @ z**2])


def _of_stream(flow: Flow, begin: int):
    """Blocks of the rows that this process reads: rows (b, d), weights (b,), and the index of the first of all rows."""
    for x, weight, first in flow.stream.blocks(flow.size):
        yield x, weight, begin + first


def _of_arrays(x, weight, layout):
    """The same of the rows that this process holds."""
    begin = 0 if layout is None or own_parts(x)[0][1] is not x else layout.begin
    cut = own_parts(weight)
    for i, (start, part) in enumerate(own_parts(x)):
        own = cut[i][1] if len(cut) > 1 else cut[0][1][start : start + len(part)]
        for j in range(0, len(part), TOGETHER):
            yield part[j : j + TOGETHER], own[j : j + TOGETHER], begin + start + j


def _random(first: int, count: int):
    """The pseudo-random numbers of ``count`` indices: splitmix64 of Steele, Lea and Flood (2014)."""
    z = np.arange(first + 1, first + 1 + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).astype(np.float64) * 2.0**-63 - 1
