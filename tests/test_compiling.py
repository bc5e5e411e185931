"""Which of a function's two programs a call runs, and what each is compiled with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgmm
from jaxgmm.numerics import compiling

ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere a function has one program")


@pytest.fixture
def twice():
    """A compiled function that notes what its two programs are asked for."""

    @compiling.compiled("times")
    def multiply(x, times):
        """Documented."""
        return times * x

    ran = []
    for name in ("quick", "polished"):
        program = getattr(multiply, name)
        setattr(multiply, name, lambda *args, p=program, n=name, **named: (ran.append(n), p(*args, **named))[1])
    multiply.ran = ran
    return multiply


@ON_CPU
def test_few_numbers_compile_quickly_and_many_are_polished(twice):
    for size, program in ((10, "quick"), (compiling.FEW // 2, "quick"), (compiling.FEW, "polished")):
        assert twice(np.ones(size, np.float32), times=3)[-1] == 3
        assert twice.ran.pop() == program
    assert twice.__doc__ == "Documented." and twice.__name__ == "multiply"


@ON_CPU
def test_what_a_fit_runs_once_compiles_quickly_at_any_size(monkeypatch):
    add = compiling.compiled(once=True)(lambda x: x + 1)
    monkeypatch.setattr(compiling, "FEW", 0)
    monkeypatch.setattr(add, "polished", None)
    assert add(np.ones(3, np.float32)).tolist() == [2, 2, 2]


def test_under_a_trace_it_is_part_of_the_users_program(twice):
    x = jnp.ones((3, 4))
    np.testing.assert_array_equal(jax.jit(lambda x: twice(x, times=2))(x), 2 * x)
    np.testing.assert_array_equal(jax.vmap(lambda x: twice(x, times=2))(x), 2 * x)
    assert twice.ran == ["polished"] * 2
    if jax.default_backend() != "cpu":
        return
    # data that are closed over are no tracers: it is for JAX to say so
    np.testing.assert_array_equal(jax.jit(lambda scale: scale * twice(x, times=2))(3.0), 6 * x)
    assert twice.ran[2:] in (["quick", "polished"], ["quick"])  # an error up to 0.10, then its options are ignored


def test_an_error_of_the_function_is_its_own():
    @compiling.compiled()
    def refuse(x):
        raise ValueError("not this")

    with pytest.raises(ValueError, match="not this"):
        refuse(np.ones(3))


def test_options_that_are_unknown_or_set_by_the_user_are_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "QUICK", {"xla_no_such_option": True, "xla_backend_optimization_level": 1})
    monkeypatch.setenv("XLA_FLAGS", "")
    ask = compiling.quick_options.__wrapped__
    assert ask() == {"xla_backend_optimization_level": 1}
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    assert ask() == {}


@pytest.mark.short(family=["full"])
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical", "gamma", "poisson", "categorical"])
def test_both_programs_give_the_same_fit(family, monkeypatch):
    x = np.random.default_rng(0).integers(1, 6, (200, 2))
    options = {"init": "random", "n_init": 2, "compiled": True}
    x = x if family in ("poisson", "categorical") else x + np.random.default_rng(1).random(x.shape)
    fits = {}
    for few in (compiling.FEW, 0):
        monkeypatch.setattr(compiling, "FEW", few)
        fits[few] = jaxgmm.fit(0, x.astype(np.float64), 2, family=family, **options)
    quick, polished = fits.values()
    assert quick.status == polished.status
    assert quick.log_likelihood == pytest.approx(polished.log_likelihood, rel=1e-9)


@ON_CPU
@pytest.mark.short(family=["diag"], start=["mixture"])
@pytest.mark.parametrize("start", ["drawn", "mixture"])
@pytest.mark.parametrize("family", ["diag", "full"])
def test_a_fit_in_a_users_jit_is_no_twice_what_is_compiled_outside(family, start, monkeypatch):
    """In operations that XLA is left with: time would be what else the machine does. The user's program holds the
    accurate form too, which a fit outside compiles where digits were lost."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(centre, 1, (100, 4)) for centre in (0, 9)]).astype(np.float32)
    init = "auto" if start == "drawn" else jaxgmm.fit(0, x, 2, family=family, max_iter=1, tol=0).mixture
    options, programs, call = {"family": family, "init": init}, {}, compiling.Compiled.__call__

    def noting(self, *args, **named):
        leaves = jax.tree.leaves((args, named))
        if not (compiling.hosted() or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)):
            programs[self.__name__] = self.lower(*args, **named)
        return call(self, *args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(compiling.Compiled, "__call__", noting)
        outside = jaxgmm.fit(0, x, 2, **options, compiled=True)
    inside = jax.jit(lambda key, x: jaxgmm.fit(key, x, 2, **options)).lower(jax.random.key(0), x).compile()
    np.testing.assert_allclose(inside(jax.random.key(0), x).log_likelihood, outside.log_likelihood, rtol=1e-5)
    sizes = [program.compile().as_text().count(" = ") for program in programs.values()]
    assert inside.as_text().count(" = ") < 2 * sum(sizes), (programs.keys(), sizes)
