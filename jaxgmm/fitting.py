"""`fit`: checks, rows, starts, the search, and the result with its warnings.

Of concrete data the host drives a few compiled functions, or the same functions in NumPy. Under a user's ``jit`` or
``vmap`` they are traced.
"""

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from . import checks, em, implicit
from .calls import public
from .data.mesh import checked
from .data.route import goes_to_host
from .data.sources import Stream, opens
from .distributed import agreed, spans
from .em.squarem import METHODS
from .families.base import Family
from .init import states
from .init.draws import Start
from .numerics.derivatives import held
from .numerics.dtypes import compute_dtype, in_precision_of, on_device
from .numerics.host import on_host
from .numerics.keys import Key, as_key
from .records import FitResult, FitWarning, GaussianPrior, Init, Status
from .search import floors, ranking, repeats
from .search.beginnings import checked_init, first_lanes, keeps_order, on_default_device
from .search.callbacks import Glance
from .search.checkpoints import begin_checkpoint, opened
from .search.driver import Driver
from .search.loading import Options, family_of, load
from .search.problem import Problem
from .search.pruning import SEARCHES
from .search.rungs import with_sample

ADVICE = {
    Status.MAX_ITER: "it ended at max_iter before the log-likelihood settled: raise max_iter or tol",
    Status.DECREASED: "the log-likelihood fell: pass float64 data, or scale the features",
    Status.DEGENERATE: (
        "a component is held up by the prior or by less than a row of data, in every start: ask for fewer components, "
        "another family or more starts (n_init)"
    ),
    Status.NON_FINITE: "the log-likelihood is not finite: check the start and the scale of the data",
}


