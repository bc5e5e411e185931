"""A long fit on disk: one file, written as it runs, from which it resumes to the same bits.

    format, about        what wrote it, and of which fit it is, as JSON
    concluded.<p>.<i>    arrays of the results of searches that have ended (`select` makes several, `fit` one)
    search.<i>           the search that has not ended

A search is a value: a fit resumes from the one in the file.
"""

from __future__ import annotations

import io
import json
import time
import warnings
from pathlib import Path

import jax
import numpy as np

from ..checks import count, in_trace
from ..data.files import forget_unfinished, replacing
from ..data.sources import Stream
from ..distributed import agreed, from_first, spans
from ..families.base import Family
from ..numerics.dtypes import numbers
from ..records import FitWarning
from .digests import digest
from .identity import alike, facts
from .stages import Search

KIND = "jaxgmm checkpoint"
FORMAT = f"{KIND} 4"
SECONDS = 60.0  # from one file to the next, unless iterations are asked for
UNKNOWN = "of unknown functions"


class Checkpoint:
    """The file of one call of `fit` or `select`, and what was read from it."""

    def __init__(self, path, every: int | None, resume: bool, mesh):
        self.path, self.mesh, self.writes = Path(path), mesh, not (spans(mesh) and jax.process_index() > 0)
        self.every = None if every is None else count(every, "checkpoint_every")
        with agreed(mesh):
            if self.writes and not self.path.absolute().parent.is_dir():
                raise ValueError(f"{path}: its folder does not exist")
        self.concluded: list[list[np.ndarray]] = []
        self.search: list[np.ndarray] = []
        self.iteration, self.program = -1, 0
        self.about, self.written, self.resume = {}, time.monotonic(), resume

    def begin(self, about: dict):
        """State which fit this is; where it is to resume and the file exists, read it.

        Raises:
            ValueError: the file is of another fit, damaged, or no checkpoint; it is left as it is.
        """
        self.about = json.loads(json.dumps(about))
        with agreed(self.mesh):
            there = self._found() if self.writes else None
        if spans(self.mesh):
            there = from_first(there)
        if there is not None:
            self._take(there)

    def _found(self) -> bytes | None:
        """The content to resume from."""
        forget_unfinished(self.path)
        if not self.path.exists():
            return None
        if self.resume:
            return self.path.read_bytes()
        kind, theirs = _described(self.path)
        if not kind.startswith(KIND):
            raise ValueError(f"{self.path}: not a checkpoint, so it is not written over; name another file")
        if other := self._other(theirs):
            advice = "so it is not written over; remove it, or name another file"
            raise ValueError(f"{self.path}: a checkpoint of {other}, {advice}")
        return None

    def _other(self, theirs: dict) -> str:
        """What a file is of, where it is not of this fit; nothing where it is."""
        for name, ours in self.about.items():
            if name == "data" and not (name in theirs and alike(theirs[name], ours)):
                return "other data"
            if name != "data" and theirs.get(name) != ours:
                return f"another fit (its {name} is {theirs.get(name)}, not {ours})"
        return ""

    def conclusion(self):
        """Arrays of the result of the search whose turn it is, where it had ended; else None, and it begins."""
        if self.program < len(self.concluded):
            self.program += 1
            return self.concluded[self.program - 1]
        return None

    def conclude(self, results):
        """A search has ended, with these results."""
        self.concluded.append(_arrays(results))
        self.search, self.program = [], self.program + 1
        self.write()

    def resumed(self, search: Search) -> Search:
        """The search that begins, or the one in the file in its place."""
        if not self.search:
            return search
        held, self.search = self.search, []
        return jax.tree.unflatten(jax.tree.structure(search), held)

    def due(self, iteration: int) -> int:
        """The iteration at which the file is to be written next."""
        return 2**31 - 1 if self.every is None else (iteration // self.every + 1) * self.every

    def look(self, search: Search, at_least: bool = False):
        """Write the search where it is time to."""
        self.iteration = int(search.iteration)
        waited = time.monotonic() - self.written > SECONDS if self.every is None else self.iteration % self.every == 0
        if waited or at_least:
            self.search = _arrays(search)
            self.write()
            self.search = []

    def write(self):
        """The file, whole or not at all; where that cannot be, a warning, and the fit goes on."""
        self.written = time.monotonic()
        if not self.writes:
            return
        lists = {f"concluded.{j}": leaves for j, leaves in enumerate(self.concluded)} | {"search": self.search}
        arrays = {f"{name}.{i}": leaf for name, leaves in lists.items() for i, leaf in enumerate(leaves)}
        try:
            with replacing(self.path) as file:
                about = {"format": FORMAT, "about": json.dumps(self.about), "iteration": self.iteration}
                np.savez_compressed(file, **about, **arrays)
        except OSError as error:
            words = f"the checkpoint {self.path} cannot be written ({error.strerror}); the fit goes on without"
            warnings.warn(FitWarning(words), stacklevel=2)

    def _take(self, content: bytes):
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                entries = {name: file[name] for name in file.files}
        except Exception as error:  # a damaged or foreign file fails in a dozen ways, none of them documented
            words = "not a checkpoint, or one cut short or damaged; it is left as it is"
            raise ValueError(f"{self.path}: {words}") from error
        if str(entries.get("format")) != FORMAT:
            whose = "of another jaxgmm" if str(entries.get("format")).startswith(KIND) else "not a checkpoint"
            raise ValueError(f"{self.path}: {whose}, and this one cannot go on with it; it is left as it is")
        if other := self._other(json.loads(str(entries["about"]))):
            raise ValueError(f"{self.path}: a checkpoint of {other}; it is left as it is")
        for name, ours in self.about.items():
            if UNKNOWN in str(ours):
                words = f"its {name} is {ours}: they hold what cannot be compared, like an open file or a generator"
                raise ValueError(f"{self.path}: cannot be told from a checkpoint of another fit: {words}; it is left")
        ended = len({name.split(".")[1] for name in entries if name.startswith("concluded.")})
        self.concluded = [_leaves(entries, f"concluded.{j}") for j in range(ended)]
        self.iteration, self.search = int(entries["iteration"]), _leaves(entries, "search")


def opened(path, every: int | None, resume: bool, mesh) -> Checkpoint | None:
    """The checkpoint that the options of `fit` and `select` ask for."""
    if path is not None:
        return Checkpoint(path, every, resume, mesh)
    if every is not None or resume:
        raise ValueError("checkpoint_every and resume need checkpoint: the path of the file")
    return None


def take_up(driver, problems, priors, data, asked: dict):
    """Give the driver's checkpoint, where there is one, the description of its fit; the driver resumes its count.

    ``data`` are rows, weights and block_size; ``asked`` the start and other options that the answer depends on, which
    problems do not know.
    """
    if driver.checkpoint is None:
        return
    if in_trace(problems):
        raise ValueError("checkpoint needs the host: inside jit or vmap leave it out")
    x, sample_weight, block_size = data
    rows, limits = problems[0].rows, problems[0].limits
    priors = [numbers(prior, rows.dtype) for prior in priors]
    driver.checkpoint.begin(
        asked
        | {
            "dtype": str(rows.dtype),
            "families": [description(problem.family) for problem in problems],
            "prior": [np.ravel(leaf).tolist() for prior in priors for leaf in (prior.reg_covar, prior.reg_relative)],
            "init": description(asked["init"]),
            "key": np.asarray(jax.random.key_data(asked["key"])).tolist(),
            "tol": float(limits.tol),
            "max_iter": int(limits.max_iter),
            "search": problems[0].search,
            "block_size": ["rows that stream", x.block_size] if isinstance(x, Stream) else block_size,
            "data": facts(rows, problems[0].known.measured, x, sample_weight),
        }
    )
    driver.iteration = driver.checkpoint.iteration


def description(value) -> str:
    """A start or a family in words: its name, and what tells its functions or arrays from others."""
    if isinstance(value, str):
        return value
    if isinstance(value, Family) or callable(value):
        name = repr(value) if isinstance(value, Family) else getattr(value, "__qualname__", type(value).__qualname__)
        found = digest(value)
    else:
        name, found = type(value).__name__, digest(_arrays(value))
    return f"{name} {found[:16] if found else UNKNOWN}"


def _described(path: Path) -> tuple[str, dict]:
    """What a file says it is, and of which fit; nothing where it is no checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["format"]), json.loads(str(file["about"]))
    except Exception:  # as many as there are kinds of files
        return "", {}


def _arrays(tree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def _leaves(entries, prefix: str) -> list[np.ndarray]:
    size = sum(name.startswith(f"{prefix}.") for name in entries)
    return [entries[f"{prefix}.{i}"] for i in range(size)]
