"""The table of families: what every law is checked on. A new family is one more entry here."""

import dataclasses

import jax
import numpy as np
import oracles
import pytest

import jaxgmm

N, K = 120, 3
WEIGHTS = np.array([0.2, 0.5, 0.3])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One family: its parameters by name (k first), rows drawn from them, and what the calls need to be told."""

    name: str
    params: dict
    draw: object  # (rng, params of one row's component) -> a row
    family: object  # what fit is asked for
    n_categories: int | None = None

    def __str__(self):
        return self.name

    @property
    def gaussian(self):
        return self.name in oracles.GAUSSIAN + oracles.MCLUST

    @property
    def prior(self):
        """Maximum likelihood."""
        return jaxgmm.GaussianPrior() if self.gaussian else None

    @property
    def d(self):
        return self.params[oracles.first_field(self.name)].shape[1]

    @property
    def options(self):
        """What the oracles' m_step has to be told."""
        return {"n_categories": self.n_categories} if self.n_categories else {}

    def data(self, dtype=np.float64, n=N, seed=0):
        rng = np.random.default_rng(seed)
        labels = rng.choice(K, size=n, p=WEIGHTS)
        rows = [self.draw(rng, {field: self.component(field, j) for field in self.params}) for j in labels]
        return np.array(rows, dtype)

    def component(self, field, j):
        value = self.params[field]
        return value if (self.name, field) in SHARED else value[j]

    def mixture(self, dtype=np.float64, weights=WEIGHTS, **changed):
        params = {field: np.asarray(value, dtype) for field, value in {**self.params, **changed}.items()}
        return jaxgmm.mixture(self.name, weights=np.asarray(weights, dtype), **params)


def rounded(params):
    """The same numbers in float32 and float64, so that both dtypes are held to one oracle."""
    return {field: np.asarray(value, np.float32).astype(np.float64) for field, value in params.items()}


def case(name, draw, family=None, n_categories=None, **params):
    return Case(name, rounded(params), draw, name if family is None else family, n_categories)


def normal(rng, p):
    mean = p["means"]
    cov = np.asarray(p["covariances"] if "covariances" in p else np.diag(p["volumes"] * p["shape"]))
    scale = np.linalg.cholesky(cov) if cov.ndim == 2 else np.diag(np.sqrt(np.broadcast_to(cov, mean.shape)))
    return mean + scale @ rng.standard_normal(len(mean))


SHARED = {("tied", "covariances"), ("EII", "covariances"), ("VEI", "shape")}  # by all components
MEANS = np.array([[0.0, 0.0, 0.0], [3.0, 1.0, -2.0], [-1.0, 4.0, 2.0]])
SPREAD = np.array([[[1.0, 0.3, 0.1], [0.3, 0.8, 0.0], [0.1, 0.0, 0.5]],
                   [[0.6, -0.2, 0.1], [-0.2, 1.2, 0.4], [0.1, 0.4, 1.0]],
                   [[1.5, 0.2, 0.3], [0.2, 0.4, 0.0], [0.3, 0.0, 0.9]]])  # fmt: skip
HIGH_LOW = np.array([[0.85, 0.9, 0.8, 0.2, 0.15, 0.1],
                     [0.1, 0.2, 0.85, 0.9, 0.8, 0.15],
                     [0.2, 0.1, 0.15, 0.25, 0.85, 0.8]])  # fmt: skip
# sixteenths, so that they sum to 1 in any dtype
CODES = np.array([[[11, 3, 2], [2, 2, 12], [9, 5, 2], [3, 11, 2], [12, 2, 2]],
                  [[2, 12, 2], [11, 3, 2], [2, 3, 11], [3, 2, 11], [2, 3, 11]],
                  [[2, 3, 11], [3, 11, 2], [3, 11, 2], [11, 2, 3], [2, 12, 2]]]) / 16  # fmt: skip
COUNTS = np.array([[1.0, 8.0, 3.0], [9.0, 2.0, 1.0], [4.0, 15.0, 12.0]])
SLOPES = np.array([[0.05, 8.0, 1.0], [1.0, 0.1, 20.0], [10.0, 1.0, 0.1]])

CASES = [
    case("full", normal, means=MEANS, covariances=SPREAD),
    case("tied", normal, means=MEANS, covariances=SPREAD[1]),
    case("diag", normal, means=MEANS, covariances=np.einsum("kii->ki", SPREAD)),
    case("spherical", normal, means=MEANS, covariances=np.array([0.6, 1.1, 0.8])),
    case("EII", normal, means=MEANS, covariances=np.array(0.8)),
    case("VEI", normal, means=MEANS, volumes=np.array([0.6, 1.1, 0.8]), shape=np.array([2.0, 0.5, 1.0])),
    case("bernoulli", lambda rng, p: rng.random(len(p["probs"])) < p["probs"], probs=HIGH_LOW),
    case("categorical", lambda rng, p: [rng.choice(3, p=row / row.sum()) for row in p["probs"]],
         family=jaxgmm.categorical(3), n_categories=3, probs=CODES),
    case("poisson", lambda rng, p: rng.poisson(p["rates"]), rates=COUNTS),
    case("exponential", lambda rng, p: rng.exponential(1 / p["rates"]), rates=SLOPES),
    case("gamma", lambda rng, p: rng.gamma(p["concentrations"], 1 / p["rates"]),
         concentrations=np.array([[0.8, 3.0, 10.0], [5.0, 1.5, 2.0], [20.0, 4.0, 1.2]]),
         rates=np.array([[2.0, 1.0, 5.0], [1.0, 3.0, 0.2], [2.0, 0.3, 4.0]])),
]  # fmt: skip
BY_NAME = {one.name: one for one in CASES}
FAMILIES = pytest.mark.parametrize("case", CASES, ids=str)
# Where programs are tested rather than mathematics: EII and VEI run those of diag and spherical, but for an estimate.
ROUTED = pytest.mark.parametrize("case", [one for one in CASES if one.name not in oracles.MCLUST], ids=str)
GAUSSIANS = pytest.mark.parametrize("case", [one for one in CASES if one.gaussian], ids=str)


def precision(dtype):
    """The context in which JAX's own functions keep this dtype."""
    return jax.enable_x64(np.dtype(dtype) == np.float64)


def read(mixture, fields):
    """Weights and parameters of a mixture as float64 NumPy."""
    params = {field: np.asarray(getattr(mixture.components, field), np.float64) for field in fields}
    return np.asarray(mixture.weights, np.float64), params


def assert_mixtures_close(actual, expected, fields, dtype, loosen=1.0):
    """`expected`: a mixture, or (weights, params)."""
    if not isinstance(expected, tuple):
        expected = read(expected, fields)
    weights, params = read(actual, fields)
    bounds = oracles.tolerance(dtype, loosen)
    np.testing.assert_allclose(weights, expected[0], **bounds)
    for field in fields:
        wanted = expected[1][field]
        np.testing.assert_allclose(
            params[field], wanted, bounds["rtol"], bounds["atol"] * np.abs(wanted).max(), err_msg=field
        )


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
