"""Recall on many rows, extrapolated from the recall inside a sample of them.

Recall inside the sample is measured at several k, oversamplings and shares of the rows
(cells). Each cell is turned into the noise tau that the tail copula needs to give that
recall. log(tau) changes slowly with the depth k / n_rows, with k itself and with the
oversampling, so that a few smooth terms, fitted to all cells at once, carry it to the
depth and the k that are asked for. Called by :func:`predict_recall`; equations are
those of the theory chapter of the documentation. Constants of the fit without another
reason are judged by ``benchmarks/recall.py``, which compares predictions and intervals
with measured recall on sets that it is given and on generated ones: change them there.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from .subsampling import (
    Ranks,
    rank_neighbors,
    rank_rows,
    sample_recall,
    subsampled_recall,
    subsampling_depth,
)
from .tail_copula import interpolate, probit_table

# Cells: k and oversampling inside the sample, both nearly geometric, and the share of
# the rows kept: all, and a quarter, which moves the depth of one k by log 4.
_NEIGHBORS = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320)
_OVERSAMPLINGS = (1, 2, 4, 8, 16, 32, 64, 128)
_SHARES = (1.0, 0.25)
# Subsampled cells tell what k itself changes at one depth; for larger k it is little,
# and they would be slow.
_MOST_SUBSAMPLED = 20
# Candidates of a cell are at most this share of the rows: beyond, recall is forced
# towards 1 and says little about the tail.
_DEEPEST_SHARE = 0.08
# Cells further than this from the depth asked for (or the deepest of the sample), in
# log depth, are left out; the weight of the others falls like a normal density.
_WINDOW = 2.5
_BANDWIDTH = 2.0
# Part of a cell's weight that is its own: the cells share rows and queries.
_INDEPENDENT = 0.15
# Standard error below which a cell is not trusted, in recall.
_CELL_ERROR = 5e-3
# Mean and standard deviation of the terms of log(tau), eq. (6.11): constant, depth, k,
# oversampling and its square, depth x oversampling, squared depth, k x oversampling.
# The tails of a normal distribution get lighter with depth, which is the slope's mean.
_PRIOR_MEAN = np.array([0.0, -0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
_PRIOR_SCALE = np.array([100.0, 0.1, 0.3, 0.3, 0.1, 0.05, 0.03, 0.05])
_CURVATURE = 6  # which of them the squared depth is
# Log depth, log k and log oversampling over which what the terms leave changes.
_LEFT_SCALE = np.array([0.7, 1.4, 0.7])
# How much larger it may be at the k asked for than in the cells: clusters of the size
# of k look in a sample as smaller ones.
_LEFT_DOUBT = 2.0
# Blocks of rows that are left out in turn: ten tell a standard error to a quarter.
_N_BLOCKS = 10
# Levenberg-Marquardt: most fits stop after 10 steps, by a loss that falls no more. The
# damping starts small, since the problem is nearly linear.
_MAX_STEPS = 60
_LOSS_TOLERANCE = 1e-9
_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-9


@dataclass(frozen=True)
class _Cells:
    """Recall inside the sample: one cell per (k, oversampling, share of rows)."""

    neighbors: np.ndarray
    oversampling: np.ndarray
    share: np.ndarray
    recall: np.ndarray  # (n_cells, n_queries)
    without: np.ndarray  # (n_blocks, n_cells): a block left out


class RecallAndError(NamedTuple):
    """Recall for each number of candidates, and its standard error."""

    recall: np.ndarray
    standard_error: np.ndarray


class Measurement:
    """Recall by code search when the sample is all there is."""

    def __init__(
        self, similarities: np.ndarray, scores: np.ndarray, n_neighbors: int
    ) -> None:
        self.n_neighbors, self.n_searched = n_neighbors, similarities.shape[1]
        self._in_score = rank_neighbors(similarities, scores, n_neighbors)

    def evaluate(self, candidates: np.ndarray) -> RecallAndError:
        """Recall among so many candidates; the error is that over queries."""
        found = np.clip(candidates[:, None, None] - self._in_score, 0.0, 1.0)
        recall = found.mean(axis=2)
        error = np.sqrt(_query_variance(recall, self.n_neighbors))
        return RecallAndError(recall.mean(axis=1), error)


class Extrapolation:
    """Recall by code search on ``expected_rows`` rows, fitted to a sample of them."""

    def __init__(
        self,
        similarities: np.ndarray,
        scores: np.ndarray,
        n_neighbors: int,
        expected_rows: int,
    ) -> None:
        n_rows = similarities.shape[1]
        target = n_neighbors / expected_rows
        cells = _measure_cells(similarities, scores, target)
        self.n_neighbors, self.n_searched = n_neighbors, expected_rows
        self.cells = cells
        self._n_queries = len(similarities)
        self._unseen_share = 1 - n_rows / expected_rows
        # Log depth, relative to the one asked for, of one row of the sample.
        self._origin = max(0.0, np.log(1.0 / (n_rows * target)))
        log_depth = np.log(cells.neighbors / (cells.share * n_rows * target))
        log_depth -= self._origin
        design = _terms(
            log_depth,
            np.log(cells.neighbors / n_neighbors),
            np.log(cells.oversampling),
        )
        tables = _tables(cells.neighbors, cells.oversampling)
        observed = cells.recall.mean(axis=1)
        variance = cells.recall.var(axis=1) / cells.recall.shape[1] + _CELL_ERROR**2
        kernel = np.exp(-0.5 * (log_depth / _BANDWIDTH) ** 2)
        self._weights = _INDEPENDENT * kernel / variance
        self._fit = _fit(design, tables, observed, self._weights)
        fitted = interpolate(tables, design @ self._fit.terms).recall
        misfit = np.average((observed - fitted) ** 2, weights=kernel)
        typical = np.average(variance, weights=kernel)
        self._misfit = max(1.0, misfit / typical)
        self._left = _Left.of(
            _positions(log_depth, cells.neighbors / n_neighbors, cells.oversampling),
            observed - fitted,
            variance,
        )

    def evaluate(self, candidates: np.ndarray) -> RecallAndError:
        """Recall among so many candidates: eq. (6.11) to (6.14).

        The error is that of the queries and of the rows of the sample, carried
        through the fit, of the neighbors outside the sample, one by one a hit or
        none when as many queries measure it, and of the terms that only the prior
        restrains. Cells that the fit does not meet widen the last.
        """
        cells = self.cells
        here = np.zeros(len(candidates))
        oversampling = candidates / self.n_neighbors
        wanted = _terms(here - self._origin, here, np.log(oversampling))
        tables = _tables(here + self.n_neighbors, oversampling)
        recall, slope = interpolate(tables, wanted @ self._fit.terms)
        left, left_variance = self._left.at(
            _positions(here - self._origin, here + 1.0, oversampling)
        )
        pull = slope[:, None] * wanted @ self._fit.inverse
        influence = pull @ (self._fit.jacobian.T * self._weights)
        queries = _query_variance(influence @ cells.recall, self.n_neighbors)
        blocks = (cells.without @ influence.T).var(axis=0) * (_N_BLOCKS - 1)
        model = (pull**2 / _PRIOR_SCALE**2).sum(axis=1)
        model += (slope * _PRIOR_SCALE[_CURVATURE] * self._origin**2 / 2) ** 2
        rows = blocks + recall * (1 - recall) / (self.n_neighbors * self._n_queries)
        variance = queries + self._unseen_share * rows + self._misfit**2 * model
        variance += left_variance
        recall = np.clip(recall + left, 0.0, 1.0)
        everything = candidates >= self.n_searched
        recall = np.where(everything, 1.0, recall)
        return RecallAndError(recall, np.sqrt(variance))


@dataclass(frozen=True)
class _Left:
    """What the smooth terms leave of recall, as a normal process around them: (6.13).

    Small clusters make recall a function of depth that curves too sharply for the
    terms; what is left is then alike in cells of nearly the same depth and
    oversampling (kriging).
    """

    positions: np.ndarray
    weights: np.ndarray  # of the cells' residuals, (n_cells,)
    inverse: np.ndarray  # of their covariance, (n_cells, n_cells)
    variance: float  # of the process

    @classmethod
    def of(
        cls,
        positions: np.ndarray,
        residuals: np.ndarray,
        noise: np.ndarray,
    ) -> Self:
        near = np.exp(-0.5 * np.square(positions[:, 0]))
        variance = max(np.average(residuals**2 - noise, weights=near), 0.0)
        covariance = variance * _likeness(positions, positions) + np.diag(noise)
        inverse = np.linalg.inv(covariance)
        return cls(positions, inverse @ residuals, inverse, variance)

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return expected value and variance, (n_positions,) each."""
        covariance = self.variance * _likeness(positions, self.positions)
        known = np.einsum("ij,jk,ik->i", covariance, self.inverse, covariance)
        return covariance @ self.weights, _LEFT_DOUBT**2 * self.variance - known


