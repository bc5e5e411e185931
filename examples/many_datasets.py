"""1,000 data sets fitted at once: `jax.vmap` over `jaxgmm.fit`.

Each data set has 200 numbers from two normal components whose distance differs from one to the next. One compiled
program fits them all; results come as one `FitResult` whose leaves lead with the 1,000.
"""

import time

import jax
import numpy as np

import jaxgmm

N_DATASETS, N_ROWS = 1000, 200


@jax.jit
def fit_all(keys, x):
    return jax.vmap(lambda key, x: jaxgmm.fit(key, x, 2, family="diag", tol=1e-4, max_iter=300))(keys, x)


def main():
    rng = np.random.default_rng(0)
    distance = np.repeat([2.0, 3.0, 4.0, 6.0], N_DATASETS // 4)
    second = rng.random((N_DATASETS, N_ROWS)) < 0.4
    x = (rng.normal(size=second.shape) + second * distance[:, None]).astype(np.float32)[..., None]  # (b, n, 1)

    keys = jax.random.split(jax.random.key(0), N_DATASETS)
    started = time.perf_counter()
    result = jax.block_until_ready(fit_all(keys, x))
    seconds = time.perf_counter() - started

    status = np.asarray(result.status)
    means = np.asarray(result.mixture.components.means)[..., 0]  # (b, 2)
    found = np.abs(means[:, 0] - means[:, 1])
    print(f"{N_DATASETS} fits of {N_ROWS} rows in {seconds:.1f} s, compilation included")
    print("ended: " + ", ".join(f"{(status == code).sum()} {jaxgmm.Status(code).name.lower()}" for code in set(status)))
    print("distance of the means  median found  middle half")
    for true in np.unique(distance):
        quarter, half, three = np.quantile(found[(distance == true) & (status == 0)], [0.25, 0.5, 0.75])
        print(f"{true:21.1f}  {half:12.2f}  {quarter:.2f} to {three:.2f}")


if __name__ == "__main__":
    main()
