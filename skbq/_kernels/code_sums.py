"""Sums that codes of mixed depth say of themselves, of many rows at a time."""

import numpy as np

from .jit import kernel
from .table_lookup import count_tile_rows, make_tile, sum_some
from .tiles import ENTRIES, NIBBLES, load_tile

# Entries are looked up 7 bits at a time, of which those of two lines fit 8 bits.
_DIGIT = 7
_GROUP = 2
LARGEST_ENTRY = 2 ** (2 * _DIGIT) - 1


@kernel
def _sum_entries(codes, digits, sums):
    n_rows, n_lines = codes.shape[0], 2 * codes.shape[1]
    step = count_tile_rows(n_rows, n_lines)
    tile = make_tile(step, n_lines)
    some = np.zeros((4, step), np.int32)
    numbers = np.arange(4)
    for first in range(0, n_rows, step):
        count = min(step, n_rows - first)
        load_tile(codes, first, count, NIBBLES, tile)
        for start in range(0, sums.shape[0], 2):
            tables = digits[start // 2]
            sum_some(tile, tables, None, None, numbers, 0, 4, _GROUP, some)
            for i in range(min(2, sums.shape[0] - start)):
                for r in range(count):
                    total = (some[2 * i, r] << _DIGIT) + some[2 * i + 1, r]
                    sums[start + i, first + r] = total


def sum_entries(codes: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Add up what tables of whole numbers hold for the nibbles of codes.

    Parameters
    ----------
    codes : uint8 array of shape (n_rows, width), read-only
    tables : ndarray of int of shape (n_tables, 2 * width, 16)
        From 0 to ``LARGEST_ENTRY``.

    Returns
    -------
    sums : ndarray of shape (n_tables, n_rows), dtype int32
    """
    n_tables, n_lines, _ = tables.shape
    digits = np.zeros((-(-n_tables // 2), 2, 2, n_lines, 16), np.uint8)
    halves = digits.reshape(-1, 2, n_lines, 16)
    halves[:n_tables, 0], halves[:n_tables, 1] = tables >> _DIGIT, tables & 127
    repeated = np.tile(digits, ENTRIES // 16).reshape(len(digits), -1, ENTRIES)
    sums = np.empty((n_tables, len(codes)), np.int32)
    _sum_entries(codes, repeated, sums)
    return sums


@kernel
def add_pair_products(codes, pairs, left, right, out):
    """Add products of what two nibbles stand for.

    Parameters
    ----------
    codes : uint8 array (n_rows, width), read-only
    pairs : int64 array (n_pairs, 2), read-only
        Numbers of nibbles.
    left, right : float64 arrays (n_pairs, 16), read-only
    out : float64 array (n_rows,)
        Added to, pair by pair.
    """
    for r in range(codes.shape[0]):
        total = out[r]
        for i in range(pairs.shape[0]):
            first, second = pairs[i, 0], pairs[i, 1]
            a, b = np.int64(codes[r, first // 2]), np.int64(codes[r, second // 2])
            a = a & 15 if first % 2 else a >> 4
            b = b & 15 if second % 2 else b >> 4
            total += left[i, a] * right[i, b]
        out[r] = total


@kernel
def evaluate_polynomials(known, limits, coefficients, units, out):
    """Evaluate polynomials of degree two of two numbers of each row.

    Parameters
    ----------
    known : float64 array (2, n_rows), read-only
    limits : float64 array (2 + n_targets, 2), read-only
        Least and largest of each of the two, which stand for -1 and 1, and of each
        polynomial: what is beyond is taken for what is nearest.
    coefficients : float64 array (n_targets, 6), read-only
        Of 1, u, v, u^2, uv and v^2.
    units : float64 array (n_targets,), read-only
        What results are multiplied by.
    out : float array (n_targets, n_rows)
        Filled.
    """
    middle, half = np.empty(2), np.ones(2)
    for i in range(2):
        middle[i] = (limits[i, 0] + limits[i, 1]) / 2
        if limits[i, 1] > limits[i, 0]:
            half[i] = (limits[i, 1] - limits[i, 0]) / 2
    for t in range(coefficients.shape[0]):
        c0, c1, c2, c3, c4, c5 = coefficients[t]
        low, high, unit = limits[2 + t, 0], limits[2 + t, 1], units[t]
        for r in range(known.shape[1]):
            u = min(max((known[0, r] - middle[0]) / half[0], -1.0), 1.0)
            v = min(max((known[1, r] - middle[1]) / half[1], -1.0), 1.0)
            found = c0 + c1 * u + c2 * v + c3 * (u * u) + c4 * (u * v) + c5 * (v * v)
            out[t, r] = unit * min(max(found, low), high)
