"""Fields of tables of text: numbers, truth values, missing values, and words."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "+nan", "null", "none", "?", "."})
TRUTH = {"true": "1", "false": "0", "t": "1", "f": "0"}
WORDS, LETTERS = frozenset({"true", "false"}), frozenset({"t", "f"})  # how truth values are written, in any case


def is_number(field: str) -> bool:
    """Whether a field is a finite number."""
    try:
        return math.isfinite(float(field)) and "_" not in field  # float("2020_01") is 202001
    except ValueError:
        return False


def is_infinite(field: str) -> bool:
    try:
        return math.isinf(float(field))
    except ValueError:
        return False


def is_missing(field: str) -> bool:
    return field.strip().lower() in MISSING


def is_logical(column: Sequence[str], one_letter: bool) -> bool:
    """Whether the fields of a column that are not missing are all TRUE or FALSE, or all T or F.

    T and F must both occur, unless ``one_letter`` is known to be enough: a column that begins with F alone may go on
    with M.
    """
    words = {field.strip().lower() for field in column} - MISSING
    return bool(words) and (words <= WORDS or words == LETTERS or (one_letter and words <= LETTERS))


def truth(field: str) -> str:
    """A truth value as "1" or "0"; any other field as it is."""
    return TRUTH.get(field.strip().lower(), field)


def is_text(column: Sequence[str]) -> bool:
    """Whether more than half of the fields of a column that are not missing are words. Numbers may have commas."""
    present = [field.replace(",", "") for field in column if not is_missing(field)]
    return 2 * sum(not (is_number(field) or is_infinite(field)) for field in present) > len(present)
