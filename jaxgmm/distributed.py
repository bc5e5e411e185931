"""Many processes, one fit: how they find each other, and how they agree before they go on.

Finding each other is JAX's own work (`jax.distributed`): SLURM, Open MPI, Kubernetes and TPU pods tell it all it needs.
A fit is spread over processes when its mesh holds devices of all of them; then each hands over its own rows, and every
one of them gets the same result. What only one process can see, a bad value above all, is sent to the others: an error
on one is an error on all, and none is left waiting.
"""

import contextlib
import json

import jax
import numpy as np
from jax.experimental import multihost_utils

LONGEST = 4096  # bytes of what a process tells the others


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat: int = 100,
) -> None:
    """Make this process one of many: call it before anything else that computes.

    Args:
        coordinator_address: "host:port" of process 0. None, as the next two: read off the cluster by JAX.
        num_processes: how many there are.
        process_id: which of them this is, from 0.
        heartbeat: seconds after which a process that no longer answers is given up, and the others end.

    Then ``jax.make_mesh((jax.device_count(),), ("rows",))`` is a mesh of all devices for `jaxgmm.fit`.

    Raises:
        ValueError: there is no cluster to read them off.
        RuntimeError: something has computed before, or the others were not found.
    """
    if jax.config.jax_cpu_collectives_implementation in (None, "none"):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator_address, num_processes, process_id, heartbeat_timeout_seconds=int(heartbeat))


def spans(mesh) -> bool:
    """Whether a mesh, or None, holds devices of several processes."""
    return mesh is not None and len({device.process_index for device in mesh.devices.flat}) > 1


def gathered(value) -> list:
    """What every process says, in their order. JSON, at most `LONGEST` bytes of it."""
    said = json.dumps(value).encode()
    message = np.zeros(LONGEST, np.uint8)
    message[: len(said)] = np.frombuffer(said, np.uint8)
    everyone = multihost_utils.process_allgather(message).reshape(-1, LONGEST)
    return [json.loads(bytes(each).rstrip(b"\0")) for each in np.asarray(everyone)]


def alike(asked: list):
    """Whether all processes ask for the same features, dtype and n_components.

    Raises:
        ValueError: they do not.
    """
    for process, theirs in enumerate(gathered(asked)):
        if theirs != asked:
            raise ValueError(
                "every process must hand over the same features, dtype and n_components; process "
                f"{process} has {theirs}, process {jax.process_index()} has {asked}"
            )


def everyones(tree, mesh) -> list:
    """Arrays of every process that shares the mesh, in their order, in NumPy; each has them in the same shapes."""
    if not spans(mesh):
        return [jax.tree.map(np.asarray, tree)]
    stacked = multihost_utils.process_allgather(tree)
    return [jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], stacked) for i in range(jax.process_count())]


def from_first(content: bytes | None) -> bytes | None:
    """What process 0 has."""
    size = gathered(None if content is None else len(content))[0]
    if size is None:
        return None
    message = np.zeros(size + 1, np.uint8)  # never empty, which a broadcast would not take
    if jax.process_index() == 0:
        message[:size] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(message)).tobytes()[:size]


@contextlib.contextmanager
def agreed(mesh):
    """What one process does for itself: an error in the block on any of them is an error on all that share the mesh.

    Nothing in the block may wait for another process.

    Raises:
        ValueError: naming the process, on those on which nothing was wrong.
    """
    if not spans(mesh):
        yield
        return
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    words = gathered(None if failure is None else f"{failure}"[:800])
    if failure is not None:
        raise failure
    for process, text in enumerate(words):
        if text is not None:
            raise ValueError(f"process {process}: {text}")
