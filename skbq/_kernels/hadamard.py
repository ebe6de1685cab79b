"""Hadamard transforms of many rows at once, with coordinates shuffled in between.

Sixteen rows are turned side by side, so that every step is the same for all of them and
a row's result depends on the row alone.
"""

import numpy as np

from .jit import kernel

# Rows turned at once: those of one AVX-512 register as float32.
_LANES = 16


@kernel
def _transform(values, start, size):
    """Apply the Hadamard matrix, unscaled, to ``size`` coordinates of all lanes."""
    values = values[start * _LANES : (start + size) * _LANES]
    step = 1
    while 4 * step <= size:
        run = step * _LANES
        for first in range(0, size * _LANES, 4 * run):
            a = values[first : first + run]
            b = values[first + run : first + 2 * run]
            c = values[first + 2 * run : first + 3 * run]
            d = values[first + 3 * run : first + 4 * run]
            for i in range(run):
                p, q = a[i] + b[i], a[i] - b[i]
                r, s = c[i] + d[i], c[i] - d[i]
                a[i], b[i], c[i], d[i] = p + r, q + s, p - r, q - s
        step *= 4
    if step < size:
        a, b = values[: step * _LANES], values[step * _LANES :]
        for i in range(step * _LANES):
            a[i], b[i] = a[i] + b[i], a[i] - b[i]


@kernel
def mix_rows(rows, orders, factors, blocks, out):
    """Take coordinates in an order, times factors; transform blocks; and so on.

    Parameters
    ----------
    rows : float32 or float64 array (n_rows, d)
    orders : int64 array (n_rounds + 1, d)
        Which coordinate comes where before each round, and after the last.
    factors : array (n_rounds + 1, d) of the type of ``rows``
        By what each is multiplied there.
    blocks : int64 array (n_blocks + 1,)
        Where the blocks begin, and d; their sizes are powers of two.
    out : array (n_rows, d) of the type of ``rows``
        Filled.
    """
    n, d = rows.shape
    now, then = np.zeros(d * _LANES, rows.dtype), np.zeros(d * _LANES, rows.dtype)
    for start in range(0, n, _LANES):
        n_lanes = min(_LANES, n - start)
        for j in range(d):
            for lane in range(n_lanes):
                then[j * _LANES + lane] = (
                    factors[0, j] * rows[start + lane, orders[0, j]]
                )
        for turn in range(1, orders.shape[0]):
            for block in range(blocks.size - 1):
                _transform(then, blocks[block], blocks[block + 1] - blocks[block])
            now, then = then, now
            for j in range(d):
                taken, factor = orders[turn, j], factors[turn, j]
                source = now[taken * _LANES : (taken + 1) * _LANES]
                target = then[j * _LANES : (j + 1) * _LANES]
                for lane in range(_LANES):
                    target[lane] = factor * source[lane]
        for lane in range(n_lanes):
            for j in range(d):
                out[start + lane, j] = then[j * _LANES + lane]
