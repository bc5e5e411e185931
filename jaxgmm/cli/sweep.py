"""The command that fits: every family with every number of components, and what is made of the best of them."""

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
from .table import Table, opened

NOT_CONVERGED = 3
INTERRUPTED = 130  # what shells report for it
PICTURED = 100_000  # rows of a stream that a picture shows


def fit(args: argparse.Namespace) -> int:
    """Fit every family with every number of components, and choose the best. Ctrl-C gives the best so far and writes it
    (exit code 130); a second one ends at once. Many processes fit together what each has read; process 0 speaks."""
    if args.standardize:
        standard.check(args)
    mesh = processes.join(args)
    speaks = processes.speaks()
    with agreed(mesh):
        paths.check(args)  # said before the hours, not after them
        figure = paths.figure(args.plot) if args.plot else None
        table = opened(args)
        labels.check_identity(args, table)
    processes.leave_the_rest_to_the_first()
    processes.check_labels(args.labels, mesh)
    components = _components(args, table, mesh)
    if args.dry_run:
        if speaks:
            _say_plans(args, table, max(components))
        return 0
    started = time.perf_counter()
    asked_for = len(components) * len(args.family)
    with terminal.progress(f"fitting {asked_for} mixtures, {args.restarts} starts each", speaks) as callback:
        selection = _fitted(args, table, components, {"callback": callback, "mesh": mesh})
    seconds = time.perf_counter() - started

    best = selection.best
    if args.output and speaks:
        jaxgmm.save(args.output, best.mixture, columns=table.columns)
    if args.labels:
        labels.write(args, args.labels, table, best.mixture)
    if figure and speaks:
        figure.write(args.plot, selection, _some(table), table.columns)
    if speaks:
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


def _fitted(args: argparse.Namespace, table: Table, components: list[int], others: dict):
    """What `jaxgmm.select` makes of the rows, or of their standardized features."""
    x = table.x
    if args.standardize:
        frame, weight = standard.frame_of(x, table.sample_weight)
        x = standard.entered(x, frame)
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
    return standard.left(selection, frame, weight) if args.standardize else selection


def _components(args: argparse.Namespace, table: Table, mesh) -> list[int]:
    """The numbers of components asked for; where nobody asked, those of the default that the rows allow."""
    ks = args.components or list(options.COMPONENTS)
    rows = processes.rows_of_weight(table.x, table.sample_weight, max(ks), mesh)
    if args.components is None:
        return within(ks, rows)
    enough_weight(rows, max(ks))
    return ks


def _say_plans(args: argparse.Namespace, table: Table, most: int):
    """Print what the largest fit of every family will take."""
    x, plans, seconds = table.x, [], []
    n = sum(len(rows) for rows, _ in x) if table.streams and x.n is None else x.shape[0]
    some = estimate.some_of(x)
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
    """The options that the answer depends on."""
    names = ["data", "columns", "drop", "drop_missing", "header", "decimal", "separator", "weights", "family"]
    names += ["standardize", "restarts", "seed", "criterion", "tol", "max_iter"]
    return {"components": components} | {name: getattr(args, name) for name in names}


def _some(table: Table) -> tuple:
    """Rows that a picture can show, and their weights or None: of a stream, evenly chosen ones."""
    if not table.streams:
        return table.x, table.sample_weight
    x = table.x
    step = -(-x.n // PICTURED)
    some = [(rows[-first % step :: step], weight, -first % step) for rows, weight, first in x.blocks(x.block_size)]
    weights = [weight[begin::step] for _, weight, begin in some if weight is not None]
    return np.concatenate([rows for rows, *_ in some]), np.concatenate(weights) if weights else None
