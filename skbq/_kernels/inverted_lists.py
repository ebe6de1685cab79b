"""Inverted lists of codes: the lists that queries probe, and scans of their rows.

All that says which list a row or a query belongs to is a whole number: the values of
codes, and centroids that are rounded to bytes. So sums are exact, and lists are the
same for any order of additions, any number of threads and any machine.
"""

from typing import NamedTuple

import numpy as np

from .exact_distances import row_distances
from .jit import inlined, kernel
from .result_heap import sift_down
from .simd import BLOCK, list_rows
from .table_lookup import (
    count_tile_rows,
    inside,
    load_scales,
    make_tile,
    mask_below,
    mask_near,
    padded_limit,
    sum_some,
    whole_limit,
)
from .tiles import count_lines, load_tile

# Rows that may be near are looked at so many at a time and a few more.
_TOGETHER = 16


class ListTree(NamedTuple):
    """Centroids of lists, and of groups of lists that lie near each other.

    ``parents``: int8 (n_parents, n_values). ``children``: int64 (n_parents + 1,):
    the lists ``children[p]`` to ``children[p + 1]`` are those of parent p.
    ``centroids``: int8 (n_lists, n_values). ``parent_squares`` and ``squares``, int64:
    squared norms of both. ``scale``: centroids are so many times means of values.
    """

    parents: np.ndarray
    parent_squares: np.ndarray
    children: np.ndarray
    centroids: np.ndarray
    squares: np.ndarray
    scale: int


class ListedRows(NamedTuple):
    """Rows list after list.

    Those of list i are at ``starts[i]`` to ``starts[i + 1]``, int64 (n_lists + 1,).
    ``rows``, uint32: their numbers, ascending in a list. ``in_place``: whether codes
    stand in this order; else the number of a row says where its code is.
    """

    starts: np.ndarray
    rows: np.ndarray
    in_place: bool


class Pairs(NamedTuple):
    """Queries by the list that they probe: ``starts[i]`` to ``starts[i + 1]``."""

    starts: np.ndarray
    queries: np.ndarray


# Centroids.


@inlined
def _distance(values, i, centroids, squares, c, scale):
    """Squared distance of values to a centroid, less what depends on values alone."""
    product = np.int32(0)
    for j in range(values.shape[1]):
        product += np.int32(values[i, j]) * np.int32(centroids[c, j])
    return squares[c] - 2 * scale * np.int64(product)


@kernel
def nearest_centroid(values, centroids, squares, scale, out):
    """Find the nearest centroid of each row; of equally near ones the first.

    Parameters
    ----------
    values : int16 array (n_rows, n_values)
    centroids : int8 array (n_centroids, n_values)
    squares : int64 array (n_centroids,)
    scale : int
    out : int64 array (n_rows,)
        Filled.
    """
    for i in range(values.shape[0]):
        best, least = 0, np.int64(2**62)
        for c in range(centroids.shape[0]):
            distance = _distance(values, i, centroids, squares, c, scale)
            if distance < least:
                best, least = c, distance
        out[i] = best


@kernel
def sum_values(values, numbers, sums, counts):
    """Add up the values of the rows of each list; arrays of int64, changed."""
    for i in range(values.shape[0]):
        counts[numbers[i]] += 1
        for j in range(values.shape[1]):
            sums[numbers[i], j] += values[i, j]


@inlined
def _is_before(distance, number, other_distance, other):
    return distance < other_distance or (distance == other_distance and number < other)


@inlined
def _insert(distances, numbers, size, distance, number):
    """Keep the nearest in order of (distance, number)."""
    at = size
    if size == distances.size:
        at = size - 1
        if size == 0 or not _is_before(distance, number, distances[at], numbers[at]):
            return size
    size = at + 1
    while at > 0 and _is_before(distance, number, distances[at - 1], numbers[at - 1]):
        distances[at], numbers[at] = distances[at - 1], numbers[at - 1]
        at -= 1
    distances[at], numbers[at] = distance, number
    return size


