"""Indexes of many files: equal answers, faults, resuming, manifests."""

import json
import os
import pickle
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import check_equal, rotated, rows_with_ties
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    ShardedNeighbors,
    TwoBitQuantizer,
    open_vectors,
)
from skbq._neighbors.file_format import read_mark
from skbq._neighbors.float_queries import OutOfReachError
from skbq._sharding.cutting import cut_shards
from skbq._sharding.manifest import Manifest


@pytest.fixture(scope="module")
def X():
    return rows_with_ties()


KINDS = {
    "1 bit": {"quantizer": BinaryQuantizer()},
    "2 bits": {"quantizer": TwoBitQuantizer(), "code_metric": "hamming"},
    "2 bits, dot": {"quantizer": rotated(TwoBitQuantizer())},
    "float queries": {"quantizer": rotated(BinaryQuantizer()), "query": "vectors"},
    "euclidean": {"query": "vectors", "metric": "euclidean"},
    "inner product": {"query": "vectors", "metric": "inner_product"},
    "PCA codes": {"quantizer": PCAQuantizer(2.0, random_state=0), "query": "vectors"},
    "PCA codes, symmetric": {"quantizer": PCAQuantizer(2.0, random_state=0)},
    "reranked": {"quantizer": BinaryQuantizer(), "oversampling": 2.5},
    "bound": {
        "quantizer": rotated(BinaryQuantizer()),
        "query": "vectors",
        "oversampling": "bound",
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_answers_equal_those_of_one_index(X, queries, folder, name):
    one = BinaryNeighbors(**KINDS[name]).fit(X)
    index = ShardedNeighbors(folder=folder, shard_rows=150, **KINDS[name]).fit(X)
    assert len(index.shard_files_) == 5
    mask = np.arange(len(X)) % 3 > 0
    narrow = np.zeros(len(X), bool)
    narrow[[5, 400, 401]] = True
    for searched in (index, ShardedNeighbors.load(folder, verify=True)):
        check_equal(searched, one, queries)
        check_equal(searched, one, queries, mask=mask)
        check_equal(searched, one, queries, mask=narrow)
    assert index.n_samples_fit_ == len(X)
    assert index.bytes_per_row_ == one.bytes_per_row_
    assert index.vector_bytes_per_row_ == one.vector_bytes_per_row_


@pytest.mark.parametrize("name", ["float queries", "2 bits", "reranked"])
def test_other_searches_equal_those_of_one_index(X, queries, folder, name):
    one = BinaryNeighbors(**KINDS[name]).fit(X)
    index = ShardedNeighbors(folder=folder, shard_rows=200, **KINDS[name]).fit(X)
    radius = float(np.median(one.kneighbors(queries, 9)[0][:, -1]))
    for found, expected in zip(
        index.radius_neighbors(queries, radius),
        one.radius_neighbors(queries, radius),
        strict=True,
    ):
        for mine, theirs in zip(found, expected, strict=True):
            assert_array_equal(mine, theirs)
    graph = index.kneighbors_graph(queries, 3, mode="distance")
    expected = one.kneighbors_graph(queries, 3, mode="distance")
    assert_array_equal(graph.toarray(), expected.toarray())
    if name == "float queries":
        bounds = index.kneighbors(queries, 4, return_bound=True)[2]
        assert_array_equal(bounds, one.kneighbors(queries, 4, return_bound=True)[2])


def test_codes(X, queries, folder):
    quantizer = BinaryQuantizer().fit(X)
    codes, asked = quantizer.transform(X), quantizer.transform(queries)
    index = ShardedNeighbors(folder=folder, shard_rows=150).fit(codes)
    check_equal(index, BinaryNeighbors().fit(codes), asked)
    index.partial_fit(codes[:100])
    both = np.concatenate([X, X[:100]])
    check_equal(index, BinaryNeighbors().fit(quantizer.transform(both)), asked)


def test_files_of_many_kinds(X, queries, folder, tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number, rows in enumerate(np.split(X, 7)):
        vectors = pa.array(list(rows), pa.list_(pa.float32()))
        table = pa.table({"emb": vectors, "key": [f"{number}-{i}" for i in range(100)]})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=30)
    rows = open_vectors(str(tmp_path / "*.parquet"), column="emb", ids="key")
    one = BinaryNeighbors(oversampling=3).fit(X)
    # Files are cut in the middle of row groups.
    index = ShardedNeighbors(folder=folder, shard_rows=70, oversampling=3).fit(rows)
    assert len(index.shard_files_) == 14
    check_equal(index, one, queries)
    assert index.ids_of([0, 699, 101]) == ["0-0", "6-99", "1-1"]


def test_rows_are_added_and_removed(X, queries, folder):
    one = BinaryNeighbors(query="vectors").fit(X[:500]).partial_fit(X[500:])
    index = ShardedNeighbors(folder=folder, shard_rows=150, query="vectors")
    index.fit(X[:500]).partial_fit(X[500:])
    check_equal(index, one, queries)
    gone = [3, 149, 150, 650]
    index.remove(gone)
    one.remove(gone)
    check_equal(index, one, queries)
    check_equal(ShardedNeighbors.load(folder, verify=True), one, queries)
    with pytest.raises(ValueError, match="removed once"):
        index.remove([3])
    index.save(folder.parent / "one.skbq")
    check_equal(BinaryNeighbors.load(folder.parent / "one.skbq"), one, queries)


def test_a_shard_is_an_index_of_its_own(X, queries, folder):
    index = ShardedNeighbors(folder=folder, shard_rows=350).fit(X)
    shard = BinaryNeighbors.load(index.shard_files_[0])
    _, rows = shard.kneighbors(queries, 3)
    assert rows.max() < 350


def test_thresholds_are_not_those_of_the_head(folder, rng):
    X = np.sort(rng.standard_normal((140_000, 3)), axis=0).astype("f4") + 0.1
    index = ShardedNeighbors(
        folder=folder, quantizer=BinaryQuantizer(), metric="euclidean"
    ).fit(X)
    assert np.abs(index.quantizer_.thresholds_ - X.mean(axis=0)).max() < 0.02


@pytest.mark.parametrize("at_files", [False, True])
def test_cutting(at_files):
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(0, 30, 8)
        spans = cut_shards(list(lengths), 12, at_files=at_files)
        rows = [row for span in spans for row in range(span.start, span.stop)]
        assert rows == list(range(lengths.sum()))
        assert all(0 < span.stop - span.start <= 12 for span in spans)
        ends = {span.stop for span in spans}
        if at_files:
            assert set(np.cumsum(lengths)[lengths > 0]) <= ends


# References to vectors


def test_vectors_that_are_referred_to(X, queries, folder, tmp_path):
    one = BinaryNeighbors(oversampling=3).fit(X)
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file, rows in zip(files, np.split(X, [400]), strict=False):
        np.save(file, rows)
    index = ShardedNeighbors(folder=folder, oversampling=3, vectors="refer")
    index.fit(open_vectors(files))
    assert len(index.shard_files_) == 2
    check_equal(index, one, queries)
    size = sum(os.path.getsize(file) for file in index.shard_files_)
    assert size < X.nbytes / 2
    check_equal(ShardedNeighbors.load(folder, verify=True), one, queries)


@pytest.mark.parametrize("order", ["C", "F"])
def test_one_file_refers_too(X, queries, tmp_path, order):
    np.save(tmp_path / "X.npy", np.asarray(X, np.float16, order=order))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    one = BinaryNeighbors(oversampling=3).fit(mapped)
    path = tmp_path / "index.skbq"
    one.save(path, vectors="refer")
    for mmap_mode in (None, "r"):
        loaded = BinaryNeighbors.load(path, mmap_mode=mmap_mode)
        check_equal(loaded, one, queries)
    loaded.save(path, vectors="refer")  # from one that refers already
    check_equal(BinaryNeighbors.load(path), one, queries)
    with open(tmp_path / "X.npy", "r+b") as file:
        file.seek(300)
        file.write(b"\1\2\3")
    with pytest.raises(ValueError, match=r"X\.npy has changed since the index"):
        BinaryNeighbors.load(path)
    BinaryNeighbors.load(path, verify=False)
    (tmp_path / "X.npy").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"X\.npy has changed since the index"):
        BinaryNeighbors.load(path, verify=False)
    (tmp_path / "X.npy").unlink()
    with pytest.raises(ValueError, match=r"X\.npy, which is not there"):
        BinaryNeighbors.load(path, verify=False)


def test_vectors_in_memory_cannot_be_referred_to(X, tmp_path):
    index = BinaryNeighbors(oversampling=3).fit(X)
    with pytest.raises(ValueError, match="mapped from a file.*vectors='copy'"):
        index.save(tmp_path / "index.skbq", vectors="refer")
    assert not list(tmp_path.iterdir())


# Stopped runs


def stop_after(monkeypatch, n_shards, error=KeyboardInterrupt):
    """Let the writing of a shard fail after so many."""
    from skbq._sharding import index as module

    write, left = module.write_shard, [n_shards]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return write(*args, **kwargs)

    monkeypatch.setattr(module, "write_shard", failing)


def test_a_stopped_run_goes_on(X, queries, folder, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("shard*")}
    assert len(before) == 2
    with pytest.raises(ValueError, match=r"not finished: 2 shards.*resume=True"):
        ShardedNeighbors.load(folder)
    with pytest.raises(FileExistsError, match="resume=True"):
        ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    index = ShardedNeighbors(folder=folder, shard_rows=150, resume=True).fit(X)
    for path, written in before.items():
        assert path.stat().st_mtime_ns == written
    check_equal(index, BinaryNeighbors().fit(X), queries)
    assert ShardedNeighbors.load(folder).n_samples_fit_ == len(X)


def test_going_on_keeps_what_was_learned(X, queries, folder, monkeypatch):
    quantizer = rotated(BinaryQuantizer())
    quantizer[0].set_params(random_state=None)  # another rotation at each fit
    make = {"folder": folder, "shard_rows": 150, "quantizer": quantizer}
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            ShardedNeighbors(**make).fit(X)
    index = ShardedNeighbors(**make, resume=True).fit(X)
    frozen = FrozenEstimator(index.quantizer_)
    check_equal(index, BinaryNeighbors(quantizer=frozen).fit(X), queries)


KILLED = """
import os, signal, sys, numpy as np
from skbq import ShardedNeighbors
from skbq._neighbors import file_format
folder, moment = sys.argv[1:]
replace = os.replace
def killed(source, target):
    if os.path.basename(target) == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = killed
X = np.load(os.path.join(os.path.dirname(folder), "X.npy"))
ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_run_leaves_no_file_that_looks_whole(X, queries, folder):
    np.save(folder.parent / "X.npy", X)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), "shard-00002.skbq"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.glob("shard-*.skbq"))) == 2
    assert list(folder.glob(".shard-00002.skbq.*"))
    with pytest.raises(ValueError, match="not finished"):
        ShardedNeighbors.load(folder)
    index = ShardedNeighbors(folder=folder, shard_rows=150, resume=True).fit(X)
    check_equal(index, BinaryNeighbors().fit(X), queries)
    assert not list(folder.glob(".*"))


def test_a_full_disk(X, queries, folder, monkeypatch):
    index = ShardedNeighbors(folder=folder, shard_rows=150)
    from skbq._neighbors import file_format

    replace = os.replace

    def full(source, target):
        if Path(target).name == "shard-00003.skbq":
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(file_format.os, "replace", full)
        with pytest.raises(OSError, match=r"cannot write .*00003\.skbq: No space"):
            index.fit(X)
    assert sorted(p.name for p in folder.iterdir()) == [
        "learned.skbq",
        "manifest.json",
        *(f"shard-0000{i}.skbq" for i in range(3)),
    ]
    index = index.set_params(resume=True).fit(X)
    check_equal(index, BinaryNeighbors().fit(X), queries)


def test_adding_is_all_or_nothing(X, queries, folder, monkeypatch):
    index = ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            index.partial_fit(X)
    check_equal(ShardedNeighbors.load(folder), BinaryNeighbors().fit(X), queries)
    index.partial_fit(X[:10])
    assert ShardedNeighbors.load(folder, verify=True).n_samples_fit_ == 710


# What cannot be used


def test_rows_that_changed(X, folder, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    other = X.copy()
    other[200] += 1
    index = ShardedNeighbors(folder=folder, shard_rows=150, resume=True)
    with pytest.raises(ValueError, match=r"has changed since.*shard-00001\.skbq"):
        index.fit(other)
    with pytest.raises(ValueError, match="other rows, or shard_rows"):
        index.set_params(shard_rows=100).fit(X)
    with pytest.raises(ValueError, match="begun with other parameters"):
        index.set_params(query="vectors").fit(X)
    with pytest.raises(ValueError, match="width"):
        index.set_params(query="codes").fit(X[:, :8])


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "NaN"), (np.inf, "infinity"), (0.0, "rows of zeros")],
)
def test_rows_that_cannot_be_encoded_are_named(X, folder, tmp_path, value, message):
    other = X.copy()
    other[650] = value
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file, rows in zip(files, np.split(other, [400]), strict=False):
        np.save(file, rows)
    with pytest.raises(ValueError, match=rf"{message}.*b\.npy: row 250\."):
        ShardedNeighbors(folder=folder).fit(open_vectors(files))
    frozen = FrozenEstimator(TwoBitQuantizer().fit(X))
    index = ShardedNeighbors(
        folder=tmp_path / "array", shard_rows=150, quantizer=frozen
    )
    with pytest.raises(ValueError, match=rf"{message}.*array: row 650\."):
        index.fit(other)
    big = np.tile(X, (200, 1))  # a sample may miss the row
    big[139_000] = value
    np.save(files[0], big)
    with pytest.raises(ValueError, match=rf"{message}.*a\.npy: row 139000\."):
        ShardedNeighbors(folder=tmp_path / "other").fit(open_vectors(files[0]))


def test_rows_far_beyond_what_corrections_reach_are_named(
    X, folder, tmp_path, monkeypatch
):
    from skbq._neighbors import encoding

    # The first rows, from which ranges are learned again, are few.
    monkeypatch.setattr(encoding, "_BLOCK_BYTES", 2**12)
    make = {"shard_rows": 150, "query": "vectors", "metric": "euclidean"}
    # What is learned from is not what is far: as in a sample that missed it.
    quantizer = FrozenEstimator(TwoBitQuantizer().fit(X))
    other = X.copy()
    other[[650, 652]] *= 1e8
    index = ShardedNeighbors(folder=folder, quantizer=quantizer, **make)
    with pytest.raises(OutOfReachError, match=r"the array: rows 650, 652\).*'exact'"):
        index.fit(other)
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file, rows in zip(files, np.split(other, [400]), strict=True):
        np.save(file, rows)
    index.set_params(folder=tmp_path / "files")
    with pytest.raises(OutOfReachError, match=r"b\.npy: rows 250, 252\)") as caught:
        index.fit(open_vectors(files))
    again = pickle.loads(pickle.dumps(caught.value))  # as workers send it
    assert str(again) == str(caught.value)
    # What is whole stays, and exact corrections reach everything.
    assert len(list((tmp_path / "files").glob("shard-*.skbq"))) == 4
    exact = {"query": "vectors", "metric": "euclidean", "corrections": "exact"}
    one = BinaryNeighbors(quantizer=quantizer, **exact).fit(other)
    index.set_params(folder=tmp_path / "exact", corrections="exact").fit(other)
    check_equal(index, one, X[::9])


def test_a_shard_that_is_another(X, queries, folder):
    index = ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    path = Path(index.shard_files_[1])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"shard-00001\.skbq is not the file"):
        ShardedNeighbors.load(folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"shard-00001\.skbq was altered"):
        ShardedNeighbors.load(folder, verify=True)
    path.write_bytes(Path(index.shard_files_[2]).read_bytes())
    with pytest.raises(ValueError, match=r"shard-00001\.skbq is not the file"):
        ShardedNeighbors.load(folder).kneighbors(queries)
    path.unlink()
    with pytest.raises(ValueError, match=r"shard-00001\.skbq is missing"):
        ShardedNeighbors.load(folder)


def test_a_manifest_that_was_altered(X, folder):
    ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    path = folder / "manifest.json"
    body = json.loads(path.read_text())
    assert [shard["rows"] for shard in body["shards"]] == [140] * 5
    assert Manifest.read(folder).first_rows == [0, 140, 280, 420, 560, 700]
    body["shards"][0]["rows"] = 141
    for text in (json.dumps(body), "{}", "[]", "", path.read_text()[:-9]):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json was cut short or alter"):
            ShardedNeighbors.load(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        ShardedNeighbors.load(folder)


def write_sealed(path, body):
    """Write a manifest whose checksum is right."""
    body = {name: value for name, value in body.items() if name != "crc32"}
    checksum = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    path.write_text(json.dumps({**body, "crc32": checksum}))


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../shard-00001.skbq"},
        {"file": "/etc/shard-00001.skbq"},
        {"file": ["shard-00001.skbq"]},
        {"source": 3},
        {"rows": "140"},
        {"rows": True},
        {"rows": 2**60},
        {"removed": -1},
        {"removed": 141},
        {"size": 1.5},
        {"more": 1},
    ],
    ids=str,
)
def test_a_manifest_that_was_forged(X, folder, change):
    """What a manifest cannot say is refused, whatever its checksum."""
    ShardedNeighbors(folder=folder, shard_rows=150).fit(X)
    path = folder / "manifest.json"
    body = json.loads(path.read_text())
    write_sealed(path, body)
    assert ShardedNeighbors.load(folder).n_samples_fit_ == 700
    body["shards"][1].update(change)
    write_sealed(path, body)
    with pytest.raises(ValueError, match=r"manifest\.json was cut short or alter"):
        ShardedNeighbors.load(folder)


def test_a_shard_with_other_rows(X, folder):
    """Shards of other rows, or of another kind, than the manifest lists."""
    ShardedNeighbors(folder=folder, shard_rows=150, query="vectors").fit(X)
    path, queries = folder / "manifest.json", X[:3]
    body = json.loads(path.read_text())
    body["shards"][1]["rows"] = 139
    write_sealed(path, body)
    with pytest.raises(ValueError, match=r"shard-00001\.skbq is not the file"):
        ShardedNeighbors.load(folder).kneighbors(queries)
    other = BinaryNeighbors(query="vectors")
    for rows in (X[:140, :15], X[:140]):
        if rows.shape[1] == 20:
            other.set_params(corrections="exact")
        other.fit(rows).save(folder / "shard-00001.skbq")
        size, checksum = read_mark(folder / "shard-00001.skbq")
        body["shards"][1].update(rows=140, size=size, checksum=checksum)
        write_sealed(path, body)
        with pytest.raises(ValueError, match=r"shard-00001\.skbq is not the file"):
            ShardedNeighbors.load(folder).kneighbors(queries)


def test_parameters(X, folder):
    with pytest.raises(ValueError, match="folder must be given"):
        ShardedNeighbors().fit(X)
    with pytest.raises(ValueError, match="'vectors' parameter.*'copy', 'refer'"):
        ShardedNeighbors(folder=folder, vectors="none").fit(X)
    with pytest.raises(ValueError, match="'shard_rows'"):
        ShardedNeighbors(folder=folder, shard_rows=0).fit(X)
    assert not folder.exists()
    index = ShardedNeighbors(folder=folder).fit(X)
    with pytest.raises(ValueError, match="X=None is for an index in one file"):
        index.kneighbors()


def test_opening_takes_milliseconds(folder, rng):
    """No shard is opened, and no array is read, before it is searched."""
    from skbq._sharding import search

    index = ShardedNeighbors(folder=folder, shard_rows=100)
    index.fit(rng.standard_normal((300, 8)))
    search._open.cache_clear()
    opened = ShardedNeighbors.load(folder)
    assert search._open.cache_info().currsize == 0
    assert opened.n_samples_fit_ == 300
