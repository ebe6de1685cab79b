"""Codes of mixed depth: how rows are encoded and what queries look up.

A row is a nibble after nibble: which coordinates stand in each, and what they add, say
the arrays of ``skbq.codes.MixedDepths``.
"""

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel


class Depths(NamedTuple):
    """A layout of mixed depths as arrays.

    ``scales``, float32 (n_values,): what the levels of each coordinate are multiplied
    by. ``coordinates``, int64 (n_lines, 4): which coordinates a nibble holds, -1 none.
    ``starts``, int64 (n_depths + 1,): where the coordinates of each depth begin, the
    deepest first; ``depths``, int64 (n_depths,). ``levels`` and ``edges``, float32,
    hold the levels of all depths one after the other, and what lies half way between
    each and the next; ``first``, int64 (n_depths,), where those of each depth begin.
    """

    scales: np.ndarray
    coordinates: np.ndarray
    starts: np.ndarray
    depths: np.ndarray
    levels: np.ndarray
    edges: np.ndarray
    first: np.ndarray


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
def _set_numbers(u, levels, edges, numbers, values):
    """Find the levels that are nearest to u; of two, the lower one.

    Edges are counted that lie below: loops over coordinates then need no branches.
    """
    n = u.size
    if edges.size > 15:  # evenly spaced
        low, step = levels[0], (levels[-1] - levels[0]) / np.float32(edges.size)
        for i in range(n):
            place = np.ceil((u[i] - low) / step - np.float32(0.5))
            numbers[i] = np.int32(min(max(place, np.float32(0)), np.float32(255)))
    elif edges.size == 1:
        e0 = edges[0]
        for i in range(n):
            numbers[i] = np.int32(u[i] > e0)
    else:
        for i in range(n):
            numbers[i] = 0
        for j in range(0, edges.size, 3):
            e0, e1, e2 = edges[j], edges[j + 1], edges[j + 2]
            for i in range(n):
                below = np.int32(u[i] > e0) + np.int32(u[i] > e1) + np.int32(u[i] > e2)
                numbers[i] += np.int32(below)
    for i in range(n):
        values[i] = levels[numbers[i]]


@inlined
def _add_products(x, values, scales):
    """Return <q, x> and <q, q> of values q in units of scales, in one fixed order."""
    n = x.size
    whole = n // 4 * 4
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
    for i in range(0, whole, 4):
        q0 = np.float64(values[i] * scales[i])
        q1 = np.float64(values[i + 1] * scales[i + 1])
        q2 = np.float64(values[i + 2] * scales[i + 2])
        q3 = np.float64(values[i + 3] * scales[i + 3])
        s0 += q0 * x[i]
        s1 += q1 * x[i + 1]
        s2 += q2 * x[i + 2]
        s3 += q3 * x[i + 3]
        t0 += q0 * q0
        t1 += q1 * q1
        t2 += q2 * q2
        t3 += q3 * q3
    for i in range(whole, n):
        q0 = np.float64(values[i] * scales[i])
        s0 += q0 * x[i]
        t0 += q0 * q0
    return (s0 + s1) + (s2 + s3), (t0 + t1) + (t2 + t3)


@kernel
def encode_rows(rows, layout, rounds, codes, along, squares):
    """Encode rows by the levels that are nearest to a multiple of them.

    The code of least angle to a row x is the nearest one to a multiple of x; which one,
    codes say themselves: to r belongs <r, r> / <r, x>. The first code is that of x as
    it is. Each round takes the multiple of the code before, and the angle cannot grow.

    Parameters
    ----------
    rows : float32 array (n_rows, n_columns), read-only
        The coordinates that are kept come first.
    layout : Depths
    rounds : int
        How often a better code is looked for.
    codes : uint8 array (n_rows, width)
        Filled.
    along, squares : float64 arrays (n_rows,)
        Filled with the products of rows and values of their codes, and with the
        squared norms of these.
    """
    n_values, n_depths = layout.scales.size, layout.depths.size
    numbers = np.empty(n_values, np.int32)
    values, u = np.empty(n_values, np.float32), np.empty(n_values, np.float32)
    multiple = np.empty(n_values, np.float32)
    inverse = np.float32(1) / layout.scales
    n_deep = layout.starts[n_depths]
    if layout.depths[n_depths - 1] == 1:  # the other sign is never better
        n_deep = layout.starts[n_depths - 1]
    for r in range(rows.shape[0]):
        x = rows[r, :n_values]
        for i in range(n_values):
            u[i] = x[i] * inverse[i]
        _set_all_numbers(u, layout, n_depths, numbers, values)
        product, square = _add_products(x, values, layout.scales)
        if n_deep:
            some = slice(n_deep, n_values)
            shallow = _add_products(x[some], values[some], layout.scales[some])
            n_deep_depths = n_depths - (n_deep < n_values)
            for _ in range(rounds):
                if product <= 0:
                    break
                factor = np.float32(square / product)
                for i in range(n_deep):
                    multiple[i] = u[i] * factor
                _set_all_numbers(multiple, layout, n_deep_depths, numbers, values)
                deep = _add_products(
                    x[:n_deep], values[:n_deep], layout.scales[:n_deep]
                )
                product, square = deep[0] + shallow[0], deep[1] + shallow[1]
        along[r], squares[r] = product, square
        _pack(numbers, layout, codes[r])


