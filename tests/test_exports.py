import json
import re
import sys
from itertools import groupby, product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from skbq import BinaryNeighbors, BinaryQuantizer, RandomRotation
from skbq.exports import ENGINES, Export, export

D, K = 48, 10
JSON = ("elasticsearch", "milvus", "opensearch", "qdrant", "weaviate")
PYTHON = ("faiss", "lancedb", "sentence-transformers")
METRICS = ("cosine", "euclidean", "inner_product")
# What each product calls a metric.
SPOKEN = {
    "elasticsearch": ("cosine", "l2_norm", "max_inner_product"),
    "lancedb": ("cosine", "l2", "dot"),
    "milvus": ("COSINE", "L2", "IP"),
    "opensearch": ("cosinesimil", "l2", "innerproduct"),
    "pgvector": ("<=>", "<->", "<#>"),
    "qdrant": ("Cosine", "Euclid", "Dot"),
    "weaviate": ("cosine", "l2-squared", "dot"),
}


def recommend(**changes):
    plain = {
        "centre": False,
        "rotate": False,
        "bits": 1,
        "query": "codes",
        "levels": None,
        "oversampling": 4.0,
        "metric": "cosine",
        "n_features": D,
        "n_neighbors": K,
    }
    assert changes.keys() <= plain.keys()
    return plain | changes


KINDS = [
    recommend(
        centre=centre,
        rotate=rotate,
        bits=bits,
        levels=None if bits == 1 else (1.0, 3.0),
        query=query,
        metric=metric,
        oversampling=oversampling,
    )
    for centre, rotate, bits, query, metric, oversampling in product(
        (False, True), (False, True), (1, 2), ("codes", "vectors"), METRICS, (None, 4.0)
    )
]


def family_name(kind):
    centre = "centred" if kind["centre"] else "plain"
    return centre + ("-rotated" if kind["rotate"] else "-axes")


def name(kind):
    return "-".join(
        [
            family_name(kind),
            f"{kind['bits']}bit",
            kind["query"],
            kind["metric"],
            "rerank" if kind["oversampling"] else "once",
        ]
    )


every_kind = pytest.mark.parametrize("kind", KINDS, ids=name)
# The same kinds in groups, one for each way to treat the vectors.
FAMILIES = [list(kinds) for _, kinds in groupby(KINDS, family_name)]
every_family = pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda kinds: family_name(kinds[0])
)
every_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="module")
def data():
    """Rows and queries that are off the centre and of uneven variance."""
    rng = np.random.default_rng(0)
    scale = np.linspace(0.3, 1.5, D)
    mean = rng.normal(size=D)
    vectors = (rng.normal(size=(500, D)) * scale + mean).astype(np.float32)
    queries = (rng.normal(size=(30, D)) * scale + mean).astype(np.float32)
    return vectors, queries


def run(code, **names):
    exec(compile(code, "snippet", "exec"), names)
    return names


def distances(queries, rows, metric):
    if metric == "inner_product":
        return -(queries.astype(float) @ rows.T.astype(float))
    return pairwise_distances(queries.astype(float), rows.astype(float), metric=metric)


def recall(found, vectors, queries, metric):
    """Share of found rows that are within the true k-th distance."""
    all_of_them = distances(queries, vectors, metric)
    kth = np.partition(all_of_them, K - 1, axis=1)[:, K - 1 : K]
    return np.mean(np.take_along_axis(all_of_them, found, axis=1) <= kth + 1e-9)


def requests(answer):
    return json.loads(answer.settings)


# What holds for all.


def test_engines_are_sorted_names():
    assert list(ENGINES) == sorted(ENGINES)
    assert set(ENGINES) == {*JSON, *PYTHON, "pgvector"}


@every_engine
@every_family
def test_export_is_whole(engine, family):
    for kind in family:
        check_export_is_whole(engine, kind)


