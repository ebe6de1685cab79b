"""Steps of kernels on their own, in plain Python (NUMBA_DISABLE_JIT=1).

What a step gives may only make a search slower where it is wrong, since later steps
look again; so each is held against its definition. Compiled, steps are parts of the
kernels that other tests call.
"""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbq._kernels import (
    bitplanes,
    dispatch,
    list_ranking,
    popcount,
    rounded_tables,
    table_lookup,
)
from skbq._kernels import inverted_lists as lists
from skbq._kernels.exact_distances import Bounds, Queries, row_distances
from skbq._kernels.memory import read_only
from skbq._kernels.result_heap import Allowed, Found
from skbq._kernels.simd import BLOCK
from skbq._kernels.tiles import ENTRIES, load_tile

pytestmark = [
    pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="in plain Python"),
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),
]
ALL = np.uint64(2**64 - 1)


def room(n_queries, k, keep_all=False):
    """Return room for k rows of each query, as scans take it."""
    return Found(
        np.full(n_queries * k, np.inf),
        np.full(n_queries * k, -1),
        np.arange(n_queries + 1) * k,
        np.full(n_queries, np.inf),
        np.zeros(n_queries, np.int64),
        keep_all,
    )


def every(n_queries):
    return Allowed(np.full(n_queries, -1), np.empty(0, np.uint8))


# Counting in planes.


def test_logic_of_planes(rng):
    x, y, z = (np.array([word]) for word in rng.integers(2**63, size=3, dtype="u8"))
    bits = [np.unpackbits(word.view(np.uint8)) for word in (x, y, z)]
    total = np.sum(bits, axis=0)
    parity, most = bitplanes.parity(x, y, z), bitplanes.majority(x, y, z)
    assert_array_equal(np.unpackbits(parity.view(np.uint8)), total % 2)
    assert_array_equal(np.unpackbits(most.view(np.uint8)), total > 1)
    both = bitplanes.and_(x, y), bitplanes.xor(x, y), bitplanes.not_(x)
    for word, expected in zip(
        both, (bits[0] & bits[1], bits[0] ^ bits[1], 1 - bits[0]), strict=True
    ):
        assert_array_equal(np.unpackbits(word.view(np.uint8)), expected)
    kept = bitplanes.keep_below(x, y, z)
    below = (bits[1] < bits[2]) | ((bits[1] == bits[2]) & (bits[0] == 1))
    assert_array_equal(np.unpackbits(kept.view(np.uint8)), below)
    assert bitplanes.all_rows_if(6) == 0
    assert bitplanes.all_rows_if(7) == ALL
    assert bitplanes.any_rows(np.uint64(1))
    assert not bitplanes.any_rows(np.uint64(0))


def in_planes(numbers, n_bits):
    """Return the bits of 64 numbers as words, from the lowest bit."""
    digits = np.asarray(numbers)[:, np.newaxis] >> np.arange(n_bits) & 1
    places = np.uint64(1) << np.arange(64, dtype=np.uint64)
    return (digits.astype(np.uint64) * places[:, np.newaxis]).sum(axis=0)


def from_planes(words):
    return [
        sum((int(word) >> row & 1) << bit for bit, word in enumerate(words))
        for row in range(64)
    ]


@pytest.mark.parametrize("n", [32, 480, 512, 992])
def test_sums_of_picked_planes(rng, n):
    table = ~(
        rng.integers(2**63, size=8 * n, dtype="u8")
        & rng.integers(2**63, size=8 * n, dtype="u8")
    )
    patterns = rng.integers(8, size=(1, n)).astype(np.uint16)
    picked = table[8 * np.arange(n) + patterns[0]]
    sums = np.full(12, ALL)
    popcount._add_segments(table, patterns, 0, sums, 12)
    expected = [sum(int(word) >> row & 1 for word in picked) for row in range(64)]
    assert from_planes(sums[1:]) == expected
    table[:] = ALL  # no sum is larger
    popcount._add_segments(table, patterns, 0, sums, 12)
    assert from_planes(sums[1:]) == [n] * 64


