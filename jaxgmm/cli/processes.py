"""The command line as one of many processes: process 0 prints and writes the model, each reads rows of its own."""

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

RUNTIME = re.compile("(UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): ")


def alone(args: argparse.Namespace | None) -> bool:
    """Whether this process is the only one, as far as its options say."""
    return getattr(args, "processes", None) is None


def join(args: argparse.Namespace):
    """The mesh of all devices of all processes, once they have found each other; None where this one is alone."""
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
    """Standard output goes to standard error: gloo, when it connects, prints a line that is no part of the answer."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def leave_the_rest_to_the_first() -> None:
    """From here on all processes know the same, and process 0 warns for them; of its own files each has spoken."""
    if not speaks():
        warnings.simplefilter("ignore")


def speaks() -> bool:
    """Whether this process prints and writes what all of them have found."""
    return jax.process_index() == 0


def rows_of_weight(x, sample_weight, most: int, mesh) -> int:
    """How many rows of all processes have a positive weight; none reads on once it has ``most``."""
    rows = 0
    with agreed(mesh):
        for block, weight in x if hasattr(x, "blocks") else [(x, sample_weight)]:
            rows += len(block) if weight is None else int(np.sum(weight > 0))
            if rows >= most:
                break
    return sum(gathered(rows)) if spans(mesh) else rows


def check_labels(path: str | None, mesh) -> None:
    """Every process writes the labels of its own rows: to a file of its own."""
    if not spans(mesh):
        return
    places = [each for each in gathered(None if path is None else _place(path)) if each is not None]
    for one, other in itertools.combinations(places, 2):
        if _is_one_file(one, other):
            raise ValueError(f"--labels must be a file of its own for every process, got {one['path']} twice")


def _place(path: str) -> dict:
    """Where a file is, or will be."""
    real = os.path.realpath(path)
    folder = os.stat(os.path.dirname(real))
    return {"host": platform.node(), "path": real, "disk": folder.st_dev, "folder": folder.st_ino}


def _is_one_file(one: dict, other: dict) -> bool:
    """Whether two places are one: disks have numbers on their host alone, and hosts may share one under one path."""
    if one["host"] != other["host"]:
        return (one["path"], one["folder"]) == (other["path"], other["folder"])
    names = os.path.basename(one["path"]), os.path.basename(other["path"])
    return names[0] == names[1] and (one["disk"], one["folder"]) == (other["disk"], other["folder"])


def lost(args: argparse.Namespace | None, error: Exception) -> bool:
    """Whether an error is the runtime's word for another process that has died; it comes as one of two types."""
    return not alone(args) and RUNTIME.match(str(error)) is not None


def leave(code: int, error: Exception | None = None):
    """End without waiting for the others, as Python's own end would; where one of them died, with a line."""
    if error is not None:
        said = str(error).splitlines()[0][:200]
        advice = "start all of them again; --resume goes on from the file that --checkpoint kept"
        terminal.say("error", f"another process has ended ({said}); {advice}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
