"""Watching long work: what a callback sees, callbacks that are ready, and the host's eye on a search.

Nothing here runs inside a compiled program. The loops stop at a pause and carry their whole state to the next run, so
that looking in between changes no result. Where nobody watches, the runs are still short (about a second), because
Python can only take Ctrl-C between them. Of many processes all run as many E-steps and stop together.
"""

import dataclasses
import sys
import time
from typing import Any

import jax
import numpy as np

from ..distributed import gathered
from ..numerics.host import hosted, on_host

SECONDS = 1.0  # that a run should last at most: as long as one likes to wait after Ctrl-C
RATE = 1e7  # numbers that pass in a second on a slow machine: how long the first run may be
FIRST = 8  # E-steps of the first run on the host, which Ctrl-C ends where it stands
LONGEST = 10**6  # E-steps of a run


@dataclasses.dataclass(frozen=True)
class Glance:
    """How a search stands.

    ``iteration`` counts updates, 0 is the start; those of starts that run one after another add up. ``log_likelihood``
    is the total, in the data's units, of the best start so far that is sound, in a sweep among the numbers of
    components that run together; ``gain`` is what its last update added per unit weight (inf at the start).
    ``fits_done`` of ``fits`` have ended; `fit` is one. Where rows stream, ``rows`` were read by these iterations, at
    the rate ``rows_per_second``; None otherwise.
    """

    iteration: int
    log_likelihood: Any
    gain: float
    fits_done: int
    fits: int
    rows: int | None = None
    rows_per_second: float | None = None


class History:
    """A callback that keeps every `Glance` in ``records``; with ``every=1``, the whole trace of a fit.

    Used for several fits, it goes on with the same list.
    """

    def __init__(self):
        self.records: list[Glance] = []

    def __call__(self, glance: Glance):
        self.records.append(glance)


