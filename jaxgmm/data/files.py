"""Files: written whole or not at all, opened as text, and measured against free memory."""

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

GZIP = b"\x1f\x8b"  # the first bytes of a gzip file
INFLATED = 5  # about how many times larger text is than its gzip file


@contextlib.contextmanager
def replacing(path: str | os.PathLike, mode: str = "wb", **options) -> Iterator:
    """Context: an open file that replaces `path` when the block ends without an error, and is removed otherwise."""
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.exists() and not target.is_file():  # /dev/stdout, a pipe: written to, not replaced
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
    """Remove temporary files beside `path`, left by processes that were killed while they wrote it."""
    target = Path(os.path.realpath(path))
    for left in target.parent.iterdir():
        if re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}", left.name):
            left.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class MemoryFile:
    """A file's content in memory, under a name: what can be read only once, such as standard input."""

    name: str
    content: bytes
    suffix = ""

    def __str__(self):
        return self.name

    def open(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.content)


def text_of(path: Path | MemoryFile) -> TextIO:
    """The file opened as text in UTF-8, with or without a byte order mark; a gzip file is unpacked."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    file = path.open("rb") if isinstance(path, MemoryFile) or not packed else path
    return io.TextIOWrapper(gzip.open(file) if packed else file, encoding="utf-8-sig", newline="")


def too_large(size: int) -> bool:
    """Whether ``size`` bytes are more than a quarter of free memory; False where the system does not tell."""
    try:
        return size > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4
    except (AttributeError, OSError, ValueError):
        return False
