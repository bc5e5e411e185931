"""Many data sets, each a problem of its own, fitted side by side: every lane has its own rows.

On a device lanes run under ``vmap``; on the host they are a leading axis of all arrays.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..checks import in_trace
from ..data.arrays import HOST_NUMBERS, Rows, block_bytes, in_groups
from ..data.frame import unit_frame
from ..data.host import HostRows
from ..data.padding import TOGETHER
from ..data.summary import Known, measure
from ..em import Limits, Method
from ..em.loop import on_device, on_host, pack, unpack
from ..families.base import Family
from ..init import states, tries
from ..init.draws import Start, centres
from ..numerics import platforms
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.dtypes import compute_dtype, float_dtype, floats_in, in_precision
from ..numerics.host import each, hosted, one_by_one, stacked, together
from ..records import record, static
from . import ranking
from .problem import Problem, resumed


@record
class DataSets:
    """The problems of b data sets: x (b, n, d), weights (b, n), and what is known of each, (b, ...), or None at first;
    the rest as in `Problem`."""

    x: Any
    weight: Any
    known: Known | None
    limits: Limits
    family: Family = static()
    method: Method = static()
    search: str = static()

    @property
    def forms(self) -> tuple:
        """The forms of EM; for one feature the accurate one alone, which costs no more there and saves a program."""
        return self.family.forms if self.x.shape[2] > 1 else self.family.forms[-1:]

    @property
    def dtype(self) -> str:
        return str((self.weight if self.known is None else self.known.frame.scale).dtype)

    rungs = (None,)  # all rows at once

    def suiting(self, search) -> "DataSets":
        """As in `Problem`."""
        return self if search.dtype == self.dtype else self.in_float64

    @property
    def may_widen(self) -> bool:
        """As in `Problem`."""
        fast = hosted() or platforms.have_fast_float64(self.x.devices())
        return self.dtype == "float32" and fast

    @property
    def widened(self) -> bool:
        """As in `Problem`."""
        return compute_dtype(self.x) == np.float32 and self.dtype == "float64"

    @functools.cached_property
    def in_float64(self) -> "DataSets":
        """As in `Problem`."""
        known, limits = floats_in(np.float64, (self.known, self.limits))
        return dataclasses.replace(self, known=known, limits=limits)

    def until(self, pause, rung: int = 0) -> "DataSets":
        return dataclasses.replace(self, limits=dataclasses.replace(self.limits, pause=pause))

    def slots(self, form: int, k: int, lanes: int, in_trace: bool) -> int:
        _, n, d = self.x.shape
        most = block_bytes()[0] // 2  # half is faster where every slot has its own rows: benchmarks/profile.md
        width = self.forms[form].width(d, k)
        return int(np.clip(most // (n * width * np.dtype(self.dtype).itemsize), 8, 1024))

    def one(self, i) -> Problem:
        """The problem of the i-th data set; on the host i may be an array, and its axis leads in all arrays."""
        x, weight, known = self.at(i, (self.x, self.weight, self.known))
        rows = (HostRows if hosted() else Rows)(x, weight, known.frame, self.x.shape[1], self.dtype)
        return Problem(rows, known, self.limits, self.family, self.method, self.search)

    def at(self, i, tree):
        """The entries of data set i in a tree of arrays (b, ...), as in `one`; numbers () are shared."""
        return jax.tree.map(lambda leaf: _at(leaf, i) if np.ndim(leaf) else leaf, tree)

    def run(self, search, form: int, rounds):
        """As `Problem.run`."""
        return _iterate(self, search, form, rounds)


def _at(leaf, i):
    """The i-th entry of a leaf; under `jax.disable_jit` the leaf is NumPy's, which takes no tracer for i."""
    return leaf[i] if hosted() else jnp.asarray(leaf)[i]


@compiled("form")
def _iterate(sets: DataSets, search, form: int, rounds):
    lanes, queue = search.lanes if hosted() else unpack(search.lanes), search.queue
    chosen = sets.forms[form]
    if form > 0:
        lanes = resumed(sets.method, lanes)
    r, k = search.starts, search.active.shape[1]

    def problem(lane):
        own = sets.one(lane[0] // r if hosted() and not together() else lane // r)
        return own.rows.cut(chosen, k, 1), own.task(chosen)

    if hosted():
        lanes, made = on_host(problem, lanes, search.alive, rounds)
    else:
        lanes, queue, made = on_device(problem, lanes, search.alive, queue, rounds)

    def stand(lane, active, i):
        return ranking.standing(sets.method, lane, active, sets.at(i, sets.known))

    of_which = np.repeat(np.arange(search.groups, dtype=np.int32), r)
    stands = each(stand)(lanes, xp.repeat(search.active, r, axis=0), of_which)
    return (lanes if hosted() else pack(lanes)), stands, queue, made


def begin(sets: DataSets, start: Start, prior, traced: bool):
    """The data sets with what is known of each, and first lanes (b·r,)."""
    if hosted():
        return _begin_on_host(sets, start, prior)

    def of_some(pair):
        return _begin(dataclasses.replace(sets, x=pair[0], weight=pair[1]), start, prior)

    known, lanes = _by_groups(of_some, (sets.x, sets.weight), traced)
    lanes = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), lanes)
    return dataclasses.replace(sets, known=known), lanes


