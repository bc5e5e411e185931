"""Seconds and memory of one EM iteration, of jaxgmm, scikit-learn and other libraries, from the same start.

    python benchmarks/iteration.py [--sizes N,D,K[,FAMILY[,ROWS]] ...] [--peers gmmx tgmm pomegranate] [--rounds 5]

The time of an iteration is the difference between a fit of 25 updates and one of 5, divided by 20: the loop itself,
without compilation, checks or the start. Contenders take turns after a warm-up, and medians are compared. scikit-learn
runs at its best thread setting. All start from the same mixture, without regularisation, and must end at the same
log-likelihood. GFLOP/s counts 4 N K f floating-point operations, with f statistics features (D + D(D+1)/2 for full
covariances). "of matmul" is that speed divided by the speed of a 2048 x 2048 product at "highest" in the same process
and dtype. Memory is measured in a process of its own: the peak of a first fit above imports and data, compilation
included, and that of a second fit above what the first one left. Ratios are the other library's median divided by
jaxgmm's.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import CORES, machine, spread, timed, write
from peers import CONTENDERS, installed, takes
from threadpoolctl import threadpool_limits


class Size(NamedTuple):
    """Numbers of rows, features and components, the family, and what the rows are like: "well" conditioned; the
    condition number of the components' covariances; or "dying", where a component holds few rows close together (not
    for "tied").
    """

    n: int
    d: int
    k: int
    family: str = "full"
    rows: str = "well"


SIZES = (
    Size(200_000, 16, 32),
    Size(50_000, 20, 16),
    Size(200_000, 2, 8),
    Size(200_000, 64, 256, "diag"),
    Size(50_000, 16, 16, "full", "10"),
    Size(50_000, 16, 16, "full", "100"),
    Size(50_000, 16, 16, "full", "1000"),
    Size(50_000, 16, 16, "full", "dying"),
    Size(50_000, 64, 64, "diag", "dying"),
)
DTYPES = ("float32", "float64")
SHORT, LONG = 5, 25
SQUARE = 2048
NARROW = 1e-2  # axes of a component that is dying, beside those of the others


@dataclasses.dataclass(frozen=True)
class Problem:
    """Rows, and a mixture to start from."""

    x: np.ndarray
    family: str
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def k(self):
        return len(self.weights)


def problem(size, dtype):
    """Rows from k overlapping normals, and a start: the first k rows with the covariance of the data.

    The axes of a component are between 0.5 and 2 long, so that float32 needs no more than the fast form; or as long as
    a condition number says. A component that is dying has 4 d rows, and its axes are shorter by `NARROW`.
    """
    n, d, k, family, rows_are = size
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(k, d, d)))[0]  # (k, d, d)
    if rows_are in ("well", "dying"):
        axes *= rng.uniform(0.5, 2, size=(k, d, 1))
    else:
        axes *= np.geomspace(1, float(rows_are) ** -0.5, d)[:, None]
    means = rng.normal(size=(k, d)) * 1.5
    label = rng.integers(k, size=n)
    if rows_are == "dying":
        axes[0] *= NARROW
        label[label == 0] = 1
        label[-4 * d :] = 0
    x = np.empty((n, d))
    for component in range(k):
        rows = label == component
        x[rows] = means[component] + rng.normal(size=(rows.sum(), d)) @ axes[component]
    x = x.astype(dtype)
    whole = np.cov(x[:10_000].T).reshape(d, d)
    covariances = {
        "full": np.tile(whole, (k, 1, 1)),
        "tied": whole,
        "diag": np.tile(np.diag(whole), (k, 1)),
        "spherical": np.full(k, np.trace(whole) / d),
    }[family]
    centres = x[:k].copy()
    if rows_are == "dying":  # it has its rows from the first update on
        centres[0] = x[-1]
        covariances[0] *= NARROW**2
    return Problem(x, family, np.full(k, 1 / k, dtype), centres, covariances.astype(dtype))


def features(d, family):
    """Statistics of a row that a component needs."""
    return {"full": d + d * (d + 1) // 2, "tied": d, "diag": 2 * d, "spherical": d + 1}[family]


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


def run_case(size, dtype, names, rounds):
    """Times, log-likelihood and memory of every contender on one problem."""
    n, d, k, family, _ = size
    data = problem(size, dtype)
    names = [name for name in names if takes(name, family, dtype)]
    fits = {name: CONTENDERS[name](data) for name in names}
    product = square_product(dtype)
    for name in names:
        if name != "scikit-learn":  # compiles what the timed fits will need
            fits[name](SHORT), fits[name](LONG)
    threads, tried = best_threads(fits["scikit-learn"])
    limits = dict.fromkeys(names, CORES) | {"scikit-learn": threads}
    product()

    times, ends, products = {name: [] for name in fits}, {}, []
    for _ in range(rounds):
        for name, fit in fits.items():
            with threadpool_limits(limits[name]):
                update, ends[name] = iteration(fit)
            times[name].append(update)
        products.append(statistics.median(timed(product)[0] for _ in range(5)))

    gigaflop = 4e-9 * n * k * features(d, family)
    matmul = 2e-9 * SQUARE**3 / statistics.median(products)
    contenders = {}
    for name in fits:
        speed = gigaflop / statistics.median(times[name])
        contenders[name] = {
            "seconds": spread(times[name]),
            "gflops": speed,
            "of_matmul": speed / matmul,
            "log_likelihood": ends[name](),
            "peak_mib": peak_memory(name, size, dtype, limits[name]),
        }
    contenders["scikit-learn"] |= {"threads": threads, "seconds_by_threads": tried}
    ratio = {
        name: one["seconds"]["median"] / contenders["jaxgmm"]["seconds"]["median"]
        for name, one in contenders.items()
        if name != "jaxgmm"
    }
    about = {**size._asdict(), "dtype": dtype}
    return {**about, "matmul_gflops": matmul, "contenders": contenders, "ratio": ratio["scikit-learn"], "ratios": ratio}


def peak_memory(name, size, dtype, threads):
    """Peak MiB of a first and of a second fit, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--sizes", ",".join(map(str, size)), "--dtype", dtype]
    done = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def memory_of(name, size, dtype, threads):
    fit = CONTENDERS[name](problem(size, dtype))
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
    print(f"\n{size}, {case['family']}, {case['dtype']}, rows {case['rows']}")
    print(f"  a square product: {case['matmul_gflops']:.0f} GFLOP/s")
    for name, one in case["contenders"].items():
        time = one["seconds"]
        threads = f" ({one['threads']} threads)" if "threads" in one else ""
        print(
            f"  {name + threads:24s} {time['median']:.4f} s [{time['least']:.4f}, {time['most']:.4f}]  "
            f"{one['gflops']:6.1f} GFLOP/s  {one['of_matmul']:4.0%} of matmul  "
            f"{one['peak_mib']['first']:5.0f}, then {one['peak_mib']['second']:.0f} MiB  "
            f"log-likelihood/N {one['log_likelihood']:.6f}"
        )
    print("  ratios " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in case["ratios"].items()), flush=True)


def size(text):
    n, d, k, *rest = text.split(",")
    return Size(int(n), int(d), int(k), *rest)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, type=size, metavar="N,D,K[,FAMILY[,ROWS]]")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument(
        "--peers",
        nargs="*",
        default=[],
        choices=CONTENDERS,
        help="beside scikit-learn, for full covariances, if installed",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "iteration.json")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=CORES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.memory_of:
        print(json.dumps(memory_of(args.memory_of, args.sizes[0], args.dtype[0], args.threads)))
        return
    names = ["jaxgmm", "scikit-learn", *filter(installed, args.peers)]
    about = machine()
    print("\n".join(f"{name:9s} {value}" for name, value in about.items()), flush=True)
    cases = []
    for size in args.sizes:
        for dtype in args.dtype:
            cases.append(run_case(size, dtype, names, args.rounds))
            print_case(cases[-1])
            write(args.output, about, cases)  # what is measured is kept, whatever happens later


if __name__ == "__main__":
    main()
