"""A run in two dimensions with K = 3: the mixture at the start, after 1, after 10 and after its final iteration.

Each picture shows where the data are; a character is the component (0, 1, 2) that most of its rows belong to. The start
is a poor one on purpose: all three means lie in the same cluster.
"""

import numpy as np

import jaxgmm

TRUTH = jaxgmm.mixture(
    "full",
    weights=[0.4, 0.35, 0.25],
    means=[[0.0, 0.0], [4.0, 1.0], [1.5, 4.0]],
    covariances=[[[1.0, 0.6], [0.6, 1.0]], [[1.2, -0.5], [-0.5, 0.6]], [[1.5, 0.0], [0.0, 0.5]]],
)
START = jaxgmm.mixture(
    "full", weights=np.full(3, 1 / 3), means=[[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], covariances=[np.eye(2)] * 3
)
WIDTH, HEIGHT = 64, 18


def picture(x, labels):
    """The data as text: the most frequent component of every cell."""
    low, high = x.min(0), x.max(0)
    column, row = ((x - low) / (high - low) * [WIDTH - 1, HEIGHT - 1]).round().astype(int).T
    counts = np.zeros((HEIGHT, WIDTH, 3), int)
    np.add.at(counts, (HEIGHT - 1 - row, column, labels), 1)
    cells = np.where(counts.sum(-1) > 0, counts.argmax(-1).astype(str), " ")
    return "\n".join("".join(line).rstrip() for line in cells)


def show(title, result, x):
    mixture = result.mixture
    print(f"{title}: log-likelihood {result.log_likelihood:.3f}")
    means = np.asarray(mixture.components.means).round(2) + 0.0  # prints no -0.00
    axes = np.sqrt(np.linalg.eigvalsh(np.asarray(mixture.components.covariances)))
    for k, (weight, mean, (short, long)) in enumerate(zip(mixture.weights, means, axes, strict=True)):
        print(f"  {k}: weight {weight:.3f}, mean ({mean[0]:.2f}, {mean[1]:.2f}), axes {long:.2f} and {short:.2f}")
    print(picture(x, np.asarray(jaxgmm.predict(mixture, x))), end="\n\n")


def main():
    x, _ = jaxgmm.sample(0, TRUTH, 600)
    x = np.asarray(x)
    for title, n_iter in (("start", 0), ("after 1 iteration", 1), ("after 10 iterations", 10)):
        show(title, jaxgmm.fit(0, x, 3, init=START, tol=0, max_iter=n_iter), x)  # tol=0: exactly that many
    result = jaxgmm.fit(0, x, 3, init=START)
    show(f"{result.status.name.lower()} after {result.n_iter} iterations", result, x)


if __name__ == "__main__":
    main()
