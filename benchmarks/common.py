"""What every benchmark needs: a clock, the machine it ran on, and where its numbers go."""

import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import jax
from threadpoolctl import threadpool_info

import jaxgmm

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
RESULTS = Path(__file__).parent / "results"


def timed(call, *args):
    started = time.perf_counter()
    answer = call(*args)
    return time.perf_counter() - started, answer


def spread(times):
    return {"median": statistics.median(times), "least": min(times), "most": max(times), "all": times}


def machine():
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    packages = ("jaxgmm", "jax", "jaxlib", "numpy", "scipy", "scikit-learn")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": CORES,
        "load": os.getloadavg()[0],
        "device": jax.devices()[0].device_kind,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "blas": sorted({f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()}),
    }


def _cpu_lines():
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _version(name):
    return jaxgmm.__version__ if name == "jaxgmm" else version(name)


def write(path, about, cases):
    """Keep what was measured as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": about, "cases": cases}, indent=1) + "\n")
    print(f"\nwritten to {path}")
