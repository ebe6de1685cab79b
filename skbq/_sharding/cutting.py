"""Where rows are cut into shards, and what a shard's rows are known by."""

import zlib
from collections.abc import Sequence

import numpy as np

from .._utils.parallel import cache_blocks
from .._utils.stored_rows import StoredRows, blocks_released
from .._utils.validation import check_rows
from ..codes import is_codes

# What a shard keeps at most, and how many rows, where the user does not say: searching
# it costs far more than opening it, and encoding one fits into any memory.
_SHARD_BYTES = 2**28
_SHARD_ROWS = 2**20


def default_shard_rows(bytes_per_row: int) -> int:
    """Return the rows of a shard whose rows take so many bytes."""
    return max(1, min(_SHARD_ROWS, _SHARD_BYTES // max(bytes_per_row, 1)))


def cut_shards(
    lengths: Sequence[int], shard_rows: int, *, at_files: bool = False
) -> list[slice]:
    """Cut the rows of files into shards of at most ``shard_rows``.

    Files that are longer are cut evenly; shorter ones go into one shard together,
    unless shards must not reach over files.

    Examples
    --------
    >>> cut_shards([10, 3, 4], 6)
    [slice(0, 5, None), slice(5, 10, None), slice(10, 13, None), slice(13, 17, None)]
    >>> cut_shards([2, 3, 4], 6)
    [slice(0, 5, None), slice(5, 9, None)]
    """
    shards: list[slice] = []
    start = stop = 0
    for length in lengths:
        if stop > start and (at_files or stop - start + length > shard_rows):
            shards.append(slice(start, stop))
            start = stop
        if length > shard_rows:
            pieces = -(-length // shard_rows)
            ends = [start + length * piece // pieces for piece in range(pieces + 1)]
            shards += map(slice, ends[:-1], ends[1:])
            start = ends[-1]
        stop += length
    if stop > start:
        shards.append(slice(start, stop))
    return shards


def checksum_rows(X: np.ndarray | StoredRows, metric: str) -> int:
    """Return the CRC-32 of rows, after a look at each.

    Raises
    ------
    ValueError
        If a row cannot be encoded, naming it and its file.
    """
    checksum = 0
    blocks = cache_blocks(len(X), X.shape[1] * X.dtype.itemsize)
    for block in blocks_released(X, blocks):
        rows = np.ascontiguousarray(X[block])
        if not is_codes(X):
            _refuse_rows(X, rows, block, metric)
        checksum = zlib.crc32(rows.view(np.uint8).data, checksum)
    return checksum


def _refuse_rows(
    X: np.ndarray | StoredRows, rows: np.ndarray, block: slice, metric: str
) -> None:
    bad = np.zeros(len(rows), bool)
    if rows.dtype.kind == "f":
        bad |= ~np.isfinite(rows).all(axis=1)
        if metric == "cosine":
            bad |= ~rows.any(axis=1)
    if bad.any():
        check_rows(X, np.flatnonzero(bad) + block.start, metric)
