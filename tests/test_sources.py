"""Rows that are read block by block: every source gives the rows it holds, in order, again at every pass."""

import itertools

import numpy as np
import pytest

import jaxgmm
from jaxgmm.data import sources

RNG = np.random.default_rng(0)
X = RNG.normal(size=(25, 3))
W = RNG.integers(1, 4, size=25).astype(float)
NAMES = ("a", "b", "c")


class Again:
    """Blocks of uneven sizes, from the start at every iteration."""

    def __init__(self, x=X, weight=None, cuts=(0, 1, 8, 8, 25)):
        self.x, self.weight, self.cuts, self.passes = x, weight, cuts, 0

    def __iter__(self):
        self.passes += 1
        for start, stop in itertools.pairwise(self.cuts):
            part = self.x[start:stop]
            yield part if self.weight is None else (part, self.weight[start:stop])


def npy(folder, x=X):
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def fortran(folder):
    return npy(folder, np.asfortranarray(X))


def npz(folder):
    np.savez_compressed(folder / "x.npz", x=X)
    return folder / "x.npz"


def vectors(folder):
    np.savez(folder / "x.npz", **dict(zip(NAMES, X.T, strict=True)))
    return folder / "x.npz"


def text(folder, x=X, name="x.csv", names=NAMES):
    lines = [",".join(names), *(",".join(map(repr, row)) for row in x.tolist())]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def parquet(folder, x=X, name="x.parquet", names=NAMES, rows=7):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(
        pyarrow.table(dict(zip(names, x.T, strict=True))), folder / name, row_group_size=rows
    )
    return folder / name


def directory(folder):
    for i, part in enumerate(np.array_split(X, 4)):
        np.save(folder / f"part-{i}.npy", part)
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.npy").write_text("")
    return folder


def files(folder):
    return [text(folder, X[:9], "0.csv"), str(text(folder, X[9:], "1.csv"))]


def memmap(folder):
    return np.load(npy(folder), mmap_mode="r")


def hdf5(folder):
    return pytest.importorskip("h5py").File(folder / "x.h5", "w").create_dataset("x", data=X)


def zarr(folder):
    return pytest.importorskip("zarr").array(X)


KINDS = [npy, fortran, npz, vectors, text, parquet, directory, files, memmap, hdf5, zarr]
KINDS += [lambda folder: X, lambda folder: Again()]


