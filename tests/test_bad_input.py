"""What is refused, before anything runs, with a message that names the argument; and what is odd but fits."""

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, FAMILIES, K, assert_mixtures_close

import jaxgmm

X = BY_NAME["full"].data()
N, D = X.shape
ONES = np.ones(N)


def changed(rows, columns, value, x=X):
    x = np.array(x, float)
    x[rows, columns] = value
    return x


def start(**replaced):
    parts = {"weights": np.full(2, 0.5), "means": np.zeros((2, D)), "covariances": np.tile(np.eye(D), (2, 1, 1))}
    return jaxgmm.mixture("full", **{**parts, **replaced})


def fit(x=X, n_components=K, **options):
    return jaxgmm.fit(0, x, n_components, **options)


# what is called, and the words that the message must hold
REFUSED = {
    "nan row": (lambda: fit(changed(17, 1, np.nan)), ["x", "17"]),
    "inf row": (lambda: fit(changed(5, 0, np.inf)), ["x", "5"]),
    "nan row of weight 0": (lambda: fit(changed(17, 1, np.nan), sample_weight=1.0 - (np.arange(N) == 17)), ["17"]),
    "fewer rows than components": (lambda: fit(X[:2]), ["n_components", "2", "3"]),
    "fewer rows of weight than components": (lambda: fit(sample_weight=np.arange(N) < 2), ["n_components"]),
    "no rows": (lambda: fit(X[:0]), ["x"]),
    "no columns": (lambda: fit(X[:, :0]), ["x"]),
    "one dimension": (lambda: fit(X[:, 0]), ["x[:, None]"]),
    "three dimensions": (lambda: fit(X[None]), ["x"]),
    "text": (lambda: fit(np.full((N, D), "a")), ["x"]),
    "complex": (lambda: fit(X.astype(complex)), ["x", "complex"]),
    "objects": (lambda: fit(np.full((N, D), {1})), ["x", "row 0, column 0"]),
    "weights of another length": (lambda: fit(sample_weight=ONES[:5]), ["sample_weight", "5"]),
    "weights of another rank": (lambda: fit(sample_weight=ONES[:, None]), ["sample_weight"]),
    "negative weights": (lambda: fit(sample_weight=np.where(np.arange(N) == 3, -1.0, 1)), ["sample_weight", "3"]),
    "nan weights": (lambda: fit(sample_weight=np.where(np.arange(N) == 3, np.nan, 1)), ["sample_weight", "3"]),
    "all weights zero": (lambda: fit(sample_weight=0 * ONES), ["sample_weight"]),
    "no components": (lambda: fit(n_components=0), ["n_components", "0"]),
    "negative components": (lambda: fit(n_components=-2), ["n_components", "-2"]),
    "fractional components": (lambda: fit(n_components=2.5), ["n_components", "2.5"]),
    "unknown family": (lambda: fit(family="ful"), ["family", "ful", "full", "tied", "gamma"]),
    "unknown init": (lambda: fit(init="kmean"), ["init", "kmean", "k-means++", "random"]),
    "unknown acceleration": (lambda: fit(accelerate="fast"), ["accelerate", "fast", "squarem"]),
    "no starts": (lambda: fit(n_init=0), ["n_init"]),
    "negative tol": (lambda: fit(tol=-1e-3), ["tol"]),
    "negative max_iter": (lambda: fit(max_iter=-1), ["max_iter"]),
    "no block": (lambda: fit(block_size=0), ["block_size"]),
    "prior of another family": (lambda: fit(np.abs(X), family="gamma", prior=jaxgmm.GaussianPrior()), ["prior"]),
    "mixture of another K": (lambda: fit(init=start()), ["init", "n_components"]),
    "mixture of another family": (lambda: fit(n_components=2, init=start(), family="tied"), ["init", "family"]),
    "mixture of another d": (lambda: fit(X[:, :2], 2, init=start()), ["x", "mixture", "2", "3"]),
    "mixture and n_init": (lambda: fit(n_components=2, init=start(), n_init=2), ["n_init"]),
    "responsibilities and n_init": (lambda: fit(init=np.full((N, K), 1 / 3), n_init=2), ["n_init"]),
    "responsibilities of another shape": (lambda: fit(init=np.full((N, 2), 0.5)), ["init"]),
    "callable of another shape": (lambda: fit(init=lambda *_: np.zeros((2, D))), ["init"]),
    "covariances not positive definite": (
        lambda: start(covariances=np.tile(np.eye(D) - 2 * np.eye(D)[:, ::-1], (2, 1, 1))), ["covariances"]),
    "covariances not symmetric": (
        lambda: start(covariances=np.tile(np.eye(D) + np.eye(D, k=1), (2, 1, 1))), ["covariances"]),
    "covariances of another shape": (lambda: start(covariances=np.eye(D)), ["covariances"]),
    "nan means": (lambda: start(means=np.full((2, D), np.nan)), ["means"]),
    "weights that sum to 0.9": (lambda: start(weights=np.array([0.5, 0.4])), ["weights", "0.9"]),
    "mixture weights below 0": (lambda: start(weights=np.array([1.5, -0.5])), ["weights"]),
    "a missing parameter": (lambda: jaxgmm.mixture("full", weights=[1.0], means=[[0.0]]), ["covariances"]),
    "an extra parameter": (lambda: start(rates=np.ones((2, D))), ["rates"]),
    "probs above 1": (lambda: jaxgmm.mixture("bernoulli", weights=[1.0], probs=[[1.5]]), ["probs"]),
    "categories that do not sum to 1": (
        lambda: jaxgmm.mixture("categorical", weights=[1.0], probs=[[[0.3, 0.3]]]), ["probs"]),
    "negative rates": (lambda: jaxgmm.mixture("poisson", weights=[1.0], rates=[[-1.0]]), ["rates"]),
    "rate 0 of an exponential": (lambda: jaxgmm.mixture("exponential", weights=[1.0], rates=[[0.0]]), ["rates"]),
    "unknown family of a mixture": (lambda: jaxgmm.mixture("ful", weights=[1.0], means=[[0.0]]), ["family", "full"]),
    "scoring another d": (lambda: jaxgmm.log_prob(start(), X[:, :2]), ["x", "2", "3"]),
    "scoring one dimension": (lambda: jaxgmm.e_step(start(), X[:, 0]), ["x[:, None]"]),
    "weights of another length in e_step": (lambda: jaxgmm.e_step(start(), X, ONES[:5]), ["sample_weight"]),
    "unknown form": (lambda: jaxgmm.e_step(start(), X, form="fast"), ["form", "fast", "moments"]),
    "two forms": (lambda: jaxgmm.e_step(start(), X) + jaxgmm.e_step(start(), X, form="moments"), ["form"]),
    "unknown criterion": (lambda: jaxgmm.select(0, X, [1], criterion="dic"), ["criterion", "dic", "bic"]),
    "no K to select from": (lambda: jaxgmm.select(0, X, []), ["n_components"]),
    "select with K < 1": (lambda: jaxgmm.select(0, X, [0, 1]), ["n_components"]),
    "select with one dimension": (lambda: jaxgmm.select(0, X[:, 0], [1]), ["x[:, None]"]),
    "select with nan": (lambda: jaxgmm.select(0, changed(17, 1, np.nan), [1]), ["x", "17"]),
    "select with an unknown family": (lambda: jaxgmm.select(0, X, [1], families=("ful",)), ["ful", "full"]),
    "a negative sample size": (lambda: jaxgmm.sample(0, start(), -1), ["n"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_a_value_error_that_says_what(what):
    call, words = REFUSED[what]
    with pytest.raises(ValueError) as error:
        call()
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{error.value!s} does not say {missing}"


SUPPORT = {
    "negative count": ("poisson", -1.0),
    "fraction in poisson": ("poisson", 1.5),
    "fraction in bernoulli": ("bernoulli", 0.5),
    "two in bernoulli": ("bernoulli", 2.0),
    "fraction in categorical": ("categorical", 0.5),
    "negative code": ("categorical", -1.0),
    "code out of range": ("categorical", 3.0),
    "gamma zero": ("gamma", 0.0),
    "gamma negative": ("gamma", -2.0),
    "exponential negative": ("exponential", -0.25),
}


@pytest.mark.parametrize("what", SUPPORT)
def test_values_outside_the_support_name_row_and_value(what):
    family, value = SUPPORT[what]
    case = BY_NAME[family]
    x = changed(41, 1, value, case.data())
    with pytest.raises(ValueError, match=r"x\b") as error:
        jaxgmm.fit(0, x, K, family=case.family)
    assert "41" in str(error.value) and f"{value:g}" in str(error.value)


def assert_finite(result):
    assert np.isfinite(result.log_likelihood)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(result.mixture.components))
    np.testing.assert_allclose(np.asarray(result.mixture.weights).sum(), 1, rtol=1e-6)


ODD = {  # data that are legal for the Gaussians
    "a constant feature": (changed(slice(None), 2, 7.0), 2),
    "all rows equal": (np.tile(X[:1], (N, 1)), 2),
    "duplicated rows": (np.repeat(X[:6], 20, axis=0), 2),
    "collinear features": (X[:, [0, 0, 1]] * [1.0, 2.0, 1.0], 2),
    "as many rows as components": (X[:3], 3),
    "one row": (X[:1], 1),
}


@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("what", ODD)
def test_odd_data_fit_without_nan(family, what):
    x, n_components = ODD[what]
    dtype = np.float32 if family in ("full", "diag") else np.float64
    assert_finite(jaxgmm.fit(0, (10 * x).astype(dtype), n_components, family=family, max_iter=50))


@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
@FAMILIES
def test_one_component_and_one_feature_fit(case):
    x = case.data()[:, :1]
    one = jaxgmm.fit(0, x, 1, family=case.family, prior=case.prior)
    assert one.converged
    closed_form = oracles.m_step(case.name, x, np.ones((N, 1)), **case.options)
    assert_mixtures_close(one.mixture, closed_form, case.params, np.float64)
    assert_finite(jaxgmm.fit(0, x, K, family=case.family, max_iter=20))


@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
@pytest.mark.parametrize("family", ["full", "diag"])
def test_three_hundred_features_and_five_hundred_rows_fit(family):
    x = np.random.default_rng(0).normal(size=(500, 300)) + np.repeat([[0.0], [2.0]], 250, axis=0)
    assert_finite(jaxgmm.fit(0, x, 2, family=family, max_iter=5, tol=0))


def test_an_exponential_zero_is_legal():
    x = changed(3, 0, 0.0, BY_NAME["exponential"].data())
    assert jaxgmm.fit(0, x, 2, family="exponential").converged


def test_weights_that_nearly_sum_to_one_are_normalised():
    weights = np.asarray(start(weights=np.array([0.5, 0.49995])).weights)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    assert weights[0] > weights[1]


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float64, 1e160)])
def test_data_whose_squares_overflow_are_an_error_and_a_status_in_a_trace(dtype, size):
    x = (np.random.default_rng(0).normal(size=(50, 2)) * size).astype(dtype)
    with pytest.raises(ValueError, match="x is too large: its variance, of column 0, overflows"):
        jaxgmm.fit(0, x, 2)
    with jax.enable_x64(True):
        result = jax.jit(lambda x: jaxgmm.fit(0, x, 2))(x)
    assert int(result.status) == jaxgmm.Status.NON_FINITE


def test_a_function_must_give_finite_centres():
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="init must return finite numbers"):
        jaxgmm.fit(0, x, 2, init=lambda key, x, weight, k: np.full((2, 2), np.nan))
