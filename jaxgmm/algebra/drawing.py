"""Averages over draws from a mixture, whose derivatives are those of the integral.

Draws are made once and held; a change of the mixture then changes their weight, r = p / p_held, which is 1:

    E_p[f] ≈ mean(f + (r - 1) (f - mean f)),      ∇ = mean(∇f + (f - mean f) ∇ log p)

Source: Owen, Monte Carlo theory, methods and examples (2013), chapter 9; for the mean that is taken off Williams,
Simple statistical gradient-following algorithms (1992).
"""

import jax
import jax.numpy as jnp
import numpy as np

from .. import checks
from ..inference import log_prob, sample
from ..numerics import constant

DRAWS = 10_000


def draws(key, mixture, n: int):
    """n rows (n, d) of a mixture, which do not move with it."""
    return constant(sample(key, jax.tree.map(constant, mixture), checks.count(n, "n", 2))[0])


def averaged(terms, log_p):
    """The mean of terms (n,) over draws of log density log_p (n,), and its standard error. Both ()."""
    if not checks.in_trace(terms, log_p):
        terms = np.asarray(terms)
        with np.errstate(invalid="ignore"):  # infinite where q cannot be: so is the mean, and NaN its error
            return terms.mean(), terms.std(ddof=1) / np.sqrt(terms.dtype.type(len(terms)))
    centred = constant(terms - terms.mean())
    ratio = jnp.exp(log_p - constant(log_p)) - 1
    error = constant(terms).std(ddof=1) / jnp.sqrt(jnp.asarray(terms.shape[0], terms.dtype))
    return (terms + ratio * centred).mean(), error


def log_densities(mixture, rows):
    """(n,): NumPy's of concrete rows."""
    found = log_prob(mixture, rows)
    return found if checks.in_trace(found) else np.asarray(found)
