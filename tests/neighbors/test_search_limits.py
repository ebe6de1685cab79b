"""Search at its limits: bounds, radii, ties, tiny and huge and nearly parallel vectors.

Right values come from plain numpy.
"""

import multiprocessing
import warnings

import naive
import numpy as np
import pytest
from helpers import share_found
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
    as_codes,
)
from skbq._utils.parallel import count_jobs

METRICS = ["cosine", "euclidean", "inner_product"]


def exact_rows(X, Y, k, metric):
    return naive.nearest(naive.exact_distances(X, Y, metric), k)[1]


class TestBound:
    @pytest.mark.parametrize("k", [1, 2, 3])
    @pytest.mark.parametrize("metric", METRICS)
    def test_nothing_that_was_found_is_lost(self, glosses, k, metric):
        X, Y = glosses.data, glosses.queries
        index = BinaryNeighbors(k, metric=metric, query="vectors", oversampling="bound")
        found, rows = index.fit(X).kneighbors(Y)
        assert (rows >= 0).all()
        plain = index.set_params(oversampling=2).kneighbors(Y)[0]
        assert (found <= plain).all()

    @pytest.mark.parametrize("metric", METRICS)
    def test_one_row_and_equal_rows(self, rng, metric):
        row, Y = rng.standard_normal((1, 33)), rng.standard_normal((50, 33))
        for n, k in ((1, 1), (40, 3)):
            X = np.repeat(row, n, axis=0)
            index = BinaryNeighbors(
                k, metric=metric, query="vectors", oversampling="bound"
            ).fit(X)
            found, rows = index.kneighbors(Y)
            assert_array_equal(rows, [range(k)] * 50)
            exact = naive.exact_distances(row, Y, metric)
            assert_allclose(found, np.repeat(exact, k, axis=1), rtol=1e-12)

    @pytest.mark.parametrize(
        "step",
        [
            PCA(16, random_state=0),
            StandardScaler(),
            FunctionTransformer(lambda X: X[:, :16]),
        ],
        ids=["PCA", "scaler", "cut"],
    )
    @pytest.mark.parametrize("metric", METRICS)
    def test_steps_that_do_not_keep_products(self, rng, step, metric):
        X = rng.standard_normal((300, 32)) * np.linspace(0.5, 2, 32)
        quantizer = make_pipeline(step, BinaryQuantizer())
        parameters = {"quantizer": quantizer, "metric": metric, "query": "vectors"}
        with pytest.raises(ValueError, match="'bound' needs steps .* oversampling=4"):
            BinaryNeighbors(oversampling="bound", **parameters).fit(X)
        index = BinaryNeighbors(oversampling=4, **parameters).fit(X)
        assert (index.kneighbors(X)[1] >= 0).all()
        with pytest.raises(ValueError, match="'bound' needs steps"):
            index.set_params(oversampling="bound").kneighbors(X)
        index = BinaryNeighbors(**parameters).fit(X)
        with pytest.raises(ValueError, match="return_bound=True needs steps"):
            index.kneighbors(X, return_bound=True)

    def test_rows_added_later_that_a_step_cuts(self, rng):
        X = rng.standard_normal((300, 32))
        X[:200, 16:] = 0
        cut = make_pipeline(FunctionTransformer(lambda X: X[:, :16]), BinaryQuantizer())
        index = BinaryNeighbors(quantizer=cut, query="vectors", oversampling="bound")
        index.fit(X[:200])
        with pytest.raises(ValueError, match="'bound' needs steps"):
            index.partial_fit(X[200:])
        assert index.n_samples_fit_ == 200
        index.kneighbors(X)

    @pytest.mark.parametrize("metric", METRICS)
    def test_whole_rotations_keep_products(self, rng, metric):
        X = rng.standard_normal((600, 32)).astype(np.float32)
        steps = [RandomRotation(random_state=0)]
        if metric == "euclidean":
            steps.append(PCA(random_state=0))  # takes off the mean
        index = BinaryNeighbors(
            5,
            quantizer=make_pipeline(*steps, BinaryQuantizer()),
            metric=metric,
            query="vectors",
            oversampling="bound",
        ).fit(X)
        Y = X[:80] + np.float32(0.3)
        assert share_found(index.kneighbors(Y)[1], exact_rows(X, Y, 5, metric)) > 0.95

    def test_nearly_parallel_rows(self, rng):
        X = rng.standard_normal((500, 24)) + 1000
        index = BinaryNeighbors(
            5, query="vectors", oversampling="bound", quantizer=BinaryQuantizer()
        ).fit(X)
        expected = exact_rows(X - X.mean(), X - X.mean(), 1, "euclidean")
        assert_array_equal(index.kneighbors(X, 1)[1], expected)
        rows = index.kneighbors(X)[1]
        assert share_found(rows, accurate_cosine_rows(X, X, 5)) > 0.9


def accurate_cosine_rows(X, Y, k):
    """The nearest rows by cosine, from differences, in long doubles."""
    X, Y = (x.astype(np.longdouble) for x in (X, Y))
    X, Y = (x / np.sqrt(np.square(x).sum(axis=1, keepdims=True)) for x in (X, Y))
    distances = np.array([np.square(X - y).sum(axis=1) for y in Y])
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


