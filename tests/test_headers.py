"""First rows of tables: names are never read as data nor data as names without a word, in memory and in streams."""

import numpy as np
import pytest

import jaxgmm
from jaxgmm.cli.main import main
from jaxgmm.data import readers

RNG = np.random.default_rng(0)
MEASURED = RNG.normal(50, 5, (40, 3))
COUNTS = RNG.poisson(20, (40, 3))
ANSWERS = RNG.integers(0, 2, (40, 2))


@pytest.fixture
def write(tmp_path):
    def write(body, head=None, name="a.csv"):
        lines = ([] if head is None else [head]) + [",".join(map(repr, row)) for row in np.asarray(body).tolist()]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def read(path, **options):
    """(x, names) in memory; as a stream they are the same."""
    x, names, _ = readers.read(path, **options)
    stream = jaxgmm.rows(path, block_size=7, **options)
    assert stream.columns == names
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([block for block, _ in stream]), x)
    return x, names


@pytest.mark.parametrize("body", [MEASURED, COUNTS, MEASURED[:2], np.tile(COUNTS, 8)], ids=str)
@pytest.mark.parametrize("start", [0, 1])
def test_numbers_in_order_name_the_columns(write, body, start):
    head = ",".join(str(j + start) for j in range(body.shape[1]))
    x, names = read(write(body, head))
    np.testing.assert_array_equal(x, body)
    assert names == tuple(head.split(","))


@pytest.mark.parametrize("body", [MEASURED, COUNTS], ids=str)
def test_what_only_python_takes_for_a_number_is_a_name(write, body, recwarn):
    """float("2020_01") is 202001; no table of numbers is written so."""
    x, names = read(write(body, "2020_01,2020_02,2020_03"))
    np.testing.assert_array_equal(x, body)
    assert names == ("2020_01", "2020_02", "2020_03") and not recwarn


@pytest.mark.parametrize("index", [range(40), RNG.permutation(40), [f"day {i}" for i in range(40)]], ids=str)
@pytest.mark.parametrize("head", ["0,1,2", "1990,1991,1992", "a,b,c", "7,3,5"])
def test_an_empty_first_field_is_the_place_of_an_index(tmp_path, index, head):
    rows = [",".join(map(str, [i, *row])) for i, row in zip(index, MEASURED.tolist(), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join([f",{head}", *rows]) + "\n")
    x, names = read(tmp_path / "a.csv")
    np.testing.assert_array_equal(x, MEASURED)
    assert names == tuple(head.split(","))


IN_DOUBT = {
    "years": ("1990,1991,1992", MEASURED),
    "years of counts": ("2019,2020,2021", COUNTS),
    "two years": ("2019,2020", COUNTS[:, :2]),
    "years that go back": ("1992,1991,1990", MEASURED),
    "one year": ("2020", MEASURED[:, :1]),
    "doses": ("10,20,30", MEASURED),
    "hours of a day's work": ("8,9,10,11,12,13", np.tile(COUNTS, 2)),
    "numbers of sensors": ("101,205,307", MEASURED),
    "wavelengths": ("400.5,401.0,401.5", MEASURED / 100),
    "one plain column": ("0", MEASURED[:, :1]),
    "one plain column around 0": ("0", MEASURED[:, :1] - 50),
    "one plain column of integers": ("0", COUNTS[:, :1] + 30),
    "answers": ("0,1", ANSWERS),
    "choices": ("1,2,3", 1 + ANSWERS[:, [0, 1, 0]] + ANSWERS[:, [1, 0, 0]]),
    "counts that go up": ("1,2", np.cumsum(1 + np.arange(40) % 3)[:, None] + [1, 2]),
}


@pytest.mark.parametrize("case", IN_DOUBT)
def test_what_may_be_data_is_a_header_with_one_warning_that_says_how_to_say(write, case):
    head, body = IN_DOUBT[case]
    path = write(body, head)
    with pytest.warns(jaxgmm.FitWarning, match=r"a\.csv: its first row .* names .* header=False .*--no-header") as said:
        x, names, _ = readers.read(path)
    assert len(said) == 1 and names == tuple(head.split(","))
    np.testing.assert_array_equal(x, body)
    with pytest.warns(jaxgmm.FitWarning) as said:
        stream = jaxgmm.rows(path)
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate([block for block, _ in stream]), body)
    assert len(said) == 1 and stream.columns == names
    assert read(path, header=True)[1] == names
    x, names = read(path, header=False)
    np.testing.assert_array_equal(x, [list(map(float, head.split(","))), *body])
    assert names is None


