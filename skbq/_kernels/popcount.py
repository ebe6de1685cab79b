"""Portable scan: XOR and popcount over 64-bit words, a block of rows at a time.

Each query keeps its k best rows so far in a max-heap of (distance, row): the worst
of them on top, equal distances ordered by row, so that ties go to the lower row in
whatever order the blocks come.

These kernels and their helpers stay in one file, since numba's cache does not see
edits in other files.
"""

import numpy as np

from ._compiling import kernel

_EVEN = np.uint64(0x5555555555555555)
_PAIRS = np.uint64(0x3333333333333333)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONES = np.uint64(0x0101010101010101)
_1, _2, _4, _56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


@kernel
def _popcount(x):  # LLVM makes the popcnt instruction of this
    x = x - ((x >> _1) & _EVEN)
    x = (x & _PAIRS) + ((x >> _2) & _PAIRS)
    x = (x + (x >> _4)) & _NIBBLES
    return np.int64((x * _ONES) >> _56)


@kernel
def _farther(distances, rows, i, j):
    """Tell whether heap entry i comes after entry j: farther, or as far and later."""
    if distances[i] != distances[j]:
        return distances[i] > distances[j]
    return rows[i] > rows[j]


@kernel
def _swap(distances, rows, i, j):
    distances[i], distances[j] = distances[j], distances[i]
    rows[i], rows[j] = rows[j], rows[i]


@kernel
def _sift_down(distances, rows, size):
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            return
        if child + 1 < size and _farther(distances, rows, child + 1, child):
            child += 1
        if not _farther(distances, rows, child, parent):
            return
        _swap(distances, rows, parent, child)
        parent = child


@kernel
def sort_heaps(distances, rows):
    """Sort every query's heap by (distance, row), in place.

    Parameters
    ----------
    distances : float64 array (n_queries, k)
    rows : int64 array (n_queries, k)
    """
    for q in range(distances.shape[0]):
        for size in range(distances.shape[1] - 1, 0, -1):
            _swap(distances[q], rows[q], 0, size)
            _sift_down(distances[q], rows[q], size)


@kernel
def push_block(block, first_row, left_out, distances, rows):
    """Offer ready distances of a block of rows to the heaps.

    Parameters
    ----------
    block : float32 or float64 array (n_queries, n_block)
        Distances of rows first_row, first_row + 1, ...
    left_out : int64 array (n_queries,)
        A row that is not offered to this query; -1 for none.
    distances, rows : float64 and int64 arrays (n_queries, k)
        The heaps, filled with infinity and the largest int64 before the first
        block; changed.
    """
    for q in range(block.shape[0]):
        worst = distances[q, 0]
        for r in range(block.shape[1]):
            row = first_row + r
            if block[q, r] > worst or row == left_out[q]:
                continue
            if block[q, r] < worst or row < rows[q, 0]:
                distances[q, 0] = block[q, r]
                rows[q, 0] = row
                _sift_down(distances[q], rows[q], distances.shape[1])
                worst = distances[q, 0]


@kernel
def count_words(signs, magnitudes, query_signs, query_magnitudes, weights, out):
    """Distances of a block of rows to every query, from weighted bit counts.

    With sign planes s, s' and magnitude planes m, m' of row and query, a = s ^ s':
    the distance is the weighted sum of the counts of

        a, a & (m, m'), a & m & m', m & m', m ^ m'     (and of m, m' on their own)

    where ``a & (m, m')`` adds the counts of both. One bit has no magnitude planes.

    Parameters
    ----------
    signs, query_signs : uint64 arrays (n_block, n_words) and (n_queries, n_words)
    magnitudes, query_magnitudes : uint64 arrays, as above or without columns
    weights : float64 array (7,)
        Weights of a, a & (m, m'), a & m & m', m & m', m ^ m', (m, m'), and a constant.
    out : float64 array (n_queries, n_block)
        Filled; negative values, which only rounding makes, become 0.
    """
    for q in range(query_signs.shape[0]):
        for r in range(signs.shape[0]):
            differ = either = both = strong = unlike = alone = np.int64(0)
            if magnitudes.shape[1] == 0:
                for w in range(signs.shape[1]):
                    differ += _popcount(signs[r, w] ^ query_signs[q, w])
            else:
                for w in range(signs.shape[1]):
                    a = signs[r, w] ^ query_signs[q, w]
                    m, n = magnitudes[r, w], query_magnitudes[q, w]
                    differ += _popcount(a)
                    either += _popcount(a & m) + _popcount(a & n)
                    both += _popcount(a & m & n)
                    strong += _popcount(m & n)
                    unlike += _popcount(m ^ n)
                    alone += _popcount(m) + _popcount(n)
            total = weights[6] + weights[0] * differ + weights[1] * either
            total += weights[2] * both + weights[3] * strong
            total += weights[4] * unlike + weights[5] * alone
            out[q, r] = max(total, 0.0)
