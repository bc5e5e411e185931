"""A mixture as a layer: a linear map is trained end to end by optax, its loss a function of the fit to what it gives.

600 rows of six features have three groups, which show in two directions; the other four are noise. 30 rows have labels.
A map takes rows to two numbers each, a mixture of three components is fitted to these for all rows, labelled or not,
and the loss says how badly its components tell the labelled rows apart. When the map moves, the fit follows: the
gradient goes through it, in the rows that are fitted.

Where no groups are to be seen, EM may end far from a fixed point, and the gradient is NaN: `optax.apply_if_finite`
makes no step then.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgmm

N, D, GROUPS, LABELLED, STEPS = 600, 6, 3, 30, 15


def drawn():
    """Rows (N, D), and the group of each (N,)."""
    rng = np.random.default_rng(0)
    group = rng.integers(GROUPS, size=N)
    seen = 3 * np.array([[0, 1], [-1, -0.6], [1, -0.6]])[group] + rng.normal(size=(N, 2)) * 0.7
    noise = 2 * rng.normal(size=(N, D - 2))
    mixing, _ = np.linalg.qr(rng.normal(size=(D, D)))
    return (np.hstack([seen, noise]) @ mixing).astype(np.float32), group


def layer(matrix, x, group):
    """The fit to x @ matrix, from the groups of its first LABELLED rows: component j is group j."""
    z = x @ matrix
    known = z[:LABELLED]
    means = jnp.stack([known[group[:LABELLED] == j].mean(0) for j in range(GROUPS)])
    spread = jnp.full(GROUPS, known.var())
    start = jaxgmm.mixture(
        "spherical", weights=np.full(GROUPS, 1 / GROUPS, np.float32), means=means, covariances=spread
    )
    return jaxgmm.fit(0, z, GROUPS, family="spherical", init=start).mixture, z


def loss(matrix, x, group):
    mixture, z = layer(matrix, x, group)
    logits = jaxgmm.joint_log_prob(mixture, z[:LABELLED])
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(group[:LABELLED])).mean()


def right(matrix, x, group):
    """The share of rows without a label whose component is their group."""
    mixture, z = layer(matrix, x, group)
    return np.mean(np.asarray(jaxgmm.predict(mixture, z))[LABELLED:] == group[LABELLED:])


def main():
    x, group = drawn()
    matrix = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(D, 2)))[0].astype(np.float32))
    optimizer = optax.apply_if_finite(optax.adam(0.05), 5)  # no step where a fit has no derivative
    memory = optimizer.init(matrix)
    for step in range(STEPS + 1):
        value, slope = jax.value_and_grad(loss)(matrix, x, group)
        if step % 5 == 0:
            print(f"step {step:2d}: loss {value:.3f}, of the rows without a label {right(matrix, x, group):.0%} right")
        update, memory = optimizer.update(slope, memory, matrix)
        matrix = optax.apply_updates(matrix, update)


if __name__ == "__main__":
    main()
