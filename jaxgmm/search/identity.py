"""What tells the data of a fit from others: facts that any number of devices finds, up to rounding.

    Σ w,   mean and scale of the features,   Σ u w (x - x_0),   Σ u w

u is a number in [-1, 1) for the place of a row, and x_0 the first one: other rows, other weights and another order give
other sums. Two sums are of the same data where they differ by little of their standard deviation over all u.
"""

import jax
import numpy as np

from ..checks import own_parts, weights
from ..data.out_of_core import Flow
from ..distributed import agreed, everyones

CLOSE = 1e-4  # how near the facts are
TOGETHER = 2**16  # rows that are looked at together


def facts(rows, measured, x, sample_weight) -> dict:
    """The facts about x and its weights, which ``rows`` hold on devices or as a flow, by one pass. Cost: O(n·d)."""
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
    """Whether facts are of the same data."""
    if len(theirs["mean"]) != len(ours["mean"]):
        return False
    spread = {"mean": np.asarray(ours["scale"]), "keyed": np.asarray(ours["deviation"])}
    return all(np.all(np.isclose(theirs[name], ours[name], CLOSE, CLOSE * spread.get(name, 0.0))) for name in ours)


def _keyed(rows, x, sample_weight):
    """Σ u w (x - x_0) and Σ u w, (d + 1,), and their deviations for u that are drawn."""
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


def _moments(x, weight, place: int, origin):
    """Σ u w z, Σ w² z and Σ w² z² for z = x - x_0 and, in the last column, 1: (3, d + 1)."""
    z = np.append(np.asarray(x, np.float64) - origin, np.ones((len(x), 1)), axis=1)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    return np.stack([(weight * _of_places(place, len(z))) @ z, weight**2 @ z, weight**2 @ z**2])


def _of_stream(flow: Flow, begin: int):
    """Rows (b, d), weights (b,) and the place of the first among all rows, of those that this process reads."""
    for x, weight, first in flow.stream.blocks(flow.size):
        yield x, weight, begin + first


def _of_arrays(x, weight, layout):
    """The same of those that this process holds."""
    begin = 0 if layout is None or own_parts(x)[0][1] is not x else layout.begin
    cut = own_parts(weight)
    for i, (start, part) in enumerate(own_parts(x)):
        own = cut[i][1] if len(cut) > 1 else cut[0][1][start : start + len(part)]
        for j in range(0, len(part), TOGETHER):
            yield part[j : j + TOGETHER], own[j : j + TOGETHER], begin + start + j


def _of_places(first: int, count: int):
    """Numbers in [-1, 1) that look drawn, one a place: splitmix64 of Steele, Lea and Flood (2014)."""
    z = np.arange(first + 1, first + 1 + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).astype(np.float64) * 2.0**-63 - 1
