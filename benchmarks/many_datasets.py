"""Thousands of data sets at once: `fit_many` against a scikit-learn loop over a sample of them.

    python benchmarks/many_datasets.py [--scale 1.0] [--output FILE]

20,000 one-dimensional fits of 1,000 rows with K = 2; 5,000 ragged windows of up to 500 x 5 with K = 3. float32, tol =
1e-4, one start by k-means for both. The loop is timed on 40 data sets at its best thread setting, and scaled up.
scikit-learn stops at tol = 1e-4 too, but earlier, because its tol bounds the last gain alone; the mean log-likelihoods
per row of the sample are printed.
"""

import argparse
import json
import warnings
from pathlib import Path

import jax
import numpy as np
from common import CORES, RESULTS, machine, timed, write

import jaxgmm

SAMPLE = 40


def numbers(b):
    rng = np.random.default_rng(0)
    second = rng.random((b, 1000)) < rng.uniform(0.3, 0.7, (b, 1))
    x = rng.normal(size=second.shape) + second * rng.uniform(2, 6, (b, 1))
    return x.astype(np.float32)[..., None], np.ones(second.shape, np.float32), 2


def windows(b):
    rng = np.random.default_rng(1)
    label = rng.integers(3, size=(b, 500))
    x = rng.normal(size=(b, 500, 5)) + 2 * rng.normal(size=(b, 3, 5))[np.arange(b)[:, None], label]
    weight = np.arange(500)[None] < rng.integers(200, 501, (b, 1))
    return x.astype(np.float32), weight.astype(np.float32), 3


def loop(x, weight, k):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    ends = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for rows, w in zip(x, weight, strict=True):
            rows = rows[w > 0]
            model = GaussianMixture(k, tol=1e-4, max_iter=1000, random_state=0).fit(rows)
            ends.append(float(model.score(rows)))
    return np.array(ends)


def run_case(name, data):
    from threadpoolctl import threadpool_limits

    x, weight, k = data

    def fit():
        options = {"sample_weight": weight, "tol": 1e-4, "init": "kmeans", "compiled": True}
        return jax.block_until_ready(jaxgmm.fit_many(0, x, k, **options))

    first = timed(fit)[0]
    seconds, result = timed(fit)
    loop(x[:2], weight[:2], k)
    tried = {}
    for threads in sorted({1, CORES}):
        with threadpool_limits(threads):
            tried[threads], ends = timed(loop, x[:SAMPLE], weight[:SAMPLE], k)
    threads = min(tried, key=tried.get)
    scaled = tried[threads] * len(x) / SAMPLE
    ours = np.asarray(result.log_likelihood)[:SAMPLE] / weight[:SAMPLE].sum(axis=1)
    converged = float((np.asarray(result.status) == 0).mean())
    case = {
        "name": name,
        "shape": x.shape,
        "k": k,
        "seconds": seconds,
        "first_call": first,
        "loop": scaled,
        "loop_threads": threads,
        "ratio": scaled / seconds,
        "mean_log_likelihood": {"jaxgmm": float(ours.mean()), "scikit-learn": float(ends.mean())},
        "converged": converged,
    }
    print(
        f"{name} {x.shape}, K = {k}: jaxgmm {seconds:.2f} s ({first:.1f} s the first time), "
        f"loop on {threads} threads {scaled:.0f} s: "
        f"{scaled / seconds:.0f}\n  log-likelihood a row {ours.mean():.5f}, loop {ends.mean():.5f}; "
        f"{converged:.1%} of all converged",
        flush=True,
    )
    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of data sets")
    parser.add_argument("--output", type=Path, default=RESULTS / "many_datasets.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    cases = [
        run_case("numbers", numbers(max(int(20_000 * args.scale), SAMPLE))),
        run_case("windows", windows(max(int(5_000 * args.scale), SAMPLE))),
    ]
    write(args.output, about, cases)


if __name__ == "__main__":
    main()
