"""Code as users write it, which type checkers accept and understand: `tests/test_types.py` has them look at it."""

from typing import Any, assert_type

import jax
import numpy as np
import optax

import jaxgmm
import jaxgmm.plot
from jaxgmm.family import Family
from jaxgmm.sklearn import GaussianMixture, MixtureSearch

x = np.random.default_rng(0).normal(size=(60, 2))


def centres(key: jax.Array, x: Any, sample_weight: Any, k: int) -> Any:
    return x[:k]


result = jaxgmm.fit(0, x, 2, n_init=3, sample_weight=[1.0] * 60, prior=jaxgmm.GaussianPrior(reg_covar=1e-6))
assert_type(result, jaxgmm.FitResult)
assert_type(result.mixture, jaxgmm.Mixture)
assert_type(result.mixture.weights, jax.Array)
assert_type(result.mixture.columns, tuple[str, ...] | None)
assert_type(result.converged, bool)
assert_type(result.summary(), dict[str, Any])
assert_type(jaxgmm.fit(jax.random.key(0), x.tolist(), 2, init=centres, sample_weight=np.ones(60)), jaxgmm.FitResult)
assert_type(jaxgmm.fit(np.int64(0), x, 2, init=result.mixture, family=result.mixture.family), jaxgmm.FitResult)
for init in ("k-means++", result, result.mixture, np.full((60, 2), 0.5), [[0.5, 0.5]] * 60):
    jaxgmm.fit(0, x, 2, init=init)

selection = jaxgmm.select(0, x, range(1, 4), families="full")
assert_type(selection, jaxgmm.Selection)
assert_type(selection.best, jaxgmm.FitResult)
assert_type(selection["full", 3], jaxgmm.FitResult)
assert_type(selection.table, list[dict[str, Any]])
jaxgmm.select(0, x, 2, families=("full", "tied"), sample_weight=None)

mixture = jaxgmm.mixture("full", weights=[1.0], means=[[0.0, 0.0]], covariances=[np.eye(2)])
assert_type(mixture, jaxgmm.Mixture)
for model in (mixture, result, selection):
    assert_type(jaxgmm.predict(model, x), jax.Array)
    assert_type(jaxgmm.log_prob(model, x), jax.Array)
    assert_type(jaxgmm.n_parameters(model), int)
    jaxgmm.save("model.npz", model)
statistics = jaxgmm.e_step(mixture, x)
assert_type(statistics + statistics, jaxgmm.Statistics)
assert_type(jaxgmm.m_step(mixture, statistics), jaxgmm.Mixture)
assert_type(jaxgmm.sample(0, result, 5), tuple[jax.Array, jax.Array])
assert_type(jaxgmm.constrain(jaxgmm.unconstrain(mixture)), jaxgmm.Mixture)
assert_type(jaxgmm.load("model.npz"), jaxgmm.Mixture)
assert_type(jaxgmm.fit_many(0, x[None], 2), jaxgmm.FitResult)
assert_type(jaxgmm.fit_stepwise(0, x, 2), jaxgmm.FitResult)
assert_type(jaxgmm.fit_gradient(0, x, 2, optimizer=optax.adam(0.1), steps=3), jaxgmm.FitResult)
assert_type(jaxgmm.categorical(3), Family)
assert_type(jaxgmm.rows(x, block_size=10), jaxgmm.Stream)

model = GaussianMixture(2, random_state=0, means_init=[[0.0, 0.0], [1.0, 1.0]]).fit(x, sample_weight=np.ones(60))
assert_type(model, GaussianMixture)
assert_type(model.means_, np.ndarray | jax.Array)
assert_type(model.converged_, bool)
assert_type(model.mixture_, jaxgmm.Mixture)
assert_type(MixtureSearch([1, 2]).fit(x).best_estimator_, GaussianMixture)
jaxgmm.predict(model, x)
jaxgmm.plot.selection(selection).set_ylim(0, 1)
jaxgmm.plot.classification(model, x).set_title("rows")
