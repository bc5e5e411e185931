"""A search as a value: the state of many starts, which of them continue, in which form and up to which pause.

A search is a sequence of runs. Each goes up to a pause: first all lanes that continue, in the moment form, then those
that have lost their digits there, in float64 or in the accurate form. At the pause, lanes that have fallen behind stop
(`pruning`). If no lane ends well, a last run continues those that were stopped.

Many rows are searched in two rungs. All starts run to their ends on a sample; then the best of them continue on all
rows, and one more begins there again, because a sample may not show a rare group (`finalists`).
"""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..checks import in_trace
from ..em.loop import Packed, Queue, fresh_queue, pack, unpack
from ..families.base import matrices
from ..numerics import hold_in, platforms
from ..numerics.compiling import compiled
from ..numerics.dtypes import float_dtype, floats_in, in_precision
from ..numerics.host import choose, each, hosted
from ..numerics.threads import one_for_each_product
from ..records import record
from . import finalists, pruning
from .problem import stands
from .pruning import Standing

STOPS = (*pruning.PAUSES, em.NEVER, em.NEVER)  # updates after which lanes pause; the last is of lanes called back
LAST = len(STOPS) - 1


@record
class Search:
    """All of the state of a fit between two runs.

    ``lanes`` (l,) are m numbers of components, those in ``active`` (m, k), times r starts; those ``alive`` (l,)
    continue. ``standing`` (l,) is how good they are, ``queue`` the order in which they run. ``stage`` is the number of
    the pause, ``form`` that of the problem's form, ``rung`` that of its rows; ``iteration`` counts E-steps.
    """

    lanes: Any
    active: Any
    alive: Any
    standing: Standing
    queue: Queue
    stage: Any
    form: Any
    iteration: Any
    rung: Any
    firsts: Any  # lanes as they began, where some may begin again

    @property
    def groups(self) -> int:
        """How many numbers of components there are, m."""
        return self.active.shape[0]

    @property
    def starts(self) -> int:
        """How many starts each of them has, r."""
        return self.alive.shape[0] // self.groups

    @property
    def dtype(self) -> np.dtype:
        """What lanes are computed in."""
        return self.standing.gain.dtype

    @property
    def judged(self) -> bool:
        """Whether anything is known of the starts."""
        return bool((np.asarray(self.standing.n_iter) >= 0).any())

    @property
    def ended(self) -> bool:
        return int(self.stage) > LAST

    @property
    def running(self):
        """Lanes (l,) that have not ended."""
        return np.asarray(self.alive) & (np.asarray(self.standing.status) < 0)


def begin(problem, lanes, active, iteration: int = -1) -> Search:
    """The search before its first E-step, from first lanes (l,). Lanes of data sets without weight, padding, are not
    alive."""
    traced, count = in_trace(problem, lanes), jax.tree.leaves(lanes)[0].shape[0]
    alive = np.ones(count, bool) if traced else _weighs(problem, active.shape[0], count)
    infinite, unknown = np.full(count, np.inf, float_dtype(lanes)), np.full(count, -1, np.int32)
    running, sound = np.full(count, em.RUNNING, np.int32), np.ones(count, bool)
    standing = Standing(np.nan * infinite, infinite, unknown, running, sound)
    form, pruned = 0, problem.search == "pruned" and count // active.shape[0] >= pruning.FEWEST
    queue = fresh_queue(count, problem.slots(form, active.shape[1], count, traced))
    stage, form, iteration, rung = map(np.int32, (0 if pruned else LAST, form, iteration, 0))
    firsts = lanes if len(problem.rungs) > 1 else None
    return Search(lanes, active, alive, standing, queue, stage, form, iteration, rung, firsts)


def advance(problem, search: Search, rounds) -> Search:
    """The search after at most so many rounds of E-steps; where they end the current run, before the next one."""
    problem = problem.suiting(search)
    rounds, pause = np.int32(rounds), np.int32(STOPS[int(search.stage)])
    with in_precision(search.dtype):
        lanes, standing, queue, made = problem.until(pause, int(search.rung)).run(search, int(search.form), rounds)
        made = np.int32(made)  # waits
        iteration = np.int32(search.iteration + made)
        search = dataclasses.replace(search, lanes=lanes, standing=standing, queue=queue, iteration=iteration)
        return search if made == rounds else following(problem, search)


