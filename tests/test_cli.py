"""The command line, run as its user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from families import FAMILIES, K

import jaxgmm
from jaxgmm.cli import report, terminal
from jaxgmm.cli.main import main

NAMES = ["length", "width"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    """A cache the user chose: commands run inside this process then leave JAX's settings alone."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(cache))


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return np.round(np.concatenate([rng.normal([0, 0], 1, (60, 2)), rng.normal([8, 4], [1, 0.5], (40, 2))]), 3)


@pytest.fixture(scope="module")
def data(x, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "flowers.csv"
    np.savetxt(path, x, delimiter=",", header=",".join(NAMES), comments="", fmt="%.3f")
    return str(path)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "model.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", "")
        assert main(["fit", data, "--components", "2", "--family", "full", "--restarts", "2", "--output", path]) == 0
    return path


def fails_with_one_line(capsys, argv, *words):
    code = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("jaxgmm: error: "), (code, out, err)
    for word in words:
        assert word in err
    return err


# fit


def test_fit_prints_the_sweep_the_parameters_by_name_and_the_time(capsys, data):
    assert main(["fit", data, "--components", "1:2", "--family", "full,diag", "--restarts", "2"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["family", "K", "log_likelihood", "parameters", "bic", "aic", "icl", "status"]
    assert {(row[0], row[1]) for row in rows[1:5]} == {("full", "1"), ("full", "2"), ("diag", "1"), ("diag", "2")}
    best = [row for row in rows[1:5] if row[-1] == "best"]
    assert len(best) == 1 and float(best[0][4]) == min(float(row[4]) for row in rows[1:5])
    assert all(name in out for name in ("weight", "means", "covariances", *NAMES))
    assert " s (" in out.splitlines()[-1] and "float64" in out
    assert err == ""


def test_fit_gives_the_numbers_of_select(capsys, data, x):
    argv = ["fit", data, "--components", "1,2", "--family", "full", "--restarts", "2", "--seed", "3"]
    assert main([*argv, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    selection = jaxgmm.select(3, x, [1, 2], families=["full"], n_init=2)
    named = {"columns", "options", "seed", "version"}
    assert set(answer) == {"table", "best", "seconds", "device", "dtype"} | named
    assert answer["columns"] == NAMES and answer["seed"] == 3 and answer["version"] == jaxgmm.__version__
    options = answer["options"]
    assert options["components"] == [1, 2] and options["restarts"] == 2 and options["family"] == ["full"]
    assert [row["n_components"] for row in answer["table"]] == [1, 2]
    for row, expected in zip(answer["table"], selection.table, strict=True):
        assert row == expected
    best = answer["best"]
    assert {name: best[name] for name in answer["table"][1]} == answer["table"][1]
    mixture = selection.best.mixture
    np.testing.assert_allclose(best["weights"], mixture.weights, rtol=1e-12)
    np.testing.assert_allclose(best["components"]["means"], mixture.components.means, rtol=1e-12)
    np.testing.assert_allclose(best["components"]["covariances"], mixture.components.covariances, rtol=1e-12)
    assert answer["device"] == "cpu" or "cpu" not in answer["device"]
    assert answer["dtype"] == "float64" and answer["seconds"] > 0


def test_one_object_is_all_that_json_prints_even_for_numbers_json_does_not_know(capsys, monkeypatch, data):
    real = jaxgmm.select

    def select(*args, **options):
        selection = real(*args, **options)
        selection.table[0]["log_likelihood"] = float("nan")
        return selection

    monkeypatch.setattr(jaxgmm, "select", select)
    main(["fit", data, "--components", "1", "--family", "full", "--restarts", "1", "--json"])
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=pytest.fail)["table"][0]["log_likelihood"] is None
    assert out.count("\n") == 1


@FAMILIES
def test_json_has_all_that_the_text_has(case):
    mixture, names = case.mixture(), [f"feature {j}" for j in range(case.d)]
    row = {"family": case.name, "n_components": K, "log_likelihood": -np.inf, "status": "DEGENERATE"}
    result = jaxgmm.FitResult(mixture, -np.inf, 1, jaxgmm.Status.DEGENERATE, np.zeros(1))
    selection = jaxgmm.Selection(result, [row], [result], "aic")
    for columns in (names, None):
        best = json.loads(report.as_json(selection, 1.0, columns), parse_constant=pytest.fail)["best"]
        components = best.pop("components")
        assert components.keys() == case.params.keys()
        for name, values in components.items():
            np.testing.assert_array_equal(values, getattr(mixture.components, name))
        np.testing.assert_array_equal(best.pop("weights"), mixture.weights)
        options = {} if case.n_categories is None else {"n_categories": case.n_categories}
        others = {"options": options, "log_likelihood": None, "criterion": "aic", "columns": columns}
        assert best == {**row, **others}


def test_fit_writes_the_model_with_its_column_names_and_the_labels(capsys, data, x, tmp_path):
    output, labels = tmp_path / "model.npz", tmp_path / "labels.csv"
    argv = ["fit", data, "--columns", "width", "--components", "2", "--family", "diag", "--restarts", "2"]
    assert main([*argv, "--output", str(output), "--labels", str(labels)]) == 0
    with np.load(output) as file:
        assert file["columns"].tolist() == ["width"]
    lines = [line.split(",") for line in labels.read_text().splitlines()]
    assert lines[0] == ["row", "label"]
    rows, found = np.array(lines[1:], int).T
    np.testing.assert_array_equal(rows, np.arange(len(x)))
    np.testing.assert_array_equal(found, jaxgmm.predict(jaxgmm.load(output), x[:, 1:]))
    assert "width" in capsys.readouterr().out


def test_sample_weights_count_as_repeated_rows(capsys, tmp_path):
    (tmp_path / "weighted.csv").write_text("x,times\n1,2\n2,3\n9,1\n10,4\n")
    (tmp_path / "repeated.csv").write_text("x\n" + "1\n" * 2 + "2\n" * 3 + "9\n" + "10\n" * 4)
    options = ["--components", "1", "--family", "full", "--restarts", "1", "--json"]
    assert main(["fit", str(tmp_path / "weighted.csv"), "--weights", "times", *options]) == 0
    weighted = json.loads(capsys.readouterr().out)
    assert main(["fit", str(tmp_path / "repeated.csv"), *options]) == 0
    repeated = json.loads(capsys.readouterr().out)
    assert weighted["best"]["bic"] == pytest.approx(repeated["best"]["bic"], rel=1e-9)


def test_float32_data_are_fitted_in_float32(capsys, x, tmp_path):
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    assert main(["fit", str(tmp_path / "x.npy"), "--components", "1", "--family", "full", "--restarts", "1"]) == 0
    out = capsys.readouterr().out
    assert "float32" in out and "x0" in out and "x1" in out


def test_counts_are_fitted_by_the_families_of_counts(capsys, tmp_path):
    counts = np.random.default_rng(0).poisson([[1, 9]] * 30 + [[12, 2]] * 30)
    np.savetxt(tmp_path / "counts.csv", counts, delimiter=",", fmt="%d")
    argv = ["fit", str(tmp_path / "counts.csv"), "--family", "poisson", "--components", "2", "--restarts", "2"]
    assert main([*argv, "--output", str(tmp_path / "m.npz")]) == 0
    assert "rates" in capsys.readouterr().out
    (tmp_path / "bad.csv").write_text("1,2\n3,-4\n")
    fails_with_one_line(capsys, ["score", tmp_path / "m.npz", tmp_path / "bad.csv"], "bad.csv", "-4")
    fails_with_one_line(capsys, ["fit", tmp_path / "bad.csv", "--family", "poisson", "--components", "1"], "-4")


def test_a_best_fit_that_did_not_converge_is_code_3_a_warning_line_and_still_a_model(capsys, data, tmp_path):
    argv = ["fit", data, "--components", "3", "--family", "full", "--restarts", "1", "--max-iter", "1"]
    assert main([*argv, "--output", str(tmp_path / "m.npz")]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("jaxgmm: warning: ") and err.count("\n") == 1 and "max_iter" in out
    assert jaxgmm.load(tmp_path / "m.npz").n_components == 3
    assert main([*argv, "--tol", "0"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_the_default_tries_what_the_rows_allow_and_what_is_asked_for_is_an_error(capsys, x, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for path, rows in ((tmp_path / "few.csv", x[:8]), (folder / "0.csv", x[:5]), (folder / "1.csv", x[5:8])):
        np.savetxt(path, rows, delimiter=",")
    warning = "jaxgmm: warning: --components 9 left out: 8 rows of positive weight allow at most as many components\n"
    options = ["--family", "diag", "--restarts", "1", "--tol", "0", "--max-iter", "2"]
    for path in (tmp_path / "few.csv", folder):
        assert main(["fit", str(path), *options, "--json"]) == 0
        out, err = capsys.readouterr()
        assert [row["n_components"] for row in json.loads(out)["table"]] == [*range(1, 9)] and err == warning
        assert main(["fit", str(path), *options, "--dry-run"]) == 0
        out, err = capsys.readouterr()
        assert "diag, K = 8: 8 x 2" in out and err == warning
        fails_with_one_line(capsys, ["fit", path, *options, "--components", "1:9"], "--components 9", "got 8")


def test_degenerate_fits_are_marked(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.concatenate([np.random.default_rng(0).normal(size=(20, 1)), np.full((20, 1), 9.0)]))
    assert main(["fit", str(tmp_path / "x.npy"), "--components", "1:2", "--family", "full", "--restarts", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].endswith("<- best") and rows[2].endswith("degenerate *")
    assert rows[3].startswith("* lower than the best, and not to be chosen (degenerate): ")


# --plot


def pixels(path):
    image = pytest.importorskip("matplotlib.image")
    return image.imread(path).shape[:2]


def test_fit_draws_what_suits_the_data(capsys, data, x, tmp_path):
    pytest.importorskip("matplotlib")
    one, several, line = (tmp_path / f"{name}.png" for name in ("one", "several", "line"))
    options = ["--family", "diag", "--restarts", "2"]
    assert main(["fit", data, "--components", "2", *options, "--plot", str(one)]) == 0
    assert main(["fit", data, "--components", "1:2", *options, "--plot", str(several)]) == 0
    assert main(["fit", data, "--columns", "width", "--components", "2", *options, "--plot", str(line)]) == 0
    assert capsys.readouterr().err == ""
    height, width = pixels(one)
    assert pixels(several) == (height, 2 * width) and pixels(line) == (height, width)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_picture_shows_the_best_mixture_and_how_it_was_chosen(monkeypatch, x, tmp_path):
    pytest.importorskip("matplotlib")
    from jaxgmm.cli import figure

    seen = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *args, **options: seen.append(self))
    selection = jaxgmm.select(0, x, [1, 2], families=["diag"], n_init=2)
    figure.write(str(tmp_path / "out.png"), selection, (x, None), NAMES)
    wide = np.hstack([x, x + 1])
    figure.write(
        str(tmp_path / "out.png"), jaxgmm.select(0, wide, [2], families=["diag"], n_init=2), (wide, None), None
    )
    left, right = seen[0].axes
    assert (left.get_xlabel(), right.get_xlabel(), right.get_ylabel()) == ("number of components", *NAMES)
    assert len(seen[1].axes) == 16


@pytest.mark.parametrize("name, words", [("/missing/out.png", "does not exist"), ("out.xyz", ".png"), ("out", ".pdf")])
def test_a_picture_that_cannot_be_written_is_said_before_the_fit(capsys, monkeypatch, data, name, words):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    fails_with_one_line(capsys, ["fit", data, "--plot", name], name, words)


def test_a_picture_without_matplotlib_is_said_before_the_fit(capsys, monkeypatch, data):
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "jaxgmm.plot", "jaxgmm.cli.figure"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(jaxgmm.cli, "figure", raising=False)
    monkeypatch.delattr(jaxgmm, "plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    fails_with_one_line(capsys, ["fit", data, "--plot", "out.png"], "matplotlib", "pip install matplotlib")


# Ctrl-C


def interrupting(monkeypatch, iteration):
    """From this iteration on, the process is sent the signal of Ctrl-C."""
    real = jaxgmm.select

    def callback(glance):
        if glance.iteration >= iteration:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    monkeypatch.setattr(jaxgmm, "select", lambda *args, **options: real(*args, **(options | {"callback": callback})))


@pytest.fixture
def heard():
    """Ctrl-C is heard, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_gives_the_best_so_far(capsys, monkeypatch, data, tmp_path, heard):
    interrupting(monkeypatch, 20)
    output = tmp_path / "m.npz"
    argv = ["fit", data, "--components", "3", "--family", "diag,full", "--restarts", "4", "--tol", "0"]
    assert main([*argv, "--output", str(output)]) == 130
    out, err = capsys.readouterr()
    assert out.splitlines()[1].endswith("stopped <- best") and "means" in out
    assert err == "jaxgmm: warning: interrupted; 1 of 2 mixtures had begun\n"
    assert jaxgmm.load(output).n_components == 3


def test_a_second_ctrl_c_ends_it_at_once(capsys, monkeypatch, data, tmp_path, heard):
    def again(*args, **options):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    interrupting(monkeypatch, 20)
    monkeypatch.setattr(jaxgmm, "save", again)
    argv = ["fit", data, "--components", "3", "--family", "diag", "--restarts", "4", "--tol", "0"]
    assert main([*argv, "--output", str(tmp_path / "m.npz")]) == 130
    assert capsys.readouterr() == ("", "jaxgmm: error: interrupted\n")


# predict, score, sample, info


def test_predict_prints_one_integer_a_line(capsys, model, data, x):
    assert main(["predict", model, data]) == 0
    expected = np.asarray(jaxgmm.predict(jaxgmm.load(model), x))
    assert capsys.readouterr().out == "".join(f"{label}\n" for label in expected)


def test_predict_writes_a_csv_with_probabilities(capsys, model, data, x, tmp_path):
    path = tmp_path / "labels.csv"
    assert main(["predict", model, data, "--probabilities", "--output", str(path)]) == 0
    assert capsys.readouterr().out == ""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == ["row", "label", "probability_0", "probability_1"]
    assert [int(line[0]) for line in lines[1:]] == list(range(len(x)))
    np.testing.assert_array_equal([int(line[1]) for line in lines[1:]], jaxgmm.predict(jaxgmm.load(model), x))
    written = np.array([line[2:] for line in lines[1:]], float)
    np.testing.assert_array_equal(written, jaxgmm.responsibilities(jaxgmm.load(model), x))


def test_score_prints_total_and_mean(capsys, model, data, x):
    assert main(["score", model, data]) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    total = np.asarray(jaxgmm.log_prob(jaxgmm.load(model), x)).sum()
    assert list(printed) == ["log_likelihood", "mean"]
    assert float(printed["log_likelihood"]) == pytest.approx(total, rel=1e-12)
    assert float(printed["mean"]) == pytest.approx(total / len(x), rel=1e-12)


def test_a_model_finds_its_columns_by_name(capsys, model, data, x, tmp_path):
    weights = np.arange(len(x)) % 3
    table = np.column_stack([weights, x[:, 1], x[:, 0]])
    np.savetxt(tmp_path / "other.csv", table, delimiter=",", header="times,width,length", comments="", fmt="%.3f")
    assert main(["predict", model, data]) == main(["predict", model, str(tmp_path / "other.csv")]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[: len(x)] == out[len(x) :]
    assert main(["score", model, str(tmp_path / "other.csv"), "--weights", "times"]) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    expected = np.average(np.asarray(jaxgmm.log_prob(jaxgmm.load(model), x)), weights=weights)
    assert float(printed["mean"]) == pytest.approx(expected, rel=1e-12)


def test_sample_gives_rows_that_can_be_read_back(capsys, model, tmp_path):
    assert main(["sample", model, "-n", "7", "--seed", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(",") == NAMES
    drawn = np.array([line.split(",") for line in lines[1:]], float)
    np.testing.assert_array_equal(drawn, jaxgmm.sample(5, jaxgmm.load(model), 7)[0])
    assert main(["sample", model, "-n", "7", "--output", str(tmp_path / "rows.csv")]) == 0
    assert main(["score", model, str(tmp_path / "rows.csv")]) == 0


def test_info_tells_of_the_installation_and_of_a_model(capsys, model):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("jaxgmm", "jax ", "device", "precision", "float64"))
    assert main(["info", model]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("full, K = 2, 2 features, 11 free parameters, float64", "means", *NAMES))


# bad input


@pytest.mark.parametrize(
    "options, words",
    [
        (["--family", "cauchy"], ["cauchy", "full", "tied"]),
        (["--components", "0"], ["--components", "'0'"]),
        (["--components", "9:1"], ["--components", "'9:1'"]),
        (["--components", "two"], ["--components", "'two'"]),
        (["--components", "1000"], ["1000", "100"]),
        (["--criterion", "r2"], ["--criterion", "bic"]),
        (["--components", "1:99999999999"], ["--components"]),
        (["--components", ""], ["--components", "''"]),
        (["--family", ""], ["--family", "''"]),
        (["--columns", ""], ["--columns", "''"]),
        (["--restarts", "0"], ["--restarts", "'0'"]),
        (["--seed", "-1"], ["--seed", "'-1'"]),
        (["--seed", "99999999999999999999999999"], ["--seed"]),
        (["--restarts", "many"], ["--restarts", "many"]),
        (["--tol", "-1"], ["--tol must be"]),
        (["--max-iter", "-1"], ["--max-iter", "'-1'"]),
        (["--columns", "height"], ["flowers.csv", "'height'", "length, width"]),
        (["--weights", "height"], ["flowers.csv", "'height'", "length, width"]),
        (["--output", "/missing/model.npz"], ["/missing/model.npz"]),
        (["--labels", "/missing/labels.csv"], ["/missing/labels.csv"]),
        (["--colour", "red"], ["--colour"]),
    ],
)
def test_bad_options_end_in_one_line(capsys, data, options, words):
    fails_with_one_line(capsys, ["fit", data, *options], *words)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory: 4 bytes\n...")])
def test_too_large_a_fit_ends_in_one_line(capsys, monkeypatch, data, error):
    def select(*args, **options):
        raise error

    monkeypatch.setattr(jaxgmm, "select", select)
    fails_with_one_line(capsys, ["fit", data], "out of memory", "--restarts")


def test_bad_files_end_in_one_line(capsys, model, data, tmp_path):
    text = tmp_path / "text.csv"
    text.write_text("length,width\n1,2\n3,four\n")
    narrow = tmp_path / "narrow.csv"
    narrow.write_text("1\n2\n")
    fails_with_one_line(capsys, ["fit", tmp_path / "none.csv"], "none.csv", "No such file")
    fails_with_one_line(capsys, ["fit", tmp_path], str(tmp_path))
    fails_with_one_line(capsys, ["fit", text], "text.csv", "row 2", "'width'", "'four'")
    fails_with_one_line(capsys, ["predict", data, data], "flowers.csv", "not a file that jaxgmm.save wrote")
    fails_with_one_line(capsys, ["predict", tmp_path / "none.npz", data], "none.npz")
    fails_with_one_line(capsys, ["score", model, narrow], "narrow.csv", "1 columns", "2 (length, width)")
    fails_with_one_line(capsys, ["sample", model, "-n", "0"], "-n", "'0'")
    fails_with_one_line(capsys, [])
    fails_with_one_line(capsys, ["transmogrify"], "transmogrify")


# the process around it


def run(*argv, **environment):
    command = [sys.executable, "-m", "jaxgmm", *argv]
    env = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"} | environment
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)


@pytest.mark.long
def test_compiled_programs_are_kept_in_the_users_cache_folder(data, tmp_path):
    model = str(tmp_path / "model.npz")
    argv = ["fit", data, "--components", "1", "--family", "diag", "--restarts", "1", "--output", model]
    assert run(*argv, XDG_CACHE_HOME=str(tmp_path)).returncode == 0  # few rows compile nothing, samples do
    argv = ["sample", model, "-n", "3"]
    done = run(*argv, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    kept = {path.name for path in (tmp_path / "jaxgmm").iterdir()}
    assert kept
    again = run(*argv, XDG_CACHE_HOME=str(tmp_path))
    assert again.returncode == 0 and again.stderr == "", again.stderr
    assert {path.name for path in (tmp_path / "jaxgmm").iterdir() if path.name.endswith("-cache")} <= kept


@pytest.mark.parametrize("setting", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_a_cache_that_cannot_be_written_is_done_without(data, tmp_path, setting):
    (tmp_path / "file").write_text("a file is no folder")
    argv = ["fit", data, "--components", "1", "--family", "diag", "--restarts", "1"]
    done = run(*argv, **{setting: str(tmp_path / "file" / "cache")})
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_a_progress_line_counts_the_seconds_on_a_terminal_and_leaves_nothing(capsys, monkeypatch):
    with terminal.progress("fitting"):
        time.sleep(0.6)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal.progress("fitting"):
        time.sleep(0.6)
    shown = capsys.readouterr().err.split("\r")
    assert shown[1].startswith("fitting: ") and shown[1].endswith(" s ")
    assert shown[-2].isspace() and len(shown[-2]) >= len(shown[1]) and shown[-1] == ""


def test_the_progress_line_says_what_is_done(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal.progress("fitting") as callback:
        callback(jaxgmm.Glance(iteration=40, log_likelihood=-1.0, gain=0.1, fits_done=3, fits=36))
        time.sleep(0.6)
    shown = capsys.readouterr().err.split("\r")
    assert shown[1].startswith("fitting, 3 of 36 fits done, iteration 40, log-likelihood -1")
    assert shown[-2].isspace() and len(shown[-2]) >= len(shown[1]) and shown[-1] == ""


def test_the_progress_line_says_while_a_program_is_compiled(capsys, monkeypatch):
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    jax.jit(lambda x: x * 3 + 1)(np.arange(7.0))
    compiling = [event for event in events if event.startswith("/jax/core/compile/")]
    assert compiling and not compiling[0].endswith("backend_compile_duration")
    assert compiling[-1].endswith("backend_compile_duration")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal.progress("fitting"):
        for event in (compiling[0], compiling[-1]):
            jax.monitoring.record_event_duration_secs(event, 0.1)
            time.sleep(1.1)
    shown = capsys.readouterr().err.split("\r")
    assert any(line.startswith("fitting, compiling: ") for line in shown)
    assert shown[-3].startswith("fitting: ")


def test_a_reader_that_stops_early_is_no_error(model):
    command = f"{sys.executable} -m jaxgmm sample {model} -n 50000 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == "length,width\n" and done.stderr == "", done.stderr


def test_help_is_no_error(capsys):
    for argv in (["--help"], ["fit", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 0
    assert "--components" in capsys.readouterr().out


def test_bad_input_to_the_process_is_one_line_and_code_2(tmp_path):
    done = run("fit", str(tmp_path / "none.csv"), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"jaxgmm: error: {tmp_path / 'none.csv'}: No such file or directory\n"


# data that stream


@pytest.fixture
def folder(x, tmp_path):
    place = tmp_path / "parts"
    place.mkdir()
    for i, part in enumerate(np.array_split(x, 3)):
        np.savetxt(place / f"{i}.csv", part, delimiter=",", header=",".join(NAMES), comments="", fmt="%.3f")
    return place


def test_a_directory_is_fitted_labelled_and_scored_like_one_file(capsys, folder, data, x, tmp_path):
    model, labels = tmp_path / "m.npz", tmp_path / "labels.npy"
    options = ["--components", "2", "--family", "full", "--restarts", "2"]
    assert main(["fit", str(folder), *options, "--output", str(model), "--labels", str(labels)]) == 0
    np.testing.assert_array_equal(np.load(labels), jaxgmm.predict(jaxgmm.load(model), x))
    found, whole = jaxgmm.load(model), jaxgmm.fit(0, x, 2, n_init=2).mixture
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    capsys.readouterr()
    for command in (["predict", "--probabilities"], ["score"]):
        told = []
        for source in (data, folder):
            assert main([command[0], str(model), str(source), *command[1:]]) == 0
            told.append([float(word) for word in re.findall(r"[-+.\de]*\d", capsys.readouterr().out)])
        np.testing.assert_allclose(*told, rtol=1e-12)


def test_what_is_larger_than_a_quarter_of_free_memory_streams(capsys, data, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    from jaxgmm.data import readers

    monkeypatch.setattr(readers, "read_numbered", pytest.fail)
    assert main(["fit", data, "--components", "2", "--family", "full", "--restarts", "2"]) == 0


def test_a_directory_of_parquet_is_one_command(capsys, x, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "p").mkdir()
    for i, part in enumerate(np.array_split(x, 2)):
        parquet.write_table(pyarrow.table(dict(zip(NAMES, part.T, strict=True))), tmp_path / "p" / f"{i}.parquet")
    out = tmp_path / "labels.parquet"
    argv = ["fit", str(tmp_path / "p"), "--components", "2", "--family", "full", "--restarts", "2"]
    assert main([*argv, "--labels", str(out)]) == 0
    assert "width" in capsys.readouterr().out
    assert parquet.read_table(out).column("label").to_pylist().count(0) == 60


def test_wrong_files_and_values_of_a_directory_are_named(capsys, folder, model):
    (folder / "3.csv").write_text("length,depth\n1,2\n")
    fails_with_one_line(capsys, ["fit", folder], "3.csv", "depth")
    (folder / "3.csv").write_text("length,width\n1,2\n3,x\n")
    fails_with_one_line(capsys, ["fit", folder, "--components", "2"], "3.csv", "row 1 (counted from 0; line 3)", "'x'")
    fails_with_one_line(capsys, ["predict", model, folder, "--output", folder / "out.csv"], "3.csv", "row 1")
    assert not (folder / "out.csv").exists()


def test_densities_are_written(data, model, x, tmp_path):
    assert main(["score", model, data, "--output", str(tmp_path / "density.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "density.npy"), jaxgmm.log_prob(jaxgmm.load(model), x), rtol=1e-12)
