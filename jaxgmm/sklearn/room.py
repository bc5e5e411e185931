"""Room for components: where data are few, all K up to 8 share a program, all up to 16, 32, and so on.

Compiling for a number of components takes seconds, padding it microseconds. As in the core's sweeps, a component that
was not asked for has log weight -inf.
"""

import dataclasses

import numpy as np

from ..data.sources import Stream
from ..families.base import parameters
from ..numerics.host import hosted
from ..records import Mixture

FEW = 2**15  # numbers in x
LEAST = 8  # components


def room(k: int, x) -> int:
    """Components that k are padded to, for rows x (n, d)."""
    most = max(LEAST, 1 << (k - 1).bit_length())
    return k if hosted() or isinstance(x, Stream) or x.shape[0] < most or x.shape[0] * x.shape[1] > FEW else most


def asked_for(k: int, x) -> np.ndarray:
    """Which components of the program count, (1, room)."""
    return np.arange(room(k, x))[None] < k


def repeated(values, most: int) -> np.ndarray:
    """Values (k, ...) of the components, the last repeated: (most, ...)."""
    return np.asarray(values)[np.minimum(np.arange(most), len(values) - 1)]


def nothing(values, most: int, axis: int = 0, fill=0) -> np.ndarray:
    """Values of which components that were not asked for have 0 (``fill``) along the axis."""
    values = np.asarray(values)
    widths = [(0, most - values.shape[axis] if i == axis % values.ndim else 0) for i in range(values.ndim)]
    return np.pad(values, widths, constant_values=fill)


def each(declared, given: dict, most: int) -> dict:
    """Parameters by name with room; what all components share stays. ``declared`` is the family's record of them."""
    shapes = parameters(declared)
    return {n: repeated(v, most) if shapes[n]["shape"].startswith("k") else np.asarray(v) for n, v in given.items()}


def with_room(mixture: Mixture, most: int) -> Mixture:
    """A mixture with room for this many components."""
    if mixture.n_components == most:
        return mixture
    params = mixture.components
    named = {name: getattr(params, name) for name in parameters(type(params))}
    return dataclasses.replace(
        mixture,
        log_weights=nothing(mixture.log_weights, most, fill=-np.inf),
        components=type(params)(**each(type(params), named, most)),
    )
