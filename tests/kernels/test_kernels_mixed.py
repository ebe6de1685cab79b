"""Search of codes of mixed depth: exact, whatever the widths, ties and instructions."""

import hashlib
import os

import naive_lookup as naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_kernels_lookup import (
    Compared,
    assert_nearest,
    assert_within,
    make_scales,
    nearest,
    needs_compiler,
    run_python,
    within,
)

from skbq._kernels import query_tables, simd, tiles
from skbq._kernels.code_sums import (
    LARGEST_ENTRY,
    add_pair_products,
    evaluate_polynomials,
    sum_entries,
)
from skbq._kernels.dispatch import (
    NibbleValues,
    bits_of_nibbles,
    from_vectors_by_nibble,
)
from skbq._kernels.exact_distances import row_distances
from skbq._kernels.memory import read_only
from skbq._kernels.mixed_depths import (
    count_found,
    fill_tables,
    square_norms,
)
from skbq._kernels.rounded_tables import empty_tables
from skbq.codes import MixedDepths

LEVELS = {
    1: [-0.8, 0.8],
    2: [-1.5, -0.5, 0.5, 1.5],
    4: np.linspace(-2.5, 2.7, 16) ** 3,
    8: np.linspace(-3, 2, 256),
}
# Bytes of 1, 2, odd, 16 and more than 32; one depth, all of them, padding.
COUNTS = [
    {1: 3},
    {4: 1, 1: 9},
    {2: 31},
    {8: 1, 4: 3, 2: 5, 1: 7},
    {4: 11, 2: 20, 1: 44},
    {4: 25, 2: 40, 1: 101},
    {8: 3, 4: 60, 2: 90, 1: 200},
]


def make(rng, counts, n):
    depths = np.repeat([8, 4, 2, 1], [counts.get(b, 0) for b in (8, 4, 2, 1)])
    scales = np.sort(rng.lognormal(0, 1, len(depths)))[::-1]
    layout = MixedDepths(len(depths), depths, LEVELS, scales, deep_below=True)
    numbers = rng.integers(0, 2 ** layout.depths.astype(int), (n, layout.n_values))
    return layout.pack(numbers.astype(np.uint8))


def make_scan(rng, counts, n=200, n_queries=9, sign=-1, duplicates=False):
    """Return a scan of float queries and all its distances."""
    codes = make(rng, counts, n)
    if duplicates:
        codes = codes[rng.integers(0, 5, n)]
    layout = codes.layout
    queries = rng.standard_normal((n_queries, layout.n_values)).astype(np.float32)
    offset, scale = make_scales(rng, n, sign)
    if duplicates:
        offset[:], scale[:] = 0.5, sign * 0.25
    bits = bits_of_nibbles(layout.has_sums_above)
    nibbles = NibbleValues(layout.line_coordinates, layout.line_values, bits)
    least = np.full(n_queries, -np.inf)

    def scan(some):
        return from_vectors_by_nibble(
            codes, queries[some], nibbles, offset, scale, least[some]
        )

    plain = np.asarray(codes)
    return Compared(codes, n_queries, scan), naive.estimates_by_nibble(
        plain, queries, *nibbles[:2], offset, scale
    )


@needs_compiler
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("counts", COUNTS)
def test_float_queries(rng, counts, sign):
    scan, distances = make_scan(rng, counts, sign=sign)
    for k in (1, 10, 200):
        assert_nearest(scan, distances, k)
    assert_within(scan, distances, np.quantile(distances, 0.2, axis=1))


@needs_compiler
@pytest.mark.parametrize("n", [1, 63, 64, 65, 5000])
def test_numbers_of_rows(rng, n):
    scan, distances = make_scan(rng, COUNTS[4], n)
    assert_nearest(scan, distances, min(n, 30))


@needs_compiler
@pytest.mark.parametrize("n_queries", [1, 3, 4, 5])
def test_numbers_of_queries(rng, n_queries):
    scan, distances = make_scan(rng, COUNTS[5], n_queries=n_queries)
    assert_nearest(scan, distances, 10)


@needs_compiler
def test_ties_go_to_the_lower_row(rng):
    scan, distances = make_scan(rng, COUNTS[4], duplicates=True)
    assert len(np.unique(distances[0])) <= 5
    for k in (1, 7, 60):
        assert_nearest(scan, distances, k)


