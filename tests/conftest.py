"""The strict frame of every test: no silent broadcasting, no silent warning, float64 only where a test asks for it."""

import os
from pathlib import Path

# A test compiles more than it computes: what the compiler takes to polish kernels is a third of the suite. Who wants to
# test what it makes of them sets the variable.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import pytest


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


@pytest.fixture(params=["numpy", "compiled"])
def engine(request, monkeypatch):
    """What runs a `jaxgmm.sklearn.GaussianMixture` of few rows; "compiled" is for many."""
    if request.param == "compiled":
        from jaxgmm.data import route
        from jaxgmm.sklearn import few

        monkeypatch.setattr(few, "MOST", 0)
        monkeypatch.setattr(route, "MOST", 0)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Thousands of programs in one process exhaust the memory maps that Linux grants it, and the compiler crashes."""
    yield
    jax.clear_caches()
