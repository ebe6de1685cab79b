"""What strategies find among rows, measured on queries whose neighbors are known."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from .._neighbors.encoding import Encoder
from .._neighbors.float_queries import Corrections
from .._utils.parallel import fixed_blocks, row_blocks
from .._utils.similarity import scaled_rows
from ..codes import CodeArray

# A row counts as a true neighbor if it is that little less similar than the k-th, in
# units of the largest similarity: rounding must not turn ties into misses.
_TOLERANCE = 2e-6
# Queries whose candidates are picked at a time: bounds the array of row numbers.
_QUERIES_AT_A_TIME = 32
_N_BLOCKS = 10


def similarities(queries: np.ndarray, rows: np.ndarray, metric: str) -> np.ndarray:
    """Return the true similarity of each query to each row.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, d)
    rows : ndarray of shape (n_rows, d)
        Of unit length under "cosine", and so are queries.
    metric : {"cosine", "euclidean", "inner_product"}

    Returns
    -------
    similarities : ndarray of shape (n_queries, n_rows), dtype float32
        Computed in float64; under "euclidean" minus the squared distance.
    """
    out = np.empty((len(queries), len(rows)), np.float32)
    y = queries.astype(np.float64)
    shift = np.zeros(rows.shape[1])
    if metric == "euclidean":  # far from the origin, squares would cancel
        shift = rows.mean(axis=0, dtype=np.float64)
        y -= shift
    for some in row_blocks(len(rows), 16 * (rows.shape[1] + len(y)), shares=8):
        block = rows[some] - shift
        products = y @ block.T
        if metric == "euclidean":
            products *= 2
            products -= np.square(block).sum(axis=1)
            products -= np.square(y).sum(axis=1)[:, None]
        out[:, some] = products
    return out


@dataclass(frozen=True)
class EncodedRows:
    """Rows in codes, with what float queries need, and the quantizer."""

    encoder: Encoder
    codes: CodeArray
    corrections: Corrections

    @classmethod
    def of(cls, quantizer: Any, rows: np.ndarray, metric: str) -> Self:
        """Fit a quantizer on rows (of unit length under "cosine") and encode them."""
        encoder = Encoder(quantizer.fit(rows, None), metric)
        codes, corrections = encoder.encode_rows(rows, corrections=True)
        assert corrections is not None
        return cls(encoder, codes, corrections)

    def scores(self, queries: np.ndarray, query: str) -> np.ndarray:
        """Return what a search ranks by, larger for nearer.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, d)
        query : {"codes", "vectors"}

        Returns
        -------
        scores : ndarray of shape (n_queries, n_rows), dtype float32
        """
        constants: Any = 0.0
        if query == "codes":
            asked = self.encoder.encode_rows(queries).codes.unpack()
        else:
            unit = self.corrections.unit
            asked, constants = self.encoder.center(queries, unit)
            constants = constants.astype(np.float32)[:, None]
        scale, offset = self.corrections[:2]
        out = np.empty((len(queries), len(self.codes)), np.float32)
        for some in row_blocks(len(self.codes), 8 * self.codes.n_features, shares=8):
            products = asked @ self.codes[some].unpack().T
            if query == "vectors":
                products *= -scale[some]
                products -= offset[some]
                products -= constants
            out[:, some] = products
        return out


@dataclass(frozen=True)
class Truth:
    """True similarities of queries to rows, and what makes a row a true neighbor."""

    similarities: np.ndarray
    limits: np.ndarray
    n_neighbors: int

    @classmethod
    def of(
        cls, queries: np.ndarray, rows: np.ndarray, metric: str, n_neighbors: int
    ) -> Self:
        """Find the similarity of each query's k-th nearest row."""
        near = similarities(queries, rows, metric)
        return cls(near, _k_th_largest(near, n_neighbors), n_neighbors)

    def of_neighbors(self, n_neighbors: int) -> Self:
        """Return the truth for another k."""
        limits = _k_th_largest(self.similarities, n_neighbors)
        return replace(self, limits=limits, n_neighbors=n_neighbors)

    def found(self, scores: np.ndarray, depths: np.ndarray) -> np.ndarray:
        """Return each query's recall among its best candidates, after reranking.

        Parameters
        ----------
        scores : ndarray of shape (n_queries, n_rows)
        depths : ndarray of shape (n_depths,), dtype int
            Numbers of candidates, at least k.

        Returns
        -------
        recall : ndarray of shape (n_queries, n_depths)
            Any row as similar as the k-th counts, k at most.
        """
        k, deepest = self.n_neighbors, min(int(depths.max()), scores.shape[1])
        depths = np.minimum(depths, deepest)
        recall = np.empty((len(scores), len(depths)))
        for some in fixed_blocks(len(scores), _QUERIES_AT_A_TIME):
            rows = best_rows(scores[some], deepest)
            near = np.take_along_axis(self.similarities[some], rows, axis=1)
            hits = np.cumsum(near >= self.limits[some, None], axis=1)
            recall[some] = np.minimum(hits[:, depths - 1], k) / k
        return recall


