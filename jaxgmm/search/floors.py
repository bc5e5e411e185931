"""Directions in which the data do not vary, where a floor under the variances sets the likelihood of a Gaussian fit.

A column that is constant, or columns that lie on a plane: a component is as narrow there as the floor lets it be, and
the log-likelihood is as high as that makes it. What is known of the rows tells constant columns. Collinear ones are
read off the mixture: its whole covariance, Σ π_k (Σ_k + (μ_k - μ)(μ_k - μ)ᵀ), is that of the data, plus the prior, once
it has been updated.
"""

import dataclasses

import jax
import numpy as np

from ..families.base import Family, matrices, parameters
from ..numerics import cholesky, diagonal, eps, ridge
from ..numerics.dtypes import compute_dtype
from ..numerics.threads import one_for_each_product
from ..records import FitResult, GaussianPrior, Mixture

WIDEST = 1000  # features: beyond, looking for directions would take as long as a fit
SEEN = 0.02  # of the largest coefficient: a smaller one is rounding
NAMED = 3  # columns or directions


def has_floors(family: Family) -> bool:
    """Whether components have a variance of their own for each feature, which a constant one sends to its floor."""
    about = parameters(family.parameters).values()
    return any(a["located"] for a in about) and any("d" in a["shape"] for a in about if not a["located"])


def constant(varies, columns) -> str:
    """The columns that do not vary, in words: by their names, or numbers from 0. "" where all do."""
    found = [_name(j, columns) for j in np.flatnonzero(~np.asarray(varies))]
    return _listed(found)


def words(mixture: Mixture, prior: GaussianPrior | None, varies, rows: tuple) -> str:
    """What is flat about the data that a mixture was fitted to, and what to do; "" where no floor sets anything.
    ``rows`` are as in `directions`."""
    if not has_floors(mixture.family):
        return ""
    said, flat = constant(varies, mixture.columns), directions(mixture, prior, varies, rows)
    if said:
        said += " is constant" if (~np.asarray(varies)).sum() == 1 else " are constant"
    if flat:
        verb = "does" if len(flat) == 1 else "do"
        said += (" and " if said else "") + f"{_listed(flat)} {verb} not vary beyond rounding"
    if not said:
        return ""
    return (
        f"{said}: there a floor or the prior sets the variance of every component, and with it the log-likelihood "
        f"(family {mixture.family.name!r}); leave out {'a column of the sum' if flat else 'what is constant'}"
    )


def set_a_variance(mixture: Mixture) -> bool:
    """Whether a floor or a ridge sets a variance of a framed Gaussian mixture, to which no prior adds."""
    params, weights = jax.tree.map(np.asarray, (mixture.components, np.exp(mixture.log_weights)))
    covariances = mixture.family.covariance(params)
    variances, middle = diagonal(covariances), weights @ params.means
    whole = weights @ (variances + (params.means - middle) ** 2)
    rounding = 8 * eps(variances)
    constant = (params.means == 0).all(0) & (whole < rounding)  # 0 in the frame, and all that varies is the floor
    least = rounding**2 * np.where(constant, 1, whole)
    scale = np.sqrt(variances)
    pivots = diagonal(cholesky(covariances / (scale[:, :, None] * scale[:, None, :]))) ** 2
    return bool((variances < 2 * least).any() or not (pivots > 2 * ridge(covariances)).all())


def meant(prior: GaussianPrior | None) -> bool:
    """Whether a user has chosen a width that components have at least: then it is no news that it sets something."""
    return prior is not None and bool(np.asarray(prior.reg_covar) > 0 or np.asarray(prior.reg_relative) > 0)


def varying(x, sample_weight=None):
    """Which columns of rows (n, d) of positive weight vary beyond rounding, (d,)."""
    x = np.asarray(x, compute_dtype(x))
    x = x if sample_weight is None else x[np.asarray(sample_weight) > 0]
    return np.ptp(x, axis=0) > 8 * eps(x) * np.abs(x).max(0)