@compiled()
def _begin(some: DataSets, start: Start, prior):
    """What is known of each of these data sets, and first lanes (b, r)."""
    _, n, d = some.x.shape

    def one(x, weight):
        raw = Rows(x, weight, unit_frame(d, some.dtype), n, some.dtype)
        known = measure(raw, prior, some.family)
        rows = dataclasses.replace(raw, frame=known.frame)
        problem = Problem(rows, known, some.limits, some.family, some.method, some.search)
        return known, pack(states.begin(problem, start))

    return jax.vmap(one)(some.x, some.weight)


def _begin_on_host(sets: DataSets, start: Start, prior):
    b, n, d = sets.x.shape
    unit = unit_frame(d, sets.dtype)
    if not together():
        pairs = zip(sets.x, sets.weight, strict=True)
        knowns = [measure(HostRows(*pair, unit, n, sets.dtype), prior, sets.family) for pair in pairs]
        sets = dataclasses.replace(sets, known=stacked(knowns))
        lanes = [states.begin(sets.one(i), start) for i in range(b)]
        return sets, jax.tree.map(lambda *leaves: np.concatenate(leaves), *lanes)
    raw = HostRows(sets.x, sets.weight, unit, n, sets.dtype)
    sets = dataclasses.replace(sets, known=measure(raw, prior, sets.family))
    drawn = np.concatenate([centres(sets.one(i).rows, sets.family, start)[1] for i in range(b)])
    start = dataclasses.replace(start, active=np.ones((b, start.k), bool))
    most = max(HOST_NUMBERS // (n * start.k * d), 1)

    def begun(some):
        problem = sets.one(some // start.draws)
        return states.from_centres(problem.rows, problem, drawn[some], start.of_draws[some])

    def likelihoods(mixtures):
        def of_some(some):
            problem = sets.one(some // start.tries.shape[1])
            return tries.likelihoods(problem.rows, problem, tries.entries(mixtures, some))

        return in_pieces(of_some, start.tries.size, most)

    return sets, states.lanes_of(sets.method, tries.chosen(start, in_pieces(begun, len(drawn), most), likelihoods))


def in_pieces(function, count: int, most: int):
    """``function`` of the indices below ``count``, at most ``most`` at a time; its results, concatenated."""
    parts = [function(np.arange(first, min(first + most, count))) for first in range(0, count, most)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def conclude(sets: DataSets, lanes, traced: bool):
    """The result of every data set, (b, ...), in the data's dtype."""
    if not hosted() and float_dtype(lanes) != sets.dtype:
        with in_precision(np.float64):
            return floats_in(sets.dtype, conclude(sets.in_float64, lanes, traced))
    b = len(sets.x)
    if hosted():
        lanes = jax.tree.map(lambda leaf: leaf.reshape(b, -1, *leaf.shape[1:]), lanes)

        def of_one(i):
            own = jax.tree.map(lambda leaf: leaf[i], lanes)
            return ranking.conclude_one(sets.one(i).known, own, method=sets.method)

        return one_by_one(of_one, np.arange(b))
    lanes = lanes if traced else jax.tree.map(np.asarray, lanes)  # JAX would compile a program for the next line
    lanes = jax.tree.map(lambda leaf: leaf.reshape(b, -1, leaf.shape[-1]), lanes)
    return _by_groups(lambda some: _conclude(*some, sets.method), (sets.known, lanes), traced)


@compiled("method")
def _conclude(known, lanes, method):
    return jax.vmap(lambda known, lanes: ranking.conclude_one(known, unpack(lanes), method=method))(known, lanes)


def _by_groups(function, sets, traced: bool):
    """``function`` of data sets (b, ...), `TOGETHER` at a time, so that one program serves any number of them."""
    if traced:
        return in_groups(lambda one: jax.tree.map(lambda leaf: leaf[0], function(states.one_lane(one))), sets, TOGETHER)
    begins = range(0, jax.tree.leaves(sets)[0].shape[0], TOGETHER)
    parts = [function(jax.tree.map(lambda leaf, i=i: leaf[i : i + TOGETHER], sets)) for i in begins]
    join = jnp.concatenate if in_trace(parts) else np.concatenate
    return jax.tree.map(lambda *leaves: join(leaves), *parts)
