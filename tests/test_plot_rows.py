"""Pictures of rows know their weights and the grid that they were rounded to, and say what they show."""

import matplotlib
import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure

import jaxgmm
from jaxgmm import plot
from jaxgmm.plot import points

matplotlib.use("Agg")
RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(size=(40, 2)), RNG.normal(size=(30, 2)) * 0.5 + 6])
WEIGHT = RNG.integers(0, 4, len(X)).astype(float)
REPEATED = np.repeat(X, WEIGHT.astype(int), axis=0)
PLANE = jaxgmm.mixture("diag", weights=[0.6, 0.4], means=[[0, 0], [6, 6]], covariances=[[1, 1], [0.25, 0.25]])
LINE = jaxgmm.mixture("diag", weights=[0.6, 0.4], means=[[0.0], [6.0]], covariances=[[1.0], [0.25]])
IN_THE_PLANE = [plot.classification, plot.responsibilities, plot.uncertainty, plot.density]


@pytest.fixture
def ax():
    return Figure().subplots()


def called(ax, name):
    found = ax.findobj(lambda artist: str(artist.get_gid() or "").startswith(name))
    return sorted(found, key=ax.get_children().index)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def bars(ax):
    """Heights and edges of the rows' bars."""
    [steps] = called(ax, "rows")
    heights, edges, _ = steps.get_data()
    return heights, edges


def by_place(ax):
    """Areas of the points of a picture, by their places."""
    every = [(tuple(place), area) for each in called(ax, "rows")
             for place, area in zip(each.get_offsets(), np.broadcast_to(each.get_sizes(), len(each.get_offsets())),
                                    strict=True)]  # fmt: skip
    return dict(every)


# Weights


def test_a_row_of_weight_three_is_three_rows_in_bars():
    weighted, repeated = Figure().subplots(), Figure().subplots()
    plot.histogram(LINE, X[:, :1], sample_weight=WEIGHT, ax=weighted)
    plot.histogram(LINE, REPEATED[:, :1], ax=repeated)
    (heights, edges), theirs = bars(weighted), bars(repeated)
    oracle = np.histogram(REPEATED[:, 0], bins=edges, density=True)[0]
    np.testing.assert_allclose(heights, oracle, rtol=1e-12)
    kept = np.histogram(REPEATED[:, 0], bins=theirs[1], density=True)[0]
    np.testing.assert_allclose(theirs[0], kept, rtol=1e-12)
    assert f"{(WEIGHT > 0).sum()} rows of weight {WEIGHT.sum():g}" in legend(weighted)
    assert legend(repeated)[0] == f"{len(REPEATED)} rows"
    rug = called(weighted, "rug")[0].get_xdata()
    assert set(rug) == set(X[WEIGHT > 0, 0])


def test_weights_count_in_bars_of_integers(ax):
    counts = np.arange(4.0)[:, None]
    mixture = jaxgmm.mixture("poisson", weights=[1.0], rates=[[1.0]])
    plot.histogram(mixture, counts, sample_weight=[5, 3, 0, 2], ax=ax)
    np.testing.assert_allclose([bar.get_height() for bar in called(ax, "rows")], [0.5, 0.3, 0, 0.2])


@pytest.mark.parametrize("draw", IN_THE_PLANE)
def test_areas_grow_with_weights_and_rows_without_are_not_drawn(draw):
    even, weighted = Figure().subplots(), Figure().subplots()
    draw(PLANE, X, ax=even)
    draw(PLANE, X, sample_weight=WEIGHT, ax=weighted)
    alike, areas = by_place(even), by_place(weighted)
    assert len(alike) == len(X)
    assert set(areas) == {tuple(row) for row, weight in zip(X, WEIGHT, strict=True) if weight > 0}
    share = {tuple(row): weight for row, weight in zip(X, WEIGHT, strict=True)}
    ratios = np.array([areas[place] / alike[place] / share[place] for place in areas])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


