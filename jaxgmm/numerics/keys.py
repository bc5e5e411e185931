"""Keys, and draws that belong to rows: one key, one draw, whatever the dtype, the blocks and the devices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32

MASK = 2**32 - 1


def as_key(key):
    """A typed threefry key from a JAX key (typed or raw) or an int seed."""
    if isinstance(key, (jax.Array, np.ndarray)) and (key.ndim > 0 or not np.issubdtype(_kind(key), np.integer)):
        try:
            return threefry(key)
        except (TypeError, ValueError):
            key = f"an array of shape {key.shape} and dtype {key.dtype}"
    elif isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if -(2**63) <= key < 2**63:  # all 64 bits in either precision: what jax.random.key gives where x64 is on
            return jax.random.wrap_key_data(np.array([key >> 32 & MASK, key & MASK], np.uint32), impl="threefry2x32")
        key = f"{key}, which is beyond 64 bits"
    elif isinstance(key, (jax.Array, np.ndarray)):
        return jax.random.key(key, impl="threefry2x32")
    raise ValueError(f"key must be a JAX key, as of jax.random.key(0), or an integer seed, got {key}")


def _kind(key):
    return np.dtype(object) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key.dtype


def threefry(key):
    """Any key, typed or raw, as a typed threefry key: its first draws do not depend on how many are made."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    if str(jax.random.key_impl(key)) == "threefry2x32":
        return key
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")


def row_noise(key, index, high=None):
    """Standard Gumbel draws of the rows with these global indices (b,), in float32 whatever the precision.

    ``high`` (b,) are the upper 32 bits of the indices, where there are any.

    One evaluation of the hash a row; its 64 bits keep the draws near the maximum apart, as ``mode="high"`` does for
    `jax.random.gumbel`, which can only draw for the first n rows.
    """
    rows = jnp.concatenate([jnp.zeros_like(index) if high is None else high, index]).astype(jnp.uint32)
    high, low = jnp.split(threefry_2x32(jax.random.key_data(key), rows).astype(jnp.float32), 2)
    uniform = jnp.float32(2**-32) * high + jnp.float32(2**-64) * low + jnp.float32(2**-65)
    largest = jnp.float32(1 - 2**-24)
    return -jnp.log(-jnp.log1p(-jnp.minimum(uniform, largest)))
