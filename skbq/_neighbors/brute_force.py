"""Search over plain arrays: threads over the scan kernels, exact distances, reranking.

A *comparison* says what is compared: :class:`CodeComparison` or
:class:`EstimateComparison`. :func:`nearest` and :func:`within` cut its rows or its
queries for threads, and its scans find the rows. Results do not depend on how the work
is cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from .._kernels.dispatch import (
    ListScan,
    NibbleValues,
    Scan,
    between_codes,
    bits_of_nibbles,
    count_queries,
    from_vectors,
    from_vectors_by_nibble,
    tables_between_codes,
)
from .._kernels.memory import read_only
from .._kernels.mixed_depths import square_norms
from .._kernels.result_heap import Allowed, Found
from .._kernels.vector_ops import (
    METRIC_NUMBERS,
    as_stored,
    keep_nearest,
    rerank_candidates,
)
from .._utils.parallel import (
    count_jobs,
    even_slices,
    fixed_blocks,
    map_slices,
    row_blocks,
    run_threads,
)
from .._utils.similarity import distances_of_pairs, distances_to
from ..codes import CodeArray, MixedDepths

# Fewer queries than these for each thread share what is made of the rows badly.
_QUERIES_PER_THREAD = 16
# With so many rows for each thread and neighbor, finding neighbors anew in each part of
# the rows costs less than making tiles of all rows for each part of the queries.
_ROWS_PER_NEIGHBOR = 20_000
# Queries that are compared together where all rows near them are kept.
_QUERIES_WITHIN = 64
# Rows of a query that memory is taken for before their number is known.
_FIRST_CAPACITY = 64


class Neighbors(NamedTuple):
    """What a search for a number of neighbors gives; infinity and -1 where none is.

    ``distances``: float64 (n_queries, k), ascending. ``rows``: int64 (n_queries, k).
    """

    distances: np.ndarray
    rows: np.ndarray


class NearRows(NamedTuple):
    """What a search within a radius gives: for each query, arrays of its own length."""

    distances: list[np.ndarray]
    rows: list[np.ndarray]


class Comparison(Protocol):
    """What is compared: rows of codes with queries."""

    @property
    def codes(self) -> CodeArray: ...

    @property
    def n_queries(self) -> int: ...

    def scan(self, queries: slice) -> Scan:
        """Make the tables of some queries, to scan any rows with."""

    def list_scan(self, queries: slice) -> ListScan:
        """Do the same, to scan inverted lists with."""


@dataclass(frozen=True)
class CodeComparison:
    """Compare codes with codes by "hamming", "penalty" or "dot"."""

    codes: CodeArray
    queries: CodeArray
    code_metric: str

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    def scan(self, queries: slice) -> Scan:
        """Make the tables of some queries."""
        codes = self.codes
        costs = _costs(codes, self.code_metric)
        return between_codes(codes, self.queries[queries], costs, codes.n_features)

    def list_scan(self, queries: slice) -> ListScan:
        """Do the same, to scan inverted lists with."""
        codes, d = self.codes, self.codes.n_features
        costs = _costs(codes, self.code_metric)
        return tables_between_codes(codes, self.queries[queries], costs, d)


@dataclass(frozen=True)
class EstimateComparison:
    """Compare codes with float queries: ``offset + scale * <query, code values>``.

    Attributes
    ----------
    codes : CodeArray of shape (n_samples, ceil(d / 8))
    scale, offset : ndarrays of shape (n_samples,), dtype float32
    queries : ndarray of shape (n_queries, d), dtype float32
        Centered as the codes are.
    least : ndarray of shape (n_queries,), dtype float64, or None
        Smaller distances become this, and tie.
    sign : int or None
        That of most scales, where it is known.
    """

    codes: CodeArray
    scale: np.ndarray
    offset: np.ndarray
    queries: np.ndarray
    least: np.ndarray | None = None
    sign: int | None = None

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    def scan(self, queries: slice) -> ListScan:
        """Make the tables of some queries."""
        y = self.queries[queries]
        if self.least is None:
            least = np.empty(len(y))
            least.fill(-np.inf)
        else:
            least = self.least[queries]
        codes, layout = self.codes, self.codes.layout
        if isinstance(layout, MixedDepths):
            bits = bits_of_nibbles(layout.has_sums_above)
            nibbles = NibbleValues(layout.line_coordinates, layout.line_values, bits)
            return from_vectors_by_nibble(
                codes, y, nibbles, self.offset, self.scale, least, self.sign
            )
        levels = None if layout is None else layout.levels
        return from_vectors(codes, y, levels, self.offset, self.scale, least, self.sign)

    list_scan = scan


def scale_directions(codes: CodeArray) -> np.ndarray:
    """Return the scales of :func:`compare_directions`, float32 of (n_rows,)."""
    norms = np.empty(len(codes))
    layout = codes.layout
    assert isinstance(layout, MixedDepths)
    coordinates, values = layout.line_coordinates, layout.line_values
    square_norms(read_only(codes), read_only(coordinates), read_only(values), norms)
    return (-1 / np.sqrt(norms)).astype(np.float32)


def compare_directions(
    codes: CodeArray, queries: CodeArray, scale: np.ndarray
) -> EstimateComparison:
    """Compare codes of mixed depth: 1 - the cosine between their values."""
    y = queries.unpack()
    y /= np.sqrt(np.square(y, dtype=np.float64).sum(axis=1, keepdims=True))
    return EstimateComparison(
        codes,
        scale,
        np.ones(len(codes), np.float32),
        y,
        np.zeros(len(y)),
    )


def count_queries_of(codes: CodeArray) -> int:
    return count_queries(
        codes, by_nibble=isinstance(getattr(codes, "layout", None), MixedDepths)
    )


def _costs(codes: CodeArray, code_metric: str) -> list[float]:
    """Return what a coordinate adds to a distance, for each pair of code values.

    One bit: where the signs agree, where they differ. Two bits: where they agree and
    the magnitudes are low and low, low and high, high and high; then where they differ.
    The distance "dot" of a coordinate is the largest product of levels less theirs.
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


