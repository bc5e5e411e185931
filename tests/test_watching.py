"""Looking at a fit on its way changes nothing, and a stop gives the best so far."""

import subprocess
import sys
import textwrap
import warnings

import jax
import numpy as np
import pytest

import jaxgmm
from jaxgmm import Status
from jaxgmm.search import driver, stages

FAITHFUL = np.loadtxt("examples/data/faithful.csv", delimiter=",", skiprows=1)


def same(one, other):
    """Whether two results hold the same bits."""
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def at(iteration):
    """A callback that stops there."""
    return lambda glance: glance.iteration >= iteration


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("n_init", [1, 10])
@pytest.mark.parametrize("accelerate", ["none", "squarem"])
def test_looking_changes_no_bit(accelerate, n_init, every):
    options = {"n_init": n_init, "accelerate": accelerate, "max_iter": 500, "tol": 1e-5}
    watched = jaxgmm.fit(1, FAITHFUL, 3, callback=jaxgmm.History(), every=every, **options)
    assert same(watched, jaxgmm.fit(1, FAITHFUL, 3, **options))


def test_looking_changes_no_bit_of_a_sweep():
    options = {"families": ("diag", "spherical"), "n_init": 4, "max_iter": 50, "tol": 1e-3}
    watched = jaxgmm.select(1, FAITHFUL, (1, 3), callback=jaxgmm.History(), every=3, **options)
    alone = jaxgmm.select(1, FAITHFUL, (1, 3), **options)
    assert watched.table == alone.table
    assert all(map(same, watched.results, alone.results))


def test_short_runs_change_no_bit(monkeypatch):
    alone = jaxgmm.fit(1, FAITHFUL, 3, n_init=10)
    monkeypatch.setattr(driver, "RATE", 1)
    monkeypatch.setattr(driver, "SECONDS", 0)
    assert same(jaxgmm.fit(1, FAITHFUL, 3, n_init=10), alone)


@pytest.mark.parametrize("n_init", [1, 4])
def test_lanes_that_need_the_accurate_form_keep_it_between_looks(n_init):
    rng = np.random.default_rng(0)
    x = (rng.integers(3, size=(300, 1)) * [1.0, 2.0] + 3e-4 * rng.normal(size=(300, 2))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        alone, watched = (jaxgmm.fit(0, x, 4, n_init=n_init, callback=c, every=1) for c in (None, jaxgmm.History()))
    assert alone.status == watched.status and alone.n_iter == watched.n_iter
    assert same(alone, watched)


def test_a_history_of_every_iteration_is_the_trace_of_the_fit():
    history = jaxgmm.History()
    options = {"accelerate": "none", "max_iter": 30, "tol": 0}
    result = jaxgmm.fit(3, FAITHFUL, 3, callback=history, every=1, **options)
    assert [glance.iteration for glance in history.records] == list(range(31))
    assert history.records[-1].log_likelihood == pytest.approx(result.log_likelihood, rel=1e-13)
    for i in (0, 4, 17):
        until = jaxgmm.fit(3, FAITHFUL, 3, **(options | {"max_iter": i}))
        assert history.records[i].log_likelihood == pytest.approx(until.log_likelihood, rel=1e-13)
    values = np.array([glance.log_likelihood for glance in history.records])
    gains = [glance.gain for glance in history.records]
    assert gains[0] == np.inf
    np.testing.assert_allclose(gains[1:], np.diff(values) / len(FAITHFUL), atol=1e-14)
    assert [(glance.fits_done, glance.fits) for glance in history.records] == [(0, 1)] * 30 + [(1, 1)]


def test_a_callback_is_called_at_multiples_of_every_and_at_the_end():
    history = jaxgmm.History()
    result = jaxgmm.fit(3, FAITHFUL, 3, n_init=3, callback=history, accelerate="none", max_iter=47, tol=0)
    assert [glance.iteration for glance in history.records] == [0, 10, 20, 30, 40, 47] and result.n_iter == 47
    values = [glance.log_likelihood for glance in history.records]
    assert values == sorted(values) and values[-1] == pytest.approx(max(result.restarts), rel=1e-13)


def test_log_likelihoods_keep_the_dtype_of_the_data():
    history = jaxgmm.History()
    jaxgmm.fit(0, FAITHFUL.astype(np.float32), 2, callback=history, max_iter=3, tol=0)
    assert {glance.log_likelihood.dtype for glance in history.records} == {np.dtype(np.float32)}


def test_a_history_is_what_a_trace_draws():
    figure, plot = pytest.importorskip("matplotlib.figure"), pytest.importorskip("jaxgmm.plot")
    history = jaxgmm.History()
    jaxgmm.fit(3, FAITHFUL, 3, callback=history, every=1, accelerate="none", max_iter=30, tol=0)
    ax = plot.trace(history, ax=figure.Figure().subplots())
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), range(31))
    np.testing.assert_array_equal(line.get_ydata(), [glance.log_likelihood for glance in history.records])


