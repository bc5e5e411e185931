"""Mixtures as objects of NumPyro, SciPy, OTT and gmr, and back. A library is imported when it is first needed."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np

from ..families.base import lookup
from ..mixtures import mixture as made
from ..numerics import host
from ..records import Mixture
from . import arguments
from .cuts import part
from .normals import each_its_own, normals
from .running import precision_of

OF_NUMPYRO = {  # NumPyro's distribution of one feature, by family
    "bernoulli": lambda distributions, p: distributions.Bernoulli(probs=p.probs),
    "poisson": lambda distributions, p: distributions.Poisson(p.rates),
    "exponential": lambda distributions, p: distributions.Exponential(p.rates),
    "gamma": lambda distributions, p: distributions.Gamma(p.concentrations, p.rates),
}


def needed(module: str):
    """The module of an optional package; an ImportError names the package to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        name = {"ott": "ott-jax"}.get(package, package)
        raise ImportError(f"{package} is not installed: pip install {name} ({error})") from error


def to_numpyro(mixture):
    """NumPyro's ``MixtureSameFamily`` of the mixture, with events of shape (d,).

    Args:
        mixture: a `Mixture` of any family of the library but the categorical one, whose components NumPyro cannot
            mix. The leading axes of a batch become NumPyro's batch shape. Works inside a trace.

    Raises:
        ValueError: another family.
        ImportError: NumPyro is not installed.

    NumPyro computes in float64 only if JAX's x64 flag is set.
    """
    distributions, mixture = needed("numpyro.distributions"), arguments.mixture_of(mixture)
    name, params = mixture.family.name, mixture.components
    with precision_of(mixture):
        if mixture.family.margins.normal:
            found = each_its_own(normals(jax.tree.map(jnp.asarray, mixture)))
            if found.independent:
                components = distributions.Normal(found.means, jnp.sqrt(found.spread)).to_event(1)
            else:
                components = distributions.MultivariateNormal(found.means, covariance_matrix=found.spread)
        elif name not in OF_NUMPYRO:
            raise ValueError(
                f"mixture is of family {name!r}, of which NumPyro mixes no components; Gaussian families and "
                f"{', '.join(OF_NUMPYRO)} can be passed on"
            )
        else:
            components = OF_NUMPYRO[name](distributions, params).to_event(1)
        shares = distributions.Categorical(logits=mixture.log_weights)
        return distributions.MixtureSameFamily(shares, components)


def to_scipy(mixture, *, feature=None):
    """SciPy's distribution of one feature, with ``pdf`` (``pmf`` of integers), ``cdf``, ``ppf``, ``rvs`` and the rest.

    Args:
        mixture: a `Mixture`; of several features, ``feature`` says which.
        feature: a number from 0 to d - 1.

    Returns:
        scipy.stats.rv_continuous, or rv_discrete for families on integers, with all their methods, in float64. Moments
        are exact; quantiles are those of `quantile`.

    Raises:
        ValueError: several features and no ``feature``, a batch, or a trace: SciPy runs in NumPy.
    """
    mixture = arguments.as_numpy(arguments.single(arguments.mixture_of(mixture)), "to_scipy")
    which = arguments.of_one(mixture, feature)

    from .scipy_distributions import distribution  # loads scipy.stats, which takes long

    return distribution(part(which, mixture))


def to_ott(mixture):
    """OTT's ``GaussianMixture`` of a Gaussian mixture. Works inside a trace.

    Raises:
        ValueError: a mixture that is not Gaussian, or a batch.
        ImportError: OTT is not installed.
    """
    kind = needed("ott.tools.gaussian_mixture.gaussian_mixture").GaussianMixture
    mixture = arguments.single(arguments.gaussian(mixture, "OTT has no other components"))
    with precision_of(mixture):
        found = each_its_own(normals(jax.tree.map(jnp.asarray, mixture), "dd"))
        return kind.from_mean_cov_component_weights(found.means, found.spread, found.weights)


def from_ott(gmm) -> Mixture:
    """The full `Mixture` of OTT's ``GaussianMixture``, in its dtype. Works inside a trace.

    Raises:
        ValueError: another object.
    """
    if not all(hasattr(type(gmm), name) for name in ("loc", "covariance", "log_component_weights")):
        raise ValueError(f"gmm must be OTT's GaussianMixture, got {type(gmm).__name__}")
    with jax.enable_x64(jax.config.jax_enable_x64 or gmm.loc.dtype == np.float64):
        family = lookup("full")
        return Mixture(gmm.log_component_weights(), family.parameters(gmm.loc, gmm.covariance), family)


def to_gmr(mixture):
    """gmr's ``GMM`` of a Gaussian mixture, in NumPy.

    Raises:
        ValueError: a mixture that is not Gaussian, a batch, or a trace.
        ImportError: gmr is not installed.
    """
    kind = needed("gmr").GMM
    mixture = arguments.single(arguments.gaussian(mixture, "gmr has no other components"))
    mixture = arguments.as_numpy(mixture, "to_gmr")
    with host.on_host():
        found = each_its_own(normals(mixture, "dd"))
        return kind(mixture.n_components, *(np.array(each) for each in (found.weights, found.means, found.spread)))


def from_gmr(gmm) -> Mixture:
    """The full `Mixture` of gmr's ``GMM``, in float64.

    Raises:
        ValueError: another object, or a GMM that has no parameters yet.
    """
    parts = [getattr(gmm, name, None) for name in ("priors", "means", "covariances")]
    if any(each is None for each in parts):
        raise ValueError(f"gmm must be gmr's GMM with priors, means and covariances, got {type(gmm).__name__}: fit it")
    weights, means, covariances = (np.asarray(each, np.float64) for each in parts)
    return made("full", weights=weights, means=means, covariances=covariances)