class TestDigits:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("offset", [100, 10_000])
    def test_far_from_the_origin(self, rng, offset, dtype):
        """Asymmetric search is no worse than symmetric search, far away as near."""
        X = (rng.standard_normal((2000, 32)) + offset).astype(dtype)
        Y = (X[:100] + 0.3 * rng.standard_normal((100, 32))).astype(dtype)
        expected = accurate_cosine_rows(X, Y, 10)
        recalls = {}
        for query in ("codes", "vectors"):
            for oversampling in (None, 4):
                index = BinaryNeighbors(10, query=query, oversampling=oversampling)
                rows = index.fit(X).kneighbors(Y)[1]
                recalls[query, oversampling] = share_found(rows, expected)
        assert recalls["vectors", None] >= recalls["codes", None]
        assert recalls["vectors", 4] >= recalls["codes", 4] - 0.01
        near = (rng.standard_normal((2000, 32))).astype(dtype)
        assert recalls["vectors", 4] > 0.8, near.shape

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("query", ["codes", "vectors"])
    @pytest.mark.parametrize("power", [-500, -340, -100, -40])
    def test_small_vectors(self, rng, metric, query, power):
        """Scaling by a power of two changes neither rows nor digits."""
        X, Y = rng.standard_normal((300, 24)) + 0.2, rng.standard_normal((20, 24))
        scale = 2.0**power
        unit = {"cosine": 1.0, "euclidean": scale, "inner_product": scale * scale}
        for oversampling in (None, 3):
            index = BinaryNeighbors(
                7, metric=metric, query=query, oversampling=oversampling
            )
            found, rows = index.fit(X).kneighbors(Y)
            small, same = index.fit(X * scale).kneighbors(Y * scale)
            assert_array_equal(same, rows)
            if query == "vectors" or oversampling:
                assert_allclose(small, found * unit[metric], rtol=1e-12)
            if query == "vectors" and metric != "inner_product":
                radius = np.median(small)
                near = index.radius_neighbors(Y * scale, radius)[1]
                for q in range(20):
                    inside = same[q][small[q] <= radius]
                    assert np.isin(inside, near[q]).all()

    def test_small_float32_vectors(self, rng):
        X = rng.standard_normal((400, 32)).astype(np.float32)
        for metric in METRICS:
            index = BinaryNeighbors(5, metric=metric, query="vectors")
            rows = index.fit(X).kneighbors(X[:50])[1]
            small = np.float32(2.0**-100) * X
            assert_array_equal(index.fit(small).kneighbors(small[:50])[1], rows)
            # Added to, and read again, it goes on.
            index.partial_fit(small[:3])
            assert index.kneighbors(small[:3])[1].max() <= 402

    @pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e80, 1e150])
    def test_reranked_cosine_at_any_scale(self, rng, scale):
        X, Y = rng.standard_normal((200, 20)), rng.standard_normal((9, 20))
        index = BinaryNeighbors(6, oversampling=1e3)
        found, rows = index.fit(X * scale).kneighbors(Y * scale)
        assert_array_equal(rows, exact_rows(X, Y, 6, "cosine"))
        expected = np.sort(naive.exact_distances(X, Y, "cosine"), axis=1)[:, :6]
        assert_allclose(found, expected, rtol=1e-10)

    def test_reranked_cosine_is_never_negative(self, glosses):
        X = glosses.data
        index = BinaryNeighbors(1, oversampling=4).fit(X)
        found, _ = index.kneighbors(X * np.float32(1.7))
        assert found.min() >= 0
        assert np.isfinite(np.sqrt(found)).all()


class TestTies:
    @pytest.fixture
    def index(self, rng):
        """Few rows, many times with small changes: many estimates fall below 0."""
        X = rng.standard_normal((15, 16))[np.arange(150) % 15]
        X += 0.05 * rng.standard_normal((150, 16))
        return BinaryNeighbors(
            12, quantizer=BinaryQuantizer(), metric="euclidean", query="vectors"
        ).fit(X), X

    def test_clipped_estimates_go_to_the_lower_row(self, index):
        index, X = index
        found, rows = index.kneighbors(X)
        clipped = (found == 0).sum(axis=1)
        assert clipped.max() > 3
        near, within = index.radius_neighbors(X, found.max(), sort_results=True)
        for q in range(len(X)):
            expected = sorted(zip(near[q], within[q], strict=True))[:12]
            assert_array_equal(rows[q], [r for _, r in expected])
            assert_array_equal(found[q], [d for d, _ in expected])

    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    def test_graphs(self, index, metric):
        index, X = index
        index = index.set_params(metric=metric).fit(X)
        graph = index.kneighbors_graph(X, mode="distance")
        rows, values = (x.reshape(-1, 12) for x in (graph.indices, graph.data))
        assert (values == 0).sum(axis=1).max() > 3
        for r, v in zip(rows, values, strict=True):
            assert_array_equal(r, r[np.lexsort((r, v))])


