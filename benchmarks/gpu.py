"""EM on an accelerator: seconds an iteration, the share of the machine's peak, a sweep, and what precision costs.

    PYTHONPATH=. python benchmarks/gpu.py [--small] [--limit 420] [--output FILE]

Needs jaxgmm and what it needs, nothing else. Data are drawn on the device, float32. An iteration is what a long fit
takes longer than a short one, divided by the updates between: one E-step and one M-step over all rows, from a start
near the truth (so that no component starves and float32 needs no more than the fast form), with the library's blocks
and with larger and smaller ones. The bound is the larger of 4 N K f floating-point
operations (f statistics features: D + D(D+1)/2 for full covariances, 2 D for diag, D + 1 for spherical) at the speed of
a large product at "highest", and of reading the data once at the speed of a large addition; "of peak" is bound over
seconds, both speeds measured here. "error" is that of the mean log-likelihood of 10,000 rows under the final mixture,
float32 moments against float64 residuals, in nats.

Targets: (1,000,000, 128, 1024) spherical in 20 ms, where IBM's Flash-GMM kernel takes 152 ms on an A100; (230,000, 32,
32) full in 1 ms, where NVIDIA's CUDA code of 2009 took 264 ms; 60 % of peak at (2,000,000, 64, 200) and (1,000,000, 15,
30) full. The products alone are then taken at several precisions, against float64.

A case that fails stays in the table with its reason, the others go on; what does not begin within ``--limit`` seconds
is not run. --small is for a machine without an accelerator.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, compilations, machine, timed, timed_warm, write

import jaxgmm

CASES = (  # n, d, k, family, target: seconds, or share of peak
    (1_000_000, 128, 1024, "spherical", {"seconds": 0.020}),
    (230_000, 32, 32, "full", {"seconds": 0.001}),
    (1_000_000, 15, 30, "full", {"of_peak": 0.6}),
    (2_000_000, 64, 200, "full", {"of_peak": 0.6}),
    (1_000_000, 128, 1024, "diag", {}),
    (1_000_000, 128, 1024, "full", {}),
)
SMALL = tuple((n // 100, d // 4 + 1, min(k, 16), family, target) for n, d, k, family, target in CASES)
SWEEP, SMALL_SWEEP = (710_000, 50, 20, 10), (2_000, 3, 3, 2)  # n, d, largest K, starts
SWEEP_UPDATES = 50  # at most, of every start
BLOCKS = (None, 1 << 16, 1 << 14, 1 << 18, 1 << 12)
SHORT, LEAST, MOST = 5, 4, 1000  # updates of the short fit; between the short and the long one
WORTH = 0.3  # seconds that the difference should take
PRECISIONS = (
    "highest",
    "TF32_TF32_F32_X3",
    "BF16_BF16_F32_X6",
    "BF16_BF16_F32_X3",
    "TF32_TF32_F32",
)
CHECKED = 10_000  # rows


def clusters(key, n, d, k):
    """Rows (n, d) of k normals with sd 1, float32, drawn on the device, and their means (k, d)."""
    means_key, label_key, noise_key = jax.random.split(key, 3)
    means = 1.5 * jax.random.normal(means_key, (k, d))

    @jax.jit
    def draw(means):
        label = jax.random.randint(label_key, (n,), 0, k)
        return jax.random.normal(noise_key, (n, d)) + means[label]

    return jax.block_until_ready(draw(means)), means


def start(means, family):
    """A mixture near the true one: means off by half a deviation in all, variances by half."""
    k, d = means.shape
    off = jax.random.normal(jax.random.key(3), (k, d)) / (2 * np.sqrt(d))
    shape = {"full": (k, d, d), "diag": (k, d), "spherical": (k,)}[family]
    covariances = np.broadcast_to(1.5 * np.eye(d) if family == "full" else 1.5, shape).astype(np.float32)
    weights = np.full(k, 1 / k, np.float32)
    return jaxgmm.mixture(family, weights=weights, means=np.asarray(means + off), covariances=covariances)


def features(d, family):
    return {"full": d + d * (d + 1) // 2, "diag": 2 * d, "spherical": d + 1}[family]


def fit(x, begin, n_iter, block):
    """Exactly n_iter updates of plain EM."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        result = jaxgmm.fit(
            0, x, begin.n_components, family=begin.family, init=begin, prior=jaxgmm.GaussianPrior(), tol=0,
            max_iter=n_iter, block_size=block,
        )  # fmt: skip
    result = jax.block_until_ready(result)
    if result.n_iter != n_iter:
        raise RuntimeError(f"stopped after {result.n_iter} of {n_iter} updates: {result.status.name}")
    return result


