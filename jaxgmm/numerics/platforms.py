"""Which kind of device computes, and where an array lies. No other module asks JAX for platforms."""

import jax


def default() -> str:
    """The platform of new arrays, "cpu", "gpu", "tpu", ...: that of ``jax_default_device`` where it is set, else JAX's
    default."""
    device = jax.config.jax_default_device
    if isinstance(device, jax.Device):
        return device.platform
    return jax.devices(device.partition(":")[0])[0].platform if isinstance(device, str) else jax.default_backend()


def on_cpu() -> bool:
    """Whether new arrays are put on a CPU."""
    return default() == "cpu"


def holds(array: jax.Array) -> bool:
    """Whether a concrete array lies on CPU devices only, in this machine's memory."""
    return all(device.platform == "cpu" for device in array.devices())
