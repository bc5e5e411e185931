"""Seconds from data to within 1e-6 nats a row of the best known log-likelihood, starts included.

    python benchmarks/time_to_optimum.py [--sequences 3] [--limit 10] [--search 15] [--case NAME ...] [--quick]

An attempt is a fit from a given number of starts, the same for all libraries. A library makes attempts with one seed
after the other until one reaches the target. The seconds of all attempts count; compilation and scoring do not. The
medians over sequences of seeds are compared. A sequence that has not reached the target after ``--limit`` seconds is a
failure and stays in the table. The best known log-likelihood is the highest sound one (see `optima.py`) of a search
from many starts, run to convergence, and of all attempts. If an attempt beats the search, the target rises, and
sequences that now fall short continue.

Both libraries add 1e-6 to variances, scikit-learn's default, so that they converge to the same points. jaxgmm stops by
its own rule at tol=1e-7. scikit-learn's rule looks at the last gain alone. So its attempt starts at tol=1e-3 and is
continued by warm starts, each at a tenth of the tolerance before, until it is near enough, has made 5000 updates, or
could not cover the distance by 10,000 gains of the size of the tolerance. jaxgmm gets no such help. scikit-learn runs
at its best thread setting. Its starts are by k-means, jaxgmm's by k-means++ unless a row says otherwise.

The image comes with scikit-learn. Reading it needs pillow (pip install pillow); without it the case is not run.
"""

import argparse
import dataclasses
import functools
import json
import statistics
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from common import CORES, RESULTS, machine, timed, timed_warm, write
from optima import NOTHING, best_threads, digits, faithful, found_by_jaxgmm, found_by_sklearn, sklearn_fit
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import jaxgmm

WITHIN = 1e-6  # nats a row
FIRST, LAST, FALL = 1e-3, 1e-12, 10  # tolerances of scikit-learn
MOST = 5000  # its updates in an attempt
RATIO = 1e4  # gains of the last size that may be left to go
INITS = ("k-means++", "kmeans", "random")
QUICK = ("overlapping", "faithful")
PRIOR = jaxgmm.GaussianPrior(reg_covar=1e-6)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    x: np.ndarray
    k: int
    family: str
    starts: int  # an attempt


def blobs(n, d, k, distance):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(k, d, d)))[0] * rng.uniform(0.5, 2, size=(k, d, 1))
    means, label = rng.normal(size=(k, d)) * distance, rng.integers(k, size=n)
    x = np.empty((n, d))
    for component in range(k):
        rows = label == component
        x[rows] = means[component] + rng.normal(size=(rows.sum(), d)) @ axes[component]
    return x


def pixels(step):
    image = datasets.load_sample_image("china.jpg")[::step, ::step]
    return image.reshape(-1, 3) / 255


