"""Centroids of inverted lists: which list a row belongs to, which ones queries probe.

All of it is whole numbers: the values of codes, and centroids that are rounded to
bytes. So sums are exact, and lists are the same for any order of additions, any number
of threads and any machine.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .result_heap import sift_down
from .simd import (
    HAS_BYTE_PRODUCTS,
    Vector,
    call,
    halved,
    pointer,
    shuffle,
    vector,
    zeros_of,
)

# Lists that are ranked first, where it is not known how many a query probes.
_FIRST_RANKED = 64
# Farther than any list, and, with a minus, nearer.
_FARTHEST = np.int64(2**62)
# Bytes whose products are added at once.
_AT_ONCE = 64
_WORDS = Vector("16 int32", vector(32, _AT_ONCE // 4))
_zero_words = zeros_of(_WORDS)


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


# Distances.


@intrinsic
def _add_products(typing, sums, unsigned, first, signed, second):
    """Add products of 64 bytes to 16 sums, each of four of them.

    Offsets are in bytes. 128 is added to the numbers of the array ``unsigned`` first,
    since the instruction takes those of one side without a sign.
    """

    def emit(context, builder, signature, args):
        sums, unsigned, first, signed, second = args
        kind, words = vector(8, _AT_ONCE), _WORDS.llvm_type

        def load(which, array, offset):
            where = signature.args[which]
            place = pointer(context, builder, where, array, offset, kind)
            return builder.load(place, align=1, typ=kind)

        x, y = load(1, unsigned, first), load(3, signed, second)
        x = builder.xor(x, ir.Constant(kind, [128] * _AT_ONCE))
        x, y = builder.bitcast(x, words), builder.bitcast(y, words)
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", words, sums, x, y)

    offset = types.int64
    return _WORDS(_WORDS, unsigned, offset, signed, offset), emit


@intrinsic
def _store_totals(typing, s0, s1, s2, s3, out, offset):
    """Store the totals of four times 16 sums, ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        *sums, out, offset = args

        def halve(x, y, width, n):
            """Add neighbors of so many lanes, of n, y behind x."""
            low = [i for i in range(n) if i % (2 * width) < width]
            first = shuffle(builder, x, y, low)
            return builder.add(first, shuffle(builder, x, y, [i + width for i in low]))

        x, y = halve(*sums[:2], 8, 32), halve(*sums[2:], 8, 32)
        x = halve(x, y, 4, 32)  # four of each, beside each other
        x = halve(x, x, 2, 16)
        x = halve(x, x, 1, 8)
        kind = signature.args[4]
        place = pointer(context, builder, kind, out, offset, x.type)
        builder.store(x, place, align=4)
        return context.get_dummy_value()

    words, offset_type = _WORDS, types.int64
    return types.void(words, words, words, words, out, offset_type), emit


@intrinsic
def _total(typing, sums):
    def emit(context, builder, signature, args):
        return halved(builder, args[0], ir.IRBuilder.add)

    return types.int32(_WORDS), emit


@inlined
def _product(values, i, centroids, c, start):
    """Product of values with a centroid, from coordinate ``start`` on."""
    product = np.int32(0)
    for j in range(start, values.shape[1]):
        product += np.int32(values[i, j]) * np.int32(centroids[c, j])
    return product


@kernel
def _fill_plain(values, first, stop, centroids, squares, scale, out):
    """Fill the distances of rows, four at most, to all centroids.

    They are squared, and less what depends on values alone.

    Parameters
    ----------
    values : int8 array (n_rows, n_values)
    first, stop : int
    centroids : int8 array (n_centroids, n_values)
    squares : int64 array (n_centroids,)
    scale : int
    out : int64 array (4, n_centroids or more)
        Filled.
    """
    for c in range(centroids.shape[0]):
        for i in range(first, stop):
            product = np.int64(_product(values, i, centroids, c, 0))
            out[i - first, c] = squares[c] - 2 * scale * product


@kernel
def _fill_vector(values, first, stop, centroids, squares, scale, out):
    """Do the same in vectors: four rows share the centroids that are loaded."""
    width = values.shape[1]
    whole = width // _AT_ONCE * _AT_ONCE
    added = np.zeros(4, np.int64)
    totals = np.empty((centroids.shape[0], 4), np.int32)
    for i in range(first, stop):
        for j in range(whole):
            added[i - first] += 128 * np.int64(values[i, j])
    rows = first * width
    for c in range(centroids.shape[0]):
        place = c * width
        if stop - first == 4:
            s0 = s1 = s2 = s3 = _zero_words()
            for j in range(0, whole, _AT_ONCE):
                row = rows + j
                s0 = _add_products(s0, centroids, place + j, values, row)
                row += width
                s1 = _add_products(s1, centroids, place + j, values, row)
                row += width
                s2 = _add_products(s2, centroids, place + j, values, row)
                row += width
                s3 = _add_products(s3, centroids, place + j, values, row)
            _store_totals(s0, s1, s2, s3, totals, 16 * c)
        else:
            for i in range(first, stop):
                s = _zero_words()
                for j in range(0, whole, _AT_ONCE):
                    s = _add_products(s, centroids, place + j, values, i * width + j)
                totals[c, i - first] = _total(s)
    for i in range(first, stop):
        r = i - first
        for c in range(centroids.shape[0]):
            product = np.int64(totals[c, r]) - added[r]
            if whole < width:
                product += np.int64(_product(values, i, centroids, c, whole))
            out[r, c] = squares[c] - 2 * scale * product


_fill_distances = _fill_vector if HAS_BYTE_PRODUCTS else _fill_plain


