"""Checks of the files that a command will write, before it begins."""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path

from . import labels, output

OF_OTHER_FILES = {*output.KINDS, ".txt", ".json", ".gz", ".png", ".pdf", ".svg", ".jpg"}


def check(args: argparse.Namespace) -> None:
    """ValueError where a file that `fit` is to write cannot be written, is named twice, or has a wrong ending."""
    wanted = {f"--{name}": getattr(args, name) for name in ("output", "labels", "plot", "checkpoint")}
    wanted = {option: path for option, path in wanted.items() if path}
    if (args.append or args.id) and not args.labels:
        raise ValueError("--append and --id say what stands beside labels: add --labels FILE")
    if (args.checkpoint_every or args.resume) and not args.checkpoint:
        raise ValueError("--checkpoint-every and --resume need --checkpoint FILE")
    for option, path in wanted.items():
        if option != "--checkpoint":
            check_folder(path)
        if _same(path, args.data):
            raise ValueError(f"{path}: {option} would write over the data")
    for (one, path), (other, its) in itertools.combinations(wanted.items(), 2):
        if _same(path, its):
            raise ValueError(f"{path}: {one} and {other} name the same file")
    if args.output and Path(args.output).suffix.lower() != ".npz" and not output.is_device(args.output):
        raise ValueError(f"{args.output}: a model ends in .npz")
    if args.checkpoint and Path(args.checkpoint).suffix.lower() in OF_OTHER_FILES:
        raise ValueError(f"{args.checkpoint}: a checkpoint is no {Path(args.checkpoint).suffix} file; call it .ckpt")
    if args.labels:
        output.check(args.labels)
        labels.check(args, args.labels)


def check_table(path: str | None, data: str | None = None) -> None:
    """ValueError where a table cannot be written to this file."""
    if path:
        check_folder(path)
        output.check(path)
        if data is not None and _same(path, data):
            raise ValueError(f"{path}: --output would write over the data")


def check_folder(path: str) -> None:
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")


def figure(path: str):
    """The module `figure`; ValueError where matplotlib is not installed, or writes no such file."""
    try:
        from . import figure  # loads matplotlib
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] != "matplotlib":
            raise
        raise ValueError("--plot needs matplotlib: pip install matplotlib") from None
    figure.check(path)
    return figure


def _same(path: str, other: str) -> bool:
    """Whether two paths lead to the same file, which need not exist; never for a device or a pipe."""
    return not output.is_device(path) and os.path.realpath(path) == os.path.realpath(other)
