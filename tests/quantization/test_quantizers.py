import naive
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
    as_codes,
)
from skbq.codes import is_codes

QUANTIZERS = [
    BinaryQuantizer(),
    BinaryQuantizer("median"),
    BinaryQuantizer("zero"),
    BinaryQuantizer(0.25),
    TwoBitQuantizer(),
    TwoBitQuantizer("median", "coordinate"),
    TwoBitQuantizer("zero", levels=(1, 2)),
    TwoBitQuantizer(levels="lloyd_max"),
    TwoBitQuantizer(0.25, "coordinate", "lloyd_max"),
]


@pytest.fixture
def X(rng):
    X = rng.standard_normal((61, 29)) * rng.uniform(0.2, 2, 29) + rng.uniform(-1, 1, 29)
    return X.astype(np.float32)


def bits(codes):
    positive, strong = codes.unpack_bits()
    return positive if strong is None else np.stack([positive, strong])


class TestBits:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("threshold", ["mean", "median", "zero", 0.25])
    def test_signs(self, X, threshold, dtype):
        X = X.astype(dtype)
        for quantizer in (BinaryQuantizer(threshold), TwoBitQuantizer(threshold)):
            quantizer.fit(X)
            positive, _ = quantizer.transform(X).unpack_bits()
            assert_array_equal(positive, naive.signs(X, quantizer.thresholds_))

    @pytest.mark.parametrize("threshold", [0.1, 0.3, 1 / 3, -0.1, 0.7, 1e-8])
    def test_equal_values_of_any_float_get_the_same_bit(self, threshold):
        """Rounding the threshold would turn over the value that it is rounded to."""
        near = np.float32(threshold)
        values = [np.nextafter(near, -np.inf), near, np.nextafter(near, np.inf)]
        X = np.array(values, np.float32)[:, np.newaxis]
        for quantizer in (BinaryQuantizer(threshold), TwoBitQuantizer(threshold)):
            quantizer.fit([[0.0], [1.0]])
            for rows in (X, X.astype(np.float64)):
                positive, _ = quantizer.transform(rows).unpack_bits()
                assert_array_equal(positive, X.astype(np.float64) > threshold)

    def test_learned_thresholds(self, X):
        assert_allclose(BinaryQuantizer().fit(X).thresholds_, X.mean(axis=0), atol=1e-6)
        even = BinaryQuantizer("median").fit(X[:60]).thresholds_
        assert_allclose(even, np.median(X[:60], axis=0), atol=1e-7)
        assert_array_equal(BinaryQuantizer("zero").fit(X).thresholds_, 0)
        numbers = np.arange(29.0)
        assert_array_equal(BinaryQuantizer(numbers).fit(X).thresholds_, numbers)

    def test_the_paper_s_code(self, glosses):
        """pos = 1[x > 0], m = 1[|x| > mean_j |x_j|], threshold per row."""
        X = glosses.data[:500]
        codes = TwoBitQuantizer("zero", "row", (1, 2)).fit_transform(X)
        positive, strong = codes.unpack_bits()
        assert_array_equal(positive, X > 0)
        assert_array_equal(strong, np.abs(X) > np.abs(X).mean(axis=1, keepdims=True))
        assert_array_equal(
            codes.unpack(), np.where(strong, 2, 1) * np.where(X > 0, 1, -1)
        )

    def test_row_magnitudes(self, X):
        for levels, factor in (((1, 3), 1), ("lloyd_max", np.float32(1.2302))):
            quantizer = TwoBitQuantizer(levels=levels).fit(X)
            _, strong = quantizer.transform(X).unpack_bits()
            center = quantizer.thresholds_.astype(X.dtype)
            assert_array_equal(strong, naive.strong_by_row(X, center, factor))

    def test_coordinate_magnitudes(self, X):
        quantizer = TwoBitQuantizer(magnitude="coordinate").fit(X)
        deviation = np.abs(X - X.mean(axis=0))
        assert_allclose(
            quantizer.magnitude_thresholds_, deviation.mean(axis=0), rtol=1e-5
        )
        _, strong = quantizer.transform(X).unpack_bits()
        limits = quantizer.magnitude_thresholds_.astype(X.dtype)
        center = quantizer.thresholds_.astype(X.dtype)
        assert_array_equal(strong, naive.strong_by_coordinate(X, center, limits))
        lloyd_max = clone(quantizer).set_params(levels="lloyd_max").fit(X)
        assert_allclose(
            lloyd_max.magnitude_thresholds_, 0.9816 * X.std(axis=0), rtol=1e-5
        )
        assert lloyd_max.transform(X).levels == (0.4528, 1.5104)

    def test_equal_to_the_threshold_is_bit_0(self):
        X = np.array([[0.0, -0.0, 1.0], [1.0, 2.0, 1.0]])
        positive, _ = BinaryQuantizer("zero").fit_transform(X).unpack_bits()
        assert_array_equal(positive, [[False, False, True], [True, True, True]])

    @pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_constant_and_dead_columns(self, rng, quantizer, dtype):
        X = rng.standard_normal((1001, 5)).astype(dtype)
        X[:, 1] = 0.1  # its mean is not exactly 0.1
        X[:, 2] = 0
        X[:, 3] = 1e-30
        quantizer = clone(quantizer).fit(X)
        codes = quantizer.transform(X)
        assert np.isfinite(quantizer.inverse_transform(codes)).all()
        positive, _ = codes.unpack_bits()
        if quantizer.threshold in ("mean", "median"):
            assert not positive[:, 1:4].any()

    @pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
    def test_bits_do_not_depend_on_the_batch(self, rng, quantizer):
        """After a rotation, where the last digits of a row could."""
        for n in (20, 21, 257):
            X = rng.standard_normal((n, 200)).astype(np.float32)
            pipe = make_pipeline(RandomRotation(random_state=0), clone(quantizer))
            whole = bits(pipe.fit_transform(X))
            for i in range(0, n, 8):
                one = slice(i, i + 1)
                assert_array_equal(bits(pipe.transform(X[one])), whole[..., one, :])
            order = rng.permutation(n)
            assert_array_equal(bits(pipe.transform(X[order])), whole[..., order, :])


