"""The command line: fit, predict, score, sample, info.

Exit codes: 0; 2 for bad input, with one line and no traceback; 3 where the best fit did not converge (its model is
still written); 4, or what JAX's runtime ends with, where another of many processes has died; 130 after Ctrl-C: `fit`
then gives the best so far and writes it, a second Ctrl-C ends it at once (as the first one does in many processes).
JAX is imported when a command runs, not to read its options.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import options, processes, terminal

BAD_INPUT = 2
NOT_CONVERGED = 3
LOST = 4
INTERRUPTED = 130  # what shells report for it
PICTURED = 100_000  # rows of a stream that a picture shows


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    args = None
    with terminal.warnings_as_lines():
        try:
            args = options.parser(fit, predict, score, sample, info).parse_args(argv)
            terminal.keep_compiled_programs()
            code = args.command(args)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            terminal.say("error", f"{error.filename}: {error.strerror}" if error.filename else error)
            return BAD_INPUT
        except ValueError as error:
            if processes.lost(args, error):
                return processes.leave(LOST, error)
            terminal.say("error", error)
            return BAD_INPUT
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # XLA's word for it
                if processes.lost(args, error):
                    return processes.leave(LOST, error)
                raise
            terminal.say("error", "out of memory; ask for fewer --restarts or --components, or pass fewer rows")
            return BAD_INPUT if processes.alone(args) else processes.leave(BAD_INPUT)
        except KeyboardInterrupt:
            terminal.say("error", "interrupted")
            return INTERRUPTED if processes.alone(args) else processes.leave(INTERRUPTED)


def fit(args: argparse.Namespace) -> int:
    """Fit every family with every number of components, and choose the best. Ctrl-C gives the best so far and writes it
    (exit code 130); a second one ends at once. Many processes fit together what each has read; process 0 speaks."""
    import jaxgmm

    from ..distributed import agreed
    from ..numerics.plain import under_names
    from . import output, report

    mesh = processes.join(args)
    speaks = processes.speaks()
    with agreed(mesh):
        for path in filter(None, (args.output, args.labels, args.plot)):
            if not Path(path).absolute().parent.is_dir():  # said before the hours, not after them
                raise ValueError(f"{path}: its folder does not exist")
        figure = _figure(args.plot) if args.plot else None
        x, columns, sample_weight = _rows(args)
    processes.leave_the_rest_to_the_first()
    processes.check_labels(args.labels, mesh)
    components = _components(args, x, sample_weight, mesh)
    if args.dry_run:
        if speaks:
            plans = _plans(args, x, max(components))
            print(report.plans_as_json(plans) if args.json else "\n\n".join(map(str, plans)))
        return 0
    started = time.perf_counter()
    asked_for = len(components) * len(args.family)
    with terminal.progress(f"fitting {asked_for} mixtures, {args.restarts} starts each", speaks) as callback:
        selection = jaxgmm.select(
            args.seed,
            x if mesh is not None or hasattr(x, "blocks") else under_names(x, columns),
            components,
            families=args.family,
            criterion=args.criterion,
            n_init=args.restarts,
            sample_weight=sample_weight,
            tol=args.tol,
            max_iter=args.max_iter,
            callback=callback,
            checkpoint=args.checkpoint,
            checkpoint_every=args.checkpoint_every,
            resume=args.resume,
            mesh=mesh,
        )
    seconds = time.perf_counter() - started

    best = selection.best
    if args.output and speaks:
        jaxgmm.save(args.output, best.mixture, columns=columns)
    if args.labels:
        blocks = (rows for rows, _ in x) if hasattr(x, "blocks") else [x]
        output.write(args.labels, ["label"], ([jaxgmm.predict(best.mixture, rows)] for rows in blocks))
    if speaks:
        show = report.as_json if args.json else report.as_text
        print(show(selection, seconds, columns))
    if figure and speaks:
        figure.write(args.plot, selection, _some(x, sample_weight), columns)
    if len(selection.table) < asked_for or any(row["status"] == "STOPPED" for row in selection.table):
        terminal.say("warning", f"interrupted; {len(selection.table)} of {asked_for} mixtures had begun")
        return INTERRUPTED
    ran_to_its_end = args.tol == 0 and best.status == jaxgmm.Status.MAX_ITER
    return 0 if best.converged or ran_to_its_end else NOT_CONVERGED


def _components(args: argparse.Namespace, x, sample_weight, mesh) -> list[int]:
    """The numbers of components asked for; where nobody asked, those of the default that the rows allow."""
    from ..checks import enough_weight
    from ..selection import within

    ks = args.components or list(options.COMPONENTS)
    rows = processes.rows_of_weight(x, sample_weight, max(ks), mesh)
    if args.components is None:
        return within(ks, rows)
    enough_weight(rows, max(ks))
    return ks


def _plans(args: argparse.Namespace, x, most: int):
    """What the largest fit of every family will take."""
    import jaxgmm

    from ..search.loading import family_of

    streams = hasattr(x, "blocks")
    n = sum(len(rows) for rows, _ in x) if streams and x.n is None else x.shape[0]
    for name in args.family:
        family = family_of(name, x)
        options = {"n_init": args.restarts, "dtype": x.dtype, "streams": streams}
        yield jaxgmm.plan(n, x.shape[1], most, family, **options)


def _figure(path: str):
    """The module that draws, where it can and knows the kind of file."""
    try:
        from . import figure
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] != "matplotlib":
            raise
        raise ValueError("--plot needs matplotlib: pip install 'jaxgmm[plot]'") from None
    figure.check(path)
    return figure


def predict(args: argparse.Namespace) -> int:
    """Print the most probable component of every row, one integer a line."""
    import jaxgmm

    from . import output

    mixture, blocks = _model_and_data(args)
    head, answers = ["label"], [jaxgmm.predict]
    if args.probabilities:
        head += [f"probability_{k}" for k in range(mixture.n_components)]
        answers += [jaxgmm.responsibilities]
    says = ([answer(mixture, rows) for answer in answers] for rows, _ in blocks)
    output.write(args.output, head if args.output or args.probabilities else None, says)
    return 0


def score(args: argparse.Namespace) -> int:
    """Print the log-likelihood of data under a model: the total, and the mean by weight."""
    import numpy as np

    import jaxgmm

    from . import output

    mixture, blocks = _model_and_data(args)
    totals, weights = [], []

    def scored(rows, weight):
        log_prob = np.asarray(jaxgmm.log_prob(mixture, rows), dtype=np.float64)
        weight = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
        counted = weight > 0  # 0 · -inf is not a number
        totals.append(float(np.sum(weight[counted] * log_prob[counted])))
        weights.append(float(np.sum(weight)))
        return [log_prob]

    scores = itertools.starmap(scored, blocks)
    if args.output:
        output.write(args.output, ["log_prob"], scores)
    else:
        collections.deque(scores, maxlen=0)
    total, weight = math.fsum(totals), math.fsum(weights)
    print(f"log_likelihood {total!r}\nmean {total / weight!r}")
    return 0


def sample(args: argparse.Namespace) -> int:
    """Draw rows from a model, as csv."""
    import jaxgmm

    from .. import storage, tables
    from . import output

    mixture, columns = storage.load_with_columns(args.model)
    x, _ = jaxgmm.sample(args.seed, mixture, args.n)
    output.write(args.output, tables.feature_names(columns, x.shape[1]), [[x]])
    return 0


def info(args: argparse.Namespace) -> int:
    """Say what device, versions and precision there are, or what is in a model."""
    import jaxgmm

    from .. import storage
    from . import report

    if args.model:
        print(report.about_model(*storage.load_with_columns(args.model)))
    else:
        print(report.about_installation(jaxgmm.__version__))
    return 0


def _model_and_data(args: argparse.Namespace):
    """The mixture (k components of d features), and blocks of rows (b, d) it can describe with weights or None."""
    from .. import storage

    mixture, names = storage.load_with_columns(args.model)
    x, _, sample_weight = _rows(args, names)
    d = mixture.n_features
    if x.shape[1] != d:
        wanted = f"{d} ({', '.join(names)})" if names else d
        raise ValueError(f"{args.data}: has {x.shape[1]} columns, {args.model} has {wanted}; pick with --columns")
    return mixture, _checked(args.data, x, sample_weight, mixture.family)


def _checked(path: str, x, sample_weight, family):
    """Blocks of rows and weights that a family can describe, or a ValueError that names the first that is not."""
    import jax
    import numpy as np

    from .. import checks

    def wrong(rows):
        with jax.enable_x64(True):  # else 1 + 1e-9 would pass for an integer
            return checks.outside(rows, family) | ~np.isfinite(rows)

    stream = hasattr(x, "blocks")
    for rows, weight, first in x.blocks(x.block_size) if stream else [(x, sample_weight, 0)]:
        for row, column, value in checks.first(rows, wrong, True):
            where = x.place(first + row) if stream else f"{path}: row {row}"
            raise ValueError(
                f"{where}, column {column} (counted from 0) is {value}; "
                f"family {family.name!r} needs {family.support.words}"
            )
        yield rows, weight


def _rows(args: argparse.Namespace, expected: Sequence[str] | None = None):
    """Rows (n, d), the names of their columns or None, and weights or None; a stream, with weights of its own, where
    the data are a directory, parquet, or too large."""
    from ..data import files, readers, sources

    path = Path(args.data)
    large = path.is_file() and files.too_large(path.stat().st_size)
    if not (path.is_dir() or path.suffix.lower() in (".parquet", ".pq") or large):
        picked = {"columns": args.columns, "weights": args.weights, "expected": expected}
        return readers.read(path, **picked, header=args.header)
    columns = tuple(args.columns) if args.columns else None
    stream = sources.of_files([path], readers.Pick(columns, args.weights, tuple(expected or ()), args.header))
    return stream, stream.columns, None


def _some(x, sample_weight):
    """Rows that a picture can show, and their weights or None: of a stream, evenly chosen ones."""
    import numpy as np

    if not hasattr(x, "blocks"):
        return x, sample_weight
    step = -(-x.n // PICTURED)
    some = [(rows[-first % step :: step], weight, -first % step) for rows, weight, first in x.blocks(x.block_size)]
    weights = [weight[begin::step] for _, weight, begin in some if weight is not None]
    return np.concatenate([rows for rows, *_ in some]), np.concatenate(weights) if weights else None
