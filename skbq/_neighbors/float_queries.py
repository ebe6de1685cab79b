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

from functools import lru_cache
from typing import Literal, NamedTuple, Self

import numpy as np

from .._kernels.memory import read_only
from .._kernels.vector_ops import center_floats, largest_change
from .._quantization.correction_range import (
    SHARES,
    Prediction,
    lack_of_unit,
    row_factors,
    row_offsets,
)
from .._utils.containers import name_rows
from .._utils.typing import METRICS
from .._utils.validation import float_rows
from ..codes import CodeArray, squared_lengths

# What is kept of each row: see :class:`Corrections`.
CorrectionKind = Literal["exact", "short", "none"]

# RaBitQ's epsilon_0: standard deviations of the estimate's error within its bound.
_BOUND_FACTOR = 1.9
# By how much the estimate of each metric multiplies the product with the code.
_FACTORS = {"cosine": 1.0, "euclidean": 2.0, "inner_product": 1.0}
# Of the 24 bits of a row's short numbers, those of the scale.
_SCALE_BITS = {"cosine": 8, "euclidean": 8, "inner_product": 12}
# Levels on each side that reach beyond what was seen, as a share of all.
_TAIL_SHARE = 1 / 8
# What scales may be smaller or larger than the middle one, as logarithms.
_LOG_FLOAT32 = (-60.0, 60.0)
# What rounding in float32 may add to a code's own error, as a share of its square.
_ERROR_ROUNDING = 1e-10
# Squares of smaller numbers vanish in float32: such vectors are scaled up.
_SMALL = 2.0**-40
# The largest relative change of products by steps before the quantizer at which they
# count as kept: far above rounding, far below what a bound would notice.
_KEPT = 1e-3