ORDINARY = {
    "measurements": MEASURED,
    "few digits": MEASURED.round(1),
    "counts": COUNTS,
    "one column of counts from 0": np.r_[0, 1, 3, 0, 2, COUNTS[:, 0] % 4][:, None],
    "labels": np.r_[0, ANSWERS[:, 0]][:, None],
    "labels from 1": np.r_[1, 1 + ANSWERS[:, 0]][:, None],
    "a sorted column": np.arange(40)[:, None],
    "sorted from far away": np.array([[10, 20], [11, 25], [12, 27], [13, 40], [14, 41], [16, 55]]),
    "even rows": 7 + np.arange(40).reshape(8, 5),
    "largest first": np.array([[9000, 7000], [3000, 2500], [2000, 1700], [900, 850], [700, 600], [650, 300]]),
    "whole numbers first": np.r_[[[43.0, 49.0]], MEASURED[:, :2].round(1)],
    "equal values": np.full((9, 3), 4),
    "one row": np.array([[1990, 1991, 1992]]),
    "one row in order": np.array([[0, 1, 2]]),
}


@pytest.mark.parametrize("form", [repr, "{:g}".format])
@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_rows_are_data_without_a_word(tmp_path, case, form):
    body = ORDINARY[case].tolist()
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(form, row)) for row in body) + "\n")
    x, names = read(tmp_path / "a.csv")
    assert x.shape == ORDINARY[case].shape and names is None


@pytest.mark.parametrize("head", ["species,0,1", "species,1,2", "0,1,species", None])
def test_of_words_and_numbers_side_by_side_the_numbers_decide(tmp_path, head):
    last = head == "0,1,species"
    rows = [f"{a},{b},setosa" if last else f"setosa,{a},{b}" for a, b in MEASURED[:, :2].tolist()]
    (tmp_path / "a.csv").write_text("\n".join([head, *rows] if head else rows) + "\n")
    columns = [name for name in head.split(",") if name != "species"] if head else ["1", "2"]
    x, names = readers.read(tmp_path / "a.csv", columns=columns)[:2]
    np.testing.assert_array_equal(x, MEASURED[:, :2])
    assert names == (tuple(columns) if head else None)


def test_a_bad_value_in_the_first_row_is_no_name(write):
    with pytest.raises(ValueError, match=r"row 1 \(line 1\), column 0: 'five'"):
        readers.read(write(MEASURED, "five,50.2,49.1"))


def test_columns_are_picked_by_names_that_are_numbers_and_by_place_without(write):
    path = write(MEASURED, "1,2,3")
    np.testing.assert_array_equal(readers.read(path, columns=["3", "1"])[0], MEASURED[:, [2, 0]])
    x, _, weights = readers.read(path, weights="2")
    np.testing.assert_array_equal(np.column_stack([x, weights]), MEASURED[:, [0, 2, 1]])
    with pytest.raises(ValueError, match="no columns '0'; its columns are 1, 2, 3"):
        readers.read(path, columns=["0"])
    np.testing.assert_array_equal(readers.read(path, columns=["0"], header=False)[0][1:], MEASURED[:, :1])


