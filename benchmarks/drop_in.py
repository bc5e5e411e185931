"""The jobs of scikit-learn's own examples of Gaussian mixtures, with one import line changed.

    python benchmarks/drop_in.py [--output FILE]

Every job is written once, as a function of the class that it fits, and runs with scikit-learn's and with
`jaxgmm.sklearn.GaussianMixture`: four covariance structures of 100 rows; a grid search over 24 models by BIC; four ways
to begin on 4,000 rows; a density on a grid; ten components on a sine curve. Printed are seconds of a first call
(compilation included), of the calls after it, and whether both came to the same: the adjusted Rand index of their
labels; for the density, of its logarithm in whole nats. Where starts are drawn, each draws its own.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path

import numpy as np
from common import RESULTS, machine, timed, write
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV

import jaxgmm.sklearn

CLASSES = {"jaxgmm": jaxgmm.sklearn.GaussianMixture, "scikit-learn": GaussianMixture}
STRUCTURES = ("spherical", "diag", "tied", "full")
ROUNDS, IN_A_ROW = 5, 5


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
    grid = {"n_components": range(1, 7), "covariance_type": STRUCTURES}
    search = GridSearchCV(mixture(random_state=0), grid, scoring=lambda model, x: -model.bic(x))
    x = two_groups()
    search.fit(x)
    return [search.predict(x)]


def initialisation(mixture):
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


JOBS = (covariances, selection, initialisation, density, curve)


def run_job(job):
    first, again, found = {}, {name: [] for name in CLASSES}, {}
    for name, mixture in CLASSES.items():
        first[name], found[name] = timed(job, mixture)
    for _ in range(ROUNDS):
        for name, mixture in CLASSES.items():
            job(mixture)  # threads of the other class still spin for some milliseconds: not counted
            again[name] += [timed(job, mixture)[0] for _ in range(IN_A_ROW)]
    same = [adjusted_rand_score(*pair) for pair in zip(*found.values(), strict=True)]
    median = {name: statistics.median(times) for name, times in again.items()}
    ratio = median["scikit-learn"] / median["jaxgmm"]
    print(
        f"{job.__name__:15s} first {first['jaxgmm']:6.2f} s against {first['scikit-learn']:.2f}, then "
        f"{1e3 * median['jaxgmm']:7.1f} ms against {1e3 * median['scikit-learn']:.1f} ({ratio:.1f}); "
        f"Rand index {', '.join(f'{each:.3f}' for each in same)}",
        flush=True,
    )
    return {"job": job.__name__, "first": first, "again": again, "ratio": ratio, "adjusted_rand": same}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS / "drop_in.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_iter=0 and 20 are the examples' own
        write(args.output, about, [run_job(job) for job in JOBS])


if __name__ == "__main__":
    main()
