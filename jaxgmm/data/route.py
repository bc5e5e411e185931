"""Whether a call runs in NumPy on the host, without a compiler, or compiled. Sizes decide."""

import math

import jax

from .. import checks
from ..numerics import platforms
from ..numerics.dtypes import in_memory
from .sources import Stream

MOST = 2**28  # numbers in an E-step of all lanes, about a second: a larger fit takes longer than its compilation
MOST_WITH_GPU = 2**22  # the same beside an accelerator: hundreds of such E-steps take less than compiling
LEAST = 2**12  # numbers that a lane counts for at least, because calls take time too


def goes_to_host(families, x, lanes: int, k: int, *traced, compiled: bool | None = None, mesh=None) -> bool:
    """Whether a call runs on the host: ``lanes`` mixtures of k components, of each family, over rows x (n, d), or over
    each of the data sets x (b, n, d).

    Args:
        traced: further arguments of the call; a tracer among them needs a compiler.
        compiled: the caller's choice; None: sizes decide.

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
    factors = k * d**3  # numbers in the factorisations of covariances
    work = sum(max(n * width + factors, LEAST) * lanes for width in widths) * math.prod(sets)
    most = MOST if platforms.on_cpu() else min(MOST_WITH_GPU, MOST)
    return work <= most and all(family.in_numpy for family in families)


def in_numpy(family, *trees) -> bool:
    """Whether NumPy can compute: the family supports it, and all arrays are concrete and in this machine's memory."""
    return family.in_numpy and not any(isinstance(in_memory(leaf), jax.Array) for leaf in jax.tree.leaves(trees))