class Eligible(NamedTuple):
    """Which rows count for which query.

    ``left_out``: int64 (n_queries,), a row that does not count for the query, -1 for
    none; or None. ``mask``: bool (n_rows,), the rows that count; None: all.
    """

    left_out: np.ndarray | None = None
    mask: np.ndarray | None = None

    def part(self, rows: slice, queries: slice) -> Allowed:
        """Say the same of a part of the rows, numbered from its first."""
        left_out = np.full(queries.stop - queries.start, -1)
        if self.left_out is not None:
            given = self.left_out[queries]
            inside = (rows.start <= given) & (given < rows.stop)
            left_out = np.where(inside, given - rows.start, -1)
        mask = _NO_MASK if self.mask is None else self.mask[rows].view(np.uint8)
        return Allowed(read_only(left_out), read_only(mask))

    def numbered(self, queries: slice) -> Allowed:
        """Say the same of all rows, by their numbers."""
        if self.left_out is None:
            left_out = _nobody(queries.stop - queries.start)
        else:
            left_out = read_only(self.left_out[queries])
        mask = _NO_MASK if self.mask is None else read_only(self.mask.view(np.uint8))
        return Allowed(left_out, mask)

    def block(self, rows: slice, queries: np.ndarray) -> "Eligible":
        """Say the same of a block of rows and of some queries."""
        left_out = self.left_out
        if left_out is not None:
            left_out = left_out[queries]
            inside = (rows.start <= left_out) & (left_out < rows.stop)
            left_out = np.where(inside, left_out - rows.start, -1)
        return Eligible(left_out, None if self.mask is None else self.mask[rows])


_NO_MASK = read_only(np.empty(0, np.uint8))


@lru_cache(maxsize=16)
def _nobody(n_queries: int) -> np.ndarray:
    """Return what says of so many queries that no row is left out."""
    return read_only(np.full(n_queries, -1))


EVERY_ROW = Eligible()


