"""Codes of skbq in the binary indexes of other libraries, and theirs in skbq."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from transformers_packing import quantization_module

from skbq import BinaryNeighbors, BinaryQuantizer, as_codes

# 100 coordinates leave 4 bits of padding, which no engine may count.
N_FEATURES, K = 100, 7
WIDTH = 8 * -(-N_FEATURES // 8)


@pytest.fixture
def X(rng):
    return rng.standard_normal((300, N_FEATURES)).astype(np.float32)


@pytest.fixture
def queries(rng):
    return rng.standard_normal((20, N_FEATURES)).astype(np.float32)


@pytest.fixture
def codes(X):
    return BinaryQuantizer().fit(X).transform(X)


@pytest.fixture
def query_codes(X, queries):
    return BinaryQuantizer().fit(X).transform(queries)


def assert_same_neighbors(distances, rows, codes, query_codes):
    """Compare with skbq's own search; among equal distances any row may come."""
    index = BinaryNeighbors(K).fit(codes)
    ours, our_rows = index.kneighbors(query_codes)
    assert_array_equal(distances, ours)
    for mine, theirs, counts in zip(our_rows, rows, ours, strict=True):
        sure = counts < counts[-1]
        assert set(mine[sure]) == set(np.asarray(theirs)[sure])


# faiss


def test_faiss_flat(codes, query_codes):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryFlat(WIDTH)
    index.add(np.asarray(codes))
    distances, rows = index.search(np.asarray(query_codes), K)
    assert_same_neighbors(distances, rows, codes, query_codes)


def test_faiss_inverted_file(codes, query_codes):
    faiss = pytest.importorskip("faiss")
    coarse = faiss.IndexBinaryFlat(WIDTH)
    index = faiss.IndexBinaryIVF(coarse, WIDTH, 4)
    index.train(np.asarray(codes))
    index.add(np.asarray(codes))
    index.nprobe = 4
    distances, rows = index.search(np.asarray(query_codes), K)
    assert_same_neighbors(distances, rows, codes, query_codes)


def test_faiss_radius(codes, query_codes):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryFlat(WIDTH)
    index.add(np.asarray(codes))
    # faiss leaves the boundary out.
    limits, _, rows = index.range_search(np.asarray(query_codes), 41)
    theirs = [set(part) for part in np.split(rows, limits[1:-1])]
    mine = BinaryNeighbors(radius=40).fit(codes).radius_neighbors(query_codes)[1]
    assert [set(rows) for rows in mine] == theirs
    assert sum(map(len, theirs)) > len(theirs)


def test_codes_that_lie_in_a_faiss_index(codes, query_codes):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryFlat(WIDTH)
    index.add(np.asarray(codes))
    stored = faiss.vector_to_array(index.xb).reshape(index.ntotal, -1)
    wrapped = as_codes(stored, n_features=N_FEATURES)
    assert_array_equal(wrapped, codes)
    for got, expected in zip(
        BinaryNeighbors(K).fit(wrapped).kneighbors(query_codes),
        BinaryNeighbors(K).fit(codes).kneighbors(query_codes),
        strict=True,
    ):
        assert_array_equal(got, expected)


def test_bits_that_faiss_packs(X):
    """``real_to_binary`` puts the first coordinate into the lowest bit."""
    faiss = pytest.importorskip("faiss")
    padded = np.pad(X, ((0, 0), (0, WIDTH - N_FEATURES)))
    packed = np.empty((len(X), WIDTH // 8), np.uint8)
    faiss.real_to_binary(
        padded.size,
        faiss.swig_ptr(np.ascontiguousarray(padded)),
        faiss.swig_ptr(packed),
    )
    bits = np.unpackbits(packed, axis=1, bitorder="little")[:, :N_FEATURES]
    codes = as_codes(np.packbits(bits, axis=1), n_features=N_FEATURES)
    assert_array_equal(codes, BinaryQuantizer("zero").fit(X).transform(X))


# usearch


def test_usearch(codes, query_codes):
    usearch = pytest.importorskip("usearch.index")
    index = usearch.Index(
        ndim=WIDTH, metric=usearch.MetricKind.Hamming, dtype=usearch.ScalarKind.B1
    )
    index.add(np.arange(len(codes)), np.asarray(codes))
    matches = index.search(np.asarray(query_codes), K, exact=True)
    assert_same_neighbors(matches.distances, matches.keys, codes, query_codes)
    # A graph differs from one build to the next and may miss some rows, but what it
    # finds is as far away as skbq counts.
    found = index.search(np.asarray(query_codes), K)
    ours, rows = BinaryNeighbors(len(codes)).fit(codes).kneighbors(query_codes)
    counted = np.empty_like(ours)
    np.put_along_axis(counted, rows, ours, axis=1)
    assert_array_equal(
        found.distances, np.take_along_axis(counted, found.keys.astype(int), axis=1)
    )


def test_usearch_without_an_index(codes, query_codes):
    usearch = pytest.importorskip("usearch.index")
    matches = usearch.search(
        np.asarray(codes),
        np.asarray(query_codes),
        K,
        usearch.MetricKind.Hamming,
        exact=True,
        dtype=usearch.ScalarKind.B1,
    )
    assert_same_neighbors(matches.distances, matches.keys, codes, query_codes)


# sentence-transformers


def numpy_packing(embeddings, precision):
    """Pack as sentence-transformers says that it does."""
    packed = np.packbits(embeddings > 0, axis=-1)
    return packed if precision == "ubinary" else (packed.astype(int) - 128).astype("i1")


@pytest.fixture(params=["the package", "numpy"])
def quantize_embeddings(request):
    if request.param == "numpy":
        return numpy_packing
    try:
        return quantization_module().quantize_embeddings
    except ImportError:
        pytest.skip("sentence-transformers is not installed")


@pytest.mark.parametrize("precision", ["ubinary", "binary"])
def test_bytes_of_sentence_transformers(X, queries, quantize_embeddings, precision):
    quantizer = BinaryQuantizer("zero").fit(X)
    theirs = quantize_embeddings(X, precision)
    assert theirs.dtype == ("uint8" if precision == "ubinary" else "int8")
    codes = as_codes(theirs, n_features=N_FEATURES)  # int8 is shifted by 128
    assert_array_equal(codes, quantizer.transform(X))
    index = BinaryNeighbors(K).fit(codes)
    expected = BinaryNeighbors(K, quantizer=quantizer).fit(X)
    assert_array_equal(
        index.kneighbors(quantizer.transform(queries))[1],
        expected.kneighbors(queries)[1],
    )
