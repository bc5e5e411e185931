"""Independent features that hold integer codes.

    log p(x) = Σ_j log p_j,x_j             the features are one-hot codes (d·c of them)

The codes are options of the family: a tuple for each feature, or one tuple for all. Probabilities are in the order of
the codes, and c is the largest number of codes of a feature. The table of codes (d, c) ends in NaN, which equals no
value, for a feature with fewer.

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.3.3 and exercise 9.19.
"""

import functools
import itertools
import operator
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from ..numerics import keep_empty, pooled, safe_log
from ..numerics.backend import xp
from ..records import record
from .base import Constraint, Family, Support, exponential_family, parameter
from .forms import Natural
from .margins import Margins, sliced

EXACT = 2**53  # from here on float64 does not tell integers apart
LISTED = 200  # characters of the codes in an error message


@record
class Categorical:
    """Probabilities of every code, (k, d, c), summing to 1 over the last axis."""

    probs: Any = parameter("kdc", Constraint.SIMPLEX)


@record
class CategoricalCounts:
    """Σ r [x = code], (k, d·c)."""

    codes: Any


def table(codes, dtype):
    """The codes of every feature (d, c), or of all (1, c), in a float dtype; NaN for a code that the dtype cannot hold,
    and beyond the codes of a feature."""
    exact = np.full((len(codes), max(map(len, codes))), np.nan)
    for row, own in zip(exact, codes, strict=True):
        row[: len(own)] = own
    held = exact.astype(np.result_type(dtype, np.float32))
    return np.where(held == exact, held, np.nan)


def equal(x, codes):
    """Which code of its feature a value is, (..., d, b) -> (..., d, c, b) bool."""
    return x[..., None, :] == table(codes, x.dtype)[:, :, None]


def one_hot(x, codes):
    """(..., d, b) -> (..., d·c, b); codes outside the support are all zeros."""
    return equal(x, codes).astype(x.dtype).reshape(*x.shape[:-2], -1, x.shape[-1])


def natural(params, reference):
    theta = safe_log(params.probs).reshape(*params.probs.shape[:-2], -1)
    return Natural(theta, xp.zeros_like(theta[..., 0]), reference, loss=xp.zeros((), theta.dtype))


def maximize(params, prepared, sums, counts, prior):
    codes = sums.codes.reshape(params.probs.shape)
    total = codes.sum(-1, keepdims=True)
    probs = codes / xp.where(total > 0, total, 1)
    return Categorical(keep_empty(counts, probs, params.probs))


def around(centres, d, codes):
    own = ~np.isnan(table(codes, np.float64))
    even = np.broadcast_to(own / own.sum(-1, keepdims=True), (*centres.shape[:-1], d, own.shape[-1]))
    return Categorical(xp.zeros_like(centres).reshape(even.shape) + even.astype(centres.dtype))


def values(params, codes):
    """The codes (d, c) in the dtype of the probabilities, 0 beyond those of a feature."""
    exact = np.nan_to_num(table(codes, np.float64))
    return np.broadcast_to(exact.astype(params.probs.dtype), params.probs.shape[-2:])


def centre(params, weights, codes):
    """Mean code (d,)."""
    return (pooled(weights, params.probs) * values(params, codes)).sum(-1)


def loosen(params, weights, counts, prior):
    """A code never seen by a component would stay so for ever: it starts with one row of the whole data added."""
    count = counts[..., None, None]
    whole = pooled(weights, params.probs)[..., None, :, :]
    free = (count * params.probs + whole) / (count + 1)
    unseen = (params.probs == 0) & (whole > 0)
    return Categorical(xp.where(unseen.any(-1, keepdims=True), free, params.probs))


def sample(key, params, labels, codes):
    log_probs = xp.log(params.probs.astype(np.float32))[labels]  # (n, d, c)
    noise = jax.random.gumbel(key, log_probs.shape, np.float32, mode="high")
    chosen = xp.argmax(log_probs + noise, axis=-1)
    return xp.take_along_axis(values(params, codes)[None], chosen[..., None], axis=-1)[..., 0]


def cumulants(params, codes):
    held = values(params, codes)[(None,) * (params.probs.ndim - 2)]  # (..., 1, d, c)
    means = (params.probs * held).sum(-1)
    offset = held - means[..., None]
    second, third, fourth = ((params.probs * offset**power).sum(-1) for power in (2, 3, 4))
    return means, second, third, fourth - 3 * second**2


def tails(params, x, codes):
    held = values(params, codes)[:, :, None]  # (d, c, 1)
    reached = held[(None,) * (x.ndim - 2)] <= x[..., None, :]  # (..., d, c, b)
    probs, reached = params.probs[..., None], reached[..., None, :, :, :]
    return xp.where(reached, probs, 0 * probs).sum(-2), xp.where(reached, 0 * probs, probs).sum(-2)


