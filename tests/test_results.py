"""Results speak: what holds a mixture is taken for one, is printed as a table, and keeps the names of its columns."""

import copy
import json
import pickle
import types
import warnings
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import polars as pl
import pytest
from families import BY_NAME, DTYPES, K

import jaxgmm
from jaxgmm import tables

X = BY_NAME["full"].data()[:, :2]
NAMES = ("length", "width")
FRAME = pd.DataFrame(X, columns=NAMES)


@pytest.fixture(scope="module")
def selection():
    return jaxgmm.select(0, FRAME, [1, 2, 3], families=("tied", "diag"), n_init=2)


# What holds a mixture is taken for it


HELD = {
    "result": lambda selection: selection.best,
    "selection": lambda selection: selection,
    "estimator": lambda selection: types.SimpleNamespace(mixture_=selection.best.mixture),
}
VERBS = {
    "predict": lambda model: jaxgmm.predict(model, X),
    "log_prob": lambda model: jaxgmm.log_prob(model, X),
    "joint_log_prob": lambda model: jaxgmm.joint_log_prob(model, X),
    "responsibilities": lambda model: jaxgmm.responsibilities(model, X),
    "bic": lambda model: jaxgmm.bic(model, X),
    "aic": lambda model: jaxgmm.aic(model, X),
    "icl": lambda model: jaxgmm.icl(model, X),
    "n_parameters": jaxgmm.n_parameters,
    "sample": lambda model: jaxgmm.sample(0, model, 5)[0],
    "e_step": lambda model: jaxgmm.e_step(model, X).counts,
    "m_step": lambda model: jaxgmm.m_step(model, jaxgmm.e_step(model, X)).components.means,
    "unconstrain": lambda model: jaxgmm.unconstrain(model).components["means"],
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("verb", VERBS)
def test_what_holds_a_mixture_is_taken_for_it(selection, verb, held):
    np.testing.assert_array_equal(VERBS[verb](HELD[held](selection)), VERBS[verb](selection.best.mixture))


@pytest.mark.parametrize("held", HELD)
def test_a_fit_starts_from_what_holds_a_mixture(selection, held):
    model, k = HELD[held](selection), selection.best.mixture.n_components
    family, means = selection.best.mixture.family, selection.best.mixture.components.means
    options = {"family": family, "init": model}
    np.testing.assert_array_equal(jaxgmm.fit(0, X, k, max_iter=0, tol=0, **options).mixture.components.means, means)
    adam = optax.adam(1e-3)
    still = jaxgmm.fit_gradient(0, X, k, optimizer=adam, steps=0, **options).mixture.components.means
    np.testing.assert_allclose(still, means, rtol=1e-9)
    assert jaxgmm.fit_stepwise(0, X, k, passes=1, **options).n_iter > 0


def test_a_result_is_saved_as_its_mixture(selection, tmp_path):
    for model in (selection, selection.best):
        jaxgmm.save(tmp_path / "m.npz", model)
        loaded = jaxgmm.load(tmp_path / "m.npz")
        np.testing.assert_array_equal(loaded.components.means, selection.best.mixture.components.means)
        assert loaded.columns == NAMES


def test_a_result_is_taken_inside_transformations(selection):
    with jax.enable_x64(True):
        value = jax.jit(lambda result, x: jaxgmm.log_prob(result, x).sum())(selection.best, jnp.asarray(X))
    np.testing.assert_allclose(value, selection.best.log_likelihood, rtol=1e-9)


# What a wrong call meant


R = jaxgmm.FitResult(BY_NAME["full"].mixture(), 0.0, 1, jaxgmm.Status.CONVERGED, np.zeros(1))
MISTAKEN = {
    "no key": (
        lambda: jaxgmm.fit(X, 3),
        TypeError,
        "key must come first, a seed or a JAX key: fit(0, x, ",
    ),
    "the key last": (lambda: jaxgmm.fit(FRAME, 3, 0), ValueError, "key must come first"),
    "a list of rows": (lambda: jaxgmm.fit(X.tolist(), 3), TypeError, "key must come first"),
    "a file for a key": (lambda: jaxgmm.select("x.csv", [1, 2]), TypeError, "select(0, x, n_components)"),
    "no K": (lambda: jaxgmm.fit(0, X), TypeError, "'n_components'; it is called fit(0, x, n_components)"),
    "all by position": (lambda: jaxgmm.fit(0, X, 3, "full"), TypeError, "key, x, n_components by position"),
    "x first": (lambda: jaxgmm.predict(X, R), ValueError, "predict(mixture, x)"),
    "no mixture": (lambda: jaxgmm.predict(X, X), ValueError, "mixture must be a Mixture, or a FitResult"),
    "no key to sample": (lambda: jaxgmm.sample(R, 3), TypeError, "sample(0, mixture, n)"),
    "the result first": (lambda: jaxgmm.save(R, "m.npz"), ValueError, "save(path, mixture)"),
    "family of select": (lambda: jaxgmm.select(0, X, [1], family="full"), TypeError, "select takes families="),
    "families of fit": (lambda: jaxgmm.fit(0, X, 1, families=["full"]), TypeError, "jaxgmm.select compares several"),
    "reg_covar": (lambda: jaxgmm.fit(0, X, 1, reg_covar=1e-6), TypeError, "prior=jaxgmm.GaussianPrior(reg_covar=...)"),
    "random_state": (lambda: jaxgmm.fit(0, X, 1, random_state=0), TypeError, "the first argument"),
    "a slip": (lambda: jaxgmm.fit(0, X, 1, n_int=3), TypeError, "did you mean n_init=?"),
    "mclust's names": (lambda: jaxgmm.fit(0, X, 1, family="VVV"), ValueError, "that is 'full' here"),
}


@pytest.mark.parametrize("what", MISTAKEN)
def test_a_wrong_call_is_answered_by_what_was_meant(what):
    call, kind, words = MISTAKEN[what]
    with pytest.raises(kind) as raised:
        call()
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_unambiguous_is_accepted():
    plain = jaxgmm.select(0, X, [1, 2], families=["full"], criterion="bic", init="kmeans", n_init=1)
    meant = jaxgmm.select(0, X, [1, 2], families="Full", criterion="BIC", init="K-Means", n_init=1)
    assert meant.table == plain.table and meant.criterion == "bic"
    one = jaxgmm.fit(0, X, 2, family="FULL", init="kmeans++", accelerate="None", search="Pruned")
    assert one.log_likelihood == jaxgmm.fit(0, X, 2, init="k-means++", accelerate="none").log_likelihood


WARNS = {
    "fit": lambda: jaxgmm.fit(0, X, 3, max_iter=1),
    "select": lambda: jaxgmm.select(0, X, [3], families="full", max_iter=1),
    "fit_gradient": lambda: jaxgmm.fit_gradient(0, X * 1e200, 2, optimizer=optax.sgd(1.0), steps=1),
    "fit_stepwise": lambda: jaxgmm.fit_stepwise(0, np.repeat([[0.0], [9.0]], 300, axis=0), 2),
}


@pytest.mark.parametrize("verb", ["fit", "select", "fit_stepwise"])
def test_a_warning_stands_at_the_call(verb):
    with pytest.warns(jaxgmm.FitWarning) as said:
        WARNS[verb]()
    assert {warning.filename for warning in said} == {__file__}


# Tables


class Cells(HTMLParser):
    """The words of every cell."""

    def __init__(self, text):
        super().__init__()
        self.words, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag in ("td", "th")
        self.words += [""] if self.inside else []

    def handle_data(self, data):
        if self.inside:
            self.words[-1] += data

    def handle_endtag(self, tag):
        self.inside = False


def test_print_shows_the_numbers(selection):
    lines = str(selection).splitlines()
    rows = [line.split() for line in lines]
    assert rows[0] == ["family", "K", "log_likelihood", "parameters", "bic", "aic", "icl", "status"]
    for shown, row in zip(rows[1:7], selection.table, strict=True):
        assert shown[:2] == [row["family"], str(row["n_components"])]
        np.testing.assert_allclose(float(shown[4]), row["bic"], atol=6e-4)
    best = selection.best.mixture
    assert f"best by bic: {best.family.name}, K = {best.n_components}" in lines
    for text in (str(selection), str(selection.best), str(best)):
        weight, length = (next(line.split() for line in text.splitlines() if line.split()[:1] == [name])
                          for name in ("weight", "length"))  # fmt: skip
        np.testing.assert_allclose([float(word) for word in weight[1:]], best.weights, rtol=1e-4)
        np.testing.assert_allclose([float(word) for word in length[1:]], best.components.means[:, 0], rtol=1e-4)
    assert "CONVERGED after" in str(selection.best)


def test_a_notebook_shows_what_print_shows(selection):
    for value in (selection, selection.best, selection.best.mixture):
        cells = Cells(value._repr_html_()).words
        assert set(" ".join(cells).split()) <= set(str(value).split())
        assert {"weight", "length", "width"} <= {cell.strip() for cell in cells}
    risky = jaxgmm.fit(0, FRAME.set_axis(["<b>", "&"], axis=1), 1).mixture._repr_html_()
    assert "<b>" not in risky and "&lt;b&gt;" in risky and "&amp;" in risky


def test_the_prompt_shows_one_line(selection):
    best = selection.best.mixture
    about = f"{best.family.name}, K = {best.n_components}, 2 features, float64"
    assert repr(best) == f"Mixture({about})"
    assert repr(selection.best) == f"FitResult({about}, log-likelihood {selection.best.log_likelihood:.3f}, CONVERGED)"
    assert repr(selection) == f"Selection(6 fits, best by bic: {selection.best!r})"


def test_a_screen_is_not_left():
    rng = np.random.default_rng(0)
    many = jaxgmm.mixture("full", weights=np.full(40, 1 / 40), means=rng.normal(size=(40, 10)),
                          covariances=np.tile(np.eye(10), (40, 1, 1)))  # fmt: skip
    text = str(many)
    assert len(text.splitlines()) < 100 and max(map(len, text.splitlines())) < 120
    assert "31 more components, of weight 0.775 together" in text and "more matrices" in text
    wide = jaxgmm.mixture("diag", weights=[1.0], means=np.zeros((1, 300)), covariances=np.ones((1, 300)))
    assert str(wide).count("... 276 more features") == 2
    whole = tables.as_text(tables.of_mixture(many))
    assert "more" not in whole and "covariances, component 39" in whole


def test_of_a_long_sweep_the_lowest_rows_are_shown():
    table = [{"family": "full", "n_components": k, "log_likelihood": 0.0, "n_parameters": k, "bic": abs(k - 30.0),
              "aic": 0.0, "icl": 0.0, "status": "CONVERGED"} for k in range(1, 101)]  # fmt: skip
    results = [jaxgmm.FitResult(R.mixture, 0.0, 1, jaxgmm.Status.CONVERGED, np.zeros(1)) for _ in table]
    text = str(jaxgmm.Selection(results[29], table, results, "bic"))
    shown = [int(line.split()[1]) for line in text.splitlines() if line.startswith("full ")]
    assert len(shown) == 40 and shown == sorted(shown) and shown[0] in (10, 11) and "60 more rows" in text


def test_traced_and_batched_results_say_what_they_are():
    seen = []

    @jax.jit
    def look(result):
        seen.extend([repr(result), str(result), str(result.mixture), result._repr_html_()])
        return result.log_likelihood

    look(R)
    assert seen[3] is None and all("full" in words for words in seen[:3])
    batch = jaxgmm.fit_many(0, np.random.default_rng(0).normal(size=(3, 40, 2)), 2, max_iter=2, tol=0)
    assert "a batch of shape (3,)" in repr(batch) == str(batch)
    with pytest.raises(ValueError, match="one concrete result"):
        batch.summary()


def test_rows_lower_than_the_best_have_a_footnote():
    spike = np.concatenate([np.full((30, 1), 9.0), np.random.default_rng(0).normal(size=(60, 1))])
    selection = jaxgmm.select(0, spike, [1, 2], families="full", n_init=3)
    one, two = selection.table
    assert two["bic"] < one["bic"] and selection.best is selection.results[0]
    text = str(selection)
    assert "degenerate *" in text and "* lower than the best, and not to be chosen (degenerate): " in text
    assert "*" not in str(jaxgmm.select(0, X, [1, 2], families="tied", n_init=2))


def test_a_selection_is_asked_for_a_fit_and_a_frame(selection):
    assert selection["tied", 3] is selection.results[2]
    assert selection[selection.results[0].mixture.family, 1] is selection.results[0]
    for wrong in (("full", 3), ("tied", 9), "tied", 3):
        with pytest.raises(KeyError, match="diag 1, diag 2, diag 3, tied 1, tied 2, tied 3"):
            selection[wrong]
    pd.testing.assert_frame_equal(selection.to_frame(), pd.DataFrame(selection.table))


def test_a_summary_is_plain(selection):
    summary = json.loads(json.dumps(selection.best.summary()))
    best = selection.best
    assert summary["family"] == best.mixture.family.name and summary["columns"] == list(NAMES)
    assert summary["status"] == "CONVERGED" and summary["converged"] is True and summary["n_iter"] == best.n_iter
    np.testing.assert_array_equal(summary["weights"], best.mixture.weights)
    np.testing.assert_array_equal(summary["components"]["covariances"], best.mixture.components.covariances)
    assert summary["restart_status"] == [jaxgmm.Status(s).name for s in best.restart_status]


# Starts


@pytest.mark.diagonal
@DTYPES
@pytest.mark.parametrize("compiled", [True, False])
def test_every_start_has_the_status_that_it_has_alone(dtype, compiled):
    x = np.random.default_rng(0).normal(size=(40, 1)).round(1).astype(dtype)
    values, counts = np.unique(x, return_counts=True)
    spike = values[counts.argmax()]
    centres = [np.array([[-1.0], [1.0]]), np.array([[spike], [spike + 1e-3]]), np.array([[-0.5], [2.0]])]

    def from_each(given):
        each = iter(given)
        return lambda key, x, sample_weight, k: next(each)

    options = {"compiled": compiled, "search": "exhaustive", "max_iter": 400}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        alone = [jaxgmm.fit(0, x, 2, init=from_each([one]), **options) for one in centres]
        result = jaxgmm.fit(0, x, 2, init=from_each(centres), n_init=3, **options)
    assert len({each.status for each in alone}) > 1
    assert [jaxgmm.Status(status) for status in result.restart_status] == [each.status for each in alone]
    np.testing.assert_allclose(result.restarts, [each.log_likelihood for each in alone], rtol=1e-4)


def test_starts_left_behind_are_stopped():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(c, 0.3, (100, 2)) for c in ((0, 0), (9, 0), (0, 9), (9, 9))])
    result = jaxgmm.fit(0, x, 4, n_init=20, init="random")
    stopped = result.restart_status == jaxgmm.Status.STOPPED
    assert stopped.any() and (result.restart_status >= 0).all()
    assert result.restarts[stopped].max() < result.log_likelihood
    alone = jaxgmm.fit(0, x, 4, n_init=20, init="random", search="exhaustive")
    assert not (alone.restart_status == jaxgmm.Status.STOPPED).any()
    assert str(result).splitlines()[2].startswith("20 starts: ")


