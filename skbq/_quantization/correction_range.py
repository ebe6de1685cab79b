"""What the corrections of rows range over, learned where a quantizer is fitted.

Asymmetric search keeps two numbers of each row beside its code. They can be kept in few
bytes once it is known what they range over. That is learned with the quantizer, so that
indexes that share one, such as shards, round alike.
"""

from typing import NamedTuple, Self

import numpy as np

from .._kernels.code_sums import (
    LARGEST_ENTRY,
    add_pair_products,
    evaluate_polynomials,
    sum_entries,
)
from .._kernels.memory import read_only
from .._kernels.mixed_depths import fill_tables
from .._kernels.vector_ops import correct_rows
from .._utils.parallel import fixed_blocks
from .._utils.typing import METRICS
from .._utils.validation import float_rows
from ..codes import CodeArray, MixedDepths, code_bytes, squared_lengths

# Shares of the rows at which each number is kept: enough to follow any distribution.
SHARES = np.linspace(0, 1, 33)
# A squared norm that is 1 but for rounding in float32, by steps before the quantizer as
# well.
_UNIT_ROUNDING = 1e-5
# Rows that are looked at.
_ROWS = 2**14
# Rows whose corrections are predicted at a time.
_PREDICTED_ROWS = 2**16


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
    """Return f, that of RaBitQ <a, a> / <q, a>; 0 where a row is the mean."""
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
    lack[np.abs(lack) < _UNIT_ROUNDING] = 0.0
    return lack


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


class Prediction(NamedTuple):
    """What codes of mixed depth alone say of the corrections of their rows.

    Factors and offsets are polynomials of degree two of the squared norm of the code's
    values q, and of their product with the mean c: it says how long a row is whose norm
    is known, as under "cosine".

    Attributes
    ----------
    direction : ndarray of shape (n_values,), dtype float32
        c along the coordinates that are kept.
    coefficients : ndarray of shape (n_targets, 6), dtype float64
        Of 1, u, v, u^2, uv and v^2, where u and v are <q, q> and <q, c>, from -1 to 1
        over what was seen. Targets are the factor, and the offset by each metric.
    limits : ndarray of shape (2 + n_targets, 2), dtype float64
        Least and largest of <q, q> and <q, c>, then of each target.
    """

    direction: np.ndarray
    coefficients: np.ndarray
    limits: np.ndarray

    @classmethod
    def learn(
        cls, direction: np.ndarray, known: np.ndarray, targets: np.ndarray
    ) -> Self:
        """Learn targets of rows, float64 (n_targets, n_rows), from <q, q> and <q, c>.

        ``known``, float64 (2, n_rows), holds the two.
        """
        both = np.concatenate([known, targets])
        limits = np.column_stack([both.min(axis=1), both.max(axis=1)])
        terms = _terms(known, limits[:2])
        coefficients = np.linalg.lstsq(terms, targets.T, rcond=None)[0].T
        return cls(direction, np.ascontiguousarray(coefficients), limits)

    def predict(self, known: np.ndarray) -> np.ndarray:
        """Return targets, float64 (n_targets, n_rows), never beyond what was seen."""
        out = np.empty((len(self.coefficients), known.shape[1]))
        self._evaluate(known, np.ones(len(out)), out)
        return out

    def _evaluate(self, known: np.ndarray, units: np.ndarray, out: np.ndarray) -> None:
        limits, coefficients = read_only(self.limits), read_only(self.coefficients)
        evaluate_polynomials(
            read_only(known), limits, coefficients, read_only(units), out
        )

    def of(
        self, codes: CodeArray, metric: str, units: tuple[float, float]
    ) -> np.ndarray:
        """Return factors and offsets of rows, times units, float32 (2, n_rows)."""
        some = [0, 1 + METRICS.index(metric)]
        limits = self.limits[[0, 1, *(2 + i for i in some)]]
        asked = self._replace(coefficients=self.coefficients[some], limits=limits)
        out = np.empty((2, len(codes)), np.float32)
        for rows in fixed_blocks(len(codes), _PREDICTED_ROWS):
            known = known_of_codes(codes[rows], self.direction)
            asked._evaluate(known, np.array(units), out[:, rows])
        return out


def _terms(known: np.ndarray, limits: np.ndarray) -> np.ndarray:
    low, high = limits[:2, [0]], limits[:2, [1]]
    middle, half = (low + high) / 2, np.where(high > low, (high - low) / 2, 1.0)
    u, v = np.clip((known - middle) / half, -1, 1)
    return np.column_stack([np.ones_like(u), u, v, u * u, u * v, v * v])


def known_of_codes(codes: CodeArray, direction: np.ndarray) -> np.ndarray:
    """Return <q, q> and <q, c> of the values q of codes, float64 (2, n_rows).

    What each nibble adds is rounded to 14 bits, so that rows are summed nearly as fast
    as they are searched.

    ``direction``, float32 (n_values,), is c along the coordinates that are kept.
    """
    layout = codes.layout
    assert isinstance(layout, MixedDepths)
    rows, values = read_only(code_bytes(codes)), layout.line_values.astype(np.float64)
    products = np.empty((1, len(values), 16), np.float32)
    coordinates, by_line = layout.line_coordinates, read_only(layout.line_values)
    query = read_only(direction[np.newaxis])
    fill_tables(query, read_only(coordinates), by_line, products)
    exact = np.array([np.square(values).sum(axis=1), products[0]], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # of rows beyond float32
        low = exact.min(axis=2, keepdims=True)
        steps = (exact - low).max(axis=(1, 2), keepdims=True) / LARGEST_ENTRY
        above = np.divide(exact - low, steps, out=np.zeros_like(exact), where=steps > 0)
        tables = np.rint(np.nan_to_num(above)).astype(np.int64)
        known = sum_entries(rows, tables) * steps[:, 0] + low.sum(axis=1)
    # The square of a coordinate of eight bits is no sum of what its halves say.
    upper, lower = layout.split_lines.T
    doubled, other = read_only(2 * values[upper, 0]), read_only(values[lower, 1])
    add_pair_products(rows, read_only(layout.split_lines), doubled, other, known[0])
    return known


class CodeProducts(NamedTuple):
    """What rows and their codes have in common, float64 (n_rows,).

    ``squares``: <a, a>; ``along``: <q, a>; ``code_squares``: <q, q>.
    """

    squares: np.ndarray
    along: np.ndarray
    code_squares: np.ndarray

    def along_for(self, strength: float) -> np.ndarray:
        """Return <a, a> / f, f between the two factors that make sense of a code.

        ``<q, a> / <q, q>`` brings the code's values closest to the row. What they then
        lack is across them, and an independent query would meet none of it. RaBitQ's
        ``<a, a> / <q, a>`` makes the estimate exact for a query that equals the row,
        which meets all of it. Neighbors are between: they meet a part, which is small
        where the code keeps what they have in common.

        Parameters
        ----------
        strength : float
            0: the first factor; 1: the second.
        """
        squares, along, code_squares = self
        is_along = along > 0
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            factors = (1 - strength) * along / code_squares + strength * squares / along
            return np.where(is_along, squares / factors, 0.0)
