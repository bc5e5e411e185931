"""Mixtures in files: what is loaded is what was saved, and nothing else is taken for it."""

import copy
import dataclasses
import functools
import os
import pickle

import jax
import numpy as np
import pytest

import jaxgmm
from jaxgmm.families import poisson, registry

MEANS = [[0.0, 1.0], [2.0, 3.0], [1e6, -1e-6]]
FAMILIES = {
    "full": {"means": MEANS, "covariances": [[[2.0, 0.3], [0.3, 1.0]], [[1.0, 0.0], [0.0, 1e-8]], [[1e8, 0], [0, 1]]]},
    "tied": {"means": MEANS, "covariances": [[2.0, 0.3], [0.3, 1.0]]},
    "diag": {"means": MEANS, "covariances": [[0.1, 0.2], [1.0, 2.0], [3.0, 1e-9]]},
    "spherical": {"means": MEANS, "covariances": [0.1, 0.2, 0.3]},
    "bernoulli": {"probs": [[0.0, 1.0], [0.1, 0.7], [0.5, 1 / 3]]},
    "categorical": {"probs": np.array([[[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]] * 3)},
    "poisson": {"rates": [[0.0, 1.1], [1e6, 0.1], [2.0, 3.0]]},
    "exponential": {"rates": [[0.3, 1.1], [1e6, 0.1], [2.0, 3.0]]},
    "gamma": {"concentrations": [[0.3, 1e5], [1.0, 2.0], [3.0, 4.0]], "rates": [[0.3, 1.1], [1e6, 0.1], [2.0, 3.0]]},
}


def build(name, dtype=np.float64, weights=(0.1, 0.2, 0.7)):
    params = {field: np.asarray(values, dtype) for field, values in FAMILIES[name].items()}
    return jaxgmm.mixture(name, weights=np.asarray(weights, dtype), **params)


def assert_same(loaded, saved):
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    for new, old in zip(jax.tree.leaves(loaded), jax.tree.leaves(saved), strict=True):
        assert isinstance(new, jax.Array) and new.dtype == old.dtype
        np.testing.assert_array_equal(np.asarray(new), np.asarray(old))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_loaded_is_what_was_saved(tmp_path, name, dtype):
    mixture = build(name, dtype)
    jaxgmm.save(tmp_path / "m.npz", mixture)
    assert_same(jaxgmm.load(tmp_path / "m.npz"), mixture)


def test_float64_stays_float64_without_the_global_flag(tmp_path):
    mixture = build("full")
    jaxgmm.save(tmp_path / "m.npz", mixture)
    with jax.enable_x64(False):
        loaded = jaxgmm.load(tmp_path / "m.npz")
    assert_same(loaded, mixture)
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(np.asarray(jaxgmm.log_prob(loaded, x)), np.asarray(jaxgmm.log_prob(mixture, x)))


def test_a_dead_component_stays_dead(tmp_path):
    mixture = build("full", weights=(0.0, 0.25, 0.75))
    assert np.asarray(mixture.log_weights)[0] == -np.inf
    jaxgmm.save(tmp_path / "m.npz", mixture)
    assert_same(jaxgmm.load(tmp_path / "m.npz"), mixture)


def test_log_weights_do_not_go_through_rounding(tmp_path):
    with jax.enable_x64(True):
        log_weights = jax.nn.log_softmax(jax.numpy.asarray([0.0, -800.0, -1.1]))  # exp(-800) is 0
    mixture = dataclasses.replace(build("diag"), log_weights=log_weights)
    jaxgmm.save(tmp_path / "m.npz", mixture)
    assert_same(jaxgmm.load(tmp_path / "m.npz"), mixture)


def test_numpy_alone_reads_the_file(tmp_path):
    jaxgmm.save(tmp_path / "m.npz", build("diag"), columns=["eruptions", "wait, min"])
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert file["family"] == "diag" and file["options"] == "{}" and file["version"] == 2
        assert file["columns"].tolist() == ["eruptions", "wait, min"]
        np.testing.assert_array_equal(file["components.means"], MEANS)


def test_columns_name_every_feature(tmp_path):
    with pytest.raises(ValueError, match="columns.*2.*got 1"):
        jaxgmm.save(tmp_path / "m.npz", build("diag"), columns=["eruptions"])
    assert not list(tmp_path.iterdir())


def test_a_batch_of_mixtures_is_refused(tmp_path):
    batch = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), build("diag"))
    with pytest.raises(ValueError, match="mixture must be a single one"):
        jaxgmm.save(tmp_path / "m.npz", batch)


