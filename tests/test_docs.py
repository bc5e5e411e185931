"""The pages of docs/: every block of Python is a cell, and the families of the page on extending obey the laws.

Needs no Sphinx: the pages are read as text. The build itself is a step of .ci/run; what else the pages promise is held
by `tests/test_pages.py`.
"""

import copy
import pickle
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
import scipy.stats
import sklearn.base
from families import DTYPES, precision

import jaxgmm
from jaxgmm.families import registry

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
K, N = 3, 200
WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 0.0], [3.0, 1.0], [-1.0, 4.0]])
VARIANCES = np.array([0.5, 1.5])
PROBS = np.array([[0.5, 0.1], [0.05, 0.3], [0.8, 0.7]])
FORMS = pytest.mark.parametrize("form", ["accurate", "moments"])


def cells(text):
    """The code of every cell, without options and magics."""
    found = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", text, re.S | re.M)
    return [re.sub(r"\A(:.*\n)*\n*", "", code) for code in found]


def section(title):
    """The part of the page on extending below this heading."""
    text = (DOCS / "extending.md").read_text()
    (found,) = re.findall(rf"^## {title}[^\n]*\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    return found


def written(name, title):
    """The module that a reader makes of a section: its cells up to the one that registers the family."""
    module = types.ModuleType(name)
    sys.modules[name] = module  # where pickle looks for its classes
    for code in cells(section(title)):
        exec(compile(code, f"docs/extending.md: {title}", "exec"), module.__dict__)
        if "register(" in code and "import" not in code:
            return module
    raise AssertionError(f"no cell of {title!r} registers a family")


@pytest.fixture(scope="module", autouse=True)
def extended():
    """The families of the page, in the registry while these tests run."""
    before = dict(registry._REGISTRY)
    modules = {
        "geometric": written("docs_geometric", "A new family"),
        "student": written("docs_student", "Statistics that depend"),
        "shared-diag": written("docs_shared_diagonal", "A new covariance"),
    }
    yield modules
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)
    for module in modules.values():
        del sys.modules[module.__name__]