def nearest(
    comparison: Comparison,
    k: int,
    eligible: Eligible = EVERY_ROW,
    *,
    n_jobs: int | None = None,
) -> Neighbors:
    """Find the k nearest rows of every query, equal distances in order of rows.

    Parameters
    ----------
    comparison : Comparison
    k : int, at least 1
    eligible : Eligible
    n_jobs : int, default=None

    Returns
    -------
    neighbors : Neighbors

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.codes import as_codes
    >>> codes = as_codes(np.array([[0b1100], [0b1111], [0b1110]], np.uint8), 8)
    >>> nearest(CodeComparison(codes, codes[:1], "hamming"), 2)
    Neighbors(distances=array([[0., 1.]]), rows=array([[0, 2]]))
    """
    row_parts, query_parts = _cut(comparison, k, n_jobs)

    def search(part: slice) -> Neighbors:
        blocks = [
            _merge(_nearest_in_parts(comparison, some, row_parts, k, eligible), k)
            for some in batches(part, count_queries_of(comparison.codes))
        ]
        return _stack(blocks)

    return _stack(run_threads(search, query_parts))


def _stack(parts: list[Neighbors]) -> Neighbors:
    """Put what was found for some queries below what was found for others."""
    if len(parts) == 1:
        return parts[0]
    return Neighbors(*map(np.concatenate, zip(*parts, strict=True)))


def _nearest_in_parts(
    comparison: Comparison,
    queries: slice,
    row_parts: list[slice],
    k: int,
    eligible: Eligible,
) -> list[Neighbors]:
    """Find neighbors in each part of the rows; the parts share the tables."""
    scan = comparison.scan(queries)

    def search(part: slice) -> Neighbors:
        distances, rows = nothing_found(queries.stop - queries.start, k)
        found = empty_heaps(distances, rows)
        scan.run(part, eligible.part(part, queries), found)
        if scan.units is not None:
            distances = scan.units.distances(distances)
        if part.start:
            rows[rows >= 0] += part.start
        return Neighbors(distances, rows)

    return run_threads(search, row_parts)


def nothing_found(n_queries: int, k: int) -> Neighbors:
    """Return infinity and -1, as many as wanted."""
    # To fill arrays takes half of the time of numpy.full.
    distances, rows = np.empty((n_queries, k)), np.empty((n_queries, k), np.int64)
    distances.fill(np.inf)
    rows.fill(-1)
    return Neighbors(distances, rows)


def empty_heaps(distances: np.ndarray, rows: np.ndarray) -> Found:
    """Return heaps that fill C-ordered arrays of infinity and -1, (n_queries, k)."""
    n, k = rows.shape
    limits = np.empty(n)
    limits.fill(np.inf)
    return Found(
        distances.reshape(-1),
        rows.reshape(-1),
        np.arange(0, n * k + 1, k),
        limits,
        np.zeros(n, np.int64),
        False,
    )


def _merge(parts: list[Neighbors], k: int) -> Neighbors:
    """Merge what was found in parts of the rows."""
    if len(parts) == 1:
        return parts[0]
    distances = np.concatenate([part.distances for part in parts], axis=1)
    rows = np.concatenate([part.rows for part in parts], axis=1)
    return sort_neighbors(Neighbors(distances, rows), k)


def sort_neighbors(neighbors: Neighbors, k: int) -> Neighbors:
    """Sort by (distance, row) and keep the first k."""
    distances, rows = neighbors
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    return Neighbors(*(np.take_along_axis(x, order, axis=1) for x in neighbors))


def within(
    comparison: Comparison,
    radii: np.ndarray,
    eligible: Eligible = EVERY_ROW,
    *,
    n_jobs: int | None = None,
) -> NearRows:
    """Find all rows at most ``radii[q]`` away from query q, in order of rows.

    Parameters
    ----------
    comparison : Comparison
    radii : ndarray of shape (n_queries,)
    eligible : Eligible
    n_jobs : int, default=None

    Returns
    -------
    near : NearRows
    """

    def search(part: slice) -> list[NearRows]:
        size = min(_QUERIES_WITHIN, count_queries_of(comparison.codes))
        return [
            _within_radii(comparison, some, radii[some], eligible)
            for some in batches(part, size)
        ]

    parts = map_slices(search, comparison.n_queries, n_jobs)
    return join_near_rows(block for part in parts for block in part)


