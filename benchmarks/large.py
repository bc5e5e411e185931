"""Many starts and many K of large data: (50,000, 8, 10) from 32 starts, and (50,000, 20) with K = 1..20 from 10 each.

    python benchmarks/large.py [--quick] [--output FILE]

Starts: iterations of one start per second, with 32 starts at once, against scikit-learn's starts one after the other;
plain EM, tol=0, float32, compiled. Sweep: the whole process with import and compilation, float32, against a
scikit-learn loop. The loop is timed on every fourth K with one start and scaled up (by five for the K, by ten for the
starts), at a tolerance of 1e-5, at which its log-likelihoods are near jaxgmm's; both are printed. scikit-learn runs at
its best thread setting.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from common import CORES, RESULTS, machine, timed, write
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import jaxgmm

TOLERANCE = 1e-5  # of scikit-learn
EVERY = 4


def rows(n, d, k):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(k, d, d)))[0] * rng.uniform(0.5, 2, size=(k, d, 1))
    label, means = rng.integers(k, size=n), 1.5 * rng.normal(size=(k, d))
    return (means[label] + np.einsum("nd,nde->ne", rng.normal(size=(n, d)), axes[label])).astype(np.float32)


def quiet(call, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*args)


def best_threads(call):
    seconds = {}
    for threads in sorted({1, CORES}):
        with threadpool_limits(threads):
            seconds[threads] = timed(call)[0]
    return min(seconds, key=seconds.get)


def start_rate(n, starts, rounds=3):
    """Iterations of a start a second: ours of many starts at once, theirs."""
    x, k, short, long = rows(n, 8, 10), 10, 5, 25

    def ours(updates):
        return jaxgmm.fit(0, x, k, n_init=starts, tol=0, max_iter=updates, compiled=True)

    def theirs(updates):
        return quiet(GaussianMixture(k, tol=0, max_iter=updates, random_state=0, init_params="k-means++").fit, x)

    ours(short), ours(long)
    threads, rates = best_threads(lambda: theirs(3)), {"jaxgmm": [], "scikit-learn": []}
    for _ in range(rounds):
        spent = timed(ours, long)[0] - timed(ours, short)[0]
        rates["jaxgmm"].append(starts * (long - short) / spent)
        with threadpool_limits(threads):
            spent = timed(theirs, long)[0] - timed(theirs, short)[0]
        rates["scikit-learn"].append((long - short) / spent)
    median = {name: statistics.median(each) for name, each in rates.items()}
    ratio = median["jaxgmm"] / median["scikit-learn"]
    print(f"{n} x 8, K=10, {starts} starts: {median} start-iterations a second, ratio {ratio:.1f}", flush=True)
    return {"case": "starts", "n": n, "starts": starts, "rates": rates, "threads": threads, "ratio": ratio}


def sweep(n, most, starts):
    """Every K from 1 to the most, in a process of its own."""
    command = [sys.executable, __file__, "--only", f"{n},{most},{starts}"]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent, ours = time.perf_counter() - started, json.loads(done.stdout)
    x, times, theirs = rows(n, 20, 20), {}, {}
    threads = best_threads(lambda: quiet(GaussianMixture(EVERY, max_iter=3, random_state=0).fit, x))
    for k in range(EVERY, most + 1, EVERY):
        model = GaussianMixture(k, tol=TOLERANCE, max_iter=1000, random_state=0)
        with threadpool_limits(threads):
            times[k] = timed(quiet, model.fit, x)[0]
        theirs[k] = float(model.score(x))
        print(f"  K={k}: scikit-learn {times[k]:.1f} s, {theirs[k]:.5f} a row; jaxgmm {ours[str(k)]:.5f}", flush=True)
    loop = sum(times.values()) * most / len(times) * starts
    print(f"{n} x 20, K=1..{most}, {starts} starts: whole process {spent:.1f} s, loop {loop:.0f} s, {loop / spent:.1f}")
    case = {"case": "sweep", "n": n, "most": most, "starts": starts, "process": spent, "loop": loop}
    return case | {"times": times, "theirs": theirs, "ours": ours, "threads": threads, "ratio": loop / spent}


def select(n, most, starts):
    """Mean log-likelihood of every K."""
    selection = quiet(lambda: jaxgmm.select(0, rows(n, 20, 20), range(1, most + 1), families="full", n_init=starts))
    print(json.dumps({row["n_components"]: row["log_likelihood"] / n for row in selection.table}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small data: a smoke run")
    parser.add_argument("--output", type=Path, default=RESULTS / "large.json")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        select(*map(int, args.only.split(",")))
        return
    about = machine()
    print(json.dumps(about, indent=1))
    n, starts, most, each = (2_000, 8, 8, 4) if args.quick else (50_000, 32, 20, 10)
    write(args.output, about, [start_rate(n, starts), sweep(n, most, each)])


if __name__ == "__main__":
    main()
