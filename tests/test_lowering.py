"""Every program of the library lowers for GPUs and for TPUs, on a machine that has neither; and what is in it then.

Programs are traced for rows that are never made, as on a machine with an accelerator: in its blocks. Nothing is
compiled, and but for the pieces of one small fit nothing runs.
"""

import functools
import re

import jax
import numpy as np
import pytest
from families import BY_NAME, DTYPES, FAMILIES, ROUTED, K, precision

import jaxgmm
from jaxgmm.numerics import compiling, platforms

PLATFORMS = "cuda", "tpu"
SOME = [BY_NAME[name] for name in ("full", "diag", "gamma")]
STARTS = pytest.mark.parametrize(("n_init", "dtype"), [(1, np.float32), (5, np.float64)], ids=["one", "five"])
MANY = 3_000_001  # rows: several blocks on an accelerator


@pytest.fixture(autouse=True)
def accelerator(monkeypatch):
    """A machine whose default device is one, as far as Python asks."""
    monkeypatch.setattr(platforms, "default", lambda: "gpu")


def lowered(traced):
    """The text of a traced program on every platform, with what is true of any."""
    texts = [traced.lower(lowering_platforms=(platform,)).as_text() for platform in PLATFORMS]
    for text in texts:
        assert not products_of_less(text)
        assert not [name for name in re.findall(r"custom_call @(\w+)", text) if re.search("lapack|callback|cpu", name)]
    return texts


def products_of_less(text):
    """Products of float32 that a GPU may round to TF32, and a TPU to bfloat16."""
    products = [line for line in text.splitlines() if re.search(r"stablehlo\.(dot|convolution)", line)]
    of_float32 = [line for line in products if re.search(r"xb?f(16|32)>|<b?f(16|32)>", line)]
    return [line for line in of_float32 if "HIGHEST, HIGHEST" not in line]


def lowers(function, *shapes, dtype):
    with precision(dtype):
        return lowered(jax.jit(function).trace(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)))


def test_a_product_at_less_is_found():
    shape = jax.ShapeDtypeStruct((8, 8), np.float32)
    for asked, found in ((None, 1), ("high", 1), ("highest", 0)):
        product = jax.jit(functools.partial(jax.numpy.matmul, precision=asked))
        text = product.trace(shape, shape).lower(lowering_platforms=("cuda",)).as_text()
        assert len(products_of_less(text)) == found


@pytest.mark.diagonal
@pytest.mark.short(case=["full"])
@FAMILIES
@STARTS
def test_a_fit(case, dtype, n_init):
    k = 7  # not the number of features
    for text in lowers(lambda x: jaxgmm.fit(0, x, k, family=case.family, n_init=n_init), (MANY, case.d), dtype=dtype):
        assert not re.search(rf"<(\d+x)*{MANY}x(\d+x)*{k}x|<(\d+x)*{k}x(\d+x)*{MANY}x", text)  # responsibilities


@pytest.mark.diagonal
@DTYPES
@FAMILIES
def test_what_is_asked_of_a_mixture(case, dtype):
    mixture = case.mixture(dtype)

    def asked(x):
        statistics = [jaxgmm.e_step(mixture, x, form=form) for form in ("accurate", "moments")]
        labels, each = jaxgmm.predict(mixture, x), jaxgmm.responsibilities(mixture, x)
        steps = [jaxgmm.m_step(mixture, some) for some in statistics]
        return steps, jaxgmm.log_prob(mixture, x), labels, each, jaxgmm.bic(mixture, x), jaxgmm.sample(0, mixture, 9)

    lowers(asked, (MANY, case.d), dtype=dtype)


@pytest.mark.short(dtype=[np.float32], case=["diag"])
@DTYPES
@pytest.mark.parametrize("case", SOME, ids=str)
def test_many_data_sets(case, dtype):
    lowers(lambda x: jaxgmm.fit_many(0, x, K, family=case.family, n_init=5), (300, 200, case.d), dtype=dtype)


@pytest.mark.short(dtype=[np.float32], case=["diag"])
@DTYPES
@pytest.mark.parametrize("case", SOME, ids=str)
def test_derivatives_of_a_fit(case, dtype):
    def loss(x):
        result = jaxgmm.fit(0, x, K, family=case.family)
        return result.log_likelihood + result.mixture.weights[0]

    lowers(jax.grad(loss), (1000, case.d), dtype=dtype)


@pytest.mark.diagonal
@pytest.mark.short(case=["diag"])
@ROUTED
@STARTS
def test_the_pieces_of_a_fit_outside_a_trace(case, dtype, n_init, monkeypatch):
    pieces, call = {}, compiling.Compiled.__call__

    def noting(self, *args, **named):
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, named))):
            pieces[self.__name__] = self.polished.trace(*args, **named)
        return call(self, *args, **named)

    monkeypatch.setattr(compiling.Compiled, "__call__", noting)
    options = {"family": case.family, "n_init": n_init, "max_iter": 20, "tol": 0}
    jaxgmm.fit(0, case.data(dtype), K, **options, compiled=True)
    assert len(pieces) > 3
    with precision(dtype):
        for piece in pieces.values():
            lowered(piece)
