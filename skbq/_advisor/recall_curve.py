"""Recall by oversampling, on as many rows as will be searched."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ..theory import predict_recall
from .bench import Truth

CONFIDENCE = 0.9
# Up to that many times the rows, recall is measured at the depth that matters (k over
# rows) instead of predicted, unless that leaves fewer neighbors than these.
NEARLY = 1.5
_MIN_NEIGHBORS = 3
# Fewer sampled rows than these predict nothing.
_MIN_ROWS = 100
_LARGEST = 50
_N_POINTS = 32


@dataclass(frozen=True)
class Curve:
    """Recall at several oversamplings, with its limits.

    Attributes
    ----------
    oversampling, recall, low, high : ndarrays of shape (n_points,)
        Ascending; all of them rise with oversampling.
    n_rows : int
        Number of rows that it holds for.
    depth_ratio : float
        Above 1 the prediction looks deeper than its sample reaches.
    """

    oversampling: np.ndarray
    recall: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_rows: int
    depth_ratio: float

    def needed(self, target: float) -> tuple[float, float, float]:
        """Return the oversampling that reaches a recall.

        Returns
        -------
        hopeful, expected, safe : float
            The smallest whose upper limit, value and lower limit reach it; infinite
            if none does.
        """
        reached = []
        for side in (self.high, self.recall, self.low):
            enough = np.flatnonzero(side >= target)
            reached.append(
                float(self.oversampling[enough[0]]) if len(enough) else np.inf
            )
        return reached[0], reached[1], reached[2]

    def at(self, oversampling: float) -> tuple[float, float, float]:
        """Return recall, lower and upper limit at an oversampling, or just below."""
        below = int(np.searchsorted(self.oversampling, oversampling + 1e-9))
        here = max(below - 1, 0)
        return float(self.recall[here]), float(self.low[here]), float(self.high[here])


def oversampling_grid(n_neighbors: int, n_rows: int) -> np.ndarray:
    """Return oversamplings from 1 to 50, each a whole number of candidates."""
    largest = max(min(float(_LARGEST), n_rows / n_neighbors), 1.0)
    grid = np.concatenate([np.geomspace(1, _LARGEST, _N_POINTS), [2, 3, 4, 5, 10, 20]])
    candidates = np.ceil(n_neighbors * np.append(grid[grid <= largest], largest) - 1e-9)
    return np.unique(candidates) / n_neighbors


def recall_curve(
    truth: Truth, scores: np.ndarray, grid: np.ndarray, expected_rows: int
) -> Curve:
    """Measure recall, or predict it where more rows will be searched than there are.

    Parameters
    ----------
    truth : Truth
        Of the sampled rows.
    scores : ndarray of shape (n_queries, n_rows)
    grid : ndarray of shape (n_points,)
        Oversamplings.
    expected_rows : int
    """
    k = truth.n_neighbors
    n_queries, n_rows = scores.shape
    times = max(expected_rows / n_rows, 1.0)
    # Among fewer rows as many fewer neighbors lie as deep. Rounded down: recall of
    # fewer neighbors is the lower one.
    scaled_k = max(int(k / times + 1e-6), 1)
    nearly = times == 1 or (times <= NEARLY and scaled_k >= _MIN_NEIGHBORS)
    if not nearly and n_rows >= _MIN_ROWS and n_queries > 1:
        predicted = predict_recall(
            truth.similarities,
            scores,
            n_neighbors=k,
            oversampling=grid,
            expected_rows=expected_rows,
            confidence=CONFIDENCE,
        )
        limits = np.maximum.accumulate(predicted.interval, axis=0)
        return Curve(
            grid,
            predicted.recall,
            limits[:, 0],
            limits[:, 1],
            expected_rows,
            predicted.depth_ratio,
        )
    if nearly:
        truth = truth.of_neighbors(scaled_k)
        k = scaled_k
    else:
        expected_rows = n_rows
    depths = np.clip(np.round(grid * truth.n_neighbors), 1, n_rows).astype(int)
    found = truth.found(scores, depths)
    recall = found.mean(axis=0)
    spread = found.std(axis=0, ddof=1) if n_queries > 1 else np.ones(len(grid))
    # A recall of 1 in every query is no proof of perfection.
    error = np.maximum(spread / n_queries**0.5, 1 / (n_queries * k))
    half_width = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    everything = depths >= n_rows
    low = np.where(everything, recall, np.clip(recall - half_width, 0, 1))
    high = np.clip(recall + half_width, 0, 1)
    low, high = (np.maximum.accumulate(side) for side in (low, high))
    return Curve(grid, recall, low, high, expected_rows, 1 / k)
