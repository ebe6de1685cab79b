"""Float tables rounded to 8 bits, with a bound of the error."""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .memory import aligned_empty
from .simd import (
    INSTRUCTIONS,
    Vector,
    add_floats,
    halved,
    multiply_floats,
    pointer,
    splat,
    store,
    zeros_of,
)
from .tiles import ENTRIES

_LINE = Vector(f"{ENTRIES} float32", ir.VectorType(ir.FloatType(), ENTRIES))
_zero_line = zeros_of(_LINE)

# Lines whose rounded entries are added in 8 bits: more of them need fewer
# instructions and give looser bounds, so more rows to evaluate.
ROUNDED_GROUP = 8
# The sum of a group may reach at least this many standard deviations above its mean
# before it is cut off. Near rows stay below; a short reach makes the rounding finer.
REACH = 1.0
# The sum of a group counts once, twice or four times, so that groups of small entries,
# as those of the lesser principal axes, are not rounded by the step of the largest.
LARGEST_SHIFT = 2
# Doubling takes time, and is left where it saves less than a quarter of all steps.
_MOST_STEPS = 0.75
# Beyond these sizes of entries, sums and products of float32 numbers might overflow or
# lose digits.
_LEAST, _MOST = 2.0**-90, 2.0**90


class RoundedTables(NamedTuple):
    """The tables of queries, rounded, and how sums of them bound float sums.

    ``tables``, uint8 (n_queries, n_lines, ENTRIES). ``bounds``, float32 (n_queries, 2):
    float sums are at least ``base + step * sum``, in the order step, base. ``shifts``,
    uint8 (n_queries, n_groups): the sum of a group of lines counts 2^shift times.
    """

    tables: np.ndarray
    bounds: np.ndarray
    shifts: np.ndarray