def test_the_path_is_taken_literally(tmp_path):
    jaxgmm.save(tmp_path / "model", build("diag"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    jaxgmm.load(str(tmp_path / "model"))


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    jaxgmm.save(path, build("diag"))

    def full_disk(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        jaxgmm.save(path, build("full"))
    assert_same(jaxgmm.load(path), build("diag"))
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "m.npz")
    jaxgmm.save(tmp_path / "link.npz", build("diag"))
    assert (tmp_path / "link.npz").is_symlink()
    assert_same(jaxgmm.load(tmp_path / "m.npz"), build("diag"))
    jaxgmm.save(os.devnull, build("diag"))
    assert not os.path.isfile(os.devnull)


def test_a_missing_file_or_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="m.npz"):
        jaxgmm.load(tmp_path / "m.npz")
    with pytest.raises(FileNotFoundError, match="m.npz"):
        jaxgmm.save(tmp_path / "missing" / "m.npz", build("diag"))


def test_a_file_cut_short_anywhere_is_a_value_error(tmp_path):
    jaxgmm.save(tmp_path / "m.npz", build("diag"))
    whole = (tmp_path / "m.npz").read_bytes()
    for length in range(0, len(whole), 17):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut.npz: not a file that jaxgmm.save wrote, or one cut short"):
            jaxgmm.load(tmp_path / "cut.npz")


def test_a_damaged_byte_is_a_value_error_or_does_not_matter(tmp_path):
    mixture = build("spherical")
    jaxgmm.save(tmp_path / "m.npz", mixture)
    whole = (tmp_path / "m.npz").read_bytes()
    for place in range(0, len(whole), 7):
        (tmp_path / "bad.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            loaded = jaxgmm.load(tmp_path / "bad.npz")
        except ValueError as error:
            assert "bad.npz" in str(error)
        else:
            assert_same(loaded, mixture)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89PNG\r\n\xff\xfe", b"PK\x05\x06" + bytes(18)])
def test_a_foreign_file_is_a_value_error(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ValueError, match="m.npz: not a file that jaxgmm.save wrote"):
        jaxgmm.load(tmp_path / "m.npz")


def test_other_arrays_are_no_mixture_and_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "arrays.npz", x=np.ones(3))
    np.savez(tmp_path / "pickle.npz", format=np.array([{"a": 1}], object))
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("arrays.npz", "pickle.npz", "array.npy"):
        with pytest.raises(ValueError, match=f"{name}: not a file that jaxgmm.save wrote"):
            jaxgmm.load(tmp_path / name)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"version": 3}, "version 3.*upgrade"),
        ({"version": "new"}, "version new"),
        ({"family": "cauchy"}, "cauchy.*nobody registered"),
        ({"options": '{"ridge": 1}'}, "ridge"),
        ({"options": "[1, 2]"}, "not a mixture"),
        ({"components.means": np.ones((2, 2))}, "means"),
        ({"components.means": None}, "means"),
        ({"components.covariances": -np.ones((3, 2))}, "covariances"),
        ({"components.modes": np.ones(3)}, "modes"),
        ({"log_weights": None}, "log_weights"),
        ({"log_weights": np.zeros(3)}, "weights"),
        ({"log_weights": np.array(["a"])}, "weights"),
        ({"columns": np.array(["a"])}, "columns"),
    ],
)
def test_content_that_makes_no_mixture_is_a_value_error(tmp_path, change, words):
    jaxgmm.save(tmp_path / "m.npz", build("diag"), columns=["a", "b"])
    with np.load(tmp_path / "m.npz") as file:
        entries = {**file, **change}
    np.savez(tmp_path / "m.npz", **{name: values for name, values in entries.items() if values is not None})
    with pytest.raises(ValueError, match=f"(?s)m.npz: .*{words}"):
        jaxgmm.load(tmp_path / "m.npz")