class TestMedian:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([1, 2, 3, 4], 2.5),
            ([1, 2, 3], 2.5),  # not on a sample
            ([1, 2, 2, 2, 3], 2.5),
            ([0, 0, 0, 1], 0.5),
            ([0, 1, 1, 1], 0.5),
            ([0, 1, 1, 1, 1, 2, 2], 1.5),
            ([5, 5, 5], 5),
            ([5], 5),
        ],
    )
    def test_half_way_between_distinct_values(self, values, expected):
        X = np.array(values, dtype=float)[:, None]
        assert BinaryQuantizer("median").fit(X).thresholds_ == [expected]

    def test_splits_rows_as_evenly_as_it_can(self, rng):
        X = rng.integers(0, 6, size=(101, 40)).astype(float)
        thresholds = BinaryQuantizer("median").fit(X).thresholds_
        for column, threshold in zip(X.T, thresholds, strict=True):
            assert threshold not in column
            cuts = (np.unique(column)[1:] + np.unique(column)[:-1]) / 2
            best = min(abs((column > cut).mean() - 0.5) for cut in cuts)
            assert abs((column > threshold).mean() - 0.5) == best

    def test_in_blocks_of_columns(self, rng):
        X = rng.standard_normal((500, 70))
        expected = BinaryQuantizer("median").fit(X).thresholds_
        with config_context(working_memory=0.05):
            assert_array_equal(BinaryQuantizer("median").fit(X).thresholds_, expected)


