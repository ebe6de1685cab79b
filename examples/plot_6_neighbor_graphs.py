"""
Neighbor graphs for t-SNE, DBSCAN, KNeighborsClassifier and UMAP
================================================================

Many estimators of scikit-learn begin with a search for neighbors. They all take a graph
that is made beforehand, and codes make it small and fast.
"""

# %%
# Rows of six groups; the labels are known, to see what each estimator makes of them.

import matplotlib.pyplot as plt
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skbq import BinaryNeighbors, BinaryNeighborsTransformer

X, labels = make_blobs(
    900, n_features=64, centers=6, cluster_std=3.0, random_state=0
)  # fmt: skip

# %%
# :class:`~skbq.BinaryNeighborsTransformer` stands where scikit-learn's
# ``KNeighborsTransformer`` stands, first in a pipeline. Its distances are exact because
# it reranks: ``oversampling`` says how many candidates.

graph = BinaryNeighborsTransformer(50, metric="euclidean", oversampling=2)

clusters = make_pipeline(graph, DBSCAN(eps=36, metric="precomputed")).fit_predict(X)
print(f"DBSCAN: Rand index {adjusted_rand_score(labels, clusters):.2f}")

classifier = make_pipeline(graph, KNeighborsClassifier(9, metric="precomputed"))
classifier.fit(X[:600], labels[:600])
print(f"KNeighborsClassifier: accuracy {classifier.score(X[600:], labels[600:]):.2f}")

# %%
# t-SNE wants three times its perplexity in neighbors.

tsne = TSNE(metric="precomputed", init="random", perplexity=15, random_state=0)
flat = make_pipeline(graph, tsne).fit_transform(X)

_, ax = plt.subplots(figsize=(5, 4.4), layout="constrained")
ax.scatter(*flat.T, c=labels, cmap="tab10", s=8)
ax.set(title="t-SNE on a graph of codes", xticks=[], yticks=[])
plt.show()

# %%
# UMAP takes rows and distances instead, where each row comes first among its own
# neighbors. ``kneighbors(X)`` gives them so::
#
#     index = BinaryNeighbors(15, metric="euclidean", oversampling=4).fit(X)
#     distances, rows = index.kneighbors(X)
#     umap.UMAP(n_neighbors=15, precomputed_knn=(rows, distances)).fit_transform(X)
#
# HDBSCAN alone wants a symmetric graph in one piece: ``symmetric=True``, and as many
# neighbors as the smallest cluster has rows.

index = BinaryNeighbors(15, metric="euclidean", oversampling=4).fit(X)
distances, rows = index.kneighbors(X)
print("UMAP takes arrays of shape", rows.shape, "where column 0 is the row itself.")
