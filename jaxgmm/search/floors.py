"""Directions in which the data do not vary, where a floor under the variances sets the likelihood of a Gaussian fit.

In a constant column, or across collinear columns, a component is as narrow as the floor allows, and the log-likelihood
is as high as that makes it. Constant columns are known from what is measured of the rows. Collinear columns are found
from the mixture: after an update its whole covariance, Σ π_k (Σ_k + (μ_k - μ)(μ_k - μ)ᵀ), is that of the data plus the
prior.
"""

import dataclasses

import jax
import numpy as np

from ..families.base import Family, matrices, parameters
from ..numerics import cholesky, diagonal, eps, ridge
from ..numerics.dtypes import compute_dtype
from ..numerics.threads import one_for_each_product
from ..records import FitResult, GaussianPrior, Mixture

WIDEST = 1000  # features: with more, the search for directions would take as long as a fit
SEEN = 0.02  # of the largest coefficient: smaller ones are rounding
NAMED = 3  # columns or directions that a message names


def has_floors(family: Family) -> bool:
    """Whether features have locations and variances of their own, so that a constant one sends variances to a floor."""
    about = parameters(family.parameters).values()
    return any(a["located"] for a in about) and any("d" in a["shape"] for a in about if not a["located"])


def constant_columns(varies, columns) -> str:
    """The columns that do not vary, listed by their names, or numbers from 0. "" where all do."""
    return _listed([_name(j, columns) for j in np.flatnonzero(~np.asarray(varies))])


def words(mixture: Mixture, prior: GaussianPrior | None, varies, rows: tuple) -> str:
    """A sentence about where the data of a fit do not vary, and what to do; "" where no floor sets a variance.
    ``rows`` are as in `directions`."""
    if not has_floors(mixture.family):
        return ""
    where, flat = constant_columns(varies, mixture.columns), directions(mixture, prior, varies, rows)
    if where:
        where += " is constant" if (~np.asarray(varies)).sum() == 1 else " are constant"
    if flat:
        verb = "does" if len(flat) == 1 else "do"
        where += (" and " if where else "") + f"{_listed(flat)} {verb} not vary beyond rounding"
    if not where:
        return ""
    return (
        f"{where}: there a floor or the prior sets the variance of every component, and with it the log-likelihood "
        f"(family {mixture.family.name!r}); leave out {'a column of the sum' if flat else 'what is constant'}"
    )


def set_a_variance(mixture: Mixture) -> bool:
    """Whether a floor or a ridge sets a variance of a Gaussian component of the mixture, which is in the frame; there
    must be no prior."""
    params, weights = jax.tree.map(np.asarray, (mixture.components, np.exp(mixture.log_weights)))
    covariances = mixture.family.covariance(params)
    variances, mean = diagonal(covariances), weights @ params.means
    total = weights @ (variances + (params.means - mean) ** 2)
    rounding = 8 * eps(variances)
    constant = (params.means == 0).all(0) & (total < rounding)  # 0 in the frame, where only the floor varies
    least = rounding**2 * np.where(constant, 1, total)
    scale = np.sqrt(variances)
    pivots = diagonal(cholesky(covariances / (scale[:, :, None] * scale[:, None, :]))) ** 2
    return bool((variances < 2 * least).any() or not (pivots > 2 * ridge(covariances)).all())


def has_width(prior: GaussianPrior | None) -> bool:
    """Whether a user's prior gives components a least width. A variance that it sets is then as asked for."""
    return prior is not None and bool(np.asarray(prior.reg_covar) > 0 or np.asarray(prior.reg_relative) > 0)


def varying(x, sample_weight=None):
    """Which columns of rows (n, d) vary beyond rounding, among rows of positive weight, (d,)."""
    x = np.asarray(x, compute_dtype(x))
    x = x if sample_weight is None else x[np.asarray(sample_weight) > 0]
    return np.ptp(x, axis=0) > 8 * eps(x) * np.abs(x).max(0)