class TestInverse:
    @pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
    def test_conditional_means(self, X, quantizer):
        quantizer = clone(quantizer).fit(X)
        codes = quantizer.transform(X)
        back = quantizer.inverse_transform(codes)
        values = codes.unpack()
        for j in range(X.shape[1]):
            for value in np.unique(values[:, j]):
                inside = values[:, j] == value
                assert_allclose(back[inside, j], X[inside, j].mean(), atol=1e-6)

    def test_better_with_two_bits(self, glosses):
        X = glosses.data
        errors = []
        for quantizer in (BinaryQuantizer(), TwoBitQuantizer()):
            back = quantizer.fit(X).inverse_transform(quantizer.transform(X))
            errors.append(np.mean((back - X) ** 2) / np.mean((X - X.mean(axis=0)) ** 2))
        assert 0.36 < errors[0] < 0.40  # a normal coordinate: 1 - 2 / pi = 0.363
        assert errors[1] < 0.16

    def test_empty_cells(self):
        quantizer = TwoBitQuantizer("zero", "coordinate").fit([[1.0], [3.0]])
        back = quantizer.inverse_transform(quantizer.transform([[-9.0], [-1.0], [9.0]]))
        assert_array_equal(back, [[0.0], [0.0], [3.0]])

    def test_refused(self, X):
        quantizer = TwoBitQuantizer().fit(X)
        with pytest.raises(ValueError, match="wrapped by skbq.as_codes"):
            quantizer.inverse_transform(X)
        with pytest.raises(ValueError, match="1-bit codes of 29 .* makes 2-bit codes"):
            quantizer.inverse_transform(BinaryQuantizer().fit_transform(X))
        with pytest.raises(ValueError, match="codes of 9 coordinates"):
            quantizer.inverse_transform(as_codes(np.zeros((2, 2), np.uint16), 9))


class TestPartialFit:
    @pytest.mark.parametrize(
        "quantizer",
        [
            BinaryQuantizer("zero"),
            BinaryQuantizer(0.25),
            TwoBitQuantizer("zero"),
            TwoBitQuantizer("zero", "coordinate"),
            TwoBitQuantizer(0.25, "coordinate", "lloyd_max"),
        ],
        ids=str,
    )
    def test_chunks_are_the_whole_for_fixed_thresholds(self, X, quantizer):
        whole = clone(quantizer).fit(X)
        for chunk in np.array_split(X, 4):
            quantizer.partial_fit(chunk)
        assert_allclose(quantizer.thresholds_, whole.thresholds_)
        assert quantizer.n_samples_seen_ == len(X)
        if getattr(whole, "magnitude_thresholds_", None) is None:
            assert_allclose(quantizer.cell_means_, whole.cell_means_, rtol=1e-6)
        else:
            assert_allclose(
                quantizer.magnitude_thresholds_, whole.magnitude_thresholds_
            )

    @pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
    def test_means_merge(self, X, quantizer):
        whole = clone(quantizer).fit(X)
        quantizer = clone(quantizer)
        for chunk in np.array_split(X, 4):
            quantizer.partial_fit(chunk)
        assert_allclose(quantizer.thresholds_, whole.thresholds_, atol=1e-12)
        assert_array_equal(bits(quantizer.transform(X)), bits(whole.transform(X)))

    def test_only_where_it_makes_sense(self):
        assert not hasattr(BinaryQuantizer("median"), "partial_fit")
        assert not hasattr(TwoBitQuantizer("median"), "partial_fit")
        assert not hasattr(TwoBitQuantizer("mean", "coordinate"), "partial_fit")
        assert hasattr(TwoBitQuantizer("mean", "row"), "partial_fit")
        assert hasattr(BinaryQuantizer(np.zeros(3)), "partial_fit")

    def test_a_column_that_starts_constant(self):
        quantizer = BinaryQuantizer().partial_fit([[0.1]] * 7)
        assert_array_equal(quantizer.thresholds_, [0.1])
        quantizer.partial_fit([[1.0]])
        assert_allclose(quantizer.thresholds_, [1.7 / 8])


class TestStepFunction:
    @pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
    def test_is_what_a_fit_learns(self, rng, quantizer):
        mean = np.array([0.0, 0.5, -1.0, 0.2] * 50)
        scale = np.array([1.0, 0.5, 2.0, 0.1] * 50)
        X = rng.standard_normal((4000, 200)) * scale + mean
        quantizer = clone(quantizer).fit(X)
        thresholds, levels = quantizer.step_function(mean, scale)
        step = levels[(X[:, :, None] > thresholds).sum(axis=2)]
        agreement = np.mean(quantizer.transform(X).unpack() == step.astype(np.float32))
        by_row = getattr(quantizer, "magnitude", None) == "row"
        assert agreement > (0.95 if by_row else 0.98)
        assert thresholds.shape == (200, len(levels) - 1)
        assert (np.diff(thresholds, axis=1) >= 0).all()

    def test_magnitude_threshold_of_a_normal_coordinate(self):
        x = np.linspace(-12, 12, 100_001)
        for mean in (0.0, 0.7):
            expected = np.trapezoid(np.abs(x) * norm.pdf(x, mean, 1.3), x)
            thresholds, _ = TwoBitQuantizer("zero").step_function([mean], [1.3])
            assert_allclose(thresholds, [[-expected, 0, expected]], rtol=1e-6)

    def test_dead_coordinates(self):
        for quantizer in QUANTIZERS:
            thresholds, _ = quantizer.step_function([1.0, 0.0, 2.0], [0.0, 0.0, 1.0])
            assert np.isfinite(thresholds).all()


