"""`plan`: how much memory and work a fit will take, computed from sizes alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import checks
from .data.arrays import block_rows, lanes_together
from .data.padding import padded_rows
from .data.streams import BLOCK_BYTES
from .families.base import Family, lookup
from .numerics.dtypes import compute_dtype
from .search.problem import slots_for

PASSES = 5  # over the rows before the first update, at most: see `init.streamed_states`


@dataclasses.dataclass(frozen=True)
class Plan:
    """The memory and work of a fit, on each device.

    - ``data``: bytes of rows and weights (of a stream: two blocks). ``working``: of a block of features and
      responsibilities. ``lanes``: of parameters and statistics. ``memory``: the sum of all three.
    - ``block_size``: rows computed at a time. ``read_size``: rows read at a time.
    - ``together``: how many of ``n_init`` starts run at a time. ``flops``: of the products in one iteration of all.
    - ``passes``: over the rows before the first update, at most. Then there is one for every update, and a last one.
    """

    n: int
    d: int
    n_components: int
    family: str
    n_init: int
    dtype: str
    devices: int
    block_size: int
    read_size: int
    together: int
    passes: int
    flops: float
    data: int
    working: int
    lanes: int

    @property
    def memory(self) -> int:
        return self.data + self.working + self.lanes

    def __str__(self):
        each = " on each device" if self.devices > 1 else ""
        starts = f"{self.n_init} starts, {self.together} at a time" if self.n_init > 1 else "1 start"
        return "\n".join(
            [
                f"{self.family}, K = {self.n_components}: {self.n} x {self.d} {self.dtype}, {starts}",
                f"memory   {_bytes(self.memory)}{each}: {_bytes(self.data)} data, {_bytes(self.working)} of a block, "
                f"{_bytes(self.lanes)} parameters and statistics",
                f"work     {self.flops / 1e9:.3g} GFLOP an iteration of all starts{each}",
                f"rows     read {self.read_size}, worked on {self.block_size} at a time",
                f"passes   {self.passes} before the first update, one an update, one at the end",
            ]
        )


def plan(
    n: int,
    d: int,
    n_components: int,
    family: str | Family = "full",
    *,
    n_init: int = 1,
    dtype="float64",
    streams: bool = False,
    devices: int = 1,
    block_size: int | None = None,
) -> Plan:
    """The memory and work that `fit` will take for n rows of d features, estimated from sizes alone.

    Args:
        n, d, n_components: the sizes.
        family: as in `fit`; for "categorical" pass ``jaxgmm.categorical(n_categories)``.
        n_init: number of starts.
        dtype: the dtype of the data.
        streams: whether the rows are read block by block.
        devices: the number of devices that the rows are divided over.
        block_size: as in `fit`; of a stream, as in `rows`.

    Raises:
        ValueError: sizes that are not integers >= 1, unknown names.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be an integer >= 1, got {n!r}")
    d, k = checks.count(d, "d"), checks.count(n_components, "n_components")
    n_init, devices = checks.count(n_init, "n_init"), checks.count(devices, "devices")
    family = checks.family_name(family)
    family = checks.of_features(lookup(family), d)
    dtype = compute_dtype(np.empty(0, dtype))
    form, item = family.moments, dtype.itemsize
    here = padded_rows(-(-n // devices))
    if streams:
        read = min(block_size or max(BLOCK_BYTES // (d * item), 64), here)
        together = lanes_together(form, d, k, n_init, item)
        data = 2 * read * (d + 1) * item
        block = min(block_rows(read, form.width(d, k * together), item), read)
    else:
        together = slots_for(form, (d, k, n_init), item, False)
        data = here * (d + 1) * item
        read = block = min(block_size or block_rows(here, form.width(d, k * together), item), here)
    f = form.width(d, k) - 2 * k
    return Plan(
        n=n,
        d=d,
        n_components=k,
        family=family.name,
        n_init=n_init,
        dtype=str(dtype),
        devices=devices,
        block_size=block,
        read_size=read,
        together=together,
        passes=PASSES,
        flops=4.0 * here * k * f * n_init,
        data=data,
        working=block * form.width(d, k * together) * item,
        lanes=n_init * 8 * k * form.width(d, k) * item,
    )


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
