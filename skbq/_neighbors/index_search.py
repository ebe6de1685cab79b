"""Queries against the rows of an index: what is compared, and how far errors reach.

Queries are taken block by block, so that what is computed of them fits scikit-learn's
``working_memory`` setting.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np

from .._quantization.steps import split_quantizer
from .._utils.parallel import row_blocks
from ..codes import CodeArray
from .brute_force import (
    MakeScan,
    code_scan,
    estimate_scan,
    exact_within,
    nearest,
    rerank,
    within,
)
from .encoding import centred_queries, encode_rows, estimate_spread

# RaBitQ's epsilon_0: standard deviations of the estimate's error within its bound.
_BOUND_FACTOR = 1.9
# The factor's part that belongs to a query is rounded up by at most this share: queries
# of equal reach are scanned together.
_REACH_STEP = 0.02
# Temporary bytes: of a coordinate of a query; of a candidate; of a row that is pruned.
_VALUE_BYTES = 40
_CANDIDATE_BYTES = 32
_BOUND_BYTES = 64

Pair = tuple[np.ndarray, np.ndarray]
Lists = tuple[list[np.ndarray], list[np.ndarray]]


class Comparison:
    """The queries of one call and the index that they ask.

    Parameters
    ----------
    index : fitted BinaryNeighbors
    X : ndarray, CodeArray or None
        Queries that were checked; None: the indexed rows, each leaving itself out.
    mask : ndarray of shape (n_samples_fit_,), dtype bool, or None
        Rows that may be found; None: all.
    """

    def __init__(self, index: Any, X: Any, mask: np.ndarray | None) -> None:
        self.index, self.X, self.mask = index, X, mask
        self.n_rows: int = index.n_samples_fit_
        self.n_queries = self.n_rows if X is None else len(X)

    def nearest(self, k: int) -> Pair:
        """Return distances and rows of the k nearest, each (n_queries, k)."""
        found = np.empty((self.n_queries, k))
        rows = np.empty((self.n_queries, k), np.int64)
        depth = self._depth(k)
        pruned = self.index.oversampling == "bound"
        room = _CANDIDATE_BYTES * (self.n_rows if pruned else depth)
        for some in self._blocks(room):
            found[some], rows[some] = self._nearest(some, k, depth)
        return found, rows

    def within(self, radius: float) -> Lists:
        """Return distances and rows of all that are near, an array for each query."""
        found: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for some in self._blocks(0):
            near, where = self._within(some, radius)
            found += near
            rows += where
        return found, rows

    def lower_bounds(self, found: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return what true distances are above, given estimates and their rows."""
        bounds = np.empty_like(found)
        codes = self.index.codes_
        row_bytes = _BOUND_BYTES + 4 * codes.itemsize * codes.shape[1]
        for some in self._blocks(row_bytes * rows.shape[1]):
            y, _ = self._centred(some)
            spread = self._spread(rows[some].ravel()).reshape(rows[some].shape)
            slack = self._reach(y)[:, None] * spread
            if self.index.metric == "euclidean":
                squared = np.square(found[some]) - slack
                bounds[some] = np.sqrt(np.maximum(squared, 0))
            else:
                bounds[some] = found[some] - slack
        return bounds

    # Blocks of queries.

    def _blocks(self, room: int) -> Iterator[slice]:
        """Cut the queries; each takes its values and so many bytes more."""
        width = max(self.index.n_features_in_, self.index.codes_.n_features)
        return row_blocks(self.n_queries, _VALUE_BYTES * width + room)

    def _depth(self, k: int) -> int:
        """Return how many rows the codes are asked for."""
        share = self.index.oversampling or 1
        return min(2 * k if share == "bound" else ceil(share * k), self.n_rows)

    def _counting(self, some: slice) -> dict[str, Any]:
        """Say which rows count, and how many threads there are."""
        left_out = np.arange(some.start, some.stop) if self.X is None else None
        return {"left_out": left_out, "mask": self.mask, "n_jobs": self.index.n_jobs}

    def _vectors(self, some: slice) -> np.ndarray:
        return (self.index._vectors if self.X is None else self.X)[some]

    def _codes(self, some: slice) -> CodeArray:
        index = self.index
        if self.X is None:
            return index.codes_[some]
        if index.quantizer_ is None:
            return self.X[some]
        quantizer, X = index.quantizer_, self.X[some]
        return encode_rows(quantizer, X, index.metric, n_jobs=index.n_jobs)[0]

    def _centred(self, some: slice) -> Pair:
        index = self.index
        return centred_queries(index.quantizer_, self._vectors(some), index.metric)

    # What is compared.

    def _nearest(self, some: slice, k: int, depth: int) -> Pair:
        make_scan, constants = self._first_stage(some)
        size = (self.n_rows, some.stop - some.start)
        found, rows = nearest(make_scan, *size, depth, **self._counting(some))
        if self.index.oversampling is None:
            if constants is not None:
                found = self._finished(found, constants[:, None])
            return found, rows
        found, reranked = self._rerank(some, rows, k)
        if self.index.oversampling == "bound":
            near = self._within_bound(some, found)
            found, reranked = self._rerank(some, _united(rows, near), k)
        return found, reranked

    def _first_stage(self, some: slice) -> tuple[MakeScan, np.ndarray | None]:
        """Return what to scan, and what its distances lack for each query."""
        index = self.index
        if index.query == "codes":
            codes = self._codes(some)
            return code_scan(index.codes_, codes, self._code_metric()), None
        y, constants = self._centred(some)
        scale, offset = index._corrections[:2]
        return estimate_scan(index.codes_, scale, offset, y), constants

    def _code_metric(self) -> str:
        if self.index.code_metric != "auto":
            return self.index.code_metric
        return "hamming" if self.index.codes_.bits == 1 else "dot"

    def _finished(self, found: np.ndarray, constants: Any) -> np.ndarray:
        """Add what estimated distances lack."""
        distances = found + constants
        if self.index.metric == "euclidean":
            return np.sqrt(np.maximum(distances, 0))
        return distances

    def _rerank(self, some: slice, candidates: Any, k: int) -> Pair:
        index = self.index
        return rerank(
            index._vectors,
            self._vectors(some),
            candidates,
            index.metric,
            k,
            n_jobs=index.n_jobs,
        )

    def _within(self, some: slice, radius: float) -> Lists:
        index, counting = self.index, self._counting(some)
        if index.oversampling is not None:
            queries = self._vectors(some)
            return exact_within(
                index._vectors, queries, index.metric, radius, **counting
            )
        make_scan, constants = self._first_stage(some)
        size = (self.n_rows, some.stop - some.start)
        if constants is None:
            return within(make_scan, *size, np.full(size[1], radius), **counting)
        # A little farther, and then by the distance that users see.
        reach = radius
        if index.metric == "euclidean":
            reach = radius * radius if radius >= 0 else -np.inf
        room = 1e-9 * (abs(reach) + np.abs(constants))
        found, rows = within(make_scan, *size, reach - constants + room, **counting)
        for q, constant in enumerate(constants):
            distances = self._finished(found[q], constant)
            inside = distances <= radius
            found[q], rows[q] = distances[inside], rows[q][inside]
        return found, rows

    # The error bound of estimates: spread of the row times reach of the query.

    def _spread(self, rows: Any) -> np.ndarray:
        index = self.index
        _, last = split_quantizer(index.quantizer_)
        kept = index._corrections[:, rows]
        return estimate_spread(index.codes_[rows], kept, last.thresholds_, index.metric)

    def _reach(self, y: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(np.square(y.astype(np.float64)).sum(axis=1))
        dimensions = max(self.index.codes_.n_features - 1, 1)
        return _BOUND_FACTOR * lengths / np.sqrt(dimensions)

    def _within_bound(self, some: slice, found: np.ndarray) -> list[np.ndarray]:
        """Return all rows that may be nearer than the k-th distance found so far."""
        index = self.index
        y, constants = self._centred(some)
        limits = np.max(found, axis=1)
        if index.metric == "euclidean":
            limits = limits * limits
        room = 1e-6 * (np.abs(limits) + np.abs(constants))  # float32 rounds
        limits = np.where(np.isfinite(limits), limits - constants + room, np.inf)
        reach = _rounded_up(self._reach(y))
        counting = self._counting(some)
        near: list[list[np.ndarray]] = [[] for _ in y]
        for block in row_blocks(self.n_rows, _BOUND_BYTES):
            spread, codes = self._spread(block), index.codes_[block]
            scale, offset = index._corrections[:2, block]
            for value in np.unique(reach):
                (alike,) = np.nonzero(reach == value)
                lowered = (offset - value * spread).astype(np.float32)
                hits = within(
                    estimate_scan(codes, scale, lowered, y[alike]),
                    len(codes),
                    len(alike),
                    limits[alike],
                    **_counting_in(block, alike, counting),
                )[1]
                for q, rows in zip(alike, hits, strict=True):
                    near[q].append(rows + block.start)
        return [np.concatenate(parts) for parts in near]


def _united(rows: np.ndarray, more: list[np.ndarray]) -> np.ndarray:
    """Add rows to each query's, each row once; -1 where there are fewer."""
    together = [np.union1d(*pair) for pair in zip(rows, more, strict=True)]
    out = np.full((len(rows), max(map(len, together))), -1)
    for q, some in enumerate(together):
        out[q, : len(some)] = some
    return out


def _rounded_up(reach: np.ndarray) -> np.ndarray:
    """Round up to a power of (1 + step); by each value alone, whatever the others."""
    base = np.log1p(_REACH_STEP)
    with np.errstate(divide="ignore"):
        return np.exp(np.ceil(np.log(reach) / base) * base)


def _counting_in(
    block: slice, queries: np.ndarray, counting: dict[str, Any]
) -> dict[str, Any]:
    """Say which rows of a block count for some queries, as numbers within it."""
    left_out, mask = counting["left_out"], counting["mask"]
    if left_out is not None:
        left_out = left_out[queries]
        inside = (block.start <= left_out) & (left_out < block.stop)
        left_out = np.where(inside, left_out - block.start, -1)
    return {
        "left_out": left_out,
        "mask": None if mask is None else mask[block],
        "n_jobs": counting["n_jobs"],
    }
