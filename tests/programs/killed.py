"""A fit or a sweep that keeps a checkpoint after every second iteration: what tests kill and start again."""

import sys

import numpy as np

import jaxgmm


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(900, 2)) + 1.2 * rng.integers(3, size=(900, 1))


def work(kind, path, **options):
    options = {"n_init": 4, "tol": 1e-7, "checkpoint": path, "checkpoint_every": 2, "resume": True} | options
    rows = jaxgmm.rows(data(), block_size=400) if kind == "stream" else data()
    if kind == "select":
        sweep = jaxgmm.select(0, rows, (2, 3), families=("diag", "spherical"), **options)
        return [sweep.results, [row["icl"] for row in sweep.table]]
    return jaxgmm.fit(0, rows, 3, family="diag", **options)


if __name__ == "__main__":
    work(*sys.argv[1:])
