"""One pass over a block of vectors: distances, unit length, corrections, sums of cells.

Sums are in float64 and in one order, so that a row's result depends on the row alone.
Of a norm: four partial sums over every fourth coordinate. Of distances, coordinate i
is added to the (i modulo 16)th of 16 sums, in order, as far as there are 16 of them;
then t_j is s_j + s_j+8, to ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7)) the sum of
the coordinates that are left is added.
"""

import math

import numpy as np

from .jit import inlined, kernel
from .memory import read_only
from .result_heap import sift_down, sort_heaps
from .simd import (
    CACHE_LINE,
    HAS_HALF_FLOATS,
    INSTRUCTIONS,
    add_floats,
    doubles_of,
    eight_at,
    multiply_floats,
    one_at,
    prefetch,
    subtract_floats,
    sum_of_eight,
    zero_doubles,
)


@kernel
def _product(x, y):
    a = b = c = d = 0.0
    whole = x.size // 4 * 4
    for j in range(0, whole, 4):
        a += np.float64(x[j]) * y[j]
        b += np.float64(x[j + 1]) * y[j + 1]
        c += np.float64(x[j + 2]) * y[j + 2]
        d += np.float64(x[j + 3]) * y[j + 3]
    for j in range(whole, x.size):
        a += np.float64(x[j]) * y[j]
    return (a + b) + (c + d)


@kernel
def _squared_length(row):
    return _product(row, row)


@kernel
def _squared_gap(x, y):
    a = b = c = d = 0.0
    whole = x.size // 4 * 4
    for j in range(0, whole, 4):
        a += (np.float64(x[j]) - y[j]) ** 2
        b += (np.float64(x[j + 1]) - y[j + 1]) ** 2
        c += (np.float64(x[j + 2]) - y[j + 2]) ** 2
        d += (np.float64(x[j + 3]) - y[j + 3]) ** 2
    for j in range(whole, x.size):
        a += (np.float64(x[j]) - y[j]) ** 2
    return (a + b) + (c + d)


# Metrics as kernels know them.
METRIC_NUMBERS = {"cosine": 0, "euclidean": 1, "inner_product": 2}
_COSINE, _EUCLIDEAN, _INNER_PRODUCT = METRIC_NUMBERS.values()
# Squared norms in between, and products of two, neither overflow nor lose digits.
_LEAST, _MOST = 1e-140, 1e140
# Below this cosine distance, 1 - cosine has lost a third of its digits.
_CANCELS = 2.0**-12
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
# Two unit-norm vectors that differ by rounding alone have a cosine distance below this.
_SAME = 1e-31


@kernel
def _sum_of_sixteen(s):
    t = s[:8] + s[8:]
    return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))


@kernel
def _products_plain(rows, r, y):
    """Return the products of a row with a vector and with itself.

    A row that equals ``y`` has equal ones.
    """
    whole = y.size // 16 * 16
    s, t = np.zeros(16), np.zeros(16)
    for j in range(0, whole, 16):
        for i in range(16):
            x = np.float64(rows[r, j + i])
            s[i] += x * y[j + i]
            t[i] += x * x
    a = b = 0.0
    for j in range(whole, y.size):
        x = np.float64(rows[r, j])
        a += x * y[j]
        b += x * x
    return _sum_of_sixteen(s) + a, _sum_of_sixteen(t) + b


@inlined
def _products_vector(rows, r, y):
    """Do the same with the sums in vectors."""
    size, whole = rows.itemsize, y.size // 16 * 16
    start = r * y.size * size
    s0 = s1 = t0 = t1 = zero_doubles()
    for j in range(0, whole, 16):
        x0, x1 = (
            eight_at(rows, start + j * size),
            eight_at(rows, start + (j + 8) * size),
        )
        s0 = add_floats(s0, multiply_floats(x0, eight_at(y, 8 * j)))
        s1 = add_floats(s1, multiply_floats(x1, eight_at(y, 8 * j + 64)))
        t0 = add_floats(t0, multiply_floats(x0, x0))
        t1 = add_floats(t1, multiply_floats(x1, x1))
    a = b = 0.0
    for j in range(whole, y.size):
        x = one_at(rows, start + j * size)
        a += x * y[j]
        b += x * x
    product = sum_of_eight(add_floats(s0, s1)) + a
    return product, sum_of_eight(add_floats(t0, t1)) + b


