"""How long a fit will take: a few updates of some of its rows are timed, and scaled up."""

from __future__ import annotations

import time
import warnings

import numpy as np

import jaxgmm

ROWS = 4096  # that are timed
UPDATES = 20  # that are timed
LEAST = 0.01  # seconds that are worth a number


def seconds_per_update(seed: int, x, plan, family) -> float:
    """Seconds of one update of all starts over all rows, estimated on this machine, with rows x of the data (m, d).

    The fit itself may be shorter: starts that fall behind stop, and many rows are searched on some of them.
    """
    options = {"family": family, "n_init": plan.n_init, "tol": 0, "search": "exhaustive"}

    def seconds(updates: int) -> float:
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how so few updates end is no news
            jaxgmm.fit(seed, x, min(plan.n_components, len(x)), max_iter=updates, **options)
        return time.perf_counter() - started

    seconds(0)  # what is compiled is compiled
    return max(seconds(UPDATES) - seconds(0), 0) / UPDATES * plan.n / len(x)


def some_of(x) -> np.ndarray:
    """The first rows (m, d) of rows in memory or of a stream."""
    return next(x.blocks(ROWS))[0] if hasattr(x, "blocks") else np.asarray(x[:ROWS])


def words(seconds: float, rows: int) -> str:
    """What to say of the time of an update, measured on so many rows."""
    hundred = 100 * seconds
    amount = f"about {hundred:.2g} s" if hundred >= LEAST else f"less than {LEAST} s"
    return f"time     {amount} for 100 updates of all starts, as measured now on {rows} rows"
