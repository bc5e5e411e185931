"""`e_step` and `m_step` inside your own jitted loop: EM with equal weights, and its whole history.

A mixture is a pytree and both steps are pure functions, so EM can be bent: here every M-step is followed by a step of
our own, which holds all weights equal (clusters of one size, as in vector quantisation), and `lax.scan` records the
log-likelihood. The same function runs under `vmap`, for several starts at once.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jaxgmm

K, N_ITER = 4, 60


def equal_weights(mixture):
    return dataclasses.replace(mixture, log_weights=jnp.full_like(mixture.log_weights, -np.log(K)))


@jax.jit
def fit_equal(start, x):
    """The mixture after N_ITER updates, and the mean log-likelihood before each of them (N_ITER,)."""

    def update(mixture, _):
        statistics = jaxgmm.e_step(mixture, x)
        return equal_weights(jaxgmm.m_step(mixture, statistics)), statistics.log_likelihood / statistics.weight

    return jax.lax.scan(update, start, length=N_ITER)


def start_at(centres):
    """A first mixture around centres (K, d)."""
    weights = np.full(K, 1 / K, np.float32)
    return jaxgmm.mixture("diag", weights=weights, means=centres, covariances=np.ones_like(centres))


def main():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [5, 0], [0, 5], [5, 5]])
    sizes = [700, 300, 500, 500]
    x = np.concatenate([rng.normal(centre, 1.3, (n, 2)) for centre, n in zip(centres, sizes, strict=True)])
    x = x.astype(np.float32)

    free = jaxgmm.fit(0, x, K, family="diag", n_init=10)
    starts = [start_at(x[rng.choice(len(x), K, replace=False)]) for _ in range(8)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    mixtures, history = jax.vmap(fit_equal, in_axes=(0, None))(stacked, x)
    best = int(history[:, -1].argmax())
    equal = jax.tree.map(lambda leaf: leaf[best], mixtures)

    print(f"log-likelihood a row, the best of {len(starts)} starts with equal weights:")
    for i in (0, 1, 5, 20, N_ITER - 1):
        print(f"  before update {i:2d}  {history[best, i]:.4f}")
    for name, mixture in (("free weights", free.mixture), ("equal weights", equal)):
        print(f"{name}, {np.asarray(jaxgmm.log_prob(mixture, x)).mean():.4f}:")
        rows = np.bincount(np.asarray(jaxgmm.predict(mixture, x)), minlength=K)
        for weight, mean, count in zip(mixture.weights, np.asarray(mixture.components.means), rows, strict=True):
            print(f"  weight {weight:.3f}, mean ({mean[0]:5.2f}, {mean[1]:5.2f}), most probable for {count} rows")


if __name__ == "__main__":
    main()