@needs_compiler
@pytest.mark.parametrize("counts", COUNTS)
def test_distances_of_some_rows(rng, counts):
    """As many as are computed together, a few more or fewer, and with little room."""
    scan, distances = make_scan(rng, counts)
    part = scan.scan(slice(0, 9))
    queries, bounds = part.queries, part.bounds
    for n in (1, 2, 3, 7, 8, 9, 11, 17):
        for room in (0, 1, 9):
            rows, out = rng.integers(0, 200, n), np.full(n + room, np.nan)
            row_distances(part.codes, rows, n, part.bits, 4, bounds, queries, out)
            assert_array_equal(out[:n], distances[4, rows])


def test_tables_are_those_of_the_values(rng):
    codes = make(rng, COUNTS[3], 50)
    layout = codes.layout
    query = rng.standard_normal((1, layout.n_values)).astype(np.float32)
    ones, zeros = np.ones(50, np.float32), np.zeros(50, np.float32)
    nibbles = NibbleValues(layout.line_coordinates, layout.line_values)
    products = naive.estimates_by_nibble(
        np.asarray(codes), query, *nibbles[:2], zeros, ones
    )
    assert_allclose(products[0], codes.unpack() @ query[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("counts", COUNTS)
def test_norms(rng, counts):
    codes = make(rng, counts, 40)
    norms, layout = np.empty(40), codes.layout
    arrays = (codes, layout.line_coordinates, layout.line_values)
    square_norms(*map(read_only, arrays), norms)
    assert_allclose(
        norms, np.square(codes.unpack().astype(float)).sum(axis=1), rtol=1e-6
    )


@needs_compiler
def test_tiles_of_nibbles_are_alike_where_tables_have_64_entries(rng):
    """Lines of nibbles serve VBMI's look-ups too, which take six bits of an index."""
    codes = read_only(rng.integers(0, 256, (150, 37), np.uint8))
    tile, shared = np.zeros((3, 74, 64), np.uint8), np.zeros((3, 37, 64), np.uint8)
    tiles._load_tile_sixes(codes, 0, 150, tiles.NIBBLES, tile)
    tiles._load_tile_vector(codes, 0, 150, tiles.NIBBLES, shared)
    assert tile.max() < 16
    assert_array_equal(tile[:, ::2] << 4 | tile[:, 1::2], shared)
    assert_array_equal(shared.transpose(0, 2, 1).reshape(192, 37)[:150], codes)


@needs_compiler
def test_tables_of_64_entries_repeat(rng, monkeypatch):
    exact = rng.standard_normal((3, 10, 16)).astype(np.float32)
    filled = []
    monkeypatch.setattr(query_tables, "ENTRIES", 64)
    monkeypatch.setattr(
        query_tables, "round_one", lambda raw, *rest: filled.append(raw.copy())
    )
    query_tables.tables_of_nibbles.py_func(exact, -1, empty_tables(3, 10))
    for raw, sums in zip(filled, exact, strict=True):
        assert raw.shape == (10, 64)
        assert_array_equal(raw, np.tile(-sums, 4))


@needs_compiler
@pytest.mark.parametrize("counts", [{2: 31}, {8: 3, 4: 7, 2: 9, 1: 33}, {4: 2, 1: 8}])
def test_tables_of_cut_bytes(rng, counts, monkeypatch):
    """The entries of a row's lines, in three bytes and less, add up to its product."""
    codes = make(rng, counts, 40)
    layout, plain = codes.layout, np.asarray(codes)
    assert layout.has_sums_above
    y = rng.standard_normal((1, layout.n_values)).astype(np.float32)
    exact = np.empty((1, len(layout.line_coordinates), 16), np.float32)
    fill_tables(
        *(read_only(x) for x in (y, layout.line_coordinates, layout.line_values)), exact
    )
    filled = []
    monkeypatch.setattr(
        query_tables, "round_one", lambda raw, *rest: filled.append(raw.copy())
    )
    n_cycles = -(-layout.width // 3)
    rounded = empty_tables(1, 4 * n_cycles)
    query_tables.tables_of_cut_bytes.py_func(exact, -1, rounded)
    rows = np.zeros((len(plain), n_cycles, 3), np.int64)
    rows.reshape(len(plain), -1)[:, : layout.width] = plain
    tops = (rows >> 6) @ [1, 4, 16]
    lines = np.concatenate([rows & 63, tops[:, :, np.newaxis]], axis=2)
    lines = lines.reshape(len(plain), -1)
    found = filled[0][np.arange(lines.shape[1]), lines].sum(axis=1)
    expected = -(codes.unpack().astype(float) @ y[0])
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_which_bytes_are_cut():
    """Four bits have 16 levels of any distance: no sums of what two pairs say."""
    for counts, can_be in (({4: 8, 1: 32}, True), ({4: 9, 1: 24}, False)):
        depths = np.repeat([4, 1], [counts[4], counts[1]])
        layout = MixedDepths(50, depths, LEVELS, deep_below=True)
        assert layout.has_sums_above == can_be
        assert not MixedDepths(50, depths, LEVELS).has_sums_above
    assert MixedDepths(9, [2] * 9, LEVELS).has_sums_above
    assert not MixedDepths(9, [4] * 9, LEVELS).has_sums_above
    assert bits_of_nibbles(False) == tiles.NIBBLES
    assert bits_of_nibbles(True) == (1 if tiles.ENTRIES == 64 else tiles.NIBBLES)


def digest_of_results():
    digest = hashlib.sha256()
    for counts in COUNTS:
        scan, distances = make_scan(np.random.default_rng(3), counts, 700)
        for result in (*nearest(scan, 20), *within(scan, np.median(distances))):
            digest.update(result.tobytes())
    return digest.hexdigest()


RESULTS = """
import sys
sys.path.insert(0, {tests!r})
import test_kernels_mixed as tests
print(tests.simd.INSTRUCTIONS, tests.digest_of_results())
"""


@pytest.mark.exhaustive
@needs_compiler
def test_results_do_not_depend_on_the_instructions():
    source, expected = RESULTS.format(tests=os.path.dirname(__file__)), None
    for name in set(simd.available_instructions()) - {simd.INSTRUCTIONS}:
        expected = expected or digest_of_results()
        assert run_python(source, SKBQ_KERNEL=name) == [name, expected]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("n", [1, 64, 150, 5000])
def test_sums_of_entries(rng, counts, n):
    codes = make(rng, counts, n)
    tables = rng.integers(0, LARGEST_ENTRY + 1, (3, 2 * codes.shape[1], 16))
    tables[0] = LARGEST_ENTRY
    sums = sum_entries(read_only(np.asarray(codes)), tables)
    assert_array_equal(sums, naive.sums_of_entries(np.asarray(codes), tables))


def test_products_of_pairs_of_nibbles(rng):
    codes = rng.integers(0, 256, (20, 5)).astype(np.uint8)
    pairs = np.array([[0, 9], [4, 3], [1, 6]])
    left, right = rng.standard_normal((2, 3, 16))
    out = rng.standard_normal(20)
    nibbles = np.stack([codes >> 4, codes & 15], axis=2).reshape(20, -1)
    expected = out.copy()
    for i, (first, second) in enumerate(pairs):
        expected += left[i, nibbles[:, first]] * right[i, nibbles[:, second]]
    given = (read_only(x) for x in (codes, pairs, left, right))
    add_pair_products(*given, out)
    assert_allclose(out, expected)


def test_polynomials_end_where_nothing_was_seen(rng):
    known = rng.uniform(-4, 6, (2, 50))
    limits = np.array([[-3.0, 5.0], [2.0, 2.0], [-1.0, 4.0], [0.0, 0.5]])
    coefficients, units = rng.standard_normal((2, 6)), np.array([2.0, -3.0])
    out = np.empty((2, 50))
    given = (read_only(x) for x in (known, limits, coefficients, units))
    evaluate_polynomials(*given, out)
    for r, (a, b) in enumerate(known.T):
        u, v = min(max((a - 1) / 4, -1), 1), min(max(b - 2, -1), 1)
        terms = np.array([1, u, v, u * u, u * v, v * v])
        expected = [
            unit * min(max(float(of @ terms), low), high)
            for of, unit, (low, high) in zip(
                coefficients, units, limits[2:], strict=True
            )
        ]
        assert_allclose(out[:, r], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_true_neighbors_among_the_first(rng, k):
    """Small whole numbers, so that estimates and distances tie."""
    n_queries, n = 7, 40
    scores = rng.integers(-2, 3, (n_queries, n)).astype(np.float32)
    factors, squares = (rng.integers(1, 3, n).astype(float) for _ in range(2))
    true = rng.integers(0, 9, (n_queries, n)).astype(np.float32)
    limits = rng.integers(1, 6, n_queries).astype(float)
    counts = np.empty(n_queries, np.int64)
    given = [read_only(x) for x in (scores, factors, squares, true, limits)]
    count_found(*given, k, counts)
    for q in range(n_queries):
        others = np.delete(np.arange(n), q)
        estimates = squares - 2 * factors * scores[q]
        first = others[np.argsort(estimates[others], kind="stable")[:k]]
        assert counts[q] == (true[q, first] <= limits[q]).sum()
