"""`fit_stepwise`: stepwise EM, with an update of the parameters for every block of rows (`em.online`).

Statistics are moments about the reference of the first block's frame, whatever the mixture, so those of different
mixtures may be blended. A family all of whose sums depend on the parameters is refused. Where the form loses its digits
stepwise EM cannot go on, and batch EM takes over.

Source: Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models.
"""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from . import checks, em
from .calls import public
from .data import streamed_summary
from .data.arrays import Rows
from .data.frame import Frame, enter, leave, of_first_rows
from .data.out_of_core import Flow
from .data.sources import Stream, opens
from .data.sources import rows as streamed
from .data.summary import Known, Measured, left_out
from .em.loop import once
from .em.online import ONLINE, Online
from .families.base import Family
from .fitting import concrete, ended_lane, fit, named, warn
from .init.kmeans import INITIALIZERS
from .mixtures import cast
from .numerics.compiling import compiled
from .numerics.dtypes import in_precision_of
from .numerics.keys import Key
from .records import FitResult, FitWarning, GaussianPrior, Init, Mixture, Status, record
from .search import ranking
from .search.loading import Options, family_of, load

STEPS = 64  # updates of a pass, if that leaves ROWS for each
ROWS = 64  # the least rows of an update, for each component
LOST = (
    "stepwise EM averages moments in one frame, and the components are too narrow against the spread of the data for "
    "moments in this precision"
)


@record
class Blend:
    """The state of stepwise EM between two blocks, in the frame of the first block."""

    frame: Frame
    lane: Online

    @property
    def mixture(self) -> Mixture:
        """The mixture after all blocks so far, in the frame."""
        return self.lane.state.candidate

    @property
    def steps(self) -> int:
        """Number of blocks so far."""
        return int(self.lane.state.n_iter) + 1

    @property
    def lost(self) -> bool:
        """Whether the last block was left out, because the form has lost its digits."""
        return int(self.lane.state.status) == em.LOSSY


def mergeable_form(family: Family):
    """The form of the family whose sums do not depend on the parameters, moments first.

    Raises:
        ValueError: it has none.
    """
    for form in (family.moments, family.accurate):
        if getattr(form, "mergeable", False):
            return form
    raise ValueError(
        f"family {family.name!r} has no form whose sums may be blended over blocks (mergeable): they depend on the "
        "parameters; use fit, which takes rows that stream too"
    )


@compiled()
def start(rows: Rows, mixture: Mixture) -> Blend:
    """The blend before any block, with the mixture to begin from, in the frame of these rows."""
    form = mergeable_form(mixture.family)
    [shapes] = jax.eval_shape(lambda: rows.sum(_e_step(mixture, rows.frame.reference, form)))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return Blend(rows.frame, ONLINE.update.start(em.initial_state(mixture), zeros))


@compiled()
def advance(blend: Blend, rows: Rows, prior) -> Blend:
    """The blend after a block of rows; ``prior`` is in the frame's units."""
    family = blend.mixture.family
    form = mergeable_form(family)
    offset = left_out(rows, family, form)
    task = em.Task(rows.frame.reference, prior, None, offset, form, ONLINE, int(Status.DECREASED))
    return dataclasses.replace(blend, lane=once(rows, task, blend.lane))


