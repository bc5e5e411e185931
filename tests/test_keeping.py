"""What leaves a process or is copied keeps its bits, its dtype and its kind, whatever JAX's x64 flag is."""

import copy
import multiprocessing
import os
import pickle
import pickletools
import subprocess
import sys
import types

import handmade
import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import jaxgmm
from jaxgmm import em
from jaxgmm.pytrees import Kept
from jaxgmm.sklearn import GaussianMixture

T0 = 1.7e9  # UNIX seconds, of which float32 keeps every 128th


def mixture(dtype=np.float64):
    means = np.array([[T0 + 0.125], [T0 + 60.375]])
    return jaxgmm.mixture("diag", weights=[0.25, 0.75], means=means.astype(dtype), covariances=np.ones((2, 1), dtype))


def seconds(n=60):
    return T0 + np.random.default_rng(0).normal(size=(n, 1)) + 60 * (np.arange(n) % 2)[:, None]


def values():
    """One of every kind of record that users meet."""
    m, x = mixture(), seconds()
    many = jaxgmm.fit_many(0, np.stack([x, x + 1]), 2, family="diag", max_iter=2, tol=0)
    fitted = jaxgmm.fit(0, x, 2, family="diag", max_iter=2, tol=0)
    with jax.enable_x64(True):
        exact = jnp.asarray(1 / 3)
        state = em.initial_state(m)
    selection = jaxgmm.select(0, x, (1, 2), families=("diag",), n_init=1, max_iter=3, tol=0)
    return {
        "mixture": m,
        "float32": mixture(np.float32),
        "NumPy": jax.tree.map(np.asarray, m),
        "user's family": jaxgmm.mixture(handmade.COUNTS, weights=[1.0], rates=[[T0 + 0.125]]),
        "statistics": jaxgmm.e_step(m, x),
        "prior": jaxgmm.GaussianPrior(exact, np.float64(1 / 3)),
        "plain prior": jaxgmm.GaussianPrior(reg_covar=1e-3),
        "unconstrained": jaxgmm.unconstrain(m),
        "result": fitted,
        "batch": many,
        "selection": [selection.best, selection.results, selection.table],
        "state": state,
    }


VALUES = values()
NAMES = pytest.mark.parametrize("name", VALUES)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert isinstance(a, jax.Array) == isinstance(b, jax.Array)
        assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@NAMES
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_the_value_and_holds_no_array_of_jax(name, protocol):
    content = pickle.dumps(VALUES[name], protocol)
    assert_same(pickle.loads(content), VALUES[name])
    words = {str(argument) for _, argument, _ in pickletools.genops(content) if argument is not None}
    assert not any("jax._src" in word or "jaxlib" in word or "reconstruct_array" in word for word in words)


@NAMES
def test_copies_are_the_value(name):
    for function in (copy.copy, copy.deepcopy):
        assert_same(function(VALUES[name]), VALUES[name])


@NAMES
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_joblib_file_is_the_value(name, mmap_mode, tmp_path):
    path = tmp_path / "value"
    joblib.dump(VALUES[name], path)
    found = joblib.load(path, mmap_mode=mmap_mode)
    path.unlink()
    assert_same(found, VALUES[name])


def test_pools_give_and_take_the_same_bits():
    sent = [VALUES[name] for name in ("mixture", "NumPy", "statistics", "result", "batch", "prior")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for value in sent:
            assert_same(pool.apply(handmade.same, (value,)), value)
    assert_same(joblib.Parallel(n_jobs=2)(joblib.delayed(handmade.same)(value) for value in sent), sent)


@pytest.mark.parametrize("writer, reader", [("0", "1"), ("1", "0")])
def test_the_flag_of_the_writer_and_of_the_reader_does_not_matter(writer, reader, tmp_path):
    write = (
        "import pickle, sys, numpy, jaxgmm; m = jaxgmm.mixture('diag', weights=[1.0], "
        f"means=numpy.array([[{T0 + 0.125}]]), covariances=[[1.0]]); pickle.dump(m, open(sys.argv[1], 'wb'))"
    )
    read = (
        "import pickle, sys, jax; m = pickle.load(open(sys.argv[1], 'rb')); assert isinstance(m.components.means, "
        "jax.Array); print(m.components.means.dtype, float(m.components.means[0, 0]))"
    )
    path = str(tmp_path / "m")
    for flag, program in ((writer, write), (reader, read)):
        command = [sys.executable, "-c", program, path]
        environment = {**os.environ, "JAX_ENABLE_X64": flag}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["float64", str(T0 + 0.125)]


def test_an_estimator_keeps_what_it_was_given_and_fitted_to(tmp_path):
    with jax.enable_x64(True):
        x, begin = jnp.asarray(seconds()), jnp.asarray([[T0], [T0 + 60]])
    options = {"covariance_type": "diag", "random_state": 0, "max_iter": 3, "tol": 0.0}
    with pytest.warns(UserWarning, match="converge"):
        fitted = GaussianMixture(2, means_init=begin, **options).fit(x)
    started = GaussianMixture(2, init_params=mixture(), **options)
    joblib.dump(fitted, tmp_path / "model")
    for found in (
        pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), copy.copy(fitted), joblib.load(tmp_path / "model")
    ):  # fmt: skip
        assert "_sklearn_version" not in vars(found)
        assert_same([found.means_, found.weights_, found.means_init], [fitted.means_, fitted.weights_, begin])
        assert isinstance(found.predict(x), jax.Array)
    for found in (pickle.loads(pickle.dumps(started)), copy.deepcopy(started), clone(started)):
        assert_same(found.init_params, mixture())
    assert_same(clone(fitted).means_init, begin)
    with pytest.warns(UserWarning, match="converge"):
        scores = [cross_val_score(started, seconds(), cv=2, n_jobs=n) for n in (None, 2)]
    np.testing.assert_array_equal(*scores)


def test_arrays_of_every_dtype_and_keys_come_back():
    with jax.enable_x64(True):
        arrays = [jnp.asarray(1, dtype) for dtype in ("bfloat16", "float16", "int64", "uint32", "bool", "complex128")]
    value = jaxgmm.GaussianPrior({"inside": arrays, "none": None}, (jax.random.key(1), "word"))
    for found in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
        assert_same(found.reg_covar, value.reg_covar)
        key, word = found.reg_relative
        assert word == "word" and (jax.random.key_data(key) == jax.random.key_data(jax.random.key(1))).all()


def test_copies_inside_a_trace_are_tracers():
    @jax.jit
    def twice(mixture):
        return copy.deepcopy(copy.copy(mixture))

    np.testing.assert_array_equal(twice(mixture(np.float32)).components.means, mixture(np.float32).components.means)


def test_a_shallow_copy_shares_and_a_deep_one_does_not():
    value = mixture()
    assert copy.copy(value).log_weights is value.log_weights
    assert copy.deepcopy(value).log_weights is not value.log_weights
    numpy = jax.tree.map(np.array, value)
    copy.deepcopy(numpy).components.means[:] = 0
    assert (numpy.components.means > 0).all()


def test_an_array_of_several_processes_is_refused_by_a_sentence():
    elsewhere = types.SimpleNamespace(is_fully_addressable=False, is_fully_replicated=False)
    with pytest.raises(ValueError, match="several processes cannot be pickled by one of them: gather it first"):
        pickle.dumps(jaxgmm.GaussianPrior(Kept(elsewhere)))
