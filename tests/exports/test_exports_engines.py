"""Exports on the engines themselves, as printed, with the recall they promise."""

import warnings
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from unittest import mock

import numpy as np
import pytest
from engines import (
    CONSOLES,
    RUNNABLE,
    STRATEGY,
    asymmetric_export,
    clear,
    every_strategy,
    generated_counts,
    lacks_console,
    off_origin,
    own_recall,
    recall,
    run_console,
    run_program,
    started,
    uneven_normals,
)

from skbq import QuantizationAdvisor
from skbq.datasets import load_wordnet_minilm
from skbq.exports import export

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]

METRICS = ("cosine", "euclidean", "inner_product")
SETS = ("shipped", "off origin", "counts")
N_ROWS, N_QUERIES, K = 2500, 120, 10
N_CONSOLE = 5  # queries that are asked in the console too
# An index that is built at random may miss the promised interval by that much.
SLACK = 0.01
# What an engine may lose against skbq's scan by the same strategy, for graphs, ties and
# codes of its own. docs/exports says what was measured.
LOSS = {"lancedb": 0.05, "qdrant": 0.06}
LEAST_LOSS = 0.03


@pytest.fixture(scope="module", params=sorted(RUNNABLE))
def engine(request, tmp_path_factory):
    """Start an engine; give its name and what runs a program on it."""
    with started(request.param, tmp_path_factory.mktemp("server")) as run:
        yield request.param, run


