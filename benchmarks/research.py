"""Functions on mixtures against loops: conditional distributions, divergences of many pairs, the gradient through a
fit.

    python benchmarks/research.py [--scale 1.0] [--output FILE]

10,000 conditional distributions of a full mixture (k = 20, d = 14, seven features given) in float64, as mixtures, as
means alone, and as means inside a user's `jit`, are compared with a NumPy loop over rows and components, as in gmr, and
with gmr itself if it is installed. For 1,000 pairs of full mixtures (k = 5, d = 4) a `vmap` of `divergence` under `jit`
is compared with a NumPy loop over the pairs and with a loop over `divergence` itself. Loops are timed on a sample and
scaled up. The compiled gradient through a fit (20,000 x 8, K = 8, of the squared means with respect to all weights) is
compared with that of a `lax.scan` of as many updates as the fit made, with the fit itself, and with 60 updates of EM.
Contenders take turns after a warm-up; the largest difference of their results is printed.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, machine, spread, timed, write

import jaxgmm

ROUNDS = 5
SAMPLE = 100  # rows of a loop over rows
PAIRS_SAMPLE = 20


def random_mixture(rng, k, d):
    factors = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    covariances = factors @ factors.swapaxes(-1, -2)
    return jaxgmm.mixture(
        "full", weights=rng.dirichlet(np.full(k, 5.0)), means=2 * rng.normal(size=(k, d)), covariances=covariances
    )


def numpy_parts(mixture):
    return tuple(
        np.asarray(part) for part in (mixture.weights, mixture.components.means, mixture.components.covariances)
    )


def condition_in_a_loop(parts, known, unknown, rows):
    """Weights, means and covariances of every row's conditional, one component after the other."""
    answers = []
    for row in rows:
        logs, means, covariances = [], [], []
        for weight, mean, cov in zip(*parts, strict=True):
            inside = cov[np.ix_(known, known)]
            apart = row - mean[known]
            gain = np.linalg.solve(inside, cov[np.ix_(known, unknown)]).T
            means.append(mean[unknown] + gain @ apart)
            covariances.append(cov[np.ix_(unknown, unknown)] - gain @ cov[np.ix_(known, unknown)])
            _, log_det = np.linalg.slogdet(inside)
            logs.append(np.log(weight) - 0.5 * (apart @ np.linalg.solve(inside, apart) + log_det))
        weights = np.exp(np.array(logs) - max(logs))
        answers.append((weights / weights.sum(), np.array(means), np.array(covariances)))
    return [np.array(each) for each in zip(*answers, strict=True)]


def conditionals(n):
    rng = np.random.default_rng(0)
    mixture = random_mixture(rng, 20, 14)
    known, unknown = np.arange(7), np.arange(7, 14)
    values = np.asarray(jaxgmm.sample(1, mixture, n)[0])[:, :7]
    with jax.enable_x64(True):
        inside = jax.jit(lambda mixture, values: jaxgmm.regress(mixture, known, values))
        first, _ = timed(lambda: jax.block_until_ready(inside(mixture, values)))
    parts = numpy_parts(mixture)

    def in_jit():
        with jax.enable_x64(True):
            return jax.block_until_ready(inside(mixture, values))

    contenders = {
        "conditional": lambda: jax.block_until_ready(jaxgmm.conditional(mixture, known, values)),
        "regress": lambda: jax.block_until_ready(jaxgmm.regress(mixture, known, values)),
        "regress in jit": in_jit,
        "loop in NumPy": lambda: condition_in_a_loop(parts, known, unknown, values[:SAMPLE]),
    }
    scale = {"loop in NumPy": n / SAMPLE}
    try:
        theirs = jaxgmm.to_gmr(mixture)
    except ImportError:
        print("gmr is not installed: left out")
    else:
        contenders["gmr"] = lambda: [theirs.condition(known, row) for row in values[:SAMPLE]]
        scale["gmr"] = n / SAMPLE
    times, answers = in_turns(contenders, scale)
    weights, means, covariances = answers["loop in NumPy"]
    found = answers["conditional"]
    apart = max(
        np.abs(np.exp(np.asarray(found.log_weights))[:SAMPLE] - weights).max(),
        np.abs(np.asarray(found.components.means)[:SAMPLE] - means).max(),
        np.abs(np.asarray(found.components.covariances)[:SAMPLE] - covariances).max(),
    )
    return report(
        "conditionals", times, "conditional", {"rows": n, "k": 20, "d": 14, "given": 7, "first jit": first}, apart
    )


def divergences(n):
    rng = np.random.default_rng(1)
    mixtures = [[random_mixture(rng, 5, 4) for _ in range(n)] for _ in range(2)]
    stacks = [jax.tree.map(lambda *leaves: np.stack(leaves), *each) for each in mixtures]
    cases = []
    for kind, loop in (("kl-variational", variational_in_a_loop), ("l2", l2_in_a_loop)):
        together = jax.jit(jax.vmap(lambda p, q, kind=kind: jaxgmm.divergence(p, q, kind)))

        def all_pairs(together=together):
            with jax.enable_x64(True):
                return jax.block_until_ready(together(*stacks))

        first, _ = timed(all_pairs)
        parts = [[numpy_parts(mixture) for mixture in each[:PAIRS_SAMPLE]] for each in mixtures]
        contenders = {
            "vmap": all_pairs,
            "loop over divergence": lambda kind=kind: [
                jaxgmm.divergence(p, q, kind) for p, q in zip(*(each[:PAIRS_SAMPLE] for each in mixtures), strict=True)
            ],
            "loop in NumPy": lambda loop=loop, parts=parts: [loop(p, q) for p, q in zip(*parts, strict=True)],
        }
        times, answers = in_turns(contenders, dict.fromkeys(list(contenders)[1:], n / PAIRS_SAMPLE))
        apart = np.abs(np.asarray(answers["vmap"])[:PAIRS_SAMPLE] - np.array(answers["loop in NumPy"])).max()
        about = {"pairs": n, "k": 5, "d": 4, "first call": first}
        cases.append(report(f"divergence {kind}", times, "vmap", about, apart))
    return cases


