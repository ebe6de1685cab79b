"""The index on dask: a cluster of two processes answers as one machine does."""

import builtins
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers import check_equal, queries_near, rotated, rows_with_ties
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

import skbq
from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    HeterogeneityProfiler,
    PCAQuantizer,
    QuantizationAdvisor,
    ShardedNeighbors,
    TwoBitQuantizer,
    open_vectors,
)

da = pytest.importorskip("dask.array")
pytest.importorskip("distributed")

from distributed import get_task_stream  # noqa: E402

from skbq import distributed  # noqa: E402

pytestmark = [pytest.mark.distributed, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def X():
    return rows_with_ties()


@pytest.fixture(scope="module")
def queries(X):
    return queries_near(X)


@pytest.fixture
def lazy(X):
    return da.from_array(X, chunks=((150, 0, 301, 249), (10, 10)))


LISTS = {"algorithm": "ivf", "n_lists": 8, "n_probes": 2, "random_state": 0}
KINDS = {
    "1 bit": {"quantizer": BinaryQuantizer()},
    "2 bits": {"quantizer": rotated(TwoBitQuantizer())},
    "float queries": {"quantizer": rotated(BinaryQuantizer()), "query": "vectors"},
    "inner product": {"query": "vectors", "metric": "inner_product"},
    "PCA codes": {"quantizer": PCAQuantizer(2.0, random_state=0), "query": "vectors"},
    "reranked": {"quantizer": BinaryQuantizer(), "oversampling": 2.5},
    "bound": {
        "quantizer": rotated(BinaryQuantizer()),
        "query": "vectors",
        "oversampling": "bound",
    },
    "1 bit in lists": {"quantizer": BinaryQuantizer(), **LISTS},
    "2 bits in lists, float queries": {"query": "vectors", **LISTS},
    "PCA codes in lists": {
        "quantizer": PCAQuantizer(2.0, random_state=0),
        "query": "vectors",
        **LISTS,
    },
    "in lists, reranked": {"quantizer": BinaryQuantizer(), "oversampling": 2, **LISTS},
}


@pytest.mark.parametrize("name", KINDS)
def test_answers_equal_those_of_one_machine(client, X, lazy, queries, name):
    one = BinaryNeighbors(**KINDS[name]).fit(X)
    index = distributed.BinaryNeighbors(**KINDS[name]).fit(lazy)
    assert index.n_samples_fit_ == len(X)
    check_equal(index, one, queries)
    check_equal(index, one, queries, mask=np.arange(len(X)) % 3 > 0)
    narrow = np.zeros(len(X), bool)
    narrow[[5, 400, 401]] = True
    check_equal(index, one, queries, mask=narrow)
    # Shards have beginnings of lists, and a last block of 64 rows, of their own.
    more = 6 if "algorithm" in KINDS[name] else 0
    assert 0 <= index.bytes_per_row_ - one.bytes_per_row_ <= more


@pytest.mark.parametrize("lists", [{}, LISTS], ids=["brute", "lists"])
@pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
def test_codes(client, X, lazy, queries, quantizer, lists):
    quantizer = clone(quantizer).fit(X)
    dtype = quantizer.transform(X[:1]).dtype
    codes = lazy.rechunk({1: -1}).map_blocks(
        quantizer.transform, dtype=dtype, chunks=(lazy.chunks[0], (3,))
    )
    index = distributed.BinaryNeighbors(**lists).fit(codes)
    one = BinaryNeighbors(**lists).fit(quantizer.transform(X))
    asked = quantizer.transform(queries)
    check_equal(index, one, asked)
    check_equal(index, one, asked, mask=np.arange(len(X)) % 5 > 2)
    plain = codes.map_blocks(np.asarray, dtype=dtype)
    with pytest.raises(ValueError, match="as_codes"):
        distributed.BinaryNeighbors().fit(plain)


@pytest.mark.filterwarnings("ignore:lists do not separate:UserWarning")
def test_lists_are_saved_and_added_to(client, X, lazy, queries, tmp_path):
    make = {"query": "vectors", **LISTS}
    one = BinaryNeighbors(**make).fit(X).partial_fit(X[:90])
    more = da.from_array(X[:90], chunks=(50, -1))
    held = distributed.BinaryNeighbors(**make).fit(lazy).partial_fit(more)
    check_equal(held, one, queries)
    held.save(tmp_path / "held")
    written = distributed.BinaryNeighbors(**make, folder=tmp_path / "written")
    written.fit(lazy).partial_fit(more)
    check_equal(written, one, queries)
    for name in ("held", "written"):
        for kind in (ShardedNeighbors, distributed.BinaryNeighbors):
            opened = kind.load(tmp_path / name, verify=True)
            check_equal(opened, one, queries)
            assert str(opened.probe_curve_) == str(one.probe_curve_)
    held.set_params(n_probes="auto").calibrate(queries + np.float32(0.1))
    one.set_params(n_probes="auto").calibrate(queries + np.float32(0.1))
    assert held.n_probes_ == one.n_probes_


def write_files(X, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = []
    for number, rows in enumerate(np.split(X, [250, 300, 600])):
        vectors = pa.array(list(rows), pa.list_(pa.float32()))
        files.append(folder / f"{number}.parquet")
        keys = [f"{number}/{row}" for row in range(len(rows))]
        table = pa.table({"emb": vectors, "key": keys})
        pq.write_table(table, files[-1], row_group_size=80)
    return files


def test_files_are_read_by_workers(client, X, queries, tmp_path):
    pytest.importorskip("pyarrow")
    files = write_files(X, tmp_path)
    make = {"query": "vectors", "oversampling": 2}
    one = BinaryNeighbors(**make).fit(X)
    pattern = str(tmp_path / "*.parquet")
    options = {"column": "emb", "shard_rows": 120}
    held = distributed.BinaryNeighbors(**make, **options).fit(pattern)
    check_equal(held, one, queries)
    folder = tmp_path / "index"
    index = distributed.BinaryNeighbors(**make, **options, ids="key", folder=folder)
    index.fit(files[:3])
    assert len(list(folder.glob("shard-*.skbq"))) > 4
    index.partial_fit(files[3:])
    # The sample for the quantizer is that of the first three files.
    one = BinaryNeighbors(**make).fit(X[:600]).partial_fit(X[600:])
    check_equal(index, one, queries)
    check_equal(distributed.BinaryNeighbors.load(folder), one, queries)
    local = ShardedNeighbors.load(folder, verify=True)
    check_equal(local, one, queries)
    assert local.ids_of([0, 260, 699]) == ["0/0", "1/10", "3/99"]
    with pytest.raises(FileExistsError, match="folder is not empty"):
        index.fit(files)


def test_rows_are_added_and_saved(client, X, lazy, queries, tmp_path):
    one = BinaryNeighbors(query="vectors").fit(X).partial_fit(X[:90])
    index = distributed.BinaryNeighbors(query="vectors").fit(lazy)
    index.partial_fit(da.from_array(X[:90], chunks=(50, -1)))
    check_equal(index, one, queries)
    index.save(tmp_path / "index")
    check_equal(ShardedNeighbors.load(tmp_path / "index", verify=True), one, queries)
    radius = float(np.median(one.kneighbors(queries, 9)[0][:, -1]))
    found, expected = (i.radius_neighbors(queries, radius)[1] for i in (index, one))
    for mine, theirs in zip(found, expected, strict=True):
        assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="Rows on a cluster cannot be removed"):
        index.remove([0])
    with pytest.raises(ValueError, match="X=None is for an index in one file"):
        index.kneighbors()


def test_shards_are_searched_where_they_are(X, lazy):
    """However large the queries are that all share, and another worker is sent."""
    from dask import config
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False}
    with (
        config.set({"distributed.scheduler.work-stealing": False}),
        LocalCluster(**options, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        index = distributed.BinaryNeighbors(query="vectors", client=client).fit(lazy)
        places = [shard.place for shard in index._rows.shards]
        assert set(places) <= set(client.nthreads())
        with get_task_stream(client) as stream:
            index.kneighbors(np.repeat(X, 20, axis=0))
        done = [t["worker"] for t in stream.data if "find_candidates" in str(t["key"])]
        assert sorted(done) == sorted(places)


# Faults


def die_once(marker):
    """Kill this process, the first time that anyone comes here."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("kept", ["in memory", "in files"])
def test_a_worker_is_killed_while_encoding(client, X, queries, tmp_path, kept):
    marker = str(tmp_path / "died")

    def read(block, block_id=None):
        if block_id[0] == 2:
            die_once(marker)
        return block

    lazy = da.from_array(X, chunks=(150, -1)).map_blocks(read, dtype=X.dtype)
    # What is learned from reads all partitions: the worker dies later.
    Path(marker).touch()
    folder = None if kept == "in memory" else tmp_path / "index"
    index = distributed.BinaryNeighbors(query="vectors", folder=folder)
    learn_from = index._learn_from

    def learn_and_arm(rows):
        learned = learn_from(rows)
        os.unlink(marker)
        return learned

    index._learn_from = learn_and_arm
    index.fit(lazy)
    assert os.path.exists(marker)  # one died
    check_equal(index, BinaryNeighbors(query="vectors").fit(X), queries)
    if folder is not None:
        ShardedNeighbors.load(folder, verify=True)
        assert (
            not list(folder.glob(".shard*.skbq.*"))
            or len(list(folder.glob("shard-*.skbq"))) == 5
        )


def test_a_worker_is_killed_while_searching(client, X, lazy, queries, tmp_path):
    index = distributed.BinaryNeighbors(query="vectors").fit(lazy)
    marker = str(tmp_path / "died")
    client.run(kill_at_search, marker)
    check_equal(index, BinaryNeighbors(query="vectors").fit(X), queries)
    assert os.path.exists(marker)
    client.wait_for_workers(2)
    check_equal(index, BinaryNeighbors(query="vectors").fit(X), queries)


def kill_at_search(marker):
    from skbq._neighbors.index_search import IndexSearch

    candidates = IndexSearch.candidates

    def deadly(self, *args, **options):
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return candidates(self, *args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    IndexSearch.candidates = deadly


def limit_files(n_bytes):
    """Let this process write no file larger than that, as a full disk does."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    soft = hard if n_bytes is None else n_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_of_workers(client, X, lazy, queries, tmp_path):
    whole, full = tmp_path / "whole", tmp_path / "full"
    distributed.BinaryNeighbors(query="vectors", folder=whole).fit(lazy)
    written = {path.name: path.read_bytes() for path in whole.glob("shard-*")}
    largest = max(written, key=lambda name: len(written[name]))
    client.run(limit_files, len(written[largest]) - 1)
    try:
        with pytest.raises(OSError, match=rf"cannot write .*full.{largest}: "):
            distributed.BinaryNeighbors(query="vectors", folder=full).fit(lazy)
    finally:
        client.run(limit_files, None)
    # What is there is whole, and nothing looks like an index.
    for path in full.iterdir():
        assert path.read_bytes() == written[path.name]
    assert largest not in os.listdir(full)
    with pytest.raises(ValueError, match="not finished|no manifest"):
        distributed.BinaryNeighbors.load(full)
    with pytest.raises(FileExistsError, match="not empty"):
        distributed.BinaryNeighbors(query="vectors", folder=full).fit(lazy)
    again = distributed.BinaryNeighbors(query="vectors", folder=tmp_path / "again")
    check_equal(again.fit(lazy), BinaryNeighbors(query="vectors").fit(X), queries)


def test_files_that_cannot_be_read_are_named(client, X, tmp_path):
    files = [str(tmp_path / f"{number}.npy") for number in range(3)]
    for file, rows in zip(files, np.split(X, [200, 400]), strict=True):
        np.save(file, rows)
    index = distributed.BinaryNeighbors(shard_rows=200)
    bad = X[200:400].copy()
    bad[7, 3] = np.nan
    np.save(files[1], bad)
    with pytest.raises(ValueError, match=r"NaN.*1\.npy: row 7\."):
        index.fit(files)
    np.save(files[1], X[200:400, :8])
    with pytest.raises(ValueError, match=r"1\.npy has 8 coordinates"):
        index.fit(files)
    np.save(files[1], X[200:400].astype(np.float64))
    with pytest.raises(ValueError, match=r"1\.npy holds float64"):
        index.fit(files)
    Path(files[1]).write_bytes(Path(files[2]).read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"1\.npy is not a whole \.npy file"):
        index.fit(files)
    with pytest.raises(ValueError, match="no file matches"):
        index.fit(str(tmp_path / "*.fbin"))


def test_partitions_that_cannot_be_encoded_are_named(client, X):
    def spoil(block, block_id=None):
        if block_id[0] == 3:
            block = block.copy()
            block[7] = 0
        return block

    ones = da.ones((160_000, 20), chunks=(40_000, -1), dtype=np.float32)
    index = distributed.BinaryNeighbors()  # its sample may miss the row
    with pytest.raises(ValueError, match=r"(?s)rows of zeros.*(\[7\]|partition 3)"):
        index.fit(ones.map_blocks(spoil, dtype=np.float32))


def test_what_is_no_collection(client, X):
    index = distributed.BinaryNeighbors()
    with pytest.raises(TypeError, match=r"takes a dask\.array or files.*from_array"):
        index.fit(X)
    lazy = da.from_array(X, chunks=(100, -1))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        index.fit(lazy[lazy[:, 0] > 0])
    with pytest.raises(ValueError, match="Expected 2D array"):
        index.fit(lazy[:, 0])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        index.fit(lazy[:0])
    dd = pytest.importorskip("dask.bag")
    with pytest.raises(TypeError, match="pass a dask.array"):
        BinaryNeighbors().fit(dd.from_sequence([1, 2]))


def test_parameters_of_files(lazy, tmp_path):
    for options in ({"column": "emb"}, {"ids": "key"}, {"shard_rows": 100}):
        index = distributed.BinaryNeighbors(**options, folder=tmp_path / "index")
        with pytest.raises(ValueError, match=rf"{next(iter(options))}=.* is for files"):
            index.fit(lazy)
        with pytest.raises(ValueError, match="is for files"):
            index.set_params(folder=None).fit(lazy)
    index = distributed.BinaryNeighbors(column="emb", ids="key")
    with pytest.raises(ValueError, match="ids='key' .* but folder is None"):
        index.fit(write_files(np.ones((700, 4), np.float32), tmp_path))


def test_a_cluster_that_is_gone(X, lazy, queries):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        index = distributed.BinaryNeighbors(client=client).fit(lazy)
        index.kneighbors(queries)
    with pytest.raises(ConnectionError, match="cluster that held this index is gone"):
        index.kneighbors(queries)
    with pytest.raises(ConnectionError, match="cluster that held this index is gone"):
        index.fit(lazy)


def test_dask_is_missing(X, monkeypatch):
    import_ = builtins.__import__

    def without_dask(name, *args, **kwargs):
        if name.partition(".")[0] == "dask":
            raise ImportError(name)
        return import_(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_dask)
    with pytest.raises(ImportError, match=r"pip install 'skbq\[dask\]'"):
        distributed.BinaryNeighbors().fit(["a.npy"])


# The rest of the library


def test_profiler(client, X, lazy):
    there = HeterogeneityProfiler(random_state=0).fit(lazy)
    here = HeterogeneityProfiler(random_state=0).fit(X)
    for name, value in vars(here).items():
        if name.endswith("_") and isinstance(value, np.ndarray | float | int):
            assert_allclose(getattr(there, name), value, rtol=1e-12, atol=1e-15)
    more = da.from_array(X[:99], chunks=(50, -1))
    there.partial_fit(more)
    assert_allclose(there.scale_, here.partial_fit(X[:99]).scale_, rtol=1e-12)
    other = X.copy()
    other[160] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*partition 1: row 10\."):
        HeterogeneityProfiler().fit(da.from_array(other, chunks=(150, -1)))


def test_advisor(client, X, lazy):
    make = {"n_neighbors": 3, "random_state": 0}
    there, here = (QuantizationAdvisor(**make).fit(rows) for rows in (lazy, X))
    # Estimators have no equality but that of their parameters, as text.
    texts = [{k: str(v) for k, v in a.recommended_.items()} for a in (there, here)]
    assert texts[0] == texts[1]
    for name in ("strategy", "recall_reranked"):
        assert_array_equal(there.results_[name], here.results_[name])


def test_local_estimators_take_arrays_of_dask(X, lazy, queries):
    for options in (
        {"query": "vectors"},
        {"quantizer": PCAQuantizer(2.0, random_state=0)},
    ):
        index = BinaryNeighbors(**options).fit(lazy)
        check_equal(index, BinaryNeighbors(**options).fit(X), queries)
    check_equal(index, index, da.from_array(queries, chunks=(30, -1)))
    quantizer = BinaryQuantizer().fit(lazy)
    assert_allclose(quantizer.thresholds_, BinaryQuantizer().fit(X).thresholds_)


def test_threads_of_this_process_are_a_cluster_too(X, lazy, queries):
    index = distributed.BinaryNeighbors(query="vectors", oversampling=2).fit(lazy)
    one = BinaryNeighbors(query="vectors", oversampling=2).fit(X)
    check_equal(index, one, queries)


@pytest.mark.parametrize(
    "options",
    [
        {"query": "vectors"},
        {"quantizer": rotated(BinaryQuantizer()), "oversampling": 2},
        {"quantizer": PCAQuantizer(2.0, random_state=0), "query": "vectors"},
    ],
    ids=["2 bits", "rotated", "PCA codes"],
)
def test_joblib_on_dask(client, X, queries, options, monkeypatch):
    """Encoding goes to the workers where joblib is told so, for the same bytes."""
    from joblib import parallel_config

    from skbq._neighbors import encoding

    monkeypatch.setattr(encoding, "_BLOCK_BYTES", 2**12)  # 48 rows
    take, taken = encoding._Filling.take, []

    def watch(self, rows, filled):
        taken.append(len(filled.codes))
        take(self, rows, filled)

    monkeypatch.setattr(encoding._Filling, "take", watch)
    frozen = FrozenEstimator(BinaryNeighbors(**options).fit(X).quantizer_)
    options = {**options, "quantizer": frozen}
    one = BinaryNeighbors(**options).fit(X).partial_fit(X)
    assert not taken
    with parallel_config(backend="dask"):
        index = BinaryNeighbors(**options, n_jobs=1).fit(X)
        assert not taken
        index = BinaryNeighbors(**options).fit(X)
        assert len(taken) > 4
        assert sum(taken) == len(X) - 48
        index.partial_fit(X)
        assert sum(taken) == 2 * (len(X) - 48)
        check_equal(index, one, queries)
    assert_array_equal(index.codes_, one.codes_)
    if one.query == "vectors":
        pairs = zip(*(i._rows.corrections.columns for i in (index, one)), strict=True)
        for mine, theirs in pairs:
            assert_array_equal(mine, theirs)


def test_the_module_is_an_attribute():
    assert skbq.distributed.BinaryNeighbors is distributed.BinaryNeighbors
    assert open_vectors is skbq.open_vectors