@pytest.mark.parametrize("draw", IN_THE_PLANE[:3])
def test_cells_count_by_weight(draw, ax, monkeypatch):
    monkeypatch.setattr(points, "MOST_POINTS", 10)
    draw(PLANE, X, sample_weight=WEIGHT, ax=ax)
    [image] = called(ax, "rows")
    alpha, kept = image.get_array()[..., 3], X[WEIGHT > 0]
    low, wide = kept.min(0), np.ptp(kept, axis=0)
    column, row = np.minimum((kept - low) / wide * points.CELLS, points.CELLS - 1).astype(int).T
    counts = np.zeros_like(alpha)
    np.add.at(counts, (row, column), WEIGHT[WEIGHT > 0])
    assert ((alpha > 0) == (counts > 0)).all()
    order = np.argsort(counts[counts > 0], kind="stable")
    assert (np.diff(alpha[counts > 0][order]) >= 0).all() and alpha.max() == 1


def test_bars_on_the_diagonal_count_by_weight():
    x = np.column_stack([X, X[:, 0] + X[:, 1]])
    mixture = jaxgmm.mixture("diag", weights=[1.0], means=[[2, 2, 4]], covariances=[[9, 9, 30]])
    cells = plot.classification(mixture, x, sample_weight=WEIGHT, ax=Figure().subplots(3, 3))
    heights, edges = bars(cells[2, 2])
    repeated = np.repeat(x[:, 2], WEIGHT.astype(int))
    np.testing.assert_allclose(heights, np.histogram(repeated, bins=edges, density=True)[0], rtol=1e-12)


@pytest.mark.parametrize("draw", IN_THE_PLANE)
def test_wrong_weights_are_refused(draw, ax):
    for wrong, words in ((WEIGHT[:3], "one weight a row of x"), (-WEIGHT, ">= 0"), (0 * WEIGHT, "all zero")):
        with pytest.raises(ValueError, match=words):
            draw(PLANE, X, sample_weight=wrong, ax=ax)


def test_the_command_line_passes_weights_on(tmp_path, monkeypatch):
    from jaxgmm.cli import figure, main

    seen = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *args, **options: seen.append(self))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    np.savetxt(tmp_path / "x.csv", np.column_stack([X[:, 0], WEIGHT]), delimiter=",", header="a,w", comments="")
    argv = ["fit", str(tmp_path / "x.csv"), "--weights", "w", "--components", "2", "--family", "diag"]
    assert main([*argv, "--plot", str(tmp_path / "out.png")]) == 0
    heights, edges = bars(seen[0].axes[0])
    np.testing.assert_allclose(heights, np.histogram(REPEATED[:, 0], bins=edges, density=True)[0], rtol=1e-9)


# Grids


@pytest.mark.parametrize("step, begin", [(1.0, 0.0), (0.1, -3.0), (0.25, 7.0), (100.0, 1e6)])
@pytest.mark.parametrize("n", [60, 61, 200])
def test_equally_frequent_rounded_values_have_bars_of_one_height(step, begin, n, ax):
    values = np.repeat(begin + step * np.arange(n), 5)[:, None]
    plot.histogram(jaxgmm.fit(0, values, 1), values, ax=ax)
    heights, edges = bars(ax)
    assert 5 < len(heights) <= 150 and edges[0] < values.min() and edges[-1] > values.max()
    np.testing.assert_allclose(heights[:-1], heights[0], rtol=1e-6)  # the last may lie half beyond the values
    np.testing.assert_allclose(np.sum(heights * np.diff(edges)), 1, rtol=1e-9)


def test_values_of_no_grid_have_bars_from_end_to_end(ax):
    plot.histogram(LINE, X[:, :1], ax=ax)
    _, edges = bars(ax)
    np.testing.assert_allclose([edges[0], edges[-1]], [X[:, 0].min(), X[:, 0].max()])


