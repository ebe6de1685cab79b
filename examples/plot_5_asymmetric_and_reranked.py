"""
Asymmetric search and reranking
===============================

How many candidates must be reranked until codes find what floats find? It depends on
how much a code keeps of the vectors: on its bits, and on whether the query is encoded
too (symmetric search) or stays in float32 (asymmetric search). The embeddings are 5,000
dictionary glosses, with 250 held-out glosses as queries.
"""

# %%
# First the truth. An exact search in floats gives the ten nearest glosses of every
# query, by cosine distance.

import matplotlib.pyplot as plt
from sklearn.neighbors import NearestNeighbors

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq.datasets import load_wordnet_minilm
from skbq.metrics import neighbor_recall

glosses = load_wordnet_minilm()
exact = NearestNeighbors(n_neighbors=10, metric="cosine").fit(glosses.data)
true_distances, _ = exact.kneighbors(glosses.queries)

# %%
# With ``oversampling=c`` the index takes the ``10 c`` rows that are nearest by their
# codes, and keeps the ten of them that are nearest by the vectors themselves. The
# distances that it returns are then exact, so that they can be compared with the true
# ones. An index is fitted once: ``oversampling`` is read at every query.

oversamplings = [1, 1.5, 2, 3, 4, 6, 8, 12, 16]


def recall_curve(index):
    index.fit(glosses.data)
    recall = []
    for oversampling in oversamplings:
        index.set_params(oversampling=oversampling)
        found_distances, _ = index.kneighbors(glosses.queries)
        recall.append(neighbor_recall(true_distances, found_distances))
    return recall


# %%
# One bit and two, searched symmetrically and asymmetrically. Asymmetric search keeps
# the same codes, and corrections of a few bytes for each row.

figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for bits, quantizer, color in (
    ("1 bit", BinaryQuantizer(), "tab:orange"),
    ("2 bits", TwoBitQuantizer(), "tab:blue"),
):
    for query, kind, line in (
        ("codes", "symmetric", "--"),
        ("vectors", "asymmetric", "-"),
    ):
        index = BinaryNeighbors(10, quantizer=quantizer, query=query, oversampling=1)
        recall = recall_curve(index)
        axes.plot(
            oversamplings,
            recall,
            line,
            marker="o",
            color=color,
            label=f"{bits}, {kind}: {index.bytes_per_row_} bytes",
        )
axes.axhline(0.95, color="gray", linewidth=0.8)
axes.set(
    xscale="log",
    xticks=oversamplings,
    xticklabels=oversamplings,
    xlabel="oversampling: candidates reranked for each neighbor",
    ylabel="recall@10",
)
axes.minorticks_off()
axes.legend(title="bytes per row without the vectors", loc="lower right")
plt.show()

# %%
# Asymmetric search of one-bit codes finds nearly as much as symmetric search of two-bit
# codes. Without oversampling (the left end) no code is enough for these vectors:
# reranking is what makes small codes useful, and the vectors it reads may lie on disk.
