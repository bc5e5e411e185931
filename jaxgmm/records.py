"""The records that functions take and return: mixtures, blocks of rows, statistics, results. All are frozen."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from . import tables
from .numerics.dtypes import in_memory, in_precision_of, on_device
from .pytrees import dropped
from .pytrees import record as record  # what authors of families import from here
from .pytrees import static as static


class Status(enum.IntEnum):
    """How a fit ended. Inside a trace, an int32."""

    CONVERGED = 0  #: the log-likelihood has settled
    MAX_ITER = 1  #: ``max_iter`` came first
    DECREASED = 2  #: the log-likelihood fell by more than rounding or the prior explains
    DEGENERATE = 3  #: a component is held up by the prior or a floor, or by less than a row
    NON_FINITE = 4  #: the log-likelihood is not finite, or, where nothing can raise (under a trace), the rows
    INVALID = 5  #: rows outside the support, or weights that are none, where nothing can raise (under a trace)
    STOPPED = 6  #: stopped by a callback or Ctrl-C; of one of several starts also, left behind by the search


class FitWarning(UserWarning):
    """A fit ended in a way its user should know of; the message says what to change."""


@record
class GaussianPrior:
    """Numbers that are added to the variances of Gaussian components in every M-step.

    Args:
        reg_covar: added to the diagonal, in squared data units (as in scikit-learn).
        reg_relative: added to the diagonal as a fraction of each feature's variance over all the data (of their mean
            for ``spherical``).

    Maximum likelihood is ``GaussianPrior()``; the default of ``fit`` is ``GaussianPrior(reg_relative=1e-14)`` for
    float64 data and 1e-9 for float32.
    """

    reg_covar: Any = 0.0
    reg_relative: Any = 0.0


class Shown:
    """A record that prints as tables, as much as a screen holds; one line at the prompt, HTML in a notebook."""

    def __repr__(self) -> str:
        return tables.in_one_line(self)

    def __str__(self) -> str:
        return tables.as_text(self._tables()) if tables.readable(self) else repr(self)

    def _repr_html_(self) -> str | None:
        return tables.as_html(self._tables()) if tables.readable(self) else None


@record
class Mixture(Shown):
    """A convex combination of k components of one family.

    ``log_weights`` (k,) are logarithms of weights that sum to 1, -inf for a component without rows or one of padding.
    ``components`` holds the family's parameters by their public names. ``family`` is part of the structure.

    ``columns`` are the names of the d features, or None. `fit` and `select` take them from a frame or a file, `save`
    and `load` keep them, and every function of a mixture and a frame picks the frame's columns by them. They are no
    part of the pytree, so that names change no structure and compile nothing: a mixture returned by a transformation or
    by `jax.tree.map` has None.
    """

    log_weights: Any
    components: Any
    family: Any = static()
    columns: tuple[str, ...] | None = dropped(default=None)

    @property
    def weights(self) -> jax.Array:
        """Mixing weights (k,)."""
        return _exp(self.log_weights)

    @property
    def n_components(self) -> int:
        return self.log_weights.shape[-1]

    @property
    def n_features(self) -> int:
        """The number of features d."""
        for field in dataclasses.fields(self.components):
            axes = field.metadata["shape"]
            if "d" in axes:
                return getattr(self.components, field.name).shape[axes.index("d") - len(axes)]
        raise ValueError(f"the parameters of {self.family.name} have no axis of features")

    def _tables(self):
        about = f"{tables.heading(self)}, {self.log_weights.dtype}"
        return [tables.Table(title=about), *tables.of_mixture(self, screen=True)]


@in_precision_of("values")
def _exp(values):
    return on_device(np.exp(values)) if isinstance(in_memory(values), np.ndarray) else jnp.exp(values)


@record
class Block:
    """A block of rows: x (d, b) in the frame, weights (b,), and further columns (b, ...) by name."""

    x: Any
    weight: Any
    columns: Any = None

    def seen(self, form, prepared):
        """The features that a form computes of the rows."""
        return form.view(prepared, self.x)


@record
class Statistics:
    """Expected sufficient statistics of rows under one mixture. Those of disjoint rows under one mixture add.

    ``log_likelihood`` Σ w log p(x); ``rounding`` Σ w (abs(log p(x)) + d), the scale of its rounding error (a log
    density is a sum of d terms of order 1, which may cancel); ``weight`` Σ w; ``counts`` (k,) Σ w r; ``components`` the
    family's moments, in a record whose type tells the form.
    """

    log_likelihood: Any
    rounding: Any
    weight: Any
    counts: Any
    components: Any

    def __add__(self, other: "Statistics") -> "Statistics":
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
class FitResult(Shown):
    """A fitted mixture and how the fit went. Every function that takes a `Mixture` takes a `FitResult`, too.

    ``log_likelihood`` is the total of all rows under ``mixture``; ``n_iter`` counts parameter updates; ``status`` is a
    `Status` (an int32 array inside a trace or under ``vmap``). ``restarts`` (n_init,) has the last log-likelihood of
    every start, and ``restart_status`` (n_init,) int32 the `Status` of each: STOPPED where the search left it behind; a
    DEGENERATE one may have a higher log-likelihood than the best.
    """

    mixture: Mixture
    log_likelihood: Any
    n_iter: Any
    status: Any
    restarts: Any
    restart_status: Any = None

    @property
    def converged(self) -> bool:
        """Whether ``status`` is CONVERGED."""
        answer = self.status == Status.CONVERGED
        return bool(answer) if isinstance(self.status, (int, np.integer)) else answer

    def summary(self) -> dict[str, Any]:
        """The result as plain Python values, for JSON and logs.

        Raises:
            ValueError: the result is a batch, or inside a trace.
        """
        if not tables.readable(self):
            raise ValueError(f"summary is of one concrete result, got {self!r}")
        ended = Status(int(self.status))
        every = [] if self.restart_status is None else np.asarray(self.restart_status).tolist()
        return {
            "family": self.mixture.family.name,
            "n_components": self.mixture.n_components,
            "log_likelihood": float(self.log_likelihood),
            "n_iter": int(self.n_iter),
            "status": ended.name,
            "converged": ended is Status.CONVERGED,
            "restarts": np.asarray(self.restarts).tolist(),
            "restart_status": [Status(status).name for status in every],
            **tables.plain(self.mixture),
        }

    def _tables(self):
        return tables.of_result(self)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Selection(Shown):
    """A grid of fits: ``best`` by the criterion, ``table`` one dict a fit, ``results`` the fits in the same order.

    ``selection["tied", 3]`` is one of the fits. Every function that takes a `Mixture` takes a `Selection`, too, for its
    best.
    """

    best: FitResult
    table: list[dict[str, Any]]
    results: list[FitResult]
    criterion: str

    def __getitem__(self, cell: tuple[Any, int]) -> FitResult:
        """The fit of a family (or its name) and a number of components.

        Raises:
            KeyError: there is no such fit in the grid.
        """
        family, k = cell if isinstance(cell, tuple) and len(cell) == 2 else (cell, None)
        for result in self.results:
            mixture = result.mixture
            if mixture.n_components == k and family in (mixture.family, mixture.family.name):
                return result
        there = sorted({(row["family"], row["n_components"]) for row in self.table})
        raise KeyError(f"selection[family, K] has {', '.join(f'{name} {k}' for name, k in there)}; got {cell!r}")

    def to_frame(self) -> Any:
        """``table`` as a pandas DataFrame.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame(self.table)

    def __repr__(self) -> str:
        return f"Selection({len(self.table)} fits, best by {self.criterion}: {self.best!r})"

    def _tables(self):
        return tables.of_selection(self)


class Fitted(Protocol):
    """A fitted estimator."""

    @property
    def mixture_(self) -> Mixture: ...


Model: TypeAlias = Mixture | FitResult | Selection | Fitted  # whatever holds a mixture
Init: TypeAlias = str | Model | ArrayLike | Callable[..., Any]  # where EM may start


def mixture_of(model: Any, name: str = "mixture") -> Mixture:
    """The mixture in a `FitResult`, in the best of a `Selection`, or in a fitted estimator; a mixture as it is.

    Raises:
        ValueError: ``model`` is none of them.
    """
    found = model.best if isinstance(model, Selection) else model
    found = found.mixture if isinstance(found, FitResult) else getattr(found, "mixture_", found)
    if not isinstance(found, Mixture):
        raise ValueError(
            f"{name} must be a Mixture, or a FitResult, a Selection or a fitted estimator, which hold one, "
            f"got {type(model).__name__}"
        )
    return found
