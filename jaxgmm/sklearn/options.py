"""The checked parameters of an estimator."""

import dataclasses
from typing import Any

from ..families.base import Family


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked parameters of an estimator."""

    family: Family
    k: int
    prior: Any
    tol: float | str
    max_iter: int
    n_init: int
    accelerate: str
    init: Any  # as `starts.begin` takes it
    weights: Any  # (k,) in place of those of every start, or None
    given: dict  # parameters in place of those of every start, by name
    bound: float  # of a warm start, whose parameters ``init`` holds; else -inf
    verbose: int
    interval: int
