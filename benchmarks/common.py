"""What all benchmarks share: a clock, a description of the machine, and the folder for results."""

import json
import os
import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

import jaxgmm

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
RESULTS = Path(__file__).parent / "results"


def timed(call, *args):
    started = time.perf_counter()
    answer = call(*args)
    return time.perf_counter() - started, answer


def timed_warm(call, *args):
    """The same for a call that compiles nothing: it is made again where it does."""
    for _ in range(3):
        compiled, (seconds, answer) = compilations(timed, call, *args)
        if not compiled:
            break
    return seconds, answer


def compilations(call, *args):
    """How many programs JAX compiled while a call ran, and its answer."""
    seen = []

    def listen(event, duration, **_):
        if event.endswith("backend_compile_duration"):
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        answer = call(*args)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(seen), answer


def first_call(call) -> dict:
    """Seconds of a call that finds nothing compiled, and of what JAX and XLA did in it, by program."""
    seen = []

    def listen(event, duration, fun_name="", **_):
        if "/compile/" in event:
            seen.append((event.rsplit("/", 1)[-1].removesuffix("_duration"), fun_name.removeprefix("jit("), duration))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        seconds = timed(call)[0]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    compiled = [(name.rstrip(")"), duration) for event, name, duration in seen if event == "backend_compile"]
    parts = {part: sum(d for event, _, d in seen if event == part) for part in {event for event, _, _ in seen}}
    longest = sorted(compiled, key=lambda pair: -pair[1])[:6]
    return {"seconds": seconds, "programs": len(compiled), "parts": parts, "longest": longest}


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
        "blas": _blas(),
    }


def _cpu_lines():
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _version(name):
    try:
        return jaxgmm.__version__ if name == "jaxgmm" else version(name)
    except PackageNotFoundError:
        return None


def _blas():
    try:
        from threadpoolctl import threadpool_info
    except ImportError:  # a GPU machine needs neither scikit-learn nor this
        return []
    return sorted({f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()})


def write(path, about, cases):
    """Keep what was measured as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": about, "cases": cases}, indent=1) + "\n")
    print(f"\nwritten to {path}")
