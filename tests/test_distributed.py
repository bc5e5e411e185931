"""Whole = in many processes: real ones, that talk over loopback."""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import families
import numpy as np
import pytest

import jaxgmm
from jaxgmm.cli import processes
from jaxgmm.cli.main import main

PROGRAM = Path(__file__).parent / "programs" / "in_processes.py"
KINDS = "full", "categorical", "gamma"  # a mesh of one process has them all, in test_mesh.py
OPTIONS = {name: {"family": name, "tol": 0, "max_iter": 20} for name in KINDS} | {
    "poisson": {"family": "poisson", "tol": 0, "max_iter": 20, "n_init": 4},
    "settled": {"family": "full"},
    "streaming": {"family": "full", "tol": 0, "max_iter": 20, "n_init": 3, "streams": True},
    "codes": {"family": "categorical", "tol": 0, "max_iter": 20, "streams": True},
    "many": {"family": "diag", "tol": 0, "max_iter": 5, "init": "kmeans", "streams": True},
    "correlated": {"family": "full", "tol": 0, "max_iter": 20},  # float32 rows that go on in float64
    "correlated_streaming": {"family": "full", "tol": 0, "max_iter": 20, "streams": True},
}
SINGLE = "poisson", "correlated", "correlated_streaming"
DTYPES = {name: np.float32 if name in SINGLE else np.float64 for name in OPTIONS}
N = {"many": 90_001}  # a sample of them stands for all


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def environment(**more):
    paths = [str(PROGRAM.parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def started(commands, environments, stderr=subprocess.PIPE):
    pipes = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True}
    return [subprocess.Popen(c, env=e, **pipes) for c, e in zip(commands, environments, strict=True)]


def ended(running, timeout=300):
    """(exit code, standard output, standard error) of each; none outlives this."""
    try:
        said = [process.communicate(timeout=timeout) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *words) for process, words in zip(running, said, strict=True)]


def program(what, processes, folder, port=None, environments=None):
    port = port or free_port()
    commands = [[sys.executable, PROGRAM, what, *map(str, (processes, i, port, folder))] for i in range(processes)]
    done = ended(started(commands, environments or [environment()] * processes))
    assert [code for code, _, _ in done] == [0] * processes, [error[-2000:] for _, _, error in done]
    return done


@pytest.fixture(scope="module")
def given():
    data = {}
    for name, how in OPTIONS.items():
        n = N.get(name, 601)
        rows = families.BY_NAME[how["family"]].data(n=n)
        if name.startswith("correlated"):
            rows = np.column_stack([rows, rows[:, 0] + 1e-2 * rows[:, 1] ** 2])
        data[f"{name}_x"] = rows.astype(DTYPES[name])
        data[f"{name}_weight"] = np.arange(n) % 4
    return data


@pytest.fixture(scope="module")
def in_memory(given):
    @functools.cache
    def fitted(name):
        how = {key: value for key, value in OPTIONS[name].items() if key != "streams"}
        return jaxgmm.fit(5, given[f"{name}_x"], 3, sample_weight=given[f"{name}_weight"], **how)

    return fitted


@pytest.mark.short(fits=["one"])
@pytest.mark.parametrize(("processes", "fits"), [(2, "one"), (1, "some"), (4, "some"), (2, "all")])
def test_processes_change_no_answer(processes, fits, given, in_memory, tmp_path):
    names = {"one": ["full"], "some": ["full", "streaming"], "all": list(OPTIONS)}[fits]
    np.savez(tmp_path / "given.npz", **given)
    (tmp_path / "options.json").write_text(json.dumps({name: OPTIONS[name] for name in names}))
    program("fits", processes, tmp_path)
    for i in range(processes):
        with np.load(tmp_path / f"found-{i}.npz") as found:
            for name in names:
                expected = in_memory(name)
                value = float(expected.log_likelihood)
                if name == "settled":
                    assert abs(found["settled_value"] - value) < 1e-9 * abs(value)
                    continue
                bound = 1e-10 if DTYPES[name] == np.float64 else 5e-5
                params = {field: np.asarray(leaf) for field, leaf in vars(expected.mixture.components).items()}
                for field, wanted in {**params, "weights": np.asarray(expected.mixture.weights)}.items():
                    assert found[f"{name}_{field}"].dtype == wanted.dtype
                    np.testing.assert_allclose(found[f"{name}_{field}"], wanted, 0, bound * np.abs(wanted).max())


@pytest.mark.long
def test_what_is_wrong_on_one_process_is_an_error_on_all(tmp_path):
    program("errors,watched", 2, tmp_path)
    first, last = (json.loads((tmp_path / f"errors-{i}.json").read_text()) for i in range(2))
    words = {
        "value": "row 17, column 1 is nan",
        "support": "row 0, column 0",
        "weight": "row 3 has -1",
        "shape": "x[:, None]",
        "stream": "row 17, column 1 is nan",
    }
    for name, text in words.items():
        assert text in last[name] and not last[name].startswith("process")
        assert first[name] == f"process 1: {last[name]}"
    for said in (first, last):
        assert "same features" in said["features"] and "same features" in said["widths"]
        assert "n_components=9 needs at least as many rows, got 2" in said["rows"]
        assert "rows of one process" in said["callable"]
    means = [np.load(tmp_path / f"found-{i}.npz")["means"] for i in range(2)]
    np.testing.assert_array_equal(*means)


