"""How rough is the likelihood? Where 100 starts of EM end, on Old Faithful with K = 3.

All starts are one program: `result.restarts` holds the final log-likelihood of each of them; search="exhaustive" runs
all to their ends, where a plain fit leaves those that fall behind. One start is a lottery ticket; the histogram says
how many are enough.
"""

from pathlib import Path

import numpy as np

import jaxgmm

DATA = Path(__file__).parent / "data" / "faithful.csv"
N_INIT = 100


def main():
    x = np.loadtxt(DATA, delimiter=",", skiprows=1)
    for init in ("random", "k-means++"):
        result = jaxgmm.fit(0, x, 3, family="tied", n_init=N_INIT, init=init, search="exhaustive")
        ends, counts = np.unique(np.round(result.restarts, 2), return_counts=True)
        print(f"tied, K = 3, {N_INIT} {init} starts: the best log-likelihood is {result.log_likelihood:.4f}")
        for end, count in sorted(zip(ends, counts, strict=True), reverse=True):
            print(f"  {end:10.2f}  {count:3d}  {'#' * count}")
        enough = np.log(0.01) / np.log1p(-min(counts[-1] / N_INIT, 0.999))
        print(f"  {int(np.ceil(enough))} starts reach the best with probability 0.99\n")


if __name__ == "__main__":
    main()
