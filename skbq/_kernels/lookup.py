"""Scan of codes by table look-ups in vector registers: exact, many rows at a time.

Four bits of a row, a *nibble*, can take 16 values. For one query, what a nibble adds
to the distance is a table of 16 small integers, and the distance is the sum over
nibbles of what their tables say. A vector instruction (``pshufb`` on x86, ``tbl`` on
Arm) looks up 16 to 64 rows at once in a table held in a register. This is the "fast
scan" of André, Kermarrec and Le Scouarnec, "Cache locality is not enough:
high-performance nearest neighbor search with product quantization fast scan" (VLDB
2015), here over codes that stay as they are, row after row:

1. A *tile* of rows, as many as fit the second-level cache, is turned into blocks of
   64 rows, nibble after nibble: one vector holds the same nibble of 64 rows.
2. For four queries at a time, which share the loaded codes, the tables are summed:
   a group of nibbles in 8 bits, then in 16 and in 32 bits. Sums of 8 bits stop at 255.
3. Sums that can beat the query's k-th distance are looked at one by one. Where the
   table is exact, groups never pass 255, and the sum is the distance. Where it is a
   float table rounded to 8 bits, the sum gives a lower bound of the distance (also
   where a group stopped at 255), and the rows that pass it are evaluated exactly. So
   rounding changes the speed only.

Rows come in their order and must be strictly nearer than the k-th to enter, so that
ties go to the lower row. A query's result does not depend on the other queries.

Which instruction is used is decided once, from the processor that numba compiles
for. The environment variable ``SKBQ_KERNEL`` forces "portable" (plain loops),
"avx2", "avx512" or "neon"; forced kernels are not cached, since numba's cache would
not see the choice. The AVX-512 and NEON forms are compiled and inspected in the
tests, but have not run on such hardware.

Everything that is compiled together stays in this file, since numba's cache does not
see edits in other files.
"""

import os
import platform
from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from ._compiling import kernel as cached_kernel

# Rows of a block: the bytes of one AVX-512 register, two of AVX2, four of NEON.
BLOCK = 64
_TILE_BYTES = 192 * 1024
_TILE_ROWS = 2048
_LARGEST_SUM = 2**31 - 1

# The look-up instructions: LLVM's name, and the bytes of a register.
_LOOKUPS = {
    "avx512": ("llvm.x86.avx512.pshuf.b.512", 64),
    "avx2": ("llvm.x86.avx2.pshuf.b", 32),
    "neon": ("llvm.aarch64.neon.tbl1.v16i8", 16),
}


def _available_instructions() -> list[str]:
    """Return the instruction sets that numba may compile for here, best first."""
    if numba.config.DISABLE_JIT:
        return ["portable"]
    features = numba.config.CPU_FEATURES
    if features is None:
        features = codegen.get_host_cpu_features()
    enabled = features.split(",")
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    found = {
        "avx512": "+avx512bw" in enabled,
        "avx2": "+avx2" in enabled,
        "neon": is_arm and "-neon" not in enabled,  # 64-bit Arm always has it
    }
    return [name for name, is_there in found.items() if is_there] + ["portable"]


def choose_instructions(forced: str | None) -> str:
    """Return the instruction set to use: the best one here, or the forced one.

    Raises
    ------
    ValueError
        If the forced one is unknown or cannot be used here.
    """
    available = _available_instructions()
    if not forced:
        return available[0]
    if forced not in available:
        raise ValueError(
            "The environment variable SKBQ_KERNEL must be one of the instruction sets "
            f"that can be used here, {available}. Got {forced!r} instead."
        )
    return forced


_FORCED = os.environ.get("SKBQ_KERNEL")
INSTRUCTIONS = choose_instructions(_FORCED)
kernel = numba.njit(nogil=True) if _FORCED else cached_kernel
# Vectors stay in registers, and arrays uncounted, where calls are inlined.
inlined = numba.njit(nogil=True, forceinline=True)


# Vectors as numba values. Each operation is one line of LLVM code.


def _vector(bits, count):
    return ir.VectorType(ir.IntType(bits), count)