class Corrections(NamedTuple):
    """What asymmetric search keeps of each row beside its code.

    Numbers are "exact", float32; "short", 24 bits for the numbers of the levels that
    :func:`_levels` makes of ``ranges``; or "none", where codes of mixed depth predict
    them, and others share one scale.
    Files of a former version may hold float16.

    Attributes
    ----------
    scale, offset : ndarrays of shape (n_samples,), or None
        The estimated distance is ``offset + scale * <b, code values>`` plus the
        query's constant, where both are as :meth:`decoded` gives them. float32; short
        ones uint8 and uint16; None where none are kept.
    norms : ndarray of shape (n_samples,), or None
        |a|, where the error bound cannot tell it from the others: "inner_product".
        float32; of short ones its upper half, uint16.
    unit : float
        A power of two that vectors are multiplied by before squares are taken.
    distortion : float
        The largest relative change that the steps before the quantizer made to
        products (under "euclidean": distances) of rows next to each other.
    origin, offset_step, scale_step : float
        Of float16 numbers: ``origin + offset_step * offset`` is meant by an offset,
        ``scale_step * scale`` by a scale. The steps are powers of two.
    ranges : ndarray of shape (5, 33), or None
        Of numbers that are not exact: as :func:`learn_range` gives them.
    metric : str
        Of numbers that are not exact.
    prediction : Prediction or None
        Where nothing is kept of codes of mixed depth: what they say themselves.
    """

    scale: np.ndarray | None
    offset: np.ndarray | None
    norms: np.ndarray | None
    unit: float = 1.0
    distortion: float = 0.0
    origin: float = 0.0
    offset_step: float = 1.0
    scale_step: float = 1.0
    ranges: np.ndarray | None = None
    metric: str = "cosine"
    prediction: Prediction | None = None

    @classmethod
    def empty(cls, n_rows: int, metric: str, unit: float = 1.0) -> Self:
        """Return room for exact ones of some rows."""
        scale, offset, norms = np.empty((3, n_rows), np.float32)
        return cls(scale, offset, norms if metric == "inner_product" else None, unit)

    @property
    def columns(self) -> list[np.ndarray]:
        """The arrays that are kept."""
        kept = (self.scale, self.offset, self.norms)
        return [column for column in kept if column is not None]

    def with_columns(self, columns: list[np.ndarray], distortion: float = 0.0) -> Self:
        """Return the same for other rows."""
        scale, offset, norms = [*columns, None, None, None][:3]
        distortion = max(distortion, self.distortion)
        return self._replace(
            scale=scale, offset=offset, norms=norms, distortion=distortion
        )

    @property
    def kind(self) -> str:
        """What numbers are: "exact", "short" or "none", or "float16"."""
        if self.scale is None:
            return "none"
        kinds = {np.dtype(np.uint8): "short", np.dtype(np.float16): "float16"}
        return kinds.get(self.scale.dtype, "exact")

    def decoded(self, codes: CodeArray) -> tuple[np.ndarray, np.ndarray]:
        """Return scales and offsets as they are meant, as float32.

        Parameters
        ----------
        codes : CodeArray of shape (n_samples, width)
            Those of the same rows.
        """
        if self.scale is None or self.offset is None:
            return self._alike(codes)
        if self.kind == "short":
            scale, offset = self._numbers
            return self._levels.scales.take(scale), self._levels.offsets.take(offset)
        if self.kind == "exact":
            return self.scale, self.offset
        scale = self.scale.astype(np.float32)
        scale *= np.float32(self.scale_step)
        offset = self.offset.astype(np.float32)
        offset *= np.float32(self.offset_step)
        offset += np.float32(self.origin)
        return scale, offset

    def _alike(self, codes: CodeArray) -> tuple[np.ndarray, np.ndarray]:
        """Return what codes predict, or the scale that all rows share.

        In that case offsets are those of the codes' lengths: the code's values, times
        what brings most of them closest to their rows, stand for the rows.
        """
        if self.prediction is not None:
            units = (-_FACTORS[self.metric] * self.unit, self.unit * self.unit)
            scale, offset = self.prediction.of(codes, self.metric, units)
            return scale, offset
        assert self.ranges is not None
        closest = float(np.median(self.ranges[-1]))
        scale = np.full(len(codes), -_FACTORS[self.metric] * closest, np.float32)
        if self.metric == "inner_product":
            return scale, np.zeros(len(codes), np.float32)
        squares = squared_lengths(codes) * (_FACTORS[self.metric] * closest**2 / 2)
        return scale, squares.astype(np.float32)

    @property
    def _levels(self) -> "_Levels":
        assert self.ranges is not None
        return _levels(self.ranges.tobytes(), self.metric)

    @property
    def _numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the levels of scales and offsets."""
        assert self.scale is not None
        assert self.offset is not None
        bits = 24 - _SCALE_BITS[self.metric]
        if bits == 16:
            return self.scale, self.offset
        return self.scale | self.offset >> bits << 8, self.offset & (1 << bits) - 1

    def rounding(self) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Return how far numbers may be off: scales relatively, and offsets."""
        if self.kind != "short":
            return 0.0, 0.0
        scale, offset = self._numbers
        return self._levels.scale_rounding[scale], self._levels.offset_rounding[offset]

    def shortened(self, along: np.ndarray, ranges: np.ndarray, metric: str) -> Self:
        """Return short numbers for exact ones.

        What the rounding of a scale changes for a query that equals the row is made up
        for by its offset: among near neighbors scales may be coarse. Rows of large
        inner products need not be near the query, so that their scales are finer.

        Parameters
        ----------
        along : ndarray of shape (n_samples,)
            <q, a> of the rows.
        ranges : ndarray of shape (5, 33)
        metric : {"cosine", "euclidean", "inner_product"}

        Raises
        ------
        OutOfReachError
            If offsets are far beyond the ranges.
        """
        assert self.scale is not None
        assert self.offset is not None
        levels = _levels(ranges.tobytes(), metric)
        # The first level is that of rows that equal the mean, whose scale is 0.
        scale = 1 + _nearest(-levels.scales[1:], -self.scale)
        scale[self.scale == 0] = 0
        offset = self.offset.astype(np.float64)
        if metric != "inner_product":
            offset += (self.scale - levels.scales[scale].astype(np.float64)) * along
        low, high = levels.offsets[[0, -1]]
        beyond = ~((offset >= low) & (offset <= high))
        if beyond.any():
            raise OutOfReachError(np.flatnonzero(beyond))
        norms = self.norms
        if norms is not None:
            norms = (norms.view(np.uint32) >> 16).astype(np.uint16)
        numbers = _nearest(levels.offsets, offset)
        numbers |= scale >> 8 << 24 - _SCALE_BITS[metric]
        return self._replace(
            scale=(scale & 0xFF).astype(np.uint8),
            offset=numbers.astype(np.uint16),
            norms=norms,
            ranges=ranges,
            metric=metric,
        )

    def to_float16(self, like: "Corrections") -> Self:
        """Return exact numbers as those of an older index."""
        assert self.scale is not None
        assert self.offset is not None
        with np.errstate(over="ignore"):
            scale = (self.scale / like.scale_step).astype(np.float16)
            offset = ((self.offset - like.origin) / like.offset_step).astype(np.float16)
        beyond = ~(np.isfinite(scale) & np.isfinite(offset))
        if beyond.any():
            raise OutOfReachError(np.flatnonzero(beyond))
        steps = (like.origin, like.offset_step, like.scale_step)
        origin, offset_step, scale_step = steps
        return self._replace(
            scale=scale,
            offset=offset,
            norms=None,
            origin=origin,
            offset_step=offset_step,
            scale_step=scale_step,
        )

    def without_numbers(
        self, ranges: np.ndarray, metric: str, prediction: Prediction | None
    ) -> Self:
        """Return the kind that keeps nothing of a row."""
        return self._replace(
            scale=None,
            offset=None,
            norms=None,
            ranges=ranges,
            metric=metric,
            prediction=prediction,
        )

    @property
    def keeps_products_with_center(self) -> bool:
        """Whether offsets hold <a, c>, that queries may be centered."""
        return self.kind != "none" or self.prediction is not None

    def own_ranges(self, along: np.ndarray, codes: CodeArray) -> np.ndarray:
        """Return ranges of exact numbers, for rows unlike the quantizer's."""
        assert self.scale is not None
        assert self.offset is not None
        factors = -self.scale.astype(np.float64) / _FACTORS[self.metric]
        squares = squared_lengths(codes)
        zeros = np.zeros(len(codes))
        closest = np.divide(along, squares, out=zeros, where=squares > 0)
        numbers = [factors[factors > 0] if factors.any() else np.ones(1)]
        numbers += [
            factors * along if m == "euclidean" else self.offset for m in METRICS
        ]
        return np.array([np.quantile(x, SHARES) for x in (*numbers, closest)])

    def lengths(self) -> np.ndarray:
        """Return |a|, or what it is at least, as float64."""
        assert self.norms is not None
        if self.norms.dtype == np.uint16:
            whole = self.norms.astype(np.uint32) << 16
            return whole.view(np.float32).astype(np.float64)
        return self.norms.astype(np.float64)

    def of(self, rows: slice | np.ndarray) -> Self:
        """Return those of some rows."""
        return self.with_columns([column[rows] for column in self.columns])

    @property
    def keeps_products(self) -> bool:
        """Whether the steps before the quantizer keep what the metric compares."""
        return self.distortion <= _KEPT