def test_rows_and_lines_are_counted_as_before(write):
    body = np.arange(800.0).reshape(400, 2) / 7
    for head, row, line in (("0,1", 300, 301), (None, 300, 300)):
        text = write(body, head).read_text().splitlines()
        path = write(body, head, "b.csv")
        path.write_text("\n".join([*text[: line - 1], "1.5,x", *text[line:]]) + "\n")
        with pytest.raises(ValueError, match=rf"row {row} \(line {line}\).*'x'"):
            readers.read(path)
        with pytest.raises(ValueError, match=rf"row {row - 1} \(counted from 0; line {line}\).*'x'"):
            list(jaxgmm.rows(path))


def test_every_file_of_a_directory_has_its_header_and_all_agree(write, tmp_path):
    for i in range(3):
        write(MEASURED[10 * i : 10 * i + 10], "0,1,2", f"{i}.csv")
    [(x, _)] = jaxgmm.rows(tmp_path)
    np.testing.assert_array_equal(x, MEASURED[:30])
    write(MEASURED[30:], None, "3.csv")
    with pytest.raises(
        ValueError, match=r"3\.csv: has 3 columns without names; .*0\.csv has .* 0, 1, 2; .*--no-header"
    ):
        jaxgmm.rows(tmp_path)
    assert sum(len(x) for x, _ in jaxgmm.rows(tmp_path, header=False)) == 43


def test_a_directory_in_doubt_is_one_warning(write, tmp_path):
    paths = [write(MEASURED[20 * i : 20 * i + 20], "1990,1991,1992", f"{i}.csv") for i in range(2)]
    for source in (tmp_path, paths):
        with pytest.warns(jaxgmm.FitWarning, match=r"0\.csv \(and 1 more like it\)") as said:
            stream = jaxgmm.rows(source)
        assert len(said) == 1 and stream.columns == ("1990", "1991", "1992")


@pytest.mark.parametrize("source", [MEASURED, [MEASURED]])
def test_a_header_is_true_or_false_and_of_files(write, source):
    with pytest.raises(ValueError, match="header"):
        jaxgmm.rows(source, header=True)
    with pytest.raises(ValueError, match="header"):
        jaxgmm.rows(write(MEASURED), header=0)


@pytest.fixture
def model(tmp_path):
    mixture = jaxgmm.mixture("diag", weights=[0.5, 0.5], means=[[0.0] * 3, [9.0] * 3], covariances=np.ones((2, 3)))
    jaxgmm.save(tmp_path / "model.npz", mixture, columns=["0", "1", "2"])
    return str(tmp_path / "model.npz")


def test_what_the_command_line_samples_under_names_of_numbers_it_scores(model, tmp_path, capsys):
    rows, scores = str(tmp_path / "rows.csv"), tmp_path / "scores.npy"
    assert main(["sample", model, "-n", "30", "--output", rows]) == 0
    assert main(["score", model, rows, "--output", str(scores)]) == 0
    assert len(np.load(scores)) == 30 and capsys.readouterr().err == ""


@pytest.mark.parametrize("folder", [False, True])
def test_the_command_line_says_what_it_assumed_and_takes_an_answer(model, write, tmp_path, capsys, folder):
    if folder:
        (tmp_path / "parts").mkdir()
    path = str(write(MEASURED, "1990,1991,1992", "parts/a.csv" if folder else "a.csv"))
    source = str(tmp_path / "parts") if folder else path
    for answer, rows in (([], 40), (["--no-header"], 41)):
        assert main(["predict", model, source, "--columns", "0,1,2" if answer else "1990,1991,1992", *answer]) == 0
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == rows
        assert (err.startswith(f"jaxgmm: warning: {path}: its first row") and err.count("\n") == 1) != bool(answer)
    assert main(["score", model, source, "--columns", "1990,1991,1992", "--header"]) == 0
    assert capsys.readouterr().err == ""
    plan = ["fit", source, "--components", "2", "--family", "diag", "--dry-run"]
    assert main([*plan, "--header"]) == main([*plan, "--no-header"]) == 0
    assert ["40 x 3" in line for line in capsys.readouterr().out.splitlines() if "diag" in line] == [True, False]
