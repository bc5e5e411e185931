"""Processes forked from one in which JAX had started: its threads are gone, and who waits for them waits for ever.

Such a process gets an error instead. What runs in NumPy runs there too.
"""

import os
import sys

_of_started = False  # whether this process is such a child


def usable():
    """Raise RuntimeError where JAX cannot be used."""
    if _of_started:
        raise RuntimeError(
            "this process was forked from one that had used JAX, whose threads do not survive a fork: start workers "
            "with multiprocessing.get_context('spawn') or 'forkserver' or with joblib's loky, use threads, or fork "
            "before the first use of JAX"
        )


def _after_fork():
    global _of_started
    bridge = sys.modules.get("jax._src.xla_bridge")  # JAX has no public way to ask without starting
    _of_started = _of_started or getattr(bridge, "backends_are_initialized", bool)()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
