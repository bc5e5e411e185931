"""Pictures say what the mixture says: held to the numbers that are drawn, not to pixels."""

import dataclasses
import subprocess
import sys
import types

import matplotlib
import numpy as np
import oracles
import pandas as pd
import polars as pl
import pytest
import scipy.stats
from families import BY_NAME, DTYPES, GAUSSIANS, ROUTED, WEIGHTS, K
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import jaxgmm
from jaxgmm import plot
from jaxgmm.plot import palette, points

matplotlib.use("Agg")
FULL = BY_NAME["full"]
PLANE = FULL.mixture(means=FULL.params["means"][:, :2], covariances=FULL.params["covariances"][:, :2, :2])
X = FULL.data()[:, :2]
IN_THE_PLANE = [plot.classification, plot.responsibilities, plot.uncertainty]


@pytest.fixture(autouse=True)
def pyplot():
    """pyplot as it was found: what a test opens it closes."""
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
    before = matplotlib.rcParams.copy()
    yield plt
    assert matplotlib.rcParams == before
    plt.close("all")


@pytest.fixture
def ax():
    return Figure().subplots()


def called(ax, name):
    """Artists of a name, in the order they were drawn."""
    found = ax.findobj(lambda artist: str(artist.get_gid() or "").startswith(name))
    return sorted(found, key=ax.get_children().index)


def one(ax, name):
    (artist,) = called(ax, name)
    return artist


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def close(actual, expected, dtype=np.float64):
    np.testing.assert_allclose(actual, expected, **oracles.tolerance(dtype))


def fit_result(mixture, log_likelihood=0.0, restarts=(0.0,), status=jaxgmm.Status.CONVERGED):
    return jaxgmm.FitResult(mixture, log_likelihood, 1, status, np.array(restarts))


def a_selection(values, statuses=None, spread=0.0, criterion="bic"):
    """A selection by hand: one family after another, K = 1, 2, ...; the best is the lowest that is sound."""
    table, results = [], []
    for family, row in values.items():
        for i, value in enumerate(row):
            status = jaxgmm.Status((statuses or {}).get((family, i + 1), 0))
            results.append(fit_result(PLANE, -value / 2, (-value / 2, -value / 2 - spread, np.nan), status))
            table.append({"family": family, "n_components": i + 1, criterion: float(value), "status": status.name})
    sound = [i for i in range(len(table)) if results[i].status < 2] or range(len(table))
    return jaxgmm.Selection(results[min(sound, key=lambda i: table[i][criterion])], table, results, criterion)


# What is common to all pictures


def test_the_core_needs_no_matplotlib():
    script = "import sys, jaxgmm; assert not [name for name in sys.modules if name.startswith('matplotlib')]"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_missing_matplotlib_is_named_with_what_to_install():
    script = "import sys; sys.modules['matplotlib'] = None; import jaxgmm.plot"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert "pip install matplotlib" in done.stderr


HISTORY = [types.SimpleNamespace(iteration=i, log_likelihood=value) for i, value in enumerate([-9.0, -4.0, -5.0, -3.0])]
LINE = jaxgmm.mixture("full", weights=WEIGHTS, means=[[0.0], [5.0], [9.0]], covariances=[[[1.0]], [[0.5]], [[2.0]]])
INDICES = np.array([[1, 1, 1], [0.9, 0.2, 0.4], [0, 0.5, 1]])
SEARCH = types.SimpleNamespace(stability_={"n_components": np.array([1, 2, 4]), "adjusted_rand": INDICES})
ONE_START = types.SimpleNamespace(stability_={"n_components": [2], "adjusted_rand": np.ones((1, 0))})
EVERY = {
    "selection": lambda ax: plot.selection(a_selection({"full": [5, 3, 4]}), ax=ax),
    "trace": lambda ax: plot.trace(HISTORY, ax=ax),
    "restarts": lambda ax: plot.restarts(fit_result(PLANE), ax=ax),
    "stability": lambda ax: plot.stability(SEARCH, ax=ax),
    "classification": lambda ax: plot.classification(PLANE, X, ax=ax),
    "responsibilities": lambda ax: plot.responsibilities(PLANE, X, ax=ax),
    "uncertainty": lambda ax: plot.uncertainty(PLANE, X, ax=ax),
    "density": lambda ax: plot.density(PLANE, X, ax=ax),
    "histogram": lambda ax: plot.histogram(LINE, X[:, :1], ax=ax),
}


