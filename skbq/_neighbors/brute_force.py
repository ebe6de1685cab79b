"""Search over plain arrays: threads over the scan kernels, exact distances, reranking.

Who calls whom: an estimator says what is compared (:func:`code_scan`,
:func:`estimate_scan`), :func:`nearest` and :func:`within` cut the work for threads, and
``skbq._kernels.dispatch`` finds the rows. Results do not depend on how work is cut.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._kernels import dispatch as scan
from .._utils.parallel import (
    count_jobs,
    even_slices,
    map_slices,
    row_blocks,
    run_threads,
)
from .._utils.similarity import distances_of_pairs, distances_to
from ..codes import CodeArray

# Gives what to scan for a slice of rows and one of queries.
MakeScan = Callable[[slice, slice], scan.Scan]

# Fewer queries than these for each thread share what is made of the rows badly.
_QUERIES_PER_THREAD = 16
# With so many rows for each thread and neighbor, finding neighbors anew in each part of
# the rows costs less than making tiles of all rows for each part of the queries.
_ROWS_PER_NEIGHBOR = 20_000


def code_scan(codes: CodeArray, queries: CodeArray, code_metric: str) -> MakeScan:
    """Compare codes by "hamming", "penalty" or "dot"."""
    costs = _costs(codes, code_metric)

    def make(rows: slice, some: slice) -> scan.Scan:
        return scan.between_codes(codes[rows], queries[some], costs, codes.n_features)

    return make


def _costs(codes: CodeArray, code_metric: str) -> list[float]:
    """Return what a coordinate adds to a distance, for each pair of code values.

    One bit: where the signs agree, where they differ. Two bits: where they agree and
    the magnitudes are weak and weak, weak and strong, strong and strong; then where
    they differ. The distance "dot" of a coordinate is the largest product of levels
    less theirs.
    """
    if codes.bits == 1:
        return [0, 2 if code_metric == "dot" else 1]
    if code_metric == "hamming":  # all stored bits count
        return [0, 1, 0, 1, 2, 1]
    if code_metric == "penalty":  # (1 + m)(1 + m') where the signs differ
        return [0, 0, 0, 1, 2, 4]
    assert codes.levels is not None
    low, high = codes.levels
    products = [low * low, low * high, high * high]
    agree = [high * high - product for product in products]
    return agree + [high * high + product for product in products]


def estimate_scan(
    codes: CodeArray, scale: np.ndarray, offset: np.ndarray, queries: np.ndarray
) -> MakeScan:
    """Compare float queries with codes: ``offset + scale * <query, code values>``.

    Parameters
    ----------
    codes : CodeArray of shape (n_samples, ceil(d / 8))
    scale, offset : ndarrays of shape (n_samples,), dtype float32
    queries : ndarray of shape (n_queries, d), dtype float32
        Centred as the codes are.
    """

    def make(rows: slice, some: slice) -> scan.Scan:
        return scan.from_vectors(
            codes[rows], queries[some], codes.levels, offset[rows], scale[rows]
        )

    return make


def nearest(
    make_scan: MakeScan,
    n_rows: int,
    n_queries: int,
    k: int,
    *,
    left_out: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of every query, equal distances in order of rows.

    Parameters
    ----------
    make_scan : callable
    left_out : ndarray of shape (n_queries,), dtype int64, default=None
        A row that does not count for the query; -1 for none.
    mask : ndarray of shape (n_rows,), dtype bool, default=None
        Rows that count.
    n_jobs : int, default=None

    Returns
    -------
    distances : ndarray of shape (n_queries, k), dtype float64
    rows : ndarray of shape (n_queries, k), dtype int64
        Where fewer than k rows count, the rest is infinity and -1.
    """
    parts = _cut(n_rows, n_queries, k, n_jobs)

    def search(part: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        rows, some = part
        found, where = scan.nearest(
            make_scan(rows, some), k, **_counting(part, left_out, mask)
        )
        where[where >= 0] += rows.start
        return found, where

    results = run_threads(search, parts)
    if len({part[1].start for part in parts}) == len(parts):  # queries were cut
        distances = np.concatenate([found for found, _ in results])
        return distances, np.concatenate([where for _, where in results])
    distances = np.concatenate([found for found, _ in results], axis=1)
    rows = np.concatenate([where for _, where in results], axis=1)
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    return tuple(np.take_along_axis(x, order, axis=1) for x in (distances, rows))  # type: ignore[return-value]


def within(
    make_scan: MakeScan,
    n_rows: int,
    n_queries: int,
    radii: np.ndarray,
    *,
    step: int = 64,
    left_out: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Find all rows at most ``radii[q]`` away from query q, in order of rows.

    Parameters
    ----------
    make_scan : callable
    radii : ndarray of shape (n_queries,)
    step : int, default=64
        Number of queries that are scanned together.
    left_out, mask, n_jobs : as in :func:`nearest`

    Returns
    -------
    distances : list of n_queries float64 arrays
    rows : list of n_queries int64 arrays
    """
    everything = slice(0, n_rows)

    def search(part: slice) -> tuple[list[np.ndarray], list[np.ndarray]]:
        found: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for start in range(part.start, part.stop, step):
            some = slice(start, min(start + step, part.stop))
            near, where, starts = scan.within(
                make_scan(everything, some),
                radii[some],
                **_counting((everything, some), left_out, mask),
            )
            found += np.split(near, starts[1:-1])
            rows += np.split(where, starts[1:-1])
        return found, rows

    parts = map_slices(search, n_queries, n_jobs)
    return [d for part in parts for d in part[0]], [
        r for part in parts for r in part[1]
    ]


def _cut(
    n_rows: int, n_queries: int, k: int, n_jobs: int | None
) -> list[tuple[slice, slice]]:
    """Cut the work for threads: the rows where they are many, or queries are few."""
    jobs = count_jobs(n_jobs)
    many_rows = n_rows >= _ROWS_PER_NEIGHBOR * k * jobs
    few_queries = n_queries < _QUERIES_PER_THREAD * jobs and n_rows >= jobs
    if many_rows or few_queries:
        return [(rows, slice(0, n_queries)) for rows in even_slices(n_rows, jobs)]
    return [(slice(0, n_rows), some) for some in even_slices(n_queries, jobs)]


def _counting(
    part: tuple[slice, slice], left_out: np.ndarray | None, mask: np.ndarray | None
) -> dict[str, Any]:
    """Say which rows of a part count, as row numbers within it."""
    rows, some = part
    if left_out is not None:
        inside = (rows.start <= left_out[some]) & (left_out[some] < rows.stop)
        left_out = np.where(inside, left_out[some] - rows.start, -1)
    return {"left_out": left_out, "mask": None if mask is None else mask[rows]}


# By exact distances between vectors.


def exact_within(
    vectors: np.ndarray,
    queries: np.ndarray,
    metric: str,
    radius: float,
    *,
    left_out: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Find all rows at most ``radius`` away by exact distance, in order of rows.

    Parameters and results are as in :func:`within`; every vector is read.
    """
    n_rows, d = vectors.shape

    def search(part: slice) -> list[tuple[np.ndarray, np.ndarray]]:
        hits = []
        for q in range(part.start, part.stop):
            near, where = [], []
            for block in row_blocks(n_rows, d * 24, shares=count_jobs(n_jobs)):
                found = distances_to(vectors[block], queries[q], metric)
                inside = found <= radius
                if mask is not None:
                    inside &= mask[block]
                if left_out is not None and block.start <= left_out[q] < block.stop:
                    inside[left_out[q] - block.start] = False
                near.append(found[inside])
                where.append(np.flatnonzero(inside) + block.start)
            hits.append((np.concatenate(near), np.concatenate(where)))
        return hits

    parts = [hit for part in map_slices(search, len(queries), n_jobs) for hit in part]
    return [found for found, _ in parts], [rows for _, rows in parts]


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
        Row numbers, each once; -1 where there is none.

    Returns
    -------
    distances, rows : ndarrays of shape (n_queries, k)
        Infinity and -1 where there are fewer candidates.
    """
    found = np.full((len(queries), k), np.inf)
    rows = np.full((len(queries), k), -1)

    def search(part: slice) -> None:
        some = np.sort(candidates[part], axis=1)  # ties: the lower row
        near = distances_of_pairs(vectors, queries[part], some, metric)
        order = np.argsort(near, axis=1, kind="stable")[:, :k]
        found[part, : order.shape[1]] = np.take_along_axis(near, order, axis=1)
        rows[part, : order.shape[1]] = np.take_along_axis(some, order, axis=1)

    map_slices(search, len(queries), n_jobs)
    return found, rows
