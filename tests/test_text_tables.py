"""Tables of text as people have them: text columns, missing cells, other marks and decimals, comments, row names."""

import gzip
import warnings

import numpy as np
import pytest

import jaxgmm
from jaxgmm.data import readers

ROWS = np.array([[3.6, 79.0], [1.8, 54.0], [3.333, 74.0], [-2.25, 62.0]])
NAMES = ("eruptions", "waiting")


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.csv"):
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        return tmp_path / name

    return write


def read(path, **options):
    """(x, names, weights) in memory; as a stream, twice, they are the same."""
    x, names, weights = readers.read(path, **options)
    picked = {name: options[name] for name in ("columns", "drop", "header", "decimal", "separator") if name in options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jaxgmm.FitWarning)
        drops = options.get("missing") == "dropped"
        stream = jaxgmm.rows(path, options.get("weights"), drop_missing=drops, block_size=3, **picked)
        assert stream.columns == names
        for _ in range(2):
            blocks, weight_blocks = zip(*stream, strict=True)
            np.testing.assert_array_equal(np.concatenate(blocks), x)
            if weights is not None:
                np.testing.assert_array_equal(np.concatenate(weight_blocks), weights)
    return x, names, weights


def table(mark, header=NAMES, form="{}", decimal="."):
    lines = [mark.join(form.format(str(value).replace(".", decimal)) for value in row) for row in ROWS.tolist()]
    return "\n".join(([mark.join(header)] if header else []) + lines) + "\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [NAMES, ("waiting time, s", "x;y")])
@pytest.mark.parametrize("mark", [",", ";", "\t", " ", ", ", "; ", "   "])
def test_every_mark_is_found(write, mark, header, end):
    quoted = [f'"{name}"' for name in header]
    x, names, _ = read(write("\ufeff" + table(mark, quoted).replace("\n", end)))
    np.testing.assert_array_equal(x, ROWS)
    assert names == header
    np.testing.assert_array_equal(read(write(table(mark, None).replace("\n", end)))[0], ROWS)


@pytest.mark.parametrize("form", ["{}", '"{}"'])
@pytest.mark.parametrize("mark", [";", "\t", "; "])
@pytest.mark.parametrize("header", [NAMES, None])
def test_decimal_commas(write, mark, header, form):
    x, names, _ = read(write(table(mark, header, form, decimal=",")))
    np.testing.assert_array_equal(x, ROWS)
    assert names == header


def test_commas_that_divide_thousands_are_no_decimals(write):
    for content in ("a\tb\n1,234\t5\n2,345\t6\n", "a;b\n1,234;5.5\n2,345;6.5\n", 'a,b\n"1,234",5\n2,6\n'):
        with pytest.raises(ValueError, match=r"row 1 \(line 2\), column 'a': '1,234' has a comma: numbers"):
            readers.read(write(content), columns=["a", "b"])
    late = "a;b\n" + "1,5;2\n" * 300 + "4;1.234\n"
    with pytest.raises(
        ValueError, match=r"row 301 \(line 302\), column 'b': '1.234' has a point, and the first numbers"
    ):
        readers.read(write(late))


def test_a_column_with_blanks_in_its_name_is_one_column(write):
    x, names, _ = read(write("waiting time\n79\n54\n"))
    assert names == ("waiting time",) and x.tolist() == [[79], [54]]


def test_blanks_at_both_ends_and_rows_of_several_blanks(write):
    np.testing.assert_array_equal(read(write("  3.6   79 \n 1.8  54\n  3.333 74  \n-2.25 62\n", "a.txt"))[0], ROWS)


def test_a_table_that_r_writes_has_a_name_less(write):
    for mark in " \t":
        lines = [f'"{i + 1}"{mark}{a}{mark}{b}' for i, (a, b) in enumerate(ROWS.tolist())]
        x, names, _ = read(write("\n".join([f'"eruptions"{mark}"waiting"', *lines]) + "\n"))
        np.testing.assert_array_equal(x, ROWS)
        assert names == NAMES