class _Vector(types.Type):
    """A vector of 64 bytes."""

    def __init__(self, name, llvm_type):
        self.llvm_type = llvm_type
        super().__init__(name=f"vector of {name}")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm_type)


_BYTES = _Vector("64 uint8", _vector(8, BLOCK))
_WORDS = _Vector("32 uint16", _vector(16, BLOCK // 2))
_DOUBLES = _Vector("8 float64", ir.VectorType(ir.DoubleType(), 8))


def _shuffle(builder, first, second, lanes):
    mask = ir.Constant(_vector(32, len(lanes)), lanes)
    return builder.shuffle_vector(first, second, mask)


def _pointer(context, builder, array_type, array, offset, target):
    """Point at ``offset`` bytes behind the start of an array."""
    start = context.make_array(array_type)(context, builder, array).data
    start = builder.bitcast(start, ir.PointerType(ir.IntType(8)))
    moved = builder.gep(start, [offset], source_etype=ir.IntType(8))
    return builder.bitcast(moved, ir.PointerType(target))


def _load_bytes(context, builder, signature, args, count):
    """Load ``count`` bytes; args are an array and an offset in bytes."""
    target = _vector(8, count)
    place = _pointer(context, builder, signature.args[0], *args, target)
    return builder.load(place, align=1, typ=target)


def emit_lookup(builder, instructions, table, index):
    """Emit the look-up of 64 indices below 16 in a table of 16 bytes.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    instructions : {"avx2", "avx512", "neon"}
    table, index : LLVM values, vectors of 16 and of 64 bytes
    """
    name, width = _LOOKUPS[instructions]
    part = _vector(8, width)
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(part, [part, part]), name
    )
    table = _shuffle(builder, table, table, list(range(16)) * (width // 16))
    found = []
    for start in range(0, BLOCK, width):
        lanes = list(range(start, start + width))
        some = _shuffle(builder, index, index, lanes)
        found.append(builder.call(function, [table, some]))
    while len(found) > 1:
        lanes = list(range(2 * found[0].type.count))
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [_shuffle(builder, a, b, lanes) for a, b in pairs]
    return found[0]


@intrinsic
def _load(typing, array, offset):
    """Load the 64 bytes that start ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        return _load_bytes(context, builder, signature, args, BLOCK)

    return _BYTES(array, types.int64), emit


@intrinsic
def _store(typing, array, offset, x):
    """Store 64 bytes ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        array, offset, x = args
        place = _pointer(context, builder, signature.args[0], array, offset, x.type)
        builder.store(x, place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, _BYTES), emit


@intrinsic
def _lookup(typing, tables, offset, index):
    """Look up 64 indices in the table that starts ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        table = _load_bytes(context, builder, signature, args[:2], 16)
        return emit_lookup(builder, INSTRUCTIONS, table, args[2])

    return _BYTES(tables, types.int64, _BYTES), emit


def _zeros_of(vector):
    """Make the intrinsic that returns a vector of zeros."""

    @intrinsic
    def zeros(typing):
        def emit(context, builder, signature, args):
            return ir.Constant(vector.llvm_type, None)

        return vector(), emit

    return zeros


_zeros, _zero_doubles = _zeros_of(_BYTES), _zeros_of(_DOUBLES)


@intrinsic
def _add(typing, x, y):
    def emit(context, builder, signature, args):
        return builder.add(*args)

    return x(x, x), emit


@intrinsic
def _add_up_to_255(typing, x, y):
    def emit(context, builder, signature, args):
        kind = args[0].type
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind, [kind, kind]),
            f"llvm.uadd.sat.v{kind.count}i8",
        )
        return builder.call(function, args)

    return _BYTES(_BYTES, _BYTES), emit


@intrinsic
def _or(typing, x, y):
    def emit(context, builder, signature, args):
        return builder.or_(*args)

    return x(x, x), emit


@intrinsic
def _subtract(typing, x, y):
    def emit(context, builder, signature, args):
        return builder.sub(*args)

    return x(x, x), emit


def _with_constant(operation, value):
    """Make the intrinsic ``x -> operation(x, value)`` on every element."""

    @intrinsic
    def apply(typing, x):
        def emit(context, builder, signature, args):
            kind = args[0].type
            constant = ir.Constant(kind, [value] * kind.count)
            return getattr(builder, operation)(args[0], constant)

        return x(x), emit

    return apply


_upper_4, _lower_4 = _with_constant("lshr", 4), _with_constant("and_", 15)
_upper_6, _upper_2 = _with_constant("lshr", 6), _with_constant("lshr", 2)
_lower_2, _times_4 = _with_constant("and_", 3), _with_constant("shl", 2)
_odd_rows = _with_constant("lshr", 8)
_times_256 = _with_constant("shl", 8)


@intrinsic
def _as_words(typing, x):
    """View 64 bytes as 32 words: even rows in the low, odd rows in the high bytes."""

    def emit(context, builder, signature, args):
        return builder.bitcast(args[0], _vector(16, BLOCK // 2))

    return _WORDS(_BYTES), emit


@intrinsic
def _add_to_sums(typing, sums, offset, even, odd):
    """Add uint16 sums of even and of odd rows to the int32 sums of 64 rows."""

    def emit(context, builder, signature, args):
        array, offset, even, odd = args
        half = BLOCK // 2
        lanes = [row // 2 + half * (row % 2) for row in range(BLOCK)]
        target = _vector(32, BLOCK)
        place = _pointer(context, builder, signature.args[0], array, offset, target)
        added = builder.zext(_shuffle(builder, even, odd, lanes), target)
        before = builder.load(place, align=4, typ=target)
        builder.store(builder.add(before, added), place, align=4)
        return context.get_dummy_value()

    return types.void(sums, types.int64, _WORDS, _WORDS), emit


def _as_mask(builder, conditions):
    """Return 64 conditions as an integer, the first one in the lowest bit."""
    return builder.bitcast(conditions, ir.IntType(BLOCK))


def _splat(builder, value, count):
    kind = ir.VectorType(value.type, count)
    one = builder.insert_element(
        ir.Constant(kind, None), value, ir.Constant(ir.IntType(32), 0)
    )
    return _shuffle(builder, one, one, [0] * count)


@intrinsic
def _below(typing, sums, offset, limit):
    """Compare 64 int32 sums with a limit; return the mask of those below."""

    def emit(context, builder, signature, args):
        kind = _vector(32, BLOCK)
        place = _pointer(context, builder, signature.args[0], *args[:2], kind)
        some = builder.load(place, align=4, typ=kind)
        limit = _splat(builder, args[2], BLOCK)
        return _as_mask(builder, builder.icmp_signed("<", some, limit))

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
            start = _pointer(
                context, builder, signature.args[which], args[which], where, kind
            )
            return builder.load(start, align=4, typ=kind)

        floats = ir.VectorType(ir.FloatType(), BLOCK)
        _, place, _, _, first, *numbers = args
        step, base, limit = (_splat(builder, x, BLOCK) for x in numbers)
        total = builder.sitofp(load(0, place, ir.IntType(32)), floats)
        low = builder.fadd(builder.fmul(step, total), base)
        low = builder.fmul(load(3, first, ir.FloatType()), low)
        low = builder.fadd(load(2, first, ir.FloatType()), low)
        # "not above", so that NaN is looked at.
        return _as_mask(builder, builder.fcmp_unordered("<=", low, limit))

    offsets, real = types.int64, types.float32
    return types.uint64(sums, offsets, offset, size, offsets, real, real, real), emit


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
                rows.append(_load_bytes(context, builder, signature, where, width))
                source = builder.add(source, stride)
            for _ in range(4):
                rows = [
                    _shuffle(builder, rows[i], rows[i + 8], interleave(start))
                    for i in range(8)
                    for start in (0, 8)
                ]
            kind = signature.args[3]
            for square in range(n_squares):
                lanes = list(range(16 * square, 16 * square + 16))
                for columns in rows:
                    column = _shuffle(builder, columns, columns, lanes)
                    place = _pointer(context, builder, kind, tile, target, column.type)
                    builder.store(column, place, align=1)
                    target = builder.add(target, target.type(2 * BLOCK))
            return context.get_dummy_value()

        integer = types.int64
        return types.void(codes, integer, integer, tile, integer), emit

    return transpose


_transpose_one, _transpose_two = _transposer(1), _transposer(2)


@intrinsic
def _add_products(typing, sums, signs, strong, values, offset, low, high):
    """Add eight float32 values, times plus or minus a level, to eight sums.

    ``signs`` and ``strong`` are bytes of bits, that of the first value the highest.
    """

    def emit(context, builder, signature, args):
        sums, signs, strong, values, offset, low, high = args
        lanes, kind = _vector(64, 8), ir.VectorType(ir.FloatType(), 8)

        def splat_byte(byte):
            return _splat(builder, builder.zext(byte, ir.IntType(64)), 8)

        bits = ir.Constant(lanes, [128 >> j for j in range(8)])
        is_high = builder.icmp_unsigned(
            "!=", builder.and_(splat_byte(strong), bits), ir.Constant(lanes, None)
        )
        level = builder.select(
            is_high, _splat(builder, high, 8), _splat(builder, low, 8)
        )
        place = _pointer(context, builder, signature.args[3], values, offset, kind)
        loaded = builder.fpext(builder.load(place, align=4, typ=kind), sums.type)
        product = builder.fmul(loaded, level)
        # A sign bit of 0 means minus: bring its complement to the top of the float.
        shifts = ir.Constant(lanes, [56 + j for j in range(8)])
        negative = builder.shl(splat_byte(builder.not_(signs)), shifts)
        negative = builder.and_(negative, ir.Constant(lanes, [1 << 63] * 8))
        product = builder.xor(builder.bitcast(product, lanes), negative)
        return builder.fadd(sums, builder.bitcast(product, sums.type))

    real = types.float64
    return (
        _DOUBLES(_DOUBLES, types.uint8, types.uint8, values, types.int64, real, real),
        emit,
    )


@intrinsic
def _sum_of_eight(typing, sums):
    """Add eight sums as ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))."""

    def emit(context, builder, signature, args):
        places = [ir.Constant(ir.IntType(32), lane) for lane in range(8)]
        parts = [builder.extract_element(args[0], place) for place in places]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [builder.fadd(a, b) for a, b in pairs]
        return parts[0]

    return types.float64(_DOUBLES), emit


# Tiles: nibbles of blocks of 64 rows, (n_blocks, n_nibbles, 64). Bytes come first into
# every other line.


@kernel
def _copy_bytes(codes, first, start, stop, tile):
    """Write the bytes of the tile's rows from ``start`` to ``stop`` into a tile."""
    for r in range(start, stop):
        for b in range(codes.shape[1]):
            tile[r // BLOCK, 2 * b, r % BLOCK] = codes[first + r, b]


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
def _transpose(codes, first, count, tile):
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
def _join(signs, magnitudes):
    return _or(_times_4(magnitudes), signs)


@kernel
def _load_tile_vector(codes, first, count, bits, tile):
    """Do the same in vectors, all lines of the tile in a row."""
    _transpose(codes, first, count, tile)
    if bits == 1:
        for place in range(0, tile.size, 2 * BLOCK):
            byte = _load(tile, place)
            _store(tile, place, _upper_4(byte))
            _store(tile, place + BLOCK, _lower_4(byte))
        return
    for place in range(0, tile.size, 4 * BLOCK):
        s, m = _load(tile, place), _load(tile, place + 2 * BLOCK)
        s4, m4, s2, m2 = _upper_4(s), _upper_4(m), _upper_2(s), _upper_2(m)
        _store(tile, place, _join(_upper_6(s), _upper_6(m)))
        _store(tile, place + BLOCK, _join(_lower_2(s4), _lower_2(m4)))
        _store(tile, place + 2 * BLOCK, _join(_lower_2(s2), _lower_2(m2)))
        _store(tile, place + 3 * BLOCK, _join(_lower_2(s), _lower_2(m)))


_load_tile = _load_tile_plain if INSTRUCTIONS == "portable" else _load_tile_vector


# Sums of tables over a tile.


@kernel
def _sum_plain(tile, tables, q, group, sums):
    """Sum the tables of query q over the rows of a tile, by plain loops."""
    n_nibbles = tile.shape[1]
    for block in range(tile.shape[0]):
        for start in range(0, n_nibbles, group):
            for r in range(BLOCK):
                total = np.int32(0)
                for p in range(start, min(start + group, n_nibbles)):
                    total += np.int32(tables[q, p, tile[block, p, r]])
                sums[block * BLOCK + r] += min(total, np.int32(255))


@inlined
def _add_pair(small, tables, t, first, second):
    """Add the entries of two nibbles, of 127 at most, to sums that stop at 255.

    The plain addition in between runs where the look-up does not.
    """
    entries = _add(_lookup(tables, t, first), _lookup(tables, t + 16, second))
    return _add_up_to_255(small, entries)


@kernel
def _sum_one(tile, tables, q, group, sums):
    """Sum the tables of query q over the rows of a tile.

    The 8-bit sums of groups of nibbles are added up as words of two rows, low and high
    byte, and the high bytes once more on their own. These, times 256, are taken from
    the first sum, modulo 2^16, and leave the sum of the low bytes. 256 groups fit 16
    bits.
    """
    n_nibbles = tile.shape[1]
    table = q * n_nibbles * 16
    for block in range(tile.shape[0]):
        for segment in range(0, n_nibbles, 256 * group):
            both = _as_words(_zeros())
            odd = _as_words(_zeros())
            segment_end = min(segment + 256 * group, n_nibbles)
            for start in range(segment, segment_end, group):
                small = _zeros()
                for p in range(start, min(start + group, segment_end), 2):
                    place = (block * n_nibbles + p) * BLOCK
                    first, second = _load(tile, place), _load(tile, place + BLOCK)
                    t = table + p * 16
                    small = _add_pair(small, tables, t, first, second)
                both = _add(both, _as_words(small))
                odd = _add(odd, _odd_rows(_as_words(small)))
            even = _subtract(both, _times_256(odd))
            _add_to_sums(sums, block * BLOCK * 4, even, odd)


@inlined
def _sum_four(tile, tables, q, group, sums):
    """Do the same for the queries q, q + 1, q + 2, q + 3, which share the nibbles."""
    n_nibbles = tile.shape[1]
    size = n_nibbles * 16
    table = q * size
    rows = sums.shape[1]
    for block in range(tile.shape[0]):
        for segment in range(0, n_nibbles, 256 * group):
            both0 = both1 = both2 = both3 = _as_words(_zeros())
            odd0 = odd1 = odd2 = odd3 = _as_words(_zeros())
            segment_end = min(segment + 256 * group, n_nibbles)
            for start in range(segment, segment_end, group):
                small0 = small1 = small2 = small3 = _zeros()
                for p in range(start, min(start + group, segment_end), 2):
                    place = (block * n_nibbles + p) * BLOCK
                    first, second = _load(tile, place), _load(tile, place + BLOCK)
                    t = table + p * 16
                    small0 = _add_pair(small0, tables, t, first, second)
                    t += size
                    small1 = _add_pair(small1, tables, t, first, second)
                    t += size
                    small2 = _add_pair(small2, tables, t, first, second)
                    t += size
                    small3 = _add_pair(small3, tables, t, first, second)
                both0 = _add(both0, _as_words(small0))
                both1 = _add(both1, _as_words(small1))
                both2 = _add(both2, _as_words(small2))
                both3 = _add(both3, _as_words(small3))
                odd0 = _add(odd0, _odd_rows(_as_words(small0)))
                odd1 = _add(odd1, _odd_rows(_as_words(small1)))
                odd2 = _add(odd2, _odd_rows(_as_words(small2)))
                odd3 = _add(odd3, _odd_rows(_as_words(small3)))
            out = block * BLOCK * 4
            _add_to_sums(sums, out, _subtract(both0, _times_256(odd0)), odd0)
            out += rows * 4
            _add_to_sums(sums, out, _subtract(both1, _times_256(odd1)), odd1)
            out += rows * 4
            _add_to_sums(sums, out, _subtract(both2, _times_256(odd2)), odd2)
            out += rows * 4
            _add_to_sums(sums, out, _subtract(both3, _times_256(odd3)), odd3)


@inlined
def _sum_each_plain(tile, tables, first, stop, group, sums):
    sums[:] = 0
    for q in range(first, stop):
        _sum_plain(tile, tables, q, group, sums[q - first])


@inlined
def _sum_each_vector(tile, tables, first, stop, group, sums):
    sums[:] = 0
    if stop - first == 4:
        _sum_four(tile, tables, first, group, sums)
    else:
        for q in range(first, stop):
            _sum_one(tile, tables, q, group, sums[q - first])


_sum_each = _sum_each_plain if INSTRUCTIONS == "portable" else _sum_each_vector


# What a scan may find, and keeps.


class Allowed(NamedTuple):
    """The rows that count for a query.

    ``left_out``: int64 (n_queries,), a row left out, or -1. ``mask``: uint8 (n_rows,),
    0 for rows that do not count; or empty, where all do.
    """

    left_out: np.ndarray
    mask: np.ndarray


class Found(NamedTuple):
    """Where a scan puts the rows that it finds; changed.

    Query q owns ``starts[q]:starts[q + 1]`` of ``distances`` (float64) and ``rows``
    (int64). A row is taken if its distance is below ``limits[q]`` (float64).

    ``keep_all`` False: the nearest are kept, in a heap with the farthest on top
    (filled with infinity and -1 before), which then is the limit. At the end they are
    sorted by (distance, row). ``keep_all`` True: all are taken in the order of rows;
    ``counts[q]`` (int64) counts those beyond the room for them as well.
    """

    distances: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    limits: np.ndarray
    counts: np.ndarray
    keep_all: bool


@kernel
def _sift_down(distances, rows, size):
    """Restore the heap order of the first entries after the top has changed."""
    distance, row = distances[0], rows[0]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        other = child + 1
        if other < size and (
            distances[other] > distances[child]
            or (distances[other] == distances[child] and rows[other] > rows[child])
        ):
            child = other
        if distances[child] < distance or (
            distances[child] == distance and rows[child] <= row
        ):
            break
        distances[parent], rows[parent] = distances[child], rows[child]
        parent = child
    distances[parent], rows[parent] = distance, row


@kernel
def _sort_heaps(found):
    for q in range(found.limits.size):
        distances = found.distances[found.starts[q] : found.starts[q + 1]]
        rows = found.rows[found.starts[q] : found.starts[q + 1]]
        for last in range(distances.size - 1, 0, -1):
            distances[0], distances[last] = distances[last], distances[0]
            rows[0], rows[last] = rows[last], rows[0]
            _sift_down(distances, rows, last)


@kernel
def _take(distance, row, q, allowed, found):
    """Take a row that is below the limit, if it counts."""
    if row == allowed.left_out[q]:
        return
    if allowed.mask.size > 0 and allowed.mask[row] == 0:
        return
    start, stop = found.starts[q], found.starts[q + 1]
    if found.keep_all:
        place = start + found.counts[q]
        if place < stop:
            found.distances[place], found.rows[place] = distance, row
    else:
        found.distances[start], found.rows[start] = distance, row
        _sift_down(found.distances[start:stop], found.rows[start:stop], stop - start)
        found.limits[q] = min(found.limits[q], found.distances[start])
    found.counts[q] += 1


# Scans.


@kernel
def _tile_rows(n_rows, n_nibbles):
    fitting = max(BLOCK, min(_TILE_ROWS, _TILE_BYTES // n_nibbles) // BLOCK * BLOCK)
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


_mask_below = _mask_below_plain if INSTRUCTIONS == "portable" else _mask_below_vector


@inlined
def _is_in(mask, r):
    return (mask >> np.uint64(r)) & np.uint64(1) != 0


@inlined
def _whole_limit(limit):
    """Return the integer that whole sums below the limit are below as well."""
    return np.int32(max(0.0, min(np.ceil(limit), _LARGEST_SUM)))


@kernel
def _take_below(mask, sums, i, start, stop, first, q, allowed, found):
    """Take the rows of a block whose sum is below the limit: sums are distances."""
    for r in range(start, stop):
        if _is_in(mask, r - start) and sums[i, r] < found.limits[q]:
            _take(np.float64(sums[i, r]), first + r, q, allowed, found)


@kernel
def scan_exact(codes, bits, tables, group, allowed, found):
    """Find rows by exact tables: the sum of a row's entries is its distance.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
        Bytes of the codes; of two bits, bytes of signs and of magnitudes in turn.
    bits : int
        Bits per coordinate.
    tables : uint8 array (n_queries, 2 * width, 16)
        Entry by query, nibble and the nibble's value. 1 bit: a nibble has four signs.
        2 bits: the magnitudes of two coordinates above their signs.
    group : int
        Number of nibbles, even, whose entries add up to 255 at most; one entry is 127
        at most.
    allowed : Allowed
    found : Found
        Changed. Distances and limits are sums of entries.
    """
    n_rows, n_nibbles = codes.shape[0], 2 * codes.shape[1]
    step = _tile_rows(n_rows, n_nibbles)
    tile = np.zeros((step // BLOCK, n_nibbles, BLOCK), np.uint8)
    sums = np.zeros((4, step), np.int32)
    for first in range(0, n_rows, step):
        count = min(step, n_rows - first)
        _load_tile(codes, first, count, bits, tile)
        for q in range(0, tables.shape[0], 4):
            stop = min(q + 4, tables.shape[0])
            _sum_each(tile, tables, q, stop, group, sums)
            for one in range(q, stop):
                for start in range(0, count, BLOCK):
                    limit = _whole_limit(found.limits[one])
                    mask = _mask_below(sums, one - q, start, limit)
                    if mask == 0:
                        continue  # as mostly: calls with many arrays take long
                    _take_below(
                        mask, sums, one - q, start, min(start + BLOCK, count), first,
                        one, allowed, found,
                    )  # fmt: skip
    if not found.keep_all:
        _sort_heaps(found)


class Bounds(NamedTuple):
    """How sums of rounded tables bound distances.

    The float sum is at least ``base + step * sum``: the columns of ``queries``, in the
    order step, base, float32 (n_queries, 2), with room for rounding in float32. The
    distance is ``offset + |scale| * float sum``, float32 (n_rows,), if the sign of
    ``scale`` is ``sign``, -1 or 1; of other rows nothing is known. Where ``offset`` and
    ``scale`` are empty, the distance is the float sum itself.
    """

    queries: np.ndarray
    offset: np.ndarray
    scale: np.ndarray
    sign: int


class Queries(NamedTuple):
    """What the exact distance of a row is computed from.

    Either float queries: ``values``, float32 (n_queries, 8 * columns of codes), zero
    beyond the coordinates, with ``levels``, float64 (2,), the values of a weak and of
    a strong coordinate (1 bit: the first counts). Or, where ``values`` has no rows,
    codes of two bits: ``codes``, uint8 (n_queries, width), with ``costs``, float64
    (6,), as ``_count_distance`` takes them. ``n_features``: number of coordinates.
    """

    values: np.ndarray
    levels: np.ndarray
    codes: np.ndarray
    costs: np.ndarray
    n_features: int


@kernel
def _product_plain(codes, row, bits, values, q, levels):
    """Product of float query q with the values of a row, in float64.

    Coordinate i is added to the (i modulo 8)th of eight sums, in order; the sums are
    added as ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)). Whatever keeps to this
    order gives the same last bit.
    """
    sums = np.zeros(8)
    for b in range(codes.shape[1] // bits):
        signs = codes[row, bits * b]
        strong = codes[row, 2 * b + 1] if bits == 2 else np.uint8(0)
        for j in range(8):
            x = values[q, 8 * b + j] * levels[(strong >> (7 - j)) & 1]
            sums[j] += x if (signs >> (7 - j)) & 1 else -x
    left = (sums[0] + sums[1]) + (sums[2] + sums[3])
    return left + ((sums[4] + sums[5]) + (sums[6] + sums[7]))


@kernel
def _product_vector(codes, row, bits, values, q, levels):
    """Do the same with the eight sums in one vector."""
    sums = _zero_doubles()
    n_values = values.shape[1]
    for b in range(codes.shape[1] // bits):
        signs = codes[row, bits * b]
        strong = codes[row, 2 * b + 1] if bits == 2 else np.uint8(0)
        place = (q * n_values + 8 * b) * 4
        sums = _add_products(sums, signs, strong, values, place, levels[0], levels[1])
    return _sum_of_eight(sums)


_product = _product_plain if INSTRUCTIONS == "portable" else _product_vector

_BIT_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int64)


@kernel
def _count_distance(codes, row, bits, query, costs, n_features):
    """Distance of codes from counts of coordinates, in float64.

    ``costs`` are of coordinates where the signs agree and the magnitudes are weak and
    weak, weak and strong, strong and strong; then where the signs differ. Counts times
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
def _distance(codes, row, bits, q, bounds, queries):
    """Exact distance of a row to query q."""
    if queries.values.shape[0] == 0:
        return _count_distance(
            codes, row, bits, queries.codes[q], queries.costs, queries.n_features
        )
    product = _product(codes, row, bits, queries.values, q, queries.levels)
    return np.float64(bounds.offset[row]) + np.float64(bounds.scale[row]) * product


@kernel
def _load_scales(bounds, first, count, offset, size):
    """Copy the offsets and the sizes of the scales of a tile.

    Rows whose scale has the other sign get the lower bound -infinity.

    Returns
    -------
    room : float
        What rounding in float32 may add to a lower bound because of its offset: two
        units of 2^-24 of that. The rounding of the rest is in ``bounds.queries``.
    """
    largest = np.float32(0)
    for r in range(count):
        if bounds.offset.size == 0:
            offset[r], size[r] = 0, 1
            continue
        offset[r], size[r] = bounds.offset[first + r], bounds.scale[first + r]
        largest = max(largest, abs(offset[r]))
        size[r] *= np.float32(bounds.sign)
        if not size[r] >= 0:
            offset[r], size[r] = -np.inf, 0
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


_mask_near = _mask_near_plain if INSTRUCTIONS == "portable" else _mask_near_vector


@inlined
def _padded_limit(limit, room):
    """Limit in float32, for lower bounds computed in float32."""
    return np.float32(limit + abs(limit) * 2.0**-22 + room)


@kernel
def _take_near(
    mask, start, stop, first, q, codes, bits, bounds, queries, allowed, found
):
    """Take the rows of a block that are below the limit by their distance."""
    for r in range(start, stop):
        if _is_in(mask, r - start):
            distance = _distance(codes, first + r, bits, q, bounds, queries)
            if distance < found.limits[q]:
                _take(distance, first + r, q, allowed, found)


@kernel
def scan_bounded(codes, bits, tables, group, bounds, queries, allowed, found):
    """Find rows by rounded tables, and by exact distances where these may decide.

    Parameters
    ----------
    codes, bits, tables, group : as in ``scan_exact``
    bounds : Bounds
    queries : Queries
    allowed : Allowed
    found : Found
        Changed.
    """
    n_rows, n_nibbles = codes.shape[0], 2 * codes.shape[1]
    step = _tile_rows(n_rows, n_nibbles)
    tile = np.zeros((step // BLOCK, n_nibbles, BLOCK), np.uint8)
    sums = np.zeros((4, step), np.int32)
    offset, size = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for first in range(0, n_rows, step):
        count = min(step, n_rows - first)
        _load_tile(codes, first, count, bits, tile)
        room = _load_scales(bounds, first, count, offset, size)
        for q in range(0, tables.shape[0], 4):
            stop = min(q + 4, tables.shape[0])
            _sum_each(tile, tables, q, stop, group, sums)
            for one in range(q, stop):
                bound = (bounds.queries[one, 0], bounds.queries[one, 1])
                for start in range(0, count, BLOCK):
                    limit = _padded_limit(found.limits[one], room)
                    mask = _mask_near(sums, one - q, start, offset, size, bound, limit)
                    if mask == 0:
                        continue
                    _take_near(
                        mask, start, min(start + BLOCK, count), first, one, codes, bits,
                        bounds, queries, allowed, found,
                    )  # fmt: skip
    if not found.keep_all:
        _sort_heaps(found)