@inlined
def _nearest_parents(values, i, tree, distances, numbers):
    """Fill the nearest parents in ascending order; return how many there are."""
    size = 0
    for p in range(tree.parents.shape[0]):
        distance = _distance(
            values, i, tree.parents, tree.parent_squares, p, tree.scale
        )
        size = _insert(distances, numbers, size, distance, p)
    return size


@kernel
def assign_rows(values, tree, near, out):
    """Find the list of each row: the nearest one of its nearest parents.

    Where the ``near`` nearest parents have no list, it is that of the next parent.

    Parameters
    ----------
    values : int16 array (n_rows, n_values)
    tree : ListTree
    near : int
    out : int64 array (n_rows,)
        Filled.
    """
    n_parents = tree.parents.shape[0]
    distances, numbers = np.empty(n_parents, np.int64), np.empty(n_parents, np.int64)
    for i in range(values.shape[0]):
        few = min(near, n_parents)
        best = _nearest_of(values, i, tree, near, distances[:few], numbers[:few])
        if best < 0:
            best = _nearest_of(values, i, tree, near, distances, numbers)
        out[i] = best


@inlined
def _nearest_of(values, i, tree, near, distances, numbers):
    """Return the nearest list of the nearest parents, -1 where they have none."""
    best, least = -1, np.int64(2**62)
    for place in range(_nearest_parents(values, i, tree, distances, numbers)):
        if place >= near and best >= 0:
            break
        p = numbers[place]
        for c in range(tree.children[p], tree.children[p + 1]):
            distance = _distance(values, i, tree.centroids, tree.squares, c, tree.scale)
            if _is_before(distance, c, least, best):
                best, least = c, distance
    return best


@kernel
def rank_lists(values, tree, near, group, sizes, budget, out, counts):
    """Give the lists of each query in the order in which they are probed.

    First comes the list that ``assign_rows`` gives. Then, of each ``group`` parents in
    turn, the nearest first, come their lists, the nearest first. So what comes early
    does not depend on how many lists are wanted.

    Parameters
    ----------
    values : int16 array (n_queries, n_values)
    tree : ListTree
    near : int
        At most ``group``.
    group : int
    sizes : int64 array (n_lists,)
        Rows of each list.
    budget : int
        Lists end with that by which so many rows are in them.
    out : int32 array (n_queries, n_wanted)
        Filled with at most so many lists.
    counts : int64 array (n_queries,)
        Filled with the number of lists.
    """
    n_parents, n_wanted = tree.parents.shape[0], out.shape[1]
    parent_distances = np.empty(n_parents, np.int64)
    parents = np.empty(n_parents, np.int64)
    all_distances, all_numbers = (
        np.empty(n_wanted, np.int64),
        np.empty(n_wanted, np.int64),
    )
    for i in range(values.shape[0]):
        _nearest_parents(values, i, tree, parent_distances, parents)
        filled = n_rows = 0
        own, least = -1, np.int64(2**62)
        for start in range(0, n_parents, group):
            distances, numbers = all_distances[filled:], all_numbers[filled:]
            size, had_own = 0, own >= 0
            for place in range(start, min(start + group, n_parents)):
                p = parents[place]
                may_be_own = not had_own and (place < near or own < 0)
                for c in range(tree.children[p], tree.children[p + 1]):
                    distance = _distance(
                        values, i, tree.centroids, tree.squares, c, tree.scale
                    )
                    if may_be_own and _is_before(distance, c, least, own):
                        own, least = c, distance
                    size = _insert(distances, numbers, size, distance, c)
            if not had_own and own >= 0:
                _move_to_front(numbers, size, own)
            for place in range(size):
                if n_rows >= budget:
                    break
                out[i, filled] = numbers[place]
                n_rows += sizes[numbers[place]]
                filled += 1
            if filled == n_wanted or n_rows >= budget:
                break
        counts[i] = filled


@inlined
def _move_to_front(numbers, size, own):
    at = 0
    while at < size - 1 and numbers[at] != own:
        at += 1
    while at > 0:
        numbers[at] = numbers[at - 1]
        at -= 1
    numbers[0] = own


