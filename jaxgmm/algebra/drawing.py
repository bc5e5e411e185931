"""Monte Carlo averages over a mixture, whose derivatives estimate those of the integral.

The draws stay where they are when the mixture changes. Their importance weights r = p / p_drawn, which are 1, change:

    E_p[f] ≈ mean(f + (r - 1) (f - mean f)),      ∇ = mean(∇f + (f - mean f) ∇ log p)

Source: Owen, Monte Carlo theory, methods and examples (2013), chapter 9; for subtracting mean f, Williams, Simple
statistical gradient-following algorithms (1992).
"""

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..inference import log_prob, sample
from ..numerics import constant

DRAWS = 10_000


def draws(key, mixture, n: int):
    """n rows (n, d) drawn from a mixture, constant under differentiation."""
    return constant(sample(key, jax.tree.map(constant, mixture), checks.count(n, "n", 2))[0])


def averaged(terms, log_p):
    """The mean () of terms (n,) at draws with log densities log_p (n,), and its standard error ()."""
    if not checks.in_trace(terms, log_p):
        terms = np.asarray(terms)
        with np.errstate(invalid="ignore"):  # a draw that q cannot have: the mean is infinite, its error NaN
            return terms.mean(), terms.std(ddof=1) / np.sqrt(terms.dtype.type(len(terms)))
    centred = constant(terms - terms.mean())
    ratio = jnp.exp(log_p - constant(log_p)) - 1
    error = constant(terms).std(ddof=1) / jnp.sqrt(jnp.asarray(terms.shape[0], terms.dtype))
    return (terms + ratio * centred).mean(), error


def log_densities(mixture, rows):
    """Log densities of rows, (n,): NumPy's array outside a trace."""
    found = log_prob(mixture, rows)
    return found if checks.in_trace(found) else np.asarray(found)
