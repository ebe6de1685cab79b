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
from .simd import (
    HAS_BYTE_PRODUCTS,
    INSTRUCTIONS,
    Vector,
    call,
    pointer,
    shuffle,
    vector,
    zeros_of,
)

# Lists that are ranked first, where it is not known how many a query probes.
_FIRST_RANKED = 64
# Farther than any list, and, with a minus, nearer.
_FARTHEST = np.int64(2**62)
# The largest number that values hold.
_LARGEST = 127
# Weights of queries are whole numbers of so many parts of one.
WEIGHT_PARTS = 256
# How much longer than its code a float query counts: lists are probed in an order
# between that of distances to centroids and that of products with them. Measured on
# MiniLM glosses, where from 1.2 to 1.7 all find alike, and more than 1 and infinity.
_LENGTHENED = 1.25
# Bytes whose products are added at once.
_AT_ONCE = 64
# The instruction for bytes takes those of one side without a sign. Others are for
# words, which rows are made once.
_ADDED = 128 if HAS_BYTE_PRODUCTS else 0
_ROW_TYPE = np.int8 if HAS_BYTE_PRODUCTS else np.int16
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


class ListQueries(NamedTuple):
    """What lists are ranked by for queries.

    ``codes``: int8 (n_queries, n_values), the values of their codes, for which the
    list is found that a row of the same code is in. ``values``: int8, of the same
    shape, by which the others are ranked: those of codes once more, or of float
    queries, rounded. ``weights``: int64 (n_queries,): these times ``values`` are
    queries on the scale of centroids, in parts of ``WEIGHT_PARTS``.
    """

    codes: np.ndarray
    values: np.ndarray
    weights: np.ndarray

    def of(self, some):
        """Return the same of some queries."""
        return ListQueries(*(array[some] for array in self))


# Distances.