def test_gzip_is_unpacked_whatever_the_file_is_called(tmp_path):
    for name in ("a.csv.gz", "b.gz", "c.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(table(",").encode()))
        x, names, _ = read(path)
        np.testing.assert_array_equal(x, ROWS)
        assert names == NAMES
    [(x, _)] = jaxgmm.rows(tmp_path)
    assert len(x) == 3 * len(ROWS)
    content = path.read_bytes()
    for damaged in (content[:-12], content[:20] + b"\x00\x01\x02" + content[23:], content[:6]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"c\.csv: is a gzip file that is damaged or cut short"):
            readers.read(path)
    (tmp_path / "x.npy.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy\.gz: is compressed, and only tables of text are read so: gunzip it"):
        readers.read(tmp_path / "x.npy.gz")


def test_comments_are_no_rows(write):
    lines = table(",").splitlines()
    text = "\n".join(["# one, two, three", " #", lines[0], lines[1], "# between", *lines[2:], "#last"]) + "\n"
    x, names, _ = read(write(text))
    np.testing.assert_array_equal(x, ROWS)
    assert names == NAMES
    with pytest.raises(ValueError, match=r"row 2 \(line 6\), column 'waiting': 'x'"):
        readers.read(write(text.replace("54.0", "x")))


@pytest.mark.parametrize(
    "content, words",
    [
        ("a b\n1 2\n3 4 5\n6 7\n", r"row 2 \(line 3\) has 3 fields where 2 are expected"),
        ("a;b\n1,5;2\n3,1\n2,5;4\n", r"row 2 \(line 3\) has 1 fields where 2 are expected"),
        ("a\tb\n1,5\t2\n3\t1\t2\n2,5\t4\n", r"row 2 \(line 3\) has 3 fields where 2 are expected"),
    ],
)
def test_a_row_of_another_width_is_named_whatever_the_mark(write, content, words):
    with pytest.raises(ValueError, match=words):
        readers.read(write(content))


def test_what_may_be_meant_otherwise_is_said(write):
    path = write("a;b\n1,234;5\n2,345;6\n")
    with pytest.warns(jaxgmm.FitWarning, match="its commas are taken for decimal ones: 1,234 is 1.234"):
        x, _, _ = read(path)
    np.testing.assert_array_equal(x, [[1.234, 5], [2.345, 6]])
    path = write("code,a,b\nred,1.5,2\n#ff0000,2.5,3\n#0000ff,3.5,5\nblue,4.5,7\n")
    with pytest.warns(jaxgmm.FitWarning, match="lines that begin with # are left out, though they may be rows"):
        assert read(path, columns=["a", "b"])[0].tolist() == [[1.5, 2], [4.5, 7]]
    quoted = write('code,a,b\nred,1.5,2\n"#ff0000",2.5,3\nblue,4.5,7\n')
    assert read(quoted, columns=["a", "b"])[0].tolist() == [[1.5, 2], [2.5, 3], [4.5, 7]]


def test_what_spreadsheets_write_for_no_number_is_no_comment(write):
    path = write("a,b\n1,2\n#N/A,3\n4,#N/A\n5,6\n")
    with pytest.raises(ValueError, match=r"row 2 \(line 3\), column 'a': the value is missing"):
        readers.read(path)
    with pytest.warns(jaxgmm.FitWarning, match="2 of 4 rows left out"):
        assert read(path, missing="dropped")[0].tolist() == [[1, 2], [5, 6]]
    with pytest.raises(ValueError, match="row 1 .*, column 'a': '#DIV/0!' is not a number"):
        readers.read(write("a,b\n#DIV/0!,2\n1,3\n"))


def test_a_hash_may_be_a_name_or_stand_in_quotes(write):
    x, names, _ = read(write('#,a,note\n5,1.5,"first\n#second"\n7,2.5,third\n'), columns=["#", "a"])
    assert x.tolist() == [[5, 1.5], [7, 2.5]] and names == ("#", "a")


def test_what_numpy_saves_with_a_header_has_names(tmp_path):
    for mark in (",", " "):
        np.savetxt(tmp_path / "a.csv", ROWS, delimiter=mark, header=f"from the park\n{mark.join(NAMES)}")
        x, names, _ = read(tmp_path / "a.csv")
        np.testing.assert_array_equal(x, ROWS)
        assert names == NAMES
    np.savetxt(tmp_path / "a.csv", ROWS, delimiter=",", header="from the park, and no names")
    x, names, _ = read(tmp_path / "a.csv", header=False)
    np.testing.assert_array_equal(x, ROWS)
    assert names is None


SPECIES = "species,length,island,width\nsetosa,1.5,NA,2\nother,2.5,here,\nsetosa,NA,there,4\nnew,4.5,here,5\n"


def test_columns_of_text_are_left_out_and_named_once(write):
    path = write(SPECIES)
    sentence = r"a\.csv: columns of text are left out: species, island$"
    with pytest.warns(jaxgmm.FitWarning, match=sentence) as said:
        assert jaxgmm.rows(path).columns == ("length", "width")
    assert len(said) == 1
    with pytest.warns(jaxgmm.FitWarning, match=sentence) as said:
        assert readers.read(path, missing="kept")[1] == ("length", "width")
    assert len(said) == 1
    assert readers.read(path, drop=["species", "island"], missing="kept")[1] == ("length", "width")
    headless = write("\n".join(SPECIES.splitlines()[1:]) + "\n", "b.csv")
    with pytest.warns(jaxgmm.FitWarning, match="left out: 0, 2$"):
        assert readers.read(headless, missing="kept")[0].shape == (4, 2)


def test_text_columns_of_other_kinds_of_files_too(tmp_path):
    words = np.array(["setosa", "other", "new", "old"])
    np.savez(tmp_path / "a.npz", species=words, length=ROWS[:, 0], width=ROWS[:, 1])
    fields = np.array(
        list(zip(words, *ROWS.T.tolist(), strict=True)), [("species", "U9"), ("length", float), ("width", float)]
    )
    np.save(tmp_path / "a.npy", fields)
    paths = [tmp_path / "a.npz", tmp_path / "a.npy"]
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table({"species": words, "length": ROWS[:, 0], "width": ROWS[:, 1]}), tmp_path / "a.parquet"
    )
    for path in [*paths, tmp_path / "a.parquet"]:
        with pytest.warns(jaxgmm.FitWarning, match="columns of text are left out: species"):
            x, names, _ = read(path)
        np.testing.assert_array_equal(x, ROWS)
        assert names == ("length", "width")


