"""What a family of distributions is: its parameters, and its two forms of EM.

A family is a record of module-level functions, not a pytree. It is equal, hashed, copied and pickled by its fields, so
a copy is the same static argument of a compiled function. It holds no arrays.

A block of rows is x (d, b), features by rows: every sum over features or components runs along whole vectors, and the
lanes of a ``vmap`` lead. A *form* is one way to do EM with the family, in six functions:

    prepare(params, reference)                      -> prepared     everything that depends on parameters alone
    view(prepared, x)                               -> seen         what both steps compute with: features, or residuals
    log_prob(prepared, seen)                        -> (k, b)       log densities, up to ``base``
    statistics(prepared, seen, resp (k, b))         -> sums         additive over rows
    maximize(params, prepared, sums, counts, prior) -> params
    loss(prepared)                                  -> ()           rounding of this form in units of eps

and a field ``base``: the term of log densities that holds no parameter and that ``log_prob`` leaves out, as a function
``(x, reference) -> (b,)``, or None. The accurate form leaves nothing out, unless it is the only one.

A form is ``mergeable`` where its sums do not depend on the parameters, so that stepwise EM may blend those of different
mixtures. It has a ``fixed_view`` where ``view`` depends on the rows and the reference alone, so that it may be kept
from one update to the next. A form without these fields has neither property.

``reference`` (d,) is what moments are taken about: the mean of the data in `fit`, of the mixture in `e_step`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numerics import diagonal, positive_definite
from .constraints import Constraint, as_it_is
from .forms import ExponentialForm
from .registry import known, lookup, register, registered, spelled, with_options  # noqa: F401


def parameter(shape: str, constraint: Constraint, *, units: int = 0, located: bool = False):
    """A field of a parameter record.

    Args:
        shape: one letter for each axis: k components (the first axis, or absent where all share the parameter),
            d features, any other letter a size of the family's own (c categories).
        constraint: which values are legal.
        units: the power of the data's units in the parameter (variance 2, rate -1), divided among its axes d.
        located: whether the parameter moves with the origin of the data, along its one axis d.
    """
    if "k" in shape[1:]:
        raise ValueError(f"the components k are the first axis of a parameter, got shape {shape!r}")
    if located and shape.count("d") != 1:
        raise ValueError(f"a located parameter has one axis d, along which it moves, got shape {shape!r}")
    return dataclasses.field(
        metadata={"shape": shape, "constraint": constraint, "units": units, "located": located},
    )


def parameters(kind: type) -> dict[str, Any]:
    """Metadata of a parameter record's fields, by name."""
    return {field.name: field.metadata for field in dataclasses.fields(kind)}


def declared(params, weights) -> int:
    """Number of free parameters of the components of one mixture, from shapes and constraints."""
    total = 0
    for name, about in parameters(type(params)).items():
        shape = getattr(params, name).shape
        total += about["constraint"].free(shape[len(shape) - len(about["shape"]) :])  # without the axes of a batch
    return total


def matrices(kind: type) -> list[str]:
    """The parameters of a record class that are matrices of features."""
    return [name for name, about in parameters(kind).items() if about["shape"].count("d") > 1]


def nonsingular(params):
    """The parameters, with matrices that have a Cholesky factor in their dtype, also after a cast to it."""
    lifted = {}
    for name in matrices(type(params)):
        value = getattr(params, name)
        lifted[name] = positive_definite(value, 0 * diagonal(value))
    return dataclasses.replace(params, **lifted)


@dataclasses.dataclass(frozen=True)
class Support:
    """Values that features can take: ``contains(x (d, b)) -> (d, b)`` bool, True for NaN, and ``words`` for errors."""

    contains: Callable
    words: str


def nothing_ruled_out(params):
    """The check of a family that allows whatever the declared constraints allow."""


def no_slack(params, prepared, counts, prior):
    return (np.zeros((), counts.dtype),) * 2


