"""`select`: fits of every family with every number of components, ranked by a criterion.

Many K of a family share one program, in which components of padding have log weight -inf.
"""

import dataclasses
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from . import checks
from .calls import public
from .criteria import Certainties
from .data.frame import unit_frame
from .data.mesh import per_shard
from .data.route import goes_to_host
from .data.sources import Stream, opens
from .distributed import alike, spans
from .em.squarem import METHODS
from .families.base import Family
from .fitting import concrete, named, on_mesh, warn
from .inference import n_parameters
from .init.draws import Start
from .init.kmeans import INITIALIZERS
from .numerics.compiling import compiled as compiled_function
from .numerics.dtypes import compute_dtype, in_precision_of
from .numerics.host import hosted, on_host
from .numerics.keys import Key, as_key
from .records import FitResult, FitWarning, GaussianPrior, Selection, Status
from .search import floors, ranking
from .search.callbacks import Glance
from .search.checkpoints import begin_checkpoint, opened
from .search.driver import Driver
from .search.loading import Options, family_of, load
from .search.problem import Problem
from .search.pruning import SEARCHES
from .search.rungs import begun, with_sample

CRITERIA = ("bic", "aic", "icl")
FEW_ROWS = 10_000  # below, one program for all K of a family


@public
@opens
@in_precision_of("x")
def select(
    key: Key,
    x: Any,
    n_components: int | Iterable[int],
    *,
    families: str | Family | Iterable[str | Family] = ("full", "tied", "diag", "spherical"),
    criterion: str = "bic",
    n_init: int = 10,
    init: str = "auto",
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
) -> Selection:
    """The fits of every family and K, and the best of them by a criterion. A host function.

    Args:
        key: a JAX key or an int seed. Every fit of the grid is that of `fit` with the same key.
        x: (n, d) concrete rows, or rows that stream, as in `fit`.
        n_components: the numbers of components, an iterable of ints. Those above the number of rows (of positive
            weight) are left out; all of them are an error.
        families: names or `Family` records, or one of them.
        criterion: "bic", "aic" or "icl"; lower is better.
        n_init: number of starts of every fit: ten, where `fit` has one, because a fit at a poor optimum would spoil the
            comparison.
        init, sample_weight, prior, tol, max_iter, accelerate, search, compiled, block_size: as in `fit`; init is a
            name. The prior goes to the Gaussian families.
        callback, every, verbose: as in `fit`; when the callback returns True, the whole sweep stops.
        checkpoint, checkpoint_every, resume: as in `fit`; the file holds the whole sweep.
        mesh: as in `fit`.

    Returns:
        Selection: ``best``, ``table`` (dicts of plain values, families outermost), ``results`` in the same order.
        Degenerate fits rank last, failed ones after them. A sweep that was stopped, by the callback or Ctrl-C, has a
        row for every fit that began: STOPPED, with the best so far, where it had not ended. Fits not begun are left
        out; where none had begun, Ctrl-C is Python's KeyboardInterrupt.

    Raises:
        ValueError: bad values or shapes, before anything runs. Or a constant column, where families with a variance
            for each feature would be compared with others by the height of a floor.

    Warns:
        FitWarning: the best fit ended badly, there are fewer rows than the largest K, or Σ w is below it. Or columns
            are collinear: fits of whole covariances then rank behind the others, of which no floor sets the likelihood.
    """
    columns = checks.names_of(x)
    x, sample_weight, mesh = on_mesh(x, sample_weight, mesh)
    if checks.in_trace(x, sample_weight):
        raise ValueError("select is a host function: it needs concrete data; use fit inside jit or vmap")
    ks = _grid(n_components)
    families = [families] if isinstance(families, (str, Family)) else list(families)
    if not families:
        raise ValueError("families must name at least one family")
    criterion, search = checks.choice(criterion, "criterion", CRITERIA), checks.choice(search, "search", SEARCHES)
    init = checks.choice(init if isinstance(init, str) else repr(init), "init", INITIALIZERS)
    accelerate = checks.choice(accelerate, "accelerate", METHODS)
    n_init = checks.count(n_init, "n_init")
    families = [family_of(family, x, mesh) for family in families]
    key = as_key(key)
    dtype = compute_dtype(x)
    given_prior = prior
    models = [(family, checks.prior_for(prior if family.located else None, family, dtype)) for family in families]
    if spans(mesh):
        alike([len(ks), min(ks), max(ks)])
    lanes, mean_k = len(ks) * n_init, sum(ks) // len(ks)
    in_numpy = goes_to_host(families, x, lanes, mean_k, compiled=compiled, mesh=mesh)
    options = Options(tol, max_iter, accelerate, search, block_size, mesh)
    rows = (x, sample_weight) if mesh is None and not isinstance(x, Stream) else ()
    with on_host(in_numpy, at_once=all(family.in_numpy for family in families)):
        problems = load(x, sample_weight, min(ks), models, options)
        ks = within(ks, int(problems[0].known.measured.positive), stacklevel=6)
        flat = None if floors.has_width(given_prior) else floors.Flat.of(problems, [prior for _, prior in models], rows)
        if flat:
            flat.refuse_to_compare(columns)
        groups = _groups(ks, x.shape[0] if mesh is None else problems[0].rows.n_everywhere)

        fits = {}
        file, n_fits = opened(checkpoint, checkpoint_every, resume, mesh), len(families) * len(ks)
        driver = Driver(callback, every, verbose, n_fits, in_processes=spans(mesh), checkpoint=file)
        asked = {"kind": "select", "n_components": ks, "n_init": n_init, "accelerate": accelerate}
        asked |= {"key": key, "init": init}
        begin_checkpoint(driver, problems, [prior for _, prior in models], (x, sample_weight, block_size), asked)
        try:
            for problem, group in itertools.product(problems, groups):
                active = np.arange(max(group)) < np.array(group)[:, None]  # (m, k)
                done = _fits(problem, Start(init, n_init, key, active), group, driver)
                fits |= {(problem.family, k): found for k, found in done.items()}
                driver.fits_done += len(group)
                if driver.stopped:
                    break
        except KeyboardInterrupt:  # between two searches; a second Ctrl-C, after the driver has stopped, goes through
            if driver.stopped or not fits:
                raise
    found = [fits[family, k] for family in families for k in ks if (family, k) in fits]
    results = [named(result, columns) for result, _ in found]
    weight = float(problems[0].known.measured.weight)
    table = [_row(result, weight, certainty) for result, certainty in found]

    if weight < max(ks):
        warnings.warn(
            f"the weights sum to {weight:g}, less than n_components={max(ks)}: weights are frequencies; scale them to "
            "sum to the number of rows",
            FitWarning,
            stacklevel=5,
        )
    by_floor = [flat is not None and flat.sets_likelihood(result) for result in results]
    values = [row[criterion] if np.isfinite(row[criterion]) else np.inf for row in table]
    best = min(range(len(table)), key=lambda i: (_rank(results[i].status), by_floor[i], values[i]))
    message = flat.words(results, by_floor, best) if flat else ""
    if message:
        warnings.warn(message, FitWarning, stacklevel=5)
    warn(results[best], tol, "the best fit", stacklevel=6, rows=rows)
    return Selection(results[best], table, results, criterion)


