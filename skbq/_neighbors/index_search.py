"""Queries against the rows of an index: what is compared, and how far errors reach.

Queries are taken block by block, so that what is computed of them fits scikit-learn's
``working_memory`` setting. Nothing here knows the estimator.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import NamedTuple, Self

import numpy as np

from .._kernels.list_ranking import ListQueries
from .._utils.parallel import row_blocks
from ..codes import CodeArray, MixedDepths, with_layout
from .brute_force import (
    CodeComparison,
    Comparison,
    Eligible,
    EstimateComparison,
    NearRows,
    Neighbors,
    compare_directions,
    exact_within,
    join_near_rows,
    nearest,
    rerank,
    scale_directions,
    sort_neighbors,
    within,
)
from .calibration import LOOKED_AT, FoundRows, ProbeCurve, measure_curve
from .encoding import Encoder
from .float_queries import (
    CenteredQueries,
    Corrections,
    error_reach,
    estimate_deviation,
    finish_estimates,
    start_estimates,
)
from .indexed_rows import IndexedRows
from .inverted_lists import Lists, list_queries
from .list_search import Probes, RankedLists, nearest_in_lists

# The factor of the error bound that belongs to a query is rounded up by at most this
# share: queries of equal reach are scanned together.
_REACH_STEP = 0.02
# What rounding in float32 may take off a lower bound, as a share of its terms.
_FLOAT32_ROUNDING = 1e-6
# What adding a query's constant may round, as a share of it.
_FLOAT64_ROUNDING = 1e-9
# Temporary bytes: of a coordinate of a query; of a candidate; of a row that is pruned.
_VALUE_BYTES = 40
_CANDIDATE_BYTES = 32
_BOUND_BYTES = 96


class FirstStage(NamedTuple):
    """What is scanned.

    Of float queries also what the distances found lack, and the queries as the
    quantizer sees them; of codes the queries' codes.
    """

    comparison: Comparison
    constants: np.ndarray | None
    codes: CodeArray | None
    seen: np.ndarray | None = None


class Queries(NamedTuple):
    """Some queries: their vectors, their codes, or what else was made of them."""

    vectors: np.ndarray | None
    codes: CodeArray | None
    centered: CenteredQueries | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and numbers of each."""
        centered = None if self.centered is None else self.centered.values
        known = [x for x in (self.vectors, centered, self.codes) if x is not None]
        return known[0].shape

    def of(self, some: slice) -> Self:
        """Return some of them."""
        vectors, codes, centered = self
        return self._replace(
            vectors=None if vectors is None else vectors[some],
            codes=None if codes is None else codes[some],
            centered=None if centered is None else centered.of(some),
        )


