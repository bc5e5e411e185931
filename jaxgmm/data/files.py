"""Files that are written whole or not at all, text that is read, and what is too large to be read whole."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gzip
import io
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

GZIP = b"\x1f\x8b"  # how its files begin
INFLATED = 5  # times as large as its file text becomes, roughly


@contextlib.contextmanager
def replacing(path: str | os.PathLike, mode: str = "wb", **options) -> Iterator:
    """An open file whose content takes the place of `path` when the block ends well, and of nothing otherwise."""
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.exists() and not target.is_file():  # /dev/stdout and its like are written to, never replaced
        with open(target, mode, **options) as file:
            yield file
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, mode.replace("w", "x"), **options) as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def forget_unfinished(path: str | os.PathLike) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    target = Path(os.path.realpath(path))
    for left in target.parent.iterdir():
        if re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}", left.name):
            left.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Held:
    """What stands for a file, and is in memory: its name and its content."""

    name: str
    content: bytes
    suffix = ""

    def __str__(self):
        return self.name

    def open(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.content)


def text_of(path: Path | Held) -> TextIO:
    """A file opened as text in UTF-8, with or without a byte order mark; unpacked where it is a gzip file."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    file = path.open("rb") if isinstance(path, Held) or not packed else path
    return io.TextIOWrapper(gzip.open(file) if packed else file, encoding="utf-8-sig", newline="")


def too_large(size: int) -> bool:
    """Whether so many bytes are more than a quarter of free memory; False on a system that cannot tell."""
    try:
        return size > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4
    except (AttributeError, OSError, ValueError):
        return False
