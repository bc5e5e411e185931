"""The loop of EM: an E-step of every lane is summed over the rows, and the lane is updated from the sums.

    on_device   a compiled loop over rows on a device, with a queue from which lanes take each other's places
    on_host     the same as a Python loop over rows of any kind: in NumPy, or out of core

A lane is one run of EM, a start at one K, among those that run side by side.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import HOST_NUMBERS, lanes_together
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import each, hosted, in_order
from ..numerics.host import together as side_by_side
from ..records import record, static
from .state import Task, expected, going
from .steps import Expected
from .update import step

WORTH = 2**28  # numbers that an E-step reads, from which on a smaller group of lanes gets a program of its own size


@record
class Queue:
    """The queue of a run in which not all lanes fit at once: the lanes (l,) in the order in which slots take them, of
    which the first ``queued`` are to run; the places (slots,) in that order that slots hold; and the next place."""

    order: Any
    held: Any
    upcoming: Any
    queued: Any


def fresh_queue(lanes: int, slots: int) -> Queue:
    """A queue before its run."""
    zero = np.zeros((), np.int32)
    return Queue(np.zeros(lanes, np.int32), np.zeros(slots, np.int32), zero, zero)


@record
class Packed:
    """Lanes (l, ...) with all leaves of a dtype side by side, (l, numbers). Copying or choosing lanes is one operation
    then, where leaf by leaf it is many and takes longer to compile. ``shapes`` are dtype and shape of each leaf of a
    lane."""

    tables: dict
    structure: Any = static()
    shapes: tuple = static()


def pack(lanes) -> Packed:
    """The lanes with all leaves of a dtype side by side."""
    leaves, structure = jax.tree.flatten(lanes)
    columns = {}
    for leaf in leaves:
        columns.setdefault(str(leaf.dtype), []).append(leaf.reshape(leaf.shape[0], -1))
    tables = {dtype: jnp.concatenate(some, axis=1) for dtype, some in columns.items()}
    return Packed(tables, structure, tuple((str(leaf.dtype), leaf.shape[1:]) for leaf in leaves))


def unpack(packed: Packed):
    """The lanes, each leaf by itself."""
    ends, leaves = dict.fromkeys(packed.tables, 0), []
    for dtype, shape in packed.shapes:
        begin, ends[dtype] = ends[dtype], ends[dtype] + int(np.prod(shape))
        leaves.append(packed.tables[dtype][:, begin : ends[dtype]].reshape(-1, *shape))
    return jax.tree.unflatten(packed.structure, leaves)


def once(rows, task: Task, lane):
    """A lane after one pass over the rows: its candidate's E-step is summed, and the lane is updated from the sums."""
    summary = expected(task, lane)
    [statistics] = rows.sum(summary)
    return step(task, lane, summary.prepared, statistics)


def on_device(problem, lanes, alive, queue: Queue, rounds):
    """Iterate the lanes (l, ...) that are ``alive`` until each stops or pauses, or for so many rounds of E-steps; as
    many lanes at a time as the queue has slots.

    A lane that stops frees its slot for the next one: under a plain ``vmap`` every lane would cost as long as the
    slowest. A run that continues with the lanes and the queue of another gives the bits of one longer run: every lane
    keeps its slot, and so its place in the products, on which rounding depends.

    Args:
        problem: ``lane number -> rows, Task``.

    Returns:
        The lanes, their queue, and the number of rounds.
    """
    _, task = problem(0)
    (count,), (slots,), none = alive.shape, queue.held.shape, jnp.zeros((), jnp.int32)

    def updated(lane, number):
        rows, task = problem(number)
        return once(rows, task, lane)

    def running(live):
        return going(jax.vmap(task.method.state_of)(live), task.limits)

    if count <= slots:
        everyone = jnp.arange(count)

        def goes_on(carry):
            live, made = carry
            return (running(unpack(live)) & alive).any() & (made < rounds)

        def round_of_all(carry):
            live, made = carry
            stepped = pack(jax.vmap(updated)(unpack(live), everyone))
            if count > 1:  # or it is the one that goes on
                stepped = _choose(running(unpack(live)) & alive, stepped, live)
            return stepped, made + 1

        live, made = jax.lax.while_loop(goes_on, round_of_all, (pack(lanes), none))
        return unpack(live), queue, made

    waiting, fresh = running(lanes) & alive, queue.upcoming == 0
    last_first = jnp.where(waiting, -jnp.arange(count), 1)  # in a sweep the later lanes are the larger models
    order = jnp.where(fresh, jnp.argsort(last_first).astype(jnp.int32), queue.order)
    queued = jnp.where(fresh, waiting.sum(dtype=jnp.int32), queue.queued)

    def busy(live, held):
        return running(unpack(live)) & (held < queued)

    def put(table, held, live):
        return jax.tree.map(lambda all_, some: all_.at[order[held]].set(some), table, live)

    def at(table, held):
        return jax.tree.map(lambda all_: all_[order[held]], table)

    def refill(table, held, live, upcoming):
        table = put(table, held, live)
        free = ~busy(live, held)
        place = upcoming + jnp.cumsum(free, dtype=jnp.int32) - 1
        fresh = free & (place < queued)
        held = jnp.where(fresh, place, held)
        live = _choose(fresh, at(table, held), live)
        return table, held, live, upcoming + fresh.sum(dtype=jnp.int32)

    def body(carry):
        table, held, live, upcoming, made = carry
        stepped = pack(jax.vmap(updated)(unpack(live), order[held]))
        live = _choose(busy(live, held), stepped, live)
        room = (~busy(live, held)).any() & (upcoming < queued)
        return *jax.lax.cond(room, refill, lambda *same: same, table, held, live, upcoming), made + 1

    def unfinished(carry):
        _, held, live, _, made = carry
        return busy(live, held).any() & (made < rounds)

    table = pack(lanes)
    held = jnp.where(fresh, jnp.arange(slots, dtype=jnp.int32), queue.held)
    upcoming = jnp.where(fresh, jnp.int32(slots), queue.upcoming)
    first = table, held, at(table, held), upcoming, none
    table, held, live, upcoming, made = jax.lax.while_loop(unfinished, body, first)
    return unpack(put(table, held, live)), Queue(order, held, upcoming, queued), made


