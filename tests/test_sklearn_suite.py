"""scikit-learn's own tests of its mixture, read from the installed package, with its class swapped for ours.

Excluded are tests that never construct the class (they test private helpers) and tests of private methods.
"""

import numpy as np
import pytest
import sklearn.mixture.tests.test_gaussian_mixture as theirs
import sklearn.mixture.tests.test_mixture as of_all

from jaxgmm.sklearn import GaussianMixture

EXCLUDED = {
    "test_suffstat_sk_full": "private helper _estimate_gaussian_covariances_full",
    "test_suffstat_sk_tied": "private helper _estimate_gaussian_covariances_tied",
    "test_suffstat_sk_diag": "private helper _estimate_gaussian_covariances_diag",
    "test_gaussian_suffstat_sk_spherical": "private helper _estimate_gaussian_covariances_spherical",
    "test_compute_log_det_cholesky": "private helper _compute_log_det_cholesky",
    "test_gaussian_mixture_log_probabilities": "private helper _estimate_log_gaussian_prob",
    "test_gaussian_mixture_precisions_init": "private methods _initialize and _set_parameters",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private helper",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "a limit that ours does not have",
}
OF_ARRAYS = "test_gaussian_mixture_array_api_compliance"  # parametrised by a generator, which pytest deprecates
TESTS = {name: test for name, test in vars(theirs).items() if name.startswith("test_")}

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = [quiet, pytest.mark.usefixtures("engine")]
globals().update({name: test for name, test in TESTS.items() if name not in {*EXCLUDED, OF_ARRAYS}})


@pytest.fixture(autouse=True)
def swapped(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", GaussianMixture)


@pytest.fixture
def global_dtype():
    return np.float64


@pytest.fixture
def global_random_seed():
    return 42


def test_what_is_excluded_is_there():
    assert len(TESTS) > 30 and set(EXCLUDED) <= set(TESTS)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("with_start", [False, True])
def test_numpy_passes_as_an_array_api(covariance_type, with_start):
    TESTS[OF_ARRAYS]("random", covariance_type, "numpy", None, None, with_start)


def test_n_iter_is_the_number_of_iterations():
    of_all.test_gaussian_mixture_n_iter(GaussianMixture())


def test_more_components_than_samples_are_an_error():
    of_all.test_mixture_n_components_greater_than_n_samples_error(GaussianMixture())
