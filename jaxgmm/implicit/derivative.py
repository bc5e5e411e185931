"""The derivative of a fit: where its fixed point moves as rows, weights and prior do.

A fit ends at u = F(u, θ), F one update of EM (`map`), u the mixture (`coordinates`), θ what is differentiated. So

    du = (I - ∂F/∂u)⁻¹ ∂F/∂θ dθ,        dL = ∂L/∂θ dθ + ∂L/∂u du

and no iteration is stored. Newton's steps from where the fit ended measure how far the fixed point is, and go there;
where it is not near, the derivative is NaN. All in float64. Where the likelihood alone is maximised, ∂L/∂u is 0.

Source: Krantz and Parks, The Implicit Function Theorem (2013); Xu and Jordan, On convergence properties of the EM
algorithm for Gaussian mixtures (1996), for EM as a preconditioner of the likelihood's own equations.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..data.frame import Frame, enter, leave
from ..numerics.linear import alone, linear
from ..records import FitResult, Mixture, Status, record
from ..unconstrained import Unconstrained
from .coordinates import inside, mixture_at, point_of
from .fixed_point import difference, fixed_point
from .map import Map, Smooth
from .solving import solve
from .tangent import pulling, pushing

FAILED = Status.DEGENERATE, Status.NON_FINITE, Status.INVALID
EXACTLY, GOOD = 1e-8, 1e-6  # what the residual of the linear system falls to, and what it must have fallen to
PRODUCTS = 1000
FELT = 1e-8  # a relative prior below this, and no other, moves the log-likelihood less than rounding does


@record
class Ended:
    """What of a fit has derivatives: the mixture, and its log-likelihood, in the units of the data."""

    mixture: Mixture
    log_likelihood: Any


@record
class Place:
    """Where derivatives are taken: the fixed point, and whether there is one near where the fit has ended, ()."""

    point: Unconstrained
    near: Any
    frame: Frame
    smooth: Smooth

    @property
    def map(self) -> Map:
        return Map(self.frame, self.point.family)

    def mixture(self, point: Unconstrained) -> Mixture:
        """The mixture at a point, in the units of the data."""
        mixture = mixture_at(point)
        return Mixture(mixture.log_weights, leave(mixture.components, self.frame), mixture.family)


def differentiable(result: FitResult, frame: Frame, smooth: Smooth) -> FitResult:
    """The result, through which derivatives pass to what the fit, run in this frame, is a smooth function of.

    Where they are asked for, the fit goes on to its fixed point, so that value and derivative belong together.
    """
    sound = ~jnp.isin(jnp.asarray(result.status), np.asarray(FAILED))
    whole = Ended(jax.tree.map(jnp.asarray, result.mixture), jnp.asarray(result.log_likelihood))
    ended = _attached(whole, frame, sound, smooth)
    return dataclasses.replace(result, mixture=ended.mixture, log_likelihood=ended.log_likelihood)


@jax.custom_jvp
def _attached(ended: Ended, frame: Frame, sound, smooth: Smooth) -> Ended:
    return ended


@_attached.defjvp
def _moved(primals, tangents):
    settled, place = alone(_settled, *primals)
    return settled, linear(_forward, _backward, place, tangents[-1], settled)


def _settled(ended: Ended, frame: Frame, sound, smooth: Smooth) -> tuple[Ended, Place]:
    """The fit at its fixed point; as it ended, where that is not near."""
    mixture, frame = widened((ended.mixture, frame))
    first = inside(point_of(Mixture(mixture.log_weights, enter(mixture.components, frame), mixture.family)))
    point, near = fixed_point(Map(frame, mixture.family), first, smooth)
    place = Place(point, near & sound, frame, smooth)
    there = Ended(place.mixture(point), place.map(point, smooth)[1])
    settled = jax.tree.map(lambda new, old: jnp.where(place.near, new.astype(old.dtype), old), there, ended)
    return settled, place


def _forward(place: Place, moves: Smooth) -> Ended:
    """Where mixture and log-likelihood move."""
    point, smooth = place.point, place.smooth
    _, (change, slope) = jax.jvp(lambda smooth: place.map(point, smooth), (smooth,), (moves,))
    _, push = pushing(place.map, point, smooth)
    step, left = solve(lambda move: difference(move, push(move)[0]), change, EXACTLY, PRODUCTS)
    _, mixture = jax.jvp(place.mixture, (point,), (step,))
    ended = Ended(mixture, slope + push(step)[1])
    return refused(ended, place.near & (left <= GOOD), smooth.weight.dtype)


def _backward(place: Place, cotangents: Ended) -> Smooth:
    """The transpose of `_forward`."""
    point, smooth = place.point, place.smooth
    cotangents = widened(cotangents)
    value = cotangents.log_likelihood
    pull = pulling(place.map, point, smooth)
    _, of_mixture = jax.vjp(place.mixture, point)
    [target] = of_mixture(cotangents.mixture)
    if smooth.prior is not None:
        slope = pull(jax.tree.map(jnp.zeros_like, point), felt(smooth.prior) * value)
        target = jax.tree.map(jnp.add, target, slope)
    zero = jnp.zeros_like(value)
    turned, left = solve(lambda move: difference(move, pull(move, zero)), target, EXACTLY, PRODUCTS)
    _, back = jax.vjp(lambda smooth: place.map(point, smooth), smooth)
    [moves] = back((turned, value))
    good = place.near & (left <= GOOD)
    return jax.tree.map(lambda move, like: refused(move, good, like.dtype), moves, smooth)


def felt(prior):
    """1 where a prior is felt, so that the fixed point is not where the log-likelihood is largest; else 0."""
    return jnp.where((prior.reg_covar > 0) | (prior.reg_relative > FELT), 1.0, 0.0)


def refused(tree, good, dtype):
    """The tree in this dtype, NaN where it is no good."""
    return jax.tree.map(lambda leaf: (leaf * jnp.where(good, 1.0, jnp.nan)).astype(dtype), tree)


def widened(tree):
    """Real numbers in float64."""

    def wide(leaf):
        return leaf.astype(np.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(wide, tree)
