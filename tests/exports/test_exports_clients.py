"""Exports for products that do not run here: on their clients, and their models.

Programs and console statements run as printed, on stand-ins that search exactly. So
what is prepared, sent, asked and read back is tried, but not the products' codes.
"""

import inspect
import re
import shutil
import tempfile
import typing

import numpy as np
import pytest
from engines import every_strategy, recall, run_program
from servers import shell
from stand_ins import Asked, pasted_js, stand_in

pytestmark = pytest.mark.filterwarnings("ignore")

D, K = 72, 10
METRICS = ("cosine", "euclidean", "inner_product")
CLIENTS = {
    "elasticsearch": "elasticsearch",
    "mongodb": "pymongo",
    "opensearch": "opensearchpy",
    "vespa": "vespa",
    "weaviate": "weaviate",
}


@pytest.fixture(params=CLIENTS)
def engine(request):
    pytest.importorskip(CLIENTS[request.param])
    return request.param


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, D)) * np.linspace(0.3, 1.5, D) + rng.normal(size=D)
    return X[:60].astype(np.float32), X[60:].astype(np.float32)


def recommended(engine, metric="cosine", oversampling=4.0):
    """Give an export for every strategy that differs in what it prints."""
    if (engine, metric) == ("mongodb", "inner_product"):
        return []
    found = every_strategy(engine, metric, (oversampling,), n_features=D)
    return [answer for answer, _ in found]


@pytest.mark.parametrize("oversampling", [None, 4.0, 300.0])
@pytest.mark.parametrize("metric", METRICS)
def test_program_and_statements_ask_the_same(
    engine, metric, oversampling, data, tmp_path
):
    vectors, queries = data
    for number, answer in enumerate(recommended(engine, metric, oversampling)):
        folder = tmp_path / str(number)
        with stand_in(engine, answer) as (product, function):
            neighbors = run_program(answer, vectors, queries, folder)
            assert neighbors.shape == (len(queries), K)
            if (engine, oversampling) != ("vespa", None):  # which has codes alone
                assert recall(neighbors, vectors, queries, metric) == 1
            asked, product.asked = product.asked, Asked()
            if engine == "mongodb":
                node = shutil.which("node")
                if node is not None:
                    text = "\n".join([answer.schema, answer.insert, answer.query])
                    assert pasted_js(node, text, folder) == asked
            elif shutil.which("curl"):
                if engine != "vespa":  # whose schema is a file
                    shell(answer.schema, folder, function)
                shell(answer.insert, folder, function)
                found = product.found(shell(answer.query, folder, function))
                last = str(len(vectors) - 1)  # which is the query
                assert found[0] == (last if engine == "vespa" else "0")
                assert product.asked == asked


# Models.


def test_elasticsearch_reads_every_key_and_word():
    types = pytest.importorskip("elasticsearch.dsl.types")
    from elasticsearch import dsl

    for metric in METRICS:
        for answer in recommended("elasticsearch", metric):
            create, _, ask = bodies("elasticsearch", answer)
            field = dict(create["mappings"]["properties"]["embedding"])
            assert field.pop("type") == dsl.DenseVector.name
            options = field["index_options"]
            fits(types.DenseVectorIndexOptions.__init__, options)
            fits(
                types.DenseVectorIndexOptionsRescoreVector.__init__,
                options["rescore_vector"],
            )
            fits(dsl.DenseVector.__init__, field)
            fits(dsl.query.Knn.__init__, ask["knn"])
            if options["type"] != "bbq_disk":
                assert "precondition" not in options
                assert "visit_percentage" not in ask["knn"]


def fits(function, given):
    """Check keys, and words where only some are known, against a signature."""
    hints = function.__annotations__
    for key, value in given.items():
        assert key in hints, f"{function.__qualname__} has no {key}"
        known = [
            word
            for part in typing.get_args(hints[key])
            if typing.get_origin(part) is typing.Literal
            for word in typing.get_args(part)
        ]
        assert not known or value in known, f"{key} cannot be {value}"