@public
@opens
@in_precision_of("x")
def fit(
    key: Key,
    x: Any,
    n_components: int,
    *,
    family: str | Family = "full",
    n_init: int = 1,
    init: Init = "auto",
    sample_weight: ArrayLike | None = None,
    prior: GaussianPrior | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    accelerate: str = "auto",
    search: str = "pruned",
    compiled: bool | None = None,
    block_size: int | None = None,
    callback: Callable[[Glance], Any] | None = None,
    every: int = 10,
    verbose: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    mesh: jax.sharding.Mesh | None = None,
) -> FitResult:
    """The mixture of maximal likelihood found by EM from ``n_init`` starts.

    Args:
        key: a JAX key or an int seed.
        x: (n, d) rows, an array or a frame; float64 data (lists and integers too) are fitted in float64, float32 in
            float32. Or what `jaxgmm.rows` makes, for rows that do not fit into memory; paths and memory maps are taken
            for such.
        n_components: K >= 1.
        family: "full", "tied", "diag", "spherical", "EII", "VEI", "bernoulli", "categorical", "poisson", "exponential",
            "gamma", or a `Family`.
        n_init: number of starts; the best that is not degenerate wins. One here, ten in `select` and on the command
            line, where fits are compared; the ends of all are ``restarts`` of the result.
        init: "k-means++", "kmeans", "random" or "spread" (rows by the root of their distance from those before);
            "auto", which takes k-means, spread rows and k-means++ in turn, because starts of one kind fail alike (the
            first, and so a single start, is the likeliest of four k-means); a callable
            ``(key, x, sample_weight, k) -> centres (k, d)``; a `Mixture` to start from, or what holds one; or
            responsibilities (n, k).
        sample_weight: (n,) weights >= 0, as frequencies: weight 2 is the row twice.
        prior: what is added to variances; None is ``GaussianPrior(reg_relative=1e-14)`` for float64 data and 1e-9 for
            float32, ``GaussianPrior()`` nothing.
        tol: how far the mean log-likelihood per unit weight may still be from its limit, by Aitken's estimate. 0: run
            exactly ``max_iter`` updates.
        max_iter: most parameter updates; 0 returns the start.
        accelerate: "squarem" extrapolates EM (see `em.squarem`), "none" is plain EM, "auto" is squarem for the Gaussian
            families, none for the others. Updates are counted in E-steps; ``tol=0`` is always plain.
        search: "pruned" stops starts that fall far behind the best (see `search.pruning`; from 4 starts on), and of
            many rows, from about 65,000 on, runs all starts on a sample first and the best of them on all rows (see
            `search.finalists`; ``n_iter`` counts updates on all rows). "exhaustive" runs every start to its end.
        compiled: None lets the sizes decide: rows in this machine's memory are fitted in NumPy, to the same answer,
            unless the work is so much that compiling pays. True compiles, False does not (an error under a trace).
        block_size: rows in flight; default by size.
        callback: called on the host with a `Glance` at the start, after every ``every`` iterations and at the end (see
            `History`, `Progress`); when it returns True the fit stops there. It changes no result.
        verbose: 1 prints a line each time.
        checkpoint: path of a file from which the fit can be resumed, written every ``checkpoint_every`` iterations (by
            default about every minute) and at the end; the file of another fit is an error.
        resume: go on from that file where it exists, to the same bits; begin afresh where it does not.
        mesh: a mesh of one axis, ``jax.make_mesh((jax.device_count(),), ("rows",))``: rows are cut over its devices.
            Arrays that are cut so already stay where they are. Where it holds devices of many processes (see
            `jaxgmm.distributed`), every process calls this with its own rows, their weights and responsibilities, and
            else the same arguments, and gets the same result.

    Returns:
        FitResult: components by decreasing weight, unless ``init`` is a mixture or responsibilities. The best so far,
        with ``Status.STOPPED``, where the callback or Ctrl-C left a start unfinished (``DEGENERATE`` where every start
        is). Ctrl-C takes effect within about a second, and before the first iteration it is Python's KeyboardInterrupt.

    Raises:
        ValueError: bad values or shapes, before anything runs. Under a trace, values become `Status` codes. Or second
            derivatives.

    Warns:
        FitWarning: the fit ended degenerate, decreasing, not finite, or at ``max_iter`` with tol > 0; or, where no
            prior was given, the rows do not vary in some direction (a constant column, collinear ones), so that a floor
            sets the likelihood.

    Derivatives of ``mixture`` and ``log_likelihood`` pass through, forward and backward, to rows, weights and the
    numbers of a prior: those of the fixed point, to which the fit is run on where they are asked for (see `implicit`).
    They are NaN where none is near, and of a degenerate fit; 0 for the start, and for rows of counts or codes.

    Source: Dempster, Laird and Rubin (1977); Böhning et al. (1994) for the stopping rule.
    Cost: O(n·K·d²) an iteration for full covariances, O(n·K·d) for the others.
    """
    columns, accelerate = checks.names_of(x), checks.choice(accelerate, "accelerate", METHODS)
    x, sample_weight, mesh = on_mesh(x, sample_weight, mesh)
    k = checks.count(n_components, "n_components")
    n_init = checks.count(n_init, "n_init")
    family = family_of(family, x, mesh)
    key = as_key(key)
    with agreed(mesh):
        init = checked_init(init, n_init, x, model=(family, k, columns), in_processes=spans(mesh))
    search = checks.choice(search, "search", SEARCHES)
    file = opened(checkpoint, checkpoint_every, resume, mesh)
    driver = Driver(callback, every, verbose, 1, in_processes=spans(mesh), checkpoint=file)
    given_prior, prior = held(prior), checks.prior_for(prior, family, compute_dtype(x))
    smooth = implicit.Smooth.of(x, sample_weight, prior, family) if checks.in_trace(x, sample_weight, prior) else None
    x, sample_weight, prior, init = held((x, sample_weight, prior, init))
    options = Options(tol, max_iter, accelerate, search, block_size, mesh)
    given = init, sample_weight, prior, tol, max_iter, key
    in_numpy = goes_to_host([family], x, n_init, k, *given, compiled=compiled, mesh=mesh)
    with on_host(in_numpy, at_once=family.in_numpy):
        [problem] = load(x, sample_weight, k, [(family, prior)], options)
        asked = {"kind": "fit", "n_components": [k], "n_init": n_init, "accelerate": accelerate}
        asked |= {"key": key, "init": init}
        begin_checkpoint(driver, [problem], [prior], (x, sample_weight, block_size), asked)

        result = driver.concluded(ranking.template(family))
        if result is None:
            start = Start(init, n_init, key, np.ones((1, k), bool))
            searched = with_sample(problem, start)
            ended, left = driver.drive(searched, first_lanes(searched, start, x, sample_weight), start.active)
            result = ranking.conclude_one(
                problem.known, ended, left, keep_order=keeps_order(init), method=problem.method
            )
            result = driver.conclude(result)
    if checks.in_trace(result):
        result = dataclasses.replace(result, status=traced_status(problem, result.status))
        return implicit.differentiable(result, problem.known.frame, smooth)
    result = named(concrete(result), columns)
    rows = (x, sample_weight) if mesh is None and not isinstance(x, Stream) else ()
    if result.n_iter > 0 and not floors.has_width(given_prior):
        warn_of_floors(result, prior, problem, rows)
    warn(result, tol, stacklevel=6, rows=rows)
    if smooth is not None:
        result = implicit.differentiable(result, problem.known.frame, smooth)
    elif mesh is not None:
        result = dataclasses.replace(result, mixture=on_default_device(result.mixture))
    return named(result, columns)


