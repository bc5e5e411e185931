"""K-means of few rows: the clusters of `sklearn.cluster.KMeans`, without its threads.

On a busy machine the threads wait for one another, 60 ms for a work of 1 ms; and its first call in a process spends
20 ms on looking for libraries whose threads it can limit.

Source: Lloyd (1982); first centres, the end, and what becomes of empty clusters as in scikit-learn.
"""

import numpy as np
from sklearn.cluster import kmeans_plusplus

ITERATIONS = 300
REST = 1e-4  # squared shift of all centres, as a share of the mean variance, that no longer counts


def k_means(x, weight, k: int, rng):
    """The cluster of every row, (n,), of rows x (n, d) with weights (n,) or None."""
    x = x - x.mean(0)
    centres, labels = kmeans_plusplus(x, k, sample_weight=weight, random_state=rng)[0], None
    weight, enough = np.ones(len(x)) if weight is None else weight, REST * x.var(0).mean()
    for _ in range(ITERATIONS):
        before, labels = labels, nearest(x, centres)
        old, centres = centres, means(x, weight, labels, centres)
        if before is not None and np.array_equal(labels, before):
            return labels
        if ((centres - old) ** 2).sum() <= enough:
            break
    return nearest(x, centres)


def nearest(x, centres):
    """Number of the nearest centre of every row; the first of equal ones."""
    return np.argmin((centres**2).sum(1) - 2 * (x @ centres.T), axis=1)


def means(x, weight, labels, centres):
    """New centres (k, d). A cluster without weight takes the row that is farthest from its own centre."""
    shares = (labels == np.arange(len(centres))[:, None]) * weight  # (k, n)
    counts, sums = shares.sum(1), shares @ x
    empty = np.flatnonzero(counts == 0)
    distances = ((x - centres[labels]) ** 2).sum(1) if len(empty) else np.zeros(1)
    if distances.max() > 0:
        farthest = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
        for cluster, row in zip(empty, farthest, strict=True):
            share = weight[row] * x[row]
            sums[labels[row]] -= share
            counts[labels[row]] -= weight[row]
            sums[cluster], counts[cluster] = share, weight[row]
    largest = np.argmax(counts)
    return np.where(counts[:, None] > 0, sums, sums[largest]) / np.where(counts > 0, counts, counts[largest])[:, None]
