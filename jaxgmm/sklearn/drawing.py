"""Starts of few rows as scikit-learn draws them: the same ones from the same ``random_state``.

For Gaussian families, distances are measured in the data's own units, as in scikit-learn; for other families between
the points of the core (`Family.points`).
"""

import dataclasses

import jax
import numpy as np
from sklearn.cluster import kmeans_plusplus

from .. import em
from ..init import states
from ..records import Mixture
from .kmeans import k_means
from .options import Options


def begin(problem, options: Options, rng) -> em.State:
    """First states (n_init,) for rows in NumPy."""
    rows, family, k = problem.rows, problem.family, options.k
    block = dataclasses.replace(rows, block=rows.n).take(0)
    points, located = family.points(block.x), family.located  # (p, n)
    x = np.asarray(rows.x, block.x.dtype) if located else points.T  # (n, d) or (n, p)
    weight = None if (rows.weight == rows.weight[0]).all() else rows.weight
    alone = located and options.init in DRAWN and options.prior.reg_covar > 0
    mixtures = []
    for _ in range(options.n_init):
        if options.init == "kmeans":
            resp = k_means(x, weight, k, rng) == np.arange(k)[:, None]
        else:
            index = DRAWN[options.init](x, weight, k, rng)
            resp = index[:, None] == np.arange(rows.n) if alone else nearest(points, points[:, index])
        mixtures.append(_first(problem, resp.astype(block.x.dtype), alone))
    return em.initial_state(jax.tree.map(lambda *leaves: np.stack(leaves), *mixtures))


def _first(problem, resp, alone: bool) -> Mixture:
    """The first mixture, from responsibilities (k, n). Where every component has one row ``alone``, its width is
    reg_covar and its weight 1 / k, as in scikit-learn."""
    family, (k, _), prior = problem.family, resp.shape, problem.known.prior
    form, reference = family.accurate, problem.known.frame.reference
    rows = problem.rows.cut(form, k, 1)
    width = len(family.points(rows.framed(rows.x[:1])))
    params = family.around(np.zeros((k, width), resp.dtype), rows.d)
    prepared = form.prepare(params, reference)

    def summarise(block):
        return states.first_statistics(form, prepared, block, block.columns["resp"].T)

    [statistics] = rows.sum(summarise, resp=resp.T)
    even = np.full(k, -np.log(k), resp.dtype)
    under = Mixture(even, params, family)
    if not alone:
        return states.first_mixture(form, under, prepared, statistics, prior)
    return dataclasses.replace(em.maximise(form, under, prepared, statistics, prior), log_weights=even)


def drawn_apart(x, weight, k: int, rng):
    """Indices (k,) of rows drawn by k-means++."""
    return kmeans_plusplus(x, k, sample_weight=weight, random_state=rng)[1]


def drawn(x, weight, k: int, rng):
    """Indices (k,) of rows drawn by weight, distinct while there are k distinct rows."""
    index = rng.choice(len(x), k, replace=False, p=None if weight is None else weight / weight.sum())
    if len(np.unique(x[index], axis=0)) == k:
        return index
    rows = np.arange(len(x)) if weight is None else np.flatnonzero(weight > 0)
    first = np.unique(x[rows], axis=0, return_index=True)[1]
    some = rng.permutation(rows[first])[:k]
    return np.concatenate([some, index[: k - len(some)]])


DRAWN = {"k-means++": drawn_apart, "random_from_data": drawn}


def nearest(points, centres):
    """Responsibilities (k, n) of the nearest of centres (p, k) for points (p, n), shared among equally near ones."""
    distances = ((points[None] - centres.T[:, :, None]) ** 2).sum(1)
    closest = distances == distances.min(0, keepdims=True)
    return closest / closest.sum(0, keepdims=True)
