"""EM on an accelerator, measured in one run that is meant to take five minutes and prints its table at the end.

    PYTHONPATH=. python benchmarks/gpu.py [--small] [--limit 300] [--output FILE]

Needs jaxgmm and its dependencies; PyTorch and tgmm are measured if they are installed. Data are drawn on the device.
Measured in this order, while time is left:

    peaks       a float32 and a float64 product at "highest", an addition
    the wait    first fits of a process whose cache is empty: one start, many starts, and that program's compilation
                under each of XLA's options alone
    iterations  the time of an update, from a long and a short fit that start near the truth, so that no component
                becomes empty; its share of the bound, which is the time of 4 N K f floating-point operations (f
                statistics features) or of reading the rows once, whichever is longer; errors of log densities in the
                fast form against float64 NumPy
    many        32 starts at once, and thousands of data sets
    kernels     their number per iteration, from the optimised program and by the profiler, and the longest of them
    peers       the same mathematics in plain PyTorch with TF32 off, in blocks of three sizes, and tgmm

The programs of all sizes are compiled concurrently after the wait is measured. A case that fails stays in the table
with its reason. The table also has the figures of the last run, from ``results/gpu.json``, to which a run writes its
own. --small is for a machine without an accelerator, and writes nothing.
"""

import argparse
import concurrent.futures
import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import gpu_peers
import jax
import jax.numpy as jnp
import numpy as np
from common import CORES, RESULTS, first_call, machine, timed
from gpu_cases import Case, by_option, data_sets, iteration, kernels, program_of, starts, update_of
from jax.experimental.compilation_cache import compilation_cache

CASES = (
    Case(200_000, 16, 32, "full", 0.5e-3),
    Case(230_000, 32, 32, "full", 1.0e-3),
    Case(1_000_000, 15, 30, "full", 1.2e-3),
    Case(2_000_000, 64, 200, "full", 75e-3),
    Case(1_000_000, 128, 1024, "spherical", 14e-3),
    Case(1_000_000, 128, 1024, "diag", 14e-3),
    Case(200_000, 16, 32, "full", 0.8e-3, "float64"),
    Case(1_000_000, 128, 1024, "full", 623e-3),
)
SMALL = ("full", "float32"), ("spherical", "float32"), ("full", "float64")
STARTS, START_RATE = (50_000, 32), 100_000  # rows and starts; the target, iterations of a start in a second
DATA_SETS = {"numbers": 20_000, "windows": 5_000}
FIRST_FIT, FIRST_STARTS = 4.0, 8.0  # seconds, the targets


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
    """Operations a second of a product at "highest" in either precision, bytes a second of x + 1."""
    side, length = (512, 1 << 22) if small else (8192, 1 << 28)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    found = {}
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            square = jax.random.normal(jax.random.key(0), (side, side), dtype)
            found[dtype] = 2 * side**3 / repeated(product, square)
    return found | {"bytes": 8 * length / repeated(jax.jit(lambda x: x + 1), jnp.zeros(length, jnp.float32))}


def cases_of(small: bool) -> list:
    """All sizes; of the small ones, one of each kind."""
    if not small:
        return list(CASES)
    return [next(case.small for case in CASES if (case.family, case.dtype) == kind) for kind in SMALL]


def guarded(done: dict, name: str, call):
    """``done[name]`` is what the call gives, or why it failed."""
    began = time.perf_counter()
    try:
        done[name] = call()
    except Exception as failure:
        lines = str(failure).strip().splitlines() or [""]
        done[name] = {"failed": f"{type(failure).__name__}: {lines[0][:120]}"}
    took = time.perf_counter() - began
    print(f"  {name}: {done[name].get('failed', 'done')} after {took:.1f} s", flush=True)