class OutOfReachError(ValueError):
    """Rows are beyond what short numbers reach.

    Parameters
    ----------
    rows : ndarray of int
        Their numbers, among those that were given.
    named : str, default=None
        They, and the file that they are in; None: they are rows of an array.
    """

    def __init__(self, rows: np.ndarray, named: str | None = None) -> None:
        self.rows, self.named = rows, named
        super().__init__(
            "Rows are far longer than the first ones that were indexed, beyond what "
            f"their short corrections reach ({named or name_rows(rows)}). Fit again "
            "with all rows, or with corrections='exact'."
        )

    def __reduce__(self) -> tuple[type[Self], tuple[np.ndarray, str | None]]:
        return type(self), (self.rows, self.named)


class _Levels(NamedTuple):
    """What short numbers stand for, float32: scales fall from 0, offsets rise.

    And how far rounding may move scales, relatively, and offsets.
    """

    scales: np.ndarray
    offsets: np.ndarray
    scale_rounding: np.ndarray
    offset_rounding: np.ndarray


@lru_cache(maxsize=16)
def _levels(ranges: bytes, metric: str) -> _Levels:
    """Return the levels of short numbers.

    Parameters
    ----------
    ranges : bytes
        Those of an array as :func:`learn_range` gives it.
    metric : {"cosine", "euclidean", "inner_product"}
    """
    quantiles = np.frombuffer(ranges).reshape(-1, len(SHARES))
    # Times a power of two, so that scaling by one changes no digits.
    unit = np.ldexp(1.0, np.frexp(np.median(quantiles[0]))[1])
    logs = np.log(quantiles[0] / unit)
    n_scales = 2 ** _SCALE_BITS[metric]
    growth = 1.25 if n_scales == 2**8 else 1.02
    logs = _spread(logs, n_scales - 1, growth, floor=0.01)
    logs = np.clip(logs, *_LOG_FLOAT32)
    scales = -_FACTORS[metric] * unit * np.exp(logs)
    middle = quantiles[1 + METRICS.index(metric)]
    floor = 0.01 * np.abs(middle).max() or 1.0
    n_offsets = 2**24 // n_scales
    growth = 1.002 if n_offsets == 2**16 else 1.03
    offsets = _spread(middle, n_offsets, growth, floor)
    largest = np.finfo(np.float32).max
    scales = np.concatenate([[0], scales]).astype(np.float32)
    offsets = np.clip(offsets, -largest, largest).astype(np.float32)
    scale_rounding = np.zeros_like(scales)
    scale_rounding[1:] = _half_gaps(scales[1:]) / np.abs(scales[1:])
    return _Levels(scales, offsets, scale_rounding, _half_gaps(offsets))


