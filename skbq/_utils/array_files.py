"""Writing arrays so that a full disk is noticed.

``ndarray.tofile``, and ``numpy.save`` by it, leave the last bytes to buffers of C whose
errors they do not look at, and a memory map of a full disk ends the process. Files that
Python writes raise OSError.
"""

import os
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

# Bytes that are copied at a time.
_CHUNK = 2**24


def write_array(file: BinaryIO, array: np.ndarray) -> None:
    """Write the numbers of an array, in C order."""
    rows = array.reshape(-1) if array.flags.c_contiguous else array
    step = max(1, _CHUNK // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), step):
        file.write(rows[start : start + step].tobytes())


def save_array(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write a .npy file of an array, as numpy.save does."""
    save_rows(path, array.shape, array.dtype, [array])


def save_rows(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    dtype: np.dtype,
    blocks: Iterable[np.ndarray],
) -> None:
    """Write a .npy file of rows that come in blocks.

    Parameters
    ----------
    path : path-like
    shape : tuple of int
        Of all rows.
    dtype : dtype
        That of the file, which blocks are turned into.
    blocks : iterable of ndarray

    Raises
    ------
    OSError
        If they cannot be written.
    """
    header = {
        "descr": npy.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with open(path, "wb") as file:
        npy.write_array_header_1_0(file, header)
        for block in blocks:
            write_array(file, block.astype(dtype, copy=False))