def test_every_picture_is_tried_here():
    assert set(EVERY) == set(plot.__all__)


@pytest.mark.parametrize("name", EVERY)
def test_axes_given_are_axes_returned_and_no_figure_is_opened(name, ax, pyplot):
    assert EVERY[name](ax) is ax
    assert pyplot.get_fignums() == []
    ax.figure.canvas.draw()
    assert ax.get_xlabel() and ax.get_ylabel()


@pytest.mark.parametrize("name", EVERY)
def test_without_axes_one_figure_is_opened(name, pyplot):
    drawn = EVERY[name](None)
    assert [drawn.figure] == [pyplot.figure(number) for number in pyplot.get_fignums()]


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_axes_is_refused(name):
    with pytest.raises(ValueError, match="ax must be"):
        EVERY[name]("here")


@pytest.mark.parametrize("wrap", [
    lambda mixture: mixture,
    fit_result,
    lambda mixture: types.SimpleNamespace(mixture_=mixture),
], ids=["mixture", "result", "estimator"])  # fmt: skip
def test_whatever_holds_a_mixture_is_drawn_alike(wrap, ax):
    plot.classification(wrap(PLANE), X, ax=ax)
    close(one(ax, "means").get_offsets(), FULL.params["means"][:, :2])


@pytest.mark.parametrize("draw", [*IN_THE_PLANE, plot.density])
def test_names_come_from_columns_or_from_the_frame(draw, ax):
    for x, columns in (
        (X, ["a", "b"]),
        (pd.DataFrame(X, columns=["a", "b"]), None),
        (pl.DataFrame(X, ["a", "b"]), None),
    ):
        draw(PLANE, x, columns=columns, ax=ax)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")


