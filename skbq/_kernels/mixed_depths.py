"""Codes of mixed depth: how rows are encoded and what queries look up.

A row is a nibble after nibble: which coordinates stand in each, and what they add, say
the arrays of ``skbq.codes.MixedDepths``.
"""

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel


class Depths(NamedTuple):
    """A layout of mixed depths as arrays.

    ``depths``, int64 (n_values,): bits of each coordinate; ``scales``, float64
    (n_values,): what its levels are multiplied by. ``levels``, float64, holds the
    levels of all depths one after the other, and ``first``, int64 (9,), where those of
    each depth begin. ``coordinates`` and ``shifts``, int64 (n_lines, 4): which
    coordinates a nibble holds, -1 none, and how far left their bits stand.
    """

    depths: np.ndarray
    scales: np.ndarray
    levels: np.ndarray
    first: np.ndarray
    coordinates: np.ndarray
    shifts: np.ndarray


@kernel
def center_rows(rows, c, out, sums):
    """Subtract a vector from rows.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d), read-only
    c : float64 array (d,), read-only
    out : float32 array (n_rows, d)
        Filled with a = x - c.
    sums : float64 array (4, n_rows)
        The first is filled with <a, a>, the third with <a, c>, the last with <x, x>.
    """
    d = rows.shape[1]
    whole = d // 4 * 4
    square_of_c = 0.0
    for j in range(d):
        square_of_c += c[j] * c[j]
    for r in range(rows.shape[0]):
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
        for j in range(0, whole, 4):
            a0, a1 = rows[r, j] - c[j], rows[r, j + 1] - c[j + 1]
            a2, a3 = rows[r, j + 2] - c[j + 2], rows[r, j + 3] - c[j + 3]
            out[r, j], out[r, j + 1] = np.float32(a0), np.float32(a1)
            out[r, j + 2], out[r, j + 3] = np.float32(a2), np.float32(a3)
            s0 += a0 * a0
            s1 += a1 * a1
            s2 += a2 * a2
            s3 += a3 * a3
            t0 += a0 * c[j]
            t1 += a1 * c[j + 1]
            t2 += a2 * c[j + 2]
            t3 += a3 * c[j + 3]
        for j in range(whole, d):
            a0 = rows[r, j] - c[j]
            out[r, j] = np.float32(a0)
            s0 += a0 * a0
            t0 += a0 * c[j]
        sums[0, r], sums[2, r] = (s0 + s1) + (s2 + s3), (t0 + t1) + (t2 + t3)
        sums[3, r] = sums[0, r] + 2 * sums[2, r] + square_of_c


@inlined
def _value(layout, i, number):
    """Return the level of coordinate i by its number, as its codes unpack to."""
    at = layout.first[layout.depths[i]] + number
    return np.float64(np.float32(layout.levels[at] * layout.scales[i]))


@inlined
def _nearest_level(layout, i, x):
    """Return the number of the level that is nearest to x; of two, the lower one."""
    depth = layout.depths[i]
    start, u = layout.first[depth], x / layout.scales[i]
    if depth == 8:  # evenly spaced
        low = layout.levels[start]
        step = (layout.levels[start + 255] - low) / 255
        return np.int64(min(max(np.ceil((u - low) / step - 0.5), 0.0), 255.0))
    number, half = 0, 1 << (depth - 1)
    while half > 0:
        at = start + number + half
        if 2 * u > layout.levels[at - 1] + layout.levels[at]:
            number += half
        half >>= 1
    return number


@inlined
def _improve(x, layout, numbers, values, along, square):
    """Move coordinates to a neighboring level where the cosine to the row grows.

    The best code of a direction is the nearest one to some multiple of the row, here
    ``square / along`` times it: a coordinate can gain on that side only.
    """
    for i in range(x.size):
        depth = layout.depths[i]
        if depth == 1:
            continue  # the other sign never gains
        u, value = np.float64(x[i]), values[i]
        number = numbers[i] + (1 if u * square > value * along else -1)
        if number < 0 or number >= 1 << depth:
            continue
        other = _value(layout, i, number)
        new_along = along + (other - value) * u
        new_square = square + other * other - value * value
        if (
            new_along > 0
            and new_along * new_along * square > along * along * new_square
        ):
            numbers[i], values[i] = number, other
            along, square = new_along, new_square
    return along, square


