"""Records: frozen dataclasses that are pytrees, and keep their bits in copies and pickles.

JAX's own copies would make float32 of float64 wherever its x64 mode is off, so arrays leave a process as NumPy's and
become JAX's again where they are read.
"""

import copy
import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

T = TypeVar("T")


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


def static(**options: Any) -> Any:
    """A field that belongs to the structure of a record, not to its numbers."""
    return dataclasses.field(metadata={"static": True}, **options)


def beside(**options: Any) -> Any:
    """A field that JAX does not see: what `jax.tree.map` or a transformation makes of the record has its default."""
    return dataclasses.field(metadata={"beside": True}, **options)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, static, beside))
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass pytree without ``==``; fields marked with ``static()`` are part of its structure, those marked
    with ``beside()`` are no part of the pytree."""
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=cls.__repr__ is object.__repr__)(cls)
    cls.__getstate__, cls.__setstate__ = _getstate, _setstate
    names = {"": [], "static": [], "beside": []}
    for field in dataclasses.fields(cls):
        names[next((kind for kind in ("static", "beside") if field.metadata.get(kind)), "")].append(field.name)
    jax.tree_util.register_dataclass(cls, names[""], names["static"], names["beside"])
    return cls
