"""Random keys, and random numbers of single rows: the same for a key and a row's number, whatever the dtype of the
data, the size of blocks, and the device."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .backend import xp
from .host import hosted

Key: TypeAlias = int | np.integer | jax.Array | np.ndarray  # what users pass: a seed, or a key of JAX
MASK = 2**32 - 1  # the lower of two 32-bit words
ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)  # bits, in even and in odd groups of four rounds


def as_key(key):
    """A typed threefry key from a JAX key (typed or raw) or an int seed."""
    if isinstance(key, (jax.Array, np.ndarray)):
        if key.ndim == 0 and jnp.issubdtype(key.dtype, np.integer):
            return jax.random.key(key, impl="threefry2x32")
        try:
            return _as_threefry(key)
        except (TypeError, ValueError):
            key = f"an array of shape {key.shape} and dtype {key.dtype}"
    elif isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if -(2**63) <= key < 2**63:  # the key of jax.random.key in x64 mode, whatever the mode is
            return jax.random.wrap_key_data(np.array([key >> 32 & MASK, key & MASK], np.uint32), impl="threefry2x32")
        key = f"{key}, which is beyond 64 bits"
    raise ValueError(f"key must be a JAX key, as of jax.random.key(0), or an integer seed, got {key}")


def _as_threefry(key):
    """Any key, typed or raw, as a typed threefry key. Threefry's draws for the first rows do not depend on n."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    if str(jax.random.key_impl(key)) == "threefry2x32":
        words = jax.random.key_data(key)  # a tracer inside a trace, even of a key that is a constant there
        return jax.random.wrap_key_data(words, impl="threefry2x32") if isinstance(words, jax.core.Tracer) else key
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")


def here(key):
    """A typed threefry key; on the host its two words (2,), from which `fold_in` and `row_noise` draw the same."""
    return np.asarray(jax.random.key_data(key)) if hosted() and isinstance(key, jax.Array) else key


def fold_in(key, i):
    """A new key from a key and a number i, as `jax.random.fold_in`; on the host from one key (2,) or many (..., 2)."""
    if isinstance(key, np.ndarray):
        return np.concatenate(_hash(key, np.uint32([0]), np.uint32([i])), axis=-1)
    return jax.random.fold_in(key, i)


def row_noise(key, index, high=None):
    """Standard Gumbel noise of the rows with these global numbers, in float32 whatever the dtype of the data.

    Args:
        key: a key; on the host its words (2,), or those of many keys (..., 2).
        index: (b,) lower 32 bits of the rows' numbers.
        high: (b,) upper 32 bits; None: 0.

    The hash is evaluated once a row. All its 64 bits are used, so that large draws seldom tie, as with ``mode="high"``
    of `jax.random.gumbel` (which draws for the first n rows only).
    """
    high = xp.zeros_like(index) if high is None else high
    if isinstance(key, np.ndarray):
        words = _hash(key, high.astype(np.uint32), index.astype(np.uint32))
    else:
        from jax.extend.random import threefry_2x32  # slow to import: it loads kernels for accelerators

        rows = jnp.concatenate([high, index]).astype(jnp.uint32)
        words = jnp.split(threefry_2x32(jax.random.key_data(key), rows), 2)
    high, low = (word.astype(np.float32) for word in words)
    uniform = np.float32(2**-32) * high + np.float32(2**-64) * low + np.float32(2**-65)
    largest = np.float32(1 - 2**-24)
    return -xp.log(-xp.log1p(-xp.minimum(uniform, largest)))


def _hash(key, first, second):
    """Threefry-2x32 with 20 rounds: the hash of pairs of words, (b,) and (b,), under keys (..., 2).

    Source: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (2011).
    """
    keys = [key[..., :1], key[..., 1:], key[..., :1] ^ key[..., 1:] ^ np.uint32(0x1BD11BDA)]
    first, second = first + keys[0], second + keys[1]
    high = np.empty_like(second)
    for i in range(5):
        for turn in ROTATIONS[i % 2]:  # in place: arrays made anew take a third longer
            first += second
            np.right_shift(second, np.uint32(32 - turn), out=high)
            second <<= np.uint32(turn)
            second |= high
            second ^= first
        first += keys[(i + 1) % 3]
        second += keys[(i + 2) % 3] + np.uint32(i + 1)
    return first, second