def bodies(engine, answer):
    """Return what a client is asked for, as its stand-in gets it."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, D)).astype(np.float32)
    with stand_in(engine, answer) as (product, _), tempfile.TemporaryDirectory() as f:
        run_program(answer, vectors, vectors[:1], f)
        asked = product.asked
    return asked.create, asked.insert, asked.query


# Keys that the page "Faiss scalar quantization" and those of k-NN queries name
# (documentation of OpenSearch 3.9, read 2026-11), with the values known.
FIELD_OF_OPENSEARCH = {
    "type": {"knn_vector"},
    "dimension": range(1, 16_001),
    "space_type": {"l2", "innerproduct", "cosinesimil"},
    "method": {
        "name": {"hnsw"},
        "engine": {"faiss"},
        "parameters": {
            "encoder": {"name": {"sq"}, "parameters": {"bits": {1, 2, 4}}},
        },
    },
}


def test_opensearch_is_told_what_its_documentation_names():
    pytest.importorskip("opensearchpy")
    messages = pytest.importorskip("opensearch.protobufs.schemas.common_pb2")
    for metric in METRICS:
        for answer in recommended("opensearch", metric):
            create, _, ask = bodies("opensearch", answer)
            assert create["settings"] == {"index": {"knn": True}}
            is_named(create["mappings"]["properties"]["embedding"], FIELD_OF_OPENSEARCH)
            knn = ask["query"]["knn"]["embedding"]
            # The messages of its other protocol have the same names.
            assert {*knn} <= {*messages.KnnQuery.DESCRIPTOR.fields_by_name}
            assert {*knn["rescore"]} <= {
                *messages.RescoreContext.DESCRIPTOR.fields_by_name
            }
            assert {*knn["method_parameters"]} == {"ef_search"}


# Keys that the pages of the type "vector" and of the stage $vectorSearch name
# (documentation of MongoDB, read 2026-12), with the values known.
FIELD_OF_MONGODB = {
    "type": {"vector"},
    "path": {"embedding"},
    "numDimensions": range(8, 8193, 8),  # of which binary quantization takes these
    "similarity": {"cosine", "euclidean", "dotProduct"},
    "quantization": {"none", "scalar", "binary"},
}
STAGE_OF_MONGODB = {
    "index": {"embedding_binary"},
    "path": {"embedding"},
    "queryVector": {"numbers"},
    "numCandidates": range(1, 10_001),
    "limit": range(1, 10_001),
}


def test_mongodb_is_told_what_its_documentation_names():
    pytest.importorskip("pymongo")
    for metric in METRICS:
        for answer in recommended("mongodb", metric):
            create, _, pipeline = bodies("mongodb", answer)
            assert create["type"] == "vectorSearch"
            (field,) = create["definition"]["fields"]
            is_named(field, FIELD_OF_MONGODB)
            assert field["quantization"] == "binary"
            is_named(pipeline[0]["$vectorSearch"], STAGE_OF_MONGODB)
            search = pipeline[0]["$vectorSearch"]
            assert search["numCandidates"] >= search["limit"]


def is_named(given, documented):
    assert given.keys() <= documented.keys()
    for key, value in given.items():
        if isinstance(value, dict):
            is_named(value, documented[key])
        else:
            assert value in documented[key]


@pytest.mark.parametrize("oversampling", [None, 4.0])
@pytest.mark.parametrize("metric", METRICS)
def test_vespa_has_the_schema_that_its_package_writes(metric, oversampling):
    package = pytest.importorskip("vespa.package")
    (answer,) = {
        answer.schema: answer for answer in recommended("vespa", metric, oversampling)
    }.values()
    n_bytes = -(-D // 8)
    code = package.Field(
        "code",
        f"tensor<int8>(x[{n_bytes}])",
        indexing=["attribute", "index"],
        attribute=["distance-metric: hamming"],
    )
    number = package.Field("number", "int", indexing=["attribute", "summary"])
    embedding = package.Field(
        "embedding",
        f"tensor<float>(x[{D}])",
        indexing=["attribute"],
        attribute=["paged"],
    )
    score = {
        "cosine": "cosine_similarity(query(q), attribute(embedding), x)",
        "euclidean": "-euclidean_distance(query(q), attribute(embedding), x)",
        "inner_product": "sum(query(q) * attribute(embedding))",
    }[metric]
    reranks = oversampling is not None
    inputs = [("query(code)", f"tensor<int8>(x[{n_bytes}])")]
    inputs += [("query(q)", f"tensor<float>(x[{D}])")] * reranks
    profile = package.RankProfile(
        "search",
        first_phase="closeness(field, code)",
        inputs=inputs,
        second_phase=package.SecondPhaseRanking(score, rerank_count=40)
        if reranks
        else None,
    )
    fields = [number, code] + [embedding] * reranks
    schema = package.Schema("items", package.Document(fields), rank_profiles=[profile])
    assert words(answer.schema) == words(schema.schema_to_text)


def words(schema):
    """Return a schema without comments, its short forms written out."""
    lines = [line for line in schema.splitlines() if not line.startswith("#")]
    text = re.sub(
        r"(expression|attribute): (.*?)( \}|)$",
        r"\1 { \2 }\3",
        "\n".join(lines),
        flags=re.MULTILINE,
    )
    return text.replace("{", " { ").replace("}", " } ").split()


def test_weaviate_has_the_configuration_of_its_client():
    """Its classes are built by the program, and refuse what they do not know."""
    pytest.importorskip("weaviate")
    kinds = set()
    for metric in METRICS:
        for answer in recommended("weaviate", metric):
            create, _, _ = bodies("weaviate", answer)
            kinds.add((create["vectorIndexType"], *create["vectorIndexConfig"]))
    assert kinds == {
        ("flat", "distance", "bq"),
        ("hnsw", "distance", "ef", "rq"),
    }


def test_weaviate_calls_are_those_of_its_client():
    weaviate = pytest.importorskip("weaviate")
    from weaviate.collections.batch.collection import _BatchCollection
    from weaviate.collections.queries.near_vector.query.sync import _NearVectorQuery

    near = inspect.signature(_NearVectorQuery.near_vector)
    near.bind(None, [0.5], limit=10)
    add = inspect.signature(_BatchCollection.add_object)
    add.bind(None, {}, uuid="0", vector=[0.5])
    assert callable(weaviate.connect_to_local)
