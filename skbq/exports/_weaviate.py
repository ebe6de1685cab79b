"""Weaviate: BQ on a flat index for symmetric search, else rotational quantization."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import curl, program

_URL = "http://localhost:8080/v1"
_DISTANCES = {
    "cosine": ("cosine", "COSINE"),
    "euclidean": ("l2-squared", "L2_SQUARED"),
    "inner_product": ("dot", "DOT"),
}
_EF_LEAST, _EF_TIMES = 128, 2

_IMPORTS = """\
import numpy as np
import weaviate
from weaviate.classes.config import Configure, VectorDistances
from weaviate.util import generate_uuid5
"""
_PYTHON = """\
$given
with weaviate.connect_to_local() as client:
    items = client.collections.create(
        "Items",
        vector_config=Configure.Vectors.self_provided(
            vector_index_config=Configure.VectorIndex.$index(
                distance_metric=VectorDistances.$distance,
                quantizer=Configure.VectorIndex.Quantizer.$quantizer,
$options            ),
        ),
    )
    numbers = {str(generate_uuid5(i)): i for i in range(len(rows))}
    with items.batch.fixed_size(batch_size=200) as batch:
        for i, row in enumerate(rows):
            batch.add_object({}, uuid=generate_uuid5(i), vector=row.tolist())
    assert not items.batch.failed_objects

    def search(q):
        found = items.query.near_vector(q.tolist(), limit=$k).objects
        return [numbers[str(item.uuid)] for item in found]

    neighbors = np.array([search(q) for q in query_rows])
"""
_ASK = (
    "{{ Get {{ Items(limit: {k}, nearVector: {{vector: @}}) "
    "{{ _additional {{ id }} }} }} }}"
)


def _write(plan: Plan) -> Snippets:
    flat = plan.method is _BQ
    limit = plan.n_candidates if plan.reranks else 0
    distance, model = _DISTANCES[plan.metric]
    quantizer: dict[str, object] = {"enabled": True, "rescoreLimit": limit}
    if not flat:
        quantizer["bits"] = 1
    config: dict[str, object] = {
        "distance": distance,
        "bq" if flat else "rq": quantizer,
    }
    ef = max(_EF_LEAST, _EF_TIMES * plan.n_candidates)
    if not flat:
        config["ef"] = ef
    create = {
        "class": "Items",
        "vectorizer": "none",
        "vectorIndexType": "flat" if flat else "hnsw",
        "vectorIndexConfig": config,
    }
    ask = curl("POST", f"{_URL}/graphql", {"query": _ASK.format(k=plan.k)})
    bits = "" if flat else "bits=1, "
    return Snippets(
        curl("POST", f"{_URL}/schema", create),
        curl("POST", f"{_URL}/objects", {"class": "Items", "vector": "@row.json"}),
        ask.replace("vector: @", "vector: '\"$(cat query.json)\"'"),
        program(
            plan,
            _IMPORTS,
            _PYTHON,
            index="flat" if flat else "hnsw",
            distance=model,
            quantizer=f"{'bq' if flat else 'rq'}({bits}rescore_limit={limit})",
            options="" if flat else f"                ef={ef},\n",
        ),
    )


_BQ = Method(
    "BQ on a flat index",
    (1,),
    "codes",
    "you",
    "you",
    notes=(
        "Under an hnsw index BQ ignores rescoreLimit, and Weaviate chooses. The flat "
        "index here obeys it, and always reranks.",
    ),
)
_RQ = Method(
    "rotational quantization (RQ) of one bit",
    (1,),
    "vectors",
    "you",
    "engine",
    notes=(
        "RQ rounds float queries to 5 bits, which costs little.",
        "Two bits: RQ has 1 and 8; 4 only since 1.39, as a preview with hnsw.",
    ),
)

WEAVIATE = Engine(
    "weaviate",
    (_BQ, _RQ),
    _write,
    "Not run on a server. In skbq's tests the program builds the classes of "
    "weaviate-client 4.24.1, which give the configuration that is printed, and the "
    "requests run on a stand-in that searches exactly (2026-12). Meanings follow "
    "excerpts of 'Rotational Quantization (RQ)' of Weaviate 1.39. "
    "https://docs.weaviate.io/weaviate/configuration/compression/rq-compression",
    largest=65_535,
    shell="sh",
    notes=("A flat index takes RQ too, since 1.35.",),
)
