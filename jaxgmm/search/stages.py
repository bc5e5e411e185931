"""Many starts in one program: the vmapped loop, in two forms, and how many lanes are in flight.

Lanes (l,) are m numbers of components times r starts, the starts innermost. The data are shared by all lanes, so that
their products are one wider product. Lanes of different K share a program: a component that was not asked for has log
weight -inf.
"""

import dataclasses
import functools

import jax
import numpy as np

from .. import em
from ..data.arrays import Rows, in_block, lanes_together
from ..data.mesh import per_shard
from ..data.summary import Measured
from ..em.loop import Queue, fresh_queue, run
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each
from ..records import Status
from . import pruning
from .ranking import standing

COLUMNS = 512  # of all lanes in flight: enough to make the most of one look at the features


@compiled("family", "form", "method", "on_fall", "slots")
@per_shard
def iterate(
    rows: Rows,
    family: Family,
    form: str,
    method,
    lanes,
    alive,
    active,
    prior,
    limits,
    measured: Measured,
    on_fall: int,
    slots: int,
    queue: Queue,
):
    """Run lanes (l,) that are alive to their ends or the pause, ``slots`` of them at a time, and say how they stand,
    where their queue, and how many E-steps it took.

    The accurate form takes up what moments gave up. Components of the m numbers in active (m, k) count.
    """
    chosen = getattr(family, form)
    if form == "accurate" and family.accurate is not family.moments:
        lanes = each(functools.partial(em.resume_accurately, method))(lanes)
    left_out = measured.left_out(family, chosen)

    def problem(lane):
        return rows, prior, left_out

    lanes, queue, rounds = run(problem, chosen, method, lanes, alive, limits, on_fall, slots, queue)
    asked_for = xp.repeat(active, alive.shape[0] // active.shape[0], axis=0)
    stand = each(functools.partial(standing, method), (0, 0, None))(lanes, asked_for, measured.heaviest)
    return lanes, stand, queue, rounds


def slots_for(form, d: int, k: int, lanes: int, itemsize: int, in_trace: bool) -> int:
    """How many of the lanes run at a time: half, so that those that stop early make room, and what memory allows."""
    slots = lanes_together(form, d, k, lanes, itemsize)
    if in_trace:
        return slots
    return min(slots, max(COLUMNS // k, 1), lanes if lanes < pruning.FEWEST else -(-lanes // 2))


def solve(
    rows: Rows,
    family: Family,
    method,
    lanes,
    active,
    prior,
    limits,
    measured: Measured,
    block_size,
    search: str,
    in_trace: bool,
    watch=None,
):
    """Run lanes (l,) in the moment form, then those that it loses digits on in the accurate form."""
    d, k = rows.x.shape[1], active.shape[1]
    count, itemsize = len(jax.tree.leaves(lanes)[0]), np.dtype(rows.dtype).itemsize

    volume = None  # what the frame took out of the log-likelihood
    if watch is not None:
        watch.begins()
        volume = np.asarray(measured.weight) * np.log(np.asarray(rows.frame.scale)).sum()

    def stage(name, lanes, alive, limits, on_fall):
        form = getattr(family, name)
        slots = slots_for(form, d, k, count, itemsize, in_trace)
        cut = in_block(rows, form, k, slots, block_size)

        def go(lanes, queue, rounds):
            until = dataclasses.replace(limits, rounds=rounds)
            return iterate(
                cut, family, name, method, lanes, alive, active, prior, until, measured, on_fall, slots, queue
            )

        queue = fresh_queue(count, slots)
        if watch is None:
            return go(lanes, queue, em.NEVER)[:2]
        return watch.through(go, lanes, queue, alive, active.shape[0], volume, cut.n * form.width(d, k * slots))

    reach = both_forms(family.accurate is not family.moments, stage, limits, in_trace)
    return pruning.finish(reach, lanes, measured.weight, limits, active.shape[0], search, in_trace)


def both_forms(two: bool, stage, limits, in_trace: bool):
    """``reach(lanes, alive, pause) -> lanes, standing`` by ``stage(form's name, lanes, alive, limits, on_fall)``.

    In the moment form first, where there are two; then in the accurate form those lanes that it gave up.
    """

    def reach(lanes, alive, pause):
        until = dataclasses.replace(limits, pause=pause)
        if not two:
            return stage("accurate", lanes, alive, until, int(Status.DECREASED))
        lanes, stand = stage("moments", lanes, alive, until, em.LOSSY)
        if in_trace or (np.asarray(stand.status) == em.LOSSY).any():
            lanes, stand = stage("accurate", lanes, alive, until, int(Status.DECREASED))
        return lanes, stand

    return reach
