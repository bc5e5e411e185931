"""`vmap` for NumPy: an array of which every function sees one lane, while NumPy works on all lanes at once.

A `Lanes` holds values (l, ...) of l lanes and stands for one of them: its shape is that of one lane, and what NumPy's
functions make of it they make of every lane. They find their way here by NumPy's own protocols (`__array_ufunc__`,
`__array_function__`), so that code for one lane runs for many as it is written. Where it asks for the truth of a number
it gets an error: lanes may differ.
"""

import math

import jax
import numpy as np


class Lanes(np.lib.mixins.NDArrayOperatorsMixin):
    """Values (l, ...) of l lanes, as an array of one lane's shape."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    shape = property(lambda self: self.value.shape[1:])
    ndim = property(lambda self: self.value.ndim - 1)
    dtype = property(lambda self: self.value.dtype)
    size = property(lambda self: math.prod(self.shape))
    T = property(lambda self: Lanes(self.value.transpose(0, *range(self.ndim, 0, -1))))

    def __len__(self):
        return self.shape[0]

    def __bool__(self):
        raise TypeError("the truth of many lanes: they may differ")

    def __array__(self, *args, **named):
        raise TypeError("many lanes as one array: they would lose their axis")

    def __getitem__(self, index):
        if isinstance(index, Lanes):  # entries of their own
            every = np.arange(len(self.value)).reshape(-1, *(1,) * index.ndim)
            return Lanes(self.value[every, index.value])
        return Lanes(self.value[(slice(None), *(index if isinstance(index, tuple) else (index,)))])

    def astype(self, dtype, **named):
        return Lanes(self.value.astype(dtype, **named))

    def reshape(self, *shape):
        return Lanes(self.value.reshape(len(self.value), *(shape[0] if isinstance(shape[0], tuple) else shape)))

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        if method != "__call__":
            return NotImplemented
        if ufunc is np.matmul:
            return _matmul(*inputs)
        named.pop("out", None)  # of `a += b`, which gives a new array
        found = ufunc(*(_together(inputs) if len(inputs) > 1 else [self.value]), **named)
        return tuple(map(Lanes, found)) if isinstance(found, tuple) else Lanes(found)

    def __array_function__(self, function, types, args, named):
        return _FUNCTIONS[function](*args, **named) if function in _FUNCTIONS else NotImplemented


def aligned(array, ndim: int):
    """The values of lanes with new axes after the first, so that a lane has so many; other arrays as they are."""
    if type(array) is not Lanes:
        return array
    value, missing = array.value, ndim - array.value.ndim + 1
    return value.reshape(len(value), *(1,) * missing, *value.shape[1:]) if missing > 0 else value


def _pair(lanes, other):
    """The values of lanes and of another array, or number, as NumPy broadcasts them."""
    value = lanes.value
    if type(other) is Lanes:
        ndim = other.value.ndim
        if ndim == value.ndim:
            return value, other.value
        return (aligned(lanes, ndim - 1), other.value) if ndim > value.ndim else (value, aligned(other, value.ndim - 1))
    ndim = getattr(other, "ndim", 0)
    return (value if ndim < value.ndim else aligned(lanes, ndim)), other


def _together(arrays) -> list:
    """The values of several arrays, some of them lanes, as NumPy broadcasts them."""
    dims = [each.value.ndim - 1 if type(each) is Lanes else getattr(each, "ndim", 0) for each in arrays]
    most = max(dims)
    return [
        each if type(each) is not Lanes else each.value if ndim == most else aligned(each, most)
        for each, ndim in zip(arrays, dims, strict=True)
    ]


def _matmul(a, b):
    """Matrix products; those of all lanes with one matrix are one product."""
    if isinstance(a, Lanes) and isinstance(b, np.ndarray) and a.ndim <= 2 and b.ndim == 2:
        rows = a.value.reshape(-1, a.value.shape[-1])
        return Lanes((rows @ b).reshape(*a.value.shape[:-1], b.shape[1]))
    vectors = [each.ndim == 1 for each in (a, b)]
    a = a[None, :] if vectors[0] else a
    b = b[:, None] if vectors[1] else b
    most = max(a.ndim, b.ndim)
    product = Lanes(np.matmul(aligned(a, most), aligned(b, most)))
    product = product[..., 0] if vectors[1] else product
    return product[..., 0, :] if vectors[0] and not vectors[1] else product[..., 0] if vectors[0] else product


def _axes(axis, ndim: int):
    """Axes of one lane as those of all lanes."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple):
        return tuple(_axes(each, ndim) for each in axis)
    return axis + 1 if axis >= 0 else axis


def _reduction(function):
    def reduce(array, axis=None, **named):
        return Lanes(function(array.value, axis=_axes(axis, array.ndim), **named))

    return reduce


def _along(function):
    """A function of one array and an axis of it."""

    def along(array, axis=-1, **named):
        return Lanes(function(array.value, axis=_axes(axis, array.ndim), **named))

    return along


