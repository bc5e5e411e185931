"""The data sets of the documentation are those that were published, and lie in the package."""

import sys
from pathlib import Path

import numpy as np
import pytest

import jaxgmm
from jaxgmm import datasets

ROOT = Path(jaxgmm.__file__).parents[1]


def test_old_faithful_is_the_data_set_of_r():
    x = jaxgmm.datasets.old_faithful()
    assert x.shape == (272, 2) and x.dtype == np.float64
    np.testing.assert_allclose(x.sum(axis=0), [948.677, 19284], rtol=1e-12)
    np.testing.assert_allclose(x.std(axis=0, ddof=1), [1.141371, 13.59497], rtol=1e-6)
    np.testing.assert_array_equal(x[[0, -1]], [[3.6, 79], [4.467, 74]])
    path = ROOT / "examples" / "data" / "faithful.csv"
    np.testing.assert_array_equal(x, np.loadtxt(path, delimiter=",", skiprows=1))


def test_galaxies_are_those_of_roeder():
    x = datasets.galaxies()
    assert x.shape == (82, 1) and np.all(np.diff(x[:, 0]) >= -0.0) and x[77, 0] == 26960
    assert (x.min(), x.max()) == (9172, 34279)
    assert abs(x.mean() / 1000 - 20.83) < 0.005 and abs(np.median(x) - 20833.5) < 1e-9


def test_hasselblads_days_are_three_years_and_their_mean_is_published():
    deaths, days = datasets.hasselblad()
    assert days.sum() == 1096 and deaths.shape == (10, 1)
    assert days @ deaths[:, 0] / days.sum() == pytest.approx(2.15693, abs=5e-6)


def test_irises_are_three_species_of_fifty():
    pytest.importorskip("sklearn")
    x = datasets.iris()
    assert x.shape == (150, 4)
    np.testing.assert_allclose(x[:50].mean(axis=0), [5.006, 3.428, 1.462, 0.246], atol=1e-12)


def test_irises_without_scikit_learn_are_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        datasets.iris()


def test_every_call_gives_an_array_of_its_own():
    datasets.old_faithful()[:] = 0
    datasets.galaxies()[:] = 0
    assert datasets.old_faithful().min() > 0 and datasets.galaxies().min() > 0
