"""`record`: frozen dataclasses that are pytrees, and whose copies and pickles keep every bit.

A copied or unpickled JAX array becomes float32 where JAX's x64 mode is off, even if it was float64. So a record pickles
its arrays as NumPy's, and makes JAX arrays of them in x64 mode when it is read.
"""

import copy
import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

T = TypeVar("T")


class Kept:
    """A JAX array in a copy or a pickle, which keeps its dtype.

    Raises:
        ValueError: on pickling, where part of the array lies in another process.
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
        return Kept(jax.device_put(np.array(values)))  # a copy: the values may be a view of a mapped file


def kept(tree):
    """The tree with its concrete JAX arrays as `Kept`. Records in it are left to their own ``__getstate__``."""
    return jax.tree.map(lambda leaf: Kept(leaf) if _narrowed(leaf) else leaf, tree, is_leaf=dataclasses.is_dataclass)


def _narrowed(leaf) -> bool:
    """Whether a copy of this leaf may have another dtype: a concrete JAX array, but no random key."""
    array = isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
    return array and isinstance(leaf.dtype, np.dtype)


def restored(tree):
    """The tree with the arrays that were `kept`."""
    return jax.tree.map(
        lambda leaf: leaf.array if isinstance(leaf, Kept) else leaf, tree, is_leaf=dataclasses.is_dataclass
    )


def _getstate(self):
    return kept(vars(self))


def _setstate(self, state):
    vars(self).update(restored(state))


def static(**options: Any) -> Any:
    """A field that is part of a record's structure, and static in compiled functions."""
    return dataclasses.field(metadata={"static": True}, **options)


def dropped(**options: Any) -> Any:
    """A field that is no part of the pytree: a record from `jax.tree.map` or a transformation has its default."""
    return dataclasses.field(metadata={"dropped": True}, **options)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, static, dropped))
def record(cls: type[T]) -> type[T]:
    """Decorator: a frozen dataclass, registered as a pytree, without ``==``. Fields are arrays or trees of them, unless
    they are marked by `static` or `dropped`."""
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=cls.__repr__ is object.__repr__)(cls)
    cls.__getstate__, cls.__setstate__ = _getstate, _setstate
    names = {"": [], "static": [], "dropped": []}
    for field in dataclasses.fields(cls):
        names[next((kind for kind in ("static", "dropped") if field.metadata.get(kind)), "")].append(field.name)
    jax.tree_util.register_dataclass(cls, names[""], names["static"], names["dropped"])
    return cls
