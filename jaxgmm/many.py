"""`fit_many`: thousands of data sets fitted in one program.

The answers are those of ``vmap`` of `fit`. Under a plain vmap every data set costs as many iterations as the slowest
one; here a fit that stops makes room for the next.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from . import checks, em, measuring, outcome, starting
from .accelerate import METHODS, method_of
from .compiling import compiled
from .drivers.memory import Rows, block_bytes, block_rows, in_groups, run
from .em import NEVER, Limits
from .family import Family
from .frame import Frame
from .inference import as_key
from .initializers import INITIALIZERS
from .loading import family_of
from .numerics import forward_only
from .plain import plain
from .precision import compute_dtype, in_precision_of, numbers, on_device
from .pruning import SEARCHES, finish
from .records import FitResult, GaussianPrior, record
from .restarts import both_forms

TOGETHER = 64  # data sets measured and started at a time


@record
class Loaded:
    """What is known of every data set before its fit; leaves lead with b."""

    frame: Frame
    measured: measuring.Measured
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
    x = plain(x)
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
    x, weight, method = on_device(x), on_device(weight), method_of(accelerate, family)
    loaded, lanes = _begin(x, weight, family, init, k, r, as_key(key), numbers(prior, dtype), str(dtype), method)
    traced = checks.in_trace(x, weight, loaded)  # also where x was closed over
    if not traced:
        _check_values(x, family, loaded.measured)

    def stage(form, lanes, alive, limits, on_fall):
        return _iterate(lanes, alive, x, weight, loaded, limits, family, method, form, on_fall)

    reach = both_forms(family, stage, limits, traced)
    lanes = finish(reach, lanes, loaded.measured.weight, limits, b, search, traced)
    result = _conclude(loaded, lanes, method)
    if checks.in_trace(result):
        return forward_only(result)
    return jax.block_until_ready(result)  # x may be the caller's own memory


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
    bad = np.asarray((measured.not_finite > 0) | (measured.outside > 0))
    if bad.any():
        which = int(np.argmax(bad))
        try:
            checks.row_values(np.asarray(x[which]), family, jax.tree.map(lambda leaf: leaf[which], measured))
        except ValueError as error:
            raise ValueError(f"data set {which}: {error}") from None


@compiled("family", "init", "k", "r", "dtype", "method")
def _begin(x, weight, family, init, k, r, key, prior, dtype, method):
    """What is known of every data set, and first lanes (b·r,)."""
    active = jnp.ones((1, k), bool)

    def one(data):
        x, weight = data
        rows, measured, framed = measuring.measure(x, weight, prior, family, dtype, x.shape[0])
        return Loaded(rows.frame, measured, framed), starting.begin(
            rows, family, init, k, r, key, active, framed, method
        )

    loaded, lanes = in_groups(one, (x, weight), TOGETHER)
    return loaded, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), lanes)


@compiled("family", "method", "form", "on_fall")
def _iterate(lanes, alive, x, weight, loaded, limits, family, method, form, on_fall):
    if form == "accurate":
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
    stand = jax.vmap(functools.partial(outcome.standing, method), (0, None, 0))
    return lanes, stand(lanes, jnp.ones(k, bool), jnp.repeat(loaded.measured.heaviest, r))


@compiled("method")
def _conclude(loaded, lanes, method):
    def one(data):
        here, lanes = data
        return outcome.conclude_one(here.frame, here.measured.weight, lanes, here.measured.heaviest, False, method)

    lanes = jax.tree.map(lambda leaf: leaf.reshape(loaded.measured.heaviest.shape[0], -1, *leaf.shape[1:]), lanes)
    return in_groups(one, (loaded, lanes), TOGETHER)
