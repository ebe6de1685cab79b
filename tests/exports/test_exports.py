"""Exports without engines: what is chosen, prepared, written and refused."""

import json
import re
import sys
from dataclasses import replace
from itertools import product
from math import ceil
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from skbq import BinaryQuantizer, QuantizationAdvisor, RandomRotation
from skbq._utils.estimate import Estimate
from skbq.datasets import make_gaussian
from skbq.exports import ENGINES, Export, Prepare, export, export_best
from skbq.exports._candidates import check_recommendation

D, K = 72, 10
METRICS = ("cosine", "euclidean", "inner_product")
LIBRARIES = ("faiss", "lancedb", "milvus", "sentence-transformers", "usearch")
REQUESTS = ("elasticsearch", "opensearch", "qdrant", "vespa", "weaviate")
SQL = ("duckdb", "pgvector", "sqlite-vec")
# What each product calls a metric.
SPOKEN = {
    "duckdb": ("cosine_distance", "array_distance", "negative_inner_product"),
    "elasticsearch": ("cosine", "l2_norm", "max_inner_product"),
    "lancedb": ("cosine", "l2", "dot"),
    "milvus": ("COSINE", "L2", "IP"),
    "mongodb": ("cosine", "euclidean", None),
    "opensearch": ("cosinesimil", "l2", "innerproduct"),
    "pgvector": ("<=>", "<->", "<#>"),
    "qdrant": ("Cosine", "Euclid", "Dot"),
    "sqlite-vec": ("vec_distance_cosine", "vec_distance_L2", "square"),
    "vespa": ("cosine_similarity", "euclidean_distance", "sum(query"),
    "weaviate": ("cosine", "l2-squared", "dot"),
}


def recommend(**changes):
    plain = {
        "center": False,
        "rotate": False,
        "bits": 1,
        "query": "codes",
        "oversampling": 4.0,
        "metric": "cosine",
        "n_features": D,
        "n_neighbors": K,
    }
    assert changes.keys() <= plain.keys()
    return plain | changes


KINDS = [
    recommend(
        center=center,
        rotate=rotate,
        bits=bits,
        query=query,
        metric=metric,
        oversampling=oversampling,
    )
    for center, rotate, bits, query, metric, oversampling in product(
        (False, True), (False, True), (1, 2), ("codes", "vectors"), METRICS, (None, 4.0)
    )
]

every_engine = pytest.mark.parametrize("engine", ENGINES)


def possible(kinds, engine):
    return [k for k in kinds if (engine, k["metric"]) != ("mongodb", "inner_product")]


@pytest.fixture(scope="module")
def data():
    """Rows and queries that are off the origin and of uneven variance."""
    rng = np.random.default_rng(0)
    scale = np.linspace(0.3, 1.5, D)
    mean = rng.normal(size=D)
    vectors = (rng.normal(size=(500, D)) * scale + mean).astype(np.float32)
    queries = (rng.normal(size=(30, D)) * scale + mean).astype(np.float32)
    return vectors, queries


@pytest.fixture(scope="module")
def advisor():
    X = make_gaussian(360, D, mean=1.0, random_state=0)
    return QuantizationAdvisor(random_state=0).fit(X[:300], queries=X[300:])


# What holds for all.


def test_engines_are_sorted_names():
    assert list(ENGINES) == sorted(ENGINES)
    assert set(ENGINES) == {*LIBRARIES, *REQUESTS, *SQL, "redis", "mongodb"}


@every_engine
def test_every_strategy_exports_something_whole(engine):
    for kind in possible(KINDS, engine):
        answer = export(kind, engine)
        assert isinstance(answer, Export)
        assert answer.engine == engine
        assert answer.applied_by_engine
        assert "https://" in answer.checked
        assert re.search(r"20\d\d-\d\d", answer.checked)
        compile(answer.python, engine, "exec")
        assert (answer.schema == "") == (engine in LIBRARIES)
        assert (answer.schema == "") == (answer.insert == "") == (answer.query == "")
        text = str(answer)
        said = answer.applied_by_engine + answer.applied_by_user + answer.cannot
        pasted = answer.schema, answer.insert, answer.query, answer.python
        for part in (*pasted, *said, *answer.notes):
            assert part in text
        assert json.loads(json.dumps(answer.to_dict()))["engine"] == engine