class TestOutput:
    @pytest.mark.parametrize("setting", ["pandas", "polars", "default"])
    @pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
    def test_codes_under_every_output_setting(self, X, quantizer, setting):
        expected = clone(quantizer).fit_transform(X)
        quantizer = clone(quantizer)
        assert quantizer.set_output(transform=setting) is quantizer
        assert is_codes(quantizer.fit_transform(X))
        with config_context(transform_output=setting):
            pipe = make_pipeline(RandomRotation(random_state=0), clone(quantizer))
            assert is_codes(pipe.fit_transform(X))
            codes = quantizer.fit(X).transform(X)
        assert is_codes(codes)
        assert_array_equal(codes.unpack(), expected.unpack())

    def test_frames_and_names(self, X):
        names = [f"c{i}" for i in range(29)]
        expected = TwoBitQuantizer().fit_transform(X)
        for frame in (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)):
            quantizer = TwoBitQuantizer().fit(frame)
            assert_array_equal(quantizer.feature_names_in_, names)
            got = quantizer.transform(frame)
            assert is_codes(got)
            assert np.mean(got.unpack() == expected.unpack()) > 0.999
        with pytest.raises(ValueError, match="feature names"):
            quantizer.transform(pd.DataFrame(X, columns=names[::-1]))
        assert_array_equal(
            quantizer.get_feature_names_out(),
            [f"twobitquantizer{i}" for i in range(4)],
        )

    @pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int32, np.int64, bool])
    def test_other_types(self, rng, dtype):
        X = (rng.standard_normal((30, 9)) * 20).astype(dtype)
        codes = BinaryQuantizer().fit_transform(X)
        expected = BinaryQuantizer().fit_transform(X.astype(np.float64))
        assert np.mean(codes.unpack() == expected.unpack()) > 0.99

    def test_memory_map(self, X, tmp_path):
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert_array_equal(
            TwoBitQuantizer().fit_transform(mapped), TwoBitQuantizer().fit_transform(X)
        )


class TestRefused:
    @pytest.mark.parametrize("estimator", [*QUANTIZERS[:1], TwoBitQuantizer()])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
    def test_plain_unsigned(self, estimator, dtype):
        X = np.ones((4, 3), dtype)
        for container in (X, pd.DataFrame(X)):
            with pytest.raises(ValueError, match=r"as_codes\(X, n_features=.*astype"):
                clone(estimator).fit(container)
        if dtype == np.uint16:
            with pytest.raises(ValueError, match="bfloat16"):
                clone(estimator).fit(X)

    def test_bfloat16_way_out(self):
        values = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
        stored = (values.view(np.uint32) >> 16).astype(np.uint16)
        assert_array_equal((stored.astype(np.uint32) << 16).view(np.float32), values)

    def test_codes(self, X):
        codes = BinaryQuantizer().fit_transform(X)
        with pytest.raises(ValueError, match="holds codes already"):
            BinaryQuantizer().fit(codes)
        with pytest.raises(ValueError, match="holds codes already"):
            RandomRotation().fit(codes)

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"threshold": "middle"}, ValueError, "one of .*or numbers. Got 'middle'"),
            ({"threshold": [1.0, 2.0]}, ValueError, "29 numbers.*shape .2,."),
            ({"threshold": np.nan}, ValueError, "finite numbers"),
            ({"threshold": None}, ValueError, "finite numbers"),
            ({"threshold": np.zeros((2, 29))}, ValueError, "shape .2, 29."),
            ({"magnitude": "column"}, ValueError, "Got 'column'"),
            ({"magnitude": 3}, TypeError, "Got 3"),
            ({"levels": (3, 1)}, ValueError, "0 <= low < high"),
            ({"levels": "max"}, ValueError, "lloyd_max"),
            ({"levels": 2}, ValueError, "0 <= low < high"),
        ],
    )
    def test_parameters(self, X, parameters, error, message):
        with pytest.raises(error, match=message):
            TwoBitQuantizer(**parameters).fit(X)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda X: np.where(X > 1, np.nan, X), "NaN"),
            (lambda X: np.where(X > 1, np.inf, X), "infinity"),
            (lambda X: X[:, 0], "Reshape your data"),
            (lambda X: X[:, :5], "expecting 29 features"),
            (lambda X: X.astype(complex), "Complex data not supported"),
            (lambda X: X[:0], "minimum of 1 is required"),
        ],
    )
    def test_vectors(self, X, spoil, message):
        quantizer = TwoBitQuantizer().fit(X)
        with pytest.raises(ValueError, match=message):
            quantizer.transform(spoil(X))
        if "expecting" not in message:
            with pytest.raises(ValueError, match=message):
                TwoBitQuantizer().fit(spoil(X))


