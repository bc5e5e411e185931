"""What holds of all mathematics on mixtures: transformations of JAX, precision, and what is refused."""

import dataclasses

import handmade
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from families import BY_NAME, DTYPES, WEIGHTS, K, precision

import jaxgmm
from jaxgmm.algebra import running
from jaxgmm.family import Margins

V = np.array([[0.3], [1.2]])
ROW = np.array([0.5, -1.0, 0.7])
A = np.array([[2.0, 0.3, -0.5], [0.1, -1.0, 0.4]])
P = np.array([0.02, 0.4, 0.9])
OTHER = BY_NAME["full"].mixture(weights=WEIGHTS[::-1])
NARROW = BY_NAME["diag"].mixture(weights=WEIGHTS[::-1])

# name: (family, function of a mixture and of an array, the array)
SMOOTH = {
    "marginal": ("full", lambda m, v: jaxgmm.marginal(m, [2, 0]), V),
    "marginal of VEI": ("VEI", lambda m, v: jaxgmm.marginal(m, [2, 0]), V),
    "conditional": ("full", lambda m, v: jaxgmm.conditional(m, [1], v), V),
    "conditional of tied": ("tied", lambda m, v: jaxgmm.conditional(m, [1], v), V),
    "conditional of gamma": ("gamma", lambda m, v: jaxgmm.conditional(m, [1], v), V),
    "regress": ("full", lambda m, v: jaxgmm.regress(m, [1], v, covariances=True), V),
    "regress to modes": ("full", lambda m, v: jaxgmm.regress(m, [1], v, kind="mode"), V),
    "transform": ("tied", jaxgmm.transform, A),
    "convolve": ("spherical", lambda m, v: jaxgmm.convolve(m, NARROW), V),
    "multiply": ("full", lambda m, v: jaxgmm.multiply(m, OTHER), V),
    "multiply diag": ("EII", lambda m, v: jaxgmm.multiply(m, NARROW), V),
    "concatenate": ("diag", lambda m, v: jaxgmm.concatenate([m, OTHER], v), np.array([0.3, 0.7])),
    "reduce": ("full", lambda m, v: jaxgmm.reduce(m, 2), V),
    "moments": ("full", lambda m, v: jaxgmm.moments(m), V),
    "moments of gamma": ("gamma", lambda m, v: jaxgmm.moments(m), V),
    "cdf": ("full", lambda m, v: jaxgmm.cdf(m, v, feature=1), ROW),
    "cdf of gamma": ("gamma", lambda m, v: jaxgmm.cdf(m, v, feature=1), np.abs(ROW)),
    "quantile": ("full", lambda m, v: jaxgmm.quantile(m, v, feature=1), P),
    "quantile of exponential": ("exponential", lambda m, v: jaxgmm.quantile(m, v, feature=1), P),
    "probability": ("diag", lambda m, v: jaxgmm.probability(m, v, v + 1.5), ROW),
    "entropy from below": ("full", lambda m, v: jaxgmm.entropy(m, "lower"), V),
    "entropy from above": ("diag", lambda m, v: jaxgmm.entropy(m, "upper"), V),
    **{
        kind: (family, lambda m, v, kind=kind, q=q: jaxgmm.divergence(m, q, kind), V)
        for kind, family, q in (
            ("kl-unscented", "full", OTHER), ("kl-variational", "full", OTHER), ("kl-bounds", "diag", NARROW),
            ("l2", "full", OTHER), ("cauchy-schwarz", "diag", NARROW), ("hellinger-bounds", "full", OTHER),
        )
    },
}  # fmt: skip
DRAWN = {
    "entropy": ("diag", lambda m, v: jaxgmm.entropy(m, key=3, n=500), V),
    "kl": ("diag", lambda m, v: jaxgmm.divergence(m, OTHER, "kl", key=3, n=500), V),
    "js": ("diag", lambda m, v: jaxgmm.divergence(OTHER, m, "js", key=3, n=500), V),
    "level": ("diag", lambda m, v: jaxgmm.density_level(3, m, 0.7, n=500), V),
    "regress by draws": ("full", lambda m, v: jaxgmm.regress(m, [1], v, kind="sample", key=1), V),
    "wasserstein": ("full", lambda m, v: jaxgmm.divergence(m, OTHER, "wasserstein"), V),
    "quantile of poisson": ("poisson", lambda m, v: jaxgmm.quantile(m, v, feature=1), P),
}
EVERY = {**SMOOTH, **DRAWN}


