"""Tables in files: what is read is exactly what stands there, and what cannot be read is named."""

import numpy as np
import pytest

from jaxgmm.cli import output
from jaxgmm.data import readers, sources

ROWS = [[3.6, 79.0, 1.0], [1.8, 54.0, 2.0], [3.333, 74.0, 0.0]]
NAMES = ("eruptions", "waiting", "count")


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, dict):
            np.savez(path, **content)
        else:
            np.save(path, content)
        return path

    return write


def text(mark, header=NAMES):
    lines = [header] if header else []
    return "\n".join(mark.join(map(str, line)) for line in [*lines, *ROWS]) + "\n"


@pytest.mark.parametrize("name, mark", [("a.csv", ","), ("a.tsv", "\t"), ("a.txt", ";"), ("a.csv", ", ")])
def test_text_with_a_header_is_float64_and_named(write, name, mark):
    x, names, weights = readers.read(write(name, text(mark)))
    np.testing.assert_array_equal(x, ROWS)
    assert x.dtype == np.float64 and names == NAMES and weights is None


def test_text_without_a_header_has_no_names(write):
    x, names, _ = readers.read(write("a.csv", text(",", header=None)))
    np.testing.assert_array_equal(x, ROWS)
    assert names is None


def test_one_column_and_one_row_are_a_table(write):
    assert readers.read(write("a.csv", "waiting\n79\n54\n"))[0].shape == (2, 1)
    assert readers.read(write("b.csv", "3.6,79\n"))[0].shape == (1, 2)


def test_quotes_byte_order_mark_blank_lines_and_carriage_returns_are_no_data(write):
    x, names, _ = readers.read(write("a.csv", '\ufeff"eruptions","wait, min"\r\n"3.6","79"\r\n\r\n1.8, 54\r\n'))
    np.testing.assert_array_equal(x, [[3.6, 79], [1.8, 54]])
    assert names == ("eruptions", "wait, min")


def test_columns_come_in_the_order_asked_for_and_text_elsewhere_does_not_matter(write):
    path = write("a.csv", "species,width,length\nsetosa,0.2,1.4\nother,0.3,1.5\n")
    x, names, _ = readers.read(path, columns=["length", "width"])
    np.testing.assert_array_equal(x, [[1.4, 0.2], [1.5, 0.3]])
    assert names == ("length", "width")
    headless = write("b.csv", "setosa,0.2,1.4\nother,0.3,1.5\n")
    np.testing.assert_array_equal(readers.read(headless, columns=["2", "1"])[0], x)


def test_the_weights_column_is_no_feature(write):
    x, names, weights = readers.read(write("a.csv", text(",")), weights="count")
    np.testing.assert_array_equal(x, np.array(ROWS)[:, :2])
    np.testing.assert_array_equal(weights, [1, 2, 0])
    assert names == ("eruptions", "waiting")
    x, _, weights = readers.read(write("b.csv", text(",", header=None)), weights="2", columns=["1"])
    np.testing.assert_array_equal(x, [[79], [54], [74]])
    np.testing.assert_array_equal(weights, [1, 2, 0])


def test_a_nameless_first_column_of_row_numbers_is_no_feature(write):
    x, names, _ = readers.read(write("a.csv", '"","eruptions","waiting"\n"1",3.6,79\n"2",1.8,54\n'))
    np.testing.assert_array_equal(x, [[3.6, 79], [1.8, 54]])
    assert names == ("eruptions", "waiting")


def test_expected_columns_are_taken_only_where_there_are_names_and_no_choice(write):
    named, headless = write("a.csv", text(",")), write("b.csv", text(",", header=None))
    assert readers.read(named, expected=["waiting"])[1] == ("waiting",)
    assert readers.read(named, expected=["waiting"], columns=["count"])[1] == ("count",)
    assert readers.read(headless, expected=["waiting"])[0].shape == (3, 3)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, bool])