def _positions(
    log_depth: np.ndarray, neighbors: np.ndarray, oversampling: np.ndarray
) -> np.ndarray:
    """Coordinates of cells, (n, 3), in units over which what is left changes."""
    positions = np.column_stack([log_depth, np.log(neighbors), np.log(oversampling)])
    return positions / _LEFT_SCALE


def _likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of what is left at two sets of positions."""
    return np.exp(-0.5 * np.square(a[:, None] - b).sum(axis=-1))


def _query_variance(recall: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Variance of the mean over queries, (n_values,), of (n_values, n_queries).

    At least that of one lost neighbor in all: a recall of 1 in every query is no
    proof of perfection.
    """
    n_queries = recall.shape[1]
    floor = 1.0 / (n_queries * n_neighbors) ** 2
    return np.maximum(recall.var(axis=1, ddof=1) / n_queries, floor)


def _measure_cells(
    similarities: np.ndarray, scores: np.ndarray, target: float
) -> _Cells:
    """Measure recall in all cells near the depth ``target`` = k / expected rows."""
    n_rows = similarities.shape[1]
    center = max(target, 1.0 / n_rows)
    chosen = []
    for share in _SHARES:
        for k in _NEIGHBORS:
            if share < 1 and k > _MOST_SUBSAMPLED:
                continue
            depth = k / (share * n_rows)
            if abs(np.log(depth / center)) <= _WINDOW or (k == 1 and share == 1):
                chosen += [
                    (k, c, share)
                    for c in _OVERSAMPLINGS
                    if c == 1 or c * depth <= _DEEPEST_SHARE
                ]
    depths = [k if s == 1 else subsampling_depth(k, s) for k, _, s in chosen]
    whole, without = rank_rows(similarities, scores, max(depths), _N_BLOCKS)
    recall = np.stack([_cell_recall(whole, *cell) for cell in chosen])
    left_out = [
        np.array([_cell_recall(ranks, *cell).mean() for cell in chosen])
        for ranks in without
    ]
    neighbors, oversampling, share = np.array(chosen, dtype=float).T
    return _Cells(neighbors, oversampling, share, recall, np.stack(left_out))


