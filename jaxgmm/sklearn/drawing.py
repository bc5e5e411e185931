"""Starts of few rows: those that scikit-learn draws from the same ``random_state``, and those that a user gives.

K-means and k-means++ look at locations in the data's own units, as there; at what has no location where the core does.
"""

import dataclasses
from typing import Any

import numpy as np
from sklearn.cluster import kmeans_plusplus

from .. import em
from ..init import states
from ..numerics.host import stacked
from ..records import Mixture
from . import starts
from .kmeans import k_means


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows x (n, d) and weights (n,) as they came and in the fit's dtype, and the problem that holds them framed.

    ``points`` (p, n) are where distance is measured.
    """

    came: tuple
    x: np.ndarray
    weight: np.ndarray
    points: np.ndarray
    problem: Any

    @property
    def dtype(self):
        return self.x.dtype

    @property
    def located(self) -> bool:
        return self.problem.family.scaling in ("feature", "common")

    @property
    def seen(self):
        """Points (n, p) as scikit-learn looks for centres among them: of locations, in the data's own units."""
        return self.x if self.located else self.points.T

    @property
    def uneven(self):
        """The weights, or None where they are all alike."""
        return None if (self.weight == self.weight[0]).all() else self.weight


def begin(problem, options, x, weight, rng) -> em.State:
    """First states (r,) of rows x (n, d), which the problem holds framed on the host."""
    if isinstance(options.init, Mixture):
        return starts.begin(problem, options, x, weight, rng)
    rows = problem.rows
    points = problem.family.points(np.ascontiguousarray(rows.framed(rows.x)))
    data = Data((x, weight), rows.x.astype(rows.dtype), rows.weight, points, problem)
    begun = [first(data, options, resp) for resp in responsibilities(data, options, rng)]
    return em.initial_state(*stacked(begun))


def first(data: Data, options, resp):
    """The mixture of first responsibilities (k, n), and what prior and floors added to it."""
    problem, k = data.problem, options.k
    family, reference, prior = problem.family, problem.known.frame.reference, problem.known.prior
    form, params = family.accurate, family.around(np.zeros((k, len(data.points)), data.dtype), data.x.shape[1])
    prepared = form.prepare(params, reference)

    def summarise(block):
        return states.first_statistics(form, prepared, block, block.columns["resp"].T)

    [statistics] = problem.rows.sum(summarise, resp=np.ascontiguousarray(resp.T))
    even = np.full(k, -np.log(k), data.dtype)
    under = Mixture(even, params, family)
    if not rows_alone(data, options):
        return states.first_mixture(form, under, prepared, statistics, prior)
    mixture, added = em.maximise(form, under, prepared, statistics, prior)
    return dataclasses.replace(mixture, log_weights=even), added  # as narrow as they are


def rows_alone(data: Data, options) -> bool:
    """Whether components start as rows that were drawn, all of one weight and as wide as reg_covar: scikit-learn's
    start, where there is such a width."""
    return data.located and isinstance(options.init, str) and options.init in DRAWN and options.prior.reg_covar > 0


def responsibilities(data: Data, options, rng) -> list:
    """Responsibilities (k, n) of every start."""
    init, k, n = options.init, options.k, len(data.x)
    if not (isinstance(init, str) or callable(init)):
        return [np.asarray(init, data.dtype).T]
    if init == "random":
        return [starts.random(rng, n, k).astype(data.dtype).T for _ in range(options.n_init)]
    if init == "kmeans":
        every = [k_means(data.seen, data.uneven, k, rng) for _ in range(options.n_init)]
        return [(labels == np.arange(k)[:, None]).astype(data.dtype) for labels in every]
    if init in DRAWN:
        rows = [DRAWN[init](data, k, rng) for _ in range(options.n_init)]
        if rows_alone(data, options):
            return [(each[:, None] == np.arange(n)).astype(data.dtype) for each in rows]
        centres = [data.points[:, each] for each in rows]
    else:
        called = starts.called(options, *data.came, rng)
        frame, points = data.problem.known.frame, data.problem.family.points
        centres = [points(((each.astype(data.dtype) - frame.shift) * frame.inverse).T) for each in called]
    return [nearest(data.points, each) for each in centres]


def spread_out(data: Data, k: int, rng):
    """Numbers of k rows drawn by k-means++."""
    return kmeans_plusplus(data.seen, k, sample_weight=data.uneven, random_state=rng)[1]


def drawn(data: Data, k: int, rng):
    """Numbers of k rows drawn by weight, distinct in value while there are k such."""
    n, share = len(data.x), None if data.uneven is None else data.weight / data.weight.sum()
    index = rng.choice(n, k, replace=False, p=share)
    if len(np.unique(data.x[index], axis=0)) == k:
        return index
    rows = np.flatnonzero(data.weight > 0)
    first = np.unique(data.x[rows], axis=0, return_index=True)[1]
    some = rng.permutation(rows[first])[:k]
    return np.concatenate([some, index[: k - len(some)]])


DRAWN = {"k-means++": spread_out, "random_from_data": drawn}


def nearest(points, centres):
    """Responsibilities (k, n) of the nearest of centres (p, k) to points (p, n); equal ones share a point."""
    distances = ((points[None] - centres.T[:, :, None]) ** 2).sum(1)
    closest = distances == distances.min(0, keepdims=True)
    return (closest / closest.sum(0, keepdims=True)).astype(points.dtype)
