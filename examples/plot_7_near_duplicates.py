"""
Near-duplicates by radius
=========================

Texts that say the same lie within a small distance. A search by radius finds them all,
however many there are; the number of neighbors need not be known.
"""

# %%
# Ten copies of each of the first 200 glosses are added to the rows, with a little
# noise, as another crop of an image or another edition of a text would have.

import matplotlib.pyplot as plt
import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer
from skbq.datasets import load_wordnet_minilm

glosses = load_wordnet_minilm()
rng = np.random.default_rng(0)
copies = np.repeat(glosses.data[:200], 10, axis=0)
copies = copies + 0.01 * rng.standard_normal(copies.shape, np.float32)
X = np.concatenate([glosses.data, copies])
source = np.concatenate([np.arange(5000), np.repeat(np.arange(200), 10)])

# %%
# A radius in bits: two codes are duplicates if they differ in few of their 384 bits.
# ``X=None`` compares the rows with each other and leaves out each row itself.

index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X)
n_bits = np.arange(0, 161, 8)
found = index.radius_neighbors(radius=n_bits[-1], sort_results=True)
first = np.repeat(np.arange(len(X)), [len(rows) for rows in found[1]])
bits, second = (np.concatenate(part) for part in found)
same = source[first] == source[second]

# %%
# Copies differ in 64 bits at most. Few other pairs are as near: texts that nearly say
# the same.

_, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for chosen, name in ((same, "copies"), (~same, "other pairs")):
    ax.hist(bits[chosen], n_bits, alpha=0.7, label=name)
ax.axvline(64, color="0.3", linestyle="--", label="radius")
ax.set(xlabel="bits in which two codes differ", ylabel="pairs", yscale="log")
ax.legend(loc="upper left")
plt.show()

# %%
# The groups of duplicates are the connected parts of the graph.

from scipy.sparse.csgraph import connected_components

graph = index.radius_neighbors_graph(radius=64)
n_groups, group = connected_components(graph, directed=False)
sizes = np.bincount(group)
print(f"{n_groups} groups; {np.sum(sizes == 11)} of them of a gloss and its ten copies")
for members in np.flatnonzero((sizes > 1) & (sizes < 11))[:3]:
    print(*(glosses.texts[row] for row in np.flatnonzero(group == members)), sep=" | ")
