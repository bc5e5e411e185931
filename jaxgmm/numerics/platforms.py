"""Which kind of device computes, and where an array lies. No other module asks JAX for platforms."""

import jax

DOUBLE = ("6.0", "7.0", "8.0", "9.0", "10.0")  # compute capabilities: NVIDIA's P100, V100, A100, H100 and H200, B200


def device() -> jax.Device:
    """The device of new arrays: ``jax_default_device`` where it is set, else the first of JAX's default platform."""
    chosen = jax.config.jax_default_device
    if isinstance(chosen, jax.Device):
        return chosen
    return jax.devices(chosen.partition(":")[0] if isinstance(chosen, str) else None)[0]


def default() -> str:
    """The platform of new arrays: "cpu", "gpu", "tpu", ..."""
    return device().platform


def on_cpu() -> bool:
    """Whether new arrays are put on a CPU."""
    return default() == "cpu"


def holds(array: jax.Array) -> bool:
    """Whether a concrete array lies on CPU devices only, in this machine's memory."""
    return all(device.platform == "cpu" for device in array.devices())


def have_fast_float64(devices) -> bool:
    """Whether float64 takes at most about twice as long as float32 on each of these devices: on CPUs, and on GPUs with
    half as many units for float64 as for float32. Other GPUs have few, and TPUs none."""
    return all(each.platform == "cpu" or getattr(each, "compute_capability", "") in DOUBLE for each in devices)
