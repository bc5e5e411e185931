"""One seed is one fit by every door, and each door has the defaults that `docs/choosing.md` says."""

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import sklearn.mixture

import jaxgmm
import jaxgmm.anndata
import jaxgmm.sklearn
from jaxgmm.cli import answers, main, options, sweep

DOCS = Path(__file__).parents[1] / "docs"
K, SEED = 4, 7


def rows():
    """Four clusters that overlap, so that starts end in different places."""
    rng = np.random.default_rng(5)
    return rng.normal(size=(400, 2)) + np.repeat([[0, 0], [2.5, 0], [0, 2.5], [2.5, 2.5]], 100, axis=0)


def same(mixture, other, **bounds):
    for a, b in zip(jax.tree.leaves(mixture), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 0, "atol": 0} | bounds)


@pytest.fixture(scope="module", params=["full", "tied"])
def fitted(request):
    return jaxgmm.fit(SEED, rows(), K, family=request.param, n_init=10)


def test_starts_matter_here(fitted):
    assert np.ptp(fitted.restarts) > 0.1  # else any seed would give the same


def test_select_with_one_cell_is_fit(fitted):
    best = jaxgmm.select(SEED, rows(), K, families=fitted.mixture.family.name).best
    same(best, fitted)


def test_a_cell_of_a_grid_is_fit(fitted):
    family = fitted.mixture.family.name
    grid = jaxgmm.select(SEED, rows(), [2, K, 5], families=["diag", family])
    same(grid[family, K].mixture, fitted.mixture, rtol=1e-9, atol=1e-12)


def test_fit_many_is_fit(fitted):
    found = jaxgmm.fit_many(SEED, rows()[None], K, family=fitted.mixture.family.name, n_init=10)
    same(jax.tree.map(lambda leaf: leaf[0], found.mixture), fitted.mixture, rtol=1e-9, atol=1e-12)


def test_the_command_line_is_fit(fitted, tmp_path, capsys):
    np.savetxt(tmp_path / "rows.csv", rows(), delimiter=",", header="a,b", comments="", fmt="%.17g")
    model = tmp_path / "model.npz"
    chosen = ["--components", str(K), "--family", fitted.mixture.family.name, "--seed", str(SEED)]
    assert main(["fit", str(tmp_path / "rows.csv"), *chosen, "--output", str(model)]) == 0
    same(jaxgmm.load(model), fitted.mixture)


def test_anndata_is_fit(fitted):
    cells = SimpleNamespace(obsm={"X_pca": rows()}, obs={}, uns={})
    family = fitted.mixture.family.name
    jaxgmm.anndata.fit(cells, K, families=family, random_state=SEED)
    np.testing.assert_array_equal(cells.uns["gmm"]["means"], fitted.mixture.components.means)


def test_an_estimator_of_few_rows_is_scikit_learns():
    x = rows()
    ours = jaxgmm.sklearn.GaussianMixture(K, random_state=SEED, n_init=3).fit(x)
    theirs = sklearn.mixture.GaussianMixture(K, random_state=SEED, n_init=3).fit(x)
    np.testing.assert_allclose(ours.means_, theirs.means_, atol=1e-6)


DOORS = {
    "fit": jaxgmm.fit,
    "fit_many": jaxgmm.fit_many,
    "select": jaxgmm.select,
    "jaxgmm.anndata.fit": jaxgmm.anndata.fit,
    "MixtureSearch": jaxgmm.sklearn.MixtureSearch,
}
ESTIMATORS = [getattr(jaxgmm.sklearn, name) for name in jaxgmm.sklearn.__all__ if name.endswith("Mixture")]


def defaults(door):
    """Starts, tol and max_iter of a call without them; what a door does not take, it leaves to `select`."""
    parameters = dict(inspect.signature(jaxgmm.select).parameters) | dict(inspect.signature(door).parameters)
    return tuple(parameters[name].default for name in ("n_init", "tol", "max_iter"))


def defaults_of_the_command_line():
    commands = sweep.fit, answers.predict, answers.score, answers.sample, answers.info
    given = options.parser(*commands).parse_args(["fit", "rows.csv"])
    return given.restarts, given.tol, given.max_iter


def test_the_table_of_defaults_is_true():
    text = (DOCS / "choosing.md").read_text()
    lines = re.findall(r"^\| (`.*?) \| `(?:n_init=|--restarts )(\d+)` \| (\S+) \| (\d+) \|$", text, re.M)
    seen = set()
    for doors, n_init, tol, max_iter in lines:
        said, named = (int(n_init), float(tol), int(max_iter)), set(re.findall(r"`([^`]+)`", doors))
        if named == {"jaxgmm fit"}:
            assert defaults_of_the_command_line() == said
        elif "other estimators" in doors:
            assert {defaults(each) for each in ESTIMATORS} == {said}
        else:
            assert {defaults(DOORS[name]) for name in named} == {said}
            seen |= named
    assert seen == set(DOORS) and len(lines) == 6
