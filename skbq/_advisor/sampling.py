"""Rows to search and queries, drawn at random from what the user has."""

from dataclasses import dataclass

import numpy as np

from .._utils.validation import float_rows

# Numbers (rows x coordinates) that are held in memory at most: 100 MB in float32; and
# rows, which strategies are compared on.
_MAX_VALUES = 25_000_000
_MAX_ROWS = 100_000
_MAX_QUERIES = 4000
# Without queries of the user's own, a tenth of the rows is held out, and of few rows
# more.
_HELD_OUT_SHARE = 0.1
_ENOUGH_QUERIES = 200


@dataclass(frozen=True)
class Sample:
    """Rows and queries in memory; which rows of the data are searched.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, d), dtype float32 or float64
        In random order.
    queries : ndarray of shape (n_queries, d)
        Held out of the rows, unless they are the user's own.
    numbers : ndarray of shape (n_rows,), dtype int64
        Which rows of the data they are.
    searched : ndarray of shape (n_searched,), dtype int64
        All rows of the data that are searched, ascending: ``numbers``, and more where
        they do not fit into memory.
    """

    rows: np.ndarray
    queries: np.ndarray
    numbers: np.ndarray
    searched: np.ndarray

    @property
    def is_whole(self) -> bool:
        """Whether all rows that are searched are in memory."""
        return len(self.numbers) == len(self.searched)


def count_held_out(n_rows: int) -> int:
    """Return how many rows are held out as queries."""
    few = min(_ENOUGH_QUERIES, n_rows // 4)
    return min(max(int(_HELD_OUT_SHARE * n_rows), few, 2), _MAX_QUERIES)


def draw_sample(
    X: np.ndarray,
    queries: np.ndarray | None,
    most_rows: int,
    rng: np.random.RandomState,
) -> Sample:
    """Draw rows and queries, disjoint, in random order.

    Parameters
    ----------
    X : ndarray of shape (n_samples, d)
        May be a memory map, of which only the drawn rows are read.
    queries : ndarray of shape (n_queries, d) or None
        The user's own; of more than 4,000 a random 4,000 are used.
    most_rows : int
        Rows to search at most.
    rng : RandomState
    """
    order = rng.permutation(len(X))
    if queries is None:
        n_queries = count_held_out(len(X))
        held_out = _rows(X, order[:n_queries])
        order = order[n_queries:]
    else:
        held_out = _rows(queries, rng.permutation(len(queries))[:_MAX_QUERIES])
    in_memory = min(most_rows, _MAX_ROWS, max(_MAX_VALUES // X.shape[1], 1))
    numbers = order[:in_memory]
    return Sample(_rows(X, numbers), held_out, numbers, np.sort(order[:most_rows]))


def _rows(X: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Read rows in the order of the file; return them in that of ``numbers``."""
    order = np.argsort(numbers)
    out = np.empty((len(numbers), X.shape[1]), float_rows(X, slice(0, 1)).dtype)
    out[order] = X[numbers[order]]
    return out