def test_a_scheduler_says_who_is_who(tmp_path):
    np.savez(tmp_path / "given.npz")
    (tmp_path / "options.json").write_text("{}")
    job = free_port() % 2**12  # JAX makes the port of the number of the job
    environments = [
        environment(
            SLURM_JOB_ID=str(job),
            SLURM_STEP_NODELIST="localhost",
            SLURM_NTASKS="2",
            SLURM_PROCID=str(i),
            SLURM_LOCALID=str(i),
            SLURM_STEP_NUM_NODES="1",
        )
        for i in range(2)
    ]
    program("fits", 2, tmp_path, "slurm", environments)


def cli(folder, port, data, *options, processes=2):
    """`jaxgmm fit` in as many processes as there are files."""
    shared = ["--processes", str(processes), "--coordinator", f"127.0.0.1:{port}", "--heartbeat", "10", *options]
    shared += ["--components", "2", "--family", "diag", "--restarts", "1"]
    return [
        [sys.executable, "-m", "jaxgmm", "fit", str(folder / file), *shared, "--process-id", str(i)]
        + [option.format(i) for option in ("--labels", str(folder / "labels-{}.csv"))]
        for i, file in enumerate(data)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for i, n in enumerate((120, 61)):
        np.save(folder / f"part-{i}.npy", rng.normal(size=(n, 2)) + 5 * rng.integers(0, 2, (n, 1)))
    return folder


@pytest.mark.long
def test_the_command_line_speaks_on_process_0_and_labels_go_host_by_host(folder):
    model = folder / "model.npz"
    commands = cli(folder, free_port(), ["part-0.npy", "part-1.npy"], "--json", "--output", str(model))
    (code, out, _), (other, nothing, _) = ended(started(commands, [environment()] * 2))
    assert (code, other) == (0, 0)
    assert nothing == ""
    best = json.loads(out)["best"]
    x = [np.load(folder / f"part-{i}.npy") for i in range(2)]
    whole = jaxgmm.select(0, np.concatenate(x), [2], families=["diag"], n_init=1).best
    assert abs(best["log_likelihood"] - whole.log_likelihood) < 1e-9 * abs(whole.log_likelihood)
    for i, mine in enumerate(x):
        labels = np.loadtxt(folder / f"labels-{i}.csv", delimiter=",", skiprows=1, usecols=1, dtype=int)
        np.testing.assert_array_equal(labels, np.asarray(jaxgmm.predict(jaxgmm.load(model), mine)))


def test_a_file_that_is_missing_on_one_host_ends_all(folder):
    done = ended(started(cli(folder, free_port(), ["part-0.npy", "none.npy"]), [environment()] * 2))
    assert [code for code, _, _ in done] == [2, 2]
    assert "process 1" in done[0][2] and "none.npy" in done[0][2] and "none.npy" in done[1][2]


@pytest.mark.long
def test_a_process_that_is_killed_ends_all_and_one_goes_on_from_the_checkpoint(folder, capsys):
    path, endless = folder / "c", ["--tol", "0", "--max-iter", "20000"]
    keep = ["--checkpoint", str(path), "--checkpoint-every", "100"]
    commands = cli(folder, free_port(), ["part-0.npy", "part-1.npy"], *endless, *keep)
    with (folder / "errors").open("w+") as errors:
        running = started(commands, [environment()] * 2, errors)
        begun = time.monotonic()
        while not path.exists() and time.monotonic() < begun + 120:
            time.sleep(0.5)
        time.sleep(0.5)  # somewhere on the way
        running[1].kill()
        killed = time.monotonic()
        (code, _, _), _ = ended(running, timeout=60)
        error = (folder / "errors").read_text()
    assert time.monotonic() - killed < 30
    assert code != 0
    assert "--resume" in error or "another task died" in error, error

    np.save(folder / "whole.npy", np.concatenate([np.load(folder / f"part-{i}.npy") for i in range(2)]))
    shared = ["fit", str(folder / "whole.npy"), "--components", "2", "--family", "diag", "--restarts", "1", *endless]
    assert main([*shared, *keep, "--resume", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["best"]["log_likelihood"]
    options = {"families": ["diag"], "n_init": 1, "tol": 0, "max_iter": 20_000, "compiled": True}
    whole = jaxgmm.select(0, np.load(folder / "whole.npy"), [2], **options).best.log_likelihood
    assert abs(found - whole) < 1e-9 * abs(whole)


def test_labels_of_processes_are_told_apart_by_the_file_and_not_by_its_name(tmp_path, monkeypatch):
    here, there, far = tmp_path / "here", tmp_path / "there", {"host": "another"}
    here.mkdir()
    there.mkdir()
    (tmp_path / "link").symlink_to(here)

    def place(cwd, path, **elsewhere):
        monkeypatch.chdir(cwd)
        return {**processes._place(path), **elsewhere}

    mine = place(here, "labels.csv")
    apart = [place(there, "labels.csv"), place(here, "other.csv"), None, place(here, "labels.csv", folder=1, **far)]
    same = [mine, place(there, "../here/labels.csv"), place(there, str(tmp_path / "link" / "labels.csv"))]
    same.append(place(here, "labels.csv", disk=1, **far))  # a disk that hosts share
    monkeypatch.setattr(processes, "spans", lambda mesh: True)
    for others, refused in ((apart, False), *(([each], True) for each in same)):
        monkeypatch.setattr(processes, "gathered", lambda value, others=others: [value, *others])
        monkeypatch.chdir(here)
        with pytest.raises(ValueError, match="twice") if refused else contextlib.nullcontext():
            processes.check_labels("labels.csv", None)


def test_options_of_processes_are_checked(capsys):
    assert main(["fit", "x.csv", "--process-id", "1"]) == 2
    assert "--processes" in capsys.readouterr().err
    assert main(["fit", "x.csv", "--processes", "2", "--process-id", "2", "--coordinator", "a:1"]) == 2
    assert "from 0 to 1" in capsys.readouterr().err
