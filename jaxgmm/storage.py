"""Mixtures in files: a .npz of plain arrays, readable with `numpy.load` alone.

    format, version       "jaxgmm mixture", and the number of this layout
    family, options       the family's name; its options as JSON, an object (files of version 1 have none)
    log_weights           (k,)
    components.<name>     the family's parameters by their public names
    columns               names of the d features, where they were given

Nothing is pickled: a file from an untrusted source runs no code when it is loaded.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .calls import public
from .data.files import replacing
from .families.base import Family, known, lookup, registered
from .mixtures import mixture as built
from .numerics.plain import plain
from .records import Mixture, Model

FORMAT = "jaxgmm mixture"
VERSION = 2
PREFIX = "components."


@public
def save(path: str | os.PathLike[str], mixture: Model, *, columns: Sequence[str] | None = None) -> None:
    """Write a mixture to a .npz file, whole or not at all.

    Args:
        path: the file; no ending is added to its name.
        mixture: one mixture (not a batch), or a result or estimator that holds one.
        columns: names of the d features; None: those of the mixture.

    Raises:
        ValueError: the mixture is a batch, the names are not d, or another family is registered under its family's
            name.
    """
    log_weights = np.asarray(mixture.log_weights)
    if log_weights.ndim != 1:
        raise ValueError(f"mixture must be a single one, got a batch {log_weights.shape[:-1]}; save them one by one")
    arrays = {PREFIX + name: np.asarray(values) for name, values in vars(mixture.components).items()}
    columns = mixture.columns if columns is None else columns
    if columns is not None:
        columns = [str(name) for name in columns]
        if len(columns) != mixture.n_features:
            raise ValueError(f"columns must name {mixture.n_features} features, got {len(columns)} names")
        arrays["columns"] = np.array(columns, dtype=np.str_)
    about = {"format": FORMAT, "version": VERSION, "family": mixture.family.name, "options": _options(mixture.family)}
    with replacing(path) as file:
        np.savez(file, **about, log_weights=log_weights, **arrays)


def _options(family: Family) -> str:
    """The family's options as JSON; ValueError where `load` could not make the family of its name and them."""
    if family.name in known() and not registered(family):
        raise ValueError(
            f"mixture is of {family}, and another family is registered as that: register it under a name of its own, "
            "made by a cached function of all its options (jaxgmm.family.register)"
        )
    try:
        return json.dumps(dict(family.options))
    except TypeError as error:
        raise ValueError(f"options of {family} must be numbers, strings or tuples of them: {error}") from None


def load(path: str | os.PathLike[str]) -> Mixture:
    """The mixture in a file that `save` wrote, with the same bits, dtypes and names of columns.

    Raises:
        ValueError: the file is of another kind, damaged, of a newer version, or its family is not registered.
        OSError: the file is not there.
    """
    entries = _entries(path)
    try:
        mixture = _rebuild(entries)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a mixture that can be used: {error}") from error
    if "columns" not in entries:
        return mixture
    columns = tuple(map(str, np.atleast_1d(entries["columns"])))
    if len(columns) != mixture.n_features:
        raise ValueError(f"{path}: its columns name {len(columns)} of {mixture.n_features} features")
    return dataclasses.replace(mixture, columns=columns)


def _entries(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a file, by name; ValueError where `save` did not write it."""
    with open(path, "rb") as handle:
        try:
            with np.load(handle, allow_pickle=False) as file:
                entries = {name: file[name] for name in file.files}
        except Exception as error:  # a damaged or foreign zip fails in a dozen ways, none of them documented
            raise ValueError(f"{path}: not a file that jaxgmm.save wrote, or one cut short or damaged") from error
    if str(entries.get("format")) != FORMAT:
        raise ValueError(f"{path}: not a file that jaxgmm.save wrote; it holds {', '.join(entries) or 'nothing'}")
    if entries["version"] not in (1, VERSION):
        raise ValueError(f"{path}: is of version {entries['version']}, this jaxgmm reads {VERSION}: upgrade jaxgmm")
    return entries


def _family(entries: dict[str, np.ndarray]) -> str | Family:
    """The family, from its name and options; its name alone in files of version 1."""
    name = str(entries["family"])
    if name not in known():
        raise ValueError(f"of family {name!r}, which nobody registered: import the module that does, then load again")
    if entries["version"] == 1:
        return name
    options = dict(json.loads(str(entries["options"])))
    return lookup(name, **{option: _hashable(value) for option, value in options.items()})


def _hashable(value):
    """A value with tuples where JSON has made lists of them."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _rebuild(entries: dict[str, np.ndarray]) -> Mixture:
    """The mixture, checked by `jaxgmm.mixture`; with the numbers of the file, which that may have rounded."""
    log_weights = plain(entries["log_weights"], "log_weights")
    params = {name.removeprefix(PREFIX): values for name, values in entries.items() if name.startswith(PREFIX)}
    params = {name: plain(values, name) for name, values in params.items()}
    for name, values in {"log_weights": log_weights, **params}.items():
        if values.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} holds {values.dtype} where float32 or float64 is expected")
    with np.errstate(over="ignore"):
        weights = np.exp(log_weights)
    checked = built(_family(entries), weights=weights, **params)
    with jax.enable_x64(True):  # else float64 would become float32
        components = type(checked.components)(**{name: jnp.asarray(values) for name, values in params.items()})
        return dataclasses.replace(checked, log_weights=jnp.asarray(log_weights), components=components)
