"""The estimator of asymmetric search: distances of float queries to codes.

With a = x - c, where c are the quantizer's thresholds, q the code's values, b = y - c
and f = <a, a> / <q, a>, the product <a, b> is estimated by f <q, b> (RaBitQ, equation
12). What is estimated is, for each metric,

- cosine: 1 - <x, y> = |a - b|^2 / 2 + (1 - |x|^2) / 2 + (1 - |y|^2) / 2, where the
  last two vanish for unit-norm vectors: all terms are as small as the distance, so
  that no digits cancel where vectors are nearly parallel;
- euclidean: |x - y|^2 = |a - b|^2;
- inner_product: -<x, y> = -<a, b> - <a, c> - <c, y>.

So each is ``offset + scale * <q, b>``, kept for each row, and a constant of the query.
"""

from typing import NamedTuple, Self

import numpy as np

from .._kernels.memory import read_only
from .._kernels.vector_ops import center_floats, correct_rows
from .._utils.validation import float_rows
from ..codes import CodeArray, code_bytes, squared_lengths

# RaBitQ's epsilon_0: standard deviations of the estimate's error within its bound.
_BOUND_FACTOR = 1.9
# A squared norm that is 1 but for rounding in float32, by steps before the quantizer as
# well.
_UNIT_ROUNDING = 1e-5
# What rounding in float32 may add to a code's own error, as a share of its square.
_ERROR_ROUNDING = 1e-10
# Squares of smaller numbers vanish in float32: such vectors are scaled up.
_SMALL = 2.0**-40
# The largest relative change of products by steps before the quantizer at which they
# count as kept: far above rounding, far below what a bound would notice.
_KEPT = 1e-3


