"""A Bernoulli mixture on handwritten digits: 8 x 8 pixels, black or white, in ten clusters that see no label.

Prints every component as a picture of its pixel probabilities, with the digits it holds. The data come with
scikit-learn.
"""

import numpy as np
from sklearn.datasets import load_digits

import jaxgmm

SHADES = np.array(list(" .:+#"))


def pictures(probs):
    """Five 8 x 8 pictures side by side, from probabilities (5, 64)."""
    shades = SHADES[np.minimum((probs * len(SHADES)).astype(int), len(SHADES) - 1)].reshape(-1, 8, 8)
    return ["   ".join("".join(np.repeat(image[row], 2)) for image in shades) for row in range(8)]


def main():
    pixels, digits = load_digits(return_X_y=True)
    x = pixels > 7  # (1797, 64), of 0 to 16
    result = jaxgmm.fit(0, x, 10, family="bernoulli", n_init=10)
    labels = np.asarray(jaxgmm.predict(result.mixture, x))
    probs = np.asarray(result.mixture.components.probs)
    holds = np.array([np.bincount(digits[labels == k], minlength=10) for k in range(10)])  # (component, digit)

    print(f"log-likelihood {result.log_likelihood:.2f}, {result.n_iter} iterations, {result.status.name.lower()}\n")
    for five in (slice(0, 5), slice(5, 10)):
        titles = [f"mostly {counts.argmax()} ({counts.max()} of {counts.sum()})" for counts in holds[five]]
        print("   ".join(title.ljust(16) for title in titles))
        print("\n".join(pictures(probs[five])), end="\n\n")
    print(f"{holds.max(1).sum() / len(x):.0%} of the digits are in a cluster that is mostly their own")


if __name__ == "__main__":
    main()
