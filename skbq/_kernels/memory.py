"""How arrays are handed to kernels."""

import mmap
from math import prod

import numpy as np

from .simd import CACHE_LINE


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only C-ordered view, so that kernels see one type of array."""
    plain = np.asarray(array)
    flags = plain.flags
    if not flags.writeable and flags.c_contiguous and flags.aligned:
        return plain
    if not (flags.c_contiguous and flags.aligned):
        plain = np.require(plain, requirements=["C", "A"])
    view = plain.view()
    view.flags.writeable = False
    return view


def mapping_of(array: np.ndarray | None) -> mmap.mmap | None:
    """Return the mapping of a file that an array is a view of, if it is."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None


def aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """Return room for uint8 numbers that starts at a cache line."""
    size = prod(shape)
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size].reshape(shape)


def aligned_copy(tables: np.ndarray) -> np.ndarray:
    """Copy tables as uint8, so that they start at a cache line."""
    copy = aligned_empty(tables.shape)
    copy[...] = tables
    return copy
