"""
First search
============

Encode embeddings as one bit for each coordinate, search the codes, and see what the
saving costs in recall.
"""

# %%
# The embeddings are 5,000 glosses (definitions) of a dictionary; 250 further glosses
# are the queries. ``oversampling=4`` takes the 40 rows that are nearest by their codes,
# and keeps the 10 that are nearest by the vectors.

import matplotlib.pyplot as plt
from sklearn.neighbors import NearestNeighbors

from skbq import BinaryNeighbors, BinaryQuantizer
from skbq.datasets import load_wordnet_minilm
from skbq.metrics import neighbor_recall

glosses = load_wordnet_minilm()
index = BinaryNeighbors(10, quantizer=BinaryQuantizer(), oversampling=4)
distances, rows = index.fit(glosses.data).kneighbors(glosses.queries)

print(glosses.query_texts[7])
for row in rows[7, :3]:
    print(" ->", glosses.texts[row])

# %%
# Recall is the share of the true neighbors that a search finds. The truth is an exact
# search in floats.

exact = NearestNeighbors(n_neighbors=10, metric="cosine").fit(glosses.data)
true_distances, _ = exact.kneighbors(glosses.queries)
reranked = neighbor_recall(true_distances, distances)

# %%
# Without reranking, the Hamming distance between codes has the last word. Recall is
# counted by the exact distances of the rows that were found, so that ties are fair.

index.set_params(oversampling=None)
by_codes = index.kneighbors(glosses.queries, return_distance=False)
cosine = (glosses.data[by_codes] @ glosses.queries[:, :, None])[:, :, 0]
alone = neighbor_recall(true_distances, 1 - cosine)

# %%
# One bit for each of 384 coordinates is a 32nd of the memory. The vectors are read only
# for the 40 candidates of a query, and may stay on disk.

_, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
names = ["float32 vectors", "codes, 40 reranked", "codes alone"]
bytes_per_row = [1536, index.bytes_per_row_, index.bytes_per_row_]
bars = ax.barh(names, [1, reranked, alone], color=["0.6", "#1b6ca8", "#1b6ca8"])
ax.bar_label(bars, [f"{size} bytes a row" for size in bytes_per_row], padding=-90,
             color="white")  # fmt: skip
ax.set(xlabel="recall@10", xlim=(0, 1))
ax.invert_yaxis()
plt.show()
