"""Counts of differing bits: full adders of planes for many queries, words for few.

A *plane* is one bit of many rows in a vector register: 512 rows with AVX-512, 256 with
AVX2. The number of bits in which rows differ from a query is the sum of d planes, each
complemented where the query's bit is 1. Three planes of one weight are added by a full
adder, which leaves their parity at that weight and their majority at twice the weight
(carry-save addition; Muła, Kurz and Lemire, "Faster population counts using AVX2
instructions", Computer Journal 61, 2018). What makes it fast for many queries is that
most of this does not depend on the query:

1. The parity of three planes that the query complements is the parity of the planes
   themselves, complemented or not: the same plane for all queries. Parities are added
   in triples again, until one is left. So a query adds up majorities only.
2. The majority of three planes depends on three bits of the query: all eight are made
   once for a tile of rows. There are about d / 2 triples, parities included, and a
   query picks one plane of each, by a *pattern* of its bits.
3. The picked planes are summed by full adders, and the sum, whose bits are planes too,
   is compared with the query's k-th distance for all rows at once.

Rows that can enter are counted on their own. Rows come in their order and must be
strictly nearer than the k-th to enter, so that ties go to the lower row.
"""

import numpy as np

from .bitplanes import (
    PLANE_ROWS,
    WORDS,
    all_rows_if,
    and_,
    any_rows,
    keep_below,
    load_plane,
    majority,
    no_rows,
    not_,
    parity,
    pick_plane,
    store_plane,
    top_bits,
    xor,
)
from .jit import inlined, kernel
from .result_heap import sort_heaps, take
from .simd import (
    BLOCK,
    CACHE_LINE,
    INSTRUCTIONS,
    add,
    aligned,
    load,
    prefetch,
    word_at,
)
from .tiles import transpose

# Patterns are summed so many at a time.
_STEP = 32
# A segment's sum fits nine bits, which registers hold.
_SEGMENT = 15 * _STEP
# Rows whose words are fetched before they are needed.
_ROWS_AHEAD = 128


# Patterns of queries.


@kernel
def _count_patterns(n_bits):
    """Return the number of triples that a query of so many bits picks planes of."""
    total = 0
    while n_bits > 2:
        total += n_bits // 3
        n_bits = n_bits // 3 + n_bits % 3
    return total + (n_bits == 2)


@kernel
def _fold_queries(codes, patterns, parities):
    """Fold the bits of queries in triples, and their parities in triples again.

    One or two bits that are left over follow the parities of the others.

    Parameters
    ----------
    codes : uint8 array (n_queries, width), read-only
    patterns : uint16 array (n_queries, n), zeros
        Filled: where in the eight planes of a three to find the query's, in words.
    parities : uint8 array (n_queries,)
        Filled with the parity of all bits.
    """
    bits = np.zeros(8 * codes.shape[1], np.uint8)
    for q in range(codes.shape[0]):
        for b in range(codes.shape[1]):
            for i in range(8):
                bits[8 * b + i] = (codes[q, b] >> (7 - i)) & 1
        count, place = 8 * codes.shape[1], 0
        while count > 1:
            if count == 2:
                bits[2] = 0
                count = 3
            threes, left = count // 3, count % 3
            for t in range(threes):
                x, y, z = bits[3 * t], bits[3 * t + 1], bits[3 * t + 2]
                patterns[q, place + t] = WORDS * (x + 2 * y + 4 * z)
                bits[t] = x ^ y ^ z
            for i in range(left):
                bits[threes + i] = bits[3 * threes + i]
            place += threes
            count = threes + left
        parities[q] = bits[0]


# Planes of rows.


@kernel
def _cut_block_plain(tile, word, planes):
    """Write the bits of 64 rows, byte after byte, into a word of the planes."""
    for b in range(tile.shape[1]):
        for i in range(8):
            bits = np.uint64(0)
            for r in range(BLOCK):
                one = np.uint64((tile[0, b, r] >> (7 - i)) & 1)
                bits |= one << np.uint64(r)
            planes[(8 * b + i) * WORDS + word] = bits


