"""Few rows: an estimator's fit, and its answers, in NumPy. They are there before a program would be compiled.

The family's own functions run, as they stand, in their accurate form and in float64 (see `namespace`). Starts are what
scikit-learn draws from the same ``random_state``.
"""

import dataclasses
import warnings
from typing import Any

import jax
import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from .. import checks, em, inference, outcome, starting, streaming
from ..family import Family
from ..frame import Frame, enter, enter_prior, frame_of, leave
from ..numerics import eps
from ..precision import compute_dtype
from ..records import Mixture, Status
from ..sources import Stream
from . import arrays, rule, starts
from .narrator import Narrator
from .solving import Options, Solution, clean

MOST = 2**19  # numbers in the residuals of all starts: up to here NumPy is as fast as what compiles for a second
LEAST = 2**14  # that a start counts for, however few: below, an iteration takes no less
WIDE = 2**22  # numbers in twice the features of full covariances: more are not kept
IN_BLOCK = {
    inference.predict: inference.labels_of,
    inference.responsibilities: inference.responsibilities_of,
    inference.log_prob: inference.log_prob_of,
}


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows x (n, d) and weights (n,) in float64 and as they came, their frame, and the block in it, (d, n).

    ``points`` (p, n) are where distance is measured; ``offset`` is what the moment form leaves out of a log-likelihood.
    """

    came: tuple
    x: np.ndarray
    weight: np.ndarray
    frame: Frame
    block: np.ndarray
    points: np.ndarray
    offset: float
    family: Family

    @property
    def dtype(self):
        return compute_dtype(self.came[0])

    @property
    def seen(self):
        """Points (n, p) as scikit-learn looks for centres among them: of locations, in the data's own units."""
        return self.x if self.family.scaling in ("feature", "common") else self.points.T

    @property
    def uneven(self):
        """The weights, or None where they are all alike."""
        return None if (self.weight == self.weight[0]).all() else self.weight


@dataclasses.dataclass(frozen=True)
class Ended:
    """A start that came to its end: parameters in the frame, what prior and floors added, counts, and all bounds."""

    mixture: Mixture
    added: Any
    counts: Any
    bounds: list
    status: Status


def few(x, k: int, n_init: int = 1) -> bool:
    """Whether rows x (n, d) under k components are so few, and in the host's memory."""
    if isinstance(x, jax.Array) and not all(device.platform == "cpu" for device in x.devices()):
        return False
    return not isinstance(x, Stream) and _numbers(len(x), x.shape[1], k, n_init) <= MOST


def _numbers(n: int, d: int, k: int, n_init: int) -> int:
    return max(n * d * k, LEAST) * n_init


def serves(x, options: Options) -> bool:
    """Whether `solve` does: few rows, and plain EM under scikit-learn's rule."""
    return few(x, options.k, options.n_init) and options.tol != "limit" and options.accelerate != "squarem"


def held(x, weight, family: Family, k: int, n_init: int):
    """Rows and weights; those of a stream of few rows as arrays."""
    if not isinstance(x, Stream) or (x.n is not None and _numbers(x.n, x.d, k, n_init) > MOST):
        return x, weight
    blocks, n = [], 0
    for block in streaming.checked(x, family):
        blocks.append(block)
        n += len(block[0])
        if _numbers(n, x.d, k, n_init) > MOST:
            return x, weight
    rows, weights = zip(*blocks, strict=True)
    rows = np.concatenate(rows)
    return rows, arrays.weights(rows, np.concatenate(weights) if x.weighted else None)


def solve(x, weight, options: Options, rng) -> Solution:
    """As `solving.solve`."""
    checks.enough_rows(x.shape[0], options.k)
    checks.weight_values(np.asarray(weight), options.k)
    check_support(x, options.family)
    with np.errstate(all="ignore"):  # what is not finite has a status
        data = framed(x, weight, options.family)
        prior, volume = enter_prior(options.prior, data.frame), float(np.log(data.frame.scale).sum())
        ended = []
        for start in begin(data, prior, options, rng):
            narrator = Narrator(len(ended), options.verbose, options.interval) if options.verbose else None
            ended.append(run(data, prior, options, *start, options.bound + volume, narrator))
            if narrator:
                last = ended[-1]
                narrator.ended(last.bounds[-1] - volume if last.bounds else np.nan, last.status is Status.CONVERGED)
        return _concluded(data, options, ended, volume)


def framed(x, weight, family: Family) -> Data:
    """Rows and weights, and their frame."""
    came = x, weight
    x, weight = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    pilot, whole = x[0], weight.sum()
    mean = pilot + weight @ (x - pilot) / whole
    frame = frame_of(family.scaling, mean, weight @ (x - mean) ** 2 / whole)
    block = np.ascontiguousarray(((x - frame.shift) * frame.inverse).T)
    left_out = np.where(weight > 0, weight * family.base(block, frame.reference), 0).sum()
    offset = 0.0 if family.moments is family.accurate else float(left_out)
    return Data(came, x, weight, frame, block, family.points(block), offset, family)


