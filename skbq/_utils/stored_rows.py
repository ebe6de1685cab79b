"""Rows of vectors that lie in files, and are read block by block."""

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Self, TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import ArrayLike, DTypeLike

from .._kernels.memory import mapping_of
from .parallel import cache_blocks

_Result = TypeVar("_Result")
_ALL = slice(None)
# Bytes of a mapped file that a thread holds before it lets go of them.
_HELD_BYTES = 2**25


@dataclass(frozen=True)
class Part:
    """Rows of one file.

    Attributes
    ----------
    name : str
        The file, for messages.
    shape : tuple of int
        Rows and coordinates.
    dtype : dtype
        Of what ``read`` gives.
    read : callable
        Gives rows from one to before another, both within one chunk.
    chunks : ndarray of int
        Where pieces begin that are decoded as a whole, and the number of rows.
    array : ndarray or None
        All rows, where they are mapped as they are: then threads may read.
    ids : ndarray or None
        An identifier for each row.
    first_row : int
        The number that the first row has in the file.
    """

    name: str
    shape: tuple[int, int]
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray]
    chunks: np.ndarray
    array: np.ndarray | None = None
    ids: np.ndarray | None = None
    first_row: int = 0

    def span(self, start: int, stop: int) -> Self:
        """Return rows that follow each other."""
        if (start, stop) == (0, self.shape[0]):
            return self
        inner = self.chunks[(self.chunks > start) & (self.chunks < stop)]

        def read(low: int, high: int) -> np.ndarray:
            # Chunks are decoded as a whole: those at the ends are cut afterwards.
            at = int(np.searchsorted(self.chunks, start + low, "right")) - 1
            begin, end = int(self.chunks[at]), int(self.chunks[at + 1])
            return self.read(begin, end)[start + low - begin : start + high - begin]

        return replace(
            self,
            shape=(stop - start, self.shape[1]),
            read=read,
            chunks=np.array([start, *inner, stop]) - start,
            array=None if self.array is None else self.array[start:stop],
            ids=None if self.ids is None else self.ids[start:stop],
            first_row=self.first_row + start,
        )


