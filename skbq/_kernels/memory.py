"""How arrays are handed to kernels."""

import mmap
from math import prod

import numpy as np

from .simd import CACHE_LINE


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only C-ordered view, so that kernels see one type of array."""
    plain = np.asarray(array)
    flags = plain.flags
    if not (flags.c_contiguous and flags.aligned):
        plain = np.require(plain, requirements=["C", "A"])
    view = plain.view()
    view.flags.writeable = False
    return view


def is_mapped(array: np.ndarray) -> bool:
    """Tell whether an array lies in a file that is mapped into memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return isinstance(getattr(base, "obj", base), mmap.mmap)


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