def check_export_is_whole(engine, kind):
    answer = export(kind, engine)
    assert isinstance(answer, Export)
    assert answer.engine == engine
    assert answer.applied_by_engine
    assert "https://" in answer.checked
    if engine in JSON:
        assert requests(answer)
    elif engine in PYTHON:
        compile(answer.settings, engine, "exec")
    if answer.preparation:
        compile(answer.preparation, engine, "exec")
    text = str(answer)
    lines = answer.applied_by_engine + answer.applied_by_user + answer.cannot
    for part in (answer.settings, answer.preparation, answer.checked, *lines):
        assert part in text


def said(answer):
    """All sentences and code, without the settings' own words."""
    lines = answer.applied_by_engine + answer.applied_by_user + answer.cannot
    return " ".join([answer.preparation, *lines]).lower()


@every_engine
@every_family
def test_nothing_is_dropped_silently(engine, family):
    for kind in family:
        check_nothing_is_dropped_silently(engine, kind)


def check_nothing_is_dropped_silently(engine, kind):
    answer = export(kind, engine)
    text = said(answer) + (answer.settings if engine in PYTHON else "")
    if kind["centre"]:
        assert re.search("centr|mean", text)
    else:
        assert ("Leave out centring" in " ".join(answer.cannot)) == (
            engine in ("elasticsearch", "lancedb", "milvus", "opensearch")
            or (engine == "qdrant" and kind["rotate"] and kind["query"] == "vectors")
        )
    if kind["rotate"]:
        assert "rotat" in text.lower()
    if kind["bits"] == 2:
        assert any(re.match("Two[- ]bit", line) for line in answer.cannot)
    if kind["query"] == "vectors":
        assert re.search("queries|quer[yi]", text)
        assert "float" in text or "full-precision" in text or "finer" in text
    if kind["oversampling"]:
        assert re.search("rerank|oversampl", text.lower())


@every_kind
def test_what_has_no_sign_and_magnitude_says_so(kind):
    for engine in ENGINES:
        cannot = " ".join(export(kind, engine).cannot)
        assert ("wo-bit" in cannot or "Two bits per" in cannot) == (kind["bits"] == 2)


# What the user does before.


@every_engine
@every_family
def test_preparation_ranks_as_the_metric_does(engine, family, data):
    for kind in family:
        check_preparation(engine, kind, data)


def check_preparation(engine, kind, data):
    vectors, queries = data
    answer = export(kind, engine)
    if not answer.preparation or engine == "pgvector":
        if engine in SPOKEN and (kind["oversampling"] or engine != "pgvector"):
            assert SPOKEN[engine][METRICS.index(kind["metric"])] in answer.settings
        return
    made = run(answer.preparation, vectors=vectors, queries=queries)
    rows, query_rows = made["rows"], made["query_rows"]
    assert rows.shape == vectors.shape
    assert query_rows.shape == queries.shape
    assert rows.dtype == query_rows.dtype == np.float32
    told = [
        m
        for m, word in zip(METRICS, SPOKEN[engine], strict=True)
        if f'"{word}"' in answer.settings
    ]
    assert len(told) == 1
    # Ranks by what the product was told are those of the metric itself.
    nearest = np.argsort(distances(query_rows, rows, told[0]), axis=1)[:, :K]
    assert recall(nearest, vectors, queries, kind["metric"]) > 0.995


