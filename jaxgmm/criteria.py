"""Information criteria, of a mixture with p free parameters and likelihood L: lower is better.

    bic = -2 log L + p log Σw        aic = -2 log L + 2 p        icl = bic - 2 Σ w log max_k r_k

For a batch of mixtures (b, ...), as `jaxgmm.fit_many` returns it, x is (b, n, d) with weights (b, n), or one (n, d) for
all with weights (n,); the criteria are (b,).

Source: Schwarz (1978); Akaike (1974); Biernacki, Celeux and Govaert (2000), as in mclust.
"""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from . import checks, em
from .calls import public
from .data.arrays import in_groups
from .data.padding import TOGETHER, few_sizes, filled, on_host, padded, padded_sets
from .data.route import goes_to_host
from .inference import e_step, expected, n_parameters
from .mixtures import cast
from .numerics import host
from .numerics.backend import xp
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, in_precision_of
from .numerics.plain import plain
from .records import Mixture, Model, record
from .scoring import joint, rows_for


@public
@in_precision_of("x", differentiable=True)
def bic(mixture: Model, x: Any, sample_weight: ArrayLike | None = None) -> Any:
    """Bayesian information criterion, () or (b,) of a batch. Weights are frequencies: the number of rows is Σ w."""
    value, weight = _log_likelihood(mixture, x, sample_weight)
    return -2 * value + xp.asarray(n_parameters(mixture), value.dtype) * xp.log(weight)


@public
@in_precision_of("x", differentiable=True)
def aic(mixture: Model, x: Any, sample_weight: ArrayLike | None = None) -> Any:
    """Akaike information criterion, () or (b,) of a batch."""
    value, _ = _log_likelihood(mixture, x, sample_weight)
    return -2 * value + 2 * xp.asarray(n_parameters(mixture), value.dtype)


@public
@in_precision_of("x", differentiable=True)
def icl(mixture: Model, x: Any, sample_weight: ArrayLike | None = None) -> Any:
    """Integrated completed likelihood, () or (b,) of a batch: bic - 2 Σ w log max_k r_k, larger than bic where the
    components overlap."""
    return bic(mixture, x, sample_weight) - 2 * certainty(mixture, x, sample_weight)


@in_precision_of("x")
def certainty(mixture, x, sample_weight):
    """Σ w log max_k r_k <= 0, () or (b,) of a batch."""
    if mixture.log_weights.ndim > 1:
        return _of_batch(certainty_of, mixture, x, sample_weight)
    x = checks.rows_of(x, mixture)
    dtype = compute_dtype(x)
    weight, mixture = checks.weights(sample_weight, x.shape[0], dtype), cast(mixture, dtype)
    if goes_to_host([mixture.family], x, 1, mixture.n_components, mixture, weight):
        x, weight, mixture = jax.tree.map(np.asarray, (x, weight, mixture))
        with host.on_host():
            return certainty_of(rows_for(mixture, x, weight, mixture.family.accurate, None), mixture)
    rows = rows_for(mixture, *padded(x, weight), mixture.family.accurate, None)
    return scalar(certainty_of(rows, mixture))


@record
class Certainty:
    """Σ w log max_k r_k <= 0 of a block under a mixture; called on a `Block`."""

    mixture: Mixture

    def __call__(self, block):
        logits, weight = joint(self.mixture, block.x), block.weight
        log_density, resp = em.normalise(logits, self.mixture.log_weights)
        possible = log_density > -np.inf
        log_best = xp.where(possible, logits.max(0) - xp.where(possible, log_density, 0), xp.log(resp.max(0)))
        return (xp.where(weight > 0, weight, 0) * log_best).sum()


@record
class Certainties:
    """Σ w log max_k r_k (m,) of a block under each of m mixtures; called on a `Block`."""

    mixtures: Mixture

    def __call__(self, block):
        return host.one_by_one(lambda mixture: Certainty(mixture)(block), self.mixtures)


@compiled()
def certainty_of(rows, mixture):
    """`certainty` of rows in memory."""
    return rows.sum(Certainty(mixture))[0]


def scalar(value):
    """A concrete number as NumPy's, in its own dtype; a tracer as it is."""
    return value if checks.in_trace(value) else np.asarray(value)[()]


def _log_likelihood(mixture, x, sample_weight):
    """Σ w log p(x) and Σ w."""
    if mixture.log_weights.ndim > 1:
        return _of_batch(_sums, mixture, x, sample_weight)
    statistics = e_step(mixture, x, sample_weight)
    return scalar(statistics.log_likelihood), scalar(statistics.weight)


def _sums(rows, mixture):
    statistics = expected(rows, mixture, "accurate")
    return statistics.log_likelihood, statistics.weight


def _of_batch(function, mixture, x, sample_weight):
    """``function(rows, mixture)`` of every mixture of a batch; its results have the batch's shape."""
    batch = mixture.log_weights.shape[:-1]
    b, (x, weight) = int(np.prod(batch)), _sets(x, sample_weight, batch)
    checks.like_mixture(x.reshape(-1, x.shape[-1]), mixture)
    dtype = compute_dtype(x)
    mixtures = cast(mixture, dtype) if checks.in_trace(mixture) else jax.tree.map(np.asarray, mixture)
    mixtures = jax.tree.map(lambda leaf: leaf.astype(dtype).reshape(b, *leaf.shape[len(batch) :]), mixtures)
    if not checks.in_trace(mixtures, x, weight):
        mixtures = jax.tree.map(lambda leaf: filled(leaf, padded_sets(b)), mixtures)
        x, weight = padded(x, weight, *[padded_sets(b), few_sizes(x.shape[1])] if x.ndim > 2 else [])
    found = _each(function, mixtures, x, weight)
    return jax.tree.map(lambda leaf: scalar(leaf)[:b].reshape(batch), found)


def _sets(x, sample_weight, batch):
    """Checked rows (n, d), common to all mixtures, or (b, n, d), and their weights (n,) or (b, n)."""
    x = on_host(plain(x))
    if x.ndim < 2 or x.shape[:-2] not in ((), batch):
        raise ValueError(f"x must have shape (n, d), or (*{batch}, n, d) as the batch of mixtures, got {x.shape}")
    rows, shape = checks.table(x.reshape(-1, x.shape[-1])), x.shape[:-1]
    if sample_weight is not None:
        sample_weight = plain(sample_weight, "sample_weight")
        if sample_weight.shape != shape:
            raise ValueError(f"sample_weight must have shape {shape}, one weight a row of x, got {sample_weight.shape}")
        sample_weight = sample_weight.reshape(-1)
    weight = checks.weights(sample_weight, rows.shape[0], compute_dtype(rows))
    if x.ndim == 2:
        return rows, weight
    n, d = x.shape[-2:]
    return rows.reshape(-1, n, d), weight.reshape(-1, n)


@compiled("function")
def _each(function, mixtures, x, weight):
    def one(mixture, x=x, weight=weight):
        return function(rows_for(mixture, x, weight, mixture.family.accurate, None), mixture)

    if x.ndim == 2:
        return in_groups(one, mixtures, TOGETHER)
    return in_groups(lambda each: one(*each), (mixtures, x, weight), TOGETHER)