def empty_tables(
    n_queries: int, n_lines: int, group: int = ROUNDED_GROUP
) -> RoundedTables:
    """Return room for the tables of queries, as kernels fill it."""
    n_groups = -(-n_lines // group)
    return RoundedTables(
        aligned_empty((n_queries, n_lines, ENTRIES)),
        np.empty((n_queries, 2), np.float32),
        np.empty((n_queries, n_groups), np.uint8),
    )


@inlined
def largest_size(numbers):
    """Return the largest absolute value of a flat array; NaN is left out."""
    largest = np.float32(0)
    for i in range(numbers.size):
        largest = max(largest, abs(numbers[i]))
    return largest


@inlined
def fits(size):
    """Tell whether tables of entries up to a size can be rounded; NaN cannot."""
    return size == 0 or _LEAST < size < _MOST


@inlined
def say_nothing(rounded, q):
    """Bound all distances to query q from below by minus infinity."""
    rounded.tables[q], rounded.shifts[q] = 0, 0
    rounded.bounds[q, 0], rounded.bounds[q, 1] = 0, -np.inf


@inlined
def _measure_plain(raw, p):
    """Return the least and the largest entry, the sum of all and of their squares."""
    low = most = raw[p, 0]
    total = squares = np.float32(0)
    for c in range(ENTRIES):
        entry = raw[p, c]
        low, most = min(low, entry), max(most, entry)
        total += entry
        squares += entry * entry
    return low, most, total, squares


@intrinsic
def _measure_at(typing, raw, offset):
    """Do the same with the line that starts ``offset`` bytes into float tables."""

    def emit(context, builder, signature, args):
        kind = _LINE.llvm_type
        place = pointer(context, builder, signature.args[0], *args, kind)
        line = builder.load(place, align=4, typ=kind)
        measured = [
            halved(builder, line, _emit_min),
            halved(builder, line, _emit_max),
            halved(builder, line, ir.IRBuilder.fadd),
            halved(builder, builder.fmul(line, line), ir.IRBuilder.fadd),
        ]
        return context.make_tuple(builder, signature.return_type, measured)

    return types.UniTuple(types.float32, 4)(raw, types.int64), emit


def _emit_min(builder, x, y):
    return builder.select(builder.fcmp_ordered("<", x, y), x, y)


def _emit_max(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


@inlined
def _measure_vector(raw, p):
    return _measure_at(raw, p * ENTRIES * 4)


@inlined
def _measure_lines(raw, group, reach, lows, wanted):
    """Measure how far the sums of groups must reach above their least values.

    That is to their mean plus ``reach`` standard deviations, over random bits, or to
    their largest value. ``lows``, float32 (n_lines,), is filled with the least entries,
    ``wanted``, float64 (n_groups,), with how far.

    Returns
    -------
    largest : float64
        Sum over tables of the largest size of an entry.
    """
    largest = 0.0
    for g in range(wanted.size):
        mean = variance = full = 0.0
        for p in range(g * group, min((g + 1) * group, raw.shape[0])):
            low, most, total, squares = _measure_line(raw, p)
            lows[p] = low
            center = np.float64(total) / ENTRIES
            mean += center - low
            variance += max(np.float64(squares) / ENTRIES - center * center, 0.0)
            full += np.float64(most) - low
            largest += np.float64(max(abs(low), abs(most)))
        wanted[g] = min(full, mean + reach * np.sqrt(variance))
    return largest


@inlined
def _set_shifts(wanted, shifts):
    """Choose the step by which rounded tables reach as far as they must in 8 bits.

    Groups that need to reach half or a quarter as far as the farthest one have half or
    a quarter of its step: their sums are doubled less often.

    Returns
    -------
    step : float32
        Of the groups whose shift is 0. ``shifts``, uint8 (n_groups,), is filled.
    """
    farthest = 0.0
    for g in range(wanted.size):
        farthest = max(farthest, wanted[g])
    total = 0
    for g in range(wanted.size):
        shift = 0
        while wanted[g] * (1 << LARGEST_SHIFT - shift) > farthest:
            shift += 1
        shifts[g] = shift
        total += 1 << shift
    if total > _MOST_STEPS * wanted.size * (1 << LARGEST_SHIFT):
        shifts[:] = 0
        return np.float32(farthest / 255)
    return np.float32(farthest / (255 << LARGEST_SHIFT))


@inlined
def _round_plain(raw, p, low, step, inverse, tables, q):
    """Fill a table; return how far entries times the step are above at most."""
    added = np.float32(0)
    for c in range(ENTRIES):
        above = raw[p, c] - low
        entry = min(above * inverse + np.float32(0.5), np.float32(127))
        entry = np.floor(entry)
        tables[q, p, c] = np.uint8(entry)
        added = max(added, step * entry - above)
    return added


@intrinsic
def _round_at(typing, raw, source, low, step, inverse, tables, target):
    """Do the same with the line at ``source`` bytes, into the table at ``target``."""

    def emit(context, builder, signature, args):
        raw, source, *numbers, tables, target = args
        kind, numbers_kind = _LINE.llvm_type, ir.VectorType(ir.IntType(32), ENTRIES)
        low, step, inverse = (splat(builder, x, ENTRIES) for x in numbers)
        place = pointer(context, builder, signature.args[0], raw, source, kind)
        above = builder.fsub(builder.load(place, align=4, typ=kind), low)
        half, most = (ir.Constant(kind, [x] * ENTRIES) for x in (0.5, 127.0))
        entry = builder.fadd(builder.fmul(above, inverse), half)
        entry = builder.fptosi(_emit_min(builder, entry, most), numbers_kind)
        table = ir.VectorType(ir.IntType(8), ENTRIES)
        place = pointer(context, builder, signature.args[5], tables, target, table)
        builder.store(builder.trunc(entry, table), place, align=1)
        reached = builder.fmul(step, builder.sitofp(entry, kind))
        return halved(builder, builder.fsub(reached, above), _emit_max)

    offset, real = types.int64, types.float32
    return real(raw, offset, real, real, real, tables, offset), emit


@inlined
def _round_vector(raw, p, low, step, inverse, tables, q):
    source, target = p * ENTRIES * 4, (q * tables.shape[1] + p) * ENTRIES
    added = _round_at(raw, source, low, step, inverse, tables, target)
    return max(added, np.float32(0))


@inlined
def _sum_plain(raw, p, entries, values, q, coordinates):
    for c in range(ENTRIES):
        raw[p, c] = np.float32(0)
    for j in range(coordinates.size):
        i = coordinates[j]
        if i >= 0:
            for c in range(ENTRIES):
                raw[p, c] += entries[j, c] * values[q, i]


@intrinsic
def _line_at(typing, array, offset):
    """Load the line that starts ``offset`` bytes into an array of float32."""

    def emit(context, builder, signature, args):
        kind = _LINE.llvm_type
        place = pointer(context, builder, signature.args[0], *args, kind)
        return builder.load(place, align=4, typ=kind)

    return _LINE(array, types.int64), emit


@intrinsic
def _line_of(typing, x):
    def emit(context, builder, signature, args):
        return splat(builder, args[0], ENTRIES)

    return _LINE(types.float32), emit


@inlined
def _sum_vector(raw, p, entries, values, q, coordinates):
    line = _zero_line()
    for j in range(coordinates.size):
        i = coordinates[j]
        if i >= 0:
            entry = _line_at(entries, j * ENTRIES * 4)
            line = add_floats(line, multiply_floats(entry, _line_of(values[q, i])))
    store(raw, p * ENTRIES * 4, line)


if INSTRUCTIONS == "portable":
    _measure_line, _round_line, sum_line = _measure_plain, _round_plain, _sum_plain
else:
    _measure_line, _round_line, sum_line = _measure_vector, _round_vector, _sum_vector


@inlined
def room_of_groups(rounded):
    """Return room for a number of each group, as ``round_one`` takes it."""
    return np.empty(rounded.shifts.shape[1])


@inlined
def round_one(raw, group, reach, lows, wanted, rounded, q):
    """Round the float tables of one query, (n_lines, ENTRIES), as ``round_tables``.

    ``lows``, float32 (n_lines,), and ``wanted``, float64 (n_groups,), are room.
    """
    shifts = rounded.shifts[q]
    largest = _measure_lines(raw, group, reach, lows, wanted)
    least_step = _set_shifts(wanted, shifts)
    base = 0.0
    for g in range(wanted.size):
        step, inverse = least_step * np.float32(1 << shifts[g]), np.float32(0)
        if step > 0:
            inverse = np.float32(1 / np.float64(step))
        for p in range(g * group, min((g + 1) * group, raw.shape[0])):
            added = _round_line(raw, p, lows[p], step, inverse, rounded.tables, q)
            base += np.float64(lows[p]) - np.float64(added)
    # Room for arithmetic in float32, each step of which rounds by 2^-24 of a number:
    # here of sums of a line, four steps and less; in ``mask_near`` of intermediate
    # values below 4 * largest.
    rounded.bounds[q, 0] = least_step
    rounded.bounds[q, 1] = base - largest * 2.0**-18


@kernel
def round_tables(raw, group, reach, rounded):
    """Round float tables to 7 bits.

    An entry is the nearest number of steps above the least value of its table. The sum
    of entries, groups of which stop at 255, is then below the float sum but for what
    rounding has added: at most, table by table, the largest such error.

    Parameters
    ----------
    raw : float32 array (n_queries, n_lines, ENTRIES)
        Not NaN.
    group : int
        Number of lines whose entries are added in 8 bits.
    reach : float
        As in ``_measure_lines``.
    rounded : RoundedTables
        Filled.
    """
    lows = np.empty(raw.shape[1], np.float32)
    wanted = room_of_groups(rounded)
    for q in range(raw.shape[0]):
        if fits(largest_size(raw[q].ravel())):
            round_one(raw[q], group, reach, lows, wanted, rounded, q)
        else:
            say_nothing(rounded, q)
