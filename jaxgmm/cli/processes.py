"""`fit` in many processes: each reads its own rows, all fit together, process 0 prints and writes the model."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import re
import sys
import warnings

import jax
import numpy as np

from ..distributed import agreed, gathered, initialize, spans
from . import terminal
from .table import Input

RUNTIME = re.compile("(UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): ")


def alone(args: argparse.Namespace | None) -> bool:
    """Whether the options ask for no other process."""
    return getattr(args, "processes", None) is None


def join(args: argparse.Namespace):
    """Wait for all processes; return the mesh of all their devices, or None where this process is alone."""
    if alone(args):
        if args.process_id is not None or args.coordinator:
            raise ValueError("--process-id and --coordinator need --processes N")
        return None
    if args.process_id is not None and args.process_id >= args.processes:
        raise ValueError(f"--process-id must be from 0 to {args.processes - 1}, got {args.process_id}")
    if (args.process_id is None) != (args.coordinator is None):
        raise ValueError("--process-id and --coordinator go together; without both the scheduler tells")
    with _nothing_printed():
        initialize(args.coordinator, args.processes, args.process_id, heartbeat=args.heartbeat)
        gathered(None)
    return jax.sharding.Mesh(np.array(jax.devices()), ("rows",))


@contextlib.contextmanager
def _nothing_printed():
    """Context: standard output goes to standard error. gloo prints a line when it connects, which is no result."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def warn_only_once() -> None:
    """Silence further warnings in all processes but 0: from here on they are the same in all."""
    if not prints():
        warnings.simplefilter("ignore")


def prints() -> bool:
    """Whether this process prints and writes the common results: it is process 0."""
    return jax.process_index() == 0


def rows_of_weight(table: Input, most: int, mesh) -> int:
    """How many rows of all processes have a positive weight; each process stops counting at ``most``."""
    rows = 0
    with agreed(mesh):
        for block, weight, _ in table.blocks():
            rows += len(block) if weight is None else int(np.sum(weight > 0))
            if rows >= most:
                break
    return sum(gathered(rows)) if spans(mesh) else rows


def check_labels(path: str | None, mesh) -> None:
    """ValueError where two processes would write their labels to the same file."""
    if not spans(mesh):
        return
    places = [each for each in gathered(None if path is None else _place(path)) if each is not None]
    for one, other in itertools.combinations(places, 2):
        if _is_one_file(one, other):
            raise ValueError(f"--labels must be a file of its own for every process, got {one['path']} twice")


def _place(path: str) -> dict:
    """What identifies a file that need not exist: host, path, and the numbers of disk and folder."""
    real = os.path.realpath(path)
    folder = os.stat(os.path.dirname(real))
    return {"host": platform.node(), "path": real, "disk": folder.st_dev, "folder": folder.st_ino}


def _is_one_file(one: dict, other: dict) -> bool:
    """Whether two places are the same file. Numbers of disks differ between hosts, which may share a folder."""
    if one["host"] != other["host"]:
        return (one["path"], one["folder"]) == (other["path"], other["folder"])
    names = os.path.basename(one["path"]), os.path.basename(other["path"])
    return names[0] == names[1] and (one["disk"], one["folder"]) == (other["disk"], other["folder"])


def lost(args: argparse.Namespace | None, error: Exception) -> bool:
    """Whether an error of JAX's runtime (ValueError or RuntimeError) means that another process has died."""
    return not alone(args) and RUNTIME.match(str(error)) is not None


def leave(code: int, error: Exception | None = None):
    """Exit at once: Python's own exit would wait for the other processes. ``error``: report that one has died."""
    if error is not None:
        said = str(error).splitlines()[0][:200]
        advice = "start all of them again; --resume goes on from the file that --checkpoint kept"
        terminal.say("error", f"another process has ended ({said}); {advice}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
