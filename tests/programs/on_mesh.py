"""Fits on a mesh of 8 virtual devices beside those in memory, as a program: `test_mesh` runs a group of its cases.

It prints what failed. Virtual devices have to be asked for before JAX starts, hence the process of its own.
"""

import sys
import traceback

import families
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jaxgmm
from jaxgmm.data.mesh import already_there, checked, rewrapped

BOUND = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 5e-5}
GROUPS = {}


def case(group):
    def keep(function):
        GROUPS.setdefault(group, []).append(function)
        return function

    return keep


def mesh_of(devices, axis_type=AxisType.Auto):
    return Mesh(np.array(jax.devices()[:devices]), ("rows",), axis_types=(axis_type,))


def cut(x, mesh):
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows")))


def same(actual, expected, fields):
    """Parameters within the bound of their dtype, relative to their own scale."""
    weights, params = families.read(expected.mixture, fields)
    found_weights, found = families.read(actual.mixture, fields)
    bound = BOUND[np.dtype(expected.mixture.log_weights.dtype)]
    assert actual.mixture.log_weights.dtype == expected.mixture.log_weights.dtype
    np.testing.assert_allclose(found_weights, weights, 0, bound)
    for field in fields:
        np.testing.assert_allclose(found[field], params[field], 0, bound * np.abs(params[field]).max(), err_msg=field)
    assert actual.n_iter == expected.n_iter
    assert actual.status == expected.status


def fields_of(name):
    return tuple(families.BY_NAME[name].params)


def parity(name, dtype, sizes, **options):
    one = families.BY_NAME[name]
    x = one.data(dtype, 601)
    given = {"family": one.family, "tol": 0, "max_iter": 20, "prior": one.prior, **options}
    expected = jaxgmm.fit(5, x, families.K, **given)
    for size in sizes:
        same(jaxgmm.fit(5, x, families.K, mesh=mesh_of(size), **given), expected, tuple(one.params))


for each in families.CASES:

    @case("float64")
    def all_families_in_float64(name=each.name):
        parity(name, np.float64, (2, 8) if name == "full" else (8,))

    @case("float32")
    def all_families_in_float32(name=each.name):
        parity(name, np.float32, (8,))


@case("some")
def one_family():
    parity("poisson", np.float32, (8,))


def points(n=601, dtype=np.float64):
    return families.BY_NAME["diag"].data(dtype, n)


GIVEN = {"family": "diag", "tol": 0, "max_iter": 20}


@case("data")
def one_device():
    parity("diag", np.float64, (1,), sample_weight=np.arange(601) % 4, n_init=3)


@case("data")
def the_log_likelihood_where_it_settles():
    x = points()
    expected = jaxgmm.fit(0, x, 3, n_init=5)
    found = jaxgmm.fit(0, x, 3, n_init=5, mesh=mesh_of(8))
    assert abs(found.log_likelihood - expected.log_likelihood) < 1e-9 * abs(expected.log_likelihood)


@case("data")
def every_way_to_begin():
    x, mesh = points(), mesh_of(8)
    resp = np.random.default_rng(1).dirichlet(np.ones(3), len(x))
    start = jaxgmm.fit(1, x, 3, **{**GIVEN, "max_iter": 1}).mixture

    def centres(key, x, sample_weight, k):
        return x[:k]

    for init in ("kmeans", "random", resp, start, centres):
        expected = jaxgmm.fit(7, x, 3, init=init, **GIVEN)
        same(jaxgmm.fit(7, x, 3, init=init, mesh=mesh, **GIVEN), expected, fields_of("diag"))


@case("data")
def fewer_rows_than_devices():
    x = points(5)
    expected = jaxgmm.fit(0, x, 2, **GIVEN)
    same(jaxgmm.fit(0, x, 2, mesh=mesh_of(8), **GIVEN), expected, fields_of("diag"))


@case("data")
def arrays_that_are_cut_already():
    x = points(608)
    expected = jaxgmm.fit(0, x, 3, **GIVEN)
    for axis_type in (AxisType.Auto, AxisType.Explicit):
        mesh = mesh_of(8, axis_type)
        with jax.enable_x64(True):
            there = cut(x, mesh)
        held = rewrapped(there, already_there(there, checked(mesh)))
        assert addresses(held) == addresses(there)
        same(jaxgmm.fit(0, there, 3, mesh=mesh, **GIVEN), expected, fields_of("diag"))
        weight = np.arange(608) % 3
        weighted = jaxgmm.fit(0, x, 3, sample_weight=weight, **GIVEN)
        for given in (weight, cut(weight.astype(np.float32), mesh)):
            same(jaxgmm.fit(0, there, 3, sample_weight=given, mesh=mesh, **GIVEN), weighted, fields_of("diag"))


def addresses(x):
    return [shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards]


@case("data")
def rows_that_stream():
    x, weight = points(), np.arange(601) % 4
    for init in ("k-means++", "kmeans"):
        given = {**GIVEN, "init": init, "n_init": 2}
        expected = jaxgmm.fit(3, x, 3, sample_weight=weight, **given)
        for size in (1, 8):
            stream = jaxgmm.rows(x, weight, block_size=100)
            same(jaxgmm.fit(3, stream, 3, mesh=mesh_of(size), **given), expected, fields_of("diag"))
    start = jaxgmm.fit(1, x, 3, **{**GIVEN, "max_iter": 1}).mixture
    expected = jaxgmm.fit(3, x, 3, init=start, **GIVEN)
    same(jaxgmm.fit(3, jaxgmm.rows(x), 3, init=start, mesh=mesh_of(8), **GIVEN), expected, fields_of("diag"))
    expected = jaxgmm.select(0, x, [1, 3], families=["tied"], n_init=3)
    found = jaxgmm.select(0, jaxgmm.rows(x, block_size=100), [1, 3], families=["tied"], n_init=3, mesh=mesh_of(8))
    for mine, theirs in zip(found.table, expected.table, strict=True):
        for name in ("log_likelihood", "icl"):
            assert abs(mine[name] - theirs[name]) < 1e-9 * abs(theirs[name])


