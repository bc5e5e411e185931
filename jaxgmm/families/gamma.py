"""Independent Gamma features, with concentration a, rate β and mean μ = a / β.

    log p(x) = a log β - log Γ(a) + (a - 1) log x - β x
             = -a (t - 1 - log t) - log x + ½ log a - ½ log 2π - δ(a),      t = x / μ

M-step: μ = Σ r x / n, and log a - ψ(a) = s with s = log μ - Σ r log x / n, solved by a fixed number of Newton steps on
1/a from a closed-form start. At a = 1e5 the moment form loses 1 % of s in float32; the accurate form sums
t - 1 - log t.

Source: Minka, Estimating a Gamma distribution (2002), equations 9 and 10.
"""

from typing import Any

import jax
import numpy as np

from ..numerics import LOG_2PI, divide, keep_empty, pooled
from ..numerics.backend import xp
from ..numerics.special import gap, log_minus_digamma, log_minus_digamma_slope, special, stirling
from ..records import record
from .base import Constraint, Family, Support, parameter
from .forms import ExponentialForm, Natural, ResidualForm
from .margins import Margins

NEWTON_STEPS = 5  # the closed-form start is within 2 %, and Newton on 1/a squares the error


@record
class Gamma:
    """Concentrations a and rates β, both (k, d)."""

    concentrations: Any = parameter("kd", Constraint.POSITIVE)
    rates: Any = parameter("kd", Constraint.POSITIVE, units=-1)


@record
class GammaMoments:
    """Σ r z and Σ r log z, both (k, d), for z = x / reference."""

    x: Any
    log_x: Any


@record
class GammaResiduals:
    """Σ r (t - 1) and Σ r (t - 1 - log t), both (k, d), for t = x / μ_k."""

    excess: Any
    gap: Any


@record
class Ratios:
    """t - 1 and t - 1 - log t for t = x / μ of every component, both (k, d, b), and Σ log x (b,)."""

    excess: Any
    gap: Any
    log_x: Any


@record
class Prepared:
    means: Any  # (k, d)
    concentrations: Any  # (k, d)
    log_norms: Any  # (k,)


def positive(reference):
    return xp.where(reference > 0, reference, 1)


def log_norm(concentrations):
    """½ log a - ½ log 2π - δ(a), elementwise."""
    return 0.5 * (xp.log(concentrations) - LOG_2PI) - stirling(concentrations)


def features(x, reference):
    z = x / positive(reference)[..., None]
    return xp.concatenate([z, xp.log(z)], axis=-2)


def natural(params, reference):
    a = params.concentrations
    means = a / (params.rates * positive(reference)[..., None, :])
    bias = (a * (1 - xp.log(means)) + log_norm(a)).sum(-1)
    loss = (a * (1 + xp.abs(xp.log(means)))).max((-2, -1))
    return Natural(xp.concatenate([-a / means, a], axis=-1), bias, reference, loss)


def base(x, reference):
    """-Σ_j log x_j, which the moment form leaves out, (b,)."""
    return -xp.log(x).sum(-2)


def maximize_moments(params, prepared, sums, counts, prior):
    means, log_means = divide(sums.x, counts), divide(sums.log_x, counts)
    gaps = xp.log(xp.where(means > 0, means, 1)) - log_means
    return with_gaps(params, means * positive(prepared.reference)[..., None, :], gaps, counts)


def prepare(params, reference):
    a = params.concentrations
    return Prepared(a / params.rates, a, log_norm(a).sum(-1))


def view(prepared, x):
    means = prepared.means[..., None]
    rows = x[..., None, :, :]
    excess = (rows - means) / means
    return Ratios(excess, gap(rows / means, excess), xp.log(x).sum(-2))


def log_prob(prepared, ratios):
    gaps = (prepared.concentrations[..., None] * ratios.gap).sum(-2)
    return prepared.log_norms[..., None] - gaps - ratios.log_x[..., None, :]