def _choose(condition, new, old):
    """Lanes of new where condition (l,), of old elsewhere."""

    def pick(a, b):
        return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)


def on_host(problem, lanes, alive, rounds):
    """As `on_device`, in Python: each round is one pass over the rows for all lanes that go on.

    Args:
        problem: ``lane numbers (g,) -> rows, Task``, which the lanes share, or whose arrays lead with g.

    Returns:
        The lanes and the number of rounds.
    """
    made, groups = 0, _groups(problem, lanes, alive)
    while made < rounds and groups:
        asked = [_expected(group.task, group.live) for group in groups]
        if all(group.rows is groups[0].rows for group in groups):  # one pass for all
            sums = groups[0].rows.sum(*asked)
        else:
            sums = [group.rows.sum(summary)[0] for group, summary in zip(groups, asked, strict=True)]
        for group, summary, statistics in zip(groups, asked, sums, strict=True):
            group.live = _stepped(group.task, group.live, summary, statistics)
        made += 1
        if not all(np.asarray(_going(group.task, group.live)).all() for group in groups):
            lanes = _put(lanes, groups)
            groups = _groups(problem, lanes, alive)
    return _put(lanes, groups), made


@dataclasses.dataclass
class Group:
    """Lanes that run side by side: their numbers (g,) among all lanes, and their present values ``live``."""

    index: np.ndarray
    live: Any
    rows: Any
    task: Task


def _groups(problem, lanes, alive) -> list[Group]:
    """The lanes that go on, in groups that fit into memory."""
    (rows, task), count = problem(np.arange(1)), len(alive)
    running = np.flatnonzero(np.asarray(alive) & np.asarray(_going(task, lanes)))
    k = task.method.state_of(lanes).counts.shape[1]
    width = task.form.width(rows.d, k)
    if hosted():  # functions that take no leading axes get one lane at a time
        together = max(HOST_NUMBERS // (rows.block * width), 1) if side_by_side() else 1
    else:
        together = lanes_together(task.form, rows.d, k, count, rows.itemsize)
    groups = [running[i : i + together] for i in range(0, len(running), together)]
    if not hosted():  # few sizes of groups, so few programs: numbers beyond the last lane fill a group up
        few = rows.n_everywhere * width * together >= WORTH
        sizes = [min(1 << (len(group) - 1).bit_length() if few else together, count) for group in groups]
        filled = [np.full(size - len(group), count) for size, group in zip(sizes, groups, strict=True)]
        groups = [np.concatenate(pair).astype(np.int32) for pair in zip(groups, filled, strict=True)]
    return [Group(index, _taken(lanes, index), *problem(index)) for index in groups]


def _put(lanes, groups: list[Group]):
    for group in groups:
        lanes = _placed(lanes, group.index, group.live)
    return lanes


@compiled()
def _taken(lanes, group):
    return jax.tree.map(lambda leaf: leaf[xp.minimum(group, leaf.shape[0] - 1)], lanes)


@compiled()
def _placed(lanes, group, live):
    def placed(every, some):
        if not hosted():
            return every.at[group].set(some, mode="drop")
        every = np.array(every, order="C")
        every[group] = some
        return every

    return jax.tree.map(placed, lanes, live)


@compiled()
def _going(task: Task, lanes):
    return going(each(task.method.state_of)(lanes), task.limits)


@compiled()
def _expected(task: Task, lanes):
    def of_one(lane):
        summary = expected(task, lane)
        return summary.prepared, summary.log_weights

    return Expected(*each(of_one)(lanes), task.reference, task.form)


@compiled()
def _stepped(task: Task, lanes, summary, statistics):
    stepped = each(lambda *lane: step(task, *lane))(lanes, summary.prepared, statistics)
    return in_order(stepped) if hosted() else stepped
