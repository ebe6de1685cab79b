"""Exact distances of single rows, in float64 and in one order of additions."""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .simd import (
    BYTES,
    INSTRUCTIONS,
    add_floats,
    call,
    pointer,
    shuffle,
    splat,
    store,
    sum_of_eight,
    vector,
    word_at,
    zero_doubles,
)

# Rows whose nibbles are looked up together, and the fewest for which that pays.
_ROWS_TOGETHER, _FEWEST_TOGETHER = 8, 3


class Bounds(NamedTuple):
    """How sums of rounded tables bound distances.

    The float sum is at least ``base + step * sum``: the columns of ``queries``, in the
    order step, base, float32 (n_queries, 2), with room for rounding in float32, and
    ``shifts``, as in ``RoundedTables``. The distance is ``offset + |scale| * float
    sum``, float32 (n_rows,), if the sign of ``scale`` is ``sign``, -1 or 1; of other
    rows nothing is known. Where ``offset`` and ``scale`` are empty, the distance is the
    float sum itself.
    """

    queries: np.ndarray
    shifts: np.ndarray
    offset: np.ndarray
    scale: np.ndarray
    sign: int


class Queries(NamedTuple):
    """What the exact distance of a row is computed from.

    Either float queries: ``terms``, float64 (n_queries, bytes, 8 * bits), what each
    coordinate of a byte adds to the product where its sign is plus: of two bits those
    of low magnitudes, then those of high ones; the last coordinate of the byte is the
    first, as its bit is the lowest. ``least``, float64 (n_queries,): what smaller
    distances become. Or, where ``terms`` has no rows, codes of two bits: ``codes``,
    uint8 (n_queries, width), with ``costs``, float64 (6,), as ``_count_distance`` takes
    them. ``n_features``: number of coordinates.

    Or, where ``tables`` has rows, float queries of mixed depths, with ``least``:
    float32 (n_queries, 2 * width, 16), what each nibble adds to the product.
    """

    terms: np.ndarray
    least: np.ndarray
    codes: np.ndarray
    costs: np.ndarray
    n_features: int
    tables: np.ndarray = np.empty((0, 0, 0), np.float32)


@kernel
def fill_terms(values, levels, terms):
    """Fill the terms of float queries: values times the levels of magnitudes.

    Parameters
    ----------
    values : float32 array (n_queries, 8 * bytes)
        Zero beyond the coordinates.
    levels : float64 array (2,)
        Values of a low and of a high magnitude; of one bit the first counts.
    terms : float64 array (n_queries, bytes, 8 * bits)
        Filled.
    """
    for q in range(terms.shape[0]):
        for b in range(terms.shape[1]):
            for j in range(terms.shape[2]):
                x = np.float64(values[q, 8 * b + 7 - (j & 7)])
                terms[q, b, j] = x * levels[j >> 3]


def emit_terms(builder, instructions, word, byte, terms):
    """Emit eight terms of a byte of bits, or what is left of zero less them.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    instructions : str
        As ``INSTRUCTIONS``.
    word : LLVM value, int64
        Eight bytes of a code.
    byte : int
        Which of them has the signs: a bit of 0 means minus.
    terms : list of LLVM values, vectors of 8 float64
        Of low magnitudes, and of high ones where the next byte is of magnitudes.
    """
    kind, added = vector(64, 8), terms[0]
    if instructions.startswith("avx512"):  # a byte of bits is a mask as it is

        def is_set(byte):
            some = builder.lshr(word, word.type(8 * byte))
            some = builder.trunc(some, ir.IntType(8))
            return builder.bitcast(some, ir.VectorType(ir.IntType(1), 8))

        if len(terms) == 2:
            added = builder.select(is_set(byte + 1), terms[1], added)
        return builder.select(is_set(byte), added, builder.fneg(added))

    def moved(word, byte):
        """Move the bit of each lane to its highest place, where instructions look."""
        shifts = [63 - 8 * byte - lane for lane in range(8)]
        return builder.shl(splat(builder, word, 8), ir.Constant(kind, shifts))

    if len(terms) == 2:
        is_high = builder.icmp_signed("<", moved(word, byte + 1), kind(None))
        added = builder.select(is_high, terms[1], added)
    sign = ir.Constant(kind, [1 << 63] * 8)
    sign = builder.and_(moved(builder.not_(word), byte), sign)
    return builder.bitcast(builder.xor(builder.bitcast(added, kind), sign), added.type)


