import copy
import pickle

import joblib
import naive
import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import rotated
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
    as_codes,
)
from skbq._utils.similarity import distances_to
from skbq.codes import pack_codes

CODE_METRICS = ["hamming", "penalty", "dot"]
METRICS = ["cosine", "euclidean", "inner_product"]


def unit(X):
    return (X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)).astype(
        X.dtype
    )


@pytest.fixture
def X(rng):
    X = rng.standard_normal((120, 40)) + 0.3
    X[50:60] = X[40]  # duplicates
    return X.astype(np.float32)


@pytest.fixture
def Y(rng, X):
    return np.concatenate([rng.standard_normal((13, 40)) + 0.3, X[39:42]]).astype("f4")


class TestCodes:
    """Symmetric search agrees exactly with the naive reference."""

    @pytest.mark.parametrize("d", range(1, 201))
    def test_every_width(self, d):
        rng = np.random.default_rng(d)
        rows, queries = (rng.random((2, n, d)) > 0.5 for n in (23, 3))
        rows[:, 7] = rows[:, 2]
        for bits in (1, 2):
            if bits == 1:
                rows[1], queries[1] = False, False
                codes, query_codes = pack_codes(rows[0]), pack_codes(queries[0])
                pair = (1, 1)
            else:
                rows[1], queries[1] = (
                    rng.random((23, d)) > 0.5,
                    rng.random((3, d)) > 0.5,
                )
                codes, query_codes = (
                    pack_codes(*b, (1.0, 3.0)) for b in (rows, queries)
                )
                pair = (1.0, 3.0)
            for metric in CODE_METRICS:
                distances = naive.code_distances(rows, queries, metric, pair)
                index = BinaryNeighbors(23, code_metric=metric).fit(codes)
                found, where = index.kneighbors(query_codes)
                expected, expected_rows = naive.nearest(distances, 23)
                assert_array_equal(where, expected_rows)
                assert_array_equal(found, expected)

    @pytest.mark.parametrize("metric", CODE_METRICS)
    @pytest.mark.parametrize("bits", [1, 2])
    def test_ties_and_left_out_rows(self, rng, metric, bits):
        d = 5  # nearly every distance is tied
        positive, strong = rng.random((2, 60, d)) > 0.5
        if bits == 1:
            strong[:] = False
            codes, pair = pack_codes(positive), (1, 1)
        else:
            codes, pair = pack_codes(positive, strong, (1.0, 3.0)), (1, 3)
        rows = (positive, strong)
        distances = naive.code_distances(rows, rows, metric, pair)
        for n_jobs in (1, 2, 3):
            index = BinaryNeighbors(7, code_metric=metric, n_jobs=n_jobs).fit(codes)
            expected, expected_rows = naive.nearest(distances, 7, range(60))
            found, where = index.kneighbors()
            assert_array_equal(where, expected_rows)
            assert_array_equal(found, expected)
            found, where = index.kneighbors(codes)
            assert_array_equal(where, naive.nearest(distances, 7)[1])

    def test_auto_is_hamming_for_one_bit_and_dot_for_two(self, X, Y):
        for quantizer, metric in (
            (BinaryQuantizer(), "hamming"),
            (TwoBitQuantizer(), "dot"),
        ):
            auto = BinaryNeighbors(quantizer=quantizer).fit(X).kneighbors(Y)
            index = BinaryNeighbors(quantizer=quantizer, code_metric=metric).fit(X)
            assert_array_equal(auto, index.kneighbors(Y))

    def test_default_quantizer(self, X, Y):
        default = BinaryNeighbors().fit(X)
        named = BinaryNeighbors(quantizer=TwoBitQuantizer()).fit(X)
        assert_array_equal(default.kneighbors(Y), named.kneighbors(Y))

    def test_flat_and_nested_agree(self, X, Y):
        for steps in ([], [RandomRotation(random_state=0)]):
            flat = make_pipeline(*steps, TwoBitQuantizer(), BinaryNeighbors())
            flat.fit(unit(X))
            nested = BinaryNeighbors(
                quantizer=make_pipeline(*steps, TwoBitQuantizer()), metric="euclidean"
            ).fit(unit(X))
            assert_array_equal(
                flat[-1].kneighbors(flat[:-1].transform(unit(Y))),
                nested.kneighbors(unit(Y)),
            )

    def test_cosine_scales_to_unit_length(self, X, Y):
        index = BinaryNeighbors().fit(X)
        scaled = BinaryNeighbors().fit(X * np.linspace(0.1, 9, len(X))[:, None])
        assert_array_equal(index.kneighbors(Y), scaled.kneighbors(Y * 7))
        flat = make_pipeline(Normalizer(), TwoBitQuantizer(), BinaryNeighbors()).fit(X)
        assert_array_equal(
            flat[-1].kneighbors(flat[:-1].transform(Y))[1], index.kneighbors(Y)[1]
        )


