"""What a first call compiles in a fresh process with an empty cache: the number, seconds and size of its programs.

    python benchmarks/compiling.py [--jobs WORD ...] [--rounds 3] [--output FILE]

Printed are the seconds of a call; the parts of them in which XLA compiles and in which JAX traces and lowers, by wall
and by processor time; the number of programs; the seconds of the longest ones; and the operations in the optimised
program of the loop. Medians of rounds. Times need an idle machine, counts do not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

from common import RESULTS, first_call, machine, write

JOBS = {  # n, d, k, options of fit; a mixture to start from is made of the first rows
    "many rows, a given start": (200_000, 16, 32, {"init": "mixture"}),
    "many rows": (200_000, 16, 32, {}),
    "many rows, ten starts": (200_000, 16, 32, {"n_init": 10}),
    "many rows, diag": (200_000, 16, 32, {"family": "diag"}),
    "fewer rows, ten starts": (20_000, 10, 8, {"n_init": 10}),
}
UPDATES = 3


def job(name: str) -> dict:
    """The first call of a process."""
    import numpy as np

    import jaxgmm
    from jaxgmm.numerics import compiling

    n, d, k, options = JOBS[name]
    rng = np.random.default_rng(0)
    x = (1.5 * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)
    if options.get("init") == "mixture":
        covariances, weights = np.tile(np.cov(x.T), (k, 1, 1)).astype(np.float32), np.full(k, 1 / k, np.float32)
        options = options | {"init": jaxgmm.mixture("full", weights=weights, means=x[:k], covariances=covariances)}
    warnings.simplefilter("ignore", jaxgmm.FitWarning)
    sizes, call = {}, compiling.Compiled.__call__

    def noting(self, *args, **named):
        sizes.setdefault(self.__name__, lambda: self.lower(*args, **named).as_text().count("\n"))
        return call(self, *args, **named)

    compiling.Compiled.__call__ = noting
    began = time.process_time()
    found = first_call(lambda: jaxgmm.fit(0, x, k, **options, tol=0, max_iter=UPDATES, compiled=True))
    found["processor"] = time.process_time() - began
    compiling.Compiled.__call__ = call
    return found | {"lines": {name: size() for name, size in sizes.items() if name in ("iterated", "_begin")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS), metavar="WORD")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULTS / "compiling.json")
    args = parser.parse_args()
    if args.job:
        print(json.dumps(job(args.job)))
        return
    about = machine()
    print(json.dumps(about, indent=1), flush=True)
    print("| first call | s | processor s | XLA | trace and lower | programs | longest | lines |\n|---|" + "---|" * 7)
    done = []
    for name in args.jobs:
        rounds = []
        for _ in range(args.rounds):
            command = [sys.executable, __file__, "--job", name]
            rounds.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        middle = sorted(rounds, key=lambda one: one["seconds"])[len(rounds) // 2]
        seconds, processor = (statistics.median(one[what] for one in rounds) for what in ("seconds", "processor"))
        done.append({"job": name, "size": JOBS[name][:3], "all": rounds, "seconds": seconds, "processor": processor})
        parts = middle["parts"]
        traced = parts.get("jaxpr_trace", 0) + parts.get("jaxpr_to_mlir_module", 0)
        longest = ", ".join(f"{what} {took:.2f}" for what, took in middle["longest"][:4])
        cells = [f"{seconds:.2f}", f"{processor:.2f}", f"{parts['backend_compile']:.2f}", f"{traced:.2f}"]
        cells += [str(middle["programs"]), longest, str(middle["lines"])]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    write(args.output, about, done)


if __name__ == "__main__":
    main()
