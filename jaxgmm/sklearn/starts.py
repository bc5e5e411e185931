"""Starts of an estimator: scikit-learn's names, responsibilities, a function, a mixture, or given parameters."""

import dataclasses

import jax
import numpy as np

from .. import checks, em
from ..data.frame import enter
from ..data.padding import filled
from ..data.sources import Stream
from ..init import states, streamed_states
from ..init.draws import Start
from ..mixtures import cast
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import hosted
from ..numerics.keys import as_key
from ..numerics.plain import plain
from ..records import FitResult, Mixture, Selection, mixture_of
from ..search.beginnings import called

NAMES = {"kmeans": "kmeans", "k-means++": "k-means++", "random_from_data": "random"}  # ours for scikit-learn's
ALLOWED = (*NAMES, "random")


def seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(np.iinfo(np.int32).max))


def begin(problem, options, x, weight, rng) -> em.State:
    """First states (r,) for rows x (n, d), which the problem holds in their frame, padded in memory or streaming.

    r is ``options.n_init`` where ``options.init`` is a name or a function, and 1 where it is a mixture or
    responsibilities.
    """
    init, k, n_init, dtype = options.init, options.k, options.n_init, problem.rows.dtype
    begins = streamed_states if problem.streams else states
    problem = dataclasses.replace(problem, rows=problem.rows.cut(problem.family.moments, k, n_init))
    if isinstance(init, Mixture):
        given = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), init) if hosted() else cast(init, dtype)
        return states.begin_from_mixture(problem, entered(given, problem.known.frame))
    if isinstance(init, str) and init == "random":
        lanes = [_with(problem, random(rng, x.shape[0], k)) for _ in range(n_init)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *lanes)
    if not (isinstance(init, str) or callable(init)):
        return _with(problem, init)
    kind = NAMES[init] if isinstance(init, str) else init
    start = Start(kind, n_init, as_key(seed(rng)), np.ones((1, k), bool))
    if isinstance(init, str):
        return begins.begin(problem, start)
    centres = [np.asarray(each).astype(dtype) for each in called(start, x, weight, "init_params")]
    return begins.begin_at_centres(problem, np.stack(centres), start.active[0])


def check(init, x, k: int, family):
    """``init_params``, checked for rows x (n, d), as `begin` takes it."""
    n = x.shape[0]
    init = mixture_of(init) if isinstance(init, (FitResult, Selection)) or hasattr(init, "mixture_") else init
    drawn = isinstance(init, str) and init != "random"
    if isinstance(x, Stream) and not (drawn or callable(init) or isinstance(init, Mixture)):
        raise ValueError(
            "init_params cannot be responsibilities of all rows where rows stream ('random' are such): pass one of "
            f"{', '.join(map(repr, NAMES))}, a callable or a Mixture"
        )
    if isinstance(init, str):
        return checks.choice(init, "init_params", ALLOWED)
    if isinstance(init, Mixture):
        checks.mixture_to_start_from(init, x, k, family, "init_params")
        return init
    if callable(init):
        return init
    values = np.asarray(plain(init, "init_params"))
    if not np.isrealobj(values) or values.shape != (n, k):
        raise ValueError(
            f"init_params must be one of {', '.join(map(repr, ALLOWED))}, a callable, a Mixture, or responsibilities "
            f"of shape {(n, k)}, got {init!r:.80}"
        )
    checks.responsibilities(values, "init_params")
    return values


def random(rng, n: int, k: int):
    """Responsibilities (n, k) as scikit-learn draws them."""
    resp = rng.uniform(size=(n, k))
    return resp / resp.sum(axis=1)[:, None]


def _with(problem, resp):
    resp = np.asarray(resp).astype(problem.rows.dtype)
    return states.begin_with_responsibilities(problem, resp if hosted() else filled(resp, problem.rows.x.shape[0]))


@compiled()
def entered(mixture: Mixture, frame) -> Mixture:
    """The mixture, in the frame."""
    return dataclasses.replace(mixture, components=enter(mixture.components, frame))


@compiled()
def replaced(states: em.State, frame, weights, given) -> em.State:
    """First states (l,) with these weights (k,), if not None, and these parameters by name, in place of their own."""
    mixture = states.candidate
    log_weights, components = mixture.log_weights, mixture.components
    if weights is not None:
        log_weights = xp.broadcast_to(xp.log(weights)[None], log_weights.shape)
    if given:
        first = jax.tree.map(lambda leaf: leaf[0], components)  # a whole record to enter the frame with
        framed = enter(dataclasses.replace(first, **given), frame)
        shapes = {name: getattr(components, name).shape for name in given}
        new = {name: xp.broadcast_to(getattr(framed, name)[None], shape) for name, shape in shapes.items()}
        components = dataclasses.replace(components, **new)
    mixture = Mixture(log_weights, components, mixture.family)
    return dataclasses.replace(states, mixture=mixture, candidate=mixture)