def following(problem, search: Search) -> Search:
    """The search at the end of a run, set up for the next run; or ended."""
    stage, form = int(search.stage), int(search.form)
    status, last = np.asarray(search.standing.status), len(problem.forms) - 1
    if problem.widened:
        lost = search.alive & ~_hold_in_float32(problem, search.lanes)
        if lost.any():
            back = in_another_dtype(problem, search, np.float32, search.alive & (lost | (status < 0)))
            return _next(problem, back, stage, search.alive, last)
    if form < last and (status == em.LOSSY).any():
        if problem.may_widen:
            wide = in_another_dtype(problem, search, np.float64, status < 0)
            return _next(problem.in_float64, wide, stage, search.alive)
        return _next(problem, search, stage, search.alive, form + 1)
    if stage == LAST:
        return _end(problem, search)
    if stage == LAST - 1 or not search.running.any():
        back = np.asarray(pruning.recalled(search.standing, search.alive, search.groups))
        back = back & _weighs(problem, search.groups, len(back))
        return _called_back(problem, search, back) if back.any() else _end(problem, search)
    weight, most = problem.known.measured.weight, pruning.kept(search.starts) if int(search.rung) == 0 else 1
    limits = problem.limits.tol, np.int32(most)
    alive = np.asarray(pruning.survivors(search.standing, search.alive, weight, limits, search.groups))
    return _next(problem, search, stage + 1, alive)


def in_another_dtype(problem, search: Search, dtype, again) -> Search:
    """The search with its lanes in another dtype: in float64, where a lane has lost its digits in float32, because the
    moment form in float64 is faster than the accurate form in float32; or back in float32. Lanes ``again`` (l,)
    continue from their last accepted mixture. Its log-likelihood may be wrong, in float64 by what the moment form
    loses, in float32 by any amount."""
    lanes, firsts, standing = floats_in(dtype, (search.lanes, search.firsts, search.standing))
    doubt = em.LOSS_LIMIT if dtype == np.float64 else np.inf
    with in_precision(dtype):
        lanes = _resumed(problem.method, lanes, again, dtype(doubt))
    lanes = jax.tree.map(np.asarray, lanes)  # on a mesh they go to all of its devices
    return dataclasses.replace(search, lanes=lanes, firsts=firsts, standing=standing)


@compiled("method", once=True)
def _resumed(method, lanes, again, doubt):
    def resume(lane, again):
        return em.resume_in_another_dtype(method, lane, again, doubt)

    apart = unpack(lanes) if isinstance(lanes, Packed) else lanes
    resumed = each(resume)(apart, again)
    return pack(resumed) if isinstance(lanes, Packed) else resumed


def _hold_in_float32(problem, lanes):
    """Which lanes (l,) have matrices that are not singular in float32, the dtype of results."""
    if not matrices(problem.family.parameters):
        return np.ones(len(jax.tree.leaves(lanes)[0]), bool)
    return np.asarray(_held(problem.method, problem.family, lanes))


@compiled("method", "family", once=True)
def _held(method, family, lanes):
    def holds(lane):
        return hold_in(np.float32, family.covariance(method.finish(lane).mixture.components)).all(-1)

    return each(holds)(unpack(lanes) if isinstance(lanes, Packed) else lanes)


def _called_back(problem, search: Search, back) -> Search:
    """The search before its last run, of lanes that had been stopped; those that never ran on these rows begin."""
    if search.firsts is not None:
        unseen = back & (np.asarray(search.standing.n_iter) < 0)
        search = dataclasses.replace(search, lanes=_chosen(unseen, search.firsts, search.lanes))
    return _next(problem, search, LAST, back)


_chosen = compiled()(lambda condition, new, old: each(choose)(condition, new, old))


def _end(problem, search: Search) -> Search:
    if int(search.rung) < len(problem.rungs) - 1:
        return climbed(problem, search)
    return dataclasses.replace(search, stage=np.int32(LAST + 1))


