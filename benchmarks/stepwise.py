"""The distance from batch EM's optimum after some passes of stepwise EM, and after as many passes of batch EM.

    python benchmarks/stepwise.py [--output FILE]

All start from the same mixture, the fit to the first block (a 64th of the rows). The optimum is that of batch EM from
there, to 1e-8 nats per row. Compiled. The seconds of stepwise EM include one more pass, for its log-likelihood.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from common import RESULTS, machine, timed, write

import jaxgmm

PASSES = (1, 3, 10)
CASES = [  # n, d, k, distance of the means
    (50_000, 20, 16, 1.0),
    (200_000, 2, 8, 2.0),
    (10_000, 3, 4, 1.0),
]


def rows_of(n, d, k, distance):
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d)) * distance
    return (means[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)


def run_case(n, d, k, distance):
    x = rows_of(n, d, k, distance)
    block = max(n // 64, 64 * k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        start = jaxgmm.fit(0, x[:block], k).mixture
        best = jaxgmm.fit(0, x, k, init=start, tol=1e-8, max_iter=10_000)

    def stepwise(passes):
        return jaxgmm.fit_stepwise(0, x, k, init=start, passes=passes)

    def batch(passes):
        return jaxgmm.fit(0, x, k, init=start, tol=0, max_iter=passes)

    optimum, ends = float(best.log_likelihood), []
    print(f"{n} x {d}, K = {k}, means {distance} apart: optimum {optimum / n:.5f} nats a row")
    for passes in PASSES:
        short, seconds = {}, {}
        for name, fit in (("stepwise", stepwise), ("batch", batch)):
            fit(passes)
            seconds[name], result = timed(fit, passes)
            short[name] = (optimum - float(result.log_likelihood)) / n
        ends.append({"passes": passes, "short": short, "seconds": seconds})
        print(
            f"  {passes:3d} passes: short by {short['stepwise']:.5f} stepwise ({seconds['stepwise']:.2f} s), "
            f"{short['batch']:.5f} batch ({seconds['batch']:.2f} s)",
            flush=True,
        )
    return {"n": n, "d": d, "k": k, "distance": distance, "optimum": optimum / n, "ends": ends}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS / "stepwise.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    write(args.output, about, [run_case(*case) for case in CASES])


if __name__ == "__main__":
    main()
