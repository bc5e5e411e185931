"""What a fit is said to take, against what its programs take."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import jaxgmm
from jaxgmm import em
from jaxgmm.cli.main import main
from jaxgmm.init import draws, states
from jaxgmm.search import stages
from jaxgmm.search.loading import Options, family_of, load
from jaxgmm.search.problem import iterated


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an account of XLA's compiler for CPUs")
@pytest.mark.parametrize("family", ["full", "poisson"])
def test_a_plan_is_near_what_the_compiler_sets_aside(family):
    n, d, k, r = 20_000, 6, 8, 8
    x = np.random.default_rng(0).poisson(5, (n, d)).astype(np.float32)
    found = family_of(family, x)
    plan = jaxgmm.plan(n, d, k, family, n_init=r, dtype=np.float32)
    prior = jaxgmm.GaussianPrior(reg_relative=1e-9)
    [problem] = load(x, None, k, [(found, prior)], Options(1e-6, 100, "none", "exhaustive"))
    active = np.ones((1, k), bool)
    problem = dataclasses.replace(problem, rows=problem.rows.cut(found.moments, k, plan.together))
    assert problem.rows.block == plan.block_size
    start = draws.Start("random", r, jax.random.key(0, impl="threefry2x32"), active)
    search = stages.begin(problem, states.begin(problem, start), active)
    assert len(search.queue.held) == plan.together
    rest = dataclasses.replace(problem, rows=None)
    lowered = iterated.lower(problem.rows, rest, search, int(search.form), em.NEVER)
    taken = lowered.compile().memory_analysis().temp_size_in_bytes
    assert 0.2 < (plan.working + plan.lanes) / taken < 5
    assert plan.data == problem.rows.x.nbytes + problem.rows.weight.nbytes  # as they are filled up
    assert plan.memory > plan.data


def test_work_is_that_of_the_products():
    features = 1 + 16 + 16 * 17 // 2  # constant, linear, quadratic
    plan = jaxgmm.plan(196_608, 16, 32, n_init=3, dtype="float32")
    assert plan.flops == pytest.approx(4 * 196_608 * 32 * features * 3, rel=0.02)
    assert jaxgmm.plan(196_608, 16, 32, n_init=3, dtype="float32", devices=4).flops == plan.flops / 4


def test_what_streams_does_not_grow_with_the_rows():
    small, large = (jaxgmm.plan(n, 50, 64, dtype="float32", streams=True) for n in (10**8, 10**10))
    assert small.memory == large.memory < 10**9
    assert "passes   5 before the first update" in str(large)


def test_bad_sizes_are_named():
    for name, values in {"n": (0, 5, 2), "d": (10, 0, 2), "n_components": (10, 5, 0)}.items():
        with pytest.raises(ValueError, match=f"^{name} must be an integer >= 1, got 0"):
            jaxgmm.plan(*values)
    with pytest.raises(ValueError, match="family"):
        jaxgmm.plan(10, 5, 2, "normal")


def test_a_dry_run_says_it_and_fits_nothing(capsys, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 3)))
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    assert main(["fit", str(tmp_path), "--dry-run", "--components", "1:4", "--family", "full,diag"]) == 0
    out = capsys.readouterr().out
    assert "full, K = 4: 100 x 3 float64, 10 starts" in out and "diag, K = 4" in out


def test_a_dry_run_is_one_json_object_where_that_is_asked_for(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 3)))
    assert main(["fit", str(tmp_path), "--dry-run", "--json", "--components", "1:4", "--family", "full,diag"]) == 0
    full, diag = json.loads(capsys.readouterr().out)["plans"]
    plan = jaxgmm.plan(100, 3, 4, "diag", n_init=10, streams=True)
    assert diag.pop("seconds_per_update") >= 0
    assert diag == {**vars(plan), "memory": plan.memory} and full["family"] == "full"
