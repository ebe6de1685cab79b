"""Elasticsearch: BBQ with HNSW for one bit, on disk for two."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import as_python, curl, program

_MOST_OVERSAMPLING = 10.0
_CANDIDATES = (100, 10_000)  # least and most num_candidates
_TIMES = 2
_URL = "http://localhost:9200/items"
_SIMILARITY = {
    "cosine": "cosine",
    "euclidean": "l2_norm",
    "inner_product": "max_inner_product",
}

_IMPORTS = """\
import numpy as np
from elasticsearch import Elasticsearch, helpers
"""
_PYTHON = """\
$given
client = Elasticsearch("http://localhost:9200")
mappings = $mappings
client.indices.create(index="items", mappings=mappings)
helpers.bulk(client, (
    {"_index": "items", "_id": str(i), "embedding": row.tolist()}
    for i, row in enumerate(rows)
))
client.indices.refresh(index="items")

knn = $knn

def search(q):
    asked = {**knn, "query_vector": q.tolist()}
    found = client.search(index="items", knn=asked, size=$k, source=False)
    hits = found["hits"]["hits"]
    return [int(hit["_id"]) for hit in hits]

neighbors = np.array([search(q) for q in query_rows])
"""


def _write(plan: Plan) -> Snippets:
    k, oversample = plan.k, 0.0  # 0 switches reranking off
    if plan.reranks:
        k, oversample = plan.within(_MOST_OVERSAMPLING)
    options: dict[str, object] = {"type": "bbq_hnsw"}
    if plan.method is _DISK:
        options = {"type": "bbq_disk", "bits": int(plan.strategy.bits)}
        if plan.strategy.rotate:
            options["precondition"] = True
    options["rescore_vector"] = {"oversample": oversample}
    field = {
        "type": "dense_vector",
        "dims": plan.d,
        "index": True,
        "similarity": _SIMILARITY[plan.metric],
        "index_options": options,
    }
    mappings = {"properties": {"embedding": field}}
    least, most = _CANDIDATES
    knn = {
        "field": "embedding",
        "k": k,
        "num_candidates": min(max(least, _TIMES * plan.n_candidates), most),
    }
    if plan.method is _DISK:
        knn["visit_percentage"] = 100
    ask = {
        "size": plan.k,
        "_source": False,
        "knn": {**knn, "query_vector": "@query.json"},
    }
    return Snippets(
        curl("PUT", _URL, {"mappings": mappings}),
        curl("PUT", f"{_URL}/_doc/0?refresh=true", {"embedding": "@row.json"}),
        curl("POST", f"{_URL}/_search", ask),
        program(
            plan, _IMPORTS, _PYTHON, mappings=as_python(mappings), knn=as_python(knn)
        ),
    )


_FINER = "BBQ rounds float queries to 4 bits, which costs little."
_HNSW = Method("BBQ (bbq_hnsw)", (1,), "vectors", "engine", "you", notes=(_FINER,))
_DISK = Method(
    "BBQ on disk (bbq_disk, since 9.2; its bits since 9.4)",
    (2,),
    "vectors",
    "engine",
    "option",
    notes=(
        _FINER,
        "bbq_disk asks for an Enterprise subscription, and is the default from 9.4 "
        "where there is one.",
    ),
)

ELASTICSEARCH = Engine(
    "elasticsearch",
    (_HNSW, _DISK),
    _write,
    "Not run on a server. In skbq's tests the types of elasticsearch-py 9.5.1 know "
    "each key and word, and program and requests run on a stand-in that searches "
    "exactly (2026-12). Meanings follow the page 'Dense vector field type'. "
    "https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/dense-vector",
    largest=4096,
    smallest=65,
    shell="sh",
    notes=(
        "Measure recall once in place: a graph skips rows, and more so in many "
        "segments; raise num_candidates. bbq_disk is set to visit all clusters "
        "(visit_percentage); lower that for speed.",
        'bbq_disk rotates by itself with "precondition": true (since 9.4), and with '
        '"auto_calibrate": true (since 9.5) chooses bits and oversampling for each '
        "segment.",
    ),
)