@dataclasses.dataclass(frozen=True, repr=False)
class Family:
    """A family of distributions, as functions. See the module's docstring for the two forms.

    Args:
        name: its name in tables and files.
        parameters: the record class of its parameters, fields declared with `parameter`.
        support: the values that its features can take.
        accurate: the form that keeps its digits wherever the dtype allows.
        moments: the fast form; the same where there is only one.
        around: ``(centres (k, p), d) -> params``: parameters under which the first statistics of a start are taken.
        centre: ``(params, weights) -> (d,)``: mean of the mixture.
        loosen: ``(params, weights, counts, prior) -> params``: those of a start, off boundaries EM could never leave.
        sample: ``(key, params, labels (n,)) -> (n, d)``.
        supported_by_prior: ``(params, weights, prior) -> (k,)`` bool: components whose extent in some direction comes
            more than half from the prior or a floor, and not from the rows, though the rows as a whole vary in it.
        points: ``x -> (p, b)``: the points between which initialisers measure distance.
        scaling: how `fit` frames the data: "feature", "common", "ratio" (no shift) or None.
        slack: ``(params, prepared, counts, prior) -> (), ()``: how far the prior can make the log-likelihood fall in
            one step, and how far rounding may move it beyond the rounding of its own digits.
        n_parameters: ``(params, weights (..., k)) -> (...)``: free parameters of the components of every mixture of a
            batch, or one number for all; by default from the declaration.
        sizes: pairs of the letter of an axis, as in `parameter`, and the size to which the options fix it.
        check: ``params -> None``: ValueError where parameters made by hand, in NumPy, do not agree with the options.
        in_numpy: whether all functions but ``sample`` are written with `numerics.xp` and take leading axes, params
            (..., k, d) and rows (d, b) or (..., d, b): few rows are then fitted in NumPy, all lanes at once.
        options: from these and its name `lookup` makes the family: pairs of a name and a number, a string or a tuple.
        covariance: ``params -> (k, d, d)``: of components whose contours are ellipses, which pictures draw.
        margins: the distribution of each feature alone (`families.margins`), for the mathematics on mixtures.
    """

    name: str
    parameters: type
    support: Support
    accurate: Any
    moments: Any
    around: Callable
    centre: Callable
    loosen: Callable
    sample: Callable
    supported_by_prior: Callable
    points: Callable = as_it_is
    scaling: str | None = None
    slack: Callable = no_slack
    n_parameters: Callable = declared
    sizes: tuple = ()
    in_numpy: bool = False
    check: Callable = nothing_ruled_out
    options: tuple = ()
    covariance: Callable | None = None
    margins: Any = None

    @property
    def forms(self) -> tuple:
        """The forms in which EM runs, one after the other: a fast one, and the one that keeps its digits."""
        return (self.accurate,) if self.accurate is self.moments else (self.moments, self.accurate)

    @property
    def located(self) -> bool:
        """Whether the frame moves the origin: of families of real numbers."""
        return self.scaling in ("feature", "common")

    def __repr__(self):
        return f"Family({self.name!r}{''.join(f', {name}={value!r}' for name, value in self.options)})"

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):  # a registered family is pickled by name and options: the copy is the same object
        if registered(self):
            return with_options, (self.name, self.options)
        return type(self), tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def exponential_family(
    name: str,
    parameters: type,
    *,
    support: Support,
    features: Callable,
    natural: Callable,
    sums: type,
    maximize: Callable,
    sample: Callable,
    centre: Callable,
    around: Callable,
    supported_by_prior: Callable | None = None,
    loosen: Callable | None = None,
    base: Callable | None = None,
    **options,
) -> Family:
    """A family whose E-step and M-step are matrix products with features of the data.

    Its one form is the exponential one. See `Family` and `ExponentialForm` for the functions; ``options`` are the
    further fields of `Family`.

    Source: Dempster, Laird and Rubin (1977), section 2: EM on sufficient statistics.
    """
    form = ExponentialForm(features, natural, sums, maximize, base)
    return Family(
        name=name,
        parameters=parameters,
        support=support,
        accurate=form,
        moments=form,
        around=around,
        centre=centre,
        sample=sample,
        supported_by_prior=supported_by_prior or never_supported,
        loosen=loosen or as_it_is,
        **options,
    )


def never_supported(params, weights, prior):
    """False for every component (k,): of families whose likelihood has a bound."""
    return np.zeros(weights.shape, bool)
