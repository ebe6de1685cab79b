"""Nearest rows of codes over plain arrays: chooses the kernel and makes its tables.

:func:`between_codes` and :func:`from_vectors` say what the distance is, and
:func:`nearest` and :func:`within` search by it:

============================  ===================  ==================================
distance                      kernel               why
============================  ===================  ==================================
bits that differ, few queries ``scan_words``       bound by memory: reads rows once
bits that differ              ``scan_planes``      adders of bits of hundreds of rows
other costs, whole multiples  ``scan_exact``       sums of exact tables
other costs, float queries    ``scan_bounded``     tables rounded to 8 bits, with a
                                                   bound; then exact distances
============================  ===================  ==================================

A query's results do not depend on other queries, on threads, or on how queries are
cut. Where rows are cut, put the results of the parts side by side, with the parts'
first rows added, and sort by (distance, row).
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import NamedTuple

import numpy as np

from .exact_distances import Bounds, Queries
from .memory import aligned_copy, read_only
from .popcount import scan_planes, scan_words
from .result_heap import Allowed, Found
from .rounded_tables import ROUNDED_GROUP, rounded
from .table_lookup import scan_bounded, scan_exact
from .tiles import CYCLE_BYTES, ENTRIES, LINES, count_lines

# Tables of one batch of queries.
_TABLE_BYTES = 16 * 2**20
# So many queries are faster by counting the bits of each row than in planes of rows.
_FEW_QUERIES = 7
# Rows of a query that have room before their number is known.
_FIRST_ROOM = 64


class Scan(NamedTuple):
    """What is searched: made by ``between_codes`` or ``from_vectors``.

    ``run(queries, allowed, found)`` scans the rows for a slice of the queries; the
    distances it finds are ``unit`` times (what it reports less ``constant``).
    """

    n_rows: int
    n_queries: int
    n_lines: int
    run: Callable[[slice, Allowed, Found], None]
    is_exact: bool = False
    unit: float = 1.0
    constant: int = 0


def between_codes(
    codes: np.ndarray, queries: np.ndarray, costs: Sequence[float], n_features: int
) -> Scan:
    """Distances between codes: the sum over coordinates of what a pair costs.

    Parameters
    ----------
    codes, queries : arrays of shape (n_rows, n_columns) and (n_queries, n_columns)
        Packed codes; uint8: one bit, uint16: two bits.
    costs : sequence of float, not negative
        What a coordinate adds. One bit, 2 costs: where the signs agree and where they
        differ. Two bits, 6 costs: where the signs agree and the magnitudes are weak
        and weak, weak and strong, strong and strong; then where the signs differ.
    n_features : int
        Number of coordinates.

    Notes
    -----
    The distance is the sum of costs times counts of coordinates, added in the order
    of ``costs`` in float64, so that rows with equal counts tie.
    """
    bits = codes.dtype.itemsize
    columns = np.asarray(costs, np.float64)
    six = columns if bits == 2 else np.array([columns[0], 0, 0, columns[1], 0, 0])
    rows, query_bytes = _as_bytes(codes), _as_bytes(queries)
    lines = count_lines(rows.shape[1], bits)
    padding = lines * len(LINES[bits][0]) - n_features
    size = (len(codes), len(queries), lines)
    unit, multiples = _common_unit(tuple(six), n_features)

    def run_counts(some: slice, allowed: Allowed, found: Found) -> None:
        words = _as_words(rows)
        if words is not None and some.stop - some.start <= _FEW_QUERIES:
            few = _as_words(np.array(query_bytes[some]))
            scan_words(words, few, cost_of_bit, allowed, found)
        else:
            scan_planes(rows, query_bytes[some], cost_of_bit, allowed, found)

    def run_exact(some: slice, allowed: Allowed, found: Found) -> None:
        which = read_only(_numbers(query_bytes[some], bits))
        tables = aligned_copy(_line_costs(multiples, bits))
        group = 255 // max(1, int(tables.max())) // 2 * 2
        scan_exact(rows, bits, tables, which, group, allowed, found)

    def run_bounded(some: slice, allowed: Allowed, found: Found) -> None:
        numbers, by_line = (
            _numbers(query_bytes[some], bits),
            _line_costs(tuple(six), bits),
        )
        tables, bounds = rounded(lambda part: by_line[numbers[part]], *numbers.shape)
        bounds[:, 1] -= np.float32(padding * six[0] * (1 + 2.0**-20))
        scan_bounded(
            rows,
            bits,
            tables,
            ROUNDED_GROUP,
            Bounds(bounds, _NO_FLOATS, _NO_FLOATS, 1),
            Queries(_NO_VALUES, _NO_LEVELS, query_bytes[some], six, n_features),
            allowed,
            found,
        )

    if multiples is None:
        return Scan(*size, run_bounded)
    cost_of_bit = _cost_of_differing_bit(multiples, bits)
    if cost_of_bit > 0:
        return Scan(*size, run_counts, True, unit, -n_features * multiples[0])
    return Scan(*size, run_exact, True, unit, padding * multiples[0])


def _cost_of_differing_bit(costs: Sequence[int], bits: int) -> int:
    """Return what each stored bit that differs adds; 0 or less: not each alike."""
    cost = costs[3] - costs[0]
    alike = [costs[0] + cost * count for count in (0, 1, 0, 1, 2, 1)]
    return cost if bits == 1 or alike == list(costs) else 0


def from_vectors(
    codes: np.ndarray,
    values: np.ndarray,
    levels: Sequence[float] | None,
    offset: np.ndarray,
    scale: np.ndarray,
) -> Scan:
    """Distances of float queries: ``offset + scale * <query, values of the code>``.

    Parameters
    ----------
    codes : array of shape (n_rows, n_columns)
        Packed codes; uint8: one bit, uint16: two bits.
    values : float32 array of shape (n_queries, n_features)
        Finite.
    levels : pair of float or None
        Values of a weak and a strong coordinate; None: 1 (one bit).
    offset, scale : float32 arrays of shape (n_rows,)

    Notes
    -----
    All in float64, and in one order, that of ``distances._product_plain``; then
    ``scale`` is multiplied and added to ``offset``.
    """
    bits = codes.dtype.itemsize
    rows = _as_bytes(codes)
    pair = np.array([1.0, 1.0] if levels is None else levels, np.float64)
    padded = np.zeros((len(values), 8 * codes.shape[1]), np.float32)
    padded[:, : values.shape[1]] = values
    sign = -1 if np.sum(scale, dtype=np.float64) < 0 else 1
    of_line = sign * _line_values(pair, bits)
    size = (len(codes), len(values), count_lines(rows.shape[1], bits))
    offset, scale = read_only(offset), read_only(scale)

    def run(some: slice, allowed: Allowed, found: Found) -> None:
        def products(part: slice) -> np.ndarray:
            coordinates = padded[some][part].astype(np.float64)
            return _by_line(coordinates, bits) @ of_line.T

        tables, bounds = rounded(products, some.stop - some.start, size[2])
        scan_bounded(
            rows,
            bits,
            tables,
            ROUNDED_GROUP,
            Bounds(bounds, offset, scale, sign),
            Queries(padded[some], pair, _NO_CODES, _NO_COSTS, values.shape[1]),
            allowed,
            found,
        )

    return Scan(*size, run)


def nearest(
    scan: Scan,
    k: int,
    *,
    left_out: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of every query, equal distances in order of rows.

    Parameters
    ----------
    scan : Scan
    k : int, at least 1
    left_out : int64 array of shape (n_queries,), default=None
        A row that does not count for the query; -1: none.
    mask : bool array of shape (n_rows,), default=None
        Rows that count.

    Returns
    -------
    distances : float64 array of shape (n_queries, k)
    rows : int64 array of shape (n_queries, k)
        Where fewer than k rows count, the rest is infinity and -1.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0b1100_0000], [0b1111_0000], [0b1110_0000]], np.uint8)
    >>> scan = between_codes(codes, codes[:1], costs=(0, 1), n_features=8)
    >>> nearest(scan, 2)
    (array([[0., 1.]]), array([[0, 2]]))
    """
    distances = np.full((scan.n_queries, k), np.inf)
    rows = np.full((scan.n_queries, k), -1)
    for some, allowed in _batches(scan, left_out, mask):
        size = some.stop - some.start
        found = Found(
            distances[some].reshape(-1),
            rows[some].reshape(-1),
            np.arange(size + 1) * k,
            np.full(size, np.inf),
            np.zeros(size, np.int64),
            False,
        )
        scan.run(some, allowed, found)
    distances -= scan.constant
    distances *= scan.unit
    return distances, rows


