"""Unit length, similarity and exact distance of vectors."""

import numpy as np

from .._kernels.memory import read_only
from .._kernels.vector_ops import scale_to_unit
from .validation import float_rows


def scaled_rows(X: np.ndarray, metric: str) -> np.ndarray:
    """Return rows as floats, of unit length under "cosine"."""
    rows = float_rows(X)
    if metric != "cosine":
        return rows
    out = np.empty_like(rows)
    scale_to_unit(read_only(rows), out)
    return out
