"""Searches of a few short rows against plain numpy and against each other.

Quick in plain Python as well (NUMBA_DISABLE_JIT=1), where mutants of kernels are tried.
"""

import naive_lookup as naive
import numpy as np
import pytest
from helpers import check_same
from numpy.testing import assert_allclose, assert_array_equal
from test_kernels_lookup import nearest
from test_kernels_mixed import COUNTS, make_scan

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer, TwoBitQuantizer

# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:skbq"),
]
INDEXES = {
    "hamming": {"quantizer": BinaryQuantizer()},
    "dot": {"metric": "euclidean"},
    "penalty": {"code_metric": "penalty"},
    "uneven levels": {"quantizer": TwoBitQuantizer(levels="lloyd_max")},
    "one bit, floats": {"quantizer": BinaryQuantizer(), "query": "vectors"},
    "floats": {"query": "vectors", "metric": "euclidean"},
    "inner product": {"query": "vectors", "metric": "inner_product"},
    "exact corrections": {"query": "vectors", "corrections": "exact"},
    "no corrections": {"query": "vectors", "corrections": False},
    "reranked": {"query": "vectors", "oversampling": 2},
    "mixed depths": {"quantizer": PCAQuantizer(2, random_state=0), "query": "vectors"},
}
LISTS = {"algorithm": "ivf", "n_lists": 3, "n_probes": 3, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    X = np.random.default_rng(0).standard_normal((24, 9)).astype(np.float32)
    X[20:] = X[:4]  # ties
    return X


@pytest.mark.parametrize("n_queries", [1, 9])
@pytest.mark.parametrize("name", INDEXES)
def test_all_lists_find_what_brute_force_finds(X, name, n_queries):
    plain = BinaryNeighbors(**INDEXES[name]).fit(X)
    lists = BinaryNeighbors(**INDEXES[name], **LISTS).fit(X)
    queries = X[3 : 3 + n_queries] + np.float32(0.1)
    mask = np.arange(24) % 5 != 1
    for k, allowed in ((1, None), (5, mask), (24, None)):
        check_same(
            lists.kneighbors(queries, k, mask=allowed),
            plain.kneighbors(queries, k, mask=allowed),
        )
    radius = float(np.median(plain.kneighbors(queries, 24)[0]))
    for mine, theirs in zip(
        lists.radius_neighbors(queries, radius),
        plain.radius_neighbors(queries, radius),
        strict=True,
    ):
        for one, other in zip(mine, theirs, strict=True):
            assert_array_equal(np.sort(one), np.sort(other))


@pytest.mark.parametrize("name", ["hamming", "floats", "mixed depths", "uneven levels"])
@pytest.mark.parametrize("n_queries", [1, 6])
def test_lists_of_several_blocks(rng, name, n_queries):
    """Of more rows than a block has, with ties across blocks, and added rows."""
    X = rng.standard_normal((140, 9)).astype(np.float32)
    X[70:] += 2
    X[105:] = X[70:105]
    plain = BinaryNeighbors(**INDEXES[name]).fit(X[:130])
    lists = BinaryNeighbors(**INDEXES[name], **{**LISTS, "n_lists": 2}).fit(X[:130])
    for index in (plain, lists):
        index.partial_fit(X[130:])
    queries = X[67 : 67 + n_queries] + np.float32(0.1)
    for k, allowed in ((3, None), (70, np.arange(140) % 3 > 0)):
        check_same(
            lists.kneighbors(queries, k, mask=allowed),
            plain.kneighbors(queries, k, mask=allowed),
        )


@pytest.mark.parametrize("name", ["hamming", "floats"])
def test_many_short_lists(rng, name):
    """Of which several are searched before there is a limit; some have one row."""
    X = rng.standard_normal((60, 9)).astype(np.float32)
    plain = BinaryNeighbors(**INDEXES[name]).fit(X)
    lists = BinaryNeighbors(**INDEXES[name], **{**LISTS, "n_lists": 20, "n_probes": 60})
    lists.fit(X)
    assert 1 in lists.list_sizes_
    queries = X[:9] + np.float32(0.1)
    for k in (1, 4, 25):
        check_same(lists.kneighbors(queries, k), plain.kneighbors(queries, k))


@pytest.mark.parametrize("counts", COUNTS[:4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_codes_of_mixed_depth(rng, counts, sign):
    scan, distances = make_scan(rng, counts, n=20, n_queries=3, sign=sign)
    # In plain Python sums are those of float64: test_kernels_mixed.py has exact ones.
    for k in (1, 20):
        found, rows = nearest(scan, k)
        expected, order = naive.nearest(distances, k)
        assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        assert_array_equal(rows, order)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_reranked_by_all_vectors_is_exact(X, metric):
    """Every row is a candidate, so that codes decide nothing."""
    index = BinaryNeighbors(metric=metric, oversampling=24).fit(X)
    distances, rows = index.kneighbors(X[:5] + np.float32(0.2), 6)
    rows_of, asked = X.astype(float), (X[:5] + np.float32(0.2)).astype(float)
    if metric == "cosine":
        rows_of /= np.linalg.norm(rows_of, axis=1, keepdims=True)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    exact = -asked @ rows_of.T
    if metric == "cosine":
        exact += 1
    if metric == "euclidean":
        exact = np.linalg.norm(asked[:, None] - rows_of, axis=2)
    order = np.argsort(exact, axis=1, kind="stable")[:, :6]
    expected = np.take_along_axis(exact, order, axis=1)
    assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
    assert_array_equal(rows, order)