class Progress:
    """A callback that shows a tqdm bar (the extra ``progress``): fits done, and how the running ones stand.

    Raises:
        ModuleNotFoundError: tqdm is not installed.
    """

    def __init__(self):
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] != "tqdm":
                raise
            words = "jaxgmm.Progress needs tqdm: pip install 'jaxgmm[progress]'"
            raise ModuleNotFoundError(words, name="tqdm") from None
        self._tqdm, self._bar = tqdm, None

    def __call__(self, glance: Glance):
        if self._bar is None:
            self._bar = self._tqdm(total=glance.fits, unit="fit")
        self._bar.n = glance.fits_done
        self._bar.set_postfix_str(_words(glance))
        if glance.fits_done == glance.fits:
            self.close()

    def close(self):
        """End the bar; it ends by itself when all fits are done. The next glance opens a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def tell(glance: Glance):
    """The callback of ``verbose=1``: a line on standard output."""
    print(f"jaxgmm: {glance.fits_done} of {glance.fits} fits done, {_words(glance)}", file=sys.stdout, flush=True)


def _words(glance: Glance) -> str:
    rate = "" if glance.rows is None else f", {glance.rows_per_second:.3g} rows/s"
    return f"iteration {glance.iteration}, log-likelihood {glance.log_likelihood:.6g}, gain {glance.gain:.2g}{rate}"


class Watch:
    """The host's eye on one call of `fit` or `select`: its callbacks, and whether it was stopped."""

    def __init__(self, callback, every: int, verbose, fits: int, in_processes: bool = False, checkpoint=None):
        if callback is not None and not callable(callback):
            raise ValueError(f"callback must be a function of one record, got {callback!r}")
        if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"every must be an integer >= 1, got {every!r}")
        if verbose not in (0, 1):
            raise ValueError(f"verbose must be 0 or 1, got {verbose!r}")
        tells = verbose and not (in_processes and jax.process_index() > 0)
        self.callbacks = [each for each in (tell if tells else None, callback) if each is not None]
        self.in_processes = in_processes  # that run the same programs, and look at the same time
        self.checkpoint = checkpoint
        self.every, self.fits, self.fits_done = int(every), fits, 0
        self.iteration = -1  # E-steps of all runs, the first of which judges the starts
        self.standing, self.ended = None, False  # of the lanes that run, at the last look
        self.rows, self.rate = 0, 0.0  # read so far, and in a second, where they stream
        self.stopped = False
        self.left = None  # lanes (l,) that were on their way when it was stopped

    def through(self, go, lanes, queue, alive, groups: int, volume, work: float, rows: int | None = None):
        """Lanes (l,), starts of ``groups`` fits, and how they stand at the end of ``go(lanes, queue, rounds) -> lanes,
        standing, queue, rounds``, called again and again for few enough E-steps to look in between.

        ``volume`` is what the frame took out of the log-likelihood; an E-step passes ``work`` numbers, and reads
        ``rows`` where they stream. A stop leaves the lanes as they are: from then on nothing runs.
        """
        now, alive = (lanes, self.standing, queue), np.asarray(alive)
        if self.checkpoint is not None:
            ended, *taken_up = self.checkpoint.again(lanes, queue)
            if ended is not None:
                self.standing = ended
                return lanes, ended
            now = now if taken_up[1] is None else tuple(taken_up)
        step, over = FIRST if hosted() else max(int(RATE / work), 1), False
        try:
            while not (over or self.stopped):
                due = self.iteration // self.every * self.every + self.every  # 0 comes after -1
                most = self._agreed(self._most(step, due))
                began = time.monotonic()
                *found, made = go(now[0], now[2], np.int32(most))
                made = int(made)  # waits
                now, seconds = found, time.monotonic() - began
                self.iteration += made
                if rows is not None:
                    self.rows, self.rate = self.rows + made * rows, made * rows / max(seconds, 1e-6)
                self.standing = now[1]
                step = min(max(min(2 * step, int(most * SECONDS / max(seconds, 1e-6))), 1), LONGEST)
                over, before = made < most, self.ended
                self.ended = not _running(now[1], alive).any()
                if self.callbacks and (self.iteration == due or (self.ended and not before)):
                    self.stopped = self._told(self._glance(now[1], alive, groups, volume, rows is not None))
                if self.in_processes:
                    self.stopped = any(gathered(self.stopped))
                if self.checkpoint is not None:
                    self.checkpoint.look(now, self.iteration, self.stopped)
        except KeyboardInterrupt:
            if self.in_processes:  # the others cannot be told where this one stopped
                raise
            self.stopped = True
            if now[1] is None:  # judge the starts, so that there is something to return
                now = go(lanes, queue, np.int32(1))[:3]
                self.standing = now[1]
            if self.checkpoint is not None:
                self.checkpoint.look(now, self.iteration, True)
        if self.checkpoint is not None and not self.stopped:
            self.checkpoint.run_ends(now[1], self.iteration)
        if self.stopped and self.left is None:
            self.left = _running(now[1], alive)
        return now[0], now[1]

    def _most(self, step: int, due: int) -> int:
        """E-steps of the next run: up to where a callback or the checkpoint is due."""
        if self.callbacks:
            step = min(step, due - self.iteration)
        return step if self.checkpoint is None else min(step, self.checkpoint.due(self.iteration) - self.iteration)

    def _agreed(self, most: int) -> int:
        """The fewest E-steps that any process wants: clocks and callbacks differ, and all must run as many."""
        return min(gathered(most)) if self.in_processes else most

    def begins(self):
        """New lanes are about to run: nothing is known of them."""
        self.standing, self.ended = None, False

    def _glance(self, standing, alive, groups: int, volume, streams: bool) -> Glance:
        value, gain, sound = (np.asarray(leaf) for leaf in (standing.log_likelihood, standing.gain, standing.sound))
        ranked = np.where(np.isnan(value), -np.inf, value)
        best = int(np.argmax(np.where(sound, ranked, -np.inf) if sound.any() else ranked))
        unfinished = int(_running(standing, alive).reshape(groups, -1).any(axis=1).sum())
        return Glance(
            iteration=self.iteration,
            log_likelihood=value[best] - volume,
            gain=float(gain[best]),
            fits_done=self.fits_done + groups - unfinished,
            fits=self.fits,
            rows=self.rows if streams else None,
            rows_per_second=self.rate if streams else None,
        )

    def _told(self, glance: Glance) -> bool:
        """Whether any callback returned True; anything else that it may return is none of our business."""
        with on_host(False):  # a callback may do as it likes
            answers = [each(glance) for each in self.callbacks]
        return any(isinstance(answer, (bool, np.bool_)) and bool(answer) for answer in answers)


def _running(standing, alive):
    """Lanes (l,) that are on their way."""
    return alive & (np.asarray(standing.status) < 0)
