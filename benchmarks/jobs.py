"""Whole jobs as people run them: one call on their data in a fresh process, by jaxgmm and by scikit-learn.

    python benchmarks/jobs.py [--job NAME ...] [--seeds 5] [--output FILE]

Every job runs in a process of its own for each contender: jaxgmm's function (`fit`, or `select` over many K), its
estimator, and scikit-learn's at the better of two thread settings (one thread for each core, and one thread). All have
default arguments except those that the job names. A process prints the seconds of the import, of the first call, and of
later calls with other seeds (their median), and the mean log-likelihood per row (the median over seeds). scikit-learn
and jaxgmm's estimator stop at tol=1e-3, a change of the bound; jaxgmm's function stops within 1e-6 of the limit. Rows
are drawn from overlapping normals with axes of mixed lengths and directions, in float64 unless the job says otherwise.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
WHO = "function", "estimator", "scikit-learn"


@dataclasses.dataclass(frozen=True)
class Job:
    """Rows (n, d) of k clusters, and what is asked of them: numbers of components, starts, covariance structures."""

    n: int
    d: int
    k: int
    starts: int = 1
    families: tuple = ("full",)
    ks: tuple = ()
    dtype: str = "float64"


JOBS = {
    "1,000 x 4, K = 3": Job(1000, 4, 3),
    "5,000 x 8, K = 6": Job(5000, 8, 6),
    "20,000 x 10, K = 8": Job(20_000, 10, 8),
    "20,000 x 10, K = 8, ten starts": Job(20_000, 10, 8, starts=10),
    "50,000 x 20, K = 16": Job(50_000, 20, 16),
    "50,000 x 20, K = 16, float32": Job(50_000, 20, 16, dtype="float32"),
    "200,000 x 8, K = 10": Job(200_000, 8, 10),
    "200,000 x 8, K = 10, ten starts": Job(200_000, 8, 10, starts=10),
    "1,000,000 x 3, K = 5": Job(1_000_000, 3, 5),
    "10,000 x 50, K = 10, diag": Job(10_000, 50, 10, families=("diag",)),
    "5,000 x 5, K = 1..8": Job(5000, 5, 5, ks=tuple(range(1, 9))),
    "20,000 x 10, K = 2..12, eight starts, float32": Job(
        20_000, 10, 8, starts=8, ks=tuple(range(2, 13)), dtype="float32"
    ),
    "500 x 3, K = 1..8, four structures, five starts": Job(
        500, 3, 4, starts=5, families=("full", "tied", "diag", "spherical"), ks=tuple(range(1, 9))
    ),
}


def rows(job: Job):
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(job.k, job.d)) * 2, rng.choice(job.k, job.n, p=rng.dirichlet(np.full(job.k, 5.0)))
    x = np.empty((job.n, job.d))
    for c in range(job.k):
        mine = labels == c
        axes = np.linalg.qr(rng.normal(size=(job.d, job.d)))[0] * rng.uniform(0.3, 2, size=(job.d, 1))
        x[mine] = means[c] + rng.normal(size=(mine.sum(), job.d)) @ axes
    return x.astype(job.dtype)


def function(job: Job, x):
    import jaxgmm

    def call(seed):
        if job.ks:
            return float(jaxgmm.select(seed, x, job.ks, families=job.families, n_init=job.starts).best.log_likelihood)
        return float(jaxgmm.fit(seed, x, job.k, family=job.families[0], n_init=job.starts).log_likelihood)

    return lambda seed: call(seed) / len(x)


def of_class(job: Job, x, kind):
    def call(seed):
        options = {"n_init": job.starts, "random_state": seed}
        fitted = [
            kind(k, covariance_type=family, **options).fit(x) for family in job.families for k in job.ks or (job.k,)
        ]
        return min(fitted, key=lambda model: model.bic(x)) if job.ks else fitted[0]

    return lambda seed: float(call(seed).score(x))


def contender(who: str, job: Job, x):
    if who == "function":
        return function(job, x)
    if who == "estimator":
        from jaxgmm.sklearn import GaussianMixture
    else:
        from sklearn.mixture import GaussianMixture
    return of_class(job, x, GaussianMixture)


def here(who: str, name: str, seeds: int):
    """One contender's job in this process; prints what it took."""
    warnings.simplefilter("ignore")
    job = JOBS[name]
    x = rows(job)
    began = time.perf_counter()
    call = contender(who, job, x)
    imported, seconds, values = time.perf_counter() - began, [], []
    for seed in range(seeds):
        began = time.perf_counter()
        values.append(call(seed))
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"import": imported, "first": seconds[0], "next": seconds[1:], "values": values}))


def measured(who: str, name: str, seeds: int):
    """The same in a process of its own, at the better thread setting where scikit-learn is to have the best."""
    settings = [{}, {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}] if who == "scikit-learn" else [{}]
    answers = []
    for threads in settings:
        command = [sys.executable, __file__, "--only", who, "--job", name, "--seeds", str(seeds)]
        process = subprocess.run(command, env={**os.environ, **threads}, check=True, capture_output=True, text=True)
        answers.append(json.loads(process.stdout.splitlines()[-1]))
    return min(answers, key=lambda answer: answer["first"] + sum(answer["next"]))


def kept(path: Path) -> list:
    """What an earlier run measured: jobs that this one leaves out stay as they are."""
    return json.loads(path.read_text())["cases"] if path.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "jobs.json")
    parser.add_argument("--only", choices=WHO, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        here(args.only, args.job[0], args.seeds)
        return
    from common import machine, write

    about, cases = machine(), kept(args.output)
    print(json.dumps(about, indent=1))
    print("\nseconds of the first call / of the next ones [median log-likelihood a row]")
    for name in args.job:
        case = {"job": name} | {who: measured(who, name, args.seeds) for who in WHO}
        cases = [other for other in cases if other["job"] != name] + [case]
        words = [
            f"{who} {case[who]['first']:.2f} / {statistics.median(case[who]['next']):.2f}"
            f" [{statistics.median(case[who]['values']):.4f}]"
            for who in WHO
        ]
        print(f"{name:48s}" + "   ".join(words), flush=True)
        write(args.output, about, sorted(cases, key=lambda case: list(JOBS).index(case["job"])))


if __name__ == "__main__":
    main()
