"""Errors and warnings as single lines, a progress line, and the cache of compiled programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from .options import in_options


def say(kind: str, message: object) -> None:
    """Print one line on standard error, with the names of options in place of arguments."""
    print(f"jaxgmm: {kind}: {' '.join(in_options(str(message)).split())}", file=sys.stderr)


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Context: warnings are printed after the block, each once and in a line, so as not to break a progress line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # A cache that cannot be written only costs time; no warning for every program.
        warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
        try:
            yield
        finally:
            for message in dict.fromkeys(str(warning.message) for warning in caught):
                say("warning", message)


@contextlib.contextmanager
def progress(text: str, wanted: bool = True) -> Iterator[Callable | None]:
    """Context: a line on the terminal that counts seconds, with a callback for `jaxgmm.select` that adds to it how far
    the fits are. While a program is compiled, the line ends in "compiling".

    Where it is not ``wanted``, or standard error is no terminal, nothing is printed and the callback is None.
    """
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    done, started, seen, compiling = threading.Event(), time.monotonic(), [], []
    longest = 0

    def listen(event: str, *_, **__) -> None:
        """JAX reports the end of tracing, after which it compiles, and the end of compiling."""
        if event.startswith("/jax/core/compile/"):
            compiling[:] = [] if event.endswith("backend_compile_duration") else [", compiling"]

    def look(glance) -> None:
        ended, fits, rate = glance.fits_done, glance.fits, glance.rows_per_second
        compiling.clear()
        left = (time.monotonic() - started) * (fits - ended) / ended if ended else 0
        seen[:] = [
            f", {ended} of {fits} fits done, iteration {glance.iteration}, log-likelihood {glance.log_likelihood:.6g}",
            f", {rate:.3g} rows/s" if rate else "",
            f", about {left:.0f} s left" if left else "",
        ]

    def tick() -> None:
        nonlocal longest
        while not done.wait(0.5):
            line = f"{text}{''.join(compiling or seen)}: {time.monotonic() - started:.0f} s "
            line = line[: shutil.get_terminal_size().columns - 1]  # a longer one would wrap, and not be overwritten
            longest = max(longest, len(line))
            print(f"\r{line:{longest}}", end="", file=sys.stderr, flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    jax.monitoring.register_event_duration_secs_listener(listen)
    ticker.start()
    try:
        yield look
    finally:
        done.set()
        ticker.join()
        jax.monitoring.unregister_event_duration_listener(listen)
        print("\r" + " " * longest + "\r", end="", file=sys.stderr, flush=True)


def keep_compiled_programs() -> None:
    """Set JAX's persistent compilation cache to the user's cache folder, unless the user has set it."""
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # JAX's default is a second
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or jax.config.jax_compilation_cache_dir is not None:
        return
    try:
        folder = _user_cache() / "jaxgmm"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # the only way to know that a folder can be written
            pass
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _user_cache() -> Path:
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():  # the XDG specification: ignore relative paths
        return chosen
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"])
    return Path.home() / ".cache"
