"""One fit in many processes: how they are connected, and how they exchange values and errors.

`initialize` connects them by `jax.distributed`, which takes what it needs from SLURM, Open MPI, Kubernetes or TPU pods.
If the mesh of a fit has devices of all processes, each passes its own rows, and all get the same result. An error that
one process finds, such as a bad value in its rows, is raised in all of them, so that none waits for ever.
"""

import contextlib
import json

import jax
import numpy as np
from jax.experimental import multihost_utils

LONGEST = 4096  # most bytes of a message between processes


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat: int = 100,
) -> None:
    """Connect this process with the others. Call it before any other computation with JAX.

    Args:
        coordinator_address: "host:port" of process 0. None, for this and the next two: JAX asks the cluster.
        num_processes: the number of processes.
        process_id: the number of this process, from 0.
        heartbeat: seconds without an answer after which a process counts as dead, and the others end.

    Then ``jax.make_mesh((jax.device_count(),), ("rows",))`` is a mesh of all devices for `jaxgmm.fit`.

    Raises:
        ValueError: an argument is missing and there is no cluster that JAX knows.
        RuntimeError: JAX has computed before, or the other processes were not found.
    """
    if jax.config.jax_cpu_collectives_implementation in (None, "none"):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator_address, num_processes, process_id, heartbeat_timeout_seconds=int(heartbeat))


def spans(mesh) -> bool:
    """Whether a mesh, or None, holds devices of several processes."""
    return mesh is not None and len({device.process_index for device in mesh.devices.flat}) > 1


def gathered(value) -> list:
    """The values of all processes, in their order. A value must be at most `LONGEST` bytes of JSON."""
    own = json.dumps(value).encode()
    message = np.zeros(LONGEST, np.uint8)
    message[: len(own)] = np.frombuffer(own, np.uint8)
    everyone = multihost_utils.process_allgather(message).reshape(-1, LONGEST)
    return [json.loads(bytes(each).rstrip(b"\0")) for each in np.asarray(everyone)]


def alike(asked: list):
    """Check that all processes ask for the same: ``asked`` is [features, dtype, n_components].

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
    """The trees of all processes of the mesh, in their order, in NumPy. Shapes must be the same in all processes."""
    if not spans(mesh):
        return [jax.tree.map(np.asarray, tree)]
    stacked = multihost_utils.process_allgather(tree)
    return [jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], stacked) for i in range(jax.process_count())]


def from_first(content: bytes | None) -> bytes | None:
    """The content that process 0 has."""
    size = gathered(None if content is None else len(content))[0]
    if size is None:
        return None
    message = np.zeros(size + 1, np.uint8)  # never empty, which a broadcast would not take
    if jax.process_index() == 0:
        message[:size] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(message)).tobytes()[:size]


@contextlib.contextmanager
def agreed(mesh):
    """Context: an error in the block in one process is raised in all processes of the mesh.

    Nothing in the block may wait for another process.

    Raises:
        ValueError: in the processes without an error; it names the process that has one.
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