def within(
    scan: Scan,
    radius: float | np.ndarray,
    *,
    left_out: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all rows at most ``radius`` away from every query, in order of rows.

    Parameters
    ----------
    scan : Scan
    radius : float or float array of shape (n_queries,)
    left_out, mask : as in ``nearest``

    Returns
    -------
    distances : float64 array of shape (n_found,)
    rows : int64 array of shape (n_found,)
    starts : int64 array of shape (n_queries + 1,)
        Query q found ``starts[q]:starts[q + 1]``.
    """
    radii = np.broadcast_to(np.asarray(radius, np.float64), scan.n_queries)
    limits = np.array([_limit_of(scan, one) for one in radii])
    distances, rows, counts = [], [], []
    for some, allowed in _batches(scan, left_out, mask):
        room = np.full(some.stop - some.start, _FIRST_ROOM)
        found = _run_within(scan, some, allowed, limits[some], room)
        if np.any(found.counts > room):
            found = _run_within(scan, some, allowed, limits[some], found.counts)
        # Room that was not needed is left out.
        places = np.arange(len(found.rows)) - np.repeat(
            found.starts[:-1], np.diff(found.starts)
        )
        used = places < np.repeat(found.counts, np.diff(found.starts))
        distances.append((found.distances[used] - scan.constant) * scan.unit)
        rows.append(found.rows[used])
        counts.append(found.counts)
    starts = np.concatenate([[0], np.cumsum(np.concatenate([*counts, _NO_ROWS]))])
    return (
        np.concatenate([*distances, _NO_DISTANCES]),
        np.concatenate([*rows, _NO_ROWS]),
        starts,
    )


def _run_within(
    scan: Scan, some: slice, allowed: Allowed, limits: np.ndarray, room: np.ndarray
) -> Found:
    starts = np.concatenate([[0], np.cumsum(room)])
    found = Found(
        np.empty(starts[-1]),
        np.empty(starts[-1], np.int64),
        starts,
        limits,
        np.zeros(len(room), np.int64),
        True,
    )
    scan.run(some, allowed, found)
    return found


def _limit_of(scan: Scan, radius: float) -> float:
    """Return the least reported distance that is farther than ``radius``.

    Sums of exact tables are whole numbers; division by the unit may round.
    """
    if not scan.is_exact or not np.isfinite(radius):
        return float(np.nextafter(radius, np.inf))
    limit = np.floor(radius / scan.unit) + scan.constant
    while (limit - scan.constant) * scan.unit <= radius:
        limit += 1
    while (limit - 1 - scan.constant) * scan.unit > radius:
        limit -= 1
    return float(limit)


def _batches(
    scan: Scan, left_out: np.ndarray | None, mask: np.ndarray | None
) -> Iterator[tuple[slice, Allowed]]:
    """Cut the queries so that the tables of a part have a bounded size."""
    if left_out is None:
        left_out = np.full(scan.n_queries, -1)
    shown = np.empty(0, np.uint8) if mask is None else mask.view(np.uint8)
    step = max(4, _TABLE_BYTES // (ENTRIES * scan.n_lines) // 4 * 4)
    for start in range(0, scan.n_queries, step):
        some = slice(start, min(start + step, scan.n_queries))
        yield some, Allowed(read_only(left_out[some]), read_only(shown))


# Bytes, lines and tables.


def _as_bytes(codes: np.ndarray) -> np.ndarray:
    """View codes as bytes: of two bits, signs and magnitudes in turn."""
    plain = np.ascontiguousarray(np.asarray(codes)).view(np.uint8)
    return read_only(plain)


def _as_words(rows: np.ndarray) -> np.ndarray | None:
    """View bytes as 64-bit words, or return None where this is not possible."""
    if rows.shape[1] % 8 or rows.ctypes.data % 8:
        return None
    return read_only(rows.view(np.uint64))


_NO_FLOATS = read_only(np.empty(0, np.float32))
_NO_VALUES = np.empty((0, 0), np.float32)
_NO_LEVELS = np.empty(0)
_NO_CODES = read_only(np.empty((0, 0), np.uint8))
_NO_COSTS = np.empty(0)
_NO_ROWS = np.empty(0, np.int64)
_NO_DISTANCES = np.empty(0)


def _line_bits(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sign and magnitude bits of a line's coordinates, by its number.

    Arrays of shape (ENTRIES, coordinates): magnitudes stand above signs.
    """
    count = len(LINES[bits][0])
    shifts = np.arange(bits * count)[::-1]
    digits = np.arange(ENTRIES)[:, np.newaxis] >> shifts & 1
    if bits == 1:
        return digits, np.zeros_like(digits)
    return digits[:, count:], digits[:, :count]


@lru_cache
def _line_costs(costs: tuple[float, ...], bits: int) -> np.ndarray:
    """Return what two numbers of a line cost, (ENTRIES, ENTRIES)."""
    signs, strong = _line_bits(bits)
    differ = signs[:, np.newaxis] ^ signs
    pairs = 3 * differ + strong[:, np.newaxis] + strong
    return np.asarray(costs)[pairs].sum(axis=2)


def _line_values(levels: np.ndarray, bits: int) -> np.ndarray:
    """Return the values of a line's coordinates, (ENTRIES, coordinates)."""
    signs, strong = _line_bits(bits)
    return np.where(signs, 1, -1) * levels[strong]


def _by_line(values: np.ndarray, bits: int) -> np.ndarray:
    """Sort coordinates by line: (n, d) to (n, n_lines, coordinates of a line).

    Beyond d, which is a multiple of 8, stand zeros.
    """
    n, d = values.shape
    cycle = 8 * CYCLE_BYTES
    padded = np.zeros((n, -(-d // cycle) * cycle), values.dtype)
    padded[:, :d] = values
    cycles = padded.reshape(n, -1, cycle)[:, :, np.array(LINES[bits])]
    return cycles.reshape(n, -1, len(LINES[bits][0]))


def _numbers(codes: np.ndarray, bits: int) -> np.ndarray:
    """Return the numbers of codes in their lines, (n, n_lines), uint8."""
    planes = [codes] if bits == 1 else [codes[:, 1::2], codes[:, ::2]]
    digits = [_by_line(np.unpackbits(plane, axis=1), bits) for plane in planes]
    together = np.concatenate(digits, axis=2)
    return together @ (1 << np.arange(together.shape[2])[::-1]).astype(np.uint8)


@lru_cache
def _common_unit(
    costs: tuple[float, ...], n_features: int
) -> tuple[float, tuple[int, ...] | None]:
    """Write costs as integer multiples of a unit, where sums are then exact.

    Returns
    -------
    unit : float
    multiples : tuple of 6 int, or None
        None where the multiples of a line would not fit 7 bits, or where a distance in
        float64 would be rounded.
    """
    exact = [Fraction(float(cost)) for cost in costs]
    denominator = lcm(*(cost.denominator for cost in exact))
    numerators = [int(cost * denominator) for cost in exact]
    divisor = gcd(*numerators) or 1
    unit = Fraction(divisor, denominator)
    multiples = [numerator // divisor for numerator in numerators]
    bits = 2 if any(costs[i] for i in (1, 2, 4, 5)) else 1
    fits = len(LINES[bits][0]) * max(multiples) <= 127
    if not fits or unit.numerator * max(multiples) * n_features >= 2**53:
        return 1.0, None
    return float(unit), tuple(multiples)