@pytest.mark.parametrize("size", [1, 4, 25, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_gives_its_rows_in_blocks_again_and_again(tmp_path, kind, size):
    stream = jaxgmm.rows(kind(tmp_path), block_size=size)
    assert stream.d == 3 and stream.dtype == np.float64 and stream.n in (25, None)
    for _ in range(2):
        blocks = [x for x, weight in stream if weight is None]
        assert [len(x) for x in blocks[:-1]] == [size] * (len(blocks) - 1) and len(blocks[-1]) <= size
        np.testing.assert_array_equal(np.concatenate(blocks), X)
    assert stream.shape == (25, 3)


@pytest.mark.parametrize("kind", [memmap, hdf5, zarr, npy, lambda folder: str(directory(folder))])
def test_what_is_on_disk_needs_no_mark(tmp_path, kind):
    assert isinstance(sources.marked(kind(tmp_path)), sources.Stream)


@pytest.mark.parametrize("x", [X, X.tolist(), [[1.0, 2.0], [3.0, 4.0]]])
def test_anything_else_is_an_array_in_memory(x):
    assert sources.marked(x) is x


def test_weights_are_an_array_a_column_or_come_with_the_blocks(tmp_path):
    table = text(tmp_path, np.column_stack([X, W]), names=(*NAMES, "w"))
    archive = tmp_path / "beside.npz"
    np.savez(archive, x=X, w=W)
    streams = [
        jaxgmm.rows(X, W.tolist(), block_size=4),
        jaxgmm.rows(npy(tmp_path), W, block_size=4),
        jaxgmm.rows(table, "w", block_size=4),
        jaxgmm.rows(archive, "w", block_size=4),
        jaxgmm.rows(parquet(tmp_path, np.column_stack([W, X]), names=("w", *NAMES)), "w", block_size=4),
        jaxgmm.rows(Again(weight=W), block_size=4),
        jaxgmm.rows(jaxgmm.rows(Again()), W, block_size=4),
    ]
    for stream in streams:
        x, weight = (np.concatenate(parts) for parts in zip(*stream, strict=True))
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(weight, W)


def test_the_dtype_is_the_widest_of_all_files(tmp_path):
    np.save(tmp_path / "0.npy", X[:5].astype(np.float32))
    assert jaxgmm.rows(tmp_path).dtype == np.float32
    np.save(tmp_path / "1.npy", np.arange(6).reshape(2, 3))
    stream = jaxgmm.rows(tmp_path)
    assert stream.dtype == np.float64 and [x.dtype for x, _ in stream] == [np.float64]


def test_columns_are_found_by_name_in_every_file(tmp_path):
    text(tmp_path, X[:5], "0.csv")
    text(tmp_path, X[5:, ::-1], "1.csv", NAMES[::-1])
    [(x, _)] = jaxgmm.rows(tmp_path)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("make", [text, parquet])
def test_a_file_with_other_columns_is_named(tmp_path, make):
    make(tmp_path, X[:5], "0.csv" if make is text else "0.parquet")
    other = make(tmp_path, X[5:], "1.csv" if make is text else "1.parquet", names=("a", "b", "x"))
    with pytest.raises(ValueError, match=other.name):
        jaxgmm.rows(tmp_path)


def test_a_file_with_more_columns_is_named(tmp_path):
    np.save(tmp_path / "0.npy", X)
    np.save(tmp_path / "1.npy", X[:, :2])
    with pytest.raises(ValueError, match="1.npy: has 2 columns without names; .*0.npy has 3 columns"):
        jaxgmm.rows(tmp_path)


def generator():
    yield X


@pytest.mark.parametrize(
    "source, words",
    [
        (generator(), "an iterator can be read only once"),
        (iter([X]), "an iterator can be read only once"),
        (3, "rows must come from an array, files or an iterable of blocks, got int"),
        (X[0], "rows must have shape (n, d)"),
        (Again(cuts=(0,)), "the source of rows is empty"),
        (Again(X[:, 0]), "blocks of rows must have shape (b, d)"),
    ],
)
def test_what_cannot_be_read_again_and_again_is_refused(source, words):
    with pytest.raises(ValueError) as error:
        jaxgmm.rows(source)
    assert words in str(error.value)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="block_size must be an integer >= 1, got 0"):
        jaxgmm.rows(X, block_size=0)
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        jaxgmm.rows(X, W[:3])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        list(jaxgmm.rows(Again(), np.ones(26)))
    with pytest.raises(ValueError, match="24 weights; the rows are more"):
        list(jaxgmm.rows(Again(), W[:24]))
    with pytest.raises(ValueError, match="twice"):
        jaxgmm.rows(jaxgmm.rows(X, W), W)
    with pytest.raises(ValueError, match="name of a column only where the rows are in files"):
        jaxgmm.rows(X, "w")
    with pytest.raises(FileNotFoundError):
        jaxgmm.rows("missing.npy")


def test_a_source_that_changes_is_noticed():
    source = Again()
    stream = jaxgmm.rows(source)
    assert sum(len(x) for x, _ in stream) == 25
    source.cuts = (0, 20)
    with pytest.raises(ValueError, match="gave 20 rows where it had 25"):
        list(stream)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = npy(tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="x.npy: is cut short: 25 rows were announced"):
        list(jaxgmm.rows(path))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".csv"])
def test_a_file_of_another_kind_is_named(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"\x89PNG\r\n\xff\xfe\x00\x00")
    with pytest.raises(ValueError, match=path.name):
        jaxgmm.rows(path)


def test_a_folder_in_a_folder_or_an_empty_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no files of rows"):
        jaxgmm.rows(tmp_path)
    (tmp_path / "inside").mkdir()
    with pytest.raises(ValueError, match="holds the directory inside"):
        jaxgmm.rows(tmp_path)


def test_a_stream_is_not_taken_for_an_array():
    mixture = jaxgmm.mixture("spherical", weights=[1.0], means=[[0.0] * 3], covariances=[1.0])
    with pytest.raises(ValueError, match="takes rows in memory: give it one block at a time"):
        jaxgmm.log_prob(mixture, jaxgmm.rows(X))
    assert repr(jaxgmm.rows(X, block_size=7)) == "Stream(25 × 3 float64, blocks of 7)"
