"""Vectors in files of every kind, each written by its own library."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from vector_writers import IDS, WRITERS, table, write_bin, write_stream, write_vecs

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    HeterogeneityProfiler,
    RandomRotation,
    TwoBitQuantizer,
    open_vectors,
)
from skbq._readers import KINDS, _parts

ml_dtypes = pytest.importorskip("ml_dtypes")
pa = pytest.importorskip("pyarrow")
safetensors_numpy = pytest.importorskip("safetensors.numpy")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def X(rng):
    return rng.standard_normal((30, 8)).astype(np.float32)


HAVE_IDS = [
    n
    for n in WRITERS
    if n.rpartition(".")[2]
    in {"parquet", "arrow", "feather", "jsonl", "csv", "tsv", "h5"}
]


@pytest.mark.parametrize("name", WRITERS)
def test_kinds_of_files(X, tmp_path, name):
    path = tmp_path / name
    WRITERS[name](X, path)
    rows = open_vectors(path, ids="id" if name in HAVE_IDS else None)
    assert (rows.shape, rows.dtype) == ((30, 8), np.float32)
    assert name in repr(rows)
    assert_array_equal(rows[:], X)
    assert_array_equal(rows[5:23], X[5:23])
    order = np.array([29, 3, 3, 14, 0])
    assert_array_equal(rows[order], X[order])
    assert_array_equal(rows[4], X[4])
    assert_array_equal(rows[order, 2], X[order, 2])
    fewer = rows.without(np.array([0, 9, 29]))
    kept = np.setdiff1d(np.arange(30), [0, 9, 29])
    assert_array_equal(fewer[:], X[kept])
    assert_array_equal(fewer.row_numbers, kept)
    assert_array_equal(fewer[3:11], X[kept][3:11])
    if name == "rows.h5":
        assert_array_equal(fewer.ids, kept)
    elif name in HAVE_IDS:
        assert_array_equal(fewer.ids, np.array(IDS)[kept])


def test_every_kind_is_tried():
    tried = {f".{name.rpartition('.')[2]}" for name in WRITERS}
    others = {".bvecs", ".ivecs", ".u8bin", ".i8bin", ".ndjson", ".hdf5"}
    assert tried | others == set(KINDS)


@pytest.mark.parametrize(
    ("name", "dtype", "write", "seen"),
    [
        ("rows.bvecs", np.uint8, write_vecs, np.float32),
        ("rows.ivecs", np.int32, write_vecs, np.int32),
        ("rows.u8bin", np.uint8, write_bin, np.float32),
        ("rows.i8bin", np.int8, write_bin, np.int8),
    ],
)
def test_integers_of_benchmarks(rng, tmp_path, name, dtype, write, seen):
    X = rng.integers(0, 120, (20, 16)).astype(dtype)
    write(X, tmp_path / name)
    rows = open_vectors(tmp_path / name)
    assert rows.dtype == seen
    assert_array_equal(rows[:], X)
    assert_array_equal(rows[3:9], X[3:9])


def test_bfloat16(X, tmp_path):
    small = X.astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "small.npy", small)
    safetensors_numpy.save_file({"e": small}, tmp_path / "small.safetensors")
    for name in ("small.npy", "small.safetensors"):
        rows = open_vectors(tmp_path / name)
        assert rows.dtype == np.float32
        assert_array_equal(rows[:], small.astype(np.float32))
        BinaryNeighbors().fit(rows)


def test_folders_patterns_and_lists(X, tmp_path):
    for i in range(3):
        parquet.write_table(table(X[10 * i : 10 * i + 10]), tmp_path / f"{i}.parquet")
    (tmp_path / "notes.txt").write_text("no vectors")
    for paths in (
        tmp_path,
        str(tmp_path / "*.parquet"),
        [tmp_path / f"{i}.parquet" for i in range(3)],
    ):
        rows = open_vectors(paths)
        assert_array_equal(rows[:], X)
        assert_array_equal(rows[8:22], X[8:22])
        assert rows.where(25) == (str(tmp_path / "2.parquet"), 5)
        assert "2 more files" in repr(rows)


def test_folders_of_datasets(X, tmp_path):
    """As Hugging Face datasets saves them: streams, in an order of its own."""
    files = ["data-00001.arrow", "data-00000.arrow"]
    for name, half in zip(files, (X[:15], X[15:]), strict=True):
        write_stream(half, tmp_path / name, pa.ipc.new_stream)
    (tmp_path / "dataset_info.json").write_text("{}")
    state = {"_data_files": [{"filename": name} for name in files]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert_array_equal(open_vectors(tmp_path)[:], X)


def test_folders_of_several_datasets(tmp_path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(ValueError, match=r"choose one: .*train, .*test"):
        open_vectors(tmp_path)


@pytest.mark.parametrize("kind", ["npy", "parquet"])
@pytest.mark.parametrize(
    "estimator",
    [
        BinaryNeighbors(query="vectors", n_jobs=2),
        BinaryQuantizer("median"),
        HeterogeneityProfiler(random_state=0),
        RandomRotation(random_state=0),
        TwoBitQuantizer(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_estimators_read_files_block_by_block(rng, tmp_path, estimator, kind):
    X = rng.standard_normal((3000, 30)).astype(np.float32)
    for i in range(3):
        part = X[1000 * i : 1000 * i + 1000]
        if kind == "npy":
            np.save(tmp_path / f"{i}.npy", part)
        else:
            parquet.write_table(
                pa.table({"e": list(part)}),
                tmp_path / f"{i}.parquet",
                row_group_size=90,
            )
    rows = open_vectors(tmp_path)
    got, expected = (estimator.fit(Z).__getstate__() for Z in (rows, X))
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert_array_equal(np.asarray(got[name]), value)
    if hasattr(estimator, "kneighbors"):
        from_files = estimator.fit(rows).kneighbors(rows, 4)
        assert_array_equal(from_files, estimator.fit(X).kneighbors(X, 4))


def bad_width(path):
    np.save(path / "a.npy", np.ones((3, 4)))
    np.save(path / "b.npy", np.ones((3, 5)))


def bad_dtype(path):
    np.save(path / "a.npy", np.ones((3, 4)))
    np.save(path / "b.npy", np.ones((3, 4), np.float32))


def ragged(path):
    parquet.write_table(pa.table({"e": [[1.0, 2.0], [3.0]]}), path / "a.parquet")


def ragged_between_groups(path):
    whole = pa.table({"e": [[1.0, 2.0], [3.0]]})
    parquet.write_table(whole, path / "a.parquet", row_group_size=1)


def text(content, name="a.jsonl"):
    return lambda path: (path / name).write_text(content)


def ids_twice(path):
    parquet.write_table(
        pa.table({"id": [1, 1], "e": [[1.0], [2.0]]}), path / "a.parquet"
    )


def truncated(name):
    def write(path):
        X = np.ones((30, 8), np.float32)
        WRITERS[name](X, path / name)
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) - 5])

    return write


BAD = [
    (lambda path: None, {}, "folder without files"),
    (bad_width, {}, r"b.npy has 5 coordinates, but .*a.npy has 4"),
    (bad_dtype, {}, r"b.npy holds float32, but .*a.npy holds float64"),
    (ragged, {}, "row 1 has 1 numbers and row 0 has 2"),
    (ragged_between_groups, {}, "row 1 has 1 coordinates, row 0 has 2"),
    (ids_twice, {"ids": "id"}, "come more than once, first '1'"),
    (ids_twice, {"column": "emb"}, "has no 'emb'; there are: e"),
    (ids_twice, {"ids": "key"}, "has no 'key'; there are: id, e"),
    (text("[1, 2]\n[1"), {}, "line 2 is no JSON"),
    (text('{"a": [1], "b": [2]}'), {}, r"several columns of vectors \(a, b\)"),
    (text('{"a": [1]}\n{"b": [2]}'), {}, "line 2, has no 'a'; there are: b"),
    (text("[1, 2]\n[1]"), {}, "row 1 has shape"),
    (text('["x"]'), {}, "row 0 is no list of numbers"),
    (text("3"), {}, "line 1 holds no vector"),
    (text("c0,c1\n1,x", "a.csv"), {}, "row 0 is no list of numbers"),
    (lambda path: np.save(path / "a.npy", np.ones(3)), {}, r"has shape \(3,\)"),
    (lambda path: np.save(path / "a.npy", np.ones((3, 3), "u1")), {}, "holds uint8"),
    (lambda path: np.save(path / "a.npy", np.ones((3, 3), "u2")), {}, "bfloat16 in"),
    (lambda path: np.save(path / "a.npy", np.ones((3, 3))), {"ids": "i"}, "no columns"),
    *(
        (truncated(name), {}, "whole|Truncated|truncated")
        for name in WRITERS
        if name.rpartition(".")[2]
        in ("npy", "npz", "parquet", "fvecs", "fbin", "safetensors")
    ),
]


@pytest.mark.parametrize(("write", "options", "message"), BAD)
def test_what_cannot_be_read(tmp_path, write, options, message):
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_vectors(tmp_path, **options)[:]


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_invalid_rows_are_left_out(X, tmp_path, kind):
    X[3, 1], X[20, 0], X[7] = np.nan, -np.inf, 0
    path = tmp_path / f"rows.{kind}"
    WRITERS[path.name](X, path)
    for metric, left_out in (("cosine", [3, 7, 20]), ("euclidean", [3, 20])):
        rows = open_vectors(path, skip_invalid=True, metric=metric)
        kept = np.setdiff1d(np.arange(30), left_out)
        assert_array_equal(rows.row_numbers, kept)
        assert_array_equal(rows[:], X[kept])
        BinaryNeighbors(metric=metric, quantizer=BinaryQuantizer()).fit(rows)
    np.save(tmp_path / "none.npy", np.zeros((3, 2)))
    with pytest.raises(ValueError, match="no row can be used"):
        open_vectors(tmp_path / "none.npy", skip_invalid=True)
    with pytest.raises(TypeError, match="skip_invalid"):
        open_vectors(path, skip_invalid="yes")
    with pytest.raises(ValueError, match="metric"):
        open_vectors(path, metric="l2")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.npy"):
        open_vectors(tmp_path / "gone.npy")
    with pytest.raises(ValueError, match="no file matches"):
        open_vectors(str(tmp_path / "*.npy"))
    (tmp_path / "rows.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"of no kind that is read here.*\.parquet"):
        open_vectors(tmp_path / "rows.txt")


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    def fail(name):
        raise ImportError(name)

    monkeypatch.setattr(_parts.importlib, "import_module", fail)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(ImportError, match=r"pip install pyarrow, or skbq\[files\]"):
        open_vectors(tmp_path / "a.parquet")


def test_chunks_are_decoded_once(X, tmp_path, monkeypatch):
    WRITERS["rows.parquet"](X, tmp_path / "rows.parquet")
    groups = []
    read = parquet.ParquetFile.read_row_group

    def count(self, group, **options):
        groups.append(group)
        return read(self, group, **options)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", count)
    rows = open_vectors(tmp_path / "rows.parquet")
    groups.clear()
    for start in range(0, 30, 3):
        rows[start : start + 3]
    assert groups == [0, 1, 2, 3, 4]
    groups.clear()
    rows[np.array([29, 1, 15, 0, 28])]
    assert groups == [0, 2, 4]
