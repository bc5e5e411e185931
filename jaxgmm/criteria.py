"""Criteria that weigh the log-likelihood against the number of parameters: lower is better for all of them.

    bic = -2 log L + p log Σw        aic = -2 log L + 2 p        icl = bic - 2 Σ w log max_k r_k

Source: Schwarz (1978); Akaike (1974); Biernacki, Celeux and Govaert (2000), as in mclust.
"""

import jax.numpy as jnp
import numpy as np

from . import checks
from .building import cast
from .compiling import compiled
from .drivers.memory import total
from .inference import Certainty, e_step, n_parameters, rows_for
from .padding import padded
from .precision import compute_dtype, in_precision_of


@in_precision_of("x")
def bic(mixture, x, sample_weight=None):
    """Bayesian information criterion, (); weights are frequencies: n is Σ w."""
    statistics = e_step(mixture, x, sample_weight)
    return scalar(-2 * statistics.log_likelihood + n_parameters(mixture) * jnp.log(statistics.weight))


@in_precision_of("x")
def aic(mixture, x, sample_weight=None):
    """Akaike information criterion, ()."""
    return scalar(-2 * e_step(mixture, x, sample_weight).log_likelihood + 2 * n_parameters(mixture))


@in_precision_of("x")
def icl(mixture, x, sample_weight=None):
    """Integrated completed likelihood, (): bic plus twice the uncertainty of the most probable labels."""
    return scalar(bic(mixture, x, sample_weight) - 2 * certainty(mixture, x, sample_weight))


@in_precision_of("x")
def certainty(mixture, x, sample_weight=None):
    """Σ w log max_k r_k <= 0, ()."""
    x = checks.table(x)
    checks.like_mixture(x, mixture)
    dtype = compute_dtype(x)
    held = padded(x, checks.weights(sample_weight, x.shape[0], dtype))
    return certainty_of(rows_for(mixture, *held, mixture.family.accurate, None), cast(mixture, dtype))


@compiled()
def certainty_of(rows, mixture):
    """Σ w log max_k r_k <= 0 of rows in memory."""
    return total(rows, Certainty(mixture))


def scalar(value):
    """An exact NumPy number, or the tracer."""
    return value if checks.in_trace(value) else np.asarray(value)[()]