@every_engine
def test_metric_is_told_in_the_words_of_the_engine(engine):
    if engine not in SPOKEN:
        return
    for kind in possible(KINDS, engine):
        if kind["oversampling"] is None and engine in (*SQL, "vespa"):
            continue
        answer = export(kind, engine)
        told = METRICS.index(kind["metric"])
        if any("ranks as the cosine" in line for line in answer.applied_by_user):
            assert kind["metric"] == "cosine"
            told = METRICS.index("euclidean")
        assert SPOKEN[engine][told] in answer.settings
        assert SPOKEN[engine][told] in answer.python or engine in ("vespa", "weaviate")


@every_engine
def test_a_strategy_that_runs_is_kept_and_another_is_said(engine):
    for kind in possible(KINDS, engine):
        answer = export(kind, engine)
        said = " ".join(answer.cannot).lower()
        changed = [
            kind["bits"] != int(answer.strategy[0]),
            (", symmetric search" in answer.strategy) != (kind["query"] == "codes"),
            ("centered" in answer.strategy) != kind["center"],
            ("rotated" in answer.strategy) != kind["rotate"],
        ]
        assert bool(said) == any(changed)
        assert ("bits of a coordinate" in said) == changed[0]
        assert ("symmetric search" in said) == changed[1]
        assert ("center" in said) == changed[2]
        assert ("leave out rotation" in said) == changed[3]
        assert ("measure" in said) == any(changed)


# The finding that inner_product, centering and coded queries together are wrong.


@every_engine
def test_queries_are_prepared_exactly_as_rows(engine, data):
    """Whatever is centered, queries are too, or neither is."""
    answers = [export(kind, engine) for kind in possible(KINDS, engine)]
    for prepare in {repr(a.prepare): a.prepare for a in answers}.values():
        prepare.fit(data[0])
        np.testing.assert_array_equal(prepare.query(data[0]), prepare.rows(data[0]))


@pytest.mark.parametrize("engine", ["qdrant", "weaviate", "mongodb"])
def test_vectors_that_are_reranked_are_never_centered_under_inner_product(engine):
    for kind in possible(KINDS, engine):
        if kind["metric"] == "inner_product":
            assert not export(kind, engine).prepare.center


# Prepare.


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("center", [False, True])
def test_codes_are_those_of_skbq(metric, rotate, center, data):
    kind = recommend(center=center, rotate=rotate, metric=metric)
    prepare = export(kind, "duckdb").prepare.fit(data[0])
    quantizer = BinaryQuantizer(threshold="mean" if center else "zero")
    if rotate:
        quantizer = make_pipeline(RandomRotation(random_state=0), quantizer)
    rows, queries = (normalize(X) if metric == "cosine" else X for X in data)
    codes = quantizer.fit(rows).transform(rows)
    same = np.unpackbits(prepare.codes(data[0])) == np.unpackbits(np.asarray(codes))
    assert same.mean() > 0.9999
    asked = np.asarray(quantizer.transform(queries))
    assert (
        np.unpackbits(prepare.codes(data[1])) == np.unpackbits(asked)
    ).mean() > 0.999


def test_prepared_rows_keep_euclidean_distances(data):
    prepare = Prepare(rotate=True, center=True).fit(data[0])
    rows, queries = prepare.rows(data[0]), prepare.query(data[1])
    expected = np.linalg.norm(data[0][:30] - data[1], axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(rows[:30] - queries, axis=1), expected, rtol=1e-5
    )
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("center", [False, True])
def test_saved_module_does_the_same(unit, rotate, center, data, tmp_path, monkeypatch):
    prepare = Prepare(unit=unit, rotate=rotate, center=center).fit(data[0])
    prepare.save(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "prepare", raising=False)
    import prepare as module

    loaded = joblib.load(tmp_path / "prepare.joblib")
    for one in (module, loaded):
        np.testing.assert_array_equal(one.rows(data[0]), prepare.rows(data[0]))
        np.testing.assert_array_equal(one.query(data[1][0]), prepare.query(data[1][0]))
        np.testing.assert_array_equal(one.codes(data[1]), prepare.codes(data[1]))
    monkeypatch.delitem(sys.modules, "prepare")
    assert "skbq" not in (tmp_path / "prepare.py").read_text()


