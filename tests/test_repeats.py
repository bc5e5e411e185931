"""Equal rows that a fit has collapsed onto are named: how many, in which columns, what they hold."""

import re

import numpy as np
import pytest
from families import DTYPES

import jaxgmm
from jaxgmm.search import repeats

rng = np.random.default_rng(0)


def spiked(d, where, value, dtype=np.float64):
    """Rows (1000, d) of which the first 300 hold a value in some columns, and a mixture that has collapsed there."""
    x = rng.normal(5, 1, (1000, d)).astype(dtype)
    x[:300, where] = value
    variances = np.ones((2, d))
    variances[0, where] = 1e-9
    means = np.full((2, d), 5.0)
    means[0, where] = value
    return x, jaxgmm.mixture("diag", weights=[0.3, 0.7], means=means.astype(dtype), covariances=variances.astype(dtype))


@DTYPES
@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ([0], 0.0, r"column 0 \(0\):"),
        ([2], 0.25, r"column 2 \(0.25\):"),
        ([0, 1, 2, 3], -1.5, r"column 0 \(-1.5\), 1 \(-1.5\), 2 \(-1.5\) and 1 more:"),
    ],
)
def test_the_columns_and_the_value_are_named(where, value, words, dtype):
    x, mixture = spiked(4, where, value, dtype)
    order = rng.permutation(len(x))
    assert re.search(f"onto 300 rows that are equal in {words}", repeats.words(mixture, x[order]))


def test_rows_without_weight_are_not_counted():
    x, mixture = spiked(2, [0], 0.0)
    assert "onto 100 rows" in repeats.words(mixture, x, np.where(np.arange(1000) < 200, 0, 1))


def test_a_column_that_never_varies_is_not_named():
    x, mixture = spiked(2, [0], 0.0)
    x[:, 1] = 5.0
    assert "column 0 (0):" in repeats.words(mixture, x)


@pytest.mark.parametrize("case", ["no equal rows", "a single row", "a stream", "nothing", "a family that cannot"])
def test_where_nothing_is_equal_nothing_is_said(case):
    x, mixture = spiked(2, [0], 0.0)
    if case == "no equal rows":
        x[:300, 0] = 1e-5 * rng.normal(size=300)
    elif case == "a single row":
        x = x[299:]
    elif case == "a stream":
        x = jaxgmm.rows(x)
    elif case == "nothing":
        x = None
    else:
        x, mixture = np.eye(4), jaxgmm.mixture("bernoulli", weights=[0.5, 0.5], probs=np.full((2, 4), [[0.2], [0.4]]))
    assert repeats.words(mixture, x) == ""
