"""Checks of arguments before anything runs: a ValueError names the argument, what was expected and what came."""

import numbers
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from .families.base import Family, known, parameters, spelled
from .numerics.dtypes import HALF, compute_dtype
from .numerics.plain import names_of, plain
from .records import GaussianPrior

BLOCK = 2**16  # rows that are searched at a time
MOST = 2**31 - 1  # counters and sizes are int32 on the device


def in_trace(*values) -> bool:
    """Whether any leaf of these trees is a tracer."""
    leaves = jax.tree.leaves(values, is_leaf=lambda leaf: isinstance(leaf, Iterator))  # JAX refuses iterators
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def table(x, name: str = "x"):
    """x as an (n, d) array of real numbers: a NumPy array, or a JAX array as it is."""
    x = plain(x, name)
    compute_dtype(x)
    if x.ndim == 1:
        raise ValueError(f"{name} must have shape (n, d), got {x.shape}: for one feature write {name}[:, None]")
    if x.ndim != 2:
        raise ValueError(f"{name} must have shape (n, d), got {x.shape}")
    if 0 in x.shape:
        raise ValueError(f"{name} is empty: its shape is {x.shape}")
    return x


def like_mixture(x, mixture):
    """Check that rows x have as many features as the mixture."""
    if x.shape[1] != mixture.n_features:
        raise ValueError(f"x has {x.shape[1]} features (columns), the mixture has {mixture.n_features}")


def rows_of(x, mixture):
    """x as an (n, d) array with the mixture's d. Where a frame and the mixture have names, the frame's columns are
    picked by the mixture's names."""
    names, rows = names_of(x), table(x)
    if names is not None and mixture.columns not in (None, names):
        missing = [name for name in mixture.columns if name not in names]
        if missing:
            raise ValueError(
                f"x has no column {', '.join(map(repr, missing))}: the mixture was fitted to "
                f"{', '.join(map(repr, mixture.columns))}; x has {', '.join(map(repr, names))}"
            )
        rows = rows[:, [names.index(name) for name in mixture.columns]]
    like_mixture(rows, mixture)
    return rows


def weights(sample_weight, n: int, dtype):
    """Sample weights (n,) in this dtype, 1 where none are given. Shape and dtype are checked, not the values."""
    if sample_weight is None:
        return ones(n, dtype)
    sample_weight = plain(sample_weight, "sample_weight")
    if sample_weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one weight a row of x, got {sample_weight.shape}")
    if sample_weight.dtype.kind not in "fiub" and sample_weight.dtype.name not in HALF:
        raise ValueError(f"sample_weight must hold real numbers, got dtype {sample_weight.dtype}")
    return sample_weight.astype(dtype)


def ones(n, dtype):
    """Weights (n,) of 1: a NumPy array, or a traced one where n is a symbol of `jax.export`."""
    return np.ones(n, dtype) if known_size(n) else jnp.ones(n, dtype)


def known_size(n) -> bool:
    """Whether a size is a number; under `jax.export` it may be a symbol."""
    return isinstance(n, (int, np.integer))


def enough_rows(n: int, n_components: int):
    """Check that there are as many rows as components."""
    if not known_size(n):
        raise ValueError(
            f"x has a symbolic number of rows, {n}: a fit is exported for a number of rows; fill up fewer with copies "
            "of any row, of sample_weight 0"
        )
    if n < n_components:
        raise ValueError(f"n_components={n_components} needs at least as many rows, got {n}: ask for fewer components")


def weight_values(sample_weight, n_components: int):
    """Check concrete weights: none illegal, and as many positive ones as components."""
    enough_weight(legal_weights(sample_weight), n_components)


def legal_weights(sample_weight, place="row {}".format) -> int:
    """The number of positive weights; ValueError where one is negative or not finite. ``place`` names a row."""
    values = np.asarray(sample_weight)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"sample_weight must be finite and >= 0; {place(row)} has {values[row]}")
    return int((values > 0).sum())


def sound_weights(lightest, weight):
    """Check weights by the least of them and their sum, where they lie on devices."""
    lightest, weight = np.asarray(lightest), np.asarray(weight)
    if not (lightest >= 0 and np.isfinite(weight) and weight >= np.finfo(weight.dtype).tiny):
        raise ValueError("sample_weight must be finite and >= 0, and not all zero; their sum too")


def sound_frame(frame):
    """Check that the variances of the data do not overflow in their dtype."""
    scale = np.asarray(frame.scale)
    if not np.isfinite(scale).all():
        column = int(np.argmin(np.isfinite(scale)))
        raise ValueError(
            f"x is too large: its variance, of column {column}, overflows {scale.dtype}; divide x by a number "
            "(or sample_weight, where that is what is large)"
        )


def mixture_to_start_from(init, x, k: int, family: Family, name: str):
    """Check a mixture that was passed as a start: its features, family and number of components."""
    like_mixture(x, init)
    if init.family != family or init.n_components != k:
        raise ValueError(
            f"{name} is a mixture of {init.n_components} components of family {init.family.name!r}; "
            f"n_components={k}, family={family.name!r} were asked for ({init.family}, {family})"
        )


