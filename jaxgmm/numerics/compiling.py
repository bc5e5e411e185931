"""`compiled`: `jax.jit` that compiles quickly for small arguments, and to run fast for large ones.

On a CPU, XLA takes longer to compile a fit of a few thousand rows than the fit takes to run. Two of its options halve
the compile time at little or no cost in speed (`benchmarks/profile.md`). They are set where the arguments hold few
numbers, so that one size always means the same program, and for functions that a fit runs once. They are not set on
other devices, nor inside a user's trace, where the function is a part of the user's program.
"""

import functools
import os

import jax

from . import platforms
from .forks import usable
from .host import hosted

FEW = 2**18  # numbers in the arguments: with fewer, full optimisation takes longer than it saves
QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


def compiled(*static: str, once: bool = False):
    """Decorator: ``jax.jit`` with these arguments static. ``once``: a fit calls it once, so compile quickly always."""
    return functools.partial(Compiled, static=static, once=once)


class Compiled:
    """A function and its two jitted forms: ``quick`` to compile, and ``polished`` to run."""

    def __init__(self, function, static, once):
        functools.update_wrapper(self, function)
        self._jit = functools.partial(jax.jit, function, static_argnames=static)
        self.polished = self._jit()
        self.lower = self.polished.lower
        self.once = once

    @functools.cached_property
    def quick(self):
        return self._jit(compiler_options=quick_options())

    def __call__(self, *args, **named):
        if hosted():
            return self.__wrapped__(*args, **named)
        usable()
        leaves = jax.tree.leaves((args, named))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves) or not platforms.on_cpu():
            return self.polished(*args, **named)
        if not self.once and sum(getattr(leaf, "size", 1) for leaf in leaves) > FEW:
            return self.polished(*args, **named)
        try:
            return self.quick(*args, **named)
        except ValueError:  # JAX's, inside a trace of another function (no argument is a tracer); or the function's own
            return self.polished(*args, **named)


@functools.cache
def quick_options() -> dict:
    """The options in `QUICK` that this version of XLA accepts and that ``XLA_FLAGS`` does not set."""
    free = {name: value for name, value in QUICK.items() if name not in os.environ.get("XLA_FLAGS", "")}
    if not free or _known(free):
        return free
    return {name: value for name, value in free.items() if _known({name: value})}


def _known(options: dict) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
