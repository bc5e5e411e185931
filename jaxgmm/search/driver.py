"""The one loop on the host that takes a search to its end. Callbacks and the checkpoint observe it between two runs.

A search is a value, so observing it changes no result. A run takes about a second at most, also without an observer,
because Python handles Ctrl-C only between runs. Several processes run the same number of E-steps and stop together.
"""

import time

import jax
import numpy as np

from ..checks import in_trace
from ..distributed import gathered
from ..numerics.dtypes import on_device
from ..numerics.host import hosted, on_host
from . import stages
from .callbacks import Glance, print_line
from .stages import Search

SECONDS = 1.0  # of one run at most: the wait after Ctrl-C
RATE = 1e7  # numbers that pass in a second on a slow machine: how long the first run may be
FIRST = 8  # E-steps of the first run on the host, which Ctrl-C ends where it stands
LONGEST = 10**6  # E-steps of a run


class Driver:
    """Takes the searches of one call of `fit` or `select` to their ends, one after the other, or to where it is
    stopped: by a callback that returns True, or by Ctrl-C."""

    def __init__(self, callback, every: int, verbose, fits: int, *, in_processes: bool, checkpoint):
        if callback is not None and not callable(callback):
            raise ValueError(f"callback must be a function of one record, got {callback!r}")
        if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"every must be an integer >= 1, got {every!r}")
        if verbose not in (0, 1):
            raise ValueError(f"verbose must be 0 or 1, got {verbose!r}")
        prints = verbose and not (in_processes and jax.process_index() > 0)
        self.callbacks = [each for each in (print_line if prints else None, callback) if each is not None]
        self.in_processes = in_processes  # that run the same programs, and look at the same time
        self.every, self.fits, self.fits_done = int(every), fits, 0
        self.checkpoint = checkpoint
        self.iteration = -1  # E-steps of all searches so far; the first of each judges its starts
        self.rows, self.rate = 0, 0.0  # read so far, and in a second, where they stream
        self.stopped = False

    def drive(self, problem, lanes, active):
        """First lanes (l,) of the numbers of components in active (m, k) at their ends, or where they were stopped,
        from when on nothing runs; and which of them (l,) a stop left unfinished."""
        if in_trace(problem, lanes):
            if self.callbacks:
                raise ValueError("callback and verbose need the host: inside jit or vmap leave them out")
            return stages.to_its_end(problem, stages.begin(problem, lanes, active)).lanes, None
        search = stages.begin(problem, lanes, active, self.iteration)
        if self.checkpoint is not None:
            search = self.checkpoint.resumed(search)
        step, ended = self._first_step(problem, search), False
        with stages.in_one_thread():
            try:
                while not (search.ended or self.stopped):
                    rounds, began = self._rounds(step, int(search.iteration)), time.monotonic()
                    now = stages.advance(problem, search, rounds)
                    seconds, made = time.monotonic() - began, int(now.iteration - search.iteration)
                    step = min(max(min(2 * step, int(rounds * SECONDS / max(seconds, 1e-6))), 1), LONGEST)
                    search, before, ended = now, ended, not now.running.any()
                    self._read(problem, made, seconds)
                    self._look(problem, search, made > 0, ended and not before)
            except KeyboardInterrupt:
                search = self._interrupted(problem, search)
            if self.stopped and int(search.rung) < len(problem.rungs) - 1:  # only a sample has judged them
                search = _judged(problem, stages.climbed(problem, search))
        self.iteration = int(search.iteration)
        return search.lanes, search.running if self.stopped else np.zeros(len(search.alive), bool)

    def _look(self, problem, search: Search, moved: bool, ends: bool):
        """Callbacks and the checkpoint see the search, where it is time to, or as its last lane ends. Callbacks wait
        until a start has a log-likelihood: the first E-step may have lost its digits."""
        due = moved and search.judged and int(search.iteration) % self.every == 0
        if self.callbacks and (due or ends):
            self.stopped = self._called(self._glance(problem, search))
        if self.in_processes:
            self.stopped = any(gathered(self.stopped))
        if self.checkpoint is not None:
            self.checkpoint.look(search, self.stopped)

    def _interrupted(self, problem, search: Search) -> Search:
        """The search that Ctrl-C stops."""
        if self.in_processes:  # the others do not know where this one stopped
            raise KeyboardInterrupt
        self.stopped = True
        search = _judged(problem, search)  # so that there is something to return
        if self.checkpoint is not None:
            self.checkpoint.look(search, True)
        return search

    def concluded(self, template):
        """The results of the search whose turn it is, a tree like ``template``, where the checkpoint holds them."""
        found = None if self.checkpoint is None else self.checkpoint.conclusion()
        return found and jax.tree.unflatten(jax.tree.structure(template), map(on_device, found))

    def conclude(self, results):
        """The same results, which the checkpoint holds from now on."""
        if self.checkpoint is not None and not self.stopped:
            self.checkpoint.conclude(results)
        return results

    def _first_step(self, problem, search: Search) -> int:
        """E-steps of the first run."""
        if hosted():
            return FIRST
        k, lanes = search.active.shape[1], len(search.queue.held)
        width = problem.family.moments.width(problem.rows.d, k * lanes)
        return max(int(RATE / (problem.rows.n_everywhere * width)), 1)

    def _rounds(self, step: int, iteration: int) -> int:
        """E-steps of the next run: up to where a callback or the checkpoint is due, as many in every process."""
        if self.callbacks:
            step = min(step, self.every - iteration % self.every)  # 0 comes after -1
        if self.checkpoint is not None:
            step = min(step, self.checkpoint.due(iteration) - iteration)
        return min(gathered(step)) if self.in_processes else step

    def _read(self, problem, made: int, seconds: float):
        if problem.streams:
            rows = made * problem.rows.n_everywhere
            self.rows, self.rate = self.rows + rows, rows / max(seconds, 1e-6)

    def _glance(self, problem, search: Search) -> Glance:
        standing, known = search.standing, problem.known
        volume = np.asarray(known.measured.weight) * np.log(np.asarray(known.frame.scale)).sum()
        value, gain, sound = (np.asarray(leaf) for leaf in (standing.log_likelihood, standing.gain, standing.sound))
        ranked = np.where(np.isnan(value), -np.inf, value)
        best = int(np.argmax(np.where(sound, ranked, -np.inf) if sound.any() else ranked))
        unfinished = int(search.running.reshape(search.groups, -1).any(axis=1).sum())
        return Glance(
            iteration=int(search.iteration),
            log_likelihood=value[best] - volume,
            gain=float(gain[best]),
            fits_done=self.fits_done + search.groups - unfinished,
            fits=self.fits,
            rows=self.rows if problem.streams else None,
            rows_per_second=self.rate if problem.streams else None,
        )

    def _called(self, glance: Glance) -> bool:
        """Whether any callback returned True; other values are ignored."""
        with on_host(False):  # a callback may use JAX
            answers = [each(glance) for each in self.callbacks]
        return any(isinstance(answer, (bool, np.bool_)) and bool(answer) for answer in answers)


def _judged(problem, search: Search) -> Search:
    """The search from where a start has a log-likelihood: after one E-step, or two where the first lost its digits."""
    while not (search.judged or search.ended):
        search = stages.advance(problem, search, 1)
    return search