class Corrections(NamedTuple):
    """What asymmetric search keeps of each row beside its code.

    Attributes
    ----------
    scale, offset : ndarrays of shape (n_samples,), dtype float32 or float16
        The estimated distance is ``offset + scale * <b, code values>`` plus the
        query's constant, where both are as :meth:`decoded` gives them.
    norms : ndarray of shape (n_samples,), dtype float32, or None
        |a|, where the error bound cannot tell it from the others: "inner_product".
    unit : float
        A power of two that vectors are multiplied by before squares are taken.
    distortion : float
        The largest relative change that the steps before the quantizer made to
        products (under "euclidean": distances) of rows next to each other.
    origin, offset_step, scale_step : float
        Of float16 numbers: ``origin + offset_step * offset`` is meant by an offset,
        ``scale_step * scale`` by a scale. The steps are powers of two.
    """

    scale: np.ndarray
    offset: np.ndarray
    norms: np.ndarray | None
    unit: float = 1.0
    distortion: float = 0.0
    origin: float = 0.0
    offset_step: float = 1.0
    scale_step: float = 1.0

    @classmethod
    def empty(cls, n_rows: int, metric: str, unit: float = 1.0) -> Self:
        """Return room for those of some rows."""
        scale, offset, norms = np.empty((3, n_rows), np.float32)
        return cls(scale, offset, norms if metric == "inner_product" else None, unit)

    @property
    def columns(self) -> list[np.ndarray]:
        """The arrays that are kept."""
        kept = (self.scale, self.offset, self.norms)
        return [column for column in kept if column is not None]

    def with_columns(self, columns: list[np.ndarray], distortion: float = 0.0) -> Self:
        """Return the same for other rows."""
        scale, offset, *norms = columns
        distortion = max(distortion, self.distortion)
        return self._replace(
            scale=scale,
            offset=offset,
            norms=norms[0] if norms else None,
            distortion=distortion,
        )

    @property
    def is_short(self) -> bool:
        """Whether numbers are float16."""
        return self.scale.dtype == np.float16

    def decoded(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scales and offsets as they are meant, as float32."""
        if not self.is_short:
            return self.scale, self.offset
        scale = self.scale.astype(np.float32)
        scale *= np.float32(self.scale_step)
        offset = self.offset.astype(np.float32)
        offset *= np.float32(self.offset_step)
        offset += np.float32(self.origin)
        return scale, offset

    def shortened(self) -> Self:
        """Return room for float16 numbers of rows like these.

        Differences from a middle offset round less than offsets do.
        """
        origin = float(np.float32(np.median(self.offset)))
        empty = np.empty(0, np.float16)
        return self._replace(
            scale=empty,
            offset=empty,
            norms=None,
            origin=origin,
            offset_step=_power_of_two(self.offset - origin),
            scale_step=_power_of_two(self.scale),
        )

    def with_room(self, n_rows: int) -> Self:
        """Return the same kind of corrections for as many rows, not yet filled."""
        columns = [np.empty(n_rows, column.dtype) for column in self.columns]
        return self.with_columns(columns)

    def fill(self, rows: slice | np.ndarray, given: "Corrections") -> None:
        """Take over float32 corrections of some rows.

        Raises
        ------
        ValueError
            If float16 cannot hold them.
        """
        if not self.is_short:
            for column, values in zip(self.columns, given.columns, strict=True):
                column[rows] = values
            return
        with np.errstate(over="ignore"):
            scale = (given.scale / self.scale_step).astype(np.float16)
            offset = (given.offset - self.origin) / self.offset_step
            self.scale[rows], self.offset[rows] = scale, offset.astype(np.float16)
        if not (np.isfinite(self.scale[rows]) & np.isfinite(self.offset[rows])).all():
            raise ValueError(
                "Rows are far longer than the first ones that were indexed, beyond "
                "what float16 corrections reach. Fit again with all rows."
            )

    def of(self, rows: slice | np.ndarray) -> Self:
        """Return those of some rows."""
        return self.with_columns([column[rows] for column in self.columns])

    @property
    def keeps_products(self) -> bool:
        """Whether the steps before the quantizer keep what the metric compares."""
        return self.distortion <= _KEPT


def _power_of_two(values: np.ndarray) -> float:
    """Return one that is at least as large as all values; 1 if all are 0."""
    largest = float(np.abs(values).max(initial=0.0))
    return float(np.ldexp(1.0, np.frexp(largest)[1])) if largest > 0 else 1.0


class CenteredQueries(NamedTuple):
    """Float queries, ready for the estimate.

    ``values``: float32 (n_queries, d), b. ``constants``: float64 (n_queries,), what
    the estimated distance lacks.
    """

    values: np.ndarray
    constants: np.ndarray


def check_has_thresholds(quantizer: object) -> None:
    """Refuse a quantizer that float queries cannot be centered for."""
    if not hasattr(quantizer, "thresholds_"):
        raise TypeError(
            "query='vectors' needs a quantizer with thresholds_, such as "
            f"BinaryQuantizer or TwoBitQuantizer. Got {quantizer!r} instead."
        )


def choose_unit(rows: np.ndarray, c: np.ndarray, metric: str) -> float:
    """Choose a power of two that brings small vectors near 1; 1 for all others."""
    if metric == "cosine":
        return 1.0
    largest = np.abs(rows.astype(np.float64) - c).max() or np.abs(c).max()
    if not 0 < largest < _SMALL:
        return 1.0
    return float(np.ldexp(1.0, min(-int(np.frexp(largest)[1]), 1000)))


def sum_codes(
    codes: CodeArray, seen: np.ndarray, c: np.ndarray, unit: float
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


def correct_codes(sums: np.ndarray, metric: str, out: Corrections) -> None:
    """Compute the corrections of codes.

    Parameters
    ----------
    sums : ndarray of shape (4, n_samples)
        As :func:`sum_codes` gives them.
    metric : {"cosine", "euclidean", "inner_product"}
    out : Corrections
        Filled.

    Raises
    ------
    ValueError
        If float32 cannot hold them.
    """
    square, along, shift, norm = sums
    f = np.divide(square, along, out=np.zeros(len(square)), where=along > 0)
    with np.errstate(over="ignore"):
        if metric == "euclidean":
            out.scale[:], out.offset[:] = -2 * f, square
        elif metric == "cosine":
            out.scale[:], out.offset[:] = -f, square / 2 + _lack_of_unit(norm)
        else:
            out.scale[:], out.offset[:] = -f, -shift
            assert out.norms is not None
            out.norms[:] = np.sqrt(square)
    if not all(np.isfinite(column).all() for column in out.columns):
        raise ValueError(
            "The rows are too long for query='vectors', which keeps float32 numbers "
            "of each: scale X down."
        )


def _lack_of_unit(square: np.ndarray) -> np.ndarray:
    """Return half of what a squared norm lacks of 1; 0 where that is rounding."""
    lack = (1 - square) / 2
    return np.where(np.abs(lack) < _UNIT_ROUNDING, 0.0, lack)


def center_queries(
    seen: np.ndarray, c: np.ndarray, metric: str, unit: float = 1.0
) -> CenteredQueries:
    """Prepare float queries for the estimate.

    Parameters
    ----------
    seen : ndarray of shape (n_queries, d)
        As the quantizer sees them.
    c : ndarray of shape (d,)
        The thresholds.
    metric : {"cosine", "euclidean", "inner_product"}
    unit : float
        That of the corrections.

    Raises
    ------
    ValueError
        If float32 cannot hold them.
    """
    rows = float_rows(seen)
    values, sums = np.empty(rows.shape, np.float32), np.empty((3, len(rows)))
    c = np.asarray(c, np.float64) if unit == 1 else c * unit
    fits = center_floats(read_only(rows), read_only(c), unit, values, sums)
    if metric == "inner_product":
        constants = -sums[2]
    elif metric == "euclidean":
        constants = sums[0]
    else:
        constants = sums[0] / 2 + _lack_of_unit(sums[1])
    if not (fits and np.isfinite(constants).all()):
        raise ValueError(
            "The queries are too long for query='vectors', which compares them in "
            "float32: scale them, and the rows, down."
        )
    return CenteredQueries(values, constants)


def finish_estimates(
    found: np.ndarray, constants: np.ndarray | float, metric: str, unit: float
) -> np.ndarray:
    """Turn what a scan found into distances: add what they lack."""
    distances = found + constants
    if metric == "euclidean":
        return np.sqrt(np.maximum(distances, 0)) / unit
    return distances / (unit * unit) if metric == "inner_product" else distances


def start_estimates(
    radius: np.ndarray | float, metric: str, unit: float
) -> np.ndarray | float:
    """Turn a distance into what estimates and their constants add up to."""
    if metric == "euclidean":
        return np.where(radius >= 0, np.square(radius * unit), -np.inf)
    return radius * unit * unit if metric == "inner_product" else radius


# The error bound of estimates: deviation of the row times reach of the query.


def estimate_deviation(
    codes: CodeArray, corrections: Corrections, metric: str
) -> np.ndarray:
    """Return how far estimates of a row deviate, for queries b of unit norm.

    With o the cosine between a row a = x - c and its code q, the error of the
    estimated inner product is ``|a| sqrt(1 - o^2) / o`` times the component of the
    query along a direction that a random rotation makes random (RaBitQ, theorem 3.2).
    Written with f = |a|^2 / <q, a> this is ``sqrt(f^2 |q|^2 - |a|^2)``.

    Returns
    -------
    deviation : ndarray of shape (n_samples,), dtype float64
        Of the distance; of the squared one under "euclidean".
    """
    scale, offset = (x.astype(np.float64) for x in corrections.decoded())
    if metric == "euclidean":
        square, f = offset, -scale / 2
    elif metric == "cosine":
        square, f = 2 * offset, -scale
    else:
        assert corrections.norms is not None
        square, f = np.square(corrections.norms.astype(np.float64)), -scale
    own = f * f * squared_lengths(codes)
    deviation = np.sqrt(np.maximum(own - square, _ERROR_ROUNDING * own))
    return 2 * deviation if metric == "euclidean" else deviation


def error_reach(values: np.ndarray) -> np.ndarray:
    """Return a query's factor of the error bound."""
    norms = np.sqrt(np.square(values.astype(np.float64)).sum(axis=1))
    return _BOUND_FACTOR * norms / np.sqrt(max(values.shape[1] - 1, 1))


def measure_distortion(rows: np.ndarray, seen: np.ndarray, metric: str) -> float:
    """Return how much steps changed what the metric compares, relatively.

    Parameters
    ----------
    rows, seen : ndarrays of shape (n_samples, n_features) and (n_samples, d)
        Before and after the steps; compared for rows next to each other, and under
        "cosine" and "inner_product" for each row with itself.
    """
    x, z = (np.asarray(a, np.float64) for a in (rows, seen))
    if metric == "euclidean":
        before, after = (np.square(np.diff(a, axis=0)).sum(axis=1) for a in (x, z))
        size = np.maximum(before, after)
    else:
        squares = np.square(x).sum(axis=1)
        size = np.concatenate([squares, np.sqrt(squares[1:] * squares[:-1])])
        before, after = (
            np.concatenate(
                [np.square(a).sum(axis=1), np.einsum("ij,ij->i", a[1:], a[:-1])]
            )
            for a in (x, z)
        )
    change = np.abs(after - before)
    return float((change[size > 0] / size[size > 0]).max(initial=0.0))