def test_prepare_refuses_what_it_cannot_do(data):
    prepare = Prepare(unit=True, center=True)
    with pytest.raises(ValueError, match=r"call prepare\.fit\(vectors\) first"):
        prepare.rows(data[0])
    prepare.fit(data[0])
    with pytest.raises(ValueError, match=r"of shape \(n_samples, 72\).*Got \(3, 5\)"):
        prepare.rows(np.ones((3, 5)))
    with pytest.raises(ValueError, match="rows of zeros"):
        prepare.query(np.zeros(D))
    with pytest.raises(ValueError, match=r"Got \(72,\) instead"):
        Prepare(center=True).fit(data[0][0])
    with pytest.raises(ValueError, match="one axis"):
        Prepare().fit_mean(data[0])


# The choice among strategies.


def outcome(value, oversampling, *, reached=True, n_bytes=100, **changes):
    candidate = check_recommendation(recommend(oversampling=oversampling, **changes))
    promise = Estimate(value, value - 0.01, value + 0.01, 0.9)
    return replace(candidate, promise=promise, reached=reached, n_bytes=n_bytes)


def test_recommended_strategy_is_taken_if_it_runs():
    best, cheaper = outcome(0.96, 5.0, n_bytes=200), outcome(0.97, 2.0, center=True)
    answer = export_best([cheaper, best], "pgvector", best)
    assert (answer.oversampling, answer.promise) == (5.0, best.promise)
    assert answer.cannot == []


def test_an_engine_gets_the_best_strategy_that_it_runs_with_its_own_oversampling():
    asymmetric = outcome(0.965, 7.6, query="vectors", center=True, rotate=True)
    symmetric = outcome(0.962, 26.7, center=True, rotate=True)
    worse = outcome(0.9, 20.0, reached=False, n_bytes=50)
    found = [asymmetric, worse, symmetric]
    answer = export_best(found, "pgvector", asymmetric)
    assert answer.oversampling == 26.7
    assert answer.promise == symmetric.promise
    assert answer.reached
    assert "LIMIT 267" in answer.query
    assert "0.962 [0.952, 0.972] (90%)" in str(answer)
    assert any("a lot to rerank" in line for line in answer.applied_by_user)
    assert export_best(found, "lancedb", asymmetric).oversampling == 7.6


def test_least_memory_comes_before_least_oversampling():
    small = outcome(0.96, 9.0, n_bytes=50)
    large = outcome(0.96, 2.0, n_bytes=70, center=True)
    huge = outcome(0.96, 25.0, n_bytes=40, rotate=True)
    answer = export_best([large, huge, small], "usearch")
    assert answer.oversampling == 9.0


def test_a_target_that_is_not_reached_is_said():
    low = outcome(0.8, 20.0, reached=False)
    lower = outcome(0.7, 20.0, reached=False, center=True)
    answer = export_best([lower, low], "redis")
    assert answer.promise.value == 0.8
    assert not answer.reached
    assert "is not reached by what redis can run" in str(answer)


def test_an_engine_that_can_run_none_says_what_it_can():
    two = outcome(0.96, 2.0, bits=2, query="vectors")
    three = outcome(0.96, 2.0, bits=3)
    with pytest.raises(ValueError, match=r"pgvector can run none.*bits.*It has"):
        export_best([two, three], "pgvector")
    with pytest.raises(ValueError, match=r"faiss can run none.*1\.5 bits"):
        export(recommend(bits=1.5), "faiss")


def test_advisor_exports_a_promise_for_each_engine(advisor):
    for engine in ENGINES:
        answer = advisor.export(engine)
        assert isinstance(answer.promise, Estimate)
        assert answer.cannot == []
        assert answer.prepare.rows(np.ones(D)).shape == (D,)
    best = advisor.recommended_
    answer = advisor.export("duckdb")
    if (best["bits"], best["query"]) == (1, "codes"):
        assert answer.oversampling == advisor.oversampling_
        assert answer.promise.value == pytest.approx(advisor.recall_)


def test_advisor_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        QuantizationAdvisor().export("faiss")


# Files.


@every_engine
def test_folder_runs_from_its_files(engine, advisor, tmp_path):
    answer = advisor.export(engine)
    folder = tmp_path / "new" / engine
    answer.save(folder)
    names = {path.name for path in folder.iterdir()}
    assert {"README.txt", "search.py", "prepare.npz", "prepare.py"} <= names
    assert (folder / "search.py").read_text() == answer.python + "\n"
    read = re.findall(r"(?:row|query)(?:_code)?\.(?:json|bits|bin)", answer.insert)
    read += re.findall(r"(?:row|query)(?:_code)?\.(?:json|bits|bin)", answer.query)
    assert set(read) <= names
    assert bool(read) == (engine not in LIBRARIES)
    for name in set(read) & {"row.json", "query.json"}:
        assert len(json.loads((folder / name).read_text())) == D


