"""Tiles: codes turned so that a vector holds the same bits of 64 rows.

A *line* of a tile holds, for 64 rows, the number that a look-up takes: 4 bits of a row
where tables have 16 entries, 6 where they have 64. Of two bits, the magnitudes of a
line's coordinates stand above their signs. 64 entries take the lower six bits of a
byte, whatever stands above. Of 4 bits, two lines share 64 bytes, the first one in the
upper halves: so tiles need no more memory than codes.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .simd import (
    BLOCK,
    CACHE_LINE,
    INSTRUCTIONS,
    load,
    load_bytes,
    or_,
    pointer,
    prefetch,
    shuffle,
    store,
    with_constant,
)

_upper_pairs = with_constant("and_", 0b11001100)
_lower_pairs = with_constant("and_", 0b110011)
upper_4, lower_4 = with_constant("lshr", 4), with_constant("and_", 15)
_upper_6, _upper_2 = with_constant("lshr", 6), with_constant("lshr", 2)
_upper_7, _upper_3 = with_constant("lshr", 7), with_constant("lshr", 3)
_lower_1, _lower_3 = with_constant("and_", 1), with_constant("and_", 7)
_middle_3, _times_2 = with_constant("and_", 0b111000), with_constant("shl", 1)
_times_8, _times_16 = with_constant("shl", 3), with_constant("shl", 4)
_times_4 = with_constant("shl", 2)


def _transposer(n_squares):
    """Make the intrinsic that transposes squares of 16 x 16 bytes side by side."""
    width = 16 * n_squares

    def interleave(start):
        """Interleave eight bytes of each square of two rows."""
        return [
            16 * square + start + lane // 2 + width * (lane % 2)
            for square in range(n_squares)
            for lane in range(16)
        ]

    @intrinsic
    def transpose(typing, codes, source, stride, tile, target):
        """Write bytes of 16 rows of codes into a tile, 64 rows beside each other.

        ``source`` and ``target`` are offsets in bytes, ``stride`` is that of the
        codes. Four rounds of interleaving row i with row i + 8 transpose a square.
        """

        def emit(context, builder, signature, args):
            codes, source, stride, tile, target = args
            rows = []
            for _ in range(16):
                where = (codes, source)
                rows.append(load_bytes(context, builder, signature, where, width))
                source = builder.add(source, stride)
            for _ in range(4):
                rows = [
                    shuffle(builder, rows[i], rows[i + 8], interleave(start))
                    for i in range(8)
                    for start in (0, 8)
                ]
            kind = signature.args[3]
            for square in range(n_squares):
                lanes = list(range(16 * square, 16 * square + 16))
                for columns in rows:
                    column = shuffle(builder, columns, columns, lanes)
                    place = pointer(context, builder, kind, tile, target, column.type)
                    builder.store(column, place, align=1)
                    target = builder.add(target, target.type(BLOCK))
            return context.get_dummy_value()

        integer = types.int64
        return types.void(codes, integer, integer, tile, integer), emit

    return transpose


_transpose_one, _transpose_two = _transposer(1), _transposer(2)


@kernel
def _copy_bytes(codes, first, start, stop, tile):
    """Write the bytes of the tile's rows from ``start`` to ``stop`` into a tile."""
    for r in range(start, stop):
        for b in range(codes.shape[1]):
            tile[r // BLOCK, b, r % BLOCK] = codes[first + r, b]


@kernel
def transpose(codes, first, count, tile):
    """Write the bytes of rows into a tile: byte b of 64 rows in ``tile[block, b]``."""
    width, block_bytes = codes.shape[1], tile.shape[1] * BLOCK
    rows = count // 16 * 16 if width >= 16 else 0
    for r in range(0, rows, 16):
        source = (first + r) * width
        target = r // BLOCK * block_bytes + r % BLOCK
        if width < 32:
            b = width - 16  # the squares may overlap
            _transpose_one(codes, source, width, tile, target)
            _transpose_one(codes, source + b, width, tile, target + b * BLOCK)
        else:
            for start in range(0, width, 32):
                b = min(start, width - 32)
                ahead = (first + r) * width + 16 * start + _BYTES_AHEAD
                for offset in range(0, 16 * 32, CACHE_LINE):
                    prefetch(codes, ahead + offset)
                _transpose_two(codes, source + b, width, tile, target + b * BLOCK)
    _copy_bytes(codes, first, rows, count, tile)


# How far ahead rows are fetched.
_BYTES_AHEAD = 8 * 1024

# Instead of the bits of a coordinate: each half of a byte is a line of its own,
# whatever it holds, also where tables have 64 entries. (Codes of mixed depth whose
# upper halves can be cut count as those of one bit there.)
NIBBLES = 4
# Entries of a look-up's table.
ENTRIES = 64 if INSTRUCTIONS == "avx512vbmi" else 16
# Lines that share bytes.
LINES_IN_BYTE = 2 if ENTRIES == 16 else 1

# Which coordinates a line holds, from the highest bit down: the lines of one cycle, by
# bits of a coordinate. A cycle has the coordinates of one byte, or of three.
if ENTRIES == 16:
    CYCLE_BYTES = 1
    # Of two bits, lines that share bytes are those that are apart in the codes.
    LINES = {1: [[0, 1, 2, 3], [4, 5, 6, 7]], 2: [[0, 1], [4, 5], [2, 3], [6, 7]]}
else:
    CYCLE_BYTES = 3
    LINES = {
        1: [
            [2, 3, 4, 5, 6, 7],
            [10, 11, 12, 13, 14, 15],
            [18, 19, 20, 21, 22, 23],
            [16, 17, 8, 9, 0, 1],
        ],
        2: [
            [5, 6, 7],
            [2, 3, 4],
            [13, 14, 15],
            [10, 11, 12],
            [21, 22, 23],
            [18, 19, 20],
            [8, 0, 1],
            [16, 17, 9],
        ],
    }
_ONE_BIT_LINES, _TWO_BIT_LINES = len(LINES[1]), len(LINES[2])


@kernel
def count_lines(width, bits):
    """Return the number of lines, even, of codes of ``width`` bytes."""
    if bits == NIBBLES:
        return 2 * width
    cycles = -(-width // (CYCLE_BYTES * bits))
    return cycles * (_ONE_BIT_LINES if bits == 1 else _TWO_BIT_LINES)


@kernel
def tile_width(n_lines):
    """Return the bytes that a row takes in a tile."""
    return n_lines // LINES_IN_BYTE


@kernel
def _load_tile_plain(codes, first, count, bits, tile):
    """Fill a tile with ``count`` rows of codes, in lines of 4 bits.

    Where a coordinate has one bit, the bytes of codes are what lines share.
    """
    _copy_bytes(codes, first, 0, count, tile)
    if bits != 2:
        return
    for block in range(tile.shape[0]):
        for b in range(0, tile.shape[1], 2):
            for r in range(BLOCK):
                s, m = tile[block, b, r], tile[block, b + 1, r]
                tile[block, b, r] = (m & 0b11001100) | ((s >> 2) & 0b110011)
                tile[block, b + 1, r] = ((m << 2) & 0b11001100) | (s & 0b110011)


@kernel
def _load_tile_vector(codes, first, count, bits, tile):
    """Do the same in vectors, all lines of the tile in a row."""
    transpose(codes, first, count, tile)
    if bits != 2:
        return
    for place in range(0, tile.size, 2 * BLOCK):
        s, m = load(tile, place), load(tile, place + BLOCK)
        store(tile, place, or_(_upper_pairs(m), _lower_pairs(_upper_2(s))))
        store(tile, place + BLOCK, or_(_upper_pairs(_times_4(m)), _lower_pairs(s)))


@kernel
def _load_nibbles(codes, first, count, tile):
    """Fill a tile with lines that do not share bytes, each half of a byte in one."""
    transpose(codes, first, count, tile)
    for block in range(tile.shape[0]):
        start = block * tile.shape[1] * BLOCK
        for b in range(codes.shape[1] - 1, -1, -1):  # of what is there still
            byte = load(tile, start + b * BLOCK)
            store(tile, start + 2 * b * BLOCK, upper_4(byte))
            store(tile, start + (2 * b + 1) * BLOCK, lower_4(byte))


@inlined
def _cut_one_bit(staged, source, tile, place):
    """Make four lines of three bytes."""
    a = load(staged, source)
    b = load(staged, source + BLOCK)
    c = load(staged, source + 2 * BLOCK)
    store(tile, place, a)
    store(tile, place + BLOCK, b)
    store(tile, place + 2 * BLOCK, c)
    tops = or_(_upper_6(a), or_(_times_4(_upper_6(b)), _times_16(_upper_6(c))))
    store(tile, place + 3 * BLOCK, tops)


@inlined
def _cut_two_bits(staged, source, tile, place):
    """Make eight lines of three bytes of signs and three of magnitudes."""
    for i in range(3):
        s = load(staged, source + 2 * i * BLOCK)
        m = load(staged, source + (2 * i + 1) * BLOCK)
        store(tile, place + 2 * i * BLOCK, or_(_lower_3(s), _times_8(m)))
        middle = or_(_lower_3(_upper_3(s)), _middle_3(m))
        store(tile, place + (2 * i + 1) * BLOCK, middle)
    s = _cut_tops(staged, source)
    m = _cut_tops(staged, source + BLOCK)
    store(tile, place + 6 * BLOCK, or_(s[0], _times_8(m[0])))
    store(tile, place + 7 * BLOCK, or_(s[1], _times_8(m[1])))


@inlined
def _cut_tops(staged, source):
    """Return the top two bits of three bytes as two numbers of three bits."""
    a, b = load(staged, source), load(staged, source + 2 * BLOCK)
    c = load(staged, source + 4 * BLOCK)
    first = or_(_upper_6(a), _times_4(_upper_7(b)))
    return first, or_(_lower_1(_upper_6(b)), _times_2(_upper_6(c)))


@kernel
def _load_tile_sixes(codes, first, count, bits, tile):
    """Fill a tile with ``count`` rows of codes, in lines of 6 bits."""
    if bits == NIBBLES:
        _load_nibbles(codes, first, count, tile)
        return
    cycle = CYCLE_BYTES * bits
    n_cycles = -(-codes.shape[1] // cycle)
    staged = np.zeros((1, cycle * n_cycles, BLOCK), np.uint8)
    for block in range((count + BLOCK - 1) // BLOCK):
        some = min(BLOCK, count - block * BLOCK)
        transpose(codes, first + block * BLOCK, some, staged)
        place = block * tile.shape[1] * BLOCK
        for source in range(0, staged.size, cycle * BLOCK):
            if bits == 1:
                _cut_one_bit(staged, source, tile, place)
                place += _ONE_BIT_LINES * BLOCK
            else:
                _cut_two_bits(staged, source, tile, place)
                place += _TWO_BIT_LINES * BLOCK


if INSTRUCTIONS == "portable":
    load_tile = _load_tile_plain
else:
    load_tile = _load_tile_vector if ENTRIES == 16 else _load_tile_sixes
