"""`public`: the decorator of public functions, which accepts results in place of mixtures and explains wrong calls.

Arguments in the wrong order, a missing key or argument, and a name from another function or library raise an error that
shows the right call.
"""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from .numerics.plain import columns_of
from .records import FitResult, Mixture, Selection, mixture_of

P = ParamSpec("P")
R = TypeVar("R")

SEVERAL = "n_init= is the number of starts"
SEED = "the seed or JAX key is the first argument"
MEANT = {  # names of arguments elsewhere, in other functions or libraries: what to write here
    "reg_covar": "prior=jaxgmm.GaussianPrior(reg_covar=...) adds it to the variances",
    "covariance_type": 'family= (families= in select) is the covariance: "full", "tied", "diag", "spherical"',
    "modelNames": 'families= of select: mclust\'s VVV is "full", EEE "tied", VVI "diag", VII "spherical"',
    "family": "select takes families=, one or several",
    "families": "one family= is fitted here; jaxgmm.select compares several",
    "criterion": "jaxgmm.select chooses by a criterion",
    **dict.fromkeys(("random_state", "seed", "rng", "key"), SEED),
    **dict.fromkeys(("restarts", "n_restarts", "num_restarts", "nstart"), SEVERAL),
    **dict.fromkeys(("k", "K", "G", "n_clusters", "n_mixtures", "components"), "n_components= is their number"),
    **dict.fromkeys(("weights", "weight"), "sample_weight= are the weights of rows"),
    **dict.fromkeys(("init_params", "means_init"), "init= says where EM starts: a name, a mixture, responsibilities"),
    **dict.fromkeys(("n_iter", "max_iters", "maxiter"), "max_iter= is the most updates"),
    **dict.fromkeys(("X", "data"), "x are the rows"),
    "n_jobs": "threads are used as they are there",
}


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: ``mixture`` and ``init`` may be results or estimators; errors of a wrong call show the right one."""
    signature = inspect.signature(function)
    names = list(signature.parameters)

    @functools.wraps(function)
    def wrapper(*args: P.args, **named: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **named)
        except TypeError as error:
            raise TypeError(_meant(function.__name__, signature, args, named, error)) from None
        key = bound.arguments.get("key") if names[0] == "key" else None
        if _holds(key) or _rows(key):
            call = _call(function.__name__, signature)
            raise ValueError(f"key must come first, a seed or a JAX key: {call}; got {_kind(key)}")
        if "mixture" in bound.arguments:
            given = bound.arguments["mixture"]
            if names[0] != "key" and not _holds(given) and any(map(_holds, bound.arguments.values())):
                raise ValueError(f"mixture stands in another place: {_call(function.__name__, signature)}")
            bound.arguments["mixture"] = mixture_of(given)
        if _holds(bound.arguments.get("init")):
            bound.arguments["init"] = mixture_of(bound.arguments["init"], "init")
        return function(*bound.args, **bound.kwargs)

    return wrapper


def _meant(name: str, signature: inspect.Signature, args: tuple, named: dict, error: TypeError) -> str:
    """The message for a call that does not fit the signature: what is wrong, and the right call."""
    call, known = _call(name, signature), signature.parameters
    for given in named:
        if given not in known:
            near = difflib.get_close_matches(given, known, 1, 0.75)
            hint = MEANT.get(given) or (f"did you mean {near[0]}=?" if near else f"it has {', '.join(known)}")
            return f"{name} has no argument {given}=: {hint}"
    if next(iter(known)) == "key" and args and (_holds(args[0]) or _rows(args[0])):
        return f"key must come first, a seed or a JAX key: {call}; got {_kind(args[0])}"
    places = [each.name for each in known.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    if len(args) > len(places):
        return f"{name} takes {', '.join(places)} by position, and the others by name: {call}"
    return f"{name}: {error}; it is called {call}"


def _call(name: str, signature: inspect.Signature) -> str:
    """The shortest call of a function: its arguments without default, 0 for the key."""
    needed = [each for each in signature.parameters.values() if each.default is each.empty]
    words = [
        f"{each.name}=..." if each.kind is each.KEYWORD_ONLY else "0" if each.name == "key" else each.name
        for each in needed
        if each.kind is not each.VAR_KEYWORD
    ]
    return f"{name}({', '.join(words)})"


def _holds(value: Any) -> bool:
    return isinstance(value, (Mixture, FitResult, Selection)) or hasattr(value, "mixture_")


def _rows(value: Any) -> bool:
    """Whether a value passed as the key is rows of data, or the path of a file."""
    if isinstance(value, (jax.Array, np.ndarray)):
        return value.ndim > 1 or getattr(value.dtype, "names", None) is not None
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], (list, tuple, np.ndarray))
    return isinstance(value, str) or hasattr(value, "blocks") or columns_of(value) is not None


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if shape else "")
