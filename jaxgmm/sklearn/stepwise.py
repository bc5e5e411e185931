"""`partial_fit`: an update of `jaxgmm.stepwise` by one block of rows. Its state is kept in NumPy between calls."""

import dataclasses
import warnings

import jax
import numpy as np
from sklearn.utils import check_random_state

from .. import checks, em
from ..data.arrays import Rows
from ..data.frame import enter_prior, leave, log_volume, of_first_rows
from ..data.padding import padded
from ..mixtures import cast
from ..numerics.compiling import compiled
from ..numerics.dtypes import in_precision_of, numbers
from ..records import FitWarning, Mixture
from ..stepwise import LOST, Blend, advance, mergeable_form, start
from . import solving, starts


def update(x, weight, options, before: Blend | None, random_state):
    """The mixture after a block x (n, d) with weights (n,), the block's mean bound before that, and the blend."""
    mergeable_form(options.family)
    checks.weight_values(weight, 1)
    return _update(x, weight, options, before, random_state)


@in_precision_of("x", "before")
def _update(x, weight, options, before, random_state):
    blend, rows = _first(x, weight, options, random_state) if before is None else _next(x, weight, options, before)
    prior = enter_prior(numbers(options.prior, rows.dtype), rows.frame)
    blend = advance(blend, rows, prior)
    if blend.lost:
        warnings.warn(f"{LOST}: this block was left out; use fit, or float64", FitWarning, stacklevel=4)
    mixture, blend = jax.tree.map(np.asarray, (_mixture(blend), blend))
    return mixture, float(blend.lane.state.log_likelihood) - float(log_volume(rows.frame)), blend


@compiled()
def _mixture(blend: Blend) -> Mixture:
    """The mixture of the blend, in the data's units."""
    return dataclasses.replace(blend.mixture, components=leave(blend.mixture.components, blend.frame))


def _first(x, weight, options, random_state):
    """A blend that begins with a mixture drawn from the block, in the block's frame; and the block."""
    problem, _ = solving.framed(x, weight, options)
    rng = check_random_state(random_state)
    problem, options = dataclasses.replace(problem, method=em.PLAIN), dataclasses.replace(options, n_init=1)
    states = starts.begin(problem, options, x, weight, rng)
    states = starts.replaced(states, problem.known.frame, options.weights, options.given)
    rows = dataclasses.replace(problem.rows, frame=of_first_rows(problem.rows.frame))
    return start(rows, jax.tree.map(lambda leaf: leaf[0], states.candidate)), rows


def _next(x, weight, options, before: Blend):
    """The blend with the estimator's parameters, which a user may have set, and the block in the first one's frame."""
    dtype = before.lane.weight.dtype
    x, weight = padded(x, weight)
    whole = Rows(x, weight.astype(dtype), before.frame, x.shape[0], str(dtype))
    state = dataclasses.replace(before.lane.state, candidate=starts.entered(cast(options.init, dtype), before.frame))
    blend = dataclasses.replace(before, lane=dataclasses.replace(before.lane, state=state))
    return blend, whole.cut(mergeable_form(options.family), options.k, 1)
