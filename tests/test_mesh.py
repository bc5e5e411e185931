"""Whole = on a mesh: the same answer on 1, 2 and 8 devices, wherever the rows lie."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "on_mesh.py"


# A group is a process, because a process that has begun has the devices it has; few of them, because each compiles.
@pytest.mark.short(group=["some"])
@pytest.mark.parametrize("group", ["some", "float64", "float32", "data", "large"])
def test_a_mesh_changes_no_answer(group):
    environment = {
        **os.environ,
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",  # which alone has virtual devices
        "NPROC": "32",  # threads to spare: see `jaxgmm.data.mesh`
        "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[1]), str(PROGRAM.parents[2])]),
        "PYTHONWARNINGS": "error::UserWarning",
    }
    command = [sys.executable, str(PROGRAM), group]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
