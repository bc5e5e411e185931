"""Starts that fall behind are left on their way; what is lost by that is little, and never the last good start."""

import warnings

import jax
import numpy as np
import pytest

import jaxgmm
from jaxgmm.records import Status
from jaxgmm.search import pruning
from jaxgmm.search.pruning import Standing, recalled, survivors

FAITHFUL = np.loadtxt("examples/data/faithful.csv", delimiter=",", skiprows=1)


def standing(value, gain=0.0, n_iter=10, status=-1, sound=True):
    value = np.asarray(value, np.float32)
    rest = (np.broadcast_to(np.asarray(leaf), value.shape) for leaf in (gain, n_iter, status, sound))
    return Standing(value, *rest)


def kept(stand, alive=None, tol=1e-6, groups=1):
    alive = np.ones(stand.log_likelihood.shape, bool) if alive is None else np.asarray(alive)
    limits = np.float32(tol), np.int32(pruning.kept(len(alive) // groups))
    return np.asarray(survivors(stand, alive, np.float32(1), limits, groups)).tolist()


def test_a_start_that_cannot_catch_up_stops():
    assert kept(standing([0.0, -1, -1, -1], gain=[0, 0, 0.02, 0.04])) == [True, False, False, True]  # 3 · 10 · gain


def test_the_best_fifth_goes_on_whatever_its_pace():
    assert kept(standing(-np.arange(10.0))) == [True, True] + [False] * 8


def test_a_degenerate_start_stands_last():
    stand = standing([5.0, 0, -1, -2, -3], sound=[False, True, True, True, True])
    assert kept(stand) == [False, True, False, False, False]


def test_tol_of_zero_stops_no_start():
    assert all(kept(standing(-np.arange(10.0)), tol=0))


def test_a_start_that_was_left_stays_so_and_fits_are_judged_apart():
    stand = standing([0.0, -1, -2, -3, -9, -8, -7, -6])
    went_on = kept(stand, [True, False, True, True] * 2, groups=2)
    assert went_on == [True, False, False, False, False, False, False, True]


def test_starts_are_recalled_where_none_that_went_on_ended_well():
    stand = standing([0.0, -1, -2, -3], status=[Status.CONVERGED, -1, Status.CONVERGED, -1], sound=[0, 1, 1, 1])
    alive = np.array([True, False, True, False])
    assert np.asarray(recalled(stand, alive, 2)).tolist() == [False, True, False, False]


def test_a_start_that_is_not_a_number_neither_leads_nor_stops_the_others():
    assert kept(standing([np.nan, -1, -1, -1], gain=1.0, sound=[0, 1, 1, 1]))[1:] == [True] * 3


@pytest.fixture(scope="module")
def fits():
    """Fits of Old Faithful from 20 starts, pruned and exhaustive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        return [
            [jaxgmm.fit(seed, FAITHFUL, k, family=family, n_init=20, search=search) for search in pruning.SEARCHES]
            for family, k in (("full", 3), ("diag", 4), ("spherical", 5))
            for seed in range(4)
        ]


def test_pruning_loses_next_to_nothing(fits):
    lost = [float(full.log_likelihood - some.log_likelihood) / len(FAITHFUL) for some, full in fits]
    assert np.mean([each > 1e-4 for each in lost]) <= 1 / 12
    assert max(lost) < 0.05
    assert all(some.status == full.status for some, full in fits)


def test_starts_that_went_on_end_where_they_end_without_pruning(fits):
    same = [np.isclose(some.restarts, full.restarts, rtol=0, atol=1e-6) for some, full in fits]
    assert all(each.any() for each in same)
    assert not all(each.all() for each in same), "nothing was pruned"
    for some, full in fits:
        assert (some.restarts <= full.restarts + 1e-6).all()


@pytest.mark.long
def test_a_traced_fit_prunes_alike(fits):
    some, _ = fits[0]
    with jax.enable_x64(True):
        traced = jax.jit(lambda key, x: jaxgmm.fit(key, x, 3, n_init=20))(jax.random.key(0), FAITHFUL)
    np.testing.assert_allclose(traced.restarts, some.restarts, rtol=1e-9)


def test_every_search_has_a_name():
    with pytest.raises(ValueError, match="search must be one of 'pruned', 'exhaustive', got 'half'"):
        jaxgmm.fit(0, FAITHFUL, 2, search="half")


def test_all_degenerate_starts_are_run_to_their_ends():
    x = np.repeat([[0.0, 0.0], [1.0, 5.0], [4.0, 2.0]], 20, axis=0)
    with pytest.warns(jaxgmm.FitWarning, match="DEGENERATE"):
        result = jaxgmm.fit(0, x, 3, n_init=8)
    assert result.status is Status.DEGENERATE
    assert np.isfinite(result.restarts).all()
