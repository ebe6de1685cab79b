"""The portable kernels against the naive reference.

Also run with NUMBA_DISABLE_JIT=1, as plain Python: hence few widths and small n here;
all widths are in test_neighbors.py.
"""

from itertools import pairwise

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbq._kernels.popcount import push_block, sort_heaps
from skbq._search import code_distances, nearest, within
from skbq.codes import pack_codes

WIDTHS = [1, 2, 7, 8, 9, 31, 63, 64, 65, 100, 128, 130]
METRICS = ["hamming", "penalty", "dot"]

# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


def make(rng, n, d, bits, levels=(1.0, 3.0)):
    positive, strong = rng.random((2, n, d)) > 0.5
    if bits == 1:
        return (positive, np.zeros_like(strong)), pack_codes(positive)
    return (positive, strong), pack_codes(positive, strong, levels)


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 2])
def test_code_distances(rng, d, metric, bits):
    pair = (1, 1) if bits == 1 else (1.0, 3.0)
    rows, codes = make(rng, 9, d, bits)
    queries, query_codes = make(rng, 3, d, bits)
    block = code_distances(codes, query_codes, metric)
    expected = naive.code_distances(rows, queries, metric, pair)
    assert_array_equal(block(slice(0, 9), slice(0, 3)), expected)
    assert_array_equal(block(slice(4, 7), slice(1, 2)), expected[1:2, 4:7])


@pytest.mark.parametrize("levels", [(0.4528, 1.5104), (0.0, 1.0), (1.0, 2.0)])
def test_dot_with_any_levels(rng, levels):
    rows, codes = make(rng, 9, 65, 2, levels)
    queries, query_codes = make(rng, 3, 65, 2, levels)
    got = code_distances(codes, query_codes, "dot")(slice(0, 9), slice(0, 3))
    expected = naive.code_distances(rows, queries, "dot", levels)
    assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert (got >= 0).all()


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9]])
def test_heaps_keep_the_nearest_lower_rows_first(rng, k, cuts):
    block = rng.integers(0, 3, size=(4, 12)).astype(float)
    left_out = np.array([-1, 0, 5, 11])
    found = np.full((4, min(k, 11)), np.inf)
    rows = np.full(found.shape, np.iinfo(np.int64).max)
    edges = [0, *cuts, 12]
    parts = list(pairwise(edges))
    for start, stop in rng.permutation(parts):
        push_block(block[:, start:stop].copy(), start, left_out, found, rows)
    sort_heaps(found, rows)
    for q in range(4):
        order = [r for r in np.argsort(block[q], kind="stable") if r != left_out[q]]
        assert_array_equal(rows[q], order[: found.shape[1]])
        assert_array_equal(found[q], block[q][rows[q]])


def test_infinite_distances_are_found_too():
    distances = np.array([[np.inf, 1.0, np.inf]])
    found, rows = nearest(lambda r, q: distances[q, r], 3, 1, 3)
    assert_array_equal(rows, [[1, 0, 2]])
    assert_array_equal(found, [[1, np.inf, np.inf]])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_within(rng, n_jobs):
    distances = rng.integers(0, 5, size=(6, 40)).astype(float)
    found, rows = within(
        lambda r, q: distances[q, r],
        40,
        6,
        2.0,
        left_out=np.arange(6),
        n_jobs=n_jobs,
    )
    for q in range(6):
        expected = [r for r in range(40) if distances[q, r] <= 2 and r != q]
        assert_array_equal(rows[q], expected)
        assert_array_equal(found[q], distances[q, expected])
