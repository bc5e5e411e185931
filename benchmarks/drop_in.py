"""The jobs of scikit-learn's own examples of Gaussian mixtures, with one import line changed.

    python benchmarks/drop_in.py [--output FILE]

Every job is written once, as a function of the class that it fits, and runs with scikit-learn's and with
`jaxgmm.sklearn.GaussianMixture`: four covariance structures of 100 rows; a grid search over 24 models by BIC; four
kinds of start on 4,000 rows; a density on a grid; ten components on a sine curve. The classes run in turns in separate
processes, because the threads of one would disturb the times of the other. Printed are medians of the import, of the
first call of a process (compilation included), and of later calls. The results of both are compared by the adjusted
Rand index of their labels; for the density, of its logarithm rounded to whole nats.
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

STRUCTURES = ("spherical", "diag", "tied", "full")
CLASSES = ("jaxgmm", "scikit-learn")
PROCESSES, IN_A_ROW = 5, 5


def four_groups():
    rng = np.random.default_rng(4)
    parts = [((0, 0), np.eye(2), 30), ((-2, 2), np.diag([1, 5]), 30), ((-3, -2), [[3, 1], [1, 3]], 30)]
    return np.concatenate([rng.multivariate_normal(*part) for part in [*parts, ((5, 0), np.eye(2), 10)]])


def two_groups():
    rng = np.random.default_rng(0)
    stretched = rng.normal(size=(500, 2)) @ np.array([[0, -0.1], [1.7, 0.4]])
    return np.concatenate([stretched, 0.7 * rng.normal(size=(500, 2)) + [-4, 1]])


def far_apart():
    rng = np.random.default_rng(0)
    stretched = rng.normal(size=(300, 2)) @ np.array([[0, -0.7], [3.5, 0.7]])
    return np.concatenate([rng.normal(size=(300, 2)) + 20, stretched])


def sine():
    rng = np.random.default_rng(0)
    t = np.linspace(-6, 4 * np.pi - 6, 100)
    return np.stack([t + rng.normal(0, 0.1, 100), 3 * (np.sin(t) + rng.normal(0, 0.2, 100))], axis=1)


def covariances(mixture):
    x = four_groups()
    models = [mixture(4, covariance_type=each, max_iter=20, random_state=0) for each in STRUCTURES]
    return [model.fit(x).predict(x) for model in models]


def selection(mixture):
    from sklearn.model_selection import GridSearchCV

    grid = {"n_components": range(1, 7), "covariance_type": STRUCTURES}
    search = GridSearchCV(mixture(random_state=0), grid, scoring=lambda model, x: -model.bic(x))
    x = two_groups()
    search.fit(x)
    return [search.predict(x)]


def initialisation(mixture):
    from sklearn.datasets import make_blobs

    x = make_blobs(4000, centers=4, cluster_std=0.6, random_state=0)[0][:, ::-1]
    labels = []
    for init in ("kmeans", "random_from_data", "k-means++", "random"):
        start = mixture(4, init_params=init, tol=1e-9, max_iter=0, random_state=1234).fit(x).means_
        labels.append(mixture(4, means_init=start, tol=1e-9, max_iter=2000, random_state=1234).fit(x).predict(x))
    return labels


def density(mixture):
    x, grid = far_apart(), np.stack(np.meshgrid(np.linspace(-20, 30), np.linspace(-20, 40)), axis=-1).reshape(-1, 2)
    model = mixture(2, covariance_type="full", random_state=0).fit(x)
    return [model.predict(x), np.digitize(model.score_samples(grid), range(-50, 0))]


def curve(mixture):
    x = sine()
    return [mixture(10, covariance_type="full", random_state=0).fit(x).predict(x)]


JOBS = {job.__name__: job for job in (covariances, selection, initialisation, density, curve)}


def in_this_process(job: str, name: str) -> dict:
    """Seconds of one class at one job, and the labels it finds."""

    def timed(call, *args):
        begin = time.perf_counter()
        return call(*args), time.perf_counter() - begin

    begin = time.perf_counter()
    if name == "jaxgmm":
        from jaxgmm.sklearn import GaussianMixture
    else:
        from sklearn.mixture import GaussianMixture
    imported, job = time.perf_counter() - begin, JOBS[job]
    labels, first = timed(job, GaussianMixture)
    again = [timed(job, GaussianMixture)[1] for _ in range(IN_A_ROW)]
    return {"import": imported, "first": first, "again": again, "labels": [each.tolist() for each in labels]}


def in_turns(job: str) -> dict:
    """What `in_this_process` says in fresh processes of either class."""
    from sklearn.metrics import adjusted_rand_score

    said = {name: [] for name in CLASSES}
    for _ in range(PROCESSES):
        for name in CLASSES:
            command = [sys.executable, __file__, "--job", job, "--of", name]
            said[name].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    found = [said[name][0]["labels"] for name in CLASSES]
    same = [adjusted_rand_score(*pair) for pair in zip(*found, strict=True)]
    row = {"job": job, "adjusted_rand": same}
    for what in ("import", "first", "again"):
        times = {name: [time for one in said[name] for time in np.atleast_1d(one[what])] for name in CLASSES}
        row[what] = times
        row[f"{what}_ratio"] = statistics.median(times["scikit-learn"]) / statistics.median(times["jaxgmm"])
    shown = [f"{what} {_both(row[what])} ({row[f'{what}_ratio']:.1f})" for what in ("import", "first", "again")]
    print(f"{job:15s} {', '.join(shown)}; Rand index {', '.join(f'{each:.3f}' for each in same)}", flush=True)
    return row


def _both(times) -> str:
    ours, theirs = (1e3 * statistics.median(times[name]) for name in CLASSES)
    return f"{ours:.1f} ms against {theirs:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--job", choices=JOBS, help="run this one job here, and print what came of it")
    parser.add_argument("--of", choices=CLASSES, help="the class that it fits")
    args = parser.parse_args()
    if args.job:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # max_iter=0 and 20 are the examples' own
            print(json.dumps(in_this_process(args.job, args.of)))
        return
    from common import RESULTS, machine, write  # imports jaxgmm, whose import a child times

    about = machine()
    print(json.dumps(about, indent=1))
    write(args.output or RESULTS / "drop_in.json", about, [in_turns(job) for job in JOBS])


if __name__ == "__main__":
    main()
