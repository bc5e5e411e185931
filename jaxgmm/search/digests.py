"""Digests of values, functions among them: equal for values that do the same, also in another process.

The digest of a function is made of its name, its code, its defaults, and the values that it looks up: closure and
globals, and so on to the end. What is installed (Python's library, site-packages, this package) counts by its name, a
module of the user's by its text. The digest of another value is made of what pickle would store.
"""

import dataclasses
import dis
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

MAY_BE_CYCLIC = (dict, types.MethodType, functools.partial)
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), np.generic, np.dtype)


def digest(value) -> str | None:
    """The digest in hexadecimal; None for a value that cannot be pickled."""
    try:
        return _Digests().of(value)
    except Exception:  # objects refuse to be pickled by errors of any kind
        return None


class _Digests:
    """The digests of values that may refer to each other."""

    def __init__(self):
        self.met = {}  # values that may refer to others, by their ids; kept, so that no other value gets such an id

    def of(self, value) -> str:
        if isinstance(value, MAY_BE_CYCLIC) or hasattr(value, "__dict__"):
            if id(value) in self.met:
                return f"met as {self.met[id(value)][0]}"
            self.met[id(value)] = len(self.met), value
        sums = hashlib.sha256()
        for part in self.parts(value):
            sums.update(part if isinstance(part, bytes) else f"{part}\n".encode())
        return sums.hexdigest()

    def all(self, values):
        return map(self.of, values)

    def parts(self, value):
        """Strings and bytes that tell a value from others."""
        if isinstance(value, enum.Enum):
            return type(value).__qualname__, value.name
        if isinstance(value, PLAIN):
            return type(value).__name__, repr(value)
        if isinstance(value, (np.ndarray, jax.Array)) and isinstance(value.dtype, np.dtype) and value.dtype != object:
            array = np.asarray(value)
            return "array", array.dtype, array.shape, array.tobytes()
        if isinstance(value, (list, tuple)):
            return type(value).__name__, *self.all(value)
        if isinstance(value, (set, frozenset)):
            return type(value).__name__, *sorted(self.all(value))
        if isinstance(value, (dict, types.MappingProxyType)):
            return "dict", *(self.of(item) for item in value.items())
        if isinstance(value, types.ModuleType):
            return "module", value.__name__, b"" if _installed(value) else Path(value.__file__).read_bytes()
        if isinstance(value, types.CodeType):
            return "code", value.co_code, *self.all((value.co_names, value.co_consts))
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, types.MethodType):
            return "method", *self.all((value.__func__, value.__self__))
        if isinstance(value, functools.partial):
            return "partial", *self.all((value.func, value.args, value.keywords))
        if isinstance(value, (staticmethod, classmethod, property)):
            inside = (value.fget, value.fset) if isinstance(value, property) else (value.__func__,)
            return type(value).__name__, *self.all(inside)
        if isinstance(value, type):
            return self.kind(value)
        if isinstance(value, types.BuiltinMethodType) and not isinstance(value.__self__, types.ModuleType | None):
            return "method", value.__name__, self.of(value.__self__)
        if _installed(value) and hasattr(value, "__qualname__"):
            return "installed", value.__module__, value.__qualname__
        if hasattr(value, "__wrapped__"):  # as jit and cache leave it
            return type(value).__qualname__, self.of(value.__wrapped__)
        if dataclasses.is_dataclass(value):  # not as pickled: a family is pickled by its name, without its functions
            return "instance", *self.all((type(value), vars(value)))
        pieces = value.__reduce_ex__(4)
        pieces = [list(each) if isinstance(each, Iterator) else each for each in pieces]
        return "pickled", *self.all((type(value), *pieces))

    def function(self, function):
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        given = cells, function.__defaults__, function.__kwdefaults__
        if _installed(function):
            own = given if "<locals>" in function.__qualname__ else ()
            return "installed", function.__module__, function.__qualname__, *self.all(own)
        names = sorted(_looked_up(function.__code__) & set(function.__globals__))
        seen = {name: function.__globals__[name] for name in names}
        return "function", function.__qualname__, *self.all((function.__code__, *given, seen))

    def kind(self, kind):
        if _installed(kind):
            return "installed", kind.__module__, kind.__qualname__
        functions = types.FunctionType, staticmethod, classmethod, property
        own = {name: each for name, each in vars(kind).items() if isinstance(each, functions) or name[:2] != "__"}
        own.pop("_abc_impl", None)
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        declared = [(field.name, field.metadata) for field in fields]
        return "class", kind.__qualname__, *self.all((kind.__bases__, own, declared))


def _looked_up(code) -> set[str]:
    """Names of the globals that a function's code reads, with those of functions within it."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    return names.union(*(_looked_up(const) for const in code.co_consts if isinstance(const, types.CodeType)))


def _installed(value) -> bool:
    """Whether a module, function or class is of Python's library, this package or site-packages."""
    root = str(getattr(value, "__module__", None) or getattr(value, "__name__", "")).partition(".")[0]
    if root == "__main__":
        return False
    if root in sys.stdlib_module_names or root == __package__.partition(".")[0]:
        return True
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts))
