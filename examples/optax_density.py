"""A mixture inside a model that optax trains: a transformation of the data is learned together with the mixture.

Waiting times are skewed, but some power of them may be a mixture of two normals. With the Box-Cox transformation
T(x) = (x^λ - 1) / λ the density of the data is p(x) = mixture(T(x)) · x^(λ - 1), and its logarithm is climbed in λ and
in the unconstrained parameters of the mixture at once. The data are exponentials of normals: the λ to find is 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgmm

STEPS = 600


def transform(x, power):
    """(x^λ - 1) / λ, which is log x where λ is 0."""
    small = jnp.abs(power) < 1e-3
    safe = jnp.where(small, 1.0, power)
    return jnp.where(small, jnp.log(x) * (1 + power * jnp.log(x) / 2), jnp.expm1(safe * jnp.log(x)) / safe)


def log_likelihood(model, x):
    """Mean log density a row. (n, 1) -> ()."""
    mixture = jaxgmm.constrain(model["mixture"])
    log_jacobian = (model["power"] - 1) * jnp.log(x[:, 0])
    return (jaxgmm.log_prob(mixture, transform(x, model["power"])) + log_jacobian).mean()


def main():
    rng = np.random.default_rng(0)
    label = rng.random(2000) < 0.4
    x = jnp.asarray(np.exp(rng.normal(size=2000) * 0.3 + np.where(label, 1.5, 0.0)).astype(np.float32)[:, None])

    start = jaxgmm.fit(0, x - 1, 2, max_iter=20, tol=0)  # at λ = 1 the transformation is x - 1
    model = {"power": jnp.float32(1.0), "mixture": jaxgmm.unconstrain(start.mixture)}
    optimizer = optax.adam(1e-2)

    @jax.jit
    def train(model):
        def step(carry, _):
            model, memory = carry
            value, gradient = jax.value_and_grad(lambda model: -log_likelihood(model, x))(model)
            update, memory = optimizer.update(gradient, memory, model)
            return (optax.apply_updates(model, update), memory), -value

        (model, _), values = jax.lax.scan(step, (model, optimizer.init(model)), length=STEPS)
        return model, values

    model, values = train(model)
    for i in (0, 100, 200, STEPS - 1):
        print(f"step {i:3d}: mean log-likelihood {values[i]:.4f}")
    mixture = jaxgmm.constrain(model["mixture"])
    print(f"power {float(model['power']):.2f} (the data were made with 0)")
    print("weights", np.asarray(mixture.weights).round(2), "means", np.ravel(mixture.components.means).round(2))


if __name__ == "__main__":
    main()
