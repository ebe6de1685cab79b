r"""Scans of codes over plain arrays: chooses the kernel and makes its tables.

:func:`between_codes` and :func:`from_vectors` say what the distance is and return a
scan, which holds the tables of its queries and searches any slice of the rows:

==================  ======================  =====================================
scan                kernel                  distance
==================  ======================  =====================================
``PopcountScan``    ``scan_words``          bits that differ, few queries: bound by
                                            memory, reads rows once
\                   ``scan_planes``         bits that differ: adders of bits of
                                            hundreds of rows
``TableScan``       ``scan_exact``          other costs, whole multiples: sums of
                                            exact tables
``BoundedScan``     ``scan_bounded``        other costs, float queries: tables
                                            rounded to 8 bits, with a bound; then
                                            exact distances
==================  ======================  =====================================

The scans by tables also search inverted lists, each list for the queries that probe it.

A query's results do not depend on other queries, on threads, or on how queries are
cut. Where rows are cut, put the results of the parts side by side, with the parts'
first rows added, and sort by (distance, row).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import NamedTuple, Protocol

import numpy as np

from .exact_distances import Bounds, Queries, fill_terms
from .inverted_lists import (
    ListedRows,
    Probed,
    fill_lines,
    scan_lists_bounded,
    scan_lists_exact,
)
from .memory import aligned_copy, aligned_empty, read_only
from .mixed_depths import fill_tables
from .popcount import scan_planes, scan_words
from .query_tables import (
    number_lines,
    tables_of_cut_bytes,
    tables_of_nibbles,
    tables_of_values,
)
from .result_heap import Allowed, Found
from .rounded_tables import (
    REACH,
    ROUNDED_GROUP,
    RoundedTables,
    empty_tables,
    round_tables,
)
from .simd import BLOCK
from .table_lookup import scan_bounded, scan_exact
from .tiles import CYCLE_BYTES, ENTRIES, LINES, NIBBLES, count_lines, tile_width

# Tables of one batch of queries.
_TABLE_BYTES = 16 * 2**20
# Float tables of codes that are made at a time.
_FLOAT_TABLE_BYTES = 2**20
# So many queries are faster by counting the bits of each row than in planes of rows.
_FEW_QUERIES = 7
# Rows whose scales say which sign most have.
_SIGN_ROWS = 256


class WholeUnits(NamedTuple):
    """How reported whole numbers become distances: ``unit * (reported - constant)``.

    ``largest`` is the largest number reported, less ``constant``.
    """

    unit: float
    constant: int
    largest: int

    def distances(self, reported: np.ndarray) -> np.ndarray:
        """Return distances; infinity stays."""
        return (reported - self.constant) * self.unit

    def limit(self, radius: float) -> float:
        """Return the least number whose distance is farther than ``radius``."""
        low, high = 0, self.largest + 1  # the distance of low - 1 is not farther
        while low < high:
            middle = (low + high) // 2
            if middle * self.unit > radius:
                high = middle
            else:
                low = middle + 1
        return float(low + self.constant)


class NibbleValues(NamedTuple):
    """What the nibbles of codes of mixed depth hold.

    ``coordinates``, int64 (2 * width, 4): their coordinates, -1 none; ``values``,
    float32 (2 * width, 4, 16): what each adds to a row's values, by the nibble.
    ``bits``: as :func:`bits_of_nibbles` gives it.
    """

    coordinates: np.ndarray
    values: np.ndarray
    bits: int = NIBBLES


def bits_of_nibbles(has_sums_above: bool) -> int:
    """Return what kernels call the bits of codes of mixed depth.

    Where what upper halves of bytes add is a sum over two pairs of bits, their bytes
    can be cut as those of one bit, which takes the fewest look-ups.
    """
    return 1 if has_sums_above and ENTRIES == 64 else NIBBLES


class Scan(Protocol):
    """The rows and the tables of some queries.

    ``units`` is None where distances are reported as they are.
    """

    @property
    def units(self) -> WholeUnits | None: ...

    def run(self, rows: slice, allowed: Allowed, found: Found) -> None:
        """Search a slice of the rows; ``allowed`` and ``found`` count from its first.

        Parameters
        ----------
        rows : slice
            With a start and a stop.
        allowed : Allowed
        found : Found
            Changed.
        """


class ListScan(Scan, Protocol):
    """A scan that also searches inverted lists."""

    def run_lists(
        self, listed: ListedRows, probed: Probed, allowed: Allowed, found: Found
    ) -> None:
        """Search the lists that queries probe.

        Parameters
        ----------
        listed : ListedRows
        probed : Probed
        allowed : Allowed
            By the numbers of rows.
        found : Found
            Changed; not sorted, for other rows to be searched as well.
        """


@dataclass(frozen=True)
class PopcountScan:
    """Distances that are ``cost`` times the number of bits that differ.

    ``codes`` and ``queries``: uint8 arrays of bytes, read-only.
    """

    codes: np.ndarray
    queries: np.ndarray
    cost: int
    units: WholeUnits

    def run(self, rows: slice, allowed: Allowed, found: Found) -> None:
        """Search a slice of the rows."""
        codes = self.codes[rows]
        words = _as_words(codes)
        if words is not None and len(self.queries) <= _FEW_QUERIES:
            few = _as_words(np.array(self.queries))
            scan_words(words, few, self.cost, allowed, found)
        else:
            scan_planes(codes, self.queries, self.cost, allowed, found)


@dataclass(frozen=True)
class TableScan:
    """Distances that are sums of entries of exact tables.

    ``tables`` and ``which`` are those of ``scan_exact``.
    """

    codes: np.ndarray
    bits: int
    tables: np.ndarray
    which: np.ndarray
    units: WholeUnits

    def run(self, rows: slice, allowed: Allowed, found: Found) -> None:
        """Search a slice of the rows."""
        codes, which = self.codes[rows], self.which
        scan_exact(codes, self.bits, self.tables, which, self._group, allowed, found)

    def run_lists(
        self, listed: ListedRows, probed: Probed, allowed: Allowed, found: Found
    ) -> None:
        """Search the lists that queries probe."""
        scan_lists_exact(
            self.codes,
            self.bits,
            self.tables,
            self.which,
            self._group,
            listed,
            probed,
            allowed,
            found,
        )

    @property
    def _group(self) -> int:
        return 255 // max(1, int(self.tables.max())) // 2 * 2


@dataclass(frozen=True)
class BoundedScan:
    """Distances that tables rounded to 8 bits bound from below.

    ``tables``, ``bounds`` and ``queries`` are those of ``scan_bounded``.
    """

    codes: np.ndarray
    bits: int
    tables: np.ndarray
    bounds: Bounds
    queries: Queries
    units: None = None

    def run(self, rows: slice, allowed: Allowed, found: Found) -> None:
        """Search a slice of the rows."""
        offset, scale = self.bounds.offset[rows], self.bounds.scale[rows]
        scan_bounded(
            self.codes[rows],
            self.bits,
            self.tables,
            ROUNDED_GROUP,
            self.bounds._replace(offset=offset, scale=scale),
            self.queries,
            allowed,
            found,
        )

    def run_lists(
        self, listed: ListedRows, probed: Probed, allowed: Allowed, found: Found
    ) -> None:
        """Search the lists that queries probe."""
        scan_lists_bounded(
            self.codes,
            self.bits,
            self.tables,
            ROUNDED_GROUP,
            self.bounds,
            self.queries,
            listed,
            probed,
            allowed,
            found,
        )


def count_queries(codes: np.ndarray, *, by_nibble: bool = False) -> int:
    """Return how many queries of such codes to scan at a time: their tables fit."""
    if by_nibble:  # 4 bytes of each exact entry, 1 of a rounded one
        return max(4, _TABLE_BYTES // (2 * codes.shape[1] * (64 + ENTRIES)) // 4 * 4)
    n_lines = count_lines(codes.itemsize * codes.shape[1], codes.itemsize)
    return max(4, _TABLE_BYTES // (ENTRIES * n_lines) // 4 * 4)


def between_codes(
    codes: np.ndarray,
    queries: np.ndarray,
    costs: Sequence[float],
    n_features: int,
) -> Scan:
    """Distances between codes: the sum over coordinates of what a pair costs.

    Parameters
    ----------
    codes, queries : arrays of shape (n_rows, n_columns) and (n_queries, n_columns)
        Packed codes; uint8: one bit, uint16: two bits.
    costs : sequence of float, not negative
        What a coordinate adds. One bit, 2 costs: where the signs agree and where they
        differ. Two bits, 6 costs: where the signs agree and the magnitudes are low
        and low, low and high, high and high; then where the signs differ.
    n_features : int
        Number of coordinates.

    Notes
    -----
    The distance is the sum of costs times counts of coordinates, added in the order
    of ``costs`` in float64, so that rows with equal counts tie.
    """
    bits = codes.dtype.itemsize
    unit, multiples = _common_unit(_six_costs(costs, bits), n_features)
    cost_of_bit = 0 if multiples is None else _cost_of_differing_bit(multiples, bits)
    if multiples is None or cost_of_bit <= 0:
        return tables_between_codes(codes, queries, costs, n_features)
    constant = -n_features * multiples[0]
    units = WholeUnits(unit, constant, n_features * max(multiples))
    return PopcountScan(_as_bytes(codes), _as_bytes(queries), cost_of_bit, units)


def tables_between_codes(
    codes: np.ndarray, queries: np.ndarray, costs: Sequence[float], n_features: int
) -> ListScan:
    """Do the same as ``between_codes`` by tables, with which lists are searched."""
    bits = codes.dtype.itemsize
    six = _six_costs(costs, bits)
    rows, query_bytes = _as_bytes(codes), _as_bytes(queries)
    padding = count_lines(rows.shape[1], bits) * len(LINES[bits][0]) - n_features
    unit, multiples = _common_unit(six, n_features)
    if multiples is None:
        rounded = _rounded_costs(six, bits, _numbers(query_bytes, bits))
        with np.errstate(over="ignore"):  # a bound of minus infinity excludes no row
            rounded.bounds[:, 1] -= np.float32(padding * six[0] * (1 + 2.0**-20))
        compared = Queries(_NO_TERMS, _NO_LEAST, query_bytes, np.array(six), n_features)
        return _bounded(rows, bits, rounded, (_NO_FLOATS, _NO_FLOATS, 1), compared)
    return TableScan(
        rows,
        bits,
        _exact_tables(multiples, bits),
        read_only(_numbers(query_bytes, bits)),
        WholeUnits(unit, padding * multiples[0], n_features * max(multiples)),
    )


def _six_costs(costs: Sequence[float], bits: int) -> tuple[float, ...]:
    """Return the costs of two bits, of which those of one bit are a part."""
    six = costs if bits == 2 else (costs[0], 0, 0, costs[1], 0, 0)
    return tuple(float(cost) for cost in six)


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
    least: np.ndarray,
    sign: int | None = None,
) -> ListScan:
    """Distances of float queries: ``offset + scale * <query, values of the code>``.

    Parameters
    ----------
    codes : array of shape (n_rows, n_columns)
        Packed codes; uint8: one bit, uint16: two bits.
    values : float32 array of shape (n_queries, n_features)
        Finite.
    levels : pair of float or None
        Values of a low and a high magnitude; None: 1 (one bit).
    offset, scale : float32 arrays of shape (n_rows,)
    least : float64 array of shape (n_queries,)
        Smaller distances become this, and tie; -infinity: none do.
    sign : int, default=None
        1 or -1, that of most scales; None: it is looked for.

    Notes
    -----
    All in float64, and in one order, that of ``exact_distances._product_plain``; then
    ``scale`` is multiplied and added to ``offset``.
    """
    bits = codes.dtype.itemsize
    rows = _as_bytes(codes)
    pair = np.array([1.0, 1.0] if levels is None else levels, np.float64)
    padded = _fill_up(values, 8 * codes.shape[1])
    sign = most_common_sign(scale) if sign is None else sign
    entries = _line_entries(sign, float(pair[0]), float(pair[1]), bits)
    order = _line_order(padded.shape[1], bits)
    rounded = empty_tables(len(padded), len(order))
    tables_of_values(padded, entries, order, rounded)
    terms = np.empty((len(padded), codes.shape[1], 8 * bits))
    fill_terms(padded, pair, terms)
    compared = Queries(terms, least, _NO_CODES, _NO_COSTS, values.shape[1])
    return _bounded(rows, bits, rounded, (offset, scale, sign), compared)


def from_vectors_by_nibble(
    codes: np.ndarray,
    values: np.ndarray,
    nibbles: NibbleValues,
    offset: np.ndarray,
    scale: np.ndarray,
    least: np.ndarray,
    sign: int | None = None,
) -> ListScan:
    """Distances of float queries to codes of mixed depth, as ``from_vectors``.

    Parameters
    ----------
    codes : uint8 array of shape (n_rows, width)
    values : float32 array of shape (n_queries, n_values)
        Finite.
    nibbles : NibbleValues
    offset, scale, least, sign : as for ``from_vectors``

    Notes
    -----
    What a nibble adds is a float32 number; the sum of these is in float64, and in the
    order of ``exact_distances._product_of_nibbles``.
    """
    n_lines = len(nibbles.coordinates)
    exact = np.empty((len(values), n_lines, 16), np.float32)
    fill_tables(
        read_only(values),
        read_only(nibbles.coordinates),
        read_only(nibbles.values),
        exact,
    )
    sign = most_common_sign(scale) if sign is None else sign
    rows, bits = _as_bytes(codes), nibbles.bits
    rounded = empty_tables(len(values), int(count_lines(rows.shape[1], bits)))
    if bits == NIBBLES:
        tables_of_nibbles(exact, sign, rounded)
    else:
        tables_of_cut_bytes(exact, sign, rounded)
    compared = Queries(_NO_TERMS, least, _NO_CODES, _NO_COSTS, values.shape[1], exact)
    return _bounded(rows, bits, rounded, (offset, scale, sign), compared)


def _bounded(
    rows: np.ndarray,
    bits: int,
    rounded: RoundedTables,
    scales: tuple[np.ndarray, np.ndarray, int],
    queries: Queries,
) -> BoundedScan:
    """Return the scan of rounded tables; ``scales``: offset, scale and its sign."""
    offset, scale, sign = scales
    return BoundedScan(
        rows,
        bits,
        rounded.tables.reshape(-1, ENTRIES),
        Bounds(
            rounded.bounds, rounded.shifts, read_only(offset), read_only(scale), sign
        ),
        queries,
    )


def _fill_up(values: np.ndarray, width: int) -> np.ndarray:
    """Append zeros to float32 rows up to a width."""
    if values.shape[1] == width:
        return read_only(values)
    filled = np.zeros((len(values), width), np.float32)
    filled[:, : values.shape[1]] = values
    return read_only(filled)


def most_common_sign(scale: np.ndarray) -> int:
    """Return the sign of most scales; the other rows are evaluated one by one."""
    return -1 if np.sum(scale[:_SIGN_ROWS], dtype=np.float64) < 0 else 1


# Bytes, lines and tables.


def lines_of_lists(codes: np.ndarray, listed: ListedRows, bits: int) -> ListedRows:
    """Turn codes that are stored list after list into the lines that scans take.

    Parameters
    ----------
    codes : array of shape (n_rows, n_columns)
        Packed codes.
    listed : ListedRows
        In place.
    bits : int
        Of a coordinate; of mixed depths as :func:`bits_of_nibbles` gives it.

    Returns
    -------
    listed : ListedRows
        With lines.
    """
    rows = _as_bytes(codes)
    sizes = -(-np.diff(listed.starts) // BLOCK)
    blocks = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    width = tile_width(count_lines(rows.shape[1], bits))
    lines = aligned_empty((int(blocks[-1]), width, BLOCK))
    lines[...] = 0
    fill_lines(rows, bits, listed.starts, blocks, lines)
    return listed._replace(lines=lines, blocks=read_only(blocks))


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
_NO_TERMS = np.empty((0, 0, 0))
_NO_LEAST = np.empty(0)
_NO_CODES = read_only(np.empty((0, 0), np.uint8))
_NO_COSTS = np.empty(0)


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


def _rounded_costs(
    costs: tuple[float, ...], bits: int, numbers: np.ndarray
) -> RoundedTables:
    """Return the rounded tables of codes.

    ``numbers`` are those of the queries in their lines.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold, nothing is said of
        by_line = _line_costs(costs, bits).astype(np.float32)
    rounded = empty_tables(*numbers.shape)
    step = max(1, _FLOAT_TABLE_BYTES // (4 * ENTRIES * numbers.shape[1]))
    for start in range(0, len(numbers), step):
        raw = by_line[numbers[start : start + step]]
        part = RoundedTables(*(array[start : start + step] for array in rounded))
        round_tables(raw, ROUNDED_GROUP, REACH, part)
    return rounded


@lru_cache
def _line_entries(sign: int, low: float, high: float, bits: int) -> np.ndarray:
    """Return what a line's numbers count its coordinates, float32.

    The shape is (coordinates, ENTRIES); all are multiplied by ``sign``.
    """
    signs, strong = _line_bits(bits)
    values = np.where(signs, sign, -sign) * np.array([low, high])[strong]
    return read_only(np.ascontiguousarray(values.T, np.float32))


@lru_cache
def _line_order(d: int, bits: int) -> np.ndarray:
    """Return the coordinates of each line, (n_lines, coordinates of a line).

    Beyond d, which is a multiple of 8, stands -1.
    """
    cycle = 8 * CYCLE_BYTES
    numbers = np.full(-(-d // cycle) * cycle, -1)
    numbers[:d] = np.arange(d)
    order = numbers.reshape(-1, cycle)[:, np.array(LINES[bits])]
    return read_only(order.reshape(-1, len(LINES[bits][0])))


def _numbers(codes: np.ndarray, bits: int) -> np.ndarray:
    """Return the numbers of codes in their lines, (n, n_lines), uint8."""
    order = _line_order(codes.shape[1] // bits * 8, bits)
    out = np.empty((len(codes), len(order)), np.uint8)
    number_lines(codes, bits, order, out)
    return out


@lru_cache
def _exact_tables(costs: tuple[float, ...], bits: int) -> np.ndarray:
    """Return :func:`_line_costs` as a kernel takes them."""
    return aligned_copy(_line_costs(costs, bits))


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
