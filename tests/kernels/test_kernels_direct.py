"""Kernels, called as they are, against plain numpy, at the edges of their loops.

Quick in plain Python as well (NUMBA_DISABLE_JIT=1), where mutants of kernels are tried.
"""

from itertools import pairwise

import naive
import numba
import numpy as np
import pytest
from helpers import check_same
from numpy.testing import assert_allclose, assert_array_equal
from test_kernels_mixed import LEVELS

from skbq._kernels.dispatch import _common_unit
from skbq._kernels.hadamard import mix_rows
from skbq._kernels.list_ranking import (
    ListQueries,
    assign_rows,
    fill_whole_values,
    nearest_centroid,
    rank_lists,
    round_queries,
    sum_values,
)
from skbq._kernels.memory import read_only
from skbq._kernels.mixed_depths import (
    Depths,
    center_rows,
    count_found,
    encode_rows,
    square_norms,
)
from skbq._kernels.popcount import PLANE_ROWS, scan_planes, scan_words
from skbq._kernels.projection import as_panels, project
from skbq._kernels.query_tables import tables_of_nibbles
from skbq._kernels.rounded_tables import (
    REACH,
    ROUNDED_GROUP,
    empty_tables,
    round_tables,
)
from skbq._kernels.tiles import ENTRIES
from skbq._kernels.vector_ops import (
    METRIC_NUMBERS,
    add_to_cells,
    as_stored,
    center_floats,
    correct_rows,
    keep_nearest,
    largest_change,
    pair_distances,
    rerank_candidates,
    scale_to_unit,
)
from skbq._neighbors.brute_force import (
    EVERY_ROW,
    CodeComparison,
    EstimateComparison,
    empty_heaps,
    nearest,
    nothing_found,
    within,
)
from skbq._neighbors.inverted_lists import NEAR_PARENTS, make_tree
from skbq.codes import MixedDepths, code_bytes, pack_codes

# Below, at and above four, eight and sixteen, which loops take at once.
WIDTHS = [1, 3, 4, 5, 15, 16, 17, 39]
DTYPES = [np.float32, np.float64]

COMPILED = pytest.mark.skipif(
    numba.config.DISABLE_JIT,
    reason="compiled code alone reads eight bytes as one",
)

# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


# Vectors.


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRIC_NUMBERS)
def test_distances_of_pairs(rng, d, dtype, metric):
    rows = rng.standard_normal((6, d)).astype(dtype)
    queries = rng.standard_normal((2, d))
    queries[1] = rows[2]
    which = np.array([[3, 0, -1, 5], [2, -1, 1, 4]])
    found = np.empty(which.shape)
    number = METRIC_NUMBERS[metric]
    pair_distances(rows, read_only(queries), read_only(which), number, found)
    for q, i in np.ndindex(which.shape):
        if which[q, i] < 0:
            assert found[q, i] == np.inf
            continue
        expected = naive.exact_distance(rows[which[q, i]], queries[q], metric)
        assert found[q, i] == pytest.approx(expected, rel=1e-12, abs=1e-15)
    if metric != "inner_product":
        assert found[1, 0] == 0


@pytest.mark.parametrize("size", [1e-170, 1e-40, 1e40, 1e170])
@pytest.mark.parametrize("which", ["both", "rows", "queries"])
def test_distances_of_pairs_of_any_size(rng, size, which):
    """Squares of which overflow or vanish; distances are as those of size 1."""
    rows, queries = rng.standard_normal((2, 3, 17))
    rows_size = 1.0 if which == "queries" else size
    queries_size = 1.0 if which == "rows" else size
    pairs = read_only(np.arange(3)[:, np.newaxis])
    for metric, number in METRIC_NUMBERS.items():
        found = np.empty((3, 1))
        given = read_only(queries * queries_size)
        with np.errstate(all="ignore"):  # compiled, it says nothing
            pair_distances(rows * rows_size, given, pairs, number, found)
        if metric == "cosine":
            expected = naive.exact_distances(rows, queries, metric).diagonal()
        elif metric == "inner_product":
            expected = naive.exact_distances(rows, queries, metric).diagonal()
            expected = expected * rows_size * queries_size
        else:
            most = max(rows_size, queries_size)
            gaps = rows * (rows_size / most) - queries * (queries_size / most)
            expected = np.linalg.norm(gaps, axis=1) * most
        if which == "both" and metric == "inner_product" and not 1e-100 < size < 1e100:
            continue  # infinite, or zero
        assert_allclose(found[:, 0], expected, rtol=1e-11)


