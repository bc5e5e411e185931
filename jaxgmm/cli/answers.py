"""The commands that use a fitted model: predict, score, sample, info."""

from __future__ import annotations

import argparse
import collections
import math
from collections.abc import Callable, Iterator

import jax
import numpy as np

import jaxgmm

from .. import checks, storage, tables
from ..data.pick import KEPT
from ..data.remarks import missing
from ..records import Mixture
from . import labels, output, paths, report
from .table import Input, opened


def predict(args: argparse.Namespace) -> int:
    """Print the most probable component of every row, one integer a line; -1 where --drop-missing finds a gap."""
    paths.check_table(args.output, args.data)
    labels.check(args, args.output)
    mixture, table = _model_and_data(args)
    labels.write(args, args.output, table, mixture, _checker(table, mixture))
    return 0


def score(args: argparse.Namespace) -> int:
    """Print the log-likelihood of data under a model: the total, and the mean by weight."""
    paths.check_table(args.output, args.data)
    mixture, table = _model_and_data(args)
    check, totals, weights = _checker(table, mixture), [], []

    def scores() -> Iterator[list]:
        for rows, weight, first in table.blocks():
            check(rows, first, table.place)
            left_out = missing(rows, weight)
            log_prob = np.full(len(rows), np.nan)
            if not left_out.all():
                log_prob[~left_out] = jaxgmm.log_prob(mixture, rows[~left_out])
            weight = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
            counted = ~left_out & (weight > 0)  # 0 · -inf is not a number
            totals.append(float(np.sum(weight[counted] * log_prob[counted])))
            weights.append(float(np.sum(weight[~left_out])))
            yield [log_prob]

    if args.output:
        output.write(args.output, ["log_prob"], scores())
    else:
        collections.deque(scores(), maxlen=0)
    total, weight = math.fsum(totals), math.fsum(weights)
    print(f"log_likelihood {total!r}\nmean {total / weight!r}")
    return 0


def sample(args: argparse.Namespace) -> int:
    """Draw rows from a model, as csv."""
    paths.check_table(args.output)
    mixture = storage.load(args.model)
    x, _ = jaxgmm.sample(args.seed, mixture, args.n)
    output.write(args.output, tables.feature_names(mixture.columns, x.shape[1]), [[x]])
    return 0


def info(args: argparse.Namespace) -> int:
    """Print device, versions and precision, or what is in a model."""
    if args.model:
        print(report.about_model(storage.load(args.model)))
    else:
        print(report.about_installation(jaxgmm.__version__))
    return 0


def _model_and_data(args: argparse.Namespace) -> tuple[Mixture, Input]:
    """The mixture of k components, and rows with its d features."""
    mixture = storage.load(args.model)
    d, names = mixture.n_features, mixture.columns
    table = opened(args, names, KEPT)
    if table.x.shape[1] != d:
        wanted = f"{d} ({', '.join(names)})" if names else d
        raise ValueError(f"{args.data}: has {table.x.shape[1]} columns, {args.model} has {wanted}; pick with --columns")
    return mixture, table


def _checker(table: Input, mixture: Mixture):
    """A check of a block of rows: ValueError at the first value that is outside the family's support or not finite."""
    family, allowed = mixture.family, np.isnan if table.pick.missing == KEPT else np.zeros_like

    def wrong(rows):
        with jax.enable_x64(True):  # else 1 + 1e-9 would pass for an integer
            return (checks.outside(rows, family) | ~np.isfinite(rows)) & ~np.asarray(allowed(rows), bool)

    def check(rows, first: int, place: Callable):
        for row, column, value in checks.first(rows, wrong, True):
            raise ValueError(
                f"{place(first + row)}, column {column} (counted from 0) is {value}; "
                f"family {family.name!r} needs {family.support.words}"
            )

    return check
