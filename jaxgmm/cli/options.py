"""The options of the command line: their parser, and error messages in their names."""

from __future__ import annotations

import argparse
import csv
import re
import textwrap
from collections.abc import Callable

COMPONENTS = range(1, 10)  # the default of --components
LARGEST_INTEGER = 2**31 - 1  # sizes and counters are int32 on the device
MOST_COMPONENTS = 10_000  # catches slips like 1:99999999
WIDTH = 79  # of a help page

FAMILIES = {
    "full": "Gaussian, any covariance for every component",
    "tied": "Gaussian, one covariance for all components",
    "diag": "Gaussian, a variance for every feature and component",
    "spherical": "Gaussian, one variance for every component",
    "EII": "Gaussian, one variance for all (mclust's name)",
    "VEI": "Gaussian, diagonal, of one shape in all sizes (mclust's name)",
    "bernoulli": "features of 0 and 1",
    "categorical": "features of integer codes",
    "poisson": "counts",
    "exponential": "numbers >= 0, most of them small",
    "gamma": "numbers > 0",
}

ARGUMENTS = {  # arguments of functions: patterns, longer ones first, and the options that replace them
    r"\bdrop_missing=True \((--drop-missing)\)": r"\1",
    r"""\bdrop=\[(?:'[^']*'|"[^"]*")\] \((--drop(?: '[^']*'| [^\s)]*)?)\)""": r"\1",
    r"\bheader=True or (header=)?False \(--header, --no-header\)": "--header or --no-header",
    r"\b(?:decimal|separator)=',' \((--[^)]*)\)": r"\1",
    r"\bdecimal=',' or decimal='.' \((--decimal)\)": r"\1",
    r"\bseparator must\b": "--separator must",
    r"\(n_init\)": "(--restarts)",
    r"\bn_components=": "--components ",
    r"\bn_components\b": "--components",
    r"\bn_init=": "--restarts ",
    r"\bn_init\b": "--restarts",
    r"\bmax_iter\b": "--max-iter",
    r"\bcheckpoint_every\b": "--checkpoint-every",
    r"\bsample_weight\b": "--weights",
    r"\bresume=True\b": "--resume",
    r"\btol\b": "--tol",
    r"\bits key is\b": "its --seed, as a key, is",
    r"\bfamily must be one of (.*) or a jaxgmm\.Family, got\b": r"--family must be one of \1, got",
    r"\bfamilies must\b": "--family must",
}

