"""Rows that ask for their neighbors, where there are too few queries."""

from typing import Any

import numpy as np

from .bench import Bench, Truth, similarities


class RowsAsking(Bench):
    """The rows of a bench as its queries, each left out of its own neighbors.

    Rows, codes and rotated rows are those of the bench, not copies.
    """

    def __init__(self, bench: Bench) -> None:
        vars(self).update(vars(bench))
        self._queries = self._rows

    def truth(self, some: slice = slice(None)) -> Truth:
        """Find the true neighbors of some rows among all others."""
        near = similarities(self.queries[some], self.rows, self.metric)
        return Truth(_last(near, some), np.empty(0), 0).of_neighbors(self.n_neighbors)

    def scores(self, strategy: Any, some: slice = slice(None)) -> np.ndarray:
        """Return the scores of a strategy for some rows, their own the lowest."""
        return _last(super().scores(strategy, some), some)


def _last(values: np.ndarray, some: slice) -> np.ndarray:
    """Put each row behind all others in its own list, in place."""
    own = np.arange(values.shape[1])[some]
    values[np.arange(len(own)), own] = np.nextafter(values.min(axis=1), -np.inf)
    return values