@public
@opens
@in_precision_of("x")
def fit_stepwise(
    key: Key,
    x: Any,
    n_components: int,
    *,
    family: str | Family = "full",
    n_init: int = 1,
    init: Init = "auto",
    sample_weight: ArrayLike | None = None,
    prior: GaussianPrior | None = None,
    passes: int = 1,
    tol: float = 1e-6,
    max_iter: int = 1000,
    block_size: int | None = None,
) -> FitResult:
    """The mixture after some passes of stepwise EM: an update a block, where batch EM makes one a pass.

    For rows that are slow to read, or for the first passes over very many rows: after one pass it is about as far as
    batch EM after tens of passes. From there it approaches the optimum slowly; `fit` with ``init=result.mixture``
    reaches it.

    Args:
        key: a JAX key or an int seed.
        x: (n, d) rows, or rows that stream, as in `jaxgmm.fit`, in random order: the start is drawn from the first
            block, which also sets the frame of all moments.
        n_components: K >= 1.
        family: as in `jaxgmm.fit`.
        n_init: number of starts, all of them fitted to the first block; the best goes on.
        init: "auto", "k-means++", "kmeans", "random", "spread" or a callable, for the fit to the first block; or a
            `Mixture`, or what holds one.
        sample_weight: (n,) weights >= 0, as frequencies.
        prior: as in `jaxgmm.fit`.
        passes: number of passes over the rows.
        tol, max_iter: of the fit to the first block, and of the batch iterations that finish the fit where moments lose
            their digits (narrow components in float32); a `FitWarning` says so.
        block_size: rows of an update; by default a 64th of them, at least 64 for each component, at most 16 MB.

    Returns:
        FitResult: ``log_likelihood`` over all rows, by one pass more; ``n_iter`` counts the updates; the status is
        MAX_ITER, because stepwise EM has no stopping rule, or DEGENERATE. Components by decreasing weight,
        unless ``init`` is a mixture.

    Raises:
        ValueError: bad values or shapes, when they are first read; a family without a mergeable form.

    Warns:
        FitWarning: batch iterations finished the fit, or it ended degenerate or not finite.

    Source: Cappé and Moulines (2009). Cost: that of an E-step a pass, and of an M-step a block.
    """
    k, passes = checks.count(n_components, "n_components"), checks.count(passes, "passes")
    if checks.in_trace(x, sample_weight):
        raise ValueError("fit_stepwise needs concrete data: call it outside jit and vmap")
    if isinstance(init, str):
        init = checks.choice(init, "init", INITIALIZERS)
    elif not (isinstance(init, Mixture) or callable(init)):
        raise ValueError("init must be a name, a callable or a Mixture: responsibilities are not of a block")
    columns, given = checks.names_of(x), isinstance(init, Mixture)
    if given and columns is not None and init.columns not in (None, columns):
        raise ValueError(f"init is a mixture of columns {', '.join(init.columns)}; x has {', '.join(columns)}")
    x = x if isinstance(x, Stream) else np.asarray(checks.table(x))
    stream = streamed(x, sample_weight, block_size=block_size)
    if block_size is None:
        stream = streamed(stream, block_size=_block_size(stream, k))
    family = family_of(family, stream)
    form = mergeable_form(family)
    options = {"family": family, "prior": prior, "tol": tol, "max_iter": max_iter}
    mixture, problem = _begin(key, stream, k, options | {"init": init, "n_init": n_init})
    flow = Flow(stream, problem.rows.frame, {}).cut(form, k, 1)
    blend, census = start(problem.rows, mixture), streamed_summary.Census(stream, (family,))
    for sweep in range(passes):
        for block, first in flow.blocks():
            if sweep == 0:
                census.look(block, first)
            blend = advance(blend, block, problem.known.prior)
            if blend.lost:
                break
        if blend.lost:
            break
        if sweep == 0:
            checks.enough_weight(census.positive, k)
    if blend.lost:
        return named(_finished(key, stream, blend, options, given), columns)
    result = _judged(flow, problem.known, blend, census.heaviest, given)
    warn(result, 0, "stepwise EM", stacklevel=6)
    return named(result, columns)


def _block_size(stream: Stream, k: int) -> int:
    n, most = stream.n, stream.block_size
    return min(max(most // STEPS if n is None else n // STEPS, ROWS * k), most)


def _begin(key, stream: Stream, k: int, options: dict):
    """The mixture to start from, in the frame of the first block, and that block as a problem."""
    family, init = options["family"], options["init"]
    x, weight = next(streamed_summary.checked(stream, family))
    if not isinstance(init, Mixture):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the fit to the first block is only a start
            init = fit(key, x, k, sample_weight=weight, **options).mixture
    elif init.family != family or init.n_components != k:
        raise ValueError(
            f"init is a mixture of {init.n_components} components of family {init.family.name!r}; "
            f"n_components={k}, family={family.name!r} were asked for"
        )
    else:
        checks.like_mixture(x, init)
    model = family, checks.prior_for(options["prior"], family, stream.dtype)
    [problem] = load(x, weight, k, [model], Options(options["tol"], options["max_iter"], "none"))
    rows = problem.rows.cut(mergeable_form(family), k, 1)
    problem = dataclasses.replace(problem, rows=dataclasses.replace(rows, frame=of_first_rows(rows.frame)))
    mixture = cast(init, rows.dtype)
    framed = dataclasses.replace(mixture, components=enter(mixture.components, problem.rows.frame))
    return framed, problem


def _judged(flow: Flow, first: Known, blend: Blend, heaviest, keeps_order: bool) -> FitResult:
    """The result with this mixture, by one pass for its log-likelihood, and another for what its form leaves out of
    that."""
    family = blend.mixture.family
    form = family.accurate
    flow = flow.cut(form, blend.mixture.n_components, 1)
    [statistics] = flow.sum(_e_step(blend.mixture, flow.frame.reference, form))
    value = statistics.log_likelihood + left_out(flow, family, form)
    lane = ended_lane(blend.mixture, statistics, value, int(Status.MAX_ITER))
    known = Known(flow.frame, Measured(None, None, None, statistics.weight, heaviest, None, None), first.prior)
    result = ranking.conclude_one(known, lane, keep_order=keeps_order)
    return concrete(dataclasses.replace(result, n_iter=blend.steps))


@compiled("form")
def _e_step(mixture: Mixture, reference, form) -> em.Expected:
    return em.Expected(form.prepare(mixture.components, reference), mixture.log_weights, reference, form)


def _finished(key, stream, blend: Blend, options: dict, keeps_order: bool) -> FitResult:
    """The result of batch EM, which starts from where stepwise EM had to end."""
    warnings.warn(f"{LOST}: after {blend.steps} blocks, batch iterations go on", FitWarning, stacklevel=6)
    mixture = dataclasses.replace(blend.mixture, components=leave(blend.mixture.components, blend.frame))
    result = fit(key, stream, mixture.n_components, init=mixture, **options)
    mixture = result.mixture if keeps_order else ranking.by_weight(result.mixture)
    return dataclasses.replace(result, mixture=mixture, n_iter=result.n_iter + blend.steps)
