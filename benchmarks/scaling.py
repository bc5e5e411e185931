"""The cost of a mesh of devices: processor time per device and iteration, and the bytes that the devices exchange.

    python benchmarks/scaling.py [--quick] [--output FILE]

The 1 to 8 virtual devices run in one process and share the machine's cores, so processor time is measured, not wall
time. Every device has the same number of rows, whatever the number of devices, and one thread: the time per device
should stay that of a single device. Bytes are read off the compiled program: the operands of the all-reduces in its
loop, per device and E-step. The last table is calculated, not measured, for machines with more devices.
"""

import argparse
import json
import os
import re
import statistics
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from common import RESULTS, machine, write

import jaxgmm
from jaxgmm.search import problem

DEVICES = 1, 2, 4, 8
SHORT, LONG = 2, 22  # updates
SIZES = {"float32": 4, "f32": 4, "f64": 8, "s32": 4, "pred": 1}
FLAGS = "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false"

# Of the machines on paper, a device: float32 products (half of an H100's 67 TFLOP/s outside its tensor cores, which
# TF32 would use and this library does not) and the network between hosts (400 Gbit/s shared by 8 devices).
PAPER = {"hosts": 16, "devices_a_host": 8, "n": 10**10, "d": 50, "k": 64, "flops": 33e12, "memory": 2.5e12}
PAPER |= {"network": 6e9, "latency": 2e-4}


def mesh_of(devices):
    return jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("rows",))


def exchanged(text):
    """How many all-reduces a compiled loop has, and the bytes of their operands; None of another kind may be there."""
    others = [word for word in ("all-gather", "all-to-all", "collective-permute") if word in text]
    if others:
        raise RuntimeError(f"rows leave their device: {others}")
    count, size = 0, 0
    for shape in re.findall(r"= (.+?) all-reduce(?:-start)?\(", text):
        count += 1
        for dtype, sides in re.findall(r"(\w+)\[([\d,]*)\]", shape):
            size += SIZES[dtype] * int(np.prod([int(side) for side in sides.split(",") if side]))
    return count, size


def program_of(call):
    """The compiled text of the loop that a fit runs."""
    seen, kept = {}, problem.iterated

    def spy(*args):
        seen["text"] = seen.get("text") or kept.lower(*args).compile().as_text()
        return kept(*args)

    problem.iterated = spy
    try:
        call()
    finally:
        problem.iterated = kept
    return seen["text"]


def measured(devices, rows, d, k, rounds):
    """One number of devices, ``rows`` on each."""
    rng = np.random.default_rng(0)
    n = rows * devices
    x = (1.5 * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)
    begin = jaxgmm.fit(0, x[:20_000], k, tol=0, max_iter=1).mixture
    mesh = mesh_of(devices)
    there = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows")))

    def fit(n_iter):
        started = time.process_time(), time.perf_counter()
        jaxgmm.fit(0, there, k, init=begin, tol=0, max_iter=n_iter, mesh=mesh)
        return time.process_time() - started[0], time.perf_counter() - started[1]

    count, size = exchanged(program_of(lambda: fit(1)))
    if size != statistics_bytes(d, k):
        raise RuntimeError(f"{size} bytes are exchanged, {statistics_bytes(d, k)} were expected")
    fit(SHORT), fit(LONG)
    cpu, wall = [], []
    for _ in range(rounds):
        long, short = fit(LONG), fit(SHORT)
        cpu.append((long[0] - short[0]) / (LONG - SHORT) / devices)
        wall.append((long[1] - short[1]) / (LONG - SHORT))
    return {
        "devices": devices,
        "rows_a_device": rows,
        "d": d,
        "k": k,
        "cpu_a_device": statistics.median(cpu),
        "all_cpu": cpu,
        "wall": statistics.median(wall),
        "all_reduces": count,
        "bytes": size,
    }


def statistics_bytes(d, k, itemsize=4):
    """Of full covariances: counts, first and second moments, and three numbers of the whole."""
    return itemsize * (k * (1 + d + d * (d + 1) // 2) + 3)


def on_paper():
    """An iteration of full covariances on machines that are not here: seconds by the bounds in `PAPER`."""
    devices = PAPER["hosts"] * PAPER["devices_a_host"]
    rows, d, k = PAPER["n"] / devices, PAPER["d"], PAPER["k"]
    size = statistics_bytes(d, k)
    products = 4 * rows * k * (d + d * (d + 1) // 2)
    reduce = 2 * size * (devices - 1) / devices / PAPER["network"] + PAPER["latency"]
    return PAPER | {
        "devices": devices,
        "rows_a_device": rows,
        "data_bytes_a_device": 4 * rows * d,
        "flops_a_device": products,
        "compute": max(products / PAPER["flops"], 4 * rows * d / PAPER["memory"]),
        "bytes": size,
        "all_reduce": reduce,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--output", type=Path, default=RESULTS / "scaling.json")
    args = parser.parse_args()
    # Both are read when the first device is asked for. Threads: see `jaxgmm.data.mesh`.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"
    os.environ.setdefault("NPROC", "32")
    warnings.simplefilter("ignore", jaxgmm.FitWarning)
    about = machine()
    print(json.dumps(about, indent=1), flush=True)
    rows, rounds = (20_000, 3) if args.quick else (100_000, 5)
    cases, alone = [], None
    print("devices  CPU s a device  ratio  wall s  all-reduces  bytes", flush=True)
    for devices in DEVICES:
        case = measured(devices, rows, 16, 16, rounds)
        alone = alone or case["cpu_a_device"]
        case["ratio"] = case["cpu_a_device"] / alone
        cases.append(case)
        print(
            f"{devices:7d}  {case['cpu_a_device']:14.4f}  {case['ratio']:5.2f}  {case['wall']:6.3f}  "
            f"{case['all_reduces']:11d}  {case['bytes']:5d}",
            flush=True,
        )
    paper = on_paper()
    words = (
        "on paper: n = {n:.0e}, d = {d}, K = {k}, full covariances, float32, {devices} devices: {rows_a_device:.3g} "
        "rows and {data_bytes_a_device:.3g} bytes of data a device; an iteration is {flops_a_device:.3g} operations "
        "({compute:.2g} s) and {bytes} bytes exchanged ({all_reduce:.2g} s)"
    )
    print(words.format(**paper))
    write(args.output, about, [*cases, {"paper": paper}])


if __name__ == "__main__":
    main()