@pytest.mark.parametrize("engine", [*REQUESTS, "mongodb"])
def test_requests_are_json_once_the_shell_has_read_the_files(engine, tmp_path):
    for kind in possible(KINDS, engine):
        answer = export(kind, engine)
        for text in (answer.schema, answer.insert, answer.query):
            for body in re.findall(r" -d '(\{.*?\n\})'", text, re.DOTALL):
                filled = re.sub(r"'\"\$\(cat \w+\.json\)\"'", "[0.5, 1]", body)
                assert json.loads(filled)
                assert "<" not in filled.replace("tensor<", "")


def test_folder_of_a_plain_recommendation_takes_its_example_from_rows(data, tmp_path):
    answer = export(recommend(center=True), "pgvector")
    answer.save(tmp_path, data[0])
    row = json.loads((tmp_path / "row.json").read_text())
    np.testing.assert_allclose(row, data[0][0], rtol=1e-6)
    bits = (tmp_path / "row_code.bits").read_text()
    code = np.unpackbits(answer.prepare.codes(data[0][0]), count=D)
    assert bits == "".join(map(str, code))


# One by one: what was found to be wrong, key by key.


def request(text):
    body = re.search(r" -d '(\{.*\})'", text, re.DOTALL).group(1)
    return json.loads(re.sub(r"'\"\$\(cat \w+\.json\)\"'", "[0.5]", body))


def test_qdrant_is_binary_for_symmetric_search_and_turboquant_else():
    for kind in KINDS:
        answer = export(kind, "qdrant")
        create = request(answer.schema)
        quantization = create["quantization_config"]
        binary = (
            kind["bits"] == 1
            and kind["query"] == "codes"
            and kind["metric"] != "inner_product"
        )
        if binary:
            assert quantization == {
                "binary": {"query_encoding": "binary", "memory": "pinned"}
            }
        elif kind["query"] == "vectors":
            bits = {1: "bits1_5", 2: "bits2"}[kind["bits"]]
            assert quantization == {"turbo": {"bits": bits, "memory": "pinned"}}
            assert answer.prepare.is_identity
        assert create["vectors"]["memory"] == "cold"
        assert "always_ram" not in answer.schema
        assert "on_disk" not in answer.schema
        assert "two_bits" not in answer.schema
        assert "scalar8bits" not in answer.schema
        ask = request(answer.query)["params"]["quantization"]
        assert ask["rescore"] == (kind["oversampling"] is not None)


def test_qdrant_reranks_more_where_turboquant_ranks_less_exactly():
    for metric, bits, times in (
        ("euclidean", 1, 2),
        ("euclidean", 2, 1),
        ("cosine", 1, 1),
        ("inner_product", 1, 1),
    ):
        kind = recommend(metric=metric, bits=bits, query="vectors", oversampling=2.3)
        answer = export(kind, "qdrant")
        asked = request(answer.query)["params"]["quantization"]
        assert asked == {"rescore": True, "oversampling": 2.3 * times}
        assert answer.oversampling == 2.3 * times
        assert f"{2.3 * times:g} candidates for each neighbor" in answer.strategy


def test_qdrant_says_what_its_memory_mode_does():
    notes = " ".join(export(recommend(), "qdrant").notes)
    assert "searches exactly" in notes
    assert "bits1 may lose one or two points" in " ".join(
        export(recommend(query="vectors"), "qdrant").notes
    )


def test_milvus_leaves_queries_in_floats():
    for kind in KINDS:
        answer = export(kind, "milvus")
        assert "rbq_" not in answer.python
        assert "true" not in answer.python  # JSON is no Python
        notes = " ".join(answer.notes)
        assert "rbq_bits_query" in notes
        assert "rbq_query_bits, which the engine ignores" in notes
        assert "4 to 8, never to 1" in notes
        assert "rbq_bits (1 to 9)" in notes
        assert "HNSW_RABITQ" in notes
        assert "searches exactly" in notes
        assert ("refine_k" in answer.python) == (kind["oversampling"] is not None)


