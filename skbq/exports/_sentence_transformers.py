"""sentence-transformers: packed bits searched by semantic_search_faiss."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import program

_IMPORTS = """\
import numpy as np
try:
    from sentence_transformers.util import quantization
except ImportError:  # before version 5.2
    from sentence_transformers import quantization
"""
_PYTHON = """\
$given
hits, _ = quantization.semantic_search_faiss(
    query_rows,
    corpus_embeddings=quantization.quantize_embeddings(rows, precision="ubinary"),
    corpus_precision="ubinary",
    top_k=min($candidates, len(rows)),
    rescore=False,
)
candidates = np.array([[hit["corpus_id"] for hit in row] for row in hits])
$rerank
"""


def _write(plan: Plan) -> Snippets:
    return Snippets("", "", "", program(plan, _IMPORTS, _PYTHON))


SENTENCE_TRANSFORMERS = Engine(
    "sentence-transformers",
    (
        Method(
            "semantic_search_faiss with precision 'ubinary'",
            (1,),
            "codes",
            # The prepared vectors give codes only; reranking takes those of the user.
            "codes",
            "codes",
            reranks=False,
            notes=(
                "Its own 'rescore' compares the float query with the bits of the rows "
                "that were found and not with their vectors, which reaches less; the "
                "program reranks itself.",
            ),
        ),
    ),
    _write,
    "Run with sentence-transformers 6.2.0 in skbq's tests: its file that packs and "
    "searches, without torch (2026-12). "
    "https://sbert.net/docs/package_reference/util/quantization.html",
    largest=100_000,
)
