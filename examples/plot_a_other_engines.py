"""
Moving codes to other engines
=============================

Codes of one bit are plain bytes, which other libraries read as they are. Databases get
settings to paste.
"""

# %%
# The layout is that of :func:`numpy.packbits`: eight coordinates to the byte, the first
# in the highest bit. faiss ``IndexBinaryFlat``, usearch ``b1``, sentence-transformers
# ``ubinary``, Qdrant and pgvector ``bit`` share it.

import matplotlib.pyplot as plt
import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer, as_codes
from skbq.datasets import load_wordnet_minilm
from skbq.exports import export

glosses = load_wordnet_minilm()
quantizer = BinaryQuantizer().fit(glosses.data)
codes = np.asarray(quantizer.transform(glosses.data))
query_codes = np.asarray(quantizer.transform(glosses.queries))
print(codes.shape, codes.dtype)

# %%
# faiss searches these bytes::
#
#     index = faiss.IndexBinaryFlat(384)
#     index.add(codes)
#     distances, rows = index.search(query_codes, 10)
#
# and so does usearch::
#
#     index = usearch.index.Index(ndim=384, metric="hamming", dtype="b1")
#     index.add(np.arange(len(codes)), codes)
#
# Bytes that come from such an index are codes again once they are wrapped. Distances
# are the same; of equal ones, skbq takes the lower row.

index = BinaryNeighbors(10).fit(as_codes(codes, n_features=384))
distances, _ = index.kneighbors(as_codes(query_codes, n_features=384))
assert distances[0, 0] == np.bitwise_count(codes ^ query_codes[0]).sum(axis=1).min()

# %%
# A database gets a schema, statements and a program: from a strategy or, better, from
# an advisor, which has measured what each engine can run:
# ``advisor.export("pgvector")``.

answer = export(
    dict(center=False, rotate=False, bits=1, query="codes", oversampling=4.0,
         metric="cosine", n_features=384, n_neighbors=10),
    engine="pgvector",
)  # fmt: skip
print(answer.schema)
print(answer.query)

# %%
# Centering matters to whoever makes the bits: engines cut at zero, skbq at the mean by
# default. Here is how many bits of a code differ between the two.

at_zero = np.asarray(BinaryQuantizer("zero").fit(glosses.data).transform(glosses.data))
differing = np.bitwise_count(codes ^ at_zero).sum(axis=1)
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.hist(differing, np.arange(differing.max() + 2) - 0.5, color="#1b6ca8")
ax.set(xlabel="bits that differ, of 384", ylabel="rows")
plt.show()
