"""One pass over a block of vectors: distances, unit length, corrections, sums of cells.

Sums are in float64 and in one order, four partial sums over every fourth coordinate,
so that a row's result depends on the row alone.
"""

import math

import numpy as np

from .jit import inlined, kernel
from .result_heap import sift_down, sort_heaps


@kernel
def _squared_length(row):
    a = b = c = d = 0.0
    whole = row.size // 4 * 4
    for j in range(0, whole, 4):
        a += np.float64(row[j]) * row[j]
        b += np.float64(row[j + 1]) * row[j + 1]
        c += np.float64(row[j + 2]) * row[j + 2]
        d += np.float64(row[j + 3]) * row[j + 3]
    for j in range(whole, row.size):
        a += np.float64(row[j]) * row[j]
    return (a + b) + (c + d)


# Metrics as kernels know them.
METRIC_NUMBERS = {"cosine": 0, "euclidean": 1, "inner_product": 2}
_COSINE, _EUCLIDEAN, _INNER_PRODUCT = METRIC_NUMBERS.values()
# Squared norms in between, and products of two, neither overflow nor lose digits.
_LEAST, _MOST = 1e-140, 1e140
# Below this cosine distance, 1 - cosine has lost a third of its digits.
_CANCELS = 2.0**-12
# Two unit-norm vectors that differ by rounding alone have a cosine distance below this.
_SAME = 1e-31


@inlined
def _products(rows, r, y):
    """Return the products of a row with a vector and with itself.

    A row that equals ``y`` has equal ones.
    """
    d = rows.shape[1]
    whole = d // 4 * 4
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
    for j in range(0, whole, 4):
        x0, x1 = np.float64(rows[r, j]), np.float64(rows[r, j + 1])
        x2, x3 = np.float64(rows[r, j + 2]), np.float64(rows[r, j + 3])
        a0 += x0 * y[j]
        a1 += x1 * y[j + 1]
        a2 += x2 * y[j + 2]
        a3 += x3 * y[j + 3]
        b0 += x0 * x0
        b1 += x1 * x1
        b2 += x2 * x2
        b3 += x3 * x3
    for j in range(whole, d):
        x0 = np.float64(rows[r, j])
        a0 += x0 * y[j]
        b0 += x0 * x0
    return (a0 + a1) + (a2 + a3), (b0 + b1) + (b2 + b3)


@inlined
def _squared_difference(rows, r, y, p, q):
    """Return the squared norm of ``p * row - q * y``."""
    d = rows.shape[1]
    whole = d // 4 * 4
    a = b = c = e = 0.0
    for j in range(0, whole, 4):
        a += (p * np.float64(rows[r, j]) - q * y[j]) ** 2
        b += (p * np.float64(rows[r, j + 1]) - q * y[j + 1]) ** 2
        c += (p * np.float64(rows[r, j + 2]) - q * y[j + 2]) ** 2
        e += (p * np.float64(rows[r, j + 3]) - q * y[j + 3]) ** 2
    for j in range(whole, d):
        a += (p * np.float64(rows[r, j]) - q * y[j]) ** 2
    return (a + b) + (c + e)


@kernel
def _power_of_two(vector):
    """Return the power of two that brings the largest value to about 1."""
    largest = 0.0
    for value in vector:
        largest = max(largest, abs(np.float64(value)))
    if largest == 0.0:
        return 1.0
    exponent = math.frexp(largest)[1]
    # 2^1024 would overflow, for the smallest numbers there are.
    return math.ldexp(1.0, min(-exponent, 1023))


@kernel
def _scaled_distance(row, y, metric):
    """Compute a distance by numbers near 1, where squares overflow or vanish.

    Scaling by powers of two changes no digit.
    """
    p, q = _power_of_two(row), _power_of_two(y)
    if metric == _EUCLIDEAN:
        p = q = min(p, q)
    x, z = np.empty(row.size), np.empty(row.size)
    for j in range(row.size):
        x[j], z[j] = np.float64(row[j]) * p, y[j] * q
    if metric == _EUCLIDEAN:
        for j in range(row.size):
            x[j] -= z[j]
            z[j] = 0.0
        finer = _power_of_two(x)
        for j in range(row.size):
            x[j] *= finer
        return np.sqrt(_squared_length(x)) / finer / p
    rows = x.reshape(1, -1)
    product, square = _products(rows, 0, z)
    if metric == _INNER_PRODUCT:
        return -product / max(p, q) / min(p, q)
    own = _squared_length(z)
    if square == 0.0 or own == 0.0:
        return 1.0
    return _cosine_distance(rows, 0, z, product, square, own)


@inlined
def _cosine_distance(rows, r, y, product, square, own):
    """Return 1 - cosine; of nearly parallel vectors from their difference."""
    distance = 1 - product / np.sqrt(square * own)
    if distance < _CANCELS:
        p, q = 1 / np.sqrt(square), 1 / np.sqrt(own)
        distance = _squared_difference(rows, r, y, p, q) / 2
        if distance < _SAME:
            return 0.0
    return distance