@inlined
def _set_all_numbers(u, layout, n_depths, numbers, values):
    """Find the nearest levels of the coordinates of the first depths."""
    for g in range(n_depths):
        some = slice(layout.starts[g], layout.starts[g + 1])
        first, count = layout.first[g], 1 << layout.depths[g]
        levels = layout.levels[first : first + count]
        edges = layout.edges[first : first + count - 1]
        _set_numbers(u[some], levels, edges, numbers[some], values[some])


@inlined
def _pack(numbers, layout, code):
    """Write the numbers of a row's levels into its nibbles."""
    n_wide = layout.starts[1] if layout.depths[0] == 8 else 0
    n_four = n_two = n_wide
    for g in range(layout.depths.size):
        if layout.depths[g] == 4:
            n_four = layout.starts[g + 1]
        if layout.depths[g] >= 2:
            n_two = layout.starts[g + 1]
    n_two = max(n_two, n_four)
    for byte in range(code.size):
        whole = np.int64(0)
        for line in (2 * byte, 2 * byte + 1):
            i, second = layout.coordinates[line, 0], layout.coordinates[line, 1]
            if i < 0:  # nothing, or the lower half of eight bits
                nibble = np.int64(0) if second < 0 else np.int64(numbers[second]) & 15
            elif i < n_wide:
                nibble = np.int64(numbers[i]) >> 4
            elif i < n_four:
                nibble = np.int64(numbers[i])
            elif i < n_two:
                nibble = np.int64(numbers[i]) << 2
                if second >= 0:
                    nibble |= np.int64(numbers[i + 1])
            else:
                nibble = np.int64(0)
                for slot in range(4):
                    nibble <<= 1
                    if layout.coordinates[line, slot] >= 0:
                        nibble |= np.int64(numbers[i + slot])
            whole = whole << 4 | nibble
        code[byte] = np.uint8(whole)


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
def count_found(scores, factors, squares, true, limits, k, counts):
    """Count how many of the rows that estimates put first are true neighbors.

    Queries are the first rows, and no row is a neighbor of itself.

    Parameters
    ----------
    scores : float32 array (n_queries, n_rows), read-only
        Products of queries and the values of codes.
    factors, squares : float64 arrays (n_rows,), read-only
        The estimate is ``squares - 2 * factors * scores``; equal ones in order of rows.
    true : float32 array (n_queries, n_rows), read-only
        Distances.
    limits : float64 array (n_queries,), read-only
        The largest distance of a true neighbor.
    k : int
        How many rows are first, fewer than there are.
    counts : int64 array (n_queries,)
        Filled.
    """
    nearest, rows = np.empty(k), np.empty(k, np.int64)
    for q in range(scores.shape[0]):
        nearest[:] = np.inf
        for r in range(scores.shape[1]):
            estimate = squares[r] - 2.0 * factors[r] * np.float64(scores[q, r])
            if r == q or not estimate < nearest[k - 1]:
                continue
            place = k - 1
            while place > 0 and estimate < nearest[place - 1]:
                nearest[place], rows[place] = nearest[place - 1], rows[place - 1]
                place -= 1
            nearest[place], rows[place] = estimate, r
        counts[q] = 0
        for place in range(k):
            counts[q] += np.int64(true[q, rows[place]] <= limits[q])


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
