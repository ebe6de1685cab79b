"""The contract of a k-NN graph as scikit-learn's consumers read it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.cluster import DBSCAN, SpectralClustering
from sklearn.manifold import Isomap
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsTransformer,
    LocalOutlierFactor,
)
from sklearn.pipeline import make_pipeline

from skbq import BinaryNeighborsTransformer, BinaryQuantizer, TwoBitQuantizer


@pytest.fixture
def X(rng):
    centres = rng.standard_normal((3, 24)) * 2
    return (centres[np.arange(90) % 3] + rng.standard_normal((90, 24))).astype("f4")


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
