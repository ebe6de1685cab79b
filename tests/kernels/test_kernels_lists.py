"""Scans of inverted lists, called as they are, against all distances.

Quick in plain Python as well (NUMBA_DISABLE_JIT=1), where mutants of kernels are tried.
"""

from itertools import pairwise

import naive_lookup as naive
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_kernels_lookup import FINE_DOT, PENALTY, make_codes, make_scales

from skbq._kernels import dispatch
from skbq._kernels.inverted_lists import ListedRows, Probed
from skbq._kernels.memory import read_only
from skbq._kernels.result_heap import Allowed, sort_heaps
from skbq._neighbors.brute_force import empty_heaps, nothing_found

# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

D = 9
# None, one, a whole block and a row more or less.
SIZES = [0, 5, 64, 65, 1, 130, 0, 20]


def make_lists(rng, sizes, codes, bits, kind):
    """List rows whose codes stand in place, as bytes or as lines, or anywhere."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    numbers = rng.permutation(len(codes)).astype(np.uint32)
    for start, stop in pairwise(starts):
        numbers[start:stop].sort()
    no_lines, no_blocks = np.empty((0, 0, 0), np.uint8), np.empty(0, np.int64)
    arrays = (read_only(starts), read_only(numbers), kind != "anywhere")
    listed = ListedRows(*arrays, no_lines, read_only(no_blocks))
    if kind == "lines":
        listed = dispatch.lines_of_lists(codes, listed, bits)
    return listed


def make_probes(rng, n_lists, n_queries):
    """Some lists for each query, of which the first ones were probed before."""
    lists = np.array([rng.permutation(n_lists) for _ in range(n_queries)], np.int32)
    first = rng.integers(0, 2, n_queries)
    stop = rng.integers(first, n_lists + 1)
    stop[0], first[0] = n_lists, 0
    return Probed(lists, first, stop)


def check(scan, distances, listed, probed, k, allowed):
    """``distances``, (n_queries, n_rows), are of rows list after list."""
    found = nothing_found(len(probed.lists), k)
    heaps = empty_heaps(*found)
    scan.run_lists(listed, probed, allowed, heaps)
    sort_heaps(heaps)
    if scan.units is not None:
        found.distances[:] = scan.units.distances(found.distances)
    for q in range(len(probed.lists)):
        some = probed.lists[q, probed.first[q] : probed.stop[q]]
        places = [p for i in some for p in range(*listed.starts[i : i + 2])]
        pairs = sorted(
            (distances[q, place], listed.rows[place])
            for place in places
            if listed.rows[place] != allowed.left_out[q]
            and (allowed.mask.size == 0 or allowed.mask[listed.rows[place]])
        )[:k]
        pairs += [(np.inf, -1)] * (k - len(pairs))
        assert_array_equal(found.distances[q], [distance for distance, _ in pairs])
        assert_array_equal(found.rows[q], [row for _, row in pairs])


def make_scan(rng, codes, kind, bits, n_queries, sign):
    """Return a scan and distances, (n_queries, n_rows), of rows as codes stand."""
    rows = naive.unpack(codes, D)
    if kind == "floats":
        values = rng.standard_normal((n_queries, D)).astype(np.float32)
        offset, scale = make_scales(rng, len(codes), -1)
        levels = (1, 3) if bits == 2 else None
        least = np.full(n_queries, -np.inf)
        scan = dispatch.from_vectors(codes, values, levels, offset, scale, least, sign)
        return scan, naive.estimates(rows, values, levels or (1, 1), offset, scale)
    queries = make_codes(rng, n_queries, D, bits)
    costs = (1, 3) if bits == 1 else PENALTY if kind == "exact" else FINE_DOT
    scan = dispatch.tables_between_codes(codes, queries, costs, D)
    expected = naive.code_distances(rows, naive.unpack(queries, D), costs)
    return scan, expected


def check_lists(rng, sizes, kind, bits, where, n_queries, ks, sign=-1, share=0.7):
    n = sum(sizes)
    codes = make_codes(rng, n, D, bits)
    scan, distances = make_scan(rng, codes, kind, bits, n_queries, sign)
    listed = make_lists(rng, sizes, codes, bits, where)
    if where == "anywhere":
        distances = distances[:, listed.rows]
    mask, no_mask = (rng.random(n) < share).astype(np.uint8), np.empty(0, np.uint8)
    left_out = rng.integers(-1, n, n_queries)
    for k in ks:
        for some in (mask, no_mask):
            probed = make_probes(rng, len(sizes), n_queries)
            allowed = Allowed(read_only(left_out), read_only(some))
            check(scan, distances, listed, probed, k, allowed)


@pytest.mark.parametrize("where", ["in place", "lines", "anywhere"])
@pytest.mark.parametrize("n_queries", [1, 5, 9])
@pytest.mark.parametrize(
    ("kind", "bits"), [("exact", 1), ("exact", 2), ("rounded", 2), ("floats", 1)]
)
def test_lists_of_all_sizes(rng, kind, bits, n_queries, where):
    check_lists(rng, SIZES, kind, bits, where, n_queries, (1, 8))


@pytest.mark.parametrize("where", ["in place", "lines", "anywhere"])
@pytest.mark.parametrize("kind", ["exact", "floats"])
def test_more_rows_wanted_than_lists_have(rng, kind, where):
    check_lists(rng, [3, 0, 70], kind, 1, where, 3, (40, 90))


@pytest.mark.parametrize("where", ["in place", "lines", "anywhere"])
@pytest.mark.parametrize("n_queries", [1, 6])
def test_lists_whose_rows_no_bound_excludes(rng, where, n_queries):
    """Of scales with the other sign nothing is known: all rows are evaluated."""
    check_lists(rng, [150, 90, 7, 100], "floats", 1, where, n_queries, (2, 30), sign=1)


@pytest.mark.parametrize("kind", ["exact", "floats"])
@pytest.mark.parametrize("n", [1, 5])
def test_a_single_block(rng, kind, n):
    check_lists(rng, [n], kind, 1, "lines", 2, (1, 3))


@pytest.mark.parametrize("kind", ["exact", "floats"])
def test_a_single_row_that_does_not_count(rng, kind):
    """In a list, and where all rows are scanned."""
    check_lists(rng, [1], kind, 1, "in place", 2, (1, 2), share=0.0)
    codes = make_codes(rng, 1, D, 1)
    scan, _ = make_scan(rng, codes, kind, 1, 2, -1)
    found = nothing_found(2, 1)
    none = np.zeros(1, np.uint8)
    allowed = Allowed(read_only(np.full(2, -1)), read_only(none))
    scan.run(slice(0, 1), allowed, empty_heaps(*found))
    assert_array_equal(found.rows, [[-1], [-1]])


@pytest.mark.parametrize("kind", ["rounded", "floats"])
def test_few_rows_of_near_lists_count(rng, kind):
    """So that these give no first limit, or one by rows of several lists."""
    check_lists(rng, [30] * 6, kind, 2, "in place", 4, (1, 3, 20), share=0.1)


@pytest.mark.parametrize("where", ["in place", "anywhere"])
def test_lists_after_other_rows(rng, where):
    """Heaps that other rows have filled keep what is nearer."""
    codes = make_codes(rng, 100, D, 1)
    scan, distances = make_scan(rng, codes, "floats", 1, 3, -1)
    listed = make_lists(rng, [40, 60], codes, 1, where)
    if where == "anywhere":
        distances = distances[:, listed.rows]
    lists = np.array([[1, 0]] * 3, np.int32)
    zeros, ones = np.zeros(3, np.int64), np.ones(3, np.int64)
    allowed = Allowed(read_only(zeros - 1), read_only(np.empty(0, np.uint8)))
    found = nothing_found(3, 4)
    heaps = empty_heaps(*found)
    scan.run_lists(listed, Probed(lists, zeros, ones), allowed, heaps)
    scan.run_lists(listed, Probed(lists, ones, 2 * ones), allowed, heaps)
    sort_heaps(heaps)
    for q in range(3):
        order = np.lexsort((listed.rows, distances[q]))[:4]
        assert_array_equal(found.rows[q], listed.rows[order])
        assert_array_equal(found.distances[q], distances[q, order])
