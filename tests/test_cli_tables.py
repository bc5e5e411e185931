"""The command line on tables as people have them, and the tables that it writes."""

import csv
import gzip
import io
import json
import shlex
import sys

import numpy as np
import pytest

import jaxgmm
from jaxgmm.cli import estimate, options
from jaxgmm.cli.main import main

RNG = np.random.default_rng(0)
X = np.round(np.concatenate([RNG.normal([0, 0], 1, (60, 2)), RNG.normal([8, 4], [1, 0.5], (40, 2))]), 3)
NAMES = [f"flower {i}" for i in range(100)]
SPECIES = ["setosa", "other"] * 50
ONE = ["--components", "2", "--family", "full", "--restarts", "2"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))


@pytest.fixture
def table(tmp_path):
    """A table with text columns, and the same with two missing cells."""
    path = tmp_path / "flowers.csv"
    rows = [f"{name},{a},{species},{b}" for name, (a, b), species in zip(NAMES, X.tolist(), SPECIES, strict=True)]
    path.write_text("\n".join(["name,length,species,width", *rows]) + "\n")
    return path


@pytest.fixture
def gaps(table, tmp_path):
    lines = table.read_text().splitlines()
    lines[4] = "flower 3,NA,other,1.5"
    lines[71] = "flower 70,7.5,setosa,"
    (tmp_path / "gaps.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "gaps.csv"


COMPLETE = np.delete(np.arange(100), [3, 70])


def run(capsys, *argv, code=0):
    assert main([str(word) for word in argv]) == code, capsys.readouterr()
    return capsys.readouterr()


def refused(capsys, *argv):
    out, err = run(capsys, *argv, code=2)
    [line] = [line for line in err.splitlines() if line.startswith("jaxgmm: error: ")]
    assert out == ""
    return line


def read_csv(path, mark=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=mark))


# what is read


def test_text_columns_are_left_out_with_one_line_and_the_fit_is_that_of_the_others(capsys, table, tmp_path):
    out, err = run(capsys, "fit", table, *ONE, "--json")
    assert err == f"jaxgmm: warning: {table}: columns of text are left out: name, species\n"
    answer = json.loads(out)
    assert answer["columns"] == ["length", "width"]
    expected = jaxgmm.select(0, X, [2], families=["full"], n_init=2).best
    np.testing.assert_allclose(answer["best"]["components"]["means"], expected.mixture.components.means, rtol=1e-12)
    for picked in (["--drop", "name,species"], ["--columns", "length,3"], ["--columns", "length:width", "--drop", "2"]):
        found, err = run(capsys, "fit", table, *ONE, "--json", *picked)
        assert err == "" and json.loads(found)["best"] == answer["best"]


def test_standard_input_packed_text_and_what_can_be_read_once(capsys, monkeypatch, table, tmp_path):
    expected = json.loads(run(capsys, "fit", table, *ONE, "--json").out)["best"]
    packed = gzip.compress(table.read_bytes())
    (tmp_path / "flowers.csv.gz").write_bytes(packed)
    assert json.loads(run(capsys, "fit", tmp_path / "flowers.csv.gz", *ONE, "--json").out)["best"] == expected
    for content in (table.read_bytes(), packed):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        out, err = run(capsys, "fit", "-", *ONE, "--json", "--labels", tmp_path / "labels.csv", "--id", "name")
        assert json.loads(out)["best"] == expected and "standard input: columns of text are left out" in err
        assert [row[0] for row in read_csv(tmp_path / "labels.csv")[1:]] == NAMES
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert refused(capsys, "fit", "-").endswith("standard input: is empty")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n3,x\n")))
    assert "standard input: row 2 (line 3), column 'b': 'x' is not a number" in refused(capsys, "fit", "-")


