"""Count of differing bits, bit by bit for hundreds of rows at a time: adders of planes.

A *plane* is one bit of many rows in a vector register: 512 rows with AVX-512, 256 with
AVX2. The number of bits in which rows differ from a query is the sum of d planes, each
turned over where the query's bit is 1. Three planes of one weight are added by a full
adder, which leaves their parity at that weight and their majority at twice the weight
(carry-save addition; Muła, Kurz and Lemire, "Faster population counts using AVX2
instructions", Computer Journal 61, 2018). What makes it fast for many queries is that
most of this does not depend on the query:

1. The parity of three planes that the query turns over is the parity of the planes
   themselves, turned over or not: the same plane for all queries. Parities are added
   in threes again, until one is left. So a query adds up majorities only.
2. The majority of three planes depends on three bits of the query: all eight are made
   once for a tile of rows. There are about d / 2 threes, parities included, and a query
   picks one plane of each, by a *pattern* of its bits.
3. The picked planes are summed by full adders, and the sum, whose bits are planes too,
   is compared with the query's k-th distance for all rows at once.

Rows that can enter are counted on their own. Rows come in their order and must be
strictly nearer than the k-th to enter, so that ties go to the lower row.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._compiling import inlined, kernel
from .found import sort_heaps, take
from .tiles import transpose
from .vectors import (
    BLOCK,
    CACHE_LINE,
    HAS_AVX512,
    INSTRUCTIONS,
    Vector,
    add,
    aligned,
    as_mask,
    call,
    load,
    prefetch,
    splat,
)

# 64-bit words of a plane: one register.
WORDS = 8 if HAS_AVX512 else {"avx2": 4, "neon": 2, "portable": 1}[INSTRUCTIONS]
_PLANE_ROWS = 64 * WORDS
# Patterns are summed so many at a time.
_STEP = 32
# A segment's sum fits nine bits, which registers hold.
_SEGMENT = 15 * _STEP
# Rows whose words are fetched before they are needed.
_ROWS_AHEAD = 128


# Planes as numba values.

_PLANE = Vector(f"{WORDS} uint64", ir.VectorType(ir.IntType(64), WORDS))


def _place(context, builder, array_type, array, i, target):
    start = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(start, [i]), ir.PointerType(target))


@intrinsic
def _load_vector(typing, array, i):
    def emit(context, builder, signature, args):
        kind = _PLANE.llvm_type
        place = _place(context, builder, signature.args[0], *args, kind)
        return builder.load(place, align=8, typ=kind)

    return _PLANE(array, types.int64), emit


@intrinsic
def _pick_vector(typing, table, patterns, start, t):
    """Load the plane that pattern t of those from ``start`` on picks."""

    def emit(context, builder, signature, args):
        table, patterns, start, t = args
        word, half = ir.IntType(64), ir.IntType(16)
        where = builder.add(start, t)
        place = _place(context, builder, signature.args[1], patterns, where, half)
        pattern = builder.zext(builder.load(place, typ=half), word)
        three = builder.mul(t, ir.Constant(word, 8 * WORDS))
        kind = _PLANE.llvm_type
        i = builder.add(three, pattern)
        place = _place(context, builder, signature.args[0], table, i, kind)
        return builder.load(place, align=8, typ=kind)

    return _PLANE(table, patterns, types.int64, types.int64), emit


@intrinsic
def _store_vector(typing, array, i, x):
    def emit(context, builder, signature, args):
        array, i, x = args
        place = _place(context, builder, signature.args[0], array, i, x.type)
        builder.store(x, place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, _PLANE), emit


def _of_three(truth, plain):
    """Make the intrinsic of a function of three bits.

    ``truth`` is its table as AVX-512 takes it, in one instruction; ``plain`` makes it
    of others.
    """

    @intrinsic
    def apply(typing, x, y, z):
        def emit(context, builder, signature, args):
            if not HAS_AVX512:
                return plain(builder, *args)
            code = ir.Constant(ir.IntType(32), truth)
            name = "llvm.x86.avx512.pternlog.q.512"
            return call(builder, name, args[0].type, *args, code)

        return _PLANE(_PLANE, _PLANE, _PLANE), emit

    return apply


def _emit_majority(builder, x, y, z):
    either = builder.and_(builder.xor(x, y), z)
    return builder.or_(either, builder.and_(x, y))


def _emit_keep_below(builder, below, bit, limit):
    """``below | ~bit`` where the limit's bit is 1, else ``below & ~bit``."""
    unless = builder.and_(builder.not_(bit), builder.or_(below, limit))
    return builder.or_(unless, builder.and_(below, limit))


