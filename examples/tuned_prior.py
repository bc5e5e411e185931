"""How strong should a prior be? Its number is tuned by the gradient of the likelihood of rows that were held out.

80 rows of six features, two full covariances: 55 parameters, which maximum likelihood fits to noise. `reg_covar`
is added to every variance and holds them back. The mean log density of 80 other rows, at the fit, is a function of its
logarithm, which Adam climbs; refits on a grid say whether it has got to the top.

The climb begins at a weak prior: one that is larger than what the rows themselves give a direction makes a fit
DEGENERATE, and such a fit has no derivative.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgmm

N, D, STEPS = 80, 6, 25


def drawn(rng, n):
    """Two groups of rows that lie along different lines, (n, D)."""
    group = rng.integers(2, size=n)
    lines = np.stack([np.ones(D), np.resize([1, -1], D)])[group]
    return 4 * group[:, None] + rng.normal(size=(n, 1)) * lines + 0.7 * rng.normal(size=(n, D))


def main():
    rng = np.random.default_rng(0)
    x, held_out = drawn(rng, N), drawn(rng, N)

    def score(log_reg):
        """Mean log density of the rows held out."""
        prior = jaxgmm.GaussianPrior(reg_covar=jnp.exp(log_reg))
        return jaxgmm.log_prob(jaxgmm.fit(0, x, 2, prior=prior).mixture, held_out).mean()

    with jax.enable_x64(True):
        print("of the rows held out:")
        log_reg, optimizer = jnp.log(0.01), optax.adam(0.3, b1=0.5)
        memory = optimizer.init(log_reg)
        for step in range(STEPS + 1):
            value, slope = jax.value_and_grad(score)(log_reg)
            if step % 5 == 0:
                print(f"step {step:2d}: reg_covar {np.exp(log_reg):.3f}, log density {value:.4f}, slope {slope:.4f}")
            update, memory = optimizer.update(-slope, memory)
            log_reg = optax.apply_updates(log_reg, update)
        print("refits on a grid:")
        for reg_covar in (0.001, 0.01, 0.03, 0.08, 0.1, 0.15):
            print(f"  reg_covar {reg_covar:.3f}, log density {score(jnp.log(reg_covar)):.4f}")


if __name__ == "__main__":
    main()
