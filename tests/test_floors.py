"""Where the data do not vary, a floor sets the likelihood, and that is said: by name, before anything is compared."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from families import DTYPES

import jaxgmm
from jaxgmm.cli.main import main
from jaxgmm.sklearn import FamilyMixture, GaussianMixture, MixtureSearch

RNG = np.random.default_rng(0)
A = RNG.normal(size=(200, 2))
A[:100] += 5
NAMES = ["a", "b", "c"]
CONSTANT = np.column_stack([A, np.full(200, 7.0)])
COLLINEAR = np.column_stack([A, A[:, 0] - 2 * A[:, 1] + 1])
SOUND = np.column_stack([A, RNG.normal(size=200)])


def said(call):
    """What a call warns of; its result is not looked at."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [(str(each.message), each.filename) for each in found if "ended" not in str(each.message)]


def coefficients(sentence, names):
    """The sum of columns that a warning names, as numbers."""
    numbers = dict.fromkeys(names, 0.0)
    sign, size = 1.0, 1.0
    for word in re.findall(r"[+-]|\d[\d.e+]*(?= )|column \d|'[^']*'", sentence.split(" does not vary")[0]):
        if word in "+-":
            sign, size = (1.0 if word == "+" else -1.0), 1.0
        elif word[0].isdigit():
            size = float(word)
        else:
            numbers[word.strip("'")] = sign * size
    return np.array([numbers[name] for name in names])


@DTYPES
@pytest.mark.parametrize("family", ["full", "tied", "diag", "VEI"])
def test_a_constant_column_is_named(family, dtype):
    frame = pd.DataFrame(CONSTANT.astype(dtype), columns=NAMES)
    [(words, file)] = said(lambda: jaxgmm.fit(0, frame, 2, family=family))
    assert words.startswith("'c' is constant: there a floor") and file == __file__
    [(words, _)] = said(lambda: jaxgmm.fit(0, CONSTANT.astype(dtype), 2, family=family))
    assert words.startswith("column 2 is constant")
    two = np.column_stack([CONSTANT, np.zeros(200)]).astype(dtype)
    [(words, _)] = said(lambda: jaxgmm.fit(0, two, 2, family=family))
    assert words.startswith("column 2, column 3 are constant")


@DTYPES
@pytest.mark.parametrize("units", [[1, 1, 1], [1e3, 1e-3, 1]], ids=str)
@pytest.mark.parametrize("family", ["full", "tied"])
def test_a_collinear_direction_is_named(family, units, dtype):
    x = (COLLINEAR * units).astype(dtype)
    [(words, file)] = said(lambda: jaxgmm.fit(0, x, 2, family=family))
    found = coefficients(words, ["column 0", "column 1", "column 2"])
    _, _, rows = np.linalg.svd(((x - x.mean(0)) / x.std(0)).astype(np.float64))
    flat = rows[-1] / x.std(0)
    np.testing.assert_allclose(found, flat / flat[0], rtol=1e-2)
    assert file == __file__


@pytest.mark.parametrize("family", ["diag", "spherical", "EII"])
def test_families_without_whole_matrices_see_nothing_of_a_plane(family):
    assert said(lambda: jaxgmm.fit(0, COLLINEAR, 2, family=family)) == []


@DTYPES
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_sound_data_are_not_warned_of(family, dtype):
    near = np.column_stack([A, A[:, 0] + 0.05 * RNG.normal(size=200)])
    far = SOUND + np.array([1e4, -1e4, 0])
    for x in (SOUND, SOUND * [1e-6, 1e6, 1], near, far):
        assert said(lambda x=x: jaxgmm.fit(0, x.astype(dtype), 2, family=family)) == []


def test_a_start_that_was_never_updated_tells_nothing():
    assert said(lambda: jaxgmm.fit(0, SOUND, 2, init="random", max_iter=0)) == []
    assert said(lambda: GaussianMixture(2, init_params="random_from_data", max_iter=0, random_state=0).fit(SOUND)) == []
    assert said(lambda: jaxgmm.select(0, SOUND, [2], init="random", max_iter=0, n_init=1)) == []


