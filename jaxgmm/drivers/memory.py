"""Rows in memory: statistics as a sum over blocks, and the loop of EM over them.

The last block overlaps the one before it and gives weight 0 to the rows already seen, so nothing is padded or copied.
Only a block of responsibilities exists at any time.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import em
from ..frame import Frame
from ..numerics import two_sum
from ..records import Statistics, record, static

# Bytes that one block of features and responsibilities may take, and one feature in it. On CPU: near the second- and
# first-level caches (65,536 rows of 2 features at a time take four times as long as 4,096). Elsewhere: to fill
# the device.
ON_CPU, ELSEWHERE = (6 * 2**20, 2**14), (2**28, 2**22)
LANE_BYTES = 2**28  # statistics and parameters of the lanes that are in flight together


@record
class Rows:
    """Data in memory: x (n, d) of any real dtype, weight (n,), and the frame they are seen in.

    ``n_blocks`` blocks of ``block`` rows; ``dtype`` is what they are cast to, block by block. ``layout`` says how rows
    lie on a mesh (see `mesh`): inside ``shard_map``, x and weight are those of one device.
    """

    x: Any
    weight: Any
    frame: Frame
    block: int = static()
    dtype: str = static()
    layout: Any = static(default=None)

    @property
    def n(self) -> int:
        """Rows on one device."""
        return self.x.shape[0] if self.layout is None else self.layout.rows

    @property
    def n_everywhere(self) -> int:
        return self.x.shape[0] if self.layout is None else self.layout.n

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block)

    def start(self, i):
        return jnp.minimum(i * self.block, self.n - self.block)

    def take(self, i, *columns):
        """Rows (d, b), weights (b,) and columns (b, ...) of block i; rows that an earlier block held weigh 0."""
        start = self.start(i)
        columns = [jax.lax.dynamic_slice_in_dim(column, start, self.block) for column in columns]
        x = jax.lax.dynamic_slice_in_dim(self.x, start, self.block)
        weight = jax.lax.dynamic_slice_in_dim(self.weight, start, self.block)
        fresh = start + jnp.arange(self.block) >= i * self.block
        return self.framed(x), jnp.where(fresh, weight, 0), *columns

    def framed(self, x):
        """Rows (b, d) as a block (d, b) in the frame."""
        return (x.T.astype(self.dtype) - self.frame.shift[:, None]) * self.frame.inverse[:, None]

    # Of one device's values, what holds for all rows; without a mesh, the values themselves.

    def varying(self, tree):
        return tree if self.layout is None else self.layout.varying(tree)

    def whole(self, tree):
        return tree if self.layout is None else self.layout.whole(tree)

    def highest(self, value):
        return value if self.layout is None else self.layout.highest(value)

    def of_best(self, value, leaf):
        return leaf if self.layout is None else self.layout.of_best(value, leaf)

    def everyones(self, tree):
        """What all devices have, one after the other: (t, ...) -> (devices · t, ...)."""
        return tree if self.layout is None else self.layout.everyones(tree)

    def global_rows(self, index):
        """Low and high words of the global numbers of rows (b,)."""
        return (index, jnp.zeros_like(index)) if self.layout is None else self.layout.global_rows(index)


def block_bytes() -> tuple[int, int]:
    """Bytes that a block may take, and one feature in it, on the device that computes."""
    return ON_CPU if jax.default_backend() == "cpu" else ELSEWHERE


def block_rows(n: int, width: int, itemsize: int) -> int:
    """Rows a block for ``width`` numbers a row: a power of two, at least 64, or n."""
    most, most_of_one = block_bytes()
    wanted = min(max(most // (itemsize * max(width, 1)), 64), most_of_one // itemsize)
    return max(min(1 << (wanted.bit_length() - 1), n), 1)


def in_block(rows: Rows, form, k: int, lanes: int, block_size: int | None) -> Rows:
    """The rows cut into blocks that suit ``lanes`` mixtures of k components in flight."""
    n, d, itemsize = rows.n, rows.x.shape[1], jnp.dtype(rows.dtype).itemsize
    block = block_size or block_rows(n, form.width(d, k * lanes), itemsize)
    return dataclasses.replace(rows, block=min(block, n))


def lanes_together(form, d: int, k: int, lanes: int, itemsize: int) -> int:
    """How many lanes fit in memory at a time."""
    return min(max(LANE_BYTES // (8 * k * form.width(d, k) * itemsize), 1), lanes)


def in_groups(function, lanes, together: int):
    """``function`` of every lane, vmapped over ``together`` of them at a time."""
    if jax.tree.leaves(lanes)[0].shape[0] <= together:
        return jax.vmap(function)(lanes)
    return jax.lax.map(function, lanes, batch_size=together)


def total(rows: Rows, summarise, *columns):
    """The sum over blocks of ``summarise(x, weight, *columns)``, compensated; and over the devices of a mesh."""
    if rows.n_blocks == 1:
        return rows.whole(summarise(*rows.take(0, *columns)))
    shape = jax.eval_shape(summarise, *rows.take(0, *columns))
    zeros = rows.varying(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape))

    def add(i, carry):
        return added(carry, summarise(*rows.take(i, *columns)))

    return rows.whole(jax.tree.map(jnp.add, *jax.lax.fori_loop(0, rows.n_blocks, add, (zeros, zeros))))


def added(carry, terms):
    """Compensated sums, and what rounding took from them, after some more terms."""
    both = [two_sum(*parts) for parts in zip(*map(jax.tree.leaves, (*carry, terms)), strict=True)]
    return tuple(jax.tree.unflatten(jax.tree.structure(terms), leaves) for leaves in zip(*both, strict=True))


def each(rows: Rows, function):
    """``function(x, weight) -> (b, ...)`` of every block, put together to (n, ...)."""
    if rows.n_blocks == 1:
        return function(*rows.take(0))
    shape = jax.eval_shape(function, *rows.take(0))
    out = jax.tree.map(lambda leaf: jnp.zeros((rows.x.shape[0], *leaf.shape[1:]), leaf.dtype), shape)

    def write(i, out):
        def put(whole, part):
            return jax.lax.dynamic_update_slice_in_dim(whole, part, rows.start(i), 0)

        return jax.tree.map(put, out, function(*rows.take(i)))

    return jax.lax.fori_loop(0, rows.n_blocks, write, out)


def collect(rows: Rows, form, prepared, log_weights, inside=None) -> Statistics:
    """Statistics of all rows under one mixture."""
    return total(rows, lambda x, weight: em.expect(form, prepared, log_weights, inside, x, weight))


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


def run(problem, form, method, lanes, alive, limits: em.Limits, on_fall: int, slots: int, queue: Queue | None = None):
    """Iterate those of many lanes (l, ...) that are alive until each stops or pauses, ``slots`` of them at a time, or
    for ``limits.rounds`` E-steps. Returns the lanes, their queue, and the number of E-steps.

    A lane that stops makes room for the next one: under a plain ``vmap`` every lane would cost as long as the slowest.
    ``problem(lane)`` gives a lane's rows, prior, and what the form's log-likelihood leaves out. A run that goes on with
    the lanes and the queue of another does what one run would have done, to the bit: every lane keeps its slot, and
    with it its place in the products, on which rounding depends.
    """

    def step(carry, lane):
        rows, prior, offset = problem(lane)
        state = method.state_of(carry)
        prepared = form.prepare(state.candidate.components, rows.frame.reference)
        statistics = collect(rows, form, prepared, state.candidate.log_weights)
        return em.step(form, method, prior, limits, carry, prepared, statistics, offset, on_fall)

    def going(live):
        return em.going(jax.vmap(method.state_of)(live), limits)

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


def _choose(condition, new, old):
    """Lanes of new where condition (l,), of old elsewhere."""

    def pick(a, b):
        return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)