@kernel
def pair_by_list(lists, first, stop, starts, queries):
    """Sort pairs of a list and a query by list, then by query.

    Parameters
    ----------
    lists : int32 array (n_queries, n)
        Of query q, the lists ``first[q]`` to ``stop[q]`` count.
    first, stop : int64 arrays (n_queries,)
    starts : int64 array (n_lists + 1,), zeros
        Filled.
    queries : int64 array (n_pairs,)
        Filled.
    """
    for q in range(lists.shape[0]):
        for i in range(first[q], stop[q]):
            starts[lists[q, i] + 1] += 1
    for number in range(starts.size - 1):
        starts[number + 1] += starts[number]
    for q in range(lists.shape[0]):
        for i in range(first[q], stop[q]):
            number = lists[q, i]
            queries[starts[number]] = q
            starts[number] += 1
    for number in range(starts.size - 1, 0, -1):
        starts[number] = starts[number - 1]
    starts[0] = 0


# Scans.


@kernel
def _take_in_any_order(near, rows, n, q, allowed, found):
    """Take those of n rows that count and are before the last one kept.

    They are compared by (distance, row): rows come list after list, so that a row may
    be lower than those that are as far. As in ``take_all``, arrays have names of their
    own.
    """
    left_out, mask = allowed.left_out[q], allowed.mask
    distances, kept, first = found.distances, found.rows, found.starts[q]
    size, masked, count = found.starts[q + 1] - first, mask.size > 0, found.counts[q]
    for i in range(n):
        distance, row = near[i], rows[i]
        if not _is_before(distance, row, distances[first], kept[first]):
            continue
        if row == left_out or (masked and mask[row] == 0):
            continue
        distances[first], kept[first] = distance, row
        sift_down(distances, kept, first, size)
        count += 1
    found.limits[q], found.counts[q] = distances[first], count


@kernel
def _longest(starts):
    longest = 0
    for number in range(starts.size - 1):
        longest = max(longest, starts[number + 1] - starts[number])
    return longest


@inlined
def _load(codes, listed, first, count, bits, gathered, tile):
    """Fill a tile with rows of a list; return where their codes start, or -1."""
    if listed.in_place:
        load_tile(codes, first, count, bits, tile)
        return
    for r in range(count):
        for b in range(codes.shape[1]):
            gathered[r, b] = codes[listed.rows[first + r], b]
    load_tile(gathered, 0, count, bits, tile)


@kernel
def scan_lists_exact(codes, bits, tables, which, group, listed, pairs, allowed, found):
    """Find rows of the lists that queries probe, as ``scan_exact`` does.

    Parameters
    ----------
    codes, bits, tables, which, group : as in ``scan_exact``
    listed : ListedRows
    pairs : Pairs
    allowed : Allowed
        By the numbers of rows.
    found : Found
        Changed; what is kept is left as heaps, which other scans may add to.
    """
    n_lines = count_lines(codes.shape[1], bits)
    step = count_tile_rows(max(1, _longest(listed.starts)), n_lines)
    tile = make_tile(step, n_lines)
    gathered = np.empty((0 if listed.in_place else step, codes.shape[1]), np.uint8)
    sums = np.zeros((4, step), np.int32)
    places, near = np.empty(_TOGETHER + BLOCK, np.int64), np.empty(_TOGETHER + BLOCK)
    for number in range(listed.starts.size - 1):
        begin, end = pairs.starts[number], pairs.starts[number + 1]
        if begin == end:
            continue
        for first in range(listed.starts[number], listed.starts[number + 1], step):
            count = min(step, listed.starts[number + 1] - first)
            _load(codes, listed, first, count, bits, gathered, tile)
            for i in range(begin, end, 4):
                stop = min(i + 4, end)
                sum_some(tile, tables, which, pairs.queries, i, stop, group, sums)
                for one in range(i, stop):
                    _take_sums(
                        sums, one - i, count, first, pairs.queries[one], listed, places,
                        near, allowed, found,
                    )  # fmt: skip


