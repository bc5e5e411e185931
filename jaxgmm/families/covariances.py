"""Gaussian structures of whole matrices: EM on residuals, over what tells one structure from another.

    log N(x; μ, Σ) = -½ ‖y‖² - log|L| - d/2 log 2π,      y = L⁻¹ (x - μ),  Σ = L Lᵀ
    μ ← μ + L m,      S = L (Σ r y yᵀ - n m mᵀ) Lᵀ,      m = Σ r y / n

A structure estimates its matrices from the scatter S of every component. Their moments are the structure's own: those
that it needs of a row decide what a row costs.

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2; Celeux and Govaert (1995).
"""

import dataclasses
from collections.abc import Callable

from ..numerics import diagonal, divide, keep_empty, positive_definite, product, ridge, whitening, with_diagonal
from ..numerics.backend import xp
from . import gaussian
from .base import Family
from .forms import Of, ResidualForm
from .margins import Margins, normal_cumulants, normal_tails


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a structure of matrices is. Its parameters are a record with ``means`` (k, d); m is k, or 1 where all
    components share a matrix.

    Args:
        parameters: the record class.
        matrices: ``params -> (m, d, d)``.
        stored: ``(params, (m, d, d)) -> params`` with these matrices.
        gathered: ``(k, ...) -> (m, ...)``: as it is, or the sum over components, which keeps its axis.
        estimate: ``(scatter (m, d, d), counts (m,), params) -> (m, d, d)``: the matrices that maximise Q, or raise it.
        around: ``means -> params`` with matrices of 1.
    """

    parameters: type
    matrices: Callable
    stored: Callable
    gathered: Callable
    estimate: Callable
    around: Callable

    def maximize_residuals(self, params, prepared, sums, counts, prior):
        first, lowers = divide(sums.first, counts), prepared.lowers
        inner = sums.second - self.gathered(outer(counts, first))
        scatter = product(product(lowers, inner), xp.swapaxes(lowers, -1, -2))
        means = params.means + product(lowers, first[..., None])[..., 0]
        return self.finish(params, means, scatter, counts, prior)

    def finish(self, params, means, scatter, counts, prior):
        """Prior, floors and empty components, of scatter (m, d, d)."""
        totals = self.gathered(counts[..., None, None])[..., 0, 0]  # (m,)
        raw = self.estimate(scatter, totals, params)
        means = keep_empty(counts, means, params.means)
        variance = gaussian.spread(means, diagonal(raw), counts)  # (d,)
        lift = gaussian.lift(variance, prior)[..., None, :]
        new = positive_definite(raw + with_diagonal(lift), gaussian.floor(variance)[..., None, :])
        kept = self.stored(params, keep_empty(totals, new, self.matrices(params)))
        return dataclasses.replace(kept, means=means)


def quotient(scatter, counts, params):
    """Every matrix its own scatter, a row."""
    return divide(scatter, counts)


def prepare(structure, params, reference):
    lowers, inverses, half_log_dets = whitening(structure.matrices(params))
    half_log_dets = xp.broadcast_to(half_log_dets, params.means.shape[:-1])
    return gaussian.Whitened(params.means, lowers, inverses, half_log_dets, (inverses**2).sum(-2))


def statistics(structure, prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), structure.gathered(product(weighted, xp.swapaxes(y, -1, -2))))


def outer(counts, means):
    """n m mᵀ of every component, (k, d, d)."""
    return gaussian.outer(counts[..., None] * means, means)


def around(structure, centres, d):
    return structure.around(centres)


def covariance(structure, params):
    """(k, d, d)."""
    means = params.means
    return xp.broadcast_to(structure.matrices(params), (*means.shape, means.shape[-1]))


def cumulants(structure, params):
    return normal_cumulants(params.means, diagonal(structure.matrices(params)))


def tails(structure, params, x):
    return normal_tails(params.means, diagonal(structure.matrices(params)), x)


def loosen(structure, params, weights, counts, prior):
    """Collapsed matrices start as a share of the whole covariance instead."""
    whole = gaussian.total_covariance(params.means, covariance(structure, params), weights)
    whole = gaussian.ridged(whole / gaussian.alive(counts)[..., None, None])
    collapsed = supported_by_prior(structure, params, weights, prior) & (counts > 0)
    those = structure.gathered(collapsed[..., None, None]) > 0  # (m, 1, 1)
    return structure.stored(params, xp.where(those, whole[..., None, :, :], structure.matrices(params)))


def supported_by_prior(structure, params, weights, prior):
    return gaussian.supported_matrices(params.means, covariance(structure, params), weights, prior)


def slack(structure, params, prepared, counts, prior):
    own, weights = diagonal(structure.matrices(params)), divide(counts, counts.sum(-1))  # (m, d), (k,)
    whole, middle = gaussian.whole_of(params.means, own, weights)
    owed = gaussian.owed(whole, middle, prior)[..., None, :]
    owed = xp.where(gaussian.constant(params.means, whole, prior)[..., None, :], own, owed)
    if isinstance(prepared, gaussian.Whitened):  # which alone comes near a ridge
        least = ridge(prepared.lowers)
        ridged = prepared.inflation > 0.45 / least  # a matrix with a ridge has an eigenvalue below two of them
        owed = xp.where(ridged[..., None], xp.maximum(owed, least * own), owed)
    return gaussian.slack(prepared, owed, counts)


def family(name: str, structure: Structure, moments, sample: Callable) -> Family:
    """The family of a structure, of its moment form and of how it is sampled."""
    accurate = ResidualForm(
        Of(prepare, structure),
        gaussian.residuals,
        gaussian.log_prob,
        Of(statistics, structure),
        gaussian.Residuals,
        Of(Structure.maximize_residuals, structure),
    )
    return Family(
        name=name,
        parameters=structure.parameters,
        support=gaussian.REAL_LINE,
        accurate=accurate,
        moments=moments,
        around=Of(around, structure),
        centre=gaussian.centre,
        loosen=Of(loosen, structure),
        sample=sample,
        supported_by_prior=Of(supported_by_prior, structure),
        covariance=Of(covariance, structure),
        margins=Margins(Of(cumulants, structure), Of(tails, structure), independent=False, normal=True),
        scaling="feature",
        slack=Of(slack, structure),
        in_numpy=True,
    )