class TestFloatQueries:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
    def test_estimate_is_the_formula(self, X, Y, metric, quantizer):
        index = BinaryNeighbors(
            len(X),
            quantizer=quantizer,
            query="vectors",
            metric=metric,
            corrections="exact",
        ).fit(X)
        found, where = index.kneighbors(Y)
        rows, queries = (unit(X), unit(Y)) if metric == "cosine" else (X, Y)
        values = index.codes_.unpack()
        c = index.quantizer_.thresholds_
        expected = np.array(
            [
                [
                    naive.estimated_distance(x, y, v, c, metric)
                    for x, v in zip(rows, values, strict=True)
                ]
                for y in queries
            ]
        )
        tolerance = 2e-3 if metric == "euclidean" else 1e-5  # root of a float32
        assert_allclose(
            np.take_along_axis(expected, where, axis=1), found, atol=tolerance
        )
        assert (np.diff(found, axis=1) >= 0).all()

    def test_rotation_applies_to_queries(self, glosses):
        X, Y = glosses.data[:1000], glosses.queries[:20]
        index = BinaryNeighbors(1000, quantizer=rotated(), query="vectors").fit(X)
        found, where = index.kneighbors(Y)
        exact = 1 - np.take_along_axis(Y @ X.T, where, axis=1)
        assert np.abs(found - exact).mean() < 0.02
        assert abs((found - exact).mean()) < 0.002

    def test_unbiased_after_rotation(self, rng):
        """RaBitQ, theorem 3.2: over rotations the mean estimate is the product."""
        X, Y = unit(rng.standard_normal((30, 48))), unit(rng.standard_normal((10, 48)))
        errors = []
        for seed in range(60):
            quantizer = make_pipeline(
                RandomRotation(random_state=seed), BinaryQuantizer("zero")
            )
            index = BinaryNeighbors(30, quantizer=quantizer, query="vectors").fit(X)
            found, where = index.kneighbors(Y)
            errors.append(
                np.take_along_axis(found, np.argsort(where), axis=1) - (1 - Y @ X.T)
            )
        mean, spread = np.mean(errors, axis=0), np.std(errors, axis=0)
        assert np.mean(np.abs(mean) < 3 * spread / np.sqrt(60)) > 0.98

    def test_memory_is_counted(self, X):
        coded = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X)
        floats = BinaryNeighbors(quantizer=BinaryQuantizer(), query="vectors").fit(X)
        sizes = {
            kept: clone(floats).set_params(corrections=kept).fit(X).bytes_per_row_
            for kept in (True, "exact", False)
        }
        assert sizes == {True: 5 + 3, "exact": 5 + 8, False: 5}
        assert coded.bytes_per_row_ == 5
        assert floats.bytes_per_row_ == 5 + 3
        assert BinaryNeighbors().fit(X).bytes_per_row_ == 10
        assert floats.vector_bytes_per_row_ == 0
        assert BinaryNeighbors(oversampling=2).fit(X).vector_bytes_per_row_ == 160

    def test_frozen_quantizer(self, X, Y):
        pipe = rotated().fit(unit(X[:60]))
        index = BinaryNeighbors(quantizer=FrozenEstimator(pipe), query="vectors").fit(X)
        assert index.quantizer_.estimator is pipe
        assert_array_equal(index.codes_.unpack(), pipe.transform(unit(X)).unpack())
        inside = make_pipeline(
            RandomRotation(random_state=0), FrozenEstimator(pipe[-1])
        )
        again = BinaryNeighbors(quantizer=inside, query="vectors").fit(X)
        assert_array_equal(again.kneighbors(Y), index.kneighbors(Y))


class TestReranking:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("query", ["codes", "vectors"])
    def test_full_depth_is_exact_search(self, X, Y, metric, query):
        index = BinaryNeighbors(
            6, quantizer=BinaryQuantizer(), metric=metric, query=query, oversampling=1e3
        ).fit(X)
        expected, expected_rows = naive.nearest(naive.exact_distances(X, Y, metric), 6)
        found, where = index.kneighbors(Y)
        assert_allclose(found, expected, atol=1e-7)
        # Rows 40 and 50 to 59 are the same vector: the lower ones come first.
        assert_array_equal(where, expected_rows)

    def test_against_scikit_learn(self, glosses):
        X, Y = glosses.data[:1500], glosses.queries[:60]
        for metric in ("cosine", "euclidean"):
            index = BinaryNeighbors(10, metric=metric, oversampling=500).fit(X)
            exact = NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute")
            expected, expected_rows = exact.fit(X).kneighbors(Y)
            found, where = index.kneighbors(Y)
            assert_allclose(
                found, expected, atol=1e-3 if metric == "euclidean" else 1e-6
            )
            assert np.mean(where == expected_rows) > 0.999

    def test_never_below_the_candidates(self, glosses):
        X, Y = glosses.data[:2000], glosses.queries
        exact = np.argsort(-(Y @ X.T), axis=1, kind="stable")[:, :10]

        def hits(rows, depth=10):
            return [
                len(set(a) & set(b[:depth])) for a, b in zip(exact, rows, strict=True)
            ]

        coarse = (
            BinaryNeighbors(30, quantizer=BinaryQuantizer()).fit(X).kneighbors(Y)[1]
        )
        index = BinaryNeighbors(10, quantizer=BinaryQuantizer(), oversampling=3).fit(X)
        assert_array_equal(hits(index.kneighbors(Y)[1]), hits(coarse, 30))

    @pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
    def test_vectors_are_kept_as_they_came(self, X, Y, dtype):
        X, Y = (20 * X).astype(dtype), (20 * Y).astype(dtype)
        for metric in METRICS:
            index = BinaryNeighbors(6, metric=metric, oversampling=1e3).fit(X)
            assert index.vector_bytes_per_row_ == 40 * X.itemsize
            found, where = index.kneighbors(Y)
            exact = naive.exact_distances(X, Y, metric)
            expected, expected_rows = naive.nearest(exact, 6)
            assert_allclose(found, expected, atol=1e-6)
            assert_array_equal(where, expected_rows)

    def test_memory_map_stays_on_disk(self, X, Y, tmp_path):
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        index = BinaryNeighbors(6, query="vectors", oversampling=3).fit(mapped)
        assert np.shares_memory(index._rows.vectors, mapped)
        expected = clone(index).fit(X).kneighbors(Y)
        assert_array_equal(index.kneighbors(Y), expected)