def draw(name, dtype=np.float64, n=N, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(K, size=n, p=WEIGHTS)
    if name == "geometric":
        return (rng.geometric(PROBS[labels]) - 1).astype(dtype)
    noise = np.sqrt(VARIANCES) * (rng.standard_t(4, (n, 2)) if name == "student" else rng.normal(size=(n, 2)))
    return (MEANS[labels] + noise).astype(dtype)


def mixture(name, dtype=np.float64, weights=WEIGHTS):
    params = {"geometric": {"probs": PROBS}, "student": {"means": MEANS, "scales": np.tile(VARIANCES, (K, 1))}}
    params = params.get(name, {"means": MEANS, "covariances": VARIANCES})
    params = {field: value.astype(dtype) for field, value in params.items()}
    return jaxgmm.mixture(name, weights=np.asarray(weights, dtype), **params)


def prior(name):
    return jaxgmm.GaussianPrior() if name == "shared-diag" else None


def joint(name, x):
    """log π + log p of every component by scipy, (n, k)."""
    if name == "geometric":
        logs = [scipy.stats.nbinom.logpmf(x, 1, p).sum(1) for p in PROBS]
    elif name == "student":
        logs = [scipy.stats.multivariate_t(mean, np.diag(VARIANCES), df=4).logpdf(x) for mean in MEANS]
    else:
        logs = [scipy.stats.norm.logpdf(x, mean, np.sqrt(VARIANCES)).sum(1) for mean in MEANS]
    return np.log(WEIGHTS) + np.stack(logs, axis=1)


def updated(name, x):
    """Parameters after one update, as weighted means of rows: (weights, params)."""
    logits = joint(name, x)
    resp = np.exp(logits - scipy.special.logsumexp(logits, axis=1, keepdims=True))
    counts = resp.sum(0)
    if name == "student":
        distance = ((x[:, None] - MEANS) ** 2 / VARIANCES).sum(2)
        weighted = resp * (4 + 2) / (4 + distance)
        means = weighted.T @ x / weighted.sum(0)[:, None]
        squares = (weighted[:, :, None] * (x[:, None] - means) ** 2).sum(0)
        return counts / len(x), {"means": means, "scales": squares / counts[:, None]}
    means = resp.T @ x / counts[:, None]
    if name == "geometric":
        return counts / len(x), {"probs": 1 / (1 + means)}
    squares = (resp[:, :, None] * (x[:, None] - means) ** 2).sum((0, 1)) / len(x)
    return counts / len(x), {"means": means, "covariances": squares}


EACH = pytest.mark.parametrize("name", ["geometric", "student", "shared-diag"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_python_is_run_by_the_build(page):
    text = page.read_text()
    assert not re.findall(r"^```(?:python|py|ipython3?)\b", text, re.M), "make it a {code-cell}"
    if cells(text):
        assert text.startswith("---\nfile_format: mystnb\n"), "without this header the cells are not run"
    for code in cells(text):
        if not code.startswith("%%"):
            compile(re.sub(r"^%.*$", "", code, flags=re.M), page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_code_that_a_page_includes_is_there(page):
    blocks = re.findall(r"^```\{literalinclude\} (\S+)\n(.*?)^```$", page.read_text(), re.S | re.M)
    for path, options in blocks:
        text = (DOCS / path).read_text()
        for name in re.findall(r"^:pyobject: (\S+)$", options, re.M):
            for part in name.split("."):
                assert re.search(rf"^ *(?:def|class) {part}\b", text, re.M), f"{path} has no {name}"


def test_every_page_is_in_the_table_of_contents():
    toctrees = re.findall(r"^```\{toctree\}\n(.*?)^```$", (DOCS / "menu.txt").read_text(), re.S | re.M)
    named = {line for tree in toctrees for line in tree.split() if not line.startswith(":")}
    assert {page.stem for page in PAGES} - {"index"} <= named


@EACH
@DTYPES
def test_log_prob_is_scipys(name, dtype):
    x, bounds = draw(name, dtype), oracles.tolerance(dtype)
    np.testing.assert_allclose(jaxgmm.joint_log_prob(mixture(name, dtype), x), joint(name, x.astype(float)), **bounds)


@pytest.mark.diagonal
@EACH
@DTYPES
@FORMS
def test_one_update_is_the_weighted_means(name, dtype, form):
    x, old = draw(name, dtype), mixture(name, dtype)
    new = jaxgmm.m_step(old, jaxgmm.e_step(old, x, form=form), prior(name))
    weights, params = updated(name, x.astype(float))
    np.testing.assert_allclose(new.weights, weights, **oracles.tolerance(dtype))
    for field, value in params.items():
        np.testing.assert_allclose(getattr(new.components, field), value, **oracles.tolerance(dtype))


@EACH
def test_em_never_decreases(name):
    x = draw(name)
    values, new = [], mixture(name, weights=[0.6, 0.2, 0.2])
    for _ in range(30):
        statistics = jaxgmm.e_step(new, x)
        values.append(float(statistics.log_likelihood))
        new = jaxgmm.m_step(new, statistics, prior(name))
    assert (np.diff(values) > -1e-9 * abs(values[0])).all()


@EACH
def test_the_gradient_is_zero_at_a_converged_fit(name):
    x = draw(name)
    result = jaxgmm.fit(0, x, 2, family=name, prior=prior(name), n_init=3, tol=1e-13, max_iter=20_000)
    assert result.converged
    with precision(np.float64):
        view = jaxgmm.unconstrain(result.mixture)
        gradient = jax.grad(lambda view: jaxgmm.log_prob(jaxgmm.constrain(view), x).mean())(view)
    assert max(np.abs(np.asarray(leaf)).max() for leaf in jax.tree.leaves(gradient)) < 1e-5


@EACH
@DTYPES
def test_statistics_add_and_empty_components_stay_finite(name, dtype):
    x, old = draw(name, dtype), mixture(name, dtype, weights=[0.4, 0.6, 0.0])
    first, second = (jaxgmm.e_step(old, x[rows]) for rows in (slice(0, 70), slice(70, N)))
    whole = jaxgmm.e_step(old, x)
    for a, b in zip(jax.tree.leaves(jax.tree.map(jnp.add, first, second)), jax.tree.leaves(whole), strict=True):
        a, b, bounds = np.asarray(a), np.asarray(b), oracles.tolerance(dtype)
        np.testing.assert_allclose(a, b, bounds["rtol"], bounds["atol"] * max(1, np.abs(b).max()))
    new = jaxgmm.m_step(old, whole, prior(name))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(new.components))


@pytest.mark.short(name=["geometric"])
@EACH
def test_jit_and_vmap_are_the_loop(name):
    stack = np.stack([draw(name, np.float32, seed=seed) for seed in range(2)])

    def fit(x):
        return jaxgmm.fit(0, x, 2, family=name, max_iter=20, tol=0).log_likelihood

    batched = jax.jit(jax.vmap(fit))(stack)
    np.testing.assert_allclose(batched, [fit(x) for x in stack], rtol=1e-5)


@EACH
def test_the_registry_knows_it(name, tmp_path, extended):
    old = mixture(name)
    assert name in registry.known()
    assert registry.lookup(name) is old.family
    assert copy.deepcopy(old.family) is pickle.loads(pickle.dumps(old.family)) is old.family
    jaxgmm.save(tmp_path / "model.npz", old)
    again = jaxgmm.load(tmp_path / "model.npz")
    assert again.family is old.family
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(old), strict=True):
        np.testing.assert_array_equal(a, b)
    row = jaxgmm.select(0, draw(name), [2], families=[name], n_init=2).table[0]
    assert row["family"] == name and row["n_parameters"] == {"geometric": 5, "student": 9, "shared-diag": 7}[name]


@EACH
def test_samples_follow_it(name):
    x, labels = (np.asarray(array) for array in jaxgmm.sample(0, mixture(name), 8000))
    np.testing.assert_allclose(np.bincount(labels) / 8000, WEIGHTS, atol=0.03)
    if name == "student":
        for j in range(K):
            residuals = (x[labels == j] - MEANS[j]) / np.sqrt(VARIANCES)
            assert all(scipy.stats.kstest(column, scipy.stats.t(4).cdf).pvalue > 1e-3 for column in residuals.T)
        return
    means = 1 / PROBS - 1 if name == "geometric" else MEANS
    variances = (1 - PROBS) / PROBS**2 if name == "geometric" else np.broadcast_to(VARIANCES, MEANS.shape)
    for j in range(K):
        rows = x[labels == j]
        np.testing.assert_array_less(np.abs(rows.mean(0) - means[j]), 5 * np.sqrt(variances[j] / len(rows)))
        np.testing.assert_allclose(rows.var(0), variances[j], rtol=0.25)


def test_boundaries_and_collapses(extended):
    zeros = np.zeros((20, 1))
    result = jaxgmm.fit(0, np.concatenate([zeros, zeros + 7]), 2, family="geometric", n_init=3)
    assert np.isfinite(result.log_likelihood)
    with pytest.raises(ValueError, match="counts 0, 1, 2"):
        jaxgmm.fit(0, zeros + 0.5, 1, family="geometric")
    three = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 5, axis=0)
    with pytest.warns(jaxgmm.FitWarning, match="DEGENERATE"):
        assert jaxgmm.fit(0, three, 3, family="shared-diag").status == jaxgmm.Status.DEGENERATE


# -- a family of one's own goes every way that the library's go ------------------------------------------------------


def same_as(result, whole, loosen=1.0):
    assert result.status == whole.status
    np.testing.assert_allclose(result.log_likelihood, whole.log_likelihood, rtol=1e-9 * loosen)
    for a, b in zip(jax.tree.leaves(result.mixture), jax.tree.leaves(whole.mixture), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6 * loosen, atol=1e-8)


OPTIONS = {"n_init": 3, "tol": 1e-8}


@pytest.fixture(scope="module")
def whole(extended):
    return {name: jaxgmm.fit(1, draw(name), 2, family=name, **OPTIONS, compiled=True) for name in extended}


def on_the_host(name, whole, path):
    same_as(jaxgmm.fit(1, draw(name), 2, family=name, **OPTIONS, compiled=False), whole)


def by_the_sizes(name, whole, path):
    same_as(jaxgmm.fit(1, draw(name), 2, family=name, **OPTIONS), whole)


def in_a_stream(name, whole, path):
    same_as(jaxgmm.fit(1, jaxgmm.rows(draw(name), block_size=64), 2, family=name, **OPTIONS), whole, 10)


def over_a_mesh(name, whole, path):
    same_as(jaxgmm.fit(1, draw(name), 2, family=name, **OPTIONS, mesh=jax.make_mesh((1,), ("rows",))), whole, 10)


def among_many(name, whole, path):
    for compiled in (False, True):
        many = jaxgmm.fit_many(1, np.stack([draw(name)] * 2), 2, family=name, **OPTIONS, compiled=compiled)
        same_as(jax.tree.map(lambda leaf: leaf[1], many), whole, 10)


def from_a_checkpoint(name, whole, path):
    def crash(glance):
        if glance.iteration >= 12:
            raise RuntimeError

    options = OPTIONS | {"family": name, "checkpoint": path / "c", "checkpoint_every": 4, "resume": True}
    with pytest.raises(RuntimeError):
        jaxgmm.fit(1, draw(name), 2, callback=crash, every=1, **options)
    same_as(jaxgmm.fit(1, draw(name), 2, **options), whole)


def from_a_file(name, whole, path):
    jaxgmm.save(path / "model.npz", whole.mixture)
    again = jaxgmm.load(path / "model.npz")
    np.testing.assert_array_equal(jaxgmm.predict(again, draw(name)), jaxgmm.predict(whole.mixture, draw(name)))


def stepwise(name, whole, path):
    if name == "student":
        with pytest.raises(ValueError, match="family 'student' has no form whose sums may be blended"):
            jaxgmm.fit_stepwise(1, draw(name), 2, family=name)
        return
    result = jaxgmm.fit_stepwise(1, draw(name, n=4000), 2, family=name, passes=3, n_init=3)
    assert result.log_likelihood / 4000 > whole.log_likelihood / N - 0.2


def by_gradients(name, whole, path):
    optimizer = optax.lbfgs()
    result = jaxgmm.fit_gradient(1, draw(name), 2, family=name, init=whole.mixture, optimizer=optimizer, steps=5)
    assert result.log_likelihood >= whole.log_likelihood - 1e-4


def as_an_estimator(name, whole, path):
    from jaxgmm.sklearn import FamilyMixture

    x = draw(name)
    found = FamilyMixture(2, family=name, init_params=whole.mixture, tol=1e-8, max_iter=500).fit(x)
    np.testing.assert_allclose(found.score(x) * N, whole.log_likelihood, rtol=1e-6)
    assert found.predict(x).shape == (N,) and sklearn.base.clone(found).fit(x).converged_


ROUTES = (
    on_the_host, by_the_sizes, in_a_stream, over_a_mesh, among_many, from_a_checkpoint, from_a_file, stepwise,
    by_gradients, as_an_estimator,
)  # fmt: skip


@pytest.mark.diagonal
@EACH
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
@pytest.mark.filterwarnings("ignore::jaxgmm.FitWarning")
def test_a_family_of_ones_own_goes_every_way(name, route, whole, tmp_path):
    route(name, whole[name], tmp_path)