def run(data: Data, prior, options: Options, mixture: Mixture, added, bound: float, narrator) -> Ended:
    """Plain EM under scikit-learn's rule (see `rule`) from a mixture whose bound is ``bound``, or -inf."""
    family, bounds, counts, status = options.family, [], np.zeros(options.k), Status.MAX_ITER
    form, seen = family.moments if data.block.size * len(data.block) <= WIDE else family.accurate, None
    while len(bounds) < options.max_iter and status is Status.MAX_ITER:
        prepared = form.prepare(mixture.components, data.frame.reference)
        if form.loss(prepared) * eps(data.block) > rule.DIGITS:
            form = family.accurate
            prepared = form.prepare(mixture.components, data.frame.reference)
        if seen is None or form is family.accurate:  # features stay, residuals do not
            seen = form.view(prepared, data.block)
        statistics = em.expect(form, prepared, mixture.log_weights, None, data.block, data.weight, seen)
        left_out = data.offset if form is family.moments else 0.0
        value = float((statistics.log_likelihood + left_out) / statistics.weight)
        if np.isnan(value) or value == np.inf:
            status = Status.NON_FINITE
            break
        mixture, added = em.maximise(form, mixture, prepared, statistics, prior)
        status = Status.CONVERGED if abs(value - bound) < options.tol else status
        counts, bound = statistics.counts, value
        bounds.append(value)
        if narrator:
            narrator.saw(bounds)
    return Ended(mixture, added, counts, bounds, status)


def _concluded(data: Data, options: Options, ended: list, volume: float) -> Solution:
    """The start with the highest bound, in the data's units and dtype."""
    last = [start.bounds[-1] if start.bounds else -np.inf for start in ended]
    best = ended[int(np.argmax(last))]
    mixture, every = best.mixture, np.ones(options.k, bool)
    sound = best.status in (Status.CONVERGED, Status.MAX_ITER) and bool(best.bounds)
    return Solution(
        mixture=jax.tree.map(
            lambda leaf: leaf.astype(data.dtype),
            dataclasses.replace(mixture, components=leave(mixture.components, data.frame)),
        ),
        converged=best.status is Status.CONVERGED,
        n_iter=len(best.bounds),
        bounds=[clean(bound - volume, data.dtype) for bound in best.bounds],
        degenerate=sound and bool(outcome.is_degenerate(mixture, best.added, best.counts, every, data.weight.max())),
        held_up=bool((best.added > 0).any()),
    )


# -- starts -------------------------------------------------------------------------------------------------------


def begin(data: Data, prior, options: Options, rng):
    """The mixtures to start from, in the frame, each with what prior and floors added to it."""
    init, family, d = options.init, options.family, data.x.shape[1]
    for resp in [None] if isinstance(init, Mixture) else responsibilities(data, options, rng):
        if resp is None:
            mixture = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), init)
            mixture, added = dataclasses.replace(mixture, components=enter(mixture.components, data.frame)), np.zeros(1)
        else:
            form, params = family.accurate, family.around(np.zeros((options.k, len(data.points))), d)
            prepared = form.prepare(params, data.frame.reference)
            statistics = starting.first_statistics(form, prepared, data.block, data.weight, resp)
            mixture, added = starting.first_mixture(form, family, params, prepared, statistics, prior)
        yield replaced(mixture, options, data.frame), added


def replaced(mixture: Mixture, options: Options, frame: Frame) -> Mixture:
    """The mixture with the weights and parameters that the estimator was given in place of its own."""
    params, log_weights = mixture.components, mixture.log_weights
    if options.weights is not None:
        log_weights = np.log(options.weights.astype(np.float64))
    if options.given:
        given = {name: np.asarray(value, np.float64) for name, value in options.given.items()}
        inside = enter(dataclasses.replace(params, **given), frame)
        params = dataclasses.replace(params, **{name: getattr(inside, name) for name in given})
    return Mixture(log_weights, params, mixture.family)


def responsibilities(data: Data, options: Options, rng) -> list:
    """Responsibilities (k, n) of every start."""
    init, k, n = options.init, options.k, len(data.x)
    if not (isinstance(init, str) or callable(init)):
        return [np.asarray(init, np.float64).T]
    if init == "random":
        return [starts.random(rng, n, k).T for _ in range(options.n_init)]
    if init == "kmeans":
        return [clusters(data, k, rng) for _ in range(options.n_init)]
    if init in DRAWN:
        centres = [data.points[:, DRAWN[init](data, k, rng)] for _ in range(options.n_init)]
    else:
        called = starts.called(init, *data.came, k, options.n_init, rng)
        frame, points = data.frame, options.family.points
        centres = [points(((each - frame.shift) * frame.inverse).T) for each in called]
    return [nearest(data.points, each) for each in centres]


def clusters(data: Data, k: int, rng):
    """Whose cluster of K-means a row is in, (k, n)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than k: the fit says what comes of it
        found = KMeans(k, n_init=1, random_state=rng).fit(data.seen, sample_weight=data.uneven)
    return (found.labels_ == np.arange(k)[:, None]).astype(np.float64)


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
    return closest / closest.sum(0, keepdims=True)


# -- answers ------------------------------------------------------------------------------------------------------


class Wrong:
    """What `checks.row_values` reads of data with a value outside the support."""

    not_finite, outside = 0, 1


def check_support(x, family: Family):
    """As `checks.row_values`, for finite rows."""
    if not family.support.contains(np.asarray(x, np.float64)).all():
        checks.row_values(x, family, Wrong)


def answer(function, mixture: Mixture, x):
    """What `predict`, `responsibilities` or `log_prob` of the core says of rows x (n, d), in NumPy."""
    with np.errstate(all="ignore"):
        said = IN_BLOCK[function](*_in_float64(mixture, x))
    return said.astype(compute_dtype(x)) if said.dtype == np.float64 else said


def certainty(mixture: Mixture, x, weight) -> float:
    """As `criteria.certainty`."""
    mixture, block = _in_float64(mixture, x)
    with np.errstate(all="ignore"):
        return inference.Certainty(mixture)(block, np.ones(len(x)) if weight is None else weight)


def _in_float64(mixture: Mixture, x):
    """The mixture, and rows (n, d) as a block (d, n)."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (mixture, np.ascontiguousarray(np.asarray(x).T)))
