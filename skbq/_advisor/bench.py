"""What strategies find among rows, measured on queries whose neighbors are known.

Codes are searched by :class:`~skbq.BinaryNeighbors` itself, and true neighbors are
found by exact distances in float64, both block by block: what is measured is what the
index will find, and rows need not fit into memory.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from sklearn.frozen import FrozenEstimator

from .._neighbors.index import BinaryNeighbors
from .._quantization.pca import PCAQuantizer, SharedAxes
from .._quantization.rotation import RandomRotation
from .._quantization.strategy import ROTATION_SEED, Strategy
from .._utils.parallel import fixed_blocks
from .._utils.similarity import distances, scaled_rows
from .._utils.typing import Metric
from .._utils.validation import float_rows

# A row counts as a true neighbor if it is that little farther than the k-th, in units
# of the query's largest distance: sums of 10^4 products in float64 are off by less, and
# rounding must not turn ties into misses.
_TOLERANCE = 1e-12
# Exact distances that are computed at a time: 64 MB.
_PAIRS = 2**23
# Numbers (rows x coordinates) that are read from the data at a time: 64 MB in float32.
_BLOCK_VALUES = 2**24


@dataclass(frozen=True)
class VectorSet:
    """Vectors as strategies see them: as they are or rotated, and indexed.

    Each view and each index is made when it is first needed.

    Attributes
    ----------
    vectors : ndarray of shape (n_samples, d), dtype float32 or float64
    metric : {"cosine", "euclidean", "inner_product"}
    rotation : fitted RandomRotation
    learned : VectorSet or None
        Other vectors, whose quantizers encode these. None: quantizers learn from
        these.
    """

    vectors: np.ndarray
    metric: Metric
    rotation: RandomRotation
    learned: "VectorSet | None" = None
    _indexes: dict[Strategy, BinaryNeighbors] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.vectors)

    @cached_property
    def rotated(self) -> np.ndarray:
        """The vectors, of unit norm under "cosine", after the rotation."""
        return self.rotation.transform(scaled_rows(self.vectors, self.metric))

    @cached_property
    def axes(self) -> SharedAxes:
        """The principal axes of the vectors, of unit norm under "cosine"."""
        return SharedAxes(scaled_rows(self.vectors, self.metric), ROTATION_SEED)

    def seen_by(self, strategy: Strategy) -> np.ndarray:
        """Return the vectors as the last step of a strategy's quantizer sees them."""
        return self.rotated if strategy.rotated else self.vectors

    def index(self, strategy: Strategy) -> BinaryNeighbors:
        """Return the vectors in the codes of a strategy, ready for its queries."""
        code = replace(strategy, query="vectors", code_metric="auto")
        if code not in self._indexes:
            quantizer = strategy.make_quantizer(rotate=False)
            if self.learned is not None:
                quantizer = FrozenEstimator(self.learned.index(code).quantizer_)
            elif isinstance(quantizer, PCAQuantizer):
                quantizer = FrozenEstimator(self.axes.fit(quantizer))
            self._indexes[code] = BinaryNeighbors(
                quantizer=quantizer, metric=self.metric, query="vectors", n_jobs=-1
            ).fit(self.seen_by(strategy))
        index = copy.copy(self._indexes[code])
        return index.set_params(query=strategy.query, code_metric=strategy.code_metric)


