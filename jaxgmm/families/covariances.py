"""Gaussian families of whole covariance matrices: the residual form of EM, written once for every structure.

    log N(x; μ, Σ) = -½ ‖y‖² - log|L| - d/2 log 2π,      y = L⁻¹ (x - μ),  Σ = L Lᵀ
    μ ← μ + L m,      S = L (Σ r y yᵀ - n m mᵀ) Lᵀ,      m = Σ r y / n

A structure is how matrices are stored, and how they are estimated from the scatter S of every component. Each one
brings a moment form of its own, because the moments that it needs decide what a row costs.

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2; Celeux and Govaert (1995).
"""

import dataclasses
from collections.abc import Callable

from ..numerics import diagonal, divide, keep_empty, positive_definite, product, ridge, whitening, with_diagonal
from ..numerics.backend import xp
from . import gaussian
from .base import Family
from .forms import Partial, ResidualForm
from .margins import Margins, normal_cumulants, normal_tails


@dataclasses.dataclass(frozen=True)
class Structure:
    """How matrices are stored and estimated. There are m: k, or 1 where all components share one.

    Args:
        parameters: the record class, with ``means`` (k, d).
        matrices: ``params -> (m, d, d)``.
        stored: ``(params, (m, d, d)) -> params`` with these matrices.
        over_components: ``(k, ...) -> (m, ...)``: as it is, or the sum over components, whose axis stays.
        estimate: ``(scatter (m, d, d), counts (m,), params) -> (m, d, d)``: the matrices that maximise Q, or raise it.
        around: ``(means, d) -> params`` with identity matrices.
    """

    parameters: type
    matrices: Callable
    stored: Callable
    over_components: Callable
    estimate: Callable
    around: Callable

    def maximize_residuals(self, params, prepared, sums, counts, prior):
        first, lowers = divide(sums.first, counts), prepared.lowers
        inner = sums.second - self.over_components(outer(counts, first))
        scatter = product(product(lowers, inner), xp.swapaxes(lowers, -1, -2))
        means = params.means + product(lowers, first[..., None])[..., 0]
        return self.maximize_scatter(params, means, scatter, counts, prior)

    def maximize_scatter(self, params, means, scatter, counts, prior):
        """The parameters with these means, from scatter (m, d, d), prior and floor; empty components keep theirs."""
        totals = self.over_components(counts[..., None, None])[..., 0, 0]  # (m,)
        raw = self.estimate(scatter, totals, params)
        means = keep_empty(counts, means, params.means)
        variance = gaussian.spread(means, diagonal(raw), counts)  # (d,)
        lift = gaussian.lift(variance, prior)[..., None, :]
        new = positive_definite(raw + with_diagonal(lift), gaussian.floor(variance)[..., None, :])
        kept = self.stored(params, keep_empty(totals, new, self.matrices(params)))
        return dataclasses.replace(kept, means=means)


def quotient(scatter, counts, params):
    """Every matrix from its own scatter: S / n."""
    return divide(scatter, counts)


def prepare(structure, params, reference):
    lowers, inverses, half_log_dets = whitening(structure.matrices(params))
    half_log_dets = xp.broadcast_to(half_log_dets, params.means.shape[:-1])
    return gaussian.Whitened(params.means, lowers, inverses, half_log_dets, (inverses**2).sum(-2))


def statistics(structure, prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), structure.over_components(product(weighted, xp.swapaxes(y, -1, -2))))


def outer(counts, means):
    """n m mᵀ of every component, (k, d, d)."""
    return gaussian.outer(counts[..., None] * means, means)


def covariance(structure, params):
    """(k, d, d)."""
    means = params.means
    return xp.broadcast_to(structure.matrices(params), (*means.shape, means.shape[-1]))


def cumulants(structure, params):
    return normal_cumulants(params.means, diagonal(structure.matrices(params)))


def tails(structure, params, x):
    return normal_tails(params.means, diagonal(structure.matrices(params)), x)


def loosen(structure, params, weights, counts, prior):
    """The start, with an equal share of the whole covariance in place of matrices that have collapsed."""
    whole = gaussian.total_covariance(params.means, covariance(structure, params), weights)
    whole = gaussian.ridged(whole / gaussian.n_with_rows(counts)[..., None, None])
    collapsed = supported_by_prior(structure, params, weights, prior) & (counts > 0)
    replaced = structure.over_components(collapsed[..., None, None]) > 0  # (m, 1, 1)
    return structure.stored(params, xp.where(replaced, whole[..., None, :, :], structure.matrices(params)))


def supported_by_prior(structure, params, weights, prior):
    return gaussian.supported_matrices(params.means, covariance(structure, params), weights, prior)


def slack(structure, params, prepared, counts, prior):
    own, weights = diagonal(structure.matrices(params)), divide(counts, counts.sum(-1))  # (m, d), (k,)
    total, mean = gaussian.total_moments(params.means, own, weights)
    part = gaussian.prior_part(total, mean, prior)[..., None, :]
    part = xp.where(gaussian.constant(params.means, total, prior)[..., None, :], own, part)
    if isinstance(prepared, gaussian.Whitened):  # the residual form: the other one never comes near a ridge
        least = ridge(prepared.lowers)
        ridged = prepared.inflation > 0.45 / least  # a matrix with a ridge has an eigenvalue below twice the ridge
        part = xp.where(ridged[..., None], xp.maximum(part, least * own), part)
    return gaussian.slack(prepared, part, counts)


def family(name: str, structure: Structure, moments, sample: Callable) -> Family:
    """The family of a structure, with its moment form and its function ``sample`` (see `Family`)."""
    accurate = ResidualForm(
        Partial(prepare, structure),
        gaussian.residuals,
        gaussian.log_prob,
        Partial(statistics, structure),
        gaussian.Residuals,
        Partial(Structure.maximize_residuals, structure),
    )
    return Family(
        name=name,
        parameters=structure.parameters,
        support=gaussian.REAL_LINE,
        accurate=accurate,
        moments=moments,
        around=structure.around,
        centre=gaussian.centre,
        loosen=Partial(loosen, structure),
        sample=sample,
        supported_by_prior=Partial(supported_by_prior, structure),
        covariance=Partial(covariance, structure),
        margins=Margins(Partial(cumulants, structure), Partial(tails, structure), independent=False, normal=True),
        scaling="feature",
        slack=Partial(slack, structure),
        in_numpy=True,
    )
