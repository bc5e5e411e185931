"""`fit_many`: thousands of data sets fitted in one program.

The answers are those of ``vmap`` of `fit`. Under a plain vmap every data set costs as many iterations as the slowest
one; here a fit that stops makes room for the next.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import checks
from .data.arrays import Rows, block_bytes, in_groups
from .data.frame import unit_frame
from .data.padding import TOGETHER, few_sizes, on_host, padded, padded_sets
from .data.summary import Known, measure
from .em import Limits, Method
from .em.loop import Packed, pack, unpack
from .em.loop import on_device as iterate_on_device
from .em.squarem import METHODS, method_of
from .families.base import Family
from .init import states
from .init.kmeans import INITIALIZERS
from .init.states import Start
from .numerics import forward_only
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, in_precision_of, numbers, on_device
from .numerics.keys import as_key
from .numerics.plain import plain
from .records import FitResult, GaussianPrior, record, static
from .search import ranking
from .search.loading import Options, family_of
from .search.problem import ACCURATE, MOMENTS, Problem, form_of, resumed
from .search.pruning import SEARCHES
from .search.stages import begin as begin_search
from .search.stages import to_its_end


@record
class DataSets:
    """A problem of its own for every data set: x (b, n, d), weights (b, n), and what is known of each (b, ...)."""

    x: Any
    weight: Any
    known: Known
    limits: Limits
    family: Family = static()
    method: Method = static()
    search: str = static()

    @property
    def forms(self) -> tuple:
        """Of one feature the accurate form is no more work than both, and one program does."""
        two = self.family.accurate is not self.family.moments and self.x.shape[2] > 1
        return (MOMENTS, ACCURATE) if two else (ACCURATE,)

    def until(self, pause) -> "DataSets":
        return dataclasses.replace(self, limits=dataclasses.replace(self.limits, pause=pause))

    def slots(self, form: int, k: int, lanes: int, in_trace: bool) -> int:
        _, n, d = self.x.shape
        most = block_bytes()[0] // 2  # where every slot has rows of its own, half is faster: benchmarks/profile.md
        width = form_of(self.family, form).width(d, k)
        return int(np.clip(most // (n * width * self.known.frame.scale.dtype.itemsize), 8, 1024))

    def one(self, i) -> Problem:
        """The problem of one of the data sets."""
        known, n = jax.tree.map(lambda leaf: leaf[i], self.known), self.x.shape[1]
        rows = Rows(self.x[i], self.weight[i], known.frame, n, str(known.frame.scale.dtype))
        return Problem(rows, known, self.limits, self.family, self.method, self.search)

    def run(self, search, form: int, rounds):
        return _iterate(self, search, form, rounds)


@in_precision_of("x")
def fit_many(
    key,
    x,
    n_components: int,
    *,
    family: str | Family = "full",
    n_init: int = 1,
    init: str = "auto",
    sample_weight=None,
    prior: GaussianPrior | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    accelerate: str = "auto",
    search: str = "pruned",
) -> FitResult:
    """The fit of every data set in x: the answers of ``vmap(lambda x, w: fit(key, x, K, sample_weight=w))``.

    Args:
        key: a JAX key or an int seed: every data set draws with the same key, as under ``vmap``.
        x: (b, n, d): b data sets of n rows. Shorter ones are filled up with any legal rows of weight 0.
        sample_weight: (b, n) weights >= 0, as frequencies; 0 for rows that only fill up. Default 1.
        n_components, family, n_init, init, prior, tol, max_iter, accelerate, search: as in `jaxgmm.fit`; init is a
            name.

    Returns:
        FitResult: every leaf leads with b; ``status`` (b,) int32 holds `Status` values, ``restarts`` is (b, n_init).

    Raises:
        ValueError: bad shapes, or values in concrete data; it names the data set.

    Cost: that of the single fits, of as many iterations as each needs.
    """
    x = on_host(plain(x))
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"x must have shape (b, n, d), none of them 0, got {x.shape}")
    traced = checks.in_trace(x, sample_weight)
    checks.table(x[0])
    b, n, d = x.shape
    k, r = checks.count(n_components, "n_components"), checks.count(n_init, "n_init")
    if n < k:
        raise ValueError(f"n_components={k} needs at least as many rows, got {n}: ask for fewer components")
    family = family_of(family, x.reshape(b * n, d) if not traced else x)
    checks.choice(init if isinstance(init, str) else repr(init), "init", INITIALIZERS)
    checks.choice(accelerate, "accelerate", METHODS)
    checks.choice(search, "search", SEARCHES)
    checks.number(tol, "tol")
    if not checks.in_trace(max_iter):
        checks.count(max_iter, "max_iter", least=0)
    dtype = compute_dtype(x)
    prior = numbers(checks.prior_for(prior, family, dtype), dtype)
    weight, key = _weights(sample_weight, (b, n), dtype, k), as_key(key)
    if not traced:
        x, weight = padded(x, weight, padded_sets(b), few_sizes(n))
    x, weight = on_device(x), on_device(weight)

    rule = Options(tol, max_iter).limits(dtype), family, method_of(accelerate, family), search
    start = Start(init, r, key, np.ones((1, k), bool))
    known, lanes = _by_groups(lambda some: _begin(DataSets(*some, None, *rule), start, prior), (x, weight), traced)
    problem = DataSets(x, weight, known, *rule)
    traced = checks.in_trace(problem)  # also where x was closed over
    if not traced:
        _check_values(x, family, known.measured)

    every = np.ones((len(x), k), bool)
    ended = to_its_end(problem, begin_search(problem, _in_row(lanes), every)).lanes
    ended = ended if traced else jax.tree.map(np.asarray, ended)  # or a program would be compiled for the next line
    ended = jax.tree.map(lambda leaf: leaf.reshape(len(x), r, -1), ended)
    result = _by_groups(lambda some: _conclude(*some, problem.method), (known, ended), traced)
    if checks.in_trace(result):
        return forward_only(result)
    return jax.tree.map(lambda leaf: on_device(leaf[:b]), result)


def _weights(sample_weight, shape, dtype, k):
    if sample_weight is None:
        return np.ones(shape, dtype)
    sample_weight = plain(sample_weight, "sample_weight")
    if sample_weight.shape != shape:
        raise ValueError(f"sample_weight must have shape {shape}, one weight a row of x, got {sample_weight.shape}")
    flat = checks.weights(sample_weight.reshape(-1), shape[0] * shape[1], dtype)
    if not checks.in_trace(flat):
        values = np.asarray(flat).reshape(shape)
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            which, row = np.argwhere(wrong)[0]
            raise ValueError(
                f"sample_weight must be finite and >= 0; data set {which}, row {row} has {values[which, row]}"
            )
        few = (values > 0).sum(axis=1) < k
        if few.any():
            raise ValueError(
                f"n_components={k} needs at least as many rows of positive weight; data set {int(np.argmax(few))} has "
                f"{int((values > 0).sum(axis=1)[np.argmax(few)])}: ask for fewer components"
            )
    return flat.reshape(shape)


def _check_values(x, family, measured):
    bad = np.asarray(measured.not_finite) + np.asarray(measured.outside) > 0
    if bad.any():
        which = int(np.argmax(bad))
        try:
            checks.row_values(np.asarray(x[which]), family, jax.tree.map(lambda leaf: leaf[which], measured))
        except ValueError as error:
            raise ValueError(f"data set {which}: {error}") from None


@compiled()
def _begin(some: DataSets, start: Start, prior):
    """What is known of every one of some data sets, and first lanes (b, r)."""
    n, d = some.x.shape[1:]
    dtype = str(some.weight.dtype)

    def one(x, weight):
        raw = Rows(x, weight, unit_frame(d, dtype), n, dtype)
        known = measure(raw, prior, some.family)
        rows = dataclasses.replace(raw, frame=known.frame)
        problem = Problem(rows, known, some.limits, some.family, some.method, some.search)
        return known, pack(states.begin(problem, start))

    return jax.vmap(one)(some.x, some.weight)


def _in_row(lanes: Packed) -> Packed:
    """Lanes (b, r) as lanes (b·r,)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), lanes)