COUNTS = BY_NAME["poisson"].mixture(rates=np.ones((K, 2)))
OF_MANY = types.SimpleNamespace(iteration=0, log_likelihood=np.zeros(3))
BAD = {
    "one feature": (lambda: plot.classification(LINE, X[:, :1]), "use jaxgmm.plot.histogram"),
    "two features": (lambda: plot.histogram(PLANE, X), "use jaxgmm.plot.classification"),
    "three features": (lambda: plot.density(FULL.mixture(), FULL.data()), "density draws two"),
    "another d": (lambda: plot.classification(PLANE, FULL.data()), "x has 3 features (columns), the mixture has 2"),
    "another d, one": (lambda: plot.histogram(LINE, X), "x has 2 features (columns), the mixture has 1"),
    "one axis": (lambda: plot.histogram(LINE, X[:, 0]), "write x[:, None]"),
    "names": (lambda: plot.density(PLANE, X, columns=["a"]), "columns must name 2 features, got 1 names"),
    "a feature": (lambda: plot.classification(PLANE, X, columns=["a", "b"], features=["a", "c"]), "ones of a, b"),
    "one twice": (lambda: plot.classification(PLANE, X, features=[1, 1]), "two or more different ones"),
    "NaN": (lambda: plot.uncertainty(PLANE, np.where(np.arange(len(X))[:, None] == 7, np.nan, X)), "row 7 is not"),
    "counts": (lambda: plot.density(COUNTS, np.ones((4, 2))), "no density to draw"),
    "no mixture": (lambda: plot.classification(7, X), "which hold one, got int"),
    "no selection": (lambda: plot.selection([]), "must be a jaxgmm.Selection, got list"),
    "no records": (lambda: plot.trace([]), "at least one record"),
    "no history": (lambda: plot.trace(7), "at least one record"),
    "a batch": (lambda: plot.trace([OF_MANY]), "that of one run"),
    "no search": (lambda: plot.stability(PLANE), "a fitted MixtureSearch (.stability_), got Mixture"),
    "one start": (lambda: plot.stability(ONE_START), "n_init of at least 2"),
    "no result": (lambda: plot.restarts(PLANE), "result must be one FitResult"),
    "a grid": (lambda: plot.classification(FULL.mixture(), FULL.data(), ax=Figure().subplots()), "(3, 3) Axes"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_error_and_no_figure(what, pyplot):
    call, words = BAD[what]
    with pytest.raises(ValueError) as raised:
        call()
    assert words in str(raised.value)
    assert pyplot.get_fignums() == []


def test_stability_draws_every_pair_and_their_median(ax):
    plot.stability(SEARCH, ax=ax)
    pairs = next(each for each in ax.collections if each.get_gid() == "pairs")
    np.testing.assert_allclose(pairs.get_offsets()[:, 1], INDICES.ravel())
    median = next(each for each in ax.lines if each.get_label() == "median")
    np.testing.assert_allclose(median.get_xydata(), [[1, 1], [2, 0.4], [4, 0.5]])


def test_a_batch_of_mixtures_is_refused():
    batch = dataclasses.replace(PLANE, log_weights=np.zeros((2, K)))
    with pytest.raises(ValueError, match="draw them one by one"):
        plot.classification(batch, X)


def test_forty_components_have_forty_looks():
    looks = {(tuple(colour), palette.marker(i), palette.line(i)) for i, colour in enumerate(palette.colours(40))}
    assert len(looks) == 40
    assert len({tuple(colour) for colour in palette.colours(18)}) == 18


# Ellipses, means, points


def matrices(case, features):
    whole = oracles.matrices(case.name, case.params, K, case.d)
    return [matrix[np.ix_(features, features)] for matrix in whole]


@pytest.mark.diagonal
@DTYPES
@GAUSSIANS
@pytest.mark.parametrize("features", [[0, 1], [2, 0]], ids=str)
def test_ellipses_hold_half_and_nine_tenths_of_every_component(case, dtype, features, ax):
    plot.classification(case.mixture(dtype), case.data(dtype), features=features, ax=ax)
    for k, (mean, covariance) in enumerate(
        zip(case.params["means"][:, features], matrices(case, features), strict=True)
    ):
        for held in (0.5, 0.9):
            outline = one(ax, f"ellipse {k} {held}").get_xy() - mean
            quantile = scipy.stats.chi2.ppf(held, df=2)
            close(np.einsum("ni,ij,nj->n", outline, np.linalg.inv(covariance), outline), quantile, np.float32)
            axes = np.sqrt(np.linalg.eigvalsh(covariance) * quantile)
            length = np.linalg.norm(outline, axis=1)
            np.testing.assert_allclose([length.min(), length.max()], axes, rtol=1e-3)  # between two corners


def test_ellipses_are_right_whatever_the_units(ax):
    units = np.array([1e-9, 1e9])
    covariances = FULL.params["covariances"][:, :2, :2]
    mixture = FULL.mixture(means=FULL.params["means"][:, :2] * units, covariances=covariances * np.outer(units, units))
    plot.classification(mixture, X * units, ax=ax)
    other = plot.classification(PLANE, X, ax=Figure().subplots())
    for k in range(K):
        close(one(ax, f"ellipse {k} 0.9").get_xy() / units, one(other, f"ellipse {k} 0.9").get_xy())


@pytest.mark.diagonal
@DTYPES
@ROUTED
def test_crosses_are_at_the_means_and_grow_with_the_weights(case, dtype, ax):
    x, features = case.data(dtype), [0, 1]
    plot.classification(case.mixture(dtype), x, features=features, ax=ax)
    crosses = one(ax, "means")
    means = [oracle_mean(case, j)[features] for j in range(K)]
    close(crosses.get_offsets(), means, dtype)
    areas = crosses.get_sizes()
    assert list(np.argsort(areas)) == list(np.argsort(WEIGHTS)) and len(set(areas)) == K
    assert bool(called(ax, "ellipse")) == case.gaussian
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2"]


def oracle_mean(case, j):
    params = {field: case.component(field, j) for field in case.params}
    if case.gaussian:
        return params["means"]
    if case.name == "categorical":
        return params["probs"] @ np.arange(3)
    if case.name == "bernoulli":
        return params["probs"]
    mean = {"poisson": lambda r: r, "exponential": lambda r: 1 / r, "gamma": lambda r: params["concentrations"] / r}
    return mean[case.name](params["rates"])


@DTYPES
def test_points_are_the_rows_in_the_colour_of_their_component(dtype, ax):
    x = X.astype(dtype)
    plot.classification(PLANE, x, ax=ax)
    labels = np.argmax(oracles.log_density("full", params_of_plane(), x) + np.log(WEIGHTS), axis=1)
    drawn = called(ax, "rows")
    assert len(drawn) == K
    for k, dots in enumerate(drawn):
        close(dots.get_offsets(), x[labels == k])
        close(dots.get_facecolors()[0, :3], to_rgb(palette.HUES[k]))


def params_of_plane():
    return {name: np.asarray(getattr(PLANE.components, name)) for name in ("means", "covariances")}


def test_float64_rows_are_judged_in_float64(ax):
    means = np.array([[1e8, 0.0], [1e8 + 2, 0.0]])  # float32 cannot tell them apart
    mixture = jaxgmm.mixture("spherical", weights=[0.5, 0.5], means=means, covariances=[0.01, 0.01])
    plot.classification(mixture, means, ax=ax)
    close(one(ax, "means").get_offsets(), means)
    assert [len(each.get_offsets()) for each in called(ax, "rows")] == [1, 1]


def test_a_dead_component_is_not_drawn(ax):
    mixture = FULL.mixture(weights=[0.5, 0.5, 0.0], means=FULL.params["means"][:, :2],
                           covariances=FULL.params["covariances"][:, :2, :2])  # fmt: skip
    plot.classification(mixture, X, ax=ax)
    assert len(one(ax, "means").get_offsets()) == 2 and not called(ax, "ellipse 2")


def test_integers_are_scattered_so_that_equal_rows_are_seen(ax):
    case = BY_NAME["bernoulli"]
    plot.classification(case.mixture(), case.data(), features=[0, 1], ax=ax)
    points = np.concatenate([each.get_offsets() for each in called(ax, "rows")])
    assert len(np.unique(points, axis=0)) == len(case.data())
    close(np.abs(points - points.round()).max() <= 0.25, True)


@pytest.mark.parametrize("draw", IN_THE_PLANE)
def test_many_rows_are_counted_in_cells(draw, ax, monkeypatch):
    monkeypatch.setattr(points, "MOST_POINTS", 100)
    draw(PLANE, X, ax=ax)
    image = one(ax, "rows")
    alpha = image.get_array()[..., 3]
    column, row = [np.minimum((v - v.min()) / np.ptp(v) * points.CELLS, points.CELLS - 1).astype(int) for v in X.T]
    counts = np.zeros_like(alpha)
    np.add.at(counts, (row, column), 1)
    assert ((alpha > 0) == (counts > 0)).all()
    assert alpha[counts == counts.max()].min() == 1
    close(image.get_extent(), [X[:, 0].min(), X[:, 0].max(), X[:, 1].min(), X[:, 1].max()])


@DTYPES
def test_colours_are_mixed_by_responsibility(dtype, ax):
    x = X.astype(dtype)
    plot.responsibilities(PLANE, x, ax=ax)
    log_joint = oracles.log_density("full", params_of_plane(), x) + np.log(WEIGHTS)
    resp = np.exp(log_joint - scipy.special.logsumexp(log_joint, axis=1, keepdims=True))
    expected = resp @ np.array([to_rgb(hue) for hue in palette.HUES[:K]])
    close(one(ax, "rows").get_facecolors()[:, :3], expected, dtype)


def test_uncertain_rows_are_larger_darker_and_on_top(ax):
    plot.uncertainty(PLANE, X, ax=ax)
    points = one(ax, "rows")
    resp = np.asarray(jaxgmm.responsibilities(PLANE, np.asarray(points.get_offsets())))
    doubt = 1 - resp.max(1)
    assert (np.diff(doubt) >= 0).all()
    assert (np.diff(points.get_sizes()) >= 0).all() and np.ptp(points.get_sizes()) > 5
    assert (np.diff(points.get_facecolors()[:, 0]) <= 0).all()
    assert legend(ax) == ["0", "0.33", "0.67"]


def test_one_component_is_certain(ax):
    single = jaxgmm.mixture("diag", weights=[1.0], means=[[0.0, 0.0]], covariances=[[1.0, 1.0]])
    plot.uncertainty(single, X, ax=ax)
    assert np.ptp(one(ax, "rows").get_sizes()) == 0


# Grids


@pytest.mark.parametrize("draw", IN_THE_PLANE)
def test_three_features_are_a_grid_of_pairs(draw, pyplot):
    x = pd.DataFrame(FULL.data(), columns=["a", "b", "c"])
    cells = draw(FULL.mixture(), x)
    assert cells.shape == (3, 3) and len(pyplot.get_fignums()) == 1
    cells[0, 0].figure.canvas.draw()
    for i in range(3):
        for j in range(3):
            assert cells[i, j].axison == (j <= i)
            if j < i:
                points = np.concatenate([each.get_offsets() for each in called(cells[i, j], "rows")])
                wanted = FULL.data()[:, [j, i]]
                close(points[np.lexsort(points.T)], wanted[np.lexsort(wanted.T)])
                assert cells[i, j].get_ylim() == cells[i, 0].get_ylim()
            if j <= i:
                assert cells[i, j].get_xlim() == cells[2, j].get_xlim()
    assert [cell.get_xlabel() for cell in cells[2]] == ["a", "b", "c"]
    assert [cell.get_ylabel() for cell in cells[:, 0]] == ["", "b", "c"]


@GAUSSIANS
def test_the_diagonal_holds_marginal_densities(case):
    cells = plot.classification(case.mixture(), case.data(), ax=Figure().subplots(3, 3))
    for j in range(3):
        for k, covariance in enumerate(matrices(case, [j])):
            curve = one(cells[j, j], f"component {k}")
            at, height = curve.get_data()
            close(height, WEIGHTS[k] * scipy.stats.norm.pdf(at, case.params["means"][k, j], covariance[0, 0] ** 0.5))


def test_a_grid_given_is_the_grid_returned(pyplot):
    given = Figure().subplots(3, 3)
    drawn = plot.responsibilities(FULL.mixture(), FULL.data(), ax=given)
    assert (drawn == given).all() and pyplot.get_fignums() == []


def test_at_most_six_features_are_drawn_unless_named(pyplot):
    rng = np.random.default_rng(0)
    mixture = jaxgmm.mixture("spherical", weights=[1.0], means=np.zeros((1, 8)), covariances=[1.0])
    x = rng.normal(size=(20, 8))
    assert plot.classification(mixture, x).shape == (6, 6)
    two = plot.classification(mixture, x, features=[7, 1])
    assert (two.get_xlabel(), two.get_ylabel()) == ("feature 7", "feature 1")
    close(one(two, "rows").get_offsets(), x[:, [7, 1]])


# One feature


def feature(case, dtype, j=1):
    """Feature j of a case: a mixture of one feature and its rows."""
    params = {name: np.asarray(value, dtype) for name, value in case.params.items()}
    for name, value in params.items():
        if name == "covariances":
            params[name] = {"full": lambda v: v[:, j:, j:][:, :1, :1], "tied": lambda v: v[j:, j:][:1, :1],
                            "diag": lambda v: v[:, [j]]}.get(case.name, lambda v: v)(value)  # fmt: skip
        elif name in ("volumes", "shape"):
            params[name] = value if name == "volumes" else np.ones(1, dtype)
        else:
            params[name] = value[:, [j]]
    return jaxgmm.mixture(case.name, weights=WEIGHTS, **params), case.data(dtype, n=400)[:, [j]]


@DTYPES
@ROUTED
def test_curves_are_the_components_and_their_total(case, dtype, ax):
    mixture, x = feature(case, dtype)
    plot.histogram(mixture, x, ax=ax)
    at, total = one(ax, "total").get_data()
    params = {name: np.asarray(getattr(mixture.components, name), np.float64) for name in case.params}
    expected = WEIGHTS * np.exp(oracles.log_density(case.name, params, at[:, None]))
    for k in range(K):
        close(one(ax, f"component {k}").get_ydata(), expected[:, k], dtype)
    close(total, expected.sum(1), dtype)
    if case.name in ("bernoulli", "categorical", "poisson"):
        assert (at == np.arange(x.min(), x.max() + 1)).all()
        np.testing.assert_allclose([bar.get_height() for bar in called(ax, "rows")], np.mean(x == at, axis=0))
    elif case.name != "exponential":  # whose density is steepest at the edge of the curve
        np.testing.assert_allclose(np.trapezoid(total, at), 1, atol=5e-3)
    if case.name not in ("bernoulli", "categorical", "poisson"):
        heights, edges, _ = one(ax, "rows").get_data()
        close(np.sum(heights * np.diff(edges)), 1)
        assert set(one(ax, "rug").get_xdata()) <= set(x[:, 0].astype(float))


def test_narrow_components_keep_their_height(ax):
    mixture = jaxgmm.mixture("diag", weights=[0.5, 0.5], means=[[0.0], [1.0]], covariances=[[1.0], [1e-10]])
    plot.histogram(mixture, np.array([[-1.0], [0.0], [1.0], [2.0]]), ax=ax)
    at, height = one(ax, "component 1").get_data()
    np.testing.assert_allclose(np.trapezoid(height, at), 0.5, rtol=1e-3)
    assert ax.get_ylim()[1] < 10  # its spike leaves the picture


def test_integers_beyond_float32_are_integers(ax):
    mixture = jaxgmm.mixture("poisson", weights=[1.0], rates=[[1e9]])
    x = np.random.default_rng(0).poisson(1e9, 500)[:, None]
    plot.histogram(mixture, x, ax=ax)
    at, total = one(ax, "total").get_data()
    close(total, scipy.stats.poisson.pmf(at, 1e9))
    bars = called(ax, "rows")
    assert len(bars) <= 401
    close(sum(bar.get_height() * bar.get_width() / 0.8 for bar in bars), 1)


def test_a_component_far_away_does_not_shrink_the_rows(ax):
    mixture = jaxgmm.mixture("diag", weights=[0.5, 0.5], means=[[0.0], [1e6]], covariances=[[1.0], [1.0]])
    plot.histogram(mixture, np.linspace(-2, 2, 50)[:, None], ax=ax)
    assert np.ptp(ax.get_xlim()) < 20


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_rows_of_one_value_can_be_drawn(value, ax):
    plot.histogram(LINE, np.full((5, 1), value), ax=ax)
    plot.classification(PLANE, np.full((5, 2), value), ax=ax)
    plot.density(PLANE, np.full((5, 2), value), ax=ax)
    ax.figure.canvas.draw()


# Regions of highest density


@DTYPES
@GAUSSIANS
def test_one_component_has_the_ellipses_of_its_quantiles(case, dtype, ax):
    covariance = matrices(case, [0, 1])[1]
    single = jaxgmm.mixture(
        "full", weights=[1.0], means=np.zeros((1, 2), dtype), covariances=covariance[None].astype(dtype)
    )
    plot.density(single, X.astype(dtype), ax=ax)
    contours = next(artist for artist in ax.collections if type(artist).__name__ == "QuadContourSet")
    masses = []
    for path in contours.get_paths():
        squared = np.einsum("ni,ij,nj->n", path.vertices, np.linalg.inv(covariance), path.vertices)
        masses.append(scipy.stats.chi2.cdf(squared, df=2).mean())
    np.testing.assert_allclose(sorted(masses), [0.25, 0.5, 0.75, 0.9], atol=0.015)  # of 16384 draws
    assert legend(ax) == ["25 %", "50 %", "75 %", "90 %"]


# Fits


def test_lines_are_the_criterion_and_break_where_a_fit_failed(ax):
    values = {"full": [9, 5, 1, 4], "diag": [8, 7, 6, 5]}
    status = jaxgmm.Status
    statuses = {("full", 3): status.DEGENERATE, ("diag", 2): status.NON_FINITE, ("diag", 4): status.MAX_ITER}
    plot.selection(a_selection(values, statuses), ax=ax)
    full, diag = (line.get_ydata() for line in ax.get_lines())
    np.testing.assert_array_equal(full, [9, 5, np.nan, 4])
    np.testing.assert_array_equal(diag, [8, np.nan, 6, 5])
    np.testing.assert_array_equal([line.get_xdata() for line in ax.get_lines()], [[1, 2, 3, 4]] * 2)
    np.testing.assert_array_equal(
        np.concatenate([marks.get_offsets() for marks in called(ax, "degenerate")]), [[3, 1], [2, 7]]
    )
    assert legend(ax) == ["full", "diag", "degenerate or failed", "best: full, K = 4"]


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_ring_is_at_the_best(criterion, ax):
    plot.selection(a_selection({"full": [9, 5, 6], "diag": [8, 2, 6]}, criterion=criterion), ax=ax)
    np.testing.assert_array_equal(one(ax, "best").get_offsets(), [[2, 2]])
    assert criterion.upper() in ax.get_ylabel()


def test_if_all_fits_are_degenerate_the_ring_is_still_drawn(ax):
    statuses = {("full", k): jaxgmm.Status.DEGENERATE for k in (1, 2)}
    plot.selection(a_selection({"full": [9, 5]}, statuses), ax=ax)
    np.testing.assert_array_equal(one(ax, "best").get_offsets(), [[2, 5]])


def test_the_band_reaches_to_the_median_start(ax):
    plot.selection(a_selection({"full": [9, 5, 6]}, spread=3.0), ax=ax)
    edge = one(ax, "restarts full").get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(edge[:, 1])), [5, 6, 8, 9, 12])  # halves of 6 nats of the criterion above