def test_pgvector_scans_as_far_as_it_must():
    assert "hnsw.ef_search = 200;" in export(recommend(), "pgvector").query
    answer = export(recommend(oversampling=20), "pgvector")
    assert "hnsw.ef_search = 800;" in answer.query
    assert "iterative_scan" not in answer.query
    answer = export(recommend(oversampling=200), "pgvector")
    for text in (answer.query, answer.python):
        assert "hnsw.ef_search = 1000" in text
        assert "hnsw.iterative_scan = strict_order" in text


def test_pgvector_numbers_rows_from_0_and_copies_them():
    for kind in KINDS:
        answer = export(kind, "pgvector")
        assert "id bigint PRIMARY KEY" in answer.schema
        assert "serial" not in answer.schema
        assert "FROM STDIN" in answer.python
        assert not re.search(r"\$\d", answer.query + answer.python)
        assert "0.8.3 or later" in answer.schema
        assert "each session needs it" in answer.python
        assert "ALTER DATABASE name SET hnsw.ef_search" in answer.query
        assert "asyncpg.BitString(code)" in " ".join(answer.notes)
        own = kind["center"] or kind["rotate"]
        assert ("binary_quantize" in answer.schema) != own


def test_lancedb_asks_for_more_where_lengths_are_uneven():
    text = export(recommend(query="vectors", oversampling=2.5), "lancedb").python
    assert "IvfRq(" in text
    assert ".refine_factor(3)" in text  # a whole number, rounded up
    text = export(recommend(metric="inner_product"), "lancedb").python
    assert ".refine_factor(20)" in text
    once = recommend(metric="inner_product", oversampling=None)
    assert ".refine_factor(20)" in export(once, "lancedb").python
    assert "refine_factor" not in export(recommend(oversampling=None), "lancedb").python
    assert 'create_index(\n    "vector",\n    config=IvfRq(distance_type=' in text


def test_opensearch_uses_the_scalar_quantizer():
    for bits in (1, 2):
        answer = export(recommend(bits=bits, query="vectors"), "opensearch")
        field = request(answer.schema)["mappings"]["properties"]["embedding"]
        encoder = field["method"]["parameters"]["encoder"]
        assert encoder == {"name": "sq", "parameters": {"bits": bits}}
    notes = " ".join(answer.notes)
    assert "at least 100 candidates" in notes
    assert "wrong scores over several segments before 3.8" in notes
    assert "1 bit since 3.6, 2 bits since 3.9" in " ".join(answer.applied_by_engine)
    assert "'binary'" in notes
    knn = request(export(recommend(oversampling=None), "opensearch").query)
    assert knn["query"]["knn"]["embedding"]["rescore"] is False


def test_elasticsearch_rotates_by_itself_on_disk():
    kind = recommend(bits=2, query="vectors", center=True, rotate=True)
    answer = export(kind, "elasticsearch")
    options = request(answer.schema)["mappings"]["properties"]["embedding"]
    assert options["index_options"] == {
        "type": "bbq_disk",
        "bits": 2,
        "precondition": True,
        "rescore_vector": {"oversample": 4.0},
    }
    assert not answer.prepare.rotate
    assert request(answer.query)["knn"]["visit_percentage"] == 100
    notes = " ".join(answer.notes)
    assert '"auto_calibrate": true (since 9.5)' in notes
    assert '"precondition": true (since 9.4)' in notes
    assert "the default from 9.4 where there is one" in notes
    answer = export(recommend(query="vectors", center=True, rotate=True), answer.engine)
    assert answer.prepare.rotate
    assert '"bbq_hnsw"' in answer.schema


@pytest.mark.parametrize(
    ("engine", "limit"), [("elasticsearch", 10.0), ("opensearch", 100.0)]
)
def test_oversampling_above_the_limit_asks_for_more_neighbors(engine, limit):
    answer = export(recommend(oversampling=2.5 * limit, query="vectors"), engine)
    search = request(answer.query)
    assert search["size"] == K
    knn = search["knn"] if engine == "elasticsearch" else search["query"]["knn"]
    assert knn.get("embedding", knn)["k"] == 25
    assert f": {limit}" in answer.settings


def test_vespa_says_which_rows_it_could_not_feed():
    assert "callback=check" in export(recommend(), "vespa").python