CONFIGURATIONS = [
    BinaryNeighbors(7, quantizer=rotated(), query="vectors", oversampling="bound"),
    BinaryNeighbors(7),
    BinaryNeighbors(7, quantizer=BinaryQuantizer()),
    BinaryNeighbors(7, quantizer=BinaryQuantizer(), query="vectors"),
    BinaryNeighbors(7, quantizer=rotated(), query="vectors", metric="euclidean"),
    BinaryNeighbors(7, oversampling=2, metric="inner_product"),
]


class TestSameAnswer:
    @pytest.fixture(params=CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
    def index(self, request, X):
        return clone(request.param).fit(X)

    def test_row_by_row_and_shuffled(self, index, Y, rng):
        found, where = index.kneighbors(Y)
        single = [index.kneighbors(Y[i : i + 1]) for i in range(len(Y))]
        assert_array_equal(np.concatenate([d for d, _ in single]), found)
        assert_array_equal(np.concatenate([r for _, r in single]), where)
        order = rng.permutation(len(Y))
        shuffled = index.kneighbors(Y[order])
        assert_array_equal(shuffled[0], found[order])
        assert_array_equal(shuffled[1], where[order])
        assert_array_equal(index.kneighbors(Y, return_distance=False), where)

    @pytest.mark.parametrize("n_jobs", [1, 2, 3, -1])
    def test_jobs(self, index, Y, n_jobs):
        expected = index.kneighbors(Y)
        index.set_params(n_jobs=n_jobs)
        assert_array_equal(index.kneighbors(Y), expected)
        near = index.radius_neighbors(Y, np.median(expected[0]))
        index.set_params(n_jobs=None)
        again = index.radius_neighbors(Y, np.median(expected[0]))
        for a, b in zip(near, again, strict=True):
            for one, other in zip(a, b, strict=True):
                assert_array_equal(one, other)

    def test_containers(self, index, X, Y, tmp_path):
        expected = index.kneighbors(Y)
        np.save(tmp_path / "Y.npy", Y)
        for same in (
            np.asfortranarray(Y),
            Y.astype(np.float64).astype(np.float32),
            np.load(tmp_path / "Y.npy", mmap_mode="r"),
        ):
            assert_array_equal(index.kneighbors(same), expected)
        fitted = clone(index).fit(np.asfortranarray(X))
        assert_array_equal(fitted.kneighbors(Y), expected)
        names = [f"c{i}" for i in range(X.shape[1])]
        frame = clone(index).fit(pd.DataFrame(X, columns=names))
        assert_array_equal(frame.kneighbors(pd.DataFrame(Y, columns=names)), expected)
        polar = clone(index).fit(pl.DataFrame(X, schema=names))
        assert (
            np.mean(polar.kneighbors(pl.DataFrame(Y, schema=names))[1] == expected[1])
            > 0.98
        )

    @pytest.mark.parametrize("setting", ["pandas", "polars"])
    def test_global_output_setting(self, index, X, Y, setting):
        expected = index.kneighbors(Y)
        with config_context(transform_output=setting):
            assert_array_equal(index.kneighbors(Y), expected)
            fitted = clone(index).fit(X)
        assert_array_equal(fitted.kneighbors(Y), expected)

    def test_pickle_and_memory_mapped_model(self, index, Y, tmp_path):
        expected = index.kneighbors(Y)
        assert_array_equal(pickle.loads(pickle.dumps(index)).kneighbors(Y), expected)
        joblib.dump(index, tmp_path / "index.joblib")
        mapped = joblib.load(tmp_path / "index.joblib", mmap_mode="r")
        assert not mapped.codes_.flags.writeable
        assert_array_equal(mapped.kneighbors(Y), expected)

    def test_working_memory_does_not_matter(self, index, X, Y):
        mask = np.arange(len(X)) % 3 > 0

        def answers(index):
            yield from index.kneighbors(Y)
            yield from index.kneighbors(Y, mask=mask)
            for part in index.radius_neighbors(Y, 0.9, mask=mask):
                yield np.concatenate(part)
            if index.query == "codes" or index.oversampling:
                yield from index.kneighbors()

        expected = list(answers(index))
        with config_context(working_memory=0.001):
            for one, other in zip(answers(index), expected, strict=True):
                assert_array_equal(one, other)
            assert_array_equal(clone(index).fit(X).kneighbors(Y), expected[:2])

    def test_partial_fit_adds_rows(self, index, X, Y):
        frozen = clone(index).set_params(quantizer=FrozenEstimator(index.quantizer_))
        grown = clone(frozen).partial_fit(X[:50]).partial_fit(X[50:90])
        grown.partial_fit(X[90:])
        assert grown.n_samples_fit_ == len(X)
        assert_array_equal(grown.kneighbors(Y), index.kneighbors(Y))

    def test_removed_rows_stay_away_when_more_are_added(self, X):
        """Rows are removed and added by turns."""
        index = BinaryNeighbors(1).fit(X[:100])
        for row in range(4):
            index.remove([row]).partial_fit(X[100 + row : 101 + row])
        _, rows = index.kneighbors(X, len(X[:100]))
        assert not np.isin([0, 1, 2, 3], rows).any()
        with pytest.raises(ValueError, match="cannot be removed"):
            index.remove([0])

    def test_rows_added_one_by_one(self, index, X, Y):
        frozen = clone(index).set_params(quantizer=FrozenEstimator(index.quantizer_))
        grown = frozen.fit(X[:60]).remove([2])
        held, before = grown.codes_, grown.codes_.copy()
        for row in range(60, len(X)):
            grown.partial_fit(X[[row]])
            if row == 80:
                early = copy.copy(grown)
        assert_array_equal(grown.kneighbors(Y), index.remove([2]).kneighbors(Y))
        # What was handed out, and copies, have their own rows.
        assert_array_equal(held, before)
        early.partial_fit(X[:3])
        assert early.n_samples_fit_ == 84
        assert_array_equal(early.codes_[81:], index.codes_[:3])
        assert_array_equal(grown.kneighbors(Y), index.kneighbors(Y))
        again = pickle.loads(pickle.dumps(grown))
        assert_array_equal(again.kneighbors(Y), index.kneighbors(Y))

    def test_partial_fit_never_relearns(self, index, X):
        before = pickle.dumps(index.quantizer_)
        index.partial_fit(X[:5] + 100)
        assert pickle.dumps(index.quantizer_) == before

    def test_radius_is_the_matching_part_of_kneighbors(self, index, X, Y):
        found, where = index.kneighbors(Y, len(X) - 1)
        radius = found[:, 9].max()
        if index.oversampling is not None:
            found, where = (
                clone(index).set_params(oversampling=1e3).fit(X).kneighbors(Y, len(X))
            )
        near, rows = index.radius_neighbors(Y, radius, sort_results=True)
        for q in range(len(Y)):
            inside = found[q] <= radius
            assert_array_equal(rows[q], where[q][inside])
            assert_array_equal(near[q], found[q][inside])
        unsorted = index.radius_neighbors(Y, radius, return_distance=False)
        for q in range(len(Y)):
            assert_array_equal(unsorted[q], np.sort(rows[q]))


class TestSelf:
    @pytest.mark.parametrize("query", ["codes", "vectors"])
    @pytest.mark.parametrize("oversampling", [None, 3])
    def test_a_row_is_not_its_own_neighbor(self, X, query, oversampling):
        if query == "vectors" and oversampling is None:
            pytest.skip("needs kept vectors")
        index = BinaryNeighbors(
            12, quantizer=BinaryQuantizer(), query=query, oversampling=oversampling
        ).fit(X)
        found, where = index.kneighbors()
        assert found.shape == (120, 12)
        assert not (where == np.arange(120)[:, None]).any()
        duplicates = [40, *range(50, 60)]
        for row in duplicates:
            others = [r for r in duplicates if r != row]
            assert_array_equal(where[row, :10], others)
        near, rows = index.radius_neighbors(radius=1e-6)
        for row in duplicates:
            assert_array_equal(rows[row], [r for r in duplicates if r != row])
        assert len(near[0]) == 0

    def test_all_others(self, X):
        index = BinaryNeighbors(119).fit(X)
        assert index.kneighbors()[1].shape == (120, 119)
        with pytest.raises(ValueError, match="Expected n_neighbors < n_samples_fit"):
            index.kneighbors(n_neighbors=120)


class TestGraphs:
    def test_kneighbors_graph(self, X, Y):
        index = BinaryNeighbors(4, oversampling=2).fit(X)
        found, where = index.kneighbors(Y)
        for mode in ("connectivity", "distance"):
            graph = index.kneighbors_graph(Y, mode=mode)
            assert graph.shape == (len(Y), len(X))
            assert graph.dtype == np.float64
            assert_array_equal(graph.indices.reshape(where.shape), where)
            expected = (
                np.maximum(found, 0) if mode == "distance" else np.ones_like(found)
            )
            assert_array_equal(graph.data.reshape(where.shape), expected)

    def test_radius_graph(self, X, Y):
        index = BinaryNeighbors(radius=30, code_metric="hamming").fit(X)
        near, rows = index.radius_neighbors(Y)
        graph = index.radius_neighbors_graph(Y, mode="distance")
        assert_array_equal(graph.indices, np.concatenate(rows))
        assert_array_equal(graph.data, np.concatenate(near))
        assert_array_equal(np.diff(graph.indptr), [len(r) for r in rows])

    def test_estimates_below_zero_become_zero(self, X):
        index = BinaryNeighbors(quantizer=BinaryQuantizer(), query="vectors").fit(X)
        assert index.kneighbors(X)[0].min() < 0
        graph = index.kneighbors_graph(X, mode="distance")
        assert graph.data.min() == 0
        assert graph.nnz == 5 * len(X)

    @pytest.mark.parametrize("interface", ["spmatrix", "sparray"])
    def test_sparse_interface(self, X, interface):
        from sklearn import get_config

        index = BinaryNeighbors().fit(X)
        if "sparse_interface" not in get_config():
            pytest.skip("came with scikit-learn 1.9")
        with config_context(sparse_interface=interface):
            graph = index.kneighbors_graph()
        assert issparse(graph)
        assert isinstance(graph, csr_array if interface == "sparray" else csr_matrix)

    def test_inner_product_distances_are_refused(self, X):
        for parameters in ({"query": "vectors"}, {"oversampling": 2}):
            index = BinaryNeighbors(metric="inner_product", **parameters).fit(X)
            assert index.kneighbors_graph(X).nnz == 600
            for graph in (index.kneighbors_graph, index.radius_neighbors_graph):
                with pytest.raises(ValueError, match="Use mode='connectivity'"):
                    graph(X, mode="distance")
        coded = BinaryNeighbors(metric="inner_product").fit(X)
        assert coded.kneighbors_graph(X, mode="distance").data.min() >= 0


class TestRefused:
    @pytest.fixture
    def flat(self, X):
        return BinaryNeighbors().fit(TwoBitQuantizer().fit_transform(X))

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda Y: np.where(Y[3, 2] == Y, np.nan, Y), r"NaN.*row \[3\]"),
            (lambda Y: np.where(Y[4, 1] == Y, np.inf, Y), r"infinity.*row \[4\]"),
            (lambda Y: Y[0], "Reshape your data"),
            (
                lambda Y: Y[:, :5],
                "X has 5 features, but BinaryNeighbors is expecting 40",
            ),
            (lambda Y: Y.astype(complex), "Complex data not supported"),
            (lambda Y: Y.astype("i8").astype("M8[s]"), "takes numbers.*datetime64"),
            (lambda Y: np.ma.masked_greater(Y, 1), "masked array"),
            (lambda Y: Y[:0], "minimum of 1 is required"),
            (lambda Y: np.abs(Y).astype(np.uint8), "as_codes.*astype"),
            (lambda Y: BinaryQuantizer().fit_transform(Y), "holds codes already"),
            (
                lambda Y: Y * (np.arange(len(Y)) != 3)[:, None],
                r"rows of zeros.*row \[3\]",
            ),
        ],
    )
    @pytest.mark.parametrize("query", ["codes", "vectors"])
    def test_queries(self, X, Y, spoil, message, query):
        index = BinaryNeighbors(query=query).fit(X)
        for search in (
            index.kneighbors,
            index.radius_neighbors,
            index.kneighbors_graph,
        ):
            with pytest.raises(ValueError, match=message):
                search(spoil(Y))

    @pytest.mark.parametrize("where", ["fit", "kneighbors"])
    def test_sparse(self, X, where):
        index = BinaryNeighbors().fit(X)
        with pytest.raises((TypeError, ValueError), match="[Ss]parse"):
            getattr(index, where)(csr_matrix(X))

    def test_zero_rows_at_fit(self, X, Y):
        X[[3, 77]] = 0
        with pytest.raises(ValueError, match=r"X has rows of zeros.*row \[3, 77\]"):
            BinaryNeighbors().fit(X)
        assert BinaryNeighbors(metric="euclidean").fit(X).n_samples_fit_ == 120

    def test_zero_rows_of_integers_are_far_from_everything(self, rng):
        X = rng.integers(-9, 9, size=(20, 8))
        X[3] = 0
        index = BinaryNeighbors(20, query="vectors", oversampling=1).fit(X)
        found, where = index.kneighbors(X[:2])
        assert_allclose(found[where == 3], 1)

    @pytest.mark.parametrize(
        ("k", "error", "message"),
        [
            (0, ValueError, r"in the range \[1, inf\). Got 0"),
            (-1, ValueError, "Got -1"),
            (2.0, TypeError, "must be an int.*Got 2.0"),
            (True, TypeError, "Got True"),
            ("five", TypeError, "Got 'five'"),
            (121, ValueError, "n_neighbors = 121, n_samples_fit = 120, n_samples = 16"),
        ],
    )
    def test_n_neighbors(self, X, Y, k, error, message):
        index = BinaryNeighbors().fit(X)
        with pytest.raises(error, match=message):
            index.kneighbors(Y, n_neighbors=k)
        if k != 121:
            with pytest.raises(error, match=message):
                BinaryNeighbors(k).fit(X)

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"metric": "manhattan"}, ValueError, "Got 'manhattan'"),
            ({"query": "floats"}, ValueError, "Got 'floats'"),
            ({"code_metric": "jaccard"}, ValueError, "Got 'jaccard'"),
            ({"oversampling": 0.5}, ValueError, "Got 0.5"),
            ({"oversampling": "2"}, ValueError, "Got '2'"),
            ({"radius": np.nan}, ValueError, r"range \(-inf, inf\). Got nan"),
            ({"n_jobs": 0}, ValueError, "None or an int other than 0.*Got 0"),
            ({"n_jobs": "2"}, TypeError, "Got '2'"),
            ({"n_jobs": True}, TypeError, "Got True"),
            ({"quantizer": "two bits"}, TypeError, "Got 'two bits'"),
            (
                {"quantizer": StandardScaler()},
                TypeError,
                "must turn vectors into codes",
            ),
        ],
    )
    def test_parameters(self, X, parameters, error, message):
        with pytest.raises(error, match=message):
            BinaryNeighbors(**parameters).fit(X)

    def test_codes_with_what_needs_vectors(self, X):
        codes = TwoBitQuantizer().fit_transform(X)
        for parameters, message in (
            ({"quantizer": TwoBitQuantizer()}, "quantize again"),
            ({"query": "vectors"}, "set query='codes'"),
            ({"oversampling": 2}, "set oversampling=None"),
        ):
            with pytest.raises(ValueError, match=message):
                BinaryNeighbors(**parameters).fit(codes)

    def test_other_codes(self, X, Y, flat):
        for other, message in (
            (
                BinaryQuantizer().fit_transform(Y),
                "1-bit .* fitted on 2-bit codes of 40",
            ),
            (TwoBitQuantizer().fit_transform(Y[:, :39]), "codes of 39 coordinates"),
            (TwoBitQuantizer(levels=(1, 2)).fit_transform(Y), r"levels \(1.0, 2.0\)"),
            (Y, r"takes codes: .*as_codes\(X, n_features=40\)"),
            (np.asarray(TwoBitQuantizer().fit_transform(Y)), "takes codes"),
            (TwoBitQuantizer().fit_transform(Y)[:0], "minimum of 1"),
        ):
            for method in (flat.kneighbors, flat.radius_neighbors, flat.partial_fit):
                with pytest.raises(ValueError, match=message):
                    method(other)
        one_bit = BinaryNeighbors().fit(BinaryQuantizer().fit_transform(X))
        with pytest.raises(ValueError, match="2-bit .* fitted on 1-bit"):
            one_bit.kneighbors(TwoBitQuantizer().fit_transform(Y))

    def test_vectors_that_were_not_kept(self, X):
        index = BinaryNeighbors(query="vectors").fit(X)
        with pytest.raises(ValueError, match="set oversampling"):
            index.kneighbors()

    @pytest.mark.parametrize("metric", METRICS[1:])
    def test_queries_that_float32_cannot_hold(self, X, Y, metric):
        index = BinaryNeighbors(query="vectors", metric=metric).fit(X)
        for size in (1e50, 1e300):
            with pytest.raises(ValueError, match="queries are too long"):
                index.kneighbors(Y * np.float64(size))

    def test_parameters_changed_after_fit(self, X, Y):
        index = BinaryNeighbors().fit(X)
        with pytest.raises(ValueError, match="query='vectors' was set after fit"):
            index.set_params(query="vectors").kneighbors(Y)
        with pytest.raises(ValueError, match="oversampling=3 was set after fit"):
            index.set_params(query="codes", oversampling=3).kneighbors(Y)

        index.set_params(oversampling=None, metric="euclidean")
        for method in (index.kneighbors, index.radius_neighbors, index.partial_fit):
            with pytest.raises(ValueError, match=r"'euclidean' was set .* 'cosine'"):
                method(Y)

    def test_rows_added_for_another_query(self, X, Y):
        index = BinaryNeighbors(query="vectors").fit(X[:90])
        index.set_params(query="codes").partial_fit(X[90:]).set_params(query="vectors")
        frozen = FrozenEstimator(index.quantizer_)
        again = BinaryNeighbors(query="vectors", quantizer=frozen).fit(X)
        assert_array_equal(index.kneighbors(Y), again.kneighbors(Y))

    def test_sorting_needs_distances(self, X, Y):
        index = BinaryNeighbors().fit(X)
        with pytest.raises(ValueError, match="return_distance must be True"):
            index.radius_neighbors(Y, return_distance=False, sort_results=True)

    def test_unfitted(self, Y):
        for method in ("kneighbors", "radius_neighbors", "kneighbors_graph"):
            with pytest.raises(ValueError, match="not fitted"):
                getattr(BinaryNeighbors(), method)(Y)


