"""Starts of few rows: those that scikit-learn draws from the same ``random_state``, and those that a user gives.

K-means and k-means++ look at locations in the data's own units, as there; at what has no location where the core does.
"""

import dataclasses

import jax
import numpy as np
from sklearn.cluster import kmeans_plusplus

from .. import checks, em
from ..data.frame import Frame, enter, frame_of
from ..data.host import HostRows
from ..data.summary import left_out
from ..families.base import Family
from ..init import states
from ..numerics.dtypes import compute_dtype
from ..records import Block, Mixture
from . import starts
from .kmeans import k_means
from .solving import Options


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows x (n, d) and weights (n,) as they came and in the fit's dtype, their frame, and the block in it.

    ``points`` (p, n) are where distance is measured; ``offset`` is what the moment form leaves out of a log-likelihood.
    """

    came: tuple
    x: np.ndarray
    weight: np.ndarray
    frame: Frame
    block: Block
    points: np.ndarray
    offset: float
    family: Family

    @property
    def dtype(self):
        return self.x.dtype

    @property
    def in_float64(self) -> "Data":
        """The same rows in float64."""
        rows = HostRows(self.x, self.weight, self.frame, len(self.x), str(self.dtype)).in_float64
        return dataclasses.replace(
            self, x=rows.x.astype(float), weight=rows.weight, frame=rows.frame, block=rows.take(0)
        )

    @property
    def located(self) -> bool:
        return self.family.scaling in ("feature", "common")

    @property
    def seen(self):
        """Points (n, p) as scikit-learn looks for centres among them: of locations, in the data's own units."""
        return self.x if self.located else self.points.T

    @property
    def uneven(self):
        """The weights, or None where they are all alike."""
        return None if (self.weight == self.weight[0]).all() else self.weight


def framed(x, weight, family: Family) -> Data:
    """Rows and weights, and their frame."""
    came, dtype = (x, weight), compute_dtype(x)
    x, weight = np.asarray(x, dtype), np.asarray(weight, dtype)
    pilot, whole = x[0], weight.sum()
    checks.sound_weights(weight.min(), whole)
    mean = pilot + weight @ (x - pilot) / whole
    frame = frame_of(family.scaling, mean, weight @ (x - mean) ** 2 / whole)
    checks.sound_frame(frame)
    rows = HostRows(x, weight, frame, len(x), str(dtype))
    block = rows.take(0)
    offset = float(left_out(rows, family, family.moments))
    return Data(came, x, weight, frame, block, family.points(block.x), offset, family)


def begin(data: Data, prior, options: Options, rng):
    """The mixtures to start from, in the frame, each with what prior and floors added to it."""
    if isinstance(options.init, Mixture):
        mixture = jax.tree.map(lambda leaf: np.asarray(leaf, data.dtype), options.init)
        entered = dataclasses.replace(mixture, components=enter(mixture.components, data.frame))
        yield replaced(entered, options, data.frame), np.zeros(1, data.dtype)
        return
    for resp in responsibilities(data, options, rng):
        mixture, added = first(data, prior, options, resp)
        yield replaced(mixture, options, data.frame), added


def first(data: Data, prior, options: Options, resp):
    """The mixture of first responsibilities (k, n), and what prior and floors added to it."""
    family, k = options.family, options.k
    form, params = family.accurate, family.around(np.zeros((k, len(data.points)), data.dtype), data.x.shape[1])
    prepared = form.prepare(params, data.frame.reference)
    statistics = states.first_statistics(form, prepared, data.block, resp)
    even = np.full(k, -np.log(k), data.dtype)
    under = Mixture(even, params, family)
    if not rows_alone(data, options):
        return states.first_mixture(form, under, prepared, statistics, prior)
    mixture, added = em.maximise(form, under, prepared, statistics, prior)
    return dataclasses.replace(mixture, log_weights=even), added  # as narrow as they are


def rows_alone(data: Data, options: Options) -> bool:
    """Whether components start as rows that were drawn, all of one weight and as wide as reg_covar: scikit-learn's
    start, where there is such a width."""
    return data.located and isinstance(options.init, str) and options.init in DRAWN and options.prior.reg_covar > 0


def replaced(mixture: Mixture, options: Options, frame: Frame) -> Mixture:
    """The mixture with the weights and parameters that the estimator was given in place of its own."""
    params, log_weights = mixture.components, mixture.log_weights
    if options.weights is not None:
        log_weights = np.log(options.weights.astype(log_weights.dtype))
    if options.given:
        given = {name: np.asarray(value, log_weights.dtype) for name, value in options.given.items()}
        inside = enter(dataclasses.replace(params, **given), frame)
        params = dataclasses.replace(params, **{name: getattr(inside, name) for name in given})
    return Mixture(log_weights, params, mixture.family)


def responsibilities(data: Data, options: Options, rng) -> list:
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
        frame, points = data.frame, options.family.points
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
