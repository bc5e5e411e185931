"""The derivative of a fit: how the mixture and its log-likelihood change with the rows, their weights and the prior.

A converged fit is a fixed point u = F(u, θ): F is one update of EM (`map`), u the mixture in coordinates
(`coordinates`), θ the rows, weights and prior. L(u, θ) is the log-likelihood. Then

    du = (I - ∂F/∂u)⁻¹ ∂F/∂θ dθ,        dL = ∂L/∂θ dθ + ∂L/∂u du

and no iteration is stored. Newton's method goes from the end of the fit to the fixed point (`fixed_point`); if there is
none near, the derivative is NaN. Everything is computed in float64. Without a prior, ∂L/∂u is 0 at the fixed point.

Source: Krantz and Parks, The Implicit Function Theorem (2013); Xu and Jordan, On convergence properties of the EM
algorithm for Gaussian mixtures (1996), for EM as a preconditioner of the likelihood's own equations.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..data.frame import Frame, enter, leave
from ..numerics.linear import linear, without_derivatives
from ..records import FitResult, Mixture, Status, record
from ..unconstrained import Unconstrained
from .coordinates import inside, mixture_at, point_of
from .fixed_point import difference, fixed_point
from .map import Map, Smooth
from .solving import solve
from .tangent import pulling, pushing

FAILED = Status.DEGENERATE, Status.NON_FINITE, Status.INVALID
SOLVED, ACCEPTED = 1e-8, 1e-6  # relative residuals of the linear system: the aim, and the largest that is no NaN
PRODUCTS = 1000  # of the matrix with a vector, at most
NEGLIGIBLE = 1e-8  # a relative prior below this changes the log-likelihood by less than rounding


@record
class Ended:
    """The differentiable outputs of a fit: the mixture and its log-likelihood, in the units of the data."""

    mixture: Mixture
    log_likelihood: Any


@record
class Place:
    """Where derivatives are taken: the fixed point, whether it is near the end of the fit (), the frame, the inputs."""

    point: Unconstrained
    near: Any
    frame: Frame
    smooth: Smooth

    @property
    def map(self) -> Map:
        return Map(self.frame, self.point.family)

    def mixture(self, point: Unconstrained) -> Mixture:
        """The mixture with these coordinates, in the units of the data."""
        mixture = mixture_at(point)
        return Mixture(mixture.log_weights, leave(mixture.components, self.frame), mixture.family)


def differentiable(result: FitResult, frame: Frame, smooth: Smooth) -> FitResult:
    """The result of a fit in this frame, differentiable with respect to ``smooth``: rows, weights and prior.

    Where a derivative is taken, the value too is that of the fixed point, so that both belong to the same mixture.
    """
    sound = ~jnp.isin(jnp.asarray(result.status), np.asarray(FAILED))
    ended = Ended(jax.tree.map(jnp.asarray, result.mixture), jnp.asarray(result.log_likelihood))
    ended = _attached(ended, frame, sound, smooth)
    return dataclasses.replace(result, mixture=ended.mixture, log_likelihood=ended.log_likelihood)


@jax.custom_jvp
def _attached(ended: Ended, frame: Frame, sound, smooth: Smooth) -> Ended:
    """``ended`` itself; JAX takes its derivative by the rule below."""
    return ended


@_attached.defjvp
def _value_and_change(primals, tangents):
    settled, place = without_derivatives(_at_fixed_point, *primals)
    return settled, linear(_forward, _backward, place, tangents[-1], settled)


def _at_fixed_point(ended: Ended, frame: Frame, sound, smooth: Smooth) -> tuple[Ended, Place]:
    """The outputs at the fixed point, or, if none is near, as the fit ended; and the place for derivatives."""
    mixture, frame = in_float64((ended.mixture, frame))
    first = inside(point_of(Mixture(mixture.log_weights, enter(mixture.components, frame), mixture.family)))
    point, near = fixed_point(Map(frame, mixture.family), first, smooth)
    place = Place(point, near & sound, frame, smooth)
    there = Ended(place.mixture(point), place.map(point, smooth)[1])
    settled = jax.tree.map(lambda new, old: jnp.where(place.near, new.astype(old.dtype), old), there, ended)
    return settled, place


def _forward(place: Place, moves: Smooth) -> Ended:
    """The changes of mixture and log-likelihood for these changes of rows, weights and prior."""
    point, smooth = place.point, place.smooth
    _, (change, slope) = jax.jvp(lambda smooth: place.map(point, smooth), (smooth,), (moves,))
    _, push = pushing(place.map, point, smooth)
    step, left = solve(lambda move: difference(move, push(move)[0]), change, SOLVED, PRODUCTS)
    _, mixture = jax.jvp(place.mixture, (point,), (step,))
    ended = Ended(mixture, slope + push(step)[1])
    return nan_unless(place.near & (left <= ACCEPTED), ended, smooth.weight.dtype)


def _backward(place: Place, cotangents: Ended) -> Smooth:
    """The transpose of `_forward`: cotangents of rows, weights and prior for those of the outputs."""
    point, smooth = place.point, place.smooth
    cotangents = in_float64(cotangents)
    value = cotangents.log_likelihood
    pull = pulling(place.map, point, smooth)
    _, of_mixture = jax.vjp(place.mixture, point)
    [target] = of_mixture(cotangents.mixture)
    if smooth.prior is not None:
        slope = pull(jax.tree.map(jnp.zeros_like, point), matters(smooth.prior) * value)
        target = jax.tree.map(jnp.add, target, slope)
    zero = jnp.zeros_like(value)
    solution, left = solve(lambda move: difference(move, pull(move, zero)), target, SOLVED, PRODUCTS)
    _, back = jax.vjp(lambda smooth: place.map(point, smooth), smooth)
    [moves] = back((solution, value))
    good = place.near & (left <= ACCEPTED)
    return jax.tree.map(lambda move, like: nan_unless(good, move, like.dtype), moves, smooth)


def matters(prior):
    """1.0 where the prior is so strong that the log-likelihood has a slope at the fixed point, else 0.0."""
    return jnp.where((prior.reg_covar > 0) | (prior.reg_relative > NEGLIGIBLE), 1.0, 0.0)


def nan_unless(good, tree, dtype):
    """The tree in this dtype; all NaN unless ``good``."""
    return jax.tree.map(lambda leaf: (leaf * jnp.where(good, 1.0, jnp.nan)).astype(dtype), tree)


def in_float64(tree):
    """The tree with its floating-point arrays in float64."""

    def wide(leaf):
        return leaf.astype(np.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(wide, tree)
