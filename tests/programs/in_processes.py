"""One of many processes that fit together, as a program of `test_distributed`: NAME PROCESSES ID PORT FOLDER.

It leaves what it found in FOLDER/found-ID.npz, and the errors it was given in FOLDER/errors-ID.json.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

import jaxgmm

NAME, PROCESSES, ME, PORT, FOLDER = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5])


def rows_of(process, n):
    """Rows of a process: uneven shares, in order."""
    ends = [0, *(n * (i + 1) * (i + 2) // (PROCESSES * (PROCESSES + 1)) for i in range(PROCESSES))]
    return slice(ends[process], ends[process + 1])


def given():
    """What the test wrote: data, weights and options; a name each for what is fitted."""
    with np.load(FOLDER / "given.npz") as file:
        return dict(file), json.loads((FOLDER / "options.json").read_text())


def fits(mesh):
    data, options = given()
    found = {}
    for name, how in options.items():
        x, weight = data[f"{name}_x"], data[f"{name}_weight"]
        mine = rows_of(ME, len(x))
        streams = how.pop("streams", False)
        rows = jaxgmm.rows(x[mine], block_size=40) if streams else x[mine]
        result = jaxgmm.fit(5, rows, 3, sample_weight=weight[mine], mesh=mesh, **how)
        found |= {f"{name}_{field}": np.asarray(value) for field, value in vars(result.mixture.components).items()}
        found |= {f"{name}_weights": np.asarray(result.mixture.weights), f"{name}_value": result.log_likelihood}
        labels = jaxgmm.predict(result.mixture, x[mine])  # the result is this process's own
        assert labels.shape == (len(x[mine]),)
    np.savez(FOLDER / f"found-{ME}.npz", **found)


def errors(mesh):
    """What is wrong on the last process is an error on all."""
    x = np.random.default_rng(ME).random((40, 2))
    last, said = ME == PROCESSES - 1, {}
    bad, heavy, wide = x.copy(), np.ones(40), x
    if last:
        bad[17, 1], heavy[3], wide = np.nan, -1, np.ones((40, 3))
    calls = {
        "value": lambda: jaxgmm.fit(0, bad, 2, mesh=mesh, family="diag"),
        "support": lambda: jaxgmm.fit(0, -x if last else x, 2, mesh=mesh, family="exponential"),
        "weight": lambda: jaxgmm.fit(0, x, 2, sample_weight=heavy, mesh=mesh),
        "shape": lambda: jaxgmm.fit(0, x[:, 0] if last else x, 2, mesh=mesh),
        "features": lambda: jaxgmm.fit(0, wide, 2, mesh=mesh),
        "rows": lambda: jaxgmm.fit(0, x[:1], 9, mesh=mesh),
        "stream": lambda: jaxgmm.fit(0, jaxgmm.rows(bad, block_size=9), 2, mesh=mesh, family="diag"),
        "widths": lambda: jaxgmm.fit(0, jaxgmm.rows(wide), 2, mesh=mesh),
        "callable": lambda: jaxgmm.fit(0, x, 2, init=lambda key, x, w, k: x[:k], mesh=mesh),
    }
    for name, call in calls.items():
        try:
            call()
        except ValueError as error:
            said[name] = str(error)
    (FOLDER / f"errors-{ME}.json").write_text(json.dumps(said))


def watched(mesh):
    """A callback on one process that stops stops all; a global array is taken as it is."""
    x = np.random.default_rng(0).normal(size=(PROCESSES * 50, 2))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    there = jax.make_array_from_process_local_data(sharding, x[ME * 50 : ME * 50 + 50].astype(np.float32))
    stop = (lambda glance: glance.iteration >= 20) if ME == PROCESSES - 1 else None
    result = jaxgmm.fit(0, there, 2, family="diag", tol=0, max_iter=1000, mesh=mesh, callback=stop)
    assert result.status == jaxgmm.Status.STOPPED and result.n_iter < 100, result
    np.savez(FOLDER / f"found-{ME}.npz", means=np.asarray(result.mixture.components.means))


def main():
    if PORT == "slurm":
        jaxgmm.distributed.initialize(heartbeat=30)
    else:
        jaxgmm.distributed.initialize(f"127.0.0.1:{PORT}", PROCESSES, ME, heartbeat=30)
    assert (jax.process_count(), jax.process_index()) == (PROCESSES, ME)
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    for name in NAME.split(","):
        {"fits": fits, "errors": errors, "watched": watched}[name](mesh)


if __name__ == "__main__":
    main()
