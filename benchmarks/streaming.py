"""Rows from disk against the same rows in memory: 20 million x 16 float32, full covariances, K = 8, 2 cores.

    python benchmarks/streaming.py [--quick] [--output FILE]

Measured are the rows per second of an iteration and the peak memory above that after the imports, in memory and from
the file, and the same for `numpy.load` of the file alone (`read`). Each is measured in a process of its own, in turns.
The time of an iteration is the difference between long and short runs of plain EM. The file is written just before, and
is in the system's cache as far as memory allows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RESULTS, machine, write

import jaxgmm

K, D, SHORT, LONG = 8, 16, 1, 6
ROUNDS = 3


def rows(rng, n):
    means = 2.0 * np.random.default_rng(1).normal(size=(K, D))
    return (means[rng.integers(K, size=n)] + rng.normal(size=(n, D))).astype(np.float32)


def save(path, n, block=2**20):
    table = np.lib.format.open_memmap(path, "w+", np.float32, (n, D))
    rng = np.random.default_rng(0)
    for start in range(0, n, block):
        table[start : start + block] = rows(rng, min(block, n - start))
    table.flush()


def start():
    """One mixture for all contenders."""
    means = 2.0 * np.random.default_rng(2).normal(size=(K, D)).astype(np.float32)
    shape = [np.eye(D, dtype=np.float32)] * K
    return jaxgmm.mixture("full", weights=np.full(K, 1 / K, np.float32), means=means, covariances=shape)


def peak() -> int:
    """The most memory that this process has had; what `getrusage` says would count its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def child(kind, path):
    """What one contender needs, as JSON."""
    began = peak()
    clock = time.perf_counter()
    if kind == "read":
        np.load(path)
        print(json.dumps({"seconds": time.perf_counter() - clock, "memory": peak() - began}))
        return
    x = jaxgmm.rows(path) if kind == "stream" else np.load(path)
    init, seconds = start(), []
    for updates in (0, SHORT, LONG):  # the first compiles
        clock = time.perf_counter()
        result = jaxgmm.fit(0, x, K, init=init, tol=0, max_iter=updates, accelerate="none")
        seconds.append(time.perf_counter() - clock)
    iteration = (seconds[2] - seconds[1]) / (LONG - SHORT)
    told = {"seconds": iteration, "memory": peak() - began, "log_likelihood": float(result.log_likelihood)}
    print(json.dumps(told))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, one round")
    parser.add_argument("--output", type=Path, default=RESULTS / "streaming.json")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "PATH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    n, rounds = (200_000, 1) if args.quick else (20_000_000, ROUNDS)
    told = {kind: [] for kind in ("memory", "stream", "read")}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.npy")
        save(path, n)
        for _ in range(rounds):
            for kind, runs in told.items():
                command = [sys.executable, __file__, "--child", kind, path]
                out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                runs.append(json.loads(out.splitlines()[-1]))
    rate = {kind: n / statistics.median(run["seconds"] for run in runs) for kind, runs in told.items()}
    memory = {kind: max(run["memory"] for run in runs) / 1e9 for kind, runs in told.items()}
    for kind in told:
        print(f"{kind:7s} {rate[kind] / 1e6:7.2f} million rows/s   {memory[kind]:5.2f} GB above the imports")
    print(f"streaming runs at {rate['stream'] / rate['memory']:.2f} of the speed in memory")
    case = {"n": n, "d": D, "k": K, "rows_per_second": rate, "gigabytes": memory, "runs": told}
    write(args.output, machine(), [case])


if __name__ == "__main__":
    main()
