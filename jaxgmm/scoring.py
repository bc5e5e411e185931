"""What a mixture says of every row: joint log-probabilities, and the answers that are read off them.

Concrete rows are padded to few sizes (`data.padding`), so that a new number of rows compiles nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np

from . import checks, em
from .data.arrays import Rows, block_rows
from .data.frame import unit_frame
from .data.host import HostRows
from .data.padding import filled, on_host, padded, padded_rows
from .data.route import goes_to_host
from .mixtures import cast
from .numerics import first_of_largest, host
from .numerics.backend import xp
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, on_device
from .records import Mixture

TOGETHER = 2**16  # most rows in a call of a compiled function


def rows_for(mixture: Mixture, x, sample_weight, form, block_size) -> Rows:
    """Concrete or traced rows, cut into blocks for one mixture; into one block where their number is symbolic."""
    (n, d), k, dtype = x.shape, mixture.n_components, compute_dtype(x)
    block = min(block_size or block_rows(n, form.width(d, k), dtype.itemsize), n) if checks.known_size(n) else n
    return (HostRows if host.hosted() else Rows)(x, sample_weight, unit_frame(d, dtype), block, str(dtype))


def joint_of(mixture: Mixture):
    """`joint` of a mixture, as a function of a block: what depends on the mixture alone is computed once."""
    family = mixture.family
    form = family.accurate
    reference = family.centre(mixture.components, xp.exp(mixture.log_weights))
    prepared = form.prepare(mixture.components, reference)

    def of_block(x):
        logits = form.log_prob(prepared, form.view(prepared, x)) + mixture.log_weights[..., None]
        if form.base is not None:
            logits = logits + form.base(x, reference)[..., None, :]
        return em.supported(logits, family.support.contains, x)

    return of_block


def joint(mixture: Mixture, x):
    """log π_k + log p_k(x) of a block of rows, -inf outside the support. (d, b) -> (k, b)."""
    return joint_of(mixture)(x)


def log_prob_of(mixture: Mixture, x):
    """Log density of a block of rows, (d, b) -> (b,)."""
    return densities(joint(mixture, x), mixture.log_weights)


def labels_of(mixture: Mixture, x):
    """Most probable component of every row of a block, -1 where the row has NaN. (d, b) -> (b,)."""
    return labels(joint(mixture, x), mixture.log_weights)


# Answers by row, (b, ...), from joint log-probabilities (k, b) and log weights (k,).


def joints(logits, log_weights):
    return logits.T


def densities(logits, log_weights):
    return em.normalise(logits, log_weights)[0]


def posteriors(logits, log_weights):
    return em.normalise(logits, log_weights)[1].T


def labels(logits, log_weights):
    impossible = (logits == -np.inf).all(0, keepdims=True)
    best = first_of_largest(xp.where(impossible, log_weights[:, None], logits))
    return xp.where(xp.isnan(logits).any(0), np.int32(-1), best)


@compiled("answer")
def _whole(answer, mixture, rows):
    of_block = joint_of(mixture)
    return rows.each(lambda block: answer(of_block(block.x), mixture.log_weights))


def in_numpy_by_rows(answer, mixture, x):
    """An answer by row for all rows of x (n, d), in NumPy; call it on the host."""
    mixture, x = jax.tree.map(np.asarray, mixture), np.asarray(x)
    weight = np.ones(len(x), compute_dtype(x))
    return _whole(answer, mixture, rows_for(mixture, x, weight, mixture.family.accurate, None))


def by_rows(answer, mixture, x):
    """An answer by row for all rows of x: on the host, or compiled; large arrays some rows at a time."""
    x = checks.rows_of(x, mixture)
    mixture = cast(mixture, compute_dtype(x))
    form = mixture.family.accurate
    x, n = on_host(x), x.shape[0]
    if goes_to_host([mixture.family], x, 1, mixture.n_components, mixture):
        with host.on_host():
            return on_device(in_numpy_by_rows(answer, mixture, x))
    if not isinstance(x, np.ndarray) or checks.in_trace(mixture):
        rows = rows_for(mixture, *padded(x, checks.ones(n, compute_dtype(x))), form, None)
        return _whole(answer, mixture, rows)[:n]
    size = min(padded_rows(n), TOGETHER)
    parts = []
    for start in range(0, n, size):
        part = x[start : start + size]
        rows = rows_for(mixture, filled(part, size), np.ones(size, compute_dtype(x)), form, None)
        answers = _whole(answer, mixture, rows)
        parts.append((answers if checks.in_trace(answers) else np.asarray(answers))[: len(part)])
    if checks.in_trace(parts):  # x and mixture are constants of a trace
        return jnp.concatenate(parts)
    return on_device(parts[0] if len(parts) == 1 else np.concatenate(parts))
