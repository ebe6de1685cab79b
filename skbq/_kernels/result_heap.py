"""The rows that a scan may find and those that it keeps: heaps of the nearest."""

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel


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


@inlined
def sift_down(distances, rows, first, size):
    """Restore the order of the heap that starts at ``first`` after its top changed."""
    distance, row = distances[first], rows[first]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        this = first + child
        if child + 1 < size and (
            distances[this + 1] > distances[this]
            or (distances[this + 1] == distances[this] and rows[this + 1] > rows[this])
        ):
            child, this = child + 1, this + 1
        if distances[this] < distance or (
            distances[this] == distance and rows[this] <= row
        ):
            break
        distances[first + parent], rows[first + parent] = distances[this], rows[this]
        parent = child
    distances[first + parent], rows[first + parent] = distance, row


@kernel
def sort_heaps(found):
    """Sort what each query has found by (distance, row)."""
    distances, rows = found.distances, found.rows
    for q in range(found.limits.size):
        first = found.starts[q]
        for size in range(found.starts[q + 1] - first - 1, 0, -1):
            last = first + size
            distances[first], distances[last] = distances[last], distances[first]
            rows[first], rows[last] = rows[last], rows[first]
            sift_down(distances, rows, first, size)


@inlined
def counts(row, q, allowed):
    """Tell whether a row counts for a query."""
    if row == allowed.left_out[q]:
        return False
    return allowed.mask.size == 0 or allowed.mask[row] != 0


@inlined
def take(distance, row, q, allowed, found):
    """Take a row that is below the limit, if it counts."""
    if not counts(row, q, allowed):
        return
    first, stop = found.starts[q], found.starts[q + 1]
    if found.keep_all:
        place = first + found.counts[q]
        if place < stop:
            found.distances[place], found.rows[place] = distance, row
    else:
        found.distances[first], found.rows[first] = distance, row
        sift_down(found.distances, found.rows, first, stop - first)
        found.limits[q] = min(found.limits[q], found.distances[first])
    found.counts[q] += 1


@kernel
def take_all(near, rows, n, q, allowed, found):
    """Take the first n of some rows that are below the limit by their distances.

    Arrays have names of their own here: of those in tuples numba counts references at
    each use, which takes longer than the rest.
    """
    left_out, mask = allowed.left_out[q], allowed.mask
    distances, kept, first = found.distances, found.rows, found.starts[q]
    size, limit = found.starts[q + 1] - first, found.limits[q]
    count, keep_all, masked = found.counts[q], found.keep_all, mask.size > 0
    for i in range(n):
        distance, row = near[i], rows[i]
        if distance >= limit or row == left_out or (masked and mask[row] == 0):
            continue
        if not keep_all:
            distances[first], kept[first] = distance, row
            sift_down(distances, kept, first, size)
            limit = min(limit, distances[first])
        elif count < size:
            distances[first + count], kept[first + count] = distance, row
        count += 1
    found.counts[q], found.limits[q] = count, limit


@inlined
def is_in(mask, r):
    return (mask >> np.uint64(r)) & np.uint64(1) != 0
