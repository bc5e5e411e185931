"""What is written with `xp` says the same in NumPy as compiled by JAX, for every family, and stays NumPy on its way."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import DTYPES, FAMILIES, GAUSSIANS, precision

from jaxgmm import em, scoring
from jaxgmm.criteria import Certainty
from jaxgmm.data.frame import enter, frame_of, leave
from jaxgmm.init.states import first_mixture, first_statistics
from jaxgmm.numerics import cholesky, first_of_largest, positive_definite
from jaxgmm.numerics.backend import is_jax, xp
from jaxgmm.records import Block, GaussianPrior

FORMS = pytest.mark.parametrize("form", ["accurate", "moments"])
PRIOR = GaussianPrior(0.01, 1e-3)


def an_update(mixture, x, weight, form):
    """Everything that a fit does with a block of rows (d, b), once."""
    family = mixture.family
    form, params, weights = getattr(family, form), mixture.components, xp.exp(mixture.log_weights)
    reference = family.centre(params, weights)
    prepared = form.prepare(params, reference)
    statistics = em.expect(form, prepared, mixture.log_weights, Block(x, weight), family.support.contains)
    new = em.maximise(form, mixture, prepared, statistics, PRIOR)
    resp = scoring.posteriors(scoring.joint(mixture, x), mixture.log_weights).T
    first = first_mixture(form, mixture, prepared, first_statistics(form, prepared, Block(x, weight), resp), PRIOR)
    frame = frame_of(family.scaling, x.mean(1), x.var(1))
    return {
        "loss": form.loss(prepared),
        "statistics": statistics,
        "base": None if form.base is None else form.base(x, reference),
        "points": family.points(x),
        "new": new,
        "slack": family.slack(params, prepared, statistics.counts, PRIOR)[0],
        "supported": family.supported_by_prior(new.components, weights, PRIOR),
        "first": first,
        "around": family.around(family.points(x)[:, :3].T, x.shape[0]),
        "there and back": leave(enter(params, frame), frame),
        "answers": (scoring.labels_of(mixture, x), scoring.log_prob_of(mixture, x), resp),
        "certainty": Certainty(mixture)(Block(x, weight)),
    }


def in_numpy(mixture):
    return jax.tree.map(np.asarray, mixture)


@pytest.mark.diagonal
@FAMILIES
@FORMS
@DTYPES
def test_numpy_says_what_jax_says(case, form, dtype):
    weight = np.random.default_rng(1).integers(0, 3, 120).astype(dtype)
    weight[:2] = 0.0
    x, mixture = case.data(dtype).T, in_numpy(case.mixture(dtype))
    ours = an_update(mixture, x, weight, form)
    rtol = 1e-11 if dtype == np.float64 else 2e-4  # of what cancels: moments, the offset of a log-likelihood
    with precision(dtype):
        theirs = jax.jit(an_update, static_argnames="form")(mixture, x, weight, form)
    for name, said in ours.items():
        for mine, wanted in zip(jax.tree.leaves(said), jax.tree.leaves(theirs[name]), strict=True):
            assert not is_jax(mine) and mine.dtype == wanted.dtype and np.shape(mine) == wanted.shape, name
            scale = np.abs(np.asarray(wanted)[np.isfinite(wanted)]).max(initial=0)
            np.testing.assert_allclose(mine, wanted, rtol=rtol, atol=rtol * scale, err_msg=name)


@FAMILIES
@FORMS
def test_empty_and_impossible_stay_finite_in_numpy(case, form):
    mixture = in_numpy(case.mixture(weights=np.array([0.5, 0.5, 0.0])))
    with np.errstate(divide="ignore"):
        new = an_update(mixture, case.data().T, np.ones(120), form)["new"]
    assert new.log_weights[2] == -np.inf and np.isfinite(new.log_weights[:2]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(new.components))


def test_one_value_of_jax_makes_the_answer_jax():
    here, there = np.ones(3), jnp.ones(3)
    assert type(xp.where(here > 0, here, 0)) is np.ndarray
    assert type(xp.concatenate([here, here])) is np.ndarray
    for answer in (xp.where(here > 0, there, here), xp.concatenate([here, there]), xp.exp(there)):
        assert isinstance(answer, jax.Array)
    assert jax.make_jaxpr(lambda x: xp.concatenate([here, x]))(there).eqns
    assert jax.eval_shape(xp.exp, there).shape == (3,)


def test_a_matrix_without_a_factor_is_nan_alone():
    matrices = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]]), 4 * np.eye(2)])
    lower = cholesky(matrices)
    assert np.isnan(lower[1]).all()
    np.testing.assert_array_equal(lower[[0, 2]], np.linalg.cholesky(matrices[[0, 2]]))
    new = positive_definite(matrices, np.zeros((3, 2)))
    assert np.isfinite(np.linalg.cholesky(new)).all() and (new[1] != matrices[1]).any()
    np.testing.assert_array_equal(new[[0, 2]], matrices[[0, 2]])
    with precision(np.float64):
        theirs = jax.jit(positive_definite)(matrices, np.zeros((3, 2)))
    np.testing.assert_allclose(new, theirs, rtol=1e-12, atol=1e-12)


def test_the_first_of_the_largest_in_numpy():
    values = np.array([[1.0, np.nan, -np.inf], [2.0, 5.0, -np.inf], [2.0, np.nan, -np.inf]])
    ours = first_of_largest(values)
    assert ours.dtype == np.int32
    np.testing.assert_array_equal(ours, first_of_largest(jnp.asarray(values)))


@GAUSSIANS
def test_a_lossy_form_says_so_in_numpy(case):
    mixture = in_numpy(case.mixture())
    name = "volumes" if case.name == "VEI" else "covariances"
    narrow = dataclasses.replace(mixture.components, **{name: 1e-14 * getattr(mixture.components, name)})
    form = mixture.family.moments
    assert form.loss(form.prepare(narrow, np.zeros(3))) > 1e12
