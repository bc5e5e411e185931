"""Threads of the host: some of ours, which take blocks of rows, and one for every product of a BLAS.

The threads of a BLAS divide a product, wait for each other at its end, and spin while they wait: on the products of a
block that takes twice as long as one thread, on a busy machine many times. Ours divide the blocks. The BLAS are NumPy's
and SciPy's, which compiled code calls for its factors; one that cannot be told keeps its threads.
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
# Extensions that are linked with a BLAS: NumPy's, and SciPy's twice, as one of them may be loaded without the other.
OF_BLAS = "numpy._core._multiarray_umath", OF_PROGRAMS, "scipy.linalg._fblas"
NAMES = "openblas_{}_num_threads", "scipy_openblas_{}_num_threads"  # of OpenBLAS, and as NumPy and SciPy bring it
SUFFIXES = "", "64_"  # of integers of 64 bits


def _loaded() -> list:
    """The functions ``get`` and ``set`` of every BLAS that this process has loaded so far."""
    found = [_of(sys.modules[name].__file__) for name in OF_BLAS if name in sys.modules]
    return [pair for pair in found if pair is not None]


@functools.cache
def _of(extension: str):
    """The functions of the BLAS that an extension is linked with, or None."""
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
    """Let every BLAS make a product in one thread; also the one that programs load when they first factor a matrix.

    Contexts may overlap, in several threads: the last one to end gives the others back.
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
    """``function`` of each task, in threads where there are several and a BLAS leaves the processors to us."""
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
