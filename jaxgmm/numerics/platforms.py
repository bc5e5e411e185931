"""Which kind of device computes, and where an array lies: asked here and nowhere else."""

import jax


def default() -> str:
    """The platform that new arrays are put on: "cpu", "gpu", "tpu", ...; that of ``jax_default_device`` where it is
    set."""
    device = jax.config.jax_default_device
    if isinstance(device, jax.Device):
        return device.platform
    return jax.devices(device.partition(":")[0])[0].platform if isinstance(device, str) else jax.default_backend()


def on_cpu() -> bool:
    """Whether the CPU computes, unless an array lies elsewhere."""
    return default() == "cpu"


def holds(array: jax.Array) -> bool:
    """Whether a concrete array lies in this machine's memory: on CPUs alone."""
    return all(device.platform == "cpu" for device in array.devices())
