"""Rows to search and queries to ask, drawn at random from what the user has."""

from dataclasses import dataclass

import numpy as np

from .._utils.validation import float_rows

# Numbers (rows x coordinates) that are searched at most: 100 MB in float32; and rows,
# since scores take four bytes for each row and query.
_MAX_VALUES = 25_000_000
_MAX_ROWS = 100_000
_MAX_QUERIES = 4000
# Without queries of the user's own, a tenth of the rows asks, and of few rows more.
_HELD_OUT_SHARE = 0.1
_ENOUGH_QUERIES = 200


@dataclass(frozen=True)
class Sample:
    """Rows to search and queries; held out unless they are the user's own.

    ``numbers`` are those of the rows in X.
    """

    rows: np.ndarray
    queries: np.ndarray
    numbers: np.ndarray


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
        asked = _rows(X, order[:n_queries])
        order = order[n_queries:]
    else:
        asked = _rows(queries, rng.permutation(len(queries))[:_MAX_QUERIES])
    most_rows = min(most_rows, _MAX_ROWS, max(_MAX_VALUES // X.shape[1], 1))
    numbers = order[:most_rows]
    return Sample(_rows(X, numbers), asked, numbers)


def _rows(X: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Read rows in the order of the file, and return them in the order asked for."""
    order = np.argsort(numbers)
    out = np.empty((len(numbers), X.shape[1]), float_rows(X, slice(0, 1)).dtype)
    out[order] = X[numbers[order]]
    return out
