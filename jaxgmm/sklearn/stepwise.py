"""Stepwise EM: one update a block of rows, from statistics that forget the past slowly.

    s ← (1 - γ_t) s + γ_t S_t,      parameters = maximize(s),      γ_t = t^(-0.6)

S_t are the block's expected statistics per unit weight. They are moments about the reference of the first block's
frame, whatever the mixture, so those of different mixtures may be blended.

Source: Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models, equation 8.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils import check_random_state

from .. import checks, em
from ..building import cast
from ..drivers.memory import Rows, collect, in_block, total
from ..frame import Frame, enter_prior, leave, log_volume
from ..precision import in_precision_of
from ..records import Mixture, Statistics, record, static
from . import arrays, solving, starts

FORGETTING = 0.6  # between 1/2 and 1, exclusive: what the convergence theorem asks of the exponent


@record
class Progress:
    """What the next block goes on from, in NumPy: the frame, statistics per unit weight, and the number of steps."""

    frame: Frame
    statistics: Statistics
    steps: int = static()


def update(x, weight, options, before: Progress | None, random_state):
    """The mixture after the block x (n, d) with weights (n,), the block's mean bound before it, and the progress."""
    checks.weight_values(weight, 1)
    return _update(x, weight, options, before, random_state)


@in_precision_of("x", "before")
def _update(x, weight, options, before, random_state):
    if before is None:
        mixture, rows = _first(x, weight, options, check_random_state(random_state))
        old, steps = None, 1
    else:
        old, steps = before.statistics, before.steps + 1
        mixture, rows = _next(x, weight, options, before)
    prior = jax.tree.map(lambda value: np.asarray(value, rows.dtype), options.prior)
    new, bound, statistics = jax.tree.map(np.asarray, _step(rows, mixture, old, steps**-FORGETTING, prior))
    return new, float(bound), Progress(jax.tree.map(np.asarray, rows.frame), statistics, steps)


def _first(x, weight, options, rng):
    """A first mixture drawn from the block, in the block's frame, and the block."""
    problem, _ = solving.framed(x, weight, options)
    states = starts.begin(problem, options.family, options.init, x, weight, options.k, 1, rng)
    states = starts.replaced(states, problem.rows.frame, options.weights, options.given)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], states.candidate), problem.rows


def _next(x, weight, options, before):
    dtype = before.statistics.counts.dtype
    held, weight = arrays.padded(x)[0], arrays.padded_weight(x, weight)
    whole = Rows(held, weight.astype(dtype), before.frame, held.shape[0], str(dtype))
    rows = in_block(whole, options.family.moments, options.k, 1, None)
    return starts.entered(cast(options.init, dtype), before.frame), rows


@jax.jit
def _step(rows: Rows, mixture: Mixture, old: Statistics | None, gamma: Any, prior):
    family, reference = mixture.family, rows.frame.reference
    form = family.moments
    prepared = form.prepare(mixture.components, reference)
    block = collect(rows, form, prepared, mixture.log_weights)
    if form is not family.accurate:

        def left_out(x, weight):
            return jnp.where(weight > 0, weight * family.base(x, reference), 0).sum()

        block = em.shifted(block, total(rows, left_out))
    block = jax.tree.map(lambda leaf: leaf / block.weight, block)
    blended = block if old is None else jax.tree.map(lambda a, b: a + gamma.astype(a.dtype) * (b - a), old, block)
    new, _ = em.maximise(form, mixture, prepared, blended, enter_prior(prior, rows.frame))
    new = dataclasses.replace(new, components=leave(new.components, rows.frame))
    return new, block.log_likelihood - log_volume(rows.frame), blended
