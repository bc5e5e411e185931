"""`fit`: where users, maths and loops meet. Checks, dtype, frame, starts, loops, and the way back.

Concrete data drive a few compiled pieces from the host; under a user's ``jit`` or ``vmap`` the same pieces are traced.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import checks
from .data.frame import enter
from .data.mesh import already_there, checked, rewrapped
from .data.padding import filled
from .data.route import goes_to_host
from .data.sources import Stream, opens
from .distributed import agreed, spans
from .families.base import Family
from .init import states, streamed_states
from .init.draws import Start, keys_of
from .init.kmeans import INITIALIZERS
from .mixtures import cast
from .numerics import forward_only
from .numerics.dtypes import compute_dtype, in_precision_of, on_device
from .numerics.host import hosted, on_host
from .numerics.keys import as_key
from .numerics.plain import plain
from .records import FitResult, FitWarning, GaussianPrior, Mixture, Status
from .search import ranking, repeats, stages
from .search.callbacks import Glance
from .search.checkpoints import opened, results_of, take_up
from .search.driver import Driver
from .search.loading import Options, family_of, load
from .search.problem import Problem
from .search.pruning import SEARCHES
from .search.rungs import begun, with_sample

ADVICE = {
    Status.MAX_ITER: "it ended at max_iter before the log-likelihood settled: raise max_iter or tol",
    Status.DECREASED: "the log-likelihood fell: pass float64 data, or scale the features",
    Status.DEGENERATE: (
        "a component is held up by the prior or by less than a row of data, in every start: ask for fewer components, "
        "another family or more starts (n_init)"
    ),
    Status.NON_FINITE: "the log-likelihood is not finite: check the start and the scale of the data",
}


@opens()
@in_precision_of("x")
def fit(
    key,
    x,
    n_components: int,
    *,
    family: str | Family = "full",
    n_init: int = 1,
    init="auto",
    sample_weight=None,
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
    checkpoint=None,
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
        n_init: number of starts; the best that is not degenerate wins.
        init: "k-means++", "kmeans" or "random"; "auto", which takes k-means, random rows and k-means++ in turn, because
            starts of one kind fail alike (the first, and so a single start, is the likeliest of four k-means); a
            callable ``(key, x, sample_weight, k) -> centres (k, d)``; a `Mixture` to start from, or responsibilities
            (n, k).
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
            unless there is so much to do that compiling pays. True compiles, False does not (an error under a trace).
        block_size: rows in flight; default by size.
        callback: called on the host with a `Glance` at the start, after every ``every`` iterations and at the end (see
            `History`, `Progress`); when it returns True the fit stops there. It changes no result.
        verbose: 1 prints a line each time.
        checkpoint: path of a file that says where the fit stands, written every ``checkpoint_every`` iterations (by
            default about every minute) and at the end; the file of another fit is an error.
        resume: go on from that file where it is there, to the same bits; afresh where it is not.
        mesh: a mesh of one axis, ``jax.make_mesh((jax.device_count(),), ("rows",))``: rows are cut over its devices.
            Arrays that are cut so already stay where they are. Where it holds devices of many processes (see
            `jaxgmm.distributed`), every process calls this with its own rows, their weights and responsibilities, and
            else the same arguments, and gets the same result.

    Returns:
        FitResult: components by decreasing weight, unless ``init`` is a mixture or responsibilities. The best so far,
        with ``Status.STOPPED``, where the callback or Ctrl-C left a start unfinished (``DEGENERATE`` where every start
        is). Ctrl-C takes effect within about a second, and before the first iteration it is Python's KeyboardInterrupt.

    Raises:
        ValueError: bad values or shapes, before anything runs. Under a trace, values become `Status` codes. Or
            reverse-mode differentiation: derivatives go forward (`jax.jvp`, `jax.jacfwd`).

    Warns:
        FitWarning: the fit ended degenerate, decreasing, not finite, or at ``max_iter`` with tol > 0.

    Source: Dempster, Laird and Rubin (1977); Böhning et al. (1994) for the stopping rule.
    Cost: O(n·K·d²) an iteration for full covariances, O(n·K·d) for the others.
    """
    x, sample_weight, mesh = on_mesh(x, sample_weight, mesh)
    k = checks.count(n_components, "n_components")
    n_init = checks.count(n_init, "n_init")
    family = family_of(family, x, mesh)
    key = as_key(key)
    with agreed(mesh):
        check_init(init, n_init, x, like=(family, k), in_processes=spans(mesh))
    checks.choice(search, "search", SEARCHES)
    keeper = opened(checkpoint, checkpoint_every, resume, mesh)
    driver = Driver(callback, every, verbose, 1, in_processes=spans(mesh), checkpoint=keeper)
    prior = checks.prior_for(prior, family, compute_dtype(x))
    options = Options(tol, max_iter, accelerate, search, block_size, mesh)
    given = init, sample_weight, prior, tol, max_iter, key
    here = goes_to_host([family], x, n_init, k, *given, compiled=compiled, mesh=mesh)
    with on_host(here, at_once=family.in_numpy):
        [problem] = load(x, sample_weight, k, [(family, prior)], options)
        asked = {"kind": "fit", "n_components": [k], "n_init": n_init, "accelerate": accelerate}
        asked |= {"key": key, "init": init}
        take_up(driver, [problem], [prior], (x, sample_weight, block_size), asked)

        def fitted():
            start = Start(init, n_init, key, np.ones((1, k), bool))
            searched = with_sample(problem, start)
            lanes = first_lanes(searched, start, x, sample_weight)
            ended, left = run(searched, lanes, start.active, driver)
            kept = keeps_order(init)
            return ranking.conclude_one(problem.known, ended, left, keep_order=kept, method=problem.method)

        result = results_of(driver, ranking.template(family), fitted)
    if checks.in_trace(result):
        return forward_only(dataclasses.replace(result, status=traced_status(problem, result.status)))
    result = concrete(result)
    warn(result, tol, stacklevel=5, rows=(x, sample_weight) if mesh is None else ())
    return result if mesh is None else dataclasses.replace(result, mixture=at_home(result.mixture))