def test_one_component_has_no_variance_but_the_data_have():
    """That is a degenerate fit, of which its own warning tells."""
    x = np.concatenate([A[:100], np.repeat([[9.0, 9.0]], 30, axis=0)])
    assert said(lambda: jaxgmm.fit(0, x, 2)) == []


def test_who_chose_a_width_is_not_told_of_it():
    prior = jaxgmm.GaussianPrior(reg_covar=1e-3)
    for x in (CONSTANT, COLLINEAR):
        assert said(lambda x=x: jaxgmm.fit(0, x, 2, prior=prior)) == []
        assert said(lambda x=x: jaxgmm.select(0, x, [2], n_init=2, prior=prior)) == []
    assert len(said(lambda: jaxgmm.fit(0, COLLINEAR, 2, prior=jaxgmm.GaussianPrior()))) == 1


def test_families_are_not_compared_by_the_height_of_a_floor():
    with pytest.raises(ValueError, match="x does not vary in 'c': a floor sets the likelihoods of full, tied, diag"):
        jaxgmm.select(0, pd.DataFrame(CONSTANT, columns=NAMES), [1, 2])
    chosen = []
    [(words, file)] = said(
        lambda: chosen.append(jaxgmm.select(0, CONSTANT, [1, 2], families=["full", "tied"], n_init=2))
    )
    assert words.startswith("column 2 is constant") and file == __file__
    # what varies decides: the same family and K as without the column
    without = jaxgmm.select(0, CONSTANT[:, :2], [1, 2], families=["full", "tied"], n_init=2).best.mixture
    assert chosen[0].best.mixture.n_components == without.n_components == 2
    assert said(lambda: jaxgmm.select(0, CONSTANT, [1, 2], families=["spherical", "EII"], n_init=2)) == []


def test_collinear_fits_rank_behind_those_that_no_floor_helps():
    chosen = []
    [(words, file)] = said(lambda: chosen.append(jaxgmm.select(0, COLLINEAR, [1, 2], n_init=2)))
    assert "Fits of full, tied rank behind the others" in words and file == __file__
    selection = chosen[0]
    assert selection.best.mixture.family.name == "diag"
    lowest = min(selection.table, key=lambda row: row["bic"])
    assert lowest["family"] in ("full", "tied")  # by its floor
    assert "columns are collinear, and a floor sets its likelihood" in str(selection)
    alone = []
    [(words, _)] = said(lambda: alone.append(jaxgmm.select(0, COLLINEAR, [1, 2], families="full", n_init=2)))
    assert "does not vary beyond rounding" in words and alone[0].best.mixture.family.name == "full"


@pytest.mark.parametrize("many", [False, True])
def test_estimators_say_it_too(many, monkeypatch):
    if many:
        from jaxgmm.sklearn import few

        monkeypatch.setattr(few, "MOST", 0)
    model = GaussianMixture(2, random_state=0)
    [(words, file)] = said(lambda: model.fit(pd.DataFrame(CONSTANT, columns=NAMES)))
    assert words.startswith("'c' is constant") and file == __file__
    [(words, _)] = said(lambda: model.fit(COLLINEAR))
    np.testing.assert_allclose(coefficients(words, ["column 0", "column 1", "column 2"]), [1, -2, -1], rtol=1e-2)
    assert said(lambda: model.fit(SOUND)) == []
    whole = np.column_stack([RNG.integers(0, 9, (60, 2)), np.full(60, 3)])
    [(words, _)] = said(lambda: FamilyMixture(2, family="diag", random_state=0).fit(whole))
    assert words.startswith("column 2 is constant")
    with pytest.raises(ValueError, match="x does not vary in column 2"):
        MixtureSearch([1, 2], n_init=2).fit(CONSTANT)


def test_the_command_line_says_it_too(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    path = tmp_path / "x.csv"
    pd.DataFrame(CONSTANT, columns=NAMES).to_csv(path, index=False)
    options = ["--components", "1:2", "--restarts", "2"]
    assert main(["fit", str(path), *options]) == 2
    assert capsys.readouterr().err.startswith("jaxgmm: error: x does not vary in 'c'")
    assert main(["fit", str(path), "--family", "full,tied", *options]) == 0
    assert capsys.readouterr().err.startswith("jaxgmm: warning: 'c' is constant")
