"""What a scan by tables needs of each query: numbers of codes, tables of floats.

Both go line by line: ``order`` says which coordinates a line of a tile holds.
"""

import numpy as np

from .jit import kernel


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
def sum_lines(values, entries, order, out):
    """Fill tables: for each line, the products of its values with those of entries.

    Parameters
    ----------
    values : float32 array (n, d)
    entries : float64 array (coordinates of a line, n_entries)
        What each entry of a table counts a coordinate.
    order : int64 array (n_lines, coordinates of a line)
        Coordinates; -1: none.
    out : float64 array (n, n_lines, n_entries)
        Filled.
    """
    for q in range(values.shape[0]):
        for p in range(order.shape[0]):
            for c in range(entries.shape[1]):
                out[q, p, c] = 0.0
            for j in range(order.shape[1]):
                i = order[p, j]
                if i < 0:
                    continue
                value = np.float64(values[q, i])
                for c in range(entries.shape[1]):
                    out[q, p, c] += entries[j, c] * value