def test_fits_far_worse_leave_the_picture(ax):
    plot.selection(a_selection({"full": [90, 30, 20, 25, 26], "diag": [1e6, 60, 50, 55, 56]}), ax=ax)
    assert 90 < ax.get_ylim()[1] < 200


def test_a_selection_of_real_fits_is_drawn(ax):
    selection = jaxgmm.select(0, FULL.data(), [3, 1], families=("diag", "full"), n_init=2)
    plot.selection(selection, ax=ax)
    for line in ax.get_lines():
        rows = {row["n_components"]: row["bic"] for row in selection.table if row["family"] == line.get_label()}
        assert list(line.get_xdata()) == [1, 3]
        close(line.get_ydata(), [rows[1], rows[3]])


@pytest.mark.parametrize(
    "wrap", [list, lambda records: types.SimpleNamespace(records=records)], ids=["list", "history"]
)
def test_a_trace_falls_in_red(wrap, ax):
    plot.trace(wrap(HISTORY), ax=ax)
    line, fall = ax.get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[0, -9], [1, -4], [2, -5], [3, -3]])
    np.testing.assert_array_equal(fall.get_xydata(), [[1, -4], [2, -5]])
    red, green, blue = to_rgb(fall.get_color())
    assert red > 0.7 > 0.1 > max(green, blue)
    assert "falls: 1" in legend(ax)


@DTYPES
def test_rounding_is_no_fall(dtype, ax):
    values = np.array([-100, -50, -50 * (1 + np.finfo(dtype).eps)], dtype)
    plot.trace([types.SimpleNamespace(iteration=i, log_likelihood=value) for i, value in enumerate(values)], ax=ax)
    assert len(ax.get_lines()) == 1 and ax.get_legend() is None


def test_starts_are_sorted_and_counted(ax):
    result = fit_result(PLANE, -10.0, (-12.0, -10.0, np.nan, -5.0, -10.00001, -np.inf))
    plot.restarts(result, ax=ax)
    drawn = np.concatenate([points.get_offsets() for points in ax.collections])
    np.testing.assert_array_equal(drawn[np.argsort(drawn[:, 0])], [[1, -5], [2, -10], [3, -10.00001], [4, -12]])
    assert legend(ax) == [
        "1 above, passed over as degenerate",
        "2 of 6 starts reach the best",
        "1 below",
        "2 not finite",
    ]


def test_starts_that_all_failed_are_counted(ax):
    plot.restarts(fit_result(PLANE, np.nan, (np.nan, np.nan)), ax=ax)
    assert legend(ax) == ["2 not finite"]
    ax.figure.canvas.draw()