def test_a_bad_cell_makes_no_column_of_text(write):
    with pytest.raises(ValueError, match=r"row 3 \(line 4\), column 'b': 'four' is not a number; leave .*drop=\['b'\]"):
        readers.read(write("a,b\n1,2\n3,4\n3,four\n"))


def test_files_of_a_directory_leave_out_what_the_first_does(write, tmp_path):
    write("name,a,b\nx,1.5,2\ny,2.5,3\n", "0.csv")
    write("name,b,a\n7,5,3.5\n8,6,4.5\n", "1.csv")
    with pytest.warns(jaxgmm.FitWarning, match=r"0\.csv: columns of text are left out: name$") as said:
        [(x, _)] = jaxgmm.rows(tmp_path)
    assert len(said) == 1
    np.testing.assert_array_equal(x, [[1.5, 2], [2.5, 3], [3.5, 5], [4.5, 6]])


FIVE = "a,b,c,d,e\n" + "".join(",".join(map(str, row)) + "\n" for row in np.arange(20).reshape(4, 5) ** 2)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"columns": ["b:d"]}, "bcd"),
        ({"columns": ["1:3"]}, "bcd"),
        ({"columns": ["e", "a:b"]}, "eab"),
        ({"columns": ["4", "0"]}, "ea"),
        ({"columns": ["c:"]}, "cde"),
        ({"columns": [":1"]}, "ab"),
        ({"columns": ["a:e"], "drop": ["2:3"]}, "abe"),
        ({"drop": ["a", "d:e"]}, "bc"),
        ({"drop": ["0"]}, "bcde"),
        ({"weights": "e", "drop": ["0:1"]}, "cd"),
    ],
)
def test_columns_are_names_numbers_and_ranges_with_and_without_a_header(write, options, expected):
    indices = ["abcde".index(name) for name in expected]
    rows = np.arange(20.0).reshape(4, 5) ** 2
    x, names, weights = read(write(FIVE), **options)
    np.testing.assert_array_equal(x, rows[:, indices])
    assert names == tuple(expected)
    if weights is not None:
        np.testing.assert_array_equal(weights, rows[:, 4])

    def number(word):
        return "".join(str("abcde".index(letter)) if letter in "abcde" else letter for letter in word)

    of_numbers = {
        name: number(value) if name == "weights" else list(map(number, value)) for name, value in options.items()
    }
    x, names, _ = read(write(FIVE.partition("\n")[2]), **of_numbers)
    np.testing.assert_array_equal(x, rows[:, indices])
    assert names is None


