"""Codes of each feature's own: what they are called changes nothing, and what cannot occur costs nothing."""

import pickle

import jax
import numpy as np
import oracles
import polars
import pytest
from families import DTYPES
from scipy.special import logsumexp

import jaxgmm
from jaxgmm import tables
from jaxgmm.cli import report
from jaxgmm.plot.given import means_of

pandas = pytest.importorskip("pandas")
N = 150
FIT = {"family": "categorical", "max_iter": 40, "tol": 0}
NAMES = ((10, 20, 30), (1, 2), (-7, 1990, 2_000_000))
CODED = jaxgmm.categorical(codes=NAMES)


def ranks(seed=0):
    """Two kinds of rows, of 3, 2 and 3 codes."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=N)
    probs = [[[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], [[0.8, 0.2], [0.3, 0.7]], [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1]]]
    return np.stack([[rng.choice(len(p[0]), p=p[z]) for z in kind] for p in probs], axis=1)


def named(x, names=NAMES):
    return np.stack([np.array(own)[codes] for own, codes in zip(names, x.T, strict=True)], axis=1)


def free(k, *codes):
    return k - 1 + k * sum(c - 1 for c in codes)


@DTYPES
def test_what_codes_are_called_changes_nothing(dtype):
    x, bounds = ranks(), oracles.tolerance(dtype)
    plain, other = (jaxgmm.fit(0, rows.astype(dtype), 2, **FIT) for rows in (x, named(x)))
    assert other.mixture.family is CODED
    np.testing.assert_allclose(other.mixture.components.probs, plain.mixture.components.probs, **bounds)
    np.testing.assert_array_equal(
        jaxgmm.predict(other.mixture, named(x).astype(dtype)), jaxgmm.predict(plain.mixture, x.astype(dtype))
    )
    for criterion in (jaxgmm.bic, jaxgmm.aic, jaxgmm.icl):
        values = criterion(other.mixture, named(x).astype(dtype)), criterion(plain.mixture, x.astype(dtype))
        np.testing.assert_allclose(*values, **bounds)
    assert jaxgmm.n_parameters(other.mixture) == jaxgmm.n_parameters(plain.mixture) == free(2, 3, 2, 3)


def test_criteria_charge_for_the_codes_that_are_shown():
    x = ranks()
    x[:, 1] = 0  # one code, and of the first feature no 1
    x[x[:, 0] == 1, 0] = 0
    weight = np.where(x[:, 2] == 2, 0, 1)  # of the last no 2 in any row that counts
    chosen = jaxgmm.select(0, x, [1, 2], families=["categorical"], n_init=1, max_iter=5, tol=0, sample_weight=weight)
    for k, row, result in zip([1, 2], chosen.table, chosen.results, strict=True):
        p = free(k, 2, 1, 2)
        assert row["n_parameters"] == jaxgmm.n_parameters(result.mixture) == p
        bic = p * np.log(weight.sum()) - 2 * float(result.log_likelihood)
        np.testing.assert_allclose([row["bic"], jaxgmm.bic(result.mixture, x, weight)], bic, rtol=1e-12)


def test_parameters_are_counted_of_batches_and_in_traces():
    probs = np.array([[[0.5, 0.5, 0], [1, 0, 0]], [[0.2, 0.2, 0.6], [0.2, 0.8, 0]]])
    one, dead = (jaxgmm.mixture("categorical", weights=w, probs=probs) for w in ([0.5, 0.5], [1.0, 0.0]))
    assert jaxgmm.n_parameters(one) == free(2, 3, 2) and jaxgmm.n_parameters(dead) == free(2, 2, 1)
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), one, dead)
    np.testing.assert_array_equal(jaxgmm.n_parameters(batch), [free(2, 3, 2), free(2, 2, 1)])
    np.testing.assert_array_equal(jax.vmap(jaxgmm.n_parameters)(batch), [free(2, 3, 2), free(2, 2, 1)])
    sphere = jaxgmm.mixture("spherical", weights=[1.0], means=np.zeros((1, 4)), covariances=[1.0])
    three = jax.tree.map(lambda leaf: np.stack([leaf] * 3), sphere)
    np.testing.assert_array_equal(jaxgmm.n_parameters(three), [5, 5, 5])


PROBS = np.array([[[0.5, 0.2, 0.3], [0.1, 0.9, 0], [0, 0.5, 0.5]], [[0.1, 0.1, 0.8], [1, 0, 0], [0.3, 0.3, 0.4]]])


@DTYPES
def test_density_and_samples_are_of_these_codes(dtype):
    mixture = jaxgmm.mixture(CODED, weights=np.array([0.4, 0.6], dtype), probs=PROBS.astype(dtype))
    x, labels = map(np.asarray, jaxgmm.sample(0, mixture, 4000))
    assert x.dtype == dtype
    for j, own in enumerate(NAMES):
        assert set(x[:, j]) == set(own)
        for k in range(2):
            shares = [(x[labels == k, j] == code).mean() for code in own]
            np.testing.assert_allclose(shares, PROBS[k, j, : len(own)], atol=0.05)
    x = x[:9]
    places = [[own.index(value) for value in column] for own, column in zip(NAMES, x.T, strict=True)]
    with np.errstate(divide="ignore"):
        logs = np.log([[0.4], [0.6]]) + sum(np.log(PROBS[:, j, places[j]]) for j in range(3))
    np.testing.assert_allclose(jaxgmm.log_prob(mixture, x), logsumexp(logs, axis=0), **oracles.tolerance(dtype))
    assert (np.asarray(jaxgmm.log_prob(mixture, x + 3 * np.eye(9, 3, dtype=dtype)))[:3] == -np.inf).all()
    means = [[PROBS[k, j, : len(own)] @ own for j, own in enumerate(NAMES)] for k in range(2)]
    np.testing.assert_allclose(means_of(mixture), means, **oracles.tolerance(dtype))


def test_codes_come_back_from_files_and_pickles(tmp_path):
    mixture = jaxgmm.fit(0, named(ranks()), 2, **FIT).mixture
    jaxgmm.save(tmp_path / "m.npz", mixture)
    assert jaxgmm.load(tmp_path / "m.npz").family is mixture.family is pickle.loads(pickle.dumps(mixture.family))
    assert jaxgmm.categorical(codes=[np.array(own) for own in NAMES]) is mixture.family


def test_codes_are_read_off_streams_and_stacks():
    x = named(ranks())
    assert jaxgmm.fit(0, jaxgmm.rows(x, block_size=40), 2, **FIT).mixture.family is CODED
    few = x[x[:, 0] < 30][:40]  # the second data set alone shows the third code
    many = jaxgmm.fit_many(0, np.stack([few, x[-40:]]), 2, **FIT)
    assert many.mixture.family is CODED
    np.testing.assert_array_equal(jaxgmm.n_parameters(many.mixture), [free(2, 2, 2, 3), free(2, 3, 2, 3)])


REFUSED = {
    "a fraction": (lambda x: jaxgmm.fit(0, x + 0.5 * (x == 30), 2, **FIT), ["integer codes", "column 0", "30.5"]),
    "nan": (lambda x: jaxgmm.fit(0, np.where(x == 30, np.nan, x), 2, **FIT), ["finite", "column 0", "nan"]),
    "a fraction in a stream": (
        lambda x: jaxgmm.fit(0, jaxgmm.rows([x, x + 0.5]), 2, **FIT), ["integer codes", f"row {N}", "column 0"]),
    "beyond float64": (lambda x: jaxgmm.fit(0, x + 2**53, 2, **FIT), ["2**53", "row 0"]),
    "another code": (
        lambda x: jaxgmm.fit(0, x + 1, 2, family=CODED), ["10, 20, 30 in column 0", "row 0"]),
    "another d": (lambda x: jaxgmm.fit(0, x[:, :2], 2, family=CODED), ["2 features", "3"]),
    "another d planned": (lambda x: jaxgmm.plan(9, 2, 2, CODED), ["2 features", "3"]),
    "no codes planned": (lambda x: jaxgmm.plan(9, 2, 2, "categorical"), ["n_categories", "codes"]),
    "probs of another c": (
        lambda x: jaxgmm.mixture(jaxgmm.categorical(3), weights=[1.0], probs=[[[0.5, 0.5]]]), ["probs", "3"]),
    "probs beyond the codes": (
        lambda x: jaxgmm.mixture(jaxgmm.categorical(codes=[[1, 2], [5]]), weights=[1.0], probs=[[[0.5, 0.5]] * 2]),
        ["probs", "beyond"]),
    "codes that fall": (lambda x: jaxgmm.categorical(codes=[[2, 1]]), ["codes", "increasing", "[2, 1]"]),
    "codes of no feature": (lambda x: jaxgmm.categorical(codes=[]), ["codes", "feature"]),
    "codes and their number": (lambda x: jaxgmm.categorical(2, codes=[[0, 1]]), ["n_categories", "codes"]),
    "a start of other codes": (
        lambda x: jaxgmm.fit(0, x, 2, init=numbered(), **FIT), ["n_categories=2", "codes=((10, 20, 30)"]),
    "words": (lambda x: jaxgmm.fit(0, words(x), 2, **FIT), ["'job'", "row 0 is 'a'", "cat.codes", "Mixture"]),
    "words in polars": (lambda x: jaxgmm.fit(0, polars.from_pandas(words(x)), 2, **FIT), ["'job'", "'a'"]),
}  # fmt: skip


def numbered():
    return jaxgmm.mixture("categorical", weights=[0.5, 0.5], probs=np.full((2, 3, 2), 0.5))


def words(x):
    frame = pandas.DataFrame({"kids": x[:, 1], "job": np.array(list("abc"))[x[:, 0] // 10 - 1]})
    frame.loc[0, "job"] = "a"
    return frame


@pytest.mark.parametrize("what", REFUSED)
def test_codes_that_cannot_be_are_a_value_error(what):
    call, said = REFUSED[what]
    with pytest.raises(ValueError) as error:
        call(named(ranks()))
    assert not [word for word in said if word not in str(error.value)], str(error.value)


def test_the_command_line_prints_codes():
    mixture = jaxgmm.fit(0, named(ranks()), 2, **FIT).mixture
    columns = ["size", "sex", "year"]
    said = [
        line.split()[:3] for line in tables.as_text(tables.of_mixture(mixture, columns)).splitlines() if "=" in line
    ]
    assert said == [[name, "=", str(code)] for name, own in zip(columns, NAMES, strict=True) for code in own]
    chosen = jaxgmm.select(0, named(ranks()), [1], families=["categorical"], n_init=1)
    assert '"options": {"codes": [[10, 20, 30], [1, 2], [-7, 1990, 2000000]]}' in report.as_json(chosen, 0.0, columns)


def test_a_frame_of_integer_categories_is_fitted_on_its_values():
    x = named(ranks())
    frame = pandas.DataFrame(x).astype("category")
    array, of_frame = (jaxgmm.fit(0, rows, 2, **FIT) for rows in (x, frame))
    assert of_frame.mixture.family is CODED and of_frame.log_likelihood == array.log_likelihood