class StoredRows:
    """Vectors in one or more files, as an array that is read where it is sliced.

    Made by :func:`skbq.open_vectors`. Estimators take it as X and read blocks of it.

    Attributes
    ----------
    shape : tuple of int
        Rows and coordinates.
    dtype : dtype
        Of the blocks.
    ids : ndarray of shape (n_samples,) or None
        Identifiers of the rows.
    row_numbers : ndarray of shape (n_samples,) or None
        Row in the files, counted through, if some were left out.
    """

    ndim = 2

    def __init__(
        self, parts: Sequence[Part], row_numbers: np.ndarray | None = None
    ) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.row_numbers = row_numbers
        n = int(self._starts[-1]) if row_numbers is None else len(row_numbers)
        self.shape = (n, parts[0].shape[1])
        self.dtype = parts[0].dtype
        self._lock = Lock()
        self._chunk: tuple[int, int, np.ndarray] = (-1, -1, np.empty(0))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        names = self._parts[0].name
        if len(self._parts) > 1:
            names += f" and {len(self._parts) - 1} more files"
        return f"<{self.shape[0]:,} x {self.shape[1]} {self.dtype} in {names}>"

    @property
    def ids(self) -> np.ndarray | None:
        """Identifiers of the rows, or None."""
        if self._parts[0].ids is None:
            return None
        ids = np.concatenate([part.ids for part in self._parts])
        return ids if self.row_numbers is None else ids[self.row_numbers]

    @property
    def array(self) -> np.ndarray | None:
        """All rows as one array that is mapped from a file, if they are that."""
        alone = len(self._parts) == 1 and self.row_numbers is None
        return self._parts[0].array if alone else None

    @property
    def is_mapped(self) -> bool:
        """Whether all files are mapped, so that threads may read side by side."""
        return all(part.array is not None for part in self._parts)

    def without(self, rows: np.ndarray) -> Self:
        """Leave rows out; :attr:`row_numbers` keeps the numbers of the others."""
        kept = np.ones(len(self), bool)
        kept[rows] = False
        numbers = np.flatnonzero(kept)
        if self.row_numbers is not None:
            numbers = self.row_numbers[numbers]
        return type(self)(self._parts, numbers)

    def where(self, row: int) -> tuple[str, int]:
        """Return the file of a row and its number there."""
        if self.row_numbers is not None:
            row = int(self.row_numbers[row])
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        part = self._parts[number]
        return part.name, row - int(self._starts[number]) + part.first_row

    def name_rows(self, rows: np.ndarray) -> str:
        """Name rows for a message: the first file, rows of it, how many more."""
        places = [self.where(int(row)) for row in rows[:5]]
        file = places[0][0]
        here = [str(row) for name, row in places if name == file]
        more = len(rows) - len(here)
        return (
            f"{file}: row{'s' * (len(here) > 1)} {', '.join(here)}"
            + f" and {more:,} more" * (more > 0)
        )

    @property
    def files(self) -> list[str]:
        """Names of the files."""
        return [part.name for part in self._parts]

    @property
    def lengths(self) -> list[int]:
        """Rows of each file; all together if some were left out."""
        if self.row_numbers is not None:
            return [len(self)]
        return [part.shape[0] for part in self._parts]

    def span(self, start: int, stop: int) -> Self:
        """Return rows that follow each other, which stay in their files."""
        if self.row_numbers is not None:
            return type(self)(self._parts, self.row_numbers[start:stop])
        spans = [
            part.span(max(start - int(first), 0), min(stop - int(first), part.shape[0]))
            for part, first in zip(self._parts, self._starts[:-1], strict=True)
            if first < stop and start < first + part.shape[0]
        ]
        return type(self)(spans)

    def map_blocks(
        self, function: Callable[[np.ndarray], _Result]
    ) -> list[tuple[int, _Result]]:
        """Call a function on all rows, block by block; give first rows and results."""
        blocks = cache_blocks(len(self), self.shape[1] * self.dtype.itemsize)
        return [
            (rows.start, function(self[rows])) for rows in blocks_released(self, blocks)
        ]

    def release(self, rows: slice = _ALL) -> None:
        """Let go of pages of mapped files that hold rows that follow each other.

        The process maps them again where it reads them again.
        """
        if self.row_numbers is not None:
            numbers = self.row_numbers[rows]
            if not len(numbers):
                return
            rows = slice(int(numbers[0]), int(numbers[-1]) + 1)
        start, stop, _ = rows.indices(int(self._starts[-1]))
        for part, first in zip(self._parts, self._starts[:-1], strict=True):
            low, high = max(start - int(first), 0), stop - int(first)
            if part.array is not None and high > 0 and low < part.shape[0]:
                release_pages(part.array[low:high])

    def __getitem__(
        self, key: slice | tuple[slice | ArrayLike, ...] | ArrayLike
    ) -> np.ndarray:
        if isinstance(key, tuple):
            return self[key[0]][(slice(None), *key[1:])]
        if isinstance(key, int | np.integer):
            return self[np.array([key])][0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            rows = np.arange(start, stop, step)
            if step == 1 and self.row_numbers is None and stop > start:
                return self._range(start, stop)
        else:
            rows = np.asarray(key)
            if rows.dtype == bool:
                rows = np.flatnonzero(rows)
            rows = np.where(rows < 0, rows + len(self), rows).astype(np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"there are {len(self)} rows")
        return self._gather(
            rows if self.row_numbers is None else self.row_numbers[rows]
        )

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def min(self, axis: int) -> np.ndarray:
        """Return the least values over axis 0, read block by block."""
        return self._reduce(np.minimum, axis)

    def max(self, axis: int) -> np.ndarray:
        """Return the largest values over axis 0, read block by block."""
        return self._reduce(np.maximum, axis)

    def _reduce(self, function: np.ufunc, axis: int) -> np.ndarray:
        if axis != 0:
            raise ValueError(f"axis must be 0. Got {axis!r} instead.")
        return function.reduce([low for _, low in self.map_blocks(function.reduce)])

    def _range(self, start: int, stop: int) -> np.ndarray:
        """Read rows of the files that follow each other."""
        found = []
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        for number in range(first, len(self._parts)):
            part, before = self._parts[number], int(self._starts[number])
            low, high = max(start - before, 0), min(stop - before, part.shape[0])
            if high <= low:
                break
            if part.array is not None:
                found.append(part.array[low:high])
                continue
            while low < high:
                chunk, offset = self._decoded(number, low)
                found.append(chunk[low - offset : high - offset])
                low += len(found[-1])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        """Read rows of the files in any order; each chunk is decoded once."""
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        done = 0
        while done < len(rows):
            number = int(np.searchsorted(self._starts, ordered[done], "right")) - 1
            part, before = self._parts[number], int(self._starts[number])
            if part.array is not None:
                chunk, offset, end = part.array, before, int(self._starts[number + 1])
            else:
                chunk, offset = self._decoded(number, int(ordered[done]) - before)
                offset += before
                end = offset + len(chunk)
            upto = int(np.searchsorted(ordered, end))
            out[order[done:upto]] = chunk[ordered[done:upto] - offset]
            done = upto
        return out

    def _decoded(self, number: int, row: int) -> tuple[np.ndarray, int]:
        """Return the chunk that holds a row of a part, and where it begins."""
        part = self._parts[number]
        with self._lock:
            begin = int(np.searchsorted(part.chunks, row, "right")) - 1
            if self._chunk[:2] != (number, begin):
                low, high = int(part.chunks[begin]), int(part.chunks[begin + 1])
                self._chunk = (number, begin, part.read(low, high))
            return self._chunk[2], int(part.chunks[begin])


def whole_array(X: np.ndarray, name: str) -> StoredRows:
    """Return the rows of an array, of which spans know their numbers."""
    chunks = np.array([0, len(X)])
    shape = (X.shape[0], X.shape[1])
    return StoredRows([Part(name, shape, X.dtype, lambda a, b: X[a:b], chunks, X)])


def release_pages(array: np.ndarray | None) -> None:
    """Let go of the pages of the file that an array is mapped from, if it is.

    Only of a mapping that nobody can write to: a private one would lose what was
    written. The address of its first byte is that of numpy's own view of it.
    """
    mapping = mapping_of(array)
    if array is None or mapping is None or not array.size:
        return
    if hasattr(mmap, "MADV_DONTNEED") and memoryview(mapping).readonly:
        origin = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
        low, high = byte_bounds(array)
        first = (low - origin) // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_DONTNEED, first, high - origin - first)


def release_rows(X: np.ndarray | StoredRows, rows: slice) -> None:
    """Let go of the pages that hold rows, where these are mapped from files."""
    if isinstance(X, StoredRows):
        X.release(rows)
    elif X.base is not None:
        release_pages(X[rows])


def blocks_released(
    X: np.ndarray | StoredRows,
    blocks: Iterable[slice],
    numbers: np.ndarray | None = None,
) -> Iterator[slice]:
    """Give blocks of rows, ascending, and let go of those that were read.

    Without it all of a mapped file counts as memory of the process until it is closed.

    Parameters
    ----------
    X : array or StoredRows of shape (n_samples, n_features)
    blocks : iterable of slice
        Of all rows, or of ``numbers``.
    numbers : ndarray of int, default=None
        Which rows are read, ascending.
    """
    most = _HELD_BYTES // (X.shape[1] * X.dtype.itemsize)
    begin = end = 0
    for block in blocks:
        first, last = block.start, block.stop - 1
        if numbers is not None:
            first, last = int(numbers[first]), int(numbers[last])
        begin, end = begin if end else first, last + 1
        yield block
        if end - begin > most:
            release_rows(X, slice(begin, end))
            end = 0
    if end:
        release_rows(X, slice(begin, end))
