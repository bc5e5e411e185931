"""Gaussian mixtures of any covariance structure as plain means and covariances, and back.

A structure is named by the axes of its covariances: kdd full, dd tied, kd diag, k spherical, no axes EII. Any other
(VEI, or one that a user has registered) is read as diag or full.
"""

from typing import Any

from ..families.base import lookup, parameters
from ..numerics import with_diagonal
from ..numerics.backend import xp
from ..records import Mixture, record

FAMILIES = {"kdd": "full", "dd": "tied", "kd": "diag", "k": "spherical", "": "EII"}


@record
class Normals:
    """Log weights (..., k), means (..., k, d), and ``spread``: covariances (..., m, d, d), or variances (..., m, d) if
    all components have independent features. m is k, or 1 if the components share one covariance."""

    log_weights: Any
    means: Any
    spread: Any

    @property
    def weights(self):
        return xp.exp(self.log_weights)

    @property
    def independent(self) -> bool:
        return self.spread.ndim == self.means.ndim


def axes_of(mixture: Mixture) -> str:
    """The axes of the covariances of a Gaussian mixture."""
    about = parameters(type(mixture.components))
    if set(about) == {"means", "covariances"} and about["covariances"]["shape"] in FAMILIES:
        return about["covariances"]["shape"]
    return "kd" if mixture.family.margins.independent else "kdd"


def common(*axes: str) -> str:
    """The axes of the narrowest structure that holds the covariances of all these structures."""
    d = max(each.count("d") for each in axes)
    own = d == 1 or any("k" in each for each in axes)
    return "k" * own + "d" * d


def normals(mixture: Mixture, axes: str = "") -> Normals:
    """A Gaussian mixture as `Normals`; variances become diagonal matrices if ``axes`` has "dd"."""
    own = axes_of(mixture)
    shared = "k" not in own
    means, variances, _, _ = mixture.family.margins.cumulants(mixture.components)
    spread = variances[..., :1, :] if shared else variances
    if "dd" in own:
        spread = mixture.family.covariance(mixture.components)
        spread = spread[..., :1, :, :] if shared else spread
    elif "dd" in axes:
        spread = with_diagonal(spread)
    return Normals(mixture.log_weights, means, spread)


def each_its_own(found: Normals) -> Normals:
    """The same, with a covariance for each component: m = k."""
    axes = found.means.shape if found.independent else (*found.means.shape, found.means.shape[-1])
    return Normals(found.log_weights, found.means, xp.broadcast_to(found.spread, axes))


def mixture_from(axes: str, found: Normals) -> Mixture:
    """The mixture in the family that these axes name; covariances are broadcast over a batch."""
    family, spread = lookup(FAMILIES[axes]), found.spread
    batch, (k, d) = found.means.shape[:-2], found.means.shape[-2:]
    if "k" not in axes:
        spread = spread[..., 0, :] if found.independent else spread[..., 0, :, :]
    if "d" not in axes:
        spread = spread[..., 0]
    sizes = {"k": k, "d": d}
    covariances = xp.broadcast_to(spread, (*batch, *(sizes[letter] for letter in axes)))
    return Mixture(found.log_weights, family.parameters(means=found.means, covariances=covariances), family)