@dataclasses.dataclass(frozen=True)
class Flat:
    """Where the rows of a sweep do not vary: for each family its prior, and which columns vary (d,); and the rows, as
    in `directions`."""

    known: dict
    rows: tuple

    @classmethod
    def of(cls, problems, priors, rows: tuple) -> "Flat":
        """What is known of the rows of some problems, whose priors are these."""
        varies = [np.asarray(problem.known.frame.inverse) > 0 for problem in problems]
        families = [problem.family for problem in problems]
        return cls(dict(zip(families, zip(priors, varies, strict=True), strict=True)), rows)

    def refuse_to_compare(self, columns) -> None:
        """ValueError where families that a constant column sends to a floor would be ranked against others."""
        floored = [family for family in self.known if has_floors(family)]
        said = constant(self.known[floored[0]][1], columns) if floored else ""
        if said and len(floored) < len(self.known):
            others = ", ".join(family.name for family in self.known if family not in floored)
            raise ValueError(
                f"x does not vary in {said}: a floor sets the likelihoods of "
                f"{', '.join(family.name for family in floored)} there, and they cannot be compared with those of "
                f"{others}; leave out what is constant, or ask for one kind of family"
            )

    def holds(self, result: FitResult) -> bool:
        """Whether columns are collinear, and a floor sets the likelihood of this fit, which sees that."""
        mixture = result.mixture
        return result.n_iter > 0 and bool(directions(mixture, *self.known[mixture.family], self.rows))

    def words(self, results, held, best: int) -> str:
        """What is flat: for the best, or for those that rank behind it because a floor holds them."""
        first = best if held[best] or not any(held) else held.index(True)
        mixture = results[first].mixture
        said = words(mixture, *self.known[mixture.family], self.rows) if results[first].n_iter > 0 else ""
        if first == best:
            return said
        names = dict.fromkeys(
            result.mixture.family.name for result, by_floor in zip(results, held, strict=True) if by_floor
        )
        return f"{said}. Fits of {', '.join(names)} rank behind the others, of which no floor sets the likelihood"


def directions(mixture: Mixture, prior: GaussianPrior | None, varies, rows: tuple) -> list[str]:
    """Sums of columns that do not vary, though each of them does, as ``a - 2 b``: of families with whole matrices.

    The mixture knows a covariance no better than to rounding, of which a narrow direction is the square: ``rows``, x
    (n, d) and weights or None, have the last word. Without them, (), float32 cannot tell.
    """
    d, varies = mixture.n_features, np.asarray(varies)
    if not matrices(mixture.family.parameters) or d > WIDEST or varies.sum() < 2:
        return []
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixture.components)
    weights = np.exp(np.asarray(mixture.log_weights, np.float64))
    away = params.means - weights @ params.means
    covariances = np.asarray(mixture.family.covariance(params), np.float64)
    whole = np.einsum("k,kij->ij", weights, covariances) + (weights[:, None] * away).T @ away
    added, share = (0.0, 0.0) if prior is None else (float(prior.reg_covar), float(prior.reg_relative))
    of_data = np.maximum((np.diag(whole) - added) / (1 + share), 0)
    whole = (whole - np.diag(added + share * of_data))[np.ix_(varies, varies)]
    deviations = np.sqrt(of_data[varies])
    if not (np.isfinite(whole).all() and (deviations > 0).all()):
        return []
    with one_for_each_product():
        values, vectors = np.linalg.eigh(whole / np.outer(deviations, deviations))
    least = 8 * d * float(eps(np.asarray(mixture.log_weights)))
    names = [_name(j, mixture.columns) for j in np.flatnonzero(varies)]
    seen = [vector for value, vector in zip(values, vectors.T, strict=True) if value < least]
    return [_sum(vector, deviations, names) for vector in seen if _is_flat(vector / deviations, varies, mixture, rows)]


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