def test_wrapped_codes_of_others(rng):
    packed = rng.integers(0, 256, size=(50, 8), dtype=np.uint8)
    index = BinaryNeighbors(3).fit(as_codes(packed, n_features=64))
    found, where = index.kneighbors(as_codes(packed[:5], n_features=64))
    assert_array_equal(where[:, 0], range(5))
    assert_array_equal(found[:, 0], 0)


def test_codes_of_others_are_copied(rng):
    packed = rng.integers(0, 256, size=(50, 8), dtype=np.uint8)
    index = BinaryNeighbors(3).fit(as_codes(packed, n_features=64))
    packed[:] = 0
    assert index.codes_.any()


def test_mapped_codes_are_not_copied(rng, tmp_path):
    packed = rng.integers(0, 256, size=(50, 8), dtype=np.uint8)
    np.save(tmp_path / "codes.npy", packed)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    index = BinaryNeighbors(3).fit(as_codes(mapped, n_features=64))
    assert np.shares_memory(index.codes_, mapped)
    assert_array_equal(
        index.kneighbors(as_codes(packed, n_features=64))[1][:, 0], range(50)
    )
    index.partial_fit(as_codes(packed[:2], n_features=64))
    assert_array_equal(index.codes_[50:], packed[:2])


def test_names_of_columns_are_forgotten(X):
    index = BinaryNeighbors().fit(pd.DataFrame(X, columns=[f"c{i}" for i in range(40)]))
    assert len(index.feature_names_in_) == 40
    assert not hasattr(
        index.fit(TwoBitQuantizer().fit_transform(X)), "feature_names_in_"
    )


