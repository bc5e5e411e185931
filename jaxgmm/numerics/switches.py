"""JAX's debugging switches, which are off while this library runs, and why.

    jax_debug_nans, jax_debug_infs      here NaN and infinities are ordinary values, such as the bound before the first
                                        iteration; bad rows are a ValueError, and bad results have a `Status`
    jax_transfer_guard = "disallow"     rows in NumPy have to be transferred to the device
    jax_numpy_dtype_promotion           the code is written for "standard"; `dtypes` decides the dtype

They stay on for the caller's code, and inside a user's own ``jit``.
"""

import contextlib

import jax

GUARDS = "host_to_device", "device_to_device", "device_to_host"


@contextlib.contextmanager
def as_written():
    """Context: these switches as the library was written for, whatever the user has set."""
    config = jax.config
    with contextlib.ExitStack() as off:
        if config.jax_debug_nans:
            off.enter_context(jax.debug_nans(False))
        if config.jax_debug_infs:
            off.enter_context(jax.debug_infs(False))
        if config.jax_numpy_dtype_promotion == "strict":
            off.enter_context(jax.numpy_dtype_promotion("standard"))
        for way in GUARDS:
            if getattr(config, f"jax_transfer_guard_{way}") == "disallow":
                off.enter_context(getattr(jax, f"transfer_guard_{way}")("allow"))
        yield
