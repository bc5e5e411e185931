"""What an estimator's fit is given, and what it gives back."""

import dataclasses
from typing import Any

from ..families.base import Family
from ..records import Mixture


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


@dataclasses.dataclass(frozen=True)
class Solution:
    """A fitted mixture in NumPy, and how it was reached."""

    mixture: Mixture
    converged: bool
    n_iter: int
    bounds: list
    degenerate: bool
    held_up: bool  # by floors or the prior, in any component
