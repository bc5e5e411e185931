"""The command fit: fit every family with every number of components, then print, write and draw the best."""

from __future__ import annotations

import argparse
import time

import numpy as np

import jaxgmm

from ..checks import enough_weight
from ..distributed import agreed
from ..numerics.plain import under_names
from ..search.loading import family_of
from ..selection import within
from . import estimate, labels, options, paths, processes, report, standard, terminal
from .table import Input, index_of, opened

NOT_CONVERGED = 3
INTERRUPTED = 130  # the exit code of shells after Ctrl-C
PICTURED = 100_000  # most rows of a stream in a picture


def fit(args: argparse.Namespace) -> int:
    """Fit every family with every number of components, and choose the best. Ctrl-C gives the best so far and writes it
    (exit code 130); a second one ends at once. Many processes fit together what each has read; process 0 prints."""
    if args.standardize:
        standard.check(args)
    mesh = processes.join(args)
    prints = processes.prints()
    with agreed(mesh):
        paths.check(args)  # before the fits, which may take hours
        figure = paths.figure(args.plot) if args.plot else None
        table = opened(args)
        if args.id:
            index_of(args.id, table.whole())  # ValueError where there is no such column
    processes.warn_only_once()
    processes.check_labels(args.labels, mesh)
    components = _components(args, table, mesh)
    if args.dry_run:
        if prints:
            _say_plans(args, table, max(components))
        return 0
    started = time.perf_counter()
    asked_for = len(components) * len(args.family)
    with terminal.progress(f"fitting {asked_for} mixtures, {args.restarts} starts each", prints) as callback:
        selection = _fitted(args, table, components, {"callback": callback, "mesh": mesh})
    seconds = time.perf_counter() - started

    best = selection.best
    if args.output and prints:
        jaxgmm.save(args.output, best.mixture, columns=table.columns)
    if args.labels:
        labels.write(args, args.labels, table, best.mixture)
    if figure and prints:
        figure.write(args.plot, selection, _pictured(table), table.columns)
    if prints:
        if args.json:
            asked = _asked(args, components)
            print(report.as_json(selection, seconds, table.columns, asked, jaxgmm.__version__))
        else:
            print(report.as_text(selection, seconds, table.columns))
    if len(selection.table) < asked_for or any(row["status"] == "STOPPED" for row in selection.table):
        terminal.say("warning", f"interrupted; {len(selection.table)} of {asked_for} mixtures had begun")
        return INTERRUPTED
    ran_to_its_end = args.tol == 0 and best.status == jaxgmm.Status.MAX_ITER
    return 0 if best.converged or ran_to_its_end else NOT_CONVERGED


def _fitted(args: argparse.Namespace, table: Input, components: list[int], others: dict):
    """The selection by `jaxgmm.select`, through standardized features where asked for; in the data's units."""
    x = table.x
    if args.standardize:
        frame, weight = standard.frame_of(table)
        x = standard.standardized(x, frame)
    try:
        selection = jaxgmm.select(
            args.seed,
            x if others["mesh"] is not None or table.streams else under_names(x, table.columns),
            components,
            families=args.family,
            criterion=args.criterion,
            n_init=args.restarts,
            sample_weight=table.sample_weight,
            tol=args.tol,
            max_iter=args.max_iter,
            checkpoint=args.checkpoint,
            checkpoint_every=args.checkpoint_every,
            resume=args.resume,
            **others,
        )
    except ValueError as error:
        raise ValueError(table.named(str(error))) from error
    return standard.in_data_units(selection, frame, weight) if args.standardize else selection


def _components(args: argparse.Namespace, table: Input, mesh) -> list[int]:
    """The numbers of components asked for; else those of the default that the rows allow."""
    ks = args.components or list(options.COMPONENTS)
    rows = processes.rows_of_weight(table, max(ks), mesh)
    if args.components is None:
        return within(ks, rows)
    enough_weight(rows, max(ks))
    return ks


def _say_plans(args: argparse.Namespace, table: Input, most: int):
    """Print what the largest fit of every family will take."""
    x, plans, seconds = table.x, [], []
    n = sum(len(rows) for rows, _ in x) if table.streams and x.n is None else x.shape[0]
    some = estimate.first_rows(x)
    for name in args.family:
        family = family_of(name, x)
        plans.append(
            jaxgmm.plan(n, x.shape[1], most, family, n_init=args.restarts, dtype=x.dtype, streams=table.streams)
        )
        seconds.append(estimate.seconds_per_update(args.seed, some, plans[-1], family))
    if args.json:
        print(report.plans_as_json(plans, seconds))
    else:
        print(
            "\n\n".join(f"{plan}\n{estimate.words(each, len(some))}" for plan, each in zip(plans, seconds, strict=True))
        )


def _asked(args: argparse.Namespace, components: list[int]) -> dict:
    """The options that the result depends on, for the JSON report."""
    names = ["data", "columns", "drop", "drop_missing", "header", "decimal", "separator", "weights", "family"]
    names += ["standardize", "restarts", "seed", "criterion", "tol", "max_iter"]
    return {"components": components} | {name: getattr(args, name) for name in names}


def _pictured(table: Input) -> tuple:
    """Rows for the picture and their weights or None: all, or of a long stream a regular selection."""
    if not table.streams:
        return table.x, table.sample_weight
    step = -(-table.x.n // PICTURED)
    some = [(rows[-first % step :: step], weight, -first % step) for rows, weight, first in table.blocks()]
    weights = [weight[begin::step] for _, weight, begin in some if weight is not None]
    return np.concatenate([rows for rows, *_ in some]), np.concatenate(weights) if weights else None
