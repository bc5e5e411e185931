"""The values that flow through the library: mixtures, statistics, results. Frozen, and pytrees."""

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
from .pytrees import beside
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
    STOPPED = 6  #: asked to stop; as one of several starts also so far behind that the search left it


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


class Shown:
    """What can be printed: as tables cut at a screen, in a notebook as frames, at the prompt in one line."""

    def __repr__(self) -> str:
        return tables.in_one_line(self)

    def __str__(self) -> str:
        return tables.as_text(self._tables()) if tables.readable(self) else repr(self)

    def _repr_html_(self) -> str | None:
        return tables.as_html(self._tables()) if tables.readable(self) else None


@record
class Mixture(Shown):
    """A convex combination of k components of one family.

    ``log_weights`` (k,) sum to 1 in linear space; ``components`` holds the family's parameters by their public names;
    ``family`` says which family, and is part of the structure. A padded component has log weight -inf.

    ``columns`` are the names of the d features, None where there are none. `fit` and `select` take them from a frame
    or a file, `save` and `load` keep them, and every function that is given the mixture and a frame takes the frame's
    columns by these names. They are no part of the pytree: what a transformation or `jax.tree.map` returns has none, so
    that mixtures with and without names have one structure, and names compile nothing.
    """

    log_weights: Any
    components: Any
    family: Any = static()
    columns: tuple[str, ...] | None = beside(default=None)

    @property
    def weights(self) -> jax.Array:
        """Mixing weights (k,)."""
        return _exp(self.log_weights)

    @property
    def n_components(self) -> int:
        return self.log_weights.shape[-1]

    @property
    def n_features(self) -> int:
        """d."""
        for field in dataclasses.fields(self.components):
            axes = field.metadata["shape"]
            if "d" in axes:
                return getattr(self.components, field.name).shape[axes.index("d") - len(axes)]
        raise ValueError(f"the parameters of {self.family.name} have no axis of features")

    def _tables(self):
        about = f"{self.family.name}, K = {self.n_components}, {tables.features(self)}, {self.log_weights.dtype}"
        return [tables.Table(title=about), *tables.of_mixture(self, screen=True)]


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
    """A fitted mixture and how it was reached. `print` shows it; whatever takes a `Mixture` takes it too.

    ``log_likelihood`` is that of ``mixture``, in total; ``n_iter`` counts parameter updates; ``status`` is a `Status`
    (an int32 array inside a trace or under ``vmap``); ``restarts`` (n_init,) holds the final log-likelihood of every
    start, of those that were stopped early too, and ``restart_status`` (n_init,) int32 the `Status` of each: DEGENERATE
    where it may have a higher log-likelihood than the best, STOPPED where the search left it behind.
    """

    mixture: Mixture
    log_likelihood: Any
    n_iter: Any
    status: Any
    restarts: Any
    restart_status: Any = None

    @property
    def converged(self) -> bool:
        """Whether the log-likelihood settled (a fit that ended in any other way did not converge)."""
        answer = self.status == Status.CONVERGED
        return bool(answer) if isinstance(self.status, (int, np.integer)) else answer

    def summary(self) -> dict[str, Any]:
        """The result in plain Python values, as JSON and logs take them: how it ended, and all that `print` shows.

        Raises:
            ValueError: it is a batch, or inside a trace.
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

    `print` shows it; ``selection["tied", 3]`` is one of the fits; whatever takes a `Mixture` takes it too: its best.
    """

    best: FitResult
    table: list[dict[str, Any]]
    results: list[FitResult]
    criterion: str

    def __getitem__(self, cell: tuple[Any, int]) -> FitResult:
        """The fit of a family, by its name or itself, and a number of components.

        Raises:
            KeyError: it is not in the grid.
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
    """The mixture itself, that of a `FitResult`, of the best of a `Selection`, or of a fitted estimator.

    Raises:
        ValueError: it holds none.
    """
    found = model.best if isinstance(model, Selection) else model
    found = found.mixture if isinstance(found, FitResult) else getattr(found, "mixture_", found)
    if not isinstance(found, Mixture):
        raise ValueError(
            f"{name} must be a Mixture, or a FitResult, a Selection or a fitted estimator, which hold one, "
            f"got {type(model).__name__}"
        )
    return found
