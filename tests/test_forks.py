"""A child that was forked from a process in which JAX had started is told so, where it would wait for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "forked.py"


def answers_of_a_child(forked):
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
    command = [sys.executable, str(PROGRAM), forked]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_after_jax_has_started_is_an_error_and_numpy_goes_on():
    lines = answers_of_a_child("after")
    assert len(lines) == 10
    for line in lines:
        assert ("fails this process was forked" in line and "spawn" in line) or line == "estimator gives (200,)"
    assert "estimator gives (200,)" in lines


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_before_jax_has_started_can_do_everything():
    lines = answers_of_a_child("before")
    assert len(lines) == 6 and not [line for line in lines if "fails" in line]