@kernel
def encode_rows(rows, layout, rounds, codes, along):
    """Encode rows by the nearest levels, then by ascent on the cosine to the row.

    Parameters
    ----------
    rows : float32 array (n_rows, n_columns), read-only
        The coordinates that are kept come first.
    layout : Depths
    rounds : int
        How often all coordinates are gone through to be improved.
    codes : uint8 array (n_rows, width)
        Filled.
    along : float64 array (n_rows,)
        Filled with the products of rows and values of their codes.
    """
    n_values = layout.depths.size
    numbers, values = np.empty(n_values, np.int64), np.empty(n_values)
    for r in range(rows.shape[0]):
        x = rows[r, :n_values]
        product = square = 0.0
        for i in range(n_values):
            numbers[i] = _nearest_level(layout, i, np.float64(x[i]))
            values[i] = _value(layout, i, numbers[i])
            product += values[i] * x[i]
            square += values[i] * values[i]
        for _ in range(rounds):
            product, square = _improve(x, layout, numbers, values, product, square)
        total = 0.0
        for i in range(n_values):
            total += values[i] * x[i]
        along[r] = total
        _pack(numbers, layout, codes, r)


@inlined
def _pack(numbers, layout, codes, r):
    """Write the numbers of a row's levels into its nibbles."""
    for line in range(layout.coordinates.shape[0]):
        nibble = 0
        for slot in range(4):
            i = layout.coordinates[line, slot]
            if i < 0:
                continue
            number = numbers[i]
            if layout.depths[i] == 8:
                number = number >> 4 if slot == 0 else number & 15
            nibble |= number << layout.shifts[line, slot]
        if line % 2 == 0:
            codes[r, line // 2] = np.uint8(nibble << 4)
        else:
            codes[r, line // 2] |= np.uint8(nibble)


@kernel
def fill_tables(queries, coordinates, values, tables):
    """Compute what each nibble adds to the product of float queries and a row.

    Parameters
    ----------
    queries : float32 array (n_queries, n_values), read-only
    coordinates : int64 array (n_lines, 4), read-only
        Which coordinates a nibble holds; -1: none.
    values : float32 array (n_lines, 4, 16), read-only
        What each coordinate of a nibble adds to a row's values, by the nibble.
    tables : float32 array (n_queries, n_lines, 16)
        Filled: the products are added in order, in float64, and rounded once.
    """
    totals = np.empty(16)
    for q in range(queries.shape[0]):
        for line in range(coordinates.shape[0]):
            for nibble in range(16):
                totals[nibble] = 0.0
            for slot in range(4):
                i = coordinates[line, slot]
                if i >= 0:
                    y = np.float64(queries[q, i])
                    for nibble in range(16):
                        totals[nibble] += y * np.float64(values[line, slot, nibble])
            for nibble in range(16):
                tables[q, line, nibble] = np.float32(totals[nibble])


@kernel
def square_norms(codes, coordinates, values, norms):
    """Compute the squared norms of the values of codes.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
    coordinates, values : as for ``fill_tables``
    norms : float64 array (n_rows,)
        Filled.
    """
    n_lines = coordinates.shape[0]
    squares = np.zeros((n_lines, 16))
    is_split = np.zeros(n_lines, np.bool_)  # the lower half of eight bits comes apart
    for line in range(n_lines):
        is_split[line] = coordinates[line, 0] < 0 and coordinates[line, 1] >= 0
        for nibble in range(16):
            for slot in range(4):
                squares[line, nibble] += np.float64(values[line, slot, nibble]) ** 2
    upper_of = _upper_halves(coordinates, is_split)
    for r in range(codes.shape[0]):
        total = 0.0
        for line in range(n_lines):
            byte = np.int64(codes[r, line // 2])
            nibble = byte & 15 if line % 2 else byte >> 4
            total += squares[line, nibble]
            if is_split[line]:
                upper = upper_of[line]
                byte = np.int64(codes[r, upper // 2])
                other = byte & 15 if upper % 2 else byte >> 4
                product = np.float64(values[upper, 0, other]) * values[line, 1, nibble]
                total += 2 * product
        norms[r] = total


@kernel
def _upper_halves(coordinates, is_split):
    """Return, for the lower half of each coordinate of eight bits, the upper one."""
    upper_of = np.zeros(is_split.size, np.int64)
    for line in range(is_split.size):
        if is_split[line]:
            for other in range(is_split.size):
                if coordinates[other, 0] == coordinates[line, 1]:
                    upper_of[line] = other
    return upper_of
