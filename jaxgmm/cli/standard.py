"""`fit --standardize`: fits of standardized features, converted back to the data's units.

    x' = (x - mean) / deviation,      log p(x) = log p'(x') - Σ_j log deviation_j

Densities, parameters and criteria are those of the data. A family whose features share a variance becomes diagonal.
"""

from __future__ import annotations

import argparse
import dataclasses

import jax
import numpy as np

import jaxgmm

from ..data import frame
from ..data.frame import Frame
from ..data.sources import Stream
from ..families.base import known, lookup
from ..records import Mixture, Selection
from ..tables import best_row
from .table import Input


def check(args: argparse.Namespace) -> None:
    """ValueError where a family does not take standardized features, or one process does not see all rows."""
    if args.processes:
        raise ValueError("--standardize sees the rows of one process alone: standardize the data before --processes")
    for name in args.family:
        if name in known() and not _of_real_numbers(name):  # `select` refuses unknown names
            raise ValueError(f"--standardize is for families of real numbers, not for {name!r}")


def _of_real_numbers(name: str) -> bool:
    try:
        return lookup(name).located
    except ValueError:  # the family needs options: a categorical one
        return False


def frame_of(table: Input) -> tuple[Frame, float]:
    """The frame in which every feature of the input has weighted mean 0 and variance 1; and the sum of weights."""
    weights = 0.0

    def mean_of(function):
        nonlocal weights
        total, weights = 0.0, 0.0
        for rows, weight, _ in table.blocks():
            weight = np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64)
            total = total + weight @ function(np.asarray(rows, np.float64))
            weights += float(weight.sum())
        return total / weights

    mean = mean_of(lambda rows: rows)
    variance = mean_of(lambda rows: (rows - mean) ** 2)
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, frame.frame_of("feature", mean, variance)), weights


def standardized(x, to: Frame):
    """The rows in a frame, in their own dtype; a stream is converted while it is read."""

    def in_frame(rows):
        return ((rows - to.shift) / to.scale).astype(rows.dtype)

    return x.mapped(in_frame) if isinstance(x, Stream) else in_frame(np.asarray(x, np.result_type(x, np.float32)))


def in_data_units(selection: Selection, of: Frame, weight: float) -> Selection:
    """The selection in the data's units. ``weight``: the sum of weights."""
    volume = weight * float(frame.log_volume(of))
    table = [
        row
        | {"log_likelihood": row["log_likelihood"] - volume}
        | {name: row[name] + 2 * volume for name in ("bic", "aic", "icl")}
        for row in selection.table
    ]
    results = [
        dataclasses.replace(
            result,
            mixture=_in_data_units(result.mixture, of),
            log_likelihood=result.log_likelihood - volume,
            restarts=np.asarray(result.restarts) - volume,
        )
        for result in selection.results
    ]
    return dataclasses.replace(selection, best=results[best_row(selection)], table=table, results=results)


def _in_data_units(mixture: Mixture, of: Frame) -> Mixture:
    """A Gaussian mixture of features in a frame as a mixture of the data."""
    family, components = mixture.family, jax.tree.map(np.asarray, mixture.components)
    if family.scaling == "feature":
        moved = vars(frame.leave(components, of))
    else:
        with jax.enable_x64(True):
            variances = np.diagonal(np.asarray(family.covariance(components)), axis1=-2, axis2=-1)
        family = "diag"
        moved = {"means": components.means * of.scale + of.shift, "covariances": variances * of.scale**2}
    dtype = components.means.dtype
    moved = {name: np.asarray(values, dtype) for name, values in moved.items()}
    return jaxgmm.mixture(family, weights=np.asarray(mixture.weights), **moved)
