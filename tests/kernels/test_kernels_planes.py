"""Planes of rows and tiles, and what is counted in planes, against plain numpy.

Quick in plain Python as well (NUMBA_DISABLE_JIT=1), where mutants of kernels are tried.
"""

import naive
import numba
import numpy as np
import pytest
from helpers import check_same
from numpy.testing import assert_array_equal

from skbq._kernels import popcount, tiles
from skbq._kernels.bitplanes import PLANE_ROWS, WORDS
from skbq._kernels.memory import read_only
from skbq._kernels.result_heap import Allowed, Found
from skbq._kernels.simd import BLOCK, aligned
from skbq._neighbors.brute_force import empty_heaps, nothing_found

# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

EVERY_ROW = Allowed(read_only(np.full(9, -1)), read_only(np.empty(0, np.uint8)))


def transposer(n_squares):
    """What the instructions for squares of 16 bytes do, in plain Python."""

    def transpose(codes, source, stride, tile, target):
        given, out = codes.reshape(-1), tile.reshape(-1)
        for row in range(16):
            for b in range(16 * n_squares):
                out[target + BLOCK * b + row] = given[source + stride * row + b]

    return transpose


@pytest.fixture
def _wide(monkeypatch):
    """Have codes of sixteen bytes and more turned in plain Python too."""
    if numba.config.DISABLE_JIT:
        monkeypatch.setattr(tiles, "_transpose_one", transposer(1))
        monkeypatch.setattr(tiles, "_transpose_two", transposer(2))


@pytest.fixture
def _full(monkeypatch):
    """Have memory that is taken hold anything but zeros, in plain Python."""
    if numba.config.DISABLE_JIT:

        def full(n_words):
            words = aligned(n_words)
            words[:] = ~np.uint64(0)
            return words

        monkeypatch.setattr(popcount, "aligned", full)


# Planes.


def as_words(bits):
    """Bits of rows, (..., n_rows), as words of 64 rows, the first row lowest."""
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint64)


def from_planes(planes):
    bits = np.unpackbits(planes.view(np.uint8), bitorder="little")
    bits = bits.reshape(-1, PLANE_ROWS)
    return (bits.astype(int) << np.arange(len(bits))[:, np.newaxis]).sum(axis=0)


def fold(bits):
    """Replace triples by their parities until one is left; two are filled up by 0."""
    triples = []
    while len(bits) > 1:
        if len(bits) == 2:
            bits = [*bits, 0]
        n = len(bits) // 3
        new = [bits[3 * t : 3 * t + 3] for t in range(n)]
        triples += new
        bits = [sum(three) % 2 for three in new] + bits[3 * n :]
    return triples, bits[0]


@pytest.mark.parametrize("width", range(1, 12))
def test_patterns_of_queries(rng, width):
    codes = rng.integers(0, 256, (3, width)).astype(np.uint8)
    n = popcount._count_patterns(8 * width)
    patterns, parities = np.zeros((3, n + 2), np.uint16), np.zeros(3, np.uint8)
    popcount._fold_queries(read_only(codes), patterns, parities)
    for q in range(3):
        triples, parity = fold(list(map(int, np.unpackbits(codes[q]))))
        assert len(triples) == n
        assert parities[q] == parity == np.unpackbits(codes[q]).sum() % 2
        expected = [WORDS * (x + 2 * y + 4 * z) for x, y, z in triples]
        assert_array_equal(patterns[q], [*expected, 0, 0])