def cases(quick):
    """{name: a function that makes the case}: an image may be missing."""
    n, step = (4000, 32) if quick else (50_000, 4)
    return {
        "synthetic": lambda: Case("synthetic", blobs(n, 20, 16, 0.8), 16, "full", 1),
        "overlapping": lambda: Case("overlapping", blobs(n // 5, 3, 4, 1.5), 4, "full", 10),
        "digits": lambda: Case("digits", digits(16), 10, "diag", 10),
        "image": lambda: Case("image", pixels(step), 5, "full", 5),
        "faithful": lambda: Case("faithful", faithful(), 3, "full", 10),
    }


def fit(case, seed, n_init, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        result = jaxgmm.fit(seed, case.x, case.k, family=case.family, n_init=n_init, prior=PRIOR, **options)
    return jax.block_until_ready(result)


def ours(accelerate, init, case, seed, best):
    options = {"accelerate": accelerate, "init": init, "tol": 1e-7, "max_iter": MOST}
    seconds, result = timed_warm(functools.partial(fit, **options), case, seed, case.starts)
    return seconds, found_by_jaxgmm(case.x, case.family, result)


def theirs(case, seed, best):
    model = GaussianMixture(
        case.k, covariance_type=case.family, n_init=case.starts, random_state=seed, warm_start=True, tol=FIRST,
        max_iter=MOST,
    )  # fmt: skip
    spent, updates, found = 0.0, 0, NOTHING
    while model.tol >= LAST and updates < MOST:
        seconds, done = timed(sklearn_fit, model, case.x)
        spent += seconds
        if done is None:
            return spent, NOTHING
        found = found_by_sklearn(case.x, case.family, model)
        updates += found.n_iter
        missing = best - found.value
        if missing <= WITHIN or missing > RATIO * model.tol:
            break
        model.set_params(tol=model.tol / FALL, max_iter=max(MOST - updates, 1))
    return spent, dataclasses.replace(found, n_iter=updates)


CONTENDERS = {
    "jaxgmm, squarem": functools.partial(ours, "squarem", "k-means++"),
    "jaxgmm, none": functools.partial(ours, "none", "k-means++"),
    "jaxgmm, squarem, kmeans": functools.partial(ours, "squarem", "kmeans"),
    "scikit-learn": theirs,
}


def search(case, seconds):
    """The best sound log-likelihood a row found in this time from many starts, polished."""
    best, value, began, seed = None, -np.inf, time.perf_counter(), 0
    while seed < len(INITS) or time.perf_counter() - began < seconds:
        result = fit(case, 10**6 + seed, case.starts, init=INITS[seed % len(INITS)], max_iter=MOST)
        found = found_by_jaxgmm(case.x, case.family, result)
        if found.sound and found.value > value:
            best, value = result, found.value
        seed += 1
    if best is None:
        return -np.inf
    polished = fit(case, 0, 1, init=best.mixture, tol=1e-10, max_iter=MOST)
    return max(value, found_by_jaxgmm(case.x, case.family, polished).value)


def go_on(run, attempt, case, best, first_seed, limit):
    """Add attempts to a sequence until one reaches the target, or time is up."""
    while time_to(run, best) is None and sum(seconds for seconds, _ in run) < limit:
        run.append(attempt(case, first_seed + len(run), best))


def time_to(run, best):
    """Seconds of a sequence up to the first attempt within reach of the best; None where there is none."""
    spent = 0.0
    for seconds, found in run:
        spent += seconds
        if found.sound and found.value >= best - WITHIN:
            return spent
    return None


def run_case(case, sequences, limit, seconds):
    threads = best_threads(case.x, case.k, case.family, timed, CORES)
    limits = dict.fromkeys(CONTENDERS, CORES) | {"scikit-learn": threads}
    best = search(case, seconds)
    runs = {(name, i): [] for i in range(sequences) for name in CONTENDERS}
    for name, attempt in CONTENDERS.items():
        if name != "scikit-learn":
            attempt(case, 0, best)  # compiles
    while True:
        for (name, i), run in runs.items():
            with threadpool_limits(limits[name]):
                go_on(run, CONTENDERS[name], case, best, 1000 * (i + 1), limit)
        highest = max((found.value for run in runs.values() for _, found in run if found.sound), default=best)
        if highest <= best + WITHIN:
            break
        print(f"{case.name}: an attempt ended {highest - best:.1e} above the search: the target rises", flush=True)
        best = highest
    size = {"name": case.name, "shape": case.x.shape, "k": case.k, "family": case.family, "starts": case.starts}
    contenders = {name: summed([run for (who, _), run in runs.items() if who == name], best) for name in CONTENDERS}
    done = {**size, "best": best, "threads": threads, "contenders": contenders}
    print_case(done)
    return done


def summed(runs, best):
    """The median counts a sequence that failed as longer than any that did not."""
    times = [time_to(run, best) for run in runs]
    median = statistics.median_high([np.inf if seconds is None else seconds for seconds in times])
    return {
        "seconds": float(median) if np.isfinite(median) else None,
        "reached": sum(seconds is not None for seconds in times),
        "times": times,
        "attempts": [len(run) for run in runs],
        "spent": sum(seconds for run in runs for seconds, _ in run),
        "short": min((best - found.value for run in runs for _, found in run if found.sound), default=None),
    }


def print_case(case):
    n, d = case["shape"]
    print(
        f"\n{case['name']}: {n} x {d}, K={case['k']}, {case['family']}, {case['starts']} starts an attempt; "
        f"best {case['best']:.7f} nats a row"
    )
    base = case["contenders"]["jaxgmm, squarem"]["seconds"]
    for name, one in case["contenders"].items():
        threads = f" ({case['threads']} threads)" if name == "scikit-learn" else ""
        nearest = "nothing sound" if one["short"] is None else f"nearest {one['short']:.1e} short"
        text = f"failed: {nearest} after {one['spent']:.0f} s"
        if one["seconds"] is not None:
            ratio = f", {one['seconds'] / base:.1f} times squarem's" if base and name != "jaxgmm, squarem" else ""
            text = f"{one['seconds']:8.3f} s{ratio}"
        reached = f"reached in {one['reached']} of {len(one['times'])}, attempts {one['attempts']}"
        print(f"  {name + threads:26s} {text}   {reached}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=3, help="of seeds (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=10, help="seconds a sequence may take (default: %(default)s)")
    parser.add_argument("--search", type=float, default=15, help="seconds to look for the best (default: %(default)s)")
    parser.add_argument("--case", nargs="+", choices=list(cases(False)), help="default: all")
    parser.add_argument("--quick", action="store_true", help="small data, one sequence: a smoke run")
    parser.add_argument("--output", type=Path, default=RESULTS / "time_to_optimum.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    size = (1, 1.0, 1.0) if args.quick else (args.sequences, args.limit, args.search)
    done = []
    for name, make in cases(args.quick).items():
        if name not in (args.case or (QUICK if args.quick else name)):
            continue
        try:
            case = make()
        except ImportError as error:
            print(f"\n{name}: not run, {error}")
            done.append({"name": name, "not_run": str(error)})
            continue
        done.append(run_case(case, *size))
        jax.clear_caches()
    write(args.output, about, done)


if __name__ == "__main__":
    main()
