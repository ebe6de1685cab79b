"""Tiles: codes turned so that a vector holds the same bits of 64 rows."""

from numba import types
from numba.extending import intrinsic

from ._compiling import kernel
from .vectors import (
    BLOCK,
    INSTRUCTIONS,
    load,
    load_bytes,
    or_,
    pointer,
    shuffle,
    store,
    with_constant,
)

_upper_4, _lower_4 = with_constant("lshr", 4), with_constant("and_", 15)
_upper_6, _upper_2 = with_constant("lshr", 6), with_constant("lshr", 2)
_lower_2, _times_4 = with_constant("and_", 3), with_constant("shl", 2)


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
        """Write bytes of 16 rows of codes into every other line of a tile.

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
                    target = builder.add(target, target.type(2 * BLOCK))
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
            tile[r // BLOCK, 2 * b, r % BLOCK] = codes[first + r, b]


@kernel
def transpose(codes, first, count, tile):
    """Write the bytes of rows into every other line of a tile."""
    width, line = codes.shape[1], 2 * BLOCK
    rows = count // 16 * 16 if width >= 16 else 0
    for r in range(0, rows, 16):
        source = (first + r) * width
        target = r // BLOCK * width * line + r % BLOCK
        if width < 32:
            b = width - 16  # the squares may overlap
            _transpose_one(codes, source, width, tile, target)
            _transpose_one(codes, source + b, width, tile, target + b * line)
        else:
            for start in range(0, width, 32):
                b = min(start, width - 32)
                _transpose_two(codes, source + b, width, tile, target + b * line)
    _copy_bytes(codes, first, rows, count, tile)


@kernel
def _load_tile_plain(codes, first, count, bits, tile):
    """Fill a tile with ``count`` rows of codes.

    One bit: the high nibble of a byte comes first. Two bits: of a byte of signs and
    one of magnitudes, four nibbles are made, which have the eight coordinates in their
    order: the magnitudes of two above their signs.
    """
    _copy_bytes(codes, first, 0, count, tile)
    for block in range(tile.shape[0]):
        for b in range(0, tile.shape[1], 2 * bits):
            for r in range(BLOCK):
                s, m = tile[block, b, r], tile[block, b + 2 * bits - 2, r]
                if bits == 1:
                    tile[block, b, r] = s >> 4
                    tile[block, b + 1, r] = s & 15
                else:
                    for i in range(4):
                        shift = 6 - 2 * i
                        pair = ((m >> shift) & 3) << 2 | (s >> shift) & 3
                        tile[block, b + i, r] = pair


@kernel
def _join(signs, magnitudes):
    return or_(_times_4(magnitudes), signs)


@kernel
def _load_tile_vector(codes, first, count, bits, tile):
    """Do the same in vectors, all lines of the tile in a row."""
    transpose(codes, first, count, tile)
    if bits == 1:
        for place in range(0, tile.size, 2 * BLOCK):
            byte = load(tile, place)
            store(tile, place, _upper_4(byte))
            store(tile, place + BLOCK, _lower_4(byte))
        return
    for place in range(0, tile.size, 4 * BLOCK):
        s, m = load(tile, place), load(tile, place + 2 * BLOCK)
        s4, m4, s2, m2 = _upper_4(s), _upper_4(m), _upper_2(s), _upper_2(m)
        store(tile, place, _join(_upper_6(s), _upper_6(m)))
        store(tile, place + BLOCK, _join(_lower_2(s4), _lower_2(m4)))
        store(tile, place + 2 * BLOCK, _join(_lower_2(s2), _lower_2(m2)))
        store(tile, place + 3 * BLOCK, _join(_lower_2(s), _lower_2(m)))


load_tile = _load_tile_plain if INSTRUCTIONS == "portable" else _load_tile_vector
