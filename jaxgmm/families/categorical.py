"""Independent features that hold integer codes 0 .. c-1.

    log p(x) = Σ_j log p_j,x_j             the features are one-hot codes (d·c of them)

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.3.3 and exercise 9.19.
"""

import functools
from typing import Any

import jax
import numpy as np

from ..family import Constraint, Family, Natural, Support, exponential_family, parameter
from ..namespace import xp
from ..numerics import contract, keep_empty, safe_log
from ..records import record


@record
class Categorical:
    """Probabilities of every code, (k, d, c), summing to 1 over the last axis."""

    probs: Any = parameter("kdc", Constraint.SIMPLEX)


@record
class CategoricalCounts:
    """Σ r [x = code], (k, d·c)."""

    codes: Any


def one_hot(x, n_categories):
    """(d, b) -> (d·c, b); codes outside the support are all zeros."""
    codes = x[:, None, :] == xp.arange(n_categories, dtype=x.dtype)[None, :, None]
    return codes.astype(x.dtype).reshape(-1, x.shape[1])


def natural(params, reference):
    theta = safe_log(params.probs).reshape(params.probs.shape[0], -1)
    return Natural(theta, xp.zeros_like(theta[:, 0]), reference, loss=xp.zeros((), theta.dtype))


def maximize(params, prepared, sums, counts, prior):
    codes = sums.codes.reshape(params.probs.shape)
    total = codes.sum(-1, keepdims=True)
    probs = codes / xp.where(total > 0, total, 1)
    return Categorical(keep_empty(counts, probs, params.probs)), xp.zeros_like(probs)


def around(centres, d):
    probs = centres.reshape(centres.shape[0], d, -1)
    return Categorical(xp.full_like(probs, 1 / probs.shape[-1]))


def centre(params, weights):
    """Mean code (d,)."""
    return contract("k,kdc,c->d", weights, params.probs, xp.arange(params.probs.shape[-1], dtype=weights.dtype))


def loosen(params, weights, counts, added):
    """A code never seen by a component would stay so for ever: it starts with one row of the whole data added."""
    count = counts[:, None, None]
    whole = contract("k,kdc->dc", weights, params.probs)
    free = (count * params.probs + whole[None]) / (count + 1)
    return Categorical(xp.where((params.probs == 0).any(-1, keepdims=True), free, params.probs))


def sample(key, params, labels):
    log_probs = xp.log(params.probs.astype(np.float32))[labels]  # (n, d, c)
    noise = jax.random.gumbel(key, log_probs.shape, np.float32, mode="high")
    return xp.argmax(log_probs + noise, axis=-1).astype(params.probs.dtype)


@functools.cache
def categorical(n_categories: int) -> Family:
    """The categorical family with codes 0 .. n_categories - 1 in every feature.

    Args:
        n_categories: number of codes; features with fewer have probability 0 for the rest.

    Raises:
        ValueError: n_categories is not an integer >= 1.
    """
    if not isinstance(n_categories, int) or isinstance(n_categories, bool) or n_categories < 1:
        raise ValueError(f"n_categories must be an integer >= 1, got {n_categories!r}")
    last = n_categories - 1
    return exponential_family(
        "categorical",
        Categorical,
        support=Support(
            lambda x: ((x >= 0) & (x <= last) & (x == xp.floor(x))) | xp.isnan(x),
            f"integer codes from 0 to {last}",
        ),
        features=lambda x, reference: one_hot(x, n_categories),
        natural=natural,
        sums=CategoricalCounts,
        maximize=maximize,
        around=around,
        centre=centre,
        loosen=loosen,
        sample=sample,
        points=functools.partial(one_hot, n_categories=n_categories),
        options=(("n_categories", n_categories),),
    )
