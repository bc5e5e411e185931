"""The beginning of a fit: ``init`` as users pass it, checked, and the first lanes made from it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..data.frame import enter
from ..data.mesh import already_there, rewrapped
from ..data.padding import filled
from ..data.sources import Stream
from ..init import states, streamed_states
from ..init.draws import Start, keys_of
from ..init.kmeans import INITIALIZERS
from ..mixtures import cast
from ..numerics.compiling import compiled
from ..numerics.dtypes import on_device
from ..numerics.host import hosted, on_host
from ..numerics.plain import plain
from ..records import Mixture
from .problem import Problem
from .rungs import begun


def checked_init(init, n_init: int, x, *, model: tuple, in_processes: bool = False):
    """``init``, checked for a fit of rows x. ``model`` is the family, the number of components, and the names of the
    columns of x."""
    family, k, columns = model
    if isinstance(init, str):
        return checks.choice(init, "init", INITIALIZERS)
    if callable(init):
        if in_processes:
            raise ValueError("init as a callable would see the rows of one process: pass a name, a Mixture or (n, k)")
        return init
    if n_init != 1:
        raise ValueError(f"n_init must be 1 where init is a mixture or responsibilities, got {n_init}")
    if isinstance(init, Mixture):
        checks.mixture_to_start_from(init, x, k, family, "init")
        if columns is not None and init.columns not in (None, columns):
            raise ValueError(f"init is a mixture of columns {', '.join(init.columns)}; x has {', '.join(columns)}")
        return init
    if not hasattr(init, "shape") and not isinstance(init, (list, tuple)):
        raise ValueError(
            f"init must be one of {', '.join(map(repr, INITIALIZERS))}, a callable, a Mixture or responsibilities "
            f"(n, k), got {init!r}"
        )
    if isinstance(x, Stream):
        raise ValueError("init cannot be responsibilities where rows stream: pass a name, a callable or a Mixture")
    resp = plain(init, "init")
    if resp.shape != (x.shape[0], k):
        raise ValueError(f"init must hold responsibilities of shape {(x.shape[0], k)}, got {resp.shape}")
    if not checks.in_trace(resp):
        checks.responsibilities(np.asarray(resp), "init")
    return init


def first_lanes(problem: Problem, start: Start, x, sample_weight):
    """First lanes of the starts. A callable ``init`` is called with x and its weights as the user passed them."""
    init, k, family, dtype = start.init, start.k, problem.family, problem.rows.dtype
    if isinstance(init, str):
        return begun(problem, start)
    begins = streamed_states if problem.streams else states
    problem = dataclasses.replace(problem, rows=problem.rows.cut(family.moments, k, start.r))
    if callable(init):
        centres = [jnp.asarray(each, dtype) for each in called(start, x, sample_weight, "init")]
        layout = None if problem.streams else problem.rows.layout
        stack = jnp.stack if layout is None and not hosted() else lambda arrays: np.stack(list(map(np.asarray, arrays)))
        return begins.begin_at_centres(problem, stack(centres), start.active[0])
    if isinstance(init, Mixture):
        return states.begin_from_mixture(problem, _framed(cast(init, dtype), problem))
    return states.begin_with_responsibilities(problem, _placed(plain(init, "init").astype(dtype), problem.rows))


def called(start: Start, x, sample_weight, name: str) -> list:
    """The centres (k, d) of every start, from a user's function: ``start.init``, the option ``name``."""
    with on_host(False):  # the function may use JAX
        keys = keys_of(start.key, start.r)
        given = [start.init(keys[i], x, sample_weight, start.k) for i in range(start.r)]
        return [checks.centres(each, (start.k, x.shape[1]), name) for each in given]


def _framed(mixture: Mixture, problem: Problem) -> Mixture:
    """A mixture to start from, in the frame of the rows, and on their devices."""
    frame = problem.rows.frame
    if hosted():
        mixture = jax.tree.map(np.asarray, mixture)
    elif not problem.streams and problem.rows.layout is not None:  # JAX does not mix values of one device and of a mesh
        mixture, frame = on_default_device((mixture, frame))
    return dataclasses.replace(mixture, components=_entered(mixture.components, frame))


_entered = compiled(once=True)(enter)  # one program, not one an operation


def _placed(resp, rows):
    """Responsibilities (n, k) on the devices of the rows, padded as they are."""
    if hosted():
        return np.asarray(resp)
    if rows.layout is not None:
        return rewrapped(resp, rows.layout) if already_there(resp, rows.layout.mesh) else rows.layout.put(resp)
    return filled(resp, rows.x.shape[0])


def keeps_order(init) -> bool:
    """Whether the components of a result keep the order of those in ``init``: a mixture or responsibilities."""
    return not isinstance(init, str) and not callable(init)


def on_default_device(tree):
    """The tree on the default device, from values that are the same on all devices of a mesh."""
    return jax.tree.map(lambda leaf: on_device(np.asarray(leaf)), tree)
