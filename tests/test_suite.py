"""The suite itself: what the short one leaves out, how many workers it takes, and other people's plugins beside it."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import conftest
import pytest

ROOT = Path(__file__).parents[1]
MARKED = """
import pytest

@pytest.mark.diagonal
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["full", "diag", "gamma"])
def test_a_product(case, dtype):
    pass

@pytest.mark.short(init=["random"], seed=[0, 1])
@pytest.mark.parametrize("init", ["random", "kmeans"])
@pytest.mark.parametrize("seed", range(3))
def test_some_values(init, seed):
    pass

@pytest.mark.long
def test_a_long_one():
    pass

def test_a_short_one():
    pass
"""
SHORT = {
    *("test_a_product[full-float32]", "test_a_product[diag-float64]", "test_a_product[gamma-float32]"),
    *("test_some_values[0-random]", "test_some_values[1-random]", "test_a_short_one"),
}
WARNS = """
import warnings

def pytest_configure(config):
    warnings.warn("Benchmarks are automatically disabled because xdist plugin is active.")
"""


def pytest_of(folder, *options):
    """pytest with the settings of this project, on the tests in a folder of their own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (Path(conftest.__file__).parent, folder)))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        ROOT / "pyproject.toml",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--collect-only", "-q", *options, folder]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_short_suite_and_the_long_one_are_all(tmp_path):
    (tmp_path / "test_marked.py").write_text(MARKED)
    (tmp_path / "as_a_plugin.py").write_text(WARNS)  # as pytest-benchmark does beside pytest-xdist
    found = []
    for chosen in ((), ("-m", "long"), ("-m", "")):
        done = pytest_of(tmp_path, "-p", "as_a_plugin", *chosen)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append({line.split("::")[1] for line in done.stdout.splitlines() if "::" in line})
    short, rest, everything = found
    assert short == SHORT and len(everything) == 14
    assert not short & rest and short | rest == everything


def test_a_mark_that_is_misspelt_is_an_error(tmp_path):
    (tmp_path / "test_marked.py").write_text(MARKED.replace("mark.long", "mark.lonk"))
    done = pytest_of(tmp_path)
    assert done.returncode != 0 and "'lonk' not found in `markers`" in done.stdout


@pytest.mark.parametrize("sizes", [(11, 2, 2), (2, 2), (4, 2, 3), (3, 3, 3), (1, 5), (7,)], ids=str)
def test_every_value_is_on_the_diagonal(sizes):
    cases = [dict(enumerate(case)) for case in itertools.product(*map(range, sizes))]
    shown = conftest.diagonal(cases)
    assert len(shown) == max(sizes) and all(case in cases for case in shown)
    for name, size in enumerate(sizes):
        assert {case[name] for case in shown} == set(range(size))


def test_values_that_come_in_pairs_are_all_on_the_diagonal():
    pairs = [("sizeable", 1e-13), ("small", 1e-10), ("small", 1e-6)]
    cases = [{"prior": prior, "tol": tol, "dtype": dtype} for dtype in (0, 1) for prior, tol in pairs]
    shown = conftest.diagonal(cases)
    assert {case["tol"] for case in shown} == {1e-13, 1e-10, 1e-6} and {case["dtype"] for case in shown} == {0, 1}


def test_parameters_meet_in_turns_on_the_diagonal():
    cases = [dict(enumerate(case)) for case in itertools.product(range(11), range(2), range(2))]
    assert len({(case[1], case[2]) for case in conftest.diagonal(cases)}) == 4


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="elsewhere pytest-xdist counts processors itself")
@pytest.mark.parametrize(("gigabytes", "processors", "workers"), [(16, 16, 5), (64, 8, 8), (1, 4, 1), (24, 2, 2)])
def test_workers_need_no_more_than_half_of_the_memory(gigabytes, processors, workers, monkeypatch):
    pages = {"SC_PHYS_PAGES": gigabytes * 10**9 // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.get)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    assert conftest.pytest_xdist_auto_num_workers() == workers
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    assert conftest.pytest_xdist_auto_num_workers() is None
