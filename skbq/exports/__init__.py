"""Settings of vector databases and libraries that run, with the recall they promise.

No product runs every strategy. :func:`export` takes the best one that a product can
run, with its own oversampling and its own promise, and writes schema, insertion and
query for it, as console statements and as Python.
"""

from collections.abc import Mapping, Sequence

from ._candidates import Candidate, check_recommendation
from ._duckdb import DUCKDB
from ._elasticsearch import ELASTICSEARCH
from ._engine import Engine, choose, make_plan
from ._export import Export, make_export
from ._faiss import FAISS
from ._lancedb import LANCEDB
from ._milvus import MILVUS
from ._mongodb import MONGODB
from ._opensearch import OPENSEARCH
from ._pgvector import PGVECTOR
from ._prepare import Prepare
from ._qdrant import QDRANT
from ._redis import REDIS
from ._sentence_transformers import SENTENCE_TRANSFORMERS
from ._sqlite_vec import SQLITE_VEC
from ._usearch import USEARCH
from ._vespa import VESPA
from ._weaviate import WEAVIATE
from ._write_for import TARGETS, write_for

__all__ = ["ENGINES", "TARGETS", "Export", "Prepare", "export", "write_for"]

_ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        DUCKDB,
        ELASTICSEARCH,
        FAISS,
        LANCEDB,
        MILVUS,
        MONGODB,
        OPENSEARCH,
        PGVECTOR,
        QDRANT,
        REDIS,
        SENTENCE_TRANSFORMERS,
        SQLITE_VEC,
        USEARCH,
        VESPA,
        WEAVIATE,
    )
}

ENGINES = tuple(sorted(_ENGINES))
"""Names of the products that :func:`export` knows."""


def export(recommendation: Mapping[str, object], engine: str) -> Export:
    """Give the settings of a product for one strategy, or the one most like it.

    An advisor's :meth:`~skbq.QuantizationAdvisor.export` is better: it knows the recall
    of all strategies, and gives the best one that the product can run with its promise.

    Parameters
    ----------
    recommendation : mapping
        With the keys

        - "center", "rotate": bool, whether coordinates are compared with their means
          and whether vectors are rotated at random before;
        - "bits": number of bits of each coordinate;
        - "query": "codes" or "vectors", whether a query is coded too (symmetric
          search) or stays in float32 (asymmetric search);
        - "oversampling": float of at least 1, candidates to rerank for each neighbor,
          or None for no reranking;
        - "metric": "cosine", "euclidean" or "inner_product";
        - "n_features", "n_neighbors": int.

        Further keys are ignored.
    engine : str
        One of :data:`ENGINES`.

    Returns
    -------
    export : Export
        What to paste, what the product does, what you must do. Its ``prepare`` is not
        fitted yet.

    Raises
    ------
    TypeError
        If ``recommendation`` is not a mapping or ``engine`` not a string.
    ValueError
        If a key is missing, a value is not one of the above, the engine is unknown, it
        lacks the metric, has too few dimensions, or can run nothing like it.

    Examples
    --------
    >>> from skbq.exports import export
    >>> answer = export(
    ...     dict(center=False, rotate=True, bits=1, query="codes", oversampling=4.0,
    ...          metric="cosine", n_features=384, n_neighbors=10),
    ...     engine="pgvector",
    ... )
    >>> print(answer.schema.splitlines()[1])
    CREATE TABLE items (id bigint PRIMARY KEY, embedding vector(384), code bit(384));
    >>> answer.cannot
    []
    """
    check_engine(engine)
    candidate = check_recommendation(recommendation)
    return export_best([candidate], engine)


def check_engine(engine: object) -> str:
    """Return the name of an engine, or list those that there are."""
    if not isinstance(engine, str):
        raise TypeError(
            f"engine must be one of {list(ENGINES)}. Got {type(engine).__name__} "
            "instead."
        )
    if engine not in _ENGINES:
        raise ValueError(f"engine must be one of {list(ENGINES)}. Got {engine!r}.")
    return engine


def export_best(
    candidates: Sequence[Candidate], engine: str, recommended: Candidate | None = None
) -> Export:
    """Export the best of several strategies that an engine can run.

    Parameters
    ----------
    candidates : sequence of Candidate
        At least one, of the same metric, n_features and n_neighbors.
    engine : str
    recommended : Candidate or None, default=None
        The one to take if the engine can run it.

    Returns
    -------
    export : Export
    """
    product = _ENGINES[check_engine(engine)]
    if not candidates:
        raise ValueError(
            f"No code of so few bytes is one that {engine} takes: raise max_bytes."
        )
    choice = choose(candidates, product, recommended)
    plan = make_plan(choice)
    return make_export(product, choice, plan, product.write(plan))
