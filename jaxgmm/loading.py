"""From what users pass to what fits run on: checked options, and checked rows in the frame of every model."""

from typing import Any

import numpy as np

from . import checks, measuring, streaming
from .accelerate import METHODS, method_of
from .drivers.memory import block_rows
from .em import NEVER, Limits, Method
from .family import Family, lookup
from .measuring import Measured
from .precision import compute_dtype, numbers, on_device
from .records import GaussianPrior, record, static
from .sources import Stream, rows


@record
class Problem:
    """Checked data in their frame, with the numbers of the stopping rule and the prior in the frame's units."""

    rows: Any  # in memory, or a flow
    measured: Measured
    prior: GaussianPrior
    limits: Limits
    method: Method = static()


def family_of(family, x) -> Family:
    """The Family asked for; the number of categories is read off concrete data."""
    checks.is_family(family)
    if family != "categorical":
        return lookup(family)
    if isinstance(x, Stream):
        return lookup(family, _categories(streaming.largest_code(x)))
    if checks.in_trace(x):
        raise ValueError(
            "family 'categorical' reads the number of codes off the data, which a trace does not have: "
            "pass jaxgmm.categorical(n_categories)"
        )
    largest = np.asarray(x).max()
    if not np.isfinite(largest):
        row, column = np.argwhere(~np.isfinite(np.asarray(x)))[0]
        raise ValueError(f"x must be finite; row {row}, column {column} is {x[row, column]}: drop or impute such rows")
    return lookup(family, _categories(largest))


def _categories(largest) -> int:
    if not largest >= 0:
        raise ValueError(f"x must be integer codes >= 0 for family 'categorical'; its largest value is {largest}")
    return int(largest) + 1


def load(x, sample_weight, k, models, tol, max_iter, accelerate, block_size) -> list[Problem]:
    """Check the options and the data, and frame the data for every model (family, prior); they share one copy."""
    checks.choice(accelerate, "accelerate", METHODS)
    checks.number(tol, "tol")
    if not checks.in_trace(max_iter):
        checks.count(max_iter, "max_iter", least=0)
    if block_size is not None:
        block_size = checks.count(block_size, "block_size")
    n, d = x.shape
    dtype = compute_dtype(x)
    limits = Limits(numbers(tol, dtype), numbers(max_iter, np.int32), NEVER)
    if isinstance(x, Stream):
        models = [(family, numbers(prior, dtype)) for family, prior in models]
        surveyed = streaming.measure(x if sample_weight is None else rows(x, sample_weight), models, k)
        methods = [method_of(accelerate, family) for family, _ in models]
        return [Problem(*found, limits, method) for found, method in zip(surveyed, methods, strict=True)]
    weight = checks.weights(sample_weight, n, dtype)
    if n < k:
        raise ValueError(f"n_components={k} needs at least as many rows, got {n}: ask for fewer components")
    if not checks.in_trace(weight):
        checks.weight_values(weight, k)
    held_x, held_weight = map(on_device, checks.padded(x, weight))
    block = min(block_size or block_rows(held_x.shape[0], 4 * d, dtype.itemsize), held_x.shape[0])
    problems = []
    for family, prior in models:
        prior = numbers(prior, dtype)
        held, measured, framed = measuring.measure(held_x, held_weight, prior, family, str(dtype), block)
        if not checks.in_trace(measured):
            checks.row_values(x, family, measured)
        problems.append(Problem(held, measured, framed, limits, method_of(accelerate, family)))
    return problems
