"""Files of codes that engines read, read and searched by the engines themselves."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import (
    lacks_console,
    nearest,
    off_origin,
    recall,
    run_console,
    run_search,
    started,
)
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    RandomRotation,
    TwoBitQuantizer,
    as_codes,
)
from skbq.cli import main
from skbq.datasets import load_wordnet_minilm
from skbq.exports import TARGETS, Prepare, write_for

# DuckDB and others warn of Python's own future.
pytestmark = pytest.mark.filterwarnings("ignore")

N_ROWS, N_QUERIES, K = 1200, 60, 10
D = 99  # codes end within a byte
METRICS = ("cosine", "euclidean", "inner_product")
GRAPH_LOSS = 0.005  # a graph may skip a row
EXPECTED = {
    "duckdb": {"items.duckdb", "query.sql"},
    "faiss": {"items.faiss"},
    "parquet": {"items.parquet", "query.sql"},
    "pgvector": {"items.copy", "load.sql", "query.sql"},
    "redis": {"items.resp", "load.sh", "query.sh"},
    "sqlite-vec": {"items.db", "query.sql"},
    "usearch": {"items.usearch"},
}


@pytest.fixture(scope="module")
def data():
    glosses = load_wordnet_minilm()
    vectors = np.ascontiguousarray(glosses.data[:N_ROWS, :D])
    return off_origin(vectors, np.ascontiguousarray(glosses.queries[:N_QUERIES, :D]))


@pytest.fixture(scope="module", params=TARGETS)
def engine(request, tmp_path_factory):
    """Start what reads a target; give the target and what runs its program."""
    reader = "duckdb" if request.param == "parquet" else request.param
    with started(reader, tmp_path_factory.mktemp("server")):
        yield request.param


def fitted(metric, vectors, *, rotate=True, threshold="mean", oversampling=10.0):
    steps = [RandomRotation(random_state=3)] if rotate else []
    quantizer = make_pipeline(*steps, BinaryQuantizer(threshold))
    return BinaryNeighbors(
        K, quantizer=quantizer, metric=metric, oversampling=oversampling
    ).fit(vectors)


def recall_of_sure(index, vectors, queries):
    """Return the recall of rows that are candidates however ties of codes fall.

    They are strictly nearer than the last candidate.
    """
    n_candidates = int(K * (index.oversampling or 1))
    sure = sure_candidates(prepared(index), index.codes_, queries, n_candidates)
    return share_of_nearest(sure, vectors, queries, index.metric)


def sure_candidates(prepare, codes, queries, n):
    apart = np.bitwise_count(prepare.codes(queries)[:, None] ^ np.asarray(codes))
    apart = apart.sum(axis=2, dtype=int)
    return apart < np.partition(apart, n - 1, axis=1)[:, n - 1 : n]


def share_of_nearest(rows, vectors, queries, metric):
    near = nearest(vectors, queries, metric)
    return np.minimum((rows & near).sum(axis=1), K).mean() / K


def prepared(index):
    return Prepare.from_quantizer(index.quantizer_, metric=index.metric)


def write(target, folder, index, vectors, **options):
    given = {
        "prepare": prepared(index),
        "vectors": None if index.oversampling is None else vectors,
        "oversampling": index.oversampling,
        "metric": index.metric,
    }
    return write_for(target, folder, index.codes_, **(given | options))


@pytest.mark.parametrize("metric", METRICS)
def test_engine_finds_what_skbq_finds(engine, metric, data, tmp_path):
    vectors, queries = data
    index = fitted(metric, vectors)
    files = write(engine, tmp_path, index, vectors)
    assert all(path.exists() for path in files)
    neighbors = run_search(engine, tmp_path, queries)
    assert neighbors.shape == (N_QUERIES, K)
    expected = recall_of_sure(index, vectors, queries)
    assert recall(neighbors, vectors, queries, metric) >= expected - GRAPH_LOSS


@pytest.mark.parametrize("ids", ["numbers", "text"])
@pytest.mark.parametrize("oversampling", [None, 10.0])
def test_rows_are_called_by_their_ids(engine, ids, oversampling, data, tmp_path):
    vectors, queries = data
    names = 10**12 + 7 * np.arange(N_ROWS)[::-1]
    if ids == "text":
        names = np.array([f"gloss\t{i} é'" for i in names])
    index = fitted("cosine", vectors, rotate=False, oversampling=oversampling)
    write(engine, tmp_path, index, vectors, ids=names)
    found = run_search(engine, tmp_path, queries)
    rows = {name: row for row, name in enumerate(names.tolist())}
    neighbors = np.array([[rows[name] for name in line] for line in found.tolist()])
    expected = recall_of_sure(index, vectors, queries)
    assert recall(neighbors, vectors, queries, "cosine") >= expected - GRAPH_LOSS


def test_codes_of_a_linear_map_are_found(engine, data, tmp_path):
    """Fewer bits than coordinates, as an advisor's export prepares them."""
    vectors, queries = data
    mean = vectors.mean(axis=0)
    axes = np.linalg.svd(vectors - mean, full_matrices=False)[2][:44].T
    prepare = Prepare(linear_map=(axes, mean @ axes)).fit(vectors)
    codes = as_codes(prepare.codes(vectors), n_features=44)
    options = {"vectors": vectors, "oversampling": 20.0, "metric": "euclidean"}
    write_for(engine, tmp_path, codes, prepare=prepare, **options)
    neighbors = run_search(engine, tmp_path, queries)
    sure = sure_candidates(prepare, codes, queries, 20 * K)
    expected = share_of_nearest(sure, vectors, queries, "euclidean")
    assert recall(neighbors, vectors, queries, "euclidean") >= expected - GRAPH_LOSS
    assert expected > 0.7


