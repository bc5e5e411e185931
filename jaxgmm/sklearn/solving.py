"""A fit between an estimator and the core: framed rows, starts, runs of the stopping rule, and the way back.

The core's pieces run as in `jaxgmm.fit`. A number as ``tol`` is scikit-learn's rule, and the start with the highest
bound wins; "limit" is the core's, which also ranks degenerate starts last and orders components by weight.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from .. import em, fitting
from ..data.route import fits_on_host
from ..families.base import Family
from ..numerics.compiling import compiled
from ..numerics.dtypes import in_precision_of
from ..numerics.host import each, on_host
from ..records import Mixture, Status
from ..search import ranking
from ..search.problem import load
from . import room, rule, starts
from .narrator import Narrator

LIMIT = 1e-6  # nats per unit weight, as jaxgmm.fit has it


@dataclasses.dataclass(frozen=True)
class Options:
    """What an estimator was told, checked."""

    family: Family
    k: int
    prior: Any
    tol: float | str
    max_iter: int
    n_init: int
    accelerate: str
    init: Any  # as `starts.begin` takes it
    weights: Any  # (k,) that replace those of the start, or None
    given: dict  # parameters that do, by name
    bound: float  # of the parameters in ``init``, where a fit goes on; -inf
    verbose: int
    interval: int


@dataclasses.dataclass(frozen=True)
class Solution:
    """A fitted mixture in NumPy, and how it was reached."""

    mixture: Mixture
    converged: bool
    n_iter: int
    bounds: list
    degenerate: bool
    held_up: bool  # by floors or the prior, in any component


@in_precision_of("x")
def solve(x, weight, options: Options, rng) -> Solution:
    """The fit of rows x (n, d) with weights (n,)."""
    family = options.family
    with on_host(fits_on_host([family], x, options.n_init, options.k), at_once=family.in_numpy):
        return _solved(x, weight, options, rng)


def _solved(x, weight, options: Options, rng) -> Solution:
    problem, volume = framed(x, weight, options)
    active = room.asked_for(options.k, x)
    states = starts.begin(problem, options.family, options.init, x, weight, active, options.n_init, rng)
    if options.weights is not None or options.given:
        most, weights = active.shape[1], options.weights
        given = {name: np.asarray(value, problem.rows.dtype) for name, value in options.given.items()}
        given = room.each(options.family.parameters, given, most)
        weights = None if weights is None else room.nothing(weights, most)
        states = starts.replaced(states, problem.rows.frame, weights, given)
    own_rule = problem.method is rule.PLAIN
    if own_rule:
        states = rule.traced(states, options.bound + volume)
    if options.max_iter == 0:
        ended, bounds = states, []
    elif options.verbose:
        ended, bounds = _aloud(problem, options, active, states, volume)
    else:
        ended, bounds = _run(problem, options, active, states, lambda bounds: None)

    frame, weight, heaviest = problem.rows.frame, problem.measured.weight, problem.measured.heaviest
    values = np.asarray(ended.log_likelihood)
    best = int(np.argmax(np.where(np.isnan(values), -np.inf, values))) if options.max_iter else len(values) - 1
    if options.tol == "limit" and options.max_iter:  # a start that nothing judged has no likelihood to rank by
        result = ranking.conclude_one(frame, weight, ended, heaviest, fitting.keeps_order(options.init), active=active)
        best = int(np.nanargmin(np.abs(np.asarray(result.restarts) - np.asarray(result.log_likelihood))))
    else:
        result = ranking.conclude_one(frame, weight, lane(ended, best), heaviest, True, active=active)
    last = lane(ended, best)
    bounds = [clean(bound - volume, problem.rows.dtype) for bound in bounds[best]] if bounds else []
    return Solution(
        mixture=ranking.first_components(jax.tree.map(np.asarray, result.mixture), options.k),
        converged=bool(np.asarray(last.status)[0] == Status.CONVERGED),
        n_iter=max(int(result.n_iter), 0),
        bounds=bounds,
        degenerate=options.max_iter > 0 and int(result.status) == Status.DEGENERATE,
        held_up=bool((np.asarray(last.added) > 0).any()),
    )


def clean(bound: float, dtype) -> float:
    """A float64 bound without its last digits, which depend on how many starts ran side by side: where two fits end in
    the same place, the one with more starts must not have the lower bound."""
    return float(f"{bound:.13e}") if dtype == "float64" else float(bound)


def framed(x, weight, options: Options):
    """The checked rows in their frame, with the method that is to run; and what the frame adds to a mean bound."""
    tol = LIMIT if options.tol == "limit" else options.tol
    models = [(options.family, options.prior)]
    [problem] = load(x, weight, options.k, models, tol, options.max_iter, options.accelerate, None)
    if options.tol != "limit":
        method = rule.FASTER if options.accelerate == "squarem" else rule.PLAIN
        problem = dataclasses.replace(problem, method=method)
    return problem, float(np.log(np.asarray(problem.rows.frame.scale, np.float64)).sum())


def _run(problem, options: Options, active, states, watch):
    """Last states (l,), and the bounds of every one, in the frame. ``watch(bounds)`` after each compiled run."""
    if problem.method is not rule.PLAIN:
        ended = _ended(problem, options, active, states, "pruned" if options.tol == "limit" else "exhaustive")
        weight = float(problem.measured.weight)
        return ended, [[value / weight] for value in np.asarray(ended.log_likelihood)]
    bounds = [[] for _ in range(states.status.shape[0])]
    together = min(options.interval, rule.CAPACITY) if options.verbose else rule.CAPACITY
    for stop in range(together, options.max_iter + together, together):
        limits = dataclasses.replace(problem.limits, max_iter=np.asarray(min(stop, options.max_iter), np.int32))
        states = _ended(dataclasses.replace(problem, limits=limits), options, active, states, "exhaustive")
        updates, ring, status = (np.asarray(leaf) for leaf in (states.updates, states.bounds, states.status))
        for seen, some, count in zip(bounds, ring, updates, strict=True):
            seen.extend(some[np.arange(len(seen), count) % rule.CAPACITY].tolist())
        watch(bounds)
        unfinished = status == Status.MAX_ITER
        if stop >= options.max_iter or not unfinished.any():
            break
        states = dataclasses.replace(states, status=np.where(unfinished, em.RUNNING, status).astype(np.int32))
    return states, bounds


def _ended(problem, options: Options, active, states, search: str):
    """Last states (l,) of first ones."""
    method = problem.method
    lanes = _started(states, method)
    return _finished(fitting.run(problem, options.family, lanes, active, None, search), method)


@compiled("method")
def _started(states, method):
    return each(method.start)(states)


@compiled("method")
def _finished(lanes, method):
    return each(method.finish)(lanes)


def _aloud(problem, options: Options, active, states, volume):
    """`_run`, start by start, with words in between."""
    ended, bounds = [], []
    for i in range(states.status.shape[0]):
        narrator = Narrator(i, options.verbose, options.interval)
        state, [seen] = _run(
            problem, options, active, lane(states, i), lambda bounds, narrator=narrator: narrator.saw(bounds[0])
        )
        narrator.ended(seen[-1] - volume if seen else np.nan, int(np.asarray(state.status)[0]) == Status.CONVERGED)
        ended.append(state)
        bounds.append(seen)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *ended), bounds


def lane(states, i: int):
    """The i-th of states (l,), as the only one."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i : i + 1], states)
