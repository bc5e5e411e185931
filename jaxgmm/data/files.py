"""Files that are written whole or not at all, and what is too large to be read whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path


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


def too_large(size: int) -> bool:
    """Whether so many bytes are more than a quarter of free memory; False on a system that cannot tell."""
    try:
        return size > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4
    except (AttributeError, OSError, ValueError):
        return False