@pytest.mark.parametrize("oversampling", [None, 10.0])
def test_console_statements_find_the_same(engine, oversampling, data, tmp_path):
    """What is pasted into the console finds the last row itself first."""
    vectors, _ = data
    index = fitted("euclidean", vectors, oversampling=oversampling)
    write(engine, tmp_path, index, vectors)
    run_search(engine, tmp_path, vectors[:1])  # loads what must be loaded
    query = next(tmp_path.glob("query.s*"), None)
    if query is None:
        assert engine in ("faiss", "usearch")
        return
    if missing := lacks_console(engine):
        pytest.skip(f"{engine}: {missing} not installed")
    lines = run_console(engine, query.read_text(), tmp_path)
    assert lines[0] == str(N_ROWS - 1)
    n = K if oversampling is None or engine != "redis" else 100
    assert len(set(lines)) == n


@pytest.mark.parametrize("target", ["parquet", "pgvector", "redis"])
def test_files_are_there_and_said(target, data, tmp_path):
    """These are written by libraries that tests have anyway."""
    vectors, _ = data
    folder = tmp_path / "new" / "folder"
    files = write(target, folder, fitted("cosine", vectors), vectors)
    names = {path.name for path in files}
    programs = {"search.py", "prepare.py", "prepare.npz", "prepare.joblib"}
    assert names == EXPECTED[target] | programs
    here = {path.name for path in folder.iterdir()}
    assert here - names <= {"query.json", "query_code.bits", "query_code.bin"}


