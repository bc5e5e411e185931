"""The arguments of the pictures, checked: a mixture, rows, weights, names of features and Axes."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from .. import checks
from ..records import Mixture, mixture_of


def single(model) -> Mixture:
    """The `Mixture` in a mixture, fit result, selection or estimator; a batch of mixtures is refused."""
    mixture = mixture_of(model)
    if np.ndim(mixture.log_weights) != 1:
        batch = np.shape(mixture.log_weights)[:-1]
        raise ValueError(f"mixture must be a single one, got a batch {batch}: draw them one by one")
    return mixture


def rows_of(x, mixture: Mixture) -> np.ndarray:
    """Rows (n, d) in float64, all finite; of a data frame the mixture's columns, by name."""
    rows = np.asarray(checks.rows_of(x, mixture), np.float64)
    wrong = ~np.isfinite(rows).all(1)
    if wrong.any():
        raise ValueError(f"x must be finite; row {int(np.argmax(wrong))} is not: drop or impute such rows")
    return rows


def weights_of(sample_weight, rows) -> np.ndarray:
    """Weights (n,) of rows; all 1 if ``sample_weight`` is None.

    Raises:
        ValueError: they are not one a row, negative, not finite, or all zero.
    """
    weight = np.asarray(checks.weights(sample_weight, len(rows), np.dtype(np.float64)))
    checks.enough_weight(checks.legal_weights(weight), 1)
    return weight


def names_of(columns, x, mixture: Mixture) -> list[str]:
    """Names of the d features: ``columns``, else the mixture's, else those of the data frame x, else numbers."""
    d = mixture.n_features
    if columns is None:
        columns = mixture.columns or getattr(x, "columns", None)
    if columns is None:
        return [f"feature {j}" for j in range(d)]
    if isinstance(columns, str):
        columns = [columns]
    names = [str(name) for name in columns]
    if len(names) != d:
        raise ValueError(f"columns must name {d} features, got {len(names)} names")
    return names


def means_of(mixture: Mixture) -> np.ndarray:
    """Mean of every component (k, d), in any family: the centre of the mixture in which that component has weight 1."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), mixture.components)
        alone = jnp.eye(mixture.n_components)
        return np.asarray(jax.vmap(lambda weights: mixture.family.centre(params, weights))(alone))


def covariances_of(mixture: Mixture, features) -> np.ndarray | None:
    """Covariances of m features (k, m, m), for any structure; None for a family that is not Gaussian."""
    if mixture.family.covariance is None:
        return None
    params, features = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixture.components), np.asarray(features)
    return np.asarray(mixture.family.covariance(params))[:, features[:, None], features]


def discrete(mixture: Mixture, rows) -> bool:
    """Whether the family is one of counts or codes: no value half-way between two integers is possible."""
    return not possible(mixture, np.floor(rows.min(0, keepdims=True)) + 0.5).any()


def possible(mixture: Mixture, rows):
    """Whether each value of rows (n, d) is in the support of the family, (n, d)."""
    with jax.enable_x64(True):  # in float32 the number half-way between two integers above 2**24 is an integer
        return np.asarray(mixture.family.support.contains(rows.T)).T


def axes(ax) -> Axes:
    """The Axes given, or those of a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt  # imported here because a script that passes Axes needs no pyplot

        return plt.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be matplotlib Axes, got {type(ax).__name__}")
    return ax


def grid(ax, m: int) -> np.ndarray:
    """An array (m, m) of Axes: those given, or those of a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(m, m, figsize=(1 + 2 * m, 1 + 2 * m), layout="constrained")[1]
    cells = np.asarray(ax, dtype=object)
    if cells.shape != (m, m) or not all(isinstance(cell, Axes) for cell in cells.flat):
        raise ValueError(f"ax must be an array of ({m}, {m}) Axes for {m} features, got {cells.shape}")
    return cells
