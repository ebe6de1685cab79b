"""
Semantic search over texts
==========================

An index of texts that is written once, read from disk by every process, and searched by
meaning, among all texts or among some.
"""

# %%
# Any model that turns texts to vectors will do; these are of all-MiniLM-L6-v2, computed
# beforehand. With sentence-transformers they would be
# ``SentenceTransformer("all-MiniLM-L6-v2").encode(texts)``. A query stays in float32
# (asymmetric search), which finds more than a code of it would, and the vectors rerank.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer
from skbq.datasets import load_wordnet_minilm

glosses = load_wordnet_minilm()
index = BinaryNeighbors(
    5, quantizer=BinaryQuantizer(), query="vectors", oversampling=4
).fit(glosses.data)

# %%
# The file holds codes and vectors, with checksums and without pickle. Mapped into
# memory, it is read only where a search needs it, and processes share it.

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "glosses.skbq"
index.save(path)
index = BinaryNeighbors.load(path, mmap_mode="r")

query = 7
distances, rows = index.kneighbors(glosses.queries[[query]])
print(f"{glosses.query_lemmas[query]}: {glosses.query_texts[query]}")
for distance, row in zip(distances[0], rows[0], strict=True):
    print(f"  {1 - distance:.2f}  {glosses.lemmas[row]}: {glosses.texts[row]}")

# %%
# A mask says which rows may be found: those of a customer, a language, a year.

short = np.array([len(text) < 40 for text in glosses.texts])
_, short_rows = index.kneighbors(glosses.queries[[query]], mask=short)
print(
    "Among the short ones:", *(glosses.texts[row] for row in short_rows[0]), sep="\n  "
)

# %%
# How far the answer stands out of all texts.

cosine = glosses.data @ glosses.queries[query]
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.hist(cosine, 80, color="0.7")
for rank, row in enumerate(rows[0]):
    ax.axvline(cosine[row], color="#1b6ca8", label="found" if rank == 0 else None)
ax.set(xlabel="cosine similarity to the query", ylabel="texts", yscale="log")
ax.legend()
plt.show()
del index
folder.cleanup()
