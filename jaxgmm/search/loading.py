"""Options and rows of a call, checked, and a `Problem` made of them for every model: the rows in its frame."""

import dataclasses
from typing import Any

import jax
import numpy as np

from .. import checks
from ..data import streamed_summary
from ..data.arrays import Rows, block_rows
from ..data.codes import shown
from ..data.frame import unit_frame
from ..data.host import HostRows
from ..data.mesh import already_there, layout_of, rewrapped
from ..data.padding import padded
from ..data.sources import Stream, rows
from ..data.summary import measure
from ..distributed import agreed, alike, gathered, spans
from ..em import Limits
from ..em.squarem import METHODS, method_of
from ..families.base import Family, lookup
from ..families.categorical import of_shown
from ..numerics.dtypes import compute_dtype, numbers, on_device
from ..numerics.host import hosted
from .problem import Problem
from .pruning import SEARCHES


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a fit that concern neither data nor model, under their public names."""

    tol: Any
    max_iter: Any
    accelerate: str = "auto"
    search: str = "pruned"
    block_size: int | None = None
    mesh: Any = None

    def limits(self, dtype) -> Limits:
        """The numbers of the stopping rule."""
        return Limits(numbers(self.tol, dtype), numbers(self.max_iter, np.int32))

    def checked(self) -> "Options":
        accelerate = checks.choice(self.accelerate, "accelerate", METHODS)
        search = checks.choice(self.search, "search", SEARCHES)
        checks.number(self.tol, "tol")
        if not checks.in_trace(self.max_iter):
            checks.count(self.max_iter, "max_iter", least=0)
        block_size = self.block_size if self.block_size is None else checks.count(self.block_size, "block_size")
        return dataclasses.replace(self, accelerate=accelerate, search=search, block_size=block_size)


def family_of(family, x, mesh=None) -> Family:
    """The `Family` of a name, or as it is passed; the codes of "categorical" are those in the concrete data, of all
    processes."""
    family = checks.family_name(family)
    if family != "categorical":
        return checks.of_features(lookup(family), x.shape[-1])
    if checks.in_trace(x):
        raise ValueError(
            "family 'categorical' reads the codes off the data, which a trace does not have: "
            "pass jaxgmm.categorical(n_categories)"
        )
    return of_shown(shown(x, mesh))


def cut_over_mesh(x, sample_weight, k: int, mesh):
    """Rows and weights on the devices of a mesh, and their layout.

    Arrays that are cut over the mesh already stay where they are. Of several processes each passes its own rows, or all
    of them pass the same global array.
    """
    layout, dtype = already_there(x, mesh), compute_dtype(x)
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
    """Weights (n,) of this process's rows, on the host; None where weights on the devices serve."""
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


def load(x, sample_weight, k: int, models, options: Options) -> list[Problem]:
    """The problems of all models, pairs of family and prior, from checked options and data; they share one copy of x.

    There must be k rows of positive weight; their number is in ``known.measured``.
    """
    options = options.checked()
    dtype = compute_dtype(x)
    models = [(family, numbers(prior, dtype)) for family, prior in models]
    if isinstance(x, Stream):
        with agreed(options.mesh):
            x = x if sample_weight is None else rows(x, sample_weight)
        loaded = streamed_summary.measure(x, models, k, options.mesh)
    else:
        raw = raw_rows(x, sample_weight, k, options)
        loaded = [_framed(raw, x, options.mesh, *model) for model in models]
    return [
        Problem(*found, options.limits(dtype), family, method_of(options.accelerate, family), options.search)
        for found, (family, _) in zip(loaded, models, strict=True)
    ]


def raw_rows(x, sample_weight, k: int, options: Options) -> Rows:
    """The rows where they will be summed, on the host, on a device, or over a mesh; in their own units."""
    (n, d), dtype, layout = x.shape, compute_dtype(x), None
    kind = HostRows if hosted() else Rows
    if options.mesh is not None:
        x, weight, layout = cut_over_mesh(x, sample_weight, k, options.mesh)
        n = layout.rows
    else:
        weight = checks.weights(sample_weight, n, dtype)
        checks.enough_rows(n, k)
        if not checks.in_trace(weight):
            checks.weight_values(weight, k)
        x, weight = map(np.asarray, (x, weight)) if hosted() else map(on_device, padded(x, weight))
        n = x.shape[0]
    block = min(options.block_size or block_rows(n, 4 * d, dtype.itemsize), n)
    return kind(x, weight.astype(dtype), unit_frame(d, dtype), block, str(dtype), layout, options.block_size)


def _framed(raw: Rows, x, mesh, family: Family, prior):
    """The rows in the frame of a family, and what is measured of them; ValueError for bad values."""
    known = measure(raw, prior, family)
    if not checks.in_trace(raw, known):
        with agreed(mesh):
            checks.row_values(x, family, known.measured, spans(mesh))
        checks.sound_weights(known.measured.lightest, known.measured.weight)
        checks.sound_frame(known.frame)
    return dataclasses.replace(raw, frame=known.frame), known
