"""Special functions of Poisson and Gamma densities, to full relative precision in float32 and float64.

Source: Loader, Fast and Accurate Computation of Binomial Probabilities (2000); Abramowitz and Stegun, 6.1.41, 6.3.18.
"""

import jax.scipy.special

from .backend import is_jax, xp
from .products import LOG_2PI

GAP_TERMS = 13  # of the series of `gap` for abs(u) < 0.05: the next term is below the rounding of float64


def special(x):
    """`jax.scipy.special` or `scipy.special`, whichever suits x."""
    if is_jax(x):
        return jax.scipy.special
    import scipy.special  # slow to import, and not needed where JAX computes

    return scipy.special


def gap(t, u):
    """t - 1 - log t >= 0, to full relative precision near t = 1 and near t = 0. The caller gives t and u = t - 1."""
    small = xp.abs(u) < 0.05
    v = xp.where(small, u, 0)
    series = 1 / GAP_TERMS
    for order in range(GAP_TERMS - 1, 1, -1):
        series = 1 / order - v * series
    near_zero = u < -0.5  # near t = 1 u has more digits than t
    log_t = xp.where(near_zero, xp.log(xp.where(near_zero, t, 1)), xp.log1p(xp.where(near_zero, 0, u)))
    return xp.where(small, v * v * series, u - log_t)


def stirling(a):
    """log Γ(a) - ((a - ½) log a - a + ½ log 2π), a > 0: about 1 / 12a."""
    large = xp.where(a < 16, 16, a)
    series = (1 / 12 - (1 / 360 - 1 / (1260 * large**2)) / large**2) / large
    small = xp.where(a < 16, a, 1)
    exact = special(small).gammaln(small) - ((small - 0.5) * xp.log(small) - small + LOG_2PI / 2)
    return xp.where(a < 16, exact, series)


def log_minus_digamma(a):
    """log a - ψ(a), a > 0: about 1 / 2a."""
    large = xp.where(a < 16, 16, a)
    series = (1 / 2 + (1 / 12 - (1 / 120 - 1 / (252 * large**2)) / large**2) / large) / large
    small = xp.where(a < 16, a, 1)
    return xp.where(a < 16, xp.log(small) - special(small).digamma(small), series)


def log_minus_digamma_slope(a):
    """Derivative of log a - ψ(a): 1/a - ψ'(a), about -1 / 2a²."""
    large = xp.where(a < 16, 16, a)
    series = -(1 / 2 + (1 / 6 - (1 / 30 - 1 / (42 * large**2)) / large**2) / large) / large**2
    small = xp.where(a < 16, a, 1)
    library = special(small)  # polygamma(1, x) is zeta(2, x), which SciPy has as a ufunc, in float64
    trigamma = (library.polygamma(1, small) if is_jax(small) else library.zeta(2, small)).astype(a.dtype)
    return xp.where(a < 16, 1 / small - trigamma, series)
