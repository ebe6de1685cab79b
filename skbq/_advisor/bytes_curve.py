"""Recall over bytes: what more memory buys, strategy by strategy and at best."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from .._utils.estimate import Estimate

# Kinds of codes, in the order in which pictures color them.
FAMILIES = ("1 bit", "2 bits", "PCA", "PCA, 1 bit")


@dataclass(frozen=True)
class BytesPoint:
    """What one strategy finds, and how many bytes of a row it takes.

    Attributes
    ----------
    bytes_per_row : int
        Of code and corrections.
    strategy : str
        In words.
    query : {"codes", "vectors"}
        Symmetric or asymmetric search.
    family : {"1 bit", "2 bits", "PCA", "PCA, 1 bit"}
        As many bits for every coordinate; as many as its axis is worth; or one bit for
        each of the strongest axes, rotated: a linear map for any engine of one bit.
    recall : Estimate
        Recall@k without reranking.
    oversampling : float
        The smallest whose lower limit of recall reaches the target; infinite where
        none up to 50 does.
    recall_reranked : Estimate
        Recall@k with that oversampling, of 20 at most.
    """

    bytes_per_row: int
    strategy: str
    query: str
    family: str
    recall: Estimate
    oversampling: float
    recall_reranked: Estimate


@dataclass(frozen=True)
class BytesCurve:
    """Recall without reranking, and oversampling for the target, over bytes of a row.

    Attributes
    ----------
    measured : tuple of BytesPoint
        The strategy chosen for each amount of memory and kind of search, by rising
        bytes, all on the same rows and queries.
    best_recall : tuple of BytesPoint
        For each number of bytes among them, the point of highest recall at or below:
        its recall never falls.
    least_oversampling : tuple of BytesPoint
        The same for the least oversampling, which never rises.
    target_recall : float
        What oversampling is for.
    n_neighbors, n_rows, n_queries : int
        The k of recall@k, the rows that recall is for, the queries it rests on.
    is_measured : bool
        Whether recall was measured on so many rows, or predicted for them.
    """

    measured: tuple[BytesPoint, ...]
    best_recall: tuple[BytesPoint, ...]
    least_oversampling: tuple[BytesPoint, ...]
    target_recall: float
    n_neighbors: int
    n_rows: int
    n_queries: int
    is_measured: bool

    @property
    def bytes_per_row(self) -> np.ndarray:
        """Numbers of bytes at which something was measured, rising, int64."""
        return np.unique([point.bytes_per_row for point in self.measured])

    @property
    def recall(self) -> np.ndarray:
        """Best recall at or below each of :attr:`bytes_per_row`, float64."""
        return np.array([point.recall.value for point in self.best_recall])

    @property
    def oversampling(self) -> np.ndarray:
        """Least oversampling at or below each of :attr:`bytes_per_row`, float64."""
        return np.array([point.oversampling for point in self.least_oversampling])

    def near(self, strategy: str) -> list[BytesPoint]:
        """Return a strategy, and of each other kind the one of nearest bytes.

        A kind is a family with symmetric or asymmetric search.
        """
        points = {point.strategy: point for point in self.measured}
        center = points.get(strategy, self.measured[0])
        nearest: dict[tuple[str, str], BytesPoint] = {}
        for point in sorted(
            self.measured,
            key=lambda p: (
                p is not center,
                abs(p.bytes_per_row - center.bytes_per_row),
            ),
        ):
            nearest.setdefault((point.family, point.query), point)
        return [point for point in self.measured if point in nearest.values()]

    def at(self, max_bytes: int) -> BytesPoint:
        """Return the point of highest recall within so many bytes of a row.

        Raises
        ------
        ValueError
            If all that was measured takes more.
        """
        within = [p for p in self.best_recall if p.bytes_per_row <= max_bytes]
        if not within:
            raise ValueError(
                f"Nothing of at most {max_bytes} bytes was measured: pass at least "
                f"{self.bytes_per_row[0]}."
            )
        return max(within, key=lambda point: point.recall.value)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the measured points as columns, ready for ``pandas.DataFrame``."""
        columns = {}
        for field in fields(BytesPoint):
            values = [getattr(point, field.name) for point in self.measured]
            if isinstance(values[0], Estimate):
                columns[field.name] = np.array([v.value for v in values])
                columns[f"{field.name}_low"] = np.array([v.low for v in values])
                columns[f"{field.name}_high"] = np.array([v.high for v in values])
            else:
                columns[field.name] = np.array(values)
        return columns


def bytes_curve(
    points: Sequence[BytesPoint],
    *,
    target_recall: float,
    n_neighbors: int,
    n_rows: int,
    n_queries: int,
    is_measured: bool,
) -> BytesCurve:
    """Put measured points in order, and find the best at or below each."""
    measured = sorted(points, key=lambda p: (p.bytes_per_row, p.recall.value))
    best, least = [], []
    for n_bytes in sorted({point.bytes_per_row for point in measured}):
        within = [point for point in measured if point.bytes_per_row <= n_bytes]
        best.append(max(within, key=lambda p: (p.recall.value, -p.bytes_per_row)))
        least.append(
            min(
                within,
                key=lambda p: (p.oversampling, -p.recall_reranked.value),
            )
        )
    return BytesCurve(
        tuple(measured),
        tuple(best),
        tuple(least),
        target_recall,
        n_neighbors,
        n_rows,
        n_queries,
        is_measured,
    )
