"""Recall by oversampling, on as many rows as will be searched.

On rows that exist recall is measured. On more rows it is predicted, where the sample
supports that, and else nothing is said.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .._utils.estimate import WIDEST, Estimate, mean_estimate
from ..theory import predict_recall

# Of all intervals of the advisor: where recall counts, 5% lie below.
CONFIDENCE = 0.9
# Up to that many times the rows, recall is measured at the depth that matters (k over
# rows) instead of predicted, unless that leaves fewer neighbors than these.
NEARLY = 1.5
_MIN_NEIGHBORS = 3
# What is so nearly as many rows is as many.
_EQUALLY = 1.02
# Fewer sampled rows than these predict nothing.
MIN_ROWS = 100
# A sample of n rows shows how codes rank down to a depth of 1 / n, and k of N rows are
# searched at a depth of k / N. A prediction may look that many times deeper: there nine
# in ten intervals still held on the five sets tried, and at larger ratios they span
# most of the scale.
MAX_DEPTH_RATIO = 4.0
_LARGEST = 50
_N_POINTS = 32


@dataclass(frozen=True)
class Needed:
    """The oversampling that reaches a recall; infinite where none does.

    Attributes
    ----------
    hopeful, expected, safe : float
        The smallest whose upper limit, value and lower limit reach it.
    """

    hopeful: float
    expected: float
    safe: float


@dataclass(frozen=True)
class Curve:
    """Recall at several oversamplings, with its limits.

    Attributes
    ----------
    oversampling, recall, low, high : ndarrays of shape (n_points,)
        Ascending; all of them rise with oversampling.
    n_rows : int
        Number of rows that it holds for.
    n_queries : int
        Number of queries that it rests on.
    depth_ratio : float
        Above 1 a prediction looks deeper than its sample reaches; 0 if measured.
    """

    oversampling: np.ndarray
    recall: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_rows: int
    n_queries: int
    depth_ratio: float = 0.0

    def needed(self, target: float) -> Needed:
        """Return the oversampling that reaches a recall."""
        reached = []
        for side in (self.high, self.recall, self.low):
            enough = np.flatnonzero(side >= target)
            reached.append(
                float(self.oversampling[enough[0]]) if len(enough) else np.inf
            )
        return Needed(*reached)

    def at(self, oversampling: float) -> Estimate:
        """Return recall at an oversampling, or just below."""
        below = int(np.searchsorted(self.oversampling, oversampling + 1e-9))
        here = max(below - 1, 0)
        value, low, high = (
            float(side[here]) for side in (self.recall, self.low, self.high)
        )
        return Estimate(value, low, high, CONFIDENCE)

    def at_most(self, other: "Curve") -> "Curve":
        """Bound recall by that on fewer rows, which is not lower."""
        return replace(
            self,
            recall=np.minimum(self.recall, other.recall),
            low=np.minimum(self.low, other.low),
            high=np.minimum(self.high, other.high),
        )

    @property
    def says_nothing(self) -> bool:
        """Whether the interval without reranking spans half the scale."""
        return float(self.high[0] - self.low[0]) > WIDEST


def measured_curve(grid: np.ndarray, recalls: np.ndarray, n_rows: int) -> Curve:
    """Sum up what was measured.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Oversamplings.
    recalls : ndarray of shape (n_queries, n_points)
    n_rows : int
        Number of rows that were searched.
    """
    points = [mean_estimate(x, CONFIDENCE, bounds=(0, 1)) for x in recalls.T]
    recall, low, high = (
        np.maximum.accumulate([getattr(point, side) for point in points])
        for side in ("value", "low", "high")
    )
    return Curve(grid, recall, low, high, n_rows, len(recalls))


@dataclass(frozen=True)
class Depths:
    """The neighbors and candidates with which recall on more rows is measured.

    Among fewer rows as many fewer neighbors lie as deep. Their number is rounded down:
    recall of fewer neighbors is the lower one.

    Attributes
    ----------
    grid : ndarray of shape (n_points,)
        Oversamplings.
    n_neighbors : int
    candidates : ndarray of shape (n_points,), dtype int
    n_rows : int
        Number of rows that recall is then that of.
    """

    grid: np.ndarray
    n_neighbors: int
    candidates: np.ndarray
    n_rows: int

    @classmethod
    def of(
        cls,
        grid: np.ndarray,
        n_neighbors: int,
        n_rows: int,
        expected_rows: int,
        *,
        most_times: float = NEARLY,
    ) -> "Depths":
        """Scale neighbors if ``expected_rows`` are at most ``most_times`` the rows."""
        times, k, searched = expected_rows / n_rows, n_neighbors, n_rows
        scaled = int(k / times + 1e-6) if times > _EQUALLY else k
        if times <= most_times and scaled >= min(_MIN_NEIGHBORS, k):
            k, searched = scaled, max(expected_rows, n_rows)
        candidates = np.clip(np.round(grid * k), 1, n_rows).astype(int)
        return cls(grid, k, candidates, searched)

    def curve(self, recalls: np.ndarray) -> Curve:
        """Sum up recalls of shape (n_queries, n_points), measured at these depths."""
        return measured_curve(self.grid, recalls, self.n_rows)


def oversampling_grid(n_neighbors: int, n_rows: int) -> np.ndarray:
    """Return oversamplings from 1 to 50, each a whole number of candidates."""
    largest = max(min(float(_LARGEST), n_rows / n_neighbors), 1.0)
    grid = np.concatenate([np.geomspace(1, _LARGEST, _N_POINTS), [2, 3, 4, 5, 10, 20]])
    candidates = np.ceil(n_neighbors * np.append(grid[grid <= largest], largest) - 1e-9)
    return np.unique(candidates) / n_neighbors


def supported_rows(n_rows: int, n_neighbors: int) -> int:
    """Return how many rows a sample of ``n_rows`` can predict recall on at most."""
    if n_rows < MIN_ROWS:
        return n_rows
    return int(MAX_DEPTH_RATIO * n_neighbors * n_rows)


def rows_to_support(expected_rows: int, n_neighbors: int) -> int:
    """Return how many rows are needed to predict recall on ``expected_rows``."""
    needed = int(np.ceil(expected_rows / (MAX_DEPTH_RATIO * n_neighbors)))
    return max(needed, MIN_ROWS)


def predicted_curve(
    similarities: ArrayLike,
    scores: ArrayLike,
    grid: np.ndarray,
    n_neighbors: int,
    expected_rows: int,
) -> Curve:
    """Predict recall on more rows than there are.

    Parameters
    ----------
    similarities, scores : array-like of shape (n_queries, n_rows)
        True similarities of queries to a sample of the rows, and those by codes.
    grid : ndarray of shape (n_points,)
        Oversamplings.
    n_neighbors : int
    expected_rows : int
    """
    predicted = predict_recall(
        similarities,
        scores,
        n_neighbors=n_neighbors,
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
        len(np.asarray(scores)),
        predicted.depth_ratio,
    )
