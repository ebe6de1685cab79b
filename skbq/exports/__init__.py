"""Ready settings for vector databases and libraries, from a recommendation.

No product does all that a recommendation may ask for, and each does a part of it in its
own way. :func:`export` gives the closest form that the product has, and says what the
product does itself, what you must do before, and what it cannot do.
"""

from collections.abc import Callable, Mapping
from typing import Any

from . import _servers, _snippets
from ._plan import Export, Recommendation, check_recommendation

__all__ = ["ENGINES", "Export", "export"]

_EXPORTERS: dict[str, Callable[[Recommendation], Export]] = {
    "elasticsearch": _servers.elasticsearch,
    "faiss": _snippets.faiss,
    "lancedb": _snippets.lancedb,
    "milvus": _servers.milvus,
    "opensearch": _servers.opensearch,
    "pgvector": _snippets.pgvector,
    "qdrant": _servers.qdrant,
    "sentence-transformers": _snippets.sentence_transformers,
    "weaviate": _servers.weaviate,
}

ENGINES = tuple(sorted(_EXPORTERS))
"""Names of the products that :func:`export` knows."""


def export(recommendation: Mapping[str, Any], engine: str) -> Export:
    """Give the settings of a product that come closest to a recommendation.

    Parameters
    ----------
    recommendation : mapping
        With the keys

        - "centre", "rotate": bool, whether coordinates are compared with their means
          and whether vectors are rotated at random before;
        - "bits": 1 or 2 for each coordinate;
        - "query": "codes" or "vectors", whether a query is encoded too;
        - "levels": pair of magnitudes of two-bit codes, or None;
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
        Settings, what the product does and cannot do, what you must do.

    Raises
    ------
    TypeError
        If ``recommendation`` is not a mapping or ``engine`` not a string.
    ValueError
        If a key is missing, a value is not one of the above, or the engine is unknown.

    Examples
    --------
    >>> from skbq.exports import export
    >>> answer = export(
    ...     dict(centre=False, rotate=True, bits=1, query="codes", levels=None,
    ...          oversampling=4.0, metric="cosine", n_features=384, n_neighbors=10),
    ...     engine="pgvector",
    ... )
    >>> print(answer.settings.splitlines()[1])
    CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(384), code bit(384));
    >>> answer.cannot
    []
    """
    if not isinstance(engine, str):
        raise TypeError(
            f"engine must be one of {list(ENGINES)}. Got {type(engine).__name__} "
            "instead."
        )
    if engine not in _EXPORTERS:
        raise ValueError(f"engine must be one of {list(ENGINES)}. Got {engine!r}.")
    return _EXPORTERS[engine](check_recommendation(recommendation))