def statistics(prepared, ratios, resp):
    resp = resp[..., None, :]
    return GammaResiduals((resp * ratios.excess).sum(-1), (resp * ratios.gap).sum(-1))


def maximize_residuals(params, prepared, sums, counts, prior):
    excess, gaps = divide(sums.excess, counts), divide(sums.gap, counts)
    means = prepared.means * (1 + excess)
    return with_gaps(params, means, gaps - gap(1 + excess, excess), counts)


def with_gaps(params, means, gaps, counts):
    """The parameters with these means, from s = ``gaps`` (k, d), or its floor; empty components keep theirs."""
    floor = least_gap(means.dtype)
    s = xp.where(gaps > floor, gaps, floor)
    a = (3 - s + xp.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(NEWTON_STEPS):
        a = 1 / (1 / a + (log_minus_digamma(a) - s) / (a * a * log_minus_digamma_slope(a)))
    return Gamma(keep_empty(counts, a, params.concentrations), keep_empty(counts, a / means, params.rates))


def least_gap(dtype):
    """The floor under s = log μ - Σ r log x / n."""
    return 1e-9 if dtype == np.float64 else 1e-7


def floored(params):
    """Which concentrations come from the floor under s and not from the rows, (k, d) bool."""
    a = params.concentrations  # s ≈ 1 / 2a where it is small
    return 2.02 * least_gap(a.dtype) * a > 1


def around(centres, d):
    return Gamma(xp.ones_like(centres), xp.exp(-centres))


def centre(params, weights):
    return pooled(weights, params.concentrations / params.rates)


def loosen(params, weights, counts, prior):
    """Collapsed components start with the concentration of an exponential."""
    collapsed = floored(params) & (counts[..., None] > 0)
    a = xp.where(collapsed, 1, params.concentrations)
    return Gamma(a, xp.where(collapsed, params.rates / params.concentrations, params.rates))


def sample(key, params, labels):
    a, rates = params.concentrations[labels], params.rates[labels]
    draws = xp.exp(jax.random.loggamma(key, a.astype(np.float32), dtype=np.float32))
    tiny = np.finfo(np.float32).tiny  # a draw that underflows would leave the support
    return xp.maximum(draws, tiny).astype(a.dtype) / rates


def supported_by_prior(params, weights, prior):
    """Components whose s is on its floor, in features where the data as a whole vary."""
    on_floor, means = floored(params), params.concentrations / params.rates
    first = means[..., :1, :]
    same = (xp.abs(means - first) <= 1e-6 * first).all(-2)
    constant = same & on_floor.all(-2)  # (d,)
    return (on_floor & ~constant[..., None, :]).any(-1)


def cumulants(params):
    a, scale = params.concentrations, 1 / params.rates
    return a * scale, a * scale**2, 2 * a * scale**3, 6 * a * scale**4


def tails(params, x):
    inside = x[..., None, :, :] > 0
    scaled = params.rates[..., None] * xp.where(x > 0, x, 1)[..., None, :, :]
    a = params.concentrations[..., None] + 0 * scaled
    below, above = special(a).gammainc(a, scaled), special(a).gammaincc(a, scaled)
    return xp.where(inside, below, 0), xp.where(inside, above, 1)


GAMMA = Family(
    name="gamma",
    parameters=Gamma,
    support=Support(lambda x: ((x > 0) & (x < np.inf)) | xp.isnan(x), "numbers > 0"),
    accurate=ResidualForm(prepare, view, log_prob, statistics, GammaResiduals, maximize_residuals),
    moments=ExponentialForm(features, natural, GammaMoments, maximize_moments, base),
    around=around,
    centre=centre,
    loosen=loosen,
    sample=sample,
    supported_by_prior=supported_by_prior,
    points=xp.log,
    scaling="ratio",
    margins=Margins(cumulants, tails),
    in_numpy=True,
)