@inlined
def _take_sums(sums, i, count, first, q, listed, places, near, allowed, found):
    """Take the rows of a tile whose sums are not above the limit."""
    n = 0
    for start in range(0, count, BLOCK):
        mask = mask_below(sums, i, start, whole_limit(found.limits[q] + 1))
        if mask == 0:
            continue
        n = list_rows(inside(mask, count - start), start, places, n)
        if n >= _TOGETHER:
            _take_listed_sums(
                sums, i, first, places, n, q, listed, near, allowed, found
            )
            n = 0
    if n > 0:
        _take_listed_sums(sums, i, first, places, n, q, listed, near, allowed, found)


@kernel
def _take_listed_sums(sums, i, first, places, n, q, listed, near, allowed, found):
    rows = listed.rows
    for at in range(n):
        near[at] = np.float64(sums[i, places[at]])
        places[at] = np.int64(rows[first + places[at]])
    _take_in_any_order(near, places, n, q, allowed, found)


@inlined
def _load_scales_of(bounds, listed, first, count, offset, size):
    """Do what ``load_scales`` does for rows of a list."""
    if listed.in_place:
        return load_scales(bounds, first, count, offset, size)
    room = 0.0
    for r in range(count):
        row = np.int64(listed.rows[first + r])
        room = max(room, load_scales(bounds, row, 1, offset[r:], size[r:]))
    return room


@kernel
def scan_lists_bounded(
    codes, bits, tables, group, bounds, queries, listed, pairs, allowed, found
):
    """Find rows of the lists that queries probe, as ``scan_bounded`` does.

    Parameters
    ----------
    codes, bits, tables, group, bounds, queries : as in ``scan_bounded``
    listed, pairs, allowed, found : as in ``scan_lists_exact``
    """
    n_lines = count_lines(codes.shape[1], bits)
    step = count_tile_rows(max(1, _longest(listed.starts)), n_lines)
    tile = make_tile(step, n_lines)
    gathered = np.empty((0 if listed.in_place else step, codes.shape[1]), np.uint8)
    sums = np.zeros((4, step), np.int32)
    places, near = np.empty(_TOGETHER + BLOCK, np.int64), np.empty(_TOGETHER + BLOCK)
    offset, size = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for number in range(listed.starts.size - 1):
        begin, end = pairs.starts[number], pairs.starts[number + 1]
        if begin == end:
            continue
        for first in range(listed.starts[number], listed.starts[number + 1], step):
            count = min(step, listed.starts[number + 1] - first)
            _load(codes, listed, first, count, bits, gathered, tile)
            room = _load_scales_of(bounds, listed, first, count, offset, size)
            for i in range(begin, end, 4):
                stop = min(i + 4, end)
                sum_some(tile, tables, None, pairs.queries, i, stop, group, sums)
                for one in range(i, stop):
                    _take_bounded(
                        sums, one - i, offset, size, room, count, first,
                        pairs.queries[one], codes, bits, bounds, queries, listed,
                        places, near, allowed, found,
                    )  # fmt: skip


@inlined
def _take_bounded(
    sums, i, offset, size, room, count, first, q, codes, bits, bounds, queries, listed,
    places, near, allowed, found,
):  # fmt: skip
    """Take the rows of a tile that may be near by their lower bounds."""
    bound, n = (bounds.queries[q, 0], bounds.queries[q, 1]), 0
    for start in range(0, count, BLOCK):
        limit = padded_limit(found.limits[q], room)
        mask = mask_near(sums, i, start, offset, size, bound, limit)
        if mask == 0:
            continue
        n = list_rows(inside(mask, count - start), first + start, places, n)
        if n >= _TOGETHER:
            _take_near(
                places, n, q, codes, bits, bounds, queries, listed, near, allowed, found
            )
            n = 0
    if n > 0:
        _take_near(
            places, n, q, codes, bits, bounds, queries, listed, near, allowed, found
        )


@kernel
def _take_near(
    places, n, q, codes, bits, bounds, queries, listed, near, allowed, found
):  # fmt: skip
    """Take n rows by their distances; ``places`` is changed to their numbers."""
    rows = listed.rows
    if listed.in_place:
        row_distances(codes, places, n, bits, q, bounds, queries, near)
    for at in range(n):
        places[at] = np.int64(rows[places[at]])
    if not listed.in_place:
        row_distances(codes, places, n, bits, q, bounds, queries, near)
    _take_in_any_order(near, places, n, q, allowed, found)
