"""The kernels that an iteration of a compiled loop launches, counted in the optimised program and by the profiler.

An operation of the optimised program counts as one kernel, unless it only names, groups or reinterprets memory.
Operations in a loop with a known number of rounds count as often as they run; of a conditional the larger branch
counts. On a GPU the count is close to the profiler's (a library call may launch several kernels). On a CPU it is an
estimate, because XLA fuses some operations differently for a GPU.
"""

import collections
import gzip
import json
import re
import tempfile
from pathlib import Path

import jax

SILENT = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id",
    "opt-barrier", "iota",
}  # fmt: skip
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = (?:\(.*?\)|\S+) ([\w-]+)\(")
ROLES = "body|to_apply|calls|branch_computations|true_computation|false_computation"
CALLED = re.compile(rf"({ROLES})=\{{?([^,}}\s]+(?:, ?%[\w.-]+)*)")
ROUNDS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


def computations(text: str) -> dict:
    """Name -> lines of its instructions, of every computation of an HLO module."""
    found, name = {}, None
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        head = re.match(r"^(?:ENTRY )?%?([\w.-]+) .*\{$", line)
        if head and not line.startswith(" "):
            name = head.group(1)
            found[name] = []
        elif name is not None and " = " in line:
            found[name].append(line)
    return found


def launches(text: str) -> dict:
    """Kernels an iteration of the largest loop without a known number of rounds: in all, of one block of rows (the
    largest loop within whose rounds are known), beside its blocks, and how many of each operation."""
    known = computations(text)
    loops = [body for body, rounds in whiles(known, [line for lines in known.values() for line in lines]) if not rounds]
    if not loops:
        return {}
    body = max(loops, key=lambda name: counted(known, name).total())
    kinds = counted(known, body)
    inner = [(rounds or 1, counted(known, name).total()) for name, rounds in whiles(known, known[body])]
    rounds, block = max(inner, key=lambda pair: pair[0] * pair[1], default=(1, kinds.total()))
    beside = kinds.total() - rounds * block
    return {"launches": kinds.total(), "blocks": rounds, "a_block": block, "beside": beside, "kinds": dict(kinds)}


def whiles(known: dict, lines: list) -> list:
    """The loops among some lines: their bodies, and how many rounds each makes, or None."""
    found = []
    for line in lines:
        operation = INSTRUCTION.match(line)
        if operation and operation.group(1) == "while":
            rounds = ROUNDS.search(line)
            found.append((callees(line)["body"][0], int(rounds.group(1)) if rounds else None))
    return found


def callees(line: str) -> dict:
    found = {}
    for role, names in CALLED.findall(line):
        found.setdefault(role, []).extend(name.strip().lstrip("%") for name in names.split(","))
    return found


def counted(known: dict, name: str) -> collections.Counter:
    """Kernels of one run of a computation, by operation."""
    kinds = collections.Counter()
    for line in known.get(name, ()):
        operation = INSTRUCTION.match(line)
        if not operation or operation.group(1) in SILENT:
            continue
        kind, called = operation.group(1), callees(line)
        if kind == "while":
            [(body, rounds)] = whiles(known, [line])
            inside = counted(known, body)
            kinds.update({each: (rounds or 1) * count for each, count in inside.items()})
        elif kind == "conditional":
            branches = [counted(known, each) for names in called.values() for each in names]
            kinds.update(max(branches, key=lambda branch: branch.total(), default={}))
        elif kind == "call":
            kinds.update(counted(known, called["to_apply"][0]))
        else:
            kinds[kind] += 1
    return kinds


def profiled(call, module: str, rounds: int, most: int = 6):
    """Kernels a round of one module's program while ``call`` runs, and the longest of them: (name, ms, times) a round.

    On a device its kernels; on a CPU, the operations of the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(call())
        [path, *_] = Path(folder).rglob("*.trace.json.gz")
        with gzip.open(path) as file:
            events = json.load(file)["traceEvents"]
    named = {event["pid"]: event["args"]["name"] for event in events if event.get("name") == "process_name"}
    devices = {pid for pid, name in named.items() if name.startswith("/device:")}
    spent, times = collections.Counter(), collections.Counter()
    for event in events:
        about = event.get("args", {})
        if event.get("ph") != "X" or about.get("hlo_module", "") != module or "hlo_op" not in about:
            continue
        if devices and event["pid"] not in devices:
            continue
        name = re.sub(r"[._]\d+$", "", event["name"] if devices else about["hlo_op"])
        if name in ("while", "conditional", "call"):
            continue
        spent[name] += event["dur"] / 1e3
        times[name] += 1
    longest = [(name, ms / rounds, times[name] / rounds) for name, ms in spent.most_common(most)]
    return {"launches": times.total() / rounds, "ms": spent.total() / rounds, "longest": longest}
