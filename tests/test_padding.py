"""Rows are filled up to few sizes at any number of them: nothing compiles anew, nothing changes, little is copied."""

import tracemalloc

import jax
import numpy as np
import pytest
from test_stopping import compilations

import jaxgmm
from jaxgmm.data.padding import few_sizes, filled
from jaxgmm.sklearn import GaussianMixture, PoissonMixture

N = 140_000  # a sample of rows stands for all from 65,537 on
X = np.random.default_rng(0).integers(1, 40, (N + 9, 1)) + 60.0 * (np.arange(N + 9)[:, None] % 2)
MIXTURE = jaxgmm.mixture("diag", weights=[0.5, 0.5], means=[[20.0], [80.0]], covariances=[[90.0], [90.0]])
RESPONSIBILITIES = np.where(X > 50, [[0.3, 0.7]], [[0.6, 0.4]])
DIAG = {"family": "diag", "max_iter": 2}

VERBS = {
    "fit": lambda x: jaxgmm.fit(0, x, 2, **DIAG),
    "fit from responsibilities": lambda x: jaxgmm.fit(0, x, 2, init=RESPONSIBILITIES[: len(x)], **DIAG),
    "select": lambda x: jaxgmm.select(0, x, [1, 2], families=["diag"], n_init=1, max_iter=2),
    "criteria": lambda x: (jaxgmm.bic(MIXTURE, x), jaxgmm.icl(MIXTURE, x)),
    "answers": lambda x: (jaxgmm.predict(MIXTURE, x), jaxgmm.log_prob(MIXTURE, x), jaxgmm.responsibilities(MIXTURE, x)),
    "estimator": lambda x: GaussianMixture(8, covariance_type="diag", max_iter=2, random_state=0).fit(x).predict(x),
    "estimator of counts": lambda x: PoissonMixture(8, max_iter=2, random_state=0).fit(x).score(x),
}
KINDS = {
    "float64": lambda x: x,
    "int8": lambda x: x.astype(np.int8),
    "JAX's float32": lambda x: jax.device_put(x.astype(np.float32)),
}


def test_few_sizes_are_few_and_hold_an_eighth_more_at_most():
    sizes = [few_sizes(n) for n in range(1, 5000)]
    assert all(n <= size <= n + n / 8 for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 8 * 13
    assert all(few_sizes(size) == size for size in set(sizes))


@pytest.mark.filterwarnings("ignore")  # fits that end at max_iter
@pytest.mark.parametrize(
    ("verb", "kind"),
    [*((verb, "float64") for verb in VERBS), ("fit", "int8")]
    + [(verb, "JAX's float32") for verb in ("fit", "criteria", "answers", "estimator")],
)
def test_a_new_number_of_many_rows_compiles_nothing(verb, kind):
    x = [KINDS[kind](X[:n]) for n in (N, N + 1, N + 8)]
    VERBS[verb](x[0])
    assert compilations([lambda rows=rows: VERBS[verb](rows) for rows in x[1:]]) == 0


@pytest.mark.short(init=["random"])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_rows_that_fill_up_change_nothing(init):
    """A traced fit has none: the same draws, the same fit."""
    x, options = X[: N + 1], {"family": "diag", "init": init, "tol": 0, "max_iter": 3}
    with jax.enable_x64(True):
        wanted = jax.jit(lambda x: jaxgmm.fit(0, x, 2, **options))(x)
    found = jaxgmm.fit(0, x, 2, **options)
    np.testing.assert_allclose(found.mixture.components.means, wanted.mixture.components.means, rtol=1e-9)
    np.testing.assert_allclose(found.log_likelihood, wanted.log_likelihood, rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float64, bool])
def test_what_fills_up_is_the_last_row_or_nothing(dtype):
    x = np.arange(18).reshape(9, 2).astype(dtype)
    for values in (x, jax.device_put(x)) if dtype != np.float64 else (x,):
        rows, weights = filled(values, 12), filled(values, 12, weigh=False)
        assert rows.dtype == weights.dtype == dtype
        np.testing.assert_array_equal(rows, np.concatenate([x, x[[8, 8, 8]]]))
        np.testing.assert_array_equal(weights, np.concatenate([x, np.zeros((3, 2), dtype)]))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere the device has memory of its own")
def test_rows_are_copied_once_on_their_way_to_the_device():
    x = np.ones((100_001, 8), np.float32)
    tracemalloc.start()
    held = filled(x, few_sizes(len(x)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.01 * held.nbytes
    assert np.asarray(jax.device_put(held)).ctypes.data == held.ctypes.data
