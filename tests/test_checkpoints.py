"""A fit that was killed goes on from its file, to the same bits."""

import dataclasses
import functools
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import handmade
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import killed

import jaxgmm
from jaxgmm import Status
from jaxgmm.cli.main import main
from jaxgmm.families import base
from jaxgmm.search import checkpoints, driver
from jaxgmm.search.checkpoints import UNKNOWN, description
from jaxgmm.search.identity import alike, facts

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
    return functools.cache(lambda kind: killed.work(kind, folder / kind))


@pytest.mark.short(kind=["fit", "select"])
@pytest.mark.parametrize("kind", ["fit", "select", "stream"])
def test_a_crash_loses_an_interval_and_no_bit(kind, whole, tmp_path):
    path, seen = tmp_path / "c", []
    for iteration in (3, 17, 40):
        with pytest.raises(CrashError):
            killed.work(kind, path, callback=crashes_at(iteration), every=1)
    result = killed.work(kind, path, callback=lambda glance: seen.append(glance.iteration), every=1)
    assert 37 <= seen[0] <= 41  # two iterations at most are made again
    assert same(result, whole(kind))
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


@pytest.mark.short(kind=["fit", "select"])
@pytest.mark.parametrize("kind", ["fit", "select", "stream"])
def test_a_finished_one_gives_its_result_and_runs_nothing(kind, whole, tmp_path, monkeypatch):
    path = tmp_path / "c"
    killed.work(kind, path)
    before = path.read_bytes()
    monkeypatch.setattr(driver.stages, "advance", pytest.fail)
    assert same(killed.work(kind, path), whole(kind))
    assert path.read_bytes() == before


def test_keeping_a_checkpoint_changes_no_bit(whole):
    assert same(jaxgmm.fit(0, killed.data(), 3, family="diag", n_init=4, tol=1e-7), whole("fit"))


def test_a_stop_is_kept_and_gone_on_from(whole, tmp_path):
    path = tmp_path / "c"
    stopped = killed.work("fit", path, callback=lambda glance: glance.iteration >= 15, every=5)
    assert stopped.status is Status.STOPPED
    assert same(killed.work("fit", path), whole("fit"))


@pytest.mark.long
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
                assert str(file["format"]) == "jaxgmm checkpoint 4"
    assert same(killed.work(kind, path), whole(kind))
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


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_components": 2}, "of another fit (its n_components is [3], not [2])"),
        ({"key": 1}, "of another fit (its key is"),
        ({"x": killed.data()[:500]}, "of other data"),
    ],
)
def test_a_file_of_another_fit_is_not_written_over_unasked(tmp_path, options, words):
    path = tmp_path / "c"
    given = {"key": 0, "x": killed.data(), "n_components": 3, "family": "diag", "n_init": 4, "checkpoint": path}
    given |= {"max_iter": 2, "tol": 0}
    jaxgmm.fit(**given)
    before = path.read_bytes()
    with pytest.raises(ValueError) as error:
        jaxgmm.fit(**(given | options))
    assert f"{path}: a checkpoint {words}" in str(error.value) and "remove it, or name another" in str(error.value)
    assert path.read_bytes() == before
    path.unlink()
    jaxgmm.fit(**(given | options))