@case("data")
def a_sweep():
    x = points()
    expected = jaxgmm.select(0, x, [1, 3], families=["diag"], n_init=4)
    found = jaxgmm.select(0, x, [1, 3], families=["diag"], n_init=4, mesh=mesh_of(8))
    for mine, theirs in zip(found.table, expected.table, strict=True):
        assert mine["status"] == theirs["status"]
        for name in ("log_likelihood", "bic", "icl"):
            assert abs(mine[name] - theirs[name]) < 1e-9 * abs(theirs[name])


@case("large")
def rows_beyond_the_sample():
    """Many rows, of which a sample stands for all: the layout must not change which."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(140_001, 2)) + 6 * rng.integers(0, 3, (140_001, 1))
    given = {**GIVEN, "sample_weight": rng.integers(0, 3, len(x))}
    expected = jaxgmm.fit(3, x, 3, **given)
    same(jaxgmm.fit(3, x, 3, mesh=mesh_of(8), **given), expected, fields_of("diag"))


@case("large")
def float32_rows_that_go_on_in_float64():
    """Correlated rows, of which the fast form loses the digits in float32."""
    from jaxgmm.search.problem import Problem

    rng, seen, task = np.random.default_rng(0), [], Problem.task
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0] * np.geomspace(1, 1e-2, 4)
    x = ((rng.normal(size=(601, 4)) + 3 * rng.integers(2, size=(601, 1))) @ axes.T).astype(np.float32)

    def spy(self, form):
        seen.append((form is self.family.moments, self.known.frame.scale.dtype.name))
        return task(self, form)

    given = {"tol": 0, "max_iter": 20, "prior": jaxgmm.GaussianPrior()}
    expected = jaxgmm.fit(0, x, 2, **given)
    Problem.task = spy
    try:
        same(jaxgmm.fit(0, x, 2, mesh=mesh_of(8), **given), expected, fields_of("full"))
    finally:
        Problem.task = task
    assert (True, "float64") in seen and (False, "float32") not in seen


@case("large")
def a_rare_value_is_found():
    """Three distinct rows among many, one of them twice: the sample may miss it, the starts may not."""
    x = np.zeros((140_001, 1))
    x[70_000:] = 1
    x[[100_003, 120_003]] = 9
    given = {"family": "poisson", "tol": 0, "max_iter": 0, "init": "random"}
    expected = jaxgmm.fit(0, x, 3, **given)
    found = jaxgmm.fit(0, x, 3, mesh=mesh_of(8), **given)
    same(found, expected, fields_of("poisson"))
    assert np.isclose(np.asarray(found.mixture.components.rates).max(), 9)


@case("large")
def no_row_leaves_its_device():
    """Statistics are summed over the devices, and the data are not collected on any."""
    from jaxgmm.search import problem

    seen = {}
    kept = problem.iterated

    def spy(*args):
        seen["text"] = kept.lower(*args).compile().as_text()
        return kept(*args)

    problem.iterated = spy
    try:
        jaxgmm.fit(0, points(), 3, n_init=4, mesh=mesh_of(8), block_size=16, **GIVEN)
    finally:
        problem.iterated = kept
    assert "all-reduce" in seen["text"]
    for word in ("all-gather", "all-to-all", "collective-permute"):
        assert word not in seen["text"], word


@case("large")
def what_is_refused():
    x = points()
    square = Mesh(np.array(jax.devices()).reshape(2, 4), ("a", "b"))
    refusals = [
        ("one axis", lambda: jaxgmm.fit(0, x, 3, mesh=square)),
        ("jax.sharding.Mesh", lambda: jaxgmm.fit(0, x, 3, mesh=8)),
        ("outside jit", lambda: jax.jit(lambda x: jaxgmm.fit(0, x, 3, mesh=mesh_of(8)))(x)),
        ("row 17, column 1", lambda: jaxgmm.fit(0, with_nan(x), 3, mesh=mesh_of(8))),
        ("row 3 has -1", lambda: jaxgmm.fit(0, x, 3, sample_weight=minus_one(x), mesh=mesh_of(8))),
        ("at least as many rows", lambda: jaxgmm.fit(0, x[:2], 3, mesh=mesh_of(8))),
    ]
    for words, call in refusals:
        try:
            call()
        except ValueError as error:
            assert words in str(error), error
        else:
            raise AssertionError(words)


def with_nan(x):
    x = x.copy()
    x[17, 1] = np.nan
    return x


def minus_one(x):
    weight = np.ones(len(x))
    weight[3] = -1
    return weight


def main(group):
    jax.config.update("jax_numpy_rank_promotion", "raise")
    assert jax.device_count() == 8
    failed = 0
    for function in GROUPS[group]:
        try:
            function()
        except Exception:
            failed += 1
            about = function.__defaults__ or ""
            print(f"--- {function.__name__} {about}\n{traceback.format_exc()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
