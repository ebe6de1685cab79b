"""What the corrections of rows range over, learned where a quantizer is fitted.

Asymmetric search keeps two numbers of each row beside its code. They can be kept in few
bytes once it is known what they range over. That is learned with the quantizer, so that
indexes that share one, such as shards, round alike.
"""

import numpy as np

from .._kernels.memory import read_only
from .._kernels.vector_ops import correct_rows
from .._utils.typing import METRICS
from .._utils.validation import float_rows
from ..codes import CodeArray, code_bytes, squared_lengths

# Shares of the rows at which each number is kept: enough to follow any distribution.
SHARES = np.linspace(0, 1, 33)
# A squared norm that is 1 but for rounding in float32, by steps before the quantizer as
# well.
_UNIT_ROUNDING = 1e-5
# Rows that are looked at.
_ROWS = 2**14


def sum_codes(
    codes: CodeArray, seen: np.ndarray, c: np.ndarray, unit: float = 1.0
) -> np.ndarray:
    """Sum what corrections need of codes and of the rows that they were made of.

    Parameters
    ----------
    codes : CodeArray of shape (n_samples, ceil(d / 8))
        Of one or two bits.
    seen : ndarray of shape (n_samples, d)
        As the quantizer saw them.
    c : ndarray of shape (d,)
        The thresholds.
    unit : float
        What rows are multiplied by first.

    Returns
    -------
    sums : ndarray of shape (4, n_samples)
        <a, a>, <q, a>, <a, c> and <x, x>.
    """
    rows = float_rows(seen)
    if unit != 1:
        rows = rows.astype(np.float64) * unit
        c = c * unit
    low, high = codes.levels or (1.0, 1.0)
    sums = np.empty((4, len(rows)))
    packed = read_only(code_bytes(codes))
    correct_rows(read_only(rows), packed, codes.bits, read_only(c), low, high, sums)
    return sums


def row_factors(sums: np.ndarray) -> np.ndarray:
    """Return f = <a, a> / <q, a>; 0 where a row is the mean."""
    square, along, _, _ = sums
    return np.divide(square, along, out=np.zeros(len(square)), where=along > 0)


def row_offsets(sums: np.ndarray, metric: str) -> np.ndarray:
    """Return what estimates of a metric add to the product with the code."""
    square, _, shift, norm = sums
    if metric == "euclidean":
        return square
    if metric == "cosine":
        return square / 2 + lack_of_unit(norm)
    return -shift


def lack_of_unit(square: np.ndarray) -> np.ndarray:
    """Return half of what a squared norm lacks of 1; 0 where that is rounding."""
    lack = (1 - square) / 2
    return np.where(np.abs(lack) < _UNIT_ROUNDING, 0.0, lack)


def is_looked_at(n_rows: int) -> slice:
    """Return which rows ranges are learned from: evenly spread, at most 2^14."""
    return slice(None, None, max(1, n_rows // _ROWS))


def learn_range(sums: np.ndarray, codes: CodeArray) -> np.ndarray | None:
    """Learn what the corrections of rows range over.

    Parameters
    ----------
    sums : ndarray of shape (4, n_samples)
        As :func:`sum_codes` gives them.
    codes : CodeArray of shape (n_samples, width)

    Returns
    -------
    ranges : ndarray of shape (5, 33), dtype float64, or None
        Quantiles of f where it is not 0, of the offsets under each of ``METRICS``, and
        of <q, a> / <q, q>, what brings a code's values closest to the row. None if
        the rows are too long for float64.
    """
    factors = row_factors(sums)
    squares = squared_lengths(codes)
    closest = np.divide(sums[1], squares, out=np.zeros(len(squares)), where=squares > 0)
    numbers = [factors[factors > 0] if factors.any() else np.ones(1)]
    numbers += [row_offsets(sums, metric) for metric in METRICS]
    if not all(np.isfinite(x).all() for x in (*numbers, closest)):
        return None
    return np.array([np.quantile(x, SHARES) for x in (*numbers, closest)])


def scaled_range(ranges: np.ndarray, unit: float) -> np.ndarray:
    """Return ranges for rows that were multiplied by a number first."""
    powers = np.array([1, *[2] * len(METRICS), 1])
    return ranges * unit ** powers[:, np.newaxis]