def _within_radii(
    comparison: Comparison, queries: slice, radii: np.ndarray, eligible: Eligible
) -> NearRows:
    scan = comparison.scan(queries)
    units = scan.units
    limits = (
        np.nextafter(radii, np.inf)
        if units is None
        else np.array([units.limit(radius) for radius in radii])
    )
    everything = slice(0, len(comparison.codes))
    allowed = eligible.part(everything, queries)
    capacity = np.full(len(radii), _FIRST_CAPACITY)
    while True:  # twice at most: the second time the numbers are known
        starts = np.concatenate([[0], np.cumsum(capacity)])
        distances = np.empty(starts[-1])
        rows = np.empty(starts[-1], np.int64)
        counts = np.zeros(len(radii), np.int64)
        found = Found(distances, rows, starts, limits, counts, True)
        scan.run(everything, allowed, found)
        if (counts <= capacity).all():
            break
        capacity = counts
    used = [slice(first, first + n) for first, n in zip(starts, counts, strict=False)]
    near = [distances[some] for some in used]
    if units is not None:
        near = [units.distances(some) for some in near]
    return NearRows(near, [rows[some] for some in used])


def join_near_rows(parts: Iterator[NearRows]) -> NearRows:
    """Put the answers of queries after each other."""
    joined = NearRows([], [])
    for part in parts:
        joined.distances.extend(part.distances)
        joined.rows.extend(part.rows)
    return joined


def _cut(
    comparison: Comparison, k: int, n_jobs: int | None
) -> tuple[list[slice], list[slice]]:
    """Cut the work for threads: the rows where they are many, or queries are few.

    Returns
    -------
    rows, queries : lists of slice
        One of them holds a single slice.
    """
    n_rows, n_queries, jobs = (
        len(comparison.codes),
        comparison.n_queries,
        count_jobs(n_jobs),
    )
    many_rows = n_rows >= _ROWS_PER_NEIGHBOR * k * jobs
    few_queries = n_queries < _QUERIES_PER_THREAD * jobs and n_rows >= jobs
    if many_rows or few_queries:
        return even_slices(n_rows, jobs), [slice(0, n_queries)]
    return [slice(0, n_rows)], even_slices(n_queries, jobs)


def batches(queries: slice, size: int) -> Iterator[slice]:
    """Cut queries so that the tables of a part have a bounded size."""
    for some in fixed_blocks(queries.stop - queries.start, size):
        yield slice(some.start + queries.start, some.stop + queries.start)


# By exact distances between vectors.


def exact_within(
    vectors: np.ndarray,
    queries: np.ndarray,
    metric: str,
    radius: float,
    eligible: Eligible = EVERY_ROW,
    *,
    n_jobs: int | None = None,
) -> NearRows:
    """Find all rows at most ``radius`` away by exact distance, in order of rows.

    Parameters and results are as in :func:`within`; every vector is read.
    """
    n_rows, d = vectors.shape
    left_out, mask = eligible

    def search(part: slice) -> list[NearRows]:
        hits = []
        for q in range(part.start, part.stop):
            near, rows = [], []
            for block in row_blocks(n_rows, d * 24, shares=count_jobs(n_jobs)):
                distances = distances_to(vectors[block], queries[q], metric)
                inside = distances <= radius
                if mask is not None:
                    inside &= mask[block]
                if left_out is not None and block.start <= left_out[q] < block.stop:
                    inside[left_out[q] - block.start] = False
                near.append(distances[inside])
                rows.append(np.flatnonzero(inside) + block.start)
            hits.append(NearRows([np.concatenate(near)], [np.concatenate(rows)]))
        return hits

    parts = map_slices(search, len(queries), n_jobs)
    return join_near_rows(hit for part in parts for hit in part)


def rerank(
    vectors: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    metric: str,
    k: int,
    *,
    n_jobs: int | None = None,
) -> Neighbors:
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
    neighbors : Neighbors
    """
    distances, rows = found = nothing_found(len(queries), k)
    stored = as_stored(vectors)
    y = queries if stored is None else read_only(np.asarray(queries, np.float64))

    def search(part: slice) -> None:
        some = read_only(candidates[part])
        heaps = empty_heaps(distances[part], rows[part])
        if stored is None:
            near = distances_of_pairs(vectors, y[part], some, metric)
            keep_nearest(near, some, heaps)
        else:
            number = METRIC_NUMBERS[metric]
            rerank_candidates(stored, y[part], some, number, heaps)

    map_slices(search, len(queries), n_jobs)
    return found