def test_a_name_is_a_name_before_it_is_a_range_or_a_number(write):
    path = write("a:c,b,2020,c\n1,2,3,4\n5,6,7,9\n")
    assert read(path, columns=["a:c", "2020"], header=True)[0].tolist() == [[1, 3], [5, 7]]
    assert read(path, columns=["a:c:b"], header=True)[0].tolist() == [[1, 2], [5, 6]]
    with pytest.raises(ValueError, match="no columns '0'"):
        readers.read(path, columns=["0"], header=True)


def test_python_takes_numbers_and_names(write, tmp_path):
    path = write(FIVE)
    assert jaxgmm.rows(path, columns=["a", 2]).columns == ("a", "c")
    assert jaxgmm.rows(path, columns="b:c").columns == ("b", "c")
    assert jaxgmm.rows(path, drop=[0, 1]).columns == ("c", "d", "e")
    for columns in ([1.5], [True], [None]):
        with pytest.raises(ValueError, match="columns must be names, numbers or ranges"):
            jaxgmm.rows(path, columns=columns)
    with pytest.raises(ValueError, match="columns and drop pick columns of files"):
        jaxgmm.rows(ROWS, drop=[0])


GAPS = "id,a,b,w\nx,1,2,1\ny,,3,1\nz,4,NA,1\nu,5,6,\nv,7,8,2\n"


def test_rows_with_missing_values_are_an_error_that_says_what_to_do_or_are_left_out(write):
    path, picked = write(GAPS), {"columns": ["a", "b"]}
    with pytest.raises(ValueError, match=r"row 2 \(line 3\), column 'a': the value is missing; .*--drop-missing"):
        readers.read(path, **picked)
    with pytest.warns(jaxgmm.FitWarning, match=r"a\.csv: 2 of 5 rows left out: a value is missing in each"):
        x, _, _ = read(path, missing="dropped", **picked)
    np.testing.assert_array_equal(x, [[1, 2], [5, 6], [7, 8]])
    with pytest.warns(jaxgmm.FitWarning, match="3 of 5 rows left out"):
        x, _, weights = read(path, weights="w", missing="dropped", **picked)
    np.testing.assert_array_equal(np.column_stack([x, weights]), [[1, 2, 1], [7, 8, 2]])
    kept, _, _ = readers.read(path, missing="kept", **picked)
    np.testing.assert_array_equal(kept, [[1, 2], [np.nan, 3], [4, np.nan], [5, 6], [7, 8]])
    with pytest.raises(ValueError, match="no row without a missing value"):
        readers.read(write("a,b\n1,\n,2\n"), missing="dropped")


@pytest.mark.parametrize("nan", ["nan", "-nan", "+nan", "NaN"])
@pytest.mark.parametrize("head", ["a,b\n", ""])
def test_a_nan_is_missing_whatever_its_sign(write, nan, head):
    """C prints the NaN of 0 / 0 as -nan."""
    path = write(f"{head}{nan},2\n{nan},3\n1.5,4\n")
    with pytest.warns(jaxgmm.FitWarning, match="2 of 3 rows left out"):
        np.testing.assert_array_equal(read(path, missing="dropped")[0], [[1.5, 4]])


def test_a_stream_says_once_how_many_rows_it_leaves_out(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    x[[3, 4, 17], [0, 1, 0]] = np.nan
    np.save(tmp_path / "x.npy", x)
    weights = np.arange(20.0)
    complete = ~np.isnan(x).any(axis=1)
    for source in (tmp_path / "x.npy", x, [x[:7], x[7:]]):
        stream = jaxgmm.rows(source, weights, drop_missing=True, block_size=6)
        with pytest.warns(jaxgmm.FitWarning, match="3 of 20 rows left out") as said:
            for _ in range(2):
                blocks = list(stream)
        assert len(said) == 1 and stream.shape == (17, 2)
        np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), x[complete])
        np.testing.assert_array_equal(np.concatenate([weight for _, weight in blocks]), weights[complete])