def test_bytes_of_codes_are_unchanged(data, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    vectors, _ = data
    index = fitted("cosine", vectors)
    write("parquet", tmp_path, index, vectors)
    table = parquet.read_table(tmp_path / "items.parquet")
    code, embedding = table["code"], table["embedding"]
    assert str(code.type) == f"fixed_size_binary[{-(-D // 8)}]"
    assert str(embedding.type) == f"fixed_size_list<element: float>[{D}]"
    plain = np.frombuffer(b"".join(code.to_pylist()), np.uint8)
    np.testing.assert_array_equal(plain.reshape(N_ROWS, -1), np.asarray(index.codes_))
    stored = np.array(embedding.to_pylist(), np.float32)
    np.testing.assert_array_equal(stored, vectors)
    for target, file in (("pgvector", "items.copy"), ("redis", "items.resp")):
        write(target, tmp_path / target, index, vectors)
        content = (tmp_path / target / file).read_bytes()
        order = ">f4" if target == "pgvector" else "<f4"
        assert content.count(vectors[7].astype(order).tobytes()) == 1
        if target == "pgvector":
            assert np.asarray(index.codes_)[7].tobytes() in content


def test_writing_again_leaves_nothing_of_before(engine, data, tmp_path):
    vectors, queries = data
    for n in (N_ROWS, 50):
        index = fitted("cosine", vectors[:n])
        write(engine, tmp_path, index, vectors[:n])
    found = run_search(engine, tmp_path, queries)
    assert found.max() < 50


def test_a_memory_map_is_read_in_blocks(data, tmp_path, monkeypatch):
    from skbq.exports import _write_for

    monkeypatch.setattr(_write_for, "_BLOCK_ROWS", 500)
    vectors, _ = data
    np.save(tmp_path / "rows.npy", vectors)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    index = fitted("cosine", vectors)
    for folder, rows in (("a", mapped), ("b", vectors)):
        write("pgvector", tmp_path / folder, index, rows)
    content = [(tmp_path / f / "items.copy").read_bytes() for f in ("a", "b")]
    assert content[0] == content[1]


# Prepare.from_quantizer


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", [None, "haar", "dct", "hadamard"])
@pytest.mark.parametrize("threshold", ["mean", "median", "zero"])
def test_prepare_encodes_as_the_quantizer_did(metric, method, threshold, data):
    vectors, _ = data
    steps = [RandomRotation(method, random_state=5)] * (method is not None)
    quantizer = make_pipeline(*steps, BinaryQuantizer(threshold))
    index = BinaryNeighbors(quantizer=quantizer, metric=metric).fit(vectors)
    prepare = Prepare.from_quantizer(index.quantizer_, metric=metric)
    same = np.unpackbits(prepare.codes(vectors)) == np.unpackbits(
        np.asarray(index.codes_)
    )
    assert same.mean() > 0.9999
    assert prepare.center == (threshold != "zero")
    assert prepare.unit == (metric == "cosine" and threshold != "zero")


@pytest.mark.parametrize(
    "quantizer",
    [TwoBitQuantizer(), PCAQuantizer(1.0, random_state=0)],
)
def test_prepare_refuses_other_quantizers(quantizer, data):
    quantizer.fit(data[0])
    with pytest.raises(ValueError, match=r"must be a BinaryQuantizer.*Got \["):
        Prepare.from_quantizer(quantizer)


# Bad input.


@pytest.fixture(scope="module")
def plain(data):
    codes = BinaryQuantizer("zero").fit_transform(data[0])
    return codes, Prepare().fit(data[0])


@pytest.mark.parametrize("target", ["qdrant", "nothing"])
def test_unknown_target_names_the_known(target, plain, tmp_path):
    codes, prepare = plain
    with pytest.raises(ValueError, match=r"duckdb.*usearch.*Got '(qdrant|nothing)'"):
        write_for(target, tmp_path / "new", codes, prepare=prepare)
    with pytest.raises(TypeError, match="Got 3 instead"):
        write_for(3, tmp_path / "new", codes, prepare=prepare)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("target", TARGETS)
def test_codes_that_are_not_one_bit(target, plain, data, tmp_path):
    codes, prepare = plain
    two = TwoBitQuantizer().fit_transform(data[0])
    mixed = PCAQuantizer(2.0, random_state=0).fit(data[0]).transform(data[0])
    for other in (two, mixed):
        with pytest.raises(ValueError, match=rf"{target} takes one bit.*Got .*bits? "):
            write_for(target, tmp_path / "new", other, prepare=prepare)
    with pytest.raises(TypeError, match=r"Got ndarray instead.*as_codes"):
        write_for(target, tmp_path / "new", np.asarray(codes), prepare=prepare)
    assert not (tmp_path / "new").exists()


def bad(plain, data, tmp_path, **options):
    codes, prepare = plain
    given = {"prepare": prepare, "vectors": data[0], "oversampling": 4.0}
    write_for("pgvector", tmp_path, codes, **(given | options))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"vectors": None}, ValueError, "Got no vectors: give both, or neither"),
        ({"oversampling": None}, ValueError, "Got no oversampling: give both"),
        ({"oversampling": 0.5}, ValueError, r"'oversampling' parameter.*Got 0\.5"),
        ({"vectors": np.ones((3, 5))}, ValueError, r"of shape \(1200, 99\).*\(3, 5\)"),
        (
            {"vectors": np.full((N_ROWS, D), np.nan)},
            ValueError,
            "vectors hold NaN or infinity",
        ),
        ({"metric": "l2"}, ValueError, r"'metric' parameter.*Got 'l2'"),
        ({"n_neighbors": 0}, ValueError, r"'n_neighbors' parameter.*Got 0"),
        ({"ids": np.zeros(N_ROWS, int)}, ValueError, "0 comes 1200 times"),
        ({"ids": np.arange(3)}, ValueError, r"ids must be 1200.*Got shape \(3,\)"),
        ({"ids": np.linspace(0, 1, N_ROWS)}, TypeError, "whole numbers or text"),
        ({"prepare": None}, TypeError, "Got NoneType instead"),
        ({"prepare": Prepare()}, ValueError, r"call prepare\.fit\(vectors\) first"),
        (
            {"prepare": Prepare().fit(np.ones((2, 8)))},
            ValueError,
            "prepare encodes 8 coordinates, but codes are of 99",
        ),
    ],
)
def test_bad_input(options, error, message, plain, data, tmp_path):
    with pytest.raises(error, match=message):
        bad(plain, data, tmp_path, **options)


