"""How alike the clusters of different starts are: adjusted Rand indices between the labels of every two starts.

Source: Hubert and Arabie (1985), Comparing partitions.
"""

import dataclasses
import itertools

import numpy as np
from sklearn.metrics import adjusted_rand_score

from ..checks import prior_for
from ..data.route import goes_to_host
from ..data.sources import Stream
from ..families.base import lookup
from ..init import states
from ..init.draws import Start
from ..numerics.compiling import compiled
from ..numerics.dtypes import compute_dtype, floats_in, in_precision_of
from ..numerics.host import on_host, one_by_one
from ..numerics.keys import as_key
from ..scoring import labels_of
from ..search import stages
from ..search.loading import Options, load

MOST = 10_000  # rows: of more rows, evenly spaced ones are labelled


def thinned(x, weight):
    """At most `MOST` evenly spaced rows, their weights, and Σ w of all rows; of a stream by one pass."""
    step = -(-x.shape[0] // MOST)
    if not isinstance(x, Stream):
        return x[::step], weight[::step], float(np.asarray(weight, np.float64).sum())
    parts, total = [], 0.0
    for block, own, first in x.blocks(x.block_size):
        own = np.ones(len(block), x.dtype) if own is None else own
        some = slice(-first % step, None, step)
        parts.append((block[some].copy(), own[some]))  # a view would keep the whole block in memory
        total += float(own.sum(dtype=np.float64))
    return *map(np.concatenate, zip(*parts, strict=True)), total


@in_precision_of("x")
def agreement(seed: int, x, weight, family: str, *, ks: list[int], n_init: int) -> np.ndarray:
    """Adjusted Rand index of every pair of ``n_init`` starts, (len(ks), pairs): 1 where both have the same clusters.

    The starts are those of `jaxgmm.select` with the same seed, all run to their ends in one program.
    """
    n, family = x.shape[0], lookup(family)
    ks = [min(k, n) for k in ks]
    active = np.arange(max(ks)) < np.array(ks)[:, None]
    model = family, prior_for(None, family, compute_dtype(x))
    with on_host(goes_to_host([family], x, len(ks) * n_init, max(ks)), at_once=family.in_numpy):
        [problem] = load(x, weight, max(ks), [model], Options(1e-6, 1000, search="exhaustive"))
        rows = problem.rows.cut(family.moments, active.size, n_init)
        lanes = states.begin(dataclasses.replace(problem, rows=rows), Start("auto", n_init, as_key(seed), active))
        ended = stages.to_its_end(problem, stages.begin(problem, lanes, active)).lanes
        ended = floats_in(problem.rows.dtype, ended)
        labels = np.asarray(_labels(problem.rows, ended, problem.method))[:, :n].reshape(len(ks), n_init, n)
    pairs = list(itertools.combinations(range(n_init), 2))
    return np.array([[adjusted_rand_score(runs[i], runs[j]) for i, j in pairs] for runs in labels])


@compiled("method")
def _labels(rows, lanes, method):
    """Most probable components of the framed rows under the mixtures of lanes (l,), (l, n)."""

    def label(lane):
        mixture = method.finish(lane).mixture
        return rows.each(lambda block: labels_of(mixture, block.x))

    return one_by_one(label, lanes)