def test_passes_may_cross_each_other():
    x = np.arange(40.0).reshape(20, 2)
    x[[3, 4, 17], [0, 1, 0]] = np.nan
    stream = jaxgmm.rows(x, np.arange(20.0), drop_missing=True, block_size=4)
    with pytest.warns(jaxgmm.FitWarning, match="3 of 20 rows left out"):
        for (one, its), (other, of_other) in zip(stream, stream, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(its, one[:, 0] / 2)
            np.testing.assert_array_equal(of_other, its)


def test_a_fit_of_a_stream_without_missing_rows_is_that_of_the_others(tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 2)), rng.normal(6, 1, (40, 2))])
    gaps = np.insert(x, [10, 50], np.nan, axis=0)
    with pytest.warns(jaxgmm.FitWarning, match="2 of 102 rows left out"):
        found = jaxgmm.fit(0, jaxgmm.rows(gaps, drop_missing=True), 2)
    assert float(found.log_likelihood) == pytest.approx(float(jaxgmm.fit(0, x, 2).log_likelihood), rel=1e-9)


@pytest.mark.parametrize(
    "content, name",
    [
        ("n,a\n" + "".join(f"{i + 1},{i * i}.5\n" for i in range(9)), "n"),
        ("".join(f"{i},{i * i}.5\n" for i in range(9)), "0"),
        ("Row_ID,a\n" + "".join(f"{7 * i % 9},{i * i}.5\n" for i in range(9)), "Row_ID"),
        ("Unnamed: 0,a\n" + "".join(f"{7 * i % 9},{i * i}.5\n" for i in range(9)), "Unnamed: 0"),
    ],
)
def test_a_column_that_numbers_the_rows_is_said(write, content, name):
    path = write(content)
    typed = repr(name) if " " in name else name
    sentence = rf"column {name!r} seems to number the rows: .* leave it out with drop=\[{name!r}\] \(--drop {typed}\)"
    for reader in (readers.read, jaxgmm.rows):
        with pytest.warns(jaxgmm.FitWarning, match=sentence):
            reader(path)
    assert read(path, drop=[name])[0].shape == (9, 1)
    assert read(path, columns=[name, "a" if "a" in content else "1"])[0].shape == (9, 2)


def test_what_only_looks_a_little_like_row_numbers_is_not_said(write):
    for content in (
        "a,b\n1,5\n2,7\n3,1\n",  # few
        "year,b\n" + "".join(f"{1990 + i},{i * i}\n" for i in range(9)),
        "n\n" + "".join(f"{i}\n" for i in range(9)),  # the only column
        "n,b\n" + "".join(f"{i + (i > 5)},{i * i}\n" for i in range(9)),
        "width,hidden\n" + "".join(f"{i * i},{i**3}\n" for i in range(9)),
    ):
        read(write(content))


@pytest.mark.parametrize("mark", [";", ",", "\t", "|", " "])
@pytest.mark.parametrize("line", ["sep={}", '"sep={}"', "SEP={}"])
def test_a_first_line_that_names_the_separator_is_no_row(write, mark, line):
    first = line.format(mark) + "\r\n"
    for header in (NAMES, None):
        x, names, _ = read(write("\ufeff" + first + table(mark, header).replace("\n", "\r\n")))
        np.testing.assert_array_equal(x, ROWS)
        assert names == header
    with pytest.raises(ValueError, match=r"row 2 \(line 4\), column 'waiting': 'x' is not a number"):
        readers.read(write(first + table(mark).replace("54.0", "x")))