def within(ks: list[int], rows: int, stacklevel: int = 3) -> list[int]:
    """The numbers of components that so many rows of positive weight allow, at least the smallest; warns of others."""
    kept = [k for k in ks if k <= max(rows, min(ks))]
    if len(kept) < len(ks):
        left_out = ", ".join(str(k) for k in ks if k not in kept)
        warnings.warn(
            f"n_components={left_out} left out: {rows} rows of positive weight allow at most as many components",
            FitWarning,
            stacklevel=stacklevel,
        )
    return kept


def _grid(n_components) -> list[int]:
    if isinstance(n_components, (int, np.integer)):
        n_components = [n_components]
    ks = [checks.count(k, "n_components") for k in n_components]
    if not ks:
        raise ValueError("n_components must hold at least one number")
    return ks


def _groups(ks: list[int], n: int) -> list[list[int]]:
    """Groups of numbers of components. Each group is one search, in which all are padded to the largest.

    Few rows make one group, because a program, or a call of NumPy, costs more than padding. Many rows make as few
    groups as keep padding below a third of the work; on the host, without programs, every number is its own group.
    """
    if n < FEW_ROWS:
        return [ks]
    if hosted():
        return [[k] for k in ks]
    ks = sorted(set(ks), reverse=True)

    @functools.cache
    def least(first: int, groups: int) -> tuple[int, list[list[int]]]:
        """The least work of the numbers from ``first`` on in so many groups, and the groups."""
        if groups == 1:
            return (len(ks) - first) * ks[first], [ks[first:]]
        ways = []
        for cut in range(first + 1, len(ks) - groups + 2):
            work, rest = least(cut, groups - 1)
            ways.append(((cut - first) * ks[first] + work, [ks[first:cut], *rest]))
        return min(ways)

    partitions = (least(0, groups) for groups in range(1, len(ks) + 1))
    return next(groups for work, groups in partitions if 2 * work < 3 * sum(ks))


def _fits(problem: Problem, start: Start, ks: list[int], driver: Driver) -> dict:
    """For every K its result and the certainty of its labels (`criteria`), by one search."""
    concluded, fits = driver.concluded((ranking.template(problem.family), 0.0)), {}
    if concluded is None:
        searched = with_sample(problem, start)
        ended, left = driver.drive(searched, begun(searched, start), start.active)
        results = ranking.conclude(problem.known, ended, start.active, left, method=problem.method)
        concluded = driver.conclude((results, _certainties(problem.rows, results.mixture)))
    concluded = jax.tree.map(np.asarray, concluded)
    for i, k in enumerate(ks):
        result, certainty = jax.tree.map(lambda leaf, i=i: leaf[i], concluded)
        result = dataclasses.replace(result, mixture=ranking.first_components(result.mixture, k))
        fits[k] = concrete(result), float(certainty)
    return fits


def _certainties(rows, mixtures):
    """The certainty of the labels under each of these mixtures (m,), which are in the data's own units."""
    family, k = mixtures.family, mixtures.log_weights.shape[1]
    rows = dataclasses.replace(rows, frame=unit_frame(rows.d, rows.dtype)).cut(family.accurate, k, 1)
    return (_summed_on_device if rows.in_program else _summed)(rows, mixtures)


def _summed(rows, mixtures):
    return rows.sum(Certainties(mixtures))[0]


_summed_on_device = compiled_function()(per_shard(_summed))


def _row(result: FitResult, weight: float, certainty: float) -> dict:
    """A row of the table; ``weight`` is Σ w."""
    p, value = n_parameters(result.mixture), float(result.log_likelihood)
    bic = -2 * value + p * float(np.log(weight))
    return {
        "family": result.mixture.family.name,
        "n_components": result.mixture.n_components,
        "log_likelihood": value,
        "n_parameters": p,
        "bic": bic,
        "aic": -2 * value + 2 * p,
        "icl": bic - 2 * certainty,
        "status": result.status.name,
    }


def _rank(status: Status) -> int:
    """0 for fits that ended well, and the higher the worse the end."""
    ranks = {Status.STOPPED: 0, Status.DEGENERATE: 1, Status.DECREASED: 2}
    return ranks.get(status, 0 if status < Status.DECREASED else 3)
