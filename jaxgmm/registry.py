"""The names of families: what makes a `Family` of a name and options, here and wherever a file or a pickle is read."""

import inspect
from collections.abc import Callable

_REGISTRY: dict[str, Callable] = {}


def register(name: str, make: Callable) -> None:
    """Give a family a name: ``make(**options) -> Family`` is given the `Family.options` of the one that is wanted."""
    _REGISTRY[name] = make


def known() -> list[str]:
    return list(_REGISTRY)


def lookup(family, **options):
    """The Family of a name and options; a Family is returned as it is.

    Raises:
        ValueError: an unknown name, or options that are not those of the family.
    """
    if not isinstance(family, str):
        return family
    if family not in _REGISTRY:
        raise ValueError(f"family must be one of {', '.join(known())} or a jaxgmm.Family, got {family!r}")
    make = _REGISTRY[family]
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        raise ValueError(f"family {family!r} with options {options}: {error}; pass the jaxgmm.Family") from None
    return make(**options)


def with_options(name: str, options: tuple):
    """The Family of a name and of `Family.options`."""
    return lookup(name, **dict(options))


def registered(family) -> bool:
    """Whether this family is what its name and options stand for."""
    try:
        return with_options(family.name, family.options) == family
    except Exception:  # the name may be another's, whose maker fails of these options as it likes
        return False
