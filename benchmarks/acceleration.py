"""What acceleration saves: E-steps and seconds of `accelerate="squarem"` against plain EM, to the same tolerance.

    python benchmarks/acceleration.py [--seeds 3] [--output FILE]

Ten starts for each fit, tol = 1e-6, without compilation, both from the same starts. A ratio above 1 means that squarem
needs less. Mean log-likelihoods per row are kept too: from one start the two may end in different optima.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path

import numpy as np
from common import RESULTS, machine, timed, write
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA

import jaxgmm

DATA = Path(__file__).parents[1] / "examples" / "data" / "faithful.csv"


def blobs(n, d, k, distance):
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d)) * distance
    return means[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def cases():
    faithful = np.loadtxt(DATA, delimiter=",", skiprows=1)
    iris, wine, digits = load_iris().data, load_wine().data, load_digits().data
    return {
        "Old Faithful, full 3": (faithful, 3, "full"),
        "Old Faithful, diag 5": (faithful, 5, "diag"),
        "iris, full 3": (iris, 3, "full"),
        "iris, diag 4": (iris, 4, "diag"),
        "wine, diag 3": (wine, 3, "diag"),
        "wine, tied 4": (wine, 4, "tied"),
        "digits in 8 components, diag 10": (PCA(8, random_state=0).fit_transform(digits), 10, "diag"),
        "blobs 5000 x 3 at distance 1, full 5": (blobs(5000, 3, 5, 1.0), 5, "full"),
        "blobs 5000 x 4 at distance 4, full 5": (blobs(5000, 4, 5, 4.0), 5, "full"),
        "blobs 5000 x 2 at distance 2, spherical 8": (blobs(5000, 2, 8, 2.0), 8, "spherical"),
    }


def run_case(name, x, k, family, seeds):
    def fit(seed, accelerate):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jaxgmm.FitWarning)
            return jaxgmm.fit(seed, x, k, family=family, n_init=10, accelerate=accelerate)

    seconds, ends, updates = {}, {}, {}
    for accelerate in ("none", "squarem"):
        for seed in range(seeds):
            fit(seed, accelerate)  # compiles what any of them needs
    for accelerate in ("none", "squarem"):
        runs = [timed(fit, seed, accelerate) for seed in range(seeds)]
        seconds[accelerate] = sum(run[0] for run in runs)
        ends[accelerate] = [float(run[1].log_likelihood) / len(x) for run in runs]
        updates[accelerate] = [run[1].n_iter for run in runs]
    ratio = seconds["none"] / seconds["squarem"]
    print(
        f"{name:42s} {seconds['none']:7.2f} s plain, {seconds['squarem']:6.2f} s squarem: {ratio:.2f}   updates of the "
        f"best starts {updates['none']} {updates['squarem']}",
        flush=True,
    )
    return {"name": name, "seconds": seconds, "ratio": ratio, "log_likelihood": ends, "updates_of_best": updates}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "acceleration.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    measured = [run_case(name, *case, args.seeds) for name, case in cases().items()]
    ratios = [case["ratio"] for case in measured]
    print(f"\nratio: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}, most {max(ratios):.2f}")
    write(args.output, about, measured)


if __name__ == "__main__":
    main()
