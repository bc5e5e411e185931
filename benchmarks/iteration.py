"""Seconds and memory of one EM iteration, full covariances: jaxgmm against scikit-learn from the same start.

    python benchmarks/iteration.py [--sizes N,D,K ...] [--rounds 5] [--output FILE]

An iteration is what a fit of 25 updates takes longer than one of 5, divided by 20: the loop itself, without
compilation, checks or the start. Contenders take turns, after a warm-up; medians are compared. scikit-learn runs at the
thread setting that is best for it. Both start from the same mixture, without regularisation, and must end at the same
log-likelihood. GFLOP/s counts 4 N K f, with f = D + D(D+1)/2 statistics features; "of matmul" is that over the speed of
a 2048 x 2048 product at "highest" in the same process and dtype. Memory is the peak of a first fit above imports and
data, compilation included, and of a second fit above what the first one left, in a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import CORES, machine, spread, timed, write
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import jaxgmm

SIZES = ((200_000, 16, 32), (50_000, 20, 16))
DTYPES = ("float32", "float64")
SHORT, LONG = 5, 25
SQUARE = 2048


def problem(n, d, k, dtype):
    """Rows from k overlapping normals, and a start: the first k rows with the covariance of the data.

    The axes of a component are between 0.5 and 2 long, so that float32 needs no more than the fast form.
    """
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(k, d, d)))[0] * rng.uniform(0.5, 2, size=(k, d, 1))  # (k, d, d)
    means = rng.normal(size=(k, d)) * 1.5
    label = rng.integers(k, size=n)
    x = np.empty((n, d))
    for component in range(k):
        rows = label == component
        x[rows] = means[component] + rng.normal(size=(rows.sum(), d)) @ axes[component]
    x = x.astype(dtype)
    covariance = np.cov(x[:10_000].T).reshape(d, d)
    return x, np.full(k, 1 / k, dtype), x[:k], np.tile(covariance, (k, 1, 1)).astype(dtype)


def jaxgmm_fit(x, weights, means, covariances):
    """A function of the number of updates that fits, and returns the mean log-likelihood it ends with."""
    start = jaxgmm.mixture("full", weights=weights, means=means, covariances=covariances)
    prior = jaxgmm.GaussianPrior()

    def fit(n_iter):
        result = jaxgmm.fit(0, x, len(weights), init=start, prior=prior, tol=0, max_iter=n_iter)
        return lambda: float(result.log_likelihood) / len(x)

    return fit


def sklearn_fit(x, weights, means, covariances):
    precisions = np.linalg.inv(covariances)

    def fit(n_iter):
        model = GaussianMixture(
            len(weights), tol=0, reg_covar=0, max_iter=n_iter,
            weights_init=weights, means_init=means, precisions_init=precisions,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x)
        return lambda: float(model.score(x))

    return fit


CONTENDERS = {"jaxgmm": jaxgmm_fit, "scikit-learn": sklearn_fit}


def iteration(fit, short=SHORT, long=LONG):
    """Seconds of one update in a row of ``long - short`` warm ones, and the end of the longer fit."""
    whole, end = timed(fit, long)
    return (whole - timed(fit, short)[0]) / (long - short), end


def best_threads(fit):
    """The number of BLAS and OpenMP threads at which a fit is fastest."""
    tried = {}
    for threads in sorted({1, CORES}):
        with threadpool_limits(threads):
            tried[threads] = iteration(fit, 1, 4)[0]
    return min(tried, key=tried.get), tried


def square_product(dtype):
    """A function that multiplies two square matrices at the highest precision."""
    with jax.enable_x64(dtype == "float64"):
        a = jax.random.normal(jax.random.key(0), (SQUARE, SQUARE), dtype)
        product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest")).lower(a).compile()
    return lambda: product(a).block_until_ready()


def run_case(n, d, k, dtype, rounds):
    """Times, log-likelihood and memory of every contender on one problem."""
    data = problem(n, d, k, dtype)
    fits = {name: make(*data) for name, make in CONTENDERS.items()}
    product = square_product(dtype)
    fits["jaxgmm"](LONG)  # compiles what the timed fits will need
    threads, tried = best_threads(fits["scikit-learn"])
    limits = {"jaxgmm": CORES, "scikit-learn": threads}
    product()

    times, ends, products = {name: [] for name in fits}, {}, []
    for _ in range(rounds):
        for name, fit in fits.items():
            with threadpool_limits(limits[name]):
                update, ends[name] = iteration(fit)
            times[name].append(update)
        products.append(statistics.median(timed(product)[0] for _ in range(5)))

    gigaflop = 4e-9 * n * k * (d + d * (d + 1) // 2)
    matmul = 2e-9 * SQUARE**3 / statistics.median(products)
    contenders = {}
    for name in fits:
        speed = gigaflop / statistics.median(times[name])
        contenders[name] = {
            "seconds": spread(times[name]),
            "gflops": speed,
            "of_matmul": speed / matmul,
            "log_likelihood": ends[name](),
            "peak_mib": peak_memory(name, n, d, k, dtype, limits[name]),
        }
    contenders["scikit-learn"] |= {"threads": threads, "seconds_by_threads": tried}
    ratio = contenders["scikit-learn"]["seconds"]["median"] / contenders["jaxgmm"]["seconds"]["median"]
    return {"n": n, "d": d, "k": k, "dtype": dtype, "matmul_gflops": matmul, "contenders": contenders, "ratio": ratio}


def peak_memory(name, n, d, k, dtype, threads):
    """Peak MiB of a first and of a second fit, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--sizes", f"{n},{d},{k}", "--dtype", dtype]
    done = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def memory_of(name, n, d, k, dtype, threads):
    fit = CONTENDERS[name](*problem(n, d, k, dtype))
    peaks = {}
    for which in ("first", "second"):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew
        before = status_mib("VmRSS")
        with threadpool_limits(threads):
            fit(3)
        peaks[which] = status_mib("VmHWM") - before
    return peaks


def status_mib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def print_case(case):
    size = f"N={case['n']} D={case['d']} K={case['k']}"
    print(f"\n{size}, full, {case['dtype']}; matmul {case['matmul_gflops']:.0f} GFLOP/s")
    for name, one in case["contenders"].items():
        time = one["seconds"]
        threads = f" ({one['threads']} threads)" if "threads" in one else ""
        print(
            f"  {name + threads:24s} {time['median']:.4f} s [{time['least']:.4f}, {time['most']:.4f}]  "
            f"{one['gflops']:6.1f} GFLOP/s  {one['of_matmul']:4.0%} of matmul  "
            f"{one['peak_mib']['first']:5.0f}, then {one['peak_mib']['second']:.0f} MiB  "
            f"log-likelihood/N {one['log_likelihood']:.6f}"
        )
    print(f"  ratio {case['ratio']:.1f}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = {"type": lambda text: tuple(map(int, text.split(",")))}
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="N,D,K", **size)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "iteration.json")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=CORES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.memory_of:
        print(json.dumps(memory_of(args.memory_of, *args.sizes[0], args.dtype[0], args.threads)))
        return
    about = machine()
    print("\n".join(f"{name:9s} {value}" for name, value in about.items()), flush=True)
    cases = []
    for size in args.sizes:
        for dtype in args.dtype:
            cases.append(run_case(*size, dtype, args.rounds))
            print_case(cases[-1])
    write(args.output, about, cases)


if __name__ == "__main__":
    main()