def _adder_of_terms(bits, n):
    """Make the addition of terms of n bytes of signs, each to the next of four sums."""

    @intrinsic
    def add(typing, sums, word, terms, offset):
        """Add terms to four sums, which are turned by n places then.

        ``word`` has the bytes of bits, ``offset`` is that of the terms, in bytes.
        """

        def emit(context, builder, signature, args):
            sums, word, terms, offset = args
            sums = [builder.extract_value(sums, i) for i in range(4)]
            kind = sums[0].type
            place = pointer(context, builder, signature.args[2], terms, offset, kind)
            for b in range(n):
                some = []
                for i in range(bits):
                    at = ir.Constant(ir.IntType(64), bits * b + i)
                    at = builder.gep(place, [at], source_etype=kind)
                    some.append(builder.load(at, align=8, typ=kind))
                added = emit_terms(builder, INSTRUCTIONS, word, bits * b, some)
                sums = [*sums[1:], builder.fadd(sums[0], added)]
            return context.make_tuple(builder, signature.return_type, sums)

        return sums(sums, types.uint64, terms, types.int64), emit

    return add


@kernel
def _product_plain(codes, row, bits, terms, q):
    """Product of float query q with the values of a row, in float64.

    Coordinate i is added to the (i modulo 32)th of 32 sums s, in order. Then t_j is
    (s_j + s_j+8) + (s_j+16 + s_j+24), and the product is
    ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7)). Whatever keeps to this order
    gives the same last bit; sums of eight may stand in the opposite order.
    """
    s = np.zeros(32)
    for b in range(codes.shape[1] // bits):
        signs = codes[row, bits * b]
        strong = codes[row, 2 * b + 1] if bits == 2 else np.uint8(0)
        for j in range(8):
            x = terms[q, b, 8 * ((strong >> j) & 1) + j]
            s[8 * (b % 4) + j] += x if (signs >> j) & 1 else -x
    t = (s[:8] + s[8:16]) + (s[16:24] + s[24:])
    return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))


