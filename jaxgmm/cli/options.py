"""The options of the command line, and what they are made of."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable

COMPONENTS = range(1, 10)  # that are tried where nobody says which
LARGEST_INTEGER = 2**31 - 1  # sizes and counters are int32 on the device
MOST_COMPONENTS = 10_000  # a slip like 1:99999999 would otherwise be taken at its word


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ValueError(f"{message} (see {self.prog} --help)")


def parser(fit: Callable, predict: Callable, score: Callable, sample: Callable, info: Callable) -> Parser:
    """The parser of the command line; its ``command`` is the function asked for."""
    made = Parser(prog="jaxgmm", description="Mixture models fitted by expectation-maximisation.")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command, options in (
        (fit, (_data_options, _weight_option, _fit_options, _process_options)),
        (predict, (_model_option, _data_options, _predict_options)),
        (score, (_model_option, _data_options, _weight_option, _score_options)),
        (sample, (_model_option, _sample_options)),
        (info, (_info_options,)),
    ):
        added = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        added.set_defaults(command=command, weights=None)
        for add in options:
            add(added.add_argument)
    return made


def _model_option(add) -> None:
    add("model", metavar="MODEL", help="a file written by `jaxgmm fit --output`")


def _data_options(add) -> None:
    add("data", metavar="DATA", help="csv, tsv, npy, npz or parquet, a row each observation, or a directory of them")
    add("--columns", type=_words, metavar="A,B", help="the features: names, or numbers from 0 without a header")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row of text names the columns (default: as it looks)",
    )


def _weight_option(add) -> None:
    add("--weights", metavar="COLUMN", help="the column of sample weights (2: as if the row were there twice)")


def _fit_options(add) -> None:
    asked = "3, or 2,3,5, or 1:9 with the 9 (default: those of 1:9 that the rows allow)"
    add("--components", type=_counts, metavar="K", help=asked)
    add("--family", type=_words, default="full,tied,diag,spherical", metavar="F", help="default: %(default)s")
    add("--restarts", type=_integer(1), default=10, metavar="N", help="starts of every fit (default: %(default)s)")
    add("--seed", type=_integer(0), default=0, help="default: %(default)s")
    add("--criterion", choices=("bic", "aic", "icl"), default="bic", help="what the best is lowest in (default: bic)")
    add("--tol", type=float, default=1e-6, help="mean log-likelihood left to gain at the end (default: 1e-6)")
    add("--max-iter", type=_integer(0), default=1000, metavar="N", help="updates of a start (default: %(default)s)")
    add("--output", metavar="MODEL", help="write the best mixture (.npz)")
    add(
        "--labels",
        metavar="FILE",
        help="write the most probable component of every row (csv, npy or parquet); with "
        "--processes each its own rows, to a FILE of its own",
    )
    add("--plot", metavar="FILE", help="draw the rows and how the best was chosen (.png, .pdf, .svg; needs matplotlib)")
    add("--checkpoint", metavar="FILE", help="write where the sweep stands, to go on from with --resume")
    add("--checkpoint-every", type=_integer(1), metavar="N", help="iterations (default: about a minute's worth)")
    add("--resume", action="store_true", help="go on from the checkpoint where it is there, afresh where it is not")
    add("--dry-run", action="store_true", help="say what the largest fit of each family will take, and end")
    add("--json", action="store_true", help="print one JSON object instead of text, also of --dry-run")


def _process_options(add) -> None:
    add(
        "--processes",
        type=_integer(1),
        metavar="N",
        help="this is one of N processes, each with rows (DATA) of its own",
    )
    add("--process-id", type=_integer(0), metavar="I", help="which of them, from 0; without it the scheduler tells")
    add("--coordinator", metavar="HOST:PORT", help="where process 0 listens; without it the scheduler tells")
    add("--heartbeat", type=_integer(1), default=100, metavar="S", help="seconds until a process that is gone ends all")


def _predict_options(add) -> None:
    add("--output", metavar="FILE", help="write csv with header `label`, npy or parquet, instead of printing")
    add("--probabilities", action="store_true", help="add the probability of every component")


def _score_options(add) -> None:
    add("--output", metavar="FILE", help="write the log density of every row (csv, npy or parquet)")


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