def on_mesh(x, sample_weight, mesh):
    """x as an (n, d) array or a stream, weights, and a mesh that is fit to cut rows over."""
    if mesh is None:
        return x if isinstance(x, Stream) else checks.table(x), sample_weight, None
    mesh = checked(mesh)
    if checks.in_trace(x, sample_weight):
        raise ValueError("mesh needs concrete data: call fit outside jit and vmap")
    with agreed(mesh):
        return x if isinstance(x, Stream) else checks.table(x), sample_weight, mesh


def at_home(tree):
    """Values that are the same on all devices of a mesh, on the default one."""
    return jax.tree.map(lambda leaf: on_device(np.asarray(leaf)), tree)


def run(problem: Problem, lanes, active, driver: Driver):
    """First lanes (l,) of the numbers of components in active (m, k) at their ends, or where they were stopped; and
    which of them (l,) a stop left unfinished."""
    if checks.in_trace(problem, lanes):
        if driver.callbacks:
            raise ValueError("callback and verbose need the host: inside jit or vmap leave them out")
        return stages.to_its_end(problem, stages.begin(problem, lanes, active)).lanes, None
    ended = driver.drive(problem, stages.begin(problem, lanes, active, driver.iteration))
    return ended.lanes, ended.running if driver.stopped else np.zeros(len(ended.alive), bool)


def traced_status(problem: Problem, status):
    """Inside a trace, bad values become codes."""
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
    )


