"""What a family of a user's declares counts on every way to an answer."""

import handmade
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

import jaxgmm
from jaxgmm import tables
from jaxgmm.data.frame import Frame, enter, leave
from jaxgmm.family import Constraint, parameter
from jaxgmm.records import record

COUNTS, X = handmade.COUNTS, handmade.rows()
SHARES, RATES = np.array([0.4, 0.6]), np.array([[2.0, 30.0], [12.0, 5.0]])


def joint(mixture, x):
    """Log weight and log density by scipy, (n, k)."""
    rates = np.asarray(mixture.components.rates, np.float64)
    return np.asarray(mixture.log_weights, np.float64) + scipy.stats.poisson.logpmf(x[:, None], rates).sum(-1)


def log_likelihood(mixture, x=X):
    return scipy.special.logsumexp(joint(mixture, x), axis=1).sum()


def by_hand(dtype=np.float64):
    return jaxgmm.mixture(COUNTS, weights=SHARES.astype(dtype), rates=RATES.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_theta_phi_leaves_out_is_in_every_density(dtype):
    mixture, x, rtol = by_hand(dtype), X.astype(dtype), 1e-5 if dtype == np.float32 else 1e-12
    expected = joint(mixture, x)
    np.testing.assert_allclose(jaxgmm.joint_log_prob(mixture, x), expected, rtol)
    np.testing.assert_allclose(jaxgmm.log_prob(mixture, x), scipy.special.logsumexp(expected, 1), rtol)
    np.testing.assert_allclose(jax.jit(jaxgmm.log_prob)(mixture, jnp.asarray(x)), jaxgmm.log_prob(mixture, x), 1e-5)
    resp = scipy.special.softmax(expected, 1)
    np.testing.assert_allclose(jaxgmm.responsibilities(mixture, x), resp, rtol=100 * rtol, atol=rtol)
    np.testing.assert_array_equal(jaxgmm.predict(mixture, x), expected.argmax(1))
    total = log_likelihood(mixture, x)
    for form in ("accurate", "moments"):
        statistics = jaxgmm.e_step(mixture, x, form=form, block_size=128)
        np.testing.assert_allclose(statistics.log_likelihood, total, rtol)
        np.testing.assert_allclose(statistics.counts, resp.sum(0), rtol)
    np.testing.assert_allclose(jaxgmm.bic(mixture, x), -2 * total + 5 * np.log(len(x)), rtol)
    np.testing.assert_allclose(jaxgmm.aic(mixture, x), -2 * total + 2 * 5, rtol)


@pytest.mark.parametrize("row", [-1.0, 0.5])
def test_rows_outside_the_support_are_impossible_whatever_base_makes_of_them(row):
    x = np.array([[row, 3.0], [2.0, 3.0]])
    assert float(jaxgmm.log_prob(by_hand(), x)[0]) == -np.inf
    for form in ("accurate", "moments"):
        assert float(jaxgmm.e_step(by_hand(), x, form=form).log_likelihood) == -np.inf
        inside = jaxgmm.e_step(by_hand(), x, np.array([0.0, 1.0]), form=form)
        np.testing.assert_allclose(inside.log_likelihood, log_likelihood(by_hand(), x[1:]))


def test_a_row_of_zero_leaves_the_moment_form_of_gamma_impossible():
    gamma = jaxgmm.mixture("gamma", weights=[1.0], concentrations=[[2.0]], rates=[[1.0]])
    assert float(jaxgmm.e_step(gamma, np.array([[0.0], [1.0]]), form="moments").log_likelihood) == -np.inf


FITS = {
    "fit": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS),
    "starts": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS, n_init=5, accelerate="squarem"),
    "stream": lambda x: jaxgmm.fit(0, jaxgmm.rows(x, block_size=128), 2, family=COUNTS),
    "mesh": lambda x: jaxgmm.fit(0, x, 2, family=COUNTS, mesh=jax.make_mesh((1,), ("rows",))),
    "jit": lambda x: jax.jit(lambda x: jaxgmm.fit(0, x, 2, family=COUNTS))(jnp.asarray(x, jnp.float32)),
    "select": lambda x: jaxgmm.select(0, x, (1, 2), families=(COUNTS,), n_init=2).best,
    "select a stream": lambda x: jaxgmm.select(0, jaxgmm.rows(x), (2,), families=(COUNTS,), n_init=2).best,
    "stepwise": lambda x: jaxgmm.fit_stepwise(0, x, 2, family=COUNTS, passes=2),
    "gradient": lambda x: jaxgmm.fit_gradient(0, x, 2, family=COUNTS, optimizer=optax.adam(0.05), steps=5),
    "many": lambda x: jax.tree.map(lambda leaf: leaf[1], jaxgmm.fit_many(0, np.stack([x[::-1], x]), 2, family=COUNTS)),
}


@pytest.mark.short(way=["fit", "stepwise", "many"])
@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
@pytest.mark.parametrize("way", FITS)
def test_every_fit_says_the_log_likelihood_that_scipy_says(way):
    result = FITS[way](X)
    rtol = 1e-5 if way == "jit" else 1e-10
    np.testing.assert_allclose(result.log_likelihood, log_likelihood(result.mixture), rtol)
    np.testing.assert_allclose(np.asarray(result.restarts).max(), result.log_likelihood, rtol)