def test_a_first_line_names_the_separator_whatever_the_lines_look_like(write):
    x, names, _ = read(write("sep=;\n5,69\n6,64\n7,11\n"))
    assert x.tolist() == [[5.69], [6.64], [7.11]] and names is None
    assert read(write("sep=,\n5,69\n6,64\n7,11\n"))[0].tolist() == [[5, 69], [6, 64], [7, 11]]
    assert read(write("sep=|\n# a|b\n5,6|1\n7,8|2\n"))[1] == ("a", "b")
    assert read(write("sep=,b\n1,2\n3,4\n"))[1] == ("sep=", "b")  # a name


@pytest.mark.parametrize("true, false", [("TRUE", "FALSE"), ("True", "False"), ("true", "false"), ("T", "F")])
@pytest.mark.parametrize("header", ["weight,smokes,ill\n", ""])
def test_truth_values_are_one_and_zero(write, true, false, header):
    flags = [[1, 0], [0, 0], [0, 1], [1, 1]]
    lines = [f"{i}.5,{true if a else false},{true if b else false}\n" for i, (a, b) in enumerate(flags)]
    expected = [[i + 0.5, a, b] for i, (a, b) in enumerate(flags)]
    assert read(write(header + "".join(lines)))[0].tolist() == expected
    with_gap = write(header + "".join([*lines, f"4.5,NA,{true}\n"]))
    with pytest.raises(ValueError, match=r"row 5 .*: the value is missing"):
        readers.read(with_gap)
    with pytest.warns(jaxgmm.FitWarning, match="1 of 5 rows left out"):
        assert read(with_gap, missing="dropped")[0].tolist() == expected
    picked = {"columns": ["ill"], "weights": "smokes"} if header else {"columns": ["2"], "weights": "1"}
    x, _, weights = read(write(header + "".join(lines)), **picked)
    assert x.tolist() == [[0], [0], [1], [1]] and weights.tolist() == [1, 0, 0, 1]


def test_a_table_of_truth_values_alone_needs_no_header(write):
    content = "TRUE,FALSE\nFALSE,FALSE\nTRUE,TRUE\n"
    x, names, _ = read(write(content))
    assert x.tolist() == [[1, 0], [0, 0], [1, 1]] and names is None
    x, names, _ = read(write("a,b\n" + content))
    assert x.tolist() == [[1, 0], [0, 0], [1, 1]] and names == ("a", "b")


def test_words_that_only_look_like_truth_values_stay_words(write):
    rows = [("F", "A", "yes", "TRUE", "T"), ("F", "T", "no", "T", "TRUE"), ("F", "C", "no", "FALSE", "F")]
    lines = [",".join([*row, str(i)]) + "\n" for i, row in enumerate(rows)]
    with pytest.warns(jaxgmm.FitWarning, match="columns of text are left out: sex, base, answer, mixed, mixture$"):
        x, names, _ = read(write("sex,base,answer,mixed,mixture,n\n" + "".join(lines)))
    assert x.tolist() == [[0], [1], [2]] and names == ("n",)


def test_a_word_below_truth_values_is_named(write):
    late = write("a,b\n" + "TRUE,1.5\nFALSE,2.5\n" * 150 + "perhaps,1\n")
    with pytest.raises(ValueError, match=r"row 301 \(line 302\), column 'a': 'perhaps' is not a number; leave"):
        readers.read(late)


def test_files_of_a_directory_have_the_truth_values_of_the_first(write, tmp_path):
    write("a,b\nT,1.5\nF,2.5\n", "0.csv")
    write("a,b\nF,3.5\nF,4.5\n", "1.csv")
    [(x, _)] = jaxgmm.rows(tmp_path)
    assert x.tolist() == [[1, 1.5], [0, 2.5], [0, 3.5], [0, 4.5]]


def test_features_of_a_model_may_show_one_truth_value_alone(write):
    path = write("a,b\nF,1.5\nF,2.5\n")
    assert readers.read(path, expected=("a", "b"))[0].tolist() == [[0, 1.5], [0, 2.5]]


COMMAS = "5,69\n6,64\n4,07\n-5,31\n"
IN_TWO, IN_ONE = [[5, 69], [6, 64], [4, 7], [-5, 31]], [[5.69], [6.64], [4.07], [-5.31]]
EITHER = "read as two columns of whole numbers, and may be one column of numbers with decimal commas; decimal=','"