def variational_in_a_loop(p, q):
    def kl(one, other):
        (_, m, a), (_, n, b) = one, other
        solved, apart = np.linalg.solve(b, a), n - m
        return 0.5 * (
            np.trace(solved)
            + apart @ np.linalg.solve(b, apart)
            - len(m)
            - np.linalg.slogdet(a)[1]
            + np.linalg.slogdet(b)[1]
        )

    p, q = (list(zip(*each, strict=True)) for each in (p, q))
    total = 0.0
    for f in p:
        near, far = (np.log(sum(g[0] * np.exp(-kl(f, g)) for g in each)) for each in (p, q))
        total += f[0] * (near - far)
    return total


def l2_in_a_loop(p, q):
    def product(one, other):
        total = 0.0
        for weight, m, a in zip(*one, strict=True):
            for share, n, b in zip(*other, strict=True):
                apart, sums = m - n, a + b
                log = apart @ np.linalg.solve(sums, apart) + np.linalg.slogdet(2 * np.pi * sums)[1]
                total += weight * share * np.exp(-0.5 * log)
        return total

    return product(p, p) - 2 * product(p, q) + product(q, q)


def gradients(n):
    rng = np.random.default_rng(2)
    centres = jaxgmm.mixture(
        "full", weights=np.full(8, 1 / 8), means=1.4 * rng.normal(size=(8, 8)), covariances=np.stack([np.eye(8)] * 8)
    )
    x = np.asarray(jaxgmm.sample(3, centres, n)[0])
    start = jaxgmm.fit(0, x, 8, max_iter=5, tol=0).mixture
    options = {"init": start, "accelerate": "none", "prior": jaxgmm.GaussianPrior()}
    updates = jaxgmm.fit(0, x, 8, **options).n_iter

    def through_the_fit(weight, x):
        return (jaxgmm.fit(0, x, 8, sample_weight=weight, **options).mixture.components.means ** 2).sum()

    def unrolled(weight, x):
        def update(mixture, _):
            statistics = jaxgmm.e_step(mixture, x, weight, form="moments")
            return jaxgmm.m_step(mixture, statistics, jaxgmm.GaussianPrior()), None

        end, _ = jax.lax.scan(update, jax.tree.map(jnp.asarray, start), length=updates)
        return (end.components.means**2).sum()

    with jax.enable_x64(True):
        args = jnp.ones(n), jnp.asarray(x)
        firsts, memory, contenders = {}, {}, {}
        for name, function in {
            "gradient of the fit": jax.grad(through_the_fit),
            "gradient of a scan": jax.grad(unrolled),
            "the fit": through_the_fit,
        }.items():
            firsts[name], program = timed(lambda function=function: jax.jit(function).lower(*args).compile())
            memory[name] = program.memory_analysis().temp_size_in_bytes
            contenders[name] = lambda program=program: jax.block_until_ready(program(*args))
        sixty = {**options, "tol": 0, "max_iter": 60, "compiled": True}
        contenders["60 updates"] = lambda: jaxgmm.fit(0, x, 8, **sixty)
        times, answers = in_turns(contenders, {})
    implicit, scanned = (np.asarray(answers[f"gradient of {what}"]) for what in ("the fit", "a scan"))
    about = {"n": n, "d": 8, "k": 8, "updates": updates, "temporary bytes": memory, "seconds to compile": firsts}
    apart = np.abs(implicit - scanned).max() / np.abs(implicit).max()
    return [report("gradient through a fit", times, "gradient of the fit", about, apart)]


def in_turns(contenders, scale):
    """Seconds of every contender, scaled up, and its last answer."""
    times, answers = {name: [] for name in contenders}, {}
    for round_ in range(ROUNDS + 1):
        for name, call in contenders.items():
            seconds, answers[name] = timed(call)
            if round_:  # the first is a warm-up
                times[name].append(seconds * scale.get(name, 1))
    return {name: spread(each) for name, each in times.items()}, answers


def report(name, times, ours, about, apart):
    least = times[ours]["median"]
    print(f"\n{name}: {about}; answers differ by at most {apart:.1e}")
    for contender, each in times.items():
        seconds = each["median"]
        print(f"  {contender:22s} {1000 * seconds:10.1f} ms   {seconds / least:8.1f}", flush=True)
    return {"name": name, **about, "times": times, "largest difference": float(apart)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rows and pairs")
    parser.add_argument("--output", type=Path, default=RESULTS / "research.json")
    args = parser.parse_args()
    about = machine()
    print(json.dumps(about, indent=1))
    cases = [conditionals(max(int(10_000 * args.scale), SAMPLE))]
    cases += divergences(max(int(1_000 * args.scale), PAIRS_SAMPLE))
    cases += gradients(max(int(20_000 * args.scale), 500))
    write(args.output, about, cases)


if __name__ == "__main__":
    main()
