"""Search over plain arrays: who is near, in which order, and reranking.

A *distance block* is a function ``(rows, queries) -> array (n_queries, n_rows)`` of
two slices. Three kinds exist (between codes, estimated from codes and float queries,
exact between vectors); :func:`nearest` and :func:`within` work on any of them.

Results do not depend on how rows and queries are cut into blocks, nor on threads.
"""

from collections.abc import Callable

import numpy as np

from ._kernels.popcount import count_words, push_block, sort_heaps
from ._parallel import fixed_blocks, map_slices, row_blocks
from .codes import CodeArray, code_words

DistanceBlock = Callable[[slice, slice], np.ndarray]

# A block of distances (float64) of this shape stays within the second-level cache.
_BLOCK_ROWS = 2048
_BLOCK_QUERIES = 64
_NO_ROW = np.iinfo(np.int64).max


def nearest(
    distances: DistanceBlock,
    n_rows: int,
    n_queries: int,
    k: int,
    *,
    left_out: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of every query, equal distances in order of rows.

    Parameters
    ----------
    distances : callable
        A distance block.
    left_out : ndarray of shape (n_queries,), dtype int64, default=None
        A row that is not offered to this query.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), dtype float64
    rows : ndarray of shape (n_queries, k), dtype int64
    """
    found = np.full((n_queries, k), np.inf)
    rows = np.full((n_queries, k), _NO_ROW)
    if left_out is None:
        left_out = np.full(n_queries, -1)

    def search(part: slice) -> None:
        for some in fixed_blocks(part.stop - part.start, _BLOCK_QUERIES):
            queries = slice(part.start + some.start, part.start + some.stop)
            for block in fixed_blocks(n_rows, _BLOCK_ROWS):
                push_block(
                    distances(block, queries),
                    block.start,
                    left_out[queries],
                    found[queries],
                    rows[queries],
                )
            sort_heaps(found[queries], rows[queries])

    map_slices(search, n_queries, n_jobs)
    return found, rows


def within(
    distances: DistanceBlock,
    n_rows: int,
    n_queries: int,
    radius: float,
    *,
    left_out: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Find all rows at most ``radius`` away from every query, in order of rows.

    Returns
    -------
    distances : list of n_queries float64 arrays
    rows : list of n_queries int64 arrays
    """

    def search(part: slice) -> list[tuple[np.ndarray, np.ndarray]]:
        hits = []
        for q in range(part.start, part.stop):
            near, where = [], []
            for block in fixed_blocks(n_rows, _BLOCK_ROWS):
                found = distances(block, slice(q, q + 1))[0]
                inside = found <= radius
                if left_out is not None and block.start <= left_out[q] < block.stop:
                    inside[left_out[q] - block.start] = False
                near.append(found[inside].astype(np.float64))
                where.append(np.flatnonzero(inside) + block.start)
            hits.append((np.concatenate(near), np.concatenate(where)))
        return hits

    parts = [hit for part in map_slices(search, n_queries, n_jobs) for hit in part]
    return [found for found, _ in parts], [rows for _, rows in parts]


# Distances between codes.


def code_distances(
    codes: CodeArray, queries: CodeArray, code_metric: str
) -> DistanceBlock:
    """Distances between codes: "hamming", "penalty" or "dot"."""
    weights = _count_weights(codes, code_metric)
    query_words = code_words(queries)

    def block(rows: slice, some: slice) -> np.ndarray:
        out = np.empty((some.stop - some.start, rows.stop - rows.start))
        planes = code_words(codes[rows])
        count_words(*planes, *(words[some] for words in query_words), weights, out)
        return out

    return block


def _count_weights(codes: CodeArray, code_metric: str) -> np.ndarray:
    """Weights that make a code distance of bit counts, as ``count_words`` takes them.

    The score "dot" is sum_i s_i s'_i l(m_i) l(m'_i) with l(m) = l_0 + step * m; its
    distance is the largest possible score less the score.
    """
    if code_metric == "hamming":  # of all stored bits
        return np.array([1.0, 0, 0, 0, 1, 0, 0])
    if code_metric == "penalty":  # (1 + m)(1 + m') where the signs differ
        return np.array([1.0, 1, 1, 0, 0, 0, 0])
    low, high = codes.levels or (1.0, 1.0)
    step = high - low
    constant = (high * high - low * low) * codes.n_features
    cross = low * step
    return np.array(
        [2 * low * low, 2 * cross, 2 * step * step, -step * step, 0, -cross, constant]
    )


# Distances estimated from codes and float queries.


def estimated_distances(
    codes: CodeArray, scale: np.ndarray, offset: np.ndarray, queries: np.ndarray
) -> DistanceBlock:
    """Corrected estimates ``offset + scale * <query, code values>``, per row.

    Parameters
    ----------
    codes : CodeArray
    scale, offset : ndarrays of shape (n_samples,), dtype float32
    queries : ndarray of shape (n_queries, n_features)
        Centred as the codes are.
    """
    queries = queries.astype(np.float64)

    def block(rows: slice, some: slice) -> np.ndarray:
        # float64 products rounded to float32 do not depend on the block's shape.
        values = codes[rows].unpack().astype(np.float64)
        product = (queries[some] @ values.T).astype(np.float32)
        return offset[rows] + scale[rows] * product

    return block


# Exact distances between vectors.


def exact_distances(
    vectors: np.ndarray, queries: np.ndarray, metric: str
) -> DistanceBlock:
    """Exact distances between vectors: "cosine", "euclidean" or "inner_product"."""

    def block(rows: slice, some: slice) -> np.ndarray:
        return np.stack(
            [distances_to(vectors[rows], query, metric) for query in queries[some]]
        )

    return block


def distances_to(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """Distances of one query to some rows, in float64.

    The sum runs over a contiguous row, so that a pair's distance has the same last
    bit whichever rows it is computed with.

    Returns
    -------
    distances : ndarray of shape (n_samples,)
        cosine: 1 - cosine similarity; euclidean; inner_product: -<x, y>.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float64)
    y = np.asarray(query, dtype=np.float64)
    if metric == "euclidean":
        return np.sqrt(np.square(rows - y).sum(axis=1))
    product = (rows * y).sum(axis=1)
    if metric == "inner_product":
        return -product
    norms = np.sqrt(np.square(rows).sum(axis=1) * np.square(y).sum())
    return 1 - np.divide(product, norms, out=product, where=norms > 0)


def rerank(
    vectors: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    metric: str,
    k: int,
    *,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Order candidate rows by their exact distance and keep the k nearest.

    Parameters
    ----------
    vectors : ndarray of shape (n_samples, n_features)
        May be a memory map: only the candidates are read.
    queries : ndarray of shape (n_queries, n_features)
    candidates : ndarray of shape (n_queries, n_candidates), dtype int64

    Returns
    -------
    distances, rows : ndarrays of shape (n_queries, k)
    """
    candidates = np.sort(candidates, axis=1)  # ties go to the lower row
    found = np.empty((len(queries), k))
    rows = np.empty((len(queries), k), np.int64)

    def search(part: slice) -> None:
        for q in range(part.start, part.stop):
            near = np.empty(candidates.shape[1])
            for some in row_blocks(len(near), vectors.shape[1] * 24):
                near[some] = distances_to(
                    vectors[candidates[q, some]], queries[q], metric
                )
            order = np.argsort(near, kind="stable")[:k]
            found[q], rows[q] = near[order], candidates[q, order]

    map_slices(search, len(queries), n_jobs)
    return found, rows
