"""Labels and probabilities of rows as tables: beside the rows' numbers, names, or all that the input has."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

import jaxgmm

from ..records import Mixture
from ..tables import feature_names
from . import output
from .table import Table, index_of


def check(args: argparse.Namespace, path: str | None) -> None:
    """ValueError where a file cannot hold what is asked for."""
    if (args.append or args.id) and path and Path(path).suffix.lower() == ".npy":
        raise ValueError(f"{path}: npy files hold numbers alone; --append and --id write csv, tsv or parquet")


def check_identity(args: argparse.Namespace, table: Table) -> None:
    """ValueError where the table has no such column as names the rows."""
    if args.id:
        index_of(args.id, table.whole())


def write(args: argparse.Namespace, path: str | None, table: Table, mixture: Mixture, check: Callable | None = None):
    """Write the label of every row, -1 where a value is missing, to a file, or to standard output.

    Beside it stand probabilities, where asked for, and what tells the rows: their numbers from 0, the column ``--id``,
    or with ``--append`` all columns. npy holds labels, and probabilities, alone; so does standard output. ``check`` may
    refuse a block of rows (b, d), given its first row's number and what says where a row is.
    """
    probabilities = args.append or getattr(args, "probabilities", False)
    whole = None if table.in_memory and not (args.append or args.id) else table.whole()
    numbered = not (args.append or args.id) and path is not None and Path(path).suffix.lower() != ".npy"
    indices, names = _beside(args, whole)
    k, dtype = mixture.n_components, np.asarray(mixture.log_weights).dtype
    says = ["label"] + [f"probability_{j}" for j in range(k)] * probabilities
    head = ["row"] * numbered + names + _free(says, names)

    def blocks() -> Iterator[list]:
        first = 0
        for x, others in [(table.x, [])] if whole is None else whole.beside(indices):
            if check:
                check(x, first, table.place if whole is None else whole.place)
            block = [np.arange(first, first + len(x))] * numbered + _typed(path, whole, indices, x, others)
            block.append(_of_complete(jaxgmm.predict, mixture, x, np.full(len(x), -1, np.int32)))
            if probabilities:
                nothing = np.full((len(x), k), np.nan, dtype)
                block.append(_of_complete(jaxgmm.responsibilities, mixture, x, nothing))
            first += len(x)
            yield block

    output.write(path, head if path or len(head) > 1 else None, blocks())


def _beside(args: argparse.Namespace, whole) -> tuple[Sequence[int], list[str]]:
    """The columns of the input that are written, by index, and their names."""
    if not (args.append or args.id):
        return [], []
    names = feature_names(whole.taken.names, whole.taken.width)
    indices = range(whole.taken.width) if args.append else [index_of(args.id, whole)]
    return indices, [names[j] or "row" for j in indices]


def _free(wanted: list[str], names: Sequence[str]) -> list[str]:
    """Names that the input has not, with a number behind all of them where it has one of those wanted."""
    count, free = 1, wanted
    while set(free) & set(names):
        count += 1
        free = [f"{name}_{count}" for name in wanted]
    return free


def _typed(path: str | None, whole, indices: Sequence[int], x: np.ndarray, others: list) -> list:
    """Columns of the input: words as they stand there in text; in parquet features are numbers."""
    if path is None or Path(path).suffix.lower() not in (".parquet", ".pq"):
        return others
    features = {j: x[:, i] for i, j in enumerate(whole.taken.indices)} if whole else {}
    return [features.get(j, other) for j, other in zip(indices, others, strict=True)]


def _of_complete(answer: Callable, mixture: Mixture, x: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """``answers`` (b, ...), with those of a function of a mixture and rows where no value is missing."""
    complete = ~np.isnan(x).any(axis=1)
    if complete.any():
        answers[complete] = answer(mixture, x[complete])
    return answers