@pytest.mark.parametrize("n_init", [1, 3])
def test_true_stops_with_the_best_so_far(n_init):
    options = {"n_init": n_init, "accelerate": "none", "search": "exhaustive"}
    stopped = jaxgmm.fit(1, FAITHFUL, 3, callback=at(20), **options, tol=1e-9)
    assert stopped.status is Status.STOPPED and not stopped.converged and stopped.n_iter == 20
    until = jaxgmm.fit(1, FAITHFUL, 3, max_iter=20, tol=0, **options)
    assert same(stopped.mixture, until.mixture) and same(stopped.restarts, until.restarts)


def test_only_true_stops():
    options = {"max_iter": 5, "tol": 0}
    for answer in (None, 1, "yes", [0], False):
        assert jaxgmm.fit(0, FAITHFUL, 2, callback=lambda glance, answer=answer: answer, **options).n_iter == 5
    assert jaxgmm.fit(0, FAITHFUL, 2, callback=lambda glance: np.True_, **options).status is Status.STOPPED


def test_a_stop_when_all_is_done_stops_nothing():
    assert jaxgmm.fit(0, FAITHFUL, 2, callback=lambda glance: glance.fits_done == 1).status is Status.CONVERGED


def test_a_stop_ends_the_sweep_and_keeps_what_is_done():
    options = {"families": ("diag", "spherical"), "n_init": 4, "tol": 1e-9}
    stopped = jaxgmm.select(1, FAITHFUL, (1, 3), callback=at(20), **options)
    assert [(row["family"], row["n_components"], row["status"]) for row in stopped.table] == [
        ("diag", 1, "CONVERGED"), ("diag", 3, "STOPPED")]  # fmt: skip
    assert stopped.best is stopped.results[1]  # it is better already
    history = jaxgmm.History()
    jaxgmm.select(1, FAITHFUL, (1, 3), callback=history, **options)
    assert [history.records[0].fits, history.records[-1].fits_done] == [4, 4]
    done = [glance.fits_done for glance in history.records]
    assert done == sorted(done) and 1 in done


def interrupt_at(iteration):
    def callback(glance):
        if glance.iteration >= iteration:
            raise KeyboardInterrupt

    return callback


def test_an_interrupt_gives_the_best_so_far():
    options = {"accelerate": "none", "tol": 1e-9}
    stopped = jaxgmm.fit(1, FAITHFUL, 3, callback=interrupt_at(20), **options)
    assert stopped.status is Status.STOPPED and stopped.n_iter == 20
    assert same(stopped.mixture, jaxgmm.fit(1, FAITHFUL, 3, callback=at(20), **options).mixture)
    sweep = jaxgmm.select(1, FAITHFUL, (1, 3), families=("diag", "full"), n_init=4, callback=interrupt_at(20), tol=1e-9)
    assert [row["status"] for row in sweep.table] == ["CONVERGED", "STOPPED"]


