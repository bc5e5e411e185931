"""`mixture`: a mixture made by hand, of checked weights and parameters."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from . import checks
from .families.base import Family, lookup, parameters
from .numerics.dtypes import compute_dtype
from .numerics.forks import usable
from .numerics.plain import plain
from .records import Mixture


def mixture(family: str | Family, *, weights: ArrayLike, **params: ArrayLike) -> Mixture:
    """A mixture from its weights and the parameters of its components.

    Args:
        family: a name or a `Family`. For ``"categorical"`` the codes are 0 .. c - 1 (see `categorical` for others).
        weights: (k,) mixing weights; they are normalised where they miss 1 by less than 1e-4.
        **params: by name. Gaussian ``means`` (k, d) and ``covariances``: full (k, d, d), tied (d, d), diag (k, d),
            spherical (k,), EII (); in place of these VEI has ``volumes`` (k,) and ``shape`` (d,), of product 1.
            Bernoulli ``probs`` (k, d); categorical ``probs`` (k, d, c); Poisson and exponential ``rates`` (k, d);
            Gamma ``concentrations`` and ``rates`` (k, d).

    Returns:
        Mixture: in float64 where any parameter is float64 (or integers, or Python numbers), in float32 otherwise.

    Raises:
        ValueError: an unknown family, missing or further parameters, wrong shapes, values outside their constraint
            (covariances that are not positive definite), weights that do not sum to 1.
    """
    usable()
    family = checks.family_name(family)
    given = {name: plain(value, name) for name, value in params.items()}
    if family == "categorical":
        if "probs" not in given or given["probs"].ndim != 3:
            raise ValueError("probs must have shape (k, d, c) for family 'categorical'")
        family = lookup(family, n_categories=given["probs"].shape[-1])
    family = lookup(family)
    declared = parameters(family.parameters)
    if set(given) != set(declared):
        raise ValueError(
            f"family {family.name!r} has the parameters {', '.join(declared)}; got {', '.join(given) or 'none'}"
        )
    weights = plain(weights, "weights")
    if weights.ndim != 1 or weights.size == 0:
        raise ValueError(f"weights must have shape (k,), got {weights.shape}")
    _check_shapes(given, declared, {"k": weights.shape[0], **dict(family.sizes)})
    double = any(compute_dtype(value) == np.float64 for value in given.values())
    with jax.enable_x64(jax.config.jax_enable_x64 or double):
        dtype = np.float64 if double else np.float32
        if not checks.in_trace(weights, given):
            weights = _checked_weights(np.asarray(weights, dtype))
            for name, value in given.items():
                checks.constrained(np.asarray(value, dtype), declared[name], name)
            family.check(family.parameters(**{name: np.asarray(value) for name, value in given.items()}))
        given = {name: jnp.asarray(value, dtype) for name, value in given.items()}
        with np.errstate(divide="ignore"):
            log_weights = jnp.log(weights) if checks.in_trace(weights) else jnp.asarray(np.log(weights), dtype)
        return Mixture(log_weights.astype(dtype), family.parameters(**given), family)


def _check_shapes(given, declared, sizes):
    for name, about in declared.items():
        value, letters = given[name], about["shape"]
        wanted = f"({', '.join(str(sizes.get(letter, letter)) for letter in letters)})"
        if value.ndim != len(letters):
            raise ValueError(f"{name} must have shape {wanted}, got {value.shape}")
        for letter, size in zip(letters, value.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"{name} must have shape {wanted}, got {value.shape}")


def _checked_weights(weights):
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"weights must be finite and >= 0, got {weights}")
    total = weights.sum(dtype=np.float64)
    if abs(total - 1) >= 1e-4:
        raise ValueError(f"weights must sum to 1, got {total:g}: divide them by their sum")
    return weights if total == 1 else (weights / total).astype(weights.dtype)


def cast(record, dtype):
    """A mixture, or another record of real numbers, as JAX arrays of another dtype."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), record)
