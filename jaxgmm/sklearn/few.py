"""Few rows: an estimator's fit, and its answers, in NumPy. They are there before a program would be compiled.

The family's own functions run as they stand (see `numerics.backend`), in the moment form while it keeps its digits,
then in float64, and where that does not help in the accurate one. Starts are in `drawing`.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from .. import checks, criteria, em, inference
from ..data import streamed_summary
from ..data.frame import enter_prior, leave
from ..data.sources import Stream
from ..families.base import Family, matrices, nonsingular
from ..numerics import eps, hold_in, platforms
from ..numerics.dtypes import compute_dtype, floats_in
from ..numerics.threads import one_for_each_product
from ..records import Block, Mixture, Status
from ..search import ranking
from . import arrays, drawing
from .narrator import Narrator
from .solving import Options, Solution, clean

MOST = 2**21  # numbers in the residuals of all starts: up to here a fit is through before a program is compiled
LEAST = 2**16  # that a start counts for, however few: many starts are one wide product to a compiled program
WIDE = 2**23  # numbers in twice the features of full covariances: more are not kept
IN_BLOCK = {
    inference.predict: inference.labels_of,
    inference.responsibilities: inference.responsibilities_of,
    inference.log_prob: inference.log_prob_of,
}


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
    if isinstance(x, jax.Array) and not platforms.holds(x):
        return False
    return not isinstance(x, Stream) and _numbers(len(x), x.shape[1], k, n_init) <= MOST


def _numbers(n: int, d: int, k: int, n_init: int) -> int:
    return max(n * d * k, LEAST) * n_init


def serves(x, options: Options) -> bool:
    """Whether `solve` does: few rows, and plain EM under scikit-learn's rule."""
    plain = options.tol != "limit" and options.accelerate != "squarem"
    return plain and options.family.in_numpy and few(x, options.k, options.n_init)


def held(x, weight, family: Family, k: int, n_init: int):
    """Rows and weights; those of a stream of few rows as arrays."""
    if not isinstance(x, Stream) or (x.n is not None and _numbers(x.n, x.d, k, n_init) > MOST):
        return x, weight
    blocks, n = [], 0
    for block in streamed_summary.checked(x, family):
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
    with np.errstate(all="ignore"), one_for_each_product():  # what is not finite has a status
        data = drawing.framed(x, weight, options.family)
        prior, volume = enter_prior(options.prior, data.frame), float(np.log(data.frame.scale).sum())
        ended = []
        for start in drawing.begin(data, prior, options, rng):
            narrator = Narrator(len(ended), options.verbose, options.interval) if options.verbose else None
            ended.append(run(data, prior, options, (*start, options.bound + volume), narrator))
            if narrator and options.max_iter:
                last = ended[-1]
                narrator.ended(last.bounds[-1] - volume if last.bounds else np.nan, last.status is Status.CONVERGED)
        return _concluded(data, options, ended, volume)


def run(data: drawing.Data, prior, options: Options, start, narrator) -> Ended:
    """Plain EM under scikit-learn's rule (see `rule`) from a mixture, what was added to it, and its bound or -inf."""
    (mixture, added, bound), family = start, options.family
    bounds, counts, status, dtype, came = [], np.zeros(options.k), Status.MAX_ITER, data.dtype, data
    most = em.DIGITS if dtype == np.float64 else em.LOSS_LIMIT
    form = family.moments if data.x.size * data.x.shape[1] <= WIDE else family.accurate
    while len(bounds) < options.max_iter and status is Status.MAX_ITER:
        prepared = form.prepare(mixture.components, data.frame.reference)
        if form.loss(prepared) * eps(data.x) > most and data.dtype == np.float32:
            data, (mixture, prior) = data.in_float64, floats_in(np.float64, (mixture, prior))
            prepared = form.prepare(mixture.components, data.frame.reference)
        if form.loss(prepared) * eps(data.x) > most:
            form = family.accurate
            prepared = form.prepare(mixture.components, data.frame.reference)
        statistics = em.expect(form, prepared, mixture.log_weights, data.block)
        left_out = 0.0 if family.left_out(form) is None else data.offset
        value = float((statistics.log_likelihood + left_out) / statistics.weight)
        if np.isnan(value) or value == np.inf:
            status = Status.NON_FINITE
            break
        mixture, added = em.maximise(form, mixture, prepared, statistics, prior)
        status = Status.CONVERGED if abs(value - bound) < options.tol else status
        counts, bound = statistics.counts, value
        if data.dtype != dtype and matrices(family.parameters) and not _holds(mixture, dtype):
            data, (mixture, prior, added), form = came, floats_in(dtype, (mixture, prior, added)), family.accurate
            mixture = dataclasses.replace(mixture, components=nonsingular(mixture.components))
            most, status = np.inf, Status.MAX_ITER  # float32 cannot tell its matrices from singular ones
        bounds.append(value)
        if narrator:
            narrator.saw(bounds)
    return Ended(*floats_in(dtype, (mixture, added, counts)), bounds, status)


def _holds(mixture: Mixture, dtype) -> bool:
    return bool(hold_in(dtype, mixture.family.covariance(mixture.components)).all())


def _concluded(data: drawing.Data, options: Options, ended: list, volume: float) -> Solution:
    """The start with the highest bound, in the data's units and dtype."""
    last = [start.bounds[-1] if start.bounds else -np.inf for start in ended]
    best = ended[int(np.argmax(last)) if options.max_iter else -1]  # the last start, as scikit-learn has it
    mixture, every = best.mixture, np.ones(options.k, bool)
    sound = best.status in (Status.CONVERGED, Status.MAX_ITER) and bool(best.bounds)
    return Solution(
        mixture=dataclasses.replace(mixture, components=leave(mixture.components, data.frame)),
        converged=best.status is Status.CONVERGED,
        n_iter=len(best.bounds),
        bounds=[clean(bound - volume, data.dtype) for bound in best.bounds],
        degenerate=sound and bool(ranking.is_degenerate(mixture, best.added, best.counts, every, data.weight.max())),
        held_up=bool((best.added > 0).any()),
    )


# -- answers ------------------------------------------------------------------------------------------------------


class Wrong:
    """What `checks.row_values` reads of data with a value outside the support."""

    not_finite, outside = 0, 1


def check_support(x, family: Family):
    """As `checks.row_values`, for finite rows."""
    if checks.outside(np.asarray(x, np.float64), family).any():
        checks.row_values(x, family, Wrong)


def answer(function, mixture: Mixture, x):
    """What `predict`, `responsibilities` or `log_prob` of the core says of rows x (n, d), in NumPy."""
    with np.errstate(all="ignore"), one_for_each_product():
        return IN_BLOCK[function](*_of_one_dtype(mixture, x))


def certainty(mixture: Mixture, x, weight) -> float:
    """As `criteria.certainty`."""
    mixture, block = _of_one_dtype(mixture, x)
    with np.errstate(all="ignore"), one_for_each_product():
        weight = np.ones(len(x), block.dtype) if weight is None else weight
        return criteria.Certainty(mixture)(Block(block, weight))


def _of_one_dtype(mixture: Mixture, x):
    """The mixture, and rows (n, d) as a block (d, n), in the dtype of the rows."""
    dtype, block = compute_dtype(x), np.ascontiguousarray(np.asarray(x).T)
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), (mixture, block))