def _k_th_largest(similarities: np.ndarray, k: int) -> np.ndarray:
    """Return what each query's k-th nearest row reaches, less the tolerance."""
    limits = np.empty(len(similarities))
    place = similarities.shape[1] - k
    for q, values in enumerate(similarities):
        tolerance = _TOLERANCE * float(np.abs(values).max())
        limits[q] = float(np.partition(values, place)[place]) - tolerance
    return limits


def best_rows(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the best scores, equal ones in order of rows."""
    n_rows = scores.shape[1]
    rows = np.empty((len(scores), count), np.int64)
    for q, values in enumerate(scores):
        last = np.partition(values, n_rows - count)[n_rows - count]
        better = np.flatnonzero(values > last)
        equal = np.flatnonzero(values == last)[: count - len(better)]
        rows[q] = np.sort(np.concatenate([better, equal]))
    picked = np.take_along_axis(scores, rows, axis=1)
    order = np.argsort(-picked, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1)


class Bench:
    """Rows and queries on which strategies are measured.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, d), dtype float32 or float64
    queries : ndarray of shape (n_queries, d)
    metric : {"cosine", "euclidean", "inner_product"}
    n_neighbors : int
    rotation : fitted RandomRotation
    """

    def __init__(
        self,
        rows: np.ndarray,
        queries: np.ndarray,
        metric: str,
        n_neighbors: int,
        rotation: Any,
    ) -> None:
        self.metric, self.n_neighbors = metric, n_neighbors
        self.rotation = rotation
        self._rows = {False: scaled_rows(rows, metric)}
        self._queries = {False: scaled_rows(queries, metric)}
        self._encoded: dict[Any, EncodedRows] = {}

    @property
    def rows(self) -> np.ndarray:
        """The rows, of unit length under "cosine"."""
        return self._rows[False]

    @property
    def queries(self) -> np.ndarray:
        """The queries, of unit length under "cosine"."""
        return self._queries[False]

    def truth(self, some: slice = slice(None)) -> Truth:
        """Find the true neighbors of some queries."""
        return Truth.of(self.queries[some], self.rows, self.metric, self.n_neighbors)

    def scores(self, strategy: Any, some: slice = slice(None)) -> np.ndarray:
        """Return the scores of a strategy for some queries."""
        rotated = strategy.rotated
        if rotated and True not in self._rows:
            for views in (self._rows, self._queries):
                views[True] = self.rotation.transform(views[False])
        key = (strategy.bits, strategy.threshold, rotated, strategy.levels)
        if key not in self._encoded:
            quantizer = strategy.make_quantizer(rotate=False)
            self._encoded[key] = EncodedRows.of(
                quantizer, self._rows[rotated], self.metric
            )
        return self._encoded[key].scores(self._queries[rotated][some], strategy.query)


def mean_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return mean, lower and upper limit over independent queries."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, 0.0, 1.0
    half_width = ndtri(0.5 + confidence / 2) * values.std(ddof=1) / len(values) ** 0.5
    return mean, mean - half_width, mean + half_width


def fidelity(
    true: np.ndarray, scores: np.ndarray, confidence: float
) -> tuple[float, float, float]:
    """Return Spearman's rank correlation of all pairs, lower and upper limit.

    The error is that of the draw of queries and of rows: a jackknife over ten blocks
    of each, in which ranks stay as they are among all pairs.

    Parameters
    ----------
    true, scores : ndarrays of shape (n_queries, n_rows)

    Returns
    -------
    fidelity, low, high : float
        NaN where one side is constant.
    """
    a, b = (rankdata(x).reshape(x.shape) for x in (true, scores))
    a -= a.mean()
    b -= b.mean()
    sums = [_block_sums(x * y) for x, y in ((a, a), (b, b), (a, b))]
    whole = [cells.sum() for cells in sums]
    value = _correlation(*whole)
    variance = 0.0
    for axis in (0, 1):
        blocks = [cells.sum(axis=1 - axis) for cells in sums]
        n = len(blocks[0])
        without = _correlation(
            *(total - part for total, part in zip(whole, blocks, strict=True))
        )
        variance += (n - 1) * float(np.var(without)) if n > 1 else np.inf
    half_width = float(ndtri(0.5 + confidence / 2)) * variance**0.5
    return float(value), max(value - half_width, -1.0), min(value + half_width, 1.0)


def _block_sums(x: np.ndarray) -> np.ndarray:
    """Sum the cells of a grid of at most ten by ten blocks."""
    for axis in (0, 1):
        n = x.shape[axis]
        starts = np.unique(np.arange(_N_BLOCKS) * n // _N_BLOCKS)
        x = np.add.reduceat(x, starts, axis=axis)
    return x


def _correlation(aa: Any, bb: Any, ab: Any) -> Any:
    product = np.asarray(aa * bb, dtype=np.float64)
    root = np.sqrt(np.where(product > 0, product, np.nan))
    return ab / root


def timed(function: Callable[[], Any], *, at_least: float = 0.0) -> tuple[float, Any]:
    """Return the seconds of the fastest run, which others disturb least, and a result.

    Runs are repeated until ``at_least`` seconds are over.
    """
    times: list[float] = []
    while not times or sum(times) < at_least:
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result