def named(result: FitResult, columns) -> FitResult:
    """The result, with the names of the columns of x in its mixture."""
    return dataclasses.replace(result, mixture=dataclasses.replace(result.mixture, columns=columns))


def on_mesh(x, sample_weight, mesh):
    """x as an (n, d) array or a stream, its weights, and the mesh, checked."""
    if mesh is None:
        return x if isinstance(x, Stream) else checks.table(x), sample_weight, None
    mesh = checked(mesh)
    if checks.in_trace(x, sample_weight):
        raise ValueError("mesh needs concrete data: call fit outside jit and vmap")
    with agreed(mesh):
        return x if isinstance(x, Stream) else checks.table(x), sample_weight, mesh


def traced_status(problem: Problem, status):
    """The status inside a trace, where bad values cannot raise: INVALID or NON_FINITE for them."""
    measured = problem.known.measured
    weights_fine = (measured.lightest >= 0) & (measured.weight > 0) & jnp.isfinite(measured.weight)
    invalid = (measured.outside > 0) | ~weights_fine
    status = jnp.where(invalid, int(Status.INVALID), status)
    return jnp.where(measured.not_finite > 0, int(Status.NON_FINITE), status).astype(jnp.int32)


def concrete(result: FitResult) -> FitResult:
    """The result with plain Python and NumPy scalars."""
    return dataclasses.replace(
        result,
        mixture=jax.tree.map(on_device, result.mixture),
        log_likelihood=np.asarray(result.log_likelihood)[()],
        n_iter=int(result.n_iter),
        status=Status(int(result.status)),
        restarts=np.asarray(result.restarts),
        restart_status=np.asarray(result.restart_status),
    )


def ended_lane(mixture, statistics, log_likelihood, status):
    """The end of a fit that is no batch EM as a lane (1,), from an E-step over all rows; NON_FINITE where that is."""
    status = jnp.where(jnp.isfinite(log_likelihood), status, int(Status.NON_FINITE)).astype(jnp.int32)
    given = {"log_likelihood": log_likelihood, "counts": statistics.counts, "status": status}
    return states.one_lane(dataclasses.replace(em.initial_state(mixture), **given))


def warn_of_floors(result: FitResult, prior, problem: Problem, rows: tuple):
    """A FitWarning where the data do not vary in some direction, and a floor sets the likelihood."""
    message = floors.words(result.mixture, prior, np.asarray(problem.known.frame.inverse) > 0, rows)
    if message:
        warnings.warn(message, FitWarning, stacklevel=7)


def warn(result: FitResult, tol, what: str = "the fit", stacklevel: int = 4, rows=()):
    """A FitWarning with advice, where the status needs one; ``rows`` are x and its weights, or () to look for none."""
    status = result.status
    if status in ADVICE and (status is not Status.MAX_ITER or tol > 0):
        cause = repeats.words(result.mixture, *rows) if rows and status is Status.DEGENERATE else ""
        warnings.warn(f"{what} ended {status.name}: {ADVICE[status]}{cause}", FitWarning, stacklevel=stacklevel)