def test_an_interrupt_before_the_first_look_gives_the_start(monkeypatch):
    def interrupted(*args):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "advance", interrupted)
    stopped = jaxgmm.fit(1, FAITHFUL, 3)
    assert stopped.status is Status.STOPPED and stopped.n_iter == 0
    assert stopped.log_likelihood == jaxgmm.fit(1, FAITHFUL, 3, max_iter=0, tol=0).log_likelihood


def test_a_stopped_fit_of_degenerate_starts_says_so():
    x = np.repeat([[0.0, 0.0], [1.0, 5.0], [4.0, 2.0]], 20, axis=0)
    with pytest.warns(jaxgmm.FitWarning, match="DEGENERATE"):
        assert jaxgmm.fit(0, x, 3, n_init=2, callback=at(8), every=1).status is Status.DEGENERATE


def test_ctrl_c_while_a_compiled_run_is_under_way():
    script = """
        import os, signal, threading, time
        import numpy as np
        import jaxgmm

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
        x = np.loadtxt("examples/data/faithful.csv", delimiter=",", skiprows=1)
        def sweep(max_iter):
            return jaxgmm.select(0, x, (1, 3), families=("diag",), n_init=4, tol=0, max_iter=max_iter)
        for work in (lambda max_iter: jaxgmm.fit(0, x, 3, tol=0, max_iter=max_iter), sweep):
            work(3)  # compiles: before the first iteration there is nothing to return
            began = time.monotonic()
            threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            result = work(2**31 - 1)
            best = getattr(result, "best", result)
            assert best.status is jaxgmm.Status.STOPPED and best.n_iter > 3, best
            assert np.isfinite(best.log_likelihood)
            print(f"{time.monotonic() - began:.1f}")
        """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2


@pytest.mark.parametrize("option", [{"callback": jaxgmm.History()}, {"verbose": 1}])
def test_watching_needs_the_host(option):
    with pytest.raises(ValueError, match="callback and verbose need the host"):
        jax.jit(lambda x: jaxgmm.fit(0, x, 2, **option))(FAITHFUL.astype(np.float32))


@pytest.mark.parametrize(
    "option, words",
    [
        ({"callback": 3}, "callback must be a function of one record, got 3"),
        ({"every": 0}, "every must be an integer >= 1, got 0"),
        ({"every": 2.5}, "every must be an integer >= 1, got 2.5"),
        ({"verbose": 2}, "verbose must be 0 or 1, got 2"),
    ],
)
def test_bad_options_are_named(option, words):
    with pytest.raises(ValueError, match=words):
        jaxgmm.fit(0, FAITHFUL, 2, **option)
    with pytest.raises(ValueError, match=words):
        jaxgmm.select(0, FAITHFUL, [2], **option)


def test_verbose_prints_a_line_each_time(capsys):
    jaxgmm.fit(0, FAITHFUL, 2, verbose=1, max_iter=25, tol=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("jaxgmm: 0 of 1 fits done, iteration 0, log-likelihood -1")
    assert lines[-1].startswith("jaxgmm: 1 of 1 fits done, iteration 25, ")
    jaxgmm.fit(0, FAITHFUL, 2, max_iter=25, tol=0)
    assert capsys.readouterr().out == ""


def test_a_bar_counts_the_fits_done(capsys):
    pytest.importorskip("tqdm")
    jaxgmm.select(0, FAITHFUL, [1, 2], families=("diag",), n_init=2, callback=jaxgmm.Progress())
    shown = capsys.readouterr().err
    assert "2/2" in shown and "log-likelihood -1" in shown and shown.endswith("\n")


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    with pytest.raises(ModuleNotFoundError, match="jaxgmm.Progress needs tqdm: pip install tqdm"):
        jaxgmm.Progress()
