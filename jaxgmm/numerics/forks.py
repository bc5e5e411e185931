"""An error in place of a hang where JAX is used in a process forked from one that had used JAX.

A fork does not copy JAX's threads, and a computation would wait for them for ever. NumPy works in such a process.
"""

import os
import sys

_without_threads = False  # whether this process was forked after JAX had started


def usable():
    """Raise RuntimeError where JAX cannot be used."""
    if _without_threads:
        raise RuntimeError(
            "this process was forked from one that had used JAX, whose threads do not survive a fork: start workers "
            "with multiprocessing.get_context('spawn') or 'forkserver' or with joblib's loky, use threads, or fork "
            "before the first use of JAX"
        )


def _after_fork():
    global _without_threads
    bridge = sys.modules.get("jax._src.xla_bridge")  # JAX has no public way to ask without starting
    _without_threads = _without_threads or getattr(bridge, "backends_are_initialized", bool)()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
