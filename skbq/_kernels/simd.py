"""Which vector instructions are used, and vectors as numba values.

The choice is made once, from the processor that numba compiles for. The environment
variable ``SKBQ_KERNEL`` forces "portable" (plain loops), "avx2", "avx512",
"avx512vbmi" or "neon". All give the same results. Instruction sets that a machine does
not have are compiled and inspected by the tests.
"""

import platform

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from .jit import FORCED, inlined, kernel

# Bytes, of x86 and most Arm processors; a wrong value costs speed only.
CACHE_LINE = 64
# Rows of a block: the bytes of one AVX-512 register, two of AVX2, four of NEON.
BLOCK = 64


def _enabled_features() -> list[str]:
    features = numba.config.CPU_FEATURES
    if features is None:
        features = codegen.get_host_cpu_features()
    return features.split(",")


def available_instructions() -> list[str]:
    """Return the instruction sets that numba may compile for here, best first."""
    if numba.config.DISABLE_JIT:
        return ["portable"]
    enabled = _enabled_features()
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    found = {
        "avx512vbmi": "+avx512vbmi" in enabled and "+avx512bw" in enabled,
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
    available = available_instructions()
    if not forced:
        return available[0]
    if forced not in available:
        raise ValueError(
            "The environment variable SKBQ_KERNEL must be one of the instruction sets "
            f"that can be used here, {available}. Got {forced!r} instead."
        )
    return forced


def _reads_half_floats() -> bool:
    """Tell whether float16 becomes float32 in one instruction here."""
    if INSTRUCTIONS in ("portable", "neon"):
        return INSTRUCTIONS == "neon"
    return "+f16c" in _enabled_features()


INSTRUCTIONS = choose_instructions(FORCED)
HAS_AVX512 = INSTRUCTIONS.startswith("avx512")
HAS_HALF_FLOATS = _reads_half_floats()
# Sums of products of bytes in one instruction.
HAS_BYTE_PRODUCTS = HAS_AVX512 and "+avx512vnni" in _enabled_features()


@kernel
def aligned(n_words):
    """Return an array of uint64 that starts at a cache line."""
    words = np.empty(n_words + CACHE_LINE // 8, np.uint64)
    start = (-words.ctypes.data // 8) % (CACHE_LINE // 8)
    return words[start : start + n_words]


# Vectors as numba values. Each operation is one line of LLVM code.


def vector(bits, count):
    return ir.VectorType(ir.IntType(bits), count)


class Vector(types.Type):
    """The type of a vector in registers."""

    def __init__(self, name, llvm_type):
        self.llvm_type = llvm_type
        super().__init__(name=f"vector of {name}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm_type)


BYTES = Vector("64 uint8", vector(8, BLOCK))
SHORTS = Vector("32 uint16", vector(16, BLOCK // 2))
DOUBLES = Vector("8 float64", ir.VectorType(ir.DoubleType(), 8))


def call(builder, name, kind, *args):
    """Call LLVM's intrinsic of a name, which returns a value of a kind."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [arg.type for arg in args]), name
    )
    return builder.call(function, args)


def shuffle(builder, first, second, lanes):
    mask = ir.Constant(vector(32, len(lanes)), lanes)
    return builder.shuffle_vector(first, second, mask)


def pointer(context, builder, array_type, array, offset, target):
    """Point at ``offset`` bytes behind the start of an array."""
    start = context.make_array(array_type)(context, builder, array).data
    start = builder.bitcast(start, ir.PointerType(ir.IntType(8)))
    moved = builder.gep(start, [offset], source_etype=ir.IntType(8))
    return builder.bitcast(moved, ir.PointerType(target))


def load_bytes(context, builder, signature, args, count):
    """Load ``count`` bytes; args are an array and an offset in bytes."""
    target = vector(8, count)
    place = pointer(context, builder, signature.args[0], *args, target)
    return builder.load(place, align=1, typ=target)


@intrinsic
def load(typing, array, offset):
    """Load the 64 bytes that start ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        return load_bytes(context, builder, signature, args, BLOCK)

    return BYTES(array, types.int64), emit


@intrinsic
def store(typing, array, offset, x):
    """Store a vector ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        array, offset, x = args
        place = pointer(context, builder, signature.args[0], array, offset, x.type)
        builder.store(x, place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, x), emit


def zeros_of(vector):
    """Make the intrinsic that returns a vector of zeros."""

    @intrinsic
    def zeros(typing):
        def emit(context, builder, signature, args):
            return ir.Constant(vector.llvm_type, None)

        return vector(), emit

    return zeros


zeros, zero_doubles = zeros_of(BYTES), zeros_of(DOUBLES)


def binary(operation):
    """Make the intrinsic ``x, y -> operation(x, y)`` on vectors of one kind."""

    @intrinsic
    def apply(typing, x, y):
        def emit(context, builder, signature, args):
            return getattr(builder, operation)(*args)

        return x(x, x), emit

    return apply


add, subtract, or_ = binary("add"), binary("sub"), binary("or_")


def with_constant(operation, value):
    """Make the intrinsic ``x -> operation(x, value)`` on every element."""

    @intrinsic
    def apply(typing, x):
        def emit(context, builder, signature, args):
            kind = args[0].type
            constant = ir.Constant(kind, [value] * kind.count)
            return getattr(builder, operation)(args[0], constant)

        return x(x), emit

    return apply


def as_mask(builder, conditions):
    """Return 64 conditions as an integer, the first one in the lowest bit."""
    return builder.bitcast(conditions, ir.IntType(BLOCK))


def splat(builder, value, count):
    kind = ir.VectorType(value.type, count)
    one = builder.insert_element(
        ir.Constant(kind, None), value, ir.Constant(ir.IntType(32), 0)
    )
    return shuffle(builder, one, one, [0] * count)


def halved(builder, x, combine):
    """Combine the elements of a vector: halves with each other, until one is left."""
    while x.type.count > 1:
        half = x.type.count // 2
        low, high = list(range(half)), list(range(half, 2 * half))
        x = combine(builder, shuffle(builder, x, x, low), shuffle(builder, x, x, high))
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


@intrinsic
def _first_row(typing, mask):
    """Return the number of the lowest bit that is set; there is one."""

    def emit(context, builder, signature, args):
        never_zero = ir.Constant(ir.IntType(1), 1)
        name = "llvm.cttz.i64"
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(1)]),
            name,
        )
        return builder.call(function, [args[0], never_zero])

    return types.int64(types.uint64), emit


@inlined
def _list_rows_plain(mask, first, rows, n):
    """Write the rows of a mask, whose first is ``first``, behind n others.

    Returns the number of all.
    """
    for r in range(BLOCK):
        if (mask >> np.uint64(r)) & np.uint64(1) != 0:
            rows[n] = first + r
            n += 1
    return n


@inlined
def _list_rows_vector(mask, first, rows, n):
    while mask != 0:
        rows[n] = first + _first_row(mask)
        n += 1
        mask &= mask - np.uint64(1)
    return n


list_rows = _list_rows_plain if INSTRUCTIONS == "portable" else _list_rows_vector


@intrinsic
def _prefetch(typing, array, offset):
    """Have the cache line at ``offset`` bytes fetched into the second-level cache.

    The offset may lie beyond the array.
    """

    def emit(context, builder, signature, args):
        place = pointer(context, builder, signature.args[0], *args, ir.IntType(8))
        codes = [ir.Constant(ir.IntType(32), i) for i in (0, 2, 1)]
        call(builder, "llvm.prefetch.p0", ir.VoidType(), place, *codes)
        return context.get_dummy_value()

    return types.void(array, types.int64), emit


@inlined
def _no_prefetch(array, offset):
    pass


prefetch = _no_prefetch if INSTRUCTIONS == "portable" else _prefetch


@intrinsic
def _word_at(typing, array, offset):
    """Load the 64-bit word that starts ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        word = ir.IntType(64)
        place = pointer(context, builder, signature.args[0], *args, word)
        return builder.load(place, align=1, typ=word)

    return types.uint64(array, types.int64), emit


add_floats, subtract_floats = binary("fadd"), binary("fsub")
multiply_floats = binary("fmul")


def _element(array):
    """Return the LLVM type of an array's numbers; uint16 holds the bits of float16."""
    kinds = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
    return kinds.get(array.dtype, ir.HalfType())


def _as_doubles(builder, x):
    """Extend floats to float64, exactly; half floats in the two steps that exist."""
    double, single = ir.DoubleType(), ir.FloatType()
    if isinstance(x.type, ir.VectorType):
        double, single = (ir.VectorType(kind, 8) for kind in (double, single))
    if getattr(x.type, "element", x.type) == ir.HalfType():
        x = builder.fpext(x, single)
    return x if x.type == double else builder.fpext(x, double)


@intrinsic
def eight_at(typing, array, offset):
    """Load the eight numbers that start ``offset`` bytes into an array, as float64."""

    def emit(context, builder, signature, args):
        kind = ir.VectorType(_element(signature.args[0]), 8)
        place = pointer(context, builder, signature.args[0], *args, kind)
        return _as_doubles(builder, builder.load(place, align=1, typ=kind))

    return DOUBLES(array, types.int64), emit


@intrinsic
def one_at(typing, array, offset):
    """Load one number, ``offset`` bytes into an array, as float64."""

    def emit(context, builder, signature, args):
        kind = _element(signature.args[0])
        place = pointer(context, builder, signature.args[0], *args, kind)
        return _as_doubles(builder, builder.load(place, align=1, typ=kind))

    return types.float64(array, types.int64), emit


@intrinsic
def doubles_of(typing, x):
    """Return eight times the same float64."""

    def emit(context, builder, signature, args):
        return splat(builder, args[0], 8)

    return DOUBLES(types.float64), emit


@intrinsic
def sum_of_eight(typing, sums):
    """Add eight sums as ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))."""

    def emit(context, builder, signature, args):
        places = [ir.Constant(ir.IntType(32), lane) for lane in range(8)]
        parts = [builder.extract_element(args[0], place) for place in places]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [builder.fadd(a, b) for a, b in pairs]
        return parts[0]

    return types.float64(DOUBLES), emit


@inlined
def _word_of_bytes(array, offset):
    flat, word = array.ravel(), np.uint64(0)
    for i in range(8):
        word |= np.uint64(flat[offset + i]) << np.uint64(8 * i)
    return word


word_at = _word_of_bytes if INSTRUCTIONS == "portable" else _word_at