def test_cosine_distance_of_nearly_equal_vectors(rng):
    """1 - cosine would have lost all digits."""
    rows, noise = rng.standard_normal((2, 4, 33))
    queries = 3 * (rows + 1e-9 * noise)
    found, pairs = np.empty((4, 1)), read_only(np.arange(4)[:, np.newaxis])
    pair_distances(rows, read_only(queries), pairs, METRIC_NUMBERS["cosine"], found)
    across = 1e-9 * noise
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    across -= rows * ((across * rows).sum(axis=1, keepdims=True) / lengths**2)
    expected = np.square(across / lengths).sum(axis=1) / 2
    assert_allclose(found[:, 0], expected, rtol=1e-4)


def test_distances_of_zeros(rng):
    rows, queries = np.zeros((2, 5)), np.stack([np.zeros(5), rng.standard_normal(5)])
    rows[1] = rng.standard_normal(5)
    which = read_only(np.array([[0, 1], [0, 1]]))
    length, other = np.linalg.norm(queries[1]), np.linalg.norm(rows[1])
    gap = np.linalg.norm(queries[1] - rows[1])
    cosine = 1 - queries[1] @ rows[1] / (length * other)
    for metric, expected in {
        "cosine": [[1, 1], [1, cosine]],
        "euclidean": [[0, other], [length, gap]],
        "inner_product": [[0, 0], [0, -queries[1] @ rows[1]]],
    }.items():
        found = np.empty((2, 2))
        pair_distances(rows, read_only(queries), which, METRIC_NUMBERS[metric], found)
        assert_allclose(found, expected, rtol=1e-12)


