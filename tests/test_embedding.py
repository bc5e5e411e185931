"""Inside other people's programs: the page docs/embedding.md, cell by cell, and the switches with which JAX looks for
mistakes."""

import ast
import contextlib
import importlib.util
import io
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.special
from families import BY_NAME, N, precision, read
from jax import export
from jax.experimental import checkify

import jaxgmm
from jaxgmm.data import route

PAGE = Path(__file__).parents[1] / "docs" / "embedding.md"
SERIALISES = importlib.util.find_spec("flatbuffers") is not None
FIELDS = ["means", "covariances"]


@pytest.fixture(scope="module")
def page():
    """What the cells of the page define, and by the first line of each what it shows: printed, or its last value."""
    names, shown = {}, {}
    for code in re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", PAGE.read_text(), re.S | re.M):
        if ".serialize()" in code and not SERIALISES:
            continue
        tree, printed = ast.parse(code), io.StringIO()
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else ast.parse("None").body[0]
        with contextlib.redirect_stdout(printed), jax.numpy_rank_promotion("allow"):
            exec(compile(tree, PAGE.name, "exec"), names)
            value = eval(compile(ast.Expression(last.value), PAGE.name, "eval"), names)
        shown[code.split("\n")[0]] = printed.getvalue() if value is None else value
    return names, shown


def likelihood_where_it_rests(mixture, x):
    """The log-likelihood of a diagonal mixture, at which a plain update of EM in NumPy stands still."""
    start = mixture if isinstance(mixture, tuple) else read(mixture, FIELDS)
    x = np.asarray(x, np.float64)
    weights, params, trace = oracles.em("diag", *start, x, n_iter=1)
    scale = x.std(0)
    np.testing.assert_allclose(weights, start[0], atol=5e-3)
    np.testing.assert_allclose(params["means"] / scale, start[1]["means"] / scale, atol=5e-3)
    np.testing.assert_allclose(params["covariances"] / scale**2, start[1]["covariances"] / scale**2, atol=5e-3)
    return trace[0]


def entry(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


@pytest.mark.long
def test_a_fit_in_jit_rests_and_has_a_status(page):
    names, shown = page
    mean, status = names["heaviest_mean"](jax.random.key(0), names["x"])
    assert status == jaxgmm.Status.CONVERGED
    np.testing.assert_allclose(mean, [0, 0], atol=0.2)  # as the rows were drawn
    assert shown["_, status = heaviest_mean(jax.random.key(0), x.at[7, 0].set(jnp.nan))"] is jaxgmm.Status.NON_FINITE


@pytest.mark.long
def test_fits_in_vmap_are_those_of_the_data_sets(page):
    names, _ = page
    results, stack = names["results"], names["stack"]
    for i in range(3):
        value = likelihood_where_it_rests(entry(results.mixture, i), stack[i])
        np.testing.assert_allclose(results.log_likelihood[i], value, rtol=1e-5)
    n, d = names["x"].shape  # moved rows are as likely, doubled ones less by the volume
    np.testing.assert_allclose(results.log_likelihood[2], results.log_likelihood[0] - n * d * np.log(2), rtol=1e-4)


@pytest.mark.long
def test_fits_in_vmap_over_keys_are_starts(page):
    names, _ = page
    starts = names["starts"]
    for i in range(3):
        value = likelihood_where_it_rests(entry(starts.mixture, i), names["x"])
        np.testing.assert_allclose(starts.log_likelihood[i], value, rtol=1e-5)
    assert len(set(np.asarray(starts.n_iter).tolist())) > 1  # each from rows of its own


@pytest.mark.long
def test_fit_many_is_the_fit_of_the_rows_that_weigh(page):
    names, _ = page
    np.testing.assert_allclose(names["many"].log_likelihood[1], names["alone"].log_likelihood, rtol=1e-5)


@pytest.mark.long
def test_fits_in_scan_follow_the_groups(page):
    names, _ = page
    path, n_iter, days = (np.asarray(names[name]) for name in ("path", "n_iter", "days"))
    drift = 0.1 * np.arange(10)[:, None, None] * np.array([1.0, 0.0])
    np.testing.assert_allclose(path, path[:1] + drift, atol=2e-3)
    assert (n_iter[1:] < n_iter[0]).all()
    likelihood_where_it_rests(names["last"], days[-1])


@pytest.mark.long
def test_a_loop_of_ones_own_holds_its_weights(page):
    names, _ = page
    weights, params = read(names["start"], FIELDS)
    for value in names["history"][:4]:
        found, resp = oracles.e_step("diag", weights, params, names["x"])
        np.testing.assert_allclose(value, found, rtol=1e-5)
        _, params = oracles.m_step("diag", names["x"], resp)
    np.testing.assert_allclose(names["mixture"].weights, 0.5, rtol=1e-6)
    np.testing.assert_allclose(names["total"].log_likelihood, names["whole"].log_likelihood, rtol=1e-5)


@pytest.mark.long
def test_a_mixture_is_part_of_a_trained_state(page):
    names, _ = page
    losses, state = names["losses"], names["state"]
    assert losses[-1] < losses[0] - 1e-3 and (np.diff(losses) < 1e-4).all()
    assert float(state.mixture.weights.sum()) == pytest.approx(1, abs=1e-6)
    z = np.asarray(names["x"], np.float64) @ np.asarray(state.encoder, np.float64)
    value = -oracles.e_step("diag", *read(state.mixture, FIELDS), z)[0] / len(z)
    value -= np.linalg.slogdet(np.asarray(state.encoder, np.float64))[1]
    assert value == pytest.approx(losses[-1], abs=1e-3)


@pytest.mark.long
def test_a_donated_mixture_is_gone_and_its_successor_rests(page):
    names, _ = page
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(names["old"]))
    likelihood_where_it_rests(names["new"], names["x"])


