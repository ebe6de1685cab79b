"""Rows that dask holds or can compute: partitions instead of files.

Only where dask was imported by others is there anything to read, and dask is imported
inside functions alone. Partitions stay where they are: functions go to them, and what
comes back is small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from ..codes import CodeLayout, is_codes, with_layout
from .stored_rows import Part, StoredRows

# An object of dask, which is not imported here, and so without a type.
_Collection: TypeAlias = Any

_Result = TypeVar("_Result")

# Partial results that are merged in one task.
_FAN_IN = 8
# Times that a task is run again before its failure is the caller's.
RETRIES = 3


class RowsSource(Protocol):
    """Rows that are opened where they are needed; small, so that tasks may hold it."""

    def open(self) -> np.ndarray | StoredRows:
        """Return the rows."""
        ...


class DaskRows(StoredRows):
    """Rows of dask's partitions; estimators take it as they take rows of files.

    Made by :func:`of_array` and, of files that workers read, by
    ``skbq.distributed``.
    """

    #: Rows are asked of all partitions at once.
    gathers_at_once = True

    def __init__(
        self, parts: Sequence[Part], row_numbers: np.ndarray | None = None
    ) -> None:
        super().__init__(parts, row_numbers)
        #: A delayed array, or a source of rows, for each partition.
        self.partitions = [part.source for part in parts]  # type: ignore[attr-defined]

    def where(self, row: int) -> tuple[str, int]:
        """Return the partition of a row, or the file that it is in, and its number."""
        name, number = super().where(row)
        source = self.partitions[int(np.searchsorted(self._starts, row, "right")) - 1]
        import dask

        # What is delayed has every attribute.
        if dask.is_dask_collection(source):
            return name, number
        return source.open().where(number)

    def head(self) -> np.ndarray:
        """Return the first row; as codes, if partitions are codes."""
        import dask

        with dask.annotate(retries=RETRIES):
            row, layout = dask.compute(_delayed(_head)(self.partitions[0]))[0]
        return row if layout is None else with_layout(row, layout)

    def map_blocks(
        self, function: Callable[[np.ndarray], _Result]
    ) -> list[tuple[int, _Result]]:
        """Call a function on partitions, where they are."""
        import dask

        calls = [_delayed(_on_rows)(function, p) for p in self.partitions]
        with dask.annotate(retries=RETRIES):
            results = dask.compute(*calls)
        return [
            (int(first), result)
            for first, result in zip(self._starts[:-1], results, strict=True)
        ]

    def merge_blocks(
        self,
        function: Callable[[np.ndarray], _Result],
        merge: Callable[[list[_Result]], _Result],
    ) -> _Result:
        """Call a function on partitions, where they are, and merge as a tree."""
        import dask

        level = [_delayed(_on_rows)(function, p) for p in self.partitions]
        merged = merge_tree(merge, level)
        with dask.annotate(retries=RETRIES):
            return dask.compute(merged)[0]

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        """Take rows in any order, from all partitions at once."""
        import dask

        numbers = np.searchsorted(self._starts, rows, "right") - 1
        there = np.unique(numbers)
        places = [np.flatnonzero(numbers == number) for number in there]
        calls = [
            _delayed(_take)(
                self.partitions[number], rows[at] - int(self._starts[number])
            )
            for number, at in zip(there, places, strict=True)
        ]
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        with dask.annotate(retries=RETRIES):
            for at, taken in zip(places, dask.compute(*calls), strict=True):
                out[at] = taken
        return out

    def _range(self, start: int, stop: int) -> np.ndarray:
        return self._gather(np.arange(start, stop))


@dataclass(frozen=True)
class _Partition(Part):
    """A part whose rows dask has."""

    source: _Collection = None


def of_partitions(
    partitions: Sequence[_Collection],
    lengths: Sequence[int],
    n_features: int,
    dtype: np.dtype,
) -> DaskRows:
    """Return rows of delayed arrays, or of delayed sources of rows."""
    parts = [
        _Partition(
            f"partition {number}",
            (int(n), n_features),
            dtype,
            _unread,
            np.array([0, int(n)]),
            source=source,
        )
        for number, (source, n) in enumerate(zip(partitions, lengths, strict=True))
    ]
    return DaskRows(parts)


def _unread(start: int, stop: int) -> np.ndarray:
    raise AssertionError("partitions are read where they are")


def of_array(X: _Collection) -> DaskRows:
    """Return the rows of a ``dask.array``; anything else of dask is refused.

    Raises
    ------
    TypeError, ValueError
        Naming the way out.
    """
    if type(X).__name__ != "Array" or not hasattr(X, "to_delayed"):
        raise TypeError(
            f"X is a {type(X).__module__}.{type(X).__name__}: pass a dask.array, such "
            "as frame.to_dask_array(lengths=True) gives, or X.compute()."
        )
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got a dask array of {X.ndim} dimensions instead. "
            "Vectors are rows: X.reshape(1, -1) makes one vector a row."
        )
    if np.isnan(X.shape[0]):
        raise ValueError(
            "X is a dask array whose numbers of rows are not known: call "
            "X.compute_chunk_sizes() first, or frame.to_dask_array(lengths=True)."
        )
    X = X.rechunk({1: -1})
    kept = [i for i, n in enumerate(X.chunks[0]) if n]
    blocks = X.to_delayed().ravel()
    lengths = [X.chunks[0][i] for i in kept]
    if not kept:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
            "required."
        )
    return of_partitions([blocks[i] for i in kept], lengths, X.shape[1], X.dtype)


def merge_tree(merge: Callable[[list[Any]], object], level: list[Any]) -> _Collection:
    """Return what merges delayed parts in order, some at a time."""
    while len(level) > 1:
        level = [
            _delayed(merge)(level[i : i + _FAN_IN])
            for i in range(0, len(level), _FAN_IN)
        ]
    return level[0]


def _delayed(function: Callable[..., object]) -> Callable[..., _Collection]:
    import dask

    return dask.delayed(function, pure=False)


# Called in workers.


def open_rows(rows: np.ndarray | RowsSource) -> np.ndarray | StoredRows:
    """Return the rows of a partition."""
    return rows if isinstance(rows, np.ndarray) else rows.open()


def _head(partition: np.ndarray | RowsSource) -> tuple[np.ndarray, CodeLayout | None]:
    # dask moves arrays of any class as plain ones: what codes mean goes beside them.
    row = open_rows(partition)[:1]
    return np.asarray(row), row.layout if is_codes(row) else None


def _take(partition: np.ndarray | RowsSource, rows: np.ndarray) -> np.ndarray:
    return open_rows(partition)[rows]


def _on_rows(
    function: Callable[[np.ndarray], _Result], partition: np.ndarray | RowsSource
) -> _Result:
    return function(open_rows(partition))  # type: ignore[arg-type]
