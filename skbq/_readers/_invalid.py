"""Rows that no search can use: NaN, infinity, and zeros where directions count."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._utils.parallel import row_blocks
from .._utils.stored_rows import StoredRows


class InvalidRows(NamedTuple):
    """Numbers of rows: with NaN or infinity, and of zeros."""

    not_finite: np.ndarray
    zeros: np.ndarray

    @property
    def all(self) -> np.ndarray:
        """All of them, in order, none twice."""
        return np.unique(np.concatenate(self))


def find_invalid(
    rows: StoredRows,
    *,
    zeros: bool,
    on_block: Callable[[int], object] = lambda n_rows: None,
) -> InvalidRows:
    """Look at every row, block by block.

    Parameters
    ----------
    rows : StoredRows
    zeros : bool
        Whether rows may be all zeros, which have no cosine.
    on_block : callable
        Called with the number of rows after each block.

    Returns
    -------
    invalid : InvalidRows
    """
    infinite, empty = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in row_blocks(len(rows), rows.shape[1] * 8, shares=8):
        block = rows[part]
        infinite.append(part.start + np.flatnonzero(~np.isfinite(block).all(axis=1)))
        if not zeros:
            empty.append(part.start + np.flatnonzero(~block.any(axis=1)))
        on_block(part.stop - part.start)
    return InvalidRows(np.concatenate(infinite), np.concatenate(empty))