def _spread(quantiles: np.ndarray, n: int, growth: float, floor: float) -> np.ndarray:
    """Spread levels over what numbers range over, half evenly, half as they lie.

    Some levels on each side, whose distances grow, reach beyond: rows that are added
    later may be longer.
    """
    tail = round(_TAIL_SHARE * n)
    low, high = quantiles[0], quantiles[-1]
    if high - low < floor:
        # One level is the middle itself: all rows may be alike.
        size = n - 2 * tail
        body = (high + low) / 2 + (np.arange(size) - size // 2) * (floor / size)
        low, high = body[[0, -1]]
    else:
        grid = np.unique([*quantiles, *np.linspace(low, high, len(quantiles))])
        position = (grid - low) / (high - low) + np.interp(grid, quantiles, SHARES)
        body = np.interp(np.linspace(0, 2, n - 2 * tail), position, grid)
    steps = (high - low) / len(body) * growth ** np.arange(tail)
    beyond = np.cumsum(steps)
    return np.concatenate([low - beyond[::-1], body, high + beyond])


def _half_gaps(levels: np.ndarray) -> np.ndarray:
    """Return how far a number may be from each level, if that is the nearest one."""
    gaps = np.abs(np.diff(levels.astype(np.float64)))
    half = np.maximum(np.append(gaps, 0), np.insert(gaps, 0, 0)) / 2
    return half.astype(np.float32)


def _nearest(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the numbers of the levels, which rise, that are nearest to values."""
    edges = (levels[1:].astype(np.float64) + levels[:-1]) / 2
    return np.searchsorted(edges, values)


class CenteredQueries(NamedTuple):
    """Float queries, ready for the estimate.

    ``values``: float32 (n_queries, d), b. ``constants``: float64 (n_queries,), what
    the estimated distance lacks.
    """

    values: np.ndarray
    constants: np.ndarray

    def of(self, some: slice) -> Self:
        """Return some of them."""
        return self._replace(values=self.values[some], constants=self.constants[some])


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
    assert out.scale is not None
    assert out.offset is not None
    with np.errstate(over="ignore"):
        out.scale[:] = -_FACTORS[metric] * row_factors(sums)
        out.offset[:] = row_offsets(sums, metric)
        if out.norms is not None:
            out.norms[:] = np.sqrt(sums[0])
    if not all(np.isfinite(column).all() for column in out.columns):
        raise ValueError(
            "The rows are too long for query='vectors', which keeps float32 numbers "
            "of each: scale X down."
        )


def center_queries(
    seen: np.ndarray,
    c: np.ndarray,
    metric: str,
    unit: float = 1.0,
    *,
    corrected: bool = True,
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
    corrected : bool, default=True
        Whether <a, c> is kept with the rows; else, under "inner_product", the codes are
        asked for it, by queries that are not centered.

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
        constants = sums[0] / 2 + lack_of_unit(sums[1])
    if metric == "inner_product" and not corrected:
        with np.errstate(over="ignore"):
            values = (rows.astype(np.float64) * unit).astype(np.float32)
        fits = bool(np.isfinite(values).all())
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
    scale, offset = (x.astype(np.float64) for x in corrections.decoded(codes))
    f = -scale / _FACTORS[metric]
    squares = squared_lengths(codes)
    off, _ = corrections.rounding()
    own = f * f * squares
    if metric == "inner_product":
        own *= (1 + np.asarray(off)) ** 2
        square = np.square(corrections.lengths())
    else:
        # What a short scale is off, the offset makes up for to first order.
        square = 2 * offset / _FACTORS[metric]
    # A short scale may add an error along the code, in any direction of the query.
    d = codes.n_features
    rounded = np.square(off / _BOUND_FACTOR) * max(d - 1, 1) * own
    deviation = np.sqrt(np.maximum(own - square, _ERROR_ROUNDING * own) + rounded)
    return _FACTORS[metric] * deviation


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
    x, z = (read_only(float_rows(a)) for a in (rows, seen))
    return largest_change(x, z, metric == "euclidean")