def test_limits_of_the_engine_hold(tmp_path):
    wide = as_codes(np.zeros((2, 2001), np.uint8), n_features=16_008)
    prepare = Prepare().fit(np.ones((2, 16_008)))
    with pytest.raises(ValueError, match=r"pgvector takes.*Got 16,008"):
        write_for("pgvector", tmp_path, wide, prepare=prepare)


@pytest.mark.parametrize(
    ("target", "library", "extra"),
    [
        ("faiss", "faiss", "engines"),
        ("usearch", "usearch.index", "engines"),
        ("sqlite-vec", "sqlite_vec", "engines"),
        ("duckdb", "duckdb", "engines"),
        ("parquet", "pyarrow.parquet", "files"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    target, library, extra, plain, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, library, None)
    codes, prepare = plain
    with pytest.raises(ImportError, match=rf"{library}.*skbq\[{extra}\]"):
        write_for(target, tmp_path, codes, prepare=prepare)


# The command.


@pytest.fixture
def folder(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", data[0])
    return tmp_path


def test_command_writes_what_the_function_writes(folder, data, capsys):
    argv = ["encode", "rows.npy", "-o", "items", "--to", "pgvector"]
    assert main([*argv, "--rotate", "--oversampling", "4"]) == 0
    out = capsys.readouterr().out
    assert f"items/items.copy: {N_ROWS:,} rows for pgvector" in out
    for name in ("load.sql", "query.sql", "search.py", "prepare.py"):
        assert name in out
        assert (Path("items") / name).exists()
    quantizer = make_pipeline(RandomRotation(random_state=0), BinaryQuantizer())
    index = BinaryNeighbors(quantizer=quantizer, oversampling=4).fit(data[0])
    write("pgvector", folder / "same", index, data[0])
    for name in ("items.copy", "load.sql", "search.py", "query.json"):
        mine, own = (Path(f) / name for f in ("items", "same"))
        assert mine.read_bytes() == own.read_bytes()


def test_command_takes_what_an_index_has_learned(folder, data, capsys):
    np.save("more.npy", data[0][:100] + 1)
    shared = ["--metric", "euclidean", "--bits", "1"]
    assert main(["encode", "rows.npy", "-o", "index", *shared]) == 0
    argv = ["encode", "more.npy", "--like", "index", "--to", "parquet", "-o", "more"]
    assert main(argv) == 0
    parquet = pytest.importorskip("pyarrow.parquet")
    codes = b"".join(parquet.read_table("more/items.parquet")["code"].to_pylist())
    index = BinaryNeighbors.load("index")
    expected = index.quantizer_.transform(data[0][:100] + 1)
    assert codes == np.asarray(expected).tobytes()


def test_command_keeps_ids(folder, data):
    import pandas

    frame = pandas.DataFrame(
        {"e": list(data[0][:50]), "name": [f"n{i}" for i in range(50)]}
    )
    frame.to_parquet("named.parquet")
    argv = ["encode", "named.parquet", "--ids", "name", "--column", "e", "-o", "items"]
    assert main([*argv, "--to", "redis"]) == 0
    assert b"\r\n$3\r\nn49\r\n" in (folder / "items" / "items.resp").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "nothing"], "invalid choice"),
        (["--to", "pgvector", "--bits", "2"], "--to pgvector takes one bit"),
        (["--to", "pgvector", "--lloyd-max"], "--to pgvector takes one bit"),
        (["--to", "pgvector", "--query", "vectors"], "symmetric search"),
        (["--to", "pgvector", "-o", "no/such"], "there is no folder no"),
        (["--to", "pgvector", "-o", "rows.npy"], "is a file"),
        (["--to", "pgvector", "-o", "."], "is no empty folder.*--force"),
        (
            ["--to", "pgvector", "--like", "two"],
            r"must be a BinaryQuantizer.*Got \['TwoBit",
        ),
    ],
)
def test_command_refuses(options, message, folder, capsys):
    assert main(["encode", "rows.npy", "-o", "two", "--bits", "2", "-q"]) == 0
    try:
        status = main(["encode", "rows.npy", "-o", "items", *options])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))
    assert not Path("items").exists() or not any(Path("items").iterdir())