@dataclass(frozen=True)
class Bench:
    """Rows in memory, and queries on which strategies are measured.

    Attributes
    ----------
    rows, queries : VectorSet
    n_neighbors : int
    leave_one_out : bool
        Whether the queries are the rows, each left out of its own neighbors.
    """

    rows: VectorSet
    queries: VectorSet
    n_neighbors: int
    leave_one_out: bool = False

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        queries: np.ndarray,
        metric: Metric,
        n_neighbors: int,
        rotation: RandomRotation,
    ) -> "Bench":
        """Put plain arrays on the bench."""
        searched, sought = (
            VectorSet(_with_directions(x, metric), metric, rotation)
            for x in (rows, queries)
        )
        return cls(searched, sought, n_neighbors)

    @property
    def metric(self) -> Metric:
        """What makes rows near."""
        return self.rows.metric

    @property
    def n_rows(self) -> int:
        """Number of rows that are searched."""
        return len(self.rows) - self.leave_one_out

    def leaving_one_out(self) -> "Bench":
        """Let the rows be the queries, each left out of its own neighbors."""
        return replace(self, queries=self.rows, leave_one_out=True)

    def first(self, n_rows: int) -> "Bench":
        """Return a bench with the first rows only."""
        if n_rows >= len(self.rows):
            return self
        vectors = self.rows.vectors[:n_rows]
        rows = VectorSet(vectors, self.metric, self.rows.rotation)
        return replace(self, rows=rows)

    def blocks(self) -> Iterator[VectorSet]:
        """Go through the rows that are searched: here all at once."""
        yield self.rows

    def distances(self, queries: slice, rows: slice) -> np.ndarray:
        """Return exact distances, euclidean ones squared; a query's own is infinite."""
        return self._distances(queries, self.rows.vectors[rows], rows.start or 0)

    def _distances(self, queries: slice, rows: np.ndarray, start: int) -> np.ndarray:
        asked = self.queries.vectors[queries]
        near = distances(asked, rows, self.metric, squared=True)
        if self.leave_one_out:
            numbers = np.arange(len(self.queries))[queries] - start
            inside = np.flatnonzero((numbers >= 0) & (numbers < len(rows)))
            near[inside, numbers[inside]] = np.inf
        return near

    def scores(self, strategy: Strategy, queries: slice, rows: slice) -> np.ndarray:
        """Return what a search ranks some rows by, larger for nearer.

        Returns
        -------
        scores : ndarray of shape (n_queries, n_rows), dtype float32
        """
        index, counted = self.rows.index(strategy), np.zeros(len(self.rows), bool)
        counted[rows] = True
        sought = self.queries.seen_by(strategy)[queries]
        out = np.empty((len(sought), counted.sum()), np.float32)
        for some in fixed_blocks(len(sought), max(_PAIRS // len(counted), 1)):
            found, _ = index.radius_neighbors(sought[some], np.inf, mask=counted)
            out[some] = -np.stack(list(found))
        return out

    def search(
        self, strategies: Sequence[Strategy], queries: slice, depth: int
    ) -> "Search":
        """Search the rows for some queries, exactly and by codes.

        Parameters
        ----------
        strategies : sequence of Strategy
        queries : slice
        depth : int
            Number of candidates that codes find, at least ``n_neighbors``.
        """
        n_queries = len(self.queries.vectors[queries])
        truth = Truth.nothing(n_queries, self.n_neighbors)
        best = {s: Candidates.nothing(n_queries) for s in strategies}
        for block in self.blocks():
            found = {s: self._search(block, s, queries, depth) for s in strategies}
            for part in fixed_blocks(len(block), max(_PAIRS // n_queries, 1)):
                near = self._distances(queries, block.vectors[part], part.start)
                truth = truth.with_rows(near)
                for candidates in found.values():
                    candidates.note_distances(near, part)
            best = {s: best[s].merged(found[s], depth) for s in strategies}
        return Search(truth, best)

    def _search(
        self, block: VectorSet, strategy: Strategy, queries: slice, depth: int
    ) -> "Candidates":
        asked = self.queries.seen_by(strategy)[queries]
        depth = min(depth + self.leave_one_out, len(block))
        found, rows = block.index(strategy).kneighbors(asked, depth)
        if self.leave_one_out:
            keep = rows != np.arange(len(self.queries))[queries, None]
            keep[keep.all(axis=1), -1] = False
            found, rows = (x[keep].reshape(len(x), -1) for x in (found, rows))
        return Candidates(found, rows, np.full(found.shape, np.inf))


@dataclass(frozen=True)
class DataBench(Bench):
    """All rows of the user's data, which are read block by block.

    ``rows`` are a sample of them in memory, from which quantizers learn.

    Attributes
    ----------
    data : ndarray of shape (n_samples, d)
        May be a memory map, of any dtype.
    numbers : ndarray of shape (n_rows,), dtype int64
        The rows of ``data`` that are searched, ascending.
    """

    data: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def n_rows(self) -> int:
        """Number of rows that are searched."""
        return len(self.numbers)

    def blocks(self) -> Iterator[VectorSet]:
        """Read blocks of rows, which the sample's quantizers encode."""
        size = max(_BLOCK_VALUES // self.data.shape[1], 1)
        for some in fixed_blocks(len(self.numbers), size):
            vectors = float_rows(self.data[self.numbers[some]])
            vectors = _with_directions(vectors, self.metric)
            yield VectorSet(vectors, self.metric, self.rows.rotation, self.rows)


def _with_directions(vectors: np.ndarray, metric: str) -> np.ndarray:
    """Under "cosine" give zeros, which came from integers, some direction."""
    if metric != "cosine" or vectors.any(axis=1).all():
        return vectors
    return np.where(vectors.any(axis=1, keepdims=True), vectors, 1).astype(
        vectors.dtype
    )


def whole_data(sample: Bench, data: np.ndarray, numbers: np.ndarray) -> DataBench:
    """Put all rows on the bench, for the queries of a sample of them."""
    return DataBench(
        sample.rows, sample.queries, sample.n_neighbors, data=data, numbers=numbers
    )


@dataclass(frozen=True)
class Candidates:
    """Each query's best rows, best first by code.

    Attributes
    ----------
    by_code : ndarray of shape (n_queries, n_candidates)
        Distances by which codes rank.
    rows : ndarray of shape (n_queries, n_candidates), dtype int64
        Row numbers within a block.
    exact : ndarray of shape (n_queries, n_candidates)
        True distances, infinite until they are known.
    """

    by_code: np.ndarray
    rows: np.ndarray
    exact: np.ndarray

    @classmethod
    def nothing(cls, n_queries: int) -> "Candidates":
        """Start with none."""
        none = np.empty((n_queries, 0))
        return cls(none, none.astype(np.int64), none)

    def note_distances(self, near: np.ndarray, part: slice) -> None:
        """Fill in the true distances of those candidates that lie in ``part``."""
        inside = (self.rows >= part.start) & (self.rows < part.stop)
        query, place = np.nonzero(inside)
        self.exact[query, place] = near[query, self.rows[query, place] - part.start]

    def merged(self, later: "Candidates", count: int) -> "Candidates":
        """Keep the best, of equal ones those found earlier: the lower rows."""
        if not self.rows.shape[1]:
            return later
        both = [
            np.concatenate([getattr(x, name) for x in (self, later)], axis=1)
            for name in ("by_code", "rows", "exact")
        ]
        order = np.argsort(both[0], axis=1, kind="stable")[:, :count]
        return Candidates(*(np.take_along_axis(x, order, axis=1) for x in both))


@dataclass(frozen=True)
class Truth:
    """The true distances of each query's k nearest rows, as far as rows were seen.

    Attributes
    ----------
    nearest : ndarray of shape (n_queries, k)
        In no order; infinite where too few rows were seen.
    largest : ndarray of shape (n_queries,)
        The largest distance in magnitude.
    """

    nearest: np.ndarray
    largest: np.ndarray

    @classmethod
    def nothing(cls, n_queries: int, k: int) -> "Truth":
        """Start before any row."""
        return cls(np.full((n_queries, k), np.inf), np.zeros(n_queries))

    def with_rows(self, near: np.ndarray) -> "Truth":
        """Count more rows, given their distances (infinite: not to count)."""
        k = self.nearest.shape[1]
        if near.shape[1] > k:
            nearest = np.partition(near, k - 1, axis=1)[:, :k]
        else:
            nearest = near
        both = np.concatenate([self.nearest, nearest], axis=1)
        sizes = np.abs(near, where=np.isfinite(near), out=np.zeros_like(near))
        return Truth(
            np.partition(both, k - 1, axis=1)[:, :k],
            np.maximum(self.largest, sizes.max(axis=1)),
        )

    def limits(self, k: int) -> np.ndarray:
        """Return the distance up to which a row counts as one of the k nearest."""
        k_th = np.partition(self.nearest, k - 1, axis=1)[:, k - 1]
        return k_th + _TOLERANCE * self.largest


@dataclass(frozen=True)
class Search:
    """What exact search and the codes of strategies found for some queries."""

    truth: Truth
    candidates: dict[Strategy, Candidates]

    def recalls(
        self, strategy: Strategy, depths: np.ndarray, n_neighbors: int | None = None
    ) -> np.ndarray:
        """Return each query's recall among its best candidates, reranked.

        Parameters
        ----------
        strategy : Strategy
        depths : ndarray of shape (n_depths,), dtype int
            Numbers of candidates, at least ``n_neighbors``.
        n_neighbors : int, default=None
            The k of recall@k, at most that of the bench. None: that of the bench.

        Returns
        -------
        recalls : ndarray of shape (n_queries, n_depths)
            Any row as near as the k-th counts, k at most.
        """
        k = n_neighbors or self.truth.nearest.shape[1]
        near = self.candidates[strategy].exact <= self.truth.limits(k)[:, None]
        hits = np.cumsum(near, axis=1)
        reached = hits[:, np.minimum(depths, hits.shape[1]) - 1]
        return np.minimum(reached, k) / k
