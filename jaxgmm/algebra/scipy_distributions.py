"""A mixture of one feature as a SciPy distribution, with SciPy's methods: intervals, expectations, tests."""

import math

import numpy as np
import scipy.stats

from ..inference import log_prob, sample
from .tails import cdf, moments, quantile

LARGEST_SEED = 2**31 - 1


class OfMixture:
    """The methods of both kinds. SciPy calls those that begin with ``_``, with values in the support."""

    def __reduce__(self):
        return distribution, (self.mixture,)

    def _log(self, x):
        x = np.asarray(x, np.float64)
        return np.asarray(log_prob(self.mixture, x.reshape(-1, 1))).reshape(x.shape) if x.size else x

    def _cdf(self, x):
        return np.asarray(cdf(self.mixture, x))

    def _ppf(self, p):
        return np.asarray(quantile(self.mixture, p))

    def _rvs(self, size=None, random_state=None):
        draw = random_state.integers if hasattr(random_state, "integers") else random_state.randint
        shape = () if size is None else tuple(np.atleast_1d(size))
        rows, _ = sample(int(draw(LARGEST_SEED)), self.mixture, math.prod(shape))
        return np.asarray(rows)[:, 0].reshape(shape)

    def _stats(self):
        mean, covariance, skewness, kurtosis = (np.asarray(each).reshape(()) for each in moments(self.mixture))
        return mean, covariance, skewness, kurtosis


class Continuous(OfMixture, scipy.stats.rv_continuous):
    def __init__(self, mixture):
        self.mixture = mixture
        inside = np.asarray(mixture.family.support.contains(np.array([[-1.0]]))).all()
        super().__init__(name="mixture", a=-np.inf if inside else 0.0)

    def _pdf(self, x):
        return np.exp(self._log(x))

    def _logpdf(self, x):
        return self._log(x)


class Integers(OfMixture, scipy.stats.rv_discrete):
    def __new__(cls, mixture):  # SciPy's own __new__ returns another class for some arguments
        return object.__new__(cls)

    def __init__(self, mixture):
        self.mixture = mixture
        super().__init__(name="mixture", a=int(quantile(mixture, np.finfo(np.float64).tiny)))

    def _pmf(self, x):
        return np.exp(self._log(x))

    def _logpmf(self, x):
        return self._log(x)


def distribution(mixture):
    """SciPy's distribution of a mixture of one feature, in float64."""
    return (Integers if mixture.family.margins.integers else Continuous)(mixture)
