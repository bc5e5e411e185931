"""What the compiled programs need besides the data: nothing of size N x K, nor a copy of the rows.

Programs are lowered for shapes alone and the compiler's own account is read; nothing of that size is ever made.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgmm
from jaxgmm.numerics import platforms

N, D, K = (2_000_000 if platforms.on_cpu() else 128_000_000), 8, 32  # an accelerator has larger blocks
FLOAT = 4
ROWS = N * D * FLOAT  # 64 MB
RESPONSIBILITIES = N * K * FLOAT  # 256 MB


def mixture(name):
    shapes = {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}
    means = np.zeros((K, D), np.float32)
    weights = np.full(K, 1 / K, np.float32)
    if name in shapes:
        covariances = np.broadcast_to(np.eye(D) if name in ("full", "tied") else 1.0, shapes[name]).astype(np.float32)
        return jaxgmm.mixture(name, weights=weights, means=means, covariances=covariances)
    return jaxgmm.mixture(name, weights=weights, rates=means + 1)


def temporary_bytes(function, *shapes):
    x = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*x).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("name", ["full", "diag", "poisson"])
@pytest.mark.parametrize("form", ["accurate", "moments"])
def test_statistics_need_no_memory_of_the_size_of_the_data(name, form):
    start = mixture(name)
    assert temporary_bytes(lambda x: jaxgmm.e_step(start, x, form=form), (N, D)) < ROWS / 2


def test_log_prob_needs_no_row_of_components():
    assert temporary_bytes(lambda x: jaxgmm.log_prob(mixture("full"), x), (N, D)) < RESPONSIBILITIES / 8


def test_criteria_need_no_row_of_components():
    assert temporary_bytes(lambda x, w: jaxgmm.icl(mixture("full"), x, w), (N, D), (N,)) < RESPONSIBILITIES / 8


@pytest.mark.short(name=["poisson"])
@pytest.mark.parametrize("name", ["full", "poisson"])
def test_a_fit_needs_no_memory_of_the_size_of_the_data(name):
    start = mixture(name)
    options = {"family": name, "init": start}
    assert temporary_bytes(lambda x, w: jaxgmm.fit(0, x, K, sample_weight=w, **options), (N, D), (N,)) < ROWS / 2


@pytest.mark.long
@pytest.mark.parametrize("init", ["k-means++", "kmeans", "random"])
def test_starts_take_a_number_a_row_each(init):
    """One number per row and start in flight is allowed to an initialiser, and a handful of vectors beside."""
    starts = 3
    used = temporary_bytes(lambda x, w: jaxgmm.fit(0, x, K, n_init=starts, init=init, sample_weight=w), (N, D), (N,))
    assert used < 3 * starts * N * FLOAT + ROWS / 2 < RESPONSIBILITIES


def test_block_size_is_what_a_block_takes():
    start = mixture("full")
    small, large = (
        temporary_bytes(lambda x, b=b: jaxgmm.e_step(start, x, block_size=b), (N, D)) for b in (1_000, 100_000)
    )
    assert small < 16 * 1_000 * K * D * FLOAT < large