@pytest.mark.long
def test_an_exported_density_is_scipys_for_any_number_of_rows(page):
    names, _ = page
    x = np.asarray(names["x"])
    joint = oracles.joint("diag", *read(names["new"], FIELDS), x)
    for n in (1, 7, 500):
        found = names["density"].call(x[:n])
        np.testing.assert_allclose(found, scipy.special.logsumexp(joint[:n], axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not SERIALISES, reason="needs flatbuffers, the extra export")
@pytest.mark.long
def test_exported_programs_run_where_the_library_is_not_imported(page):
    names, _ = page
    total, *numbers, status, imported = names["ran"].stdout.split("\n")[:-1]
    weights, means, covariances = np.split(np.array(re.findall(r"[-+.e\d]+", " ".join(numbers)), float), [2, 6])
    mixture = weights, {"means": means.reshape(2, 2), "covariances": covariances.reshape(2, 2)}
    assert imported == "False" and int(status) == jaxgmm.Status.CONVERGED
    assert float(total) == pytest.approx(likelihood_where_it_rests(mixture, names["x"]), abs=0.01)


@pytest.mark.long
def test_what_was_saved_comes_back(page):
    names, _ = page
    for before, after in zip(jax.tree.leaves(names["new"]), jax.tree.leaves(names["again"]), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.long
def test_the_context_decides_what_a_program_computes_in(page):
    names, _ = page
    assert [names[name].dtype for name in ("inside", "kept")] == [np.float32, np.float64]
    joint = oracles.joint("diag", *read(names["wide"], FIELDS), names["double"])
    np.testing.assert_allclose(names["kept"], scipy.special.logsumexp(joint, axis=1), rtol=1e-12)


@pytest.mark.long
def test_checks_of_a_result_go_through_a_fit(page):
    _, shown = page
    assert shown["from jax.experimental import checkify"].startswith("None\nthe fit ended 4 ")


# -- what JAX exports ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["full", "gamma", "categorical"])
def test_any_number_of_rows_is_exported(name):
    case = BY_NAME[name]
    x, mixture = case.data(np.float32), case.mixture(np.float32)
    (n,) = export.symbolic_shape("n")
    rows = jax.ShapeDtypeStruct((n, case.d), np.float32)

    def asked(x):
        weight = jnp.where(jnp.arange(x.shape[0]) < 5, 1.0, 0.0)
        log_likelihood = jaxgmm.e_step(mixture, x, weight).log_likelihood
        return jaxgmm.log_prob(mixture, x), jaxgmm.responsibilities(mixture, x), log_likelihood, jaxgmm.bic(mixture, x)

    exported = export.export(jax.jit(asked))(rows)
    joint = oracles.joint(name, *read(mixture, case.params), x)
    density = scipy.special.logsumexp(joint, axis=1)
    for some in (1, 6, N):
        log_prob, resp, log_likelihood, bic = exported.call(x[:some])
        np.testing.assert_allclose(log_prob, density[:some], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(resp, np.exp(joint - density[:, None])[:some], atol=1e-4)
        np.testing.assert_allclose(log_likelihood, density[:some][:5].sum(), rtol=1e-4)
        wanted = oracles.criteria(name, *read(mixture, case.params), x[:some], **case.options)["bic"]
        np.testing.assert_allclose(bic, wanted, rtol=1e-4)


def test_gradients_of_any_number_of_rows_are_exported():
    case = BY_NAME["diag"]
    x, mixture = case.data(np.float32), case.mixture(np.float32)
    (n,) = export.symbolic_shape("n")
    slope = jax.grad(lambda x: jaxgmm.log_prob(mixture, x).sum())
    found = export.export(jax.jit(slope))(jax.ShapeDtypeStruct((n, 3), np.float32)).call(x)
    weights, params = read(mixture, FIELDS)
    _, resp = oracles.e_step("diag", weights, params, x)
    wanted = (resp[:, :, None] * (params["means"] - x[:, None]) / params["covariances"]).sum(1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fit", [lambda x: jaxgmm.fit(0, x, 2), lambda x: jaxgmm.fit_many(0, x[None], 2)])
def test_a_fit_is_exported_for_a_number_of_rows(fit):
    (n,) = export.symbolic_shape("n")
    with pytest.raises(ValueError, match="symbolic number of rows, n: .* fill up fewer"):
        export.export(jax.jit(fit))(jax.ShapeDtypeStruct((n, 2), np.float32))


# -- other people's states ----------------------------------------------------------------------------------------


def test_an_equinox_module_holds_a_mixture(tmp_path):
    equinox = pytest.importorskip("equinox")

    class Model(equinox.Module):
        mixture: jaxgmm.Mixture
        scale: jax.Array

    case = BY_NAME["diag"]
    model, x = Model(case.mixture(np.float32), jnp.ones(3)), case.data(np.float32)
    value = equinox.filter_jit(lambda model: jaxgmm.log_prob(model.mixture, x * model.scale[None]).sum())
    wanted = oracles.e_step("diag", *read(model.mixture, FIELDS), x)[0]
    np.testing.assert_allclose(value(model), wanted, rtol=1e-5)
    assert isinstance(equinox.filter_grad(value)(model).mixture, jaxgmm.Mixture)
    equinox.tree_serialise_leaves(tmp_path / "model.eqx", model)
    back = equinox.tree_deserialise_leaves(tmp_path / "model.eqx", model)
    np.testing.assert_array_equal(back.mixture.components.means, model.mixture.components.means)


def test_flax_states_hold_a_mixture():
    nnx, train = pytest.importorskip("flax.nnx"), pytest.importorskip("flax.training.train_state")
    import optax

    class State(train.TrainState):
        mixture: jaxgmm.Mixture

    class Head(nnx.Module):
        def __init__(self, mixture):
            self.mixture = nnx.Variable(mixture)

    case = BY_NAME["diag"]
    mixture, x = case.mixture(np.float32), case.data(np.float32)
    state = State.create(apply_fn=None, params=jnp.zeros(2), tx=optax.sgd(0.1), mixture=mixture)
    state = jax.jit(lambda state: state.replace(mixture=jaxgmm.m_step(state.mixture, jaxgmm.e_step(state.mixture, x))))(
        state
    )
    weights, _, _ = oracles.em("diag", *read(mixture, FIELDS), x, n_iter=1)
    np.testing.assert_allclose(state.mixture.weights, weights, rtol=1e-4)
    found = nnx.jit(lambda head: jaxgmm.log_prob(head.mixture.get_value(), x).sum())(Head(mixture))
    np.testing.assert_allclose(found, oracles.e_step("diag", *read(mixture, FIELDS), x)[0], rtol=1e-5)


def test_orbax_keeps_a_state_with_a_mixture(tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    mixture = BY_NAME["full"].mixture(np.float32)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", {"mixture": mixture, "step": 3})
        checkpointer.wait_until_finished()
        back = checkpointer.restore(tmp_path / "state", {"mixture": mixture, "step": 0})
    assert back["step"] == 3 and back["mixture"].family == mixture.family
    np.testing.assert_array_equal(back["mixture"].components.covariances, mixture.components.covariances)


# -- JAX's switches -----------------------------------------------------------------------------------------------

SWITCHES = {
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "transfer_guard": lambda: jax.transfer_guard("disallow"),
    "disable_jit": lambda: jax.disable_jit(),
    "rank_promotion": lambda: jax.numpy_rank_promotion("raise"),
    "dtype_promotion": lambda: jax.numpy_dtype_promotion("strict"),
}
X = BY_NAME["diag"].data(np.float32)
MIXTURE = BY_NAME["diag"].mixture(np.float32)
FIT = {"family": "diag", "tol": 1e-4}
CALLS = {
    "fit": lambda: jaxgmm.fit(0, X, 3, **FIT).mixture,
    "fit compiled": lambda: jaxgmm.fit(0, X, 3, **FIT, n_init=4, compiled=True).mixture,
    "fit of JAX's": lambda: jaxgmm.fit(np.uint32([0, 0]), jax.device_put(X), 3, **FIT, compiled=True).mixture,
    "fit in float64": lambda: jaxgmm.fit(0, np.float64(X), 3, **FIT, compiled=True).mixture,
    "fit_many": lambda: entry(jaxgmm.fit_many(0, X[None], 3, **FIT, compiled=True).mixture, 0),
    "select": lambda: jaxgmm.select(0, X, [2, 3], families="diag", n_init=2, compiled=True)["diag", 3].mixture,
}


@pytest.mark.short(switch=["debug_nans", "transfer_guard"])
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("call", CALLS)
def test_fits_outside_of_a_trace_run_under_every_switch(switch, call):
    if switch == "disable_jit" and call in ("fit compiled", "fit in float64", "select"):
        pytest.skip("line by line it takes minutes, and shows what the others do")
    with SWITCHES[switch]():
        mixture = jax.tree.map(np.asarray, CALLS[call]())
    likelihood_where_it_rests(mixture, X)


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("most", [route.MOST, 0], ids=["host", "compiled"])
def test_densities_are_the_same_under_every_switch(switch, most, monkeypatch):
    monkeypatch.setattr(route, "MOST", most)
    holed = np.concatenate([X, np.full((1, 3), np.nan, np.float32)])
    with SWITCHES[switch]():
        found = np.asarray(jaxgmm.log_prob(MIXTURE, holed))
        weights = np.asarray(MIXTURE.weights)
        drawn, _ = jaxgmm.sample(0, MIXTURE, 5)
    joint = oracles.joint("diag", *read(MIXTURE, FIELDS), X)
    np.testing.assert_allclose(found[:-1], scipy.special.logsumexp(joint, axis=1), rtol=1e-4, atol=1e-4)
    assert np.isnan(found[-1]) and np.isfinite(drawn).all() and weights.sum() == pytest.approx(1)


def test_switches_hold_for_all_code_around():
    with jax.debug_nans(True), jax.transfer_guard("disallow"):
        jaxgmm.fit(0, X, 3, **FIT)
        assert jax.config.jax_debug_nans
        with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
            jnp.ones(3) + X[0]


@pytest.mark.parametrize("rows", [X, np.full_like(X, np.nan)], ids=["sound", "nan"])
def test_a_users_jit_is_looked_at(rows):
    """Under debug_nans by what it returns: the NaN that a fit computes with stay inside."""
    value = jax.jit(lambda x: jaxgmm.log_prob(MIXTURE, x).sum())
    fit = jax.jit(lambda x: jaxgmm.fit(0, x, 2, **FIT).status)
    with jax.debug_nans(True):
        if np.isfinite(rows).all():
            assert np.isfinite(value(rows)) and fit(rows) == jaxgmm.Status.CONVERGED
        else:
            assert fit(rows) == jaxgmm.Status.NON_FINITE
            with pytest.raises(FloatingPointError):
                value(rows)


def test_checkpointed_gradients_are_the_same():
    weights, params = read(MIXTURE, FIELDS)
    slope = jax.grad(jax.checkpoint(lambda x: jaxgmm.log_prob(MIXTURE, x).sum()))(jnp.asarray(X))
    _, resp = oracles.e_step("diag", weights, params, X)
    wanted = (resp[:, :, None] * (params["means"] - X[:, None]) / params["covariances"]).sum(1)
    np.testing.assert_allclose(slope, wanted, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_around_a_fit_changes_nothing():
    mixture = jax.jit(jax.checkpoint(lambda x: jaxgmm.fit(0, x, 3, **FIT).mixture))(X)
    likelihood_where_it_rests(mixture, X)


@pytest.mark.long
def test_float_checks_report_what_a_fit_computes_with():
    error, _ = checkify.checkify(jax.jit(lambda x: jaxgmm.fit(0, x, 2, **FIT).status), checkify.float_checks)(X)
    assert "nan" in error.get()
    error, _ = checkify.checkify(jax.jit(lambda x: jaxgmm.log_prob(MIXTURE, x)), checkify.float_checks)(X)
    assert error.get() is None


@pytest.mark.parametrize("kind", ["seed", "key"])
def test_a_fit_over_which_all_is_closed_is_part_of_the_program(kind):
    key = 0 if kind == "seed" else jax.random.key(0)
    mixture = jax.jit(lambda scale: jax.tree.map(lambda leaf: scale * leaf, jaxgmm.fit(key, X, 3, **FIT).mixture))(1.0)
    likelihood_where_it_rests(mixture, X)


def test_float64_rows_in_a_users_float64_are_fitted_in_it():
    with precision(np.float64):
        result = jax.jit(lambda x: jaxgmm.fit(0, x, 3, **FIT))(np.float64(X))
    assert result.log_likelihood.dtype == result.mixture.components.means.dtype == np.float64
    assert result.log_likelihood == pytest.approx(likelihood_where_it_rests(result.mixture, X), rel=1e-9)
