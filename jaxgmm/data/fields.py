"""What a field of a text stands for: a number, a missing value, or none of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "."})


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


def is_text(column: Sequence[str]) -> bool:
    """Whether most fields of a column, of those that are not missing, are words; numbers with commas are none."""
    present = [field.replace(",", "") for field in column if not is_missing(field)]
    return 2 * sum(not (is_number(field) or is_infinite(field)) for field in present) > len(present)
