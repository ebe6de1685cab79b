"""Scans of inverted lists: each list for the queries that probe it."""

from typing import NamedTuple

import numpy as np

from .exact_distances import row_distances
from .jit import inlined, kernel
from .list_ranking import is_before
from .result_heap import sift_down
from .simd import BLOCK, CACHE_LINE, list_rows, prefetch
from .table_lookup import (
    ROWS_FOR_LIMIT,
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
# How much of a list is fetched ahead, in bytes: of a longer one the processor itself
# sees what comes next.
_FETCHED_AHEAD = 2**17


class ListedRows(NamedTuple):
    """Rows list after list.

    Those of list i are at ``starts[i]`` to ``starts[i + 1]``, int64 (n_lists + 1,).
    ``rows``, uint32: their numbers, ascending in a list. ``in_place``: whether codes
    stand in this order; else the number of a row says where its code is.

    ``lines``, uint8 (n_blocks, width, BLOCK): the codes turned into lines, as those of
    a tile; each list starts with a block of its own, that of list i with
    ``blocks[i]``, int64 (n_lists + 1,). Both are empty where lines are not kept, and
    are made at each scan.
    """

    starts: np.ndarray
    rows: np.ndarray
    in_place: bool
    lines: np.ndarray
    blocks: np.ndarray


class Probed(NamedTuple):
    """The lists that queries probe: of query q, ``lists[q, first[q]:stop[q]]``.

    ``lists``: int32 (n_queries, n), each list once in a row. ``first``, ``stop``: int64
    (n_queries,).
    """

    lists: np.ndarray
    first: np.ndarray
    stop: np.ndarray


@kernel
def fill_lines(codes, bits, starts, blocks, lines):
    """Turn the codes of listed rows, which stand in their order, into lines.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
    bits : int
    starts, blocks, lines : as in ``ListedRows``
        ``lines``: zeros; filled.
    """
    for number in range(starts.size - 1):
        count = starts[number + 1] - starts[number]
        if count > 0:
            tile = lines[blocks[number] : blocks[number + 1]]
            load_tile(codes, starts[number], count, bits, tile)


@kernel
def _pair_by_list(probed, first, n_lists):
    """Sort pairs of a list and a query by list, then by query.

    Of query q, the lists ``first[q]`` to ``probed.stop[q]`` count. Those of a single
    query stay in their order, from near to far.

    Returns
    -------
    numbers : int64 array (n,)
        The lists that any query probes.
    starts : int64 array (n + 1,)
    queries : int64 array (n_pairs,)
        Those of list ``numbers[i]`` are at ``starts[i]`` to ``starts[i + 1]``.
    """
    lists, stop = probed.lists, probed.stop
    if stop.size == 1:
        numbers = lists[0, first[0] : stop[0]].astype(np.int64)
        return numbers, np.arange(numbers.size + 1), np.zeros(numbers.size, np.int64)
    ends = np.zeros(n_lists + 1, np.int64)
    for q in range(stop.size):
        for i in range(first[q], stop[q]):
            ends[lists[q, i] + 1] += 1
    numbers, starts, n = np.empty(n_lists, np.int64), np.zeros(n_lists + 1, np.int64), 0
    for number in range(n_lists):
        numbers[n] = number
        n += ends[number + 1] > 0
        ends[number + 1] += ends[number]
        starts[n] = ends[number + 1]
    queries = np.empty(ends[n_lists], np.int64)
    for q in range(stop.size):
        for i in range(first[q], stop[q]):
            number = lists[q, i]
            queries[ends[number]] = q
            ends[number] += 1
    return numbers[:n], starts[: n + 1], queries


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
        if not is_before(distance, row, distances[first], kept[first]):
            continue
        if row == left_out or (masked and mask[row] == 0):
            continue
        distances[first], kept[first] = distance, row
        sift_down(distances, kept, first, size)
        count += 1
    found.limits[q], found.counts[q] = distances[first], count


@inlined
def _fetch_list(codes, listed, number):
    """Have the rows of a list fetched, which come next, while others are compared."""
    if listed.lines.shape[0] > 0:
        size = listed.lines.shape[1] * BLOCK
        start, end = listed.blocks[number] * size, listed.blocks[number + 1] * size
        for place in range(start, min(end, start + _FETCHED_AHEAD), CACHE_LINE):
            prefetch(listed.lines, place)
    elif listed.in_place:
        width = codes.shape[1]
        start, end = listed.starts[number] * width, listed.starts[number + 1] * width
        for place in range(start, min(end, start + _FETCHED_AHEAD), CACHE_LINE):
            prefetch(codes, place)


@inlined
def _fetch_scales(bounds, listed, number):
    """Have the corrections of the rows of a list fetched."""
    if not listed.in_place or bounds.offset.size == 0:
        return
    start, end = 4 * listed.starts[number], 4 * listed.starts[number + 1]
    for place in range(start, min(end, start + _FETCHED_AHEAD), CACHE_LINE):
        prefetch(bounds.offset, place)
        prefetch(bounds.scale, place)


@kernel
def _longest(starts):
    longest = 1
    for number in range(starts.size - 1):
        longest = max(longest, starts[number + 1] - starts[number])
    return longest


@inlined
def _make_room(codes, listed, n_lines, step):
    """Return a tile, and room for codes to be gathered, where they are needed."""
    gathered = np.empty((0 if listed.in_place else step, codes.shape[1]), np.uint8)
    return make_tile(0 if listed.lines.shape[0] > 0 else step, n_lines), gathered


@inlined
def _lines_of(codes, listed, number, first, count, bits, gathered, tile):
    """Return the lines of rows of a list, a multiple of BLOCK behind its first."""
    n_blocks = (count + BLOCK - 1) // BLOCK
    if listed.lines.shape[0] > 0:
        block = listed.blocks[number] + (first - listed.starts[number]) // BLOCK
        return listed.lines[block : block + n_blocks]
    tile = tile[:n_blocks]
    if listed.in_place:
        load_tile(codes, first, count, bits, tile)
        return tile
    for r in range(count):
        for b in range(codes.shape[1]):
            gathered[r, b] = codes[listed.rows[first + r], b]
    load_tile(gathered, 0, count, bits, tile)
    return tile


@kernel
def scan_lists_exact(codes, bits, tables, which, group, listed, probed, allowed, found):
    """Find rows of the lists that queries probe, as ``scan_exact`` does.

    The nearest list of each query goes first, so that the others have a limit.

    Parameters
    ----------
    codes, bits, tables, which, group : as in ``scan_exact``
    listed : ListedRows
    probed : Probed
    allowed : Allowed
        By the numbers of rows.
    found : Found
        Changed; what is kept is left as heaps, which other scans may add to.
    """
    later = np.minimum(probed.first + 1, probed.stop)
    nearest = Probed(probed.lists, probed.first, later)
    _scan_exact(codes, bits, tables, which, group, listed, nearest, allowed, found)
    others = Probed(probed.lists, later, probed.stop)
    _scan_exact(codes, bits, tables, which, group, listed, others, allowed, found)


@kernel
def _scan_exact(codes, bits, tables, which, group, listed, probed, allowed, found):
    n_lines, n_lists = count_lines(codes.shape[1], bits), listed.starts.size - 1
    step = count_tile_rows(_longest(listed.starts), n_lines)
    tile, gathered = _make_room(codes, listed, n_lines, step)
    sums = np.zeros((4, step), np.int32)
    places, near = np.empty(_TOGETHER + BLOCK, np.int64), np.empty(_TOGETHER + BLOCK)
    lists, starts, queries = _pair_by_list(probed, probed.first, n_lists)
    for place in range(lists.size):
        number, begin, end = lists[place], starts[place], starts[place + 1]
        if place + 1 < lists.size:
            _fetch_list(codes, listed, lists[place + 1])
        for first in range(listed.starts[number], listed.starts[number + 1], step):
            count = min(step, listed.starts[number + 1] - first)
            lines = _lines_of(codes, listed, number, first, count, bits, gathered, tile)
            for i in range(begin, end, 4):
                stop = min(i + 4, end)
                sum_some(lines, tables, which, None, queries, i, stop, group, sums)
                for one in range(i, stop):
                    _take_sums(
                        sums, one - i, count, first, queries[one], listed, places,
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
    codes, bits, tables, group, bounds, queries, listed, probed, allowed, found
):
    """Find rows of the lists that queries probe, as ``scan_bounded`` does.

    Parameters
    ----------
    codes, bits, tables, group, bounds, queries : as in ``scan_bounded``
    listed, probed, allowed, found : as in ``scan_lists_exact``
    """
    n_lines, n_lists = count_lines(codes.shape[1], bits), listed.starts.size - 1
    longest = _longest(listed.starts)
    step = count_tile_rows(longest, n_lines)
    tile, gathered = _make_room(codes, listed, n_lines, step)
    later = _scan_nearest(
        codes, bits, tables, group, bounds, queries, listed, probed, allowed, found,
        longest, step, tile, gathered,
    )  # fmt: skip
    sums = np.zeros((4, step), np.int32)
    offset, size = np.zeros(step, np.float32), np.zeros(step, np.float32)
    # Arrays have names of their own: see ``take_all``. Rows of different lists wait for
    # others of their query, since calls count references too.
    steps, shifts, limits = bounds.queries, bounds.shifts, found.limits
    capacity = _TOGETHER + BLOCK
    places, waiting = np.empty(later.size * capacity, np.int64), later * 0
    near = np.empty(capacity)
    lists, starts, numbers = _pair_by_list(probed, later, n_lists)
    for place in range(lists.size):
        number, begin, end = lists[place], starts[place], starts[place + 1]
        if place + 1 < lists.size:
            _fetch_list(codes, listed, lists[place + 1])
            _fetch_scales(bounds, listed, lists[place + 1])
        for first in range(listed.starts[number], listed.starts[number + 1], step):
            count = min(step, listed.starts[number + 1] - first)
            lines = _lines_of(codes, listed, number, first, count, bits, gathered, tile)
            room = _load_scales_of(bounds, listed, first, count, offset, size)
            for i in range(begin, end, 4):
                stop = min(i + 4, end)
                sum_some(lines, tables, None, shifts, numbers, i, stop, group, sums)
                for one in range(i, stop):
                    q = numbers[one]
                    bound, n = (steps[q, 0], steps[q, 1]), waiting[q]
                    for start in range(0, count, BLOCK):
                        limit = padded_limit(limits[q], room)
                        mask = mask_near(
                            sums, one - i, start, offset, size, bound, limit
                        )
                        if mask == 0:
                            continue
                        mask = inside(mask, count - start)
                        n = list_rows(mask, first + start, places, q * capacity + n)
                        n -= q * capacity
                        if n >= _TOGETHER:
                            _take_near(
                                places[q * capacity :], n, q, codes, bits, bounds,
                                queries, listed, near, allowed, found,
                            )  # fmt: skip
                            n = 0
                    waiting[q] = n
    for q in range(waiting.size):
        if waiting[q] > 0:
            _take_near(
                places[q * capacity :], waiting[q], q, codes, bits, bounds, queries,
                listed, near, allowed, found,
            )  # fmt: skip


@kernel
def _scan_nearest(
    codes, bits, tables, group, bounds, queries, listed, probed, allowed, found,
    longest, step, tile, gathered,
):  # fmt: skip
    """Search the nearest lists of each query, for a limit that the others have.

    Their rows are a few times those that are wanted. Of all of these the ones with the
    least lower bounds are evaluated first, so that few others need to be. Queries that
    have a limit, by other rows, are passed over.

    Returns
    -------
    later : int64 array (n_queries,)
        Which of the lists probed comes next.
    """
    later = probed.first.copy()
    n_queries = later.size
    most = 0
    for q in range(n_queries):
        most = max(most, found.starts[q + 1] - found.starts[q])
    enough = most * ROWS_FOR_LIMIT
    n_blocks = 2 * (enough // BLOCK + 1)
    capacity = n_blocks + longest // BLOCK + 1
    bases, counts = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    taken = np.empty(capacity, np.uint64)
    sums = np.zeros((1, capacity * BLOCK), np.int32)
    offset = np.zeros(capacity * BLOCK, np.float32)
    size = np.zeros(capacity * BLOCK, np.float32)
    lows, best = np.empty(most), np.empty(most, np.int64)
    places = np.empty(max(most, _TOGETHER + BLOCK), np.int64)
    near = np.empty(places.size)
    only, shifts = np.zeros(1, np.int64), bounds.shifts
    for q in range(n_queries):
        if found.limits[q] < np.inf:
            continue
        k = found.starts[q + 1] - found.starts[q]
        filled = n_rows = 0
        room = 0.0
        only[0] = q
        while later[q] < probed.stop[q] and n_rows < enough and filled < n_blocks:
            number = probed.lists[q, later[q]]
            later[q] += 1
            if later[q] < probed.stop[q]:
                _fetch_list(codes, listed, probed.lists[q, later[q]])
                _fetch_scales(bounds, listed, probed.lists[q, later[q]])
            for first in range(listed.starts[number], listed.starts[number + 1], step):
                count = min(step, listed.starts[number + 1] - first)
                lines = _lines_of(
                    codes, listed, number, first, count, bits, gathered, tile
                )
                at = filled * BLOCK
                end = at + lines.shape[0] * BLOCK
                some = sums.ravel()[at:end].reshape((1, end - at))
                sum_some(lines, tables, None, shifts, only, 0, 1, group, some)
                reach = _load_scales_of(
                    bounds, listed, first, count, offset[at:], size[at:]
                )
                room = max(room, reach)
                for start in range(0, count, BLOCK):
                    bases[filled], taken[filled] = first + start, 0
                    counts[filled] = min(BLOCK, count - start)
                    filled += 1
                n_rows += count
        bound = (bounds.queries[q, 0], bounds.queries[q, 1])
        n = _least_bounds(
            sums, offset, size, bound, bases, counts, filled, listed, q, allowed,
            lows[:k], best[:k],
        )  # fmt: skip
        if n == k:
            for at in range(k):
                block, r = best[at] // BLOCK, best[at] % BLOCK
                taken[block] |= np.uint64(1) << np.uint64(r)
                places[at] = bases[block] + r
            _take_near(
                places, k, q, codes, bits, bounds, queries, listed, near, allowed, found
            )
        n = 0
        for block in range(filled):
            limit = padded_limit(found.limits[q], room)
            mask = mask_near(sums, 0, block * BLOCK, offset, size, bound, limit)
            mask = inside(mask, counts[block]) & ~taken[block]
            if mask == 0:
                continue
            n = list_rows(mask, bases[block], places, n)
            if n >= _TOGETHER:
                _take_near(
                    places, n, q, codes, bits, bounds, queries, listed, near, allowed,
                    found,
                )  # fmt: skip
                n = 0
        if n > 0:
            _take_near(
                places, n, q, codes, bits, bounds, queries, listed, near, allowed, found
            )
    return later


@kernel
def _least_bounds(
    sums, offset, size, bound, bases, counts, n_blocks, listed, q, allowed, lows, best
):  # fmt: skip
    """Find the rows with the least lower bounds, as many as ``lows`` has room for.

    ``best`` is filled with where they are in the blocks.

    Returns
    -------
    n : int
        How many there are of those that count.
    """
    k, n, step, base = lows.size, 0, bound[0], bound[1]
    lows[:], best[:] = np.inf, -1
    left_out, mask_of, rows = allowed.left_out[q], allowed.mask, listed.rows
    masked = mask_of.size > 0
    some = np.empty(BLOCK, np.int64)
    for block in range(n_blocks):
        limit = np.float32(lows[0])
        mask = mask_near(sums, 0, block * BLOCK, offset, size, bound, limit)
        for at in range(list_rows(inside(mask, counts[block]), 0, some, 0)):
            place = block * BLOCK + some[at]
            low = offset[place] + size[place] * (
                step * np.float32(sums[0, place]) + base
            )
            if n == k and low >= lows[0]:
                continue
            row = np.int64(rows[bases[block] + some[at]])
            if row == left_out or (masked and mask_of[row] == 0):
                continue
            lows[0], best[0] = low, place
            sift_down(lows, best, 0, k)
            n = min(n + 1, k)
    return n


@inlined
def _fetch_rows(codes, bounds, rows, n):
    """Have the codes of n rows fetched, and what goes with them: they lie apart."""
    width = codes.shape[1]
    for at in range(n):
        start = rows[at] * width
        for place in range(start, start + width + CACHE_LINE - 1, CACHE_LINE):
            prefetch(codes, place)
        if bounds.offset.size > 0:
            prefetch(bounds.offset, 4 * rows[at])
            prefetch(bounds.scale, 4 * rows[at])


@kernel
def _take_near(
    places, n, q, codes, bits, bounds, queries, listed, near, allowed, found
):  # fmt: skip
    """Take n rows by their distances; ``places`` is changed to their numbers."""
    rows = listed.rows
    if listed.in_place:
        _fetch_rows(codes, bounds, places, n)
        row_distances(codes, places, n, bits, q, bounds, queries, near)
    for at in range(n):
        places[at] = np.int64(rows[places[at]])
    if not listed.in_place:
        row_distances(codes, places, n, bits, q, bounds, queries, near)
    _take_in_any_order(near, places, n, q, allowed, found)
