"""What the library must compute, written again as plain float64 NumPy loops over rows' components.

Nothing here knows the library. Densities come from scipy.stats, the multivariate normal from its formula (scipy's own
cuts off small eigenvalues). Parameters are dictionaries of arrays named as in `jaxgmm.mixture`.
"""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats

GAUSSIAN = ("full", "tied", "diag", "spherical")
MCLUST = ("EII", "VEI")  # Gaussian too, of fewer parameters


def tolerance(dtype, loosen=1.0):
    """The one place where closeness is decided: keywords for np.testing.assert_allclose."""
    unit = {"float64": 1e-9, "float32": 1e-4}[np.dtype(dtype).name] * loosen
    return {"rtol": unit, "atol": unit}


def covariance_matrices(name, covariances, k, d):
    """Every structure as a list of k matrices."""
    return {
        "full": lambda: [covariances[j] for j in range(k)],
        "tied": lambda: [covariances] * k,
        "diag": lambda: [np.diag(covariances[j]) for j in range(k)],
        "spherical": lambda: [covariances[j] * np.eye(d) for j in range(k)],
    }[name]()


def matrices(name, params, k, d):
    """The covariances of the components of any Gaussian mixture, as a list of k matrices."""
    if name == "VEI":
        return [volume * np.diag(params["shape"]) for volume in params["volumes"]]
    if name == "EII":
        return [params["covariances"] * np.eye(d)] * k
    return covariance_matrices(name, np.asarray(params["covariances"], float), k, d)


def log_normal(x, mean, covariance):
    chol = np.linalg.cholesky(covariance)
    white = scipy.linalg.solve_triangular(chol, (x - mean).T, lower=True)  # (d, n)
    half_logdet = np.sum(np.log(np.diag(chol)))
    return -0.5 * np.sum(white**2, axis=0) - half_logdet - 0.5 * len(mean) * np.log(2 * np.pi)


def log_density(name, params, x):
    """(n, k) log densities of every row under every component."""
    x = np.asarray(x, float)
    k = len(params[first_field(name)])
    out = np.empty((len(x), k))
    if name in GAUSSIAN + MCLUST:
        covariances = matrices(name, params, k, x.shape[1])
    for j in range(k):
        if name in GAUSSIAN + MCLUST:
            out[:, j] = log_normal(x, np.asarray(params["means"], float)[j], covariances[j])
            continue
        values = {field: np.asarray(value, float)[j] for field, value in params.items()}
        if name == "bernoulli":
            columns = scipy.stats.bernoulli.logpmf(x, values["probs"])
        elif name == "categorical":
            with np.errstate(divide="ignore"):
                logs = np.log(values["probs"])
            columns = np.stack([logs[i, x[:, i].astype(int)] for i in range(x.shape[1])], axis=1)
        elif name == "poisson":
            columns = scipy.stats.poisson.logpmf(x, values["rates"])
        elif name == "exponential":
            columns = scipy.stats.expon.logpdf(x, scale=1 / values["rates"])
        else:
            columns = scipy.stats.gamma.logpdf(x, values["concentrations"], scale=1 / values["rates"])
        out[:, j] = columns.sum(axis=1)
    return out


def first_field(name):
    return {"bernoulli": "probs", "categorical": "probs", "poisson": "rates", "exponential": "rates"}.get(
        name, "concentrations" if name == "gamma" else "means"
    )


def joint(name, weights, params, x):
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(weights, float)) + log_density(name, params, x)


def e_step(name, weights, params, x, sample_weight=None):
    """Total log-likelihood and (n, k) responsibilities, the latter without the sample weights."""
    logits = joint(name, weights, params, x)
    log_prob = scipy.special.logsumexp(logits, axis=1)
    w = np.ones(len(logits)) if sample_weight is None else np.asarray(sample_weight, float)
    return float(w @ log_prob), np.exp(logits - log_prob[:, None])


def gamma_concentration(gap):
    """The root of log a - digamma(a) = gap."""

    def excess(a):
        return np.log(a) - scipy.special.digamma(a) - gap

    return scipy.optimize.brentq(excess, 1e-6, 1e9, xtol=1e-15, rtol=1e-14)


def one_shape(scatter, counts):
    """Volumes and shape that maximise Q, by turns until they rest: scatter (k, d) is Σ r (x - μ)²."""
    shape = np.ones(scatter.shape[1])
    for _ in range(1000):
        volumes = np.array([np.mean(row / shape) / count for row, count in zip(scatter, counts, strict=True)])
        shape = sum(row / volume for row, volume in zip(scatter, volumes, strict=True))
        shape = shape / np.prod(shape) ** (1 / len(shape))
    return {"volumes": volumes, "shape": shape}


