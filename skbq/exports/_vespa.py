"""Vespa: skbq's codes as a tensor of int8, searched by Hamming distance."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import curl, fill, program

_EXPLORE = 200  # nodes that the graph looks at beyond those asked for

_SCHEMA = """\
# schemas/items.sd of the application package
schema items {
  document items {
    field number type int { indexing: attribute | summary }
    field code type tensor<int8>(x[$n_bytes]) {
      indexing: attribute | index
      attribute { distance-metric: hamming }
    }
$embedding  }
  rank-profile search {
    inputs {
      query(code) tensor<int8>(x[$n_bytes])
$input    }
    first-phase { expression: closeness(field, code) }
$rerank_phase  }
}"""
_EMBEDDING = """\
    field embedding type tensor<float>(x[$d]) {
      indexing: attribute
      attribute: paged
    }
"""
_RERANK = """\
    second-phase {
      expression: $score
      rerank-count: $candidates
    }
"""
_SCORES = {
    "cosine": "cosine_similarity(query(q), attribute(embedding), x)",
    "euclidean": "-euclidean_distance(query(q), attribute(embedding), x)",
    "inner_product": "sum(query(q) * attribute(embedding))",
}
_YQL = (
    "select number from items where {targetHits: $candidates, "
    "hnsw.exploreAdditionalHits: $explore}nearestNeighbor(code, code)"
)
_IMPORTS = """\
import numpy as np
from vespa.application import Vespa
"""
_PYTHON = """\
app = Vespa(url="http://localhost", port=8080)  # with schemas/items.sd deployed
codes, query_codes = prepare.codes(vectors), prepare.codes(queries)

def document(i):
    fields = {"number": i, "code": {"values": codes[i].view(np.int8).tolist()}}
$fields    return {"id": str(i), "fields": fields}

failed = []

def check(response, id):
    if not response.is_successful():
        failed.append(id)

app.feed_iterable(
    (document(i) for i in range(len(vectors))),
    schema="items",
    namespace="items",
    callback=check,
)
assert not failed

def search(i):
    body = {
        "yql": "$yql",
        "ranking": "search",
        "hits": $k,
        "input.query(code)": query_codes[i].view(np.int8).tolist(),
$asked    }
    return [hit["fields"]["number"] for hit in app.query(body).hits]

neighbors = np.array([search(i) for i in range(len(queries))])
"""


def _write(plan: Plan) -> Snippets:
    reranks = plan.reranks
    yql = fill(plan, _YQL, explore=max(_EXPLORE, plan.n_candidates))
    score = _SCORES[plan.strategy.metric]
    schema = fill(
        plan,
        _SCHEMA,
        embedding=fill(plan, _EMBEDDING) if reranks else "",
        input=f"      query(q) tensor<float>(x[{plan.d}])\n" if reranks else "",
        rerank_phase=fill(plan, _RERANK, score=score) if reranks else "",
    )
    fields: dict[str, object] = {"number": 0, "code": {"values": "@row_code.json"}}
    ask: dict[str, object] = {
        "yql": yql,
        "ranking": "search",
        "hits": plan.k,
        "input.query(code)": "@query_code.json",
    }
    if reranks:
        fields["embedding"] = {"values": "@row.json"}
        ask["input.query(q)"] = "@query.json"
    stored = '    fields["embedding"] = {"values": vectors[i].tolist()}\n'
    asked = '        "input.query(q)": queries[i].tolist(),\n'
    url = "http://localhost:8080"
    return Snippets(
        schema,
        curl("POST", f"{url}/document/v1/items/items/docid/0", {"fields": fields}),
        curl("POST", f"{url}/search/", ask),
        program(
            plan,
            _IMPORTS,
            _PYTHON,
            yql=yql,
            fields=stored if reranks else "",
            asked=asked if reranks else "",
        ),
    )


VESPA = Engine(
    "vespa",
    (
        Method(
            "nearestNeighbor by Hamming distance between int8 tensors",
            (1,),
            "codes",
            "codes",
            "codes",
        ),
    ),
    _write,
    "Not run on a server. In skbq's tests pyvespa 1.2.9 writes the same schema, and "
    "program and requests run on a stand-in that searches exactly (2026-12). Meanings "
    "follow excerpts of 'Binarizing vectors' and 'Rank features' of Vespa 8. "
    "https://docs.vespa.ai/en/rag/binarizing-vectors.html",
    largest=100_000,
    shell="sh",
    notes=(
        "rerank-count holds for each content node, so that several nodes rerank more.",
    ),
)
