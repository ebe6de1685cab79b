"""How many lists to probe: recall measured against that of all lists."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from .._utils.estimate import Estimate, mean_estimate
from .inverted_lists import Lists

# Rows that are queries of a calibration, each left out.
CALIBRATION_ROWS = 256
# Rows that are looked at behind those reranked: so many times as many in all. Where an
# eighth of them is in the lists probed, recall is exact.
LOOKED_AT = 8
# Neighbors whose recall is measured, at least: more are harder to find than fewer.
FEWEST_NEIGHBORS = 10
# Of the interval of recall.
CONFIDENCE = 0.95
# Numbers of lists that are looked at: each is so many times the one before.
_STEP = 1.1
# Where more than this share of the rows must be compared, lists do not pay.
MOST_SHARE = 0.5


@dataclass(frozen=True)
class FoundRows:
    """The rows that queries find where all lists are probed, and farther ones.

    Attributes
    ----------
    by_code : ndarray of shape (n_queries, n_rows), dtype int64
        From near to far by code; -1: fewer than so many count.
    by_distance : ndarray of the same shape and dtype
        The same rows from near to far by exact distance; where nothing is reranked,
        the same array.
    n_neighbors : int
        Number of nearest rows that are wanted.
    depth : int
        Number of rows that are reranked. Those behind them take the places of rows
        whose lists are not probed.
    """

    by_code: np.ndarray
    by_distance: np.ndarray
    n_neighbors: int
    depth: int

    @classmethod
    def nearest(cls, rows: np.ndarray) -> Self:
        """Return rows that are all wanted, from near to far."""
        return cls(rows, rows, rows.shape[1], rows.shape[1])

    @classmethod
    def joined(
        cls, parts: list[tuple[np.ndarray, np.ndarray]], n_neighbors: int, depth: int
    ) -> Self:
        """Join the rows by code and by distance of some queries after others."""
        by_code, by_distance = map(np.concatenate, zip(*parts, strict=True))
        return cls(by_code, by_distance, n_neighbors, depth)

    @cached_property
    def _places(self) -> np.ndarray:
        """Where the rows by distance stand among those by code."""
        places = np.empty_like(self.by_code)
        pairs = zip(self.by_code, self.by_distance, strict=True)
        for q, (by_code, by_distance) in enumerate(pairs):
            order = np.argsort(by_code)
            places[q] = order[np.searchsorted(by_code[order], by_distance)]
        return places

    def best(self, there: np.ndarray) -> np.ndarray:
        """Tell which rows are found where only these are there.

        Parameters
        ----------
        there : bool array of shape (n_queries, n_rows)
            Of rows by code.

        Returns
        -------
        found : bool array of the same shape
            Of rows by distance.
        """
        compared = there & (np.cumsum(there, axis=1) <= self.depth)
        compared = np.take_along_axis(compared, self._places, axis=1)
        return compared & (np.cumsum(compared, axis=1) <= self.n_neighbors)


@dataclass(frozen=True)
class ProbeCurve:
    """Recall by the number of lists that are probed.

    Attributes
    ----------
    n_probes : ndarray of shape (n_points,), dtype int64
        Numbers of lists, ascending; the last one is that of all lists.
    share : ndarray of shape (n_points,), dtype float64
        Share of the rows that a query compares then, on average.
    recall : tuple of Estimate
        Share of the nearest rows, of those that brute force gives, that are in these
        lists, with its interval.
    n_queries : int
        Number of queries that this was measured with.
    n_neighbors : int
        Number of nearest rows of each.
    """

    n_probes: np.ndarray
    share: np.ndarray
    recall: tuple[Estimate, ...]
    n_queries: int
    n_neighbors: int

    def find(self, target_recall: float) -> int:
        """Return the first point whose recall is sure to reach a target."""
        return int(np.argmax(self._low >= target_recall))

    @cached_property
    def _low(self) -> np.ndarray:
        # Once: every search asks for it.
        return np.array([estimate.low for estimate in self.recall])

    def __str__(self) -> str:
        lines = ["lists  rows compared  recall of brute force's neighbors"]
        for n, share, recall in zip(
            self.n_probes, self.share, self.recall, strict=True
        ):
            lines.append(f"{n:5d}  {share:13.2%}  {recall}")
        return "\n".join(lines)


def measure_curve(
    lists: Lists,
    order: np.ndarray,
    found: FoundRows,
    numbers: np.ndarray | None = None,
) -> ProbeCurve:
    """Measure recall at every number of lists.

    Parameters
    ----------
    lists : Lists
    order : int32 array of shape (n_queries, n_lists)
        All lists in the order in which each query probes them.
    found : FoundRows
        Of the same queries.
    numbers : int64 array of shape (n_queries, n_rows), default=None
        The lists that these rows are in; None: ``lists`` knows.

    Returns
    -------
    curve : ProbeCurve

    Notes
    -----
    A row that is among the nearest by code of all lists is among those of the lists
    that hold it. So one search of all lists gives recall at every number of lists.
    Where rows are reranked, farther ones come up as lists are left out; one of them can
    be nearer by exact distance, and takes a place. This is a better answer, but not
    that of brute force.
    """
    n_queries, n_lists = order.shape
    rows = found.by_code
    there = rows >= 0
    probes_needed = np.empty(rows.shape, np.int64)
    compared = np.empty((n_queries, n_lists))
    if numbers is None:
        numbers = lists.lists_of(np.maximum(rows, 0))
    for q in range(n_queries):
        place = np.empty(n_lists, np.int64)
        place[order[q]] = np.arange(n_lists)
        probes_needed[q] = place[numbers[q]] + 1
        compared[q] = np.cumsum(lists.sizes[order[q]])
    points = _points(n_lists)
    of_all, recalls = found.best(there), []
    n_wanted = np.maximum(of_all.sum(axis=1), 1)
    for n in points:
        inside = found.best(there & (probes_needed <= n))
        each = (inside & of_all).sum(axis=1) / n_wanted
        recalls.append(mean_estimate(each, CONFIDENCE, bounds=(0.0, 1.0)))
    recalls[-1] = Estimate(1.0, 1.0, 1.0, CONFIDENCE)  # this is brute force
    share = compared[:, points - 1].mean(axis=0) / lists.n_rows
    return ProbeCurve(points, share, tuple(recalls), n_queries, found.n_neighbors)


def probe_all(n_lists: int) -> ProbeCurve:
    """Return a curve of one point: all lists, which is brute force."""
    every = Estimate(1.0, 1.0, 1.0, CONFIDENCE)
    return ProbeCurve(np.array([n_lists]), np.ones(1), (every,), 0, 0)


def _points(n_lists: int) -> np.ndarray:
    """Return numbers of lists, ascending, up to all of them."""
    count = 1 + int(np.ceil(np.log(n_lists) / np.log(_STEP)))
    return np.unique(np.rint(np.geomspace(1, n_lists, count)).astype(np.int64))


def describe_lack_of_structure(curve: ProbeCurve, target_recall: float) -> str | None:
    """Say that lists do not pay for these rows; None where they do."""
    share = curve.share[curve.find(target_recall)]
    if share <= MOST_SHARE:
        return None
    return (
        f"lists do not separate your rows: to find {100 * target_recall:.3g}% you "
        f"must compare {100 * share:.0f}%: use algorithm='brute'."
    )


# As arrays of a file.


def pack_curve(curve: ProbeCurve) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return a curve as arrays and numbers."""
    measured = [
        (share, *(estimate.value, estimate.low, estimate.high), estimate.confidence)
        for share, estimate in zip(curve.share, curve.recall, strict=True)
    ]
    return curve.n_probes, np.array(measured), curve.n_queries, curve.n_neighbors


def unpack_curve(packed: tuple[np.ndarray, np.ndarray, int, int]) -> ProbeCurve:
    """Undo :func:`pack_curve`."""
    n_probes, measured, n_queries, n_neighbors = packed
    recall = tuple(Estimate(*map(float, row[1:])) for row in measured)
    return ProbeCurve(n_probes, measured[:, 0], recall, n_queries, n_neighbors)


def is_curve(packed: object) -> bool:
    """Tell whether a value is what :func:`pack_curve` gives."""
    if not isinstance(packed, tuple) or len(packed) != 4:
        return False
    n_probes, measured, *counts = packed
    if not all(isinstance(x, np.ndarray) for x in (n_probes, measured)):
        return False
    if n_probes.dtype != np.int64 or n_probes.ndim != 1 or len(n_probes) == 0:
        return False
    if measured.dtype != np.float64 or measured.shape != (len(n_probes), 5):
        return False
    rising = n_probes[0] >= 1 and (np.diff(n_probes) > 0).all()
    inside = ((measured >= 0) & (measured <= 1)).all()
    return bool(rising and inside) and all(type(n) is int for n in counts)
