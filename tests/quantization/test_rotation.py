import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import block_diag, hadamard

from skbq import RandomRotation

METHODS = ["haar", "dct", "hadamard"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [1, 2, 3, 7, 32, 100, 384])
def test_orthogonal(method, d):
    Q = RandomRotation(method, random_state=0).fit(np.zeros((1, d))).matrix()
    assert_allclose(Q @ Q.T, np.eye(d), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_and_dtype(rng, method, dtype):
    X = rng.standard_normal((50, 96)).astype(dtype)
    rotation = RandomRotation(method, random_state=0).fit(X)
    rotated = rotation.transform(X)
    assert rotated.dtype == dtype
    back = rotation.inverse_transform(rotated)
    assert back.dtype == dtype
    assert_allclose(back, X, atol=1e-5 if dtype == np.float32 else 1e-12)
    assert_allclose(rotated, X @ rotation.matrix(), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_does_not_depend_on_its_neighbours(rng, method, dtype):
    X = rng.standard_normal((70, 384)).astype(dtype)
    rotation = RandomRotation(method, random_state=0).fit(X)
    rotated = rotation.transform(X)
    for rows in (slice(0, 1), slice(33, 34), slice(5, 36), slice(69, 70)):
        assert_array_equal(rotation.transform(X[rows]), rotated[rows])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float16, np.float32),
        (np.int8, np.float32),
        (np.int64, np.float64),
        (np.longdouble, np.float64),
    ],
)
def test_other_types_become_floats(rng, given, expected):
    X = (rng.standard_normal((5, 8)) * 10).astype(given)
    rotation = RandomRotation(random_state=0).fit(X)
    assert rotation.transform(X).dtype == expected


@pytest.mark.parametrize("method", METHODS)
def test_entries_have_the_moments_of_haar(method):
    """E q^2 = 1/d and d^2 E q^4 = 3 d / (d + 2); three rounds come within 5 %."""
    d = 128
    Q = [RandomRotation(method, random_state=s).fit(np.zeros((1, d))) for s in range(9)]
    entries = np.stack([rotation.matrix() for rotation in Q])
    assert_allclose(d * np.mean(entries**2), 1, rtol=1e-6)
    assert_allclose(d**2 * np.mean(entries**4), 3 * d / (d + 2), rtol=0.05)
    assert np.sqrt(d) * np.abs(entries).max() > 3.5  # one round stops at sqrt(2)


@pytest.mark.parametrize("d", [1, 2, 7, 24, 64, 100])
def test_hadamard_is_what_it_says(rng, d):
    rotation = RandomRotation("hadamard", random_state=0).fit(np.zeros((1, d)))
    sizes = [2**bit for bit in range(7, -1, -1) if d & 2**bit]
    transform = block_diag(*(hadamard(size) / np.sqrt(size) for size in sizes))
    X = expected = rng.standard_normal((17, d))
    for signs, order in zip(rotation.signs_, rotation.orders_, strict=True):
        expected = (expected[:, order] * signs) @ transform
    assert_allclose(rotation.transform(X), expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_rotated_variances_spread_as_under_haar(method):
    """Var(q' S q) = 2 (d tr S^2 - (tr S)^2) / (d^2 (d + 2)) for Haar."""
    d = 128
    spectrum = 1.0 / np.arange(1, d + 1)
    expected = 2 * (d * np.sum(spectrum**2) - spectrum.sum() ** 2) / (d**2 * (d + 2))
    spread = []
    for seed in range(40):
        Q = RandomRotation(method, random_state=seed).fit(np.zeros((1, d))).matrix()
        spread.append(np.var(spectrum @ Q**2))
    standard_error = np.std(spread) / np.sqrt(len(spread))
    assert abs(np.mean(spread) - expected) < 4 * standard_error


def test_haar_is_uniform():
    """Without the sign correction the diagonal of Q would lean to one side."""
    first = [
        RandomRotation(random_state=s).fit(np.zeros((1, 4))).matrix()[0, 0]
        for s in range(500)
    ]
    assert abs(np.mean(first)) < 4 * 0.5 / np.sqrt(500)


def test_seed(rng):
    X = rng.standard_normal((4, 16))
    for method in METHODS:
        a, b, c = (
            RandomRotation(method, random_state=s).fit_transform(X) for s in (0, 0, 1)
        )
        assert_array_equal(a, b)
        assert not np.allclose(a, c)


def test_unknown_method(rng):
    with pytest.raises(ValueError, match="one of .'dct', 'haar', .*Got 'givens'"):
        RandomRotation("givens").fit(rng.standard_normal((3, 4)))


def test_unfitted():
    with pytest.raises(ValueError, match="not fitted"):
        RandomRotation().matrix()
