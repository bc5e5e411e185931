"""The derivative of EM's map in where the mixture lies, and its transpose.

The statistics s of an exponential family are the gradient of the log-likelihood in its natural parameters η, so that
their derivative there is a Hessian, which is symmetric. In a direction δ it is

    ∂s/∂η δ = Σ_n w_n Σ_k r_nk (δ_k·φ_n - Σ_l r_nl δ_l·φ_n) φ_n

Both ways that is all that looks at rows: two matrix products with the E-step's features. The rest are derivatives of
functions of the parameters alone.

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
    """Where an update takes the point, and the derivative ``move -> moves`` of that and of the log-likelihood."""
    rows = expectation(update, point, smooth)
    following, maximising = jax.linearize(lambda *at: update.maximised(*at, smooth.prior), point, rows.statistics)

    def push(move):
        moved = rows.push(move)
        return maximising(move, moved), update.value(moved)

    return following, push


def pulling(update: Map, point: Unconstrained, smooth: Smooth):
    """The transpose of that derivative: cotangents of the following point and of the log-likelihood -> of the point."""
    rows = expectation(update, point, smooth)
    _, maximising = jax.vjp(lambda *at: update.maximised(*at, smooth.prior), point, rows.statistics)

    def pull(turned, value):
        of_point, of_statistics = maximising(turned)
        of_statistics = em.shifted(of_statistics, value)  # the total weight does not depend on the point
        return jax.tree.map(jnp.add, of_point, rows.pull(of_statistics))

    return pull


def expectation(update: Map, point: Unconstrained, smooth: Smooth) -> Expectation:
    if isinstance(update.family.moments, ExponentialForm):
        return of_exponential_family(update, point, smooth)

    def expected(point):
        return update.expected(point, smooth)

    statistics, push = jax.linearize(expected, point)
    pull = jax.linear_transpose(push, point)
    return Expectation(statistics, push, lambda turned: pull(turned)[0])


def of_exponential_family(update: Map, point: Unconstrained, smooth: Smooth) -> Expectation:
    form, (prepared, log_weights) = update.family.moments, update.prepared(point)
    blocks, kept = update.blocks(point, smooth)

    def known(x, weight):
        block = update.block(x, weight)
        return block, em.posterior(form, prepared, log_weights, block)

    if kept:
        blocks, known = jax.lax.map(lambda rows: known(*rows), blocks), lambda *rows: rows

    def natural(point):
        prepared, log_weights = update.prepared(point)
        return prepared.theta, prepared.bias + log_weights

    def hessian(along):
        def moved(*rows):
            block, (features, _, share) = known(*rows)
            logits = product(along[0], features) + along[1][:, None]
            move = block.weight[None] * share * (logits - (share * logits).sum(0, keepdims=True))
            return form.statistics(prepared, features, move), move.sum(1)

        return over_blocks(moved, blocks)

    statistics = over_blocks(lambda *rows: update.gathered(prepared, *known(*rows)), blocks)
    sums, counts = _joined(statistics.components), statistics.counts
    _, onto = jax.linearize(natural, point)
    back = jax.linear_transpose(onto, point)

    def push(move):
        along = onto(move)
        value = (sums * along[0]).sum() + (counts * along[1]).sum()
        of_sums, of_counts = hessian(along)
        zero = jnp.zeros_like(value)
        return Statistics(value, zero, zero, of_counts, of_sums)

    def pull(turned):
        of_sums, of_counts = hessian((_joined(turned.components), turned.counts))
        value = turned.log_likelihood
        return back((_joined(of_sums) + value * sums, of_counts + value * counts))[0]

    return Expectation(statistics, push, pull)


def _joined(sums):
    """The columns of a family's sums side by side, as those of theta, (k, f)."""
    return jnp.concatenate(jax.tree.leaves(sums), axis=-1)
