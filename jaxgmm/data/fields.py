"""What a field of a text stands for: a number, a truth value, a missing value, or none of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "."})
TRUTH = {"true": "1", "false": "0", "t": "1", "f": "0"}
WHOLE, SHORT = frozenset({"true", "false"}), frozenset({"t", "f"})  # the ways to write them, in any case


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


def is_logical(column: Sequence[str], one_letter: bool = False) -> bool:
    """Whether all fields of a column, of those that are not missing, are TRUE or FALSE, or all T or F. The letters
    have to occur both, unless ``one_letter`` is known to do: a column of F alone may go on with M."""
    words = {field.strip().lower() for field in column} - MISSING
    return bool(words) and (words <= WHOLE or words == SHORT or (one_letter and words <= SHORT))


def truth(field: str) -> str:
    """1 or 0 for a truth value; any other field as it is."""
    return TRUTH.get(field.strip().lower(), field)


def is_text(column: Sequence[str]) -> bool:
    """Whether most fields of a column, of those that are not missing, are words; numbers with commas are none."""
    present = [field.replace(",", "") for field in column if not is_missing(field)]
    return 2 * sum(not (is_number(field) or is_infinite(field)) for field in present) > len(present)
