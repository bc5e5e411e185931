"""Rows filled up to few sizes, so that a new number of rows compiles nothing.

What fills up are copies of the last row, of weight 0: they change nothing, and cost an eighth more work at most.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics import platforms
from ..numerics.compiling import compiled

LEAST = 128  # rows: below, compiling a program is all that costs
TOGETHER = 64  # data sets that are looked at in one go, however many there are
COPIED = 2**31  # bytes of rows on an accelerator: there may be no room for a copy of more, and they stay as they are
ALIGNMENT = 64  # bytes, at which JAX takes NumPy's memory on a CPU as it is


def few_sizes(n: int) -> int:
    """The least of 8, 9, ... 16 times a power of two that is at least n."""
    step = 1 << max((n - 1).bit_length() - 4, 0)
    return -(-n // step) * step


def padded_rows(n: int) -> int:
    """How many n rows are filled up to."""
    return few_sizes(max(n, LEAST))


def padded_sets(b: int) -> int:
    """How many b data sets are filled up to: few numbers, beyond `TOGETHER` multiples of it."""
    return few_sizes(b if b <= TOGETHER else -(-b // TOGETHER) * TOGETHER)


def padded(x, sample_weight, *sizes: int):
    """Concrete rows of one device and their weights, filled up (to sizes as in `filled`); others as they are."""
    if _stays(x) or _stays(sample_weight):
        return x, sample_weight
    sizes = sizes or (padded_rows(x.shape[0]),)
    return filled(x, *sizes), filled(sample_weight, *sizes, weigh=False)


def filled(values, *sizes: int, weigh: bool = True):
    """Concrete rows (n, ...) filled up to a size, sets of rows (b, n, ...) to two sizes: with copies of the last, or
    with 0 where those are not to weigh."""
    own = values.shape[: len(sizes)]
    if own == sizes:
        return values
    values = on_host(values)
    if isinstance(values, jax.Array):
        return _filled(values, sizes, weigh)
    shape = *sizes, *values.shape[len(sizes) :]
    length = int(np.prod(shape)) * values.dtype.itemsize
    memory = np.empty(length + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    whole = memory[begin : begin + length].view(values.dtype).reshape(shape)
    whole[tuple(slice(n) for n in own)] = values
    for axis, n in enumerate(own):
        along = np.moveaxis(whole, axis, 0)
        along[n:] = along[n - 1] if weigh else 0
    return whole


def on_host(values):
    """JAX's array as NumPy's where that is the same memory; others as they are."""
    if isinstance(values, jax.Array) and not isinstance(values, jax.core.Tracer) and platforms.on_cpu():
        default = jax.config.jax_default_device
        if values.devices() == {default if isinstance(default, jax.Device) else jax.local_devices()[0]}:
            return np.asarray(values)
    return values


def _stays(values) -> bool:
    if not isinstance(values, jax.Array):
        return False
    if isinstance(values, jax.core.Tracer) or len(values.devices()) > 1:
        return True
    return values.nbytes > COPIED and not isinstance(on_host(values), np.ndarray)


@compiled("sizes", "weigh")
def _filled(values, sizes: tuple, weigh: bool):
    widths = [(0, size - n) for size, n in zip(sizes, values.shape, strict=False)]
    widths += [(0, 0)] * (values.ndim - len(sizes))
    return jnp.pad(values, widths, mode="edge" if weigh else "constant")