def iteration(x, begin, block, rounds):
    """Seconds of one update, from each round; and the end of a long fit."""
    few, _ = timed_warm(fit, x, begin, 1, block)
    guess = (timed_warm(fit, x, begin, 1 + LEAST, block)[0] - few) / LEAST
    for _ in range(3):  # a first guess may be far off
        short = SHORT if guess < WORTH else 1
        more = int(np.clip(WORTH / max(guess, 1e-5), LEAST, MOST))
        seconds = []
        for _ in range(rounds):
            long, result = timed_warm(fit, x, begin, short + more, block)
            seconds.append((long - timed_warm(fit, x, begin, short, block)[0]) / more)
        guess = statistics.median(seconds)
        if more == MOST or guess * more > WORTH / 3:
            break
    return seconds, result


def error(x, mixture):
    """Of the mean log-likelihood of some rows in float32: the fast form against float64."""
    part = np.asarray(x[:CHECKED])
    fast = jaxgmm.e_step(mixture, part, form="moments").log_likelihood
    exact = jaxgmm.e_step(mixture, part.astype(np.float64)).log_likelihood
    return abs(float(fast) - float(exact)) / len(part)


def run_case(n, d, k, family, target, peak, rounds, late):
    """One size: the library's own blocks first, then others."""
    x, means = clusters(jax.random.key(0), n, d, k)
    begin = start(means, family)
    flops, data = 4 * n * k * features(d, family), 4 * n * d
    bound = max(flops / peak["flops"], data / peak["bytes"])
    binds = "products" if bound > data / peak["bytes"] else "memory"
    size = {"n": n, "d": d, "k": k, "family": family, "bound": bound, "binds": binds, "target": target}
    tried = []
    for block in BLOCKS:
        if block is not None and (block >= n or late()):
            continue
        try:
            seconds, result = iteration(x, begin, block, rounds)
            middle = statistics.median(seconds)
            tried.append({"block": block, "seconds": middle, "all": seconds, "of_peak": bound / middle})
            if block is None:
                size["error"] = error(x, result.mixture)
        except Exception as failure:  # too large for the device, most likely: the others go on
            tried.append({"block": block, "failed": brief(failure)})
        print_try(size, tried[-1])
    return size | {"blocks": tried, "memory": memory()}


def print_try(size, one):
    where = f"N={size['n']:<9,d} D={size['d']:<4d} K={size['k']:<5d} {size['family']:9s}"
    block = f"blocks of {one['block']}" if one["block"] else "own blocks"
    if "failed" in one:
        print(f"{where} {block:17s} FAILED: {one['failed']}", flush=True)
        return
    more = "" if one["block"] else f"   error {size.get('error', np.nan):.1e}" + goal(size["target"], one)
    peak = f"{one['of_peak']:4.0%} of peak ({size['binds']}, {1e3 * size['bound']:.3f} ms)"
    print(f"{where} {block:17s} {1e3 * one['seconds']:9.3f} ms   {peak}{more}", flush=True)


def goal(target, one):
    if "seconds" in target:
        return f"   target {1e3 * target['seconds']:g} ms: {'met' if one['seconds'] <= target['seconds'] else 'missed'}"
    if "of_peak" in target:
        return f"   target {target['of_peak']:.0%}: {'met' if one['of_peak'] >= target['of_peak'] else 'missed'}"
    return ""


