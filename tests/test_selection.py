"""The grid K x family: a padded fit is the unpadded one, the table is plain, the best is the best."""

import jax
import numpy as np
import oracles
import pytest
from families import BY_NAME, DTYPES, ROUTED, WEIGHTS, K, assert_mixtures_close, read

import jaxgmm
from jaxgmm.selection import FEW_ROWS, _groups

FULL = BY_NAME["full"]
COLUMNS = ["family", "n_components", "log_likelihood", "n_parameters", "bic", "aic", "icl", "status"]
SIZES = [2, 4]


@ROUTED
def test_a_padded_fit_is_the_unpadded_one(case):
    x = case.data()
    options = {"prior": case.prior, "n_init": 2, "max_iter": 30, "tol": 0}
    selection = jaxgmm.select(3, x, SIZES, families=(case.family,), **options)
    assert [result.mixture.weights.shape for result in selection.results] == [(k,) for k in SIZES]  # never padded
    result, alone = selection.results[0], jaxgmm.fit(3, x, SIZES[0], family=case.family, **options)
    np.testing.assert_allclose(selection.table[0]["log_likelihood"], alone.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(result.restarts, alone.restarts, rtol=1e-6)
    assert np.isfinite(np.asarray(result.mixture.log_weights)).all()
    assert_mixtures_close(result.mixture, alone.mixture, case.params, np.float64, loosen=1e5)


GRIDS = [1], [1, 2], [3, 3, 7], range(1, 21), range(1, 101), [2**i for i in range(12)]


@pytest.mark.parametrize("ks", GRIDS, ids=str)
def test_many_rows_share_programs_and_waste_less_than_a_third(ks):
    groups = _groups(list(ks), FEW_ROWS)
    assert sorted(k for group in groups for k in group) == sorted(set(ks))
    padded = sum(len(group) * max(group) for group in groups)
    assert padded - sum(set(ks)) < padded / 3
    assert len(groups) <= 2 or max(ks) > 100


def test_few_rows_share_one_program():
    assert _groups([3, 1, 20], FEW_ROWS - 1) == [[3, 1, 20]]


@pytest.fixture(scope="module")
def selection():
    return jaxgmm.select(0, FULL.data(), [3, 1], families=("diag", "full"), n_init=2)


def test_table_is_plain_values_in_grid_order(selection):
    assert [list(row) for row in selection.table] == [COLUMNS] * 4
    assert [(row["family"], row["n_components"]) for row in selection.table] == [
        ("diag", 3), ("diag", 1), ("full", 3), ("full", 1)]  # fmt: skip
    kinds = dict.fromkeys(("bic", "aic", "icl", "log_likelihood"), float) | {"family": str, "n_components": int}
    for row, result in zip(selection.table, selection.results, strict=True):
        assert all(type(row[column]) is kind for column, kind in kinds.items())
        assert type(row["n_parameters"]) is int and row["status"] == result.status.name
        assert result.log_likelihood == row["log_likelihood"]
        assert result.mixture.family.name == row["family"]


def test_criteria_of_the_table_are_the_formulas(selection):
    for row, result in zip(selection.table, selection.results, strict=True):
        expected = oracles.criteria(row["family"], *read(result.mixture, FULL.params), FULL.data())
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-9, atol=1e-9)


def test_best_has_the_lowest_criterion(selection):
    lowest = min(range(4), key=lambda i: selection.table[i]["bic"])
    assert selection.best.log_likelihood == selection.results[lowest].log_likelihood
    assert selection.best.mixture.family.name == selection.table[lowest]["family"]


@pytest.mark.parametrize("criterion", ["aic", "icl"])
def test_criterion_decides_the_best(criterion):
    chosen = jaxgmm.select(0, FULL.data(), [3, 1], families=("diag", "full"), n_init=2, criterion=criterion)
    lowest = min(chosen.table, key=lambda row: row[criterion])
    assert chosen.best.log_likelihood == lowest["log_likelihood"]


@ROUTED
@DTYPES
def test_criteria_are_the_formulas(case, dtype):
    x, w = case.data(dtype), np.random.default_rng(1).integers(1, 5, 120).astype(dtype)
    expected = oracles.criteria(case.name, WEIGHTS, case.params, x, w, case.n_categories)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(jaxgmm, name)(case.mixture(dtype), x, w), value, **oracles.tolerance(dtype))