def emit_sums_of_products(builder, instructions, sums, x, y):
    """Emit the addition of products to sums, whichever of them.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    instructions : str
        As ``INSTRUCTIONS``.
    sums, x, y : LLVM values, vectors of 16 int32, of 64 int8, and of 64 int16
        Numbers of x and y from -127 to 127.
    """
    part, pairs = _AT_ONCE // 4, []
    for start in range(0, _AT_ONCE, part):
        lanes = list(range(start, start + part))
        a, b = (shuffle(builder, z, z, lanes) for z in (x, y))
        a = builder.sext(a, b.type)
        if instructions == "neon":
            product = builder.mul(a, b)  # below 2^15
            sums = builder.add(sums, builder.sext(product, vector(32, part)))
        else:
            kind = vector(32, part // 2)
            pairs.append(call(builder, "llvm.x86.avx2.pmadd.wd", kind, a, b))
    if pairs:
        low, high = builder.add(*pairs[:2]), builder.add(*pairs[2:])
        sums = builder.add(sums, shuffle(builder, low, high, list(range(part))))
    return sums


@intrinsic
def _add_products(typing, sums, centroids, first, rows, second):
    """Add products of 64 numbers to 16 sums; ``second`` counts the numbers before.

    ``_ADDED`` is added to those of centroids first.
    """

    def emit(context, builder, signature, args):
        sums, centroids, first, rows, second = args
        bytes_of, words = vector(8, _AT_ONCE), _WORDS.llvm_type
        size = np.dtype(_ROW_TYPE).itemsize
        second = builder.mul(second, second.type(size))
        rows_of = vector(8 * size, _AT_ONCE)
        x = pointer(context, builder, signature.args[1], centroids, first, bytes_of)
        y = pointer(context, builder, signature.args[3], rows, second, rows_of)
        x = builder.load(x, align=1, typ=bytes_of)
        y = builder.load(y, align=1, typ=rows_of)
        if not HAS_BYTE_PRODUCTS:
            return emit_sums_of_products(builder, INSTRUCTIONS, sums, x, y)
        x = builder.xor(x, ir.Constant(bytes_of, [_ADDED] * _AT_ONCE))
        x, y = builder.bitcast(x, words), builder.bitcast(y, words)
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", words, sums, x, y)

    offset = types.int64
    return _WORDS(_WORDS, centroids, offset, rows, offset), emit


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


@kernel
def _fill_products_plain(values, first, stop, centroids, out):
    """Fill the products of rows, four at most, with all centroids.

    Parameters
    ----------
    values : int8 array (n_rows, n_values)
    first, stop : int
    centroids : int8 array (n_centroids, n_values)
    out : int64 array (4, n_centroids or more)
        Filled.
    """
    for c in range(centroids.shape[0]):
        for i in range(first, stop):
            product = np.int32(0)
            for j in range(values.shape[1]):
                product += np.int32(values[i, j]) * np.int32(centroids[c, j])
            out[i - first, c] = product


@kernel
def _fill_products_vector(values, first, stop, centroids, out):
    """Do the same in vectors.

    Four rows share the centroids that are loaded, or four centroids a single row. The
    last vector ends with a centroid, whatever its length; of values, what an earlier
    one has multiplied is zero there.
    """
    n, width = centroids.shape
    if width < _AT_ONCE:
        _fill_products_plain(values, first, stop, centroids, out)
        return
    last, tail = (width - 1) // _AT_ONCE * _AT_ONCE, width - _AT_ONCE
    length = last + _AT_ONCE
    rows = np.zeros((4, length), _ROW_TYPE)
    added = np.zeros(4, np.int64)
    for i in range(stop - first):
        for j in range(width):
            rows[i, j + (length - width if j >= last else 0)] = values[first + i, j]
            added[i] += _ADDED * np.int64(values[first + i, j])
    room = n + 3  # the last centroid fills up a group of four
    totals = np.empty(4 * room, np.int32)
    if stop - first == 4:
        of_centroid, of_row = 4, 1
        for c in range(n):
            s0 = s1 = s2 = s3 = _zero_words()
            for at in range(0, length, _AT_ONCE):
                place = c * width + min(at, tail)
                s0 = _add_products(s0, centroids, place, rows, at)
                s1 = _add_products(s1, centroids, place, rows, length + at)
                s2 = _add_products(s2, centroids, place, rows, 2 * length + at)
                s3 = _add_products(s3, centroids, place, rows, 3 * length + at)
            _store_totals(s0, s1, s2, s3, totals, 16 * c)
    else:
        of_centroid, of_row = 1, room
        for i in range(stop - first):
            for c in range(0, n, 4):
                p0, p1 = c * width, min(c + 1, n - 1) * width
                p2, p3 = min(c + 2, n - 1) * width, min(c + 3, n - 1) * width
                s0 = s1 = s2 = s3 = _zero_words()
                for at in range(0, length, _AT_ONCE):
                    j, row = min(at, tail), i * length + at
                    s0 = _add_products(s0, centroids, p0 + j, rows, row)
                    s1 = _add_products(s1, centroids, p1 + j, rows, row)
                    s2 = _add_products(s2, centroids, p2 + j, rows, row)
                    s3 = _add_products(s3, centroids, p3 + j, rows, row)
                _store_totals(s0, s1, s2, s3, totals, 4 * (i * room + c))
    for i in range(stop - first):
        start = i * of_row
        for c in range(n):
            out[i, c] = np.int64(totals[start + c * of_centroid]) - added[i]


if INSTRUCTIONS == "portable":
    _fill_products = _fill_products_plain
else:
    _fill_products = _fill_products_vector


@inlined
def _fill_distances(values, first, stop, centroids, squares, scale, out):
    """Fill the distances of rows, four at most, to all centroids.

    They are squared, and less what depends on values alone.
    """
    _fill_products(values, first, stop, centroids, out)
    for r in range(stop - first):
        for c in range(centroids.shape[0]):
            out[r, c] = squares[c] - 2 * scale * out[r, c]


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
def fill_whole_values(codes, bits, low, high, out):
    """Fill the values of codes of one or two bits, whose levels are whole numbers.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
        Bytes of the codes; of two bits, bytes of signs and of magnitudes in turn.
    bits, low, high : int
        Of one bit, ``low`` is the level.
    out : int8 array (n_rows, n_values)
        Filled.
    """
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            byte, shift = bits * (j >> 3), 7 - (j & 7)
            level = low
            if bits == 2 and (codes[r, byte + 1] >> shift) & 1:
                level = high
            out[r, j] = level if (codes[r, byte] >> shift) & 1 else -level


@kernel
def round_queries(values, codes, scale, out, weights):
    """Round float queries to bytes, for lists to be ranked by.

    Parameters
    ----------
    values : float32 array (n_queries, n_values)
    codes : int8 array (n_queries, n_values)
        The values of their codes; what a query of zeros becomes.
    scale : int
        That of the centroids.
    out : int8 array (n_queries, n_values)
        Filled.
    weights : int64 array (n_queries,)
        Filled as in ``ListQueries``. Lengths are those of whole numbers, so that they
        do not depend on the order of coordinates.
    """
    for q in range(values.shape[0]):
        largest = 0.0
        for j in range(values.shape[1]):
            largest = max(largest, abs(np.float64(values[q, j])))
        if largest == 0.0:
            out[q] = codes[q]
            weights[q] = scale * WEIGHT_PARTS
            continue
        factor, square, of_code = _LARGEST / largest, 0, 0
        for j in range(values.shape[1]):
            out[q, j] = np.int8(np.rint(np.float64(values[q, j]) * factor))
            square += np.int64(out[q, j]) * np.int64(out[q, j])
            of_code += np.int64(codes[q, j]) * np.int64(codes[q, j])
        weight = scale * WEIGHT_PARTS * _LENGTHENED * np.sqrt(of_code / square)
        weights[q] = np.int64(np.rint(weight))


@inlined
def _count_up_to(distances, limit):
    count = 0
    for c in range(distances.size):
        count += distances[c] <= limit
    return count


@kernel
def _nearest_lists(distances, n, bits, keys):
    """Give the n nearest lists, and some more, in order of (distance, number).

    ``keys``, int64: room for all of them; ``bits``: those of a number. The lowest bits
    of what is returned are numbers of lists.
    """
    low = high = distances[0]
    for c in range(distances.size):
        low, high = min(low, distances[c]), max(high, distances[c])
    low -= 1
    # Counting is done in vectors, so that a few times all cost less than a heap.
    while n < distances.size and high - low > 1:
        middle = low + (high - low) // 2
        count = _count_up_to(distances, middle)
        if count < n:
            low = middle
        else:
            high = middle
            if count <= 2 * n:
                break
    near = 0
    for c in range(distances.size):
        keys[near] = distances[c] << bits | c
        near += distances[c] <= high
    return np.sort(keys[:near])


@kernel
def rank_lists(queries, tree, near, sizes, budget, out, counts):
    """Give the lists of each query in the order in which they are probed.

    First comes the list that a row of its code is in, then all from near to far.

    Parameters
    ----------
    queries : ListQueries
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
    n_queries, n_lists = queries.values.shape[0], tree.centroids.shape[0]
    values, squares, n_wanted = queries.values, tree.squares, out.shape[1]
    distances, keys = np.empty((4, n_lists), np.int64), np.empty(n_lists, np.int64)
    bits = 1
    while (n_lists - 1) >> bits > 0:
        bits += 1
    own = np.empty(n_queries, np.int64)
    assign_rows(queries.codes, tree, near, own)
    for first in range(0, n_queries, 4):
        stop = min(first + 4, n_queries)
        _fill_products(values, first, stop, tree.centroids, distances)
        for i in range(first, stop):
            of_query, weight = distances[i - first], 2 * queries.weights[i]
            least = _FARTHEST
            for c in range(n_lists):
                of_query[c] = WEIGHT_PARTS * squares[c] - weight * of_query[c]
                least = min(least, of_query[c])
            of_query[own[i]] = least - 1
            all_lists = budget >= _FARTHEST
            n = n_wanted if all_lists else min(n_wanted, _FIRST_RANKED)
            while True:
                nearest = _nearest_lists(of_query, n, bits, keys)
                n_rows = filled = 0
                while filled < n and n_rows < budget:
                    number = nearest[filled] & ((1 << bits) - 1)
                    out[i, filled] = number
                    n_rows += sizes[number]
                    filled += 1
                if n == n_wanted or n_rows >= budget:
                    break
                n = min(n_wanted, 4 * n)
            counts[i] = filled