def test_arrays_of_floats_keep_their_dtype_and_others_become_float64(write, dtype, order):
    values = np.array([[1, 0], [1, 1], [0, 1]], dtype, order=order)
    for path in (write("a.npy", values), write("a.npz", {"x": values})):
        x, names, _ = readers.read(path)
        np.testing.assert_array_equal(x, values)
        assert x.dtype == (np.float32 if dtype == np.float32 else np.float64) and names is None


def test_an_array_picks_columns_and_weights_by_number(write):
    x, _, weights = readers.read(write("a.npy", np.array(ROWS, np.float32)), columns=["1"], weights="2")
    np.testing.assert_array_equal(x, [[79], [54], [74]])
    np.testing.assert_array_equal(weights, [1, 2, 0])
    assert x.dtype == weights.dtype == np.float32


def test_an_npz_holds_a_table_with_weights_beside_it_or_named_columns(write):
    rows = np.array(ROWS)
    x, _, weights = readers.read(write("a.npz", {"x": rows[:, :2], "count": rows[:, 2]}), weights="count")
    np.testing.assert_array_equal(x, rows[:, :2])
    np.testing.assert_array_equal(weights, rows[:, 2])
    vectors = write("b.npz", dict(zip(NAMES, rows.T, strict=True)))
    x, names, weights = readers.read(vectors, weights="count")
    np.testing.assert_array_equal(x, rows[:, :2])
    np.testing.assert_array_equal(weights, rows[:, 2])
    assert names == NAMES[:2]


