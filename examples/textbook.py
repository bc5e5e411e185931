"""The textbook example: seven numbers, three normal components, EM by hand.

Prints the table of first responsibilities, the mixture after one update, and the negative log-likelihood on the way to
the optimum 0.29 N(-2.75, 0.06) + 0.28 N(-0.50, 0.25) + 0.43 N(3.64, 1.63). Maximum likelihood: no prior.
"""

import numpy as np

import jaxgmm

X = np.array([-3.0, -2.5, -1.0, 0.0, 2.0, 4.0, 5.0])[:, None]  # (n, 1)
START = jaxgmm.mixture(
    "spherical", weights=np.full(3, 1 / 3), means=[[-4.0], [0.0], [8.0]], covariances=[1.0, 0.2, 3.0]
)
NO_PRIOR = jaxgmm.GaussianPrior()


def print_responsibilities(mixture):
    """One row per number, and their sums N.

    The lecture prints 0.001 and 0.999 in row four, and so N = (2.058, 2.008, 2.934): a rounding slip, 0.00015 is exact.
    """
    resp = np.asarray(jaxgmm.responsibilities(mixture, X))
    print("      x   r(x, 1)  r(x, 2)  r(x, 3)")
    for x, row in zip(X[:, 0], resp, strict=True):
        print(f"{x:7.1f} " + "".join(f"{r:9.3f}" for r in row))
    print("      N " + "".join(f"{r:9.3f}" for r in resp.sum(0)))


def described(mixture):
    parts = zip(mixture.weights, mixture.components.means[:, 0], mixture.components.covariances, strict=True)
    return " + ".join(f"{weight:.5f} N({mean:.5f}, {variance:.5f})" for weight, mean, variance in parts)


def main():
    print_responsibilities(START)

    print("\niteration  negative log-likelihood")
    mixture = START
    for iteration in range(6):
        statistics = jaxgmm.e_step(mixture, X)
        print(f"{iteration:9d}  {-statistics.log_likelihood:.6f}")
        mixture = jaxgmm.m_step(mixture, statistics, NO_PRIOR)
        if iteration == 0:
            after_one = mixture

    result = jaxgmm.fit(0, X, 3, family="spherical", init=START, prior=NO_PRIOR, tol=1e-12)
    print(f"{result.n_iter:9d}  {-result.log_likelihood:.10f}  ({result.status.name.lower()})")
    print(f"\nafter one update  {described(after_one)}")
    print(f"at the end        {described(result.mixture)}")


if __name__ == "__main__":
    main()