EXAMPLES = """
examples:
  jaxgmm fit flowers.csv
      fit the columns of numbers: 1 to 9 components of four Gaussian families
  jaxgmm fit flowers.csv --drop id --components 3 --family full --output m.npz
      leave out a column, fit one family with three components, keep it
  jaxgmm fit - --drop-missing --labels labels.csv --id name < flowers.csv
      read standard input, leave out rows with missing values, label the others
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ValueError(f"{message} (see {self.prog} --help)")


class _Version(argparse.Action):
    def __call__(self, parser, *_):
        import jaxgmm

        print(f"jaxgmm {jaxgmm.__version__}")
        parser.exit()


def parser(fit: Callable, predict: Callable, score: Callable, sample: Callable, info: Callable) -> Parser:
    """The parser of the command line. Its result has the function of the command as ``command``."""
    made = Parser(prog="jaxgmm", description="Mixture models fitted by expectation-maximisation.")
    made.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    long = ("long fits", _long_options)
    many = ("many processes, each with devices and rows of its own", _process_options)
    data, weight, rows = ("data", _data_options), ("data", _weight_option), ("output", _row_options)
    for command, groups in (
        (fit, (data, weight, ("what is fitted", _fit_options), ("output", _output_options), rows, long, many)),
        (predict, (("data", _model_option), data, ("output", _predict_options), rows)),
        (score, (("data", _model_option), data, weight, ("output", _score_options))),
        (sample, (("data", _model_option), ("output", _sample_options))),
        (info, (("data", _info_options),)),
    ):
        added = commands.add_parser(
            command.__name__,
            help=command.__doc__,
            description=textwrap.fill(" ".join(command.__doc__.split()), WIDTH),
            epilog=_families() + EXAMPLES if command is fit else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command, weights=None)
        titled: dict = {}
        for title, add in groups:
            group = titled.get(title) or titled.setdefault(title, added.add_argument_group(title))
            add(group.add_argument)
    return made


def _families() -> str:
    width = max(map(len, FAMILIES))
    return "\n".join(["families:", *(f"  {name:{width}}  {words}" for name, words in FAMILIES.items())]) + "\n"


def _model_option(add) -> None:
    add("model", metavar="MODEL", help="a file written by `jaxgmm fit --output`")


def _data_options(add) -> None:
    kinds = "csv, tsv (text may be packed: .gz), npy, npz or parquet"
    add("data", metavar="DATA", help=f"{kinds}, a row each observation, or a directory of them; - is standard input")
    picked = "the features: names, numbers from 0, or ranges a:c with both ends (default: all columns of numbers)"
    add("--columns", type=_words, metavar="A,B", help=picked)
    add("--drop", type=_words, metavar="A,B", help="columns that are no features, as in --columns")
    add("--drop-missing", action="store_true", help="leave out rows with a missing value")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row of text names the columns (default: as it looks)",
    )
    add("--decimal", choices=(".", ","), metavar="C", help="the decimal mark of text, . or , (default: as it looks)")
    between = "the character between two fields of text; \\t is a tab (default: as it looks)"
    add("--separator", type=_separator, metavar="C", help=between)


def _weight_option(add) -> None:
    add("--weights", metavar="COLUMN", help="the column of sample weights (2: as if the row were there twice)")


def _fit_options(add) -> None:
    asked = "3, or 2,3,5, or 1:9 with the 9 (default: those of 1:9 that the rows allow)"
    add("--components", type=_counts, metavar="K", help=asked)
    add(
        "--family", type=_words, default="full,tied,diag,spherical", metavar="F", help="see below; default: %(default)s"
    )
    add(
        "--standardize",
        action="store_true",
        help="fit features of mean 0 and variance 1: spherical and EII depend on their units",
    )
    add("--restarts", type=_integer(1), default=10, metavar="N", help="starts of every fit (default: %(default)s)")
    add("--seed", type=_integer(0), default=0, help="default: %(default)s")
    add("--criterion", choices=("bic", "aic", "icl"), default="bic", help="what the best is lowest in (default: bic)")
    add("--tol", type=float, default=1e-6, help="mean log-likelihood left to gain at the end (default: 1e-6)")
    add("--max-iter", type=_integer(0), default=1000, metavar="N", help="updates of a start (default: %(default)s)")


def _output_options(add) -> None:
    add("--output", metavar="MODEL", help="write the best mixture (.npz)")
    add(
        "--labels",
        metavar="FILE",
        help="write the most probable component of every row, counted from 0 as components are (csv, tsv, npy or "
        "parquet); with --processes each its own rows, to a FILE of its own",
    )
    add("--plot", metavar="FILE", help="draw the rows and how the best was chosen (.png, .pdf, .svg; needs matplotlib)")
    add("--json", action="store_true", help="print one JSON object instead of text, also of --dry-run")


def _row_options(add) -> None:
    add("--id", metavar="COLUMN", help="the column that names the rows: beside labels it stands for their numbers")
    add("--append", action="store_true", help="write labels and probabilities beside all columns of DATA")


def _long_options(add) -> None:
    add("--dry-run", action="store_true", help="say what the largest fit of each family will take, and end")
    add("--checkpoint", metavar="FILE", help="write where the sweep stands, to go on from with --resume")
    add("--checkpoint-every", type=_integer(1), metavar="N", help="iterations (default: about a minute's worth)")
    add("--resume", action="store_true", help="go on from the checkpoint where it is there, afresh where it is not")


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
    add("--output", metavar="FILE", help="write csv, tsv, npy or parquet instead of printing one label a line")
    add("--probabilities", action="store_true", help="add the probability of every component")


def _score_options(add) -> None:
    add("--output", metavar="FILE", help="write the log density of every row (csv, tsv, npy or parquet)")


def _sample_options(add) -> None:
    add("-n", type=_integer(1), default=1000, metavar="N", help="number of rows (default: %(default)s)")
    add("--seed", type=_integer(0), default=0, help="default: %(default)s")
    add("--output", metavar="FILE", help="write csv, tsv, npy or parquet instead of printing csv")


def _info_options(add) -> None:
    add("model", metavar="MODEL", nargs="?", help="a file written by `jaxgmm fit --output`")


def in_options(message: str) -> str:
    """A message with the names of Python arguments replaced by those of options."""
    for argument, option in ARGUMENTS.items():
        message = re.sub(argument, option, message)
    return message


def _words(text: str) -> list[str]:
    """`a,b` as a list; a name with a comma in it goes in double quotes."""
    words = [word.strip() for word in next(csv.reader([text]), [])]
    if not all(words) or not words:
        raise argparse.ArgumentTypeError(f"expected names like a,b, got {text!r}")
    return words


def _separator(text: str) -> str:
    return "\t" if text == r"\t" else text


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
