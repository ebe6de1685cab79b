"""PCAQuantizer: axes, bits, codes against a slow twin, what it refuses."""

import pickle

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from skbq import BinaryQuantizer, PCAQuantizer, as_codes
from skbq._kernels import projection
from skbq._kernels.memory import read_only
from skbq._quantization.allocation import allocate, normal_distortion, normal_levels
from skbq._quantization.correction_range import (
    CodeProducts,
    Prediction,
    known_of_codes,
)
from skbq.codes import is_codes


def make_rows(rng, n=600, d=24, decay=1.0):
    """Rows with variances that fall as a power, turned at random, off the origin."""
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    spread = np.arange(1, d + 1) ** -decay
    return (rng.standard_normal((n, d)) * spread) @ axes + 3.0


@pytest.fixture
def rows(rng):
    return make_rows(rng)


# Levels and bits.


def test_levels_are_those_of_lloyd_and_max():
    # Max (1960), table I.
    assert_allclose(normal_levels(1), [-0.7980, 0.7980], atol=2e-4)
    assert_allclose(normal_levels(2)[2:], [0.4528, 1.510], atol=5e-4)
    of_16 = [0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733]
    assert_allclose(normal_levels(4)[8:], of_16, atol=5e-4)
    errors = [normal_distortion(depth) for depth in (0, 1, 2, 4)]
    assert_allclose(errors, [1, 0.3634, 0.1175, 0.009497], atol=2e-5)
    assert normal_distortion(8) < 2e-4


def test_levels_are_best(rng):
    x = rng.standard_normal(200_000)
    for depth in (1, 2, 4, 8):
        levels = np.array(normal_levels(depth))
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, x)
        error = np.square(x - levels[nearest]).mean()
        assert_allclose(error, normal_distortion(depth), rtol=0.05)


