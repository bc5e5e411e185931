"""The command line: fit, predict, score, sample, info.

Exit codes: 0; 2 for bad input, with one line and no traceback; 3 where the best fit did not converge (its model is
still written); 130 after Ctrl-C: `fit` then gives the best so far and writes it, a second Ctrl-C ends it at once.
JAX is imported when a command runs, not to read its options.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import terminal

BAD_INPUT = 2
NOT_CONVERGED = 3
INTERRUPTED = 130  # what shells report for it

LARGEST_INTEGER = 2**31 - 1  # sizes and counters are int32 on the device
MOST_COMPONENTS = 10_000  # a slip like 1:99999999 would otherwise be taken at its word


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    with terminal.warnings_as_lines():
        try:
            args = _parser().parse_args(argv)
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
            terminal.say("error", error)
            return BAD_INPUT
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # XLA's word for it
                raise
            terminal.say("error", "out of memory; ask for fewer --restarts or --components, or pass fewer rows")
            return BAD_INPUT
        except KeyboardInterrupt:
            terminal.say("error", "interrupted")
            return INTERRUPTED


def fit(args: argparse.Namespace) -> int:
    """Fit every family with every number of components, and choose the best. Ctrl-C gives the best so far and writes it
    (exit code 130); a second one ends at once."""
    import jaxgmm

    from . import report, tables

    for path in filter(None, (args.output, args.labels, args.plot)):
        if not Path(path).absolute().parent.is_dir():  # said before the hours, not after them
            raise ValueError(f"{path}: its folder does not exist")
    pictures = _pictures(args.plot) if args.plot else None
    x, columns, sample_weight = tables.read(args.data, columns=args.columns, weights=args.weights)
    started = time.perf_counter()
    asked_for = len(args.components) * len(args.family)
    with terminal.progress(f"fitting {asked_for} mixtures, {args.restarts} starts each") as callback:
        selection = jaxgmm.select(
            args.seed,
            x,
            args.components,
            families=args.family,
            criterion=args.criterion,
            n_init=args.restarts,
            sample_weight=sample_weight,
            tol=args.tol,
            max_iter=args.max_iter,
            callback=callback,
        )
    seconds = time.perf_counter() - started

    best = selection.best
    if args.output:
        jaxgmm.save(args.output, best.mixture, columns=columns)
    if args.labels:
        tables.write_csv(args.labels, ["label"], jaxgmm.predict(best.mixture, x))
    print(report.as_json(selection, seconds) if args.json else report.as_text(selection, seconds, columns))
    if pictures:
        pictures.write(args.plot, selection, x, columns)
    if len(selection.table) < asked_for or any(row["status"] == "STOPPED" for row in selection.table):
        terminal.say("warning", f"interrupted; {len(selection.table)} of {asked_for} mixtures had begun")
        return INTERRUPTED
    ran_to_its_end = args.tol == 0 and best.status == jaxgmm.Status.MAX_ITER
    return 0 if best.converged or ran_to_its_end else NOT_CONVERGED


def _pictures(path: str):
    """The module that draws, where it can and knows the kind of file."""
    try:
        from . import pictures
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] != "matplotlib":
            raise
        raise ValueError("--plot needs matplotlib: pip install 'jaxgmm[plot]'") from None
    pictures.check(path)
    return pictures


def predict(args: argparse.Namespace) -> int:
    """Print the most probable component of every row, one integer a line."""
    import jaxgmm

    from . import tables

    mixture, x, _ = _model_and_data(args)
    labels = jaxgmm.predict(mixture, x)
    if args.probabilities:
        head = ["label", *(f"probability_{k}" for k in range(mixture.n_components))]
        tables.write_csv(args.output, head, labels, jaxgmm.responsibilities(mixture, x))
    else:
        tables.write_csv(args.output, ["label"] if args.output else None, labels)
    return 0


def score(args: argparse.Namespace) -> int:
    """Print the log-likelihood of data under a model: the total, and the mean by weight."""
    import numpy as np

    import jaxgmm

    mixture, x, sample_weight = _model_and_data(args)
    log_prob = np.asarray(jaxgmm.log_prob(mixture, x), dtype=np.float64)
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    counted = weight > 0  # 0 · -inf is not a number
    total = float(np.sum(weight[counted] * log_prob[counted]))
    print(f"log_likelihood {total!r}\nmean {total / float(np.sum(weight))!r}")
    return 0


def sample(args: argparse.Namespace) -> int:
    """Draw rows from a model, as csv."""
    import jaxgmm

    from . import report, storage, tables

    mixture, columns = storage.load_with_columns(args.model)
    x, _ = jaxgmm.sample(args.seed, mixture, args.n)
    tables.write_csv(args.output, report.feature_names(columns, x.shape[1]), x)
    return 0


def info(args: argparse.Namespace) -> int:
    """Say what device, versions and precision there are, or what is in a model."""
    import jaxgmm

    from . import report, storage

    if args.model:
        print(report.about_model(*storage.load_with_columns(args.model)))
    else:
        print(report.about_installation(jaxgmm.__version__))
    return 0


def _model_and_data(args: argparse.Namespace):
    """The mixture (k components of d features), rows (n, d) it can describe, and their weights or None."""
    from . import checks, storage, tables

    mixture, names = storage.load_with_columns(args.model)
    x, _, sample_weight = tables.read(args.data, columns=args.columns, weights=args.weights, expected=names)
    d = checks.n_features(mixture)
    if x.shape[1] != d:
        wanted = f"{d} ({', '.join(names)})" if names else d
        raise ValueError(f"{args.data}: has {x.shape[1]} columns, {args.model} has {wanted}; pick with --columns")
    _check_support(args.data, x, mixture.family)
    return mixture, x, sample_weight


def _check_support(path: str, x, family) -> None:
    import jax
    import numpy as np

    with jax.enable_x64(True):  # else 1 + 1e-9 would pass for an integer
        outside = np.argwhere(~np.asarray(family.support.contains(x)))
    if len(outside):
        row, column = outside[0]
        raise ValueError(
            f"{path}: row {row}, column {column} (counted from 0) is {x[row, column]}; "
            f"family {family.name!r} needs {family.support.words}"
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ValueError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jaxgmm", description="Mixture models fitted by expectation-maximisation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for command, options in (
        (fit, (_data_options, _weight_option, _fit_options)),
        (predict, (_model_option, _data_options, _predict_options)),
        (score, (_model_option, _data_options, _weight_option)),
        (sample, (_model_option, _sample_options)),
        (info, (_info_options,)),
    ):
        added = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        added.set_defaults(command=command, weights=None)
        for add in options:
            add(added.add_argument)
    return parser


def _model_option(add) -> None:
    add("model", metavar="MODEL", help="a file written by `jaxgmm fit --output`")


def _data_options(add) -> None:
    add("data", metavar="DATA", help="csv, tsv, npy or npz, a row for each observation")
    add("--columns", type=_words, metavar="A,B", help="the features: names, or numbers from 0 without a header")


def _weight_option(add) -> None:
    add("--weights", metavar="COLUMN", help="the column of sample weights (2: as if the row were there twice)")


def _fit_options(add) -> None:
    add("--components", type=_counts, default="1:9", metavar="K", help="3, or 2,3,5, or 1:9 with the 9 (the default)")
    add("--family", type=_words, default="full,tied,diag,spherical", metavar="F", help="default: %(default)s")
    add("--restarts", type=_integer(1), default=10, metavar="N", help="starts of every fit (default: %(default)s)")
    add("--seed", type=_integer(0), default=0, help="default: %(default)s")
    add("--criterion", choices=("bic", "aic", "icl"), default="bic", help="what the best is lowest in (default: bic)")
    add("--tol", type=float, default=1e-6, help="mean log-likelihood left to gain at the end (default: 1e-6)")
    add("--max-iter", type=_integer(0), default=1000, metavar="N", help="updates of a start (default: %(default)s)")
    add("--output", metavar="MODEL", help="write the best mixture (.npz)")
    add("--labels", metavar="FILE", help="write the most probable component of every row (csv)")
    add("--plot", metavar="FILE", help="draw the rows and how the best was chosen (.png, .pdf, .svg; needs matplotlib)")
    add("--json", action="store_true", help="print one JSON object instead of tables")


def _predict_options(add) -> None:
    add("--output", metavar="FILE", help="write a csv with header `label` instead of printing")
    add("--probabilities", action="store_true", help="add the probability of every component")


def _sample_options(add) -> None:
    add("-n", type=_integer(1), default=1000, metavar="N", help="number of rows (default: %(default)s)")
    add("--seed", type=_integer(0), default=0, help="default: %(default)s")
    add("--output", metavar="FILE", help="write a csv file instead of printing")


def _info_options(add) -> None:
    add("model", metavar="MODEL", nargs="?", help="a file written by `jaxgmm fit --output`")


def _words(text: str) -> list[str]:
    """`a,b` as a list; a name with a comma in it goes in double quotes."""
    words = [word.strip() for word in next(csv.reader([text]), [])]
    if not all(words) or not words:
        raise argparse.ArgumentTypeError(f"expected names like a,b, got {text!r}")
    return words


def _counts(text: str) -> list[int]:
    """`3`, `2,3,5` or `1:9` (which includes 9) as a list of component counts."""
    counts: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        last = last or first
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= MOST_COMPONENTS):
            raise argparse.ArgumentTypeError(
                f"expected 3, or 2,3,5, or 1:9, numbers from 1 to {MOST_COMPONENTS}, got {text!r}"
            )
        counts.extend(range(int(first), int(last) + 1))
    return list(dict.fromkeys(counts))


def _integer(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= LARGEST_INTEGER:
            raise argparse.ArgumentTypeError(f"expected an integer from {least} to {LARGEST_INTEGER}, got {text!r}")
        return int(text)

    return parse
