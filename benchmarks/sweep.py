"""Choosing a model of Old Faithful: K = 1..9, four covariance structures, 20 starts each, against a scikit-learn loop.

    python benchmarks/sweep.py [--components 9] [--starts 20] [--output FILE]

Measured are the whole process with import (for jaxgmm once with an empty compilation cache and once with a filled one),
and the sweep alone after everything is compiled. scikit-learn stops at tol=1e-6, at which its log-likelihoods are about
those of jaxgmm's default. For both libraries the number of cells that are worse than the other's by more than 1e-3 nats
per row is printed. Cells in which jaxgmm's fit did not converge, most often because it is degenerate, are left out of
that count: scikit-learn accepts collapsed fits.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from common import RESULTS, machine, timed, write

import jaxgmm

DATA = Path(__file__).parents[1] / "examples" / "data" / "faithful.csv"
FAMILIES = ("full", "tied", "diag", "spherical")


def rows():
    return np.loadtxt(DATA, delimiter=",", skiprows=1)


def jaxgmm_sweep(x, components, starts):
    """{(family, K): (log-likelihood, status)}."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        selection = jaxgmm.select(0, x, range(1, components + 1), n_init=starts)
    return {(row["family"], row["n_components"]): (row["log_likelihood"], row["status"]) for row in selection.table}


def sklearn_sweep(x, components, starts):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for family in FAMILIES:
            for k in range(1, components + 1):
                options = {"n_init": starts, "tol": 1e-6, "max_iter": 1000, "random_state": 0}
                model = GaussianMixture(k, covariance_type=family, **options)
                found[family, k] = (float(model.fit(x).score(x)) * len(x), "CONVERGED")
    return found


SWEEPS = {"jaxgmm": jaxgmm_sweep, "scikit-learn": sklearn_sweep}


def process(name, components, starts, cache):
    """Seconds of a whole process that imports, reads and sweeps."""
    command = [sys.executable, __file__, "--only", name, "--components", str(components), "--starts", str(starts)]
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--components", type=int, default=9)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULTS / "sweep.json")
    parser.add_argument("--only", choices=SWEEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    size = args.components, args.starts
    x = rows()
    if args.only:
        SWEEPS[args.only](x, *size)
        return
    about = machine()
    print(json.dumps(about, indent=1))
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (process("jaxgmm", *size, cache) for _ in range(2))
        loop = process("scikit-learn", *size, cache)
    jaxgmm_sweep(x, *size)
    run, ours = timed(jaxgmm_sweep, x, *size)
    run_loop, theirs = timed(sklearn_sweep, x, *size)
    good = [cell for cell, (_, status) in ours.items() if status == "CONVERGED"]
    short = {
        "jaxgmm": sum(ours[cell][0] < theirs[cell][0] - 1e-3 * len(x) for cell in good),
        "scikit-learn": sum(theirs[cell][0] < ours[cell][0] - 1e-3 * len(x) for cell in good),
    }
    case = {
        "cells": len(ours),
        "compared": len(good),
        "starts": args.starts,
        "process_cold": cold,
        "process_warm": warm,
        "process_loop": loop,
        "run": run,
        "run_loop": run_loop,
        "cells_short_of_the_other": short,
    }
    print(f"\n{len(ours)} cells x {args.starts} starts on {len(x)} rows")
    ratios = f"{loop / cold:.1f} and {loop / warm:.1f}"
    print(f"  whole process   jaxgmm {cold:.1f} s cold, {warm:.1f} s warm; loop {loop:.1f} s: {ratios}")
    print(f"  compiled        jaxgmm {run:.2f} s; loop {run_loop:.1f} s: {run_loop / run:.1f}")
    print(f"  cells short of the other by 1e-3 nats a row, of {len(good)}: {short}")
    write(args.output, about, [case])


if __name__ == "__main__":
    main()
