"""Search over codes against the naive reference, for few widths and small n.

CI also runs this file with NUMBA_DISABLE_JIT=1, as plain Python, and with every
instruction set that the machine has. All widths are in test_neighbors.py.
"""

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbq._neighbors.brute_force import (
    CodeComparison,
    Eligible,
    EstimateComparison,
    nearest,
    within,
)
from skbq._neighbors.float_queries import measure_distortion
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
def test_nearest_codes(rng, d, metric, bits):
    pair = (1, 1) if bits == 1 else (1.0, 3.0)
    rows, codes = make(rng, 9, d, bits)
    queries, query_codes = make(rng, 3, d, bits)
    distances = naive.code_distances(rows, queries, metric, pair)
    found = nearest(CodeComparison(codes, query_codes, metric), 6)
    for got, expected in zip(found, naive.nearest(distances, 6), strict=True):
        assert_array_equal(got, expected)


@pytest.mark.parametrize("levels", [(0.4528, 1.5104), (0.0, 1.0), (1.0, 2.0)])
def test_dot_with_any_levels(rng, levels):
    rows, codes = make(rng, 9, 65, 2, levels)
    queries, query_codes = make(rng, 3, 65, 2, levels)
    expected = naive.code_distances(rows, queries, "dot", levels)
    found, where = nearest(CodeComparison(codes, query_codes, "dot"), 9)
    assert_allclose(found, np.sort(expected, axis=1), rtol=1e-12, atol=1e-12)
    assert_allclose(np.take_along_axis(expected, where, axis=1), found, atol=1e-12)
    assert (found >= 0).all()


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("d", [1, 8, 65, 130])
def test_float_queries(rng, d, bits):
    rows, codes = make(rng, 40, d, bits)
    queries = rng.standard_normal((5, d)).astype(np.float32)
    scale, offset = rng.standard_normal((2, 40)).astype(np.float32)
    values = naive.levels(*rows, 1.0, 3.0 if bits == 2 else 1.0)
    expected = offset + scale * (queries.astype(np.float64) @ values.T)
    found, where = nearest(EstimateComparison(codes, scale, offset, queries), 7)
    assert_allclose(found, np.sort(expected, axis=1)[:, :7], rtol=1e-12)
    assert_allclose(np.take_along_axis(expected, where, axis=1), found, rtol=1e-12)


@pytest.mark.parametrize("bits", [1, 2])
def test_what_does_not_count(rng, bits):
    rows, codes = make(rng, 40, 9, bits)
    pair = (1, 1) if bits == 1 else (1.0, 3.0)
    distances = naive.code_distances(rows, rows, "hamming", pair)
    mask = rng.random(40) > 0.7
    left_out = np.arange(40)
    left_out[::3] = -1
    comparison = CodeComparison(codes, codes, "hamming")
    for n_jobs in (1, 2, 5):
        eligible = Eligible(left_out, mask)
        found, where = nearest(comparison, 20, eligible, n_jobs=n_jobs)
        for q in range(40):
            order = [
                r
                for r in np.argsort(distances[q], kind="stable")
                if mask[r] and r != left_out[q]
            ]
            n = min(20, len(order))
            assert_array_equal(where[q], order[:n] + [-1] * (20 - n))
            expected = [*distances[q, order[:n]], *[np.inf] * (20 - n)]
            assert_array_equal(found[q], expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("radius", [-1.0, 0.0, 3.0, 3.5, 1e9, np.inf])
def test_within(rng, n_jobs, radius):
    rows, codes = make(rng, 40, 9, 1)
    distances = naive.code_distances(rows, rows, "hamming")
    found, where = within(
        CodeComparison(codes, codes, "hamming"),
        np.full(40, radius),
        Eligible(np.arange(40)),
        n_jobs=n_jobs,
    )
    for q in range(40):
        expected = [r for r in range(40) if distances[q, r] <= radius and r != q]
        assert_array_equal(where[q], expected)
        assert_array_equal(found[q], distances[q, expected])


@pytest.mark.parametrize("n_queries", [1, 60])
def test_rows_are_cut(rng, n_queries, monkeypatch):
    """For single queries, and where rows are many for each neighbor."""
    monkeypatch.setattr("skbq._neighbors.brute_force._ROWS_PER_NEIGHBOR", 0)
    rows, codes = make(rng, 101, 7, 1)  # many ties across the cut
    queries, query_codes = make(rng, n_queries, 7, 1)
    distances = naive.code_distances(rows, queries, "hamming")
    for n_jobs in (1, 2, 3):
        found = nearest(
            CodeComparison(codes, query_codes, "hamming"), 40, n_jobs=n_jobs
        )
        for got, expected in zip(found, naive.nearest(distances, 40), strict=True):
            assert_array_equal(got, expected)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "e"), [(1, 1), (3, 2), (65, 65), (130, 64)])
def test_change_by_steps(rng, metric, dtype, d, e):
    rows = rng.standard_normal((7, d)).astype(dtype)
    rows[3] = rows[4] = 0  # of no size: left out
    seen = rows[:, :e] * dtype(1.25)
    for n in (0, 1, 2, 7):
        expected = naive.largest_change(rows[:n], seen[:n], metric)
        got = measure_distortion(rows[:n], seen[:n], metric)
        assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
        assert measure_distortion(rows[:n], rows[:n], metric) == 0
    # Relative to a square that overflowed nothing is small.
    rows = rows.astype(np.float64)
    rows[5] = 1e200
    with np.errstate(all="ignore"):  # compiled, it says nothing
        assert not measure_distortion(rows, rows[:, :e] * 2, metric) <= 1
