"""The values that flow through the library: mixtures, statistics, results. Frozen, and pytrees.

They keep their bits in copies and pickles. JAX's own would make float32 of float64 wherever its x64 mode is off, so
arrays leave a process as NumPy's and become JAX's again where they are read.
"""

import copy
import dataclasses
import enum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .numerics.dtypes import in_memory, in_precision_of, on_device


class Kept:
    """A JAX array as part of a copy or a pickle, where it keeps its dtype.

    Raises:
        ValueError: on pickling, if part of it lies in another process.
    """

    def __init__(self, array: jax.Array):
        self.array = array

    def __deepcopy__(self, memo):
        with jax.enable_x64(True):
            return Kept(copy.deepcopy(self.array, memo))

    def __reduce__(self):
        if not (self.array.is_fully_addressable or self.array.is_fully_replicated):
            raise ValueError(
                "an array that lies on the devices of several processes cannot be pickled by one of them: gather it "
                "first, with jax.experimental.multihost_utils.process_allgather"
            )
        return _received, (np.asarray(self.array),)


def _received(values) -> Kept:
    with jax.enable_x64(True):
        return Kept(jax.device_put(np.array(values)))  # a copy: what was read may be a map of a file


def kept(tree):
    """Concrete JAX arrays of a tree as `Kept`; records in it see to their own."""
    return jax.tree.map(lambda leaf: Kept(leaf) if _narrowed(leaf) else leaf, tree, is_leaf=dataclasses.is_dataclass)


def _narrowed(leaf) -> bool:
    """Whether a copy may come in another dtype: JAX's keys are of one, and tracers are not copied."""
    array = isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
    return array and isinstance(leaf.dtype, np.dtype)


def restored(tree):
    """The tree that was `kept`."""
    return jax.tree.map(
        lambda leaf: leaf.array if isinstance(leaf, Kept) else leaf, tree, is_leaf=dataclasses.is_dataclass
    )


def _getstate(self):
    return kept(vars(self))


def _setstate(self, state):
    vars(self).update(restored(state))


def record(cls):
    """A frozen dataclass pytree without ``==``; fields marked with ``static()`` are part of its structure."""
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    cls.__getstate__, cls.__setstate__ = _getstate, _setstate
    names = {True: [], False: []}
    for field in dataclasses.fields(cls):
        names[field.metadata.get("static", False)].append(field.name)
    jax.tree_util.register_dataclass(cls, data_fields=names[False], meta_fields=names[True])
    return cls


def static(**options):
    """A field that belongs to the structure of a record, not to its numbers."""
    return dataclasses.field(metadata={"static": True}, **options)


class Status(enum.IntEnum):
    """How a fit ended. Inside a trace, an int32."""

    CONVERGED = 0  #: the log-likelihood has settled
    MAX_ITER = 1  #: ``max_iter`` came first
    DECREASED = 2  #: the log-likelihood fell by more than rounding or the prior explains
    DEGENERATE = 3  #: a component is held up by the prior or a floor, or by less than a row
    NON_FINITE = 4  #: the log-likelihood is not finite, or, where nothing can raise (under a trace), the rows
    INVALID = 5  #: rows outside the support, or weights that are none, where nothing can raise (under a trace)
    STOPPED = 6  #: asked to stop


class FitWarning(UserWarning):
    """A fit ended in a way its user should know of; the message says what to change."""


@record
class GaussianPrior:
    """What is added to the variances of Gaussian components in every M-step.

    Args:
        reg_covar: added to the diagonal, in squared data units (as in scikit-learn).
        reg_relative: added to the diagonal as a fraction of each feature's variance over all the data (of their mean
            for ``spherical``).

    Maximum likelihood is ``GaussianPrior()``; the default of ``fit`` is ``GaussianPrior(reg_relative=1e-14)`` for
    float64 data and 1e-9 for float32.
    """

    reg_covar: Any = 0.0
    reg_relative: Any = 0.0


@record
class Mixture:
    """A convex combination of k components of one family.

    ``log_weights`` (k,) sum to 1 in linear space; ``components`` holds the family's parameters by their public names;
    ``family`` says which family, and is part of the structure. A padded component has log weight -inf.
    """

    log_weights: Any
    components: Any
    family: Any = static()

    @property
    def weights(self):
        """Mixing weights (k,)."""
        return _exp(self.log_weights)

    @property
    def n_components(self) -> int:
        return self.log_weights.shape[-1]


@in_precision_of("values")
def _exp(values):
    return on_device(np.exp(values)) if isinstance(in_memory(values), np.ndarray) else jnp.exp(values)


@record
class Block:
    """Rows that are looked at together: x (d, b) in their frame, weights (b,), and further columns (b, ...) by name."""

    x: Any
    weight: Any
    columns: Any = None

    def seen(self, form, prepared):
        """What a form sees of the rows."""
        return form.view(prepared, self.x)


@record
class Statistics:
    """Expected sufficient statistics of rows under one mixture; those of disjoint rows under one mixture add.

    ``log_likelihood`` Σ w log p(x); ``rounding`` Σ w (abs(log p(x)) + d), the scale of
    its rounding error (a density is a sum of d terms of order 1, which may cancel); ``weight`` Σ w;
    ``counts`` (k,) Σ w r; ``components`` the family's own moments, whose type says which form they have.
    """

    log_likelihood: Any
    rounding: Any
    weight: Any
    counts: Any
    components: Any

    def __add__(self, other):
        if not isinstance(other, Statistics):
            return NotImplemented
        if type(self.components) is not type(other.components):
            raise ValueError(
                "statistics of two forms cannot be added: "
                f"{type(self.components).__name__} and {type(other.components).__name__}; "
                "call e_step with the same form= for all of them"
            )
        return jax.tree.map(jnp.add, self, other)


@record
class FitResult:
    """A fitted mixture and how it was reached.

    ``log_likelihood`` is that of ``mixture``, in total; ``n_iter`` counts parameter updates; ``status`` is a `Status`
    (an int32 array inside a trace or under ``vmap``); ``restarts`` (n_init,) holds the final log-likelihood of every
    start, of those that were stopped early too.
    """

    mixture: Mixture
    log_likelihood: Any
    n_iter: Any
    status: Any
    restarts: Any

    @property
    def converged(self):
        """Whether the log-likelihood settled (a fit that ended in any other way did not converge)."""
        answer = self.status == Status.CONVERGED
        return bool(answer) if isinstance(self.status, (int, np.integer)) else answer


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """A grid of fits: ``best`` by the criterion, ``table`` one dict a fit, ``results`` the fits in the same order."""

    best: FitResult
    table: list
    results: list
    criterion: str
