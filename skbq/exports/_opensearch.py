"""OpenSearch: the scalar quantizer of one or two bits of its Faiss engine."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import as_python, curl, program

_MOST_OVERSAMPLING = 100.0
_EF_LEAST, _EF_TIMES = 100, 2
_URL = "http://localhost:9200/items"
_SPACES = {
    "cosine": "cosinesimil",
    "euclidean": "l2",
    "inner_product": "innerproduct",
}

_IMPORTS = """\
import numpy as np
from opensearchpy import OpenSearch, helpers
"""
_PYTHON = """\
$given
client = OpenSearch("http://localhost:9200")
body = $body
client.indices.create(index="items", body=body)
helpers.bulk(client, (
    {"_index": "items", "_id": str(i), "embedding": row.tolist()}
    for i, row in enumerate(rows)
))
client.indices.refresh(index="items")

knn = $knn

def search(q):
    asked = {"embedding": {**knn, "vector": q.tolist()}}
    body = {"size": $k, "_source": False, "query": {"knn": asked}}
    hits = client.search(index="items", body=body)["hits"]["hits"]
    return [int(hit["_id"]) for hit in hits]

neighbors = np.array([search(q) for q in query_rows])
"""


def _write(plan: Plan) -> Snippets:
    encoder = {"name": "sq", "parameters": {"bits": int(plan.strategy.bits)}}
    field = {
        "type": "knn_vector",
        "dimension": plan.d,
        "space_type": _SPACES[plan.metric],
        "method": {
            "name": "hnsw",
            "engine": "faiss",
            "parameters": {"encoder": encoder},
        },
    }
    body = {
        "settings": {"index": {"knn": True}},
        "mappings": {"properties": {"embedding": field}},
    }
    k = plan.k
    rescore: bool | dict[str, float] = False
    if plan.reranks:
        k, factor = plan.within(_MOST_OVERSAMPLING)
        rescore = {"oversample_factor": factor}
    ef = max(_EF_LEAST, _EF_TIMES * plan.n_candidates)
    knn = {"k": k, "method_parameters": {"ef_search": ef}, "rescore": rescore}
    ask = {
        "size": plan.k,
        "_source": False,
        "query": {"knn": {"embedding": {**knn, "vector": "@query.json"}}},
    }
    return Snippets(
        curl("PUT", _URL, body),
        curl("PUT", f"{_URL}/_doc/0?refresh=true", {"embedding": "@row.json"}),
        curl("POST", f"{_URL}/_search", ask),
        program(plan, _IMPORTS, _PYTHON, body=as_python(body), knn=as_python(knn)),
    )


OPENSEARCH = Engine(
    "opensearch",
    (
        Method(
            "the encoder 'sq' (1 bit since 3.6, 2 bits since 3.9)",
            (1, 2),
            "vectors",
            "engine",
            "you",
            notes=("It rounds float queries to a few bits, finer than rows.",),
        ),
    ),
    _write,
    "Not run on a server. In skbq's tests each key is held against the page 'Faiss "
    "scalar quantization' of OpenSearch 3.9, and those of queries against the messages "
    "of opensearch-py 3.2.0; program and requests run on a stand-in that searches "
    "exactly (2026-12). https://docs.opensearch.org/3.9/vector-search/"
    "optimizing-storage/faiss-scalar-quantization/",
    largest=16_000,
    shell="sh",
    notes=(
        "The first pass takes at least 100 candidates, so that recall is rather better "
        "than promised for few neighbors.",
        "Before 3.6, and for two bits before 3.9, there is only the encoder 'binary'; "
        "its enable_adc gave wrong scores over several segments before 3.8.",
        "Measure recall once in place: a graph skips rows; raise ef_search.",
    ),
)
