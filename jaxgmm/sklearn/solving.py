"""The fit of an estimator by the core: rows in their frame, starts, EM, and the solution in the data's units.

The core's functions run as in `jaxgmm.fit`. With a number as ``tol`` the stopping rule is scikit-learn's, and the start
with the highest bound wins. With "limit" the rule is the core's, which also ranks degenerate starts last and orders
components by weight.
"""

import dataclasses

import jax
import numpy as np

from .. import em
from ..data.route import goes_to_host
from ..numerics.compiling import compiled
from ..numerics.dtypes import float_dtype, in_precision, in_precision_of
from ..numerics.host import each, on_host
from ..records import Mixture, Status
from ..search import floors, loading, ranking, stages
from ..search.beginnings import keeps_order
from . import drawing, few, rule, starts
from .narrator import Narrator
from .options import Options

LIMIT = 1e-6  # nats per unit weight, the tol of jaxgmm.fit


@dataclasses.dataclass(frozen=True)
class Solution:
    """A fitted mixture in NumPy, and how the fit ended; ``bounds`` are those of all updates."""

    mixture: Mixture
    converged: bool
    n_iter: int
    bounds: list
    degenerate: bool
    on_floors: bool  # a floor sets a variance, and no prior was given


def solve(x, weight, options: Options, rng) -> Solution:
    """The fit of rows x (n, d) with weights (n,). Few rows need no JAX: so a forked process can fit them."""
    if few.fitted_as_sklearn(x, options):
        with on_host():
            return _solved(x, weight, options, rng)
    return _solved_by_sizes(x, weight, options, rng)


@in_precision_of("x")
def _solved_by_sizes(x, weight, options: Options, rng) -> Solution:
    """In NumPy or compiled, as the sizes decide."""
    family = options.family
    with on_host(goes_to_host([family], x, options.n_init, options.k), at_once=family.in_numpy):
        return _solved(x, weight, options, rng)


def _solved(x, weight, options: Options, rng) -> Solution:
    problem, volume = framed(x, weight, options)
    if few.drawn_as_sklearn(x, options):
        states = drawing.begin(problem, options, rng)
    else:
        states = starts.begin(dataclasses.replace(problem, method=em.PLAIN), options, x, weight, rng)
    if options.weights is not None or options.given:
        given = {name: np.asarray(value, problem.rows.dtype) for name, value in options.given.items()}
        states = starts.replaced(states, problem.known.frame, options.weights, given)
    if np.isfinite(options.bound):  # a warm start: the bound of its parameters counts as the last one
        previous = (options.bound + volume) * np.asarray(problem.known.measured.weight)
        states = dataclasses.replace(states, previous=np.full_like(states.previous, previous))
    if options.max_iter == 0:
        ended, bounds = states, []
    elif options.verbose:
        ended, bounds = _run_verbosely(problem, options, states, volume)
    else:
        ended, bounds = _run(problem, options, states, lambda bounds: None)

    values = np.asarray(ended.log_likelihood)
    best = int(np.argmax(np.where(np.isnan(values), -np.inf, values))) if options.max_iter else len(values) - 1
    if options.tol == "limit" and options.max_iter:  # without an update starts have no likelihoods to rank by
        result = ranking.conclude_one(problem.known, ended, keep_order=keeps_order(options.init))
        best = int(np.nanargmin(np.abs(np.asarray(result.restarts) - np.asarray(result.log_likelihood))))
    else:
        result = ranking.conclude_one(problem.known, lane(ended, best), keep_order=True)
    last = lane(ended, best)
    bounds = [clean(bound - volume, problem.rows.dtype) for bound in bounds[best]] if bounds else []
    return Solution(
        mixture=jax.tree.map(np.asarray, result.mixture),
        converged=bool(np.asarray(last.status)[0] == Status.CONVERGED),
        n_iter=max(int(result.n_iter), 0),
        bounds=bounds,
        degenerate=options.max_iter > 0 and int(result.status) == Status.DEGENERATE,
        on_floors=on_floors(jax.tree.map(lambda leaf: leaf[0], last.mixture), options.prior),
    )