@inlined
def _distance(rows, r, y, own, metric):
    """Compute the exact distance of a row to a query, whose squared norm is ``own``."""
    if metric == _EUCLIDEAN:
        square = _squared_difference(rows, r, y, 1.0, 1.0)
        if _LEAST < square < _MOST:
            return np.sqrt(square)
        return _scaled_distance(rows[r], y, metric)
    product, square = _products(rows, r, y)
    fits = _LEAST < own < _MOST or own == 0.0
    if not (fits and _LEAST < square < _MOST):
        return _scaled_distance(rows[r], y, metric)
    if metric == _INNER_PRODUCT:
        return -product
    if own == 0.0:
        return 1.0
    return _cosine_distance(rows, r, y, product, square, own)


@kernel
def pair_distances(rows, queries, which, metric, out):
    """Compute the exact distances of queries to rows of their own.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d), read-only
    queries : float64 array (n_queries, d), read-only
    which : int64 array (n_queries, n), read-only
        Row numbers; -1: none.
    metric : int
        One of ``METRIC_NUMBERS``.
    out : float64 array (n_queries, n)
        Filled; infinity where there is no row.
    """
    for q in range(queries.shape[0]):
        y = queries[q]
        own = _squared_length(y)
        for i in range(which.shape[1]):
            out[q, i] = np.inf
            if which[q, i] >= 0:
                out[q, i] = _distance(rows, which[q, i], y, own, metric)


@kernel
def keep_nearest(distances, rows, found):
    """Keep the nearest of some rows, equal distances in order of rows.

    Parameters
    ----------
    distances : float64 array (n_queries, n)
    rows : int64 array (n_queries, n)
        Row numbers, each once for a query; -1: none.
    found : Found
        Filled.
    """
    for q in range(rows.shape[0]):
        first, stop = found.starts[q], found.starts[q + 1]
        for i in range(rows.shape[1]):
            d, r = distances[q, i], rows[q, i]
            top, last = found.distances[first], found.rows[first]
            if r >= 0 and (d < top or (d == top and r < last)):
                found.distances[first], found.rows[first] = d, r
                sift_down(found.distances, found.rows, first, stop - first)
    sort_heaps(found)


@kernel
def scale_to_unit(rows, out):
    """Divide rows by their lengths; rows of zeros stay.

    Parameters
    ----------
    rows : float array (n_rows, d)
    out : float32 or float64 array (n_rows, d)
        Filled.
    """
    for r in range(rows.shape[0]):
        squared = _squared_length(rows[r])
        if 1e-200 < squared < 1e200:
            inverse = 1 / np.sqrt(squared)
            for j in range(rows.shape[1]):
                out[r, j] = rows[r, j] * inverse
            continue
        # It may have overflowed or vanished: divide by the largest value before.
        largest = 0.0
        for j in range(rows.shape[1]):
            largest = max(largest, abs(np.float64(rows[r, j])))
        for j in range(rows.shape[1]):
            out[r, j] = rows[r, j] / largest if largest > 0 else 0.0
        squared = _squared_length(out[r])
        inverse = 1 / np.sqrt(squared) if squared > 0 else 0.0
        for j in range(rows.shape[1]):
            out[r, j] *= inverse


@kernel
def correct_rows(rows, codes, bits, c, low, high, out):
    """Compute what float queries need of each row.

    With a = x - c and q the code's values, whose signs are those of a.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d)
    codes : uint8 array (n_rows, bits * width)
        Bytes of the codes; of two bits, bytes of signs and of magnitudes in turn.
    bits : int
    c : float64 array (d,)
    low, high : float
        Values of a low and a high magnitude; one bit: the first counts.
    out : float64 array (4, n_rows)
        Filled with <a, a>, <q, a>, <a, c> and <x, x>.
    """
    for r in range(rows.shape[0]):
        length = along = shift = square = 0.0
        for j in range(rows.shape[1]):
            x = np.float64(rows[r, j])
            a = x - c[j]
            level = low
            if bits == 2 and (codes[r, j // 8 * 2 + 1] >> (7 - j % 8)) & 1:
                level = high
            length += a * a
            along += level * abs(a)
            shift += a * c[j]
            square += x * x
        out[0, r], out[1, r], out[2, r], out[3, r] = length, along, shift, square


@kernel
def add_to_cells(codes, bits, values, counts, sums):
    """Add a block of rows to the counts and sums of the cells of their codes.

    Parameters
    ----------
    codes : uint8 array (n_rows, bits * width)
        As for ``correct_rows``.
    bits : int
    values : float32 or float64 array (n_rows, d)
    counts : int64 array (2 * bits, d)
        Changed. Cells go from the lowest values to the highest: of two bits, strong
        negative, weak negative, weak positive, strong positive.
    sums : float64 array (2 * bits, d)
        Changed.
    """
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            byte, shift = bits * (j // 8), 7 - j % 8
            positive = np.int64((codes[r, byte] >> shift) & 1)
            cell = positive
            if bits == 2:
                strong = np.int64((codes[r, byte + 1] >> shift) & 1)
                cell = 2 + strong if positive else 1 - strong
            counts[cell, j] += 1
            sums[cell, j] += values[r, j]
