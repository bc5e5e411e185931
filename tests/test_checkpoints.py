"""A fit that was killed goes on from its file, to the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from programs import killed

import jaxgmm
from jaxgmm import Status, watching
from jaxgmm.cli import main

PROGRAM = Path(killed.__file__)
KILLS = int(os.environ.get("JAXGMM_KILLS", "3"))  # of each kind; 20 in the long run


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


class CrashError(Exception):
    pass


def crashes_at(iteration):
    """A callback that ends the work as a crash would: nobody catches it, nothing more is written."""

    def callback(glance):
        if glance.iteration >= iteration:
            raise CrashError

    return callback


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What runs that nothing interrupts give."""
    folder = tmp_path_factory.mktemp("whole")
    return {kind: killed.work(kind, folder / kind) for kind in ("fit", "select", "stream")}


@pytest.mark.parametrize("kind", ["fit", "select", "stream"])
def test_a_crash_loses_an_interval_and_no_bit(kind, whole, tmp_path):
    path, seen = tmp_path / "c", []
    for iteration in (3, 17, 40):
        with pytest.raises(CrashError):
            killed.work(kind, path, callback=crashes_at(iteration), every=1)
    result = killed.work(kind, path, callback=lambda glance: seen.append(glance.iteration), every=1)
    assert 37 <= seen[0] <= 41  # two iterations at most are made again
    assert same(result, whole[kind])
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("kind", ["fit", "select", "stream"])
def test_a_finished_one_gives_its_result_and_runs_nothing(kind, whole, tmp_path, monkeypatch):
    path = tmp_path / "c"
    killed.work(kind, path)
    before = path.read_bytes()
    monkeypatch.setattr(watching.Watch, "through", pytest.fail)
    assert same(killed.work(kind, path), whole[kind])
    assert path.read_bytes() == before


def test_keeping_a_checkpoint_changes_no_bit(whole):
    assert same(jaxgmm.fit(0, killed.data(), 3, family="diag", n_init=4, tol=1e-7), whole["fit"])


def test_a_stop_is_kept_and_gone_on_from(whole, tmp_path):
    path = tmp_path / "c"
    stopped = killed.work("fit", path, callback=lambda glance: glance.iteration >= 15, every=5)
    assert stopped.status is Status.STOPPED
    assert same(killed.work("fit", path), whole["fit"])