def test_one_column_of_decimal_commas_may_be_two_columns(write):
    path = write(COMMAS)
    for reader in (readers.read, jaxgmm.rows):
        with pytest.warns(jaxgmm.FitWarning, match=rf"a\.csv: its lines are {EITHER}") as said:
            reader(path)
        assert len(said) == 1
    for options, expected in (
        ({"decimal": ","}, IN_ONE),
        ({"separator": ";"}, IN_ONE),
        ({"separator": ","}, IN_TWO),
        ({"decimal": "."}, IN_TWO),
        ({"columns": ["0", "1"]}, IN_TWO),
    ):
        assert read(path, **options)[0].tolist() == expected


@pytest.mark.parametrize(
    "content, width",
    [
        ("a,b\n" + COMMAS, 2),  # two names
        ("# a,b\n" + COMMAS, 2),
        ("5,69\n6,6\n4,70\n", 2),  # digits of several lengths
        ("5,6\n6,9\n4,7\n", 2),  # one digit
        ("5,+69\n6,-64\n4,+75\n", 2),
        ("5.1,69\n6.2,64\n4.3,75\n", 2),
        ("5,69,1\n6,64,2\n4,75,3\n", 3),
        ("".join(f"{i * i},{20 + i}\n" for i in range(9)), 2),  # digits that go up are no fractions
    ],
)
def test_two_columns_between_commas_are_read_without_a_word(write, content, width):
    assert read(write(content))[0].shape[1] == width


@pytest.mark.parametrize("content", ["weight\n5,69\n6,64\n4\n-5,31\n", '"waiting time"\n5,69\n6,64\n4\n-5,31\n'])
def test_decimal_commas_below_one_name_are_said(write, content):
    expected = [[5.69], [6.64], [4], [-5.31]]
    with pytest.warns(jaxgmm.FitWarning, match=r"commas are taken for decimal ones: 1,234 is 1\.234; decimal=',' or"):
        assert read(write(content))[0].tolist() == expected
    assert read(write(content), decimal=",")[0].tolist() == expected
    with pytest.raises(ValueError, match="row 1 .* has 2 fields where 1 are expected"):
        readers.read(write(content), decimal=".")


@pytest.mark.parametrize(
    "content, expected",
    [
        ('"5,69"\n"6,64"\n', [[5.69], [6.64]]),
        ('weight\n"5,69"\n"6,64"\n', [[5.69], [6.64]]),
        ('"weight","height"\n"5,69","6,64"\n"7","8,5"\n', [[5.69, 6.64], [7, 8.5]]),
    ],
)
def test_decimal_commas_in_quotes(write, content, expected):
    assert read(write(content))[0].tolist() == expected
    assert read(write(content), decimal=",")[0].tolist() == expected


def test_names_of_rows_before_commas_are_no_numbers_and_points_settle_it(write):
    for content in ("a\n1,52\n2,71\n3,44\n", "a\n5,2\n2.6\n3,1\n"):
        with pytest.raises(ValueError, match="has 2 fields where 1 are expected"):
            readers.read(write(content))


def test_marks_that_are_given(write):
    np.testing.assert_array_equal(read(write(table("|")), separator="|")[0], ROWS)
    np.testing.assert_array_equal(read(write(table("~", decimal=",")), separator="~", decimal=",")[0], ROWS)
    np.testing.assert_array_equal(read(write(table("  ", None, decimal=",")), separator=" ")[0], ROWS)
    assert read(write("a\tb\n1,234\t5\n2,345\t6\n"), decimal=",")[0].tolist() == [[1.234, 5], [2.345, 6]]
    for wrong in ("", "ab", "1", ".", '"', "\n", "-", 5):
        with pytest.raises(ValueError, match="separator must be one character that is in no number, such as"):
            jaxgmm.rows(write(COMMAS), separator=wrong)
    for wrong in ("", ";", 5):
        with pytest.raises(ValueError, match=r"decimal must be '\.' or ',', got"):
            jaxgmm.rows(write(COMMAS), decimal=wrong)
    for given in ({"decimal": ","}, {"separator": ";"}):
        with pytest.raises(ValueError, match="decimal and separator tell how text in files is read, and the rows"):
            jaxgmm.rows(ROWS, **given)
