"""Threads of the host: they change no bit of an answer, and the BLAS gets its own back."""

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from families import DTYPES, FAMILIES, K, assert_mixtures_close
from threadpoolctl import threadpool_info, threadpool_limits

import jaxgmm
from jaxgmm.data.arrays import block_rows
from jaxgmm.numerics import host, threads


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def before():
    """The threads of every BLAS, two each: the suite runs with one."""
    import scipy.linalg  # noqa: F401

    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield blas_threads()


def test_every_blas_makes_a_product_in_one_thread_and_gets_the_others_back(before):
    with threads.one_for_each_product():
        assert set(blas_threads()) == {1}
        with host.on_host():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
    with pytest.raises(ZeroDivisionError), threads.one_for_each_product():
        raise ZeroDivisionError
    assert blas_threads() == before


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_fit_makes_its_products_in_one_thread(compiled):
    seen = []
    x = np.random.default_rng(0).normal(size=(200, 2))
    jaxgmm.fit(0, x, 2, compiled=compiled, callback=lambda glance: seen.append(set(blas_threads())), every=5)
    assert seen and all(each == {1} for each in seen)


def noting(monkeypatch, module, name, seen):
    """A function of NumPy that notes with how many threads it was called."""
    function = getattr(module, name)

    def noted(*args, **named):
        seen.append(set(blas_threads()))
        return function(*args, **named)

    monkeypatch.setattr(module, name, noted)


@pytest.mark.usefixtures("before")
@pytest.mark.filterwarnings("ignore:.*not vary beyond")
def test_an_estimator_factors_and_multiplies_in_one_thread(monkeypatch):
    from jaxgmm.sklearn import GaussianMixture

    seen, x = [], np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0.0], [5.0]], 30, axis=0)
    model = GaussianMixture(2, random_state=0)
    for module, name in ((np.linalg, "cholesky"), (np.linalg, "eigh"), (np.linalg, "eigvalsh"), (np, "matmul")):
        noting(monkeypatch, module, name, seen)
    model.fit(x)
    model.predict(x), model.score_samples(x), model.icl(x)
    assert seen and all(each == {1} for each in seen)


@pytest.mark.usefixtures("before")
def test_looking_for_flat_directions_uses_one_thread(monkeypatch):
    seen = []
    noting(monkeypatch, np.linalg, "eigh", seen)
    jaxgmm.fit(0, np.random.default_rng(0).normal(size=(60, 4)), 1)
    assert seen and all(each == {1} for each in seen)


@pytest.mark.usefixtures("before")
def test_programs_of_many_data_sets_factor_in_one_thread(monkeypatch):
    from jaxgmm.search import stages

    seen = []
    noting(monkeypatch, stages, "advance", seen)
    jaxgmm.fit_many(0, np.random.default_rng(0).normal(size=(2, 60, 2)), 2, compiled=True)
    assert seen and all(each == {1} for each in seen)


def test_contexts_of_several_threads_overlap(before):
    inside, leave = threading.Event(), threading.Event()

    def another():
        with threads.one_for_each_product():
            inside.set()
            leave.wait()

    other = threading.Thread(target=another)
    with threads.one_for_each_product():
        other.start()
        inside.wait()
    assert set(blas_threads()) == {1}
    leave.set()
    other.join()
    assert blas_threads() == before


def test_tasks_keep_their_order_and_what_they_raise(monkeypatch):
    monkeypatch.setattr(threads, "available", lambda: 3)
    assert threads.mapped(lambda i: i**2, list(range(20))) == [i**2 for i in range(20)]
    with host.on_host():
        assert threads.mapped(lambda i: host.hosted(), [0, 1]) == [True, True]

    def fails(i):
        if i == 5:
            raise ValueError("the sixth")
        return i

    with pytest.raises(ValueError, match="the sixth"):
        threads.mapped(fails, list(range(20)))


def test_a_child_that_was_forked_has_threads_of_its_own():
    code = """
        import os, sys
        import numpy as np
        from jaxgmm.numerics import threads
        threads.available = lambda: 2
        assert threads.mapped(lambda i: i, [1, 2]) == [1, 2]
        child = os.fork()
        if child == 0:
            os._exit(0 if threads.mapped(lambda i: i, [1, 2]) == [1, 2] else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True, timeout=120)


@DTYPES
def test_their_number_changes_no_bit(dtype, monkeypatch):
    x = np.random.default_rng(0).normal(size=(60_000, 3)).astype(dtype)
    answers = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "available", lambda count=count: count)
        threads._pool.cache_clear()
        result = jaxgmm.fit(0, x, 4, tol=0, max_iter=3, compiled=False)
        answers.append((float(result.log_likelihood), np.asarray(result.mixture.components.covariances).tobytes()))
    threads._pool.cache_clear()
    assert len(set(answers)) == 1


@pytest.mark.short(case=["diag", "VEI", "poisson"])
@pytest.mark.diagonal
@DTYPES
@FAMILIES
def test_a_fit_of_many_blocks_is_that_of_the_compiled_program(case, dtype):
    x = np.tile(case.data(dtype, n=2000), (40, 1))
    with host.on_host():
        assert block_rows(len(x), 3 * x.shape[1], np.dtype(dtype).itemsize) < len(x) / 2
    options = {"family": case.family, "tol": 0, "max_iter": 4}
    here, there = (jaxgmm.fit(3, x, K, **options, compiled=compiled) for compiled in (False, True))
    bound = 1e-11 if dtype == np.float64 else 2e-5
    assert abs(here.log_likelihood - there.log_likelihood) / len(x) < bound
    assert_mixtures_close(here.mixture, there.mixture, case.params, dtype, 100)