def _cell_recall(ranks: Ranks, n_neighbors: int, c: int, share: float) -> np.ndarray:
    if share == 1:
        return sample_recall(ranks, n_neighbors, c * n_neighbors)
    return subsampled_recall(ranks, n_neighbors, c * n_neighbors, share)


def _terms(
    log_depth: np.ndarray, log_neighbors: np.ndarray, log_oversampling: np.ndarray
) -> np.ndarray:
    """Design of log(tau), (n, 8): eq. (6.11); linear in depth beyond the sample."""
    c = log_oversampling - 1.0
    return np.stack(
        [
            np.ones_like(log_depth),
            log_depth,
            log_neighbors,
            c,
            c**2,
            log_depth * c,
            np.maximum(log_depth, 0.0) ** 2 / 2,
            log_neighbors * c,
        ],
        axis=1,
    )


def _tables(neighbors: np.ndarray, oversampling: np.ndarray) -> np.ndarray:
    pairs = zip(neighbors, oversampling, strict=True)
    return np.stack([probit_table(int(k), float(c)) for k, c in pairs])


class _Fit(NamedTuple):
    """Terms of log(tau), eq. (6.12).

    With the inverse of the penalized normal matrix, and the Jacobian of recall by the
    terms.
    """

    terms: np.ndarray
    inverse: np.ndarray
    jacobian: np.ndarray


class _State(NamedTuple):
    """Residuals of recall, their Jacobian (less the sign), and the penalized loss."""

    residual: np.ndarray
    jacobian: np.ndarray
    loss: float


def _fit(
    design: np.ndarray, tables: np.ndarray, observed: np.ndarray, weights: np.ndarray
) -> _Fit:
    """Fit log(tau) = design @ terms to recall by Levenberg-Marquardt."""
    precision = 1.0 / _PRIOR_SCALE**2

    def state(terms: np.ndarray) -> _State:
        fitted, slope = interpolate(tables, design @ terms)
        loss = weights @ (observed - fitted) ** 2
        loss += precision @ (terms - _PRIOR_MEAN) ** 2
        return _State(observed - fitted, design * slope[:, None], float(loss))

    terms, damping = _PRIOR_MEAN.copy(), _FIRST_DAMPING
    residual, jacobian, loss = state(terms)
    for _ in range(_MAX_STEPS):
        normal = (jacobian.T * weights) @ jacobian + np.diag(precision)
        gradient = jacobian.T @ (weights * residual)
        gradient -= precision * (terms - _PRIOR_MEAN)
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
        trial = state(terms + step)
        if trial.loss > loss:
            damping *= 4
            continue
        done = loss - trial.loss < _LOSS_TOLERANCE * (1 + loss)
        terms, (residual, jacobian, loss) = terms + step, trial
        damping = max(damping / 5, _LEAST_DAMPING)
        if done:
            break
    normal = (jacobian.T * weights) @ jacobian + np.diag(precision)
    return _Fit(terms, np.linalg.inv(normal), jacobian)