def _each_matrix(function):
    """A function of the last two axes."""

    def of_all(array, *args, **named):
        found = function(array.value, *args, **named)
        return tuple(map(Lanes, found)) if isinstance(found, tuple) else Lanes(found)

    return of_all


def _full(function):
    def full(array, *args, **named):
        return Lanes(function(array.value, *args, **named))

    return full


def _where(condition, new, old):
    return Lanes(np.where(*_together((condition, new, old))))


def _broadcast_to(array, shape):
    return Lanes(np.broadcast_to(aligned(array, len(shape)), (len(array.value), *shape)))


def _lanes_in(arrays) -> int:
    return next(len(each.value) for each in arrays if isinstance(each, Lanes))


def _joined(function):
    """A function of a list of arrays, of which some are of lanes."""

    def join(arrays, axis=0, **named):
        count = _lanes_in(arrays)
        values = [
            each.value if isinstance(each, Lanes) else np.broadcast_to(each, (count, *np.shape(each)))
            for each in arrays
        ]
        ndim = values[0].ndim - 1 + (function is np.stack)
        return Lanes(function(values, axis=_axes(axis, ndim), **named))

    return join


def _split(array, where, axis=0):
    return [Lanes(part) for part in np.split(array.value, where, axis=_axes(axis, array.ndim))]


def _repeat(array, repeats, axis):
    return Lanes(np.repeat(array.value, repeats, axis=_axes(axis, array.ndim)))


def _diagonal(array, offset=0, axis1=0, axis2=1):
    first, second = (_axes(axis, array.ndim) for axis in (axis1, axis2))
    return Lanes(np.diagonal(array.value, offset, first, second))


def _swapaxes(array, first, second):
    return Lanes(np.swapaxes(array.value, _axes(first, array.ndim), _axes(second, array.ndim)))


def _clip(array, low, high):
    return np.minimum(np.maximum(array, low), high)


def _einsum(subscripts, *operands, **named):
    terms, out = subscripts.replace(" ", "").split("->")
    marked = ["Z" * isinstance(each, Lanes) + term for term, each in zip(terms.split(","), operands, strict=True)]
    values = [each.value if isinstance(each, Lanes) else each for each in operands]
    return Lanes(np.einsum(f"{','.join(marked)}->Z{out}", *values, **named))


_FUNCTIONS = {
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.concatenate: _joined(np.concatenate),
    np.stack: _joined(np.stack),
    np.split: _split,
    np.repeat: _repeat,
    np.diagonal: _diagonal,
    np.swapaxes: _swapaxes,
    np.clip: _clip,
    np.einsum: _einsum,
    np.tril: _each_matrix(np.tril),
    np.linalg.cholesky: _each_matrix(np.linalg.cholesky),
    np.linalg.eigh: _each_matrix(np.linalg.eigh),
    np.linalg.eigvalsh: _each_matrix(np.linalg.eigvalsh),
    np.shape: lambda array: array.shape,
    np.ndim: lambda array: array.ndim,
}
_FUNCTIONS |= {f: _reduction(f) for f in (np.sum, np.any, np.all, np.max, np.min, np.amax, np.amin, np.mean, np.prod)}
_FUNCTIONS |= {f: _along(f) for f in (np.argsort, np.argmax, np.argmin, np.sort)}
_FUNCTIONS |= {f: _full(f) for f in (np.zeros_like, np.ones_like, np.full_like, np.empty_like)}


def _operator(ufunc):
    """A binary operator, straight to the function: NumPy's way round takes as long as the work."""

    def forward(self, other):
        return Lanes(ufunc(*_pair(self, other)))

    def reflected(self, other):
        one, another = _pair(self, other)
        return Lanes(ufunc(another, one))

    return forward, reflected


_OPERATORS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "and": np.bitwise_and}
_OPERATORS |= {"or": np.bitwise_or, "pow": np.power}
for _name, _ufunc in _OPERATORS.items():
    _forward, _reflected = _operator(_ufunc)
    setattr(Lanes, f"__{_name}__", _forward)
    setattr(Lanes, f"__r{_name}__", _reflected)
for _name, _ufunc in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
    setattr(Lanes, f"__{_name}__", _operator(_ufunc)[0])


_METHODS = {"sum": np.sum, "any": np.any, "all": np.all, "max": np.max, "min": np.min, "mean": np.mean}


def _method(function):
    def method(self, axis=None, **named):
        return _FUNCTIONS[function](self, axis, **named)

    return method


for _name, _function in _METHODS.items():
    setattr(Lanes, _name, _method(_function))


def entered(tree):
    """A tree of arrays (l, ...) as one of lanes."""
    return jax.tree.map(Lanes, tree)


def left(tree, count: int):
    """A tree of lanes as one of arrays (l, ...); what is the same for all of them as often."""
    return jax.tree.map(
        lambda leaf: leaf.value if isinstance(leaf, Lanes) else np.broadcast_to(leaf, (count, *np.shape(leaf))), tree
    )