@pytest.mark.parametrize("limit", [0, 1, 2, 300, 1023])
def test_rows_below_a_limit_are_marked(rng, limit):
    counts, marks = rng.integers(1024, size=64), np.zeros(1, np.uint64)
    counts[:3] = [0, 1, limit]
    found = popcount._mark_below(in_planes(counts, 10), 10, limit, marks)
    below = counts < limit
    assert from_planes(marks) == below.tolist()
    assert found == below.any()


@pytest.mark.parametrize("k", [1, 2, 5, 64])
def test_limit_of_the_nearest(rng, k):
    counts = rng.integers(1023, size=64)
    for some in (counts, counts // 200, counts * 0 + 1022):
        planes = in_planes(some, 10)
        limit = popcount._limit_of_nearest(planes, 10, k, np.zeros(1, np.uint64))
        assert limit == np.sort(some)[k - 1] + 1


def test_limit_of_counts():
    limits = [np.inf, 7.0, 6.0, 0.0, -3.0]
    counts = [popcount._count_limit(limit, 2, 16) for limit in limits]
    assert counts == [17, 4, 3, 0, 0]


@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 19])
def test_differing_bits_of_a_row(rng, width):
    rows = rng.integers(256, size=(3, width)).astype(np.uint8)
    queries = rng.integers(256, size=(2, width)).astype(np.uint8)
    expected = np.unpackbits(rows[2] ^ queries[1]).sum()
    assert popcount._count_row(rows, 2, queries, 1) == expected


@pytest.mark.parametrize("count", [1, 40, 64])
def test_marked_rows_are_taken(rng, count):
    rows = rng.integers(256, size=(70, 2)).astype(np.uint8)
    marked = rng.integers(2, size=64).astype(bool)
    marked[[0, count - 1]] = True
    found = room(1, 64, keep_all=True)
    found.limits[0] = 3 * 9
    marks = in_planes(marked, 1)
    popcount._take_marked(marks, 5, count, rows, rows[:1], 3, 0, every(1), found)
    counts = np.unpackbits(rows[5:69] ^ rows[0], axis=1).sum(axis=1)
    expected = np.flatnonzero(marked & (counts < 9) & (np.arange(64) < count))
    assert_array_equal(found.rows[: found.counts[0]], 5 + expected)
    assert_array_equal(found.distances[: found.counts[0]], 3 * counts[expected])


# What distances between codes are counted by.


def test_limits_of_whole_units():
    units = dispatch.WholeUnits(0.5, -3, 10)
    for radius in (-1.0, 0.0, 0.4, 0.5, 2.6, 5.0, 7.0, np.inf):
        farther = [n for n in range(11) if n * 0.5 > radius]
        assert units.limit(radius) == min([*farther, 11]) - 3


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 5, 40, 63, 127])
def test_exact_sums_of_a_group_fit_a_byte(largest):
    tables = np.full((1, 16), largest, np.uint8)
    group = dispatch.TableScan(None, 1, tables, None, None)._group
    assert group % 2 == 0
    assert group * largest <= 255
    assert (group + 2) * max(1, largest) > 255


@pytest.mark.parametrize(
    ("bits", "costs", "expected"),
    [
        (1, (1, 0, 0, 4, 0, 0), 3),
        (1, (4, 0, 0, 1, 0, 0), -3),
        (2, (0, 1, 0, 1, 2, 1), 1),
        (2, (1, 3, 1, 3, 5, 3), 2),
        (2, (0, 1, 0, 1, 2, 2), 0),
        (2, (0, 2, 0, 1, 2, 1), 0),
    ],
)
def test_cost_of_a_differing_bit(bits, costs, expected):
    assert dispatch._cost_of_differing_bit(costs, bits) == expected