def test_degenerate_rows_rank_last_and_are_marked():
    spike = np.concatenate([np.full((30, 1), 9.0), np.random.default_rng(0).normal(size=(60, 1))])
    selection = jaxgmm.select(0, spike, [1, 2], families=("full",), n_init=3)
    one, two = selection.table
    assert two["status"] == "DEGENERATE" and two["bic"] < one["bic"]
    assert selection.best.mixture.weights.shape == (1,) and selection.best.converged


def test_select_warns_when_its_best_is_degenerate():
    spikes = np.repeat([[0.0], [9.0]], 30, axis=0)
    with pytest.warns(jaxgmm.FitWarning):
        selection = jaxgmm.select(0, spikes, [2], families=("full",), n_init=2)
    assert selection.best.status is jaxgmm.Status.DEGENERATE


def test_select_warns_when_iterations_run_out():
    with pytest.warns(jaxgmm.FitWarning, match="max_iter"):
        jaxgmm.select(0, FULL.data(), [K], families=("full",), n_init=2, max_iter=1, tol=1e-9)


def test_select_warns_when_weights_are_no_frequencies():
    x = FULL.data()
    shares = np.full(len(x), 1 / len(x))
    with pytest.warns(jaxgmm.FitWarning, match="weight"):
        jaxgmm.select(0, x, [2], families=("diag",), n_init=2, sample_weight=shares, tol=0, max_iter=3)


FEW = np.random.default_rng(0).normal(size=(8, 2))
PADDED = {"sample_weight": np.r_[np.ones(8), np.zeros(5)]}


@pytest.mark.parametrize(
    ("x", "options"), [(FEW, {}), (np.r_[FEW, FEW[:5]], PADDED), (jaxgmm.rows(FEW, block_size=3), {})],
    ids=["rows", "rows of weight", "stream"])  # fmt: skip
def test_a_sweep_leaves_out_what_the_rows_do_not_allow_and_says_so_once(x, options):
    options = {"families": ["diag"], "n_init": 1, "tol": 0, "max_iter": 2, **options}
    with pytest.warns(jaxgmm.FitWarning, match="n_components=9, 10 left out: 8 rows") as said:
        selection = jaxgmm.select(0, x, [2, 9, 8, 10], **options)
    assert len(said) == 1 and [row["n_components"] for row in selection.table] == [2, 8]
    with pytest.raises(ValueError, match=r"n_components=9 .*8"):
        jaxgmm.select(0, x, [10, 9], **options)


def test_select_takes_any_iterable_and_key():
    x = FULL.data()
    options = {"families": ["diag"], "n_init": 2, "tol": 0, "max_iter": 5}
    by_range = jaxgmm.select(7, x, range(1, 3), **options)
    by_generator = jaxgmm.select(jax.random.key(7), x, (k for k in (1, 2)), **options)
    for row, other in zip(by_range.table, by_generator.table, strict=True):
        np.testing.assert_allclose(row["bic"], other["bic"], rtol=1e-12)


@DTYPES
def test_select_keeps_the_dtype(dtype):
    selection = jaxgmm.select(0, FULL.data(dtype), [1, 2], families=("tied",), n_init=2)
    assert {result.mixture.weights.dtype for result in selection.results} == {np.dtype(dtype)}


def test_weighted_rows_select_like_repeated_rows():
    x = FULL.data()[:60]
    w = np.where(np.arange(60) < 20, 3.0, 1.0)
    repeated = np.repeat(x, w.astype(int), axis=0)
    options = {"families": ("diag",), "n_init": 4, "tol": 1e-9, "prior": jaxgmm.GaussianPrior()}
    a = jaxgmm.select(0, x, [1, 2], sample_weight=w, **options)
    b = jaxgmm.select(0, repeated, [1, 2], **options)
    for row, other in zip(a.table, b.table, strict=True):
        np.testing.assert_allclose(row["bic"], other["bic"], rtol=1e-6)


def test_a_sweep_over_many_rows_is_that_of_single_fits_in_the_order_asked():
    """With many rows the K of a family run in several programs, each padded to less than twice its smallest K."""
    rng = np.random.default_rng(0)
    x = (6 * rng.integers(3, size=(12_000, 1)) + rng.normal(size=(12_000, 1))).astype(np.float32)
    ks = [3, 1, 2]
    selection = jaxgmm.select(0, x, ks, families=("diag",), n_init=2)
    assert [row["n_components"] for row in selection.table] == ks
    for row, k in zip(selection.table, ks, strict=True):
        alone = jaxgmm.fit(0, x, k, family="diag", n_init=2)
        np.testing.assert_allclose(row["log_likelihood"], alone.log_likelihood, rtol=1e-5)
