"""Rows padded to few sizes, so that a new number of rows compiles nothing.

The padding is copies of the last row with weight 0. It changes no result, and adds an eighth of the work at most.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics import platforms
from ..numerics.compiling import compiled

LEAST = 128  # rows: with fewer, running a program costs nothing against compiling it
TOGETHER = 64  # data sets that are computed together, however many there are
COPIED = 2**31  # bytes of rows on an accelerator: more are not padded, as memory may not hold a copy
ALIGNMENT = 64  # bytes: JAX on a CPU uses NumPy's memory without a copy where it is aligned so


def few_sizes(n: int) -> int:
    """The least size >= n among 8, 9, ... 16 times a power of two."""
    step = 1 << max((n - 1).bit_length() - 4, 0)
    return -(-n // step) * step


def padded_rows(n: int) -> int:
    """The number of rows that n rows are padded to."""
    return few_sizes(max(n, LEAST))


def padded_sets(b: int) -> int:
    """The number that b data sets are padded to; beyond `TOGETHER`, a multiple of it."""
    return few_sizes(b if b <= TOGETHER else -(-b // TOGETHER) * TOGETHER)


def padded(x, sample_weight, *sizes: int):
    """Rows and weights padded to these sizes (default: `padded_rows`); as they are if traced, or on several devices."""
    if _stays(x) or _stays(sample_weight):
        return x, sample_weight
    sizes = sizes or (padded_rows(x.shape[0]),)
    return filled(x, *sizes), filled(sample_weight, *sizes, weigh=False)


def filled(values, *sizes: int, weigh: bool = True):
    """Concrete rows (n, ...) padded to one size, or data sets (b, n, ...) to two sizes.

    The padding is copies of the last entry; 0 where it is not to ``weigh``.
    """
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
    """A concrete array on JAX's default device as NumPy's, if that is a CPU (the same memory); others as they are."""
    if isinstance(values, jax.Array) and not isinstance(values, jax.core.Tracer) and platforms.on_cpu():
        default = jax.config.jax_default_device
        if values.devices() == {default if isinstance(default, jax.Device) else jax.local_devices()[0]}:
            return np.asarray(values)
    return values


def _stays(values) -> bool:
    """Whether an array is not padded: a tracer, an array on several devices, a large one on an accelerator."""
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
