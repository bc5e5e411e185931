"""From what users pass to what fits run on: checked options, and checked rows in the frame of every model."""

from typing import Any

import jax
import numpy as np

from .. import checks
from ..data import streamed_summary, summary
from ..data.arrays import block_rows
from ..data.codes import shown
from ..data.mesh import already_there, layout_of, rewrapped
from ..data.padding import padded
from ..data.sources import Stream, rows
from ..data.summary import Measured
from ..distributed import agreed, alike, gathered, spans
from ..em import NEVER, Limits, Method
from ..em.squarem import METHODS, method_of
from ..families.base import Family, lookup
from ..families.categorical import of_shown
from ..numerics.dtypes import compute_dtype, numbers, on_device
from ..numerics.host import hosted
from ..records import GaussianPrior, record, static


@record
class Problem:
    """Checked data in their frame, with the numbers of the stopping rule and the prior in the frame's units."""

    rows: Any  # in memory, or a flow
    measured: Measured
    prior: GaussianPrior
    limits: Limits
    method: Method = static()


def family_of(family, x, mesh=None) -> Family:
    """The Family asked for; the codes of "categorical" are read off concrete data, in every process that has some."""
    checks.is_family(family)
    if family != "categorical":
        return checks.of_features(lookup(family), x.shape[-1])
    if checks.in_trace(x):
        raise ValueError(
            "family 'categorical' reads the codes off the data, which a trace does not have: "
            "pass jaxgmm.categorical(n_categories)"
        )
    return of_shown(shown(x, mesh))


def spread(x, sample_weight, dtype, k: int, mesh):
    """Rows and weights on the devices of a mesh, and their layout.

    Arrays that are cut over the mesh already stay where they are. Of many processes each hands over its own rows, or
    all of them the same global array.
    """
    layout = already_there(x, mesh)
    with agreed(mesh):
        weight = _own_weights(x, sample_weight, dtype, layout)
        positive = None if weight is None else checks.legal_weights(weight)
    own = {"n": x.shape[0], "positive": positive}
    every = gathered(own) if spans(mesh) else [own]
    if spans(mesh):
        alike([x.shape[1], x.dtype.name, k])
    checks.enough_rows(sum(each["n"] for each in every), k)
    if positive is not None:
        checks.enough_weight(sum(each["positive"] for each in every), k)
    if layout is None:
        processes = range(len(every)) if spans(mesh) else [jax.process_index()]
        layout = layout_of(mesh, {p: each["n"] for p, each in zip(processes, every, strict=True)})
        return layout.put(x), layout.put(weight, fill=0), layout
    if weight is not None:
        return rewrapped(x, layout), layout.put(weight, fill=0), layout
    if sample_weight is None:
        return rewrapped(x, layout), layout.ones(dtype), layout
    return rewrapped(x, layout), rewrapped(sample_weight, layout).astype(dtype), layout


def _own_weights(x, sample_weight, dtype, layout):
    """Weights (n,) of this process's rows; None where they need no copy on the host."""
    if layout is None:
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            raise ValueError("x lies on several processes, but is not cut by rows over mesh: pass own rows")
        return checks.weights(sample_weight, x.shape[0], dtype)
    if sample_weight is None:
        return None
    weight = checks.weights(sample_weight, x.shape[0], dtype)
    if already_there(weight, layout.mesh):
        return None
    if not x.is_fully_addressable:
        raise ValueError("sample_weight must be cut over mesh as x is")
    return np.asarray(weight)


def load(x, sample_weight, k, models, tol, max_iter, accelerate, block_size, mesh=None) -> list[Problem]:
    """Check the options and the data, and frame the data for every model (family, prior); they share one copy.

    There must be k rows of positive weight; how many there are is in what is measured.
    """
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
        with agreed(mesh):
            x = x if sample_weight is None else rows(x, sample_weight)
        surveyed = streamed_summary.measure(x, models, k, mesh)
        methods = [method_of(accelerate, family) for family, _ in models]
        return [Problem(*found, limits, method) for found, method in zip(surveyed, methods, strict=True)]
    if mesh is None:
        weight = checks.weights(sample_weight, n, dtype)
        checks.enough_rows(n, k)
        if not checks.in_trace(weight):
            checks.weight_values(weight, k)
        held_x, held_weight = map(np.asarray, (x, weight)) if hosted() else map(on_device, padded(x, weight))
        n, layout = held_x.shape[0], None
    else:
        held_x, held_weight, layout = spread(x, sample_weight, dtype, k, mesh)
        n = layout.rows
    block = n if hosted() else min(block_size or block_rows(n, 4 * d, dtype.itemsize), n)
    problems = []
    for family, prior in models:
        prior = numbers(prior, dtype)
        held, measured, framed = summary.measure(held_x, held_weight, prior, family, str(dtype), block, layout)
        if not checks.in_trace(held, measured):
            with agreed(mesh):
                checks.row_values(x, family, measured, spans(mesh))
            checks.sound_weights(measured.lightest, measured.weight)
            checks.sound_frame(held.frame)
        problems.append(Problem(held, measured, framed, limits, method_of(accelerate, family)))
    return problems
