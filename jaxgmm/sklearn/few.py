"""Few rows: how many these are, and the answers of an estimator for them, in NumPy and without a compiler.

The family's own functions run as they are written (see `numerics.backend`). Starts of few rows are in `drawing`.
"""

import jax
import numpy as np

from .. import criteria, inference, scoring
from ..data import streamed_summary
from ..data.sources import Stream
from ..families.base import Family
from ..numerics import platforms
from ..numerics.dtypes import compute_dtype, floats_in
from ..numerics.host import on_host
from ..records import Mixture
from . import arrays
from .options import Options

MOST = 2**21  # numbers in the residuals of all starts: up to here a fit takes less time than a compilation
LEAST = 2**16  # numbers that a start counts for at least, because many starts are one wide product once compiled
BY_ROW = {
    inference.predict: scoring.labels,
    inference.responsibilities: scoring.posteriors,
    inference.log_prob: scoring.densities,
}


def are_few(x, k: int, n_init: int = 1) -> bool:
    """Whether rows x (n, d) are few for starts of k components, and in the host's memory."""
    if isinstance(x, jax.Array) and not platforms.holds(x):
        return False
    return not isinstance(x, Stream) and _numbers(len(x), x.shape[1], k, n_init) <= MOST


def _numbers(n: int, d: int, k: int, n_init: int) -> int:
    return max(n * d * k, LEAST) * n_init


def fitted_as_sklearn(x, options: Options) -> bool:
    """Whether rows are few, and are fitted by plain EM under scikit-learn's rule."""
    plain = options.tol != "limit" and options.accelerate != "squarem"
    return plain and options.family.in_numpy and are_few(x, options.k, options.n_init)


def drawn_as_sklearn(x, options: Options) -> bool:
    """Whether starts are drawn as scikit-learn draws them: by a named kind, for fits as above."""
    return isinstance(options.init, str) and options.init != "random" and fitted_as_sklearn(x, options)


def in_memory(x, weight, family: Family, k: int, n_init: int):
    """The rows and weights, as arrays where they are a stream of few rows."""
    if not isinstance(x, Stream) or (x.n is not None and _numbers(x.n, x.d, k, n_init) > MOST):
        return x, weight
    blocks, n = [], 0
    for block in streamed_summary.checked(x, family):
        blocks.append(block)
        n += len(block[0])
        if _numbers(n, x.d, k, n_init) > MOST:
            return x, weight
    rows, weights = zip(*blocks, strict=True)
    rows = np.concatenate(rows)
    return rows, arrays.weights(rows, np.concatenate(weights) if x.weighted else None)


def answer(function, mixture: Mixture, x):
    """As `predict`, `responsibilities` or `log_prob` of the core, which ``function`` is, for rows x (n, d) in NumPy."""
    with on_host():
        return scoring.in_numpy_by_rows(BY_ROW[function], floats_in(compute_dtype(x), mixture), x)


def certainty(mixture: Mixture, x, weight) -> float:
    """As `criteria.certainty`."""
    mixture, x = floats_in(compute_dtype(x), mixture), np.asarray(x)
    weight = np.ones(len(x), compute_dtype(x)) if weight is None else weight
    with on_host():
        return criteria.certainty_of(scoring.rows_for(mixture, x, weight, mixture.family.accurate, None), mixture)
