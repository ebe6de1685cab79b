"""Scan of codes by table look-ups in vector registers: exact, many rows at a time.

A few bits of a row, as many as a *line* of a tile holds, can take 16 or 64 values. For
one query, what they add to the distance is a table of as many small integers, and the
distance is the sum over lines of what their tables say. A vector instruction
(``pshufb`` and ``vpermb`` on x86, ``tbl`` on Arm) looks up 16 to 64 rows at once in a
table held in a register. This is the "fast scan" of André, Kermarrec and Le
Scouarnec, "Cache locality is not enough: high-performance nearest neighbor search with
product quantization fast scan" (VLDB 2015), here over codes that stay as they are, row
after row:

1. A *tile* of rows, as many as fit the second-level cache, is turned into blocks of
   64 rows, line after line: one vector holds the same bits of 64 rows.
2. For four queries at a time, which share the loaded codes, the tables are summed:
   a group of lines in 8 bits, then in 16 and in 32 bits. Sums of 8 bits stop at 255.
3. Sums that can beat the query's k-th distance are looked at one by one. Where the
   table is exact, groups never pass 255, and the sum is the distance. Where it is a
   float table rounded to 8 bits, the sum gives a lower bound of the distance (also
   where a group stopped at 255), and the rows that pass it are evaluated exactly. So
   rounding changes the speed only. Groups of large entries are rounded by larger steps,
   and their sums doubled.

Rows come in their order and must be strictly nearer than the k-th to enter, so that
ties go to the lower row. A query's result does not depend on the other queries.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .exact_distances import row_distances
from .jit import inlined, kernel
from .result_heap import counts, sift_down, sort_heaps, take_all
from .rounded_tables import LARGEST_SHIFT
from .simd import (
    BLOCK,
    BYTES,
    CACHE_LINE,
    INSTRUCTIONS,
    SHORTS,
    add,
    as_mask,
    call,
    list_rows,
    load,
    load_bytes,
    pointer,
    shuffle,
    splat,
    subtract,
    vector,
    with_constant,
    zeros,
)
from .tiles import (
    ENTRIES,
    LINES_IN_BYTE,
    count_lines,
    load_tile,
    lower_4,
    tile_width,
    upper_4,
)

# A tile leaves room for tables in the second-level cache.
_TILE_BYTES = (512 if ENTRIES == 64 else 192) * 1024
_TILE_ROWS = 4096
# Lines whose tables, of four queries, fit the first-level cache.
_SEGMENT_LINES = 8 * 1024 // ENTRIES
_LARGEST_SUM = 2**31 - 1
# Rows that may be near are looked at so many at a time and a few more.
_TOGETHER = 16
# With fewer rows in the first tile for each neighbor, no limit is sought beforehand.
ROWS_FOR_LIMIT = 4
# The look-up instructions: LLVM's name, and the bytes of a register.
_LOOKUPS = {
    "avx512vbmi": ("llvm.x86.avx512.permvar.qi.512", 64),
    "avx512": ("llvm.x86.avx512.pshuf.b.512", 64),
    "avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "neon": ("llvm.aarch64.neon.tbl1.v16i8", 16),
}


def emit_lookup(builder, instructions, table, index):
    """Emit the look-up of 64 indices in a table of 16 bytes, or of 64 with VBMI.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    instructions : {"avx2", "avx512", "avx512vbmi", "neon"}
    table, index : LLVM values, vectors of 16 (VBMI: 64) and of 64 bytes
    """
    name, width = _LOOKUPS[instructions]
    entries = table.type.count
    lanes = list(range(entries)) * (width // entries)
    table = shuffle(builder, table, table, lanes)
    found = []
    for start in range(0, BLOCK, width):
        lanes = list(range(start, start + width))
        some = shuffle(builder, index, index, lanes)
        found.append(call(builder, name, table.type, table, some))
    while len(found) > 1:
        lanes = list(range(2 * found[0].type.count))
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [shuffle(builder, a, b, lanes) for a, b in pairs]
    return found[0]


@intrinsic
def _lookup(typing, tables, offset, index):
    """Look up 64 indices in the table that starts ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        table = load_bytes(context, builder, signature, args[:2], ENTRIES)
        return emit_lookup(builder, INSTRUCTIONS, table, args[2])

    return BYTES(tables, types.int64, BYTES), emit


