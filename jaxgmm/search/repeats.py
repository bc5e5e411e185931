"""Equal rows that a fit has collapsed onto: zeros, a detection limit, a rounded value.

A component whose rows are the same number in a feature has no variance there but what the prior or a floor gives it.
It is found by its labels, in NumPy, so that a warning waits for no compiler.
"""

import jax
import numpy as np

from ..data.sources import Stream
from ..families.base import never_supported
from ..inference import labels_of
from ..numerics.dtypes import compute_dtype
from ..records import Mixture

MOST = 2**26  # numbers in the residuals of all rows: of more, the words would cost what a fit does
BLOCK = 2**12  # rows labelled at a time
SHARE = 0.9  # of a component's rows: the width that a prior gives it lets a few others in
NAMED = 3  # columns


def named(mixture: Mixture, x, sample_weight=None) -> str:
    """The equal rows of x (n, d) that most of a component consists of, in words; "" where there are none such."""
    if x is None or isinstance(x, Stream) or x.size * mixture.n_components > MOST:
        return ""
    if mixture.family.supported_by_prior is never_supported:  # equal rows are nothing odd there
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
    """How many rows of a component are equal, the most of any, in which columns and what they hold there."""
    with np.errstate(all="ignore"):
        blocks = (np.ascontiguousarray(x[start : start + BLOCK].T) for start in range(0, len(x), BLOCK))
        labels = np.concatenate([np.asarray(labels_of(mixture, block)) for block in blocks])
    varies, found = (x != x[0]).any(0), (0, [], [])
    for k in np.unique(labels):
        own = x[labels == k]
        middle = np.median(own, axis=0)  # the value that more than half of them have, if there is one
        equal = own == middle
        columns = np.flatnonzero(varies & (equal.mean(0) >= SHARE))
        count = int(equal[:, columns].all(1).sum()) if len(columns) else 0
        found = max(found, (count, columns.tolist(), middle[columns].tolist()))
    return found