def test_vectors_that_kernels_read_where_they_lie():
    for dtype in DTYPES:
        rows = np.zeros((4, 3), dtype)
        stored = as_stored(rows)
        assert stored.dtype == dtype
        assert np.may_share_memory(stored, rows)
        assert not stored.flags.writeable
        assert as_stored(rows.T) is None
        assert as_stored(rows[:, :2]) is None
    half = as_stored(np.zeros((4, 3), np.float16))
    assert half is None or half.dtype == np.uint16
    for dtype in (np.int32, np.uint8, np.float128):
        assert as_stored(np.zeros((4, 3), dtype)) is None
    unaligned = np.zeros(4 * 3 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(4, 3)
    assert as_stored(unaligned) is None


@pytest.mark.parametrize("n_rows", [1, 6, 8])
@pytest.mark.parametrize("n_columns", [1, 16, 17, 40])
def test_projections(rng, n_rows, n_columns):
    """In whole numbers, of which sums are exact."""
    rows = rng.integers(-9, 10, (n_rows, 5)).astype(np.float32)
    matrix = rng.integers(-9, 10, (5, n_columns)).astype(np.float32)
    panels = as_panels(matrix)
    assert panels.shape == (-(-n_columns // 16), 5, 16)
    out = np.empty((n_rows, 16 * len(panels)), np.float32)
    project(read_only(rows), read_only(panels), out)
    assert_array_equal(out[:, :n_columns], rows @ matrix)
    assert_array_equal(out[:, n_columns:], 0)


def hadamard(n):
    """The matrix of n rows, unscaled."""
    return np.ones((1, 1)) if n == 1 else np.kron(hadamard(n // 2), [[1, 1], [1, -1]])


@pytest.mark.parametrize("n_rows", [1, 15, 16, 18])
@pytest.mark.parametrize("n_rounds", [0, 1, 3])
def test_mixed_rows(rng, n_rows, n_rounds):
    """In whole numbers, of which sums are exact; blocks of several sizes."""
    blocks = np.array([0, 8, 12, 14, 15])
    rows = rng.integers(-9, 10, (n_rows, 15)).astype(float)
    orders = np.array([rng.permutation(15) for _ in range(n_rounds + 1)])
    factors = rng.integers(-3, 4, (n_rounds + 1, 15)).astype(float)
    out, expected = np.empty((n_rows, 15)), factors[0] * rows[:, orders[0]]
    mix_rows(rows, orders, factors, blocks, out)
    for turn in range(1, n_rounds + 1):
        for start, stop in pairwise(blocks):
            expected[:, start:stop] = expected[:, start:stop] @ hadamard(stop - start)
        expected = factors[turn] * expected[:, orders[turn]]
    assert_array_equal(out, expected)


@pytest.mark.parametrize("n", [2, 4])
def test_change_of_products_alone(n):
    """Lengths stay; the angle between the last two rows does not."""
    rows = np.zeros((n, 2))
    rows[:, 0] = 1
    seen = rows.copy()
    seen[-1] = [0.6, 0.8]
    assert largest_change(read_only(rows), read_only(seen), False) == pytest.approx(0.4)
    gap = largest_change(read_only(rows), read_only(seen), True)
    assert gap == pytest.approx(1)  # equal rows came apart


def test_keep_nearest_of_given_distances(rng):
    distances = rng.integers(0, 4, (3, 9)).astype(float)
    rows = np.array([rng.permutation(40)[:9] for _ in range(3)])
    rows[1, 2:] = -1
    found, numbers = nothing_found(3, 4)
    heaps = empty_heaps(found, numbers)
    keep_nearest(read_only(distances), read_only(rows), heaps)
    for q in range(3):
        pairs = zip(distances[q], rows[q], strict=True)
        best = sorted((d, r) for d, r in pairs if r >= 0)[:4]
        best += [(np.inf, -1)] * (4 - len(best))
        assert list(zip(found[q], numbers[q], strict=True)) == best


@pytest.mark.parametrize("metric", METRIC_NUMBERS)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_reranked_candidates(rng, metric, n):
    """Those that come last are the nearest; equal distances go to the lower row."""
    rows = rng.standard_normal((12, 5))
    rows[4] = rows[9]
    queries = rng.standard_normal((3, 5))
    candidates = np.array([rng.permutation(12)[:n] for _ in range(3)])
    for q in range(3):
        exact = naive.exact_distances(rows, queries, metric)[q]
        candidates[q] = sorted(candidates[q], key=lambda r: (exact[r], r))[::-1]
    candidates[1, ::3] = -1
    for k in (1, 4):
        found, numbers = nothing_found(3, k)
        heaps = empty_heaps(found, numbers)
        given = (rows, read_only(queries), read_only(candidates))
        rerank_candidates(*given, METRIC_NUMBERS[metric], heaps)
        for q in range(3):
            expected = [r for r in candidates[q, ::-1] if r >= 0][:k]
            rest = [-1] * (k - len(expected))
            assert_array_equal(numbers[q], expected + rest)
            assert np.isinf(found[q, len(expected) :]).all()


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("size", [1e-220, 1e-90, 1.0, 1e90, 1e220])
def test_unit_length(rng, d, size):
    rows = rng.standard_normal((4, d)) * size
    rows[2] = 0
    out = np.empty_like(rows)
    scale_to_unit(rows, out)
    plain = rows / size
    expected = plain / np.maximum(np.linalg.norm(plain, axis=1), 1e-9)[:, np.newaxis]
    assert_allclose(out, expected, rtol=1e-12)


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_centered_floats(rng, d, dtype):
    rows, c = rng.standard_normal((3, d)).astype(dtype), rng.standard_normal(d)
    out, sums = np.empty((3, d), np.float32), np.empty((3, 3))
    assert center_floats(read_only(rows), read_only(c), 0.5, out, sums)
    y = 0.5 * rows.astype(float)
    b = y - c
    assert_array_equal(out, b.astype(np.float32))
    expected = [(b * b).sum(axis=1), (y * y).sum(axis=1), y @ c]
    assert_allclose(sums, expected, rtol=1e-12, atol=1e-13)


def in_four(terms):
    """Sum by four partial sums, of which the first also has what is left."""
    s, whole = [0.0] * 4, len(terms) // 4 * 4
    for j, term in enumerate(terms):
        s[j % 4 if j < whole else 0] += term
    return (s[0] + s[1]) + (s[2] + s[3])


def in_sixteen(terms):
    s, whole = [0.0] * 16, len(terms) // 16 * 16
    for j in range(whole):
        s[j % 16] += terms[j]
    t = [s[i] + s[i + 8] for i in range(8)]
    total = ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
    return total + sum(terms[whole:], 0.0)


@pytest.mark.parametrize("d", [3, 8, 15, 39, 70])
def test_sums_are_in_one_order(rng, d):
    """To the last bit, so that no rows beside a row change it."""
    rows, queries, c = *rng.standard_normal((2, 5, d)), rng.standard_normal(d)
    out, sums = np.empty((5, d), np.float32), np.empty((3, 5))
    center_floats(read_only(rows), read_only(c), 0.75, out, sums)
    of_rows = np.empty((4, 5))
    center_rows(read_only(rows), read_only(c), out, of_rows)
    unit = np.empty((5, d))
    scale_to_unit(rows, unit)
    pairs, found = read_only(np.arange(5)[:, np.newaxis]), np.empty((2, 5, 1))
    for i, metric in enumerate(("inner_product", "euclidean")):
        number = METRIC_NUMBERS[metric]
        pair_distances(rows, read_only(queries), pairs, number, found[i])
    for r, x in enumerate(rows):
        y = x * 0.75
        b, a = y - c, x - c
        assert sums[:, r].tolist() == [in_four(z) for z in (b * b, y * y, y * c)]
        assert of_rows[[0, 2], r].tolist() == [in_four(a * a), in_four(a * c)]
        assert_array_equal(unit[r], x * (1 / np.sqrt(in_four(x * x))))
        gap = x - queries[r]
        assert found[0, r, 0] == -in_sixteen(x * queries[r])
        assert found[1, r, 0] == np.sqrt(in_sixteen(gap * gap))


@pytest.mark.parametrize("place", [0, 4])  # among those taken at once, or after them
@pytest.mark.parametrize("value", [3e38, float(np.finfo(np.float32).max), 4e38, -4e38])
def test_centered_floats_that_float32_does_not_hold(place, value):
    rows = np.zeros((2, 5))
    rows[0, place] = value
    out, sums = np.empty((2, 5), np.float32), np.empty((3, 2))
    with np.errstate(over="ignore"):
        fits = center_floats(read_only(rows), read_only(np.zeros(5)), 1.0, out, sums)
    assert fits == (abs(value) < 4e38)


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_centered_rows(rng, d, dtype):
    rows, c = rng.standard_normal((3, d)).astype(dtype), rng.standard_normal(d)
    out, sums = np.empty((3, d), np.float32), np.zeros((4, 3))
    center_rows(read_only(rows), read_only(c), out, sums)
    x = rows.astype(float)
    a = x - c
    assert_array_equal(out, a.astype(np.float32))
    expected = [(a * a).sum(axis=1), np.zeros(3), a @ c, (x * x).sum(axis=1)]
    assert_allclose(sums, expected, rtol=1e-12, atol=1e-13)


# What codes and vectors say together.


def halves(rng, d, bits):
    """Rows, thresholds, codes of them, and (positive, strong)."""
    rows, c = rng.standard_normal((5, d)), rng.standard_normal(d)
    positive, strong = rows > c, rng.random((5, d)) > 0.5
    if bits == 1:
        return rows, c, pack_codes(positive), positive, np.zeros_like(strong)
    return rows, c, pack_codes(positive, strong, (0.5, 1.5)), positive, strong


@pytest.mark.parametrize("d", [1, 8, 9, 20])
@pytest.mark.parametrize("bits", [1, 2])
def test_corrections_of_rows(rng, d, bits):
    rows, c, codes, positive, strong = halves(rng, d, bits)
    sums, packed = np.empty((4, 5)), read_only(code_bytes(codes))
    correct_rows(read_only(rows), packed, bits, read_only(c), 0.5, 1.5, sums)
    a, q = rows - c, naive.levels(positive, strong, 0.5, 1.5)
    expected = [(a * a).sum(axis=1), (q * a).sum(axis=1), a @ c, (rows**2).sum(axis=1)]
    assert_allclose(sums, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("d", [1, 8, 9, 20])
@pytest.mark.parametrize("bits", [1, 2])
def test_cells_of_codes(rng, d, bits):
    rows, _, codes, positive, strong = halves(rng, d, bits)
    cells = positive.astype(int)
    if bits == 2:
        cells = np.where(positive, 2 + strong, 1 - strong)
    counts, sums = np.ones((2 * bits, d), np.int64), np.ones((2 * bits, d))
    add_to_cells(read_only(code_bytes(codes)), bits, read_only(rows), counts, sums)
    for cell in range(2 * bits):
        assert_array_equal(counts[cell], 1 + (cells == cell).sum(axis=0))
        expected = 1 + np.where(cells == cell, rows, 0).sum(axis=0)
        assert_allclose(sums[cell], expected, rtol=1e-12)


# Codes of mixed depth.

DEPTHS = [
    [1],
    [2, 2, 1],
    [4, 2, 2, 2],
    [4, 4, 4, 4, 4],
    [8, 1, 1, 1, 1, 1],
    [8, 8, 4, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1],
]


@pytest.mark.parametrize("depths", DEPTHS, ids=str)
@pytest.mark.parametrize("rounds", [0, 2])
@pytest.mark.parametrize("deep_below", [False, True])
def test_encoded_rows_of_mixed_depths(rng, depths, rounds, deep_below):
    n = len(depths)
    scales = np.sort(rng.lognormal(0, 1, n).astype(np.float32))[::-1].copy()
    layout = MixedDepths(n, depths, LEVELS, scales, deep_below=deep_below)
    rows = (rng.standard_normal((12, n)) * scales * 1.5).astype(np.float32)
    codes, sums = np.empty((12, layout.width), np.uint8), np.empty((2, 12))
    arrays = Depths(scales, layout.line_coordinates, *layout.level_arrays)
    encode_rows(read_only(rows), arrays, rounds, codes, *sums)
    numbers = [
        naive.mixed_numbers(z, layout.depths, layout.levels, layout.scales, rounds)
        for z in rows.astype(float)
    ]
    expected = layout.pack(np.array(numbers, np.uint8))
    assert_array_equal(codes, np.asarray(expected))
    values = expected.unpack().astype(float)[:, :n]
    assert_allclose(sums[0], (values * rows).sum(axis=1), rtol=1e-5, atol=1e-5)
    assert_allclose(sums[1], (values**2).sum(axis=1), rtol=1e-5)
    if rounds == 0:  # else deep coordinates are added up again, on their own
        for r in range(12):
            levels = [
                layout.levels[b][i] for b, i in zip(depths, numbers[r], strict=True)
            ]
            q = (np.array(levels, np.float32) * scales).astype(float)
            assert sums[0, r] == in_four(q * rows[r])
            assert sums[1, r] == in_four(q * q)
    norms = np.empty(12)
    square_norms(
        read_only(codes),
        read_only(layout.line_coordinates),
        read_only(layout.line_values),
        norms,
    )
    assert_allclose(norms, sums[1], rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_of_two_levels_as_near_the_lower_one_is_taken(depth):
    """At what lies half way between two levels."""
    levels = {depth: [float(level) for level in range(2**depth)]}
    layout = MixedDepths(1, [depth], levels, np.ones(1, np.float32))
    rows = np.arange(-1, 2**depth, 0.5, np.float32)[:, np.newaxis]
    codes, sums = np.empty((len(rows), 1), np.uint8), np.empty((2, len(rows)))
    scales = np.ones(1, np.float32)
    arrays = Depths(scales, layout.line_coordinates, *layout.level_arrays)
    encode_rows(read_only(rows), arrays, 0, codes, *sums)
    numbers = [naive.nearest_level(x, levels[depth]) for [x] in rows]
    expected = layout.pack(np.array(numbers, np.uint8)[:, np.newaxis])
    assert_array_equal(codes, np.asarray(expected))


def test_counted_neighbors(rng):
    """Equal estimates in order of rows, and no row its own neighbor."""
    n, n_queries, k = 9, 4, 3
    scores = rng.integers(-2, 3, (n_queries, n)).astype(np.float32)
    factors, squares = np.full(n, 0.5), rng.integers(0, 3, n).astype(float)
    true = rng.integers(0, 4, (n_queries, n)).astype(np.float32)
    limits = np.array([0.0, 1.0, 2.0, 3.0])
    counts = np.empty(n_queries, np.int64)
    given = map(read_only, (scores, factors, squares, true, limits))
    count_found(*given, k, counts)
    for q in range(n_queries):
        estimates = squares - 2 * factors * scores[q]
        order = [r for r in np.argsort(estimates, kind="stable") if r != q][:k]
        assert counts[q] == (true[q, order] <= limits[q]).sum()


@pytest.mark.parametrize("n_words", [1, 2])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_counts_in_words(rng, n_words, k):
    kinds = rng.integers(0, 2**64, (5, n_words), np.uint64)
    rows = kinds[rng.integers(0, 5, 70)]
    rows[::9] ^= np.uint64(1)
    queries = np.concatenate(
        [rows[[3]], rng.integers(0, 2**64, (2, n_words), np.uint64)]
    )
    found = nothing_found(3, k)
    every = EVERY_ROW.numbered(slice(0, 3))
    scan_words(read_only(rows), read_only(queries), 2, every, empty_heaps(*found))
    differing = (rows ^ queries[:, np.newaxis]).view(np.uint8)
    counts = np.unpackbits(differing, axis=2).sum(axis=2)
    check_same(found, naive.nearest(2.0 * counts, k))


# Rounded tables.


@pytest.mark.parametrize("n_lines", [1, 8, 9, 30])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_rounded_tables_bound_from_below(rng, n_lines, size):
    n_queries, group = 40, ROUNDED_GROUP
    raw = (size * rng.standard_normal((n_queries, n_lines, ENTRIES))).astype(np.float32)
    raw[0] = raw[0, :, :1]  # equal entries: there is no step
    rounded = empty_tables(n_queries, n_lines)
    round_tables(raw, group, REACH, rounded)
    tables, bounds, shifts = rounded
    lines, most = np.arange(n_lines), 0.0
    for q in range(n_queries):
        # The nearest rows of all, and any.
        for picked in (raw[q].argmin(axis=1), rng.integers(0, ENTRIES, n_lines)):
            exact = raw[q, lines, picked].astype(float).sum()
            entries = tables[q, lines, picked].astype(int)
            groups = [entries[i : i + group].sum() for i in range(0, n_lines, group)]
            stopped = (np.minimum(groups, 255) << shifts[q]).sum()
            low = float(bounds[q, 1]) + float(bounds[q, 0]) * stopped
            assert low <= exact
        most = max(most, (exact - low) / size)
    assert most < 6 * n_lines  # and from near below, where nothing is cut off


@pytest.mark.parametrize("value", [1e-30, 1e30, np.inf])
def test_tables_that_cannot_be_rounded_say_nothing(value):
    raw = np.full((1, 2, ENTRIES), value, np.float32)
    rounded = empty_tables(1, 2)
    round_tables(raw, ROUNDED_GROUP, REACH, rounded)
    assert_array_equal(rounded.bounds, [[0, -np.inf]])
    assert_array_equal(rounded.tables, np.zeros_like(rounded.tables))
    assert_array_equal(rounded.shifts, [[0]])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([8, 4, 2, 1], [2, 1, 0, 0]),
        ([1, 3, 8, 2], [0, 1, 2, 0]),
        ([1, 1, 1, 8], [0, 0, 0, 2]),
        ([8, 8, 4, 4], [2, 2, 1, 1]),  # three quarters of all steps
        ([8, 8, 5, 4], [0, 0, 0, 0]),  # more
        ([8, 8, 8, 8], [0, 0, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_small_groups_are_rounded_by_small_steps(sizes, expected):
    """Sums of 8, 3 and 2 need steps of 1, 3/8 and 1/4: doubled as often as fits."""
    raw = np.zeros((1, 8 * len(sizes), ENTRIES), np.float32)
    raw[0, ::8, -1] = sizes
    rounded = empty_tables(1, raw.shape[1])
    round_tables(raw, ROUNDED_GROUP, 99.0, rounded)
    assert_array_equal(rounded.shifts, [expected])
    step = max(sizes) / 255 / 2 ** max(expected)
    assert rounded.bounds[0, 0] == np.float32(step)
    found = rounded.tables[0, ::8, -1].astype(int)
    steps = np.maximum(step, 1e-9) * 2.0 ** np.array(expected)
    assert_array_equal(found, np.minimum(127, np.rint(sizes / steps)))


@pytest.mark.parametrize("n_features", [1, 2**20])
def test_common_unit_of_costs(n_features):
    costs = (0.0, 0.5, 1.0, 0.25, 0.5, 2.0)
    assert _common_unit(costs, n_features) == (0.25, (0, 2, 4, 1, 2, 8))
    assert _common_unit((0.0, 0, 0, 1.0, 0, 0), n_features)[1] == (0, 0, 0, 1, 0, 0)
    # A distance in float64 would be rounded; or sums of a line do not fit.
    large = (0.0, 0, 0, 2.0**53 / n_features, 0, 0)
    assert _common_unit(large, n_features) == (1.0, None)
    assert _common_unit((0.0, 0, 0, 2.0**53 / n_features - 1, 0, 0), n_features)[1]
    assert _common_unit((0.0, 1.0, 2.0, 3.0, 4.0, 200.0), 1) == (1.0, None)
    # Lines of two bits have half as many coordinates.
    assert _common_unit((0.0, 0, 0, 40.0, 1, 0), 1)[1] == (0, 0, 0, 40, 1, 0)
    assert _common_unit((0.0, 0, 0, 40.0, 0, 0), 1) == (40.0, (0, 0, 0, 1, 0, 0))
    assert _common_unit((1.0, 0, 0, 40.0, 0, 0), 1) == (1.0, None)


@pytest.mark.parametrize("size", [1e-36, 1e-20, 1e30])
@pytest.mark.parametrize("bits", [1, 2])
def test_float_queries_of_any_size(rng, bits, size):
    """Those that cannot be rounded as well: all rows are evaluated then."""
    *_, codes, positive, strong = halves(rng, 20, bits)
    queries = (size * rng.standard_normal((3, 20))).astype(np.float32)
    values = naive.levels(positive, strong, 0.5, 1.5 if bits == 2 else 0.5)
    scale = np.full(5, -2 if bits == 2 else -1, np.float32)
    comparison = EstimateComparison(codes, scale, np.zeros(5, np.float32), queries)
    expected = scale[0] * (queries.astype(float) @ values.T)
    expected *= 1 if bits == 2 else 2  # a single level is 1
    with np.errstate(all="ignore"):  # compiled, it says nothing
        found = nearest(comparison, 3)
    for got, right in zip(found, naive.nearest(expected, 3), strict=True):
        assert_allclose(got, right, rtol=1e-12)


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="patches a constant")
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("k", [1, 7])
def test_rows_of_several_tiles(rng, bits, k, monkeypatch):
    """Compiled, that takes thousands of rows: see test_kernels_lookup.py."""
    monkeypatch.setattr("skbq._kernels.table_lookup._TILE_ROWS", 64)
    positive, strong = rng.random((2, 200, 12)) > 0.5
    given = (positive,) if bits == 1 else (positive, strong, (0.5, 1.5))
    codes = pack_codes(*given)
    values = naive.levels(positive, strong, 0.5, 1.5) if bits == 2 else None
    values = 2.0 * positive - 1 if bits == 1 else values
    queries = rng.standard_normal((5, 12)).astype(np.float32)
    scale, offset = rng.standard_normal((2, 200)).astype(np.float32)
    scale = -abs(scale)
    expected = offset + scale * (queries.astype(float) @ values.T)
    found = nearest(EstimateComparison(codes, scale, offset, queries), k)
    for got, right in zip(found, naive.nearest(expected, k), strict=True):
        assert_allclose(got, right, rtol=1e-6)
    if bits == 2:
        of_codes = nearest(CodeComparison(codes, codes[:5], "dot"), k)
        plain = naive.code_distances(
            (positive, strong), (positive[:5], strong[:5]), "dot", (0.5, 1.5)
        )
        for got, right in zip(of_codes, naive.nearest(plain, k), strict=True):
            assert_allclose(got, right)


def test_more_rows_within_a_radius_than_there_was_room_for(rng):
    """A first limit, which so many rows would allow, is for the nearest alone."""
    positive = rng.random((300, 8)) > 0.5
    queries = rng.standard_normal((2, 8)).astype(np.float32)
    scale, offset = np.full(300, -1, np.float32), np.zeros(300, np.float32)
    comparison = EstimateComparison(pack_codes(positive), scale, offset, queries)
    distances = -(queries.astype(float) @ (2.0 * positive - 1).T)
    radii = np.array([np.inf, 1e-3])
    for q, rows in enumerate(within(comparison, radii).rows):
        assert_array_equal(rows, np.flatnonzero(distances[q] <= radii[q]))


@pytest.mark.parametrize("row", [0, 1, 63, 64, 128, 129])
@pytest.mark.parametrize("bits", [1, 2])
def test_a_row_that_alone_passes_the_bound(bits, row):
    """Wherever it is in its block; all others are far, and equally so."""
    positive = np.zeros((130, 16), bool)
    positive[row] = True
    given = (positive,) if bits == 1 else (positive, positive, (0.5, 1.5))
    codes, scale = pack_codes(*given), np.full(130, -1, np.float32)
    offset = np.zeros(130, np.float32)
    queries = np.ones((5, 16), np.float32)
    found = nearest(EstimateComparison(codes, scale, offset, queries), 1)
    assert_array_equal(found.rows, np.full((5, 1), row))
    assert_array_equal(found.distances, np.full((5, 1), -16 if bits == 1 else -24))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_nibbles_that_cannot_be_rounded_say_nothing(size):
    exact = np.full((2, 4, 16), size, np.float32)
    exact[1] = 1
    rounded = empty_tables(2, 4)
    rounded.shifts[:], rounded.tables[:] = 7, 7
    tables_of_nibbles(exact, -1, rounded)
    assert_array_equal(rounded.bounds[0], [0, -np.inf])
    assert np.isfinite(rounded.bounds[1]).all()
    assert not rounded.tables.any()
    assert not rounded.shifts.any()


# Counting.


@pytest.mark.parametrize("width", [1, 3, 7, pytest.param(90, marks=COMPILED)])
@pytest.mark.parametrize("k", [4, PLANE_ROWS // 4 + 10])  # and without a first limit
def test_counts_in_planes(rng, width, k):
    """A whole tile of rows, and some more; rows of three kinds, so that many tie."""
    kinds = rng.integers(0, 256, (5, width)).astype(np.uint8)
    rows = kinds[rng.integers(0, 5, PLANE_ROWS + 20)]
    rows[7::40] ^= 1
    queries = np.concatenate([rows[[3]], rng.integers(0, 256, (2, width))])
    queries = queries.astype(np.uint8)
    found = nothing_found(3, k)
    every = EVERY_ROW.numbered(slice(0, 3))
    scan_planes(read_only(rows), read_only(queries), 2, every, empty_heaps(*found))
    counts = np.unpackbits(rows ^ queries[:, np.newaxis], axis=2).sum(axis=2)
    check_same(found, naive.nearest(2.0 * counts, k))


# Lists.


def lists_of(rng, width):
    """Parents, of which the second has no lists, and centroids, two of them equal."""
    parents = rng.integers(-40, 41, (4, width)).astype(np.int8)
    centroids = rng.integers(-40, 41, (11, width)).astype(np.int8)
    centroids[7] = centroids[3]
    return make_tree(parents, np.array([0, 4, 4, 9, 11]), centroids, 3)


def distances(values, centroids, factor):
    wide = centroids.astype(np.int64)
    return (wide**2).sum(axis=1) - factor * (values.astype(np.int64) @ wide.T)


def nearest_list(values, tree, near):
    """The nearest list of the nearest parents, going on while they have none."""
    of_parents = distances(values, tree.parents, 2 * tree.scale)
    order = np.argsort(of_parents, kind="stable")
    of_lists = distances(values, tree.centroids, 2 * tree.scale)
    for n in range(near, len(order) + 1):
        inside = [c for p in order[:n] for c in range(*tree.children[p : p + 2])]
        if inside:
            return min(inside, key=lambda c: (of_lists[c], c))


@pytest.mark.parametrize("width", [3, 64, 70])
@pytest.mark.parametrize("near", [1, 2, NEAR_PARENTS])
def test_lists_of_rows_and_queries(rng, width, near):
    tree = lists_of(rng, width)
    codes = rng.integers(-20, 21, (6, width)).astype(np.int8)
    codes[4], codes[5] = tree.parents[1], tree.centroids[7]
    own = np.empty(6, np.int64)
    assign_rows(codes, tree, near, own)
    assert_array_equal(own, [nearest_list(row, tree, near) for row in codes])
    values = rng.integers(-127, 128, (6, width)).astype(np.int8)
    weights = rng.integers(1, 2000, 6)
    sizes = rng.integers(1, 9, 11)
    queries = ListQueries(codes, values, weights)
    for wanted in (1, 4, 11):
        for budget in (1, 12, 2**62):
            order, counts = np.zeros((6, wanted), np.int32), np.empty(6, np.int64)
            rank_lists(queries, tree, near, sizes, budget, order, counts)
            for q in range(6):
                # In parts of a 256th, as weights are.
                wide = tree.centroids.astype(np.int64)
                far = 256 * (wide**2).sum(axis=1)
                far -= 2 * weights[q] * (wide @ values[q].astype(np.int64))
                far[own[q]] = far.min() - 1
                expected = np.argsort(far, kind="stable")[:wanted]
                enough = 1 + (np.cumsum(sizes[expected]) < budget).sum()
                assert counts[q] == min(wanted, enough)
                assert_array_equal(order[q, : counts[q]], expected[: counts[q]])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_all_lists_are_ranked(rng, n):
    """Powers of two and one more need all bits of the numbers of lists."""
    centroids = rng.integers(-40, 41, (n, 5)).astype(np.int8)
    tree = make_tree(centroids[:1], np.array([0, n]), centroids, 1)
    values = rng.integers(-9, 10, (5, 5)).astype(np.int8)
    order, counts = np.zeros((5, n), np.int32), np.empty(5, np.int64)
    queries = ListQueries(values, values, np.full(5, 256))
    rank_lists(queries, tree, 1, np.ones(n, np.int64), 2**62, order, counts)
    for q in range(5):
        expected = np.argsort(distances(values[q], centroids, 2), kind="stable")
        assert counts[q] == n
        assert_array_equal(order[q], expected)


@pytest.mark.parametrize("n_rows", [1, 4, 6])
def test_clusters_of_rows(rng, n_rows):
    values = rng.integers(-9, 10, (n_rows, 7)).astype(np.int8)
    centroids = rng.integers(-9, 10, (5, 7)).astype(np.int8)
    centroids[4] = centroids[1]  # the first of equally near ones is taken
    values[0] = centroids[4]
    squares = (centroids.astype(np.int64) ** 2).sum(axis=1)
    numbers = np.empty(n_rows, np.int64)
    nearest_centroid(values, centroids, squares, 1, numbers)
    expected = [distances(row, centroids, 2).argmin() for row in values]
    assert_array_equal(numbers, expected)
    sums, counts = np.ones((5, 7), np.int64), np.ones(5, np.int64)
    sum_values(values, numbers, sums, counts)
    for c in range(5):
        assert counts[c] == 1 + (numbers == c).sum()
        assert_array_equal(sums[c], 1 + values[numbers == c].sum(axis=0))


@pytest.mark.parametrize("d", [1, 8, 9, 20])
@pytest.mark.parametrize("bits", [1, 2])
def test_whole_values_of_codes(rng, d, bits):
    *_, codes, positive, strong = halves(rng, d, bits)
    values = np.empty((5, d), np.int8)
    fill_whole_values(read_only(code_bytes(codes)), bits, 2, 7, values)
    assert_array_equal(values, naive.levels(positive, strong, 2, 7))


def test_queries_rounded_to_bytes(rng):
    given = rng.standard_normal((3, 20)).astype(np.float32)
    given[1] = 0
    codes = rng.integers(-3, 4, (3, 20)).astype(np.int8)
    out, weights = np.empty((3, 20), np.int8), np.empty(3, np.int64)
    round_queries(read_only(given), codes, 42, out, weights)
    assert_array_equal(out[1], codes[1])
    assert weights[1] == 42 * 256
    for q in (0, 2):
        y = given[q].astype(float)
        rounded = np.rint(y * (127 / np.abs(y).max()))
        assert_array_equal(out[q], rounded)
        lengths = (np.linalg.norm(x.astype(float)) for x in (codes[q], rounded))
        ratio = np.divide(*lengths)
        assert weights[q] == np.rint(42 * 256 * 1.25 * ratio)
