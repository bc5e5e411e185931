"""An estimate of the time of a fit: a few updates over some of its rows are timed, and scaled up."""

from __future__ import annotations

import time
import warnings

import numpy as np

import jaxgmm

ROWS = 4096  # rows that are timed
UPDATES = 20  # updates that are timed
TIMES = 3  # runs, of which the shortest counts: others use the machine, too
LEAST = 0.01  # seconds; a shorter time is printed as "less than"


def seconds_per_update(seed: int, x, plan, family) -> float:
    """Seconds of one update of all starts over all rows of a ``plan``, measured on this machine on its first rows x
    (m, d).

    The fit itself may take less: starts that fall behind stop, and a large fit searches on a sample of its rows.
    """
    options = {"family": family, "n_init": plan.n_init, "tol": 0, "search": "exhaustive"}

    def seconds(updates: int) -> float:
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that so few updates do not converge is expected
            jaxgmm.fit(seed, x, min(plan.n_components, len(x)), max_iter=updates, **options)
        return time.perf_counter() - started

    seconds(0)  # compiles what is compiled
    with_updates, without = (min(seconds(updates) for _ in range(TIMES)) for updates in (UPDATES, 0))
    return max(with_updates - without, 0) / UPDATES * plan.n / len(x)


def first_rows(x) -> np.ndarray:
    """The first rows (m, d) of rows in memory or of a stream."""
    return next(x.blocks(ROWS))[0] if hasattr(x, "blocks") else np.asarray(x[:ROWS])


def words(seconds: float, rows: int) -> str:
    """The line about the time of an update, which was measured on ``rows`` rows."""
    hundred = 100 * seconds
    amount = f"about {hundred:.2g} s" if hundred >= LEAST else f"less than {LEAST} s"
    return f"time     {amount} for 100 updates of all starts, as measured now on {rows} rows"