def test_what_is_wrong_is_said_in_options(capsys, gaps):
    words = refused(capsys, "fit", gaps, *ONE)
    assert words.endswith("the value is missing; fill it in, or leave such rows out with --drop-missing")
    gaps.write_text("a,b\n1,2\n3,x\n4,5\n")
    assert "leave the column out with --drop, or pick others with --columns" in refused(capsys, "fit", gaps, *ONE)
    gaps.write_text("a,b\n1,2\n3,4\n")
    assert "--components 3 needs at least as many rows" in refused(capsys, "fit", gaps, "--components", "3")
    assert "--family must be one of full, tied" in refused(capsys, "fit", gaps, "--family", "cauchy")
    assert "or a jaxgmm.Family" not in refused(capsys, "fit", gaps, "--family", "cauchy")
    assert "--checkpoint-every and --resume need --checkpoint FILE" in refused(capsys, "fit", gaps, "--resume")
    rows = "".join(f"{i},{i * i % 7},{i * i * i % 11}\n" for i in range(1, 30))
    gaps.write_text("n,a,b\n" + rows)
    err = run(capsys, "fit", gaps, *ONE, "--max-iter", "1", "--tol", "0").err
    assert "leave it out with --drop n\n" in err and "drop=" not in err
    for name, typed in (("Unnamed: 0", "'Unnamed: 0'"), ("row (no), id", "'\"row (no), id\"'")):
        gaps.write_text(f'"{name}",a,b\n' + rows)
        short = ["fit", gaps, *ONE, "--max-iter", "1", "--tol", "0"]
        assert f"leave it out with --drop {typed}\n" in run(capsys, *short).err
        assert run(capsys, *short, "--drop", *shlex.split(typed)).err == ""


def test_marks_of_text_are_options(capsys, tmp_path):
    path, rows = tmp_path / "a.csv", [(i * i % 23, 10 + 7 * i * i % 89) for i in range(40)]
    path.write_text("".join(f"{a},{b}\n" for a, b in rows))
    said = (
        f"jaxgmm: warning: {path}: its lines are read as two columns of whole numbers, and may be one column of "
        "numbers with decimal commas; --decimal ',' reads 5,69 as 5.69, and --separator ',' as 5 and 69\n"
    )
    of_fit = ["fit", path, "--components", "1", "--family", "full", "--json"]
    for given, expected, err in (
        ([], np.array(rows, float), said),
        (["--separator", ","], np.array(rows, float), ""),
        (["--decimal", ","], np.array([[a + b / 100] for a, b in rows]), ""),
    ):
        answered = run(capsys, *of_fit, *given)
        assert answered.err == err
        [means] = json.loads(answered.out)["best"]["components"]["means"]
        np.testing.assert_allclose(means, expected.mean(axis=0), rtol=1e-9)
    path.write_text("".join(f"{a}\t{b} {a}\n" for a, b in rows))
    assert "is not a number" in refused(capsys, *of_fit, "--separator", r"\t", "--columns", "0,1")
    assert "--separator must be one character that is in no number" in refused(capsys, *of_fit, "--separator", "ab")
    assert "--decimal" in refused(capsys, *of_fit, "--decimal", ";")