def brief(failure):
    return f"{type(failure).__name__}: {str(failure).strip().splitlines()[0][:160]}" if str(failure) else repr(failure)


def memory():
    stats = jax.devices()[0].memory_stats() or {}
    return {name: stats[name] for name in ("peak_bytes_in_use", "bytes_limit") if name in stats}


def repeated(call, *args, worth=0.2):
    """Seconds of a compiled call, by the median of batches that are waited for as one."""
    jax.block_until_ready(call(*args))
    once = timed(lambda: jax.block_until_ready(call(*args)))[0]
    times = int(np.clip(worth / 5 / max(once, 1e-6), 1, 200))

    def batch():
        for _ in range(times):
            answer = call(*args)
        return jax.block_until_ready(answer)

    return statistics.median(timed(batch)[0] for _ in range(5)) / times


def peaks(small):
    """Floating-point operations a second of a float32 product at "highest", bytes a second of x + 1."""
    side, length = (512, 1 << 22) if small else (8192, 1 << 28)
    a = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    x = jnp.zeros(length)
    add = jax.jit(lambda x: x + 1)
    return {"flops": 2 * side**3 / repeated(product, a), "bytes": 2 * x.nbytes / repeated(add, x)}


def precision_of(name):
    return getattr(jax.lax.DotAlgorithmPreset, name) if name != "highest" else name


def run_precision(small, late):
    """Both products of an EM iteration at every precision: speed, and errors against float64.

    Log-probabilities are those of normals with sd 1 at distances of about 25: errors in nats are what responsibilities
    feel. Statistics are relative to the sum of magnitudes, in units of float32 rounding.
    """
    rows, d, k = (2048, 16, 32) if small else (1 << 18, 128, 1024)
    keys = jax.random.split(jax.random.key(1), 4)
    means = 25 / np.sqrt(2 * d) * jax.random.normal(keys[0], (k, d))
    label = jax.random.randint(keys[1], (rows,), 0, k)
    x = (means[label] + jax.random.normal(keys[2], (rows, d))).T  # (d, rows)
    resp = jax.nn.softmax(4 * jax.random.normal(keys[3], (k, rows)), axis=0)
    part = slice(0, min(rows, 1 << 13))
    wide = [np.asarray(each, np.float64) for each in (means, x[:, part], resp[:, part])]
    logits = wide[0] @ wide[1]
    sums, size = wide[2] @ wide[1].T, wide[2] @ np.abs(wide[1]).T
    done = []
    for name in PRECISIONS:
        case = {"precision": name, "rows": rows, "d": d, "k": k}
        done.append(case)
        if late():
            case["failed"] = "not run: out of time"
            continue
        try:
            products = [
                jax.jit(lambda a, b, name=name: jnp.matmul(a, b, precision=precision_of(name))),
                jax.jit(lambda a, b, name=name: jnp.matmul(a, b.T, precision=precision_of(name))),
            ]
            flops = 2 * rows * d * k
            case["logits"] = {
                "tflops": 1e-12 * flops / repeated(products[0], means, x),
                "nats": float(np.abs(np.asarray(products[0](means, x[:, part])) - logits).max()),
            }
            eps = float(jnp.finfo(jnp.float32).eps)
            gap = np.abs(np.asarray(products[1](resp[:, part], x[:, part])) - sums) / size
            case["statistics"] = {
                "tflops": 1e-12 * flops / repeated(products[1], resp, x),
                "eps": float(gap.max() / eps),
                "eps_rms": float(np.sqrt((gap**2).mean()) / eps),
            }
            print(
                f"  {name:18s} logits {case['logits']['tflops']:7.2f} TFLOP/s, off by {case['logits']['nats']:.1e} nats"
                f"   statistics {case['statistics']['tflops']:7.2f} TFLOP/s, off by {case['statistics']['eps']:.3g} eps"
                f" ({case['statistics']['eps_rms']:.3g} rms)",
                flush=True,
            )
        except Exception as failure:  # a preset that the device lacks
            case["failed"] = brief(failure)
            print(f"  {name:18s} FAILED: {case['failed']}", flush=True)
    return done


