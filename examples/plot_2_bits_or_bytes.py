"""
One bit, two bits or PCA bytes
==============================

Which code should a row have? Every code has its memory and its recall. Here are the
codes of skbq side by side, without reranking, on real text embeddings.
"""

# %%
# :class:`~skbq.BinaryQuantizer` and :class:`~skbq.TwoBitQuantizer` give all coordinates
# equally many bits. :class:`~skbq.PCAQuantizer` is transform coding: it turns rows to
# their principal axes and gives more bits to axes of more variance, for any number of
# bytes. The query stays in float32 (asymmetric search) where nothing else is said.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer, TwoBitQuantizer
from skbq.datasets import load_wordnet_minilm
from skbq.metrics import neighbor_recall

glosses = load_wordnet_minilm()
X, queries = glosses.data, glosses.queries
exact = NearestNeighbors(n_neighbors=10, metric="cosine").fit(X)
true_distances, _ = exact.kneighbors(queries)


def bytes_and_recall(quantizer, query="vectors"):
    index = BinaryNeighbors(10, quantizer=quantizer, query=query).fit(X)
    rows = index.kneighbors(queries, return_distance=False)
    found = 1 - np.einsum("qkd,qd->qk", X[rows], queries)
    return index.bytes_per_row_, neighbor_recall(true_distances, found)


# %%
# ``exponent`` says how much the variance counts. The default, "auto", tries several on
# the rows; one is enough for a picture.

curves = {
    "PCAQuantizer": [
        bytes_and_recall(PCAQuantizer(n_bytes=size, exponent=0.75, random_state=0))
        for size in (16, 28, 52, 100)
    ],
    "BinaryQuantizer": [bytes_and_recall(BinaryQuantizer())],
    "TwoBitQuantizer": [bytes_and_recall(TwoBitQuantizer())],
    "BinaryQuantizer, symmetric": [bytes_and_recall(BinaryQuantizer(), "codes")],
    "TwoBitQuantizer, symmetric": [bytes_and_recall(TwoBitQuantizer(), "codes")],
}

_, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, points), marker in zip(curves.items(), "os^vD", strict=True):
    ax.plot(*zip(*points, strict=True), marker=marker, label=name)
ax.set(xlabel="bytes of a row", ylabel="recall@10 without reranking", ylim=(0, 1))
ax.legend(loc="lower right")
plt.show()

# %%
# The curve of transform coding lies above the points: with as many bytes it finds more,
# or as much with fewer bytes. Codes of one and two bits have other merits: other
# engines read those of one bit, and symmetric search only counts bits.