@kernel
def _cut_block_vector(tile, word, planes):
    """Do the same, 64 bytes at a time."""
    for b in range(tile.shape[1]):
        byte = load(tile, b * BLOCK)
        place = 8 * b * WORDS + word
        for i in range(8):
            planes[place + i * WORDS] = top_bits(byte)
            byte = add(byte, byte)


_cut_block = _cut_block_plain if INSTRUCTIONS == "portable" else _cut_block_vector


@kernel
def _cut_planes(codes, first, count, tile, planes):
    """Write the bits of rows into planes; rows beyond ``count`` hold anything."""
    for word in range((count + BLOCK - 1) // BLOCK):
        some = min(BLOCK, count - word * BLOCK)
        transpose(codes, first + word * BLOCK, some, tile)
        _cut_block(tile, word, planes)


@kernel
def _make_majorities(planes, n_bits, table):
    """Fill the table with the eight majorities of every three planes.

    The parities of triples take the place of the planes, until one is left, in the
    first place.
    """
    count, place = n_bits, 0
    while count > 1:
        if count == 2:
            store_plane(planes, 2 * WORDS, no_rows())
            count = 3
        threes, left = count // 3, count % 3
        for t in range(threes):
            x = load_plane(planes, 3 * t * WORDS)
            y = load_plane(planes, (3 * t + 1) * WORDS)
            z = load_plane(planes, (3 * t + 2) * WORDS)
            for turned in range(4):
                if turned == 1:
                    m = majority(not_(x), y, z)
                elif turned == 2:
                    m = majority(x, not_(y), z)
                elif turned == 3:
                    m = majority(not_(x), not_(y), z)
                else:
                    m = majority(x, y, z)
                store_plane(table, (8 * (place + t) + turned) * WORDS, m)
                store_plane(table, (8 * (place + t) + 7 - turned) * WORDS, not_(m))
            store_plane(planes, t * WORDS, parity(x, y, z))
        for i in range(left):
            plane = load_plane(planes, (3 * threes + i) * WORDS)
            store_plane(planes, (threes + i) * WORDS, plane)
        place += threes
        count = threes + left


# Sums of planes. Registers hold the bits 1, 2, 4 and 8 of the sums.


@inlined
def _pick_three(table, patterns, first, t):
    """Return parity and majority of three picked planes."""
    x = pick_plane(table, patterns, first, t)
    y = pick_plane(table, patterns, first, t + 1)
    z = pick_plane(table, patterns, first, t + 2)
    return parity(x, y, z), majority(x, y, z)


@inlined
def _add_seven(table, patterns, first, t):
    """Return the sum of seven picked planes."""
    a, i = _pick_three(table, patterns, first, t)
    b, j = _pick_three(table, patterns, first, t + 3)
    c = pick_plane(table, patterns, first, t + 6)
    k = majority(a, b, c)
    return parity(a, b, c), parity(i, j, k), majority(i, j, k)


@inlined
def _add_sixteen(table, patterns, first, t, ones, twos, fours, eights):
    """Add sixteen picked planes; the last plane returned is the carry to 16."""
    a, i, m = _add_seven(table, patterns, first, t)
    b, j, n = _add_seven(table, patterns, first, t + 7)
    c, d = (
        pick_plane(table, patterns, first, t + 14),
        pick_plane(table, patterns, first, t + 15),
    )
    x, k = parity(c, d, ones), majority(c, d, ones)
    ones, o = parity(a, b, x), majority(a, b, x)
    y, o = parity(k, o, twos), majority(k, o, twos)
    twos, p = parity(i, j, y), majority(i, j, y)
    z, u = parity(o, p, fours), majority(o, p, fours)
    fours, v = parity(m, n, z), majority(m, n, z)
    return ones, twos, fours, parity(u, v, eights), majority(u, v, eights)


@inlined
def _add_segment(table, patterns, first, start, stop):
    """Return the nine bits, from the lowest, of the sum of picked planes.

    At most ``_SEGMENT`` patterns, a multiple of ``_STEP``.
    """
    a = b = c = d = e = f = g = h = i = no_rows()
    for t in range(start, stop, _STEP):
        a, b, c, d, x = _add_sixteen(table, patterns, first, t, a, b, c, d)
        a, b, c, d, y = _add_sixteen(table, patterns, first, t + 16, a, b, c, d)
        e, carry = parity(x, y, e), majority(x, y, e)
        f, carry = xor(f, carry), and_(f, carry)
        g, carry = xor(g, carry), and_(g, carry)
        h, i = xor(h, carry), xor(i, and_(h, carry))
    return a, b, c, d, e, f, g, h, i


@inlined
def _add_bit(sums, i, bit, carry):
    """Add two planes to bit i of sums; return the carry."""
    before = load_plane(sums, i * WORDS)
    store_plane(sums, i * WORDS, parity(before, bit, carry))
    return majority(before, bit, carry)


@kernel
def _add_segments(table, patterns, first, sums, n_sums):
    """Sum the planes that the patterns from ``first`` on pick.

    The sums' lowest bit goes into the second of ``sums``, the others follow.
    """
    for i in range(1, n_sums):
        store_plane(sums, i * WORDS, no_rows())
    for start in range(0, patterns.shape[1], _SEGMENT):
        stop = min(start + _SEGMENT, patterns.shape[1])
        a, b, c, d, e, f, g, h, i = _add_segment(table, patterns, first, start, stop)
        carry = _add_bit(sums, 1, a, no_rows())
        carry = _add_bit(sums, 2, b, carry)
        carry = _add_bit(sums, 3, c, carry)
        carry = _add_bit(sums, 4, d, carry)
        carry = _add_bit(sums, 5, e, carry)
        carry = _add_bit(sums, 6, f, carry)
        carry = _add_bit(sums, 7, g, carry)
        carry = _add_bit(sums, 8, h, carry)
        carry = _add_bit(sums, 9, i, carry)
        for upper in range(10, n_sums):
            carry = _add_bit(sums, upper, no_rows(), carry)


@inlined
def _mark_below(sums, n_sums, limit, marks):
    """Mark the rows whose sum is below a limit, which fits ``n_sums`` bits.

    Returns whether there are any.
    """
    below = no_rows()
    for i in range(n_sums):
        bit = load_plane(sums, i * WORDS)
        below = keep_below(below, bit, all_rows_if(limit >> i))
    store_plane(marks, 0, below)
    return any_rows(below)


@inlined
def _bit_count(x):  # LLVM makes the population count instruction of this
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    x = (x & pairs) + ((x >> np.uint64(2)) & pairs)
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inlined
def _limit_of_nearest(sums, n_sums, k, marks):
    """Return the least limit that k rows or more are below."""
    limit = 0
    for i in range(n_sums - 1, -1, -1):
        _mark_below(sums, n_sums, limit + (1 << i), marks)
        below = 0
        for word in range(WORDS):
            below += _bit_count(marks[word])
        if below < k:
            limit += 1 << i
    return limit + 1


# The scan.


@inlined
def _count_row(codes, row, queries, q):
    """Count the bits in which a row differs from a query, eight bytes at a time."""
    width, count, b = codes.shape[1], 0, 0
    while b + 8 <= width:
        x = word_at(codes, row * width + b)
        count += _bit_count(x ^ word_at(queries, q * width + b))
        b += 8
    while b < width:
        count += _bit_count(np.uint64(codes[row, b] ^ queries[q, b]))
        b += 1
    return count


@inlined
def _take_marked(marks, first, count, codes, queries, cost, q, allowed, found):
    """Take the marked rows of a tile that are below the limit."""
    for word in range((count + BLOCK - 1) // BLOCK):
        left = marks[word]
        while left:
            lowest = left & (~left + np.uint64(1))
            left ^= lowest
            r = BLOCK * word + _bit_count(lowest - np.uint64(1))
            if r >= count:
                break
            counted = _count_row(codes, first + r, queries, q)
            distance = np.float64(cost * counted)
            if distance < found.limits[q]:
                take(distance, first + r, q, allowed, found)


@inlined
def _count_limit(limit, cost, n_bits):
    """Return the count of differing bits below which distances are below a limit."""
    return np.int64(max(0.0, min(np.ceil(limit / cost), n_bits + 1.0)))


@kernel
def scan_planes(codes, queries, cost, allowed, found):
    """Find rows by counts of differing bits, in sums of planes: for many queries.

    Parameters
    ----------
    codes, queries : uint8 arrays (n_rows, width) and (n_queries, width), read-only
    cost : int, positive
        What a bit that differs adds to the distance.
    allowed : Allowed
    found : Found
        Changed.
    """
    n_rows, width = codes.shape
    n_queries, n_bits = queries.shape[0], 8 * width
    n_threes = -(-_count_patterns(n_bits) // _STEP) * _STEP
    patterns = np.zeros((n_queries, n_threes), np.uint16)
    parities = np.zeros(n_queries, np.uint8)
    _fold_queries(queries, patterns, parities)
    n_sums = 10
    while (n_bits + 1) >> n_sums:
        n_sums += 1
    tile = np.zeros((1, width, BLOCK), np.uint8)
    planes = aligned((n_bits + 2) * WORDS)
    table = aligned(8 * n_threes * WORDS)
    table[:] = 0  # what is beyond the patterns adds nothing
    sums, marks = aligned(n_sums * WORDS), aligned(WORDS)
    # While there is no limit, only so many of a tile's rows can be kept: one more than
    # are asked for, since one may be left out; any number where others do not count.
    most = found.starts[1:] - found.starts[:-1] + 1
    if found.keep_all or allowed.mask.size > 0:
        most[:] = PLANE_ROWS
    for first in range(0, n_rows, PLANE_ROWS):
        count = min(PLANE_ROWS, n_rows - first)
        _cut_planes(codes, first, count, tile, planes)
        _make_majorities(planes, n_bits, table)
        ahead = (first + count) * width
        share = count * width // n_queries + 1
        for q in range(n_queries):
            for _ in range(0, share, CACHE_LINE):  # of the next tile
                prefetch(codes, ahead)
                ahead += CACHE_LINE
            lowest = load_plane(planes, 0)
            if parities[q]:
                lowest = not_(lowest)
            store_plane(sums, 0, lowest)
            _add_segments(table, patterns, q * n_threes, sums, n_sums)
            limit = _count_limit(found.limits[q], cost, n_bits)
            if limit > n_bits and count == PLANE_ROWS and most[q] < PLANE_ROWS // 4:
                limit = _limit_of_nearest(sums, n_sums, most[q], marks)
            if not _mark_below(sums, n_sums, limit, marks):
                continue  # as mostly: calls with many arrays take long
            _take_marked(marks, first, count, codes, queries, cost, q, allowed, found)
    if not found.keep_all:
        sort_heaps(found)


@inlined
def _next_below(codes, row, stop, queries, q, limit, fetches):
    """Return the first row with a count below a limit and its count; or ``stop``."""
    n_words, counted = codes.shape[1], 0
    while row < stop:
        if fetches:
            place = (row + _ROWS_AHEAD) * n_words * 8
            for start in range(0, n_words * 8, CACHE_LINE):
                prefetch(codes, place + start)
        counted = 0
        for w in range(n_words):
            counted += _bit_count(codes[row, w] ^ queries[q, w])
        if counted < limit:
            break
        row += 1
    return row, counted


@kernel
def scan_words(codes, queries, cost, allowed, found):
    """Find rows by counts of differing bits, row by row: for few queries.

    Parameters
    ----------
    codes, queries : uint64 arrays (n_rows, n_words) and (n_queries, n_words), read-only
    cost, allowed, found : as in ``scan_planes``
    """
    n_rows, n_words = codes.shape
    for first in range(0, n_rows, BLOCK):
        stop = min(first + BLOCK, n_rows)
        for q in range(queries.shape[0]):
            limit = _count_limit(found.limits[q], cost, 64 * n_words)
            row = first
            while row < stop:
                if q == 0:  # the others find the rows in the cache
                    row, counted = _next_below(codes, row, stop, queries, q, limit, 1)
                else:
                    row, counted = _next_below(codes, row, stop, queries, q, limit, 0)
                if row < stop:
                    take(np.float64(cost * counted), row, q, allowed, found)
                    limit = _count_limit(found.limits[q], cost, 64 * n_words)
                    row += 1
    if not found.keep_all:
        sort_heaps(found)
