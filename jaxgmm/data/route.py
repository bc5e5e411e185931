"""Which way a call goes: in NumPy on the host, where it needs no compiler, or compiled. Sizes decide."""

import math

import jax

from .. import checks
from ..numerics import platforms
from ..numerics.dtypes import in_memory
from .sources import Stream

MOST = 2**28  # numbers that an E-step of all lanes looks at, about a second: beyond, a fit outlasts its compiler
BESIDE = 2**22  # the same on a machine with an accelerator, some milliseconds: hundreds take less than its compiler
LEAST = 2**12  # that a lane counts for, however few they are: some of the time is that of calls


def goes_to_host(families, x, lanes: int, k: int, *traced, compiled: bool | None = None, mesh=None) -> bool:
    """Whether ``lanes`` mixtures of k components of each of these families are run on the host, over rows x (n, d), or
    over each of data sets (b, n, d).

    ``compiled`` is what the caller says: None leaves it to the sizes. ``traced`` may be what only a compiler can take.

    Raises:
        ValueError: ``compiled`` is False where a trace, a mesh or a stream needs a compiler.
    """
    if compiled not in (None, True, False):
        raise ValueError(f"compiled must be None, True or False, got {compiled!r}")
    needs = "a trace" if checks.in_trace(x, *traced) else None
    needs = "a mesh" if mesh is not None else "a stream" if isinstance(x, Stream) else needs
    if needs is not None:
        if compiled is False:
            raise ValueError(f"compiled=False: {needs} needs a compiler; leave compiled out")
        return False
    if compiled is not None:
        return not compiled
    *sets, n, d = x.shape
    if isinstance(in_memory(x), jax.Array):
        return False
    widths = [family.moments.width(d, k) for family in families]
    factors = k * d**3  # of covariances, which NumPy takes a tile at a time
    work = sum(max(n * width + factors, LEAST) * lanes for width in widths) * math.prod(sets)
    return work <= (MOST if platforms.on_cpu() else min(BESIDE, MOST)) and all(family.in_numpy for family in families)


def in_numpy(family, *trees) -> bool:
    """Whether these are numbers in this machine's memory, and of a family that NumPy can compute."""
    return family.in_numpy and not any(isinstance(in_memory(leaf), jax.Array) for leaf in jax.tree.leaves(trees))