def run(args, left) -> dict:
    cases = cases_of(args.small)
    n, lanes = (2_000, 8) if args.small else STARTS
    sets = {kind: count // 100 if args.small else count for kind, count in DATA_SETS.items()}
    done = {"peaks": peaks(args.small), "wait": {}, "iterations": {}, "many": {}, "kernels": {}, "peers": {}}
    several, _ = starts(n, lanes), cases[0].rows

    print("the wait", flush=True)
    guarded(done["wait"], f"first fit, {cases[0]}", lambda: first_call(lambda: cases[0].fit(1)))
    guarded(done["wait"], f"first fit from {lanes} starts, ({n:,}, 8, 10) full", lambda: first_call(lambda: several(1)))
    began = left()

    def options():
        lowered = program_of(lambda: cases[0].fit(1))
        return {"each": by_option(lowered, jax.default_backend(), lambda: began - left() > 0.15 * args.limit)}

    with without_cache():
        guarded(done["wait"], f"the loop's program of {cases[0]} under one of XLA's options", options)

    print("compiling all sizes side by side", flush=True)
    many = {kind: data_sets(kind, count) for kind, count in sets.items()}
    with concurrent.futures.ThreadPoolExecutor(max(min(CORES, 8), 1)) as pool:
        jobs = [*(lambda case=case: case.fit(1) for case in cases[1:]), *many.values()]
        for job in [pool.submit(job) for job in jobs]:
            job.exception()  # said below, where it is measured

    print("iterations", flush=True)
    rounds = 2 if args.small else 3
    for case in cases:
        if left() > 0.25 * args.limit:
            guarded(done["iterations"], str(case), lambda case=case: iteration(case, done["peaks"], rounds))

    print("many", flush=True)
    guarded(done["many"], f"{lanes} starts", lambda: {"a_second": lanes / update_of(several, rounds)[0]})
    for kind, count in sets.items():
        guarded(done["many"], f"{count:,} {kind}", lambda kind=kind: {"seconds": timed(many[kind])[0]})

    print("kernels and peers", flush=True)
    for case in cases:
        if left() > 0.1 * args.limit:
            guarded(done["kernels"], str(case), lambda case=case: kernels(case))
        for peer in ("torch", "tgmm"):
            if gpu_peers.installed(peer) and left() > 0.05 * args.limit and (peer == "torch" or case.family == "full"):
                measure = gpu_peers.plain if peer == "torch" else gpu_peers.tgmm
                guarded(done["peers"], f"{peer} {case}", lambda case=case, measure=measure: measure(*case.rows))
    return done


@contextlib.contextmanager
def without_cache():
    """What compiles within takes as long as with an empty cache."""
    folder = jax.config.jax_compilation_cache_dir
    for now in (None, folder):
        jax.config.update("jax_compilation_cache_dir", now)
        compilation_cache.reset_cache()
        if now is None:
            yield


def number(value, form="{:.3g}"):
    return "–" if value is None else form.format(value)


def milliseconds(entry: dict | None) -> str:
    return number(1e3 * entry["seconds"]) if entry and "seconds" in entry else "–"


def print_table(done: dict, before: dict, small: bool):
    """All that was measured, in one table."""
    peak = done["peaks"]
    print(
        f"\nproduct at highest {1e-12 * peak['float32']:.2f} TFLOP/s float32, {1e-12 * peak['float64']:.2f} float64; "
        f"addition {1e-9 * peak['bytes']:.0f} GB/s\n"
    )
    columns = "now", "before", "target", "of bound", "PyTorch", "tgmm", "nats a row", "mean", "launches", "a block"
    print("| an EM iteration, ms | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for case in cases_of(small):
        line(f"{case}", *cells_of(case, done, before.get("iterations", {})))
    print("\n| kernels by time | ms an iteration (times) |\n|---|---|")
    for name, kernel in done["kernels"].items():
        longest = kernel.get("profiler", {}).get("longest", [])
        line(name, "; ".join(f"{what} {ms:.3g} ({times:.0f})" for what, ms, times in longest))
    print("\n| many at once | now | before | target |\n|---|---|---|---|")
    for name, entry in done["many"].items():
        if "starts" in name:
            rates = entry.get("a_second"), before.get("start_iterations_a_second"), START_RATE
            line(f"{name}, iterations a second", *(number(each, "{:,.0f}") for each in rates))
        else:
            line(f"{name}, s", number(entry.get("seconds")), number(before.get("data_sets", {}).get(name)), "")
    print(f"\n| the wait, empty cache; targets {FIRST_FIT:g} and {FIRST_STARTS:g} s | s | programs | longest |")
    print("|---|---|---|---|")
    for name, entry in done["wait"].items():
        for each in entry.get("each", ()):
            line(f"XLA's {each['options'] or 'own options'}", each.get("failed") or number(each["seconds"]), "1", "")
        if "programs" in entry:
            longest = ", ".join(f"{what} {seconds:.2f}" for what, seconds in entry["longest"])
            line(name, f"{entry['seconds']:.2f}", str(entry["programs"]), longest)


def cells_of(case: Case, done: dict, earlier: dict) -> list:
    """What the table says of one size."""
    name = str(case)
    found, kernel = done["iterations"].get(name, {}), done["kernels"].get(name, {})
    program, profiler = kernel.get("program", {}), kernel.get("profiler", {})
    share = found["bound"] / found["seconds"] if "seconds" in found else None
    return [
        found.get("failed") or milliseconds(found),
        number(earlier.get(name, {}).get("ms")),
        number(1e3 * case.target if earlier else None),
        number(share, "{:.0%}"),
        *(milliseconds(done["peers"].get(f"{peer} {name}")) for peer in ("torch", "tgmm")),
        number(found.get("nats_of_a_row"), "{:.1e}"),
        number(found.get("nats_of_the_mean"), "{:.1e}"),
        number(program.get("launches")) + ", profiler " + number(profiler.get("launches"), "{:.0f}"),
        number(program.get("a_block")),
    ]


def line(*cells: str):
    print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", "--quick", action="store_true", help="tiny sizes: a smoke run")
    parser.add_argument("--limit", type=float, default=300, help="seconds in all (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="where the table is kept; results/gpu.json, with --small nowhere")
    args = parser.parse_args()
    began, kept = time.perf_counter(), RESULTS / "gpu.json"
    folder = tempfile.TemporaryDirectory()  # empty: what the wait needs, and the programs that kernels are counted in
    jax.config.update("jax_compilation_cache_dir", folder.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    about = machine()
    print(json.dumps(about, indent=1), flush=True)
    done = run(args, lambda: args.limit - (time.perf_counter() - began))
    before = json.loads(kept.read_text(encoding="utf-8"))["before"] if kept.exists() else {}
    output = args.output or (None if args.small else kept)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        kept = {"before": before, "machine": about, "cases": done}
        output.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {output}")
    print_table(done, {} if args.small else before, args.small)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