def test_costs_of_one_bit_are_a_part_of_those_of_two():
    assert dispatch._six_costs((1, 3), 1) == (1, 0, 0, 3, 0, 0)
    assert dispatch._six_costs((1, 2, 3, 4, 5, 6), 2) == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("costs", "kind"),
    [
        ((0, 1), dispatch.PopcountScan),
        ((1, 1), dispatch.TableScan),
        ((2, 1), dispatch.TableScan),
        ((0.1, 0.7), dispatch.BoundedScan),  # no unit divides both
    ],
)
def test_which_scan_is_chosen(costs, kind):
    codes = np.zeros((2, 1), np.uint8)
    assert isinstance(dispatch.between_codes(codes, codes, costs, 8), kind)


def test_bits_that_agree_cost_too(rng):
    codes = rng.integers(256, size=(9, 1)).astype(np.uint8) & 0b11111000
    scan = dispatch.between_codes(codes, codes[:2], (1.0, 3.0), 5)
    assert isinstance(scan, dispatch.PopcountScan)
    found = room(2, 9, keep_all=True)
    scan.run(slice(0, 9), every(2), found)
    differ = np.unpackbits(codes[:2, np.newaxis] ^ codes, axis=2).sum(axis=2)
    reported = found.distances.reshape(2, 9)
    assert_array_equal(scan.units.distances(reported), 5 + 2 * differ)