@pytest.mark.usefixtures("_wide")
@pytest.mark.parametrize("width", [1, 2, 3, 9])
@pytest.mark.parametrize("count", [PLANE_ROWS, PLANE_ROWS - 1, 1])
def test_planes_of_rows_and_their_majorities(rng, width, count):
    codes = rng.integers(0, 256, (5 + PLANE_ROWS, width)).astype(np.uint8)
    n_bits, n = 8 * width, popcount._count_patterns(8 * width)
    planes = aligned((n_bits + 2) * WORDS)
    tile = np.zeros((1, width, BLOCK), np.uint8)
    popcount._cut_planes(read_only(codes), 5, count, tile, planes)
    rows = np.unpackbits(codes[5 : 5 + count], axis=1).T
    for bit in range(n_bits):
        found = from_planes(planes[bit * WORDS : (bit + 1) * WORDS])
        assert_array_equal(found[:count], rows[bit])
    table = aligned(8 * n * WORDS)
    popcount._make_majorities(planes, n_bits, table)
    found = from_planes(planes[:WORDS])[:count]
    assert_array_equal(found, rows.sum(axis=0) % 2)
    for r in {0, count // 2, count - 1}:
        triples, _ = fold(list(map(int, rows[:, r])))
        for t, three in enumerate(triples):
            for pattern in range(8):
                place = (8 * t + pattern) * WORDS
                one = from_planes(table[place : place + WORDS])[r]
                turned = [bit ^ (pattern >> i & 1) for i, bit in enumerate(three)]
                assert one == (sum(turned) >= 2)


@pytest.mark.parametrize("count", [64, 65, 130])
@pytest.mark.parametrize("limit", [12, np.inf])
def test_marked_rows_of_several_words(rng, count, limit):
    """Marks beyond the rows say nothing; a limit holds for marked rows as well."""
    codes = rng.integers(0, 256, (5 + count, 2)).astype(np.uint8)
    queries = rng.integers(0, 256, (2, 2)).astype(np.uint8)
    marked = rng.random(192) < 0.6
    marked[count - 1 : count + 3] = True
    found = Found(
        np.empty(200),
        np.empty(200, np.int64),
        np.array([0, 0, 200]),
        np.array([-1.0, limit]),
        np.zeros(2, np.int64),
        True,
    )
    popcount._take_marked(
        as_words(marked),
        5,
        count,
        read_only(codes),
        read_only(queries),
        2,
        1,
        EVERY_ROW,
        found,
    )
    distances = 2 * np.unpackbits(codes[5:] ^ queries[1], axis=1).sum(axis=1)
    expected = np.flatnonzero(marked[:count] & (distances < limit))
    assert_array_equal(found.counts, [0, len(expected)])
    assert_array_equal(found.rows[: len(expected)], 5 + expected)
    assert_array_equal(found.distances[: len(expected)], distances[expected])


@pytest.mark.usefixtures("_wide", "_full")
@pytest.mark.parametrize(("width", "n_rows"), [(1, 20), (7, 150), (90, 70), (128, 34)])
def test_counts_of_all_widths_in_planes(rng, width, n_rows):
    """Sums of ten and eleven bits; queries that differ from a row everywhere."""
    codes = rng.integers(0, 256, (n_rows, width)).astype(np.uint8)
    queries = np.stack([codes[3], ~codes[n_rows - 1]])
    counts = np.unpackbits(codes ^ queries[:, np.newaxis], axis=2).sum(axis=2)
    assert counts.max() == 8 * width
    for k in (2, n_rows):
        found = nothing_found(2, k)
        popcount.scan_planes(
            read_only(codes), read_only(queries), 1, EVERY_ROW, empty_heaps(*found)
        )
        check_same(found, naive.nearest(1.0 * counts, k))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_counts_in_planes_of_rows_that_do_not_count(rng, masked, k):
    """The nearest rows of the first tile, which a first limit is made of."""
    n = 2 * PLANE_ROWS + 9
    codes = rng.integers(0, 256, (n, 3)).astype(np.uint8)
    codes[1 : PLANE_ROWS - 5] |= 0b1111
    queries = np.zeros((2, 3), np.uint8)
    counts = np.unpackbits(codes, axis=1).sum(axis=1)
    nearest = np.lexsort((np.arange(n), counts))
    mask = np.ones(n, np.uint8)
    if masked:
        mask[nearest[:20]] = 0
    left_out = np.array([nearest[0], nearest[20]])
    allowed = Allowed(read_only(left_out), read_only(mask if masked else mask[:0]))
    found = nothing_found(2, k)
    args = read_only(codes), read_only(queries), 1, allowed
    popcount.scan_planes(*args, empty_heaps(*found))
    for q in range(2):
        order = [r for r in nearest if mask[r] and r != left_out[q]][:k]
        assert_array_equal(found.rows[q], order)
        assert_array_equal(found.distances[q], counts[order])


def test_planes_of_few_rows():
    """What stands beyond them, zeros here, is nearer to the query than any."""
    codes = read_only(np.arange(1, 21, dtype=np.uint8)[:, np.newaxis])
    found = nothing_found(1, 2)
    query = read_only(np.zeros((1, 1), np.uint8))
    popcount.scan_planes(codes, query, 1, EVERY_ROW, empty_heaps(*found))
    check_same(found, ([[1, 1]], [[0, 1]]))


@pytest.mark.usefixtures("_wide")
@pytest.mark.parametrize("width", [1, 15, 16, 17, 31, 32, 33, 70])
@pytest.mark.parametrize("count", [1, 15, 16, 35, 100])
def test_bytes_of_rows_in_a_tile(rng, width, count):
    codes = rng.integers(0, 256, (3 + count, width)).astype(np.uint8)
    n_blocks = -(-count // BLOCK)
    tile = np.zeros((n_blocks, width + 2, BLOCK), np.uint8)
    tiles.transpose(read_only(codes), 3, count, tile)
    found = tile.transpose(0, 2, 1).reshape(n_blocks * BLOCK, width + 2)
    assert_array_equal(found[:count, :width], codes[3:])
    assert not found[count:].any()
    assert not found[:, width:].any()
