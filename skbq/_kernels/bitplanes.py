"""Planes: one bit of many rows in a register, and the logic of planes."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import kernel
from .simd import HAS_AVX512, INSTRUCTIONS, Vector, as_mask, binary, call, splat

# 64-bit words of a plane: one register.
WORDS = 8 if HAS_AVX512 else {"avx2": 4, "neon": 2, "portable": 1}[INSTRUCTIONS]
PLANE_ROWS = 64 * WORDS

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


_and_vector, _xor_vector = binary("and_"), binary("xor")


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
def top_bits(typing, x):
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
    load_plane, store_plane, pick_plane = _load_word, _store_word, _pick_word
    no_rows = _no_rows_word
    parity, majority, not_ = _parity_word, _majority_word, _not_word
    and_, xor, keep_below = _and_word, _xor_word, _keep_below_word
    all_rows_if, any_rows = _all_rows_if_word, _any_rows_word
else:
    load_plane, store_plane, pick_plane = _load_vector, _store_vector, _pick_vector
    no_rows = _no_rows_vector
    parity, majority, not_ = _parity_vector, _majority_vector, _not_vector
    and_, xor, keep_below = _and_vector, _xor_vector, _keep_below_vector
    all_rows_if, any_rows = _all_rows_if_vector, _any_rows_vector
