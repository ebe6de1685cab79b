"""Commands over many files of every kind, each written by its own library."""

import glob

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from vector_writers import WRITERS, write_bin, write_vecs

from skbq import BinaryNeighbors, ShardedNeighbors
from skbq._readers import KINDS
from skbq.cli import main

parquet = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")

# Three files of 30 rows; shards of 24 end in the middle of them.
N_FILES = 3
# How the vectors are told from other columns, where a file has any.
COLUMN, IDS_TOO = ["--column", "e"], ["--ids", "id"]
OPTIONS = {
    "csv": COLUMN,
    "h5": ["--column", "train"],
    "hdf5": ["--column", "train"],
    "npz": COLUMN,
    "parquet": COLUMN,
    "arrow": COLUMN,
    "feather": COLUMN,
    "jsonl": COLUMN,
    "ndjson": COLUMN,
    "safetensors": COLUMN,
}
OPTIONS_BY_NAME = {
    "one.npz": [],
    "wide.parquet": [],
    # Text that is no vector must be named; it differs between files.
    "wide.csv": IDS_TOO,
    "wide.tsv": IDS_TOO,
}
WHOLE_NUMBERS = {
    "rows.bvecs": (np.uint8, write_vecs),
    "rows.ivecs": (np.int32, write_vecs),
    "rows.u8bin": (np.uint8, write_bin),
    "rows.i8bin": (np.int8, write_bin),
}
OTHER_ENDINGS = {"rows.ndjson": "rows.jsonl", "rows.hdf5": "rows.h5"}


@pytest.fixture
def X(rng):
    return rng.standard_normal((30 * N_FILES, 8)).astype(np.float32)


def write_files(X, folder, name):
    """Write some rows to each of three files, and return rows as they are read."""
    stem, _, ending = name.rpartition(".")
    if name in WHOLE_NUMBERS:
        dtype, write = WHOLE_NUMBERS[name]
        X = np.clip(np.rint(40 * X + 50), 0, 120).astype(dtype)
    else:
        write = WRITERS[OTHER_ENDINGS.get(name, name)]
    folder.mkdir()
    for number, rows in enumerate(np.split(X, N_FILES)):
        path = folder / f"{stem}-{number}.{ending}"
        write(rows, path)
        if ending in ("csv", "tsv"):
            path.write_text(path.read_text().replace("doc-", f"{number}-"))
    return X.astype(np.float32)


@pytest.mark.parametrize("name", [*WRITERS, *WHOLE_NUMBERS, *OTHER_ENDINGS])
def test_many_files_are_encoded_as_one_array(X, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    seen, kind = write_files(X, tmp_path / "in", name), name.rpartition(".")[2]
    pattern = f"in/*.{kind}"
    options = OPTIONS_BY_NAME.get(name, OPTIONS.get(kind, []))
    options = [*options, "--query", "vectors", "--shard-rows", "24"]
    one = BinaryNeighbors(10, query="vectors").fit(seen)
    expected = one.kneighbors(seen[::7])
    # A shell gives the files, or no shell does and the pattern is given; a folder.
    for number, files in enumerate((sorted(glob.glob(pattern)), [pattern], ["in"])):
        assert main(["encode", *files, "-o", f"out{number}/", *options]) == 0
        assert f"{len(X)} rows in 6 shards" in capsys.readouterr().out
        index = ShardedNeighbors.load(f"out{number}", verify=True)
        found = index.kneighbors(seen[::7], 10)
        for mine, theirs in zip(found, expected, strict=True):
            assert_array_equal(mine, theirs)


def test_every_kind_is_tried():
    names = (*WRITERS, *WHOLE_NUMBERS, *OTHER_ENDINGS)
    assert {f".{name.rpartition('.')[2]}" for name in names} == set(KINDS)


def write_rows(X, folder):
    """Write Parquet files of several row groups, with identifiers."""
    folder.mkdir()
    for number, rows in enumerate(np.split(X, N_FILES)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), X.shape[1])
        ids = [f"{number}/{row}" for row in range(len(rows))]
        whole = pa.table({"doc": ids, "emb": vectors})
        parquet.write_table(whole, folder / f"{number}.parquet", row_group_size=70)


def test_all_commands_read_many_files(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    X = (rng.standard_normal((600, 16)) * np.geomspace(2, 0.5, 16)).astype("f4")
    write_rows(X, tmp_path / "in")
    np.save("whole.npy", X)
    queries = X[:40] + np.float32(0.01)
    write_rows(queries[:39], tmp_path / "queries")
    np.save("queries.npy", queries[:39])
    many = ["in/*.parquet", "--column", "emb"]

    def output(*argv):
        capsys.readouterr()
        assert main([*argv]) == 0
        return capsys.readouterr().out

    assert "600 rows" in output("encode", *many, "--ids", "doc", "-o", "index/")
    output("encode", "whole.npy", "-o", "whole.skbq")
    by_id = output("search", "index/", "queries/*.parquet", "--column", "emb")
    assert "\t2/" in by_id
    output("search", "index/", "queries.npy", "-o", "many.npz")
    output("search", "whole.skbq", "queries.npy", "-o", "one.npz")
    with np.load("many.npz") as mine, np.load("one.npz") as theirs:
        assert_array_equal(mine["rows"], theirs["rows"])
        assert_array_equal(mine["distances"], theirs["distances"])
    mine, theirs = (
        [line for line in output("profile", *files).splitlines() if "in/" not in line]
        for files in (many, ["in"])
    )
    assert mine == theirs
    assert "600 rows" in output("profile", *many)
    assert "Recommended" in output("advise", *many, "--neighbors", "5")