@pytest.mark.parametrize("max_depth", [1, 2, 4, 8])
@pytest.mark.parametrize("exponent", [0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("d", [1, 3, 8, 21, 100])
def test_bits_fill_whole_nibbles(rng, d, exponent, max_depth):
    variances = np.sort(rng.pareto(1, d))[::-1]
    for share in (0.1, 0.5, 1, 1.37, max_depth):
        if share > max_depth:
            continue
        n_bits = min(8 * -(-int(np.ceil(share * d)) // 8), max_depth * d)
        depths = allocate(variances, n_bits, exponent, max_depth)
        assert (np.diff(depths) <= 0).all()
        assert depths.max() <= max_depth
        nibbles = sum(-(-(depths == b).sum() * b // 4) for b in (8, 4, 2, 1))
        assert nibbles <= 2 * -(-n_bits // 8)
        assert depths.sum() >= n_bits - 3


def test_bits_make_the_error_small(rng):
    """Moving bits between two axes gains no more than whole nibbles may cost."""
    variances = np.sort(rng.pareto(1.5, 40))[::-1]
    depths = allocate(variances, 80, 1.0, 4)

    def error(depths):
        return sum(
            v * normal_distortion(b) for v, b in zip(variances, depths, strict=True)
        )

    steps = {0: 1, 1: 2, 2: 4}
    back = {1: 0, 2: 1, 4: 2}
    for up in range(40):
        for down in range(40):
            other = depths.tolist()
            if up == down or other[up] not in steps or other[down] not in back:
                continue
            gained = steps[other[up]] - other[up]
            other[up] = steps[other[up]]
            lost = other[down] - back[other[down]]
            other[down] = back[other[down]]
            if gained == lost:
                assert error(other) >= 0.98 * error(depths.tolist())


def test_exponent_zero_treats_all_axes_alike(rows):
    quantizer = PCAQuantizer(bits=1, exponent=0, random_state=0).fit(rows)
    assert_array_equal(quantizer.depths_, np.ones(24))
    assert quantizer.n_bytes_ == 3 + quantizer.correction_bytes_


def test_at_exponent_zero_each_axis_has_its_share_of_fewer_bits(rows):
    """Coordinates that are kept are of all axes, not of those of most variance."""
    quantizer = PCAQuantizer(bits=1 / 3, exponent=0, random_state=0).fit(rows)
    assert_array_equal(quantizer.depths_, np.ones(8))
    components = quantizer.components_.astype(float)
    assert_allclose(components @ components.T, np.eye(8), atol=1e-5)
    variances = quantizer.explained_variance_
    assert_allclose(quantizer.layout_.scales**2, variances.mean(), rtol=1e-4)
    found = projected(quantizer, rows).var(axis=0).mean()
    leading = PCAQuantizer(1 / 3, exponent=0.5, max_depth=1, random_state=0).fit(rows)
    assert_allclose(leading.layout_.scales**2, variances[:8].mean(), rtol=1e-4)
    assert found < 0.7 * projected(leading, rows).var(axis=0).mean()
    plain = PCAQuantizer(bits=1 / 3, exponent=0, rotation=None).fit(rows)
    assert_allclose(plain.layout_.scales**2, variances[:8], rtol=1e-4)


def test_at_exponent_zero_coordinates_of_all_depths_are_alike(rows):
    quantizer = PCAQuantizer(bits=1.5, exponent=0, random_state=0).fit(rows)
    assert set(quantizer.depths_) == {1, 2}
    scales = quantizer.layout_.scales
    assert_allclose(scales, scales[0])


def test_at_exponent_zero_directions_without_variance_have_no_share(rng):
    X = make_rows(rng, d=24)
    X[:, ::4] = 7.0
    for rotation in ("haar", "hadamard", "dct"):
        settings = {"exponent": 0, "rotation": rotation, "random_state": 0}
        quantizer = PCAQuantizer(1 / 3, **settings).fit(X)
        assert_allclose(quantizer.components_[:, ::4], 0, atol=1e-5)
        assert_allclose(np.linalg.norm(quantizer.components_, axis=1), 1, rtol=1e-5)


def test_rows_of_few_axes_each_are_found_with_few_bits(rng):
    """Of such rows, those without energy in the leading axes would be lost."""
    X = rng.standard_normal((2200, 64)) * (rng.random((2200, 64)) < 0.08)
    X += 0.02 * rng.standard_normal(X.shape)
    rows, queries = X[:2000], X[2000:]
    chosen = PCAQuantizer(0.5, random_state=0).fit(rows)
    assert chosen.exponent_ == 0
    leading = PCAQuantizer(0.5, exponent=0.5, random_state=0).fit(rows)
    gain = [recall_of_estimates(one, rows, queries) for one in (chosen, leading)]
    assert gain[0] > gain[1] + 0.05


# Codes.


def projected(quantizer, X):
    """The coordinates that are kept, in float64."""
    return (X - quantizer.mean_) @ quantizer.components_.T.astype(float)


@pytest.mark.parametrize("rotation", ["haar", "hadamard", "dct", None])
@pytest.mark.parametrize("bits", [0.5, 1, 2.5, 4])
def test_codes_are_those_of_the_slow_twin(rows, bits, rotation):
    quantizer = PCAQuantizer(
        bits, exponent=1, max_depth=8, rotation=rotation, random_state=0
    ).fit(rows)
    layout = quantizer.layout_
    numbers = [
        naive.mixed_numbers(z, layout.depths, layout.levels, layout.scales, 2)
        for z in projected(quantizer, rows[:40])
    ]
    expected = layout.pack(np.array(numbers, np.uint8)).unpack()
    codes = quantizer.transform(rows[:40])
    assert is_codes(codes)
    assert codes.layout == layout
    same = (codes.unpack() == expected).all(axis=1)
    assert same.mean() >= 0.95  # float32 may decide a tie


def test_components_are_orthonormal_and_diagonalize(rows):
    quantizer = PCAQuantizer(1, exponent=1, rotation=None, random_state=0).fit(rows)
    components = quantizer.components_.astype(float)
    assert_allclose(components @ components.T, np.eye(len(components)), atol=1e-5)
    z = projected(quantizer, rows)
    assert_allclose(np.cov(z.T, bias=True), np.diag(z.var(axis=0)), atol=1e-5)
    n_kept = len(components)
    assert_allclose(z.var(axis=0), quantizer.explained_variance_[:n_kept], rtol=0.05)
    # Signs as scikit-learn's svd_flip: the largest entry is positive.
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(n_kept), largest] > 0).all()


def test_rotation_mixes_only_coordinates_of_equal_depth(rows):
    kept = PCAQuantizer(1, exponent=1, rotation=None).fit(rows)
    mixed = PCAQuantizer(1, exponent=1, random_state=0).fit(rows)
    assert_array_equal(kept.depths_, mixed.depths_)
    product = kept.components_.astype(float) @ mixed.components_.T
    groups = kept.depths_[:, None] == mixed.depths_
    assert_allclose(product[~groups], 0, atol=1e-5)
    assert np.abs(product[groups] - np.eye(len(product))[groups]).max() > 0.3
    for depth in np.unique(mixed.depths_):
        assert len(np.unique(mixed.layout_.scales[mixed.depths_ == depth])) == 1


def test_more_bits_mean_less_error(rows):
    errors = []
    for bits in (0.25, 0.5, 1, 2, 4, 8):
        quantizer = PCAQuantizer(bits, exponent=1, max_depth=8, random_state=0)
        restored = quantizer.fit(rows).inverse_transform(quantizer.transform(rows))
        assert restored.dtype == np.float32
        errors.append(np.square(restored - rows).sum(axis=1).mean())
    assert (np.diff(errors) < 0).all()
    assert errors[-1] < 3e-3 * rows.var(axis=0).sum()


def test_less_error_than_one_bit_for_each_coordinate(rows):
    binary = BinaryQuantizer().fit(rows)
    quantizer = PCAQuantizer(1, random_state=0).fit(rows)
    errors = [
        np.square(q.inverse_transform(q.transform(rows)) - rows).sum()
        for q in (quantizer, binary)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_sums_for_corrections(rows):
    quantizer = PCAQuantizer(1, random_state=0).fit(rows)
    codes, sums = quantizer._encode_with_sums(rows[:50])
    a = rows[:50] - quantizer.mean_
    assert_allclose(sums[0], np.square(a).sum(axis=1))
    values = codes.unpack().astype(float)
    along = (values * projected(quantizer, rows[:50])).sum(axis=1)
    # Between what brings values closest to the row, and RaBitQ's factor.
    t = quantizer.correction_strength_
    factors = (1 - t) * along / np.square(values).sum(axis=1) + t * sums[0] / along
    assert_allclose(sums[1], sums[0] / factors, rtol=1e-5)
    assert_allclose(sums[2], a @ quantizer.mean_, atol=1e-9)


# The same whatever is around.


def test_rows_do_not_depend_on_their_block(rng):
    X = make_rows(rng, n=700, d=77).astype(np.float32)
    quantizer = PCAQuantizer(1, exponent=1, random_state=0).fit(X)
    codes = np.asarray(quantizer.transform(X))
    for start in (0, 1, 5, 255, 256, 699):
        assert_array_equal(quantizer.transform(X[start : start + 1]), codes[[start]])
    assert_array_equal(quantizer.transform(X[::-1]), codes[::-1])
    assert_array_equal(quantizer.transform(np.asfortranarray(X)), codes)


def test_threads_of_blas_change_nothing(rng):
    X = make_rows(rng, n=900, d=130)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            quantizer = PCAQuantizer(1, random_state=0).fit(X)
            results.append((quantizer.components_, quantizer.transform(X)))
    assert_array_equal(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


def test_seed(rows):
    first, same, other = (
        PCAQuantizer(1, random_state=seed).fit(rows) for seed in (0, 0, 1)
    )
    assert_array_equal(first.transform(rows), same.transform(rows))
    assert (first.transform(rows) != other.transform(rows)).any()
    assert first.layout_ == pickle.loads(pickle.dumps(first)).layout_


def test_single_and_double_precision_agree(rows):
    quantizer = PCAQuantizer(2, exponent=1, random_state=0).fit(rows)
    single = quantizer.transform(rows.astype(np.float32)).unpack()
    double = quantizer.transform(rows).unpack()
    assert (single != double).mean() < 1e-3


@pytest.mark.parametrize("shape", [(1, 7), (6, 16), (7, 50), (13, 33)])
def test_product_is_a_sum_in_order(rng, shape):
    n, k = shape
    X = rng.standard_normal((n, 19)).astype(np.float32)
    matrix = rng.standard_normal((19, k)).astype(np.float32)
    panels = projection.as_panels(matrix)
    out = np.full((n, 16 * len(panels)), np.nan, np.float32)
    projection.project(read_only(X), read_only(panels), out)
    expected = np.zeros((n, k), np.float32)
    for i in range(19):
        expected += X[:, [i]] * matrix[i]
    assert_array_equal(out[:, :k], expected)
    assert_array_equal(out[:, k:], 0)


# Rows of every kind.


def test_few_rows_are_not_taken_at_their_word(rng):
    """Variances of 30 rows in 60 dimensions are shrunk: no direction is without."""
    X = make_rows(rng, n=30, d=60, decay=0.3)
    quantizer = PCAQuantizer(1, random_state=0).fit(X)
    assert quantizer.exponent_ == 1.0  # too few to try others
    assert (quantizer.explained_variance_ > 0).all()
    assert_allclose(quantizer.explained_variance_.sum(), X.var(axis=0).sum())


DEGENERATE = {
    "one row": lambda rng: rng.standard_normal((1, 5)),
    "constant rows": lambda rng: np.full((20, 5), 7.0),
    "constant columns": lambda rng: np.c_[
        rng.standard_normal((99, 6)), np.ones((99, 3))
    ],
    "duplicate columns": lambda rng: np.repeat(rng.standard_normal((99, 4)), 2, axis=1),
    "one column": lambda rng: rng.standard_normal((99, 1)),
    "fewer rows than columns": lambda rng: rng.standard_normal((9, 40)),
    "huge": lambda rng: 1e30 * rng.standard_normal((99, 8)),
    "tiny": lambda rng: 1e-30 * rng.standard_normal((99, 8)),
    "far off": lambda rng: 1e4 + rng.standard_normal((99, 8)),
    "integers": lambda rng: rng.integers(-9, 9, (99, 8)),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_rows(rng, name):
    X = DEGENERATE[name](rng)
    quantizer = PCAQuantizer(1, random_state=0).fit(X)
    restored = quantizer.inverse_transform(quantizer.transform(X))
    assert np.isfinite(restored).all()
    error = np.square(restored.astype(float) - X).sum()
    assert error <= np.square(X - X.mean(axis=0)).sum() * 0.8 + 1e-6


def test_wide_rows_take_seconds(rng):
    X = rng.standard_normal((300, 40)) @ rng.standard_normal((40, 2000))
    X = X.astype(np.float32) + 0.01 * rng.standard_normal((300, 2000), np.float32)
    quantizer = PCAQuantizer(n_bytes=36, random_state=0).fit(X)
    components = quantizer.components_.astype(float)
    assert_allclose(components @ components.T, np.eye(len(components)), atol=1e-4)
    restored = quantizer.inverse_transform(quantizer.transform(X))
    assert np.square(restored - X).sum() < 0.1 * np.square(X - X.mean(axis=0)).sum()


def test_wide_rows_with_more_bits_than_leading_axes(rng, monkeypatch):
    monkeypatch.setattr("skbq._quantization.pca._EXACT_FEATURES", 20)
    monkeypatch.setattr("skbq._quantization.pca._LEADING_AXES", 10)
    X = make_rows(rng, d=40)
    quantizer = PCAQuantizer(1, exponent=0, random_state=0).fit(X)
    components = quantizer.components_.astype(float)
    assert components.shape == (40, 40)
    assert_allclose(components @ components.T, np.eye(40), atol=1e-4)
    exact = X.var(axis=0).sum()
    assert_allclose(quantizer.explained_variance_.sum(), exact, rtol=1e-4)


# "auto".


def recall_of_estimates(quantizer, rows, queries, k=10):
    """Recall by the corrected estimate of squared distances, straight from formulas."""
    codes, sums = quantizer._encode_with_sums(rows)
    y = projected(quantizer, queries)
    products = y @ codes.unpack().astype(float).T
    estimates = sums[0] - 2 * sums[0] / sums[1] * products
    true = np.square(rows - queries[:, None]).sum(axis=2)
    near, nearest = (np.argsort(of, axis=1)[:, :k] for of in (estimates, true))
    return np.mean(
        [len(set(a) & set(b)) / k for a, b in zip(near, nearest, strict=True)]
    )


KINDS = {
    "normal": lambda rng: make_rows(rng, n=2200, d=32),
    "heavy tails": lambda rng: (
        rng.standard_normal((2200, 32))
        * (rng.random((2200, 32)) < 0.15)
        * np.arange(1, 33) ** -0.5
        + 0.05 * rng.standard_normal((2200, 32))
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_auto_finds_nearly_as_much_as_the_best_exponent(rng, kind):
    X = KINDS[kind](rng)
    rows, queries = X[:2000], X[2000:]
    recalls = {
        exponent: recall_of_estimates(
            PCAQuantizer(1, exponent=exponent, random_state=0).fit(rows), rows, queries
        )
        for exponent in (0.0, 0.5, 1.0, 1.5)
    }
    chosen = PCAQuantizer(1, random_state=0).fit(rows)
    found = recall_of_estimates(chosen, rows, queries)
    assert max(recalls.values()) - min(recalls.values()) > 0.03  # it matters
    assert found > max(recalls.values()) - 0.02


def test_the_strength_of_corrections_goes_from_one_factor_to_the_other():
    a = np.array([[3.0, 1.0], [1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    q = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
    products = CodeProducts(
        np.square(a).sum(axis=1), (q * a).sum(axis=1), np.square(q).sum(axis=1)
    )
    # What is nearest to the row; what is exact for it; nothing without a direction.
    assert_allclose(products.along_for(0), [10 / 2, 5 / 1.5, 0, 0])
    assert_allclose(products.along_for(1), [4, 3, 0, 0])
    assert_allclose(products.along_for(0.5), [10 / 2.25, 5 / (1.5 / 2 + 5 / 6), 0, 0])


def test_predictions_are_least_squares_within_what_was_seen(rng):
    known = rng.uniform(-3, 5, (2, 400))
    u, v = known
    targets = np.array([1 + u - u * v, 2 * v**2, np.full(400, 7.0)])
    prediction = Prediction.learn(np.ones(3, np.float32), known, targets)
    assert_allclose(prediction.predict(known), targets, atol=1e-9)
    beyond = prediction.predict(np.array([[100.0], [-100.0]]))
    low, high = targets.min(axis=1), targets.max(axis=1)
    assert ((low <= beyond[:, 0]) & (beyond[:, 0] <= high)).all()
    one = np.repeat(known[:, :1], 9, axis=1)  # no spread to learn from
    same = Prediction.learn(np.ones(3, np.float32), one, targets[:, :9])
    assert_allclose(same.predict(one[:, :1])[:, 0], targets[:, :9].mean(axis=1))


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_what_codes_know_is_rounded_little(rows, bits):
    quantizer = PCAQuantizer(bits, exponent=1, random_state=0).fit(rows)
    codes = quantizer.transform(rows)
    direction = np.linspace(1, -2, codes.layout.n_values).astype(np.float32)
    values = codes.unpack().astype(float)
    expected = np.square(values).sum(axis=1), values @ direction
    known = known_of_codes(codes, direction)
    for got, exact in zip(known, expected, strict=True):
        assert_allclose(got, exact, atol=1e-3 * np.abs(exact).max())
    few = known_of_codes(codes[3:5], direction)
    assert_array_equal(few, known[:, 3:5])


# What is refused.

REFUSED = {
    "no bits": ({"bits": 0}, ValueError, r"in the range \(0"),
    "less than a bit": ({"bits": 0.01}, ValueError, "at least 1 / 24"),
    "too many bits": (
        {"bits": 5, "max_depth": 4},
        ValueError,
        "larger max_depth, up to 8",
    ),
    "text": ({"bits": "1"}, TypeError, "a float"),
    "n_bytes": ({"n_bytes": 3}, ValueError, "at least 4"),
    "many bytes": (
        {"n_bytes": 17, "max_depth": 4},
        ValueError,
        "at most 15, or a larger",
    ),
    "bits beyond all": ({"bits": 9}, ValueError, r"Pass fewer bits\.$"),
    "bytes beyond all": ({"n_bytes": 28}, ValueError, r"Pass at most 27\.$"),
    "half a byte": ({"n_bytes": 8.5}, TypeError, "an int"),
    "both": ({"bits": 2, "n_bytes": 12}, ValueError, "leave one out"),
    "exponent": ({"exponent": "best"}, ValueError, r"\['auto'\] or a float"),
    "no exponent": ({"exponent": None}, TypeError, "a float"),
    "negative": ({"exponent": -1}, ValueError, "exponent"),
    "depth": ({"max_depth": 3}, ValueError, "1, 2, 4 or 8"),
    "corrections": ({"correction_bytes": 2}, ValueError, "'auto', 0 or 3"),
    "no corrections": ({"correction_bytes": None}, TypeError, "an int"),
    "some corrections": ({"correction_bytes": "all"}, ValueError, "0 or 3"),
    "rotation": ({"rotation": "pca"}, ValueError, "'haar'.* or None"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parameters_that_make_no_sense(rows, name):
    parameters, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        PCAQuantizer(**parameters).fit(rows)


def test_more_bits_than_the_rows_have_directions(rng):
    X = np.hstack([rng.standard_normal((500, 6)), np.ones((500, 18))])
    with pytest.raises(
        ValueError, match="vary in 6 of 24 directions.*bits of at most 1"
    ):
        PCAQuantizer(2, max_depth=4).fit(X)
    assert PCAQuantizer(1).fit(X).layout_.bits == 1


def test_codes_of_another_layout(rows):
    quantizer = PCAQuantizer(1, random_state=0).fit(rows)
    other = PCAQuantizer(1, random_state=0).fit(rows * 2)
    with pytest.raises(ValueError, match="with other levels or scales"):
        quantizer.inverse_transform(other.transform(rows))
    with pytest.raises(ValueError, match="holds 1-bit codes.* makes codes of mixed"):
        quantizer.inverse_transform(BinaryQuantizer().fit(rows).transform(rows))
    plain = np.asarray(quantizer.transform(rows))
    with pytest.raises(ValueError, match="takes the codes that transform gives"):
        quantizer.inverse_transform(plain)
    again = as_codes(plain, layout=quantizer.layout_)
    quantizer.inverse_transform(again)


def test_partial_fit_is_refused_in_words():
    assert not hasattr(PCAQuantizer(), "partial_fit")
    with pytest.raises(AttributeError) as error:
        _ = PCAQuantizer().partial_fit
    assert "all rows at once" in str(error.value) + str(error.value.__cause__)
