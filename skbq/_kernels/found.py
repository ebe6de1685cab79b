"""The rows that a scan may find and those that it keeps: heaps of the nearest."""

from typing import NamedTuple

import numpy as np

from ._compiling import inlined, kernel


class Allowed(NamedTuple):
    """The rows that count for a query.

    ``left_out``: int64 (n_queries,), a row left out, or -1. ``mask``: uint8 (n_rows,),
    0 for rows that do not count; or empty, where all do.
    """

    left_out: np.ndarray
    mask: np.ndarray


class Found(NamedTuple):
    """Where a scan puts the rows that it finds; changed.

    Query q owns ``starts[q]:starts[q + 1]`` of ``distances`` (float64) and ``rows``
    (int64). A row is taken if its distance is below ``limits[q]`` (float64).

    ``keep_all`` False: the nearest are kept, in a heap with the farthest on top
    (filled with infinity and -1 before), which then is the limit. At the end they are
    sorted by (distance, row). ``keep_all`` True: all are taken in the order of rows;
    ``counts[q]`` (int64) counts those beyond the room for them as well.
    """

    distances: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    limits: np.ndarray
    counts: np.ndarray
    keep_all: bool


@kernel
def _sift_down(distances, rows, size):
    """Restore the heap order of the first entries after the top has changed."""
    distance, row = distances[0], rows[0]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        other = child + 1
        if other < size and (
            distances[other] > distances[child]
            or (distances[other] == distances[child] and rows[other] > rows[child])
        ):
            child = other
        if distances[child] < distance or (
            distances[child] == distance and rows[child] <= row
        ):
            break
        distances[parent], rows[parent] = distances[child], rows[child]
        parent = child
    distances[parent], rows[parent] = distance, row


@kernel
def sort_heaps(found):
    for q in range(found.limits.size):
        distances = found.distances[found.starts[q] : found.starts[q + 1]]
        rows = found.rows[found.starts[q] : found.starts[q + 1]]
        for last in range(distances.size - 1, 0, -1):
            distances[0], distances[last] = distances[last], distances[0]
            rows[0], rows[last] = rows[last], rows[0]
            _sift_down(distances, rows, last)


@kernel
def take(distance, row, q, allowed, found):
    """Take a row that is below the limit, if it counts."""
    if row == allowed.left_out[q]:
        return
    if allowed.mask.size > 0 and allowed.mask[row] == 0:
        return
    start, stop = found.starts[q], found.starts[q + 1]
    if found.keep_all:
        place = start + found.counts[q]
        if place < stop:
            found.distances[place], found.rows[place] = distance, row
    else:
        found.distances[start], found.rows[start] = distance, row
        _sift_down(found.distances[start:stop], found.rows[start:stop], stop - start)
        found.limits[q] = min(found.limits[q], found.distances[start])
    found.counts[q] += 1


@inlined
def is_in(mask, r):
    return (mask >> np.uint64(r)) & np.uint64(1) != 0
