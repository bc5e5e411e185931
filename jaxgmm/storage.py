"""Mixtures in files: a .npz of plain arrays, readable with `numpy.load` alone.

    format, version       what wrote it, and the layout below as a number
    family, options       the family's name; its options as JSON, an object (files of version 1 have none)
    log_weights           (k,)
    components.<name>     the family's parameters by their public names
    columns               names of the d features, where they were given

Nothing is pickled, so loading a file from a stranger runs no code.
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
        path: the file, taken literally: no ending is added.
        mixture: one mixture (not a batch of them), or what holds one.
        columns: names of the d features; default those that the mixture has.

    Raises:
        ValueError: the mixture is a batch, there is not one name for each feature, or the name of its family is that of
            another one.
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
    """The family's options as JSON, where `load` can make it of them and its name, once that is registered."""
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
    """The mixture of a file that `save` wrote, bit for bit and in its dtype, with the names of its columns.

    Raises:
        ValueError: the file is something else, damaged, of a newer format, or of a family that is not there.
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
    """The arrays of a file that says it is ours."""
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
    """The family; its name where it was written without options."""
    name = str(entries["family"])
    if name not in known():
        raise ValueError(f"of family {name!r}, which nobody registered: import the module that does, then load again")
    if entries["version"] == 1:
        return name
    options = dict(json.loads(str(entries["options"])))
    return lookup(name, **{option: _hashable(value) for option, value in options.items()})


def _hashable(value):
    """A value as it was before JSON made lists of its tuples."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _rebuild(entries: dict[str, np.ndarray]) -> Mixture:
    """The mixture, checked by `jaxgmm.mixture` and then given its own numbers back, which that may have rounded."""
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