@pytest.mark.parametrize(
    "content, options, words",
    [
        ("a,b\n1,2\n3,four\n", {}, ["row 2 (line 3)", "'b'", "'four'", "not a number"]),
        ("1,2\n3,four\n", {}, ["row 2 (line 2)", "column 1", "'four'"]),
        ("a,b\n1,2\n\n,4\n", {}, ["row 2 (line 4)", "'a'", "missing"]),
        ("a,b\n1,NA\n", {}, ["row 1", "'b'", "missing"]),
        ("a,b\n1,nan\n", {}, ["row 1", "'b'", "missing"]),
        ("a,b\n1,inf\n", {}, ["row 1", "'b'", "not finite"]),
        ("a,b\n1,2020_01\n", {"columns": ["a:b"]}, ["row 1", "'b'", "not a number"]),
        ("a,b\n1,2\n3\n", {}, ["row 2 (line 3)", "1 fields where 2"]),
        ("a,b\n1,2,3\n", {}, ["row 1 (line 2)", "3 fields where 2"]),
        ("a,b\n", {}, ["no rows"]),
        ("", {}, ["a.csv"]),
        ("a,b\n1,2\n", {"columns": ["c"]}, ["'c'", "a, b"]),
        ("a,b\n1,2\n", {"columns": ["2"]}, ["'2'", "a, b"]),
        ("1,2\n3,4\n", {"columns": ["0"], "header": True}, ["'0'", "1, 2"]),
        ("a,b\n1,2\n", {"columns": ["b:a"]}, ["'b:a'", "backwards"]),
        ("a,b\n1,2\n", {"drop": ["c"]}, ["'c'", "a, b"]),
        ("a,b\n1,2\n", {"drop": ["a:b"]}, ["no columns left"]),
        ("a,b\nx,y\n", {}, ["no columns left", "a, b hold text"]),
        ("a,b\n1,2\n", {"columns": ["a", "a"]}, ["twice"]),
        ("a,a\n1,2\n", {"columns": ["a"]}, ["2 columns 'a'"]),
        ("1,2\n", {"columns": ["b"]}, ["'b'", "0 to 1"]),
        ("1,2\n", {"columns": ["2"]}, ["'2'", "0 to 1"]),
        ("a,b\n1,2\n", {"weights": "c"}, ["'c'", "a, b"]),
        ("a,b\n1,2\n", {"weights": "b", "columns": ["a", "b"]}, ["'b'", "weight"]),
        ("a\n1\n", {"weights": "a"}, ["no columns left"]),
        ("a,b\n1,2\n3,-4\n", {"weights": "b"}, ["row 1", "-4", "negative"]),
        ("a,b\n1,0\n3,0\n", {"weights": "b"}, ["every sample weight is zero"]),
    ],
)
def test_bad_text_is_named(write, content, options, words):
    with pytest.raises(ValueError) as caught:
        readers.read(write("a.csv", content), **options)
    for word in ["a.csv", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "content, options, words",
    [
        (np.ones(3), {}, ["x[:, None]"]),
        (np.ones((2, 2, 2)), {}, ["(2, 2, 2)"]),
        (np.array([["a", "b"]]), {}, ["<U1"]),
        (np.ones((2, 2), complex), {}, ["complex"]),
        (np.array([[1, None]], object), {}, ["a.npy"]),
        (np.array([[1, 2], [3, np.nan]]), {}, ["row 1", "column 1", "nan"]),
        (np.array([[1, 2], [3, np.inf]]), {"columns": ["1"]}, ["row 1", "column 1", "inf"]),
        (np.ones((0, 2)), {}, ["no rows"]),
        (np.ones((3, 2)), {"columns": ["a"]}, ["'a'"]),
    ],
)
def test_bad_arrays_are_named(write, content, options, words):
    with pytest.raises(ValueError) as caught:
        readers.read(write("a.npy", content), **options)
    for word in ["a.npy", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "content, options, words",
    [
        ({"a": np.ones((2, 2)), "b": np.ones((2, 2))}, {}, ["a (2, 2)", "b (2, 2)"]),
        ({"a": np.ones(2), "b": np.ones(3)}, {}, ["equal length"]),
        ({"x": np.ones((2, 2)), "w": np.ones(3)}, {"weights": "w"}, ["'w'", "3 weights for 2 rows"]),
        ({"x": np.ones((2, 2)), "w": np.array([1, np.nan])}, {"weights": "w"}, ["row 1", "'w'", "nan"]),
    ],
)
def test_bad_archives_are_named(write, content, options, words):
    with pytest.raises(ValueError) as caught:
        readers.read(write("a.npz", content), **options)
    for word in ["a.npz", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz"])
def test_a_file_of_another_kind_is_said_to_be_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\xff\xfe\x00\x00")
    with pytest.raises(ValueError, match=name):
        readers.read(path)
    with pytest.raises(FileNotFoundError):
        readers.read(tmp_path / f"missing-{name}")


BLOCKS = [[np.arange(3), np.arange(6.0).reshape(3, 2) / 3], [np.arange(2), np.ones((2, 2)) / 7]]


def test_what_is_written_reads_back_exactly(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3)) * 10.0 ** np.arange(-9, 9, 6)
    output.write(tmp_path / "a.csv", ["label", "a", "b", "c"], [[np.arange(20), x]])
    back, names, _ = readers.read(tmp_path / "a.csv", columns=["label", "a", "b", "c"])
    np.testing.assert_array_equal(back, np.column_stack([np.arange(20), x]))
    assert names == ("label", "a", "b", "c")


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_blocks_are_written_one_after_the_other(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a{suffix}"
    output.write(path, ["label", "a", "b"], BLOCKS)
    [(back, _)] = sources.rows(path)
    np.testing.assert_array_equal(back, np.concatenate([np.column_stack(block) for block in BLOCKS]))


def test_one_column_of_npy_is_a_vector_of_its_own_dtype(tmp_path):
    output.write(tmp_path / "a.npy", ["label"], [[np.arange(70_000, dtype=np.int32)], [np.arange(3, dtype=np.int32)]])
    back = np.load(tmp_path / "a.npy")
    assert back.dtype == np.int32 and back.shape == (70_003,) and back[-1] == 2


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_a_table_that_fails_half_way_is_not_there(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")

    def blocks():
        yield BLOCKS[0]
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        output.write(tmp_path / f"a{suffix}", ["label", "a", "b"], blocks())
    assert not list(tmp_path.iterdir())