def test_the_file_of_a_sweep_is_small(tmp_path, monkeypatch):
    path, sizes, write = tmp_path / "c", [], checkpoints.Checkpoint.write
    monkeypatch.setattr(checkpoints.Checkpoint, "write", lambda self: (write(self), sizes.append(path.stat().st_size)))
    x = np.random.default_rng(0).normal(size=(272, 2))
    options = {"max_iter": 11, "tol": 0, "checkpoint": path, "checkpoint_every": 5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        jaxgmm.select(0, x, range(1, 10), n_init=20, **options)
    assert len(sizes) > 4 and max(sizes) < 400_000


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

    monkeypatch.setattr(np, "savez_compressed", full)
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


FEW = {"family": "diag", "max_iter": 2, "tol": 0}


def taken_up(path, x, before, after):
    """Resume with other options; the words of the refusal, or None where it goes on."""
    path.unlink(missing_ok=True)
    jaxgmm.fit(0, x, 2, **FEW | before, checkpoint=path)
    content = path.read_bytes()
    try:
        jaxgmm.fit(0, **{"x": x, "n_components": 2} | FEW | after, checkpoint=path, resume=True)
    except ValueError as error:
        assert path.read_bytes() == content and str(path) in str(error)
        return str(error)
    return None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_default_prior_is_the_one_written_out_and_no_other(dtype, tmp_path):
    x, written_out = killed.data().astype(dtype), resolved(dtype)
    assert taken_up(tmp_path / "c", x, {}, {"prior": written_out}) is None
    assert taken_up(tmp_path / "c", x, {"prior": written_out}, {}) is None
    assert "its prior" in taken_up(tmp_path / "c", x, {}, {"prior": jaxgmm.GaussianPrior()})
    assert "its prior" in taken_up(tmp_path / "c", x, {"prior": jaxgmm.GaussianPrior(1e-3)}, {"prior": written_out})


def resolved(dtype):
    """What a fit without a prior runs with."""
    from jaxgmm import fitting

    seen, load = [], fitting.load

    def loaded(x, weight, k, models, *options):
        seen.extend(models)
        return load(x, weight, k, models, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "load", loaded)
        jaxgmm.fit(0, killed.data().astype(dtype), 2, **FEW)
    return seen[0][1]


def first_rows(shift):
    def centres(key, x, sample_weight, k):
        return x[:k] + shift

    return centres


class Among:
    def __init__(self, rows):
        self.rows = rows

    def __call__(self, key, x, sample_weight, k):
        return x[self.rows]


@pytest.mark.parametrize(
    "one, same_again, other",
    [
        (first_rows(1.0), first_rows(1.0), first_rows(2.0)),
        (lambda key, x, w, k: x[:k], None, lambda key, x, w, k: x[k : 2 * k]),
        (Among([0, 5]), Among([0, 5]), Among([0, 6])),
        (Among([0, 5]).__call__, Among([0, 5]).__call__, Among([0, 6]).__call__),
        (functools.partial(first_rows(0.0), k=2), None, first_rows(0.0)),
        (jax.jit(first_rows(1.0), static_argnums=3), None, jax.jit(first_rows(2.0), static_argnums=3)),
    ],
)
def test_a_start_is_known_by_what_it_does(one, same_again, other):
    assert description(one) == description(same_again or one) != description(other)
    assert UNKNOWN not in description(one)


def test_a_start_is_known_by_the_globals_that_it_reads(monkeypatch):
    before = description(scaled_rows)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    after = description(scaled_rows)
    monkeypatch.undo()
    assert before == description(scaled_rows) != after


SCALE = 2.0


def scaled(x):
    return SCALE * x


def scaled_rows(key, x, sample_weight, k):
    return scaled(x)[:k]


def test_another_function_of_the_same_name_is_refused(tmp_path):
    x, path = killed.data(), tmp_path / "c"
    assert taken_up(path, x, {"init": first_rows(1.0)}, {"init": first_rows(1.0)}) is None
    assert "its init" in taken_up(path, x, {"init": first_rows(1.0)}, {"init": first_rows(2.0)})
    nobody = Among([0, 5])
    nobody.log = (i for i in range(3))
    assert "cannot be told from a checkpoint of another fit" in taken_up(path, x, {"init": nobody}, {"init": nobody})


def test_a_family_of_a_users_is_known_by_what_it_does(tmp_path):
    x, path = handmade.rows(), tmp_path / "c"
    bare, form = (dataclasses.replace(handmade.COUNTS.moments, base=term) for term in (None, handmade.base))
    without = dataclasses.replace(handmade.COUNTS, accurate=bare, moments=bare)
    again = dataclasses.replace(without, accurate=form, moments=form)
    assert taken_up(path, x, {"family": handmade.COUNTS}, {"family": again}) is None
    assert "its families" in taken_up(path, x, {"family": handmade.COUNTS}, {"family": without})
    same = base.lookup("categorical", n_categories=3)
    assert description(jaxgmm.categorical(3)) == description(same) != description(jaxgmm.categorical(4))


W = np.random.default_rng(0).integers(1, 4, 900).astype(float)
X = killed.data()
SWAPPED = np.r_[1, 0, 2:900]


@pytest.mark.parametrize(
    "before, after",
    [
        ({}, {"x": X[SWAPPED]}),
        ({}, {"x": X[::-1]}),
        ({}, {"sample_weight": W / W.mean()}),
        ({"sample_weight": W}, {"sample_weight": W[::-1]}),
        ({"sample_weight": W}, {"sample_weight": np.where(W == 1, 2, np.where(W == 2, 1, W))}),
        ({}, {"x": jaxgmm.rows(X[SWAPPED], block_size=900), "block_size": None}),
    ],
    ids=["two rows swapped", "reversed", "weights of the same sum", "weights reversed", "weights swapped", "stream"],
)
def test_other_rows_other_weights_and_another_order_are_refused(before, after, tmp_path):
    said = taken_up(tmp_path / "c", X, before, after)
    assert "of other data" in said or "its block_size" in said


def test_facts_are_those_of_the_same_rows_however_they_come():
    expected = known(X, W)
    assert known(X, 1.0 * W) == expected
    noisy = X * (1 + 1e-13 * np.random.default_rng(0).normal(size=X.shape))
    far, constant = X + 1e6, np.column_stack([X, np.full(900, 1e9 / 3)])
    for one, other in [
        (known(noisy, W), expected),
        (known(jnp.asarray(X, jnp.float32), W), known(X.astype(np.float32), W)),
        (known(jaxgmm.rows(X, block_size=100), W), expected),
        (known(jaxgmm.rows(X, W, block_size=899), None), expected),
        (known(X, W, jax.make_mesh((1,), ("rows",))), expected),
        (known(far * (1 + 1e-14), W), known(far, W)),
        (known(constant, W), known(constant, W)),
    ]:
        assert alike(one, other) and alike(other, one)
    for one, other in [(known(far[SWAPPED], W), known(far, W)), (known(constant[SWAPPED], W), known(constant, W))]:
        assert not alike(one, other)


def known(x, weight, mesh=None):
    from jaxgmm.search.loading import Options, load

    dtype = np.asarray(x).dtype if not hasattr(x, "blocks") else x.dtype
    with jax.enable_x64(dtype == np.float64):
        model = base.lookup("diag"), jaxgmm.GaussianPrior()
        [problem] = load(x, weight, 2, [model], Options(0, 1, "none", mesh=mesh))
        return facts(problem.rows, problem.known.measured, x, weight)


def test_another_block_size_gives_other_bits_and_is_refused(tmp_path):
    assert "its block_size is None, not 100" in taken_up(tmp_path / "c", X, {}, {"block_size": 100})


def test_a_file_of_an_older_version_is_refused_and_may_be_written_over(tmp_path):
    path = tmp_path / "c"
    jaxgmm.fit(0, X, 2, **FEW, checkpoint=path)
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files} | {"format": "jaxgmm checkpoint 1"}
    with path.open("wb") as handle:
        np.savez(handle, **entries)
    with pytest.raises(ValueError, match="of another jaxgmm, and this one cannot go on with it; it is left as it is"):
        jaxgmm.fit(0, X, 2, **FEW, checkpoint=path, resume=True)
    jaxgmm.fit(0, X, 2, **FEW, checkpoint=path)


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