@pytest.mark.parametrize("engine", ["qdrant", "weaviate"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rotate", [False, True])
def test_signs_of_prepared_rows_are_skbqs_codes(engine, metric, rotate, data):
    vectors, queries = data
    kind = recommend(centre=True, rotate=rotate, metric=metric)
    answer = export(kind, engine)
    made = run(answer.preparation, vectors=vectors, queries=queries)
    quantizer = BinaryQuantizer(threshold="mean")
    if rotate and engine != "weaviate":  # which rotates by itself
        quantizer = make_pipeline(RandomRotation(random_state=0), quantizer)
    given = normalize(vectors) if metric == "cosine" else vectors
    codes = quantizer.fit(given).transform(given)
    assert np.mean((made["rows"] > 0) == (codes.unpack() > 0)) > 0.9999
    if metric == "inner_product" and not (rotate and engine == "weaviate"):
        assert "signs of a query" in " ".join(answer.cannot)
    elif metric != "inner_product" and not (rotate and engine == "weaviate"):
        given = normalize(queries) if metric == "cosine" else queries
        query_codes = quantizer.transform(given)
        same = (made["query_rows"] > 0) == (query_codes.unpack() > 0)
        assert np.mean(same) > 0.9999


def test_preparation_is_empty_where_vectors_go_as_they_are():
    for engine in ENGINES:
        answer = export(recommend(), engine)
        assert answer.preparation == ""


# One by one.


def test_qdrant():
    create = requests(export(recommend(), "qdrant"))["PUT /collections/items"]
    assert create["vectors"]["size"] == D
    assert create["quantization_config"] == {
        "binary": {"query_encoding": "binary", "always_ram": True}
    }

    answer = export(recommend(bits=2, query="vectors", levels=(1, 3)), "qdrant")
    create = requests(answer)["PUT /collections/items"]
    assert create["quantization_config"]["binary"] == {
        "encoding": "two_bits",
        "query_encoding": "scalar8bits",
        "always_ram": True,
    }
    ask = requests(answer)["POST /collections/items/points/query"]
    assert ask["limit"] == K
    assert ask["params"]["quantization"] == {"rescore": True, "oversampling": 4.0}
    assert "(1.0, 3.0)" in " ".join(answer.cannot)

    for bits in (1, 2):
        kind = recommend(bits=bits, query="vectors", rotate=True, centre=True)
        answer = export(kind, "qdrant")
        create = requests(answer)["PUT /collections/items"]
        assert create["quantization_config"]["turbo"]["bits"] == f"bits{bits}"
        assert create["vectors"]["distance"] == "Cosine"
        assert not answer.preparation

    answer = export(recommend(oversampling=None), "qdrant")
    ask = requests(answer)["POST /collections/items/points/query"]
    assert ask["params"]["quantization"] == {"rescore": False}


def elastic(kind):
    answer = requests(export(kind, "elasticsearch"))
    vector = answer["PUT /items"]["mappings"]["properties"]["embedding"]
    return vector, answer["POST /items/_search"]


def test_elasticsearch():
    vector, search = elastic(recommend(n_features=384, centre=True))
    assert vector["dims"] == 384
    assert vector["similarity"] == "cosine"  # it centres without changing the metric
    assert vector["index_options"] == {
        "type": "bbq_hnsw",
        "rescore_vector": {"oversample": 4.0},
    }
    assert search["knn"]["k"] == search["size"] == K

    vector, _ = elastic(recommend(bits=2, oversampling=None))
    assert vector["index_options"] == {
        "type": "bbq_disk",
        "bits": 2,
        "rescore_vector": {"oversample": 0.0},
    }


@pytest.mark.parametrize(
    ("engine", "limit"), [("elasticsearch", 10.0), ("opensearch", 100.0)]
)
def test_oversampling_above_the_limit_asks_for_more_neighbors(engine, limit):
    answer = requests(export(recommend(oversampling=2.5 * limit), engine))
    search = answer["POST /items/_search"]
    assert search["size"] == K
    knn = search["knn"] if engine == "elasticsearch" else search["query"]["knn"]
    knn = knn.get("embedding", knn)
    assert knn["k"] == 25
    assert f": {limit}" in json.dumps(answer)


@pytest.mark.parametrize("d", [32, 64, 4097])
def test_elasticsearch_dimensions(d):
    cannot = export(recommend(n_features=d), "elasticsearch").cannot
    assert any(f"Vectors of {d}" in line for line in cannot)
    cannot = export(recommend(n_features=65), "elasticsearch").cannot
    assert not any("Vectors of" in line for line in cannot)


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("rotate", [False, True])
def test_opensearch(bits, query, rotate):
    answer = export(recommend(bits=bits, query=query, rotate=rotate), "opensearch")
    field = requests(answer)["PUT /items"]["mappings"]["properties"]["embedding"]
    encoder = field["method"]["parameters"]["encoder"]
    assert encoder["name"] == "binary"
    assert encoder["parameters"]["bits"] == bits
    assert encoder["parameters"]["random_rotation"] is rotate
    # Float queries exist for one bit only.
    assert encoder["parameters"].get("enable_adc", False) is (
        bits == 1 and query == "vectors"
    )
    missing = any("Float queries with two bits" in line for line in answer.cannot)
    assert missing == (bits == 2 and query == "vectors")
    assert not answer.preparation


def test_opensearch_without_reranking():
    search = requests(export(recommend(oversampling=None), "opensearch"))
    knn = search["POST /items/_search"]["query"]["knn"]["embedding"]
    assert knn["rescore"] is False


def test_milvus():
    answer = requests(export(recommend(query="vectors"), "milvus"))
    params = answer["index_params"]["params"]
    assert answer["index_params"]["index_type"] == "IVF_RABITQ"
    assert params["refine"] is True
    assert params["refine_type"] == "FP32"
    search = answer["search_params"]["params"]
    assert search == {"nprobe": params["nlist"], "rbq_query_bits": 0, "refine_k": 4.0}

    answer = requests(export(recommend(oversampling=None), "milvus"))
    assert answer["index_params"]["params"]["refine"] is False
    assert answer["search_params"]["params"]["rbq_query_bits"] == 1
    assert "refine_k" not in answer["search_params"]["params"]


def weaviate(kind):
    create = requests(export(kind, "weaviate"))["POST /v1/schema"]
    return create["vectorIndexType"], create["vectorIndexConfig"]


def test_weaviate():
    index, config = weaviate(recommend())
    assert index == "flat"  # the only one where BQ obeys rescoreLimit
    assert config["bq"] == {"enabled": True, "rescoreLimit": 40}

    index, config = weaviate(recommend(rotate=True))
    assert index == "hnsw"
    assert config["rq"] == {"enabled": True, "bits": 1, "rescoreLimit": 40}

    _, config = weaviate(recommend(bits=2, oversampling=None))
    assert config["rq"] == {"enabled": True, "bits": 4, "rescoreLimit": 0}

    cannot = export(recommend(oversampling=None), "weaviate").cannot
    assert any("always reranks" in line for line in cannot)


def test_lancedb():
    answer = export(recommend(bits=2, oversampling=2.5), "lancedb")
    assert "num_bits=2" in answer.settings
    assert ".refine_factor(3)" in answer.settings  # a whole number, rounded up
    assert f".limit({K})" in answer.settings
    answer = export(recommend(oversampling=None, n_features=50), "lancedb")
    assert "refine_factor" not in answer.settings
    assert any("multiple of 8" in line for line in answer.cannot)


@every_kind
def test_pgvector_sql(kind):
    sql = export(kind, "pgvector").settings
    own = kind["centre"] or kind["rotate"]
    code = [line for line in sql.splitlines() if not line.startswith("--")]
    statements = [s for s in "\n".join(code).split(";") if s.strip()]
    assert all(s.count("(") == s.count(")") for s in statements)
    assert sql.strip().endswith(";")
    assert f"bit({D})" in sql
    assert ("binary_quantize" in sql) != own
    assert "<~>" in sql
    assert "bit_hamming_ops" in sql
    candidates = 40 if kind["oversampling"] else K
    assert f"LIMIT {candidates}" in sql
    assert f"LIMIT {K};" in sql
    bound = set(re.findall(r"\$\d", "\n".join(code)))
    assert bound == ({"$1", "$2"} if own and kind["oversampling"] else {"$1"})
    assert ("embedding vector" in sql) == (bool(kind["oversampling"]) or not own)


def test_pgvector_scans_as_far_as_it_must():
    assert "hnsw.ef_search = 40;" in export(recommend(), "pgvector").settings
    sql = export(recommend(oversampling=50), "pgvector").settings
    assert "hnsw.ef_search = 500;" in sql
    assert "iterative_scan" not in sql
    sql = export(recommend(oversampling=200), "pgvector").settings
    assert "hnsw.ef_search = 1000;" in sql
    assert "hnsw.iterative_scan = strict_order;" in sql


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("centre", "rotate"), [(0, 1), (1, 0), (1, 1)])
def test_pgvector_codes_are_skbqs(metric, centre, rotate, data):
    vectors, queries = (array[:, :45] for array in data)  # not a whole byte
    kind = recommend(centre=bool(centre), rotate=bool(rotate), metric=metric)
    made = run(export(kind, "pgvector").preparation, vectors=vectors, queries=queries)
    quantizer = BinaryQuantizer(threshold="mean" if centre else "zero")
    if rotate:
        quantizer = make_pipeline(RandomRotation(random_state=0), quantizer)
    given = normalize(vectors) if metric == "cosine" else vectors
    codes = quantizer.fit(given).transform(given)
    bits = np.array([[int(bit) for bit in row] for row in made["codes"]])
    np.testing.assert_array_equal(bits, codes.unpack() > 0)
    assert len(made["query_codes"]) == len(queries)
    assert {len(row) for row in made["query_codes"]} == {45}


# Snippets that run.


@pytest.fixture
def quantization(monkeypatch):
    """Stand in for sentence-transformers: its documented functions, in numpy."""

    def quantize_embeddings(embeddings, precision):
        assert precision == "ubinary"
        return np.packbits(embeddings > 0, axis=1)

    def semantic_search_faiss(
        query_embeddings,
        *,
        corpus_embeddings,
        corpus_precision,
        top_k,
        rescore=True,
        rescore_multiplier=2,
    ):
        assert corpus_precision == "ubinary"
        d = query_embeddings.shape[1]
        bits = np.unpackbits(corpus_embeddings, axis=1)[:, :d].astype(float)
        signs = query_embeddings > 0
        apart = np.abs(signs[:, None] - bits).sum(axis=2)
        k = min(top_k * (rescore_multiplier if rescore else 1), len(bits))
        found = np.argsort(apart, axis=1, kind="stable")[:, :k]
        if rescore:
            scores = np.einsum("qd,qcd->qc", query_embeddings, bits[found])
            found = np.take_along_axis(found, np.argsort(-scores, axis=1), axis=1)
        return [[{"corpus_id": int(i)} for i in row[:top_k]] for row in found], 0.0

    module = ModuleType("sentence_transformers.quantization")
    module.quantize_embeddings = quantize_embeddings
    module.semantic_search_faiss = semantic_search_faiss
    # An older version: without sentence_transformers.util.quantization.
    monkeypatch.setitem(
        sys.modules, "sentence_transformers", ModuleType("sentence_transformers")
    )
    monkeypatch.setitem(sys.modules, "sentence_transformers.util.quantization", None)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def snippet_recall(kind, engine, data):
    vectors, queries = data
    code = export(kind, engine).settings
    found = run(code, vectors=vectors, queries=queries)["neighbors"]
    assert found.shape == (len(queries), K)
    return recall(found, vectors, queries, kind["metric"])


def own_recall(kind, data):
    """What BinaryNeighbors reaches with one bit."""
    vectors, queries = data
    quantizer = BinaryQuantizer(threshold="mean" if kind["centre"] else "zero")
    if kind["rotate"]:
        quantizer = make_pipeline(RandomRotation(random_state=0), quantizer)
    index = BinaryNeighbors(
        K,
        quantizer=quantizer,
        metric=kind["metric"],
        oversampling=kind["oversampling"],
    )
    found = index.fit(vectors).kneighbors(queries, return_distance=False)
    return recall(found, vectors, queries, kind["metric"])


@every_kind
def test_faiss_snippets_run(kind, data):
    pytest.importorskip("faiss")
    reached = snippet_recall(kind, "faiss", data)
    own = own_recall(kind, data)
    if kind["bits"] == 1 and kind["query"] == "codes":
        assert reached == pytest.approx(own, abs=0.05)  # ties are broken differently
    else:
        assert reached > own - 0.05  # finer queries or codes


@every_kind
def test_sentence_transformers_snippets_run(kind, data, quantization):
    reached = snippet_recall(kind, "sentence-transformers", data)
    own = own_recall(kind, data)
    if kind["centre"] and kind["metric"] == "inner_product":
        cannot = export(kind, "sentence-transformers").cannot
        assert any("signs of a query" in line for line in cannot)
    elif kind["query"] == "codes":
        assert reached == pytest.approx(own, abs=0.05)
    elif kind["metric"] == "cosine":
        assert reached > own - 0.05


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("engine", ["faiss", "sentence-transformers"])
@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_snippets_are_exact_when_all_rows_are_reranked(
    metric, engine, query, data, quantization
):
    if engine == "faiss":
        pytest.importorskip("faiss")
    kind = recommend(
        centre=True, rotate=True, metric=metric, oversampling=50.0, query=query
    )
    assert snippet_recall(kind, engine, data) > 0.995


def test_faiss_without_centring_has_no_centre(data):
    faiss = pytest.importorskip("faiss")
    for centre in (False, True):
        kind = recommend(query="vectors", centre=centre)
        code = export(kind, "faiss").settings
        made = run(code, vectors=data[0], queries=data[1])
        held = faiss.vector_to_array(made["rabitq"].center)
        expected = normalize(data[0]).mean(axis=0) if centre else np.zeros(D)
        np.testing.assert_allclose(held, expected, atol=1e-6)


def test_faiss_snippet_refuses_nan(data):
    pytest.importorskip("faiss")
    vectors = data[0].copy()
    vectors[3, 5] = np.nan
    code = export(recommend(query="vectors", metric="euclidean"), "faiss").settings
    with pytest.raises(AssertionError):
        run(code, vectors=vectors, queries=data[1])


# Errors.


def test_unknown_engine_names_the_known():
    with pytest.raises(ValueError, match=r"elasticsearch.*weaviate.*Got 'pinecone'"):
        export(recommend(), "pinecone")
    with pytest.raises(TypeError, match="Got int"):
        export(recommend(), 3)


@pytest.mark.parametrize("key", list(recommend()))
def test_missing_key_is_named(key):
    kind = recommend()
    del kind[key]
    with pytest.raises(ValueError, match=rf"lacks \['{key}'\]"):
        export(kind, "faiss")


def test_not_a_mapping():
    with pytest.raises(TypeError, match="must be a mapping.*Got list"):
        export([1], "faiss")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("centre", 1),
        ("rotate", "yes"),
        ("bits", 3),
        ("bits", True),
        ("bits", 1.0),
        ("query", "floats"),
        ("query", None),
        ("levels", (1, 2, 3)),
        ("levels", "ab"),
        ("levels", 2),
        ("oversampling", 0.5),
        ("oversampling", np.nan),
        ("oversampling", np.inf),
        ("oversampling", "4"),
        ("metric", "manhattan"),
        ("metric", ["cosine"]),
        ("n_features", 0),
        ("n_neighbors", 2.5),
    ],
)
def test_bad_value_is_named(key, value):
    kind = recommend()
    kind[key] = value
    with pytest.raises(ValueError, match=rf"recommendation\['{key}'\] must be"):
        export(kind, "faiss")


def test_numpy_scalars_and_further_keys_are_fine():
    kind = recommend(
        centre=np.bool_(True),
        bits=np.int64(2),
        oversampling=np.float32(3),
        n_features=np.int32(D),
        levels=np.array([1.0, 3.0]),
    )
    for engine in ENGINES:
        assert export({**kind, "recall": 0.97}, engine).settings


def test_the_page_names_what_was_checked():
    page = Path(__file__).parent.parent / "docs" / "exports.rst"
    if not page.exists():
        pytest.skip("tests run without the documentation's sources")
    text = page.read_text()
    for engine in ENGINES:
        assert f"``{engine}``" in text
        for address in re.findall(
            r"https://[^\s)]+", export(recommend(), engine).checked
        ):
            assert address in text
