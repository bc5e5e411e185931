"""Gaussian families of independent features: both forms of EM, written once for every structure of the variances.

    log N(x; μ, σ²) = Σ_j -½ (x_j - μ_j)² / σ²_j - ½ log σ²_j - ½ log 2π

A structure is how variances are stored, and how they are estimated from the scatter of every component,
S_kj = Σ_n w_n r_nk (x_nj - μ_kj)². The prior adds n_k lift_j to the scatter, which is then at least n_k floor_j. Both
act on the scatter, so that the estimate keeps the structure.

Source: Bishop, Pattern Recognition and Machine Learning (2006), section 9.2; Celeux and Govaert (1995).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numerics import LOG_2PI, divide, keep_empty, monomials, with_diagonal
from ..numerics.backend import xp
from ..numerics.host import choose
from ..records import record
from . import gaussian
from .base import Family, as_it_is
from .forms import ExponentialForm, Natural, Partial, ResidualForm
from .margins import Margins, normal_cumulants, normal_tails, sliced


@record
class Moments:
    """Σ r z (k, d) and Σ r z² (k, d), or the mean of the latter over features (k, 1), for z = x - reference."""

    x: Any
    xx: Any


def each_feature(x, reference):
    """z and z², (2d, b)."""
    j = np.arange(1, x.shape[-2] + 1)
    return monomials(x - reference[..., None], np.concatenate([0 * j, j]), np.concatenate([j, j]))


def mean_feature(x, reference):
    """z and the mean of z², (d + 1, b)."""
    z = x - reference[..., None]
    return xp.concatenate([z, (z * z).mean(-2, keepdims=True)], axis=-2)


def mean(values):
    return values.mean(-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Structure:
    """How variances are stored and estimated: (k, d), or (k, 1) where the features of a component share one.

    Args:
        parameters: the record class, with ``means`` (k, d).
        variances: ``params -> (k, d)`` or (k, 1).
        estimate: ``(scatter, counts, params) -> params``: from scatter of the shape of the variances, (k, 1) its mean
            over features. The parameters that maximise Q, or raise it, with the old means; a component without rows
            keeps its variances.
        around: ``(means, d) -> params`` with variances of 1.
        features: ``(x, reference)``: the features of the moment form, z = x - reference and z², or the mean of z².
        over_features: ``(k, d) -> (k, d)`` or (k, 1), as the variances are: as it is, or the mean over features.
    """

    parameters: type
    variances: Callable
    estimate: Callable
    around: Callable
    features: Callable = each_feature
    over_features: Callable = as_it_is

    def maximize_moments(self, params, prepared, sums, counts, prior):
        means = divide(sums.x, counts)
        scatter = sums.xx - counts[..., None] * self.over_features(means**2)
        return self.maximize_scatter(params, means + prepared.reference[..., None, :], scatter, counts, prior)

    def maximize_residuals(self, params, prepared, sums, counts, prior):
        first = divide(sums.first, counts)
        inner = sums.second - counts[..., None] * self.over_features(first**2)
        means = params.means + prepared.lowers * first
        return self.maximize_scatter(params, means, self.variances(params) * inner, counts, prior)

    def maximize_scatter(self, params, means, scatter, counts, prior):
        """The new parameters with these means, from scatter, prior and floor; empty components keep theirs."""
        variances = divide(scatter, counts)
        if variances.shape[-1] == means.shape[-1]:
            variance = gaussian.spread(means, variances, counts)  # (d,)
            lift = gaussian.lift(variance, prior)
        else:
            variance = gaussian.mean_spread(means, variances, counts)[..., None]  # (1,)
            lift = mean(gaussian.lift(variance, prior))
        lifted = xp.maximum(variances + lift[..., None, :], gaussian.floor(variance)[..., None, :])
        new = self.estimate(lifted * counts[..., None], counts, params)
        return dataclasses.replace(new, means=keep_empty(counts, means, params.means))

    def prior_part(self, params, weights, prior):
        """The part of every variance that is the prior's or a floor's, (1, d) or (1, 1); and whether the data vary
        there."""
        variances = self.variances(params)
        total, mean = gaussian.total_moments(params.means, variances, weights)
        constant = gaussian.constant(params.means, total, prior)
        if variances.shape[-1] < total.shape[-1]:
            total, mean = (value[..., None] for value in gaussian.over_features(total, mean))
            constant = constant.all(-1, keepdims=True)
        part = self.over_features(gaussian.prior_part(total, mean, prior))
        return part[..., None, :], ~constant[..., None, :]


def natural(structure, params, reference):
    means, precisions = params.means - reference[..., None, :], 1 / structure.variances(params)
    linear = means * precisions
    repeated = means.shape[-1] // precisions.shape[-1]  # features that share a variance
    constant = means.shape[-1] * LOG_2PI - repeated * xp.log(precisions).sum(-1)
    return Natural(
        theta=xp.concatenate([linear, -0.5 * repeated * precisions], axis=-1),
        bias=-0.5 * ((linear * means).sum(-1) + constant),
        reference=reference,
        loss=(1 + structure.over_features(linear * means)).max((-2, -1)),
        precisions=repeated * precisions,
    )


def prepare(structure, params, reference):
    variances = structure.variances(params)
    repeated = params.means.shape[-1] // variances.shape[-1]
    deviations, half_log_dets = xp.sqrt(variances), repeated / 2 * xp.log(variances).sum(-1)
    return gaussian.Whitened(params.means, deviations, 1 / deviations, half_log_dets, repeated / variances)


def statistics(structure, prepared, y, resp):
    weighted = resp[..., None, :] * y  # (k, d, b)
    return gaussian.Residuals(weighted.sum(-1), structure.over_features((weighted * y).sum(-1)))


def loosen(structure, params, weights, counts, prior):
    """The start, with an equal share of the whole variance in place of variances that have collapsed."""
    variances = structure.variances(params)
    whole = structure.over_features(gaussian.total_variance(params.means, variances, weights))
    whole = whole / gaussian.n_with_rows(counts)[..., None]
    collapsed = supported_by_prior(structure, params, weights, prior) & (counts > 0)
    free = xp.where(collapsed[..., None], whole[..., None, :], variances)
    loose = structure.estimate(free * counts[..., None], counts, params)
    return choose(collapsed.any(-1), loose, params)


def sample(structure, key, params, labels):
    noise = gaussian.draw(key, labels, params.means.shape[-1], params.means.dtype)
    return params.means[labels] + xp.sqrt(structure.variances(params))[labels] * noise


def supported_by_prior(structure, params, weights, prior):
    """Components of whose variance prior or floor make the larger part, in a feature in which the data vary."""
    part, varies = structure.prior_part(params, weights, prior)
    return ((structure.variances(params) < 2 * part) & varies).any(-1)


def slack(structure, params, prepared, counts, prior):
    part, varies = structure.prior_part(params, divide(counts, counts.sum(-1)), prior)
    return gaussian.slack(prepared, xp.where(varies, part, structure.variances(params)), counts)


def covariance(structure, params):
    """(k, d, d)."""
    return with_diagonal(xp.broadcast_to(structure.variances(params), params.means.shape))


def cumulants(structure, params):
    return normal_cumulants(params.means, structure.variances(params))


def tails(structure, params, x):
    return normal_tails(params.means, structure.variances(params), x)


def family(name: str, structure: Structure, scaling: str, marginal: Callable = sliced) -> Family:
    """The family of a structure; ``scaling`` is "common" where features share a variance, or a shape."""
    accurate = ResidualForm(
        Partial(prepare, structure),
        gaussian.scaled_residuals,
        gaussian.log_prob,
        Partial(statistics, structure),
        gaussian.Residuals,
        Partial(Structure.maximize_residuals, structure),
    )
    moments = ExponentialForm(
        structure.features, Partial(natural, structure), Moments, Partial(Structure.maximize_moments, structure)
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
        sample=Partial(sample, structure),
        supported_by_prior=Partial(supported_by_prior, structure),
        covariance=Partial(covariance, structure),
        margins=Margins(Partial(cumulants, structure), Partial(tails, structure), marginal, normal=True),
        scaling=scaling,
        slack=Partial(slack, structure),
        in_numpy=True,
    )
