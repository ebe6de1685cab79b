"""Vectors that an index refers to instead of holding them: where, and what they are."""

import os
import re
import zlib
from dataclasses import dataclass
from math import prod
from typing import Self

import numpy as np

from .._utils.parallel import cache_blocks
from .._utils.stored_rows import blocks_released
from .file_format import FileError

_DTYPE = re.compile(r"[<|][fi]\d{1,2}")


@dataclass(frozen=True)
class VectorFile:
    """A plain array in a file that other programs wrote, such as a .npy file.

    Attributes
    ----------
    path : str
        Absolute.
    size : int
        Bytes of the whole file.
    offset : int
        Where the first value is.
    dtype : str
    shape, strides : tuple of int
    checksum : int
        CRC-32 of the values, row by row.
    """

    path: str
    size: int
    offset: int
    dtype: str
    shape: tuple[int, int]
    strides: tuple[int, int]
    checksum: int

    @classmethod
    def of(cls, vectors: np.ndarray) -> Self:
        """Return where a mapped array is.

        Raises
        ------
        ValueError
            If it is mapped from no file.
        """
        base: object = vectors
        while not isinstance(base, np.memmap) and isinstance(base, np.ndarray):
            base = base.base
        root = base
        while isinstance(base, np.memmap):  # slices are memory maps too
            root, base = base, base.base
        path = getattr(root, "filename", None)
        if not isinstance(root, np.memmap) or path is None:
            raise ValueError(
                "vectors='refer' is for vectors that are mapped from a file, as "
                "numpy.load(path, mmap_mode='r') and open_vectors of .npy or .fbin "
                "files give them. Write vectors='copy'."
            )
        first = vectors.__array_interface__["data"][0]
        distance = first - root.__array_interface__["data"][0]
        strides = vectors.strides
        return cls(
            os.path.abspath(path),
            os.path.getsize(path),
            int(root.offset + distance),
            vectors.dtype.str,
            (vectors.shape[0], vectors.shape[1]),
            (strides[0], strides[1]),
            _checksum(vectors),
        )

    def open(self, *, verify: bool) -> np.ndarray:
        """Map the vectors.

        Raises
        ------
        FileError
            If the file is not there, or is another than it was.
        """
        if not os.path.isfile(self.path):
            raise FileError(
                f"The index refers to vectors in {self.path}, which is not there. Put "
                "the file back, or encode again."
            )
        vectors = None
        if os.path.getsize(self.path) == self.size and _DTYPE.fullmatch(self.dtype):
            vectors = self._map()
        if vectors is None or (verify and _checksum(vectors) != self.checksum):
            raise FileError(
                f"{self.path} has changed since the index was written, which refers to "
                "vectors in it: its size or checksum is another. Encode again."
            )
        return vectors

    def _map(self) -> np.ndarray | None:
        """Map the array, if it lies inside of the file."""
        n_bytes = np.dtype(self.dtype).itemsize
        ends = (
            (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
        )
        inside = 0 <= self.offset <= self.size - n_bytes - sum(ends)
        if not inside or min(*self.strides, prod(self.shape) - 1, 0) < 0:
            return None
        whole = np.memmap(self.path, np.uint8, "r")
        return np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)


def _checksum(vectors: np.ndarray) -> int:
    checksum = 0
    blocks = cache_blocks(len(vectors), vectors.shape[1] * vectors.itemsize)
    for rows in blocks_released(vectors, blocks):
        block = np.ascontiguousarray(vectors[rows])
        checksum = zlib.crc32(block.view(np.uint8).data, checksum)
    return checksum