@kernel
def _squared_difference_plain(rows, r, y, p, q):
    """Return the squared norm of ``p * row - q * y``."""
    whole = y.size // 16 * 16
    s = np.zeros(16)
    for j in range(0, whole, 16):
        for i in range(16):
            s[i] += (p * np.float64(rows[r, j + i]) - q * y[j + i]) ** 2
    a = 0.0
    for j in range(whole, y.size):
        a += (p * np.float64(rows[r, j]) - q * y[j]) ** 2
    return _sum_of_sixteen(s) + a


@inlined
def _square_of_difference(rows, place, y, j, p, q):
    x = multiply_floats(p, eight_at(rows, place))
    gap = subtract_floats(x, multiply_floats(q, eight_at(y, 8 * j)))
    return multiply_floats(gap, gap)


@inlined
def _squared_difference_vector(rows, r, y, p, q):
    """Do the same with the sums in vectors."""
    size, whole = rows.itemsize, y.size // 16 * 16
    start, ps, qs = r * y.size * size, doubles_of(p), doubles_of(q)
    s0 = s1 = zero_doubles()
    for j in range(0, whole, 16):
        place = start + j * size
        s0 = add_floats(s0, _square_of_difference(rows, place, y, j, ps, qs))
        place += 8 * size
        s1 = add_floats(s1, _square_of_difference(rows, place, y, j + 8, ps, qs))
    a = 0.0
    for j in range(whole, y.size):
        a += (p * one_at(rows, start + j * size) - q * y[j]) ** 2
    return sum_of_eight(add_floats(s0, s1)) + a


@inlined
def _number_plain(rows, r, j):
    return np.float64(rows[r, j])


@inlined
def _number_vector(rows, r, j):
    return one_at(rows, (r * rows.shape[1] + j) * rows.itemsize)


if INSTRUCTIONS == "portable":
    _products, _squared_difference = _products_plain, _squared_difference_plain
    _number = _number_plain
else:
    _products, _squared_difference = _products_vector, _squared_difference_vector
    _number = _number_vector


def as_stored(vectors: np.ndarray) -> np.ndarray | None:
    """View vectors as the kernels of distances read them where they lie.

    float16 is read as its bits where the processor extends it. None: they must be
    copied as float32 or float64 first.
    """
    if not vectors.flags.c_contiguous or not vectors.flags.aligned:
        return None
    if vectors.dtype == np.float16 and HAS_HALF_FLOATS:
        return read_only(vectors.view(np.uint16))
    return read_only(vectors) if vectors.dtype in (np.float32, np.float64) else None


@inlined
def _own_square(y):
    """Return the squared norm of a query, as that of an equal row."""
    return _products(y.reshape(1, -1), 0, y)[1]


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
def _copy_row(rows, r):
    """Return a row as float64."""
    x = np.empty(rows.shape[1])
    for j in range(x.size):
        x[j] = _number(rows, r, j)
    return x


@kernel
def _scaled_distance(x, y, metric):
    """Compute a distance by numbers near 1, where squares overflow or vanish.

    Scaling by powers of two changes no digit. ``x``, the row, is changed.
    """
    z = np.empty(y.size)
    p, q = _power_of_two(x), _power_of_two(y)
    if metric == _EUCLIDEAN:
        p = q = min(p, q)
    for j in range(y.size):
        x[j], z[j] = x[j] * p, y[j] * q
    if metric == _EUCLIDEAN:
        for j in range(y.size):
            x[j] -= z[j]
            z[j] = 0.0
        finer = _power_of_two(x)
        for j in range(y.size):
            x[j] *= finer
        return np.sqrt(_own_square(x)) / finer / p
    scaled = x.reshape(1, -1)
    product, square = _products(scaled, 0, z)
    if metric == _INNER_PRODUCT:
        return -product / max(p, q) / min(p, q)
    own = _own_square(z)
    if square == 0.0 or own == 0.0:
        return 1.0
    return _cosine_distance(scaled, 0, z, product, square, own)


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
        return _scaled_distance(_copy_row(rows, r), y, metric)
    product, square = _products(rows, r, y)
    # A square of 0 need not be that of zeros.
    if not (_LEAST < own < _MOST and _LEAST < square < _MOST):
        return _scaled_distance(_copy_row(rows, r), y, metric)
    if metric == _INNER_PRODUCT:
        return -product
    return _cosine_distance(rows, r, y, product, square, own)


