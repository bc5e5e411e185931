"""`fit_many`: thousands of data sets fitted in one program.

The answers are those of ``vmap`` of `fit`. Under a plain vmap every data set costs as many iterations as the slowest
one; here a fit that stops makes room for the next.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from . import checks, em
from .data import summary
from .data.arrays import Rows, block_bytes, block_rows, in_groups
from .data.frame import Frame
from .data.padding import TOGETHER, few_sizes, on_host, padded, padded_sets
from .em import NEVER, Limits
from .em.loop import Packed, pack, run, unpack
from .em.squarem import METHODS, method_of
from .families.base import Family
from .init import states
from .init.kmeans import INITIALIZERS
from .numerics import forward_only
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, in_precision_of, numbers, on_device
from .numerics.keys import as_key
from .numerics.plain import plain
from .records import FitResult, GaussianPrior, record
from .search import ranking
from .search.problem import family_of
from .search.pruning import SEARCHES, finish
from .search.stages import both_forms


@record
class Loaded:
    """What is known of every data set before its fit; leaves lead with b."""

    frame: Frame
    measured: summary.Measured
    prior: GaussianPrior


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
    prior = checks.prior_for(prior, family, dtype)
    weight = _weights(sample_weight, (b, n), dtype, k)

    limits = Limits(numbers(tol, dtype), numbers(max_iter, np.int32), NEVER)
    key, prior, method = as_key(key), numbers(prior, dtype), method_of(accelerate, family)
    if not traced:
        x, weight = padded(x, weight, padded_sets(b), few_sizes(n))
    x, weight = on_device(x), on_device(weight)

    def begin(some):
        return _begin(*some, family, init, k, r, key, prior, str(dtype), method)

    loaded, lanes = _by_groups(begin, (x, weight), traced)
    traced = checks.in_trace(x, weight, loaded)  # also where x was closed over
    if not traced:
        _check_values(x, family, loaded.measured)

    def stage(form, lanes, alive, limits, on_fall):
        return _iterate(lanes, alive, x, weight, loaded, limits, family, method, form, on_fall)

    reach = both_forms(_has_two(family, d), stage, limits, traced)
    lanes = finish(reach, _in_row(lanes), loaded.measured.weight, limits, len(x), search, traced)
    lanes = lanes if traced else jax.tree.map(np.asarray, lanes)  # or a program would be compiled for the next line
    lanes = jax.tree.map(lambda leaf: leaf.reshape(len(x), r, -1), lanes)
    result = _by_groups(lambda some: _conclude(*some, method), (loaded, lanes), traced)
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


@compiled("family", "init", "k", "r", "dtype", "method")
def _begin(x, weight, family, init, k, r, key, prior, dtype, method):
    """What is known of every data set, and first lanes (b, r)."""
    active = jnp.ones((1, k), bool)

    def one(x, weight):
        rows, measured, framed = summary.measure(x, weight, prior, family, dtype, x.shape[0])
        lanes = states.begin(rows, family, init, k, r, key, active, framed, method)
        return Loaded(rows.frame, measured, framed), pack(lanes)

    return jax.vmap(one)(x, weight)


def _in_row(lanes: Packed) -> Packed:
    """Lanes (b, r) as lanes (b·r,)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), lanes)


def _has_two(family: Family, d: int) -> bool:
    """Whether EM is done in two forms: of one feature the accurate one is no more work, and one program does."""
    return family.accurate is not family.moments and d > 1


@compiled("family", "method", "form", "on_fall")
def _iterate(packed, alive, x, weight, loaded, limits, family, method, form, on_fall):
    lanes = unpack(packed)
    if form == "accurate" and _has_two(family, x.shape[2]):
        lanes = jax.vmap(functools.partial(em.resume_accurately, method))(lanes)
    (b, n, d), counts = x.shape, method.state_of(lanes).counts
    (count, k), dtype = counts.shape, counts.dtype
    chosen, r = getattr(family, form), count // b
    width = chosen.width(d, k)
    most = block_bytes()[0] // 2  # where every slot has rows of its own, half is faster: benchmarks/profile.md
    slots = int(np.clip(most // (n * width * dtype.itemsize), 8, 1024))
    block = block_rows(n, width, dtype.itemsize)

    def problem(lane):
        i = lane // r
        here = jax.tree.map(lambda leaf: leaf[i], loaded)
        rows = Rows(x[i], weight[i], here.frame, block, str(dtype))
        return rows, here.prior, here.measured.left_out(family, chosen)

    lanes, _, _ = run(problem, chosen, method, lanes, alive, limits, on_fall, slots)
    stand = jax.vmap(functools.partial(ranking.standing, method), (0, None, 0))
    return pack(lanes), stand(lanes, jnp.ones(k, bool), jnp.repeat(loaded.measured.heaviest, r))


@compiled("method")
def _conclude(loaded, lanes, method):
    def one(here, lanes):
        weight, heaviest = here.measured.weight, here.measured.heaviest
        return ranking.conclude_one(here.frame, weight, unpack(lanes), heaviest, False, method)

    return jax.vmap(one)(loaded, lanes)


def _by_groups(function, sets, traced: bool):
    """``function`` of data sets (b, ...), of `TOGETHER` at a time: one program, however many there are."""
    if traced:
        return in_groups(lambda one: jax.tree.map(lambda leaf: leaf[0], function(states.one_lane(one))), sets, TOGETHER)
    begins = range(0, jax.tree.leaves(sets)[0].shape[0], TOGETHER)
    parts = [function(jax.tree.map(lambda leaf, i=i: leaf[i : i + TOGETHER], sets)) for i in begins]
    join = jnp.concatenate if checks.in_trace(parts) else np.concatenate
    return jax.tree.map(lambda *leaves: join(leaves), *parts)