@kernel
def nearest_centroid(values, centroids, squares, scale, out):
    """Find the nearest centroid of each row; of equally near ones the first.

    Parameters
    ----------
    values : int8 array (n_rows, n_values)
    centroids : int8 array (n_centroids, n_values)
    squares : int64 array (n_centroids,)
    scale : int
    out : int64 array (n_rows,)
        Filled.
    """
    distances = np.empty((4, centroids.shape[0]), np.int64)
    for first in range(0, values.shape[0], 4):
        stop = min(first + 4, values.shape[0])
        _fill_distances(values, first, stop, centroids, squares, scale, distances)
        for i in range(first, stop):
            best, least = 0, _FARTHEST
            for c in range(centroids.shape[0]):
                if distances[i - first, c] < least:
                    best, least = c, distances[i - first, c]
            out[i] = best


@kernel
def sum_values(values, numbers, sums, counts):
    """Add up the values of the rows of each list; arrays of int64, changed."""
    for i in range(values.shape[0]):
        counts[numbers[i]] += 1
        for j in range(values.shape[1]):
            sums[numbers[i], j] += values[i, j]


# Lists of rows and of queries.


@inlined
def is_before(distance, number, other_distance, other):
    return distance < other_distance or (distance == other_distance and number < other)


@inlined
def _next_parent(distances, last_distance, last):
    """Return the parent that follows another in order of (distance, number)."""
    best, least = -1, _FARTHEST
    for p in range(distances.size):
        distance = distances[p]
        if distance < least and is_before(last_distance, last, distance, p):
            best, least = p, distance
    return best


@inlined
def _fill_children(values, i, tree, p, out):
    """Fill the distances of a row to the lists of a parent."""
    one, two = tree.children[p], tree.children[p + 1]
    centroids, squares = tree.centroids[one:two], tree.squares[one:two]
    _fill_distances(values, i, i + 1, centroids, squares, tree.scale, out)


@kernel
def assign_rows(values, tree, near, out):
    """Find the list of each row: the nearest one of its nearest parents.

    Where the ``near`` nearest parents have no list, it is that of the next parent.

    Parameters
    ----------
    values : int8 array (n_rows, n_values)
    tree : ListTree
    near : int
    out : int64 array (n_rows,)
        Filled.
    """
    parents, squares = tree.parents, tree.parent_squares
    of_parents = np.empty((4, parents.shape[0]), np.int64)
    of_lists = np.empty((4, tree.centroids.shape[0]), np.int64)
    for first in range(0, values.shape[0], 4):
        stop = min(first + 4, values.shape[0])
        _fill_distances(values, first, stop, parents, squares, tree.scale, of_parents)
        for i in range(first, stop):
            distances, p, before = of_parents[i - first], -1, -_FARTHEST
            best, least = -1, _FARTHEST
            for place in range(parents.shape[0]):
                if place >= near and best >= 0:
                    break
                p = _next_parent(distances, before, p)
                before = distances[p]
                _fill_children(values, i, tree, p, of_lists)
                start = tree.children[p]
                for c in range(start, tree.children[p + 1]):
                    distance = of_lists[0, c - start]
                    if is_before(distance, c, least, best):
                        best, least = c, distance
            out[i] = best


@kernel
def _nearest_lists(distances, n, keys, numbers):
    """Give the n nearest lists in order of (distance, number), n at least 1."""
    keys[:n], numbers[:n] = _FARTHEST, -1
    for c in range(distances.size):
        if distances[c] < keys[0]:
            keys[0], numbers[0] = distances[c], c
            sift_down(keys, numbers, 0, n)
    for size in range(n - 1, 0, -1):
        keys[0], keys[size] = keys[size], keys[0]
        numbers[0], numbers[size] = numbers[size], numbers[0]
        sift_down(keys, numbers, 0, size)


@kernel
def rank_lists(values, tree, near, sizes, budget, out, counts):
    """Give the lists of each query in the order in which they are probed.

    First comes the list that a row of its code is in, then all from near to far.

    Parameters
    ----------
    values : int8 array (n_queries, n_values)
    tree : ListTree
    near : int
        As for ``assign_rows``.
    sizes : int64 array (n_lists,)
        Rows of each list.
    budget : int
        Lists end with that by which so many rows are in them.
    out : int32 array (n_queries, n_wanted)
        Filled with at most so many lists.
    counts : int64 array (n_queries,)
        Filled with the number of lists.
    """
    n_lists, n_wanted = tree.centroids.shape[0], out.shape[1]
    distances = np.empty((4, n_lists), np.int64)
    keys, numbers = np.empty(n_wanted, np.int64), np.empty(n_wanted, np.int64)
    own = np.empty(values.shape[0], np.int64)
    assign_rows(values, tree, near, own)
    for first in range(0, values.shape[0], 4):
        stop = min(first + 4, values.shape[0])
        _fill_distances(
            values, first, stop, tree.centroids, tree.squares, tree.scale, distances
        )
        for i in range(first, stop):
            distances[i - first, own[i]] = -_FARTHEST
            all_lists = budget >= _FARTHEST
            n = n_wanted if all_lists else min(n_wanted, _FIRST_RANKED)
            while True:
                _nearest_lists(distances[i - first], n, keys, numbers)
                n_rows = filled = 0
                while filled < n and n_rows < budget:
                    out[i, filled] = numbers[filled]
                    n_rows += sizes[numbers[filled]]
                    filled += 1
                if n == n_wanted or n_rows >= budget:
                    break
                n = min(n_wanted, 4 * n)
            counts[i] = filled