def test_recall_on_real_embeddings(glosses):
    """The floors that the shipped embeddings must keep, before reranking."""
    X, Y = glosses.data, glosses.queries
    exact = np.argsort(-(Y @ X.T), axis=1, kind="stable")[:, :10]
    for quantizer, query, floor in (
        (BinaryQuantizer(), "codes", 0.60),
        (TwoBitQuantizer(), "codes", 0.78),
        (TwoBitQuantizer(), "vectors", 0.85),
    ):
        index = BinaryNeighbors(10, quantizer=quantizer, query=query).fit(X)
        rows = index.kneighbors(Y, return_distance=False)
        hits = [len(set(a) & set(b)) for a, b in zip(exact, rows, strict=True)]
        assert np.mean(hits) / 10 >= floor


class TestMask:
    @pytest.fixture(params=CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
    def index(self, request, X):
        return clone(request.param).fit(X)

    def test_is_the_search_among_the_shown_rows(self, index, X, Y, rng):
        mask = rng.random(len(X)) > 0.6
        shown = np.flatnonzero(mask)
        frozen = FrozenEstimator(index.quantizer_)
        part = clone(index).set_params(quantizer=frozen).fit(X[mask])
        for parameters in ({}, {"n_jobs": 2}):
            index.set_params(**parameters)
            found, rows = index.kneighbors(Y, mask=mask)
            expected, expected_rows = part.kneighbors(Y)
            assert_array_equal(found, expected)
            assert_array_equal(rows, shown[expected_rows])
            radius = np.median(found)
            near, where = index.radius_neighbors(Y, radius, mask=mask)
            expected, expected_rows = part.radius_neighbors(Y, radius)
            for q in range(len(Y)):
                assert_array_equal(near[q], expected[q])
                assert_array_equal(where[q], shown[expected_rows[q]])

    def test_padding(self, index, X, Y):
        mask = np.zeros(len(X), bool)
        mask[[5, 17]] = True
        found, rows = index.kneighbors(Y, mask=mask)
        assert_array_equal(np.sort(rows[:, :2]), [[5, 17]] * len(Y))
        assert_array_equal(rows[:, 2:], -1)
        assert_array_equal(found[:, 2:], np.inf)
        graph = index.kneighbors_graph(Y, mask=mask)
        assert graph.nnz == 2 * len(Y)
        assert index.radius_neighbors_graph(Y, 1e9, mask=mask).nnz == 2 * len(Y)
        assert (index.kneighbors(Y, mask=mask & False)[1] == -1).all()

    def test_refused(self, index, Y):
        for mask in (np.ones(120), np.ones(119, bool), np.ones((120, 1), bool)):
            with pytest.raises(ValueError, match=r"bool array .* shape \(120,\)"):
                index.kneighbors(Y, mask=mask)


class TestRemove:
    @pytest.fixture(params=CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
    def index(self, request, X):
        return clone(request.param).fit(X)

    def test_others_keep_their_numbers(self, index, X, Y):
        mask = np.ones(len(X), bool)
        mask[[0, 7, 55]] = False
        expected = index.kneighbors(Y, mask=mask)
        assert index.remove([7, 55]).remove(0) is index
        assert_array_equal(index.kneighbors(Y), expected)
        assert index.n_samples_fit_ == len(X)
        index.partial_fit(X[[7]])
        rows = index.kneighbors(X[[7]], 1, return_distance=False)
        assert index.n_samples_fit_ == len(X) + 1
        if index.metric != "inner_product":
            assert_array_equal(rows, [[len(X)]])

    def test_removed_rows_have_no_neighbors(self, X):
        index = BinaryNeighbors(5, oversampling=2).fit(X).remove([3, 4])
        rows = index.kneighbors(return_distance=False)
        assert (rows[[3, 4]] == -1).all()
        assert not np.isin(rows, [3, 4]).any()
        where = index.radius_neighbors(radius=2.0, return_distance=False)
        assert [len(r) for r in where[2:6]] == [117, 0, 0, 117]
        graph = index.kneighbors_graph()
        assert graph.shape == (120, 120)
        assert graph.nnz == 5 * 118

    def test_refused(self, X, Y):
        index = BinaryNeighbors().fit(X).remove([3])
        for rows in ([3], [120], [-1], [0, 3]):
            with pytest.raises(ValueError, match="cannot be removed"):
                index.remove(rows)
        for rows in ([1.0], [True], ["a"], [[1, 2]]):
            with pytest.raises(TypeError, match="row numbers"):
                index.remove(rows)
        with pytest.raises(ValueError, match=r"120 \(1 of them removed\)"):
            index.kneighbors(Y, 120)
        assert index.kneighbors(Y, 119)[1].shape == (16, 119)


class TestBound:
    """RaBitQ: rotation, one bit, corrected estimates, reranking pruned by the bound."""

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
    def test_guarantee(self, glosses, metric, quantizer):
        """The true distance is below the bound as often as a normal law says."""
        X, Y = glosses.data[:1000], glosses.queries[:100]
        if metric != "cosine":
            X = X * np.linspace(0.5, 2, len(X), dtype=np.float32)[:, None]
        pipe = make_pipeline(RandomRotation(random_state=0), quantizer)
        index = BinaryNeighbors(
            1000, quantizer=pipe, metric=metric, query="vectors"
        ).fit(X)
        found, rows, bounds = index.kneighbors(Y, return_bound=True)
        assert (bounds <= found).all()
        true = np.array(
            [distances_to(X[r], y, metric) for r, y in zip(rows, Y, strict=True)]
        )
        # 1 - Phi(1.9) is 0.0287; the spread over rotations is below 0.004.
        assert 0.015 < np.mean(true < bounds) < 0.040

    @pytest.mark.parametrize("metric", METRICS)
    def test_pruned_reranking(self, glosses, metric):
        X, Y = glosses.data, glosses.queries[:100]
        pipe = make_pipeline(RandomRotation(random_state=0), BinaryQuantizer())
        parameters = {"quantizer": pipe, "metric": metric, "query": "vectors"}
        index = BinaryNeighbors(10, oversampling="bound", **parameters).fit(X)
        exact = np.argsort(-(Y @ X.T), axis=1, kind="stable")[:, :10]
        for n_jobs in (None, 2):
            found, rows = index.set_params(n_jobs=n_jobs).kneighbors(Y)
            hits = [len(set(a) & set(b)) for a, b in zip(exact, rows, strict=True)]
            assert np.mean(hits) / 10 > 0.98
            assert (np.diff(found, axis=1) >= 0).all()
        index.partial_fit(X[:3]).remove(5)
        assert 5 not in index.kneighbors(X[[5]])[1]
        mask = np.zeros(len(X) + 3, bool)
        mask[:4] = True
        assert (np.sort(index.kneighbors(Y, 6, mask=mask)[1])[:, 2:] < 4).all()

    def test_bounds_are_computed_in_blocks(self, X, Y):
        index = BinaryNeighbors(5, query="vectors").fit(X)
        expected = index.kneighbors(Y, return_bound=True)
        with config_context(working_memory=0.001):
            assert_array_equal(index.kneighbors(Y, return_bound=True), expected)
        rows, bounds = index.kneighbors(Y, return_distance=False, return_bound=True)
        assert_array_equal(rows, expected[1])
        assert_array_equal(bounds, expected[2])
        mask = np.arange(len(X)) < 3
        assert np.isinf(
            index.kneighbors(Y, mask=mask, return_bound=True)[2][:, 3:]
        ).all()

    def test_length_is_kept_where_it_cannot_be_told(self, X):
        index = BinaryNeighbors(quantizer=BinaryQuantizer(), query="vectors")
        for corrections, kept, more in ((True, 3, 2), ("exact", 8, 4)):
            index.set_params(metric="cosine", corrections=corrections)
            assert index.fit(X).bytes_per_row_ == 5 + kept
            index.set_params(metric="inner_product")
            assert index.fit(X).bytes_per_row_ == 5 + kept + more

    def test_refused(self, X, Y):
        with pytest.raises(ValueError, match="'bound' needs query='vectors'"):
            BinaryNeighbors(oversampling="bound").fit(X)
        with pytest.raises(ValueError, match="Got 'twice'"):
            BinaryNeighbors(oversampling="twice").fit(X)
        for parameters in ({}, {"query": "vectors", "oversampling": 2}):
            index = BinaryNeighbors(**parameters).fit(X)
            with pytest.raises(ValueError, match="return_bound=True is for estimated"):
                index.kneighbors(Y, return_bound=True)
        with pytest.raises(ValueError, match="too long"):
            BinaryNeighbors(metric="euclidean", query="vectors").fit(
                X * np.float64(1e25)
            )
