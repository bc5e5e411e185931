"""Threads in NumPy: this library's threads take blocks of rows, and the BLAS makes each product in one thread.

The threads of a BLAS divide a product, and spin while they wait for each other at its end. For the products of a block
that takes twice as long as one thread, on a busy machine many times as long. There may be two BLAS, NumPy's and SciPy's
(which compiled code calls to factor matrices). A BLAS whose number of threads cannot be set keeps its threads.
"""

import contextlib
import contextvars
import ctypes
import functools
import importlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

OF_PROGRAMS = "scipy.linalg.cython_blas"
# Extension modules linked with a BLAS: NumPy's, and two of SciPy's, as either may be loaded without the other.
OF_BLAS = "numpy._core._multiarray_umath", OF_PROGRAMS, "scipy.linalg._fblas"
NAMES = "openblas_{}_num_threads", "scipy_openblas_{}_num_threads"  # OpenBLAS; the wheels of NumPy and SciPy
SUFFIXES = "", "64_"  # with 64-bit integers


def _loaded() -> list:
    """[get, set], functions of the number of threads, of every BLAS that this process has loaded so far."""
    found = [_thread_functions(sys.modules[name].__file__) for name in OF_BLAS if name in sys.modules]
    return [pair for pair in found if pair is not None]


@functools.cache
def _thread_functions(extension: str):
    """[get, set] of the BLAS that an extension module is linked with; None where it has no such functions."""
    try:
        library = ctypes.CDLL(extension)
    except OSError:
        return None
    for name in [name + suffix for name in NAMES for suffix in SUFFIXES]:
        pair = [getattr(library, name.format(verb), None) for verb in ("get", "set")]
        if None not in pair:
            return pair
    return None


_lock, _depth, _before = threading.Lock(), 0, []


@contextlib.contextmanager
def one_for_each_product(in_programs: bool = False):
    """Context: every BLAS makes a product in one thread. ``in_programs``: also SciPy's, which compiled code loads when
    it first factors a matrix.

    Contexts may overlap, in several threads: the last one to end restores the numbers of threads.
    """
    global _depth, _before
    if in_programs:
        importlib.import_module(OF_PROGRAMS)
    with _lock:
        if _depth == 0:
            _before = [(put, get()) for get, put in _loaded()]
            for put, _ in _before:
                put(1)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for put, count in reversed(_before):
                    put(count)


def available() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(function, tasks: list) -> list:
    """[function(task) for task in tasks], in threads where processors are free: there are several, and the threads of
    the BLAS can be limited."""
    if len(tasks) == 1 or not (_loaded() and available() > 1):
        return [function(task) for task in tasks]
    pool = _pool(os.getpid())
    running = [pool.submit(contextvars.copy_context().run, function, task) for task in tasks]
    try:
        return [each.result() for each in running]
    finally:
        for each in running:  # after an error or Ctrl-C
            each.cancel()


@functools.lru_cache(1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process: they do not survive a fork."""
    return ThreadPoolExecutor(available(), thread_name_prefix="jaxgmm")