@compiled("form")
def _iterate(problem: DataSets, search, form: int, rounds):
    """As `Problem.run`: the lanes of a data set have its rows to themselves."""
    lanes, count = unpack(search.lanes), search.alive.shape[0]
    if form == ACCURATE and len(problem.forms) > 1:
        lanes = resumed(problem.method, lanes)
    r, k = count // search.groups, search.active.shape[1]

    def one(lane):
        own = problem.one(lane // r)
        return own.rows.cut(form_of(own.family, form), k, 1), own.task(form)

    lanes, queue, made = iterate_on_device(one, lanes, search.alive, search.queue, rounds)
    stand = jax.vmap(functools.partial(ranking.standing, problem.method), (0, None, 0))
    stands = stand(lanes, jnp.ones(k, bool), jnp.repeat(problem.known.measured.heaviest, r))
    return pack(lanes), stands, queue, made


@compiled("method")
def _conclude(known, lanes, method):
    return jax.vmap(lambda known, lanes: ranking.conclude_one(known, unpack(lanes), method=method))(known, lanes)


def _by_groups(function, sets, traced: bool):
    """``function`` of data sets (b, ...), of `TOGETHER` at a time: one program, however many there are."""
    if traced:
        return in_groups(lambda one: jax.tree.map(lambda leaf: leaf[0], function(states.one_lane(one))), sets, TOGETHER)
    begins = range(0, jax.tree.leaves(sets)[0].shape[0], TOGETHER)
    parts = [function(jax.tree.map(lambda leaf, i=i: leaf[i : i + TOGETHER], sets)) for i in begins]
    join = jnp.concatenate if checks.in_trace(parts) else np.concatenate
    return jax.tree.map(lambda *leaves: join(leaves), *parts)
