"""Estimators that take a graph of neighbors, fed by skbq and by scikit-learn."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import DBSCAN, HDBSCAN, SpectralClustering
from sklearn.datasets import make_blobs
from sklearn.manifold import TSNE, Isomap, trustworthiness
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline

from skbq import BinaryNeighbors, BinaryNeighborsTransformer, BinaryQuantizer

# More than a cluster has rows, so that the graph is in one piece: HDBSCAN and Isomap
# take no other.
N_NEIGHBORS = 45


@pytest.fixture(scope="module")
def blobs():
    X, labels = make_blobs(
        160, n_features=40, centers=4, cluster_std=2.0, random_state=3
    )
    return X.astype(np.float32), labels


def skbq_graph(oversampling, **options):
    return BinaryNeighborsTransformer(
        N_NEIGHBORS, metric="euclidean", oversampling=oversampling, **options
    )


def exact_graph():
    return KNeighborsTransformer(n_neighbors=N_NEIGHBORS, algorithm="brute")


def joined(graph):
    return graph.maximum(graph.T)


CLUSTERINGS = {
    "DBSCAN": DBSCAN(eps=19.0, metric="precomputed"),
    "SpectralClustering": SpectralClustering(
        4,
        affinity="precomputed_nearest_neighbors",
        n_neighbors=N_NEIGHBORS,
        random_state=0,
    ),
}


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_clusters(blobs, name):
    """Reranked neighbors of codes give the clusters that exact neighbors give."""
    X, labels = blobs
    found = make_pipeline(skbq_graph(1.5), CLUSTERINGS[name]).fit_predict(X)
    assert adjusted_rand_score(labels, found) > 0.95
    all_reranked = make_pipeline(skbq_graph(4), CLUSTERINGS[name]).fit_predict(X)
    expected = make_pipeline(exact_graph(), CLUSTERINGS[name]).fit_predict(X)
    assert adjusted_rand_score(expected, all_reranked) == 1


def test_hdbscan(blobs):
    """HDBSCAN alone wants a symmetric graph."""
    X, labels = blobs
    clustering = HDBSCAN(min_samples=5, metric="precomputed", copy=True)
    symmetric = skbq_graph(1.5, symmetric=True)
    found = make_pipeline(symmetric, clustering).fit_predict(X)
    assert adjusted_rand_score(labels, found) > 0.95
    symmetric.set_params(oversampling=4)
    all_reranked = make_pipeline(symmetric, clustering).fit_predict(X)
    expected = clustering.fit_predict(joined(exact_graph().fit_transform(X)))
    assert adjusted_rand_score(expected, all_reranked) == 1


def test_k_neighbors_classifier(blobs):
    X, labels = blobs
    classifier = KNeighborsClassifier(15, metric="precomputed")
    mine, exact = (
        make_pipeline(graph, classifier).fit(X[:100], labels[:100]).predict(X[100:])
        for graph in (skbq_graph(1.5), exact_graph())
    )
    assert_array_equal(mine, exact)
    assert np.mean(mine == labels[100:]) > 0.95


@pytest.mark.parametrize(
    "embedding",
    [
        Isomap(n_neighbors=N_NEIGHBORS, metric="precomputed"),
        TSNE(metric="precomputed", init="random", perplexity=9, max_iter=300,
             random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_embeddings(blobs, embedding):
    X = blobs[0]
    flat = make_pipeline(skbq_graph(1.5), embedding).fit_transform(X)
    exact = make_pipeline(exact_graph(), embedding).fit_transform(X)
    assert flat.shape == (len(X), 2)
    assert trustworthiness(X, flat) > trustworthiness(X, exact) - 0.02


def test_umap(blobs):
    """UMAP takes rows and distances, each row first among its own neighbors."""
    umap = pytest.importorskip("umap")
    X = blobs[0]
    index = BinaryNeighbors(
        15, quantizer=BinaryQuantizer(), metric="euclidean", oversampling=4
    ).fit(X)
    distances, rows = index.kneighbors(X)
    assert_array_equal(rows[:, 0], np.arange(len(X)))
    assert_allclose(distances[:, 0], 0)
    with warnings.catch_warnings():
        # It says that one thread is used, and that new rows cannot be transformed.
        warnings.filterwarnings("ignore", category=UserWarning, module="umap")
        flat = umap.UMAP(
            n_neighbors=15,
            precomputed_knn=(rows, distances.astype(np.float32)),
            init="random",
            n_epochs=100,
            random_state=0,
        ).fit_transform(X)
    assert flat.shape == (len(X), 2)
    assert trustworthiness(X, flat, n_neighbors=10) > 0.85