@intrinsic
def _number_at(typing, numbers, i):
    """Load the i-th of uint8 numbers."""

    def emit(context, builder, signature, args):
        byte = ir.IntType(8)
        place = pointer(context, builder, signature.args[0], *args, byte)
        return builder.zext(builder.load(place, typ=byte), ir.IntType(64))

    return types.int64(numbers, types.int64), emit


@intrinsic
def _add_up_to_255(typing, x, y):
    def emit(context, builder, signature, args):
        kind = args[0].type
        return call(builder, f"llvm.uadd.sat.v{kind.count}i8", kind, *args)

    return BYTES(BYTES, BYTES), emit


_odd_rows = with_constant("lshr", 8)
_times_256 = with_constant("shl", 8)


@intrinsic
def _as_words(typing, x):
    """View 64 bytes as 32 words: even rows in the low, odd rows in the high bytes."""

    def emit(context, builder, signature, args):
        return builder.bitcast(args[0], vector(16, BLOCK // 2))

    return SHORTS(BYTES), emit


@intrinsic
def _add_to_sums(typing, sums, offset, even, odd):
    """Add uint16 sums of even and of odd rows to the int32 sums of 64 rows."""

    def emit(context, builder, signature, args):
        array, offset, even, odd = args
        half = BLOCK // 2
        lanes = [row // 2 + half * (row % 2) for row in range(BLOCK)]
        target = vector(32, BLOCK)
        place = pointer(context, builder, signature.args[0], array, offset, target)
        added = builder.zext(shuffle(builder, even, odd, lanes), target)
        before = builder.load(place, align=4, typ=target)
        builder.store(builder.add(before, added), place, align=4)
        return context.get_dummy_value()

    return types.void(sums, types.int64, SHORTS, SHORTS), emit


@intrinsic
def _below(typing, sums, offset, limit):
    """Compare 64 int32 sums with a limit; return the mask of those below."""

    def emit(context, builder, signature, args):
        kind = vector(32, BLOCK)
        place = pointer(context, builder, signature.args[0], *args[:2], kind)
        some = builder.load(place, align=4, typ=kind)
        limit = splat(builder, args[2], BLOCK)
        return as_mask(builder, builder.icmp_signed("<", some, limit))

    return types.uint64(sums, types.int64, types.int32), emit


@intrinsic
def _not_above(typing, sums, place, offset, size, first, step, base, limit):
    """Compute the lower bounds of 64 rows; return the mask of those not above a limit.

    ``place`` and ``first`` are offsets in bytes, of the sums and of both float arrays.
    The bound is ``offset + size * (step * sum + base)``, in float32.
    """

    def emit(context, builder, signature, args):
        def load(which, where, element):
            kind = ir.VectorType(element, BLOCK)
            start = pointer(
                context, builder, signature.args[which], args[which], where, kind
            )
            return builder.load(start, align=4, typ=kind)

        floats = ir.VectorType(ir.FloatType(), BLOCK)
        _, place, _, _, first, *numbers = args
        step, base, limit = (splat(builder, x, BLOCK) for x in numbers)
        total = builder.sitofp(load(0, place, ir.IntType(32)), floats)
        low = builder.fadd(builder.fmul(step, total), base)
        low = builder.fmul(load(3, first, ir.FloatType()), low)
        low = builder.fadd(load(2, first, ir.FloatType()), low)
        # "not above", so that NaN is looked at.
        return as_mask(builder, builder.fcmp_unordered("<=", low, limit))

    offsets, real = types.int64, types.float32
    return types.uint64(sums, offsets, offset, size, offsets, real, real, real), emit


# Sums of tables over a tile.


@kernel
def _sum_plain(tile, tables, which, shifts, q, group, sums):
    """Sum the tables of query q over the rows of a tile, by plain loops."""
    n_lines = 2 * tile.shape[1]
    for block in range(tile.shape[0]):
        for start in range(0, n_lines, group):
            for r in range(BLOCK):
                total = np.int32(0)
                for p in range(start, min(start + group, n_lines)):
                    t = q * n_lines + p if which is None else which[q, p]
                    number = (tile[block, p // 2, r] >> 4 * (1 - p % 2)) & 15
                    total += np.int32(tables[t, number])
                shift = 0 if shifts is None else shifts[q, start // group]
                sums[block * BLOCK + r] += min(total, np.int32(255)) << shift


@inlined
def _place_of_table(which, i):
    """Return the place in bytes of the table that a query uses for a line.

    ``i`` is their number, line after line, query after query.
    """
    if which is None:
        return i * ENTRIES
    return _number_at(which, i) * ENTRIES


@inlined
def _two_lines(tile, p):
    """Return line p of all blocks, one after the other, an even one, and the next."""
    byte = load(tile, p // LINES_IN_BYTE * BLOCK)
    if LINES_IN_BYTE == 2:
        return upper_4(byte), lower_4(byte)
    return byte, load(tile, (p + 1) * BLOCK)


@inlined
def _add_pair(small, tables, which, i, first, second):
    """Add the entries of two lines, of 127 at most, to sums that stop at 255.

    The plain addition in between runs where the look-up does not.
    """
    t, u = _place_of_table(which, i), _place_of_table(which, i + 1)
    entries = add(_lookup(tables, t, first), _lookup(tables, u, second))
    return _add_up_to_255(small, entries)


@intrinsic
def _doubled(typing, x, n):
    """Double words n times, modulo 2^16."""

    def emit(context, builder, signature, args):
        times = builder.trunc(args[1], ir.IntType(16))
        return builder.shl(args[0], splat(builder, times, BLOCK // 2))

    return SHORTS(SHORTS, types.int64), emit


@inlined
def _words_of(small, shifts, q, g):
    """Return the sums of a group, as often as they count, as words and of odd rows."""
    words = _as_words(small)
    odd = _odd_rows(words)
    if shifts is not None:
        shift = np.int64(shifts[q, g])
        if shift > 0:
            words, odd = _doubled(words, shift), _doubled(odd, shift)
    return words, odd


@inlined
def _segment_length(which, shifts, group):
    """Return the number of lines, a multiple of ``group``, to be summed at once.

    The sums of 256 groups fit 16 bits, or of fewer that count more than once. Where
    each line has tables of its own, those of four queries should fit the first-level
    cache.
    """
    most = 256 if shifts is None else 256 >> LARGEST_SHIFT
    if which is None:
        return min(most, -(-_SEGMENT_LINES // group)) * group
    return most * group


@kernel
def _sum_one(tile, tables, which, shifts, q, group, sums):
    """Sum the tables of query q over the rows of a tile.

    The 8-bit sums of groups of lines are added up as words of two rows, low and high
    byte, and the high bytes once more on their own. These, times 256, are taken from
    the first sum, modulo 2^16, and leave the sum of the low bytes. 256 groups fit 16
    bits.
    """
    n_lines = LINES_IN_BYTE * tile.shape[1]
    length = _segment_length(which, shifts, group)
    for segment in range(0, n_lines, length):
        for block in range(tile.shape[0]):
            both = _as_words(zeros())
            odd = _as_words(zeros())
            segment_end = min(segment + length, n_lines)
            for start in range(segment, segment_end, group):
                small = zeros()
                for p in range(start, min(start + group, segment_end), 2):
                    first, second = _two_lines(tile, block * n_lines + p)
                    i = q * n_lines + p
                    small = _add_pair(small, tables, which, i, first, second)
                all_rows, odd_rows = _words_of(small, shifts, q, start // group)
                both, odd = add(both, all_rows), add(odd, odd_rows)
            even = subtract(both, _times_256(odd))
            _add_to_sums(sums, block * BLOCK * 4, even, odd)


@inlined
def _sum_four(tile, tables, which, shifts, four, group, sums):
    """Do the same for four queries, which share the lines."""
    n_lines = LINES_IN_BYTE * tile.shape[1]
    length = _segment_length(which, shifts, group)
    rows = sums.shape[1]
    for segment in range(0, n_lines, length):
        for block in range(tile.shape[0]):
            both0 = both1 = both2 = both3 = _as_words(zeros())
            odd0 = odd1 = odd2 = odd3 = _as_words(zeros())
            segment_end = min(segment + length, n_lines)
            for start in range(segment, segment_end, group):
                small0 = small1 = small2 = small3 = zeros()
                for p in range(start, min(start + group, segment_end), 2):
                    first, second = _two_lines(tile, block * n_lines + p)
                    i = four[0] * n_lines + p
                    small0 = _add_pair(small0, tables, which, i, first, second)
                    i = four[1] * n_lines + p
                    small1 = _add_pair(small1, tables, which, i, first, second)
                    i = four[2] * n_lines + p
                    small2 = _add_pair(small2, tables, which, i, first, second)
                    i = four[3] * n_lines + p
                    small3 = _add_pair(small3, tables, which, i, first, second)
                g = start // group
                all_rows, odd_rows = _words_of(small0, shifts, four[0], g)
                both0, odd0 = add(both0, all_rows), add(odd0, odd_rows)
                all_rows, odd_rows = _words_of(small1, shifts, four[1], g)
                both1, odd1 = add(both1, all_rows), add(odd1, odd_rows)
                all_rows, odd_rows = _words_of(small2, shifts, four[2], g)
                both2, odd2 = add(both2, all_rows), add(odd2, odd_rows)
                all_rows, odd_rows = _words_of(small3, shifts, four[3], g)
                both3, odd3 = add(both3, all_rows), add(odd3, odd_rows)
            out = block * BLOCK * 4
            _add_to_sums(sums, out, subtract(both0, _times_256(odd0)), odd0)
            out += rows * 4
            _add_to_sums(sums, out, subtract(both1, _times_256(odd1)), odd1)
            out += rows * 4
            _add_to_sums(sums, out, subtract(both2, _times_256(odd2)), odd2)
            out += rows * 4
            _add_to_sums(sums, out, subtract(both3, _times_256(odd3)), odd3)


@inlined
def _sum_some_plain(tile, tables, which, shifts, queries, first, stop, group, sums):
    sums[:] = 0
    for i in range(first, stop):
        _sum_plain(tile, tables, which, shifts, queries[i], group, sums[i - first])


@inlined
def _sum_some_vector(tile, tables, which, shifts, queries, first, stop, group, sums):
    sums[:] = 0
    if stop - first > 2:
        # Of three the last one is taken again: its sums are stored over.
        i = first
        four = (queries[i], queries[i + 1], queries[i + 2], queries[stop - 1])
        _sum_four(tile, tables, which, shifts, four, group, sums)
    else:
        for i in range(first, stop):
            _sum_one(tile, tables, which, shifts, queries[i], group, sums[i - first])


# Sums the tables of queries[first:stop], four at most, over the rows of a tile.
sum_some = _sum_some_plain if INSTRUCTIONS == "portable" else _sum_some_vector


# Scans.


@kernel
def make_tile(n_rows, n_lines):
    """Return a tile of zeros that starts at a cache line."""
    width = tile_width(n_lines)
    room = np.zeros(n_rows * width + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    some = room[start : start + n_rows * width]
    return some.reshape((n_rows // BLOCK, width, BLOCK))


@kernel
def count_tile_rows(n_rows, n_lines):
    width = tile_width(n_lines)
    fitting = max(BLOCK, min(_TILE_ROWS, _TILE_BYTES // width) // BLOCK * BLOCK)
    return min(fitting, -(-n_rows // BLOCK) * BLOCK)


@inlined
def _mask_below_plain(sums, i, start, limit):
    """Compare the sums i of a block with a limit; bit r of the mask is row r."""
    mask = np.uint64(0)
    for r in range(BLOCK):
        mask |= np.uint64(sums[i, start + r] < limit) << np.uint64(r)
    return mask


@inlined
def _mask_below_vector(sums, i, start, limit):
    return _below(sums, (i * sums.shape[1] + start) * 4, limit)


mask_below = _mask_below_plain if INSTRUCTIONS == "portable" else _mask_below_vector


@inlined
def whole_limit(limit):
    """Return the integer that whole sums below the limit are below as well."""
    return np.int32(max(0.0, min(np.ceil(limit), _LARGEST_SUM)))


@inlined
def inside(mask, count):
    """Leave the first rows of a block, 64 or fewer, in a mask."""
    if count >= BLOCK:
        return mask
    return mask & ((np.uint64(1) << np.uint64(count)) - np.uint64(1))


@kernel
def _take_sums(sums, i, first, rows, n, near, q, allowed, found):
    """Take n rows of a tile whose sum is below the limit: sums are distances.

    ``rows`` is changed; ``near``, float64: room for as many distances.
    """
    for at in range(n):
        near[at] = np.float64(sums[i, rows[at]])
        rows[at] += first
    take_all(near, rows, n, q, allowed, found)


@kernel
def scan_exact(codes, bits, tables, which, group, allowed, found):
    """Find rows by exact tables: the sum of a row's entries is its distance.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
        Bytes of the codes; of two bits, bytes of signs and of magnitudes in turn.
    bits : int
        Bits per coordinate.
    tables : uint8 array (n_tables, ENTRIES)
        Entry by table and by the number that a row has in a line.
    which : uint8 array (n_queries, n_lines)
        The table of a query for a line: all lines are made alike.
    group : int
        Number of lines, even, whose entries add up to 255 at most; one entry is 127
        at most.
    allowed : Allowed
    found : Found
        Changed. Distances and limits are sums of entries.
    """
    n_rows, n_lines = codes.shape[0], count_lines(codes.shape[1], bits)
    step = count_tile_rows(n_rows, n_lines)
    tile = make_tile(step, n_lines)
    sums = np.zeros((4, step), np.int32)
    rows, near = np.empty(_TOGETHER + BLOCK, np.int64), np.empty(_TOGETHER + BLOCK)
    queries = np.arange(which.shape[0])
    for first in range(0, n_rows, step):
        count = min(step, n_rows - first)
        load_tile(codes, first, count, bits, tile)
        for q in range(0, which.shape[0], 4):
            stop = min(q + 4, which.shape[0])
            sum_some(tile, tables, which, None, queries, q, stop, group, sums)
            for one in range(q, stop):
                n = 0
                for start in range(0, count, BLOCK):
                    limit = whole_limit(found.limits[one])
                    mask = mask_below(sums, one - q, start, limit)
                    if mask == 0:
                        continue  # as mostly: calls with many arrays take long
                    n = list_rows(inside(mask, count - start), start, rows, n)
                    if n >= _TOGETHER:
                        _take_sums(
                            sums, one - q, first, rows, n, near, one, allowed, found
                        )
                        n = 0
                if n > 0:
                    _take_sums(sums, one - q, first, rows, n, near, one, allowed, found)
    if not found.keep_all:
        sort_heaps(found)


@kernel
def load_scales(bounds, first, count, offset, size):
    """Copy the offsets and the sizes of the scales of a tile.

    Rows whose scale has the other sign get the lower bound -infinity.

    Returns
    -------
    room : float
        What rounding in float32 may add to a lower bound because of its offset: two
        units of 2^-24 of that. The rounding of the rest is in ``bounds.queries``.
    """
    if bounds.offset.size == 0:
        offset[:count], size[:count] = 0, 1
        return 0.0
    sign, largest = np.float32(bounds.sign), np.float32(0)
    given, scale = bounds.offset[first : first + count], bounds.scale[first:]
    for r in range(count):  # in two loops of one kind, which become vectors
        along = scale[r] * sign
        offset[r] = given[r] if along >= 0 else np.float32(-np.inf)
        size[r] = along if along >= 0 else np.float32(0)
    # Floats that are not negative are in the order of their bits.
    bits = given.view(np.int32)
    most = np.int32(0)
    for r in range(count):
        most = max(most, bits[r] & np.int32(0x7FFFFFFF))
    largest = np.array([most], np.int32).view(np.float32)[0]
    return np.float64(largest) * 2.0**-21


@inlined
def _mask_near_plain(sums, i, start, offset, size, bound, limit):
    """Compute the lower bounds of a block; the mask has those not above the limit."""
    step, base = bound
    mask = np.uint64(0)
    for r in range(BLOCK):
        total = np.float32(sums[i, start + r])
        low = offset[start + r] + size[start + r] * (step * total + base)
        mask |= np.uint64(not low > limit) << np.uint64(r)
    return mask


@inlined
def _mask_near_vector(sums, i, start, offset, size, bound, limit):
    place = (i * sums.shape[1] + start) * 4
    return _not_above(sums, place, offset, size, start * 4, bound[0], bound[1], limit)


mask_near = _mask_near_plain if INSTRUCTIONS == "portable" else _mask_near_vector


@inlined
def padded_limit(limit, room):
    """Limit in float32, for lower bounds computed in float32."""
    return np.float32(limit + abs(limit) * 2.0**-22 + room)


@kernel
def _take_near(rows, n, q, codes, bits, bounds, queries, near, allowed, found):
    """Take those of n rows that are below the limit by their distance.

    ``near``, float64: room for as many distances.
    """
    row_distances(codes, rows, n, bits, q, bounds, queries, near)
    take_all(near, rows, n, q, allowed, found)


@kernel
def _first_limit(
    sums, i, count, offset, size, bound, k, q, codes, bits, bounds, queries, allowed
):
    """Return a distance that k rows of the first tile are below, if so many count.

    It is just above the farthest of the k rows with the least lower bounds. Rows come
    in their order, so that without it a few hundred would be evaluated, and kept for a
    while, before the limit is of any use.
    """
    lows, rows = np.full(k, np.inf), np.full(k, -1)
    listed, step, base = np.empty(BLOCK, np.int64), bound[0], bound[1]
    for start in range(0, count, BLOCK):
        limit = np.float32(lows[0])
        mask = mask_near(sums, i, start, offset, size, bound, limit)
        n = list_rows(inside(mask, count - start), start, listed, 0)
        for at in range(n):
            r = listed[at]
            low = offset[r] + size[r] * (step * np.float32(sums[i, r]) + base)
            if low < lows[0] and counts(r, q, allowed):
                lows[0], rows[0] = low, r
                sift_down(lows, rows, 0, k)
    if lows[0] == np.inf:
        return np.inf
    row_distances(codes, rows, k, bits, q, bounds, queries, lows)
    return np.nextafter(lows.max(), np.inf)


@kernel
def scan_bounded(codes, bits, tables, group, bounds, queries, allowed, found):
    """Find rows by rounded tables, and by exact distances where these may decide.

    Parameters
    ----------
    codes, bits, group : as in ``scan_exact``
    tables : uint8 array (n_queries * n_lines, ENTRIES)
        Those of a query's lines stand one after the other.
    bounds : Bounds
    queries : Queries
    allowed : Allowed
    found : Found
        Changed.
    """
    n_rows, n_lines = codes.shape[0], count_lines(codes.shape[1], bits)
    step = count_tile_rows(n_rows, n_lines)
    tile = make_tile(step, n_lines)
    sums = np.zeros((4, step), np.int32)
    offset, size = np.zeros(step, np.float32), np.zeros(step, np.float32)
    rows, near = np.empty(_TOGETHER + BLOCK, np.int64), np.empty(_TOGETHER + BLOCK)
    numbers, shifts = np.arange(bounds.queries.shape[0]), bounds.shifts
    for first in range(0, n_rows, step):
        count = min(step, n_rows - first)
        load_tile(codes, first, count, bits, tile)
        room = load_scales(bounds, first, count, offset, size)
        for q in range(0, bounds.queries.shape[0], 4):
            stop = min(q + 4, bounds.queries.shape[0])
            sum_some(tile, tables, None, shifts, numbers, q, stop, group, sums)
            for one in range(q, stop):
                bound = (bounds.queries[one, 0], bounds.queries[one, 1])
                k = found.starts[one + 1] - found.starts[one]
                if first == 0 and not found.keep_all and count >= ROWS_FOR_LIMIT * k:
                    reach = _first_limit(
                        sums, one - q, count, offset, size, bound, k, one, codes, bits,
                        bounds, queries, allowed,
                    )  # fmt: skip
                    found.limits[one] = min(found.limits[one], reach)
                n = 0
                for start in range(0, count, BLOCK):
                    limit = padded_limit(found.limits[one], room)
                    mask = mask_near(sums, one - q, start, offset, size, bound, limit)
                    if mask == 0:
                        continue
                    n = list_rows(inside(mask, count - start), first + start, rows, n)
                    if n >= _TOGETHER:
                        _take_near(
                            rows, n, one, codes, bits, bounds, queries, near, allowed,
                            found,
                        )  # fmt: skip
                        n = 0
                if n > 0:
                    _take_near(
                        rows, n, one, codes, bits, bounds, queries, near, allowed, found
                    )
    if not found.keep_all:
        sort_heaps(found)