def test_weaviate_has_a_query_and_one_bit_only():
    for kind in KINDS:
        answer = export(kind, "weaviate")
        config = request(answer.schema)["vectorIndexConfig"]
        if "rq" in config:
            assert config["rq"]["bits"] == 1
        else:  # the only index where BQ obeys rescoreLimit
            assert request(answer.schema)["vectorIndexType"] == "flat"
        quantizer = config.get("rq") or config["bq"]
        assert quantizer["rescoreLimit"] == (40 if kind["oversampling"] else 0)
        assert f"limit: {K}" in answer.query
        notes = " ".join(answer.notes)
        assert "A flat index takes RQ too, since 1.35" in notes
        assert ("4 only since 1.39, as a preview with hnsw" in notes) == (
            "rq" in config
        )


def test_mongodb_takes_at_least_the_candidates_of_the_promise():
    answer = export(recommend(oversampling=30), "mongodb")
    assert '"quantization": "binary"' in answer.schema
    assert '"numCandidates": 300' in answer.query
    assert '"numCandidates": 200' in export(recommend(), "mongodb").query


def test_vespa_reranks_as_many_as_promised():
    answer = export(recommend(), "vespa")
    assert f"tensor<int8>(x[{ceil(D / 8)}])" in answer.schema
    assert "rerank-count: 40" in answer.schema
    assert "targetHits: 40" in answer.query
    once = export(recommend(oversampling=None), "vespa")
    assert "embedding" not in once.schema + once.insert + once.python


def test_redis_keeps_signs():
    answer = export(recommend(center=True, rotate=True), "redis")
    assert "BIN" in answer.insert
    assert '"COUNT", 40' in answer.python
    assert answer.prepare.center
    assert answer.prepare.rotate


# Errors.


def test_unknown_engine_names_the_known(advisor):
    for call in (lambda e: export(recommend(), e), advisor.export):
        with pytest.raises(ValueError, match=r"duckdb.*weaviate.*Got 'pinecone'"):
            call("pinecone")
        with pytest.raises(TypeError, match="Got int"):
            call(3)


@pytest.mark.parametrize(
    ("engine", "d"),
    [
        ("elasticsearch", 64),
        ("elasticsearch", 4097),
        ("pgvector", 16_001),
        ("sqlite-vec", 8193),
        ("mongodb", 8193),
        ("opensearch", 16_001),
        ("qdrant", 65_536),
        ("milvus", 32_769),
    ],
)
def test_dimensions_beyond_the_limit(engine, d):
    with pytest.raises(ValueError, match=rf"{engine} takes.*Got {d:,}"):
        export(recommend(n_features=d), engine)


def test_dimensions_that_are_no_multiple():
    expected = r"mongodb takes a multiple of 8.*Got 99\. Append 5 zeros to rows and"
    with pytest.raises(ValueError, match=expected):
        export(recommend(n_features=99), "mongodb")
    assert export(recommend(n_features=104), "mongodb").settings


def test_metric_that_an_engine_lacks():
    expected = r"lacks the metric 'inner_product'\. It has \['cosine', 'euclidean'\]"
    with pytest.raises(ValueError, match=expected):
        export(recommend(metric="inner_product"), "mongodb")


def test_an_advisor_says_what_an_engine_lacks():
    X = make_gaussian(150, 8, random_state=0)
    advisor = QuantizationAdvisor(metric="inner_product", random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"lacks the metric 'inner_product'\. It has"):
        advisor.export("mongodb")
    with pytest.raises(ValueError, match=r"takes vectors of 65 to 4,096.*Got 8"):
        advisor.export("elasticsearch")


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
        ("center", 1),
        ("rotate", "yes"),
        ("bits", 0),
        ("bits", True),
        ("bits", "1"),
        ("query", "floats"),
        ("query", None),
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
        center=np.bool_(True),
        bits=np.int64(2),
        oversampling=np.float32(3),
        n_features=np.int32(D),
    )
    for engine in ENGINES:
        assert export({**kind, "recall": 0.97}, engine).settings


def test_old_spelling_is_accepted_with_a_warning():
    kind = recommend(center=True)
    kind["centre"] = kind.pop("center")
    with pytest.warns(FutureWarning, match=r"'centre'.*is now 'center'"):
        answer = export(kind, "faiss")
    assert str(answer) == str(export(recommend(center=True), "faiss"))


def test_the_pages_name_what_was_checked():
    pages = Path(__file__).parents[2] / "docs" / "exports"
    if not pages.exists():
        pytest.skip("tests run without the documentation's sources")
    for engine in ENGINES:
        assert export(recommend(), engine).checked.split("https://")[1] in (
            pages / f"{engine}.md"
        ).read_text().replace("\n", " ")
