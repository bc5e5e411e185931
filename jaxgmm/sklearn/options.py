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
    weights: Any  # (k,) that replace those of the start, or None
    given: dict  # parameters that do, by name
    bound: float  # of the parameters in ``init``, where a fit goes on; -inf
    verbose: int
    interval: int
