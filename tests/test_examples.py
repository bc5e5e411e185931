"""What a newcomer runs first does what it says: every example, README's lines, the benchmark at a small size."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
SAYS = {
    "textbook.py": ["2.057    2.009    2.934", "28.325536", "14.410485", "13.977058", "13.9733227638  (converged)"],
    "two_dimensional.py": ["start: log-likelihood", "after 1 iteration:", "after 10 iterations:", "converged after"],
    "restart_landscape.py": ["the best log-likelihood is -1126.31", "starts reach the best"],
    "bernoulli_digits.py": ["mostly 0", "of the digits are in a cluster that is mostly their own"],
    "embedding.py": ["before update 59", "free weights", "equal weights"],
    "lecture_figures.py": ["seven_numbers.png", "in_the_plane.png", "negative_log_likelihood.png"],
    "optax_density.py": ["step   0: mean log-likelihood", "(the data were made with 0)"],
    "influence.py": ["infinitesimal jackknife: 0.60 min", "correlation over all rows: 0.9998", "influence.png"],
    "learned_weights.py": ["step  0       -3.412          0.50        0.50", "step 40       -2.93", "no fault"],
    "mixture_layer.py": ["step  0: loss 0.931, of the rows without a label 59% right", "step 15: loss 0.00"],
    "tuned_prior.py": ["step 25: reg_covar 0.084, log density -8.2212", "reg_covar 0.080, log density -8.2213"],
    "many_datasets.py": ["1000 fits of 200 rows", "distance of the means"],
}


def run(*command, timeout=300):
    """Standard output of a Python command at the root of the project, warnings being errors."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if jax.config.jax_compilation_cache_dir:
        env["JAX_COMPILATION_CACHE_DIR"] = jax.config.jax_compilation_cache_dir
    command = [sys.executable, "-W", "error", *map(str, command)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SAYS)


@pytest.mark.short(name=["textbook.py"])
@pytest.mark.parametrize("name", SAYS)
def test_the_example_runs_and_says(name):
    printed = run(ROOT / "examples" / name)
    for words in SAYS[name]:
        assert words in printed


def test_readme_prints_what_it_shows(tmp_path):
    readme = (ROOT / "README.md").read_text()
    lines, shown = zip(*re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", readme, re.S), strict=True)
    assert len(lines) == 2
    script = tmp_path / "lines.py"
    script.write_text("".join(lines))
    assert run(script) == "".join(shown)


@pytest.mark.long
def test_the_benchmark_runs_at_a_small_size(tmp_path):
    out = tmp_path / "iteration.json"
    command = [ROOT / "benchmarks" / "iteration.py", "--sizes", "2000,3,4", "--dtype", "float64", "--rounds", "1"]
    printed = run(*command, "--output", out)
    assert "ratio" in printed
    for case in json.loads(out.read_text())["cases"]:
        ends = [contender["log_likelihood"] for contender in case["contenders"].values()]
        assert max(ends) - min(ends) < 1e-4
