"""`fit_gradient`: maximum likelihood by any optimiser of optax, over a mixture's unconstrained parameters θ.

    minimise  -Σ w log p(x; constrain(θ)) / Σ w     over θ

For rows too many for whole passes (``batch_size``), and as a pattern for mixtures inside larger objectives. EM is the
better choice otherwise.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from . import checks, em
from .calls import public
from .families.base import Family
from .fitting import concrete, ended_lane, named, traced_status, warn
from .init.draws import Start
from .numerics.compiling import compiled
from .numerics.dtypes import compute_dtype, in_precision_of
from .numerics.keys import Key, as_key
from .records import Block, FitResult, Init, Status
from .scoring import joint
from .search import ranking
from .search.beginnings import checked_init, first_lanes, keeps_order
from .search.loading import Options, family_of, load
from .unconstrained import constrain, unconstrain

AT_REST = 1e-4  # largest entry of the gradient of the mean log-likelihood at which a climb counts as converged


@public
@in_precision_of("x")
def fit_gradient(
    key: Key,
    x: Any,
    n_components: int,
    *,
    family: str | Family = "full",
    init: Init = "auto",
    sample_weight: ArrayLike | None = None,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch_size: int | None = None,
) -> FitResult:
    """The mixture that ``steps`` of an optax optimiser reach from one start.

    Args:
        key: a JAX key or an int seed.
        x: (n, d) rows.
        n_components: K >= 1.
        family: as in `jaxgmm.fit`.
        init: as in `jaxgmm.fit`.
        sample_weight: (n,) weights >= 0, as frequencies.
        optimizer: any optax optimiser; the same object compiles once. ``optax.lbfgs()`` works: it is given value and
            gradient at every step.
        steps: number of updates.
        batch_size: rows drawn for an update, with replacement; None takes all of them.

    Returns:
        FitResult: ``log_likelihood`` over all rows. CONVERGED where the gradient is at rest (its largest entry below
        1e-4 nats a row), MAX_ITER where the steps ended before; components by decreasing weight, unless ``init`` is a
        mixture, a result or responsibilities.

    Raises:
        ValueError: bad values or shapes; L-BFGS with ``batch_size``: its line search needs one and the same objective.

    Source: Xu and Jordan (1996) on gradient ascent and EM for mixtures. Cost: that of two E-steps a step.
    """
    columns, x = checks.names_of(x), checks.table(x)
    k = checks.count(n_components, "n_components")
    steps = checks.count(steps, "steps", least=0)
    family = family_of(family, x)
    init = checked_init(init, 1, x, model=(family, k, columns))
    if not isinstance(optimizer, optax.GradientTransformation):
        raise ValueError(f"optimizer must be an optax optimiser, as of optax.adam(1e-2), got {optimizer!r}")
    model = family, checks.prior_for(None, family, compute_dtype(x))
    [problem] = load(x, sample_weight, k, [model], Options(0.0, steps, "none"))
    if batch_size is not None:
        batch_size = min(checks.count(batch_size, "batch_size"), x.shape[0])
    key, draw_key = as_key(key), jax.random.fold_in(as_key(key), 1)
    lanes = first_lanes(problem, Start(init, 1, key, np.ones((1, k), bool)), x, sample_weight)
    problem = dataclasses.replace(problem, rows=problem.rows.cut(family.accurate, k, 1))
    start = unconstrain(jax.tree.map(lambda leaf: leaf[0], lanes.candidate))
    if batch_size is not None and _searches_lines(optimizer, start):
        raise ValueError("batch_size must be None with L-BFGS: its line search needs one and the same objective")
    climb = {"optimizer": optimizer, "steps": steps, "batch_size": batch_size}
    mixture, at_rest = _climb(problem.rows, np.int32(x.shape[0]), start, draw_key, **climb)
    lane = _judged(problem, mixture, at_rest)
    result = ranking.conclude_one(problem.known, lane, keep_order=keeps_order(init))
    result = dataclasses.replace(result, n_iter=jnp.asarray(steps, jnp.int32))
    if checks.in_trace(result):
        return dataclasses.replace(result, status=traced_status(problem, result.status))
    result = named(concrete(result), columns)
    warn(result, 0.0, stacklevel=5, rows=(x, sample_weight))
    return result


def loss(view, block):
    """-Σ w log p(x) of a block of framed rows."""
    mixture, weight = constrain(view), block.weight
    log_density = em.normalise(joint(mixture, block.x), mixture.log_weights)[0]
    return -jnp.where(weight > 0, weight * log_density, 0).sum()


@compiled("optimizer", "steps", "batch_size")
def _climb(rows, n, start, key, *, optimizer, steps, batch_size):
    optimizer = optax.with_extra_args_support(optimizer)
    whole_weight = rows.weight.sum()

    def objective(view):
        """The objective over all rows. What a block computes is computed again for its gradient, to save memory."""
        return rows.sum(jax.checkpoint(lambda block: loss(view, block)))[0] / whole_weight

    def batch_objective(view, key):
        index = jax.random.randint(key, (batch_size,), 0, n)  # no row of padding is drawn
        weight = rows.weight[index]
        block = Block(rows.framed(rows.x[index]), weight)
        return loss(view, block) / jnp.maximum(weight.sum(), jnp.finfo(weight.dtype).tiny)

    def step(carry, key):
        view, memory = carry
        function = objective if batch_size is None else lambda view: batch_objective(view, key)
        value, gradient = jax.value_and_grad(function)(view)
        update, memory = optimizer.update(gradient, memory, view, value=value, grad=gradient, value_fn=function)
        return (optax.apply_updates(view, update), memory), None

    (view, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), jax.random.split(key, steps))
    at_rest = jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(jax.grad(objective)(view))]).max() < AT_REST
    return constrain(view), at_rest


@compiled()
def _judged(problem, mixture, at_rest):
    """The end of the climb as a lane of EM (1,)."""
    form, reference = problem.family.accurate, problem.known.frame.reference
    prepared = form.prepare(mixture.components, reference)
    [statistics] = problem.rows.sum(em.Expected(prepared, mixture.log_weights, reference, form))
    value = statistics.log_likelihood + problem.known.measured.left_out(form)
    return ended_lane(mixture, statistics, value, jnp.where(at_rest, int(Status.CONVERGED), int(Status.MAX_ITER)))


def _searches_lines(optimizer, start) -> bool:
    """Whether the optimiser's state is that of L-BFGS or of a line search."""
    kinds = (optax.ScaleByLBFGSState, optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)
    state = jax.eval_shape(optimizer.init, start)
    return any(isinstance(leaf, kinds) for leaf in jax.tree.leaves(state, is_leaf=lambda leaf: isinstance(leaf, kinds)))