def _product_in_vectors(bits):
    """Make the same with the sums in four vectors."""
    add_word, add_byte = _adder_of_terms(bits, 8 // bits), _adder_of_terms(bits, 1)

    @inlined
    def product(codes, row, terms, q):
        width, n_bytes = codes.shape[1], terms.shape[1]
        start, size = q * n_bytes * 64 * bits, 64 * bits  # of the terms of a byte
        sums = (zero_doubles(), zero_doubles(), zero_doubles(), zero_doubles())
        for b in range(0, width - 7, 8):
            word = word_at(codes, row * width + b)
            sums = add_word(sums, word, terms, start + b // bits * size)
        first = width // 8 * 8 // bits
        for b in range(first, n_bytes):
            word = np.uint64(codes[row, bits * b])
            if bits == 2:
                word |= np.uint64(codes[row, 2 * b + 1]) << np.uint64(8)
            sums = add_byte(sums, word, terms, start + b * size)
        for _ in range((first - n_bytes) % 4):
            sums = (sums[1], sums[2], sums[3], sums[0])
        both = add_floats(sums[0], sums[1]), add_floats(sums[2], sums[3])
        return sum_of_eight(add_floats(both[0], both[1]))

    return product


_product_of_one_bit, _product_of_two = _product_in_vectors(1), _product_in_vectors(2)


@inlined
def _product_vector(codes, row, bits, terms, q):
    if bits == 2:
        return _product_of_two(codes, row, terms, q)
    return _product_of_one_bit(codes, row, terms, q)


_product = _product_plain if INSTRUCTIONS == "portable" else _product_vector
_BIT_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int64)


@kernel
def _count_distance(codes, row, bits, query, costs, n_features):
    """Distance of codes from counts of coordinates, in float64.

    ``costs`` are of coordinates where the signs agree and the magnitudes are low and
    low, low and high, high and high; then where the signs differ. Counts times
    costs are added in this order, so that equal counts give equal distances.
    """
    total = 0.0
    counts = np.zeros(6, np.int64)
    for b in range(codes.shape[1] // bits):
        differ = np.int64(codes[row, bits * b] ^ query[bits * b])
        m = np.int64(codes[row, 2 * b + 1]) if bits == 2 else 0
        n = np.int64(query[2 * b + 1]) if bits == 2 else 0
        classes = (255 ^ (m | n), m ^ n, m & n)
        for c in range(3):
            counts[c] += _BIT_COUNTS[classes[c] & ~differ]
            counts[3 + c] += _BIT_COUNTS[classes[c] & differ]
    counts[0] -= 8 * (codes.shape[1] // bits) - n_features  # padding
    for c in range(6):
        total += costs[c] * counts[c]
    return total


@kernel
def _product_of_nibbles(codes, row, tables, q):
    """Sum what the nibbles of a row add to the product with query q, in float64.

    Nibble i is added to the (i modulo 4)th of four sums, in order; the product is
    (s0 + s1) + (s2 + s3).
    """
    s0 = s1 = s2 = s3 = 0.0
    width = codes.shape[1]
    for b in range(0, width // 2 * 2, 2):
        one, two = codes[row, b], codes[row, b + 1]
        s0 += tables[q, 2 * b, one >> 4]
        s1 += tables[q, 2 * b + 1, one & 15]
        s2 += tables[q, 2 * b + 2, two >> 4]
        s3 += tables[q, 2 * b + 3, two & 15]
    if width % 2:
        one = codes[row, width - 1]
        s0 += tables[q, 2 * width - 2, one >> 4]
        s1 += tables[q, 2 * width - 1, one & 15]
    return (s0 + s1) + (s2 + s3)


@intrinsic
def _transpose_words(typing, words):
    """Turn eight words of eight bytes: the first bytes of all, the second ones, ...

    Three rounds of interleaving the first half of all bytes with the second.
    """

    def emit(context, builder, signature, args):
        some = ir.Constant(ir.VectorType(ir.IntType(64), _ROWS_TOGETHER), None)
        for r in range(_ROWS_TOGETHER):
            word = builder.extract_value(args[0], r)
            place = ir.Constant(ir.IntType(32), r)
            some = builder.insert_element(some, word, place)
        some = builder.bitcast(some, BYTES.llvm_type)
        half = BYTES.llvm_type.count // 2
        lanes = [i // 2 + half * (i % 2) for i in range(2 * half)]
        for _ in range(3):
            some = shuffle(builder, some, some, lanes)
        return some

    return BYTES(types.UniTuple(types.uint64, _ROWS_TOGETHER)), emit


def emit_float_lookup(builder, table, index):
    """Emit the look-up of eight numbers below 16 in a table of as many float32.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    table, index : LLVM values, vectors of 16 float32 and of 8 int32
    """
    name, found = "llvm.x86.avx2.permps", []
    for start in (0, 8):
        half = shuffle(builder, table, table, list(range(start, start + 8)))
        found.append(call(builder, name, half.type, half, index))
    is_lower = builder.icmp_signed("<", index, ir.Constant(index.type, [8] * 8))
    return builder.select(is_lower, *found)


def _emit_byte(builder, sums, numbers, tables):
    """Add what both halves of a byte of eight rows add to four sums.

    The upper halves are added to the first sum, the lower ones to the second; the sums
    are then the other way round, for the next byte. ``tables`` points at the table of
    the upper halves; the next one is of the lower.
    """
    line = ir.VectorType(ir.FloatType(), 16)
    numbers = builder.zext(numbers, vector(32, _ROWS_TOGETHER))
    constants = [ir.Constant(numbers.type, [x] * _ROWS_TOGETHER) for x in (4, 15)]
    upper = builder.lshr(numbers, constants[0])
    lower = builder.and_(numbers, constants[1])
    added = []
    for i, index in enumerate((upper, lower)):
        place = builder.gep(tables, [ir.Constant(ir.IntType(64), i)], source_etype=line)
        entries = builder.load(place, align=4, typ=line)
        entries = emit_float_lookup(builder, entries, index)
        added.append(builder.fadd(sums[i], builder.fpext(entries, sums[i].type)))
    return sums[2:] + added


@intrinsic
def _add_eight_bytes(typing, sums, numbers, tables, offset):
    """Add what eight bytes of eight rows add, one after the other, to four sums.

    ``offset`` is that of the first table, in bytes.
    """

    def emit(context, builder, signature, args):
        sums, numbers, tables, offset = args
        sums = [builder.extract_value(sums, i) for i in range(4)]
        line = ir.VectorType(ir.FloatType(), 16)
        place = pointer(context, builder, signature.args[2], tables, offset, line)
        for b in range(8):
            lanes = list(range(_ROWS_TOGETHER * b, _ROWS_TOGETHER * (b + 1)))
            some = shuffle(builder, numbers, numbers, lanes)
            first = ir.Constant(ir.IntType(64), 2 * b)
            moved = builder.gep(place, [first], source_etype=line)
            sums = _emit_byte(builder, sums, some, moved)
        return context.make_tuple(builder, signature.return_type, sums)

    return sums(sums, BYTES, tables, types.int64), emit


@intrinsic
def _add_one_byte(typing, sums, word, tables, offset):
    """Do the same with one byte of eight rows, the first in the lowest bits of a word.

    The sums are then the other way round, for the next byte.
    """

    def emit(context, builder, signature, args):
        sums, word, tables, offset = args
        sums = [builder.extract_value(sums, i) for i in range(4)]
        line = ir.VectorType(ir.FloatType(), 16)
        place = pointer(context, builder, signature.args[2], tables, offset, line)
        numbers = builder.bitcast(word, vector(8, _ROWS_TOGETHER))
        sums = _emit_byte(builder, sums, numbers, place)
        return context.make_tuple(builder, signature.return_type, sums)

    return sums(sums, types.uint64, tables, types.int64), emit


@inlined
def _products_together(codes, rows, first, n, tables, q, out):
    """Fill the products of eight rows, those beyond the last of n being the last."""
    r0, r1, r2, r3, r4, r5, r6, r7 = (
        rows[first], rows[min(first + 1, n - 1)],
        rows[min(first + 2, n - 1)], rows[min(first + 3, n - 1)],
        rows[min(first + 4, n - 1)], rows[min(first + 5, n - 1)],
        rows[min(first + 6, n - 1)], rows[min(first + 7, n - 1)],
    )  # fmt: skip
    width = codes.shape[1]
    sums = (zero_doubles(), zero_doubles(), zero_doubles(), zero_doubles())
    start = q * tables.shape[1] * 64
    for b in range(0, width - 7, 8):
        words = (
            word_at(codes, r0 * width + b), word_at(codes, r1 * width + b),
            word_at(codes, r2 * width + b), word_at(codes, r3 * width + b),
            word_at(codes, r4 * width + b), word_at(codes, r5 * width + b),
            word_at(codes, r6 * width + b), word_at(codes, r7 * width + b),
        )  # fmt: skip
        numbers = _transpose_words(words)
        sums = _add_eight_bytes(sums, numbers, tables, start + 128 * b)
    for b in range(width // 8 * 8, width):
        word = np.uint64(0)
        for i in range(_ROWS_TOGETHER):
            byte = np.uint64(codes[rows[min(first + i, n - 1)], b])
            word |= byte << np.uint64(8 * i)
        sums = _add_one_byte(sums, word, tables, start + 128 * b)
    if width % 2:
        sums = (sums[2], sums[3], sums[0], sums[1])
    both = add_floats(sums[0], sums[1]), add_floats(sums[2], sums[3])
    store(out, first * 8, add_floats(both[0], both[1]))


@kernel
def _products_plain(codes, rows, n, tables, q, out):
    """Fill the products of the first n of some rows with query q, row by row."""
    for i in range(n):
        out[i] = _product_of_nibbles(codes, rows[i], tables, q)


@kernel
def _products_vector(codes, rows, n, tables, q, out):
    """Do the same for eight rows at a time, which share the loads of tables."""
    for i in range(0, n, _ROWS_TOGETHER):
        if n - i >= _FEWEST_TOGETHER and i + _ROWS_TOGETHER <= out.size:
            _products_together(codes, rows, i, n, tables, q, out)
        else:
            for j in range(i, min(i + _ROWS_TOGETHER, n)):
                out[j] = _product_of_nibbles(codes, rows[j], tables, q)


_is_x86 = INSTRUCTIONS.startswith("avx")
_products_of_nibbles = _products_vector if _is_x86 else _products_plain


@inlined
def row_distance(codes, row, bits, q, bounds, queries):
    """Exact distance of a row to query q."""
    if queries.tables.shape[0] > 0:
        product = _product_of_nibbles(codes, row, queries.tables, q)
        distance = (
            np.float64(bounds.offset[row]) + np.float64(bounds.scale[row]) * product
        )
        return max(distance, queries.least[q])
    if queries.terms.shape[0] == 0:
        return _count_distance(
            codes, row, bits, queries.codes[q], queries.costs, queries.n_features
        )
    product = _product(codes, row, bits, queries.terms, q)
    distance = np.float64(bounds.offset[row]) + np.float64(bounds.scale[row]) * product
    return max(distance, queries.least[q])


@kernel
def row_distances(codes, rows, n, bits, q, bounds, queries, out):
    """Fill the exact distances of the first n of some rows to query q.

    What ``out`` holds beyond these may change. One call for many rows: numba counts
    references of arrays at each.
    """
    if queries.tables.shape[0] > 0:
        tables = queries.tables
        _products_of_nibbles(codes, rows, n, tables, q, out)
    elif queries.terms.shape[0] > 0:
        terms = queries.terms
        for i in range(n):
            out[i] = _product(codes, rows[i], bits, terms, q)
    else:
        query, costs, n_features = queries.codes[q], queries.costs, queries.n_features
        for i in range(n):
            out[i] = _count_distance(codes, rows[i], bits, query, costs, n_features)
        return
    offset, scale, least = bounds.offset, bounds.scale, queries.least[q]
    for i in range(n):
        r = rows[i]
        distance = np.float64(offset[r]) + np.float64(scale[r]) * out[i]
        out[i] = max(distance, least)
