"""The derivative ∂F/∂u of an update of EM with respect to the mixture's coordinates, and its transpose.

The statistics s of an exponential family are the gradient of the log-likelihood in its natural parameters η. Their
derivative ∂s/∂η is therefore a Hessian, and symmetric. For a change δ of the natural parameters, component k has

    (∂s/∂η δ)_k = Σ_n w_n r_nk (δ_k·φ_n - Σ_l r_nl δ_l·φ_n) φ_n

The derivative and its transpose look at the rows in this sum alone: two matrix products with the features φ of the
E-step. All other factors are derivatives of functions of the parameters.

Source: Sundberg, Maximum likelihood theory for incomplete data from an exponential family (1974).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .. import em
from ..families.forms import ExponentialForm
from ..numerics import product
from ..records import Statistics
from ..unconstrained import Unconstrained
from .blocks import over_blocks
from .map import Map, Smooth


@dataclasses.dataclass(frozen=True)
class Expectation:
    """The E-step of all rows at a point: its statistics, their derivative ``move -> Statistics``, and its transpose."""

    statistics: Statistics
    push: Callable
    pull: Callable


def pushing(update: Map, point: Unconstrained, smooth: Smooth):
    """The point after an update, and the derivative at the point before it.

    The derivative maps a change of the point to the changes of the point after the update and of the log-likelihood.
    """
    rows = expectation(update, point, smooth)
    following, maximising = jax.linearize(lambda *at: update.maximised(*at, smooth.prior), point, rows.statistics)

    def push(move):
        moved = rows.push(move)
        return maximising(move, moved), update.value(moved)

    return following, push


def pulling(update: Map, point: Unconstrained, smooth: Smooth):
    """The transpose of the derivative in `pushing`.

    It maps cotangents of the point after the update and of the log-likelihood to the cotangent of the point before it.
    """
    rows = expectation(update, point, smooth)
    _, maximising = jax.vjp(lambda *at: update.maximised(*at, smooth.prior), point, rows.statistics)

    def pull(cotangents, value):
        of_point, of_statistics = maximising(cotangents)
        of_statistics = em.shifted(of_statistics, value)  # adds to the log-likelihood; the total weight is constant
        return jax.tree.map(jnp.add, of_point, rows.pull(of_statistics))

    return pull


def expectation(update: Map, point: Unconstrained, smooth: Smooth) -> Expectation:
    """The E-step with its derivatives: in closed form for exponential families, by JAX for all others."""
    if isinstance(update.family.moments, ExponentialForm):
        return of_exponential_family(update, point, smooth)

    statistics, push = jax.linearize(lambda point: update.expected(point, smooth), point)
    pull = jax.linear_transpose(push, point)
    return Expectation(statistics, push, lambda cotangents: pull(cotangents)[0])


def of_exponential_family(update: Map, point: Unconstrained, smooth: Smooth) -> Expectation:
    """The E-step with its derivatives by the formula in the module's docstring."""
    form, (prepared, log_weights) = update.family.moments, update.prepared(point)
    blocks, kept = update.blocks(point, smooth)

    def with_posterior(x, weight):
        block = update.block(x, weight)
        return block, em.posterior(form, prepared, log_weights, block)

    if kept:
        blocks, with_posterior = jax.lax.map(lambda rows: with_posterior(*rows), blocks), lambda *rows: rows

    def natural(point):
        prepared, log_weights = update.prepared(point)
        return prepared.theta, prepared.bias + log_weights

    def hessian(delta):
        def summed(*rows):
            block, (features, _, resp) = with_posterior(*rows)
            logits = product(delta[0], features) + delta[1][:, None]
            change = block.weight[None] * resp * (logits - (resp * logits).sum(0, keepdims=True))
            return form.statistics(prepared, features, change), change.sum(1)

        return over_blocks(summed, blocks)

    statistics = over_blocks(lambda *rows: update.gathered(prepared, *with_posterior(*rows)), blocks)
    sums, counts = _joined(statistics.components), statistics.counts
    _, to_natural = jax.linearize(natural, point)
    from_natural = jax.linear_transpose(to_natural, point)

    def push(move):
        delta = to_natural(move)
        value = (sums * delta[0]).sum() + (counts * delta[1]).sum()
        of_sums, of_counts = hessian(delta)
        zero = jnp.zeros_like(value)
        return Statistics(value, zero, zero, of_counts, of_sums)

    def pull(cotangents):
        of_sums, of_counts = hessian((_joined(cotangents.components), cotangents.counts))
        value = cotangents.log_likelihood
        return from_natural((_joined(of_sums) + value * sums, of_counts + value * counts))[0]

    return Expectation(statistics, push, pull)


def _joined(sums):
    """The columns of a family's sums side by side, in the order of the columns of theta, (k, f)."""
    return jnp.concatenate(jax.tree.leaves(sums), axis=-1)