@pytest.mark.parametrize("kind", ["fit", "select"])
def test_kill_9_at_any_moment(kind, whole, tmp_path):
    path, rng = tmp_path / "c", random.Random(0)
    started = time.monotonic()
    subprocess.run([sys.executable, PROGRAM, kind, path], check=True)
    length = time.monotonic() - started
    path.unlink()
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, PROGRAM, kind, path])
        time.sleep(rng.uniform(0.3, 1) * length)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists():
            with np.load(path) as file:  # whole, whatever happened
                assert str(file["format"]) == "jaxgmm checkpoint 1"
    assert same(killed.work(kind, path), whole[kind])
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def test_without_resume_it_starts_afresh(tmp_path):
    path, seen = tmp_path / "c", []
    killed.work("fit", path)
    killed.work("fit", path, resume=False, callback=lambda glance: seen.append(glance.iteration))
    assert seen[0] == 0


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_components": 2}, "its n_components is [3], not [2]"),
        ({"family": "spherical"}, "families"),
        ({"tol": 1e-3}, "tol"),
        ({"key": 1}, "key"),
        ({"x": killed.data()[:500]}, "of other data"),
        ({"x": killed.data() + 1}, "of other data"),
        ({"x": killed.data().astype(np.float32)}, "dtype"),
        ({"init": np.full((900, 3), 1 / 3), "n_init": 1}, "n_init"),
    ],
)
def test_a_file_of_another_fit_is_refused_and_left(tmp_path, options, words):
    path = tmp_path / "c"
    given = {"key": 0, "x": killed.data(), "n_components": 3, "family": "diag", "n_init": 4, "checkpoint": path}
    given |= {"max_iter": 2, "tol": 0}
    jaxgmm.fit(**given)
    before = path.read_bytes()
    with pytest.raises(ValueError) as error:
        jaxgmm.fit(**(given | {"resume": True} | options))
    assert str(path) in str(error.value) and words in str(error.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04", None])
def test_a_damaged_file_is_refused_and_left(tmp_path, content):
    path = tmp_path / "c"
    given = {"family": "diag", "max_iter": 2, "tol": 0, "checkpoint": path}
    if content is None:
        jaxgmm.fit(0, killed.data(), 3, n_init=4, **given)
        content = path.read_bytes()[:-100]
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint, or one cut short or damaged; it is left as it is"):
        jaxgmm.fit(0, killed.data(), 3, n_init=4, **given, resume=True)
    assert path.read_bytes() == content


def test_nothing_but_a_checkpoint_is_written_over(tmp_path):
    path = tmp_path / "model.npz"
    jaxgmm.save(path, jaxgmm.fit(0, killed.data(), 2, family="diag").mixture)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not a checkpoint, so it is not written over"):
        jaxgmm.fit(0, killed.data(), 2, family="diag", checkpoint=path)
    assert path.read_bytes() == before


def test_what_killed_writers_left_is_removed(tmp_path):
    left, others = tmp_path / ".c.0123abcd", [tmp_path / ".c.keep", tmp_path / ".d.0123abcd"]
    for file in (left, *others):
        file.write_bytes(b"half")
    jaxgmm.fit(0, killed.data(), 2, family="diag", max_iter=2, tol=0, checkpoint=tmp_path / "c")
    assert not left.exists() and all(file.exists() for file in others)


def test_a_disk_that_is_full_costs_a_warning_and_not_the_fit(monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(jaxgmm.FitWarning, match="cannot be written .No space left on device.; the fit goes on without"):
        result = jaxgmm.fit(0, killed.data(), 3, family="diag", checkpoint=tmp_path / "c")
    assert result.converged and not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_other_data_of_the_same_shape_is_refused(family, tmp_path):
    rng = np.random.default_rng(0)
    given = {"n_components": 2, "family": family, "max_iter": 2, "tol": 0, "checkpoint": tmp_path / "c"}
    jaxgmm.fit(0, rng.integers(2, size=(300, 3)), **given)
    with pytest.raises(ValueError, match="of other data"):
        jaxgmm.fit(0, rng.integers(2, size=(300, 3)), **given, resume=True)


def test_bad_options_are_said(tmp_path):
    x = killed.data()
    for options in ({"resume": True}, {"checkpoint_every": 3}):
        with pytest.raises(ValueError, match="need checkpoint"):
            jaxgmm.fit(0, x, 2, **options)
    with pytest.raises(ValueError, match="checkpoint_every must be an integer >= 1, got 0"):
        jaxgmm.fit(0, x, 2, checkpoint=tmp_path / "c", checkpoint_every=0)
    with pytest.raises(ValueError, match="its folder does not exist"):
        jaxgmm.fit(0, x, 2, checkpoint=tmp_path / "missing" / "c")
    with pytest.raises(ValueError, match="checkpoint needs the host"):
        jax.jit(lambda x: jaxgmm.fit(0, x, 2, checkpoint=tmp_path / "c"))(x.astype(np.float32))


def test_the_command_line_goes_on_where_it_stood(capsys, tmp_path):
    data, path = tmp_path / "x.npy", tmp_path / "c"
    np.save(data, killed.data())
    argv = ["fit", str(data), "--components", "2,3", "--family", "diag", "--restarts", "4", "--checkpoint", str(path)]
    said = []
    for _ in range(2):
        assert main([*argv, "--resume"]) == 0
        said.append([line for line in capsys.readouterr().out.splitlines() if " s (" not in line])
    assert said[0] == said[1]
    path.write_bytes(path.read_bytes()[:50])
    assert main([*argv, "--resume"]) == 2
    error = capsys.readouterr().err
    assert str(path) in error and error.count("\n") == 1 and path.stat().st_size == 50
