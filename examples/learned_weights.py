"""Which rows are wrong? Their weights are learned, by a gradient through the fit, from a few rows that are known clean.

A quarter of 400 rows were measured with a fault that moves them. Every row has a weight, the sigmoid of a number of its
own; the mixture is fitted with these weights, and how likely it makes 60 clean rows is climbed in all 400 numbers at
once. Nobody says which rows are faulty.

`fit` is called as it is, not under `jax.jit`: it runs in NumPy then, and what compiles is its derivative, once.

Source: Ren, Zeng, Yang and Urtasun, Learning to reweight examples for robust deep learning (2018), for the idea.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgmm

N, FAULTY, CLEAN, STEPS = 400, 100, 60, 40
TRUTH = jaxgmm.mixture(
    "spherical",
    weights=np.array([0.5, 0.5], np.float32),
    means=np.array([[-2, 0], [2, 0]], np.float32),
    covariances=np.array([0.6, 0.6], np.float32),
)


def measured():
    """Rows (N, 2), the first FAULTY of them moved; and clean ones (CLEAN, 2)."""
    x = np.array(jaxgmm.sample(0, TRUTH, N)[0])
    x[:FAULTY] += np.array([1.5, 2.5], np.float32)
    return x, jaxgmm.sample(1, TRUTH, CLEAN)[0]


def main():
    x, clean = measured()
    plain = jaxgmm.fit(0, x, 2, family="spherical", n_init=5)

    def fitted(numbers):
        weight = jax.nn.sigmoid(numbers)
        return jaxgmm.fit(0, x, 2, family="spherical", init=plain.mixture, sample_weight=weight).mixture

    def loss(numbers):
        return -jaxgmm.log_prob(fitted(numbers), clean).mean()

    numbers, optimizer = jnp.zeros(N), optax.adam(0.3)
    memory = optimizer.init(numbers)
    print("        log density    mean weight of the rows")
    print("        of clean rows    faulty      others")
    for step in range(STEPS + 1):
        value, slope = jax.value_and_grad(loss)(numbers)
        if step % 10 == 0:
            weight = np.asarray(jax.nn.sigmoid(numbers))
            faulty, others = weight[:FAULTY].mean(), weight[FAULTY:].mean()
            print(f"step {step:2d} {-value:12.3f} {faulty:13.2f} {others:11.2f}")
        update, memory = optimizer.update(slope, memory)
        numbers = optax.apply_updates(numbers, update)

    never = jaxgmm.fit(0, x[FAULTY:], 2, family="spherical", init=plain.mixture)
    print("means:")
    for name, mixture in (("equal weights", plain.mixture), ("learned", fitted(numbers)), ("no fault", never.mixture)):
        means = np.asarray(mixture.components.means)
        print(f"  {name:14s}", *(f"({a:5.2f}, {b:5.2f})" for a, b in means[np.argsort(means[:, 0])]))


if __name__ == "__main__":
    main()
