"""How arrays are handed to kernels."""

import numpy as np

from .simd import CACHE_LINE


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only C-ordered view, so that kernels see one type of array."""
    view = np.require(np.asarray(array), requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def aligned_copy(tables: np.ndarray) -> np.ndarray:
    """Copy tables as uint8, so that they start at a cache line."""
    room = np.empty(tables.size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copy = room[start : start + tables.size].reshape(tables.shape)
    copy[...] = tables
    return copy
