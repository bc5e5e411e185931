"""Where starts are drawn: centres among the points of the rows, of many rows among some that stand for all."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..data.arrays import LANE_BYTES, block_bytes, in_groups, lanes_together
from ..families.base import Family
from ..numerics.backend import xp
from ..numerics.compiling import compiled
from ..numerics.host import hosted, replaced_at
from ..numerics.keys import fold_in, here
from ..records import record, static
from .kmeans import TRIED, TRIES, distinct, kinds, lloyd, powers, sequence, sequences_on_host
from .subsample import enough_to_draw, sample

DRAW_WIDTH = 8  # numbers in memory per row and start while centres are drawn
SAMPLE_KEY = 2**32 - 1  # folded into the key for the rows that stand for all: no start has this number


@record
class Start:
    """What lanes are to begin from: ``r`` starts of the kind ``init``, drawn by a key, for the m numbers of components
    in ``active`` (m, k); of "auto" more are drawn, `TRIES` for the first start, of which one is chosen: before EM, or,
    where all ``runs_tries``, by EM. Only a name as ``init`` is passed to the compiler."""

    init: Any = static()
    r: int = static()
    key: Any
    active: Any
    runs_tries: bool = static(default=False)

    @property
    def k(self) -> int:
        return self.active.shape[1]

    @property
    def draws(self) -> int:
        """How many lanes are drawn for each number of components."""
        return self.r + TRIES - 1 if self.init == "auto" and self.k > 1 else self.r

    @property
    def of_draws(self):
        """Which components count in every lane that is drawn, (m·draws, k)."""
        return xp.repeat(self.active, self.draws, axis=0)

    @property
    def tries(self) -> np.ndarray:
        """Those that are tries of the first start, (m, t)."""
        return np.arange(len(self.active))[:, None] * self.draws + np.arange(self.draws - self.r + 1)


def centres(rows, family: Family, start: Start):
    """Some rows that stand for all where these are many, and centres (m·draws, k, p) of starts, drawn among them."""
    n, itemsize = rows.n, rows.itemsize
    start = dataclasses.replace(start, key=here(start.key))
    together = max(LANE_BYTES // (n * itemsize), 1)
    wide = dataclasses.replace(rows, block=max(rows.block, draw_rows(n, rows.d, min(start.draws, together), itemsize)))
    some = sample(fold_in(start.key, SAMPLE_KEY), wide, enough_to_draw(start.k))
    return some, centres_among(some, wide, family, start)


def centres_among(some, wide, family: Family, start: Start):
    """Centres (m·draws, k, p) of starts, among some rows that stand for all; ``wide`` are all of them."""
    power, keys = powers(start.init, start.draws), keys_of(start.key, start.draws)
    tried = TRIED if (power == 1).any() else 1
    together = max(LANE_BYTES // (wide.n * wide.itemsize), 1)
    if hosted():
        groups = [slice(i, i + together) for i in range(0, start.draws, together)]
        drawn = [sequences_on_host(keys[g], some, family.points, start.k, (power[g], tried)) for g in groups]
        drawn = np.concatenate(drawn)
        for i in [] if some is wide else np.flatnonzero([not distinct(one) for one in drawn]):
            [drawn[i]] = sequences_on_host(keys[[i]], wide, family.points, start.k, (power[[i]], 1))
    else:
        drawn = _drawn(some, wide, family, start.k, (keys, power, tried, together))
    return moved(some, family, start, xp.tile(drawn, (start.active.shape[0], 1, 1)))


def _drawn(some, wide, family: Family, k: int, starts: tuple):
    """Centres (r, k, p) of starts: the first K of them are the start of K components."""
    keys, power, tried, together = starts

    def among(rows, keys, tried):
        def one(start):
            key, power = start
            return sequence(key, rows, family.points, k, (power, tried))

        return in_groups(one, (keys, power), together)

    drawn = among(some, keys, tried)
    if some is wide:
        return drawn

    def redraw(state):
        missing, keys, drawn = state
        again = jnp.where(missing[:, None, None], among(wide, keys, 1), drawn)
        return jnp.zeros_like(missing), jax.vmap(lambda key: jax.random.split(key)[0])(keys), again

    # A rare value may be missing in the sample: a loop of one round, or none, with one row drawn for a centre as
    # streams do. The keys change in it, because XLA takes what a round leaves alone out of a loop, and would draw
    # always.
    missing = ~jax.vmap(distinct)(drawn)
    return jax.lax.while_loop(lambda state: state[0].any(), redraw, (missing, keys, drawn))[2]


def moved(some, family: Family, start: Start, centres):
    """Centres (m·draws, k, p), those of k-means after Lloyd's iterations over some rows."""
    moving = np.flatnonzero(np.tile(kinds(start.init, start.draws), len(start.active)) == "kmeans")
    if not len(moving):
        return centres
    those = centres[moving], start.of_draws[moving]
    if hosted():
        some = some.cut(family.moments, start.k, len(moving))
        return replaced_at(centres, moving, lloyd(some, family.points, *those))
    together = lanes_together(family.moments, some.d, start.k, len(moving), centres.dtype.itemsize)
    groups = [slice(i, i + together) for i in range(0, len(moving), together)]
    rested = [lloyd(some, family.points, *(each[group] for each in those)) for group in groups]
    return replaced_at(centres, moving, jnp.concatenate(rested))


@compiled("r")
def keys_of(key, r: int):
    """One key a start (r,); the first do not depend on how many there are."""
    every = np.arange(r, dtype=np.uint32)
    return np.stack([fold_in(key, i) for i in every]) if hosted() else jax.vmap(lambda i: fold_in(key, i))(every)


def draw_rows(n: int, d: int, r: int, itemsize: int) -> int:
    """Rows a block while r starts are drawn: longer ones, because little is done with a row."""
    most, most_of_one = block_bytes()
    wanted = min(most // (d + DRAW_WIDTH * r), 4 * most_of_one) // itemsize
    return max(min(1 << (wanted.bit_length() - 1), n), 1)
