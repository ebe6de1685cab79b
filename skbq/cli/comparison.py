"""Strategies of quantization, measured side by side on one set of embeddings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from sklearn.neighbors import NearestNeighbors

from .._advisor.candidates import make_index
from .._neighbors.index import BinaryNeighbors
from .._quantization.strategy import Strategy
from .._utils.similarity import distances_of_pairs
from .._utils.timing import timed
from ..metrics import neighbor_recall

Index: TypeAlias = BinaryNeighbors | NearestNeighbors

# A search is repeated until this many seconds are over, and its fastest run counts.
_TIMED_SECONDS = 0.3


class ExactSearch:
    """Search among the vectors themselves, which codes are held against."""

    name = "exact float search"
    bits = None
    query = "vectors"

    def make_index(self, k: int) -> NearestNeighbors:
        """Make the unfitted index, for cosine distance, on all processors."""
        return NearestNeighbors(
            n_neighbors=k, algorithm="brute", metric="cosine", n_jobs=-1
        )


@dataclass(frozen=True)
class Measurement:
    """What one strategy costs and finds.

    Bytes, build time and queries per second are those of the search without
    reranking, which needs the vectors too; ``bits`` are those of one coordinate.
    """

    strategy: str
    bits: float
    query: str
    recall: float
    recall_reranked: float
    bytes_per_row: int
    build_s: float
    qps: float


EXACT = ExactSearch()
STRATEGIES: list[Strategy | ExactSearch] = [
    EXACT,
    *(
        Strategy(bits, query, rotated)
        for bits in (1, 2)
        for rotated in (False, True)
        for query in ("codes", "vectors")
    ),
]


def measure(
    strategies: Sequence[Strategy | ExactSearch],
    vectors: np.ndarray,
    queries: np.ndarray,
    *,
    k: int = 10,
    oversampling: float = 4,
) -> Iterator[Measurement]:
    """Measure strategies one after the other, under cosine distance.

    Parameters
    ----------
    strategies : sequence of Strategy or ExactSearch
    vectors : ndarray of shape (n_samples, n_features), dtype float32 or float64
    queries : ndarray of shape (n_queries, n_features)
        Rows that are not among the vectors.
    k : int, default=10
        Neighbors of each query, for recall@k.
    oversampling : float, default=4
        ``oversampling * k`` candidates are reranked for ``recall_reranked``.

    Yields
    ------
    measurement : Measurement
        Of each strategy, as soon as it is there.
    """
    exact = EXACT.make_index(k).fit(vectors)
    true = distances_of_pairs(vectors, queries, _rows(exact, queries), "cosine")

    def recall(rows: np.ndarray) -> float:
        found = distances_of_pairs(vectors, queries, rows, "cosine")
        return neighbor_recall(true, found)

    for strategy in strategies:
        index: Index = (
            make_index(strategy, k, oversampling=oversampling, n_jobs=-1)
            if isinstance(strategy, Strategy)
            else strategy.make_index(k)
        )
        if isinstance(strategy, Strategy):
            # Compiles what a search needs; a rotation needs nothing.
            plain = replace(strategy, rotated=False)
            first = make_index(plain, k, oversampling=oversampling)
            _rows(first.fit(vectors[: 2 * k]), queries[:1])
        build_s, _ = timed(partial(index.fit, vectors))
        # To rerank exact neighbors by their exact distance changes nothing.
        reranked = recall(_rows(index, queries))
        bytes_per_row = vectors[:1].nbytes
        if strategy.bits is not None:
            index.set_params(oversampling=None)
            bytes_per_row = index.bytes_per_row_
        search_s, rows = timed(partial(_rows, index, queries), at_least=_TIMED_SECONDS)
        yield Measurement(
            strategy.name,
            strategy.bits or 8 * vectors.itemsize,
            strategy.query,
            recall(rows),
            reranked,
            bytes_per_row,
            build_s,
            len(queries) / search_s,
        )


def nearest_side_by_side(
    vectors: np.ndarray, query: np.ndarray, k: int = 5
) -> tuple[np.ndarray, np.ndarray, int]:
    """Find the nearest rows of one query by float search and by one-bit codes.

    Returns
    -------
    by_floats, by_codes : ndarrays of shape (k,)
        Row numbers, nearest first.
    bytes_per_row : int
        Of the codes.
    """
    exact = EXACT.make_index(k).fit(vectors)
    one_bit = make_index(Strategy(1), k).fit(vectors)
    by_floats, by_codes = (_rows(index, query[None])[0] for index in (exact, one_bit))
    return by_floats, by_codes, one_bit.bytes_per_row_


def _rows(index: Index, queries: np.ndarray) -> np.ndarray:
    return index.kneighbors(queries, return_distance=False)
