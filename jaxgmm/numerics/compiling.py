"""Functions compiled for what they are given: quickly where data are few, polished where they are many.

On CPU, XLA takes longer to write a fit of a few thousand rows than the fit takes. Two of its options halve that and
cost little speed or none (`benchmarks/profile.md`): they are used where a function is given few numbers, so that a size
always means the same program, and for what a fit runs once, whose polish takes longer than it saves. Under a user's
trace the function is a part of the user's program, and on other devices nothing is asked for.
"""

import functools
import os

import jax

from . import platforms
from .forks import usable
from .host import hosted

FEW = 2**18  # numbers: what takes a second or two to polish runs in less
QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


def compiled(*static: str, once: bool = False):
    """Decorator: ``jax.jit``, with these arguments static; quickly at any size, where a fit runs it ``once``."""
    return functools.partial(Compiled, static=static, once=once)


class Compiled:
    """A function and its two programs."""

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
        except ValueError:  # JAX's, inside a trace over which the data are closed; or the function's own
            return self.polished(*args, **named)


@functools.cache
def quick_options() -> dict:
    """Those options that this XLA knows (it refuses the others by an error), and that nobody has set."""
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
