"""The two kinds of form of EM (`base` defines a form): on residuals of every component, and on features of rows."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..numerics import LOG_ZERO, over_rows, product
from ..numerics.backend import xp
from ..numerics.host import nowhere, on_host
from ..records import record


@dataclasses.dataclass(frozen=True)
class Partial:
    """A function with its first argument. Equal where both are, as ``functools.partial`` is not."""

    function: Callable
    first: Any

    def __call__(self, *others):
        return self.function(self.first, *others)


@dataclasses.dataclass(frozen=True)
class ResidualForm:
    """A form on the residuals of every row from every component, which keeps its digits wherever the dtype allows.

    The functions are those of `base`; ``loss`` is 0. The sums depend on the old parameters, unless they are declared
    ``mergeable``.

    Cost: one number a row, component and feature of a block in memory.
    """

    prepare: Callable
    view: Callable
    log_prob: Callable
    statistics: Callable
    sums: type
    maximize: Callable
    mergeable: bool = False
    fixed_view = False
    base = None

    def loss(self, prepared):
        return np.zeros((), jax.tree.leaves(prepared)[0].dtype)

    def width(self, d, k):
        """Numbers in memory per row of a block."""
        return 3 * k * d


@record
class Natural:
    """An exponential family's parameters, prepared: logits = theta @ phi(x - or / reference) + bias."""

    theta: Any  # (k, f)
    bias: Any  # (k,)
    reference: Any  # (d,)
    loss: Any  # (): rounding of the logits, in units of eps
    precisions: Any = None  # (k, d), for the slack of Gaussian priors


@dataclasses.dataclass(frozen=True)
class ExponentialForm:
    """The form of an exponential family: both halves of EM are a matrix product with the same features.

        logits = theta @ phi(x) + bias          (k, f) @ (f, b)
        sums   = resp @ phi(x)ᵀ                 (k, b) @ (b, f)

    Args:
        features: ``(x (d, b), reference (d,)) -> phi (f, b)``.
        natural: ``(params, reference) -> Natural``.
        sums: the record class of the statistics: of one field, for all columns (k, f), or of two, the first for d.
        maximize: as in `base`.
        base: ``(x (d, b), reference (d,)) -> (b,)``: the term of log densities without parameters, or None.

    Cost: 4·n·k·f for both products.
    """

    features: Callable
    natural: Callable
    sums: type
    maximize: Callable
    base: Callable | None = None
    mergeable = True
    fixed_view = True

    def prepare(self, params, reference):
        return self.natural(params, reference)

    def view(self, prepared, x):
        return self.features(x, prepared.reference)

    def log_prob(self, prepared, phi):
        logits = product(prepared.theta, phi)
        logits += prepared.bias[..., None]
        if nowhere(prepared.theta < LOG_ZERO / 2) and nowhere(prepared.bias < LOG_ZERO / 2):
            return logits
        return xp.where(logits < LOG_ZERO / 2, -np.inf, logits)

    def statistics(self, prepared, phi, resp):
        sums, several = over_rows(resp, phi), len(dataclasses.fields(self.sums)) > 1  # (k, f)
        return self.sums(*xp.split(sums, [prepared.reference.shape[-1]] if several else [], axis=-1))

    def loss(self, prepared):
        return prepared.loss

    def width(self, d, k):
        """Numbers in memory per row of a block."""
        return n_features(self.features, d) + 2 * k


@functools.lru_cache(256)
def n_features(features: Callable, d: int) -> int:
    """Number of features of a row of d numbers."""
    row = jax.ShapeDtypeStruct((d, 1), np.float32), jax.ShapeDtypeStruct((d,), np.float32)
    with on_host(False):
        return jax.eval_shape(features, *row).shape[0]