@dataclass(frozen=True)
class IndexSearch:
    """How the rows of an index are searched.

    Attributes
    ----------
    rows : IndexedRows
    encoder : Encoder or None
        None where codes were given.
    metric, query, code_metric, oversampling, n_jobs
        As for ``BinaryNeighbors``; "auto" is decided.
    probes : Probes, RankedLists or None
        The lists that a query probes, of rows in lists; None: all.
    """

    rows: IndexedRows
    encoder: Encoder | None
    metric: str
    query: str
    code_metric: str
    oversampling: float | str | None
    n_jobs: int | None
    probes: Probes | RankedLists | None = None

    def kneighbors(
        self,
        X: np.ndarray | None,
        k: int,
        mask: np.ndarray | None,
        *,
        clip: bool = False,
    ) -> Neighbors:
        """Return the k nearest rows of each query.

        Parameters
        ----------
        X : ndarray, CodeArray or None
            Queries that were checked; None: the indexed rows, each leaving itself out.
        k : int
        mask : ndarray of shape (n_rows,), dtype bool, or None
            Rows that may be found; None: all.
        clip : bool, default=False
            Whether distances estimated below 0 count as 0; euclidean ones always do.
        """
        depth = self.depth(k, len(self.rows))
        candidates = len(self.rows) if self.oversampling == "bound" else depth

        def search(some: slice) -> Neighbors:
            eligible = self._eligible(X, some, mask)
            return self._nearest(self._queries(X, some), k, depth, eligible, clip)

        blocks = list(self._blocks(X, _CANDIDATE_BYTES * candidates))
        if len(blocks) == 1:
            found = search(blocks[0])
        else:
            shape = (self._count(X), k)
            found = Neighbors(np.empty(shape), np.empty(shape, np.int64))
            for some in blocks:
                found.distances[some], found.rows[some] = search(some)
        if X is None and self.rows.removed is not None:
            found.distances[self.rows.removed] = np.inf
            found.rows[self.rows.removed] = -1
        return found

    def measure_probes(
        self,
        X: np.ndarray,
        k: int,
        mask: np.ndarray | None,
        own: np.ndarray | None = None,
    ) -> ProbeCurve:
        """Measure what share of the k nearest rows is in the lists probed.

        Parameters
        ----------
        X : ndarray or CodeArray
            Queries that were checked.
        k : int
        mask : ndarray of shape (n_rows,), dtype bool, or None
        own : int64 array of shape (n_queries,), default=None
            Rows that the queries are and that are left out; None: other vectors.
        """
        everywhere, lists = replace(self, probes=None), self.rows.lists
        assert lists is not None
        parts, order = [], []
        n_rows = len(self.rows)
        depth, looked_at = self.depth(k, n_rows), self.looked_at(k, n_rows)
        for some in self._blocks(X, _CANDIDATE_BYTES * looked_at):
            queries = self._queries(X, some)
            eligible = Eligible(None if own is None else own[some], mask)
            if looked_at == k:
                near = everywhere._nearest(queries, k, depth, eligible, False).rows
                parts.append((near, near))
            else:
                stage = everywhere._first_stage(queries)
                near = everywhere._candidates(stage, looked_at, eligible).rows
                parts.append((near, self._rerank(queries, near, looked_at).rows))
            order.append(self.rank(X[some], lists, len(lists))[0])
        found = FoundRows.joined(parts, k, depth)
        return measure_curve(lists, np.concatenate(order), found)

    def radius_neighbors(
        self, X: np.ndarray | Queries | None, radius: float, mask: np.ndarray | None
    ) -> NearRows:
        """Return all rows within a radius of each query, in order of rows."""
        near = join_near_rows(
            self._within(self._queries(X, some), radius, self._eligible(X, some, mask))
            for some in self._blocks(X, 0)
        )
        if X is None and self.rows.removed is not None:
            for row in np.flatnonzero(self.rows.removed):
                near.distances[row] = near.distances[row][:0]
                near.rows[row] = near.rows[row][:0]
        return near

    def lower_bounds(
        self, X: np.ndarray | Queries | None, neighbors: Neighbors
    ) -> np.ndarray:
        """Return what true distances are above, given estimates and their rows."""
        found, rows = neighbors
        bounds = np.empty_like(found)
        codes, unit = self.rows.codes, self._corrections.unit
        row_bytes = _BOUND_BYTES + 4 * codes.itemsize * codes.shape[1]
        for some in self._blocks(X, row_bytes * rows.shape[1]):
            y = self._center(self._queries(X, some)).values
            places = self.rows.places_of(rows[some].ravel())
            deviation = self._deviation(places).reshape(rows[some].shape)
            slack = error_reach(y)[:, np.newaxis] * deviation
            _, off = self._corrections.of(places).rounding()
            slack += np.broadcast_to(off, slack.size).reshape(slack.shape)
            start = start_estimates(found[some], self.metric, unit) - slack
            bounds[some] = finish_estimates(start, 0.0, self.metric, unit)
        return bounds

    # Stages of a search for neighbors, for rows that are a shard of all rows. Queries
    # are prepared, and rows are numbered from the first one of the shard.

    def prepare(self, X: np.ndarray) -> Queries:
        """Return queries with all that would be computed of them for every shard."""
        parts = [self._queries(X, some) for some in self._blocks(X, 0)]
        vectors = X if self.oversampling is not None else None
        if self.query == "codes":
            codes = [np.asarray(self._encode(part)) for part in parts]
            layout = self.rows.codes.layout
            assert layout is not None
            return Queries(vectors, with_layout(np.concatenate(codes), layout))
        centered = [self._center(part) for part in parts]
        joined = CenteredQueries(*map(np.concatenate, zip(*centered, strict=True)))
        return Queries(vectors, None, joined)

    def depth(self, k: int, n_rows: int) -> int:
        """Return how many of ``n_rows`` rows the codes are asked for."""
        share = self.oversampling or 1
        depth = 2 * k if share == "bound" else ceil(float(share) * k)
        return min(depth, n_rows)

    def looked_at(self, k: int, n_rows: int) -> int:
        """Return how many rows tell what lists find; k where none can be displaced."""
        if self.oversampling is None or self.oversampling == "bound":
            return k
        return min(LOOKED_AT * self.depth(k, n_rows), n_rows)

    def candidates(
        self,
        queries: Queries,
        depth: int,
        eligible: Eligible,
        ranked: RankedLists | None = None,
        *,
        clip: bool,
    ) -> Neighbors:
        """Return the rows nearest by code, with distances that :meth:`finish` ends."""
        shape = (queries.shape[0], min(depth, len(self.rows)))
        found = Neighbors(np.empty(shape), np.empty(shape, np.int64))
        for some in self._blocks(queries, _CANDIDATE_BYTES * depth):
            block, (own, mask) = queries.of(some), eligible
            stage = self._first_stage(block, clip and self.oversampling is None)
            search = replace(self, probes=None if ranked is None else ranked[some])
            found.distances[some], found.rows[some] = search._candidates(
                stage,
                shape[1],
                Eligible(None if own is None else own[some], mask),
            )
        return found

    def rank(
        self, X: np.ndarray, lists: Lists, n_wanted: int, budget: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the lists that queries probe, as :meth:`Lists.rank` does."""
        queries = self._queries(X, slice(0, len(X)))
        if self.query == "codes":
            ranked_by = list_queries(self._encode(queries))
        else:
            assert self.encoder is not None
            seen = self._see(queries)
            y = self._center(queries, seen).values
            ranked_by = list_queries(self.encoder.encode(seen), y)
        return lists.rank(ranked_by, n_wanted, budget)

    def _ranked_by(self, stage: FirstStage, some: slice) -> ListQueries:
        """Return what lists are ranked by for some queries."""
        if stage.codes is not None:
            return list_queries(stage.codes[some])
        assert self.encoder is not None
        assert stage.seen is not None
        vectors = stage.comparison.queries  # type: ignore[attr-defined]
        return list_queries(self.encoder.encode(stage.seen[some]), vectors[some])

    def finish(self, queries: Queries, found: Neighbors) -> Neighbors:
        """Return candidates at the distances that users see; no rows are needed."""
        if queries.centered is None:
            return found
        return self._finish(found, queries.centered.constants)

    def rerank(self, queries: Queries, candidates: np.ndarray, k: int) -> Neighbors:
        """Return the k nearest of candidates, -1 for none, by exact distance."""
        return self._rerank(queries, candidates, k)

    def rerank_within_bound(
        self,
        queries: Queries,
        candidates: np.ndarray,
        farthest: np.ndarray,
        k: int,
        eligible: Eligible,
    ) -> Neighbors:
        """Rerank rows that may be nearer than ``farthest`` beside the candidates."""
        stage = self._first_stage(queries)
        more = self._within_bound(stage, farthest[:, np.newaxis], eligible)
        return self._rerank(queries, _unite(candidates, more), k)

    # Blocks of queries.

    def _count(self, X: np.ndarray | Queries | None) -> int:
        return len(self.rows) if X is None else X.shape[0]

    def _blocks(self, X: np.ndarray | Queries | None, extra: int) -> Iterator[slice]:
        """Cut the queries; each takes its values and so many bytes more."""
        width = 0 if X is None else X.shape[1]
        width = max(width, self.rows.codes.n_features)
        return row_blocks(self._count(X), _VALUE_BYTES * width + extra)

    def _queries(self, X: np.ndarray | Queries | None, some: slice) -> Queries:
        if isinstance(X, Queries):
            return X.of(some)
        if X is None:
            vectors = self.rows.vectors
            kept = None if vectors is None else vectors[some]
            return Queries(kept, self.rows.codes_of(some))
        if self.encoder is None:
            assert isinstance(X, CodeArray)
            return Queries(None, X[some])
        return Queries(X[some], None)

    def _eligible(
        self, X: np.ndarray | Queries | None, some: slice, mask: np.ndarray | None
    ) -> Eligible:
        own = np.arange(some.start, some.stop) if X is None else None
        return Eligible(own, mask)

    # What is compared.

    def _first_stage(self, queries: Queries, clip: bool = False) -> FirstStage:
        codes = self.rows.codes
        if self.query == "codes":
            compared = self._encode(queries)
            comparison: Comparison
            if isinstance(codes.layout, MixedDepths):
                is_listed = self.rows.lists is not None  # few rows are read
                scales = (
                    self.rows.direction_scales if is_listed else scale_directions(codes)
                )
                comparison = compare_directions(codes, compared, scales)
            else:
                comparison = CodeComparison(codes, compared, self.code_metric)
            return FirstStage(comparison, None, compared)
        seen = None if queries.centered is not None else self._see(queries)
        y, constants = self._center(queries, seen)
        least = -constants if clip or self.metric == "euclidean" else None
        if self.rows.lists is not None:  # few rows are read
            scale, offset = self.rows.decoded_corrections
            sign = self.rows.scale_sign
        else:
            (scale, offset), sign = self._corrections.decoded(codes), None
        comparison = EstimateComparison(codes, scale, offset, y, least, sign)
        return FirstStage(comparison, constants, None, seen)

    def _encode(self, queries: Queries) -> CodeArray:
        if queries.codes is not None:
            return queries.codes
        assert self.encoder is not None
        assert queries.vectors is not None
        return self.encoder.encode_rows(queries.vectors, n_jobs=self.n_jobs).codes

    @property
    def _corrections(self) -> Corrections:
        assert self.rows.corrections is not None
        return self.rows.corrections

    def _see(self, queries: Queries) -> np.ndarray:
        """Return queries as the quantizer sees them."""
        assert self.encoder is not None
        assert queries.vectors is not None
        return self.encoder.see(queries.vectors)

    def _center(
        self, queries: Queries, seen: np.ndarray | None = None
    ) -> CenteredQueries:
        """Prepare float queries for the estimate, if that has not been done."""
        if queries.centered is not None:
            return queries.centered
        assert self.encoder is not None
        kept = self._corrections
        return self.encoder.center(
            self._see(queries) if seen is None else seen,
            kept.unit,
            corrected=kept.keeps_products_with_center,
        )

    def _nearest(
        self, queries: Queries, k: int, depth: int, eligible: Eligible, clip: bool
    ) -> Neighbors:
        stage = self._first_stage(queries, clip and self.oversampling is None)
        found = self._candidates(stage, depth, eligible)
        if self.oversampling is None:
            return self._finish(found, stage.constants)
        best = self._rerank(queries, found.rows, k)
        if self.oversampling == "bound":
            more = self._within_bound(stage, best.distances, eligible)
            best = self._rerank(queries, _unite(found.rows, more), k)
        return best

    def _candidates(
        self, stage: FirstStage, depth: int, eligible: Eligible
    ) -> Neighbors:
        """Find the nearest rows by codes: of all rows, or of the lists probed."""
        comparison, lists, n_jobs = stage.comparison, self.rows.lists, self.n_jobs
        if lists is None:
            return nearest(comparison, depth, eligible, n_jobs=n_jobs)
        return nearest_in_lists(
            comparison,
            partial(self._ranked_by, stage),
            lists,
            self.rows.listed,
            self.probes,
            depth,
            eligible,
            n_jobs=n_jobs,
        )

    def _finish(self, found: Neighbors, constants: np.ndarray | None) -> Neighbors:
        """Add what estimated distances lack."""
        if constants is None:
            return found
        unit = self._corrections.unit
        distances = finish_estimates(
            found.distances, constants[:, np.newaxis], self.metric, unit
        )
        # Rounding may make ties of what differed.
        return sort_neighbors(Neighbors(distances, found.rows), distances.shape[1])

    def _rerank(self, queries: Queries, candidates: np.ndarray, k: int) -> Neighbors:
        vectors, n_jobs = self.rows.vectors, self.n_jobs
        assert vectors is not None
        assert queries.vectors is not None
        return rerank(
            vectors, queries.vectors, candidates, self.metric, k, n_jobs=n_jobs
        )

    def _within(self, queries: Queries, radius: float, eligible: Eligible) -> NearRows:
        n_jobs = self.n_jobs
        if self.oversampling is not None:
            vectors, metric = self.rows.vectors, self.metric
            assert vectors is not None
            assert queries.vectors is not None
            return exact_within(
                vectors, queries.vectors, metric, radius, eligible, n_jobs=n_jobs
            )
        comparison, constants, *_ = self._first_stage(queries)
        if constants is None:
            radii = np.full(comparison.n_queries, radius)
            return self._stored_within(comparison, radii, eligible)
        # A little farther, and then by the distance that users see.
        unit = self._corrections.unit
        with np.errstate(over="ignore"):
            reach = float(start_estimates(radius, self.metric, unit))
        radii = np.full(len(constants), reach)
        if np.isfinite(reach):
            radii += _FLOAT64_ROUNDING * (abs(reach) + np.abs(constants)) - constants
        near = self._stored_within(comparison, radii, eligible)
        for q, constant in enumerate(constants):
            distances = finish_estimates(near.distances[q], constant, self.metric, unit)
            inside = distances <= radius
            near.distances[q], near.rows[q] = distances[inside], near.rows[q][inside]
        return near

    def _stored_within(
        self, comparison: Comparison, radii: np.ndarray, eligible: Eligible
    ) -> NearRows:
        """Find all rows within radii, wherever they are stored, in order of rows."""
        near = within(comparison, radii, self._at_places(eligible), n_jobs=self.n_jobs)
        if self.rows.lists is None:
            return near
        for q, places in enumerate(near.rows):
            rows = self.rows.rows_at(places)
            order = np.argsort(rows)
            near.distances[q], near.rows[q] = near.distances[q][order], rows[order]
        return near

    def _at_places(self, eligible: Eligible) -> Eligible:
        """Say which rows count by where they are stored."""
        if self.rows.lists is None:
            return eligible
        own, mask = eligible
        return Eligible(
            None if own is None else self.rows.places_of(own),
            None if mask is None else mask[self.rows.rows_at(np.arange(len(mask)))],
        )

    # The second stage of ``oversampling="bound"``.

    def _deviation(self, rows: slice | np.ndarray) -> np.ndarray:
        kept = self._corrections.of(rows)
        return estimate_deviation(self.rows.codes[rows], kept, self.metric)

    def _within_bound(
        self, stage: FirstStage, found: np.ndarray, eligible: Eligible
    ) -> list[np.ndarray]:
        """Return all rows that may be nearer than the k-th distance found so far."""
        constants = stage.constants
        assert constants is not None
        y = stage.comparison.queries  # type: ignore[attr-defined]
        farthest = np.max(found, axis=1)
        limits = start_estimates(farthest, self.metric, self._corrections.unit)
        rounding = _FLOAT32_ROUNDING * (np.abs(limits) + np.abs(constants))
        limits = np.where(np.isfinite(limits), limits - constants + rounding, np.inf)
        reach = _rounded_up(error_reach(y))
        near: list[list[np.ndarray]] = [[] for _ in y]
        for block in row_blocks(len(self.rows), _BOUND_BYTES):
            deviation, codes = self._deviation(block), self.rows.codes[block]
            kept = self._corrections.of(block)
            scale, offset = kept.decoded(codes)
            _, off = kept.rounding()
            for value in np.unique(reach):
                (alike,) = np.nonzero(reach == value)
                lowered = offset - value * deviation - _FLOAT32_ROUNDING * abs(offset)
                lowered -= off
                comparison = EstimateComparison(
                    codes, scale, lowered.astype(np.float32), y[alike]
                )
                hits = within(
                    comparison,
                    limits[alike],
                    eligible.block(block, alike),
                    n_jobs=self.n_jobs,
                )
                for q, rows in zip(alike, hits.rows, strict=True):
                    near[q].append(rows + block.start)
        return [np.concatenate(parts) for parts in near]


def _rounded_up(reach: np.ndarray) -> np.ndarray:
    """Round up to a power of (1 + step); by each value alone, whatever the others."""
    base = np.log1p(_REACH_STEP)
    with np.errstate(divide="ignore"):
        return np.exp(np.ceil(np.log(reach) / base) * base)


def _unite(rows: np.ndarray, more: list[np.ndarray]) -> np.ndarray:
    """Add rows to each query's, each row once; -1 where there are fewer."""
    together = [np.union1d(*pair) for pair in zip(rows, more, strict=True)]
    out = np.full((len(rows), max(map(len, together))), -1)
    for q, some in enumerate(together):
        out[q, : len(some)] = some
    return out