def climbed(problem, search: Search) -> Search:
    """The search on the next rung's rows. Finalists continue from their mixtures, and one start a fit begins anew; the
    others wait, in case none of those ends well."""
    with in_precision(search.dtype):
        return _climbed(problem.suiting(search), search)


def _climbed(problem, search: Search) -> Search:
    if int(search.rung) == 0 and problem.tries > 1:
        search = chosen(problem, search)
    goes_on, anew = finalists.of(problem, search)
    lanes = _on_other_rows(problem.method, search.lanes, search.firsts, goes_on, anew)
    standing, rung = stands(problem.bare, lanes, search.active), np.int32(search.rung + 1)
    search = dataclasses.replace(search, lanes=lanes, standing=standing, rung=rung)
    return _next(problem, search, 0 if anew.any() else LAST - 1, goes_on | anew)


def chosen(problem, search: Search) -> Search:
    """The search with the best of the tries of every first start in the place of all of them."""
    kept = finalists.with_the_best_try(problem, search)
    of_lanes = search.lanes, search.alive, search.standing, search.firsts
    lanes, alive, standing, firsts = jax.tree.map(lambda leaf: leaf[kept], of_lanes)
    return dataclasses.replace(search, lanes=lanes, alive=alive, standing=standing, firsts=firsts)


@compiled("method")
def _on_other_rows(method, lanes, firsts, goes_on, anew):
    def lane(lane, first, goes_on, anew):
        return choose(anew, first, em.started_again(method, lane, goes_on))

    return each(lane)(lanes, firsts, goes_on, anew)


def _next(problem, search: Search, stage: int, alive, form: int = 0) -> Search:
    (count,), k = search.alive.shape, search.active.shape[1]
    queue = fresh_queue(count, problem.slots(form, k, count, False))
    return dataclasses.replace(search, alive=alive, queue=queue, stage=np.int32(stage), form=np.int32(form))


def _weighs(problem, groups: int, lanes: int):
    """Which lanes (l,) are of data with a positive weight."""
    weight = np.asarray(problem.known.measured.weight)
    return np.repeat(np.broadcast_to(weight != 0, groups), lanes // groups)


def to_its_end(problem, search: Search) -> Search:
    """The search after all its runs, without callbacks or checkpoint; under a trace too."""
    if in_trace(problem, search):
        return _traced_to_its_end(problem, search)
    with in_one_thread():
        while not search.ended:
            search = advance(problem, search, em.NEVER)
    return search


def in_one_thread():
    """A context in which each BLAS makes a product in one thread, also for programs on this machine's processors."""
    return one_for_each_product(in_programs=not hosted()) if platforms.on_cpu() else contextlib.nullcontext()


def _traced_to_its_end(problem, search: Search) -> Search:
    """The same as one traced loop over the pauses, each in all forms; the last is of lanes that are called back."""
    (count,), k, groups = search.alive.shape, search.active.shape[1], search.groups

    def run(lanes, alive, pause):
        for form in range(len(problem.forms)):
            queue = fresh_queue(count, problem.slots(form, k, count, True))
            now = dataclasses.replace(search, lanes=lanes, alive=alive, queue=queue)
            lanes, standing, *_ = problem.until(pause).run(now, form, em.NEVER)
        return lanes, standing

    def stage(carry, pause):
        lanes, alive = carry
        lanes, standing = run(lanes, alive, pause)
        limits = problem.limits.tol, np.int32(pruning.kept(search.starts))
        on = pruning.survivors(standing, alive, problem.known.measured.weight, limits, groups)
        return (lanes, jnp.where(pause == em.NEVER, pruning.recalled(standing, alive, groups), on)), None

    if int(search.stage) == LAST:
        return dataclasses.replace(search, lanes=run(search.lanes, search.alive, em.NEVER)[0])
    lanes = jax.lax.scan(stage, (search.lanes, jnp.asarray(search.alive)), jnp.asarray(STOPS, jnp.int32))[0][0]
    return dataclasses.replace(search, lanes=lanes)
