"""The contract of a k-NN graph as scikit-learn's consumers read it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import tril, triu
from sklearn.base import clone
from sklearn.cluster import DBSCAN, HDBSCAN, SpectralClustering
from sklearn.manifold import Isomap
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsTransformer,
    LocalOutlierFactor,
)
from sklearn.pipeline import Pipeline, make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    TwoBitQuantizer,
)


@pytest.fixture
def X(rng):
    centers = rng.standard_normal((3, 24)) * 2
    return (centers[np.arange(90) % 3] + rng.standard_normal((90, 24))).astype("f4")


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"code_metric": "hamming"},
        {"query": "vectors", "oversampling": 2},
        {"oversampling": 3, "metric": "euclidean"},
    ],
    ids=str,
)
def test_contract(X, mode, parameters):
    transformer = BinaryNeighborsTransformer(6, mode=mode, **parameters)
    graph = transformer.fit_transform(X)
    k = 7 if mode == "distance" else 6
    assert graph.shape == (90, 90)
    assert graph.dtype == np.float64
    assert_array_equal(np.diff(graph.indptr), k)
    assert (graph.data >= 0).all()
    columns, values = graph.indices.reshape(90, k), graph.data.reshape(90, k)
    assert all(len(set(row)) == k for row in columns)
    if mode == "distance":
        assert (np.diff(values, axis=1) >= 0).all()
        assert all(i in row for i, row in enumerate(columns))
    else:
        assert_array_equal(values, 1)
    again = clone(transformer).fit(X).transform(X)
    assert_array_equal(graph.toarray(), again.toarray())
    assert_array_equal(graph.indices, again.indices)
    assert transformer.transform(X[:4]).shape == (4, 90)
    assert len(transformer.get_feature_names_out()) == 90


def test_explicit_zeros_are_kept_under_duplicates(X):
    X = np.concatenate([X, X[:40]])
    graph = BinaryNeighborsTransformer(3, code_metric="hamming").fit_transform(X)
    assert graph.nnz == 4 * 130
    assert (graph.data == 0).sum() >= 130


def test_agrees_with_scikit_learn_at_full_depth(X):
    mine = BinaryNeighborsTransformer(5, metric="euclidean", oversampling=100)
    theirs = KNeighborsTransformer(n_neighbors=5, algorithm="brute")
    graph, expected = mine.fit_transform(X), theirs.fit_transform(X)
    assert_array_equal(graph.indices, expected.indices)
    # scikit-learn's brute force loses digits near 0.
    assert np.abs(graph.data - expected.data).max() < 1e-2


def test_codes_as_input(X):
    for quantizer in (BinaryQuantizer(), TwoBitQuantizer()):
        flat = make_pipeline(quantizer, BinaryNeighborsTransformer(4))
        assert flat.fit_transform(X).nnz == 5 * 90


def test_inner_product(X):
    with pytest.raises(ValueError, match="Use mode='connectivity'"):
        BinaryNeighborsTransformer(metric="inner_product", oversampling=2).fit(X)
    graph = BinaryNeighborsTransformer(
        mode="connectivity", metric="inner_product", oversampling=2
    ).fit_transform(X)
    assert graph.nnz == 450


def test_unknown_mode(X):
    with pytest.raises(ValueError, match="Got 'weights'"):
        BinaryNeighborsTransformer(mode="weights").fit(X)


@pytest.mark.parametrize(
    "consumer",
    [
        KNeighborsClassifier(n_neighbors=5, metric="precomputed"),
        DBSCAN(eps=7.5, metric="precomputed"),
        Isomap(n_neighbors=30, metric="precomputed"),
        LocalOutlierFactor(n_neighbors=10, metric="precomputed"),
        SpectralClustering(3, affinity="precomputed_nearest_neighbors", n_neighbors=34),
    ],
    ids=lambda e: type(e).__name__,
)
def test_downstream(X, consumer):
    labels = np.arange(90) % 3
    pipe = make_pipeline(
        BinaryNeighborsTransformer(35, metric="euclidean", oversampling=3), consumer
    )
    if isinstance(consumer, Isomap):
        assert pipe.fit_transform(X).shape == (90, 2)
        return
    if isinstance(consumer, KNeighborsClassifier):
        found = pipe.fit(X[:60], labels[:60]).predict(X[60:])
        assert np.mean(found == labels[60:]) > 0.95
        return
    found = pipe.fit_predict(X)
    if isinstance(consumer, LocalOutlierFactor):
        assert np.mean(found == 1) > 0.8
        return
    groups = [set(found[labels == c]) for c in range(3)]
    assert len(set().union(*groups)) >= 3
    assert all(len(g) == 1 for g in groups)


def test_names_of_columns_after_rows_were_added(X):
    graph = BinaryNeighborsTransformer().fit(X).partial_fit(X[:3])
    assert len(graph.get_feature_names_out()) == graph.transform(X).shape[1] == 93


class TestDefaults:
    """Distances that make sense downstream, without a parameter."""

    def test_dbscan(self, X):
        labels = make_pipeline(
            BinaryNeighborsTransformer(80), DBSCAN(eps=0.4, metric="precomputed")
        ).fit_predict(X)
        exact = DBSCAN(eps=0.4, metric="cosine").fit_predict(X)
        assert adjusted_rand_score(labels, exact) > 0.9
        assert np.mean(labels >= 0) > 0.5

    def test_auto_is_4_where_vectors_are_given(self, X):
        auto = BinaryNeighborsTransformer(6)
        four = BinaryNeighborsTransformer(6, oversampling=4)
        for metric in ("cosine", "euclidean"):
            auto.set_params(metric=metric)
            expected = four.set_params(metric=metric).fit_transform(X)
            assert_array_equal(auto.fit_transform(X).toarray(), expected.toarray())
        assert auto.vector_bytes_per_row_ == X[:1].nbytes
        codes = TwoBitQuantizer().fit_transform(X)
        assert auto.fit(codes).vector_bytes_per_row_ == 0
        coded = BinaryNeighborsTransformer(6, oversampling=None).fit_transform(codes)
        assert_array_equal(auto.fit_transform(codes).toarray(), coded.toarray())

    def test_inner_product(self, X):
        coded = BinaryNeighborsTransformer(metric="inner_product").fit_transform(X)
        assert (coded.data >= 0).all()
        reranked = BinaryNeighborsTransformer(
            metric="inner_product", mode="connectivity"
        ).fit(X)
        assert reranked.vector_bytes_per_row_ > 0

    def test_refused(self, X):
        with pytest.raises(ValueError, match="oversampling.*Got 'four'"):
            BinaryNeighborsTransformer(oversampling="four").fit(X)
        with pytest.raises(ValueError, match="oversampling.*Got 'auto'"):
            BinaryNeighbors(oversampling="auto").fit(X)

    def test_a_row_is_its_own_nearest(self, rng):
        X = rng.standard_normal((2000, 8)).astype(np.float32)
        for parameters in (
            {"query": "vectors"},
            {"query": "vectors", "metric": "euclidean"},
            {"code_metric": "penalty"},
        ):
            graph = BinaryNeighborsTransformer(3, **parameters).fit_transform(X)
            assert_array_equal(graph.indices.reshape(2000, 4)[:, 0], range(2000))


class TestSymmetric:
    @pytest.mark.parametrize("mode", ["distance", "connectivity"])
    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"oversampling": None},
            {"oversampling": None, "query": "vectors"},
            {"metric": "euclidean"},
        ],
        ids=str,
    )
    def test_is_the_union_of_both_directions(self, X, mode, parameters):
        X = np.concatenate([X, X[:8]])
        plain = BinaryNeighborsTransformer(6, mode=mode, **parameters)
        both = clone(plain).set_params(symmetric=True)
        one, graph = plain.fit_transform(X), both.fit_transform(X)
        assert_array_equal(both.transform(X).toarray(), graph.toarray())
        dense = graph.toarray()
        assert_array_equal(dense, dense.T)
        edges = edges_of(one)
        expected = {(i, j) for i, j in edges} | {(j, i) for i, j in edges}
        if mode == "distance":
            expected |= {(i, i) for i in range(len(X))}
            assert_array_equal(graph.diagonal(), 0)
        assert set(edges_of(graph)) == expected
        assert len(edges_of(graph)) == len(expected)
        there = {(i, j): one[i, j] for i, j in edges}
        for i, j in expected - {(i, i) for i in range(len(X))}:
            known = [there[e] for e in ((i, j), (j, i)) if e in there]
            assert np.isclose(graph[i, j], np.mean(known), rtol=1e-15)
        for i in range(len(X)):
            some = slice(graph.indptr[i], graph.indptr[i + 1])
            values, columns = graph.data[some], graph.indices[some]
            assert_array_equal(np.lexsort((columns, values)), range(len(values)))

    def test_hdbscan(self, X):
        graph = BinaryNeighborsTransformer(40, symmetric=True).fit_transform(X)
        labels = HDBSCAN(metric="precomputed", copy=True).fit_predict(graph)
        groups = [set(labels[c::3]) - {-1} for c in range(3)]
        assert all(len(g) == 1 for g in groups)
        assert len(set().union(*groups)) == 3

    def test_what_umap_checks(self, X):
        for parameters in ({}, {"oversampling": None, "code_metric": "dot"}):
            graph = BinaryNeighborsTransformer(
                15, symmetric=True, **parameters
            ).fit_transform(X)
            assert tril(graph).nnz == triu(graph).nnz
            assert_array_equal(graph.diagonal(), 0)
            assert (np.diff(graph.indptr) >= 15).all()

    def test_other_rows_are_refused(self, X):
        graph = BinaryNeighborsTransformer(5, symmetric=True).fit(X)
        for other in (X[:10], X[::-1]):
            with pytest.raises(ValueError, match="symmetric=True.*set symmetric=False"):
                graph.transform(other)
        with pytest.raises(TypeError, match="'symmetric'.*Got 'yes'"):
            BinaryNeighborsTransformer(symmetric="yes").fit(X)


def edges_of(graph):
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    return list(zip(rows.tolist(), graph.indices.tolist(), strict=True))


def test_a_pipeline_with_a_memory_knows_codes_apart(rng, tmp_path):
    """The bytes of codes are the same for all levels; joblib must hash the levels."""
    X = rng.normal(size=(200, 16)).astype(np.float32)
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0

    def scores(memory):
        steps = [
            ("q", TwoBitQuantizer()),
            ("graph", BinaryNeighborsTransformer(5)),
            ("classify", KNeighborsClassifier(5, metric="precomputed")),
        ]
        levels = {"q__levels": [(1, 2), (1, 3), (1, 9)]}
        search = GridSearchCV(Pipeline(steps, memory=memory), levels, cv=2).fit(X, y)
        return search.cv_results_["mean_test_score"]

    expected = scores(None)
    assert len(set(expected)) == 3  # the levels matter
    assert_array_equal(scores(str(tmp_path)), expected)
