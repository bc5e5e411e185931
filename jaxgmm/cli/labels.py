"""Tables of the labels and probabilities of rows, with the rows' numbers, a column of names, or all input columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

import jaxgmm

from ..records import Mixture
from ..tables import feature_names
from . import output
from .table import Input, index_of


def check(args: argparse.Namespace, path: str | None) -> None:
    """ValueError where a file cannot hold the columns asked for."""
    if (args.append or args.id) and path and Path(path).suffix.lower() == ".npy":
        raise ValueError(f"{path}: npy files hold numbers alone; --append and --id write csv, tsv or parquet")


def write(args: argparse.Namespace, path: str | None, table: Input, mixture: Mixture, check: Callable | None = None):
    """Write the label of every row, -1 where a value is missing, to a file or to standard output.

    Further columns are the probabilities, where asked for, and before the label the rows' numbers from 0, the column
    ``--id``, or with ``--append`` all columns of the input. A npy file and standard output have no row numbers.
    ``check(x, first, place)`` may refuse a block of rows x (b, d); ``place`` names a row by its number.
    """
    probabilities = args.append or getattr(args, "probabilities", False)
    whole = None if table.in_memory and not (args.append or args.id) else table.whole()
    numbered = not (args.append or args.id) and path is not None and Path(path).suffix.lower() != ".npy"
    indices, names = _beside(args, whole)
    k, dtype = mixture.n_components, np.asarray(mixture.log_weights).dtype
    added = ["label"] + [f"probability_{j}" for j in range(k)] * probabilities
    head = ["row"] * numbered + names + _unused_names(added, names)

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
    """The indices and names of the columns of the input that are written."""
    if not (args.append or args.id):
        return [], []
    names = feature_names(whole.taken.names, whole.taken.width)
    indices = range(whole.taken.width) if args.append else [index_of(args.id, whole)]
    return indices, [names[j] or "row" for j in indices]


def _unused_names(wanted: list[str], names: Sequence[str]) -> list[str]:
    """The wanted names; where the input has one of them, all with the same number behind them: label_2, ..."""
    count, free = 1, wanted
    while set(free) & set(names):
        count += 1
        free = [f"{name}_{count}" for name in wanted]
    return free


def _typed(path: str | None, whole, indices: Sequence[int], x: np.ndarray, others: list) -> list:
    """Columns of the input as they are written: features as numbers in parquet, else the fields as they were read."""
    if path is None or Path(path).suffix.lower() not in (".parquet", ".pq"):
        return others
    features = {j: x[:, i] for i, j in enumerate(whole.taken.indices)} if whole else {}
    return [features.get(j, other) for j, other in zip(indices, others, strict=True)]


def _of_complete(answer: Callable, mixture: Mixture, x: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """``answers`` (b, ...), with ``answer(mixture, rows)`` filled in for the rows without a missing value."""
    complete = ~np.isnan(x).any(axis=1)
    if complete.any():
        answers[complete] = answer(mixture, x[complete])
    return answers
