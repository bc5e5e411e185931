"""JAX's switches that look for mistakes in a program, and what they mean for what runs in here.

    jax_debug_nans, jax_debug_infs      NaN and infinities stand in here for what is not known yet; those of rows and
                                        results are an error by name, a `Status`, or what a function says it gives
    jax_transfer_guard = "disallow"     who passes NumPy's rows wants them where they are computed on
    jax_numpy_dtype_promotion           written for "standard"; what decides the dtype is in `dtypes`

They stay as they are for all code around, and inside a user's own ``jit``.
"""

import contextlib

import jax

GUARDS = "host_to_device", "device_to_device", "device_to_host"


@contextlib.contextmanager
def as_written():
    """The context in which this library runs as it was written, whatever of these is switched on."""
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