def test_truth_values_are_appended_as_they_were_written(capsys, tmp_path):
    path, flags = tmp_path / "a.csv", ["TRUE", "FALSE", "TRUE", "TRUE"] * 5
    lines = [f"{x},{flag}" for x, flag in zip(X[:, 0].tolist(), flags, strict=False)]
    path.write_text("\n".join(["sep=,", "a,b", *lines]) + "\n")
    one = ["--components", "1", "--family", "diag", "--restarts", "1"]
    run(capsys, "fit", path, *one, "--output", tmp_path / "m.npz")
    run(capsys, "predict", tmp_path / "m.npz", path, "--append", "--output", tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines() == [
        "a,b,label,probability_0",
        *(f"{line},0,1.0" for line in lines),
    ]


def test_a_row_that_a_family_does_not_describe_is_that_of_the_file(capsys, tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("name,a,b\nu,1,2\nv,,3\nw,3,0.5\nx,4,5\n")
    options = ["--family", "poisson", "--components", "1", "--drop-missing"]
    error = refused(capsys, "fit", path, *options)
    assert f"{path}: x must be counts" in error and "row 2 (counted from 0), column 'b' is 0.5" in error
    np.save(tmp_path / "x.npy", [[1, 2], [np.nan, 1], [3, 0.5]])
    error = refused(capsys, "fit", tmp_path / "x.npy", *options)
    assert "row 2 (counted from 0), column 1 of the features is 0.5" in error


# rows with missing values


def test_rows_with_missing_values_are_counted_left_out_of_the_fit_and_labelled_minus_one(capsys, gaps, tmp_path):
    model, labels = tmp_path / "m.npz", tmp_path / "labels.csv"
    out, err = run(capsys, "fit", gaps, *ONE, "--drop-missing", "--output", model, "--labels", labels, "--json")
    assert f"jaxgmm: warning: {gaps}: 2 of 100 rows left out: a value is missing in each\n" in err
    expected = jaxgmm.select(0, X[COMPLETE], [2], families=["full"], n_init=2).best.mixture
    np.testing.assert_allclose(json.loads(out)["best"]["weights"], expected.weights, rtol=1e-9)
    answers = np.full(100, -1)
    answers[COMPLETE] = jaxgmm.predict(jaxgmm.load(model), X[COMPLETE])
    rows = read_csv(labels)
    assert rows[0] == ["row", "label"]
    np.testing.assert_array_equal(np.array(rows[1:], int), np.column_stack([np.arange(100), answers]))
    assert run(capsys, "predict", model, gaps, "--drop-missing").out.split() == list(map(str, answers))
    for suffix in (".npy", ".tsv", ".parquet"):
        path = tmp_path / f"labels{suffix}"
        run(capsys, "predict", model, gaps, "--drop-missing", "--output", path)
        if suffix == ".npy":
            np.testing.assert_array_equal(np.load(path), answers)
        elif suffix == ".tsv":
            assert read_csv(path, "\t") == rows
        else:
            found = pytest.importorskip("pyarrow.parquet").read_table(path)
            assert found.column_names == ["row", "label"] and found.column("label").to_pylist() == answers.tolist()
    printed = dict(line.split() for line in run(capsys, "score", model, gaps, "--drop-missing").out.splitlines())
    scores = np.asarray(jaxgmm.log_prob(jaxgmm.load(model), X[COMPLETE]))
    assert float(printed["log_likelihood"]) == pytest.approx(scores.sum(), rel=1e-12)
    assert float(printed["mean"]) == pytest.approx(scores.mean(), rel=1e-12)
    run(capsys, "score", model, gaps, "--drop-missing", "--output", tmp_path / "scores.csv")
    written = [row[0] for row in read_csv(tmp_path / "scores.csv")[1:]]
    assert written[3] == written[70] == ""
    np.testing.assert_array_equal(np.array(written)[COMPLETE].astype(float), scores)
    for command in ("predict", "score"):
        assert "the value is missing" in refused(capsys, command, model, gaps)


def test_a_directory_with_gaps_is_like_one_file(capsys, gaps, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    head, *lines = gaps.read_text().splitlines()
    for i, part in enumerate((lines[:50], lines[50:])):
        (folder / f"{i}.csv").write_text("\n".join([head, *part]) + "\n")
    said = []
    for source in (gaps, folder):
        path = tmp_path / "labels.csv"
        out, err = run(capsys, "fit", source, *ONE, "--drop-missing", "--labels", path, "--append", "--json")
        assert "2 of 100 rows left out" in err and err.count("columns of text") == 1
        said.append((json.loads(out)["best"], read_csv(path)))
    assert [row[:5] for row in said[0][1]] == [row[:5] for row in said[1][1]]
    assert said[0][0]["log_likelihood"] == pytest.approx(said[1][0]["log_likelihood"], rel=1e-9)


@pytest.mark.parametrize("streams", [False, True])
def test_a_value_that_a_family_does_not_describe_is_named_in_its_file(capsys, tmp_path, streams):
    mixture = jaxgmm.mixture("poisson", weights=[0.5, 0.5], rates=[[1.0, 1.0], [9.0, 9.0]])
    jaxgmm.save(tmp_path / "m.npz", mixture)
    folder = tmp_path / "counts"
    folder.mkdir()
    if streams:
        np.save(folder / "0.npy", np.ones((5, 2)))
    path = folder / "1.npy"
    np.save(path, [[1, 2], [np.nan, 4], [3, 0.5]])
    source, output = folder if streams else path, ["--output", tmp_path / "out.csv"]
    for command in ("predict", "score"):
        error = refused(capsys, command, tmp_path / "m.npz", source, "--drop-missing", *output)
        assert f"{path}: row 2" in error and "column 1 (counted from 0) is 0.5" in error


def test_blocks_with_and_without_gaps_are_one_array(capsys, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    x = X.copy()
    x[70, 1] = np.nan
    for i, part in enumerate(np.array_split(x, 4)):
        np.save(folder / f"{i}.npy", part)
    mixture = jaxgmm.select(0, X, [2], families=["full"], n_init=2).best.mixture
    jaxgmm.save(tmp_path / "m.npz", mixture)
    words = ["predict", tmp_path / "m.npz", folder, "--drop-missing", "--output"]
    run(capsys, *words, tmp_path / "labels.npy")
    run(capsys, *words, tmp_path / "probabilities.npy", "--probabilities")
    labels, table = np.load(tmp_path / "labels.npy"), np.load(tmp_path / "probabilities.npy")
    expected = np.array(jaxgmm.predict(mixture, X))
    expected[70] = -1
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(table[:, 0], expected)
    assert np.isnan(table[70, 1:]).all() and not np.isnan(np.delete(table, 70, axis=0)).any()


# labels beside


@pytest.fixture
def model(capsys, table, tmp_path):
    run(capsys, "fit", table, *ONE, "--output", tmp_path / "model.npz")
    return tmp_path / "model.npz"


def test_labels_stand_beside_a_column_that_names_the_rows(capsys, model, table, tmp_path):
    expected = np.asarray(jaxgmm.predict(jaxgmm.load(model), X)).astype(str).tolist()
    rows = [["name", "label"], *map(list, zip(NAMES, expected, strict=True))]
    for column in ("name", "0"):
        run(capsys, "predict", model, table, "--id", column, "--output", tmp_path / "out.csv")
        assert read_csv(tmp_path / "out.csv") == rows
        assert list(csv.reader(run(capsys, "predict", model, table, "--id", column).out.splitlines())) == rows
    run(capsys, "fit", table, *ONE, "--labels", tmp_path / "out.tsv", "--id", "name")
    assert read_csv(tmp_path / "out.tsv", "\t") == rows
    assert "no columns 'names'" in refused(capsys, "predict", model, table, "--id", "names")


def test_a_column_of_names_that_is_not_there_is_said_before_the_fit(capsys, monkeypatch, table, tmp_path):
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    for more in ([], ["--columns", "length,width"]):
        options = ["--labels", tmp_path / "out.csv", "--id", "names", *more]
        assert "has no columns 'names'; its columns are name, length" in refused(capsys, "fit", table, *options)


def test_tables_that_need_pyarrow_are_refused_without_before_the_fit(capsys, monkeypatch, table, tmp_path):
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    error = refused(capsys, "fit", table, "--labels", tmp_path / "out.parquet")
    assert "out.parquet: parquet files need pyarrow: pip install pyarrow" in error


def test_columns_of_other_files_stand_under_the_names_of_the_first(capsys, model, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "0.csv").write_text("key,length,width,note\na,1.5,2,x\n")
    (folder / "1.csv").write_text("note,width,key,length\ny,4,b,8.25\n")
    run(capsys, "predict", model, folder, "--append", "--output", tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert head[:4] == ["key", "length", "width", "note"]
    assert [row[:4] for row in rows] == [["a", "1.5", "2", "x"], ["b", "8.25", "4", "y"]]
    assert run(capsys, "predict", model, folder, "--id", "key").out.split()[1][:2] == "a,"


def test_a_column_of_numbers_that_names_the_rows_is_no_feature(capsys, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("key,a,b\n" + "".join(f"{7 * i % 100},{a},{b}\n" for i, (a, b) in enumerate(X.tolist())))
    out, err = run(capsys, "fit", path, *ONE, "--labels", tmp_path / "out.csv", "--id", "key", "--json")
    assert json.loads(out)["columns"] == ["a", "b"] and err == ""
    assert [row[0] for row in read_csv(tmp_path / "out.csv")[1:]] == [str(7 * i % 100) for i in range(100)]


def test_append_writes_the_whole_table_with_labels_and_probabilities(capsys, model, gaps, tmp_path):
    for name in ("fit", "predict"):
        path = tmp_path / f"{name}.csv"
        words = ["fit", gaps, *ONE, "--labels"] if name == "fit" else ["predict", model, gaps, "--output"]
        run(capsys, *words, path, "--append", "--drop-missing")
        head, *rows = read_csv(path)
        before = read_csv(gaps)
        assert head == [*before[0], "label", "probability_0", "probability_1"]
        assert [row[:4] for row in rows] == before[1:]
        assert rows[3][4:] == rows[70][4:] == ["-1", "", ""]
        found = np.array([rows[i][4:] for i in COMPLETE], float)
        np.testing.assert_allclose(found[:, 1:].sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_array_equal(found[:, 0], found[:, 1:].argmax(axis=1))
    np.testing.assert_array_equal(found[:, 1:], jaxgmm.responsibilities(jaxgmm.load(model), X[COMPLETE]))


def test_append_to_parquet_keeps_numbers_numbers_and_finds_free_names(capsys, model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path, again = tmp_path / "once.parquet", tmp_path / "twice.parquet"
    (tmp_path / "a.csv").write_text("length,width,label\n1.5,2,x\n8.25,4,y\n")
    run(capsys, "predict", model, tmp_path / "a.csv", "--append", "--output", path)
    first = parquet.read_table(path).to_pydict()
    assert first["length"] == [1.5, 8.25] and first["label"] == ["x", "y"]
    assert list(first) == ["length", "width", "label", "label_2", "probability_0_2", "probability_1_2"]
    run(capsys, "predict", model, path, "--append", "--output", again)
    second = parquet.read_table(again).to_pydict()
    assert list(second)[6:] == ["label_3", "probability_0_3", "probability_1_3"]
    assert second["label_3"] == first["label_2"] and sorted(first["label_2"]) == [0, 1]


def test_decimal_commas_are_appended_as_points(capsys, model, tmp_path):
    (tmp_path / "a.csv").write_text("text;length;width\nx,y;1,5;2,25\nSt. 3.5;8,25;4\n")
    run(capsys, "predict", model, tmp_path / "a.csv", "--append", "--output", tmp_path / "out.csv")
    assert [row[:3] for row in read_csv(tmp_path / "out.csv")[1:]] == [["x,y", "1.5", "2.25"], ["St. 3.5", "8.25", "4"]]


def test_arrays_are_appended_and_named_too(capsys, model, tmp_path):
    np.save(tmp_path / "x.npy", X[:5])
    run(capsys, "predict", model, tmp_path / "x.npy", "--append", "--output", tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert head[:3] == ["x0", "x1", "label"]
    np.testing.assert_array_equal(np.array(rows, float)[:, :2], X[:5])
    np.savez(tmp_path / "x.npz", width=X[:5, 1], key=np.arange(5), length=X[:5, 0])
    run(capsys, "predict", model, tmp_path / "x.npz", "--id", "key", "--output", tmp_path / "out.csv")
    assert [row[0] for row in read_csv(tmp_path / "out.csv")] == ["key", *"01234"]


# files that are written


@pytest.mark.parametrize(
    "options, words",
    [
        (["--output", "model.txt"], "model.txt: a model ends in .npz"),
        (["--output", "model"], "model: a model ends in .npz"),
        (["--labels", "labels.xlsx"], "labels.xlsx: a table ends in one of .csv, .tsv, .npy, .parquet, .pq"),
        (["--labels", "labels"], "labels: a table ends in one of"),
        (["--labels", "labels.csv.gz"], "labels.csv.gz: a table ends in one of"),
        (["--labels", "labels.npy", "--append"], "npy files hold numbers alone"),
        (["--labels", "labels.npy", "--id", "name"], "npy files hold numbers alone"),
        (["--checkpoint", "labels.csv"], "labels.csv: a checkpoint is no .csv file"),
        (["--append"], "add --labels FILE"),
        (["--standardize", "--family", "full,categorical"], "for families of real numbers, not for 'categorical'"),
        (["--standardize", "--processes", "1"], "--standardize sees the rows of one process alone"),
        (["--labels", "DATA"], "--labels would write over the data"),
        (["--output", "m.npz", "--checkpoint", "./m.npz"], "--output and --checkpoint name the same file"),
        (
            ["--family", "full,poisson", "--standardize"],
            "--standardize is for families of real numbers, not for 'poisson'",
        ),
    ],
)
def test_what_cannot_be_written_is_said_before_the_fit(capsys, monkeypatch, table, tmp_path, options, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxgmm, "select", pytest.fail)
    assert words in refused(capsys, "fit", table, *[str(table) if word == "DATA" else word for word in options])


def test_tables_of_other_commands_too(capsys, model, table, tmp_path):
    before = table.read_bytes()
    for words in (["predict", model, table], ["score", model, table]):
        assert "would write over the data" in refused(capsys, *words, "--output", table)
        assert "a table ends in one of" in refused(capsys, *words, "--output", tmp_path / "a.txt")
    assert "a table ends in one of" in refused(capsys, "sample", model, "--output", tmp_path / "a.txt")
    assert table.read_bytes() == before


def test_every_file_is_there_when_the_reader_of_the_output_has_gone(table, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return broken.fileno()

    paths = [tmp_path / name for name in ("m.npz", "labels.csv", "plot.png")]
    options = [word for pair in zip(("--output", "--labels", "--plot"), map(str, paths), strict=True) for word in pair]
    with open(tmp_path / "broken", "w") as broken:
        monkeypatch.setattr(sys, "stdout", Gone())
        assert main(["fit", str(table), *ONE, *options]) == 0
    assert all(path.stat().st_size for path in paths)


# standardized features


def gaussian(mixture, x):
    """Log densities (n,) of a mixture with diagonal covariances, in plain NumPy."""
    w, m, v = (np.asarray(a) for a in (mixture.weights, mixture.components.means, mixture.components.covariances))
    each = -0.5 * (((x[:, None] - m) ** 2 / v) + np.log(2 * np.pi * v)).sum(-1) + np.log(w)
    return np.log(np.exp(each).sum(1))


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("family", ["spherical", "EII"])
def test_standardized_fits_do_not_depend_on_units_and_are_said_in_the_datas(capsys, tmp_path, family, streams):
    units = np.array([1.0, 1000.0])
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal([0, 0], 1, (60, 2)), rng.normal([6, 6], 1, (60, 2))])
    found = []
    for scale in (np.ones(2), units):
        path = tmp_path / "x"
        path.mkdir(exist_ok=True)
        np.save(path / "0.npy", x * scale)
        source, model = path if streams else path / "0.npy", tmp_path / "m.npz"
        options = ["--components", "2", "--family", family, "--restarts", "2", "--standardize", "--output", model]
        out = run(capsys, "fit", source, *options, "--json").out
        row, mixture = json.loads(out)["best"], jaxgmm.load(model)
        assert row["family"] == family and row["mixture_family"] == mixture.family.name == "diag"
        total = gaussian(mixture, x * scale).sum()
        assert row["log_likelihood"] == pytest.approx(total, rel=1e-9)
        parameters = {"spherical": 1 + 4 + 2, "EII": 1 + 4 + 1}[family]
        assert row["bic"] == pytest.approx(-2 * total + parameters * np.log(120), rel=1e-9)
        assert row["aic"] == pytest.approx(-2 * total + 2 * parameters, rel=1e-9)
        std = (x * scale).std(axis=0)
        ratios = np.asarray(mixture.components.covariances) / std**2
        np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:, :1], (2, 2)), rtol=1e-9)
        printed = run(capsys, "score", model, path / "0.npy").out.split()
        assert float(printed[1]) == pytest.approx(row["log_likelihood"], rel=1e-12)
        found.append(mixture)
    np.testing.assert_allclose(found[1].components.means, np.asarray(found[0].components.means) * units, rtol=1e-6)


def test_standardizing_changes_nothing_where_the_family_scales_by_itself(capsys, table):
    both = [
        json.loads(run(capsys, "fit", table, *ONE, "--family", "full,tied,diag", "--json", *more).out)
        for more in ([], ["--standardize"])
    ]
    for one, other in zip(*(answer["table"] for answer in both), strict=True):
        for name in ("log_likelihood", "bic", "aic", "icl"):
            assert one[name] == pytest.approx(other[name], rel=1e-6)
    means = [np.array(answer["best"]["components"]["means"]) for answer in both]
    np.testing.assert_allclose(*means, rtol=1e-4)
    text = run(capsys, "fit", table, "--components", "2", "--family", "spherical", "--standardize").out
    assert "best by bic: spherical, K = 2 of standardized features, diag in the data's units" in text


def test_standardizing_counts_weights(capsys, tmp_path):
    weights = np.arange(100) % 3
    np.savetxt(tmp_path / "w.csv", np.c_[X, weights], delimiter=",", header="a,b,w", comments="")
    np.savetxt(tmp_path / "r.csv", np.repeat(X, weights, axis=0), delimiter=",", header="a,b", comments="")
    options = ["--components", "2", "--family", "spherical", "--restarts", "4", "--standardize", "--json"]
    one = json.loads(run(capsys, "fit", tmp_path / "w.csv", "--weights", "w", *options).out)["best"]
    other = json.loads(run(capsys, "fit", tmp_path / "r.csv", *options).out)["best"]
    assert one["bic"] == pytest.approx(other["bic"], rel=1e-7)


# what is said


def test_help_lists_the_families_and_examples_that_run(capsys, monkeypatch, tmp_path):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    out = capsys.readouterr().out
    assert set(options.FAMILIES) == set(BUILT_IN)  # as `jaxgmm.families` registers them
    assert all(f"  {name} " in out for name in BUILT_IN)
    assert max(map(len, out.splitlines())) <= 80
    many = out.partition("many processes")[2].partition("families:")[0]
    assert all(option in many for option in ("--processes", "--process-id", "--coordinator", "--heartbeat"))
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{name},{i},{a},{b}\n" for i, (name, (a, b)) in enumerate(zip(NAMES, X.tolist(), strict=True)))
    (tmp_path / "flowers.csv").write_text("name,id,length,width\n" + rows)
    examples = [line.split() for line in out.partition("examples:")[2].splitlines() if line.startswith("  jaxgmm ")]
    assert len(examples) == 3
    for words in examples:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "flowers.csv").read_bytes())))
        argv = words[1 : words.index("<")] if "<" in words else words[1:]
        assert main([*argv, "--max-iter", "3", "--tol", "0", "--restarts", "1"]) == 0


BUILT_IN = [
    "full",
    "tied",
    "diag",
    "spherical",
    "EII",
    "VEI",
    "bernoulli",
    "categorical",
    "poisson",
    "exponential",
    "gamma",
]


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"jaxgmm {jaxgmm.__version__}\n"


def test_a_dry_run_times_some_rows(capsys, table):
    out = run(capsys, "fit", table, "--components", "1:3", "--family", "full,diag", "--dry-run").out
    times = [line for line in out.splitlines() if line.startswith("time  ")]
    assert len(times) == 2 and all(" s for 100 updates of all starts" in line for line in times)
    plans = json.loads(run(capsys, "fit", table, "--components", "2", "--dry-run", "--json").out)["plans"]
    assert all(0 <= plan["seconds_per_update"] < 10 for plan in plans)


def test_the_estimate_grows_with_rows():
    x = np.random.default_rng(0).normal(size=(4096, 8))
    plan = jaxgmm.plan(4096, 8, 8, "full", n_init=4)
    one = estimate.seconds_per_update(0, x, plan, "full")
    many = estimate.seconds_per_update(0, x, jaxgmm.plan(409_600, 8, 8, "full", n_init=4), "full")
    assert one > 0 and 10 < many / one < 1000
    assert estimate.words(0.02, 9).startswith("time     about 2 s for 100 updates")
    assert estimate.words(1e-9, 9).startswith("time     less than 0.01 s")
