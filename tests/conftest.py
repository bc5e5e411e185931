"""The strict frame of every test: no silent broadcasting, no silent warning, float64 only where a test asks for it.

The short suite is what `pytest` runs; `.ci/run` runs what is `long`, too. `short(case=["full"])` makes a test long but
for these values of a parameter, `diagonal` but for a few cases in which every value of every parameter occurs.
"""

import collections
import itertools
import os
from importlib.metadata import version
from pathlib import Path

# A test compiles more than it computes: what the compiler takes to polish kernels is most of the suite. Who wants to
# test what it makes of them sets the variable. Of a flag that it does not know XLA dies, and jaxlib 0.12 does not know
# the second one.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith(("0.9.", "0.10.")),
)
# Workers and the programs that tests start share an accelerator, too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Workers share the processors, and the threads of a BLAS or of OpenMP spin while they wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest

WORKER = 1_500_000_000  # bytes: what a process of the suite grows to, at most


def keep_compiled_programs():
    """One program compiles in a second or two: the next run of the suite finds it here."""
    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", Path.home() / ".cache" / "jaxgmm-tests"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_configure(config):
    jax.config.update("jax_numpy_rank_promotion", "raise")
    keep_compiled_programs()
    if "error" not in config.getini("filterwarnings"):
        config.addinivalue_line("filterwarnings", "error")


def diagonal(cases):
    """Few of the cases, among which every value of every parameter is: of a product, as many as the longest has values.

    A case names a value for each parameter. Values that have not met are preferred, then those that were seen least.
    """
    unseen = {value for case in cases for value in case.items()}
    shown, met, times = [], set(), collections.Counter()

    def worth(case):
        values = list(case.items())
        meet = set(itertools.combinations(values, 2)) - met
        return len(unseen.intersection(values)), len(meet), -sum(times[value] for value in values)

    while unseen:
        case = max(cases, key=worth)
        shown.append(case)
        unseen -= case.items()
        met.update(itertools.combinations(case.items(), 2))
        times.update(case.items())
    return shown


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    products = {}
    for item in items:
        named = [mark.kwargs.items() for mark in item.iter_markers("short")]
        if any(str(item.callspec.params[name]) not in map(str, values) for each in named for name, values in each):
            item.add_marker("long")
        elif item.get_closest_marker("diagonal"):
            case = {name: id(value) for name, value in item.callspec.params.items()}
            products.setdefault((item.path, item.originalname), []).append((item, case))
    for product in products.values():
        shown = diagonal([case for _, case in product])
        for item, case in product:
            if case not in shown:
                item.add_marker("long")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """`-n auto`: a worker for each processor, but no more than half of the memory holds."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or not hasattr(os, "sched_getaffinity"):
        return None  # as pytest-xdist has it
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), memory // 2 // WORKER))


@pytest.fixture(params=["numpy", pytest.param("compiled", marks=pytest.mark.long)])
def engine(request, monkeypatch):
    """What runs a `jaxgmm.sklearn.GaussianMixture` of few rows; "compiled" is for many."""
    if request.param == "compiled":
        from jaxgmm.data import route
        from jaxgmm.sklearn import few

        monkeypatch.setattr(few, "MOST", 0)
        monkeypatch.setattr(route, "MOST", 0)


def resident():
    """Bytes that this process holds, where Linux says so."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


most = WORKER * 2 // 3


@pytest.fixture(autouse=True)
def release_programs():
    """The programs of one module may fill a worker: what they leave is used again, before memory grows a bit more."""
    global most
    yield
    if resident() > most:
        jax.clear_caches()
        most = resident() + WORKER // 20


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Thousands of programs in one process exhaust the memory maps that Linux grants it, and the compiler crashes."""
    yield
    jax.clear_caches()