def centres(values, shape: tuple, name: str):
    """Check the centres that a user's function returned."""
    try:
        values = plain(values, "centres")
    except ValueError as error:
        raise ValueError(f"{name} must return finite numbers: {error}") from None
    if values.shape != shape:
        raise ValueError(f"{name} must return centres of shape {shape}, got {values.shape}")
    if not in_trace(values) and not (np.isrealobj(values) and np.isfinite(np.asarray(values)).all()):
        raise ValueError(f"{name} must return finite numbers, got {values!r:.80}")
    return values


def enough_weight(positive: int, n_components: int):
    """Check that there are as many positive weights as components."""
    if positive == 0:
        raise ValueError("sample_weight must not be all zero")
    if positive < n_components:
        raise ValueError(
            f"n_components={n_components} needs at least as many rows of positive weight, got {positive}: "
            "ask for fewer components"
        )


def row_values(x, family: Family, measured, elsewhere: bool = False):
    """Check concrete rows. ``measured`` counts wrong rows; ``elsewhere``: they may be in another process."""
    if measured.not_finite:
        for row, column, value in first(x, lambda block: ~np.isfinite(block), elsewhere):
            raise ValueError(f"x must be finite; row {row}, column {column} is {value}: drop or impute such rows")
    elif measured.outside:
        for row, column, value in first(x, lambda block: outside(block, family), elsewhere):
            raise ValueError(
                f"x must be {family.support.words} for family {family.name!r}; row {row}, column {column} is {value}"
            )


def responsibilities(values, name: str):
    """Check concrete responsibilities (n, k)."""
    if not (np.isfinite(values).all() and (values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-4)):
        raise ValueError(f"{name} must hold responsibilities >= 0 whose rows sum to 1")


def outside(rows, family: Family):
    """Which values of rows (n, d) are outside the support: a NumPy array (n, d)."""
    return ~np.asarray(family.support.contains(rows.T)).T


def own_parts(x) -> list:
    """[(number of the first row, rows)] of the parts of x in this process's memory, in order."""
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        parts = [(shard.index[0].start or 0, shard.data) for shard in x.addressable_shards]
        return sorted(parts, key=lambda part: part[0])
    return [(0, x)]


def first(x, wrong, elsewhere: bool) -> list:
    """[(row, column, value)] of the first wrong value; [] where there is none and it may be ``elsewhere``.

    ``wrong(rows)`` tells which values of rows (b, d) are wrong; it is called on `BLOCK` rows in float64 at a time.
    """
    for begin, part in own_parts(x):
        for start in range(0, part.shape[0], BLOCK):
            values = np.asarray(part[start : start + BLOCK])
            found = wrong(values.astype(np.float64))
            if found.any():
                row, column = np.unravel_index(np.argmax(found), found.shape)
                return [(begin + start + int(row), int(column), values[row, column])]
    if elsewhere:
        return []
    raise AssertionError("a value was counted as wrong and is not to be found")


def count(value, name: str, least: int = 1) -> int:
    """An integer option >= least, as an int."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    if value > MOST:
        raise ValueError(f"{name} must be at most {MOST}, got {value}")
    return int(value)


def number(value, name: str):
    """A real option >= 0; tracers pass."""
    if isinstance(value, jax.core.Tracer):
        return value
    try:
        good = 0 <= float(value) < float("inf")
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return value


def choice(value, name: str, allowed):
    """The allowed value that equals ``value``; words in any case, with or without hyphens and blanks."""
    for one in allowed:
        if isinstance(value, type(one)) and (value == one or (isinstance(one, str) and _bare(value) == _bare(one))):
            return one
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _bare(word: str) -> str:
    return word.lower().translate(str.maketrans("", "", "-_ "))


def prior_for(prior, family: Family, dtype) -> GaussianPrior:
    """The prior of an M-step on data of this dtype. None: ``GaussianPrior(reg_relative=1e-14)`` for float64, 1e-9 for
    float32."""
    if prior is None:
        return GaussianPrior(reg_relative=1e-9 if dtype == np.float32 else 1e-14)
    if not isinstance(prior, GaussianPrior):
        raise ValueError(f"prior must be a jaxgmm.GaussianPrior or None, got {prior!r}")
    if not any(about["located"] for about in parameters(family.parameters).values()):
        raise ValueError(f"prior must be None for family {family.name!r}: only Gaussian families have one yet")
    number(prior.reg_covar, "prior.reg_covar")
    number(prior.reg_relative, "prior.reg_relative")
    return prior


def constrained(value, about, name: str):
    """Check the values of a concrete parameter against its constraint."""
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite")
    if not about["constraint"].contains(value):
        raise ValueError(f"{name} must be {about['constraint'].words}")


def of_features(family: Family, d: int) -> Family:
    """The family; ValueError where it was made for another number of features."""
    fixed = dict(family.sizes).get("d", d)
    if fixed != d:
        raise ValueError(f"x has {d} features (columns), family {family.name!r} was made for {fixed}")
    return family


def family_name(family):
    """A `Family` as it is; a name in the spelling that is registered."""
    if not isinstance(family, (str, Family)):
        raise ValueError(f"family must be one of {', '.join(known())} or a jaxgmm.Family, got {family!r}")
    return spelled(family) if isinstance(family, str) else family