@pytest.fixture
def names_as_before():
    """The names as they were, when the test has ended."""
    before = dict(registry._REGISTRY)
    yield
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


@functools.cache
def truncated(**options):
    """A family with options of its own."""
    return dataclasses.replace(poisson.POISSON, name="truncated", options=tuple(options.items()), points=lambda x: x)


def test_options_of_a_family_come_back(tmp_path, names_as_before):
    registry.register("truncated", truncated)
    family = truncated(most=2.5, edges=((1, 2), ("a", 0.1)), kind="hard")
    mixture = jaxgmm.mixture(family, weights=[1.0], rates=[[3.0]])
    jaxgmm.save(tmp_path / "m.npz", mixture)
    assert jaxgmm.load(tmp_path / "m.npz").family is family
    assert pickle.loads(pickle.dumps(family)) is copy.deepcopy(family) is family
    assert repr(family) == "Family('truncated', most=2.5, edges=((1, 2), ('a', 0.1)), kind='hard')"
    assert jaxgmm.fit(0, np.ones((4, 1)), 1, family=family).mixture.family is family


def test_a_checkpoint_is_of_one_set_of_options(tmp_path):
    x = np.arange(8.0)[:, None]
    jaxgmm.fit(0, x, 1, family=truncated(most=2), checkpoint=tmp_path / "c", max_iter=3, tol=0)
    with pytest.raises(ValueError, match="most=2.*most=3"):
        jaxgmm.fit(0, x, 1, family=truncated(most=3), checkpoint=tmp_path / "c", resume=True, max_iter=3, tol=0)


def test_a_family_must_be_registered_when_it_is_loaded(tmp_path, names_as_before):
    jaxgmm.save(tmp_path / "m.npz", jaxgmm.mixture(truncated(most=2), weights=[1.0], rates=[[3.0]]))
    with pytest.raises(ValueError, match="truncated.*nobody registered: import the module"):
        jaxgmm.load(tmp_path / "m.npz")
    registry.register("truncated", truncated)
    assert jaxgmm.load(tmp_path / "m.npz").family is truncated(most=2)


def test_a_family_that_the_file_would_not_give_back_is_not_saved(tmp_path, names_as_before):
    registry.register("truncated", lambda: poisson.POISSON)
    impostor = dataclasses.replace(poisson.POISSON, points=np.sqrt)
    odd = dataclasses.replace(impostor, name="odd", options=(("size", np.int64(1)),))
    for family in (truncated(most=2), impostor, odd):
        with pytest.raises(ValueError, match="another family is registered|must be numbers"):
            jaxgmm.save(tmp_path / "m.npz", jaxgmm.mixture(family, weights=[1.0], rates=[[3.0]]))


def test_files_of_version_1_are_read(tmp_path):
    jaxgmm.save(tmp_path / "m.npz", build("categorical"))
    with np.load(tmp_path / "m.npz") as file:
        entries = {**file, "version": 1}
    del entries["options"]
    np.savez(tmp_path / "old.npz", **entries)
    assert_same(jaxgmm.load(tmp_path / "old.npz"), build("categorical"))


@pytest.mark.parametrize("name", ["full", "categorical", "FULL", "Diag", "eii"])
def test_a_name_stands_for_one_maker(name, names_as_before):
    for make in (truncated, lambda: poisson.POISSON):
        with pytest.raises(ValueError, match=f"{name!r} is taken"):
            registry.register(name, make)
    assert registry.lookup("full") is registry.lookup("full") and registry.lookup("full").name == "full"


def test_a_module_can_be_read_again(names_as_before):
    text = "def make():\n    return again\nregister('by name', make)\nregister('nameless', lambda: make())"
    for again in range(2):
        exec(text, {"register": registry.register, "__name__": "a_module", "again": again})
        assert registry.lookup("by name") == registry.lookup("nameless") == again
    with pytest.raises(ValueError, match="'nameless' is taken"):
        exec("register('nameless', lambda: other())", {"register": registry.register, "__name__": "a_module"})
