"""Gaussian mixtures under linear maps, sums and products: closed forms, component by component.

    y = A x + b           N(A μ + b, A Σ Aᵀ)
    x + y                 N(μ_p + μ_q, Σ_p + Σ_q)
    p(x) q(x)             c N(μ, Σ) with c = N(μ_p; μ_q, Σ_p + Σ_q),  K = Σ_p (Σ_p + Σ_q)⁻¹,
                          μ = μ_p + K (μ_q - μ_p),  Σ = (I - K) Σ_p (I - K)ᵀ + K Σ_q Kᵀ

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 2.3; Bucy and Joseph (1968) for the last Σ.
"""

import numpy as np

from .. import checks
from ..numerics import LOG_2PI, product, whitening
from ..numerics.backend import xp
from . import arguments
from .cuts import normalised
from .normals import Normals, axes_of, common, each_its_own, mixture_from, normals
from .pairs import log_sum
from .running import evaluated


def transform(mixture, a, b=0.0):
    """The distribution of a @ x + b.

    Args:
        mixture: a Gaussian `Mixture` or `FitResult` of d features.
        a: (m, d), of rank m <= d.
        b: (m,), or one number for all m.

    Returns:
        Mixture: of m features. tied if the components share one covariance (tied and EII), full otherwise.

    Raises:
        ValueError: a mixture that is not Gaussian; shapes that do not fit; linearly dependent rows of ``a``, for which
            a @ x has no density.

    Cost: O(k·m·d²).
    """
    mixture = arguments.gaussian(mixture, "only Gaussian components keep their family under a linear map")
    d, a, b = mixture.n_features, arguments.real(a, "a"), arguments.real(b, "b")
    if a.ndim != 2 or a.shape[1] != d or 0 in a.shape:
        raise ValueError(f"a must have shape (m, {d}) for a mixture of {d} features, got {a.shape}")
    if a.shape[0] > d or (not checks.in_trace(a) and np.linalg.matrix_rank(np.asarray(a, np.float64)) < a.shape[0]):
        raise ValueError(f"a must have linearly independent rows, or a @ x has no density; got shape {a.shape}")
    if b.shape not in ((), (a.shape[0],)):
        raise ValueError(f"b must have shape ({a.shape[0]},), a number for each row of a, got {b.shape}")
    return evaluated(_transform, mixture, a, b)


def _transform(mixture, a, b):
    axes = axes_of(mixture)
    found = normals(mixture, "dd")
    a = a.reshape(*(1,) * (found.means.ndim - 2), *a.shape)  # (..., m, d)
    means = product(found.means, xp.swapaxes(a, -1, -2))
    matrix = a[..., None, :, :]
    spread = product(product(matrix, found.spread), xp.swapaxes(matrix, -1, -2))
    spread = (spread + xp.swapaxes(spread, -1, -2)) / 2
    moved = means + xp.broadcast_to(b, means.shape)
    return mixture_from(common(axes, "dd"), Normals(found.log_weights, moved, spread))


def convolve(p, q):
    """The distribution of the sum of two independent variables.

    Args:
        p, q: Gaussian mixtures of d features.

    Returns:
        Mixture: of k_p·k_q components, those of q varying fastest, in the narrowest family that holds the sums of the
        covariances (two diag give diag, two tied give tied, full and any other give full).

    Raises:
        ValueError: mixtures that are not Gaussian, or have different numbers of features.
    """
    p, q = _both(p, q, "sums of other components are of no family here")
    return evaluated(_convolve, p, q)


def _both(p, q, what: str):
    p, q = arguments.gaussian(p, what, "p"), arguments.gaussian(q, what, "q")
    arguments.same_features(p, q)
    return p, q


def crossed(axes: str, p, q):
    """Two mixtures as `Normals` of k_p·k_q components each, one for every pair, those of q varying fastest."""
    p, q = normals(p, axes), normals(q, axes)
    if "k" in axes:
        p, q = each_its_own(p), each_its_own(q)
    k_p, k_q = p.means.shape[-2], q.means.shape[-2]
    return _taken(p, np.repeat(np.arange(k_p), k_q)), _taken(q, np.tile(np.arange(k_q), k_p))


def _taken(found: Normals, components) -> Normals:
    """The components of these numbers; an axis of length 1 stays, to be broadcast."""

    def taken(array, axis):
        return xp.take(array, components, axis=axis, mode="clip") if array.shape[axis] > 1 else array

    axis = -2 if found.independent else -3
    return Normals(taken(found.log_weights, -1), taken(found.means, -2), taken(found.spread, axis))


def _convolve(p, q):
    axes = common(axes_of(p), axes_of(q))
    p, q = crossed(axes, p, q)
    return mixture_from(axes, Normals(p.log_weights + q.log_weights, p.means + q.means, p.spread + q.spread))


def multiply(p, q):
    """The normalised product of two densities: the density of x given both of two independent sources.

    Args:
        p, q: Gaussian mixtures of d features.

    Returns:
        (mixture, log_normalizer): p(x) q(x) = exp(log_normalizer) mixture(x). The mixture has k_p·k_q components, those
        of q varying fastest, in the narrowest family that holds them (as `convolve`).

    Raises:
        ValueError: mixtures that are not Gaussian, or have different numbers of features.

    Cost: O(k_p·k_q·d³) for covariance matrices.
    """
    p, q = _both(p, q, "products of other components are of no family here")
    return evaluated(_multiply, p, q)


def _multiply(p, q):
    axes = common(axes_of(p), axes_of(q))
    p, q = crossed(axes, p, q)
    apart, total = q.means - p.means, p.spread + q.spread
    if "dd" in axes:
        _, inverse, half_log_dets = whitening(total)
        gain = product(product(p.spread, xp.swapaxes(inverse, -1, -2)), inverse)
        rest = np.eye(total.shape[-1], dtype=total.dtype).reshape(*(1,) * (gain.ndim - 2), *total.shape[-2:]) - gain
        spread = _squared(rest, p.spread) + _squared(gain, q.spread)
        shift = product(gain, apart[..., None])[..., 0]
        distance = (product(inverse, apart[..., None])[..., 0] ** 2).sum(-1)
    else:
        half_log_dets = 0.5 * xp.log(total).sum(-1)
        spread = p.spread * (q.spread / total)
        shift = p.spread / total * apart
        distance = (apart**2 / total).sum(-1)
    overlap = -0.5 * distance - half_log_dets - apart.shape[-1] / 2 * LOG_2PI
    before = p.log_weights + q.log_weights
    log_weights = normalised((before + overlap)[..., None], before)[..., 0]
    return mixture_from(axes, Normals(log_weights, p.means + shift, spread)), log_sum(before + overlap)


def _squared(a, spread):
    """A Σ Aᵀ."""
    return product(product(a, spread), xp.swapaxes(a, -1, -2))