class TestDeadCoordinates:
    """Coordinates that are constant, or nearly, leave the row's average alone."""

    @pytest.mark.parametrize("constant", [0.0, 5.0])
    @pytest.mark.parametrize("noise", [0.0, 1e-7])
    @pytest.mark.parametrize("threshold", ["mean", "median"])
    def test_magnitudes_are_those_without_them(self, rng, constant, noise, threshold):
        X = rng.standard_normal((200, 24))
        dead = constant + noise * rng.standard_normal((200, 80))
        both = np.concatenate([dead[:, :30], X, dead[:, 30:]], axis=1)
        alone = TwoBitQuantizer(threshold).fit(X).transform(X).unpack()
        codes = TwoBitQuantizer(threshold).fit(both).transform(both)
        assert_array_equal(codes.unpack()[:, 30:54], alone)
        if threshold == "mean":
            chunked = TwoBitQuantizer().partial_fit(both[:99]).partial_fit(both[99:])
            assert_array_equal(chunked.transform(both), codes)

    def test_theory_models_the_same(self, rng):
        scale = np.concatenate([np.ones(24), np.zeros(80)])
        for levels in ((1, 3), "lloyd_max"):
            quantizer = TwoBitQuantizer(levels=levels)
            alone, _ = quantizer.step_function(np.zeros(24), np.ones(24))
            steps, _ = quantizer.step_function(np.zeros(104), scale)
            assert_array_equal(steps[:24], alone)

    def test_all_alike(self):
        X = np.ones((3, 8))
        assert_array_equal(TwoBitQuantizer().fit_transform(X).unpack(), -1)

    def test_recall_with_zeros_appended(self, glosses):
        X, Y = glosses.data[:2000], glosses.queries
        exact = np.argsort(-(Y @ X.T), axis=1, kind="stable")[:, :10]
        recalls = []
        for n in (0, 64, 1152):
            wide, queries = (np.pad(x, ((0, 0), (0, n))) for x in (X, Y))
            index = BinaryNeighbors(10).fit(wide)
            rows = index.kneighbors(queries, return_distance=False)
            hits = [len(set(a) & set(b)) for a, b in zip(exact, rows, strict=True)]
            recalls.append(np.mean(hits) / 10)
        assert recalls[1] == recalls[0] == recalls[2]


@pytest.mark.parametrize("magnitude", ["row", "coordinate"])
def test_codes_of_equal_values_of_any_float_type(magnitude):
    """Magnitudes at the very border, where the type that is computed in decides."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = (rng.integers(-3, 4, (200, 22)) / 2 + 0.25).astype(np.float16)
        quantizer = TwoBitQuantizer(magnitude=magnitude).fit(X[:7].astype(np.float32))
        expected = quantizer.transform(X)
        for dtype in (np.float32, np.float64):
            assert_array_equal(quantizer.transform(X.astype(dtype)), expected)
        # Rows that float32 does not hold change nothing for those beside them.
        mixed = X.astype(np.float64)
        mixed[::2] += 1e-9
        assert_array_equal(quantizer.transform(mixed)[1::2], expected[1::2])
