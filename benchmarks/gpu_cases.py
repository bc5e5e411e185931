"""The measurements of `gpu.py`: an iteration, the wait before the first fit, many starts, many data sets."""

import dataclasses
import functools
import statistics
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from common import timed_warm
from gpu_kernels import launches, profiled
from many_datasets import numbers, windows

import jaxgmm
from jaxgmm.numerics import compiling
from jaxgmm.search.problem import iterated

SHORT, LEAST, MOST = 5, 4, 1000  # updates of the short fit; between the short and the long one
WORTH = 0.3  # seconds that the difference should take
CHECKED = 1000  # rows
OPTIONS = {  # of XLA, by platform, that may shorten the wait
    "gpu": (
        {"xla_backend_optimization_level": 1},
        {"xla_gpu_experimental_enable_fusion_autotuner": False},
        {"xla_gpu_autotune_level": 0},
        {"xla_gpu_force_compilation_parallelism": 8},
        {"xla_gpu_enable_triton_gemm": False},
        {"xla_gpu_enable_command_buffer": ""},
        {"xla_llvm_disable_expensive_passes": True},
    ),
    "cpu": (
        {"xla_backend_optimization_level": 1},
        {"xla_cpu_use_fusion_emitters": False},
        {"xla_llvm_disable_expensive_passes": True},
    ),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One size: n rows of d features, k components, seconds that an iteration is to take."""

    n: int
    d: int
    k: int
    family: str
    target: float | None = None
    dtype: str = "float32"

    def __str__(self):
        return f"({self.n:,}, {self.d}, {self.k}) {self.family}" + (" float64" if self.dtype == "float64" else "")

    @property
    def small(self) -> "Case":
        return dataclasses.replace(self, n=max(self.n // 100, 200), d=min(self.d, 8), k=min(self.k, 8))

    @property
    def flops(self) -> int:
        """Of both products of an iteration."""
        d = self.d
        features = {"full": d + d * (d + 1) // 2, "diag": 2 * d, "spherical": d + 1}[self.family]
        return 4 * self.n * self.k * features

    def bound(self, peak: dict) -> float:
        """Seconds: products at the speed of a large one, or reading the rows once."""
        itemsize = np.dtype(self.dtype).itemsize
        return max(self.flops / peak[self.dtype], itemsize * self.n * self.d / peak["bytes"])

    @functools.cached_property
    def rows(self):
        """Rows (n, d) of k normals with sd 1, drawn on the device, and a mixture near the true one: means off by half
        a deviation in all, variances by half, so that no component starves and float32 keeps its digits."""
        keys = jax.random.split(jax.random.key(0), 4)
        means = 1.5 * jax.random.normal(keys[0], (self.k, self.d))
        label = jax.random.randint(keys[1], (self.n,), 0, self.k)
        x = jax.jit(lambda means: jax.random.normal(keys[2], (self.n, self.d)) + means[label])(means)
        off = jax.random.normal(keys[3], means.shape)
        means = np.asarray(means + 0.5 * off / jnp.linalg.norm(off, axis=1, keepdims=True), self.dtype)
        shape = {"full": (self.k, self.d, self.d), "diag": (self.k, self.d), "spherical": (self.k,)}[self.family]
        covariances = np.broadcast_to(1.5 * (np.eye(self.d) if len(shape) == 3 else np.ones(1)), shape)
        weights = np.full(self.k, 1 / self.k, self.dtype)
        begin = jaxgmm.mixture(self.family, weights=weights, means=means, covariances=covariances.astype(self.dtype))
        with jax.enable_x64(self.dtype == "float64"):
            return jax.block_until_ready(x.astype(self.dtype)), begin

    def fit(self, n_iter: int):
        """Exactly n_iter updates of plain EM."""
        x, begin = self.rows
        options = {"family": self.family, "init": begin, "prior": jaxgmm.GaussianPrior(), "tol": 0, "max_iter": n_iter}
        return exactly(x, self.k, n_iter, options)


def exactly(x, k: int, n_iter: int, options: dict):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        result = jax.block_until_ready(jaxgmm.fit(0, x, k, **options, compiled=True))
    if "init" in options and result.n_iter != n_iter:
        raise RuntimeError(f"stopped after {result.n_iter} of {n_iter} updates: {result.status.name}")
    return result


def update_of(fit, rounds: int):
    """Seconds of one update, and the end of a long fit: what that takes longer than a short one, by the update."""
    guess = (timed_warm(fit, 1 + LEAST)[0] - timed_warm(fit, 1)[0]) / LEAST
    for _ in range(3):  # a first guess may be far off
        short = SHORT if guess < WORTH else 1
        more = int(np.clip(WORTH / max(guess, 1e-5), LEAST, MOST))
        seconds = []
        for _ in range(rounds):
            long, result = timed_warm(fit, short + more)
            seconds.append((long - timed_warm(fit, short)[0]) / more)
        guess = statistics.median(seconds)
        if more == MOST or guess * more > WORTH / 3:
            break
    return guess, result


def iteration(case: Case, peak: dict, rounds: int) -> dict:
    """Seconds of an iteration, of its bound, and the error of a row's log density."""
    seconds, result = update_of(case.fit, rounds)
    return {"seconds": seconds, "bound": case.bound(peak), **error(case.rows[0], result.mixture)}


def error(x, mixture) -> dict:
    """Of log densities of some rows in the fast form: of one row at most, and of the mean; against float64 NumPy."""
    rows = x[:CHECKED]
    with jax.enable_x64(rows.dtype == np.float64):
        found = np.asarray(jax.jit(fast_log_prob)(mixture, rows), np.float64)
    gap = found - exact_log_prob(mixture, np.asarray(rows, np.float64))
    return {"nats_of_a_row": float(np.abs(gap).max()), "nats_of_the_mean": float(abs(gap.mean()))}


def fast_log_prob(mixture, x):
    form, components = mixture.family.moments, mixture.components
    prepared = form.prepare(components, mixture.family.centre(components, jnp.exp(mixture.log_weights)))
    logits = form.log_prob(prepared, form.view(prepared, x.T)) + mixture.log_weights[:, None]
    return jax.nn.logsumexp(logits, axis=0)


def exact_log_prob(mixture, x):
    weights, means, covariances = (
        np.asarray(leaf, np.float64)
        for leaf in (mixture.weights, mixture.components.means, mixture.components.covariances)
    )
    n, d = x.shape
    logits = np.empty((len(weights), n))
    for j, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        if covariance.ndim == 2:
            lower = np.linalg.cholesky(covariance)
            white, half = np.linalg.solve(lower, (x - mean).T), np.log(np.diag(lower)).sum()
        else:
            variance = np.broadcast_to(covariance, d)
            white, half = (x - mean).T / np.sqrt(variance)[:, None], 0.5 * np.log(variance).sum()
        logits[j] = np.log(weights[j]) - 0.5 * (white**2).sum(0) - half - d / 2 * np.log(2 * np.pi)
    top = logits.max(0)
    return top + np.log(np.exp(logits - top).sum(0))


# -- kernels ------------------------------------------------------------------------------------------------------


def program_of(fit):
    """The loop's program as the last run of ``fit`` calls it, lowered, and the arguments that a call of it takes."""
    calls, call = [], compiling.Compiled.__call__

    def noting(self, *args, **named):
        if self is iterated:
            calls.append((args, named))
        return call(self, *args, **named)

    compiling.Compiled.__call__ = noting
    try:
        fit()
    finally:
        compiling.Compiled.__call__ = call
    args, named = calls[0]
    with jax.enable_x64(args[2].dtype == np.float64):
        return iterated.lower(*args, **named)


def kernels(case: Case, updates: int = 4) -> dict:
    """Launches of an iteration by the optimised program, and kernels by time where the profiler knows them."""
    with jax.enable_x64(case.dtype == "float64"):
        counted = launches(program_of(lambda: case.fit(1)).compile().as_text())
    return {"program": counted, "profiler": profiled(lambda: case.fit(updates), "jit_iterated", updates + 1)}


# -- the wait -----------------------------------------------------------------------------------------------------


def by_option(lowered, platform: str, late) -> list:
    """Seconds to compile a program under each of XLA's options alone."""
    done = []
    for options in ({}, *OPTIONS.get(platform, ())):
        if late():
            break
        began = time.perf_counter()
        try:
            lowered.compile(compiler_options=options)
            done.append({"options": options, "seconds": time.perf_counter() - began})
        except Exception as failure:  # one that this XLA does not know
            done.append({"options": options, "failed": str(failure).splitlines()[0][:100]})
    return done


# -- many at once -------------------------------------------------------------------------------------------------


def starts(n: int, starts: int, d: int = 8, k: int = 10):
    """A fit of n rows from so many starts, of a number of updates."""
    x = Case(n, d, k, "full").rows[0]
    return lambda n_iter: exactly(x, k, n_iter, {"n_init": starts, "tol": 0, "max_iter": n_iter, "init": "random"})


def data_sets(kind: str, count: int):
    """`fit_many` of so many data sets on the device: 1,000 x 1 with two components, or up to 500 x 5 with three."""
    x, weight, k = {"numbers": numbers, "windows": windows}[kind](count)
    x, weight = jax.device_put((x, weight))
    options = {"sample_weight": weight, "tol": 1e-4, "init": "kmeans", "compiled": True}
    return lambda: jax.block_until_ready(jaxgmm.fit_many(0, x, k, **options))