def m_step(name, x, resp, sample_weight=None, reg_covar=0.0, n_categories=None):
    """New weights and parameters from responsibilities."""
    x = np.asarray(x, float)
    d = x.shape[1]
    r = np.asarray(resp, float) * (1.0 if sample_weight is None else np.asarray(sample_weight, float)[:, None])
    counts = r.sum(axis=0)
    weights = counts / counts.sum()
    means = np.stack([r[:, j] @ x / counts[j] for j in range(len(counts))])
    if name in MCLUST:
        scatter = np.stack([r[:, j] @ (x - means[j]) ** 2 for j in range(len(counts))]) + reg_covar * counts[:, None]
        shared = {"covariances": scatter.sum() / counts.sum() / d} if name == "EII" else one_shape(scatter, counts)
        return weights, {"means": means, **shared}
    if name in GAUSSIAN:
        full = np.stack([(r[:, j, None] * (x - means[j])).T @ (x - means[j]) / counts[j] for j in range(len(counts))])
        covariances = {
            "full": lambda: full + reg_covar * np.eye(d),
            "tied": lambda: np.einsum("k,kij->ij", weights, full) + reg_covar * np.eye(d),
            "diag": lambda: np.einsum("kii->ki", full) + reg_covar,
            "spherical": lambda: np.einsum("kii->k", full) / d + reg_covar,
        }[name]()
        return weights, {"means": means, "covariances": covariances}
    if name == "bernoulli":
        return weights, {"probs": means}
    if name == "poisson":
        return weights, {"rates": means}
    if name == "exponential":
        return weights, {"rates": 1 / means}
    if name == "categorical":
        codes = np.arange(n_categories or int(x.max()) + 1)
        probs = [[[r[x[:, i] == c, j].sum() / counts[j] for c in codes] for i in range(d)] for j in range(len(counts))]
        return weights, {"probs": np.array(probs)}
    gaps = np.log(means) - np.stack([r[:, j] @ np.log(x) / counts[j] for j in range(len(counts))])
    concentrations = np.vectorize(gamma_concentration)(gaps)
    return weights, {"concentrations": concentrations, "rates": concentrations / means}


def em(name, weights, params, x, sample_weight=None, n_iter=10, **options):
    """`n_iter` updates: (weights, params, log-likelihoods of the start and after every update)."""
    trace = []
    for _ in range(n_iter):
        log_likelihood, resp = e_step(name, weights, params, x, sample_weight)
        trace.append(log_likelihood)
        weights, params = m_step(name, x, resp, sample_weight, **options)
    return weights, params, np.array([*trace, e_step(name, weights, params, x, sample_weight)[0]])


def n_parameters(name, k, d, n_categories=None):
    """Free parameters, weights included."""
    own = {
        "full": k * d + k * d * (d + 1) // 2,
        "tied": k * d + d * (d + 1) // 2,
        "diag": 2 * k * d,
        "spherical": k * d + k,
        "EII": k * d + 1,
        "VEI": k * d + k + d - 1,
        "categorical": k * d * ((n_categories or 1) - 1),
        "gamma": 2 * k * d,
    }.get(name, k * d)
    return own + k - 1


def criteria(name, weights, params, x, sample_weight=None, n_categories=None):
    """bic, aic and icl, lower is better; weights are frequencies."""
    w = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, float)
    log_likelihood, resp = e_step(name, weights, params, x, w)
    free = n_parameters(name, len(weights), np.shape(x)[1], n_categories)
    bic = free * np.log(w.sum()) - 2 * log_likelihood
    icl = bic - 2 * float(w @ np.log(resp.max(axis=1)))
    return {"bic": bic, "aic": 2 * free - 2 * log_likelihood, "icl": icl}


def stopping_update(trace, total_weight, tol):
    """How many updates the Aitken rule allows: what remains is below tol three times in a row, never growing."""
    mean = np.asarray(trace) / total_weight
    gains = np.diff(mean)
    streak, before = 0, np.inf
    for update in range(1, len(gains)):
        a = gains[update] / gains[update - 1]
        remains = gains[update] * a / (1 - a) if a < 1 else np.inf
        streak = streak + 1 if remains < tol and (streak == 0 or remains <= before) else int(remains < tol)
        before = remains
        if streak == 3:
            return update + 1
    return None


def all_distinct(rows):
    """No two rows are equal."""
    rows = np.asarray(rows).reshape(len(rows), -1)
    return len(np.unique(rows, axis=0)) == len(rows)
