"""Draws of starts: centres among the rows, or among a sample where there are many rows."""

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
from .kmeans import CANDIDATES, TRIES, distinct, kinds, lloyd, powers, sequence, sequences_on_host
from .subsample import enough_to_draw, sample

DRAW_WIDTH = 8  # numbers in memory per row and start while centres are drawn
SAMPLE_KEY = 2**32 - 1  # folded into the key of the sample: no start has this number


@record
class Start:
    """Where lanes are to begin: ``r`` starts for each of m numbers of components.

    ``init`` is their kind, as in `jaxgmm.fit`; only a name is passed to the compiler. ``active`` (m, k) marks the
    components of each number. Where ``init`` is "auto", the first start is drawn `TRIES` times. The likeliest of these
    tries is chosen before EM; where ``runs_tries``, EM runs from all of them.
    """

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
        """Number of lanes that are drawn for each number of components."""
        return self.r + TRIES - 1 if self.init == "auto" and self.k > 1 else self.r

    @property
    def of_draws(self):
        """The active components of every lane that is drawn, (m·draws, k)."""
        return xp.repeat(self.active, self.draws, axis=0)

    @property
    def tries(self) -> np.ndarray:
        """The numbers of the lanes that are tries of the first start, (m, t)."""
        return np.arange(len(self.active))[:, None] * self.draws + np.arange(self.draws - self.r + 1)


def centres(rows, family: Family, start: Start):
    """The sample (few rows: all of them), and the centres (m·draws, k, p) of starts that are drawn from it."""
    n, itemsize = rows.n, rows.itemsize
    start = dataclasses.replace(start, key=here(start.key))
    together = max(LANE_BYTES // (n * itemsize), 1)
    rows = dataclasses.replace(rows, block=max(rows.block, draw_rows(n, rows.d, min(start.draws, together), itemsize)))
    sampled = sample(fold_in(start.key, SAMPLE_KEY), rows, enough_to_draw(start.k, rows.d))
    return sampled, centres_among(sampled, rows, family, start)


def centres_among(sampled, rows, family: Family, start: Start):
    """Centres (m·draws, k, p) of starts that are drawn from a sample of the rows.

    A start whose centres are not distinct is drawn again, from all rows: a rare value may be missing in the sample.
    """
    power, keys = powers(start.init, start.draws), keys_of(start.key, start.draws)
    candidates = CANDIDATES if (power == 1).any() else 1
    together = max(LANE_BYTES // (rows.n * rows.itemsize), 1)
    if hosted():
        groups = [slice(i, i + together) for i in range(0, start.draws, together)]
        drawn = [sequences_on_host(keys[g], sampled, family.points, start.k, (power[g], candidates)) for g in groups]
        drawn = np.concatenate(drawn)
        for i in [] if sampled is rows else np.flatnonzero([not distinct(one) for one in drawn]):
            [drawn[i]] = sequences_on_host(keys[[i]], rows, family.points, start.k, (power[[i]], 1))
    else:
        drawn = _drawn(sampled, rows, family, start.k, (keys, power, candidates, together))
    return moved(sampled, family, start, xp.tile(drawn, (start.active.shape[0], 1, 1)))


def _drawn(sampled, rows, family: Family, k: int, starts: tuple):
    """Centres (r, k, p) of starts: the first K of them are the start of K components."""
    keys, power, candidates, together = starts

    def among(rows, keys, candidates):
        def one(start):
            key, power = start
            return sequence(key, rows, family.points, k, (power, candidates))

        return in_groups(one, (keys, power), together)

    drawn = among(sampled, keys, candidates)
    if sampled is rows:
        return drawn

    def redraw(state):
        missing, keys, drawn = state
        again = jnp.where(missing[:, None, None], among(rows, keys, 1), drawn)
        return jnp.zeros_like(missing), jax.vmap(lambda key: jax.random.split(key)[0])(keys), again

    # A loop of one round or none, with one candidate for a centre, as for rows that stream. The round changes the
    # keys, because XLA would move what it does not change out of the loop, and so would always draw again.
    missing = ~jax.vmap(distinct)(drawn)
    return jax.lax.while_loop(lambda state: state[0].any(), redraw, (missing, keys, drawn))[2]


def moved(sampled, family: Family, start: Start, centres):
    """The centres (m·draws, k, p), those of k-means after Lloyd's iterations over the sample."""
    moving = np.flatnonzero(np.tile(kinds(start.init, start.draws), len(start.active)) == "kmeans")
    if not len(moving):
        return centres
    those = centres[moving], start.of_draws[moving]
    if hosted():
        sampled = sampled.cut(family.moments, start.k, len(moving))
        return replaced_at(centres, moving, lloyd(sampled, family.points, *those))
    together = lanes_together(family.moments, sampled.d, start.k, len(moving), centres.dtype.itemsize)
    groups = [slice(i, i + together) for i in range(0, len(moving), together)]
    rested = [lloyd(sampled, family.points, *(each[group] for each in those)) for group in groups]
    return replaced_at(centres, moving, jnp.concatenate(rested))


@compiled("r")
def keys_of(key, r: int):
    """One key a start (r,); the first do not depend on how many there are."""
    every = np.arange(r, dtype=np.uint32)
    return np.stack([fold_in(key, i) for i in every]) if hosted() else jax.vmap(lambda i: fold_in(key, i))(every)


def draw_rows(n: int, d: int, r: int, itemsize: int) -> int:
    """Rows of a block while r starts are drawn: more than for EM, because a row takes less memory and work."""
    most, most_of_one = block_bytes()
    wanted = min(most // (d + DRAW_WIDTH * r), 4 * most_of_one) // itemsize
    return max(min(1 << (wanted.bit_length() - 1), n), 1)
