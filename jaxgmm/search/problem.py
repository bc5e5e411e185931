"""A fit to be made, with its rows, frame, prior and limits; and one run of its starts.

Lanes (l,) are m numbers of components times r starts, the starts innermost. The data are shared by all lanes, so that
their products are one wider product. Lanes of different K share a program: a component that was not asked for has log
weight -inf.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from .. import em
from ..data.arrays import lanes_together
from ..data.mesh import per_shard
from ..data.out_of_core import Flow
from ..data.summary import Known
from ..em.loop import on_device, on_host
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.dtypes import floats_in
from ..numerics.host import each
from ..records import Status, record, static
from . import pruning
from .ranking import standing

SAMPLE_TOL = 1e-4  # nats a row
COLUMNS = 512  # of all lanes in flight: enough to make the most of one look at the features


@record
class Problem:
    """A fit to be made: checked rows in their frame, what is known of them, the numbers of the stopping rule; the
    family, the method, and how starts are searched. Where many rows are searched on a sample first, the sample."""

    rows: Any  # with ``cut`` and ``sum``: in NumPy, on devices, over a mesh, out of core
    known: Known
    limits: em.Limits
    family: Family = static()
    method: em.Method = static()
    search: str = static()
    sample: Any = None  # rows that stand for all: where starts run first
    tries: int = static(default=1)  # lanes on them that are tries of the first start

    @property
    def rungs(self) -> tuple:
        """The rows that a search runs on, one after the other."""
        return (self.rows,) if self.sample is None else (self.sample, self.rows)

    @property
    def bare(self) -> "Problem":
        """The same without rows."""
        return dataclasses.replace(self, rows=None, sample=None)

    @property
    def streams(self) -> bool:
        return isinstance(self.rows, Flow)

    @property
    def forms(self) -> tuple:
        """The forms that lanes run in: those that lose their digits in one go on in the next."""
        return self.family.forms

    def suiting(self, search) -> "Problem":
        """The same in the dtype that a search computes in."""
        return self if search.dtype == self.known.frame.scale.dtype else self.in_float64

    @property
    def may_widen(self) -> bool:
        """Whether rows of float32 may be computed on in float64, which is fast where they lie."""
        return self.rows.may_widen

    @property
    def widened(self) -> bool:
        """Whether rows of float32 are computed on in float64."""
        return self.rows.widened

    @functools.cached_property
    def in_float64(self) -> "Problem":
        """The same in float64: float32 rows stay, and are cast block by block."""
        known, limits = floats_in(np.float64, (self.known, self.limits))
        rows, sample = (each if each is None else each.in_float64 for each in (self.rows, self.sample))
        return dataclasses.replace(self, rows=rows, known=known, limits=limits, sample=sample)

    def until(self, pause, rung: int = 0) -> "Problem":
        """The same, up to a pause. On a sample tol is larger: its limit is not that of all rows anyway."""
        last = rung == len(self.rungs) - 1
        tol = self.limits.tol if last else np.maximum(self.limits.tol, self.limits.tol.dtype.type(SAMPLE_TOL))
        return dataclasses.replace(self, limits=dataclasses.replace(self.limits, pause=pause, tol=tol))

    def task(self, form) -> em.Task:
        """What lanes run with in one of the forms. A fall means that digits were lost, except in the last form."""
        known, on_fall = self.known, int(Status.DECREASED) if form == self.forms[-1] else em.LOSSY
        offset = known.measured.left_out(form)
        return em.Task(known.frame.reference, known.prior, self.limits, offset, form, self.method, on_fall)

    def slots(self, form: int, k: int, lanes: int, in_trace: bool) -> int:
        """How many of the lanes run at a time in the form with this number."""
        return slots_for(self.forms[form], (self.rows.d, k, lanes), self.rows.itemsize, in_trace)

    def run(self, search, form: int, rounds):
        """The lanes of a search after at most so many rounds of E-steps, how they stand, their queue, and how many
        rounds they made."""
        slots = search.queue.held.shape[0]
        rows = self.rungs[int(search.rung)].cut(self.forms[form], search.active.shape[1], slots)
        if rows.in_program:
            return iterated(rows, self.bare, search, form, rounds)
        lanes, task = self.begun(search, form)
        lanes, made = on_host(lambda lanes: (rows, task), lanes, search.alive, rounds)
        return lanes, stands(self.bare, lanes, search.active), search.queue, made

    def begun(self, search, form: int):
        """The lanes of a search as a form goes on with them, and what they are run under there."""
        lanes = search.lanes if form == 0 else resumed(self.method, search.lanes)
        return lanes, self.task(self.forms[form])


def slots_for(form, sizes: tuple[int, int, int], itemsize: int, in_trace: bool) -> int:
    """How many of the lanes run at a time, for sizes (d, k, lanes): as many as memory allows, and at most half, so that
    those that stop early make room for others."""
    d, k, lanes = sizes
    slots = lanes_together(form, d, k, lanes, itemsize)
    if in_trace:
        return slots
    return min(slots, max(COLUMNS // k, 1), lanes if lanes < pruning.FEWEST else -(-lanes // 2))


@compiled("form")
@per_shard
def iterated(rows, problem: Problem, search, form: int, rounds):
    """As `Problem.run`, of rows on a device in blocks that suit the form."""
    lanes, task = problem.begun(search, form)
    lanes, queue, made = on_device(lambda lane: (rows, task), lanes, search.alive, search.queue, rounds)
    return lanes, stands(problem, lanes, search.active), queue, made


@compiled("method")
def resumed(method: em.Method, lanes):
    """Lanes (l,), of which those that lost their digits are set up for the accurate form."""
    return each(functools.partial(em.resume_accurately, method))(lanes)


@compiled()
def stands(problem: Problem, lanes, active):
    """The standing of lanes (l,) of the numbers of components in active (m, k)."""
    asked_for = xp.repeat(active, jax.tree.leaves(lanes)[0].shape[0] // active.shape[0], axis=0)
    stand = functools.partial(standing, problem.method)
    return each(stand, (0, 0, None))(lanes, asked_for, problem.known)
