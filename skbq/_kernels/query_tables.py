"""What a scan by tables needs of each query: numbers of codes, tables of floats.

Both go line by line: ``order`` says which coordinates a line of a tile holds.
"""

import numpy as np

from .jit import kernel
from .rounded_tables import (
    REACH,
    ROUNDED_GROUP,
    fits,
    largest_size,
    room_of_groups,
    round_one,
    say_nothing,
    sum_line,
)
from .tiles import ENTRIES


@kernel
def number_lines(codes, bits, order, out):
    """Fill the number of each line of codes: magnitude bits above sign bits.

    Parameters
    ----------
    codes : uint8 array (n, bits * width)
        Bytes of codes; of two bits, bytes of signs and of magnitudes in turn.
    bits : int
    order : int64 array (n_lines, coordinates of a line)
        Coordinates; -1: none.
    out : uint8 array (n, n_lines)
        Filled.
    """
    for q in range(codes.shape[0]):
        for p in range(order.shape[0]):
            number = 0
            for plane in range(bits - 1, -1, -1):
                for i in order[p]:
                    number <<= 1
                    if i >= 0:
                        byte = codes[q, bits * (i >> 3) + plane]
                        number |= np.int64(byte >> (7 - (i & 7))) & 1
            out[q, p] = number


@kernel
def tables_of_values(values, entries, order, rounded):
    """Make the rounded tables of float queries.

    Parameters
    ----------
    values : float32 array (n_queries, d), read-only
    entries : float32 array (coordinates of a line, ENTRIES), read-only
        What each entry of a table counts a coordinate.
    order : int64 array (n_lines, coordinates of a line), read-only
        Coordinates; -1: none.
    rounded : RoundedTables
        Filled.
    """
    raw = np.empty((order.shape[0], ENTRIES), np.float32)
    lows, wanted = np.empty(len(raw), np.float32), room_of_groups(rounded)
    level = np.float64(largest_size(entries.ravel()))
    for q in range(values.shape[0]):
        if not fits(level * np.float64(largest_size(values[q]))):
            say_nothing(rounded, q)
            continue
        for p in range(order.shape[0]):
            sum_line(raw, p, entries, values, q, order[p])
        round_one(raw, ROUNDED_GROUP, REACH, lows, wanted, rounded, q)


@kernel
def tables_of_nibbles(exact, sign, rounded):
    """Make the rounded tables of queries to codes of mixed depths.

    Parameters
    ----------
    exact : float32 array (n_queries, n_lines, 16)
        What each nibble adds to the product.
    sign : int
        1 or -1, which the products are multiplied by.
    rounded : RoundedTables
        Filled; where tables have 64 entries, the 16 stand there four times.
    """
    raw = np.empty((exact.shape[1], ENTRIES), np.float32)
    lows, wanted = np.empty(len(raw), np.float32), room_of_groups(rounded)
    for q in range(exact.shape[0]):
        if not fits(largest_size(exact[q].ravel())):
            say_nothing(rounded, q)
            continue
        for p in range(exact.shape[1]):
            for c in range(ENTRIES):
                raw[p, c] = np.float32(sign) * exact[q, p, c & 15]
        round_one(raw, ROUNDED_GROUP, REACH, lows, wanted, rounded, q)


@kernel
def tables_of_cut_bytes(exact, sign, rounded):
    """Do the same where bytes are cut into lines as those of one bit are.

    That is for tables of 64 entries, and for codes whose upper nibbles add a part by
    their upper two bits and a part by their lower two.

    Parameters
    ----------
    exact, sign, rounded : as for ``tables_of_nibbles``
        Of three bytes four lines: the lower six bits of each, then the upper two of
        all, those of the last byte the highest.
    """
    width, n_lines = exact.shape[1] // 2, rounded.tables.shape[1]
    raw, lows = np.empty((n_lines, 64), np.float32), np.empty(n_lines, np.float32)
    wanted = room_of_groups(rounded)
    sign = np.float32(sign)
    for q in range(exact.shape[0]):
        if not fits(largest_size(exact[q].ravel())):
            say_nothing(rounded, q)
            continue
        raw[:] = 0
        for b in range(width):
            upper, lower = exact[q, 2 * b], exact[q, 2 * b + 1]
            line, last, shift = b // 3 * 4 + b % 3, b // 3 * 4 + 3, 2 * (b % 3)
            for c in range(64):
                raw[line, c] = sign * (lower[c & 15] + (upper[c >> 4] - upper[0]))
                raw[last, c] += sign * upper[(c >> shift & 3) << 2]
        round_one(raw, ROUNDED_GROUP, REACH, lows, wanted, rounded, q)
