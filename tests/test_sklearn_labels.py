"""Words in the columns of a `CategoricalMixture`: what their codes would give, and the words back."""

import pickle

import numpy as np
import pandas
import polars
import pytest

from jaxgmm.sklearn import CategoricalMixture

N = 120
LABELS = [["baker", "cook", "smith"], ["no", "yes"], [10, 20, 30]]
COLUMNS = ["job", "own", "kids"]


def ranks():
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=N)
    probs = [[[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], [[0.8, 0.2], [0.2, 0.8]], [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1]]]
    return np.stack([[rng.choice(len(p[0]), p=p[z]) for z in kind] for p in probs], axis=1)


def words():
    return pandas.DataFrame({name: np.array(own)[x] for name, own, x in zip(COLUMNS, LABELS, ranks().T, strict=True)})


def in_polars():
    kinds = polars.col("job").cast(polars.Categorical), polars.col("own").cast(polars.Enum(["yes", "no"]))
    return polars.from_pandas(words()).with_columns(*kinds)


def fitted(X, **told):
    return CategoricalMixture(2, random_state=0, init_params="random", **told).fit(X)


KINDS = {
    "strings": words,
    "objects": lambda: words().astype(object),
    "categories": lambda: words().astype("category"),
    "an array": lambda: words().to_numpy(),
    "polars": in_polars,
}


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_fitted_as_their_codes(kind):
    X, plain = KINDS[kind](), fitted(ranks())
    model = pickle.loads(pickle.dumps(fitted(X)))
    assert [own.tolist() for own in model.categories_] == LABELS
    np.testing.assert_array_equal(model.probs_, plain.probs_)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(ranks()))
    assert model.bic(X) == plain.bic(ranks())
    drawn, labels = model.sample(50)
    codes, same = plain.sample(50)
    np.testing.assert_array_equal(labels, same)
    assert drawn.tolist() == [[own[int(c)] for own, c in zip(LABELS, row, strict=True)] for row in codes]


def test_a_label_is_known_by_name_and_not_by_its_place():
    model = fitted(words().astype("category"))
    job = pandas.Categorical(["smith", "cook"], ["smith", "cook"])
    later = pandas.DataFrame({"job": job, "own": "yes", "kids": 20})
    np.testing.assert_array_equal(model.predict_proba(later), fitted(ranks()).predict_proba([[2, 1, 1], [1, 1, 1]]))


@pytest.mark.parametrize(
    "change, said",
    [
        ({"job": ["cook", "pilot"]}, "label 'pilot' in column 'job', row 1.*'baker', 'cook', 'smith'"),
        ({"kids": [10, 11]}, "label 11 in column 'kids', row 1"),
        ({"own": ["no", None]}, "NaN: row 1 of column 'own'"),
        ({"kids": [np.nan, 10]}, "NaN: row 0 of column 'kids'"),
        ({"own": [pandas.NA, "no"]}, "NaN: row 0 of column 'own'"),
    ],
)
def test_labels_that_were_not_fitted_are_a_value_error(change, said):
    with pytest.raises(ValueError, match=said):
        fitted(words()).predict(words()[:2].assign(**change))


def test_what_is_no_label_is_refused_in_fit():
    for missing in (None, np.nan):
        with pytest.raises(ValueError, match="NaN: row 3 of column 'job'"):
            fitted(words().assign(job=[missing if i == 3 else job for i, job in enumerate(words().job)]))
    with pytest.raises(ValueError, match="'job' has both"):
        fitted(words().astype(object).replace({"job": {"cook": 7}}))
    with pytest.raises(ValueError, match="n_categories must be None"):
        fitted(words(), n_categories=3)


def test_later_blocks_and_fits_keep_the_labels():
    X = words()
    model = CategoricalMixture(2, random_state=0, init_params="random").partial_fit(X[:80]).partial_fit(X[80:])
    assert [own.tolist() for own in model.categories_] == LABELS
    with pytest.raises(ValueError, match="label 'pilot'"):
        model.partial_fit(X.assign(job="pilot"))
    model.set_params(warm_start=True).fit(X[X.job != "cook"])
    assert model.categories_[0].tolist() == LABELS[0]
    assert model.set_params(warm_start=False).fit(ranks() + 1).categories_[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("engine", ["numpy", "compiled"], indirect=True)
def test_codes_are_those_of_each_feature(engine):
    names = [[10, 20, 30], [1, 2], [-5, 0, 7]]
    x = np.stack([np.array(own)[codes] for own, codes in zip(names, ranks().T, strict=True)], axis=1)
    model, plain = fitted(x), fitted(ranks())
    assert [own.tolist() for own in model.categories_] == names
    assert [own.tolist() for own in plain.categories_] == [[0, 1, 2]] * 3
    np.testing.assert_allclose(model.probs_, plain.probs_, rtol=1e-9)
    assert model.bic(x) == pytest.approx(plain.bic(ranks()), rel=1e-12)
    assert model.bic(x) == pytest.approx((1 + 2 * 5) * np.log(N) - 2 * N * model.score(x), rel=1e-12)
    assert set(model.sample(500)[0][:, 0]) == {10, 20, 30}
    with pytest.raises(ValueError, match="10, 20, 30 in column 0"):
        model.predict(x + 1)