def test_coordinates_of_lines():
    for bits in (1, 2):
        order = dispatch._line_order(16, bits)
        assert order.shape == (bits * 4, 4 // bits)
        assert sorted(order.ravel()) == list(range(16))


# Rounding.


def test_measures_of_a_table(rng):
    raw = rng.normal(size=(3, ENTRIES)).astype(np.float32)
    for p in range(3):
        low, most, total, squares = rounded_tables._measure_plain(raw, p)
        assert (low, most) == (raw[p].min(), raw[p].max())
        assert_allclose(total, raw[p].sum(), rtol=1e-5)
        assert_allclose(squares, (raw[p] ** 2).sum(), rtol=1e-5)


def test_how_far_sums_of_groups_reach(rng):
    raw = rng.normal(size=(10, ENTRIES)).astype(np.float32)
    raw[8:] = 3.0  # of no variance
    lows, wanted = np.empty(10, np.float32), np.empty(3)
    largest = rounded_tables._measure_lines(raw, 4, 1.5, lows, wanted)
    assert_array_equal(lows, raw.min(axis=1))
    assert_allclose(largest, np.abs(raw).max(axis=1).sum(), rtol=1e-6)
    exact = raw.astype(np.float64)
    for g, some in enumerate((exact[:4], exact[4:8], exact[8:])):
        above = some - some.min(axis=1, keepdims=True)
        reach = above.mean(axis=1).sum() + 1.5 * np.sqrt(above.var(axis=1).sum())
        reach = min(reach, above.max(axis=1).sum())
        assert_allclose(wanted[g], reach, rtol=1e-5, atol=1e-5)
    raw[:4] = 0
    raw[:4, 0] = 9  # at most as far as the largest
    rounded_tables._measure_lines(raw, 4, 9.0, lows, wanted)
    assert wanted[0] == 36


def test_a_table_is_rounded_to_the_nearest_step():
    raw = np.zeros((2, ENTRIES), np.float32)
    raw[1] = np.linspace(-1, 14, ENTRIES)
    raw[1, 5] = 1e4  # stops at 127
    tables, low, step = np.zeros((3, 2, ENTRIES), np.uint8), np.float32(-1), 0.7
    step, inverse = np.float32(step), np.float32(1 / step)
    added = rounded_tables._round_plain(raw, 1, low, step, inverse, tables, 2)
    expected = np.minimum(np.rint((raw[1] + 1) / 0.7), 127)
    assert_array_equal(tables[2, 1], expected)
    assert not tables[:2].any()
    assert_allclose(added, (0.7 * expected - (raw[1] + 1)).max(), rtol=1e-5)


def test_bounds_leave_room_for_rounding(rng):
    """No more than is needed: bounds that are too low would cost time alone."""
    raw = rng.normal(size=(1, 9, ENTRIES)).astype(np.float32)
    rounded = rounded_tables.empty_tables(1, 9, 4)
    rounded_tables.round_tables(raw, 4, 1.0, rounded)
    step, base = rounded.bounds[0].astype(np.float64)
    lows = raw[0].min(axis=1).astype(np.float64)
    entries = rounded.tables[0].astype(np.float64)
    steps = step * 2.0 ** np.repeat(rounded.shifts[0], 4)[:9, np.newaxis]
    added = (steps * entries - (raw[0] - lows[:, np.newaxis])).max(axis=1)
    room = np.abs(raw).max(axis=2).sum() * 2.0**-18
    assert_allclose(base, (lows - np.maximum(added, 0)).sum() - room, rtol=1e-6)


# Sums of tables.


@pytest.mark.parametrize("n_lines", [2, 8, 14])
@pytest.mark.parametrize("own", [False, True])
def test_sums_of_tables(rng, n_lines, own):
    """Of one to four queries, in groups that stop at 255 and count up to four times."""
    codes = rng.integers(256, size=(2, n_lines // 2, BLOCK)).astype(np.uint8)
    numbers = np.stack([codes >> 4, codes & 15], axis=2).reshape(2, n_lines, BLOCK)
    which, shifts = rng.integers(9, size=(6, n_lines)).astype(np.uint8), None
    if own:  # each line has tables of its own
        which = np.arange(6 * n_lines).reshape(6, n_lines)
        shifts = rng.integers(3, size=(6, -(-n_lines // 4))).astype(np.uint8)
    tables = rng.integers(128, size=(which.max() + 1, ENTRIES)).astype(np.uint8)
    queries, sums = np.array([4, 0, 5, 2, 1]), np.empty((4, 2 * BLOCK), np.int32)
    for first, stop in ((0, 1), (1, 5)):
        sums[:] = 7
        given = (codes, tables, None if own else which, shifts, queries, first, stop)
        table_lookup.sum_some(*given, 4, sums)
        for i, q in enumerate(queries[first:stop]):
            expected = np.zeros((2, BLOCK), int)
            for g in range(0, n_lines, 4):
                some = range(g, min(g + 4, n_lines))
                of_group = sum(
                    tables[which[q, p], numbers[:, p]].astype(int) for p in some
                )
                times = 1 if shifts is None else 2 ** int(shifts[q, g // 4])
                expected += times * np.minimum(of_group, 255)
            assert_array_equal(sums[i], expected.ravel())


def test_rows_of_a_block_below_a_limit(rng):
    sums = rng.integers(9, size=(3, 3 * BLOCK)).astype(np.int32)
    for limit in (0, 4, 9):
        mask = table_lookup.mask_below(sums, 1, BLOCK, np.int32(limit))
        assert from_planes([mask]) == (sums[1, BLOCK : 2 * BLOCK] < limit).tolist()
    offset, size = rng.normal(size=(2, 3 * BLOCK)).astype(np.float32)
    offset[BLOCK + 3] = np.nan  # is looked at
    low = offset + size * (np.float32(0.5) * sums[2].astype(np.float32) - 1)
    given, bound = (sums, 2, BLOCK, offset, size), (np.float32(0.5), np.float32(-1))
    for limit in (-1.0, low[BLOCK], 1.0):
        mask = table_lookup.mask_near(*given, bound, np.float32(limit))
        near = ~(low[BLOCK : 2 * BLOCK] > limit)
        assert from_planes([mask]) == near.tolist()


def test_first_rows_of_a_block():
    for count in (0, 1, 5, 63):
        assert table_lookup.inside(ALL, count) == 2**count - 1
    assert table_lookup.inside(ALL, 64) == table_lookup.inside(ALL, 70) == ALL
    assert table_lookup.inside(np.uint64(0b1010), 2) == 0b10


def test_limits_of_whole_sums():
    limits = [-np.inf, -3.0, 0.0, 0.5, 7.0, 2.0**40, np.inf]
    found = [table_lookup.whole_limit(limit) for limit in limits]
    assert found == [0, 0, 0, 1, 7, 2**31 - 1, 2**31 - 1]


@pytest.mark.parametrize("n_lines", [2, 6, 400, 10**6])
def test_sizes_of_tiles(n_lines):
    """Whole blocks, one at least, of no more rows than there are and the cache has."""
    for n_rows in (1, BLOCK, BLOCK + 1, 1000, 10**6):
        step = table_lookup.count_tile_rows(n_rows, n_lines)
        needed = -(-n_rows // BLOCK) * BLOCK
        assert step % BLOCK == 0
        assert BLOCK <= step <= min(needed, 4096)
        fits = step * n_lines // 2 <= table_lookup._TILE_BYTES
        assert fits or step == BLOCK
        more = (step + BLOCK) * n_lines // 2 > table_lookup._TILE_BYTES
        assert more or step in (needed, 4096)
    tile = table_lookup.make_tile(2 * BLOCK, 6)
    assert tile.shape == (2, 3, BLOCK)
    assert tile.ctypes.data % 64 == 0
    assert not tile.any()


# Bounded scans.


@pytest.mark.parametrize("sign", [1, -1])
def test_scales_of_rows(rng, sign):
    offset, scale = rng.normal(size=(2, 9)).astype(np.float32)
    scale[3:6] = np.abs(scale[3:6]) * -sign
    scale[4] = 0
    bounds = Bounds(None, None, offset, scale, sign)
    loaded, size = np.full((2, 6), 9, np.float32)
    room_needed = table_lookup.load_scales(bounds, 2, 5, loaded, size)
    along = scale[2:7] * sign
    assert_array_equal(loaded[:5], np.where(along >= 0, offset[2:7], -np.inf))
    assert_array_equal(size[:5], np.maximum(along, 0))
    assert room_needed == np.float64(np.abs(offset[2:7]).max()) * 2.0**-21
    assert loaded[5] == size[5] == 9
    empty = Bounds(None, None, offset[:0], scale[:0], sign)
    assert table_lookup.load_scales(empty, 2, 5, loaded, size) == 0.0
    assert_array_equal([*loaded[:5], *size[:5]], [0] * 5 + [1] * 5)
    assert loaded[5] == size[5] == 9


@pytest.mark.parametrize("mask", [False, True])
def test_first_limit_is_just_above_the_rows_of_least_bounds(rng, mask):
    d, n, k = 16, 2 * BLOCK + 9, 4
    codes = read_only(rng.integers(256, size=(n, 2)).astype(np.uint8))
    terms = rng.normal(size=(1, 2, 8))
    offset, scale = rng.normal(size=n).astype(np.float32), -np.ones(n, np.float32)
    bounds = Bounds(None, None, offset, scale, -1)
    queries = Queries(terms, np.array([-np.inf]), None, None, d)
    sums = rng.permutation(3 * BLOCK).astype(np.int32)[np.newaxis]
    offset, size = np.zeros((2, 3 * BLOCK), np.float32)
    offset[:n], size[:n] = rng.normal(size=(2, n)) ** 2
    allowed = Allowed(np.array([7]), rng.integers(2, size=n).astype(np.uint8))
    if not mask:
        allowed = allowed._replace(mask=np.empty(0, np.uint8))
    bound = (np.float32(0.01), np.float32(-0.3))
    given = (codes, 1, bounds, queries, allowed)
    found = table_lookup._first_limit(sums, 0, n, offset, size, bound, k, 0, *given)
    lows = (offset + size * (bound[0] * sums[0].astype(np.float32) + bound[1]))[:n]
    lows[7] = np.inf
    if mask:
        lows[allowed.mask == 0] = np.inf
    nearest, exact = np.argsort(lows)[:k], np.empty(k)
    row_distances(codes, nearest, k, 1, 0, bounds, queries, exact)
    assert found == np.nextafter(exact.max(), np.inf)
    few = n if mask else n - 1  # one is left out
    given = (codes, 1, bounds, queries, allowed)
    found = table_lookup._first_limit(sums, 0, n, offset, size, bound, few, 0, *given)
    assert (found == np.inf) == mask


@pytest.mark.parametrize("limit", [-2.5, 0.0, 3.25])
def test_limits_have_room_for_rounding(limit):
    padded = table_lookup.padded_limit(limit, 0.5)
    assert padded == np.float32(limit + abs(limit) * 2.0**-22 + 0.5)


@pytest.mark.parametrize("k", [1, 4, 5])
@pytest.mark.parametrize("n_counting", [0, 1, 4, 5, 80])
def test_rows_of_the_least_bounds(rng, k, n_counting):
    """Of blocks that are not full, and of those that count."""
    counts, bases = np.array([BLOCK, 20, 1]), np.array([100, 7, 60])
    sums = rng.permutation(3 * BLOCK).astype(np.int32)[np.newaxis]
    offset, size = (rng.normal(size=(2, 3 * BLOCK)) ** 2).astype(np.float32)
    bound = (np.float32(0.01), np.float32(-0.3))
    places = [b * BLOCK + r for b in range(3) for r in range(counts[b])]
    rows = rng.permutation(200).astype(np.uint32)
    row_of = {p: rows[bases[p // BLOCK] + p % BLOCK] for p in places}
    counting = rng.permutation(places)[:n_counting]
    mask = np.zeros(200, np.uint8)
    mask[[row_of[p] for p in counting]] = 1
    left_out = -1
    if n_counting > k:
        left_out, counting = int(row_of[counting[0]]), counting[1:]
    listed = lists.ListedRows(None, rows, True, None, None)
    lows, best = np.empty(k), np.empty(k, np.int64)
    given = (sums, offset, size, bound, bases, counts, 3, listed, 1)
    allowed = Allowed(np.array([-1, left_out]), mask)
    n = lists._least_bounds(*given, allowed, lows, best)
    assert n == min(k, len(counting))
    low = offset + size * (bound[0] * sums[0].astype(np.float32) + bound[1])
    nearest = sorted(counting, key=lambda p: low[p])[:k]
    assert sorted(p for p in best if p >= 0) == sorted(nearest)


def test_a_single_row_that_does_not_count_has_no_bound():
    sums, size = np.zeros((1, BLOCK), np.int32), np.ones(BLOCK, np.float32)
    listed = lists.ListedRows(None, np.zeros(1, np.uint32), True, None, None)
    bound, first = (np.float32(1), np.float32(0)), np.zeros(1, np.int64)
    given = (sums, size, size, bound, first, first + 1, 1, listed, 0)
    for mask in ([], [0], [1]):
        allowed = Allowed(np.array([-1]), np.array(mask, np.uint8))
        n = lists._least_bounds(*given, allowed, np.empty(1), np.empty(1, np.int64))
        assert n == (mask != [0])


@pytest.mark.parametrize("in_lists", [False, True])
@pytest.mark.parametrize("n_queries", [1, 6])
def test_few_rows_are_evaluated(rng, monkeypatch, in_lists, n_queries):
    """Those that the bounds of rounded tables let through."""
    n, d, evaluated = 600, 40, []
    part = lists if in_lists else table_lookup
    take_near = part._take_near

    def counted(rows, n, *given):
        evaluated.append(n)
        take_near(rows, n, *given)

    monkeypatch.setattr(part, "_take_near", counted)
    codes = read_only(rng.integers(256, size=(n, d // 8)).astype(np.uint8))
    values = rng.normal(size=(n_queries, d)).astype(np.float32)
    offset, scale = np.zeros(n, np.float32), -np.ones(n, np.float32)
    least = np.full(n_queries, -np.inf)
    scan = dispatch.from_vectors(codes, values, None, offset, scale, least)
    found = room(n_queries, 3)
    if in_lists:
        starts = np.arange(0, n + 1, 50)
        given = (read_only(starts), read_only(np.arange(n, dtype=np.uint32)), True)
        nothing = np.empty((0, 0, 0), np.uint8), read_only(np.empty(0, np.int64))
        order = np.tile(np.arange(12, dtype=np.int32), (n_queries, 1))
        probed = lists.Probed(
            order, np.zeros(n_queries, np.int64), np.full(n_queries, 12)
        )
        scan.run_lists(
            lists.ListedRows(*given, *nothing), probed, every(n_queries), found
        )
    else:
        scan.run(slice(0, n), every(n_queries), found)
    assert 3 * n_queries <= sum(evaluated) < n * n_queries / 20


# Lists.


def test_longest_list():
    assert lists._longest(np.array([0, 3, 3, 10, 12])) == 7
    assert lists._longest(np.array([0, 0])) == 1


@pytest.mark.parametrize("n", [1, 3, 20, 50])
def test_nearest_lists(rng, n):
    """So many at least, not needlessly more, in order of (distance, number)."""
    distances = rng.integers(-9, 10**6, 50)
    distances[7] = distances[30]
    keys = list_ranking._nearest_lists(distances, n, 6, np.empty(50, np.int64))
    order = np.argsort(distances, kind="stable")
    assert n <= len(keys) <= 2 * n
    assert_array_equal(keys & 63, order[: len(keys)])
    assert_array_equal(keys >> 6, distances[order[: len(keys)]])
    for limit in (-10, distances[7], 10**6):
        found = list_ranking._count_up_to(distances, limit)
        assert found == (distances <= limit).sum()
    equal = list_ranking._nearest_lists(np.full(50, 4), n, 6, np.empty(50, np.int64))
    assert_array_equal(equal & 63, range(50))


def test_queries_of_each_list(rng):
    probed = np.array([rng.permutation(6)[:4] for _ in range(5)], np.int32)
    first, stop = np.array([0, 1, 0, 2, 4]), np.array([4, 3, 1, 2, 4])
    numbers, starts, queries = lists._pair_by_list(
        lists.Probed(probed, first, stop), first, 6
    )
    pairs = sorted(
        (int(number), q) for q in range(5) for number in probed[q, first[q] : stop[q]]
    )
    assert numbers.tolist() == sorted({number for number, _ in pairs})
    assert len(starts) == len(numbers) + 1
    assert [
        (number, query)
        for number, start, end in zip(numbers, starts[:-1], starts[1:], strict=True)
        for query in queries[start:end]
    ] == pairs
    one = lists.Probed(probed[:1], first[:1] + 1, stop[:1])
    numbers, starts, queries = lists._pair_by_list(one, one.first, 6)
    assert_array_equal(numbers, probed[0, 1:])
    assert_array_equal(starts, range(4))
    assert_array_equal(queries, [0] * 3)


@pytest.mark.parametrize(
    ("in_place", "stored"), [(True, True), (True, False), (False, False)]
)
@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_lines_of_a_part_of_a_list(rng, in_place, stored, count):
    """Lines that are kept are those that are made at a scan."""
    width, n = 3, 5 * BLOCK
    codes = read_only(rng.integers(256, size=(n, width)).astype(np.uint8))
    rows = np.arange(n) if in_place else rng.permutation(n)
    starts = np.array([0, 7, 7 + BLOCK + count, n])
    blocks = np.concatenate([[0], np.cumsum(-(-np.diff(starts) // BLOCK))])
    kept = np.zeros((blocks[-1] if stored else 0, width, BLOCK), np.uint8)
    if stored:
        lists.fill_lines(codes, 1, starts, blocks, kept)
    listed = lists.ListedRows(starts, rows.astype(np.uint32), in_place, kept, blocks)
    first, step = 7 + BLOCK, 2 * BLOCK  # the second block of list 1
    tile, gathered = lists._make_room(codes, listed, 2 * width, step)
    assert len(tile) == (0 if stored else 2)
    assert len(gathered) == (0 if in_place else step)
    given = (listed, 1, first, count, 1, gathered, tile)
    found = lists._lines_of(codes, *given)
    expected = np.zeros((-(-count // BLOCK), width, BLOCK), np.uint8)
    load_tile(read_only(codes[rows]), first, count, 1, expected)
    assert found.shape == expected.shape
    by_row = [
        x.transpose(0, 2, 1).reshape(-1, width)[:count] for x in (found, expected)
    ]
    assert_array_equal(*by_row)
