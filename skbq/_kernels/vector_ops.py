"""One pass over a block of vectors: distances, unit length, corrections, sums of cells.

Sums are in float64 and in one order, four partial sums over every fourth coordinate,
so that a row's result depends on the row alone.
"""

import numpy as np

from .jit import kernel


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


@kernel
def products_with(rows, y, products, squares):
    """Compute the products of rows with a vector, and with themselves.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d), read-only
    y : float64 array (d,)
    products, squares : float64 arrays (n_rows,)
        Filled. A row that equals ``y`` has equal ones.
    """
    d = rows.shape[1]
    whole = d // 4 * 4
    for r in range(rows.shape[0]):
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
        products[r], squares[r] = (a0 + a1) + (a2 + a3), (b0 + b1) + (b2 + b3)


@kernel
def squared_distances_to(rows, y, out):
    """Compute the squared distances of rows to a vector; as ``products_with``."""
    d = rows.shape[1]
    whole = d // 4 * 4
    for r in range(rows.shape[0]):
        a = b = c = e = 0.0
        for j in range(0, whole, 4):
            a += (np.float64(rows[r, j]) - y[j]) ** 2
            b += (np.float64(rows[r, j + 1]) - y[j + 1]) ** 2
            c += (np.float64(rows[r, j + 2]) - y[j + 2]) ** 2
            e += (np.float64(rows[r, j + 3]) - y[j + 3]) ** 2
        for j in range(whole, d):
            a += (np.float64(rows[r, j]) - y[j]) ** 2
        out[r] = (a + b) + (c + e)


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
        Values of a weak and of a strong coordinate; one bit: the first counts.
    out : float64 array (3, n_rows)
        Filled with <a, a>, <q, a> and <a, c>.
    """
    for r in range(rows.shape[0]):
        length = along = shift = 0.0
        for j in range(rows.shape[1]):
            a = np.float64(rows[r, j]) - c[j]
            level = low
            if bits == 2 and (codes[r, j // 8 * 2 + 1] >> (7 - j % 8)) & 1:
                level = high
            length += a * a
            along += level * abs(a)
            shift += a * c[j]
        out[0, r], out[1, r], out[2, r] = length, along, shift


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
