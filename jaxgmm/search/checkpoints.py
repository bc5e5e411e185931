"""A long fit on disk: one file, written as it runs, from which it resumes to the same bits.

    format, about        the format's name, and the description of the fit, as JSON
    iteration            the last one
    concluded.<p>.<i>    arrays of the results of searches that have ended (`select` makes several, `fit` one)
    search.<i>           arrays of the search that has not ended

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
SECONDS = 60.0  # between two files, where no number of iterations is asked for
UNKNOWN = "of unknown functions"  # in the description of what has no digest


class Checkpoint:
    """The checkpoint of one call of `fit` or `select`: writes the file, and holds what was read from it."""

    def __init__(self, path, every: int | None, resume: bool, mesh):
        self.path, self.mesh, self.writes = Path(path), mesh, not (spans(mesh) and jax.process_index() > 0)
        self.every = None if every is None else count(every, "checkpoint_every")
        with agreed(mesh):
            if self.writes and not self.path.absolute().parent.is_dir():
                raise ValueError(f"{path}: its folder does not exist")
        self.concluded: list[list[np.ndarray]] = []
        self.search: list[np.ndarray] = []
        self.iteration, self.turn = -1, 0  # the turn counts searches that have ended
        self.about, self.written, self.resume = {}, time.monotonic(), resume

    def begin(self, about: dict):
        """Keep the description of the fit; read the file where it exists and the fit is to resume.

        Raises:
            ValueError: the file is of another fit, damaged, or no checkpoint; it is left as it is.
        """
        self.about = json.loads(json.dumps(about))
        with agreed(self.mesh):
            content = self._content() if self.writes else None
        if spans(self.mesh):
            content = from_first(content)
        if content is not None:
            self._read(content)

    def _content(self) -> bytes | None:
        """The content of the file, where the fit is to resume from it; a file of another fit is not written over."""
        forget_unfinished(self.path)
        if not self.path.exists():
            return None
        if self.resume:
            return self.path.read_bytes()
        kind, theirs = _header(self.path)
        if not kind.startswith(KIND):
            raise ValueError(f"{self.path}: not a checkpoint, so it is not written over; name another file")
        if other := self._difference(theirs):
            advice = "so it is not written over; remove it, or name another file"
            raise ValueError(f"{self.path}: a checkpoint of {other}, {advice}")
        return None

    def _difference(self, theirs: dict) -> str:
        """What a file with this description is of, in words; "" where it is of this fit."""
        for name, ours in self.about.items():
            if name == "data" and not (name in theirs and alike(theirs[name], ours)):
                return "other data"
            if name != "data" and theirs.get(name) != ours:
                return f"another fit (its {name} is {theirs.get(name)}, not {ours})"
        return ""

    def conclusion(self):
        """Arrays of the result of the next search, where the file has it; else None, and the search is to begin."""
        if self.turn < len(self.concluded):
            self.turn += 1
            return self.concluded[self.turn - 1]
        return None

    def conclude(self, results):
        """Keep the results of the search that has ended, and write the file."""
        self.concluded.append(_arrays(results))
        self.search, self.turn = [], self.turn + 1
        self.write()

    def resumed(self, search: Search) -> Search:
        """The search in the file in place of the one that begins, if there is one."""
        if not self.search:
            return search
        arrays, self.search = self.search, []
        return jax.tree.unflatten(jax.tree.structure(search), arrays)

    def due(self, iteration: int) -> int:
        """The iteration at which the file is to be written next."""
        return 2**31 - 1 if self.every is None else (iteration // self.every + 1) * self.every

    def look(self, search: Search, now: bool = False):
        """Write the search if it is time to, or if it must be ``now``."""
        self.iteration = int(search.iteration)
        waited = time.monotonic() - self.written > SECONDS if self.every is None else self.iteration % self.every == 0
        if waited or now:
            self.search = _arrays(search)
            self.write()
            self.search = []

    def write(self):
        """Write the file, whole or not at all. Where it cannot be written, warn, and let the fit go on."""
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

    def _read(self, content: bytes):
        """Take results and the search from the content of a file."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                entries = {name: file[name] for name in file.files}
        except Exception as error:  # a damaged or foreign file fails in a dozen ways, none of them documented
            words = "not a checkpoint, or one cut short or damaged; it is left as it is"
            raise ValueError(f"{self.path}: {words}") from error
        if str(entries.get("format")) != FORMAT:
            whose = "of another jaxgmm" if str(entries.get("format")).startswith(KIND) else "not a checkpoint"
            raise ValueError(f"{self.path}: {whose}, and this one cannot go on with it; it is left as it is")
        if other := self._difference(json.loads(str(entries["about"]))):
            raise ValueError(f"{self.path}: a checkpoint of {other}; it is left as it is")
        for name, ours in self.about.items():
            if UNKNOWN in str(ours):
                words = f"its {name} is {ours}: they hold what cannot be compared, like an open file or a generator"
                raise ValueError(f"{self.path}: cannot be told from a checkpoint of another fit: {words}; it is left")
        ended = len({name.split(".")[1] for name in entries if name.startswith("concluded.")})
        self.concluded = [_leaves(entries, f"concluded.{j}") for j in range(ended)]
        self.iteration, self.search = int(entries["iteration"]), _leaves(entries, "search")


def opened(path, every: int | None, resume: bool, mesh) -> Checkpoint | None:
    """The checkpoint that these options of `fit` and `select` ask for, or None."""
    if path is not None:
        return Checkpoint(path, every, resume, mesh)
    if every is not None or resume:
        raise ValueError("checkpoint_every and resume need checkpoint: the path of the file")
    return None


def begin_checkpoint(driver, problems, priors, data, asked: dict):
    """Begin the driver's checkpoint, if it has one, with the description of its fit, and resume the driver's iteration.

    ``data`` are rows, weights and block_size. ``asked`` are the options that the answer depends on and that are not in
    the problems, such as key and init.
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
    """A start or a family in words: its name, and a digest of its functions or arrays."""
    if isinstance(value, str):
        return value
    if isinstance(value, Family) or callable(value):
        name = repr(value) if isinstance(value, Family) else getattr(value, "__qualname__", type(value).__qualname__)
        known = digest(value)
    else:
        name, known = type(value).__name__, digest(_arrays(value))
    return f"{name} {known[:16] if known else UNKNOWN}"


def _header(path: Path) -> tuple[str, dict]:
    """Format and description in a file; empty where it is no checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["format"]), json.loads(str(file["about"]))
    except Exception:  # a foreign file fails in a dozen ways, none of them documented
        return "", {}


def _arrays(tree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def _leaves(entries, prefix: str) -> list[np.ndarray]:
    size = sum(name.startswith(f"{prefix}.") for name in entries)
    return [entries[f"{prefix}.{i}"] for i in range(size)]