def test_statuses_of_starts_go_through_transformations():
    sets = np.random.default_rng(0).normal(size=(3, 40, 2))
    assert jaxgmm.fit_many(0, sets, 2, n_init=2).restart_status.shape == (3, 2)
    traced = jax.jit(lambda x: jaxgmm.fit(0, x, 2, n_init=2).restart_status)(sets[0].astype(np.float32))
    assert traced.shape == (2,) and traced.dtype == jnp.int32


# Names of columns


FRAMES = {
    "pandas": lambda x, names: pd.DataFrame(x, columns=list(names)),
    "polars": lambda x, names: pl.DataFrame(x, list(names)),
    "fields": lambda x, names: np.array(list(map(tuple, x)), [(name, x.dtype) for name in names]),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_is_read_by_name(kind):
    frame = FRAMES[kind]
    result = jaxgmm.fit(0, frame(X, NAMES), 2)
    assert result.mixture.columns == NAMES
    swapped = frame(np.column_stack([X[:, 1], X[:, 0], X[:, 0] * 0]), ("width", "length", "other"))
    plain = jaxgmm.log_prob(jaxgmm.fit(0, X, 2), X)
    for model in (result, result.mixture):
        np.testing.assert_array_equal(jaxgmm.log_prob(model, swapped), plain)
        np.testing.assert_array_equal(jaxgmm.bic(model, swapped), jaxgmm.bic(model, X))
        np.testing.assert_array_equal(jaxgmm.icl(model, swapped), jaxgmm.icl(model, X))
        np.testing.assert_array_equal(jaxgmm.e_step(model, swapped).counts, jaxgmm.e_step(model, X).counts)
        with pytest.raises(ValueError, match="x has no column 'width': the mixture was fitted to 'length', 'width'"):
            jaxgmm.predict(model, frame(X, ("length", "height")))


def test_rows_without_names_are_taken_as_they_are():
    named, plain = jaxgmm.fit(0, FRAME, 2), jaxgmm.fit(0, pd.DataFrame(X), 2)
    assert plain.mixture.columns is None
    for model, x in ((named, X), (named, pd.DataFrame(X)), (plain, FRAME)):
        np.testing.assert_array_equal(jaxgmm.predict(model, x), jaxgmm.predict(named, FRAME))


def test_every_way_to_fit_keeps_the_names(tmp_path, selection):
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    assert jaxgmm.fit(0, tmp_path / "x.csv", 2, max_iter=1, tol=0).mixture.columns == NAMES
    assert all(result.mixture.columns == NAMES for result in selection.results)
    assert jaxgmm.fit_stepwise(0, FRAME, 2).mixture.columns == NAMES
    assert jaxgmm.fit_gradient(0, FRAME, 2, optimizer=optax.adam(0.1), steps=1).mixture.columns == NAMES


def test_a_start_of_other_columns_is_refused(selection):
    other = FRAME[["width", "length"]]
    start = {"family": selection.best.mixture.family, "init": selection}
    for fit in (jaxgmm.fit, jaxgmm.fit_stepwise):
        with pytest.raises(ValueError, match="init is a mixture of columns length, width; x has width, length"):
            fit(0, other, selection.best.mixture.n_components, **start)


def test_names_are_no_part_of_the_pytree():
    named, plain = jaxgmm.fit(0, FRAME, 2).mixture, jaxgmm.fit(0, X, 2).mixture
    assert jax.tree.structure(named) == jax.tree.structure(plain)
    assert jax.tree.map(lambda a, b: a - b, named, plain).columns is None
    traces = []

    @jax.jit
    def scored(mixture):
        traces.append(mixture.columns)
        return mixture

    assert scored(named).columns is None and scored(plain).columns is None and traces == [None]
    for found in (copy.copy(named), copy.deepcopy(named), pickle.loads(pickle.dumps(named))):
        assert found.columns == NAMES


def test_names_go_to_files_and_pictures(tmp_path):
    mixture = jaxgmm.fit(0, FRAME, 2).mixture
    jaxgmm.save(tmp_path / "m.npz", mixture, columns=["a", "b"])
    assert jaxgmm.load(tmp_path / "m.npz").columns == ("a", "b")
    plot = pytest.importorskip("jaxgmm.plot")
    from matplotlib.figure import Figure

    ax = plot.classification(mixture, X, ax=Figure().subplots())
    assert (ax.get_xlabel(), ax.get_ylabel()) == NAMES


def test_pictures_take_a_selection(selection):
    plot = pytest.importorskip("jaxgmm.plot")
    from matplotlib.figure import Figure

    for draw in (plot.classification, plot.responsibilities, plot.uncertainty, plot.density):
        assert draw(selection, FRAME[["width", "length"]], ax=Figure().subplots()).get_xlabel() == "length"
    assert plot.restarts(selection, ax=Figure().subplots()).get_ylabel() == "final log-likelihood"


def test_nothing_is_warned_of_by_looking(selection):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        str(selection), repr(selection), selection._repr_html_()
    assert K == 3
