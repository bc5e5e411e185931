"""What stopping starts that fall behind saves, and what it loses: search="pruned" against "exhaustive".

    python benchmarks/pruning.py [--seeds 5] [--output FILE]

Ten and twenty starts on small real data (`optima.py`), four covariance structures, the same seeds; compiled, in turns.
A pruned fit has lost if its mean log-likelihood is more than 1e-4 nats per row below that of the exhaustive one, or if
it alone ends degenerate.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path

import jax
import numpy as np
from common import RESULTS, machine, timed_warm, write
from optima import FAMILIES, real_data

import jaxgmm
from jaxgmm.search.pruning import SEARCHES

LOST = 1e-4  # nats a row


def fit(x, k, family, n_init, search, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        result = jaxgmm.fit(seed, x, k, family=family, n_init=n_init, search=search, compiled=True)
    return jax.block_until_ready(result)


def run_cell(name, x, k, family, n_init, seeds):
    cell = x, k, family, n_init
    pairs = [{search: timed_warm(fit, *cell, search, seed) for search in SEARCHES} for seed in range(seeds)]
    lost = []
    for pair in pairs:
        some, full = (pair[search][1] for search in SEARCHES)
        worse = some.status == jaxgmm.Status.DEGENERATE != full.status
        lost.append(np.inf if worse else max(float(full.log_likelihood - some.log_likelihood) / len(x), 0))
    ratio = statistics.median(pair["exhaustive"][0] / pair["pruned"][0] for pair in pairs)
    return {"data": name, "k": k, "family": family, "n_init": n_init, "lost": lost, "ratio": ratio}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="fits a cell (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "pruning.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    cells = []
    for name, (x, ks) in real_data().items():
        for k in ks:
            for family in FAMILIES:
                cells += [run_cell(name, x, k, family, n_init, args.seeds) for n_init in (10, 20)]
        jax.clear_caches()  # hundreds of programs in one process exhaust its memory maps
    for n_init in (10, 20):
        some = [cell for cell in cells if cell["n_init"] == n_init]
        lost = [each for cell in some for each in cell["lost"]]
        shares = ", ".join(f"{np.mean([each > bound for each in lost]):.1%} above {bound:g}" for bound in (LOST, 1e-2))
        finite = [each for each in lost if np.isfinite(each)]
        print(f"{n_init} starts, {len(lost)} fits in {len(some)} cells")
        print(f"  lost: {shares} nats a row, mean {np.mean(finite):.1e}; {len(lost) - len(finite)} ended degenerate")
        print(f"  seconds, exhaustive / pruned: median {statistics.median(cell['ratio'] for cell in some):.2f}")
    write(args.output, about, cells)


if __name__ == "__main__":
    main()