@dataclasses.dataclass(frozen=True)
class Flat:
    """Where the data of a sweep do not vary: ``known`` has for each family its prior and which columns vary (d,);
    ``rows`` are as in `directions`."""

    known: dict
    rows: tuple

    @classmethod
    def of(cls, problems, priors, rows: tuple) -> "Flat":
        """From the problems of a sweep and their priors."""
        varies = [np.asarray(problem.known.frame.inverse) > 0 for problem in problems]
        families = [problem.family for problem in problems]
        return cls(dict(zip(families, zip(priors, varies, strict=True), strict=True)), rows)

    def refuse_to_compare(self, columns) -> None:
        """ValueError where a column is constant, and families with floors there would be ranked against others."""
        floored = [family for family in self.known if has_floors(family)]
        constant = constant_columns(self.known[floored[0]][1], columns) if floored else ""
        if constant and len(floored) < len(self.known):
            others = ", ".join(family.name for family in self.known if family not in floored)
            raise ValueError(
                f"x does not vary in {constant}: a floor sets the likelihoods of "
                f"{', '.join(family.name for family in floored)} there, and they cannot be compared with those of "
                f"{others}; leave out what is constant, or ask for one kind of family"
            )

    def sets_likelihood(self, result: FitResult) -> bool:
        """Whether columns are collinear, and a floor along their combination sets the likelihood of this fit."""
        mixture = result.mixture
        return result.n_iter > 0 and bool(directions(mixture, *self.known[mixture.family], self.rows))

    def words(self, results, by_floor, best: int) -> str:
        """As the function `words`: of the best fit, or of fits that rank behind it because a floor sets their
        likelihoods (``by_floor``)."""
        first = best if by_floor[best] or not any(by_floor) else by_floor.index(True)
        mixture = results[first].mixture
        message = words(mixture, *self.known[mixture.family], self.rows) if results[first].n_iter > 0 else ""
        if first == best:
            return message
        names = dict.fromkeys(
            result.mixture.family.name for result, floored in zip(results, by_floor, strict=True) if floored
        )
        return f"{message}. Fits of {', '.join(names)} rank behind the others, of which no floor sets the likelihood"


def directions(mixture: Mixture, prior: GaussianPrior | None, varies, rows: tuple) -> list[str]:
    """Combinations of columns that do not vary although each column does, as ``a - 2 b``; for families with matrices.

    A covariance has a relative error of eps, so the mixture knows a standard deviation no better than to the square
    root of eps. So ``rows``, x (n, d) and weights or None, decide. Without rows, (), nothing is found in float32.
    """
    d, varies = mixture.n_features, np.asarray(varies)
    if not matrices(mixture.family.parameters) or d > WIDEST or varies.sum() < 2:
        return []
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixture.components)
    weights = np.exp(np.asarray(mixture.log_weights, np.float64))
    offset = params.means - weights @ params.means
    covariances = np.asarray(mixture.family.covariance(params), np.float64)
    total = np.einsum("k,kij->ij", weights, covariances) + (weights[:, None] * offset).T @ offset
    added, share = (0.0, 0.0) if prior is None else (float(prior.reg_covar), float(prior.reg_relative))
    of_data = np.maximum((np.diag(total) - added) / (1 + share), 0)
    total = (total - np.diag(added + share * of_data))[np.ix_(varies, varies)]
    deviations = np.sqrt(of_data[varies])
    if not (np.isfinite(total).all() and (deviations > 0).all()):
        return []
    with one_for_each_product():
        values, vectors = np.linalg.eigh(total / np.outer(deviations, deviations))
    least = 8 * d * float(eps(np.asarray(mixture.log_weights)))
    names = [_name(j, mixture.columns) for j in np.flatnonzero(varies)]
    narrow = vectors.T[values < least]
    return [
        _sum(vector, deviations, names) for vector in narrow if _is_flat(vector / deviations, varies, mixture, rows)
    ]


def _is_flat(slope, varies, mixture: Mixture, rows: tuple) -> bool:
    """Whether Σ slope_j x_j of the columns that vary is the same for all rows of positive weight, to rounding."""
    if not rows:
        return mixture.log_weights.dtype == np.float64
    x, weight = rows
    x = np.asarray(x, np.float64)[:, varies]
    x = x if weight is None else x[np.asarray(weight) > 0]
    return bool(np.std(x @ slope) <= 8 * float(eps(mixture.log_weights)) * (np.abs(x).max(0) @ np.abs(slope)))


def _sum(vector, deviations, names) -> str:
    """Σ v_j x_j / s_j in words, the first coefficient being 1."""
    seen = np.flatnonzero(np.abs(vector) > SEEN * np.abs(vector).max())
    coefficients = vector[seen] / deviations[seen]
    coefficients = coefficients / coefficients[0]
    terms = [names[seen[0]]]
    for name, value in zip(np.array(names, object)[seen[1:]], coefficients[1:], strict=True):
        size = "" if abs(abs(value) - 1) < 1e-3 else f"{abs(value):.4g} "
        terms.append(f"{'-' if value < 0 else '+'} {size}{name}")
    return " ".join(terms)


def _name(j: int, columns) -> str:
    return f"column {j}" if columns is None else repr(columns[j])


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more