def test_a_column_of_zeros_and_ones_has_two_bars():
    x = np.column_stack([RNG.integers(0, 2, 50), RNG.normal(size=(50, 2))]).astype(float)
    mixture = jaxgmm.mixture("diag", weights=[1.0], means=[[0.5, 0, 0]], covariances=[[0.25, 1, 1]])
    heights, edges = bars(plot.classification(mixture, x, ax=Figure().subplots(3, 3))[0, 0])
    np.testing.assert_array_equal(edges, [-0.5, 0.5, 1.5])
    np.testing.assert_allclose(heights, [np.mean(x[:, 0] == 0), np.mean(x[:, 0] == 1)])


COUNTS = {
    "bernoulli": ({"probs": np.array([[0.1, 0.5, 1.0], [0.8, 0.3, 0.0]])}, 2,
                  lambda params, k, j, at: np.where(at == 1, params["probs"][k, j], 1 - params["probs"][k, j])),
    "categorical": ({"probs": np.array([[[0.2, 0.8, 0], [0.1, 0.3, 0.6], [1, 0, 0]], [[0.5] * 2 + [0], [0, 0, 1],
                                                                                      [0.2, 0.3, 0.5]]])}, 3,
                    lambda params, k, j, at: params["probs"][k, j][at.astype(int)]),
    "poisson": ({"rates": np.array([[0.5, 30.0, 4.0], [9.0, 2.0, 4.0]])}, None,
                lambda params, k, j, at: scipy.stats.poisson.pmf(at, params["rates"][k, j])),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_counts_have_their_fitted_probabilities_beside(name):
    params, most, pmf = COUNTS[name]
    mixture = jaxgmm.mixture(name, weights=[0.7, 0.3], **params)
    x = np.asarray(jaxgmm.sample(0, mixture, 200)[0])
    cells = plot.classification(mixture, x, ax=Figure().subplots(3, 3))
    for j in range(3):
        drawn = called(cells[j, j], "rows")
        at = np.array([bar.get_x() + bar.get_width() / 2 for bar in drawn])
        shares = [bar.get_height() for bar in drawn]
        np.testing.assert_allclose(shares, [np.mean(x[:, j] == value) for value in at.round()], atol=1e-12)
        for k, weight in enumerate((0.7, 0.3)):
            values, heights = called(cells[j, j], f"component {k}")[0].get_data()
            assert set(at.round()) >= set(values) and (most is None or set(values) <= set(range(most)))
            np.testing.assert_allclose(heights, weight * pmf(params, k, j, np.asarray(values)), rtol=1e-6, atol=1e-9)


# What is shown


def test_a_grid_says_how_many_features_it_shows():
    mixture = jaxgmm.mixture("spherical", weights=[1.0], means=np.zeros((1, 8)), covariances=[1.0])
    cells = plot.classification(mixture, RNG.normal(size=(20, 8)), ax=Figure().subplots(6, 6))
    assert called(cells[0, 1], "shown")[0].get_text() == "6 of 8 features"
    assert not called(plot.classification(PLANE, X, ax=Figure().subplots()), "shown")


def test_a_rug_of_some_rows_says_so(ax):
    x = RNG.normal(size=(2000, 1))
    plot.histogram(LINE, x, ax=ax)
    assert "500 of the rows" in legend(ax) and "2,000 rows" in legend(ax)
    rug = called(ax, "rug")[0].get_xdata()
    assert set(rug) <= set(x[:, 0])
    np.testing.assert_allclose(np.searchsorted(np.sort(x[:, 0]), np.sort(rug)), 4 * np.arange(500) + 2, atol=1)


def test_legends_say_what_ellipses_hold(ax):
    plot.classification(PLANE, X, ax=ax)
    assert legend(ax) == ["mean of a component", "holds 50 % of it", "holds 90 % of it"]
    counts = jaxgmm.mixture("poisson", weights=[1.0], rates=[[1.0, 2.0]])
    assert legend(plot.classification(counts, np.ones((3, 2)), ax=Figure().subplots())) == ["mean of a component"]


# Fits


def selection_of(values, degenerate=(), spread=0.0):
    table, results = [], []
    for family, row in values.items():
        kind = jaxgmm.mixture(
            family, weights=[1.0], means=[[0.0]], covariances={"diag": [[1.0]]}.get(family, [[[1.0]]])
        )
        for k, value in enumerate(row, 1):
            status = jaxgmm.Status.DEGENERATE if (family, k) in degenerate else jaxgmm.Status.CONVERGED
            ends = np.array([-value / 2, -value / 2 - spread, -value / 2 - spread])
            results.append(jaxgmm.FitResult(kind, -value / 2, 1, status, ends))
            table.append({"family": family, "n_components": k, "bic": float(value), "status": status.name})
    sound = [i for i, result in enumerate(results) if result.status == 0]
    return jaxgmm.Selection(results[min(sound, key=lambda i: table[i]["bic"])], table, results, "bic")


def test_every_fit_of_the_winning_family_is_in_view_and_what_leaves_is_marked(ax):
    values = {"full": [900, 30, 20, 25, -5000], "diag": [1e6, 1e6, 950, 55, 56]}
    plot.selection(selection_of(values, degenerate={("full", 5)}), ax=ax)
    bottom, top = ax.get_ylim()
    assert bottom < 20 and top > 900 and top < 2000 and bottom > -1000
    above = [(mark.get_xdata()[0], mark.get_marker()) for mark in called(ax, "beyond")]
    assert [(round(x), marker) for x, marker in above] == [(1, "^"), (2, "^"), (5, "v")]
    assert {"above the view", "below the view"} <= set(legend(ax))


def test_marks_of_what_leaves_the_view_follow_it(ax):
    plot.selection(selection_of({"full": [900, 30, 20, 25], "diag": [950, 940, 55, 56]}), ax=ax)
    assert not called(ax, "beyond") and "above the view" not in legend(ax)
    ax.set_ylim(24, 60)
    marks = [(round(mark.get_xdata()[0]), mark.get_marker()) for mark in called(ax, "beyond")]
    assert marks == [(1, "^"), (1, "^"), (2, "^"), (3, "v")]
    assert {"above the view", "below the view"} <= set(legend(ax))
    ax.set_ylim(0, 1000)
    assert not called(ax, "beyond") and "above the view" not in legend(ax)


def test_the_band_is_explained_where_there_is_one():
    assert "up to the median start" in legend(plot.selection(selection_of({"full": [9, 5]}, spread=2.0),
                                                             ax=Figure().subplots()))  # fmt: skip
    assert "up to the median start" not in legend(plot.selection(selection_of({"full": [9, 5]}),
                                                                 ax=Figure().subplots()))  # fmt: skip


def test_starts_that_are_equal_look_equal(ax):
    ends = -1000 + np.array([0, -1e-9, -2e-9, -1e-4])
    plot.restarts(jaxgmm.FitResult(PLANE, -1000.0, 1, jaxgmm.Status.CONVERGED, ends), ax=ax)
    bottom, top = ax.get_ylim()
    assert top - bottom > 0.1 and bottom < -1000 < top


def test_starts_left_behind_look_like_that(ax):
    ends, statuses = np.array([-10.0, -10.0, -30.0, -20.0]), np.array([0, 0, 0, 6])
    plot.restarts(jaxgmm.FitResult(PLANE, -10.0, 1, jaxgmm.Status.CONVERGED, ends, statuses), ax=ax)
    assert legend(ax) == ["2 of 4 starts reach the best", "1 below", "1 left behind by the search"]
    np.testing.assert_array_equal(np.concatenate([each.get_offsets() for each in ax.collections]),
                                  [[1, -10], [2, -10], [4, -30], [3, -20]])  # fmt: skip
