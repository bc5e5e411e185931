"""The registry of families: a `Family` from its name and options, here and wherever a file or a pickle is read."""

import inspect
from collections.abc import Callable

_REGISTRY: dict[str, Callable] = {}
OTHERS = {
    "vvv": "full",
    "eee": "tied",
    "vvi": "diag",
    "vii": "spherical",
    "diagonal": "diag",
}  # elsewhere


def register(name: str, make: Callable) -> None:
    """Give a family a name. ``make(**options) -> Family`` is its maker, called with `Family.options`.

    Raises:
        ValueError: the name is taken, in whatever case. The same maker may come again, when its module is reloaded.
    """
    for taken in _REGISTRY:
        if taken.lower() == name.lower() and (taken != name or _origin(_REGISTRY[taken]) != _origin(make)):
            raise ValueError(f"name {name!r} is taken, by {taken!r} of {_REGISTRY[taken]!r}: give the family another")
    _REGISTRY[name] = make


def known() -> list[str]:
    """The names of all families: the library's own, and those given by `register`."""
    return list(_REGISTRY)


def lookup(family, **options):
    """The Family of a name and options; a Family is returned as it is.

    Raises:
        ValueError: an unknown name, or options that the family does not have.
    """
    if not isinstance(family, str):
        return family
    family = spelled(family)
    make = _REGISTRY[family]
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        raise ValueError(f"family {family!r} with options {options}: {error}; pass the jaxgmm.Family") from None
    return make(**options)


def spelled(name: str) -> str:
    """The registered name that equals this one but for case.

    Raises:
        ValueError: none does, or several do.
    """
    alike = [name] if name in _REGISTRY else [one for one in _REGISTRY if one.lower() == name.lower()]
    if len(alike) != 1:
        others = OTHERS.get(name.lower())
        meant = f": that is {others!r} here" if others else ""
        raise ValueError(f"family must be one of {', '.join(known())} or a jaxgmm.Family, got {name!r}{meant}")
    return alike[0]


def with_options(name: str, options: tuple):
    """The Family of a name and of `Family.options`."""
    return lookup(name, **dict(options))


def registered(family) -> bool:
    """Whether `lookup` of its name and options gives this very family."""
    try:
        return with_options(family.name, family.options) == family
    except Exception:  # another family of this name, whose maker may fail with these options in any way
        return False


def _origin(make: Callable):
    """What tells makers apart: where a function is written, its code if it is a lambda, its defaults and closure."""
    function = inspect.unwrap(make)
    if not inspect.isfunction(function):
        return make
    code = function.__code__
    text = (code.co_code, code.co_consts, code.co_names) if function.__name__ == "<lambda>" else None
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    return function.__module__, function.__qualname__, text, function.__defaults__, held
