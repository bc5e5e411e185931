"""Equal rows that a fit has collapsed onto: zeros, a detection limit, a rounded value.

A component whose rows have the same value in a feature has no variance there but that of the prior or a floor. The rows
are found by their labels, in NumPy, so that a warning waits for no compiler.
"""

import jax
import numpy as np

from ..data.sources import Stream
from ..families.base import never_supported
from ..numerics.dtypes import compute_dtype
from ..records import Mixture
from ..scoring import labels_of

MOST = 2**26  # numbers in the residuals of all rows: for more, the search would take as long as a fit
BLOCK = 2**12  # rows labelled at a time
SHARE = 0.9  # of a component's rows: the width that a prior gives it lets a few others in
NAMED = 3  # columns


def words(mixture: Mixture, x, sample_weight=None) -> str:
    """A sentence about the equal rows of x (n, d) onto which a component has collapsed; "" where there are none."""
    if x is None or isinstance(x, Stream) or x.size * mixture.n_components > MOST:
        return ""
    if mixture.family.supported_by_prior is never_supported:  # of a bounded likelihood: equal rows are nothing odd
        return ""
    x = np.asarray(x, compute_dtype(x))
    x = x if sample_weight is None else x[np.asarray(sample_weight) > 0]
    count, columns, values = _most_equal(jax.tree.map(np.asarray, mixture), x)
    if count < 2:
        return ""
    listed = ", ".join(f"{j} ({value:g})" for j, value in zip(columns[:NAMED], values, strict=False))
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return (
        f". A component has collapsed onto {count:,} rows that are equal in column {listed}{more}: leave them "
        "out and count them apart, or spread them over the width of their rounding"
    )


def _most_equal(mixture: Mixture, x):
    """The largest number of equal rows of a component, the columns in which they are equal, and their values there."""
    with np.errstate(all="ignore"):
        blocks = (np.ascontiguousarray(x[start : start + BLOCK].T) for start in range(0, len(x), BLOCK))
        labels = np.concatenate([np.asarray(labels_of(mixture, block)) for block in blocks])
    varies, found = (x != x[0]).any(0), (0, [], [])
    for k in np.unique(labels):
        own = x[labels == k]
        median = np.median(own, axis=0)  # the value of more than half of the rows, if there is one
        equal = own == median
        columns = np.flatnonzero(varies & (equal.mean(0) >= SHARE))
        count = int(equal[:, columns].all(1).sum()) if len(columns) else 0
        found = max(found, (count, columns.tolist(), median[columns].tolist()))
    return found