def marginal(family, params, features):
    family, part = sliced(family, params, features)
    own = dict(family.options).get("codes")
    if own is None:
        return family, part
    family = categorical(codes=[own[j] for j in features])
    return family, Categorical(part.probs[..., : dict(family.sizes)["c"]])


def n_parameters(params, weights):
    """k Σ_j (c_j - 1), where c_j codes of feature j have positive probability in a component of positive weight."""
    shown = ((params.probs > 0) & (weights > 0)[..., None, None]).any(-3)  # (..., d, c)
    return weights.shape[-1] * (shown.sum(-1) - 1).sum(-1)


def check(params, codes):
    if (params.probs[:, np.isnan(table(codes, np.float64))] > 0).any():
        raise ValueError("probs must be 0 beyond the codes of a feature")


def categorical(n_categories: int | None = None, *, codes: Iterable[Iterable[int]] | None = None) -> Family:
    """The categorical family with codes 0 to n_categories - 1 in every feature, or with codes of each feature's own.

    Args:
        n_categories: number of codes; features with fewer have probability 0 for the rest.
        codes: for each feature its codes, increasing integers. ``probs`` (k, d, c) are in their order: c is the largest
            number of them, and the probabilities beyond those of a feature are 0.

    Raises:
        ValueError: both or none of them, n_categories is not an integer >= 1, or codes are no increasing integers.
    """
    if (n_categories is None) == (codes is None):
        raise ValueError("family 'categorical' has n_categories, or codes for each feature: pass one of them")
    if codes is not None:
        codes = tuple(map(_increasing, codes))
        if not codes:
            raise ValueError("codes must be those of at least one feature, got none")
        return _with_codes(codes)
    if not isinstance(n_categories, int) or isinstance(n_categories, bool) or n_categories < 1:
        raise ValueError(f"n_categories must be an integer >= 1, got {n_categories!r}")
    return _numbered(n_categories)


def of_shown(codes: tuple[tuple[int, ...], ...]) -> Family:
    """The family for data whose features hold these codes: codes 0 to c - 1 for all features where that is enough."""
    most, last = max(map(len, codes)), max(own[-1] for own in codes)
    return categorical(last + 1) if min(own[0] for own in codes) >= 0 and last < most else categorical(codes=codes)


def codes_of(family: Family, d: int) -> list[tuple[int, ...]]:
    """The codes of each of d features, in the order of the probabilities."""
    options = dict(family.options)
    return list(options["codes"]) if "codes" in options else [tuple(range(options["n_categories"]))] * d


def _increasing(codes) -> tuple[int, ...]:
    try:
        own = tuple(map(operator.index, codes))
    except TypeError:
        own = ()
    rises = all(one < other for one, other in itertools.pairwise(own))
    if not own or not rises or not -EXACT < own[0] <= own[-1] < EXACT:
        raise ValueError(f"codes must be, for each feature, increasing integers (below 2**53), got {codes!r}")
    return own


@functools.cache
def _numbered(n: int) -> Family:
    support = Support(
        lambda x: ((x >= 0) & (x < n) & (x == xp.floor(x))) | xp.isnan(x), f"integer codes from 0 to {n - 1}"
    )
    return _family((tuple(range(n)),), support, options=(("n_categories", n),), sizes=(("c", n),))


@functools.cache
def _with_codes(codes: tuple[tuple[int, ...], ...]) -> Family:
    listed = "; ".join(f"{', '.join(map(str, own))} in column {j}" for j, own in enumerate(codes))
    listed = listed if len(listed) <= LISTED else f"{listed[:LISTED]} ..."
    support = Support(lambda x: equal(x, codes).any(-2) | xp.isnan(x), f"one of the codes {listed}")
    sizes, sound = (("d", len(codes)), ("c", max(map(len, codes)))), functools.partial(check, codes=codes)
    return _family(codes, support, options=(("codes", codes),), sizes=sizes, check=sound)


def _family(codes, support: Support, **given) -> Family:
    return exponential_family(
        "categorical",
        Categorical,
        support=support,
        features=lambda x, reference: one_hot(x, codes),
        natural=natural,
        sums=CategoricalCounts,
        maximize=maximize,
        around=functools.partial(around, codes=codes),
        centre=functools.partial(centre, codes=codes),
        loosen=loosen,
        sample=functools.partial(sample, codes=codes),
        points=functools.partial(one_hot, codes=codes),
        n_parameters=n_parameters,
        margins=Margins(
            functools.partial(cumulants, codes=codes), functools.partial(tails, codes=codes), marginal, integers=True
        ),
        **given,
        in_numpy=True,
    )