@kernel
def pair_distances(rows, queries, which, metric, out):
    """Compute the exact distances of queries to rows of their own.

    Parameters
    ----------
    rows : array (n_rows, d)
        As :func:`as_stored` gives them.
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
        own = _own_square(y)
        for i in range(which.shape[1]):
            out[q, i] = np.inf
            if which[q, i] >= 0:
                out[q, i] = _distance(rows, which[q, i], y, own, metric)


# How many candidates ahead vectors are fetched: they lie anywhere in memory.
_CANDIDATES_AHEAD = 2


@kernel
def rerank_candidates(rows, queries, candidates, metric, found):
    """Keep the nearest candidates of each query by exact distance, lower rows first.

    Parameters
    ----------
    rows, queries, metric : as for ``pair_distances``
    candidates : int64 array (n_queries, n), read-only
        Row numbers, each once for a query; -1: none.
    found : Found
        Filled.
    """
    n = candidates.shape[1]
    row_bytes = rows.shape[1] * rows.itemsize
    for q in range(queries.shape[0]):
        y, first, stop = queries[q], found.starts[q], found.starts[q + 1]
        own = _own_square(y)
        for i in range(-_CANDIDATES_AHEAD, n):
            ahead = i + _CANDIDATES_AHEAD
            if ahead < n and candidates[q, ahead] >= 0:
                start = candidates[q, ahead] * row_bytes
                for offset in range(0, row_bytes, CACHE_LINE):
                    prefetch(rows, start + offset)
            if i < 0 or candidates[q, i] < 0:
                continue
            r = candidates[q, i]
            d = _distance(rows, r, y, own, metric)
            top, last = found.distances[first], found.rows[first]
            if d < top or (d == top and r < last):
                found.distances[first], found.rows[first] = d, r
                sift_down(found.distances, found.rows, first, stop - first)
    sort_heaps(found)


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
def center_floats(rows, c, unit, out, sums):
    """Center float queries: b = unit * x - c.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d), read-only
    c : float64 array (d,), read-only
        Multiplied by ``unit`` already.
    unit : float
    out : float32 array (n_rows, d)
        Filled with b.
    sums : float64 array (3, n_rows)
        Filled with <b, b>, <y, y> and <y, c>, where y = unit * x.

    Returns
    -------
    fits : bool
        Whether float32 holds all of b, and float64 all sums.
    """
    d, fits = rows.shape[1], True
    whole = d // 4 * 4
    b, y, p = np.empty(4), np.empty(4), np.empty(4)
    for r in range(rows.shape[0]):
        b[:], y[:], p[:] = 0.0, 0.0, 0.0
        beyond = 0
        for j in range(0, whole, 4):
            for i in range(4):
                x = np.float64(rows[r, j + i]) * unit
                gap = x - c[j + i]
                out[r, j + i] = np.float32(gap)
                beyond += abs(gap) > _LARGEST_FLOAT32
                b[i] += gap * gap
                y[i] += x * x
                p[i] += x * c[j + i]
        for j in range(whole, d):
            x = np.float64(rows[r, j]) * unit
            gap = x - c[j]
            out[r, j] = np.float32(gap)
            beyond += abs(gap) > _LARGEST_FLOAT32
            b[0] += gap * gap
            y[0] += x * x
            p[0] += x * c[j]
        sums[0, r] = (b[0] + b[1]) + (b[2] + b[3])
        sums[1, r] = (y[0] + y[1]) + (y[2] + y[3])
        sums[2, r] = (p[0] + p[1]) + (p[2] + p[3])
        fits &= beyond == 0
    return fits


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
def largest_change(rows, seen, euclidean):
    """Return how much steps changed what a metric compares, relatively, at most.

    Parameters
    ----------
    rows, seen : float32 or float64 arrays (n_rows, d) and (n_rows, e), read-only
        Before and after the steps.
    euclidean : bool
        Whether squared distances of rows next to each other count; else squared norms,
        and products of rows next to each other.

    Returns
    -------
    change : float
        NaN if anything overflows.
    """
    largest = before_squared = 0.0
    for r in range(rows.shape[0]):
        if euclidean:
            if r == 0:
                continue
            before = _squared_gap(rows[r], rows[r - 1])
            after = _squared_gap(seen[r], seen[r - 1])
            largest = _larger(largest, after - before, max(before, after))
            continue
        squared = _squared_length(rows[r])
        change = _squared_length(seen[r]) - squared
        largest = _larger(largest, change, squared)
        if r > 0:
            before = _product(rows[r], rows[r - 1])
            change = _product(seen[r], seen[r - 1]) - before
            largest = _larger(largest, change, np.sqrt(squared * before_squared))
        before_squared = squared
    return largest


@kernel
def _larger(largest, change, size):
    """Return the larger one of relative changes; NaN stays."""
    if not size > 0:
        return largest
    relative = abs(change) / size
    return largest if relative <= largest or largest != largest else relative


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