class TestRadius:
    def test_default(self, rng):
        X = rng.standard_normal((100, 16))
        for index in (BinaryNeighbors(), BinaryNeighbors(quantizer=BinaryQuantizer())):
            with pytest.raises(ValueError, match="radius must be given.*kneighbors"):
                index.fit(X).radius_neighbors(X)
            with pytest.raises(ValueError, match="radius must be given"):
                index.radius_neighbors_graph(X)
        for parameters in ({"query": "vectors"}, {"oversampling": 2}):
            index = BinaryNeighbors(**parameters).fit(X)
            near = index.radius_neighbors(X)[0]
            for a, b in zip(near, index.radius_neighbors(X, 1.0)[0], strict=True):
                assert_array_equal(a, b)
            assert sum(map(len, near)) > 100

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"quantizer": BinaryQuantizer()},
            {"quantizer": TwoBitQuantizer(levels=(1e-17, 1))},
            {"quantizer": TwoBitQuantizer(levels=(1e-17, 3e-17))},
            {"quantizer": TwoBitQuantizer(levels=(0, 1e-300))},
            {"quantizer": TwoBitQuantizer(levels=(1, 1e150))},
            {"query": "vectors"},
            {"query": "vectors", "metric": "euclidean"},
            {"query": "vectors", "metric": "inner_product"},
            {"oversampling": 2, "metric": "euclidean"},
        ],
        ids=str,
    )
    def test_any_size(self, rng, parameters):
        X = rng.standard_normal((40, 16))
        index = BinaryNeighbors(40, **parameters).fit(X)
        found = index.kneighbors(X)[0]
        for radius in (1e300, np.inf, 1e-300, -1e300, -np.inf, found.max(), 1e-17):
            near = index.radius_neighbors(X, radius)[1]
            assert_array_equal([len(r) for r in near], (found <= radius).sum(axis=1))
        assert index.set_params(radius=np.inf).radius_neighbors(X)[1][0].size == 40

    def test_refused(self, rng):
        X = rng.standard_normal((40, 16))
        index = BinaryNeighbors().fit(X)
        for radii in (np.ones(40), [1.0, 2.0], (1.0,)):
            with pytest.raises(TypeError, match="one number for all queries"):
                index.radius_neighbors(X, radii)
            with pytest.raises(TypeError, match="one number for all queries"):
                BinaryNeighbors(radius=radii).fit(X)
        with pytest.raises(ValueError, match="Got nan"):
            index.radius_neighbors(X, np.nan)


def test_no_codes():
    for dtype, width in ((np.uint8, 2), (np.uint16, 2)):
        codes = as_codes(np.empty((0, width), dtype), n_features=16)
        for method in (BinaryNeighbors().fit, BinaryNeighbors().partial_fit):
            with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1"):
                method(codes)


class TestFewRows:
    def test_first_rows_decide_thresholds(self, rng):
        X = rng.standard_normal((400, 16)) + 1
        with pytest.warns(UserWarning, match="learned from 1 rows.*FrozenEstimator"):
            index = BinaryNeighbors().partial_fit(X[:1])
        assert index.n_samples_fit_ == 1
        index = BinaryNeighbors().fit(X[:9])
        with pytest.warns(UserWarning, match="learned from 9 rows"):
            index.partial_fit(X[9:20])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            index.partial_fit(X[20:])  # once is enough

    @pytest.mark.parametrize(
        "quantizer",
        [
            BinaryQuantizer("zero"),
            TwoBitQuantizer(np.zeros(16)),
            FrozenEstimator(TwoBitQuantizer().fit(np.eye(16))),
        ],
        ids=str,
    )
    def test_nothing_learned(self, rng, quantizer):
        X = rng.standard_normal((20, 16))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            BinaryNeighbors(quantizer=quantizer).partial_fit(X[:1]).partial_fit(X[1:])
            codes = TwoBitQuantizer().fit_transform(X)
            BinaryNeighbors().partial_fit(codes[:1]).partial_fit(codes[1:])
            many = rng.standard_normal((10, 16))
            BinaryNeighbors().partial_fit(many).partial_fit(X)


def _jobs_and_warnings(n_jobs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return count_jobs(n_jobs), [str(one.message) for one in caught]


def test_threads_in_worker_processes():
    """joblib counts processes there, and warns that there are none."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_jobs_and_warnings, [2, None]) == [(2, []), (1, [])]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-165, 1e-300, 1e300])
def test_cosines_of_queries_of_any_length(rng, dtype, size):
    """The squared norm of a short query is 0 in float64: it was taken for zeros."""
    X, queries = (
        rng.standard_normal((40, 12)).astype(dtype),
        rng.standard_normal((3, 12)),
    )
    index = BinaryNeighbors(5, metric="cosine", oversampling=8).fit(X)
    distances, rows = index.kneighbors(queries)
    found, same = index.kneighbors(size * queries)
    assert_array_equal(same, rows)
    assert_allclose(found, distances, rtol=1e-6)