_parity_vector = _of_three(0x96, lambda b, x, y, z: b.xor(b.xor(x, y), z))
_majority_vector = _of_three(0xE8, _emit_majority)
_keep_below_vector = _of_three(0xB2, _emit_keep_below)


@intrinsic
def _not_vector(typing, x):
    def emit(context, builder, signature, args):
        return builder.not_(args[0])

    return _PLANE(_PLANE), emit


@intrinsic
def _and_vector(typing, x, y):
    def emit(context, builder, signature, args):
        return builder.and_(*args)

    return _PLANE(_PLANE, _PLANE), emit


@intrinsic
def _xor_vector(typing, x, y):
    def emit(context, builder, signature, args):
        return builder.xor(*args)

    return _PLANE(_PLANE, _PLANE), emit


@intrinsic
def _all_rows_if_vector(typing, number):
    """Return a plane of ones where the lowest bit of a number is 1, else of zeros."""

    def emit(context, builder, signature, args):
        (number,) = args
        bit = builder.and_(number, ir.Constant(number.type, 1))
        return splat(builder, builder.neg(bit), WORDS)

    return _PLANE(types.int64), emit


@intrinsic
def _any_rows_vector(typing, x):
    def emit(context, builder, signature, args):
        words = [
            builder.extract_element(args[0], ir.Constant(ir.IntType(32), i))
            for i in range(WORDS)
        ]
        some = words[0]
        for word in words[1:]:
            some = builder.or_(some, word)
        return builder.icmp_unsigned("!=", some, ir.Constant(some.type, 0))

    return types.boolean(x), emit


@intrinsic
def _no_rows_vector(typing):
    def emit(context, builder, signature, args):
        return ir.Constant(_PLANE.llvm_type, None)

    return _PLANE(), emit


