"""The loop of EM over rows in memory, of many lanes at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import Rows, at_once_on_host, total
from ..numerics.host import entry, hosted, in_order, together
from ..records import Statistics, record, static
from . import stopping
from .steps import expect


def collect(rows: Rows, form, prepared, log_weights, inside=None) -> Statistics:
    """Statistics of all rows under one mixture."""
    return total(rows, lambda x, weight: expect(form, prepared, log_weights, inside, x, weight))


@record
class Queue:
    """Where a run of many lanes stands: the lanes (l,) in the order in which they are taken, the ``queued`` first of
    them; the places (slots,) in that order that are held by slots, and the next one to be taken."""

    order: Any
    held: Any
    upcoming: Any
    queued: Any


def fresh_queue(lanes: int, slots: int) -> Queue:
    """A queue that nobody has taken a place from."""
    zero = np.zeros((), np.int32)
    return Queue(np.zeros(lanes, np.int32), np.zeros(slots, np.int32), zero, zero)


@record
class Packed:
    """Lanes (l, ...), all leaves of a dtype side by side, (l, numbers): what moves lanes is one operation, not one a
    leaf, and compiles in a fraction of the time. ``shapes`` are those of a lane's leaves, with their dtypes."""

    tables: dict
    structure: Any = static()
    shapes: tuple = static()


def pack(lanes) -> Packed:
    leaves, structure = jax.tree.flatten(lanes)
    columns = {}
    for leaf in leaves:
        columns.setdefault(str(leaf.dtype), []).append(leaf.reshape(leaf.shape[0], -1))
    tables = {dtype: jnp.concatenate(some, axis=1) for dtype, some in columns.items()}
    return Packed(tables, structure, tuple((str(leaf.dtype), leaf.shape[1:]) for leaf in leaves))


def unpack(packed: Packed):
    ends, leaves = dict.fromkeys(packed.tables, 0), []
    for dtype, shape in packed.shapes:
        begin, ends[dtype] = ends[dtype], ends[dtype] + int(np.prod(shape))
        leaves.append(packed.tables[dtype][:, begin : ends[dtype]].reshape(-1, *shape))
    return jax.tree.unflatten(packed.structure, leaves)


def run(
    problem, form, method, lanes, alive, limits: stopping.Limits, on_fall: int, slots: int, queue: Queue | None = None
):
    """Iterate those of many lanes (l, ...) that are alive until each stops or pauses, ``slots`` of them at a time, or
    for ``limits.rounds`` E-steps. Returns the lanes, their queue, and the number of E-steps.

    A lane that stops makes room for the next one: under a plain ``vmap`` every lane would cost as long as the slowest.
    ``problem(lane)`` gives a lane's rows, prior, and what the form's log-likelihood leaves out. A run that goes on with
    the lanes and the queue of another does what one run would have done, to the bit: every lane keeps its slot, and
    with it its place in the products, on which rounding depends.
    """

    if hosted():
        return _run_on_host(problem, form, method, lanes, alive, limits, on_fall, queue)

    def step(carry, lane):
        rows, prior, offset = problem(lane)
        state = method.state_of(carry)
        prepared = form.prepare(state.candidate.components, rows.frame.reference)
        statistics = collect(rows, form, prepared, state.candidate.log_weights)
        return stopping.step(form, method, prior, limits, carry, prepared, statistics, offset, on_fall)

    def going(live):
        return stopping.going(jax.vmap(method.state_of)(live), limits)

    count, none = alive.shape[0], jnp.zeros((), jnp.int32)
    queue = fresh_queue(count, min(slots, count)) if queue is None else queue
    if count <= slots:
        everyone = jnp.arange(count)

        def goes_on(carry):
            live, rounds = carry
            return (going(live) & alive).any() & (rounds < limits.rounds)

        def round_of_all(carry):
            live, rounds = carry
            return _choose(going(live) & alive, jax.vmap(step)(live, everyone), live), rounds + 1

        lanes, rounds = jax.lax.while_loop(goes_on, round_of_all, (lanes, none))
        return lanes, queue, rounds

    waiting, fresh = going(lanes) & alive, queue.upcoming == 0
    last_first = jnp.where(waiting, -jnp.arange(count), 1)  # in a sweep the later lanes are the larger models
    order = jnp.where(fresh, jnp.argsort(last_first).astype(jnp.int32), queue.order)
    queued = jnp.where(fresh, waiting.sum(dtype=jnp.int32), queue.queued)

    def busy(live, held):
        return going(unpack(live)) & (held < queued)

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
        table, held, live, upcoming, rounds = carry
        stepped = pack(jax.vmap(step)(unpack(live), order[held]))
        live = _choose(busy(live, held), stepped, live)
        room = (~busy(live, held)).any() & (upcoming < queued)
        return *jax.lax.cond(room, refill, lambda *same: same, table, held, live, upcoming), rounds + 1

    def unfinished(carry):
        _, held, live, _, rounds = carry
        return busy(live, held).any() & (rounds < limits.rounds)

    table = pack(lanes)
    held = jnp.where(fresh, jnp.arange(slots, dtype=jnp.int32), queue.held)
    upcoming = jnp.where(fresh, jnp.int32(slots), queue.upcoming)
    first = table, held, at(table, held), upcoming, none
    table, held, live, upcoming, rounds = jax.lax.while_loop(unfinished, body, first)
    return unpack(put(table, held, live)), Queue(order, held, upcoming, queued), rounds


def _run_on_host(problem, form, method, lanes, alive, limits: stopping.Limits, on_fall: int, queue):
    """As `run`, in NumPy: those lanes that go on, all in one step. What a form sees of rows is kept where it does not
    hang on parameters."""
    rows, prior, offset = problem(None)
    x, weight = rows.take(0)
    kept, table = None, jax.tree.map(lambda leaf: np.array(leaf, order="C"), lanes)

    def step(lane):
        nonlocal kept
        candidate = method.state_of(lane).candidate
        prepared = form.prepare(candidate.components, rows.frame.reference)
        seen = form.view(prepared, x) if kept is None else kept
        kept = seen if getattr(form, "fixed_view", False) else None
        statistics = expect(form, prepared, candidate.log_weights, None, x, weight, seen)
        return stopping.step(form, method, prior, limits, lane, prepared, statistics, offset, on_fall)

    def put(index, live):
        jax.tree.map(lambda all_, some: all_.__setitem__(index, some), table, live)

    def goes_on(lane, rounds):
        return stopping.going(method.state_of(lane), limits) & (rounds < limits.rounds)

    def go(index):
        live, rounds = entry(table, index), 0
        while len(index) > 1 and together():
            live, rounds = in_order(step(live)), rounds + 1
            on = goes_on(live, rounds)
            if not on.all():
                put(index, live)
                index, live = index[on], entry(live, on)
        most = rounds
        for i in index:  # the last of them, or all where they do not go together
            lane, made = entry(table, i) if len(index) > 1 else entry(live, 0), rounds
            while goes_on(lane, made):
                lane, made = in_order(step(lane)), made + 1
            put(i, lane)
            most = max(most, made)
        return most

    index, (d, k) = np.flatnonzero(alive & goes_on(table, 0)), (len(x), method.state_of(table).counts.shape[1])
    size = at_once_on_host(rows, form.width(d, k))
    return table, queue, max((go(index[i : i + size]) for i in range(0, len(index), size)), default=0)


def _choose(condition, new, old):
    """Lanes of new where condition (l,), of old elsewhere."""

    def pick(a, b):
        return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)
