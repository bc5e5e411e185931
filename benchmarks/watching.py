"""The cost of `callback=` and `checkpoint=` at every tenth iteration, against a fit without either.

    python benchmarks/watching.py [--repeats 7] [--output FILE]

200 iterations (tol = 0) on 50,000 rows of 8 features, K = 10, full, float32, one start; compiled, in turns, medians.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, machine, spread, timed, write

import jaxgmm

N, D, K, UPDATES = 50_000, 8, 10, 200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS / "watching.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    rng = np.random.default_rng(0)
    means = rng.normal(size=(K, D)) * 3
    x = (means[rng.integers(K, size=N)] + rng.normal(size=(N, D))).astype(np.float32)

    with tempfile.TemporaryDirectory() as folder:
        options = {
            "nobody": {},
            "callback": {"callback": lambda glance: None, "every": 10},
            "checkpoint": {"checkpoint": Path(folder) / "fit.npz", "checkpoint_every": 10},
        }

        def fit(name):
            return jaxgmm.fit(0, x, K, tol=0, max_iter=UPDATES, compiled=True, **options[name])

        times = {name: [] for name in options}
        for repeat in range(args.repeats + 1):
            for name, seen in times.items():
                seconds, _ = timed(fit, name)
                if repeat:  # the first compiles
                    seen.append(seconds)
    base = statistics.median(times["nobody"])
    for name, seen in times.items():
        median = statistics.median(seen)
        print(f"{name:12s} {median:.3f} s ({min(seen):.3f} to {max(seen):.3f}): {median / base - 1:+.1%}")
    write(args.output, about, {name: spread(seen) for name, seen in times.items()})


if __name__ == "__main__":
    main()