@pytest.fixture(scope="session")
def advised():
    """Return advisors by set and metric, each fitted once when it is asked for."""
    glosses = load_wordnet_minilm()
    shipped = glosses.data[:N_ROWS], glosses.queries[:N_QUERIES]
    data = {
        "shipped": shipped,
        "off origin": off_origin(*shipped),
        "counts": generated_counts(N_ROWS, N_QUERIES),
    }
    known = {}

    def get(name, metric):
        vectors, queries = data[name]
        if (name, metric) not in known:
            advisor = QuantizationAdvisor(metric=metric, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known[name, metric] = advisor.fit(vectors, queries=queries)
        return known[name, metric], vectors, queries

    return get


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", SETS)
def test_promise_is_kept_by_what_is_printed(engine, advised, name, metric, tmp_path):
    """The program finds what was promised, and the console finds what it finds."""
    engine_name, run = engine
    advisor, vectors, queries = advised(name, metric)
    answer = advisor.export(engine_name)
    neighbors = run(answer, vectors, queries, tmp_path)
    assert neighbors.shape == (len(queries), K)
    measured = recall(neighbors, vectors, queries, metric)
    assert measured >= answer.promise.low - SLACK
    if not answer.query or lacks_console(engine_name):
        return
    for query, expected in zip(queries[:N_CONSOLE], neighbors, strict=False):
        answer.save(tmp_path, np.stack([vectors[0], query]))
        found = run_console(engine_name, answer.query, tmp_path)
        if "the Python does" in answer.query:  # which reranks
            assert f"COUNT {len(found)} " in answer.query
            assert {*map(str, expected)} <= {*found}
        else:
            assert found == [*map(str, expected)]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("engine", CONSOLES, indirect=True)
def test_statements_start_from_nothing(engine, advised, name, metric, tmp_path):
    """Schema, insertion and query, pasted one after the other, find the row."""
    engine_name, _ = engine
    if missing := lacks_console(engine_name):
        pytest.skip(f"{engine_name}: {missing} not installed")
    answer = advised(name, metric)[0].export(engine_name)
    answer.save(tmp_path)
    clear(engine_name)
    run_console(engine_name, answer.schema, tmp_path)
    run_console(engine_name, answer.insert, tmp_path)
    assert run_console(engine_name, answer.query, tmp_path) == ["0"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize(
    "engine", ["faiss", "lancedb", "milvus", "qdrant"], indirect=True
)
def test_asymmetric_search_of_counts_keeps_its_promise(
    engine, advised, bits, metric, tmp_path
):
    """Where floats are the queries, whatever else would be recommended."""
    engine_name, run = engine
    advisor, vectors, queries = advised("counts", metric)
    if (engine_name, bits) == ("milvus", 2):
        with pytest.raises(ValueError, match="milvus can run none"):
            asymmetric_export(advisor, engine_name, bits, vectors)
        return
    answer = asymmetric_export(advisor, engine_name, bits, vectors)
    assert answer.strategy.startswith(f"{bits} bit")
    assert "asymmetric search" in answer.strategy
    neighbors = run(answer, vectors, queries, tmp_path)
    measured = recall(neighbors, vectors, queries, metric)
    assert measured >= answer.promise.low - SLACK


@pytest.mark.parametrize("metric", METRICS)
def test_every_strategy_runs(engine, metric, tmp_path):
    """Every combination gives something that runs, and finds what skbq would."""
    name, run = engine
    vectors, queries = uneven_normals()
    for number, (answer, oversampling) in enumerate(every_strategy(name, metric)):
        neighbors = run(answer, vectors, queries, tmp_path / str(number))
        assert neighbors.shape == (len(queries), K)
        own = own_recall(answer, metric, oversampling, vectors, queries)
        loss = LOSS.get(name, LEAST_LOSS)
        assert recall(neighbors, vectors, queries, metric) > own - loss


@pytest.mark.parametrize("engine_name", ["milvus", "qdrant"])
def test_memory_modes_search_exactly(engine_name, tmp_path):
    """As the notes say: no loss of recall shows there."""
    modules, _ = RUNNABLE[engine_name]
    client = pytest.importorskip(modules[0])
    pytest.importorskip(modules[1])
    name, place = {
        "milvus": ("MilvusClient", str(tmp_path / "milvus.db")),
        "qdrant": ("QdrantClient", ":memory:"),
    }[engine_name]
    vectors, queries = uneven_normals()
    (answer,) = [
        answer
        for answer, oversampling in every_strategy(engine_name, "euclidean")
        if answer.strategy.startswith("1 bit, centered, rotated, asymmetric")
        and oversampling is None
    ]
    assert "searches exactly" in " ".join(answer.notes)
    here = getattr(client, name)(place)
    with mock.patch.object(client, name, return_value=here):
        neighbors = run_program(answer, vectors, queries, tmp_path)
    assert recall(neighbors, vectors, queries, "euclidean") == 1


def test_an_engine_that_cannot_start_is_skipped_and_says_why(tmp_path, monkeypatch):
    @contextmanager
    def broken(folder):
        raise OSError("no permission")
        yield

    @contextmanager
    def sound(folder):
        yield run_program

    monkeypatch.setitem(RUNNABLE, "broken", ([], broken))
    monkeypatch.setitem(RUNNABLE, "sound", ([], sound))
    monkeypatch.setitem(RUNNABLE, "missing", (["no_such_module"], sound))
    why = r"broken cannot start here: OSError\('no permission'\)"
    with pytest.raises(pytest.skip.Exception, match=why):
        started("broken", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="no_such_module not installed"):
        started("missing", tmp_path)
    with pytest.raises(OSError, match="later"), started("sound", tmp_path):
        raise OSError("later")  # no reason to skip


# What runs an engine, and what its ``checked`` calls it.
VERSIONS = {
    "duckdb": {"duckdb": "DuckDB"},
    "elasticsearch": {"elasticsearch": "elasticsearch-py"},
    "faiss": {"faiss-cpu": "faiss"},
    "lancedb": {"lancedb": "LanceDB"},
    "milvus": {"pymilvus": "pymilvus", "milvus-lite": "milvus-lite"},
    "mongodb": {"pymongo": "pymongo"},
    "opensearch": {"opensearch-py": "opensearch-py"},
    "qdrant": {"qdrant-edge-py": "qdrant-edge-py", "qdrant-client": "qdrant-client"},
    "redis": {"redis": "redis-py"},
    "sentence-transformers": {"sentence-transformers": "sentence-transformers"},
    "sqlite-vec": {"sqlite-vec": "sqlite-vec"},
    "usearch": {"usearch": "usearch"},
    "vespa": {"pyvespa": "pyvespa"},
    "weaviate": {"weaviate-client": "weaviate-client"},
}


@pytest.mark.parametrize("engine_name", VERSIONS)
def test_what_was_checked_is_what_runs(engine_name):
    """A new lock file tells that the sentences need new versions."""
    checked = export(STRATEGY, engine_name).checked
    for package, words in VERSIONS[engine_name].items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} not installed")
        assert f"{words} {installed}" in checked


@pytest.mark.parametrize("engine", ["pgvector", "redis"], indirect=True)
def test_what_was_checked_is_the_server(engine):
    engine_name, _ = engine
    checked = export(STRATEGY, engine_name).checked
    if engine_name == "pgvector":
        import psycopg

        with psycopg.connect() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            ask = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
            ((found,),) = connection.execute(ask)
        assert f"pgvector {found}" in checked
    else:
        import redis

        assert f"Redis {redis.Redis().info()['redis_version']}" in checked