def warn(result: FitResult, tol, what: str = "the fit", stacklevel: int = 4, rows=()):
    """One FitWarning that says what to change, where the status calls for one; ``rows`` are x and its weights."""
    status = result.status
    if status in ADVICE and (status is not Status.MAX_ITER or tol > 0):
        cause = repeats.named(result.mixture, *rows) if rows and status is Status.DEGENERATE else ""
        warnings.warn(f"{what} ended {status.name}: {ADVICE[status]}{cause}", FitWarning, stacklevel=stacklevel)


def check_init(init, n_init: int, x, *, like: tuple, in_processes: bool = False):
    """Check what a fit of rows x is to start from; ``like`` is the family and the number of components asked for."""
    family, k = like
    if isinstance(init, str):
        checks.choice(init, "init", INITIALIZERS)
        return
    if callable(init):
        if in_processes:
            raise ValueError("init as a callable would see the rows of one process: pass a name, a Mixture or (n, k)")
        return
    if n_init != 1:
        raise ValueError(f"n_init must be 1 where init is a mixture or responsibilities, got {n_init}")
    if isinstance(init, Mixture):
        checks.mixture_to_start_from(init, x, k, family, "init")
        return
    if not hasattr(init, "shape") and not isinstance(init, (list, tuple)):
        raise ValueError(
            f"init must be one of {', '.join(map(repr, INITIALIZERS))}, a callable, a Mixture or responsibilities "
            f"(n, k), got {init!r}"
        )
    if isinstance(x, Stream):
        raise ValueError("init cannot be responsibilities where rows stream: pass a name, a callable or a Mixture")
    resp = plain(init, "init")
    if resp.shape != (x.shape[0], k):
        raise ValueError(f"init must hold responsibilities of shape {(x.shape[0], k)}, got {resp.shape}")
    if not checks.in_trace(resp):
        values = np.asarray(resp)
        if not (np.isfinite(values).all() and (values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-4)):
            raise ValueError("init must hold responsibilities >= 0 whose rows sum to 1")


def first_lanes(problem: Problem, start: Start, x, sample_weight):
    """First lanes of the starts; x and its weights are as the caller gave them."""
    init, k, family, dtype = start.init, start.k, problem.family, problem.rows.dtype
    if isinstance(init, str):
        return begun(problem, start)
    begins = streamed_states if problem.streams else states
    problem = dataclasses.replace(problem, rows=problem.rows.cut(family.moments, k, start.r))
    if callable(init):
        with on_host(False):  # the function may use JAX
            every = keys_of(start.key, start.r)
            given = [init(every[i], x, sample_weight, k) for i in range(start.r)]
            centres = [jnp.asarray(checks.centres(some, (k, x.shape[1]), "init"), dtype) for some in given]
        layout = None if problem.streams else problem.rows.layout
        stack = jnp.stack if layout is None and not hosted() else lambda arrays: np.stack(list(map(np.asarray, arrays)))
        return begins.begin_at(problem, stack(centres), start.active[0])
    if isinstance(init, Mixture):
        return states.begin_from(problem, _framed(cast(init, dtype), problem))
    return states.begin_with(problem, _placed(plain(init, "init").astype(dtype), problem.rows))


def _framed(mixture: Mixture, problem: Problem) -> Mixture:
    """A mixture to start from, in the frame of the rows and where they lie."""
    frame = problem.rows.frame
    if hosted():
        mixture = jax.tree.map(np.asarray, mixture)
    elif not problem.streams and problem.rows.layout is not None:  # values of one device and of all do not mix
        mixture, frame = at_home((mixture, frame))
    return dataclasses.replace(mixture, components=enter(mixture.components, frame))


def _placed(resp, rows):
    """Responsibilities (n, k) where the rows lie."""
    if hosted():
        return np.asarray(resp)
    if rows.layout is not None:
        return rewrapped(resp, rows.layout) if already_there(resp, rows.layout.mesh) else rows.layout.put(resp)
    return filled(resp, rows.x.shape[0])


def keeps_order(init) -> bool:
    """Whether the components of a result stand as those it started from."""
    return not isinstance(init, str) and not callable(init)