def test_a_sweep_ranks_it_beside_other_families():
    table = jaxgmm.select(0, X, (2,), families=(COUNTS, "poisson"), n_init=2).table
    for name in ("log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(table[0][name], table[1][name], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bounds_of_estimators_have_it(engine):
    from jaxgmm.sklearn.others import PoissonMixture

    class CountsMixture(PoissonMixture):
        def _family(self, x):
            return COUNTS

        def _fitted_family(self):
            return COUNTS

    model = CountsMixture(2, random_state=0, max_iter=3).fit(X)
    theirs = PoissonMixture(2, random_state=0, max_iter=3).fit(X)
    np.testing.assert_allclose(model.lower_bounds_, theirs.lower_bounds_, rtol=1e-9)
    np.testing.assert_allclose(model.score(X), log_likelihood(model.mixture_) / len(X))


# -- axes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("xp", [np, jnp])
def test_every_axis_of_features_is_scaled_and_no_other(q, xp):
    """By loops over the entries: d = 2 features, q of something else."""
    declared = {"kdq": (2, False), "kqd": (1, True), "dq": (1, True), "qd": (-1, False), "kdd": (2, False)}
    declared |= {"dd": (-2, False), "kdc": (0, False), "kd": (3, False), "kqdd": (2, False), "kq": (0, False)}
    fields = {name: parameter(name, Constraint.REAL, units=u, located=at) for name, (u, at) in declared.items()}
    kind = record(type("Axes", (), {"__annotations__": dict.fromkeys(declared, object), **fields}))
    sizes, rng = {"k": 4, "d": 2, "q": q, "c": 5}, np.random.default_rng(0)
    values = {name: rng.normal(size=[sizes[axis] for axis in name]).astype(np.float32) for name in declared}
    shift, scale = np.array([5.0, -3.0], np.float32), np.array([2.0, 0.25], np.float32)
    frame = Frame(*map(xp.asarray, (shift, scale, 1 / scale, 0 * scale)))
    params = kind(**{name: xp.asarray(value) for name, value in values.items()})
    moved = leave(params, frame)
    for name, (units, located) in declared.items():
        expected = values[name].copy()
        for index in np.ndindex(expected.shape):
            at = [i for axis, i in zip(name, index, strict=True) if axis == "d"]
            for j in at:
                expected[index] *= scale[j] ** (units / len(at))
            expected[index] += shift[at[0]] if located else 0
        np.testing.assert_allclose(getattr(moved, name), expected, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(getattr(enter(moved, frame), name), values[name], 1e-5, 1e-5, err_msg=name)


@pytest.mark.parametrize("q", [2, 3])
def test_a_fit_of_parameters_with_axes_of_their_own_is_that_of_diag(q):
    """Features of unlike units, so that a scale along the wrong axis is another model."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 2)) + 4 * rng.integers(2, size=(200, 1))) * [1000.0, 0.01] + [5e4, -3.0]
    ours, theirs = (jaxgmm.fit(0, x, 2, family=family) for family in (handmade.copies(q), "diag"))
    np.testing.assert_allclose(ours.log_likelihood, theirs.log_likelihood, rtol=1e-9)
    means, variances = ours.mixture.components.means, ours.mixture.components.variances
    assert means.shape == (2, q, 2) and variances.shape == (2, 2, q)
    for i in range(q):
        np.testing.assert_allclose(means[:, i], theirs.mixture.components.means, rtol=1e-7)
        np.testing.assert_allclose(variances[:, :, i], theirs.mixture.components.covariances, rtol=1e-7)
    np.testing.assert_allclose(jaxgmm.log_prob(ours.mixture, x), jaxgmm.log_prob(theirs.mixture, x), rtol=1e-9)
    again = jaxgmm.fit(0, x, 2, family=ours.mixture.family, init=ours.mixture, max_iter=0, tol=0)
    np.testing.assert_allclose(again.log_likelihood, ours.log_likelihood, rtol=1e-9)


def test_what_is_printed_goes_by_axes_too():
    x = np.random.default_rng(0).normal(size=(20, 2)) * [1000.0, 0.01]
    mixture = jaxgmm.fit(0, x, 2, family=handmade.copies(3), max_iter=0, tol=0).mixture
    lines = tables.as_text(tables.of_mixture(mixture, ["a", "b"])).split("\n")
    assert lines[lines.index("means, component 0") + 1].split() == ["a", "b"]
    assert lines[lines.index("variances, component 0") + 1].split() == ["0", "1", "2"]
    assert [line.split()[0] for line in lines[lines.index("variances, component 0") + 2 :][:2]] == ["a", "b"]


@pytest.mark.parametrize("shape, located", [("dk", False), ("kq", True), ("kdd", True)])
def test_axes_that_no_code_could_follow_are_refused(shape, located):
    with pytest.raises(ValueError, match=f"got shape '{shape}'"):
        parameter(shape, Constraint.REAL, units=1, located=located)
