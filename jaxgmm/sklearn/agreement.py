"""Do different starts find the same clusters? Adjusted Rand indices between the labels of every two of them.

Source: Hubert and Arabie (1985), Comparing partitions.
"""

import itertools

import jax
import numpy as np
from sklearn.metrics import adjusted_rand_score

from .. import fitting
from ..checks import prior_for
from ..data.arrays import each, in_block
from ..data.sources import Stream
from ..families.base import lookup
from ..inference import labels_of
from ..init import states
from ..numerics.compiling import compiled
from ..numerics.dtypes import compute_dtype, in_precision_of
from ..numerics.keys import as_key
from ..search.problem import load

MOST = 10_000  # rows: of more, evenly spaced ones stand for all


def thinned(x, weight):
    """Evenly spaced rows and their weights, `MOST` at most, and Σ w of all; of a stream by one pass."""
    step = -(-x.shape[0] // MOST)
    if not isinstance(x, Stream):
        return x[::step], weight[::step], float(np.asarray(weight, np.float64).sum())
    parts, whole = [], 0.0
    for block, own, first in x.blocks(x.block_size):
        own = np.ones(len(block), x.dtype) if own is None else own
        some = slice(-first % step, None, step)
        parts.append((block[some].copy(), own[some]))  # a view would keep the block
        whole += float(own.sum(dtype=np.float64))
    return *map(np.concatenate, zip(*parts, strict=True)), whole


@in_precision_of("x")
def agreement(seed: int, x, weight, family: str, ks: list[int], n_init: int) -> np.ndarray:
    """Adjusted Rand index of every pair of ``n_init`` starts, (len(ks), pairs): 1 where both label alike.

    The starts are those of `jaxgmm.select` with the same seed; all of them run in one program.
    """
    n, family = x.shape[0], lookup(family)
    ks = [min(k, n) for k in ks]
    models = [(family, prior_for(None, family, compute_dtype(x)))]
    [problem] = load(x, weight, max(ks), models, 1e-6, 1000, "auto", None)
    active = np.arange(max(ks)) < np.array(ks)[:, None]
    rows = in_block(problem.rows, family.moments, active.size, n_init, None)
    key = as_key(seed)
    method = problem.method
    lanes = states.begin(rows, family, "auto", max(ks), n_init, key, active, problem.prior, method)
    ended = fitting.run(problem, family, lanes, active, None, "exhaustive")
    labels = np.asarray(_labels(problem.rows, ended, method))[:, :n].reshape(len(ks), n_init, n)
    pairs = list(itertools.combinations(range(n_init), 2))
    return np.array([[adjusted_rand_score(runs[i], runs[j]) for i, j in pairs] for runs in labels])


@compiled("method")
def _labels(rows, lanes, method):
    """Most probable components of the framed rows under the mixtures of lanes (l,), (l, n)."""

    def label(lane):
        mixture = method.finish(lane).mixture
        return each(rows, lambda x, weight: labels_of(mixture, x))

    return jax.lax.map(label, lanes)
