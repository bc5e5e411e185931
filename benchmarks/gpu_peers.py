"""An EM iteration in plain PyTorch and in tgmm, on PyTorch's device, for `gpu.py`.

Plain PyTorch has the mathematics of the library's fast form, with TF32 off: features of rows by a gather, two products
with a softmax between them, and the parameters from the sums. Rows are processed in blocks; the fastest block size
counts.
"""

import importlib.util
import statistics
import time
import warnings

import numpy as np

BLOCKS = 1 << 14, 1 << 16, 1 << 18


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def seconds_of(update, rounds: int = 5, worth: float = 0.2) -> float:
    """Of one update, by the median of batches that are waited for as one."""
    import torch

    def wait():
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def timed(times):
        wait()
        began = time.perf_counter()
        for _ in range(times):
            update()
        wait()
        return (time.perf_counter() - began) / times

    timed(1)
    times = int(np.clip(worth / rounds / max(timed(1), 1e-6), 1, 100))
    return statistics.median(timed(times) for _ in range(rounds))


def plain(x, mixture) -> dict:
    """Seconds of an iteration in plain PyTorch, of each size of blocks, and the mean log-likelihood of the start."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    rows = torch.tensor(np.asarray(x), device=device())
    start = [torch.tensor(np.asarray(leaf), device=device()) for leaf in parameters(mixture)]
    family, tried, value = mixture.family.name, {}, None
    for block in BLOCKS:
        if tried and block >= 2 * len(rows):
            continue
        try:
            value = float(updated(rows, start, family, block)[1])
            tried[block] = seconds_of(lambda block=block: updated(rows, start, family, block))
        except torch.cuda.OutOfMemoryError:
            break
    return {"blocks": tried, "seconds": min(tried.values()), "log_likelihood": value / len(rows)}


def parameters(mixture):
    return mixture.weights, mixture.components.means, mixture.components.covariances


def updated(x, start, family: str, block: int):
    """New weights, means and covariances, and the log-likelihood of the old ones."""
    import torch

    weights, means, covariances = start
    d = x.shape[1]
    upper = torch.triu_indices(d, d, device=x.device)
    theta, bias = natural(means, covariances, family, upper)
    bias = bias + weights.log()
    counts, sums, value = 0, 0, 0
    for part in x.split(block):
        phi = features(part, family, upper)
        logits = torch.addmm(bias, phi, theta.T)
        log_density = logits.logsumexp(1, keepdim=True)
        resp = (logits - log_density).exp()
        counts, sums, value = counts + resp.sum(0), sums + resp.T @ phi, value + log_density.sum()
    means, second = sums[:, :d] / counts[:, None], sums[:, d:] / counts[:, None]
    if family == "spherical":
        covariances = (second[:, 0] - (means**2).sum(1)) / d
    elif family == "diag":
        covariances = second - means**2
    else:
        covariances = x.new_zeros(len(counts), d, d)
        covariances[:, upper[0], upper[1]] = covariances[:, upper[1], upper[0]] = second
        covariances = covariances - means[:, :, None] * means[:, None]
    return (counts / counts.sum(), means, covariances), value


def features(x, family: str, upper):
    import torch

    products = {"full": lambda: x[:, upper[0]] * x[:, upper[1]], "diag": lambda: x * x}
    return torch.cat([x, products.get(family, lambda: (x * x).sum(1, keepdim=True))()], 1)


def natural(means, covariances, family: str, upper):
    """theta (k, f) and bias (k,) of log densities."""
    import torch

    d = means.shape[1]
    if family == "full":
        lower = torch.linalg.cholesky(covariances)
        precision = torch.cholesky_inverse(lower)
        linear, half_log_det = (precision @ means[:, :, None])[:, :, 0], lower.diagonal(dim1=1, dim2=2).log().sum(1)
        quadratic = precision[:, upper[0], upper[1]] * torch.where(upper[0] == upper[1], -0.5, -1.0)
    else:
        variances = covariances if family == "diag" else covariances[:, None]
        linear, quadratic = means / variances, -0.5 / variances
        half_log_det = 0.5 * variances.expand_as(means).log().sum(1)
    bias = -0.5 * (linear * means).sum(1) - half_log_det - d / 2 * np.log(2 * np.pi)
    return torch.cat([linear, quadratic], 1), bias


def tgmm(x, mixture, few: int = 2, more: int = 10) -> dict:
    """Seconds of an iteration of tgmm: what a fit of more updates takes longer, by the update."""
    import torch
    from tgmm import GaussianMixture

    rows = torch.tensor(np.asarray(x), device=device())
    weights, means, covariances = (torch.tensor(np.asarray(leaf), device=device()) for leaf in parameters(mixture))

    def fit(n_iter):
        model = GaussianMixture(
            len(weights), rows.shape[1], covariance_type=mixture.family.name, max_iter=n_iter, tol=1e-300,
            reg_covar=0.0, init_means=means, init_weights=weights, init_covariances=covariances, device=device(),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(rows)

    fit(1)
    long, short = (seconds_of(lambda n=n: fit(n), rounds=3, worth=0) for n in (few + more, few))
    return {"seconds": (long - short) / more}
