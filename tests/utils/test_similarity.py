"""Exact distances against plain numpy, near the limits of floats too."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbq._neighbors.brute_force import rerank
from skbq._utils.similarity import (
    distances,
    distances_of_pairs,
    distances_to,
    similarities,
    unit_norm,
)

METRICS = ["cosine", "euclidean", "inner_product"]


def naive(x, y, metric):
    """Distance of two vectors in exact arithmetic, but for the roots at the end."""
    x, y = ([Fraction(float(v)) for v in z] for z in (x, y))
    product = sum(a * b for a, b in zip(x, y, strict=True))
    if metric == "inner_product":
        return -float(product)
    if metric == "euclidean":
        return root(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    squares = sum(a * a for a in x) * sum(b * b for b in y)
    if squares == 0:
        return 1.0
    # 1 - p / n = (n^2 - p^2) / (n (n + p))
    cosine = root(abs(product) ** 2 / squares) * (1 if product > 0 else -1)
    return float(1 - product**2 / squares) / (1 + cosine) if cosine > 0 else 1 - cosine


def root(square):
    """The square root of a fraction, whatever its size."""
    if square == 0:
        return 0.0
    shift = (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    return float(float(square / Fraction(4) ** shift) ** 0.5 * Fraction(2) ** shift)


@pytest.fixture
def pairs(rng):
    X = rng.standard_normal((30, 13)) + 0.2
    X[7] = X[3]
    return X, np.concatenate([rng.standard_normal((3, 13)), X[3:4], 3 * X[5:6]])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_distances_of_pairs(pairs, metric, dtype, order):
    X, Y = ((5 * x).astype(dtype, order=order) for x in pairs)
    expected = [[naive(x, y, metric) for x in X] for y in Y]
    everything = np.tile(np.arange(30), (5, 1))
    found = distances_of_pairs(X, Y, everything, metric)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    if metric != "inner_product":
        assert (found >= 0).all()
        assert_array_equal(found[3, [3, 7]], 0)
    assert_allclose(distances(Y, X, metric), expected, rtol=1e-12, atol=1e-6)
    # Whatever else is computed: the same bits.
    for q, y in enumerate(Y):
        assert_array_equal(distances_to(X, y, metric), found[q])
    some = np.array([[2, -1, 29]] * 5)
    again = distances_of_pairs(X, Y, some, metric)
    assert_array_equal(again[:, [0, 2]], found[:, [2, 29]])
    assert_array_equal(again[:, 1], np.inf)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-300, 1e-155, 1e-100, 1e80, 1e153, 1e300])
def test_scale_of_vectors(pairs, metric, scale):
    X, Y = pairs
    everything = np.tile(np.arange(30), (5, 1))
    expected = distances_of_pairs(X, Y, everything, metric)
    power = 2.0 ** round(np.log2(scale))  # changes no digit
    with np.errstate(over="ignore", under="ignore"):
        units = {"cosine": 1, "euclidean": power, "inner_product": power * power}
        expected = expected * units[metric]
    found = distances_of_pairs(X * power, Y * power, everything, metric)
    if metric == "inner_product":
        assert_allclose(found, expected, rtol=1e-14)
        small = distances_of_pairs(X / 1024, Y / power, everything, metric)
        big = distances_of_pairs(X * (power / 1024), Y / power, everything, metric)
        assert_allclose(big / power, small, rtol=1e-14) if scale < 1e150 else None
    else:
        assert_array_equal(found, expected)
    if metric == "cosine":
        lengths = np.logspace(-150, 150, 30)[:, None]
        mixed = distances_of_pairs(X * lengths, Y, everything, metric)
        assert_allclose(mixed, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("offset", [100, 1e4, 1e7])
def test_nearly_parallel_vectors_keep_their_digits(rng, offset):
    X = rng.standard_normal((20, 24)) + offset
    expected = [[naive(x, y, "cosine") for x in X] for y in X[:4]]
    everything = np.tile(np.arange(20), (4, 1))
    found = distances_of_pairs(X, X[:4], everything, "cosine")
    assert_allclose(found, expected, rtol=1e-16 * offset * 50, atol=1e-31)
    matrix = distances(X[:4], X, "cosine")
    assert_allclose(matrix, expected, rtol=1e-15 * offset * 50, atol=1e-20)
    same = np.arange(4)
    assert_array_equal(found[same, same], 0)


def test_parallel_vectors_are_at_distance_0(rng):
    X = np.outer([1.0, 3.0, 1e5, 7e-90, 11.0], rng.standard_normal(50))
    everything = np.tile(np.arange(5), (5, 1))
    assert_array_equal(distances_of_pairs(X, X, everything, "cosine"), 0)


def test_zero_vectors(pairs):
    X, Y = pairs[0].copy(), pairs[1].copy()
    X[2] = Y[1] = 0
    expected = [[naive(x, y, "cosine") for x in X] for y in Y]
    everything = np.tile(np.arange(30), (5, 1))
    assert_allclose(distances(Y, X, "cosine"), expected, atol=1e-15)
    assert_allclose(distances_of_pairs(X, Y, everything, "cosine"), expected, atol=1e-8)
    assert_array_equal(distances(Y, X, "cosine")[1], 1)
    assert_array_equal(distances_of_pairs(X, Y, everything, "cosine")[:, 2], 1)


@pytest.mark.parametrize("k", [1, 4, 30])
def test_reranking_keeps_the_lower_of_equal_rows(rng, k):
    X = rng.integers(-2, 3, (40, 3)).astype(np.float32)  # most distances tie
    candidates = np.array([rng.permutation(40)[:25] for _ in range(9)])
    candidates[2, 5:] = -1
    candidates[3] = -1
    for metric in METRICS:
        found, rows = rerank(X, X[:9] + 1, candidates, metric, k)
        for q in range(9):
            some = np.sort(candidates[q][candidates[q] >= 0])
            near = distances_to(X[some], X[q] + 1, metric)
            order = np.argsort(near, kind="stable")[:k]
            assert_array_equal(rows[q, : len(order)], some[order])
            assert_array_equal(found[q, : len(order)], near[order])
            assert_array_equal(rows[q, len(order) :], -1)
            assert_array_equal(found[q, len(order) :], np.inf)


def test_similarities(pairs):
    X, Y = pairs
    assert_allclose(similarities(Y, X, "inner_product"), Y @ X.T)
    squared = np.square(Y[:, None] - X).sum(axis=2)
    assert_allclose(similarities(Y, X, "euclidean"), -squared, atol=1e-13)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (Y, X)]
    assert_allclose(similarities(Y, X, "cosine"), unit[0] @ unit[1].T, atol=1e-15)
    assert similarities(Y, X, "cosine", dtype=np.float32).dtype == np.float32


def test_unit_norm(pairs):
    X = pairs[0]
    for scale in (1e-300, 1.0, 1e300):
        norms = np.linalg.norm(unit_norm(X * scale), axis=1)
        assert_allclose(norms, 1, rtol=1e-15)
    assert unit_norm(X.astype(np.float16)).dtype == np.float32
    assert unit_norm(X.astype(np.float32), np.float64).dtype == np.float64
    assert_array_equal(unit_norm(np.zeros((2, 3))), 0)


@pytest.mark.parametrize("d", [1, 15, 16, 45])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_reranking_gives_the_bits_of_distances_of_pairs(rng, d, dtype):
    X = (3 * rng.standard_normal((50, d))).astype(dtype)
    X[7] = X[3]
    Y = X[:4] + rng.standard_normal((4, d))
    candidates = np.array([rng.permutation(50)[:30] for _ in Y])
    candidates[1, ::3] = -1
    for metric in METRICS:
        near = distances_of_pairs(X, Y, candidates, metric)
        same = distances_of_pairs(X.astype(np.float64), Y, candidates, metric)
        assert_array_equal(near, same)  # extended, no digit changes
        found, rows = rerank(X, Y, candidates, metric, 12)
        for q in range(4):
            order = np.lexsort((candidates[q], near[q]))[:12]
            assert_array_equal(found[q], near[q, order])
            assert_array_equal(rows[q], candidates[q, order])


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("metric", METRICS)
def test_reranking_of_squares_that_overflow(rng, size, metric):
    X = (rng.standard_normal((20, 33)) * size).astype(np.float32)
    Y, candidates = X[:2] * 1.5, np.tile(np.arange(20), (2, 1))
    found, rows = rerank(X, Y, candidates, metric, 20)
    for q in range(2):
        expected = [naive(x, Y[q], metric) for x in X[rows[q]]]
        assert_allclose(found[q], expected, rtol=1e-12, atol=1e-15)