def on_floors(mixture: Mixture, prior) -> bool:
    """Whether a floor sets a variance of the mixture in its frame, and no prior was given."""
    wide = mixture.family.covariance is None or floors.has_width(prior)
    return not wide and floors.set_a_variance(mixture)


def clean(bound: float, dtype) -> float:
    """A float64 bound without its last digits, which depend on how many starts ran side by side: of two fits that end
    in the same place, the one with more starts must not have the lower bound."""
    return float(f"{bound:.13e}") if dtype == "float64" else float(bound)


def framed(x, weight, options: Options):
    """The checked rows in their frame as a problem, with its method of EM; and what the frame adds to a mean bound."""
    tol = LIMIT if options.tol == "limit" else options.tol
    search = "pruned" if options.tol == "limit" else "exhaustive"
    how = loading.Options(tol, options.max_iter, options.accelerate, search)
    [problem] = loading.load(x, weight, options.k, [(options.family, options.prior)], how)
    if options.tol != "limit":
        method = rule.FASTER if options.accelerate == "squarem" else rule.PLAIN
        problem = dataclasses.replace(problem, method=method)
    return problem, float(np.log(np.asarray(problem.known.frame.scale, np.float64)).sum())


def _run(problem, options: Options, states, watch):
    """Last states (l,), and the bounds of each, in the frame. ``watch(bounds)`` is called after each compiled run."""
    lanes = _started(states, problem.method)
    if problem.method is not rule.PLAIN:
        ended = _finished(_ended(problem, lanes), problem.method)
        weight = float(problem.known.measured.weight)
        return ended, [[value / weight] for value in np.asarray(ended.log_likelihood)]
    bounds = [[] for _ in range(states.status.shape[0])]
    together = min(options.interval, rule.CAPACITY) if options.verbose else rule.CAPACITY
    for stop in range(together, options.max_iter + together, together):
        most = np.asarray(min(stop, options.max_iter) - 1, np.int32)  # the first E-step makes an update, too
        limits = dataclasses.replace(problem.limits, max_iter=most)
        lanes = _ended(dataclasses.replace(problem, limits=limits), lanes)
        counts, rings, status = (np.asarray(leaf) for leaf in (lanes.n_bounds, lanes.bounds, lanes.state.status))
        for own, ring, count in zip(bounds, rings, counts, strict=True):
            own.extend(ring[np.arange(len(own), count) % rule.CAPACITY].tolist())
        watch(bounds)
        unfinished = status == Status.MAX_ITER
        if stop >= options.max_iter or not unfinished.any():
            break
        running = np.where(unfinished, em.RUNNING, status).astype(np.int32)
        lanes = dataclasses.replace(lanes, state=dataclasses.replace(lanes.state, status=running))
    return _finished(lanes, problem.method), bounds


def _ended(problem, lanes):
    """Last lanes (l,), from first ones."""
    active = np.ones((1, problem.method.state_of(lanes).counts.shape[1]), bool)
    return stages.to_its_end(problem, stages.begin(problem, lanes, active)).lanes


@compiled("method")
def _started(states, method):
    return each(method.start)(states)


def _finished(lanes, method):
    with in_precision(float_dtype(lanes)):
        return _states(lanes, method)


@compiled("method")
def _states(lanes, method):
    return each(method.finish)(lanes)


def _run_verbosely(problem, options: Options, states, volume):
    """As `_run`, start by start, with what ``verbose`` prints."""
    ended, bounds = [], []
    for i in range(states.status.shape[0]):
        narrator = Narrator(i, options.verbose, options.interval)
        state, [own] = _run(
            problem, options, lane(states, i), lambda bounds, narrator=narrator: narrator.update(bounds[0])
        )
        narrator.end(own[-1] - volume if own else np.nan, int(np.asarray(state.status)[0]) == Status.CONVERGED)
        ended.append(state)
        bounds.append(own)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *ended), bounds


def lane(states, i: int):
    """The i-th of states (l,), as states (1,)."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i : i + 1], states)