def leaves(answer):
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(answer)]


def number(answer):
    """A fixed combination of everything in an answer."""
    total, rng = 0.0, np.random.default_rng(7)
    for leaf in jax.tree.leaves(answer):
        total = total + (jnp.asarray(leaf) * rng.normal(size=leaf.shape)).sum()
    return total


@pytest.mark.short(name=list(SMOOTH)[::2])
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_are_central_differences(name):
    """The derivatives are JAX's, the differences those of what NumPy computes."""
    family, function, array = SMOOTH[name]
    case, rng = BY_NAME[family], np.random.default_rng(5)
    with precision(np.float64):
        at = jaxgmm.unconstrain(case.mixture()), jnp.asarray(array)
        along = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), at)
        if name == "concatenate":
            along = along[0], along[1] - along[1].mean()  # a sum of 1

        def f(at):
            return number(function(jaxgmm.constrain(at[0]), at[1]))

        @jax.jit
        def slopes(at, along):
            backward = jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), jax.grad(f)(at), along))
            return jax.jvp(f, (at,), (along,))[1], sum(backward)

        forward, backward = slopes(at, along)
        step = 1e-5
        ends = [f(jax.tree.map(lambda a, b, s=s: a + s * step * b, at, along)) for s in (1, -1)]
    wanted = float(ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(forward, wanted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(backward, wanted, rtol=1e-6, atol=1e-8)


GRID = np.linspace(-12, 12, 6001)
KINDS = {
    "entropy": (lambda m, key: jaxgmm.entropy(m, key=key, n=2000)[0], lambda p, q: -p * np.log(p)),
    "kl": (lambda m, key: jaxgmm.divergence(m, ONE, "kl", key=key, n=2000)[0], lambda p, q: p * np.log(p / q)),
    "js": (
        lambda m, key: jaxgmm.divergence(m, ONE, "js", key=key, n=2000)[0],
        lambda p, q: (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2,
    ),
}
ONE = jaxgmm.mixture("diag", weights=[0.6, 0.4], means=[[-1.0], [2.0]], covariances=[[1.4], [0.7]])
TWO = jaxgmm.mixture("diag", weights=[0.2, 0.8], means=[[-0.5], [1.0]], covariances=[[0.8], [1.2]])


def on_grid(view):
    """The density of an unconstrained diag mixture of one feature."""
    weights = np.exp(view["weights"] - np.log(np.exp(view["weights"]).sum()))
    return weights @ scipy.stats.norm.pdf(GRID, view["means"][:, None], np.exp(view["logs"][:, None] / 2))


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_drawn_numbers_are_those_of_the_integrals(kind):
    """Over 100 keys, within their standard error: the shares of the components move too."""
    drawn, inside = KINDS[kind]
    with precision(np.float64):
        view = jaxgmm.unconstrain(TWO)
        gradients = jax.jit(jax.vmap(lambda key: jax.grad(lambda view: drawn(jaxgmm.constrain(view), key))(view)))(
            jax.random.split(jax.random.key(1), 100)
        )
    fields = {"weights": gradients.log_weights, "means": gradients.components["means"][..., 0],
              "logs": gradients.components["covariances"][..., 0]}  # fmt: skip
    at = {"weights": np.log([0.2, 0.8]), "means": np.array([-0.5, 1.0]), "logs": np.log([0.8, 1.2])}
    other = on_grid({"weights": np.log([0.6, 0.4]), "means": np.array([-1.0, 2.0]), "logs": np.log([1.4, 0.7])})
    for name, found in fields.items():
        found = np.asarray(found)
        for i in range(2):
            ends = []
            for s in (1e-4, -1e-4):
                moved = {**at, name: at[name] + s * np.eye(2)[i]}
                ends.append(np.trapezoid(inside(on_grid(moved), other), GRID))
            error = np.std(found[:, i]) / np.sqrt(100)
            assert abs(np.mean(found[:, i]) - (ends[0] - ends[1]) / 2e-4) < 4.5 * error + 1e-9
            assert error < 0.02


@pytest.mark.parametrize("name", EVERY)
def test_a_stack_under_vmap_is_one_by_one(name):
    family, function, array = EVERY[name]
    mixtures = [BY_NAME[family].mixture(weights=w) for w in (WEIGHTS, WEIGHTS[::-1])]
    stack = jax.tree.map(lambda *leaves: np.stack(leaves), *mixtures)
    with precision(np.float64):
        found = jax.jit(jax.vmap(function, (0, None)))(stack, array)
    for i, mixture in enumerate(mixtures):
        for many, one in zip(leaves(found), leaves(function(mixture, array)), strict=True):
            # quantiles of draws, which are made in float32, differ by their rounding
            np.testing.assert_allclose(many[i], one, rtol=1e-7, atol=1e-6 if name == "level" else 1e-8)


EMPTY = (
    "regress", "regress to modes", "moments", "cdf", "quantile", "probability", "entropy from below",
    "entropy from above", "kl-unscented", "kl-variational", "kl-bounds", "l2", "cauchy-schwarz", "wasserstein",
    "hellinger-bounds", "entropy", "kl", "js", "level",
)  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_component_of_weight_zero_changes_no_number(name):
    family, function, array = EVERY[name]
    case = BY_NAME[family]
    params = {field: np.concatenate([value, value[:1] + 1]) for field, value in case.params.items()}
    padded = jaxgmm.mixture(family, weights=np.append(WEIGHTS, 0.0), **params)
    found, wanted = leaves(function(padded, array)), leaves(function(case.mixture(), array))
    if name in ("entropy", "kl", "js", "level"):  # of other draws
        assert abs(found[0] - wanted[0]) < 4 * np.hypot(found[1], wanted[1]) and found[1] < 2 * wanted[1]
        return
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


COMPILED = ("conditional", "regress to modes", "concatenate", "reduce", "quantile", "kl-bounds", "wasserstein")


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_compiled_says_what_numpy_says(name, monkeypatch):
    """As on an accelerator, where concrete numbers are compiled for."""
    family, function, array = EVERY[name]
    wanted = leaves(function(BY_NAME[family].mixture(), array))
    monkeypatch.setattr(running, "in_numpy", lambda *_: False)
    for mine, other in zip(leaves(function(BY_NAME[family].mixture(), array)), wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


@DTYPES
@pytest.mark.parametrize("name", EVERY)
def test_an_answer_has_the_dtype_of_the_mixture(name, dtype):
    """And the numbers of float64, as far as float32 goes."""
    family, function, array = EVERY[name]
    if dtype == np.float32 and name in ("multiply", "convolve", "concatenate", "multiply diag", *DRAWN, "kl-bounds"):
        return  # of two mixtures, the other one in float64; or of rounded draws
    found, wanted = (function(BY_NAME[family].mixture(t), array) for t in (dtype, np.float64))
    other = any(kind in name for kind in ("kl", "l2", "cauchy", "multiply", "hellinger", "js", "wasserstein"))
    for leaf, exact in zip(jax.tree.leaves(found), leaves(wanted), strict=True):
        assert leaf.dtype == (np.float64 if other else dtype)
        np.testing.assert_allclose(leaf, exact, rtol=2e-3 if dtype == np.float32 else 1e-15, atol=1e-4)
    assert not jax.config.jax_enable_x64


def test_the_wider_of_two_mixtures_decides():
    narrow = BY_NAME["full"].mixture(np.float32)
    assert jaxgmm.convolve(narrow, OTHER).log_weights.dtype == np.float64
    assert jaxgmm.convolve(narrow, narrow).log_weights.dtype == np.float32
    assert jaxgmm.divergence(narrow, narrow, "kl-variational").dtype == np.float32
    assert jaxgmm.divergence(narrow, OTHER, "kl", key=0)[0].dtype == np.float64


def test_a_result_of_a_fit_stands_for_its_mixture():
    result = jaxgmm.fit(0, BY_NAME["full"].data(), 2)
    pairs = (jaxgmm.marginal, [0]), (jaxgmm.moments,), (jaxgmm.conditional, [0], [[0.2]]), (jaxgmm.modes,)
    for function, *rest in pairs:
        for one, other in zip(leaves(function(result, *rest)), leaves(function(result.mixture, *rest)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert jaxgmm.divergence(result, result, "wasserstein") < 1e-9


def test_nothing_concrete_compiles():
    seen = []

    def listen(event, duration, **_):
        seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    mixture = BY_NAME["full"].mixture()
    try:
        jaxgmm.conditional(mixture, [0], np.zeros((5, 1)))
        jaxgmm.divergence(mixture, mixture, "kl-bounds")
        jaxgmm.quantile(mixture, 0.3, feature=0)
        jaxgmm.modes(mixture)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not [event for event in seen if event.endswith("backend_compile_duration")]


def test_values_under_a_trace_of_a_concrete_mixture():
    mixture = BY_NAME["full"].mixture(np.float32)
    inside = jax.jit(lambda v: jaxgmm.regress(mixture, [1], v))(V.astype(np.float32))
    np.testing.assert_allclose(inside, jaxgmm.regress(mixture, [1], V), rtol=1e-5)
    double = jax.jit(lambda v: jaxgmm.regress(OTHER, [1], v))(V.astype(np.float32))  # in a float32 world
    assert double.dtype == np.float64


# -- what is refused --------------------------------------------------------------------------------------------------

FULL, DIAG, COUNTS = (BY_NAME[name].mixture() for name in ("full", "diag", "poisson"))
PLANE = jaxgmm.marginal(FULL, [0, 1])
BATCH = jaxgmm.conditional(FULL, [0], V)
KEY = {"key": 0}
REFUSED = {
    "no mixture": (lambda: jaxgmm.marginal(3, 0), ["mixture", "int"]),
    "features beyond d": (lambda: jaxgmm.marginal(FULL, [0, 3]), ["features", "0 to 2"]),
    "features before 0": (lambda: jaxgmm.marginal(FULL, -1), ["features", "0 to 2"]),
    "features twice": (lambda: jaxgmm.marginal(FULL, [1, 1]), ["features", "once"]),
    "no features": (lambda: jaxgmm.marginal(FULL, []), ["features"]),
    "features that are no integers": (lambda: jaxgmm.marginal(FULL, [0.5]), ["features"]),
    "traced features": (lambda: jax.jit(jaxgmm.marginal)(FULL, np.array([1])), ["features", "static"]),
    "given beyond d": (lambda: jaxgmm.conditional(FULL, [3], V), ["given", "0 to 2"]),
    "given all": (lambda: jaxgmm.conditional(FULL, [0, 1, 2], [ROW]), ["given", "all 3"]),
    "values of another shape": (lambda: jaxgmm.conditional(FULL, [0], np.zeros((4, 2))), ["values", "(..., 1)"]),
    "NaN in values": (lambda: jaxgmm.conditional(FULL, [0], [[np.nan]]), ["values", "finite", "nan"]),
    "infinite values": (lambda: jaxgmm.regress(FULL, [0], [[np.inf]]), ["values", "finite"]),
    "values without the batch": (lambda: jaxgmm.conditional(BATCH, [0], np.zeros((3, 1))), ["values", "batch"]),
    "another kind of regression": (lambda: jaxgmm.regress(FULL, [0], V, kind="median"), ["kind", "median", "mode"]),
    "draws without a key": (lambda: jaxgmm.regress(FULL, [0], V, kind="sample"), ["key"]),
    "modes of counts by regression": (lambda: jaxgmm.regress(COUNTS, [0], V, kind="mode"), ["Gaussian", "poisson"]),
    "a of another width": (lambda: jaxgmm.transform(FULL, np.eye(2)), ["a must", "(m, 3)", "(2, 2)"]),
    "a as a row": (lambda: jaxgmm.transform(FULL, ROW), ["a must", "(m, 3)"]),
    "a of dependent rows": (lambda: jaxgmm.transform(FULL, np.ones((2, 3))), ["a must", "independent"]),
    "a of too many rows": (lambda: jaxgmm.transform(FULL, np.ones((4, 3))), ["a must", "independent"]),
    "b of another length": (lambda: jaxgmm.transform(FULL, A, np.zeros(3)), ["b must", "(2,)"]),
    "NaN in a": (lambda: jaxgmm.transform(FULL, A * np.nan), ["a must be finite"]),
    "counts transformed": (lambda: jaxgmm.transform(COUNTS, np.eye(3)), ["Gaussian", "poisson"]),
    "counts added": (lambda: jaxgmm.convolve(FULL, COUNTS), ["q must be Gaussian", "poisson"]),
    "other features added": (lambda: jaxgmm.convolve(FULL, PLANE), ["p has 3", "q has 2"]),
    "other features multiplied": (lambda: jaxgmm.multiply(FULL, PLANE), ["p has 3", "q has 2"]),
    "no mixtures": (lambda: jaxgmm.concatenate([], []), ["mixtures"]),
    "mixtures of two families": (lambda: jaxgmm.concatenate([FULL, COUNTS], [0.5, 0.5]), ["mixtures", "poisson"]),
    "mixtures of other features": (lambda: jaxgmm.concatenate([FULL, PLANE], [0.5, 0.5]), ["mixtures", "3 and 2"]),
    "weights of another length": (lambda: jaxgmm.concatenate([FULL, FULL], [1.0]), ["weights", "(2,)"]),
    "weights of another sum": (lambda: jaxgmm.concatenate([FULL, FULL], [0.5, 0.6]), ["weights", "sum to 1"]),
    "negative weights": (lambda: jaxgmm.concatenate([FULL, FULL], [1.5, -0.5]), ["weights", ">= 0"]),
    "more components than there are": (lambda: jaxgmm.reduce(FULL, 4), ["n_components", "at most 3", "4"]),
    "no components": (lambda: jaxgmm.reduce(FULL, 0), ["n_components"]),
    "counts reduced": (lambda: jaxgmm.reduce(COUNTS, 2), ["Gaussian", "poisson"]),
    "a cdf of several features": (lambda: jaxgmm.cdf(FULL, 0.0), ["3 features", "feature="]),
    "a feature beyond d": (lambda: jaxgmm.cdf(FULL, 0.0, feature=3), ["feature", "0 to 2", "3"]),
    "NaN in x": (lambda: jaxgmm.cdf(FULL, [0.0, np.nan], feature=0), ["x must not be NaN"]),
    "p of 0": (lambda: jaxgmm.quantile(FULL, [0.0, 0.5], feature=0), ["p must", "0.0"]),
    "p above 1": (lambda: jaxgmm.quantile(FULL, 1.5, feature=0), ["p must", "1.5"]),
    "p of NaN": (lambda: jaxgmm.quantile(FULL, np.nan, feature=0), ["p must", "nan"]),
    "boxes of dependent features": (lambda: jaxgmm.probability(FULL, -1, 1), ["full", "dependent", "sample"]),
    "boxes of another width": (lambda: jaxgmm.probability(DIAG, np.zeros(2), np.ones(2)), ["lower", "(..., 3)"]),
    "NaN in a box": (lambda: jaxgmm.probability(DIAG, np.nan, 1), ["lower", "NaN"]),
    "mass of 1": (lambda: jaxgmm.density_level(0, FULL, 1.0), ["mass", "1.0"]),
    "masses": (lambda: jaxgmm.density_level(0, FULL, [0.5, 0.6]), ["mass", "one number"]),
    "modes of counts": (lambda: jaxgmm.modes(COUNTS), ["Gaussian", "poisson"]),
    "modes in a trace": (lambda: jax.jit(jaxgmm.modes)(FULL), ["modes", "trace"]),
    "modes of a batch": (lambda: jaxgmm.modes(BATCH), ["batch", "(2,)"]),
    "an unknown entropy": (lambda: jaxgmm.entropy(FULL, "exact"), ["kind", "exact", "monte-carlo"]),
    "entropy without a key": (lambda: jaxgmm.entropy(FULL), ["key"]),
    "one draw": (lambda: jaxgmm.entropy(FULL, key=0, n=1), ["n must", "1"]),
    "bounds of counts": (lambda: jaxgmm.entropy(COUNTS, "lower"), ["Gaussian", "monte-carlo"]),
    "an unknown divergence": (lambda: jaxgmm.divergence(FULL, FULL, "kullback"), ["kind", "kullback", "wasserstein"]),
    "divergence without a key": (lambda: jaxgmm.divergence(FULL, FULL, "kl"), ["key"]),
    "overlap of counts": (lambda: jaxgmm.divergence(FULL, COUNTS, "l2"), ["q must be Gaussian", "poisson"]),
    "divergence of other features": (lambda: jaxgmm.divergence(FULL, PLANE, "l2"), ["p has 3", "q has 2"]),
    "divergence of batches": (lambda: jaxgmm.divergence(BATCH, BATCH, "l2"), ["p is a batch", "vmap"]),
    "a key that is none": (lambda: jaxgmm.entropy(FULL, key="a"), ["key"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_by_name(what):
    call, words = REFUSED[what]
    with pytest.raises(ValueError) as error:
        call()
    for word in words:
        assert word in str(error.value)


def test_a_family_that_says_nothing_of_its_features_is_refused():
    mixture = jaxgmm.mixture(handmade.COUNTS, weights=[1.0], rates=[[1.0, 2.0]])
    with pytest.raises(ValueError, match="Family.margins"):
        jaxgmm.marginal(mixture, 0)


def counted(params):
    return (params.rates,) * 4


def tails_of_counts(params, x):
    x, rates = x[..., None, :, :], params.rates[..., None]
    reached = np.maximum(np.floor(x) + 1, 0)
    below = np.where(reached > 0, scipy.special.gammaincc(reached + (reached == 0), rates), 0)
    return below, 1 - below


def test_a_family_of_ones_own_takes_part_with_its_margins():
    margins = Margins(counted, tails_of_counts, integers=True)
    family = dataclasses.replace(handmade.COUNTS, margins=margins, in_numpy=True)
    rates = {"rates": BY_NAME["poisson"].params["rates"]}
    ours, wanted = (jaxgmm.mixture(each, weights=WEIGHTS, **rates) for each in (family, "poisson"))
    for function in (
        lambda m: jaxgmm.marginal(m, [2, 0]).components.rates,
        lambda m: jaxgmm.conditional(m, [1], [4.0]).log_weights,
        lambda m: jaxgmm.regress(m, [1], [[4.0]], covariances=True),
        jaxgmm.moments,
        lambda m: jaxgmm.quantile(m, P, feature=1),
        lambda m: jaxgmm.probability(m, 2, 9),
    ):
        for one, other in zip(leaves(function(ours)), leaves(function(wanted)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10)
    with pytest.raises(ValueError, match="Gaussian"):
        jaxgmm.modes(ours)


@pytest.mark.parametrize("name", ["wasserstein", "level"])
def test_what_has_no_derivatives_says_so(name):
    family, function, array = DRAWN[name]
    with pytest.raises(ValueError, match="has no derivatives"):
        jax.grad(lambda m: function(m, array) if name == "wasserstein" else function(m, array)[0])(
            BY_NAME[family].mixture(np.float32)
        )


def test_regression_makes_no_covariances_of_rows():
    n, d, g = 500, 6, 2
    mixture = jaxgmm.mixture("full", weights=WEIGHTS, means=np.zeros((K, d)), covariances=np.tile(np.eye(d), (K, 1, 1)))
    values = np.zeros((n, g), np.float32)
    for covariances in (False, True):
        traced = jax.make_jaxpr(lambda v, c=covariances: jaxgmm.regress(mixture, [0, 1], v, covariances=c))(values)
        sizes = [np.prod(out.aval.shape) for line in traced.jaxpr.eqns for out in line.outvars]
        assert max(sizes) < n * K * (d - g) ** 2


def test_k_is_kept_where_it_can_be():
    assert jaxgmm.marginal(FULL, 0).n_components == K
    assert BATCH.n_components == K and BATCH.log_weights.shape == (2, K)