@intrinsic
def _top_bits(typing, x):
    """Return the highest bits of 64 bytes, that of the first byte lowest."""

    def emit(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return as_mask(builder, builder.icmp_signed("<", args[0], zero))

    return types.uint64(x), emit


# The same in plain words of 64 rows.


@kernel
def _load_word(array, i):
    return array[i]


@kernel
def _pick_word(table, patterns, start, t):
    return table[8 * t + patterns.ravel()[start + t]]


@kernel
def _store_word(array, i, x):
    array[i] = x


@kernel
def _parity_word(x, y, z):
    return x ^ y ^ z


@kernel
def _majority_word(x, y, z):
    return ((x ^ y) & z) | (x & y)


@kernel
def _not_word(x):
    return ~x


@kernel
def _and_word(x, y):
    return x & y


@kernel
def _xor_word(x, y):
    return x ^ y


@kernel
def _keep_below_word(below, bit, limit):
    return (~bit & (below | limit)) | (below & limit)


@kernel
def _all_rows_if_word(number):
    return ~np.uint64(0) if number & 1 else np.uint64(0)


@kernel
def _any_rows_word(x):
    return x != 0


@kernel
def _no_rows_word():
    return np.uint64(0)


if INSTRUCTIONS == "portable":
    _load_plane, _store_plane, _pick = _load_word, _store_word, _pick_word
    _no_rows = _no_rows_word
    _parity, _majority, _not = _parity_word, _majority_word, _not_word
    _and, _xor, _keep_below = _and_word, _xor_word, _keep_below_word
    _all_rows_if, _any_rows = _all_rows_if_word, _any_rows_word
else:
    _load_plane, _store_plane, _pick = _load_vector, _store_vector, _pick_vector
    _no_rows = _no_rows_vector
    _parity, _majority, _not = _parity_vector, _majority_vector, _not_vector
    _and, _xor, _keep_below = _and_vector, _xor_vector, _keep_below_vector
    _all_rows_if, _any_rows = _all_rows_if_vector, _any_rows_vector


# Patterns of queries.


@kernel
def _count_patterns(n_bits):
    """Return the number of threes that a query of so many bits picks planes of."""
    total = 0
    while n_bits > 2:
        total += n_bits // 3
        n_bits = n_bits // 3 + n_bits % 3
    return total + (n_bits == 2)


@kernel
def _fold_queries(codes, patterns, parities):
    """Fold the bits of queries in threes, and their parities in threes again.

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
    for b in range(tile.shape[1] // 2):
        for i in range(8):
            bits = np.uint64(0)
            for r in range(BLOCK):
                one = np.uint64((tile[0, 2 * b, r] >> (7 - i)) & 1)
                bits |= one << np.uint64(r)
            planes[(8 * b + i) * WORDS + word] = bits


@kernel
def _cut_block_vector(tile, word, planes):
    """Do the same, 64 bytes at a time."""
    for b in range(tile.shape[1] // 2):
        byte = load(tile, 2 * b * BLOCK)
        place = 8 * b * WORDS + word
        for i in range(8):
            planes[place + i * WORDS] = _top_bits(byte)
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

    The parities of threes take the place of the planes, until one is left, in the
    first place.
    """
    count, place = n_bits, 0
    while count > 1:
        if count == 2:
            _store_plane(planes, 2 * WORDS, _no_rows())
            count = 3
        threes, left = count // 3, count % 3
        for t in range(threes):
            x = _load_plane(planes, 3 * t * WORDS)
            y = _load_plane(planes, (3 * t + 1) * WORDS)
            z = _load_plane(planes, (3 * t + 2) * WORDS)
            for turned in range(4):
                if turned == 1:
                    m = _majority(_not(x), y, z)
                elif turned == 2:
                    m = _majority(x, _not(y), z)
                elif turned == 3:
                    m = _majority(_not(x), _not(y), z)
                else:
                    m = _majority(x, y, z)
                _store_plane(table, (8 * (place + t) + turned) * WORDS, m)
                _store_plane(table, (8 * (place + t) + 7 - turned) * WORDS, _not(m))
            _store_plane(planes, t * WORDS, _parity(x, y, z))
        for i in range(left):
            plane = _load_plane(planes, (3 * threes + i) * WORDS)
            _store_plane(planes, (threes + i) * WORDS, plane)
        place += threes
        count = threes + left


# Sums of planes. Registers hold the bits 1, 2, 4 and 8 of the sums.


@inlined
def _pick_three(table, patterns, first, t):
    """Return parity and majority of three picked planes."""
    x = _pick(table, patterns, first, t)
    y = _pick(table, patterns, first, t + 1)
    z = _pick(table, patterns, first, t + 2)
    return _parity(x, y, z), _majority(x, y, z)


@inlined
def _add_seven(table, patterns, first, t):
    """Return the sum of seven picked planes."""
    a, i = _pick_three(table, patterns, first, t)
    b, j = _pick_three(table, patterns, first, t + 3)
    c = _pick(table, patterns, first, t + 6)
    k = _majority(a, b, c)
    return _parity(a, b, c), _parity(i, j, k), _majority(i, j, k)


@inlined
def _add_sixteen(table, patterns, first, t, ones, twos, fours, eights):
    """Add sixteen picked planes; the last plane returned is the carry to 16."""
    a, i, m = _add_seven(table, patterns, first, t)
    b, j, n = _add_seven(table, patterns, first, t + 7)
    c, d = _pick(table, patterns, first, t + 14), _pick(table, patterns, first, t + 15)
    x, k = _parity(c, d, ones), _majority(c, d, ones)
    ones, o = _parity(a, b, x), _majority(a, b, x)
    y, o = _parity(k, o, twos), _majority(k, o, twos)
    twos, p = _parity(i, j, y), _majority(i, j, y)
    z, u = _parity(o, p, fours), _majority(o, p, fours)
    fours, v = _parity(m, n, z), _majority(m, n, z)
    return ones, twos, fours, _parity(u, v, eights), _majority(u, v, eights)


@inlined
def _add_segment(table, patterns, first, start, stop):
    """Return the nine bits, from the lowest, of the sum of picked planes.

    At most ``_SEGMENT`` patterns, a multiple of ``_STEP``.
    """
    a = b = c = d = e = f = g = h = i = _no_rows()
    for t in range(start, stop, _STEP):
        a, b, c, d, x = _add_sixteen(table, patterns, first, t, a, b, c, d)
        a, b, c, d, y = _add_sixteen(table, patterns, first, t + 16, a, b, c, d)
        e, carry = _parity(x, y, e), _majority(x, y, e)
        f, carry = _xor(f, carry), _and(f, carry)
        g, carry = _xor(g, carry), _and(g, carry)
        h, i = _xor(h, carry), _xor(i, _and(h, carry))
    return a, b, c, d, e, f, g, h, i


@inlined
def _add_bit(sums, i, bit, carry):
    """Add two planes to bit i of sums; return the carry."""
    before = _load_plane(sums, i * WORDS)
    _store_plane(sums, i * WORDS, _parity(before, bit, carry))
    return _majority(before, bit, carry)


@kernel
def _add_segments(table, patterns, first, sums, n_sums):
    """Sum the planes that the patterns from ``first`` on pick.

    The sums' lowest bit goes into the second of ``sums``, the others follow.
    """
    for i in range(1, n_sums):
        _store_plane(sums, i * WORDS, _no_rows())
    for start in range(0, patterns.shape[1], _SEGMENT):
        stop = min(start + _SEGMENT, patterns.shape[1])
        a, b, c, d, e, f, g, h, i = _add_segment(table, patterns, first, start, stop)
        carry = _add_bit(sums, 1, a, _no_rows())
        carry = _add_bit(sums, 2, b, carry)
        carry = _add_bit(sums, 3, c, carry)
        carry = _add_bit(sums, 4, d, carry)
        carry = _add_bit(sums, 5, e, carry)
        carry = _add_bit(sums, 6, f, carry)
        carry = _add_bit(sums, 7, g, carry)
        carry = _add_bit(sums, 8, h, carry)
        carry = _add_bit(sums, 9, i, carry)
        for upper in range(10, n_sums):
            carry = _add_bit(sums, upper, _no_rows(), carry)


@inlined
def _mark_below(sums, n_sums, limit, marks):
    """Mark the rows whose sum is below a limit, which fits ``n_sums`` bits.

    Returns whether there are any.
    """
    below = _no_rows()
    for i in range(n_sums):
        bit = _load_plane(sums, i * WORDS)
        below = _keep_below(below, bit, _all_rows_if(limit >> i))
    _store_plane(marks, 0, below)
    return _any_rows(below)


# The scan.


@inlined
def _bit_count(x):  # LLVM makes the population count instruction of this
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    x = (x & pairs) + ((x >> np.uint64(2)) & pairs)
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def _count_row(codes, row, queries, q):
    count = 0
    for b in range(codes.shape[1]):
        count += _bit_count(np.uint64(codes[row, b] ^ queries[q, b]))
    return count


@kernel
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
    tile = np.zeros((1, 2 * width, BLOCK), np.uint8)
    planes = aligned((n_bits + 2) * WORDS)
    table = aligned(8 * n_threes * WORDS)
    table[:] = 0  # what is beyond the patterns adds nothing
    sums, marks = aligned(n_sums * WORDS), aligned(WORDS)
    for first in range(0, n_rows, _PLANE_ROWS):
        count = min(_PLANE_ROWS, n_rows - first)
        _cut_planes(codes, first, count, tile, planes)
        _make_majorities(planes, n_bits, table)
        ahead = (first + count) * width
        share = count * width // n_queries + 1
        for q in range(n_queries):
            for _ in range(0, share, CACHE_LINE):  # of the next tile
                prefetch(codes, ahead)
                ahead += CACHE_LINE
            limit = _count_limit(found.limits[q], cost, n_bits)
            parity = _load_plane(planes, 0)
            if parities[q]:
                parity = _not(parity)
            _store_plane(sums, 0, parity)
            _add_segments(table, patterns, q * n_threes, sums, n_sums)
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