def run_sweep(n, d, largest, starts, left):
    """`select` over K = 1..largest, full covariances: seconds once compiled, with as many updates as time allows."""
    x, _ = clusters(jax.random.key(2), n, d, largest)

    def sweep(updates):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jaxgmm.FitWarning)
            options = {"families": ("full",), "n_init": starts, "tol": 1e-4, "max_iter": updates}
            return jaxgmm.select(0, x, range(1, largest + 1), **options)

    first = timed(sweep, 1)[0]
    one, _ = timed_warm(sweep, 1)
    three, _ = timed_warm(sweep, 3)
    each = max((three - one) / 2, 1e-3)
    updates = int(np.clip((left() / 2 - one) / each, 3, SWEEP_UPDATES))
    compiled, (seconds, selection) = compilations(timed, sweep, updates)
    if compiled and left() > 1.2 * seconds:  # some start needed the accurate form
        compiled, (seconds, selection) = compilations(timed, sweep, updates)
    case = {
        "n": n,
        "d": d,
        "largest": largest,
        "starts": starts,
        "first_call": first,
        "begin": one - each,
        "update_of_all": each,
        "max_iter": updates,
        "seconds": seconds,
        "programs_compiled_within": compiled,
        "best": selection.best.mixture.n_components,
        "updates_of_best_starts": [result.n_iter for result in selection.results],
    }
    print(
        f"sweep N={n:,} D={d} full, K = 1..{largest} x {starts} starts: {seconds:.1f} s for at most {updates} updates "
        f"({compiled} programs compiled within; {first:.1f} s the first call, {case['begin']:.2f} s to begin, "
        f"{1e3 * each:.0f} ms an update of all); lowest BIC at K = {case['best']}",
        flush=True,
    )
    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", "--quick", action="store_true", help="tiny sizes: a smoke run")
    parser.add_argument("--limit", type=float, default=420, help="seconds in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timings of every size (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    args = parser.parse_args()
    began = time.perf_counter()

    def left():
        return args.limit - (time.perf_counter() - began)

    about = machine()
    print(json.dumps(about, indent=1))
    peak = peaks(args.small)
    about |= {"matmul_tflops": 1e-12 * peak["flops"], "memory_gb_per_s": 1e-9 * peak["bytes"]}
    print(f"\nproduct at highest {about['matmul_tflops']:.2f} TFLOP/s, memory {about['memory_gb_per_s']:.0f} GB/s")
    print("\nproducts by precision", flush=True)
    precision = guarded("precision", lambda: run_precision(args.small, lambda: left() < 0.8 * args.limit))
    print("\none iteration", flush=True)
    cases = []
    for i, case in enumerate(SMALL if args.small else CASES):
        size = dict(zip(("n", "d", "k", "family"), case, strict=False))
        share = args.limit * (0.8 - 0.5 * (i + 1) / len(CASES))  # what must be left for the next sizes and the sweep
        if left() < 0.3 * args.limit:
            cases.append(size | {"failed": "not run: out of time"})
            print(f"{size}: not run, out of time")
            continue
        run = guarded(size, lambda case=case, share=share: run_case(*case, peak, args.rounds, lambda: left() < share))
        cases.append(run if "blocks" in run else size | run)
        jax.clear_caches()
    print(flush=True)
    sizes = SMALL_SWEEP if args.small else SWEEP
    sweep = guarded("sweep", lambda: run_sweep(*sizes, left))
    print(f"\n{args.limit - left():.0f} s in all")
    write(args.output, about, {"iterations": cases, "precision": precision, "sweep": sweep})


def guarded(what, call):
    """What the call gives, or its failure, for the table."""
    try:
        return call()
    except Exception as failure:
        print(f"{what} FAILED: {brief(failure)}", flush=True)
        return {"failed": brief(failure)}


if __name__ == "__main__":
    main()
