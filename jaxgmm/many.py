"""`fit_many`: thousands of data sets fitted in one program.

The results are those of ``vmap`` of `fit`. Under ``vmap`` every data set takes as many iterations as the slowest one;
here the next fit begins where one has stopped.
"""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from . import checks, implicit
from .calls import public
from .data.padding import few_sizes, on_host, padded, padded_sets
from .data.route import goes_to_host
from .em.squarem import method_of
from .families.base import Family
from .init.draws import Start
from .init.kmeans import INITIALIZERS
from .numerics import host
from .numerics.derivatives import held
from .numerics.dtypes import compute_dtype, in_precision_of, numbers, on_device
from .numerics.keys import Key, as_key
from .numerics.plain import plain
from .records import FitResult, GaussianPrior
from .search import data_sets, stages
from .search.data_sets import DataSets
from .search.loading import Options, family_of


@public
@in_precision_of("x")
def fit_many(
    key: Key,
    x: Any,
    n_components: int,
    *,
    family: str | Family = "full",
    n_init: int = 1,
    init: str = "auto",
    sample_weight: ArrayLike | None = None,
    prior: GaussianPrior | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    accelerate: str = "auto",
    search: str = "pruned",
    compiled: bool | None = None,
) -> FitResult:
    """The fit of every data set in x: the answers of ``vmap(lambda x, w: fit(key, x, K, sample_weight=w))``.

    Args:
        key: a JAX key or an int seed: every data set draws with the same key, as under ``vmap``.
        x: (b, n, d): b data sets of n rows. Pad shorter ones with any legal rows of weight 0.
        sample_weight: (b, n) weights >= 0, as frequencies; 0 for rows of padding. Default 1.
        n_components, family, n_init, init, prior, tol, max_iter, accelerate, search, compiled: as in `jaxgmm.fit`;
            init is a name.

    Returns:
        FitResult: every leaf leads with b; ``status`` (b,) int32 holds `Status` values, ``restarts`` is (b, n_init).

    Raises:
        ValueError: bad shapes, or values in concrete data; it names the data set.

    Cost: that of the single fits, each of as many iterations as it needs.
    """
    x = on_host(plain(x))
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"x must have shape (b, n, d), none of them 0, got {x.shape}")
    traced = checks.in_trace(x, sample_weight)
    checks.table(x[0])
    b, n, d = x.shape
    k, r = checks.count(n_components, "n_components"), checks.count(n_init, "n_init")
    checks.enough_rows(n, k)
    family = family_of(family, x.reshape(b * n, d) if not traced else x)
    init = checks.choice(init if isinstance(init, str) else repr(init), "init", INITIALIZERS)
    options, dtype = Options(tol, max_iter, accelerate, search).checked(), compute_dtype(x)
    accelerate, search = options.accelerate, options.search
    prior = numbers(checks.prior_for(prior, family, dtype), dtype)
    smooth = implicit.Smooth.of(x, sample_weight, prior, family) if checks.in_trace(x, sample_weight, prior) else None
    x, sample_weight, prior = held((x, sample_weight, prior))
    traced = checks.in_trace(x, sample_weight)
    weight, start = _weights(sample_weight, (b, n), dtype, k), Start(init, r, as_key(key), np.ones((1, k), bool))
    rule = options.limits(dtype), family, method_of(accelerate, family), search
    given = weight, tol, max_iter, prior, start.key
    with host.on_host(goes_to_host([family], x, r, k, *given, compiled=compiled), at_once=family.in_numpy):
        if host.hosted():
            x, weight = np.asarray(x), np.asarray(weight)
        else:
            x, weight = map(on_device, (x, weight) if traced else padded(x, weight, padded_sets(b), few_sizes(n)))
        sets, lanes = data_sets.begin(DataSets(x, weight, None, *rule), start, prior, traced)
        traced = checks.in_trace(sets)  # also where x was closed over
        if not traced:
            _check_values(x, family, sets.known.measured)
        search = stages.begin(sets, lanes, np.ones((len(x), k), bool))
        result = data_sets.conclude(sets, stages.to_its_end(sets, search).lanes, traced)
    if not checks.in_trace(result):
        result = jax.tree.map(lambda leaf: on_device(leaf[:b]), result)
    if smooth is None:
        return result
    frames = jax.tree.map(lambda leaf: leaf[:b], sets.known.frame)
    return jax.vmap(implicit.differentiable, (0, 0, implicit.Smooth(0, 0, None)))(result, frames, smooth)


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
            checks.row_values(
                np.asarray(x[which]),
                family,
                jax.tree.map(lambda leaf: leaf[which] if np.ndim(leaf) else leaf, measured),
            )
        except ValueError as error:
            raise ValueError(f"data set {which}: {error}") from None
